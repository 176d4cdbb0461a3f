// The kind of a chosen garment as a filter of the catalogue's own categories.

// "Midi skirts" → "skirt": what a category is called by its last word.
const head = (text) => String(text).toLowerCase().trim().split(/[\s/&>]+/).at(-1).replace(/(?<=(s|x|ch|sh))es$|s$/, "");

// The categories among `values` ({ value } each) that are of a detected kind.
export const categoriesOf = (kind, values = []) => values.map(({ value }) => String(value)).filter((value) => kind && head(value) === head(kind));

export class Kinds {
  // The filters once a garment of `kind` is chosen ("" for the whole photo): its categories take the
  // place of those that the garment before gave, and never of a person's own choice.
  chosen(filters, kind, values) {
    const { category = [], ...others } = filters;
    const mine = category.length === 0 || category.join() === this.given;
    if (!mine) return filters;
    const found = categoriesOf(kind, values);
    this.given = found.join();
    return found.length ? { ...others, category: found } : others;
  }
}
