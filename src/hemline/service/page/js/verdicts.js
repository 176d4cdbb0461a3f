// Right and wrong: shown at once, sent a little later, so that it can be taken back until then.
import { feedback } from "./api.js";

export const HELD = 7000;

const nameOf = (hit) => `${hit.search_id} ${hit.item_id}`;

export class Verdicts {
  // onChange(hit, right | null): what is to be shown; onFail(hit): the service didn't take it.
  constructor(onChange, onFail) {
    Object.assign(this, { onChange, onFail, given: new Map(), held: new Map(), sent: new Map() });
    // Whoever leaves has made up their mind.
    addEventListener("pagehide", () => { for (const { hit, timer } of [...this.held.values()]) { clearTimeout(timer); this.#send(hit); } });
  }

  of(hit) {
    return this.given.get(nameOf(hit)) ?? null;
  }

  give(hit, right) {
    this.#put(hit, right);
    this.#hold(hit);
  }

  // Back to what the service knows.
  undo(hit) {
    this.#drop(hit);
    this.#put(hit, this.sent.get(nameOf(hit)) ?? null);
  }

  isHeld(hit) {
    return this.held.has(nameOf(hit));
  }

  #put(hit, right) {
    this.given.set(nameOf(hit), right);
    this.onChange(hit, right);
  }

  #drop(hit) {
    clearTimeout(this.held.get(nameOf(hit))?.timer);
    this.held.delete(nameOf(hit));
  }

  #hold(hit) {
    this.#drop(hit);
    this.held.set(nameOf(hit), { hit, timer: setTimeout(() => this.#send(hit), HELD) });
  }

  async #send(hit) {
    this.held.delete(nameOf(hit));
    const right = this.of(hit);
    if (right === null || right === this.sent.get(nameOf(hit))) return;
    try {
      await feedback(hit.search_id, hit.item_id, right);
      this.sent.set(nameOf(hit), right);
    } catch {
      this.#put(hit, this.sent.get(nameOf(hit)) ?? null);
      this.onFail(hit);
    }
  }
}
