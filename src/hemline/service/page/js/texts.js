// The page's texts, in the language that the page's head says.
import * as item from "./item.js";
import { base } from "./place.js";
import { loaded } from "./speech.js";

export const texts = {};
export const language = document.documentElement.lang;

// Before anything is shown.
export const loadTexts = async () => Object.assign(texts, await loaded(base, language));

export const money = (price, currency) => item.money(price, currency, language);
export { words } from "./item.js";
