// What is searched, as an address: a link or the back button restores it.
//   ?sample=NAME | ?photo=HASH | ?shared=ID | ?item=ID   &box=x1,y1,x2,y2 | whole   &f.COLUMN=VALUE…   &sort=price | -price   &pages=N

import { base } from "./place.js";

export const PAGE = 24;
const MOST_PAGES = 8;
const SUBJECTS = ["sample", "photo", "shared", "item"];

export const empty = () => ({ sample: "", photo: "", shared: "", item: "", box: null, filters: {}, sort: "", pages: 1 });
export const SORTS = ["price", "-price"];

function boxOf(text) {
  if (text === "whole") return "whole";
  const box = (text ?? "").split(",").map(Number);
  const good = box.length === 4 && box.every(Number.isFinite) && box[2] > box[0] && box[3] > box[1];
  return good ? box : null;
}

export function read(address) {
  const query = new URLSearchParams(address);
  const state = empty();
  for (const name of SUBJECTS) state[name] = query.get(name) ?? "";
  state.box = boxOf(query.get("box"));
  for (const [name, value] of query) {
    if (name.startsWith("f.") && name.length > 2 && value) (state.filters[name.slice(2)] ??= []).push(value);
  }
  state.sort = SORTS.includes(query.get("sort")) ? query.get("sort") : "";
  const pages = Number(query.get("pages"));
  state.pages = Number.isInteger(pages) ? Math.min(MOST_PAGES, Math.max(1, pages)) : 1;
  return state;
}

export function write(state) {
  const query = new URLSearchParams();
  for (const name of SUBJECTS) if (state[name]) query.set(name, state[name]);
  if (state.box) query.set("box", state.box === "whole" ? "whole" : state.box.join(","));
  for (const [name, values] of Object.entries(state.filters)) {
    for (const value of values) query.append(`f.${name}`, value);
  }
  if (state.sort) query.set("sort", state.sort);
  if (state.pages > 1) query.set("pages", state.pages);
  const text = query.toString();
  return text ? `${base}?${text}` : base;
}

export const asks = (state) => SUBJECTS.some((name) => state[name]);
