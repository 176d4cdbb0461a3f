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

// Pictures that nearly have the frame's shape fill it; others are shown whole, on the colour of their
// own edge. The frames take the shape of the first picture.
export function fill(img, first) {
  const ratio = img.naturalWidth / img.naturalHeight;
  if (first) img.closest(".products")?.style.setProperty("--ratio", Math.min(1.1, Math.max(0.66, ratio)).toFixed(3));
  const frame = img.parentElement;
  const shape = frame.clientWidth / frame.clientHeight;
  const fills = Math.min(ratio / shape, shape / ratio) > 0.7;
  frame.classList.toggle("is-whole", !fills);
  if (!fills) frame.style.backgroundColor = edgeColour(img) ?? "";
}

// The average of its outermost pixels; null where the browser doesn't tell, as of an image of another origin.
function edgeColour(img) {
  const side = 8;
  const context = Object.assign(document.createElement("canvas"), { width: side, height: side }).getContext("2d");
  try {
    context.drawImage(img, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    const sum = [0, 0, 0, 0];
    for (let n = 0; n < side * side; n += 1) {
      const [x, y] = [n % side, Math.floor(n / side)];
      if (x > 0 && y > 0 && x < side - 1 && y < side - 1) continue;
      for (let c = 0; c < 3; c += 1) sum[c] += data[4 * n + c];
      sum[3] += 1;
    }
    return `rgb(${sum.slice(0, 3).map((value) => Math.round(value / sum[3])).join(", ")})`;
  } catch {
    return null;
  }
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
