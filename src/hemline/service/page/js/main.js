// The shopper's page: what is asked stands in the address; this puts address, photo and answer
// together.
import { infoOf } from "./adapt.js";
import * as api from "./api.js";
import { detectPhoto, everyOf, nextPage, searchItem, searchPhoto } from "./ask.js";
import { card, closeMenus, markVerdict, waiting } from "./cards.js";
import { askConsent } from "./consent.js";
import { Cropper } from "./cropper.js";
import { $, fillTexts, h, settled, show, showPicture } from "./dom.js";
import { Filters } from "./filters.js";
import { Kinds } from "./kinds.js";
import { banner, keyForm, notice, say, tellSearch, toast, wordsOf } from "./notices.js";
import { Picker } from "./picker.js";
import { base } from "./place.js";
import { amountOf, priceOf, titleOf } from "./product.js";
import { Seeker } from "./seek.js";
import { askToShare, shareLink } from "./share.js";
import { sorted } from "./sort.js";
import { Lost, Sources } from "./source.js";
import { asks, empty, read, SORTS, write } from "./state.js";
import { loadTexts, texts } from "./texts.js";
import { Verdicts } from "./verdicts.js";
import { openWhy } from "./why.js";

const ANSWERS = 30;
const QUIET = 300;
const LOST = { photo: "lostPhoto", sample: "lostSample", shared: "lostShared", item: "lostItem" };

function foundSaid({ hits, more }) {
  return texts[more ? "foundMoreSaid" : "foundSaid"]({ n: hits.length, best: titleOf(hits[0]) });
}

// What the service is asked; the order is the page's own.
const question = (state) => write({ ...state, sort: "" });

class Page {
  constructor() {
    this.state = empty();
    this.info = {};
    this.answers = new Map();
    this.garments = new Map();
    this.items = new Map();
    this.kinds = new Kinds();
    this.verdicts = new Verdicts((hit, right) => markVerdict($("products"), hit.item_id, right), () => toast(texts.feedbackFailed));
    this.sources = new Sources();
    this.seeker = new Seeker((what, more) => tellSearch(what, { ...more, plainly: this.plainly() }));
    this.act = {
      why: (hit) => this.why(hit),
      like: (hit) => this.like(hit),
      verdict: (hit, right) => this.verdict(hit, right),
      verdictOf: (hit) => this.verdicts.of(hit),
    };
    this.filters = new Filters($("filters"), (filters) => this.go({ ...this.state, filters, pages: 1 }));
    closeMenus($("products"));
    this.picker = new Picker(
      async (photo) => this.go({ ...empty(), photo: (await this.sources.add(photo)).hash }, { fresh: true }),
      (sample) => this.go({ ...empty(), sample }, { fresh: true }),
      (words) => this.wrongFile(words),
    );
    this.cropKeys = settled((box) => this.crop(box, "key"), QUIET);
  }

