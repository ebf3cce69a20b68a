/**
 * Checks that the stand-ins in `std/` behave like the real packages. The tests also
 * pass with those: see `std/README.md`.
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
/** The booleans of a command line without options. */
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

Deno.test("parseArgs accepts true and false as the value of a boolean", () => {
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

Deno.test("parseArgs accepts no other argument as the value of a boolean", () => {
  assertEquals(parseArgs(["--help", "me"], OPTIONS)._, ["me"]);
});

Deno.test("parseArgs accepts the value of a string in each form", () => {
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

Deno.test("parseArgs keeps = signs, spaces and line ends in a value", () => {
  assertEquals(parseArgs(["--lang=a=b c\nd"], OPTIONS).lang, "a=b c\nd");
});

Deno.test("parseArgs returns an empty string for a missing value", () => {
  for (const args of [["--port"], ["--port="], ["-p"], ["--port", "--help"]]) {
    assertEquals(parseArgs(args, OPTIONS).port, "");
  }
});

Deno.test("parseArgs accepts a negative number only after =", () => {
  assertEquals(parseArgs(["--port=-1"], OPTIONS).port, "-1");
  assertEquals(parseArgs(["--port", "-1"], OPTIONS).port, "");
});

Deno.test("parseArgs keeps the last of several values", () => {
  assertEquals(parseArgs(["--port=1", "-p", "2"], OPTIONS).port, "2");
});

Deno.test("parseArgs collects the values of a repeated option", () => {
  const options = { ...OPTIONS, collect: ["port", "lang"] };
  const { port, p, lang } = parseArgs(["--port=1", "-p", "2"], options);
  assertEquals([port, p, lang], [["1", "2"], ["1", "2"], []]);
});

Deno.test("parseArgs splits joined letters, and the last one can have a value", () => {
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

Deno.test("parseArgs reads letters after that of a string as options", () => {
  const calls: unknown[] = [];
  parseArgs(["-pab"], {
    ...OPTIONS,
    unknown: (...args) => void calls.push(args),
  });
  assertEquals(calls, [["-pab", "a", true], ["-pab", "b", true]]);
});

Deno.test("parseArgs sets defaults by each name of an option", () => {
  const options = { ...OPTIONS, default: { port: "8000", lang: "en" } };
  assertEquals(parseArgs(["--lang", "zh"], options), {
    ...UNSET,
    port: "8000",
    p: "8000",
    lang: "zh",
    _: [],
  });
});

Deno.test("parseArgs returns other arguments in _, and converts numbers", () => {
  assertEquals(parseArgs(["a", "-h", "80", "0x10", "", "-"], OPTIONS)._, [
    "a",
    80,
    16,
    "",
    "-",
  ]);
});

Deno.test("parseArgs finds no options after --", () => {
  assertEquals(parseArgs(["a", "--", "-h", "80", "--"], OPTIONS), {
    ...UNSET,
    _: ["a", "-h", "80", "--"],
  });
});

Deno.test("parseArgs calls unknown for each unknown option", () => {
  const calls: unknown[] = [];
  parseArgs(["--foo", "--bar=1", "-x", "a", "--no-help", "b", "--", "c"], {
    ...OPTIONS,
    unknown: (...args) => void calls.push(args),
  });
  assertEquals(calls, [
    ["--foo", "foo", true],
    ["--bar=1", "bar", "1"],
    ["-x", "x", "a"],
    ["--no-help", "no-help", "b"],
  ]);
});

Deno.test("parseArgs calls unknown with one argument for an operand", () => {
  const calls: unknown[] = [];
  parseArgs(["-h", "a"], {
    ...OPTIONS,
    unknown: (...args) => void calls.push(args),
  });
  assertEquals(calls, [["a"]]);
});

Deno.test("parseArgs omits an argument for which unknown returns false", () => {
  const args = ["--foo", "-x", "a", "--", "b"];
  assertEquals(parseArgs(args, { ...OPTIONS, unknown: () => false }), {
    ...UNSET,
    _: ["b"],
  });
});

Deno.test("parseArgs passes on an error of unknown", async () => {
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

/** Asserts that a check fails with a message. */
async function assertFails(check: () => void, message = ""): Promise<void> {
  await assertRejects(
    () => Promise.resolve().then(check),
    AssertionError,
    message,
  );
}

Deno.test("assert accepts truthy values, and fails with the message", async () => {
  assert(true);
  assert("a");
  for (const value of [false, 0, "", null, undefined, NaN]) {
    await assertFails(() => assert(value, "the reason"), "the reason");
  }
});

Deno.test("assertEquals accepts values that are deeply equal", () => {
  assertEquals(NaN, NaN);
  assertEquals({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] });
  assertEquals(new Set([1]), new Set([1]));
  assertEquals(new Map([["a", [1]]]), new Map([["a", [1]]]));
  assertEquals(Uint8Array.of(1, 2), Uint8Array.of(1, 2));
});

Deno.test("assertEquals fails for values that differ", async () => {
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

Deno.test("assertMatch accepts a match, and fails without one", async () => {
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

Deno.test("assertRejects accepts an error of a derived class", async () => {
  await assertRejects(() => Promise.reject(new TypeError()), Error);
});

Deno.test("assertRejects fails without an error and for another error", async () => {
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

/** Returns the lines of a stream of chunks. */
function lines(...chunks: string[]): Promise<string[]> {
  return Array.fromAsync(
    ReadableStream.from(chunks).pipeThrough(new TextLineStream()),
  );
}

Deno.test("TextLineStream splits at \\n and \\r\\n", async () => {
  assertEquals(await lines("one\ntwo\r\nthree\n"), ["one", "two", "three"]);
});

Deno.test("TextLineStream joins lines that span chunks", async () => {
  assertEquals(await lines("o", "", "ne\r", "\ntw", "o\n"), ["one", "two"]);
});

Deno.test("TextLineStream keeps empty lines", async () => {
  assertEquals(await lines("\n\r\na\n\n"), ["", "", "a", ""]);
});

Deno.test("TextLineStream keeps a \\r that is not at the end of a line", async () => {
  assertEquals(await lines("a\rb\n", "c\r"), ["a\rb", "c\r"]);
});

Deno.test("TextLineStream yields a last line without an end", async () => {
  assertEquals(await lines("one\ntwo"), ["one", "two"]);
});

Deno.test("TextLineStream yields no line for empty input", async () => {
  assertEquals(await lines(), []);
  assertEquals(await lines("", "one\n", ""), ["one"]);
});

Deno.test("TextLineStream yields a line as soon as it is complete", async () => {
  const stream = new TextLineStream();
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  const written = writer.write("one\ntwo");
  assertEquals(await reader.read(), { done: false, value: "one" });
  await written;
  await reader.cancel();
});
