// From the chosen filters to a condition of the service (`category in ('a','b') and price >= 5`).
// filters: { column: [values] }; a column `tags.NAME` holds values of that tag; `price` and `sale_price`
// hold one text "low..high", either of which may be missing.

const NUMBER = /^-?\d+(\.\d+)?$/;

export const quoted = (value) => `'${String(value).replaceAll("'", "''")}'`;

// Column names come from the address: whatever isn't a plain name is no column.
const isName = (name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);

export function range(text) {
  const [low, high] = String(text).split("..");
  const number = (part) => (NUMBER.test(part ?? "") ? Number(part) : null);
  return { low: number(low), high: number(high) };
}

function one(name, values) {
  if (name === "price" || name === "sale_price") {
    const { low, high } = range(values[0]);
    return [low === null ? null : `${name} >= ${low}`, high === null ? null : `${name} <= ${high}`]
      .filter(Boolean)
      .join(" and ");
  }
  if (name.startsWith("tags.")) {
    const tag = name.slice(5);
    const parts = values.map((value) => `${quoted(`${tag}=${value}`)} in tags`);
    return parts.length > 1 ? `(${parts.join(" or ")})` : parts[0];
  }
  if (!isName(name)) return "";
  const parts = values.map((value) => `${name} = ${quoted(value)}`);
  return parts.length > 1 ? `(${parts.join(" or ")})` : parts[0];
}

export function where(filters, without = null) {
  return Object.entries(filters)
    .filter(([name, values]) => name !== without && values.length)
    .map(([name, values]) => one(name, values))
    .filter(Boolean)
    .join(" and ");
}
