// Copyright 2026 the linechat authors. MIT license.

/**
 * Draws docs/web.png: the page for browsers on a desktop and on a phone, in a real
 * conversation. It needs Chromium.
 *
 * ```sh
 * deno run -A scripts/web_picture.ts
 * ```
 */

import { Chat } from "../mod.ts";
import { WebListener } from "../server/web.ts";
import { Browser, type Tab } from "../tests/browser.ts";

const PICTURE = new URL("../docs/web.png", import.meta.url);

/** The height of both pages in the picture, in CSS pixels. */
const HEIGHT = 500;

/** The lines that Ann on the desktop and Bob on the phone send. */
const LINES: [sender: "ann" | "bob", line: string][] = [
  ["bob", "morning! the new build is up"],
  ["ann", "just now: it starts in half the time"],
  ["bob", "/me does a little dance"],
  ["bob", "ann: notes are at https://example.com/notes"],
  ["ann", "/msg mei lunch at one?"],
];

/** Opens the page and joins with a name. */
async function join(tab: Tab, url: string, name: string): Promise<Tab> {
  await tab.go(`${url}#${name}`);
  await tab.until(`field.placeholder.includes("${name}")`);
  return tab;
}

/** Sends a line and waits until another page, or the same one, shows its text. */
async function say(from: Tab, line: string, to: Tab): Promise<void> {
  await from.focus("#field");
  await from.type(line);
  await from.press("Enter");
  const text = line.replace(/^\/(?:me|msg \S+) /, "");
  await to.until(`document.body.innerText.includes(${JSON.stringify(text)})`);
}

/** Puts two pictures side by side, on a transparent background. */
async function compose(
  tab: Tab,
  desktop: Tab,
  phone: Tab,
): Promise<Uint8Array> {
  const [left, right] = await Promise.all(
    [desktop, phone].map(async (tab) => (await tab.screenshot()).toBase64()),
  );
  await tab.evaluate(`document.body.innerHTML = \`
    <style>
      body { display: flex; gap: 24px; margin: 0; padding: 2px }
      img { height: ${HEIGHT}px; border-radius: 8px; outline: 1px solid #8b949e }
    </style>
    <img src="data:image/png;base64,${left}">
    <img src="data:image/png;base64,${right}">\``);
  await tab.until("[...document.images].every((image) => image.complete)");
  const color = { r: 0, g: 0, b: 0, a: 0 };
  await tab.call("Emulation.setDefaultBackgroundColorOverride", { color });
  return await tab.screenshot();
}

await using chat = new Chat();
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const url = `http://127.0.0.1:${listener.addr.port}/`;
chat.serve(new WebListener(listener));
await using browser = await Browser.launch("--hide-scrollbars");
const mei = chat.connect({ name: "mei" });
const drain = async () => {
  for await (const _ of mei.lines);
};
void drain();
/** Opens an empty tab of a size in CSS pixels. */
async function openTab(width: number, height: number): Promise<Tab> {
  const tab = await browser.open("about:blank", { reducedMotion: true });
  const metrics = { width, height, deviceScaleFactor: 1.5, mobile: false };
  await tab.call("Emulation.setDeviceMetricsOverride", metrics);
  return tab;
}
await using ann = await openTab(760, HEIGHT);
await using bob = await browser.open("about:blank", {
  isPhone: true,
  reducedMotion: true,
  scheme: "dark",
});
await using canvas = await openTab(1020, HEIGHT + 4);
await join(ann, url, "ann");
await join(bob, url, "bob");
for (const [sender, line] of LINES) {
  await say(sender === "ann" ? ann : bob, line, ann);
}
await Deno.writeFile(PICTURE, await compose(canvas, ann, bob));
