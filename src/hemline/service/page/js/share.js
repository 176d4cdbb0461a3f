// Links to give away.
import { h } from "./dom.js";
import { notice, say, toast, wordsOf } from "./notices.js";
import { texts } from "./texts.js";

const button = (name, text, act) => h("button", { type: "button", class: name, onclick: act }, text);

// By the phone's own sheet, or else by the clipboard; the address itself where neither may be used.
export async function shareLink(address) {
  try {
    if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({ url: address });
    else {
      await navigator.clipboard.writeText(address);
      toast(texts.copied);
    }
  } catch (error) {
    if (error.name !== "AbortError") shown(address);
  }
}

function shown(address) {
  const field = h("input", { type: "text", readonly: true, value: address, "aria-label": texts.link });
  notice(field, button("quiet-button", texts.close, () => notice()));
  field.select();
}

// make() → the address; only once a person has agreed that the shop keeps the photo.
export function askToShare(make) {
  const yes = button("main-button", texts.shareYes, async () => {
    yes.disabled = true;
    try {
      const address = await make();
      notice();
      await shareLink(address);
    } catch (error) {
      notice();
      toast(wordsOf(error));
    }
  });
  notice(h("p", {}, texts.shareAsk), yes, button("quiet-button", texts.close, () => notice()));
  say(texts.shareAsk);
  yes.focus();
}
