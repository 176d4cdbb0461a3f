// What is said of a product, in any language; the page and the widget share it.

// "t-shirt" → "T-shirt", "denim-blue" → "Denim blue".
export function words(value) {
  const text = String(value).replaceAll("_", " ").replace(/-(?!shirt)/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function money(price, currency, language) {
  if (!isAmount(price)) return "";
  const value = Number(price);
  if (/^[A-Za-z]{3}$/.test(currency ?? "")) {
    return new Intl.NumberFormat(language, { style: "currency", currency: currency.toUpperCase() }).format(value);
  }
  return new Intl.NumberFormat(language, { minimumFractionDigits: value % 1 ? 2 : 0, maximumFractionDigits: 2 }).format(value);
}

// "colour=dark-red" → ["colour", "dark-red"]; a bare word is a `tag`.
export function tagsOf(columns) {
  const tags = Array.isArray(columns?.tags) ? columns.tags : [];
  return tags.map((tag) => {
    const at = String(tag).indexOf("=");
    return at > 0 ? [tag.slice(0, at), tag.slice(at + 1)] : ["tag", String(tag)];
  });
}

// untitled: names a product of which only the id is known.
export function titleOf(hit, untitled) {
  const columns = hit.columns ?? {};
  for (const name of ["title", "name"]) if (columns[name]) return String(columns[name]);
  const tags = Object.fromEntries(tagsOf(columns).reverse());
  const kind = columns.category || tags.category;
  if (!kind) return untitled({ id: hit.item_id });
  const parts = [tags.color ?? tags.colour, tags.pattern === "plain" ? null : tags.pattern, kind];
  return words(parts.filter(Boolean).map((part) => words(part).toLowerCase()).join(" "));
}

// By Google's `availability`, in its spelling or a shop's: "out_of_stock", "Sold out".
export const soldOut = (hit) => /^(out.?of.?stock|sold.?out)$/i.test(String(hit.columns?.availability ?? "").trim().replace(/^.*\//, ""));

// { now, before }: what it costs, and what it did before the sale.
export function priceOf(hit, language) {
  const { price, sale_price: sale, currency } = hit.columns ?? {};
  const now = money(price, currency, language);
  return isReduced(hit) ? { now: money(sale, currency, language), before: now } : { now, before: "" };
}

function isReduced({ columns = {} }) {
  const { price, sale_price: sale, sale_price_effective_date: dates } = columns;
  return isAmount(sale) && isOn(dates) && !(isAmount(price) && Number(sale) >= Number(price));
}

const isAmount = (value) => value !== null && value !== undefined && value !== "" && Number.isFinite(Number(value));

// What it costs as a number, or null.
export function amountOf(hit) {
  const value = isReduced(hit) ? hit.columns.sale_price : hit.columns?.price;
  return isAmount(value) ? Number(value) : null;
}

// Whether a sale is on, by Google's "2026-11-27T08:00+0100/2026-11-30T23:59+0100".
function isOn(dates) {
  const [from, to] = String(dates ?? "").split("/").map((text) => Date.parse(text.trim().replace(/([+-]\d\d)(\d\d)$/, "$1:$2")));
  return !(from > Date.now()) && !(to < Date.now());
}

// Only a web address; anything else in these columns is no link.
export function linkOf(hit) {
  const phone = matchMedia("(max-width: 40rem)").matches;
  const names = ["url", "link", "product_url", "mobile_link"];
  for (const name of phone ? ["mobile_link", ...names] : names) {
    try {
      const link = new URL(hit.columns?.[name]);
      if (["https:", "http:"].includes(link.protocol)) return link.href;
    } catch {
      // The next column.
    }
  }
  return null;
}

// "in_stock", "out of stock", "https://schema.org/InStock" → "instock", "outofstock", …
export const stockOf = (value) => String(value).toLowerCase().replace(/^.*\//, "").replace(/[\s_-]/g, "");
