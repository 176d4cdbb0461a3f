// Looks at one product, by its number or from the list, and deletes it after a second question.
import { productOf } from "../adapt.js";
import * as api from "../api.js";
import { $, h, showPicture } from "../dom.js";
import { titleOf } from "../product.js";
import { failed } from "./jobs.js";
import { List } from "./list.js";
import { texts } from "./texts.js";

const plain = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value));

function showProduct(product, remove, close) {
  const pictures = product.pictures.map(({ picture }, at) => {
    const img = h("img", { alt: texts.picture(at + 1), loading: "lazy" });
    const place = h("li", {}, img);
    showPicture(img, picture, 160);
    return place;
  });
  const rows = Object.entries({ [texts.productId]: product.item_id, ...product.columns }).filter(([, value]) => value !== null && value !== "" && value !== undefined);
  $("product").dataset.item = product.item_id;
  $("product").replaceChildren(
    h("h3", { tabindex: "-1", id: "product-name" }, titleOf(product)),
    h("ul", { class: "thumbs" }, pictures),
    h("dl", { class: "details" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, plain(value))))),
    h("p", { class: "line" },
      h("button", { type: "button", class: "quiet-button", onclick: close }, texts.close),
      h("button", { type: "button", class: "quiet-button is-danger", onclick: remove }, texts.remove)));
  $("product-name").focus();
}

// Asks, and takes the product out; removed() or refused(error) tells how it ended.
function confirm(product, removed, refused) {
  const dialog = $("sure");
  const no = h("button", { type: "button", class: "quiet-button", onclick: () => dialog.close() }, texts.sureNo);
  const yes = h("button", { type: "button", class: "main-button is-danger", onclick: async () => {
    dialog.close();
    try {
      await api.remove(product.item_id);
    } catch (error) {
      return refused(error);
    }
    return removed();
  } }, texts.sureYes);
  dialog.replaceChildren(h("h2", { id: "sure-title" }, texts.sureTitle(titleOf(product), product.item_id)), h("p", {}, texts.sure), h("p", { class: "line" }, no, yes));
  dialog.showModal();
  no.focus();
}

// Gives the list: whoever changes the catalogue loads it anew.
export function watchProducts(changed, say) {
  const left = (product) => {
    if ($("product").dataset.item === product.item_id) $("product").replaceChildren();
    say(texts.removed(product.item_id));
    changed();
  };
  const list = new List({
    look: (product) => look(product, () => [...$("list").children].find((place) => place.dataset.item === product.item_id)?.querySelector("button")),
    remove: (product) => confirm(product, () => {
      left(product);
      list.without(product.item_id);
    }, (error) => $("list-wrong").replaceChildren(failed(error))),
  });

  // opener() is what gets the focus back.
  function look(product, opener) {
    const remove = () => confirm(product, () => {
      left(product);
      $("product").replaceChildren(h("p", {}, texts.removed(product.item_id)));
      $("product-id").value = "";
      $("product-id").focus();
      list.load();
    }, (error) => $("product").append(failed(error)));
    showProduct(product, remove, () => {
      $("product").replaceChildren();
      (opener() ?? $("product-id")).focus();
    });
  }

  $("look").addEventListener("submit", async (event) => {
    event.preventDefault();
    const id = $("product-id").value.trim();
    try {
      look(productOf(id, await api.item(id)), () => $("product-id"));
    } catch (error) {
      $("product").replaceChildren(error.kind === "gone" ? h("p", { class: "wrong", role: "alert" }, texts.noProduct) : failed(error));
    }
  });
  return list;
}
