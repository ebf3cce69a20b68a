import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { FrameDecoder, ProtocolError, textFrame } from "../server/frames.ts";
import { Heartbeat, WebSocketConn } from "../server/websocket.ts";
import { clientFrame, MemoryTransport, Opcode } from "./websockets.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Joins arrays of bytes. */
function concat(...chunks: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

/** Decodes chunks of bytes through a buffer of some size. */
function decodeAll(
  chunks: Uint8Array<ArrayBuffer>[],
  size = 1000,
): { text: string; decoder: FrameDecoder } {
  const frames = new FrameDecoder();
  const buffer = new Uint8Array(size);
  const parts: Uint8Array[] = [];
  for (const chunk of chunks) {
    frames.push(chunk);
    for (let count; (count = frames.decode(buffer)) > 0;) {
      parts.push(buffer.slice(0, count));
    }
  }
  return { text: decoder.decode(concat(...parts)), decoder: frames };
}

/** A WebSocket, and its client in memory. */
function connect(options = {}): {
  client: MemoryTransport;
  socket: WebSocketConn;
} {
  const client = new MemoryTransport();
  return { client, socket: new WebSocketConn(client, options) };
}

/** Reads from a WebSocket once. */
async function readText(socket: WebSocketConn): Promise<string | null> {
  const buffer = new Uint8Array(1000);
  const size = await socket.read(buffer);
  return size === null ? null : decoder.decode(buffer.subarray(0, size));
}

Deno.test("a frame of the server has a header of the right size", () => {
  const headers: [number, number[]][] = [
    [0, [0x81, 0]],
    [125, [0x81, 125]],
    [126, [0x81, 126, 0, 126]],
    [65_535, [0x81, 126, 0xff, 0xff]],
    [65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
  ];
  for (const [length, header] of headers) {
    const frame = textFrame(new Uint8Array(length));
    assertEquals([...frame.subarray(0, header.length)], header);
    assertEquals(frame.length, header.length + length);
  }
});

Deno.test("frames are decoded, however they are fragmented and split", () => {
  const message = fc.tuple(
    fc.string({ unit: "grapheme", maxLength: 300 }),
    fc.array(fc.nat(), { maxLength: 4 }), // where it is split into fragments
    fc.boolean(), // whether a control frame comes between them
  );
  const byte = fc.nat(255);
  const mask = fc.tuple(byte, byte, byte, byte);
  fc.assert(fc.property(
    fc.array(message, { maxLength: 10 }),
    fc.array(fc.nat(), { maxLength: 20 }),
    fc.integer({ min: 1, max: 500 }),
    mask,
    (messages, cuts, bufferSize, mask) => {
      const frames = messages.flatMap(([text, splits, hasControl]) => {
        const fragments = split(encoder.encode(text), splits);
        return fragments.flatMap((fragment, i) => {
          const opcode = i === 0 ? Opcode.text : Opcode.continuation;
          const isFinal = i === fragments.length - 1;
          const control = hasControl
            ? [clientFrame(i % 2 ? Opcode.ping : Opcode.pong, text.slice(0, 9))]
            : [];
          return [...control, clientFrame(opcode, fragment, { isFinal, mask })];
        });
      });
      const chunks = split(concat(...frames), cuts);
      const { text, decoder } = decodeAll(chunks, bufferSize);
      assertEquals(decoder.failure, undefined);
      assertEquals(text, messages.map(([text]) => `${text}\n`).join(""));
    },
  ));
});

/** Splits bytes at some places. */
function split(bytes: Uint8Array, places: number[]): Uint8Array<ArrayBuffer>[] {
  const ends = places.map((place) => place % (bytes.length + 1));
  return [0, ...ends.sort((a, b) => a - b)].map((start, i, starts) =>
    bytes.slice(start, starts[i + 1])
  );
}

Deno.test("random bytes never make the decoder fail unexpectedly", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }),
      (chunks) => void decodeAll(chunks as Uint8Array<ArrayBuffer>[]),
    ),
    { numRuns: 1000 },
  );
});

