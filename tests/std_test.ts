/**
 * Holds the stand-ins in `std/` to what the real packages document. It is to pass
 * on these just as well: `std/README.md` says how to have them.
 */

import {
  assert,
  assertEquals,
  AssertionError,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { TextLineStream } from "@std/streams/text-line-stream";

const OPTIONS = {
  boolean: ["help", "version"],
  string: ["port", "lang"],
  alias: { help: "h", version: "V", port: "p" },
} as const;
/** What there is of the booleans where none of them is given. */
const UNSET = { help: false, h: false, version: false, V: false };

Deno.test("parseArgs sets booleans that are not given to false", () => {
  assertEquals(parseArgs([], OPTIONS), { ...UNSET, _: [] });
});

Deno.test("parseArgs sets an option by each of its names", () => {
  for (const arg of ["--help", "--h", "-h"]) {
    assertEquals(parseArgs([arg], OPTIONS), {
      ...UNSET,
      help: true,
      h: true,
      _: [],
    });
  }
});

Deno.test("parseArgs takes a boolean's value behind =, or true and false", () => {
  for (
    const [args, help] of [
      [["--help=false"], false],
      [["--help=true"], true],
      [["--help", "false"], false],
      [["-h", "false"], false],
      [["--help", "true"], true],
    ] as const
  ) {
    assertEquals(parseArgs(args, OPTIONS), {
      ...UNSET,
      help,
      h: help,
      _: [],
    });
  }
});

Deno.test("parseArgs takes no other argument for a boolean's value", () => {
  assertEquals(parseArgs(["--help", "me"], OPTIONS)._, ["me"]);
});

Deno.test("parseArgs takes a string's value in each way of writing it", () => {
  for (
    const args of [
      ["--port", "80"],
      ["--port=80"],
      ["--p=80"],
      ["-p", "80"],
      ["-p=80"],
      ["-p80"],
    ]
  ) {
    assertEquals(parseArgs(args, OPTIONS), {
      ...UNSET,
      port: "80",
      p: "80",
      _: [],
    });
  }
});

Deno.test("parseArgs keeps a string's = signs, spaces and line ends", () => {
  assertEquals(parseArgs(["--lang=a=b c\nd"], OPTIONS).lang, "a=b c\nd");
});

Deno.test("parseArgs gives a string without a value the empty one", () => {
  for (const args of [["--port"], ["--port="], ["-p"], ["--port", "--help"]]) {
    assertEquals(parseArgs(args, OPTIONS).port, "");
  }
});

Deno.test("parseArgs takes a negative number for a value only behind =", () => {
  assertEquals(parseArgs(["--port=-1"], OPTIONS).port, "-1");
  assertEquals(parseArgs(["--port", "-1"], OPTIONS).port, "");
});

Deno.test("parseArgs keeps the last of several values", () => {
  assertEquals(parseArgs(["--port=1", "-p", "2"], OPTIONS).port, "2");
});

Deno.test("parseArgs collects the values of an option that may be repeated", () => {
  const options = { ...OPTIONS, collect: ["port", "lang"] };
  const { port, p, lang } = parseArgs(["--port=1", "-p", "2"], options);
  assertEquals([port, p, lang], [["1", "2"], ["1", "2"], []]);
});

Deno.test("parseArgs reads letters one by one, the last with its value", () => {
  assertEquals(parseArgs(["-hVp", "80"], OPTIONS), {
    help: true,
    h: true,
    version: true,
    V: true,
    port: "80",
    p: "80",
    _: [],
  });
});

Deno.test("parseArgs takes letters behind a string's letter for options", () => {
  const unknown: unknown[] = [];
  parseArgs(["-pab"], {
    ...OPTIONS,
    unknown: (...args) => void unknown.push(args),
  });
  assertEquals(unknown, [["-pab", "a", true], ["-pab", "b", true]]);
});

Deno.test("parseArgs has a default for what is not given, by each name", () => {
  const options = { ...OPTIONS, default: { port: "8000", lang: "en" } };
  assertEquals(parseArgs(["--lang", "zh"], options), {
    ...UNSET,
    port: "8000",
    p: "8000",
    lang: "zh",
    _: [],
  });
});

Deno.test("parseArgs has in _ what has no name, numbers as such", () => {
  assertEquals(parseArgs(["a", "-h", "80", "0x10", "", "-"], OPTIONS)._, [
    "a",
    80,
    16,
    "",
    "-",
  ]);
});

Deno.test("parseArgs takes nothing for an option after --", () => {
  assertEquals(parseArgs(["a", "--", "-h", "80", "--"], OPTIONS), {
    ...UNSET,
    _: ["a", "-h", "80", "--"],
  });
});

Deno.test("parseArgs asks about all that it does not know", () => {
  const asked: unknown[] = [];
  parseArgs(["--foo", "--bar=1", "-x", "a", "--no-help", "b", "--", "c"], {
    ...OPTIONS,
    unknown: (...args) => void asked.push(args),
  });
  assertEquals(asked, [
    ["--foo", "foo", true],
    ["--bar=1", "bar", "1"],
    ["-x", "x", "a"],
    ["--no-help", "no-help", "b"],
  ]);
});

Deno.test("parseArgs asks about an argument without a name only by itself", () => {
  const asked: unknown[] = [];
  parseArgs(["-h", "a"], {
    ...OPTIONS,
    unknown: (...args) => void asked.push(args),
  });
  assertEquals(asked, [["a"]]);
});

Deno.test("parseArgs leaves out the unknown where the answer is false", () => {
  const args = ["--foo", "-x", "a", "--", "b"];
  assertEquals(parseArgs(args, { ...OPTIONS, unknown: () => false }), {
    ...UNSET,
    _: ["b"],
  });
});

Deno.test("parseArgs lets the error of the one it asks through", async () => {
  await assertRejects(
    async () => {
      await undefined;
      parseArgs(["--foo"], {
        unknown(arg) {
          throw new RangeError(`no ${arg}`);
        },
      });
    },
    RangeError,
    "no --foo",
  );
});

/** Asserts that a check fails, and how it says so. */
async function assertFails(check: () => void, message = ""): Promise<void> {
  await assertRejects(
    () => Promise.resolve().then(check),
    AssertionError,
    message,
  );
}

Deno.test("assert passes what is truthy, and fails with the message", async () => {
  assert(true);
  assert("a");
  for (const value of [false, 0, "", null, undefined, NaN]) {
    await assertFails(() => assert(value, "the reason"), "the reason");
  }
});

Deno.test("assertEquals passes what is equal all the way down", () => {
  assertEquals(NaN, NaN);
  assertEquals({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] });
  assertEquals(new Set([1]), new Set([1]));
  assertEquals(new Map([["a", [1]]]), new Map([["a", [1]]]));
  assertEquals(Uint8Array.of(1, 2), Uint8Array.of(1, 2));
});

