// The photo with its garments outlined and a crop that mouse, finger and keyboard can change.
import { area, drawn, dragged, grown, inside, rounded, same } from "./boxes.js";
import { h, icon } from "./dom.js";
import { texts, words } from "./texts.js";

const CORNERS = ["nw", "ne", "sw", "se"];
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const A_DRAG = 5;

export class Cropper {
  // onCrop(box | "whole", how, kind): a person changed the crop, by "drag", "key" or "choice" of a
  // garment, whose kind is told.
  // onOpen(): on a phone, where the photo is small beside what was found, a person wants it large.
  // detects: whether the service's bundle finds garments.
  constructor(root, onCrop, onOpen, detects) {
    [this.hint, this.none] = detects ? [texts.cropHelp, texts.noGarments] : [texts.cropOwn, texts.cropOwn];
    this.onCrop = onCrop;
    this.garments = [];
    this.box = null;
    this.dragging = false;
    this.tap = null;
    this.img = h("img", { alt: texts.photoAlt, draggable: "false" });
    this.outlines = h("div", { class: "outlines" });
    this.crop = h("div", { class: "crop", hidden: true });
    // Beside the clipped photo, or a handle at its edge would be cut in half.
    this.handles = h("div", { class: "handles", hidden: true }, CORNERS.map((at) => this.#handle(at)), this.#handle("move"));
    this.open = h("button", { type: "button", class: "enlarge", "aria-label": texts.enlarge, onclick: onOpen, onpointerdown: (event) => event.stopPropagation() });
    this.stage = h("div", { class: "stage" }, h("div", { class: "window" }, this.img, this.outlines, this.crop), this.handles, this.open);
    this.list = h("div", { class: "chips", role: "group", "aria-label": texts.garmentsLabel });
    this.help = h("span", {}, this.hint);
    const help = h("p", { class: "hint", id: "crop-help" }, this.help, h("span", { class: "keys" }, ` ${texts.cropKeys}`));
    root.replaceChildren(this.stage, this.list, help);
    this.stage.addEventListener("pointerdown", (event) => this.#onStage(event));
    this.stage.addEventListener("click", () => this.#tapped());
    this.stage.addEventListener("pointercancel", () => { this.tap = null; });
    this.stage.addEventListener("dragstart", (event) => event.preventDefault());
  }

  show(photo) {
    Object.assign(this, { photo, garments: [], box: null });
    this.img.src = photo.url;
    this.img.width = photo.width;
    this.img.height = photo.height;
    this.#listGarments();
    this.setCrop(null);
  }

  setGarments(found, answered) {
    // Drawn anew only for other garments: a button that has the focus keeps it.
    if (found === this.garments) return;
    this.garments = found;
    this.help.textContent = answered && !found.length ? this.none : this.hint;
    this.#listGarments();
    this.#mark();
  }

  // null: the whole photo.
  setCrop(box) {
    this.box = box ? rounded(box) : null;
    const { width, height } = this.photo;
    for (const part of [this.crop, this.handles]) {
      place(part, this.#whole(), width, height);
      part.hidden = false;
      part.classList.toggle("is-whole", this.box === null);
    }
    this.#show(this.#whole());
    this.#mark();
  }

  // What the small photo shows: the crop, in a square.
  #show([x1, y1, x2, y2]) {
    const { width, height } = this.photo;
    const side = Math.max(x2 - x1, y2 - y1);
    const parts = { w: width / side, h: height / side, x: ((x2 - x1 - side) / 2 + x1) / side, y: ((y2 - y1 - side) / 2 + y1) / side };
    for (const [name, value] of Object.entries(parts)) this.stage.style.setProperty(`--${name}`, value.toFixed(4));
  }

  #whole() {
    return this.box ?? [0, 0, this.photo.width, this.photo.height];
  }

  #listGarments() {
    const { width, height } = this.photo;
    const bySize = this.garments.map((one, at) => [area(one.box), at]).sort((a, b) => b[0] - a[0]);
    this.outlines.replaceChildren(...bySize.map(([, at]) => {
      // The chips below say the same to keyboards and screen readers, in a steady order.
      const outline = h("div", { class: "outline", "data-garment": at });
      place(outline, this.garments[at].box, width, height);
      return outline;
    }));
    const names = new Map();
    const chips = this.garments.map((one, at) => {
      const kind = one.category || one.group;
      const name = texts.kinds[kind] ?? words(kind);
      names.set(name, (names.get(name) ?? 0) + 1);
      const told = names.get(name) > 1 ? `${name} ${names.get(name)}` : name;
      const choose = () => this.#choose(at);
      return h("button", { type: "button", class: "chip", "data-garment": at, "aria-pressed": "false", onclick: choose }, told);
    });
    const whole = h("button", { type: "button", class: "chip", "data-garment": "whole", "aria-pressed": "false", onclick: () => this.#take(null, "choice") }, texts.whole);
    this.list.replaceChildren(...chips, whole);
  }

  #mark() {
    const { width, height } = this.photo;
    for (const element of [...this.list.children, ...this.outlines.children]) {
      const at = element.dataset.garment;
      const chosen = at === "whole" ? this.box === null : this.#is(this.garments[at].box, width, height);
      if (element.localName === "button") element.setAttribute("aria-pressed", String(chosen));
      element.classList.toggle("is-chosen", chosen);
    }
  }

  #is(box, width, height) {
    return same(this.box, grown(box, width, height)) || same(this.box, box);
  }

  #choose(at) {
    const { width, height } = this.photo;
    this.#take(grown(this.garments[at].box, width, height), "choice", this.garments[at].category);
  }

  #take(box, how, kind = "") {
    this.setCrop(box);
    this.onCrop(this.box ?? "whole", how, kind);
  }

