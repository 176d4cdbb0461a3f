// Why a product was found: where the search looked, the shop's picture, what they have in common.
import { productOf } from "./adapt.js";
import { item as askItem } from "./api.js";
import { h, showPicture } from "./dom.js";
import { drawHeat, placeOf, readable } from "./heat.js";
import { descriptionOf, linkOf, priceOf, saidOf, sharedTags, stockOf, titleOf } from "./product.js";
import { texts } from "./texts.js";

function loaded(img) {
  return img.complete && img.naturalWidth
    ? Promise.resolve()
    : new Promise((resolve, reject) => {
        img.addEventListener("load", resolve, { once: true });
        img.addEventListener("error", reject, { once: true });
      });
}

async function heat(figure, img, attention, box, label) {
  try {
    await loaded(img);
  } catch {
    return;
  }
  const canvas = h("canvas", { role: "img", "aria-label": label });
  drawHeat(canvas, img, attention, box);
  img.replaceWith(canvas);
}

function asked({ photo, item, box, heats }, hit) {
  const img = h("img", { alt: photo ? texts.photoAlt : titleOf(item) });
  const told = readable(hit.attention);
  const part = hit.attention?.box ?? box;
  const share = part && photo ? [part[0] / photo.width, part[1] / photo.height, part[2] / photo.width, part[3] / photo.height] : undefined;
  const place = told ? placeOf(hit.attention, share) : "";
  const figure = h("figure", {}, h("figcaption", {}, photo ? (photo.sample ? texts.askedSample : texts.heatOn) : titleOf(item)), img);
  if (photo) {
    img.src = photo.url;
    if (told) heat(figure, img, hit.attention, part, texts.heatLabel({ place }));
  } else {
    showPicture(img, item.picture);
  }
  return { figure, note: photo && told ? texts.heatCaption({ place }) : photo && heats ? texts.heatNone : null, told: told && Boolean(photo) };
}

function inShop(hit, title) {
  const img = h("img", { alt: title });
  const figure = h("figure", {}, h("figcaption", {}, texts.heatTo), img);
  showPicture(img, hit.picture);
  shopHeat(figure, img, hit, title);
  return figure;
}

// What the shop's own tower looks at in its picture; where it tells nothing, the picture stays.
async function shopHeat(figure, img, hit, title) {
  try {
    const { pictures } = productOf(hit.item_id, await askItem(hit.item_id, undefined, true));
    const own = pictures.find((one) => one.image_id === hit.image_id)?.attention;
    if (readable(own)) await heat(figure, img, own, null, texts.shopHeatLabel({ title }));
  } catch {
    // The picture alone says enough.
  }
}

// Beside each tag how many of the others have it; `both`: there is one other, what is searched with.
function tagList(hit, others, both) {
  const tags = sharedTags(hit, others);
  const common = tags.some((tag) => tag.times);
  const also = (times) => h("span", { class: "also" }, both ? ` ${texts.bothHave}` : ` ${texts.alsoHave({ times, all: others.length })}`);
  const row = (name, value, times) => h("div", {},
    h("dt", {}, texts.facet[name] ?? name),
    h("dd", { class: times ? "is-shared" : "" }, value, times ? also(times) : null));
  const tagged = new Set(tags.map(({ name }) => name));
  const columns = saidOf(hit).filter(([name]) => !tagged.has(name));
  const rows = [...tags.map(({ name, value, times }) => row(name, value, times)), ...columns.map(([name, value]) => row(name, value, 0))];
  const description = descriptionOf(hit);
  if (!rows.length && !description) return [h("p", { class: "why-note" }, texts.byLooks)];
  return [
    h("h3", {}, common ? texts.sharedTitle : texts.saidTitle),
    rows.length ? h("dl", { class: "tags" }, rows) : null,
    description ? h("p", { class: "description" }, description) : null,
    common && !both ? h("p", { class: "hint" }, texts.sharedNote) : null,
  ].filter(Boolean);
}

// from: { photo, box, heats } or { item }, heats: whether the bundle has heat maps; others: the best other finds.
export function openWhy(dialog, hit, from, others, act) {
  const title = titleOf(hit);
  const { figure, note, told } = asked(from, hit);
  const legend = told ? h("p", { class: "legend", "aria-hidden": "true" }, h("span", {}, texts.less), h("span", { class: "ramp" }), h("span", {}, texts.most)) : null;
  const link = linkOf(hit);
  const close = () => dialog.close();
  dialog.replaceChildren(
    h("div", { class: "why-head" },
      h("h2", { id: "why-title", tabindex: "-1" }, texts.whyTitle({ title })),
      h("button", { type: "button", class: "quiet-button", onclick: close }, texts.close)),
    h("p", { class: "why-facts" }, [hit.alike ? texts.alike[hit.alike] : "", priceOf(hit).now, stockOf(hit)].filter(Boolean).join(" · ")),
    h("div", { class: "pair" }, figure, inShop(hit, title)),
    ...[legend, note ? h("p", { class: "why-note" }, note) : null].filter(Boolean),
    ...tagList(hit, from.photo ? others : [from.item], !from.photo),
    h("p", { class: "why-acts" },
      h("button", { type: "button", class: "main-button", onclick: () => { close(); act.like(hit); } }, texts.like),
      link ? h("a", { class: "quiet-button", href: link, rel: "noopener noreferrer", target: "_blank" }, texts.shop) : null));
  dialog.onclick = (event) => { if (event.target === dialog) close(); };
  dialog.showModal();
  dialog.scrollTop = 0;
  dialog.querySelector("#why-title").focus();
}
