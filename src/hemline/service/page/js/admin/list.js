// The catalogue's products page by page, also those alone that meet a condition.
import { productOf } from "../adapt.js";
import * as api from "../api.js";
import { $, h, showPicture } from "../dom.js";
import { priceOf, titleOf } from "../product.js";
import { failed } from "./jobs.js";
import { texts } from "./texts.js";

const LIMIT = 24;

export class List {
  // act: { look(product), remove(product) }.
  constructor(act) {
    Object.assign(this, { act, where: "", cursors: [""], after: null, asked: 0 });
    $("only").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#narrow($("where").value.trim());
    });
    $("list-next").addEventListener("click", () => this.#turn([...this.cursors, this.after]));
    $("list-before").addEventListener("click", () => this.#turn(this.cursors.slice(0, -1)));
  }

  // Asks for the page anew. False where it can't be had, or a later question overtook it.
  async load() {
    const { where, cursors } = this;
    this.asked += 1;
    const own = this.asked;
    $("list").setAttribute("aria-busy", "true");
    try {
      const page = await api.items({ limit: LIMIT, after: cursors.at(-1), where });
      if (own !== this.asked) return false;
      if (!page.items.length && cursors.length > 1) {
        this.cursors = cursors.slice(0, -1);
        return this.load();
      }
      this.#show(page);
      return true;
    } catch (error) {
      if (own !== this.asked) return false;
      if (where && error.kind === "bad") this.#misread(error.detail);
      else $("list-wrong").replaceChildren(failed(error));
      return false;
    } finally {
      if (own === this.asked) $("list").removeAttribute("aria-busy");
    }
  }

  // After a product has left: the focus goes to the one that took its place.
  async without(item) {
    const at = [...$("list").children].findIndex((place) => place.dataset.item === item);
    await this.load();
    const place = $("list").children[Math.min(at, $("list").children.length - 1)];
    (place?.querySelector("button") ?? $("list-count")).focus();
  }

  async #narrow(where) {
    const before = [this.where, this.cursors];
    [this.where, this.cursors] = [where, [""]];
    if (await this.load()) $("list-count").focus();
    else if (this.where === where) [this.where, this.cursors] = before;
  }

  async #turn(cursors) {
    const before = this.cursors;
    this.cursors = cursors;
    if (await this.load()) $("list-count").focus();
    else if (this.cursors === cursors) this.cursors = before;
  }

  #misread(words) {
    $("where-wrong").textContent = words;
    $("where").setAttribute("aria-invalid", "true");
    $("where").focus();
  }

  #show({ items, counts, after }) {
    this.after = after;
    $("where-wrong").textContent = "";
    $("where").removeAttribute("aria-invalid");
    $("list-wrong").replaceChildren();
    const first = (this.cursors.length - 1) * LIMIT;
    $("list-count").textContent = items.length ? texts.listed(first + 1, first + items.length, counts.items) : this.where ? texts.listedNone : texts.listedEmpty;
    $("list").replaceChildren(...items.map((raw) => this.#entry(productOf(raw.item_id, raw))));
    $("list-before").hidden = this.cursors.length < 2;
    $("list-next").hidden = after === null;
  }

  #entry(product) {
    const title = titleOf(product);
    const img = h("img", { alt: "", loading: "lazy", decoding: "async" });
    const frame = h("span", { class: "thumb" }, img);
    showPicture(img, product.picture, 160);
    const told = [product.item_id, priceOf(product).now, texts.pictureCount(product.pictures.length)];
    return h("li", { "data-item": product.item_id },
      frame,
      h("span", { class: "told" },
        h("button", { type: "button", class: "plain", onclick: () => this.act.look(product) }, title),
        h("span", { class: "hint" }, told.filter(Boolean).join(" · "))),
      h("button", { type: "button", class: "quiet-button is-danger", "aria-label": texts.removeOf(title, product.item_id), onclick: () => this.act.remove(product) }, texts.removeShort));
  }
}
