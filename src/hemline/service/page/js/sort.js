// The order in which hits are shown: by price only within what is alike, sold-out ones last there.
import { amountOf, stockOf } from "./item.js";
import { PAGE } from "./state.js";

const GONE = ["outofstock", "soldout"];
const CLASSES = ["same", "similar", "different"];

export const isGone = (hit) => GONE.includes(stockOf(hit.columns?.availability ?? ""));

// Hits of one page and of one word for how alike they are. Without such words a page of the best is
// what is alike: a whole catalogue by price would begin with its cheapest socks.
const kin = (hit) => [Math.floor((hit.rank - 1) / PAGE), CLASSES.indexOf(hit.alike)];

// sort: "", "price" or "-price"; products without a price come after those with one.
export function sorted(hits, sort) {
  if (!sort) return hits;
  const sign = sort === "-price" ? -1 : 1;
  const place = (hit) => {
    const amount = amountOf(hit);
    return [...kin(hit), Number(isGone(hit)), Number(amount === null), sign * (amount ?? 0), hit.rank];
  };
  const order = (a, b) => {
    const at = a.findIndex((value, n) => value !== b[n]);
    return at < 0 ? 0 : a[at] - b[at];
  };
  return hits.map((hit) => [place(hit), hit]).sort(([a], [b]) => order(a, b)).map(([, hit]) => hit);
}
