// What is said of a product: its title, price, and tags, from whatever columns the shop keeps.
import { money, texts, words } from "./texts.js";

// "colour=dark-red" → ["colour", "dark-red"]; a bare word is a `tag`.
export function tagsOf(columns) {
  const tags = Array.isArray(columns?.tags) ? columns.tags : [];
  return tags.map((tag) => {
    const at = String(tag).indexOf("=");
    return at > 0 ? [tag.slice(0, at), tag.slice(at + 1)] : ["tag", String(tag)];
  });
}

export function titleOf(hit) {
  const columns = hit.columns ?? {};
  for (const name of ["title", "name"]) if (columns[name]) return String(columns[name]);
  const tags = Object.fromEntries(tagsOf(columns).reverse());
  const kind = columns.category || tags.category;
  if (!kind) return `${texts.untitled} ${hit.item_id}`;
  const parts = [tags.color ?? tags.colour, tags.pattern === "plain" ? null : tags.pattern, kind];
  return words(parts.filter(Boolean).map((part) => words(part).toLowerCase()).join(" "));
}

export function priceOf(hit) {
  return money(hit.columns?.price, hit.columns?.currency);
}

// Only a web address; anything else in that column is no link.
export function linkOf(hit) {
  try {
    const link = new URL(hit.columns?.url);
    return ["https:", "http:"].includes(link.protocol) ? link.href : null;
  } catch {
    return null;
  }
}

// Tags, each with how many of `others` (products) have it, too.
export function sharedTags(hit, others) {
  const said = others.map((other) => new Set(tagsOf(other.columns).map((tag) => tag.join("="))));
  return tagsOf(hit.columns).filter(([, value]) => value !== "none").map(([name, value]) => ({
    name, value, times: said.filter((set) => set.has(`${name}=${value}`)).length,
  }));
}
