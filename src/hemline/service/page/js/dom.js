// Small helpers to build elements. No markup is ever made from text, so nothing needs escaping.

export const $ = (id) => document.getElementById(id);

// h("button", { class: "x", onclick: go, "aria-label": "Go" }, "Go"); null children are left out.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Fills every element that names a text, and leaves those alone that the page fills itself.
export function fillTexts(from) {
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = from[element.dataset.t];
  }
}

export function show(element, seen) {
  element.hidden = !seen;
}

// A product may have lost its picture: then the place stays grey.
// side: the size for a plain screen, 160 or 320; dense ones get larger ones. Without it the picture
// is shown as it is stored.
export function showPicture(img, url, side = 0) {
  img.addEventListener("error", () => img.parentElement?.classList.add("is-empty"));
  if (url && side) img.srcset = [0, 1, 2].map((more) => `${url}?size=${side + 160 * more} ${more + 1}x`).join(", ");
  if (url) img.src = url;
  else img.dispatchEvent(new Event("error"));
}

const SHAPES = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  dots: "M5 12h.01M12 12h.01M19 12h.01",
  move: "M12 4v16M4 12h16M12 4l-2.5 2.5M12 4l2.5 2.5M12 20l-2.5-2.5M12 20l2.5-2.5M4 12l2.5-2.5M4 12l2.5 2.5M20 12l-2.5-2.5M20 12l-2.5 2.5",
};

export function icon(name) {
  const make = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
  const svg = make("svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = make("path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

export function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}

// Calls `act` once things have been quiet for `ms`.
export function settled(act, ms) {
  let timer = 0;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), ms);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
