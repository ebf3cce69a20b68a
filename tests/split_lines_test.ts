import { assert, assertEquals } from "@std/assert";
import { splitLines } from "../mod.ts";

const encoder = new TextEncoder();

/** Splits chunks. Returns the lines and the number of lines that were too long. */
async function split(
  chunks: (string | Uint8Array)[],
  options?: Parameters<typeof splitLines>[1],
): Promise<{ lines: string[]; tooLong: number }> {
  let tooLong = 0;
  const bytes = chunks.map((c) =>
    typeof c === "string" ? encoder.encode(c) : c
  );
  const lines = await Array.fromAsync(
    splitLines(ReadableStream.from(bytes), {
      ...options,
      onTooLong: () => tooLong++,
    }),
  );
  return { lines: lines.flat(), tooLong };
}

async function assertLines(
  chunks: (string | Uint8Array)[],
  lines: string[],
  options?: Parameters<typeof splitLines>[1],
) {
  assertEquals(await split(chunks, options), { lines, tooLong: 0 });
}

Deno.test("splitLines splits at newlines", async () => {
  await assertLines(["one\ntwo\nthree\n"], ["one", "two", "three"]);
});

Deno.test("splitLines joins lines that span chunks", async () => {
  await assertLines(["o", "ne\nt", "w", "o", "\n", "three\n"], [
    "one",
    "two",
    "three",
  ]);
});

Deno.test("splitLines yields the lines of a chunk at once", async () => {
  const chunks = ReadableStream.from([
    encoder.encode("a\nb\nc"),
    encoder.encode("\n"),
  ]);
  assertEquals(await Array.fromAsync(splitLines(chunks)), [["a", "b"], ["c"]]);
});

Deno.test("splitLines keeps empty lines", async () => {
  await assertLines(["\n\na\n\n"], ["", "", "a", ""]);
});

Deno.test("splitLines yields a last line without a newline", async () => {
  await assertLines(["one\ntwo"], ["one", "two"]);
});

Deno.test("splitLines yields no line for empty input", async () => {
  await assertLines([], []);
  await assertLines(["one\n"], ["one"]);
});

Deno.test("splitLines accepts CRLF, also in two chunks", async () => {
  await assertLines(["one\r\ntwo\r", "\nthree\r\n"], ["one", "two", "three"]);
});

Deno.test("splitLines decodes characters that span chunks", async () => {
  const bytes = encoder.encode("你好，🌍\n");
  await assertLines(Array.from(bytes, (byte) => Uint8Array.of(byte)), [
    "你好，🌍",
  ]);
});

Deno.test("splitLines replaces invalid UTF-8 and keeps the rest", async () => {
  await assertLines([
    Uint8Array.of(0x61, 0xff, 0x62, 0x0a, 0xe4, 0xbd, 0x0a, 0x63, 0x0a),
  ], ["a\ufffdb", "\ufffd", "c"]);
});

Deno.test("splitLines keeps a byte order mark", async () => {
  await assertLines(["\ufeffone\n"], ["\ufeffone"]);
});

Deno.test("splitLines removes control characters except tab", async () => {
  for (let code = 0; code < 0xa0; code++) {
    if (code >= 0x20 && code < 0x7f || code === 0x0a) continue;
    const char = String.fromCharCode(code);
    await assertLines([`a${char}b\n`], [code === 0x09 ? "a\tb" : "ab"]);
  }
});

Deno.test("splitLines removes bidirectional controls and line separators", async () => {
  const removed =
    "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069";
  for (const char of removed) await assertLines([`a${char}b\n`], ["ab"]);
  const kept = "a\u00a0\u200d\u2027\u202f\u2065\u206a é 你 🏳️‍🌈 שלום";
  await assertLines([`${kept}\n`], [kept]);
});

Deno.test("splitLines does not let a carriage return overwrite a line", async () => {
  await assertLines(["127.0.0.1:1: all is lost\rBob: all is well\r\n"], [
    "127.0.0.1:1: all is lostBob: all is well",
  ]);
});

Deno.test("splitLines accepts a line of maxLine bytes without its end", async () => {
  for (const end of ["\n", "\r\n", ""]) {
    await assertLines([`12345${end}`], ["12345"], { maxLine: 5 });
    await assertLines(["123", `45${end}`], ["12345"], { maxLine: 5 });
    await assertLines([`a\n12345${end}`], ["a", "12345"], { maxLine: 5 });
  }
  await assertLines(["12345\r", "\n"], ["12345"], { maxLine: 5 });
});

Deno.test("splitLines counts the bytes of a line, not its characters", async () => {
  await assertLines(["你\n"], ["你"], { maxLine: 3 });
  assertEquals(await split(["你\n"], { maxLine: 2 }), {
    lines: [],
    tooLong: 1,
  });
});

Deno.test("splitLines discards a longer line and calls onTooLong once", async () => {
  for (
    const chunks of [
      ["one\n123456\ntwo\n"],
      ["one\n123456", "7890", "\ntwo\n"],
      ["one\n1234", "56\ntwo\n"],
      ["one\n12345\r", "6\ntwo\n"],
      Array.from("one\n123456\ntwo\n"),
    ]
  ) {
    assertEquals(await split(chunks, { maxLine: 5 }), {
      lines: ["one", "two"],
      tooLong: 1,
    });
  }
});

Deno.test("splitLines calls onTooLong for each line that is too long", async () => {
  assertEquals(await split(["123\n123\n1\n123"], { maxLine: 2 }), {
    lines: ["1"],
    tooLong: 3,
  });
});

Deno.test("splitLines calls onTooLong before the end of the line", async () => {
  let tooLong = false;
  async function* endless() {
    while (!tooLong) yield encoder.encode("x".repeat(1000));
    yield encoder.encode("\nnext\n");
  }
  const lines = await Array.fromAsync(
    splitLines(endless(), { onTooLong: () => tooLong = true }),
  );
  assertEquals(lines, [["next"]]);
  assert(tooLong);
});

Deno.test("splitLines accepts chunks that share a buffer", async () => {
  async function* chunks() {
    const buffer = new Uint8Array(4);
    for (const piece of ["one\n", "two-", "two\n"]) {
      encoder.encodeInto(piece, buffer);
      yield buffer;
    }
  }
  assertEquals(await Array.fromAsync(splitLines(chunks())), [
    ["one"],
    ["two-two"],
  ]);
});
