// Filters with counts, one drop-down for each column; several values of a column mean "or".
import { h } from "./dom.js";
import { stockName } from "./product.js";
import { money, texts } from "./texts.js";
import { range } from "./where.js";

const COUNTED = ["color", "colour", "pattern", "brand", "size", "material", "gender", "availability", "price", "sale_price"];
const AMOUNTS = ["price", "sale_price"];

// The columns to count the values of, among those that the catalogue has; a tag before a column of
// its name.
export function facetColumns(columns) {
  const known = new Set(columns ?? []);
  return ["category", ...COUNTED.flatMap((name) => [`tags.${name}`, name].filter((one) => known.has(one)).slice(0, 1))];
}

export function facetName(column) {
  const name = column.replace(/^tags\./, "");
  return texts.facet[name] ?? name;
}

function rangeName(text) {
  const { low, high } = range(text);
  if (low === null) return texts.upTo({ high: money(high) });
  return high === null ? texts.atLeast({ low: money(low) }) : texts.between({ low: money(low), high: money(high) });
}

const valueName = (name, value) => (AMOUNTS.includes(name) ? rangeName(value) : name === "availability" ? stockName(value) : String(value));

export class Filters {
  // onChange(filters): a person changed them.
  constructor(root, onChange) {
    Object.assign(this, { root, onChange, filters: {}, facets: {} });
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", texts.filtersLabel);
    document.addEventListener("click", (event) => {
      for (const one of root.querySelectorAll("details[open]")) if (!one.contains(event.target)) one.open = false;
    });
    root.addEventListener("keydown", (event) => {
      const open = event.target.closest?.("details[open]");
      if (event.key !== "Escape" || !open) return;
      open.open = false;
      open.querySelector("summary").focus();
    });
  }

  empty() {
    this.told = null;
    this.root.replaceChildren();
  }

  // facets: column → { values: [{ value, count }], low, high }.
  show(filters, facets) {
    // A new crop changes no count: menus stay as they are.
    const told = JSON.stringify([filters, facets]);
    if (told === this.told) return;
    this.told = told;
    const open = new Set([...this.root.querySelectorAll("details[open]")].map((one) => one.dataset.facet));
    const focus = this.root.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    const typed = this.#typed(filters);
    Object.assign(this, { filters, facets, drawn: filters });
    const menus = Object.keys(facets).filter((name) => this.#worth(name)).map((name) => this.#menu(name, open.has(name)));
    this.root.replaceChildren(h("div", { class: "menus" }, menus), this.#chosen());
    for (const [name, value] of typed) {
      const field = this.root.querySelector(`[data-focus="${CSS.escape(name)}"]`);
      if (field) field.value = value;
    }
    if (focus) (this.root.querySelector(`[data-focus="${CSS.escape(focus)}"]`) ?? this.root.querySelector("details[open] summary") ?? this.root.querySelector("summary"))?.focus();
  }

  // Half-typed prices, of filters that stay as they are: field → text.
  #typed(filters) {
    const stays = (name) => String(filters[name] ?? "") === String(this.drawn?.[name] ?? "");
    const fields = [...this.root.querySelectorAll(".price-range input")].filter((one) => stays(one.closest("[data-facet]").dataset.facet));
    return fields.map((one) => [one.dataset.focus, one.value]);
  }

  #worth(name) {
    const { values = [], low, high } = this.facets[name] ?? {};
    if (this.filters[name]?.length) return true;
    return AMOUNTS.includes(name) ? Number.isFinite(low) && high > low : values.length > 1;
  }

