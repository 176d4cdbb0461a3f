// Adds products by a feed with its pictures: the upload's progress first, then the work's.
import { key } from "../api.js";
import { $, h } from "../dom.js";
import { base } from "../place.js";
import { bar, failed, follow } from "./jobs.js";
import { texts } from "./texts.js";

const PATH = `${base}v1/admin/manifest`;

// The paths in a feed are relative to the folder that was chosen, without its own name.
const pathOf = (file) => (file.webkitRelativePath ? file.webkitRelativePath.split("/").slice(1).join("/") : file.name);

// fetch tells nothing of how far an upload is; this does.
function send(form, onShare) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", PATH);
    request.responseType = "json";
    if (key.get()) request.setRequestHeader("Authorization", `Bearer ${key.get()}`);
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) onShare(event.loaded / event.total); });
    request.addEventListener("load", () => (request.status < 300 ? resolve(request.response) : reject(Object.assign(new Error(), { detail: request.response?.detail }))));
    request.addEventListener("error", () => reject(new Error(texts.unreachable)));
    request.send(form);
  });
}

function told(result) {
  const counts = Object.entries(result ?? {}).filter(([, value]) => typeof value === "number");
  const lists = Object.values(result ?? {}).filter((value) => Array.isArray(value) && value.length).flat();
  const line = (one) => (typeof one === "object" ? Object.values(one).join(": ") : String(one));
  return [
    h("p", {}, `${texts.done} ${counts.map(([name, value]) => `${name.replaceAll("_", " ")}: ${texts.counts(value)}`).join(" · ")}`),
    lists.length ? h("details", {}, h("summary", {}, `${texts.refused}: ${lists.length}`), h("ul", {}, lists.map((one) => h("li", {}, line(one))))) : null,
  ].filter(Boolean);
}

export function watchAdd(changed, say) {
  $("add").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = $("add").querySelector("button");
    const place = $("add-job");
    const form = new FormData();
    const [feed] = $("feed").files;
    form.append("manifest", feed, feed.name);
    for (const file of [...$("pictures").files, ...$("folder").files]) form.append("picture", file, pathOf(file));
    button.disabled = true;
    try {
      place.replaceChildren(bar(0, texts.sending(0)));
      const job = await follow(await send(form, (share) => place.replaceChildren(bar(share, texts.sending(share)))), place);
      if (job) {
        place.replaceChildren(...told(job.result));
        $("add").reset();
        say(place.textContent);
      }
    } catch (error) {
      place.replaceChildren(failed(error));
    } finally {
      button.disabled = false;
      changed();
    }
  });
}
