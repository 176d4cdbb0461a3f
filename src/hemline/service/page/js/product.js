// What is said of a product in the page's language, from whatever columns the shop keeps.
import * as item from "./item.js";
import { language, texts } from "./texts.js";

export { amountOf, linkOf, tagsOf } from "./item.js";

export const titleOf = (hit) => item.titleOf(hit, texts.untitled);

// { now, before }: what it costs, and what it did before the sale.
export const priceOf = (hit) => item.priceOf(hit, language);

// "in_stock", "out of stock", "https://schema.org/InStock" → the page's words for it, or the shop's.
export function stockOf(hit) {
  const value = hit.columns?.availability;
  return typeof value === "string" && value.trim() ? stockName(value.trim()) : "";
}

export const stockName = (value) => texts.stock[item.stockOf(value)] ?? value;

const SAID = ["brand", "color", "colour", "size", "material", "pattern", "gender", "age_group", "condition"];

// What the shop says in columns: [name, value] of each, a list's values joined.
export function saidOf(hit) {
  const columns = hit.columns ?? {};
  const text = (value) => (Array.isArray(value) ? value : [value]).filter((one) => ["string", "number"].includes(typeof one)).join(", ").trim();
  return SAID.map((name) => [name, text(columns[name])]).filter(([, value]) => value);
}

// Its description as plain text, without a feed's markup.
export function descriptionOf(hit) {
  const { description, summary } = hit.columns ?? {};
  const text = [description, summary].find((one) => typeof one === "string" && one.trim());
  return text ? new DOMParser().parseFromString(text.slice(0, 5000), "text/html").body.textContent.trim() : "";
}

// Tags, each with how many of `others` (products) have it, too.
export function sharedTags(hit, others) {
  const said = others.map((other) => new Set(item.tagsOf(other.columns).map((tag) => tag.join("="))));
  return item.tagsOf(hit.columns).filter(([, value]) => value !== "none").map(([name, value]) => ({
    name, value, times: said.filter((set) => set.has(`${name}=${value}`)).length,
  }));
}
