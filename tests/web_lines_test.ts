/** Tests the functions of the page that need no browser. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Chat, LANGS } from "../mod.ts";
import {
  completions,
  hueOf,
  type Line,
  mentions,
  newLines,
  parseLine,
  splitLinks,
} from "../server/page/lines.ts";

for (const lang of LANGS) {
  Deno.test(`the lines of a room are understood (${lang})`, async () => {
    await using chat = new Chat({ lang, history: 5, motd: "Be kind" });
    await using ann = chat.connect({ name: "ann" });
    const next = async (client = ann): Promise<Line> =>
      parseLine((await client.lines.next()).value);
    const kindOf = async () => (await next()).kind;
    assertEquals(await next(), { kind: "welcome", name: "ann" });
    const alone = await next();
    assertEquals(alone.kind === "greeting" && alone.names, []);
    assertEquals(await next(), { kind: "notice", text: "Be kind" });

    await using ming = chat.connect({ name: "小明" });
    assertEquals(await next(), { kind: "online", name: "小明" });
    assertEquals(await next(ming), { kind: "welcome", name: "小明" });
    const greeting = await next(ming);
    assertEquals(greeting.kind === "greeting" && greeting.names, ["ann"]);
    assertEquals(greeting.kind === "greeting" && greeting.isComplete, true);

    await ming.send("hi: there");
    assertEquals(await next(), {
      kind: "message",
      name: "小明",
      text: "hi: there",
    });
    await ming.send("");
    assertEquals(await next(), { kind: "message", name: "小明", text: "" });
    await ming.send("/me waves");
    assertEquals(await next(), { kind: "action", name: "小明", text: "waves" });
    await ming.send("/msg ann psst: a secret");
    const text = "psst: a secret";
    const secret = { kind: "private", text } as const;
    assertEquals(await next(), { ...secret, name: "小明", isOwn: false });
    await ann.send("/msg 小明 psst: a secret");
    assertEquals(await next(), { ...secret, name: "小明", isOwn: true });
    await ming.send("/nick ming");
    assertEquals(await next(), {
      kind: "renamed",
      name: "小明",
      newName: "ming",
    });
    await ann.send("/who");
    const who = await next();
    assertEquals(who.kind === "who" && who.count, 2);
    assertEquals([await kindOf(), await kindOf()], ["notice", "notice"]);

    await using bob = chat.connect({ name: "bob" });
    const lines = [];
    while (lines.length < 4) lines.push(await next(bob));
    const [history] = lines.slice(-1);
    assertEquals(history.kind === "history" && history.count, 3);
    const lag = history.kind === "history" && Date.now() - +history.time;
    assertEquals(Number(lag) < 120_000, true, "the time is in UTC");
    await ming.close();
    await next();
    assertEquals(await next(), { kind: "offline", name: "ming" });
    void chat.close();
    assertEquals(await kindOf(), "plain");
  });

  Deno.test(`more members than a greeting has are understood (${lang})`, async () => {
    await using chat = new Chat({ lang });
    const names = Array.from({ length: 11 }, (_, i) => `member.${i}`);
    for (const name of names) chat.connect({ name });
    await using ann = chat.connect({ name: "ann" });
    await ann.lines.next();
    const greeting = parseLine((await ann.lines.next()).value);
    assertEquals(greeting.kind === "greeting" && greeting.isComplete, false);
    assertEquals(
      greeting.kind === "greeting" && greeting.names,
      names.slice(0, 10),
    );
  });
}

Deno.test("every message is understood as one of its member", async () => {
  await using chat = new Chat();
  await using ann = chat.connect({ name: "ann" });
  await using bob = chat.connect({ name: "bob", address: "192.0.2.1" });
  const names = ["ann", "bob"];
  while (!(await bob.lines.next()).value.startsWith("-- "));
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme" }), async (text) => {
      if (text.startsWith("/")) return;
      await ann.send(text);
      const line = parseLine((await bob.lines.next()).value);
      assertEquals(line.kind, "message");
      assertEquals(line.kind === "message" && names.includes(line.name), true);
    }),
  );
});

Deno.test("history that was shown is not shown again", () => {
  const cases: [string, string, string][] = [
    ["abc", "", "abc"],
    ["abc", "abc", ""],
    ["abc", "xab", "c"],
    ["abc", "xyz", "abc"],
    ["abc", "bc", ""],
    ["abc", "zabc", ""],
    ["aab", "a", "b"],
    ["abab", "ab", ""],
    ["", "abc", ""],
    ["bcd", "abc", "d"],
  ];
  for (const [history, shown, expected] of cases) {
    assertEquals(newLines([...history], [...shown]).join(""), expected);
  }
});

Deno.test("web addresses are found in text", () => {
  const cases: [string, ...string[]][] = [
    ["no address: http:// or ftp://x.example"],
    ["https://a.example", "https://a.example"],
    ["(see http://a.example/b_(c))", "http://a.example/b_(c"],
    ["a: https://a.example/x?y=1#z, b.", "https://a.example/x?y=1#z"],
    ["见 https://a.example/你好。再见", "https://a.example/你好。再见"],
    ["<https://a.example>", "https://a.example"],
    ["xhttps://a.example"],
    ["HTTPS://a.example"],
    [
      "http://a.example http://b.example",
      "http://a.example",
      "http://b.example",
    ],
  ];
  for (const [text, ...links] of cases) {
    const parts = splitLinks(text);
    assertEquals(parts.join(""), text);
    assertEquals(parts.filter((_, i) => i % 2 === 1), links);
  }
});

Deno.test("mentions are whole words", () => {
  const cases: [string, string, boolean][] = [
    ["hi Ann!", "ann", true],
    ["@ann: hi", "ann", true],
    ["anna", "ann", false],
    ["joann", "ann", false],
    ["ann_b", "ann", false],
    ["问小明一下", "小明", true],
    ["a.b", "a.b", true],
    ["axb", "a.b", false],
    ["hi", "", false],
    ["see 127.0.0.1:50000", "127.0.0.1:50000", true],
  ];
  for (const [text, name, expected] of cases) {
    assertEquals(mentions(text, name), expected, `${text}, ${name}`);
  }
});

Deno.test("words are completed", () => {
  const complete = (text: string) =>
    completions(text, ["ann", "Anna", "bob"], ["/me", "/msg"]);
  assertEquals(complete("an"), ["ann: ", "Anna: "]);
  assertEquals(complete("hi b"), ["hi bob "]);
  assertEquals(complete("/m"), ["/me ", "/msg "]);
  assertEquals(complete("x /m"), []);
  assertEquals(complete("one\nb"), ["one\nbob "]);
  assertEquals(complete(""), []);
  assertEquals(complete("ann "), []);
});

Deno.test("the hue of a name stays and is in range", () => {
  fc.assert(fc.property(fc.string(), (name) => {
    const hue = hueOf(name);
    return hue === hueOf(name) && Number.isInteger(hue) && hue >= 0 &&
      hue < 360;
  }));
});
