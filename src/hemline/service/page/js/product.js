// What is said of a product in the page's language, from whatever columns the shop keeps.
import * as item from "./item.js";
import { money, texts } from "./texts.js";

export { linkOf, tagsOf } from "./item.js";

export const titleOf = (hit) => item.titleOf(hit, texts.untitled);

export function priceOf(hit) {
  return money(hit.columns?.price, hit.columns?.currency);
}

// Tags, each with how many of `others` (products) have it, too.
export function sharedTags(hit, others) {
  const said = others.map((other) => new Set(item.tagsOf(other.columns).map((tag) => tag.join("="))));
  return item.tagsOf(hit.columns).filter(([, value]) => value !== "none").map(([name, value]) => ({
    name, value, times: said.filter((set) => set.has(`${name}=${value}`)).length,
  }));
}
