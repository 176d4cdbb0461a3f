// Follows long work of the service until it has ended.
import { ask, Problem } from "../api.js";
import { h, wait } from "../dom.js";
import { texts } from "./texts.js";

const EVERY = 700;
const PATIENCE = 20;

export function bar(share, words) {
  const meter = h("progress", { max: "1", "aria-label": texts.progress });
  // Without a value a progress bar says: going on, nobody knows how far.
  if (share !== null) meter.value = share;
  return h("div", { class: "going" }, meter, h("p", {}, words));
}

export const failed = (error) => h("p", { class: "wrong", role: "alert" }, texts.failed(error.detail || error.message || texts.unreachable));

// Shows a job in `place` until it has ended; gives it when it is done, null when it failed.
export async function follow(job, place) {
  let missed = 0;
  for (let now = job; ; ) {
    if (now.state === "done") return now;
    if (now.state === "failed") {
      place.replaceChildren(failed({ detail: now.error }));
      return null;
    }
    const { done, total } = now;
    place.replaceChildren(now.state === "waiting" ? bar(null, texts.waiting) : bar(total ? done / total : null, texts.running(done, total)));
    await wait(EVERY);
    try {
      now = await ask(`v1/admin/jobs/${job.id}`);
      missed = 0;
    } catch (error) {
      // The work goes on without us: a short silence of the server is no failure of it.
      missed += 1;
      if (!(error instanceof Problem) || !["offline", "busy"].includes(error.kind) || missed > PATIENCE) throw error;
    }
  }
}
