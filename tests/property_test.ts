/**
 * Runs random clients on in-memory streams, and compares the lines that each of them
 * receives with a plain model of the room.
 *
 * The order of the events is taken from `events()`, since only the broadcaster
 * chooses it. The model derives everything else from that order.
 */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Chat, type ChatEvent } from "../mod.ts";
import { MemoryClient, namesOf } from "./clients.ts";

const MAX_LINE = 20;

type Step =
  | { do: "join" }
  | { do: "send"; client: number; bytes: Uint8Array; pieces: number[] }
  | { do: "stall" | "resume" | "leave" | "reset"; client: number }
  | { do: "settle" };

/** An index of a client, modulo the number of clients. */
const client = fc.nat(20);
const bytes = fc.array(
  fc.oneof(
    { arbitrary: fc.string({ maxLength: 15 }), weight: 3 },
    { arbitrary: fc.string({ unit: "binary", maxLength: 15 }), weight: 2 },
    fc.constantFrom("\n", "\r\n", "\n\n", "\r", "\t", "\x1b[2J", "\u202e"),
    fc.uint8Array({ maxLength: 8 }),
  ),
  { maxLength: 12 },
).map((parts) => new Uint8Array(parts.flatMap((part) => [...toBytes(part)])));

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ do: fc.constant("join") }), weight: 3 },
  {
    arbitrary: fc.record({
      do: fc.constant("send"),
      client,
      bytes,
      pieces: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 5 }),
    }),
    weight: 6,
  },
  fc.record({ do: fc.constantFrom("stall", "resume"), client }),
  fc.record({ do: fc.constantFrom("leave", "reset"), client }),
  fc.record({ do: fc.constant("settle") }),
) as fc.Arbitrary<Step>;

function toBytes(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? new TextEncoder().encode(text) : text;
}

/** The splitter of the model. Returns the lines in the bytes that a client has sent. */
function linesOf(bytes: Uint8Array): { lines: string[]; tooLong: number } {
  const lines: string[] = [];
  let tooLong = 0;
  let line: number[] = [];
  const finish = () => {
    const length = line.at(-1) === 0x0d ? line.length - 1 : line.length;
    if (length > MAX_LINE) tooLong++;
    else {
      const text = new TextDecoder("utf-8", { ignoreBOM: true })
        .decode(new Uint8Array(line));
      lines.push(
        text.replace(/[^\t\P{Cc}]|[\u2028-\u202e\u2066-\u2069]/gu, ""),
      );
    }
    line = [];
  };
  for (const byte of bytes) byte === 0x0a ? finish() : line.push(byte);
  if (line.length > 0) finish();
  return { lines, tooLong };
}

/** The room of the model. Returns the lines that a client receives. */
function viewOf(name: string, events: ChatEvent[]): string[] {
  const seen: string[] = [];
  let isPresent = false;
  for (const event of events) {
    if (event.type === "left" && event.name === name) break;
    if (event.type === "joined" && event.name === name) {
      isPresent = true;
      seen.push(`Welcome ${name}`);
    } else if (!isPresent) continue;
    else if (event.type === "message") {
      seen.push(`${event.name}: ${event.text}`);
    } else {
      const state = event.type === "joined" ? "online" : "offline";
      seen.push(`${event.name} is ${state}`);
    }
  }
  return seen;
}

/** A client that takes the steps of a test, one after the other. */
class Puppet {
  readonly client = new MemoryClient();
  readonly seen: string[] = [];
  sent = new Uint8Array(0);
  wasReset = false;
  #hasLeft = false;
  #acts: Promise<void> = Promise.resolve();
  #mayRead = Promise.resolve();
  #resume = () => {};
  readonly done: Promise<void>;
  readonly handled: Promise<void>;

  constructor(chat: Chat) {
    this.handled = chat.handleConn(this.client.conn);
    this.done = this.#read();
  }

  async #read() {
    while (true) {
      await this.#mayRead;
      const line = await this.client.line().catch(() => undefined);
      if (line === undefined) return;
      this.seen.push(line);
    }
  }

  /** Takes a step after the last one. A step can fail if the client is closed. */
  #act(act: () => Promise<void>) {
    this.#acts = this.#acts.then(act).catch(() => {});
  }

  send(bytes: Uint8Array, pieces: number[]) {
    if (this.#hasLeft) return;
    this.sent = new Uint8Array([...this.sent, ...bytes]);
    this.#act(async () => {
      for (const piece of pieces) {
        if (bytes.length > 0) await this.client.send(bytes.slice(0, piece));
        bytes = bytes.slice(piece);
      }
      if (bytes.length > 0) await this.client.send(bytes);
    });
  }

  stall() {
    this.resume();
    ({ promise: this.#mayRead, resolve: this.#resume } = Promise
      .withResolvers<void>());
  }

  resume() {
    this.#resume();
  }

  leave() {
    this.#hasLeft = true;
    this.#act(() => this.client.end());
  }

  reset() {
    this.wasReset = true;
    this.#act(() => this.client[Symbol.asyncDispose]());
  }

  async end() {
    this.resume();
    this.leave();
    await this.#acts;
    await this.done;
    await this.handled;
  }
}

async function play(steps: Step[]): Promise<void> {
  const chat = new Chat({ maxLine: MAX_LINE, commands: false });
  const events: ChatEvent[] = [];
  const watched = (async () => {
    for await (const event of chat.events()) events.push(event);
  })();
  const puppets = [new Puppet(chat)];
  for (const step of steps) {
    if (step.do === "join") puppets.push(new Puppet(chat));
    else if (step.do === "settle") await new Promise(setImmediate);
    else {
      const puppet = puppets[step.client % puppets.length];
      if (step.do === "send") puppet.send(step.bytes, step.pieces);
      else puppet[step.do]();
    }
  }
  for (const puppet of puppets) puppet.resume();
  await Promise.all(puppets.map((puppet) => puppet.end()));
  assertEquals(namesOf(chat), []);
  await chat.close();
  await watched;

  for (const { client: { name }, seen, sent, wasReset } of puppets) {
    const { lines, tooLong } = linesOf(sent);
    const messages = events.flatMap((event) =>
      event.type === "message" && event.name === name ? [event.text] : []
    );
    const presence = events.flatMap((event) =>
      event.type !== "message" && event.name === name ? [event.type] : []
    );
    const room = seen.filter((line) => !line.startsWith("-- Not sent: "));
    const view = viewOf(name, events);
    assertEquals(presence, ["joined", "left"]);
    if (wasReset) {
      // Input and output can end anywhere. The part before the end must be right.
      assertEquals(messages, lines.slice(0, messages.length));
      assertEquals(room, view.slice(0, room.length));
    } else {
      assertEquals(messages, lines);
      assertEquals(room, view);
      assertEquals(seen.length - room.length, tooLong);
    }
  }
}

Deno.test("random clients receive the lines that the model predicts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), play),
    { numRuns: 1000 },
  );
});
