// The shop's own page: a key where one is needed, then panels that look after themselves.
import * as api from "../api.js";
import { $, fillTexts, h, show } from "../dom.js";
import { loadTexts } from "../texts.js";
import { watchAdd } from "./add.js";
import { watchCheck } from "./check.js";
import { watchProducts } from "./products.js";
import { showStats } from "./stats.js";
import { labels, texts } from "./texts.js";

const EVERY = 10_000;

api.key.name = "hemline.write-key";

function say(text) {
  $("status").textContent = text;
}

function enter(wrong) {
  const input = h("input", { type: "password", id: "key", autocomplete: "off", required: true, "aria-describedby": "key-wrong" });
  const form = h("form", { class: "line", onsubmit: (event) => {
    event.preventDefault();
    api.key.set(input.value.trim());
    begin();
  } },
  h("label", {}, texts.key, input), h("button", { class: "main-button" }, texts.enter),
  h("p", { class: "wrong", id: "key-wrong", role: "alert" }, wrong ? texts.badKey : ""));
  $("enter-form").replaceChildren(form);
  show($("enter"), true);
  show($("inside"), false);
  show($("forget"), false);
  input.focus();
}

function unreachable(error) {
  $("banner").replaceChildren(
    h("p", {}, error.kind === "offline" ? texts.unreachable : error.detail || texts.unreachable),
    h("button", { type: "button", class: "quiet-button", onclick: begin }, texts.retry));
  show($("banner"), true);
}

let timer = 0;
async function refresh() {
  clearTimeout(timer);
  const stats = await api.ask("v1/admin/stats");
  showStats(stats);
  show($("banner"), false);
  timer = setTimeout(() => { if (document.hidden) later(); else refresh().catch(unreachable); }, EVERY);
}
function later() {
  document.addEventListener("visibilitychange", () => refresh().catch(unreachable), { once: true });
}

async function begin() {
  try {
    await refresh();
    show($("enter"), false);
    show($("inside"), true);
    show($("forget"), Boolean(api.key.get()));
    list.load();
  } catch (error) {
    if (error.kind !== "refused") return unreachable(error);
    const given = Boolean(api.key.get());
    api.key.set("");
    enter(given);
  }
}

await loadTexts();
fillTexts(labels);
$("forget").addEventListener("click", () => { clearTimeout(timer); api.key.set(""); enter(false); });
const changed = () => refresh().catch(unreachable);
const list = watchProducts(changed, say);
watchAdd(() => { changed(); list.load(); }, say);
watchCheck(changed, say);
begin();
