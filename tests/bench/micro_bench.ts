/** Measures parts of the chat alone: `deno task bench:micro`. */

import { Chat, splitLines } from "../../mod.ts";

const encoder = new TextEncoder();

/** Returns 1 MB of lines, in chunks as large as one read. */
function chunksOf(lineSize: number): Uint8Array<ArrayBuffer>[] {
  const text = `${"x".repeat(lineSize - 1)}\n`.repeat(1_000_000 / lineSize);
  const bytes = encoder.encode(text);
  const size = 16 * 1024;
  return Array.from(
    { length: Math.ceil(bytes.length / size) },
    (_, i) => bytes.subarray(i * size, (i + 1) * size),
  );
}

for (const size of [10, 64, 1000, 50_000]) {
  const chunks = chunksOf(size);
  const group = `1 MB in lines of ${size} bytes`;
  Deno.bench("splitLines", { group, baseline: true }, async () => {
    for await (const _ of splitLines(ReadableStream.from(chunks)));
  });
  Deno.bench("TextDecoderStream and split", { group }, async () => {
    let rest = "";
    const texts = ReadableStream.from(chunks)
      .pipeThrough(new TextDecoderStream());
    for await (const text of texts) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
    }
  });
}

/** Keeps the last chunk and discards the others. */
class Sink extends WritableStream<Uint8Array> {
  last: Uint8Array = new Uint8Array();
  constructor() {
    super({ write: (chunk) => void (this.last = chunk) });
  }
}

/** Waits until all sinks have received a line. */
async function reached(sinks: Sink[], end: string): Promise<void> {
  const tail = encoder.encode(end + "\n");
  const hasIt = ({ last }: Sink) =>
    tail.every((byte, i) => last[last.length - tail.length + i] === byte);
  while (!sinks.every(hasIt)) await new Promise(setImmediate);
}

for (const clients of [10, 100, 1000]) {
  const group = `100 chunks of 64 KiB to ${clients} clients`;
  const chunk = new Uint8Array(64 * 1024).fill(0x78);
  const source = () => ReadableStream.from(Array(100).fill(chunk));
  Deno.bench("a loop over writers", { group, baseline: true }, async () => {
    const writers = Array.from(
      { length: clients },
      () => new Sink().getWriter(),
    );
    for await (const chunk of source()) {
      await Promise.all(writers.map((writer) => writer.write(chunk)));
    }
  });
  Deno.bench("tee and pipeTo", { group }, async () => {
    let trunk: ReadableStream<Uint8Array> = source();
    const piped: Promise<void>[] = [];
    for (let i = 1; i < clients; i++) {
      const [branch, rest] = trunk.tee();
      piped.push(branch.pipeTo(new Sink()));
      trunk = rest;
    }
    await Promise.all([...piped, trunk.pipeTo(new Sink())]);
  });
}

for (const clients of [10, 100, 1000]) {
  const group = `10,000 lines sent to ${clients} clients in memory`;
  for (const lines of [1, 100]) {
    Deno.bench(`${lines} at a time`, { group }, async (bench) => {
      await using chat = new Chat();
      const inputs: ReadableStreamDefaultController<Uint8Array>[] = [];
      const sinks: Sink[] = [];
      for (let port = 1; port <= clients; port++) {
        const writable = new Sink();
        sinks.push(writable);
        chat.handleConn({
          readable: new ReadableStream({
            start: (controller) => void inputs.push(controller),
          }),
          writable,
          remoteAddr: { hostname: "192.0.2.1", port },
        });
      }
      const text = Array(lines).fill("x".repeat(60)).join("\n");
      await chat.say("bot", "begin");
      await reached(sinks, "begin");
      bench.start();
      for (let i = 0; i < 10_000; i += lines) await chat.say("bot", text);
      await chat.say("bot", "end");
      await reached(sinks, "end");
      bench.end();
      for (const input of inputs) input.close();
    });
  }
}
