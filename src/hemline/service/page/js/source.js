// Where a search's photo or item comes from: this page's memory, the browser, a sample, the shop.
import { productOf } from "./adapt.js";
import { item as askItem, Problem } from "./api.js";
import { keep, kept } from "./keep.js";
import { ready } from "./photo.js";
import { base } from "./place.js";

export class Lost extends Error {
  constructor(kind) {
    super(kind);
    this.kind = kind;
  }
}

export class Sources {
  constructor() {
    this.photos = new Map();
    this.samples = [];
  }

  async add(photo) {
    this.photos.set(photo.hash, photo);
    await keep(photo);
    return photo;
  }

  // The photo of a state; `name` of a sample; raises Lost where it can't be had here.
  async photo(state, signal) {
    if (state.photo) {
      const here = this.photos.get(state.photo);
      if (here) return here;
      const blob = await kept(state.photo);
      if (!blob) throw new Lost("photo");
      const photo = { ...(await readable(blob, "photo")), hash: state.photo };
      this.photos.set(photo.hash, photo);
      return photo;
    }
    if (state.shared) return this.#shared(state.shared, signal);
    const at = `sample ${state.sample}`;
    if (this.photos.has(at)) return this.photos.get(at);
    const sample = this.samples.find((one) => slug(one.name) === state.sample);
    if (!sample) throw new Lost("sample");
    const photo = { ...(await readable(await fetched(sample.url, signal), "sample")), sample: sample.name };
    this.photos.set(at, photo);
    return photo;
  }

  // Somebody's photo, which the service keeps for a day.
  async #shared(id, signal) {
    const at = `shared ${id}`;
    if (!this.photos.has(at)) {
      const blob = await fetched(`${base}v1/photos/${encodeURIComponent(id)}`, signal, "shared");
      this.photos.set(at, { ...(await readable(blob, "shared")), shared: id });
    }
    return this.photos.get(at);
  }

  async item(id, signal) {
    try {
      return productOf(id, await askItem(id, signal));
    } catch (error) {
      if (error.kind === "gone") throw new Lost("item");
      throw error;
    }
  }
}

async function readable(blob, kind) {
  try {
    return await ready(blob);
  } catch {
    throw new Lost(kind);
  }
}

async function fetched(url, signal, kind = "sample") {
  try {
    const response = await fetch(url, { signal });
    if (!response.ok) throw new Lost(kind);
    return await response.blob();
  } catch (error) {
    throw error instanceof Lost || signal?.aborted ? error : new Problem("offline");
  }
}

export const slug = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
