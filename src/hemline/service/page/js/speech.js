// Texts of one language, from what texts/LANGUAGE.json holds; the page and the widget share it.
// A text with {names} becomes a function of an object of them, one with plural forms
// ({ one, other, … }) a function that chooses by its `n`.

export function spoken(messages, language) {
  const number = new Intl.NumberFormat(language);
  const plurals = new Intl.PluralRules(language);
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? number.format(value) : value;
  });
  const made = (message) => {
    if (typeof message === "string") return message.includes("{") ? (values) => filled(message, values) : message;
    if (Array.isArray(message)) return message.map(made);
    if (message.other) return (values) => filled(message[plurals.select(values.n)] ?? message.other, values);
    return Object.fromEntries(Object.entries(message).map(([name, one]) => [name, made(one)]));
  };
  return made(messages);
}

// address: of the service, with a slash at its end; language: one that it has.
export async function loaded(address, language) {
  const response = await fetch(`${address}static/texts/${language}.json`);
  if (!response.ok) throw new Error(`no texts in ${language}`);
  return spoken(await response.json(), language);
}
