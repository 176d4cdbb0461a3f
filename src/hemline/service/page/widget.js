// A camera button and a layer of results for any page of a shop; docs/widget.md has the attributes:
// <script type="module" src="https://HEMLINE/widget.js" data-hemline="https://HEMLINE"></script>
//
// It has no key, sets no cookie and stores nothing. Styles are constructed sheets in a shadow tree,
// so the page's policy needs no 'unsafe-inline'. The layer is loaded when it is first wanted.
const CAMERA = "M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z";
const LABELS = { en: "Find it by photo", de: "Mit Foto suchen" };
const STYLE = `
:host { all: initial !important; display: inline-block !important; font: 1rem/1.4 var(--hemline-font, system-ui, sans-serif) !important; }
:host([floating]) { position: fixed !important; right: max(1rem, env(safe-area-inset-right)) !important; bottom: max(1rem, env(safe-area-inset-bottom)) !important; z-index: 2147483000 !important; }
.open { all: unset; box-sizing: border-box; display: inline-flex; align-items: center; gap: .5rem; min-height: 48px; padding: .5rem 1.1rem; border-radius: 999px; background: var(--accent); color: var(--on-accent); font-weight: 600; cursor: pointer; }
:host([floating]) .open { box-shadow: 0 4px 16px rgba(0, 0, 0, .3); }
.open:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
.open[aria-busy=true] { cursor: progress; }
.open svg { width: 24px; height: 24px; fill: none; stroke: currentcolor; stroke-width: 2; stroke-linejoin: round; }
.failed { margin: .4rem 0 0; max-width: 20rem; color: #a32222; background: #fff; padding: .3rem .5rem; }
.failed:empty { display: none; }
@media (forced-colors: active) { .open { border: 1px solid; } }`;

// A colour that the browser knows, and black or white on it, whichever is easier to read.
function coloursOf(colour) {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#1d1b19";
  context.fillStyle = colour || "#1d1b19";
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  const [lr, lg, lb] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * lr + 0.7152 * lg + 0.0722 * lb;
  return [`rgb(${r}, ${g}, ${b})`, light > 0.179 ? "#000" : "#fff"];
}

// Returns the button's element; `options` are the attributes without "data-", in camelCase.
export function mount(options = {}) {
  const base = new URL(options.hemline || ".", import.meta.url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const lang = options.lang || document.documentElement.lang || "en";
  const host = document.createElement("hemline-widget");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  const [accent, onAccent] = coloursOf(options.color);
  sheet.replaceSync(`:host { --accent: ${accent}; --on-accent: ${onAccent}; }${STYLE}`);
  root.adoptedStyleSheets = [sheet];
  if (options.font) host.style.setProperty("--hemline-font", options.font);
  host.lang = lang;

  const make = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
  const [svg, path] = [make("svg"), make("path")];
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", CAMERA);
  svg.append(path);
  const [button, failed] = [document.createElement("button"), document.createElement("p")];
  button.type = "button";
  button.className = "open";
  button.setAttribute("aria-haspopup", "dialog");
  button.append(svg, options.label || LABELS[lang.slice(0, 2).toLowerCase()] || LABELS.en);
  failed.className = "failed";
  failed.setAttribute("role", "alert");
  root.append(button, failed);

  let layer = null;
  const load = () => (layer ??= import("./static/js/widget/layer.js")
    .then((module) => module.makeLayer(root, { ...options, lang, base: base.href })));
  button.addEventListener("pointerenter", () => load().catch(() => (layer = null)), { once: true });
  button.addEventListener("click", async () => {
    failed.textContent = "";
    button.setAttribute("aria-busy", "true");
    try {
      (await load()).open();
    } catch {
      layer = null;
      failed.textContent = lang.startsWith("de") ? "Die Fotosuche antwortet nicht." : "The photo search does not answer.";
    }
    button.removeAttribute("aria-busy");
  });

  const place = options.target ? document.querySelector(options.target) : null;
  if (options.target && !place) console.warn(`hemline: nothing here is ${options.target}; the button floats`);
  host.toggleAttribute("floating", !place);
  if (place) place.append(host);
  else document.body.append(host);
  return host;
}

// Each script tag of this address gets its button, once.
const DONE = Symbol.for("hemline.widget");
for (const script of document.querySelectorAll("script[type=module]")) {
  if (script.src.split("#")[0] !== import.meta.url.split("#")[0] || script[DONE]) continue;
  script[DONE] = true;
  mount(script.dataset);
}
