// The layer's style sheet: it stays in the shadow tree, and the page's own stay out of it.
export const STYLE = `
.layer { --ground: #fff; --ink: #1d1b19; --soft: #635c54; --line: #d8d3cb; --sunken: #f4f2ee; --bad: #a32222; color-scheme: light;
  box-sizing: border-box; width: min(64rem, 100vw - 2rem); max-width: none; max-height: min(56rem, 100dvh - 2rem); margin: auto; padding: 0; border: 0; border-radius: 14px; overflow: hidden; background: var(--ground); color: var(--ink); text-align: start; }
.layer[open] { display: flex; flex-direction: column; }
.layer::backdrop { background: rgba(0, 0, 0, .5); }
.layer.is-dark { --ground: #1b1917; --ink: #f2ede6; --soft: #b7aea3; --line: #4a443d; --sunken: #2a2622; --bad: #ff9d93; color-scheme: dark; }
.layer *, .layer { box-sizing: border-box; }
.layer [hidden] { display: none !important; }
h2, h3, p, ul { margin: 0; padding: 0; font: inherit; }
h2 { flex: 1; font-size: 1.2rem; font-weight: 650; outline: none; }
ul { list-style: none; }
button { font: inherit; color: inherit; cursor: pointer; }
.layer :focus-visible { outline: 3px solid var(--focus, #1d5fbf); outline-offset: 2px; }
.layer h2:focus-visible { outline: none; }
.is-dark { --focus: #8ab8ff; }
.head { display: flex; align-items: center; gap: 1rem; padding: .5rem .75rem .5rem 1.25rem; border-bottom: 1px solid var(--line); }
.close { width: 44px; height: 44px; border: 0; border-radius: 50%; background: none; font-size: 1.1rem; }
@media (hover: hover) { .close:hover { background: var(--sunken); } }
.body { flex: 1; overflow: auto; overscroll-behavior: contain; padding: 1.25rem; display: grid; gap: 1rem; align-content: start; }
.asked { display: flex; gap: 1.25rem; align-items: flex-start; }
.asked canvas { max-width: 38%; max-height: 12rem; border-radius: 8px; cursor: pointer; }
.choices { flex: 1; min-width: 0; display: grid; gap: .75rem; }
.buttons, .garments { display: flex; flex-wrap: wrap; gap: .5rem; }
.garments:empty { display: none; }
.main, .quiet, .chip { min-height: 44px; padding: .4rem 1.1rem; border: 1px solid var(--ink); border-radius: 999px; background: var(--ground); }
.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
.chip { border-color: var(--line); }
.chip[aria-pressed=true] { border-color: var(--ink); background: var(--ink); color: var(--ground); }
.camera { display: none; }
.has-photo .lead, .has-photo .small { display: none; }
.has-photo .main { background: var(--ground); border-color: var(--ink); color: var(--ink); font-weight: inherit; }
.small, .status { color: var(--soft); font-size: .875rem; }
.status:empty, .wrong:empty { display: none; }
.wrong { display: flex; flex-wrap: wrap; align-items: center; gap: .75rem; color: var(--bad); font-weight: 550; }
.products { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: 1.25rem 1rem; }
.products[aria-busy=true] { opacity: .5; }
.product { position: relative; display: grid; gap: .2rem; align-content: start; min-width: 0; }
.product h3 { font-size: .9375rem; overflow-wrap: anywhere; }
.product a { color: inherit; text-decoration: none; }
@media (hover: hover) { .product a:hover { text-decoration: underline; } }
.product a::after { content: ""; position: absolute; inset: 0; }
.product a:focus-visible { outline: none; }
.product:has(a:focus-visible) { outline: 3px solid var(--focus, #1d5fbf); outline-offset: 3px; }
.frame { position: relative; aspect-ratio: var(--ratio, .8); border-radius: 8px; overflow: hidden; background: var(--sunken); margin-bottom: .3rem; }
.frame img { width: 100%; height: 100%; object-fit: cover; display: block; }
.frame.is-whole img { object-fit: contain; }
.frame.is-empty img { visibility: hidden; }
.is-sold-out img { opacity: .6; }
.badge { position: absolute; left: .5rem; top: .5rem; padding: .15rem .6rem; border-radius: 999px; background: #1d1b19; color: #fff; font-size: .8125rem; }
.price { font-variant-numeric: tabular-nums; }
.price s { margin-left: .5em; color: var(--soft); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.center { text-align: center; }
@media (pointer: coarse) { .camera { display: inline-block; } }
@media (max-width: 40rem) {
  .layer { width: 100vw; height: 100dvh; max-height: none; border-radius: 0; }
  .has-photo .garments { flex-wrap: nowrap; overflow-x: auto; padding: 4px; margin: -4px; }
  .has-photo .chip, .has-photo .quiet { flex: none; padding: .4rem .9rem; }
  .has-photo { gap: .9rem; }
  .body { padding: 1rem; }
  .asked canvas { max-height: 7rem; }
  .has-photo .camera { display: none; }
  .products { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (forced-colors: active) { .chip[aria-pressed=true] { outline: 3px solid; } }
`;
