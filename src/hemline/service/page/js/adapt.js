// From the service's answers to what the page works with.
import { base } from "./place.js";
import { words } from "./texts.js";

// Found so that nothing takes them for clothes; a search seldom means them, so they come last.
const NO_CLOTHES = ["footwear", "bag"];

// facets: column → { values: [[value, count] …], low, high }; → { values: [{ value, count }] … }.
export function facetsOf(raw) {
  const one = (facet) => ({
    ...facet,
    values: (facet?.values ?? []).map((pair) => (Array.isArray(pair) ? { value: pair[0], count: pair[1] } : pair)),
  });
  return Object.fromEntries(Object.entries(raw ?? {}).map(([name, facet]) => [name, one(facet)]));
}

// Photos to start with, where the shop names none of its own: drawn, see docs/draw_samples.py.
const OWN = ["red-hoodie", "pink-coat", "orange-skirt", "green-cardigan", "yellow-trousers", "lilac-dress"];
const SAMPLES = OWN.map((name) => ({ name, photo: `${base}static/samples/${name}.jpg` }));

export function infoOf({ bundle = {}, catalog = {}, detector, limits = {}, samples = [], page = {}, keeps_photos: keeps = 0 }) {
  return {
    items: catalog.items,
    columns: [...(catalog.columns ?? []), ...(catalog.tags ?? []).map((name) => `tags.${name}`)],
    detects: Boolean(detector),
    heats: Boolean(bundle.grid),
    samples: (samples.length ? samples : SAMPLES).map(({ name, photo }) => ({ name: words(name), url: photo })),
    keeps,
    most: limits.max_k ?? 200,
    judging: page.judging ?? true,
    links: page.photo_links ?? false,
  };
}

// The service answers in pixels of the photo as it saw it; the page's photo may be of other size.
export function fitted(answer, photo) {
  const [width, height] = answer.size ?? [photo.width, photo.height];
  const [across, down] = [photo.width / width, photo.height / height];
  const scaled = (box) => (box && (across !== 1 || down !== 1) ? [box[0] * across, box[1] * down, box[2] * across, box[3] * down] : box);
  const rest = (one) => Number(NO_CLOTHES.includes(one.group));
  const detections = (answer.detections ?? []).map((one) => ({ ...one, box: scaled(one.box) })).sort((a, b) => rest(a) - rest(b));
  return { ...answer, detections, box: scaled(answer.box ?? null) };
}

// Each hit with the search that found it: feedback names both.
export function named(answer) {
  return { ...answer, hits: answer.hits.map((hit) => ({ ...hit, search_id: answer.search_id ?? null })) };
}

// A product of /v1/items/ID as a hit is: one picture, and its columns.
export function productOf(id, raw) {
  const [first = {}] = raw.pictures ?? [];
  const columns = { category: raw.category, tags: raw.tags, ...raw.columns };
  return { item_id: id, columns, picture: raw.picture ?? first.picture ?? null, pictures: raw.pictures ?? [] };
}
