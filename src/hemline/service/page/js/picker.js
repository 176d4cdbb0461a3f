// The ways to give a photo: choose, take, drop, paste, or one of the samples.
import { $, h, show } from "./dom.js";
import { pictureOf, prepare } from "./photo.js";
import { slug } from "./source.js";
import { texts } from "./texts.js";

const WORDS = {
  bad: (error) => texts.badFile({ name: error.file || texts.thisFile }),
  big: () => texts.tooBig,
  small: () => texts.tooSmall,
  none: () => texts.noPicture,
};

// onPhoto(photo), onSample(slug), onWrong(words): what a person gave.
export class Picker {
  constructor(onPhoto, onSample, onWrong) {
    Object.assign(this, { onPhoto, onSample, onWrong });
    $("choose").addEventListener("click", () => $("file").click());
    $("take").addEventListener("click", () => $("camera").click());
    for (const input of [$("file"), $("camera")]) {
      input.addEventListener("change", () => {
        const [file] = input.files;
        // So that the same file can be chosen again.
        input.value = "";
        if (file) this.#take(file);
      });
    }
    this.#drops();
    document.addEventListener("paste", (event) => {
      if (event.target.closest?.("input, textarea")) return;
      const file = pictureOf(event.clipboardData);
      if (file) this.#take(file);
    });
    // Without a finger there is rarely a camera worth taking a photo with.
    show($("take"), matchMedia("(pointer: coarse)").matches);
  }

  #drops() {
    let depth = 0;
    const mark = (on) => document.body.classList.toggle("is-dropping", on);
    document.addEventListener("dragenter", () => mark((depth += 1) > 0));
    document.addEventListener("dragleave", () => mark((depth -= 1) > 0));
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      mark(false);
      const file = pictureOf(event.dataTransfer);
      if (file) this.#take(file);
      else this.onWrong(texts.noPicture);
    });
  }

  async #take(file) {
    try {
      this.onPhoto(await prepare(file));
    } catch (error) {
      this.onWrong((WORDS[error.kind] ?? (() => texts.badFile({ name: file.name || texts.thisFile })))(error));
    }
  }

  showSamples(samples) {
    $("sample-list").replaceChildren(...samples.map(({ name, url }) => {
      const img = h("img", { alt: "", width: "160", height: "160", decoding: "async", loading: "lazy" });
      img.src = url;
      return h("li", {}, h("button", { type: "button", "aria-label": texts.sample({ name }), onclick: () => this.onSample(slug(name)) }, img));
    }));
    show($("samples"), samples.length > 0);
  }
}