  #menu(name, open) {
    const chosen = this.filters[name]?.length ?? 0;
    const summary = h("summary", { "data-focus": `menu ${name}` }, facetName(name), chosen ? h("span", { class: "badge" }, String(chosen), h("span", { class: "unseen" }, ` ${texts.chosen({ n: chosen })}`)) : null);
    const body = AMOUNTS.includes(name) ? this.#price(name) : this.#values(name);
    return h("details", { class: "filter", "data-facet": name, open }, summary, h("fieldset", {}, h("legend", { class: "unseen" }, facetName(name)), body, this.#foot(name)));
  }

  // An open menu lies over the row of chips, whose button is hidden meanwhile.
  #foot(name) {
    if (!Object.keys(this.filters).length) return null;
    return h("p", { class: "menu-foot" }, this.#clearButton(`clear ${name}`));
  }

  #clearButton(focus) {
    return h("button", { type: "button", class: "plain", "data-focus": focus, onclick: () => this.#change({}) }, texts.clear);
  }

  #values(name) {
    const chosen = new Set(this.filters[name] ?? []);
    const values = this.facets[name]?.values ?? [];
    const missing = [...chosen].filter((value) => !values.some((one) => String(one.value) === value)).map((value) => ({ value, count: 0 }));
    return [...missing, ...values].map(({ value, count }) => {
      const text = String(value);
      const box = h("input", { type: "checkbox", checked: chosen.has(text), "data-focus": `${name} ${text}`, onchange: () => this.#toggle(name, text, box.checked) });
      return h("label", { class: "choice" }, box, /colou?r$/.test(name) ? swatch(text) : null, h("span", { class: "value" }, valueName(name, text)), h("span", { class: "number" }, String(count)));
    });
  }

  #price(column) {
    const { low, high } = this.facets[column] ?? {};
    const now = range(this.filters[column]?.[0] ?? "");
    const field = (name, value, hint) => h("input", { type: "number", inputmode: "decimal", min: "0", step: "any", name, value: value ?? "", placeholder: hint ?? "", "data-focus": `${column} ${name}` });
    const from = field("from", now.low, Math.floor(low));
    const to = field("to", now.high, Math.ceil(high));
    const wrong = h("p", { class: "wrong", role: "alert" });
    const apply = () => {
      if (from.value !== "" && to.value !== "" && Number(from.value) > Number(to.value)) {
        wrong.textContent = texts.priceOrder;
        return;
      }
      const value = from.value === "" && to.value === "" ? [] : [`${from.value}..${to.value}`];
      this.#set(column, value);
    };
    const onEnter = (event) => { if (event.key === "Enter") apply(); };
    return h("div", { class: "price-range", onkeydown: onEnter },
      h("label", {}, texts.from, from), h("label", {}, texts.to, to),
      h("button", { type: "button", class: "quiet-button", "data-focus": `${column} apply`, onclick: apply }, texts.apply), wrong);
  }

  #chosen() {
    const all = Object.entries(this.filters).flatMap(([name, values]) => values.map((value) => [name, value]));
    if (!all.length) return h("div", { class: "chips" });
    const chips = all.map(([name, value]) => h("button", {
      type: "button", class: "chip is-filter", "data-focus": `chip ${name} ${value}`,
      "aria-label": texts.remove({ name: valueName(name, value) }), onclick: () => this.#toggle(name, value, false),
    }, valueName(name, value), h("span", { "aria-hidden": "true" }, " ×")));
    return h("div", { class: "chips" }, chips, this.#clearButton("clear"));
  }

  #toggle(name, value, on) {
    const others = (this.filters[name] ?? []).filter((one) => one !== value);
    this.#set(name, on ? [...others, value] : others);
  }

  // Kept at once: the next choice may come before the answer to this one.
  #change(filters) {
    this.filters = filters;
    this.told = null;
    this.onChange(filters);
  }

  #set(name, values) {
    const { [name]: _, ...others } = this.filters;
    this.#change(values.length ? { ...others, [name]: values } : others);
  }
}

// A dot of the colour that a tag names, where the browser knows one by that name.
const NAMED = {
  charcoal: "#424449", cream: "#f0e6cd", sand: "#c2aa82", camel: "#b48250", rust: "#a84c26", peach: "#f5be9b", burgundy: "#70182a",
  rose: "#cd6e7d", lilac: "#c4aad8", plum: "#4e2648", cobalt: "#1c46cd", sky: "#8cbee6", "denim-blue": "#4e6c94", ice: "#cee0ea",
  mint: "#aadec4", forest: "#1c4630", mustard: "#ce9c24",
};
function swatch(name) {
  const dot = h("span", { class: "swatch", "aria-hidden": "true" });
  const colour = NAMED[name] ?? name.replaceAll("-", "");
  if (CSS.supports("color", colour)) dot.style.backgroundColor = colour;
  else dot.classList.add("is-unknown");
  return dot;
}
