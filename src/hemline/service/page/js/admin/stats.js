// Numbers of the catalogue, of recent searches and of what customers said.
import { $, h } from "../dom.js";
import { texts } from "./texts.js";

// The steps of a search, as they come; one that isn't known stands before the total.
const ORDER = ["decode", "detect", "encode", "search", "rerank", "rows", "facets", "total"];

const number = (value, label) => h("div", {}, h("dd", {}, value), h("dt", {}, label));

function shown(value) {
  if (typeof value === "boolean") return value ? texts.yes : texts.no;
  if (Array.isArray(value)) return value.join(", ");
  if (value && typeof value === "object") return Object.entries(value).map(([name, one]) => `${name} ${shown(one)}`).join(", ");
  if (typeof value === "number") return Number.isInteger(value) ? texts.counts(value) : texts.shares(value);
  return String(value);
}

export function showStats({ catalog, searches, recent, feedback, service }) {
  const bytes = (catalog.store_bytes ?? 0) + (catalog.copies_bytes ?? 0);
  const onDisk = bytes ? [number(texts.megabytes(bytes), texts.bytes)] : [];
  $("size").replaceChildren(
    number(texts.counts(catalog.items), texts.items), number(texts.counts(catalog.pictures), texts.pictures),
    number(texts.counts(catalog.revision ?? 0), texts.revision), ...onDisk);
  const more = Object.entries({ ...catalog, ...service }).filter(([name, value]) => value !== null && !["items", "pictures", "revision"].includes(name));
  $("details").replaceChildren(...more.map(([name, value]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, shown(value)))));
  $("judged").replaceChildren(number(texts.counts(feedback.right ?? 0), texts.right), number(texts.counts(feedback.wrong ?? 0), texts.wrong));
  showTimes(searches, recent);
}

function showTimes({ timings_ms: steps = {} }, recent) {
  const times = recent.map((one) => one.timings_ms.total).filter(Number.isFinite).reverse();
  if (!times.length) {
    $("times").replaceChildren(h("p", { class: "hint" }, texts.noSearches));
    return;
  }
  const head = h("tr", {}, h("th", { scope: "col" }, texts.step), h("th", { scope: "col" }, texts.half), h("th", { scope: "col" }, texts.most));
  const at = ([step]) => (ORDER.includes(step) ? ORDER.indexOf(step) : ORDER.length - 1.5);
  const rows = Object.entries(steps).sort((a, b) => at(a) - at(b)).map(([step, { p50, p95 }]) => h("tr", {}, h("th", { scope: "row" }, step), h("td", {}, texts.ms(p50)), h("td", {}, texts.ms(p95))));
  $("times").replaceChildren(chart(times), h("table", {}, h("thead", {}, head), h("tbody", {}, rows)));
}

// A bar for each search; the line is half of them.
function chart(times) {
  const [width, height, gap] = [400, 90, 2];
  const sorted = [...times].sort((a, b) => a - b);
  const [median, slowest] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  const make = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": texts.chart(times.length, Math.round(median), Math.round(slowest)) });
  const wide = Math.min(16, width / times.length);
  times.forEach((time, at) => {
    const tall = Math.max(2, (time / slowest) * (height - 4));
    svg.append(make("rect", { x: width - (times.length - at) * wide, y: height - tall, width: Math.max(1, wide - gap), height: tall, rx: 1.5 }));
  });
  const y = height - (median / slowest) * (height - 4);
  svg.append(make("line", { x1: 0, x2: width, y1: y, y2: y }));
  return h("figure", {}, svg, h("figcaption", { class: "hint" }, texts.chart(times.length, Math.round(median), Math.round(slowest))));
}