Deno.test("assertEquals fails for what differs anywhere", async () => {
  for (
    const [actual, expected] of [
      [1, 2],
      [1, "1"],
      [null, undefined],
      [[1], [1, 2]],
      [{ a: { b: 1 } }, { a: { b: 2 } }],
      [{ a: 1 }, { a: 1, b: 2 }],
      [{ a: 1, b: undefined }, { a: 1 }],
      [new Set([1]), new Set([2])],
      [Uint8Array.of(1), Uint8Array.of(2)],
    ] as unknown[][]
  ) {
    await assertFails(() => assertEquals(actual, expected));
    await assertFails(() => assertEquals(actual, expected, "why"), "why");
  }
});

Deno.test("assertMatch passes what matches, and fails for what does not", async () => {
  assertMatch("port 80", /\d+$/);
  await assertFails(() => assertMatch("port", /\d+$/));
  await assertFails(() => assertMatch("port", /\d+$/, "why"), "why");
});

Deno.test("assertRejects returns the error", async () => {
  const error = new TypeError("no such thing");
  assertEquals(
    await assertRejects(() => Promise.reject(error), TypeError, "such"),
    error,
  );
});

Deno.test("assertRejects takes an error of a derived class", async () => {
  await assertRejects(() => Promise.reject(new TypeError()), Error);
});

Deno.test("assertRejects fails where nothing is, or another error", async () => {
  for (
    const fn of [
      () => Promise.resolve(),
      () => Promise.reject(new Error("such")),
      () => Promise.reject(new TypeError("other")),
    ]
  ) {
    const failure = assertRejects(fn, TypeError, "such");
    await assertRejects(() => failure, AssertionError);
  }
});

/** What comes out of the stream for these chunks. */
function lines(...chunks: string[]): Promise<string[]> {
  return Array.fromAsync(
    ReadableStream.from(chunks).pipeThrough(new TextLineStream()),
  );
}

Deno.test("TextLineStream splits at \\n and \\r\\n", async () => {
  assertEquals(await lines("one\ntwo\r\nthree\n"), ["one", "two", "three"]);
});

Deno.test("TextLineStream joins what chunks tore apart", async () => {
  assertEquals(await lines("o", "", "ne\r", "\ntw", "o\n"), ["one", "two"]);
});

Deno.test("TextLineStream keeps empty lines", async () => {
  assertEquals(await lines("\n\r\na\n\n"), ["", "", "a", ""]);
});

Deno.test("TextLineStream keeps a \\r that ends no line", async () => {
  assertEquals(await lines("a\rb\n", "c\r"), ["a\rb", "c\r"]);
});

Deno.test("TextLineStream passes a last line without an end", async () => {
  assertEquals(await lines("one\ntwo"), ["one", "two"]);
});

Deno.test("TextLineStream makes no line of nothing", async () => {
  assertEquals(await lines(), []);
  assertEquals(await lines("", "one\n", ""), ["one"]);
});

Deno.test("TextLineStream passes a line as soon as it is whole", async () => {
  const stream = new TextLineStream();
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  const written = writer.write("one\ntwo");
  assertEquals(await reader.read(), { done: false, value: "one" });
  await written;
  await reader.cancel();
});
