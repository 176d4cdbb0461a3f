// Looks at one product, and deletes it after a second question.
import { productOf } from "../adapt.js";
import * as api from "../api.js";
import { $, h, showPicture } from "../dom.js";
import { titleOf } from "../product.js";
import { failed } from "./jobs.js";
import { texts } from "./texts.js";

const plain = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value));

function showProduct(product, changed, say) {
  const pictures = product.pictures.map(({ picture }, at) => {
    const img = h("img", { alt: texts.picture(at + 1), loading: "lazy" });
    const place = h("li", {}, img);
    showPicture(img, picture);
    return place;
  });
  const rows = Object.entries(product.columns).filter(([, value]) => value !== null && value !== "" && value !== undefined);
  $("product").replaceChildren(
    h("h3", { tabindex: "-1", id: "product-name" }, titleOf(product)),
    h("ul", { class: "thumbs" }, pictures),
    h("dl", { class: "details" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, plain(value))))),
    h("p", {}, h("button", { type: "button", class: "quiet-button is-danger", onclick: () => confirm(product.item_id, changed, say) }, texts.remove)));
  $("product-name").focus();
}

function confirm(id, changed, say) {
  const dialog = $("sure");
  const no = h("button", { type: "button", class: "quiet-button", onclick: () => dialog.close() }, texts.sureNo);
  const yes = h("button", { type: "button", class: "main-button is-danger", onclick: async () => {
    dialog.close();
    try {
      await api.remove(id);
      $("product").replaceChildren(h("p", {}, texts.removed(id)));
      say(texts.removed(id));
      $("product-id").value = "";
      $("product-id").focus();
      changed();
    } catch (error) {
      $("product").append(failed(error));
    }
  } }, texts.sureYes);
  dialog.replaceChildren(h("h2", { id: "sure-title" }, texts.sureTitle(id)), h("p", {}, texts.sure), h("p", { class: "line" }, no, yes));
  dialog.showModal();
  no.focus();
}

export function watchProducts(changed, say) {
  $("look").addEventListener("submit", async (event) => {
    event.preventDefault();
    const id = $("product-id").value.trim();
    try {
      showProduct(productOf(id, await api.item(id)), changed, say);
    } catch (error) {
      $("product").replaceChildren(error.kind === "gone" ? h("p", { class: "wrong", role: "alert" }, texts.noProduct) : failed(error));
    }
  });
}
