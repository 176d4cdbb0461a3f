// The grid of products.
import { h, icon, showPicture } from "./dom.js";
import { linkOf, priceOf, stockOf, titleOf } from "./product.js";
import { texts } from "./texts.js";

// act: { why(hit), like(hit), verdict(hit, right), verdictOf(hit) → true | false | null }; says: the
// words of right and wrong.
export function card(hit, act, says) {
  const title = titleOf(hit);
  const price = priceOf(hit);
  const stock = stockOf(hit);
  const link = linkOf(hit);
  const img = h("img", { alt: "", loading: hit.rank > 8 ? "lazy" : "eager", decoding: "async" });
  if (hit.rank === 1) img.addEventListener("load", () => shapeFrames(img));
  const frame = h("button", { type: "button", class: "frame", "aria-label": texts.open({ title }), onclick: () => act.why(hit) }, img);
  showPicture(img, hit.picture, 320);
  return h("li", { class: "product", "data-item": hit.item_id },
    frame,
    hit.search_id ? verdictButtons(hit, title, act, says) : null,
    hit.alike ? h("p", { class: `alike is-${hit.alike}` }, texts.alike[hit.alike]) : null,
    h("h2", { class: "title" }, title),
    price.now ? h("p", { class: "price" }, price.now, price.before ? h("s", { class: "before" }, h("span", { class: "unseen" }, texts.before), price.before) : null) : null,
    stock ? h("p", { class: "stock" }, stock) : null,
    h("p", { class: "acts" },
      h("button", { type: "button", class: "plain", "aria-label": `${texts.why} ${title}`, onclick: () => act.why(hit) }, texts.why),
      h("button", { type: "button", class: "plain", "aria-label": `${texts.like}: ${title}`, onclick: () => act.like(hit) }, texts.like),
      link ? h("a", { class: "plain", href: link, rel: "noopener noreferrer", target: "_blank" }, texts.shop) : null));
}

// The frames take the shape of the shop's pictures, by the first of them.
function shapeFrames(img) {
  const ratio = Math.min(1.1, Math.max(0.66, img.naturalWidth / img.naturalHeight));
  img.closest(".products")?.style.setProperty("--ratio", ratio.toFixed(3));
}

function verdictButtons(hit, title, act, says) {
  const given = act.verdictOf(hit);
  const button = (right, shape, name) => h("button", {
    type: "button", class: `verdict ${right ? "yes" : "no"}`, "aria-label": name({ title }), title: name({ title }),
    "aria-pressed": String(given === right), onclick: () => act.verdict(hit, right),
  }, icon(shape));
  return h("div", { class: "verdicts" }, button(true, "check", says.right), button(false, "cross", says.wrong));
}

// Shows a verdict that was given or taken back, without touching the rest of the card.
export function markVerdict(list, item, right) {
  const found = [...list.children].find((element) => element.dataset.item === item);
  found?.querySelector(".verdict.yes")?.setAttribute("aria-pressed", String(right === true));
  found?.querySelector(".verdict.no")?.setAttribute("aria-pressed", String(right === false));
}

// Grey places in the grid while the first answer is on its way.
export const waiting = (count) => Array.from({ length: count }, () => h("li", { class: "product is-waiting", "aria-hidden": "true" }, h("div", { class: "frame" })));
