// Every English word of the two pages: to translate them, translate this file.

const number = new Intl.NumberFormat("en");
const count = (n, one, many) => `${number.format(n)} ${n === 1 ? one : many}`;

export const language = "en";

export const texts = {
  name: "hemline",
  title: "Find it in the shop",
  skip: "Skip to the products",
  facts: (items) => `${count(items, "product", "products")} to look through`,
  another: "Another photo",
  startTitle: "Seen something you like?",
  startLead: "Show us a photo of it: worn in the street, in a mirror, on a friend. We look for it in the shop, or for what comes closest.",
  choose: "Choose a photo",
  take: "Take a photo",
  dropHint: "Or drop a photo here, or paste one.",
  samplesTitle: "No photo at hand? Try one of these",
  sample: (name) => `Search with the sample photo: ${name}`,
  privacy: "Your photo is used for this search only. It is made smaller and stripped of place and device before it is sent, and this browser alone keeps a copy, so that the back button and links work here.",
  footer: "Pictures found by how they look. Prices and stock are the shop's own.",

  askedPhoto: "Your photo",
  askedSample: "Sample photo",
  askedItem: "You are looking at",
  photoAlt: "The photo that is searched with",
  garmentsLabel: "Garments found in the photo",
  garment: (name) => name,
  whole: "Whole photo",
  cropHelp: "Tap a garment, or drag the corners around it.",
  cropKeys: " With a keyboard: go to a corner and press the arrow keys; with Shift for larger steps.",
  corner: { nw: "Top left corner of the crop", ne: "Top right corner of the crop", sw: "Bottom left corner of the crop", se: "Bottom right corner of the crop" },
  grip: "Move the crop",
  cropSaid: (w, h) => `Crop of ${w} by ${h} pixels`,
  noGarments: "No garment was found. Drag the corners around what you are looking for.",

  foundTitle: "What we found",
  similarTitle: "More like this",
  found: (n, more) => (more ? `The ${number.format(n)} best` : count(n, "product", "products")),
  foundSaid: (n, more, best) => `${count(n, "product", "products")} shown${more ? ", and there are more" : ""}. The first: ${best}.`,
  more: "Show more",
  none: "Nothing here looks like it.",
  noneFiltered: "No product meets these filters.",
  notHere: "This one is perhaps not in this shop. These come closest.",
  alike: { same: "The same", similar: "Similar", different: "Less alike" },
  untitled: "Product",
  open: (title) => `${title}: why it was found`,
  why: "Why?",
  whyOf: (title) => `Why was ${title} found?`,
  like: "More like this",
  likeOf: (title) => `More like ${title}`,
  // What is judged: whether a product is that of the photo, or like the one that is looked at.
  judge: {
    photo: {
      right: (title) => `Right: ${title} is the one`,
      wrong: (title) => `Wrong: ${title} is not the one`,
      thanks: { right: "Thank you. Noted as the one.", wrong: "Thank you. Noted as not the one." },
    },
    item: {
      right: (title) => `Right: ${title} is like it`,
      wrong: (title) => `Wrong: ${title} is not like it`,
      thanks: { right: "Thank you. Noted as like it.", wrong: "Thank you. Noted as not like it." },
    },
  },
  shop: "See it in the shop",

  undone: "Taken back.",
  noted: "This is noted already.",
  undo: "Undo",
  feedbackFailed: "That could not be noted. Please try again.",

  filtersLabel: "Filters",
  facet: (name) => ({ category: "Kind", price: "Price", color: "Colour", colour: "Colour", pattern: "Pattern", brand: "Brand", size: "Size" })[name] ?? name,
  price: "Price",
  from: "From",
  to: "To",
  apply: "Apply",
  clear: "Clear all filters",
  remove: (name) => `Remove the filter ${name}`,
  chosen: (n) => `${n} chosen`,
  upTo: (high) => `up to ${high}`,
  atLeast: (low) => `${low} and more`,
  between: (low, high) => `${low} to ${high}`,
  priceOrder: "The lower price comes first.",

  whyTitle: (title) => `Why ${title}?`,
  close: "Close",
  heatOn: "Your photo",
  heatTo: "In the shop",
  heatCaption: (place) => `Warm areas mattered most for this product: mainly ${place} of the photo.`,
  heatNone: "For this product the search used the photo as a whole.",
  heatLabel: (place) => `Heat map over the photo. It looked most ${place} of the photo.`,
  shopHeatLabel: (title) => `${title}, with a heat map of where its tags point`,
  less: "looked less",
  most: "looked most",
  places: [["at the top left", "at the top", "at the top right"], ["on the left", "in the middle", "on the right"], ["at the bottom left", "at the bottom", "at the bottom right"]],
  saidTitle: "What the shop says about it",
  sharedTitle: "What they have in common",
  sharedNote: "Beside each: how many of the other best finds have it, too.",
  alsoHave: (times, of) => `${times} of ${of}`,
  bothHave: "both",
  noTags: "The shop has no details of this product beyond its picture.",

  working: "Looking through the shop…",
  slow: "Still looking. This takes longer than it should.",
  verySlow: "This takes very long. You may wait, or try again.",
  retry: "Try again",
  plainly: "Search without filters and crop",
  offline: "The shop does not answer. We keep trying; your photo stays here.",
  offlineNow: "Try now",
  back: "The shop answers again.",
  busy: (s) => `Many people are looking right now. We try again in ${count(s, "second", "seconds")}.`,
  limited: "That was a lot of searches in a short time. Please wait a minute.",
  fault: (id) => `Something went wrong on our side.${id ? ` If you tell us, please name ${id}.` : ""}`,
  refused: "This shop asks for a key.",
  keyLabel: "Key",
  keySend: "Go on",
  keyWrong: "The shop does not know this key.",
  badFile: (name) => `${name || "This file"} can't be read as a photo. Please choose a JPEG, PNG or WebP picture.`,
  tooBig: "This photo is too big. Please choose one under 60 MB.",
  sentTooBig: "This photo is too big for the shop. Please choose a smaller one.",
  tooSmall: "This picture is too small. Please choose one of at least 32 by 32 pixels.",
  noPicture: "That was not a picture. Please choose a photo.",
  lostPhoto: "This link belongs to a photo that is kept only in the browser it was searched from. Choose the photo again to search here.",
  lostSample: "That sample photo is no longer here. Please choose another.",
  lostItem: "That product is no longer in the shop.",
};

// "t-shirt" → "T-shirt", "denim-blue" → "Denim blue".
export function words(value) {
  const text = String(value).replaceAll("_", " ").replace(/-(?!shirt)/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function money(price, currency) {
  const value = Number(price);
  if (price === null || price === undefined || price === "" || !Number.isFinite(value)) return "";
  if (/^[A-Za-z]{3}$/.test(currency ?? "")) {
    return new Intl.NumberFormat(language, { style: "currency", currency: currency.toUpperCase() }).format(value);
  }
  return new Intl.NumberFormat(language, { minimumFractionDigits: value % 1 ? 2 : 0, maximumFractionDigits: 2 }).format(value);
}
