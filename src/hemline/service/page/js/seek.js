// One question at a time: the newest wins, a slow one is told of, a failed one is tried again.
import { Problem } from "./api.js";
import { wait } from "./dom.js";
import { joined } from "./request.js";

export const SLOW = 6000;
export const VERY_SLOW = 20_000;
const BUSY_TRIES = 4;
const LONGEST_WAIT = 30_000;
const FOREVER = 2 ** 31 - 1;

export class Seeker {
  // tell(what, more): "working", "slow", "very-slow", "busy" { after }, "offline", "back", "done",
  // "failed" { error }; more also has `retry`.
  constructor(tell) {
    this.tell = tell;
    this.stop = null;
  }

  cancel() {
    this.stop?.abort();
    this.stop = null;
  }

  // Runs ask(signal) → answer, until there is one: after a Problem that waiting doesn't mend, a
  // person's `retry` goes on. Resolves to null where a newer question took its place; throws what
  // is no Problem.
  async run(ask) {
    this.cancel();
    const stop = new AbortController();
    this.stop = stop;
    // `again` ends a waiting or a slow attempt, and lets the next one begin.
    const round = { again: () => {} };
    const retry = () => round.again();
    this.tell("working", { retry });
    let offline = false;
    for (let attempt = 1; ; attempt += 1) {
      const going = new AbortController();
      let restarted = false;
      round.again = () => {
        restarted = true;
        going.abort();
      };
      const signal = joined(stop.signal, going.signal);
      const timers = offline ? [] : [["slow", SLOW], ["very-slow", VERY_SLOW]].map(([what, ms]) => setTimeout(() => this.tell(what, { retry }), ms));
      try {
        const answer = await ask(signal);
        if (stop.signal.aborted) return null;
        if (offline) this.tell("back", {});
        this.tell("done", {});
        return answer;
      } catch (error) {
        timers.forEach(clearTimeout);
        if (stop.signal.aborted) return null;
        if (restarted) {
          this.tell("working", { retry });
          continue;
        }
        if (!(error instanceof Problem)) {
          this.tell("done", {});
          throw error;
        }
        const { kind } = error;
        offline = kind === "offline";
        const busy = kind === "busy" && attempt < BUSY_TRIES;
        const after = offline ? Math.min(LONGEST_WAIT, 1000 * 2 ** (attempt - 1)) : error.after * 1000;
        this.tell(offline || busy ? kind : "failed", { error, after: Math.ceil(after / 1000), retry });
        try {
          await wait(offline || busy ? after : FOREVER, signal);
        } catch {
          if (stop.signal.aborted) return null;
        }
        if (!offline) this.tell("working", { retry });
      } finally {
        timers.forEach(clearTimeout);
      }
    }
  }
}
