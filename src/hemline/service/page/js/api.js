// The service's API: one function for each question, and one kind of error for whatever fails.

import { joined } from "./dom.js";
import { base } from "./place.js";

const KEY = "hemline.key";
const TIMEOUT = 90_000;

// kind: offline, busy, limited, refused, gone, too-big, bad, fault.
export class Problem extends Error {
  constructor(kind, { status = 0, detail = "", id = "", after = 0 } = {}) {
    super(detail || kind);
    Object.assign(this, { kind, status, detail, id, after });
  }
}

const KINDS = { 401: "refused", 403: "refused", 404: "gone", 410: "gone", 413: "too-big", 429: "limited", 502: "offline", 503: "busy", 504: "offline" };

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

async function problem(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // A proxy's answer, or none: the status says enough.
  }
  return new Problem(KINDS[response.status] ?? (response.status >= 500 ? "fault" : "bad"), {
    status: response.status,
    detail: typeof said.detail === "string" ? said.detail : said.title,
    id: said.request_id ?? response.headers.get("x-request-id") ?? "",
    after: Math.min(60, Number(response.headers.get("retry-after")) || 2),
  });
}

// path: without a slash at its beginning.
export async function ask(path, { method = "GET", body, json, signal, keepalive = false } = {}) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), TIMEOUT);
  const options = { method, body, keepalive, headers: headers(), signal: joined(signal, late.signal) };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers = headers({ "Content-Type": "application/json" });
  }
  try {
    const response = await fetch(base + path, options);
    if (!response.ok) throw await problem(response);
    return response.status === 204 ? null : await response.json();
  } catch (error) {
    if (signal?.aborted || error instanceof Problem) throw error;
    throw new Problem("offline");
  } finally {
    clearTimeout(timer);
  }
}

const given = (fields) => Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== "");
const query = (fields) => new URLSearchParams(given(fields));

function form(photo, fields = {}) {
  const data = new FormData();
  data.append("photo", photo.blob, "photo.jpg");
  for (const [name, value] of given(fields)) data.append(name, value);
  return data;
}

const id = encodeURIComponent;

export const info = (signal) => ask("v1/info", { signal });
export const search = (photo, fields, signal) => ask("v1/search", { method: "POST", body: form(photo, fields), signal });
export const detect = (photo, signal) => ask("v1/detect", { method: "POST", body: form(photo), signal });
export const item = (name, signal, why = false) => ask(`v1/items/${id(name)}${why ? "?why=true" : ""}`, { signal });
export const items = (fields) => ask(`v1/items?${query(fields)}`);
export const similar = (name, fields, signal) => ask(`v1/items/${id(name)}/similar?${query(fields)}`, { signal });
export const remove = (name) => ask(`v1/items/${id(name)}`, { method: "DELETE" });
export const feedback = (search_id, item_id, right) => ask("v1/feedback", { method: "POST", json: { search_id, item_id, right }, keepalive: true });
export const facets = (columns, where, signal) => ask(`v1/facets?${query({ columns: columns.join(","), where })}`, { signal });