const [a, text] = [encoder.encode("a"), encoder.encode("text")];
const VIOLATIONS: Record<string, [number, ...Uint8Array<ArrayBuffer>[]]> = {
  "a frame that is not masked": [1002, Uint8Array.of(0x81, 1, 0x61)],
  "a reserved bit": [1002, clientFrame(0x40 | Opcode.text, a)],
  "an unknown opcode": [1002, clientFrame(3, a)],
  "an unknown control opcode": [1002, clientFrame(11, a)],
  "a continuation without a message": [
    1002,
    clientFrame(Opcode.continuation, a),
  ],
  "a message within a message": [
    1002,
    clientFrame(Opcode.text, a, { isFinal: false }),
    clientFrame(Opcode.text, a),
  ],
  "a fragmented ping": [
    1002,
    clientFrame(Opcode.ping, a, { isFinal: false }),
  ],
  "a ping of 126 bytes": [
    1002,
    clientFrame(Opcode.ping, new Uint8Array(126)),
  ],
  "a negative length": [
    1002,
    Uint8Array.of(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0),
  ],
  "a close frame with half a code": [1002, clientFrame(Opcode.close, a)],
  "close code 1005": [1002, clientFrame(Opcode.close, Uint8Array.of(3, 237))],
  "close code 999": [1002, clientFrame(Opcode.close, Uint8Array.of(3, 231))],
  "a close reason that is not UTF-8": [
    1007,
    clientFrame(Opcode.close, Uint8Array.of(3, 232, 0xff)),
  ],
  "a binary message": [1003, clientFrame(Opcode.binary, a)],
  "text that is not UTF-8": [
    1007,
    clientFrame(Opcode.text, Uint8Array.of(0xc3, 0x28)),
  ],
  "text that ends within a character": [
    1007,
    clientFrame(Opcode.text, Uint8Array.of(0xe4, 0xbd)),
  ],
  "a character that a fragment does not complete": [
    1007,
    clientFrame(Opcode.text, Uint8Array.of(0xe4, 0xbd), { isFinal: false }),
    clientFrame(Opcode.continuation, a),
  ],
};

Deno.test("a violation of the protocol is answered by its close code", async (t) => {
  for (const [name, [code, ...frames]] of Object.entries(VIOLATIONS)) {
    await t.step(name, async () => {
      const { client, socket } = connect();
      client.send(clientFrame(Opcode.text, text), ...frames);
      client.send(clientFrame(Opcode.text, "ignored"));
      client.end();
      assertEquals(await readText(socket), "text\n");
      let rest = "";
      await assertRejects(async () => {
        for (let part; (part = await readText(socket));) rest += part;
      }, ProtocolError);
      assert(!rest.includes("ignored"), rest);
      assertEquals(await readText(socket), null, "the rest is discarded");
      await socket.closeWrite();
      assertEquals(await client.nextFrame(), {
        opcode: Opcode.close,
        text: "",
        code,
      });
      assert(client.isHalfClosed);
    });
  }
});

Deno.test("a character can be split between fragments and reads", async () => {
  const { client, socket } = connect();
  const [first, ...others] = encoder.encode("你");
  client.send(
    clientFrame(Opcode.text, Uint8Array.of(first), { isFinal: false }),
    clientFrame(Opcode.continuation, Uint8Array.from(others)),
  );
  const buffer = new Uint8Array(1);
  const bytes = [];
  while (bytes.at(-1) !== 0x0a) {
    assertEquals(await socket.read(buffer), 1);
    bytes.push(buffer[0]);
  }
  assertEquals(decoder.decode(Uint8Array.from(bytes)), "你\n");
});

