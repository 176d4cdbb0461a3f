// The built-in check: health, and whether the catalogue finds its own pictures again.
import { ask } from "../api.js";
import { $, h } from "../dom.js";
import { failed, follow } from "./jobs.js";
import { texts } from "./texts.js";

function told(result) {
  const recalls = [1, 5, 20].filter((k) => Number.isFinite(result[`recall@${k}`])).map((k) => {
    const [low, high] = result.intervals?.[`recall@${k}`] ?? [];
    return h("div", {}, h("dd", {}, texts.shares(result[`recall@${k}`])), h("dt", {}, texts.recall(k)),
      Number.isFinite(low) ? h("dd", { class: "hint" }, texts.interval(low, high)) : null);
  });
  return [
    h("p", { class: result.healthy ? "good" : "wrong" }, result.healthy ? texts.healthy : texts.unhealthy),
    result.problems?.length ? h("ul", {}, result.problems.map((one) => h("li", {}, one))) : null,
    h("dl", { class: "numbers" }, recalls),
    Number.isFinite(result.queries) ? h("p", { class: "hint" }, texts.queries(result.queries)) : null,
  ].filter(Boolean);
}

export function watchCheck(changed, say) {
  $("check").addEventListener("click", async () => {
    $("check").disabled = true;
    try {
      const job = await follow(await ask("v1/admin/check", { method: "POST" }), $("check-job"));
      if (job) {
        $("check-job").replaceChildren(...told(job.result));
        say($("check-job").textContent);
      }
    } catch (error) {
      $("check-job").replaceChildren(failed(error));
    } finally {
      $("check").disabled = false;
      changed();
    }
  });
}
