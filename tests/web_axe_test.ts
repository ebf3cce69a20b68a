/** Checks the accessibility of the page by axe-core. */

import { assertEquals } from "@std/assert";
import axe from "axe-core";
import type { Tab, TabOptions } from "./browser.ts";
import { openWebRoom } from "./web_clients.ts";
import { addMember, browserTest, join, open, row, say } from "./web_pages.ts";

interface Violation {
  id: string;
  nodes: { html: string; failureSummary: string }[];
}

/** Checks that axe-core finds no violation in the present state of a page. */
async function check(tab: Tab): Promise<void> {
  await tab.evaluate(axe.source);
  // Animations change colours for a moment.
  await tab.until("document.getAnimations().length === 0");
  const violations = await tab.evaluate<Violation[]>(
    "axe.run().then(({ violations }) => violations)",
  );
  assertEquals(
    violations.map(({ id, nodes }) => [
      id,
      nodes.map(({ html, failureSummary }) => `${html}: ${failureSummary}`),
    ]),
    [],
  );
}

const LAYOUTS: Record<string, TabOptions> = {
  "light": {},
  "dark": { scheme: "dark", lang: "zh-CN" },
  "phone, light": { isPhone: true, lang: "zh-CN" },
  "phone, dark": { isPhone: true, scheme: "dark" },
};

for (const [layout, options] of Object.entries(LAYOUTS)) {
  browserTest(`axe-core finds no violation (${layout})`, async (t) => {
    await using room = openWebRoom({ history: 10, motd: "Be kind" });
    await using ann = addMember(room.chat, "ann");
    await ann.send("an old message");
    await t.step("the question for the name", async () => {
      await using tab = await open(room.url, options);
      await tab.until("door.open");
      await check(tab);
    });
    await using tab = await join(room, "zoe", options);
    await t.step("a room with all kinds of lines", async () => {
      await say(tab, "mine, with a link: https://example.org/");
      await ann.send("hi zoe");
      await ann.send("你好 and שלום");
      await ann.send("/me waves");
      await ann.send("/msg zoe psst");
      await say(tab, "/help");
      await say(tab, "/msg ann psst");
      await row(tab, "private", "psst");
      await row(tab, "notice", "/quit");
      await check(tab);
    });
    await t.step("the list of members", async () => {
      if (!options.isPhone) return;
      await tab.click("#people");
      await check(tab);
      await tab.click("#people");
    });
    await t.step("the question about several lines", async () => {
      await say(tab, "one\ntwo");
      await tab.until("ask.open");
      await check(tab);
      await tab.press("Escape");
      await tab.until("!ask.open");
    });
    await t.step("a closed connection", async () => {
      await room.chat.kick("zoe");
      await tab.until(`document.body.dataset.state === "closed"`);
      await check(tab);
    });
  });
}
