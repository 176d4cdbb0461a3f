// The English words of the shop's own page.
import { texts as shared } from "../texts.js";

const number = new Intl.NumberFormat("en");

export const texts = {
  name: shared.name,
  skip: "Skip to the page",
  role: "The shop's own page",
  title: "Catalogue",
  enterTitle: "A key, please",
  enterHint: "A key of the scope write, as `hemline key create --scope write` gives it. This tab keeps it until it is closed.",
  key: "Key",
  enter: "Open",
  badKey: "This key isn't known, or it may only read.",
  forget: "Forget the key",
  unreachable: "The service does not answer.",
  retry: "Try again",

  sizeTitle: "What is there",
  items: "products",
  pictures: "pictures",
  revision: "revision",
  bytes: "on the disk",
  details: "More about it",
  counts: (n) => number.format(n),
  megabytes: (n) => (n < 1e9 ? `${number.format(Math.round(n / 1e5) / 10)} MB` : `${number.format(Math.round(n / 1e8) / 10)} GB`),
  shares: (n) => n.toFixed(3),
  yes: "yes",
  no: "no",

  timesTitle: "Recent searches",
  noSearches: "Nobody has searched yet.",
  chart: (n, median, slowest) => `${n === 1 ? "The last search" : `The last ${n} searches, the latest on the right`}: half within ${median} ms, the slowest ${slowest} ms.`,
  step: "Step",
  half: "Half within",
  most: "95 % within",
  ms: (n) => `${number.format(n < 10 ? Math.round(n * 10) / 10 : Math.round(n))} ms`,

  addTitle: "Add products",
  addHint: "A feed (CSV, JSON lines or Parquet) with its pictures; or one zip with all of it. Products that are there are changed, none leaves.",
  feed: "Feed",
  folder: "Or a folder of pictures",
  upload: "Add them",
  sending: (share) => `Sending: ${Math.round(share * 100)} %`,
  waiting: "Waiting for its turn…",
  running: (done, total) => (total ? `${number.format(done)} of ${number.format(total)}` : "Working…"),
  done: "Done.",
  failed: (why) => `It failed: ${why}`,
  progress: "Progress",
  refused: "Refused",

  productTitle: "Look at a product",
  productId: "Its number",
  look: "Look it up",
  noProduct: "There is no product of that number.",
  remove: "Delete this product",
  sureTitle: (id) => `Delete ${id}?`,
  sure: "It leaves the catalogue with all its pictures, and is no longer found. This can't be undone.",
  sureYes: "Delete it",
  sureNo: "Keep it",
  removed: (id) => `${id} is deleted.`,
  picture: (n) => `Picture ${n}`,

  checkTitle: "Check",
  checkHint: "Is the catalogue whole, and does it find its own pictures again when they are cut, lit and blurred anew? How well customers' photos are answered it does not show.",
  check: "Begin the check",
  healthy: "The catalogue is whole.",
  unhealthy: "The catalogue needs repair:",
  recall: (k) => `found among the first ${k}`,
  interval: (low, high) => `95 %: ${low.toFixed(3)}–${high.toFixed(3)}`,
  queries: (n) => `${number.format(n)} pictures searched with`,

  judgedTitle: "What customers said",
  right: "right",
  wrong: "wrong",
};

// The words of a form's label, beside those of the numbers.
export const labels = { ...texts, pictures: "Pictures, or zips of them" };