  #handle(at) {
    const name = at === "move" ? texts.grip : texts.corner[at];
    const button = h("button", {
      type: "button", class: `handle ${at}`, "aria-label": name, "aria-describedby": "crop-help",
      onkeydown: (event) => this.#onKey(event, at),
      onpointerdown: (event) => {
        event.stopPropagation();
        this.tap = null;
        if (event.button === 0) this.#drag(event, button, at);
      },
    }, at === "move" ? icon("move") : null);
    return button;
  }

  #onKey(event, part) {
    const step = STEPS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const { width, height } = this.photo;
    const far = Math.max(2, Math.round(Math.max(width, height) * (event.shiftKey ? 0.05 : 0.01)));
    this.#take(dragged(this.#whole(), part, step[0] * far, step[1] * far, width, height), "key");
  }

  #at(event) {
    const frame = this.stage.getBoundingClientRect();
    const { width, height } = this.photo;
    return { x: ((event.clientX - frame.left) / frame.width) * width, y: ((event.clientY - frame.top) / frame.height) * height };
  }

  // On the photo itself: a tap takes the smallest garment there; with a mouse, dragging inside the
  // crop moves it and dragging elsewhere draws a new one (a finger scrolls the page).
  #onStage(event) {
    if (event.button !== 0) return;
    const { x, y } = this.#at(event);
    const tap = () => {
      const here = this.garments.map((one, at) => ({ at, box: one.box })).filter((one) => inside(one.box, x, y));
      if (here.length) this.#choose(here.sort((a, b) => area(a.box) - area(b.box))[0].at);
    };
    // Whether a finger taps or scrolls is known at its end: a click, or a pointercancel.
    const finger = event.pointerType === "touch";
    this.tap = finger && !this.dragging ? tap : null;
    if (finger) return;
    event.preventDefault();
    const moves = this.box && inside(this.box, x, y) && area(this.box) < 0.9 * this.photo.width * this.photo.height;
    this.#drag(event, this.stage, moves ? "move" : "draw", tap);
  }

  #tapped() {
    const { tap } = this;
    this.tap = null;
    tap?.();
  }

  // One finger at a time: a second one on the photo takes no part.
  #drag(event, target, part, tap = () => {}) {
    if (this.dragging) return;
    this.dragging = true;
    const { width, height } = this.photo;
    const before = this.#whole();
    const from = this.#at(event);
    let going = false;
    target.setPointerCapture(event.pointerId);
    const move = (next) => {
      if (next.pointerId !== event.pointerId) return;
      if (!going && Math.hypot(next.clientX - event.clientX, next.clientY - event.clientY) < A_DRAG) return;
      going = true;
      const to = this.#at(next);
      const box = part === "draw" ? drawn(from, to, width, height) : dragged(before, part, to.x - from.x, to.y - from.y, width, height);
      if (box) this.setCrop(box);
    };
    const end = (last) => {
      if (last.pointerId !== event.pointerId) return undefined;
      this.dragging = false;
      target.removeEventListener("pointermove", move);
      target.removeEventListener("pointerup", end);
      target.removeEventListener("pointercancel", end);
      if (last.type === "pointercancel") return this.setCrop(same(before, [0, 0, width, height], 0) ? null : before);
      return going ? this.onCrop(this.box ?? "whole", "drag") : tap();
    };
    target.addEventListener("pointermove", move);
    target.addEventListener("pointerup", end);
    target.addEventListener("pointercancel", end);
  }
}

function place(element, [x1, y1, x2, y2], width, height) {
  const share = (value, of) => `${(100 * value) / of}%`;
  Object.assign(element.style, { left: share(x1, width), top: share(y1, height), width: share(x2 - x1, width), height: share(y2 - y1, height) });
}
