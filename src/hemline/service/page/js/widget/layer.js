// The widget's layer: a photo, the garments in it, and the products that look like one of them.
import { area, grown, inside, same } from "../boxes.js";
import { fill, h, showPicture } from "../dom.js";
import { linkOf, priceOf, soldOut, titleOf, words } from "../item.js";
import { prepare } from "../photo.js";
import { form, Problem, request } from "../request.js";
import { spoken } from "../speech.js";
import { STYLE } from "./style.js";

const PAGE = 12;
// Sides of the photo's preview, in pixels.
const WIDE = 480;
// Kinds of problems, of files and of requests, and their texts.
const FILES = { bad: "badFile", none: "badFile", big: "tooBig", "too-big": "tooBig", small: "tooSmall" };
const REQUESTS = ["offline", "busy", "limited", "refused"];

// The texts of a language, or of English where the service has no such; "de-AT" has those of "de".
// own: address of a file of the shop's, whose texts take the place of English ones.
async function textsOf(base, language, own) {
  try {
    const name = own ? "en" : language.split("-")[0].toLowerCase();
    const texts = await request(`${base}static/texts/widget/${name}.json`);
    if (own) Object.assign(texts, await request(new URL(own, document.baseURI)));
    return { language, texts: spoken(texts, language) };
  } catch (error) {
    if (error.kind !== "gone" || language === "en") throw error;
    return textsOf(base, "en");
  }
}

// Garments with the margin that the service crops by; a search seldom means shoes and bags.
function partsOf(detections, { width, height }, kinds) {
  const rest = (one) => Number(["footwear", "bag"].includes(one.group));
  const sorted = [...detections].sort((one, other) => rest(one) - rest(other));
  return sorted.map((one) => ({ name: kinds[one.category] ?? words(one.category), box: grown(one.box, width, height) }));
}

// root: the shadow tree; options: base, lang, theme, columns, limit.
export async function makeLayer(root, options) {
  const said = await textsOf(options.base, options.lang, options.texts);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  return new Layer(root, { ...options, ...said });
}

class Layer {
  constructor(root, { base, language, texts, theme, columns = "", limit }) {
    Object.assign(this, { base, language, texts });
    this.columns = columns.split(",").map((name) => name.trim()).filter(Boolean);
    this.size = Math.min(60, Math.max(1, Math.round(limit) || PAGE));
    this.found = { photo: null, hits: [], parts: [], box: null };
    this.chips = [];
    this.build(theme);
    root.append(this.dialog);
  }

  build(theme) {
    const { texts } = this;
    const button = (text, onclick, kind = "quiet") => h("button", { type: "button", class: kind, onclick }, text);
    const input = (more) => h("input", { type: "file", accept: "image/*", hidden: true, onchange: () => this.take(), ...more });
    this.files = [input({ capture: "environment" }), input()];
    const [camera, file] = this.files;
    this.title = h("h2", { id: "title", tabindex: "-1" }, texts.title);
    this.start = button(texts.choose, () => file.click(), "main");
    this.canvas = h("canvas", { role: "img", "aria-label": texts.photo, hidden: true, onclick: (event) => this.tap(event) });
    this.garments = h("div", { class: "garments", role: "group", "aria-label": texts.garments });
    this.status = h("p", { class: "status", role: "status", "aria-live": "polite" });
    this.wrong = h("div", { class: "wrong", role: "alert" });
    this.list = h("ul", { class: "products" });
    this.more = button(texts.more, () => this.next());
    this.more.hidden = true;
    this.dialog = h("dialog", { class: "layer", lang: this.language, "aria-labelledby": "title" },
      h("div", { class: "head" }, this.title, h("button", { type: "button", class: "close", "aria-label": texts.close, onclick: () => this.dialog.close() }, "✕")),
      h("div", { class: "body" },
        this.asked = h("div", { class: "asked" }, this.canvas, h("div", { class: "choices" }, h("p", { class: "lead" }, texts.lead), h("p", { class: "buttons" },
          h("button", { type: "button", class: "main camera", onclick: () => camera.click() }, texts.take), this.start), this.garments, h("p", { class: "small" }, texts.privacy))),
        this.wrong, this.status, this.list, h("p", { class: "center" }, this.more)),
      ...this.files);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const paint = () => this.dialog.classList.toggle("is-dark", theme === "dark" || (theme === "auto" && dark.matches));
    dark.addEventListener("change", paint);
    paint();
    this.dialog.addEventListener("close", () => {
      this.stop?.abort();
      this.dialog.getRootNode().querySelector(".open")?.focus();
    });
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    for (const kind of ["dragover", "drop"]) {
      this.dialog.addEventListener(kind, (event) => {
        event.preventDefault();
        if (kind === "drop" && event.dataTransfer.files[0]) this.look(event.dataTransfer.files[0]);
      });
    }
  }

  open() {
    if (!this.dialog.open) this.dialog.showModal();
    this.title.focus();
  }

  take() {
    const [file] = this.files.flatMap((input) => [...input.files]);
    for (const input of this.files) input.value = "";
    if (file) this.look(file);
  }

  // A new photo: its garments, and the products for the first of them.
  async look(file) {
    await this.ask(async (signal) => {
      const photo = await prepare(file);
      this.info ??= await request(`${this.base}v1/info`, { signal, credentials: "omit" });
      URL.revokeObjectURL(photo.url);
      const answer = await this.search(photo, { detect: this.info.detector || null }, signal);
      this.bitmap?.close();
      this.bitmap = await createImageBitmap(photo.blob);
      this.asked.classList.add("has-photo");
      this.start.textContent = this.texts.another;
      this.garments.replaceChildren();
      this.chips = [];
      this.show({ ...answer, photo, parts: partsOf(answer.detections, photo, this.texts.kinds) });
    });
  }