Deno.test("a frame of any length is decoded without being held", () => {
  const frames = new FrameDecoder();
  // A frame of 2 ** 50 bytes.
  frames.push(
    Uint8Array.of(0x81, 0xff, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  );
  const buffer = new Uint8Array(16 * 1024);
  assertEquals(frames.decode(buffer), 0);
  for (let i = 0; i < 100; i++) {
    frames.push(new Uint8Array(buffer.length));
    assertEquals(frames.decode(buffer), buffer.length);
  }
});

Deno.test("a close frame is answered with its code", async (t) => {
  const codes = [undefined, 1000, 1001, 3000, 4999];
  for (const code of codes) {
    await t.step(String(code), async () => {
      const { client, socket } = connect();
      const payload = code ? [code >> 8, code & 0xff] : [];
      client.send(clientFrame(Opcode.close, Uint8Array.from(payload)));
      client.send(clientFrame(Opcode.text, "ignored"));
      assertEquals(await readText(socket), null);
      await socket.closeWrite();
      const expected = { opcode: Opcode.close, text: "" };
      assertEquals(
        await client.nextFrame(),
        code ? { ...expected, code } : expected,
      );
    });
  }
});

Deno.test("the server closes with the code of the listener", async () => {
  const { client, socket } = connect({ closeCode: () => 1001 });
  await socket.closeWrite();
  assertEquals((await client.nextFrame()).code, 1001);
});

Deno.test("only the last of several pings is answered", async () => {
  const { client, socket } = connect();
  client.send(concat(
    clientFrame(Opcode.ping, "one"),
    clientFrame(Opcode.ping, "two"),
    clientFrame(Opcode.text, "hi"),
  ));
  assertEquals(await readText(socket), "hi\n");
  assertEquals(await client.nextFrame(), { opcode: Opcode.pong, text: "two" });
  await socket.write(textFrame(encoder.encode("next\n")));
  assertEquals((await client.nextFrame()).opcode, Opcode.text);
});

Deno.test("a client that does not read its pongs is not read", async () => {
  const { client, socket } = connect();
  client.isStuck = true;
  const count = 5;
  for (let i = 0; i < count; i++) {
    client.send(clientFrame(Opcode.ping, `${i}`));
  }
  client.send(clientFrame(Opcode.text, "hi"));
  const reading = readText(socket);
  // The server needs no more turns than this to read everything.
  for (let i = 0; i < 100; i++) await Promise.resolve();
  assertEquals(client.unread, count, "one ping was read");
  client.isStuck = false;
  client.changed();
  assertEquals(await reading, "hi\n");
});

Deno.test("a control frame does not split another frame", async () => {
  const { client, socket } = connect();
  client.writeSize = 10;
  const text = "x".repeat(1000);
  const written = socket.write(textFrame(encoder.encode(text)));
  client.send(clientFrame(Opcode.ping, "p"));
  const reading = readText(socket);
  socket.ping();
  const closed = socket.closeWrite();
  assertEquals(await written, textFrame(encoder.encode(text)).length);
  const frames = [];
  while (frames.at(-1)?.opcode !== Opcode.close) {
    frames.push(await client.nextFrame());
  }
  assertEquals(frames[0], { opcode: Opcode.text, text });
  assertEquals(frames.at(-1)!.code, 1000);
  await closed;
  client.end();
  assertEquals(await reading, null);
});

Deno.test("no frame follows a close frame", async () => {
  const heartbeat = new Heartbeat();
  const { client, socket } = connect({ heartbeat });
  await socket.closeWrite();
  heartbeat.beat(performance.now() + 30_000);
  client.send(clientFrame(Opcode.ping, "late"));
  client.end();
  assertEquals(await readText(socket), null);
  socket.close();
  assertEquals((await client.nextFrame()).opcode, Opcode.close);
  assertEquals(client.takeOutput().length, 0);
});

Deno.test("the heartbeat pings every 25 seconds", async () => {
  const heartbeat = new Heartbeat();
  const { client, socket } = connect({ heartbeat });
  const start = performance.now();
  heartbeat.beat(start + 24_000);
  await socket.write(textFrame(encoder.encode("no ping yet")));
  heartbeat.beat(start + 25_001);
  assertEquals((await client.nextFrame()).opcode, Opcode.text);
  assertEquals(await client.nextFrame(), { opcode: Opcode.ping, text: "" });
  heartbeat.beat(start + 49_000);
  await socket.write(textFrame(encoder.encode("no ping yet")));
  heartbeat.beat(start + 50_002);
  assertEquals((await client.nextFrame()).opcode, Opcode.text);
  assertEquals(await client.nextFrame(), { opcode: Opcode.ping, text: "" });
  socket.close();
});

Deno.test("the heartbeat has a timer, which ends with the last WebSocket", async () => {
  const { client, socket } = connect({ heartbeat: new Heartbeat(10) });
  assertEquals(await client.nextFrame(), { opcode: Opcode.ping, text: "" });
  socket.close();
});

Deno.test("the heartbeat closes a client that is silent for 60 seconds", async () => {
  const heartbeat = new Heartbeat();
  const { client, socket } = connect({ heartbeat });
  const reading = readText(socket);
  const start = performance.now();
  heartbeat.beat(start + 59_000);
  assert(!client.isClosed);
  heartbeat.beat(start + 60_001);
  assert(client.isClosed);
  await assertRejects(() => reading, Deno.errors.BadResource);
});

Deno.test("the heartbeat keeps a client that answers", async () => {
  const heartbeat = new Heartbeat();
  const { client, socket } = connect({ heartbeat });
  const reading = readText(socket);
  const start = performance.now();
  while (performance.now() < start + 2); // The answer comes later.
  client.send(clientFrame(Opcode.pong, ""));
  client.send(clientFrame(Opcode.text, "here"));
  assertEquals(await reading, "here\n");
  const next = readText(socket);
  heartbeat.beat(start + 60_001);
  assert(!client.isClosed);
  socket.close();
  await assertRejects(() => next, Deno.errors.BadResource);
});

Deno.test("the heartbeat does not judge a client that is not read", () => {
  const heartbeat = new Heartbeat();
  const { client, socket } = connect({ heartbeat });
  heartbeat.beat(performance.now() + 3_600_000);
  assert(!client.isClosed);
  socket.close();
});

Deno.test("at most one ping waits to be written", async () => {
  const { client, socket } = connect();
  client.isStuck = true;
  for (let i = 0; i < 3; i++) socket.ping();
  client.isStuck = false;
  client.changed();
  assertEquals((await client.nextFrame()).opcode, Opcode.ping);
  await socket.write(textFrame(encoder.encode("x")));
  assertEquals((await client.nextFrame()).opcode, Opcode.text);
});
