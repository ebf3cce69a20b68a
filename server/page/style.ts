// Copyright 2026 the linechat authors. MIT license.

/** The style sheet of the page. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --back: #fff; --side: #f4f6f8; --text: #1b1f24; --soft: #57606a; --rule: #d8dee4;
  --accent: #0a63c2; --own: #edf4fc; --mention: #fff3c4; --private: #f5edfd;
  --light: .47; --chroma: .13;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #16191d; --side: #1d2126; --text: #e3e6ea; --soft: #9aa4af; --rule: #31373f;
    --accent: #7ab8ff; --own: #1a2836; --mention: #3a3211; --private: #2c2238;
    --light: .8; --chroma: .11;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
button, input, textarea { font: inherit; color: inherit; }
button { border: 1px solid var(--rule); border-radius: 8px; padding: 6px 12px; background: var(--back); white-space: nowrap; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
a { color: var(--accent); }
.main { border-color: var(--accent); background: var(--accent); color: var(--back); font-weight: 600; }
#app {
  display: grid; height: 100vh; height: 100dvh;
  grid: auto minmax(0, 1fr) auto / minmax(0, 1fr) 13rem;
  padding: env(safe-area-inset-top) env(safe-area-inset-right) env(safe-area-inset-bottom) env(safe-area-inset-left);
}
header { grid-column: 1 / 3; display: flex; align-items: center; gap: 8px; padding: 8px 16px; border-bottom: 1px solid var(--rule); }
h1 { margin: 0; font-size: 17px; }
h1::before { content: ""; display: inline-block; width: 9px; height: 9px; margin-inline-end: 8px; border-radius: 50%; background: var(--rule); }
[data-state=open] h1::before { background: #2da44e; }
[data-state=connecting] h1::before { background: #d4a72c; }
[data-state=lost] h1::before, [data-state=closed] h1::before { background: #cf222e; }
#bell { margin-inline-start: auto; }
#bell[aria-pressed=true] { background: var(--mention); }
main { position: relative; }
#log { height: 100%; overflow-y: auto; overflow-wrap: anywhere; padding: 8px 0; }
p { margin: 0; }
.row { display: grid; grid-template-columns: 2.5rem 8rem minmax(0, 1fr); gap: 0 12px; padding: 2px 16px; }
time { color: var(--soft); font-size: 12px; line-height: 22px; }
.name { color: oklch(var(--light) var(--chroma) var(--hue)); font-weight: 600; }
.row .name { overflow: hidden; text-align: right; text-overflow: ellipsis; white-space: nowrap; }
.text { grid-column: 3; white-space: pre-wrap; }
.own { background: var(--own); }
.mention { background: var(--mention); }
.private { background: var(--private); }
em { color: var(--soft); font-size: 13px; }
.action .name::before { content: "* "; }
.action .text { font-style: italic; }
.event, .old .text, .notice .text { color: var(--soft); }
.event .name { font-weight: 400; }
.notice .text { font: 13px/1.5 ui-monospace, monospace; }
.notice + .notice:not(:has(time)) { padding-block: 0; line-height: 1; }
.divider { display: flex; align-items: center; gap: 12px; padding: 8px 16px; color: var(--soft); font-size: 13px; }
.divider::before, .divider::after { content: ""; flex: 1; border-top: 1px solid var(--rule); }
#latest { position: absolute; bottom: 12px; left: 50%; transform: translateX(-50%); border-radius: 20px; }
aside { grid-row: 2 / 4; grid-column: 2; overflow-y: auto; padding: 8px; border-inline-start: 1px solid var(--rule); background: var(--side); }
#count { padding: 4px 8px 8px; color: var(--soft); font-size: 13px; }
ul { margin: 0; padding: 0; list-style: none; }
aside li { padding: 4px 8px; color: var(--soft); }
aside li:has(button) { padding: 0; }
aside button { width: 100%; padding: 4px 8px; border: 0; background: none; overflow-wrap: anywhere; text-align: left; white-space: normal; }
aside button:hover { background: var(--back); }
footer { padding: 8px 16px 12px; border-top: 1px solid var(--rule); }
#state { display: flex; align-items: center; gap: 12px; color: var(--soft); }
#state:has(#status:not(:empty)) { padding-bottom: 8px; }
#composer { display: flex; align-items: end; gap: 8px; }
textarea, input { width: 100%; padding: 8px 12px; border: 1px solid var(--soft); border-radius: 8px; background: var(--back); font-size: 16px; }
textarea:focus-visible, input:focus-visible { outline-offset: -2px; }
textarea { max-height: 30vh; resize: none; }
#composer button { padding: 9px 16px; }
dialog { width: min(24rem, 100% - 32px); padding: 24px; border: 1px solid var(--rule); border-radius: 12px; background: var(--back); color: var(--text); }
dialog::backdrop { background: #0008; }
h2 { margin: 0 0 12px; font-size: 18px; }
dialog label { display: block; font-weight: 600; }
dialog small { display: block; margin: 4px 0 0; color: var(--soft); font-weight: 400; }
dialog button { width: 100%; margin-top: 12px; padding: 9px; }
#problem { color: light-dark(#b3261e, #ff8d85); }
svg { display: block; width: 20px; fill: currentColor; }
#people { display: none; }
@media (max-width: 700px) {
  #app { grid-template-columns: minmax(0, 1fr); }
  header { grid-column: 1; padding: 8px 12px; }
  #people:not(:empty) { display: block; }
  aside { display: none; }
  #count { display: none; }
  .open aside { display: block; grid-row: 2; grid-column: 1; border: 0; z-index: 1; }
  main { grid-row: 2; grid-column: 1; }
  .row { display: block; padding: 3px 12px; }
  .row .name { white-space: normal; }
  time { float: right; margin-inline-start: 8px; }
  footer { padding: 8px 12px; }
}
@media (prefers-reduced-motion: no-preference) {
  .row:last-child { animation: appear .2s; }
  @keyframes appear { from { opacity: 0; } }
}
`;
