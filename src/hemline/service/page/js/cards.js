// The grid of products.
import { fill, h, icon, showPicture } from "./dom.js";
import { linkOf, priceOf, stockOf, titleOf } from "./product.js";
import { isGone } from "./sort.js";
import { texts } from "./texts.js";

// Two tab stops: the product itself (its page in the shop, or else why it was found), and a menu.
// at: its place in the grid; act: { why(hit), like(hit), verdict(hit, right), verdictOf(hit) → true |
// false | null }; says: the words of right and wrong, null without those buttons.
export function card(hit, at, act, says) {
  const title = titleOf(hit);
  const price = priceOf(hit);
  const stock = stockOf(hit);
  const link = linkOf(hit);
  const img = h("img", { alt: "", loading: at < 8 ? "eager" : "lazy", fetchpriority: at === 0 ? "high" : null, decoding: "async" });
  img.addEventListener("load", () => fill(img, at === 0));
  showPicture(img, hit.picture, 320);
  const tile = link
    ? h("a", { class: "tile", href: link, rel: "noopener noreferrer", target: "_blank" }, title)
    : h("button", { type: "button", class: "tile", onclick: () => act.why(hit) }, title);
  return h("li", { class: isGone(hit) ? "product is-gone" : "product", "data-item": hit.item_id },
    h("div", { class: "frame" }, img),
    h("div", { class: "about" },
      h("div", {},
        hit.alike ? h("p", { class: `alike is-${hit.alike}` }, texts.alike[hit.alike]) : null,
        h("h2", { class: "title" }, tile),
        price.now ? h("p", { class: "price" }, price.now, price.before ? h("s", { class: "before" }, h("span", { class: "unseen" }, texts.before), price.before) : null) : null,
        stock ? h("p", { class: "stock" }, stock) : null),
      menu(hit, title, act, hit.search_id ? says : null)));
}

function menu(hit, title, act, says) {
  const choose = (name, label, what) => h("button", { type: "button", "aria-label": label, onclick: () => { shut(place); what(hit); } }, name);
  const items = h("div", { class: "menu", hidden: true },
    choose(texts.like, `${texts.like}: ${title}`, act.like), choose(texts.why, `${texts.why} ${title}`, act.why), says ? verdictButtons(hit, title, act, says) : null);
  const button = h("button", {
    type: "button", class: "dots", "aria-expanded": "false", "aria-label": texts.menuOf({ title }),
    onclick: () => (items.hidden ? open(place) : shut(place)),
  }, icon("dots"));
  const place = h("div", { class: "acts" }, button, items);
  mark(place, act.verdictOf(hit));
  return place;
}

function open(place) {
  place.querySelector(".menu").hidden = false;
  place.querySelector(".dots").setAttribute("aria-expanded", "true");
}

function shut(place) {
  const items = place.querySelector(".menu");
  if (items.hidden) return;
  if (items.contains(document.activeElement)) place.querySelector(".dots").focus();
  items.hidden = true;
  place.querySelector(".dots").setAttribute("aria-expanded", "false");
}

// A menu closes by Escape, a click elsewhere, or when the focus leaves it.
export function closeMenus(list) {
  const all = () => list.querySelectorAll(".acts");
  document.addEventListener("click", (event) => all().forEach((one) => one.contains(event.target) || shut(one)));
  list.addEventListener("focusout", (event) => {
    const place = event.target.closest(".acts");
    if (place && event.relatedTarget && !place.contains(event.relatedTarget)) shut(place);
  });
  list.addEventListener("keydown", (event) => {
    if (event.key === "Escape") all().forEach(shut);
  });
}

function verdictButtons(hit, title, act, says) {
  const button = (right, shape, text, name) => h("button", {
    type: "button", class: `verdict ${right ? "yes" : "no"}`, "aria-label": name({ title }), onclick: () => act.verdict(hit, right),
  }, icon(shape), text);
  return [h("hr"), button(true, "check", texts.right, says.right), button(false, "cross", texts.wrong, says.wrong)];
}

function mark(place, right) {
  place.querySelector(".verdict.yes")?.setAttribute("aria-pressed", String(right === true));
  place.querySelector(".verdict.no")?.setAttribute("aria-pressed", String(right === false));
  place.classList.toggle("is-right", right === true);
  place.classList.toggle("is-wrong", right === false);
}

// Shows a verdict that was given or taken back, without touching the rest of the card.
export function markVerdict(list, item, right) {
  const found = [...list.children].find((element) => element.dataset.item === item);
  if (found) mark(found.querySelector(".acts"), right);
}

// Grey places in the grid while the first answer is on its way.
export const waiting = (count) => Array.from({ length: count }, () => h("li", { class: "product is-waiting", "aria-hidden": "true" }, h("div", { class: "frame" })));
