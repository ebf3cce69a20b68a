/** Tests the parts of the client that measure, style and parse text. */

import { assert, assertEquals } from "@std/assert";
import { Colours } from "../netcat/colours.ts";
import { Formatter } from "../netcat/format.ts";
import { type Input, InputParser } from "../netcat/keys.ts";
import { parseLine } from "../netcat/protocol.ts";
import { PALETTE } from "../netcat/style.ts";
import { cut, widthOf, wrap } from "../netcat/width.ts";

// deno-lint-ignore no-control-regex
const STYLES = /\x1b\[[\d;:]*m/g;

Deno.test("widthOf counts wide, combining and invisible characters", () => {
  assertEquals(widthOf("abc"), 3);
  assertEquals(widthOf("中文，"), 6);
  assertEquals(widthOf("😀"), 2);
  assertEquals(widthOf("e\u0301\u200b"), 1);
  assertEquals(widthOf("\x1b[38:2::1:2:3mab\x1b[39m"), 2);
});

Deno.test("cut shortens a text to its columns", () => {
  assertEquals(cut("abc", 3), "abc");
  assertEquals(cut("abcd", 3), "ab…");
  assertEquals(cut("中文字", 4), "中…");
});

Deno.test("wrap breaks lines at words and indents the rows that follow", () => {
  assertEquals(
    wrap("bob: one two three four", 12, 2),
    "bob: one two\n  three four",
  );
  assertEquals(wrap("bob: one", 8, 2), "bob: one");
});

Deno.test("wrap breaks a word that is longer than a row", () => {
  assertEquals(wrap("a 1234567890", 6, 2), "a 1234\n  5678\n  90");
});

Deno.test("wrap breaks between wide characters, but not before punctuation", () => {
  assertEquals(wrap("anna: 你好世界，再见", 12, 2), "anna: 你好世\n  界，再见");
  assertEquals(wrap("中中中中，", 8, 2), "中中中\n  中，");
});

Deno.test("wrap counts no columns for styles", () => {
  const red = (text: string) => `\x1b[31m${text}\x1b[39m`;
  assertEquals(
    wrap(`${red("bob")}: one two`, 8, 2),
    `${red("bob")}: one\n  two`,
  );
});

Deno.test("wrap indents a row that imitates another member", () => {
  const row = `mallory: nice day${" ".repeat(63)}bob: I give up`;
  assertEquals(
    wrap(row, 80, 2),
    "mallory: nice day\n  bob: I give up",
  );
});

Deno.test("wrap takes time that is linear in the length of a line", () => {
  const start = performance.now();
  for (const line of ["x".repeat(1e6), " x".repeat(5e5), "中".repeat(1e6)]) {
    wrap(line, 80, 2);
  }
  assert(performance.now() - start < 20_000);
});

Deno.test("each of 16 colours has a contrast of 4.5 with black and white", () => {
  const linear = (value: number) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  assertEquals(new Set(PALETTE.map(({ rgb }) => rgb.join())).size, 16);
  for (const { rgb: [red, green, blue] } of PALETTE) {
    const luminance = 0.2126 * linear(red) + 0.7152 * linear(green) +
      0.0722 * linear(blue);
    const contrasts = [(luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)];
    assert(Math.min(...contrasts) >= 4.5, `${[red, green, blue]} ${contrasts}`);
  }
});

Deno.test("16 members have 16 colours", () => {
  const colours = new Colours();
  const names = Array.from({ length: 16 }, (_, i) => `member-${i}`);
  for (const name of names) colours.add(name);
  assertEquals(new Set(names.map((name) => colours.get(name))).size, 16);
  // One more member shares a colour until another one leaves.
  colours.delete("member-3");
  colours.add("ann");
  const all = ["ann", ...names.filter((name) => name !== "member-3")];
  assertEquals(new Set(all.map((name) => colours.get(name))).size, 16);
});

Deno.test("a member keeps its colour with another name", () => {
  const colours = new Colours();
  for (const name of ["ann", "bob", "cat"]) colours.add(name);
  const colour = colours.get("bob");
  colours.rename("bob", "dan");
  assertEquals(colours.get("dan"), colour);
});

/** Formats lines at given times, without styles. */
function formatted(
  lines: { raw: string; time: string; isReplayed?: boolean }[],
  withTime = true,
): string[] {
  const formatter = new Formatter(withTime, "en", new Colours());
  return lines.map(({ raw, time, isReplayed }) =>
    formatter.item(
      { raw, line: parseLine(raw), isReplayed },
      "ann",
      new Date(`2026-${time}`),
      80,
    ).replace(STYLES, "")
  );
}

Deno.test("each line starts with its time, and a note marks a new day", () => {
  assertEquals(
    formatted([
      { raw: "bob: late", time: "11-24T23:59" },
      { raw: "bob: early", time: "11-25T00:00" },
      { raw: "bob: old", time: "11-25T00:00", isReplayed: true },
    ]),
    [
      "23:59 bob: late\n",
      "      == Wednesday, November 25, 2026\n00:00 bob: early\n",
      "    │ bob: old\n",
    ],
  );
  assertEquals(
    formatted([
      { raw: "bob: hi", time: "11-25T00:00" },
      { raw: "bob: old", time: "11-25T00:00", isReplayed: true },
    ], false),
    ["bob: hi\n", "│ bob: old\n"],
  );
});

Deno.test("own lines, mentions, private messages and notices have different styles", () => {
  const formatter = new Formatter(false, "en", new Colours());
  const style = (raw: string, flags = {}) =>
    formatter.item(
      { raw, line: parseLine(raw), ...flags },
      "ann",
      new Date(),
      80,
    )
      // deno-lint-ignore no-control-regex
      .replace(/\x1b\[3[89][\d;:]*m/g, "").trimEnd();
  assertEquals(style("bob: hi"), "bob: hi");
  assertEquals(style("ann: hi", { isOwn: true }), "\x1b[1mann\x1b[22m: hi");
  assertEquals(
    style("bob: hi Ann!", { isMention: true }),
    "\x1b[1mbob: hi \x1b[7mAnn\x1b[27m!\x1b[22m",
  );
  assertEquals(
    style("bob (private): hi", { isMention: true }),
    "\x1b[4mbob (private):\x1b[24m hi",
  );
  assertEquals(
    style("（私聊）→ bob: hi", { isOwn: true }),
    "\x1b[4m（私聊）→ bob:\x1b[24m hi",
  );
  assertEquals(
    style("(private) → p: p\t!", { isOwn: true }),
    "\x1b[4m(private) → p:\x1b[24m p    !",
  );
  assertEquals(style("* bob waves"), "* bob waves");
  assertEquals(style("-- hi"), "\x1b[2m-- hi\x1b[22m");
  assertEquals(style("bob is online"), "\x1b[2mbob is online\x1b[22m");
});

/** Parses input in pieces. */
function parse(...pieces: string[]): Input[] {
  const parser = new InputParser();
  return pieces.flatMap((piece) => [...parser.parse(piece)]);
}

Deno.test("InputParser separates pastes and changes of focus from keys", () => {
  assertEquals(parse("a\x1b[200~one\ntwo\x1b[201~b\x1b[I\x1b[Oc\x1b[A"), [
    { type: "keys", text: "a" },
    { type: "paste", text: "one\ntwo" },
    { type: "keys", text: "b" },
    { type: "focus", hasFocus: true },
    { type: "focus", hasFocus: false },
    { type: "keys", text: "c\x1b[A" },
  ]);
});

Deno.test("InputParser finds a paste wherever its bytes are split", () => {
  const text = "\x1b[200~one\x1b[201~";
  for (let i = 1; i < text.length; i++) {
    const input = parse(text.slice(0, i), text.slice(i));
    assertEquals(input, [{ type: "paste", text: "one" }]);
  }
});

Deno.test("InputParser returns the Escape key", () => {
  const parser = new InputParser();
  assertEquals([...parser.parse("\x1b")], []);
  assert(parser.isUnfinished);
  assertEquals(parser.flush(), "\x1b");
});
