// The service's API: one function for each question.

import { base } from "./place.js";
import { form, given, request } from "./request.js";

export { Problem } from "./request.js";

const KEY = "hemline.key";

// A browser may keep it from a page in another site's frame.
function stored() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

export const key = {
  name: KEY,
  get: () => stored()?.getItem(key.name) ?? "",
  set: (value) => (value ? stored()?.setItem(key.name, value) : stored()?.removeItem(key.name)),
};

function headers(more = {}) {
  return key.get() ? { ...more, Authorization: `Bearer ${key.get()}` } : more;
}

// path: without a slash at its beginning.
export function ask(path, { method = "GET", body, json, signal, keepalive = false } = {}) {
  const options = { method, body, keepalive, headers: headers(), signal };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = headers({ "Content-Type": "application/json" });
  }
  return request(base + path, options);
}

const query = (fields) => new URLSearchParams(given(fields));

const id = encodeURIComponent;

export const info = (signal) => ask("v1/info", { signal });
export const search = (photo, fields, signal) => ask("v1/search", { method: "POST", body: form(photo, fields), signal });
export const detect = (photo, signal) => ask("v1/detect", { method: "POST", body: form(photo), signal });
export const share = (photo, fields) => ask("v1/photos", { method: "POST", body: form(photo, fields) });
export const searchShared = (photo, fields, signal) => ask(`v1/photos/${id(photo)}/search?${query(fields)}`, { signal });
export const item = (name, signal, why = false) => ask(`v1/items/${id(name)}${why ? "?why=true" : ""}`, { signal });
export const items = (fields) => ask(`v1/items?${query(fields)}`);
export const similar = (name, fields, signal) => ask(`v1/items/${id(name)}/similar?${query(fields)}`, { signal });
export const remove = (name) => ask(`v1/items/${id(name)}`, { method: "DELETE" });
export const feedback = (search_id, item_id, right) => ask("v1/feedback", { method: "POST", json: { search_id, item_id, right }, keepalive: true });
export const facets = (columns, where, signal) => ask(`v1/facets?${query({ columns: columns.join(","), where })}`, { signal });