  // Another part of the photo; null is all of it.
  choose(box) {
    const { photo, parts } = this.found;
    return this.ask(async (signal) => this.show({ ...await this.search(photo, { box }, signal), photo, parts, box }));
  }

  next() {
    const { photo, hits, box } = this.found;
    return this.ask(async (signal) => {
      const answer = await this.search(photo, { box, offset: hits.length }, signal);
      const first = this.list.children.length;
      this.add({ ...this.found, hits: [...hits, ...answer.hits], more: answer.more }, answer.hits);
      (this.list.children[first]?.querySelector("a") ?? this.title).focus();
    });
  }

  search(photo, { box, ...fields }, signal) {
    const body = form(photo, { keep: false, k: this.size, box: box?.map(Math.round).join(","), ...fields });
    return request(`${this.base}v1/search`, { method: "POST", body, signal, credentials: "omit" });
  }

  // Runs one question; a newer one, or closing the layer, ends it. What fails is told, with a way on.
  async ask(act) {
    this.stop?.abort();
    const stop = this.stop = new AbortController();
    this.wrong.replaceChildren();
    this.status.textContent = this.texts.working;
    this.list.setAttribute("aria-busy", "true");
    try {
      await act(stop.signal);
    } catch (error) {
      if (stop.signal.aborted) {
        if (this.stop === stop) this.status.textContent = "";
        return;
      }
      const file = error instanceof Problem && error.kind === "bad" ? null : FILES[error.kind];
      const text = this.texts[file ?? (REQUESTS.includes(error.kind) ? error.kind : "fault")];
      this.status.textContent = "";
      this.wrong.replaceChildren(h("p", {}, text), file ? "" : h("button", { type: "button", class: "quiet", onclick: () => this.ask(act) }, this.texts.retry));
    } finally {
      if (this.stop === stop) this.list.setAttribute("aria-busy", "false");
    }
  }

  show(found) {
    this.list.replaceChildren();
    this.add(found, found.hits);
    this.draw();
    if (!this.garments.children.length && found.parts.length) {
      this.chips = [...found.parts, { name: this.texts.whole, box: null }].map(({ name, box }) => {
        const chip = h("button", { type: "button", class: "chip", onclick: () => this.choose(box) }, name);
        return { chip, box };
      });
      this.garments.replaceChildren(...this.chips.map(({ chip }) => chip));
    }
    for (const { chip, box } of this.chips) chip.setAttribute("aria-pressed", String(box ? same(box, found.box) : !found.box));
  }

  add(found, hits) {
    this.found = found;
    for (const hit of hits) this.list.append(this.card(hit));
    this.more.hidden = !found.more;
    this.status.textContent = found.hits.length ? this.texts.found({ n: found.hits.length }) : this.texts.none;
  }

  card(hit) {
    const first = !this.list.children.length;
    const img = h("img", { alt: "", loading: first ? "eager" : "lazy", fetchpriority: first ? "high" : null, decoding: "async" });
    img.addEventListener("load", () => fill(img, first));
    showPicture(img, hit.picture && new URL(hit.picture, this.base).href, 320);
    const [title, link] = [titleOf(hit, this.texts.untitled), linkOf(hit)];
    const { now, before } = priceOf(hit, this.language);
    const told = this.columns.map((name) => hit.columns?.[name]).filter((value) => value !== null && value !== undefined && value !== "");
    return h("li", { class: soldOut(hit) ? "product is-sold-out" : "product" },
      h("div", { class: "frame" }, img, soldOut(hit) ? h("span", { class: "badge" }, this.texts.soldOut) : null),
      h("h3", {}, link ? h("a", { href: link }, title) : title),
      now ? h("p", { class: "price" }, now, before ? h("s", {}, h("span", { class: "unseen" }, this.texts.before), before) : null) : null,
      told.length ? h("p", { class: "small" }, told.join(" · ")) : null);
  }

  // The photo and its garments' outlines, on a canvas: an image would need `blob:` in the page's policy.
  draw() {
    const { photo, parts, box } = this.found;
    const scale = Math.min(1, WIDE / Math.max(photo.width, photo.height));
    Object.assign(this.canvas, { width: Math.round(photo.width * scale), height: Math.round(photo.height * scale), hidden: false });
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    context.drawImage(this.bitmap, 0, 0, photo.width, photo.height);
    for (const [colour, width] of [["#000", 3], ["#fff", 1.5]]) {
      for (const part of parts) {
        const [x1, y1, x2, y2] = part.box;
        context.lineWidth = (same(part.box, box) ? 2 * width : width) / scale;
        context.strokeStyle = colour;
        context.strokeRect(x1, y1, x2 - x1, y2 - y1);
      }
    }
  }

  // The smallest garment under a tap on the photo.
  tap({ offsetX, offsetY }) {
    const { photo, parts } = this.found;
    const scale = photo.width / this.canvas.clientWidth;
    const under = parts.filter(({ box }) => inside(box, offsetX * scale, offsetY * scale));
    const [part] = under.sort((one, other) => area(one.box) - area(other.box));
    if (part) this.choose(part.box);
  }
}
