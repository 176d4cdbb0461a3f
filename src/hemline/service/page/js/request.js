// One request to a service, and one kind of error for whatever fails; the page and the widget share
// it.

// kind: offline, busy, limited, refused, gone, too-big, bad, fault.
export class Problem extends Error {
  constructor(kind, { status = 0, detail = "", id = "", after = 0 } = {}) {
    super(detail || kind);
    Object.assign(this, { kind, status, detail, id, after });
  }
}

const TIMEOUT = 90_000;
const KINDS = { 401: "refused", 403: "refused", 404: "gone", 410: "gone", 413: "too-big", 429: "limited", 502: "offline", 503: "busy", 504: "offline" };

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

// One signal for several: AbortSignal.any, which not every phone has yet.
export function joined(...signals) {
  const both = new AbortController();
  for (const signal of signals.filter(Boolean)) {
    if (signal.aborted) both.abort(signal.reason);
    else signal.addEventListener("abort", () => both.abort(signal.reason), { once: true });
  }
  return both.signal;
}

// options: of fetch; the answer's JSON.
export async function request(address, { signal, ...options } = {}) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), TIMEOUT);
  try {
    const response = await fetch(address, { ...options, signal: joined(signal, late.signal) });
    if (!response.ok) throw await problem(response);
    return response.status === 204 ? null : await response.json();
  } catch (error) {
    if (signal?.aborted || error instanceof Problem) throw error;
    throw new Problem("offline");
  } finally {
    clearTimeout(timer);
  }
}

// Fields without a value are left out.
export const given = (fields) => Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== "");

export function form(photo, fields = {}) {
  const data = new FormData();
  data.append("photo", photo.blob, "photo.jpg");
  for (const [name, value] of given(fields)) data.append(name, value);
  return data;
}
