// What is told besides results: waiting, failing, the server gone, small thanks.
import { key } from "./api.js";
import { $, h, show } from "./dom.js";
import { texts } from "./texts.js";
import { HELD } from "./verdicts.js";

const TOAST = HELD;

export function say(text) {
  $("status").textContent = "";
  // A screen reader speaks a change; the same words twice are none.
  requestAnimationFrame(() => { $("status").textContent = text; });
}

function again(retry, label = texts.retry) {
  return h("button", { type: "button", class: "quiet-button", onclick: retry }, label);
}

export function notice(...children) {
  $("notice").replaceChildren(...children.filter(Boolean));
  show($("notice"), children.length > 0);
}

export function banner(...children) {
  $("banner").replaceChildren(...children.filter(Boolean));
  show($("banner"), children.length > 0);
}

let toasting = 0;
export function toast(text, undo = null) {
  const hide = () => $("toast").replaceChildren();
  clearTimeout(toasting);
  const button = undo ? h("button", { type: "button", class: "plain", onclick: () => { hide(); undo(); } }, texts.undo) : null;
  $("toast").replaceChildren(h("p", {}, text), ...[button].filter(Boolean));
  const later = () => {
    // Not from under somebody's fingers.
    if ($("toast").matches(":hover, :focus-within")) toasting = setTimeout(later, TOAST);
    else hide();
  };
  toasting = setTimeout(later, TOAST);
}

export function wordsOf(error) {
  const plain = { limited: texts.limited, "too-big": texts.sentTooBig, refused: texts.refused };
  if (plain[error.kind]) return plain[error.kind];
  if (error.kind === "bad" && error.detail) return error.detail;
  if (error.kind === "busy") return texts.verySlow;
  return error.id ? texts.faultOf({ id: error.id }) : texts.fault;
}

export function keyForm(onKey, wrong = false) {
  const input = h("input", { type: "password", name: "key", autocomplete: "off", required: true, "aria-describedby": "key-wrong" });
  return h("form", {
    class: "key-form",
    onsubmit: (event) => {
      event.preventDefault();
      key.set(input.value.trim());
      onKey();
    },
  }, h("label", {}, texts.keyLabel, input), h("button", { class: "main-button" }, texts.keySend),
  h("p", { class: "wrong", id: "key-wrong", role: "alert" }, wrong ? texts.keyWrong : ""));
}

// The words for each thing a Seeker tells.
// plainly(): searches without what the service may not have understood.
export function tellSearch(what, { retry, after, error, plainly } = {}) {
  $("found").setAttribute("aria-busy", String(!["done", "failed"].includes(what)));
  const acts = {
    working: () => notice(h("p", { class: "is-working" }, texts.working)),
    slow: () => { notice(h("p", { class: "is-working" }, texts.slow)); say(texts.slow); },
    "very-slow": () => { notice(h("p", {}, texts.verySlow), again(retry)); say(texts.verySlow); },
    busy: () => { notice(h("p", {}, texts.busy({ n: after })), again(retry)); say(texts.busy({ n: after })); },
    offline: () => {
      notice();
      banner(h("p", {}, texts.offline), again(retry, texts.offlineNow));
      addEventListener("online", retry, { once: true });
    },
    back: () => { banner(); toast(texts.back); },
    done: () => { notice(); banner(); },
    failed: () => {
      banner();
      for (const place of $("products").querySelectorAll(".is-waiting")) place.remove();
      if (error.kind === "refused") notice(h("p", {}, texts.refused), keyForm(retry, Boolean(key.get())));
      else notice(h("p", {}, wordsOf(error)), error.kind === "bad" && plainly ? again(plainly, texts.plainly) : again(retry));
      say(wordsOf(error));
    },
  };
  acts[what]();
}