  async start() {
    fillTexts(texts);
    $("home").addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.home();
    });
    $("another").addEventListener("click", () => this.home());
    $("more").addEventListener("click", () => this.more());
    $("done").addEventListener("click", () => this.enlarge(false));
    $("filters-button").addEventListener("click", () => this.unfold($("filters-button").getAttribute("aria-expanded") !== "true"));
    $("share").addEventListener("click", () => this.share());
    $("sort").append(...["", ...SORTS].map((name) => h("option", { value: name }, texts.sorts[name || "best"])));
    $("sort").addEventListener("change", () => this.go({ ...this.state, sort: $("sort").value }));
    addEventListener("popstate", () => this.open(read(location.search), {}));
    this.ready = this.load();
    await this.open(read(location.search), {});
  }

  async load() {
    const tell = (what, { retry, error }) => {
      if (what === "failed" && error.kind === "refused") banner(h("p", {}, texts.refused), keyForm(retry, Boolean(api.key.get())));
      else if (what === "failed") banner(h("p", {}, wordsOf(error)), h("button", { type: "button", class: "quiet-button", onclick: retry }, texts.retry));
      else if (["offline", "back", "done"].includes(what)) tellSearch(what, { retry });
    };
    this.info = infoOf(await new Seeker(tell).run(api.info));
    askConsent(this.info.keeps);
    this.sources.samples = this.info.samples;
    this.picker.showSamples(this.sources.samples);
    $("facts").textContent = Number.isFinite(this.info.items) ? texts.facts({ n: this.info.items }) : "";
  }

  // A link may carry filters or a crop that this shop doesn't understand.
  plainly() {
    const { box, filters } = this.state;
    if (!box && !Object.keys(filters).length) return null;
    return () => this.go({ ...this.state, box: null, filters: {}, pages: 1 });
  }

  home() {
    this.go(empty(), { fresh: true });
    $("start-title").focus();
  }

  // A new state by a person's act; "replace" keeps the back button from counting each nudge.
  go(state, { fresh = false, replace = false } = {}) {
    const address = write(state);
    if (address !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"](null, "", address);
    return this.open(state, { fresh });
  }

  async open(state, { fresh }) {
    this.state = state;
    this.lastAct = null;
    this.cropKeys.cancel();
    $("why").open && $("why").close();
    show($("start"), !asks(state));
    show($("search"), asks(state));
    show($("another"), asks(state));
    document.title = asks(state) ? `${state.item ? texts.similarTitle : texts.foundTitle} · ${texts.name}` : texts.title;
    $("start-wrong").textContent = "";
    if (!asks(state)) {
      this.seeker.cancel();
      notice();
      return;
    }
    if (fresh) {
      scrollTo({ top: 0 });
      this.enlarge(false);
      this.unfold(false);
    }
    $("sort").value = state.sort;
    await this.search(state, fresh);
  }

  async search(state, fresh) {
    const at = question(state);
    const known = this.answers.get(at);
    if (!known) this.wait(fresh);
    const found = await this.orLost(() => known ? this.known(state, known) : this.seeker.run(async (signal) => {
      await this.ready;
      signal.throwIfAborted();
      const from = await this.from(state, signal);
      const answer = state.item ? await searchItem(state, this.info, signal) : await searchPhoto(state, from.photo, this.info, signal);
      return { from, answer };
    }));
    if (!found || question(this.state) !== at) return;
    this.remember(at, found.answer);
    this.show(state, found.from, found.answer);
    if (fresh) $("found-title").focus({ preventScroll: true });
  }

  // What ask() finds; null, and a new start, where the photo or item can't be had.
  async orLost(ask) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      this.lost(error);
      return null;
    }
  }

  async known(state, answer) {
    this.seeker.cancel();
    tellSearch("done");
    return { from: await this.from(state), answer };
  }

  remember(at, answer) {
    this.answers.delete(at);
    this.answers.set(at, answer);
    if (this.answers.size > ANSWERS) this.answers.delete(this.answers.keys().next().value);
  }

  // What is searched with: { photo } or { item }; it is shown as soon as it is there.
  async from(state, signal) {
    if (state.item) {
      if (!this.items.has(state.item)) this.items.set(state.item, await this.sources.item(state.item, signal));
      const item = this.items.get(state.item);
      this.showItem(item);
      return { item };
    }
    const photo = await this.sources.photo(state, signal);
    this.showPhoto(photo);
    if (Array.isArray(state.box)) this.cropper.setCrop(state.box);
    return { photo };
  }

  // On a phone the photo, its garments and the filters take one row beside what was found, until a
  // person wants one of them large.
  enlarge(large) {
    const had = $("done").contains(document.activeElement);
    $("search").classList.toggle("is-large", large);
    if (large) $("done").focus({ preventScroll: true });
    else if (had) $("photo").querySelector(".enlarge")?.focus();
  }

  unfold(open) {
    $("filters-button").setAttribute("aria-expanded", String(open));
    $("filters").classList.toggle("is-unfolded", open);
  }

  showItem(item) {
    const img = h("img", { alt: titleOf(item), class: "item-picture" });
    showPicture(img, item.picture, 320);
    $("asked-title").textContent = texts.askedItem;
    $("photo").replaceChildren(img, h("p", { class: "title" }, titleOf(item)), h("p", { class: "price" }, priceOf(item).now));
    this.shown = null;
  }

  showPhoto(photo) {
    if (this.shown === photo) return;
    this.shown = photo;
    $("asked-title").textContent = photo.sample ? texts.askedSample : photo.shared ? texts.askedShared : texts.askedPhoto;
    this.cropper = new Cropper($("photo"), (box, how, kind) => (how === "key" ? this.cropKeys(box) : this.crop(box, how, kind)), () => this.enlarge(true), this.info.detects);
    this.cropper.show(photo);
    if (this.garments.has(photo)) this.cropper.setGarments(this.garments.get(photo), true);
  }

  wait(fresh) {
    if (fresh || !$("products").children.length) $("products").replaceChildren(...waiting(8));
    if (fresh) this.filters.empty();
    $("products").classList.add("is-old");
    $("found-title").textContent = this.state.item ? texts.similarTitle : texts.foundTitle;
    if (fresh) $("count").textContent = "";
    show($("more"), false);
  }

  show(state, { photo, item }, answer) {
    Object.assign(this, { answer, origin: { photo, item, box: answer.box ?? null } });
    if (photo) {
      this.showGarments(photo, answer);
      this.cropper.setCrop(state.box === "whole" ? null : (state.box ?? answer.box));
    }
    this.filters.show(state.filters, answer.facets ?? {});
    const chosen = Object.values(state.filters).flat().length;
    $("filters-button").textContent = chosen ? texts.filtersOf({ n: chosen }) : texts.filtersLabel;
    show($("filters-button"), $("filters").querySelector(".filter") !== null);
    this.showProducts(answer);
    const best = answer.hits[0];
    say(best ? foundSaid(answer) : $("notice").textContent);
  }

  // A restored crop comes without garments: they are looked for beside the search.
  async showGarments(photo, answer) {
    if (answer.detected) this.garments.set(photo, answer.detections ?? []);
    if (!this.garments.has(photo) && this.info.detects) {
      this.garments.set(photo, []);
      try {
        this.garments.set(photo, await detectPhoto(photo));
      } catch {
        this.garments.delete(photo);
      }
    }
    if (this.shown === photo) this.cropper.setGarments(this.garments.get(photo) ?? [], this.garments.has(photo));
  }

  showProducts({ hits, more }) {
    $("found-title").textContent = this.state.item ? texts.similarTitle : texts.foundTitle;
    $("count").textContent = hits.length ? texts[more ? "best" : "found"]({ n: hits.length }) : "";
    $("products").classList.remove("is-old");
    const ordered = sorted(hits, this.state.sort);
    $("products").replaceChildren(...ordered.map((hit, at) => card(hit, at, this.act, this.judge())));
    show($("share"), hits.length > 0 && (!this.state.photo || this.info.links));
    show($("sort-label"), hits.some((hit) => amountOf(hit) !== null));
    show($("more"), Boolean(more));
    if (!hits.length) notice(h("p", {}, Object.keys(this.state.filters).length ? texts.noneFiltered : texts.none));
    else if (hits[0].alike === "different" && !this.state.item) notice(h("p", {}, texts.notHere));
    else notice();
  }

  crop(box, how, kind) {
    const replace = how === "key" && this.lastAct === "key";
    const { filters } = this.state;
    const kinds = how === "choice" ? this.kinds.chosen(filters, kind, this.answer?.facets?.category?.values) : filters;
    this.go({ ...this.state, box, filters: kinds, pages: 1 }, { replace });
    this.lastAct = how;
    if (how !== "choice" && box !== "whole") say(texts.cropSaid({ width: box[2] - box[0], height: box[3] - box[1] }));
  }

  async more() {
    const { state, answer, origin } = this;
    const first = answer.hits.length;
    const next = await this.orLost(() => this.seeker.run((signal) => nextPage(state, origin.photo, answer, this.info, signal)));
    if (!next || this.state !== state) return;
    const hits = [...answer.hits, ...next.hits];
    this.state = { ...state, pages: state.pages + 1 };
    this.answer = { ...answer, hits, more: next.more && next.hits.length > 0 };
    history.replaceState(null, "", write(this.state));
    this.remember(question(this.state), this.answer);
    this.showProducts(this.answer);
    $("products").children[first]?.querySelector(".tile").focus();
    say(foundSaid(this.answer));
  }

  // An address that opens elsewhere. That of an own photo needs the shop to keep it, and says so first.
  share() {
    if (!this.state.photo) return shareLink(location.href);
    const { photo, box } = this.origin;
    return askToShare(async () => {
      const { id } = await api.share(photo, { box: box?.join(","), every: everyOf(this.info, !box) });
      return new URL(write({ ...this.state, photo: "", shared: id, box: "whole" }), location.href).href;
    });
  }

  why(hit) {
    const others = this.answer.hits.slice(0, 10).filter((other) => other.item_id !== hit.item_id);
    openWhy($("why"), hit, { ...this.origin, heats: this.info.heats }, others, this.act);
  }

  like(hit) {
    this.items.set(hit.item_id, { item_id: hit.item_id, columns: hit.columns, picture: hit.picture });
    this.go({ ...empty(), item: hit.item_id }, { fresh: true });
  }

  // The words of the buttons for right and wrong; null where the shop wants none.
  judge() {
    if (!this.info.judging) return null;
    return texts.judge[this.state.item ? "item" : "photo"];
  }

  verdict(hit, right) {
    if (this.verdicts.of(hit) !== right) {
      this.verdicts.give(hit, right);
      toast(this.judge()[right ? "thanksRight" : "thanksWrong"], () => this.unsay(hit));
    } else if (this.verdicts.isHeld(hit)) {
      this.unsay(hit);
    } else {
      toast(texts.noted);
    }
  }

  unsay(hit) {
    this.verdicts.undo(hit);
    toast(texts.undone);
  }

  // The photo can't be had: start anew, and say why.
  lost(error) {
    notice();
    history.replaceState(null, "", base);
    this.open(empty(), {});
    this.wrongFile(texts[LOST[error.kind]]);
    $("start-title").focus();
  }

  wrongFile(words) {
    if (asks(this.state)) toast(words);
    else $("start-wrong").textContent = words;
  }
}

await loadTexts();
new Page().start();

