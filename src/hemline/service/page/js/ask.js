// From a state to an answer: the search itself, its filters' counts, its next page.
import { facetsOf, fitted, named } from "./adapt.js";
import * as api from "./api.js";
import { consent } from "./consent.js";
import { facetColumns } from "./filters.js";
import { Lost } from "./source.js";
import { PAGE } from "./state.js";
import { where } from "./where.js";

// A filter's own counts leave its own choice out, or its other values could never be chosen.
async function counted(answer, filters, columns, signal) {
  const facets = facetsOf(answer.facets);
  await Promise.all(Object.keys(filters).map(async (name) => {
    try {
      const own = facetsOf((await api.facets([name], where(filters, name), signal)).facets);
      if (own[name]) facets[name] = own[name];
    } catch {
      // Then the counts of the answer stay, which only miss the other values.
    }
  }));
  return { ...answer, facets: Object.fromEntries(columns.filter((name) => facets[name]).map((name) => [name, facets[name]])) };
}

// A shared photo as it is: the service has its encoding, and nothing is sent.
const isShared = (state, photo) => Boolean(photo.shared) && state.box === "whole";

async function searchShared(photo, fields, signal) {
  try {
    return await api.searchShared(photo.shared, { ...fields, why: true }, signal);
  } catch (error) {
    if (error.kind === "gone") throw new Lost("shared");
    throw error;
  }
}

// A whole photo is searched with its garments, too, where the bundle finds them.
export const everyOf = (info, whole) => (info.detects && whole) || null;

export async function searchPhoto(state, photo, info, signal) {
  const columns = facetColumns(info.columns);
  const detect = info.detects && !state.box;
  const page = { k: Math.min(info.most, PAGE * state.pages), where: where(state.filters), facets: columns.join(",") };
  const box = Array.isArray(state.box) ? state.box.join(",") : null;
  const answer = isShared(state, photo)
    ? await searchShared(photo, page, signal)
    : await api.search(photo, { ...page, box, detect, every: everyOf(info, state.box === "whole"), why: true, keep: consent() && !photo.shared }, signal);
  return { ...(await counted(fitted(named(answer), photo), state.filters, columns, signal)), detected: detect };
}

export async function searchItem(state, info, signal) {
  const columns = facetColumns(info.columns);
  const answer = await api.similar(state.item, {
    k: Math.min(info.most, PAGE * state.pages), where: where(state.filters), facets: columns.join(","),
  }, signal);
  return counted(named(answer), state.filters, columns, signal);
}

// The next page of an answer: a photo's by the very box of its first page.
export async function nextPage(state, photo, answer, info, signal) {
  const page = { k: PAGE, offset: answer.hits.length, where: where(state.filters) };
  if (!photo) return named(await api.similar(state.item, page, signal));
  if (isShared(state, photo)) return fitted(named(await searchShared(photo, page, signal)), photo);
  const box = answer.box ? answer.box.join(",") : null;
  return fitted(named(await api.search(photo, { ...page, box, detect: false, every: everyOf(info, !box), why: true, keep: consent() && !photo.shared }, signal)), photo);
}

export async function detectPhoto(photo, signal) {
  return fitted(await api.detect(photo, signal), photo).detections;
}
