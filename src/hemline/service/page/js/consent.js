// Whether the shop may keep the photos that are searched with: asked where it would keep them.
import { $, show } from "./dom.js";
import { texts } from "./texts.js";

let days = 0;

// n: for how many days they would be kept; 0: they aren't.
export function askConsent(n) {
  days = n;
  show($("consent"), days > 0);
  if (!days) return;
  $("privacy").textContent = texts.privacyKept;
  $("consent-words").textContent = texts.keepAsk({ n: days });
}

export const consent = () => (days ? $("consent-given").checked : null);
