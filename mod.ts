// Copyright 2026 the chat authors. MIT license.

/**
 * A line-based TCP chat server: everyone who connects with any TCP client joins
 * the room, and every line that one client sends reaches all of them.
 *
 * ```sh
 * deno run -N server.ts          # the server, on localhost:8000
 * deno run -N netcat.ts          # a client
 * ```
 *
 * The program is the chat server of the well-known Go tutorial, by the same
 * names. Read {@linkcode Chat} from top to bottom and follow a line on its way:
 *
 * 1. `serve` accepts a connection and gives it to `handleConn`;
 * 2. `handleConn` splits what it reads to lines and makes events of them;
 * 3. the `broadcaster`, one loop over one async iterator of events, is the only
 *    code that touches the set of clients;
 * 4. the lines of a moment go as one chunk into the `Trunk`, a stream that is
 *    `tee()`d into a branch a client;
 * 5. each branch is piped to its client's `clientWriter`.
 *
 * @example A chat on a free port, and one line said in it
 * ```ts
 * import { Chat } from "@linechat/chat";
 *
 * await using chat = new Chat();
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * chat.serve(listener);
 * const events = chat.events();
 *
 * const { hostname, port } = listener.addr;
 * using conn = await Deno.connect({ hostname, port });
 * await conn.write(new TextEncoder().encode("hello\n"));
 *
 * for await (const event of events) {
 *   if (event.type === "message") break; // { who: "127.0.0.1:…", text: "hello" }
 * }
 * ```
 *
 * @module
 */

import { setImmediate, setTimeout as delay } from "node:timers/promises";

/**
 * The languages in which the room speaks: English, and the seed's Chinese.
 *
 * @example A room in the language of the system
 * ```ts
 * import { Chat, type Lang } from "@linechat/chat";
 *
 * const lang: Lang = navigator.language.startsWith("zh") ? "zh" : "en";
 * await using chat = new Chat({ lang });
 * ```
 */
export type Lang = "en" | "zh";

/**
 * What happens in the room, as {@linkcode Chat.events} tells it. Private messages
 * are nobody else's business, and are not told.
 *
 * @example A log of the room
 * ```ts
 * import type { ChatEvent } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * function describe(event: ChatEvent): string {
 *   return event.type === "message"
 *     ? `${event.who}: ${event.text}`
 *     : `${event.who} has ${event.type}`;
 * }
 * const time = new Date();
 * assertEquals(describe({ time, type: "joined", who: "bot" }), "bot has joined");
 * ```
 */
export type ChatEvent =
  & {
    /** When it happened. */
    time: Date;
    /** Whose doing it was, by name: `HOST:PORT`, or what the client chose. */
    who: string;
  }
  & (
    | {
      /** A client has entered or left the room. */
      type: "joined" | "left";
    }
    | {
      /** A client has taken another name. */
      type: "renamed";
      /** The new one. */
      name: string;
    }
    | {
      /** Somebody has said a line, or has done something (`/me`). */
      type: "message" | "action";
      /** The line, without its end. */
      text: string;
    }
  );

/**
 * What a chat needs of a connection: in-memory streams with an address will do.
 *
 * Every `Deno.Conn` (TCP, TLS, Unix) is one, too, and is used by its own methods,
 * since its streams close both sides at the end of its input, when a client that
 * shut down its sending side only is still owed something.
 *
 * @example What a client sends, and a place for what it gets
 * ```ts
 * import { Chat, type Connection } from "@linechat/chat";
 * import { assert } from "@std/assert";
 *
 * const received: string[] = [];
 * const decoder = new TextDecoderStream();
 * const done = decoder.readable.pipeTo(
 *   new WritableStream({ write: (text) => void received.push(text) }),
 * );
 * const conn: Connection = {
 *   readable: ReadableStream.from(["hello\n"])
 *     .pipeThrough(new TextEncoderStream()),
 *   writable: decoder.writable as WritableStream<Uint8Array>,
 *   remoteAddr: { hostname: "192.0.2.1", port: 50000 },
 * };
 * await using chat = new Chat();
 * await chat.handleConn(conn);
 * await done;
 * assert(received.join("").endsWith("192.0.2.1:50000: hello\n"));
 * ```
 */
export interface Connection {
  /** The bytes that the client sends. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Takes the bytes for the client. */
  readonly writable: WritableStream<Uint8Array>;
  /** Where the client is. Its name in the room is made of it. */
  readonly remoteAddr: Deno.Addr | { hostname: string; port: number };
}

/**
 * Options of {@linkcode Chat.events}.
 *
 * @example Only who comes and goes
 * ```ts
 * import { Chat, type EventsOptions } from "@linechat/chat";
 *
 * const options: EventsOptions = { messages: false };
 * await using chat = new Chat();
 * const changes = chat.events(options);
 * ```
 */
export interface EventsOptions {
  /** Whether to tell what is said and done, not only who comes and goes. @default {true} */
  messages?: boolean;
}

/**
 * Options of a {@linkcode Chat}.
 *
 * @example A room for an open port
 * ```ts
 * import { Chat, type ChatOptions } from "@linechat/chat";
 *
 * const options: ChatOptions = {
 *   rate: 10,
 *   maxPerAddress: 8,
 *   idle: 3_600_000,
 *   log: (message) => console.error(message),
 * };
 * await using chat = new Chat(options);
 * ```
 */
export interface ChatOptions {
  /** The language of the room's own lines. @default {"en"} */
  lang?: Lang;
  /** Ends the chat, as {@linkcode Chat.close} does. */
  signal?: AbortSignal;
  /**
   * The most bytes that a client may be behind the room, which is what is kept
   * in memory for the slowest. At this bound everybody who sends is read no
   * faster than the client reads; one who so keeps the room waiting for 0.7 s in
   * all, less a second for each MiB that it reads, is dropped. A watcher of
   * {@linkcode Chat.events} that is so far behind is dropped at once.
   * @default {16777216}
   */
  maxBacklog?: number;
  /** The most bytes of a client's line; a longer one is discarded. @default {65536} */
  maxLine?: number;
  /** The lines a second, and at once, that are taken of a client; 0 for any. @default {0} */
  rate?: number;
  /** The most connections at a time. @default {10000} */
  maxClients?: number;
  /** The most connections of one address; 0 for any. @default {0} */
  maxPerAddress?: number;
  /** The milliseconds after which a silent client has to go; 0 for never. @default {0} */
  idle?: number;
  /** Lines that begin with a slash are commands, `/help` among them. @default {true} */
  commands?: boolean;
  /**
   * The lines last said that a newcomer is told after its welcome, as far as they
   * fit in 64 KiB. @default {0}
   */
  history?: number;
  /** What a newcomer is told after its welcome, a line or several. @default {""} */
  motd?: string;
  /**
   * Is given what an operator may want to know: failed accepts, and clients
   * that are dropped because they do not read. Nothing is logged without it.
   */
  log?: (message: string) => void;
}

type Options = Required<Omit<ChatOptions, "signal">>;

/**
 * What a {@linkcode Chat} does where an option is not given.
 *
 * @example Lines of twice the length
 * ```ts
 * import { Chat, DEFAULTS } from "@linechat/chat";
 *
 * await using chat = new Chat({ maxLine: 2 * DEFAULTS.maxLine });
 * ```
 */
export const DEFAULTS: Readonly<Required<Omit<ChatOptions, "signal">>> = {
  lang: "en",
  maxBacklog: 16 * 1024 * 1024,
  maxLine: 64 * 1024,
  rate: 0,
  maxClients: 10_000,
  maxPerAddress: 0,
  idle: 0,
  commands: true,
  history: 0,
  motd: "",
  log: () => {},
};

/** The most bytes of the history. They fit in what the system buffers for a socket. */
const MAX_HISTORY = 64 * 1024;
/** A client that has more bytes to read of what it alone is told, gets no private messages. */
const MAX_UNTOLD = 64 * 1024;
/** Nobody's name is longer, in UTF-16 units. */
const MAX_NAME = 256;
/** `/who` lists no more clients. */
const MAX_LISTED = 100;
/** Who takes so many milliseconds to say something is a person, and may need help. */
const PERSON_TYPES_AFTER = 2_000;
/** The least and the most bytes that are read of a client at once. */
const READ_SIZE = { least: 512, most: 16 * 1024 };
/** The broadcaster takes no further event into a chunk of this many bytes. */
const MAX_CHUNK = 256 * 1024;
/** No line waits longer for others to go with it, in milliseconds. */
const MAX_WAIT = 10;
/** A chunk of fewer bytes may have been sent too early to carry many lines… */
const SMALL_CHUNK = 4096;
/** …which counts where handing it to all takes longer, in milliseconds. */
const LONG_SWEEP = 2;
/** How long accepting rests when it has failed, in milliseconds. */
const ACCEPT_PAUSE = 100;
/** How long a TLS handshake may take, in milliseconds. */
const HANDSHAKE_TIMEOUT = 10_000;
/** How long a client that has left may take to read what it is owed, in milliseconds. */
const FLUSH_TIMEOUT = 30_000;
/** The same for all of them when the chat itself ends. */
const CLOSE_TIMEOUT = 2_000;
/** How long a client may take to hang up when we have, in milliseconds. */
const HANG_UP_TIMEOUT = 1_000;
/** So many who cannot come in are waited for until they hang up. */
const MAX_TURNING_AWAY = 100;
/** About what a chunk costs each client that is behind it, its bytes apart. */
const CHUNK_COST = 128;
/** About what a branch costs that waits for its turn. */
const BRANCH_COST = 8 * 1024;
/** How often the room looks at those it waits for, in milliseconds. */
const STALL_TICK = 100;
/** How long the room waits for a client that does not read, in milliseconds. */
const STALL_LIMIT = 700;
/** The bytes a second that a client has to read of a room that waits for it. */
const FAIR_RATE = 1024 * 1024;
/** Who has read something for so many milliseconds past is not stuck… */
const MOVING_WITHIN = 200;
/** …and so many of them are not slow by their own fault… */
const CROWD = 8;
/** …so that they are charged this part of the time that the room waits. */
const CROWD_SHARE = 1 / 8;

const encoder = new TextEncoder();

/**
 * A chat room. It opens no port itself: hand it listeners, or connections. It
 * ends by `await using`, by {@linkcode Chat.close} or by an `AbortSignal`.
 *
 * @example A room on in-memory streams
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * await using chat = new Chat();
 * const input = new TransformStream<Uint8Array, Uint8Array>();
 * const output = new TransformStream<Uint8Array, Uint8Array>();
 * chat.handleConn({
 *   readable: input.readable,
 *   writable: output.writable,
 *   remoteAddr: { hostname: "192.0.2.1", port: 50000 },
 * });
 * const reader = output.readable.getReader();
 * const { value } = await reader.read();
 * assertEquals(new TextDecoder().decode(value), "Welcome 192.0.2.1:50000\n");
 * assertEquals(chat.clients, ["192.0.2.1:50000"]);
 * await reader.cancel();
 * ```
 */
export class Chat implements AsyncDisposable {
  readonly #options: Options;
  readonly #texts: Texts;
  readonly #broadcaster: Broadcaster;
  /** Every connection in hand, in the room or not, with the handling of it. */
  readonly #connections = new Map<Client, Promise<void>>();
  readonly #listeners = new Set<{ close?(): void }>();
  /** Aborts when the chat begins to end. */
  readonly #ending = new AbortController();
  readonly #forgetSignal: () => void;
  #closed?: Promise<void>;
  #served = 0;
  #turningAway = 0;

  /** Opens a room with nobody in it. */
  constructor({ signal, ...options }: ChatOptions = {}) {
    this.#options = { ...DEFAULTS, ...options };
    this.#texts = TEXTS[this.#options.lang];
    this.#broadcaster = new Broadcaster(this.#texts, this.#options);
    const abort = () => void this.close();
    signal?.addEventListener("abort", abort);
    this.#forgetSignal = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) abort();
  }

  /**
   * Accepts connections until the listener or the chat is closed; the listener
   * is closed with the chat. When accepting fails, that is logged, and it is
   * tried again every 0.1 s: it may be that no file descriptors are left just now.
   *
   * @param listener A `Deno.Listener`, or anything that yields connections.
   * @returns When accepting is over. It never rejects.
   *
   * @example One room on two ports
   * ```ts
   * import { Chat } from "@linechat/chat";
   *
   * await using chat = new Chat();
   * chat.serve(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
   * chat.serve(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
   * ```
   */
  async serve(
    listener: AsyncIterable<Connection> & { close?(): void },
  ): Promise<void> {
    const { log } = this.#options;
    this.#listeners.add(listener);
    let isFailing = false;
    while (!this.#ending.signal.aborted) {
      try {
        for await (const conn of listener) {
          isFailing = false;
          this.handleConn(conn).catch((error) => {
            log(`Cannot serve a connection: ${messageOf(error)}`);
          });
        }
        break;
      } catch (error) {
        // Who reset the connection before it was accepted holds up nobody else.
        if (error instanceof Deno.errors.NotConnected) continue;
        if (!isFailing) log(`Cannot accept connections: ${messageOf(error)}`);
        isFailing = true;
        await delay(ACCEPT_PAUSE, null, { signal: this.#ending.signal }).catch(
          () => {},
        );
      }
    }
    this.#listeners.delete(listener);
    closeQuietly(listener);
  }

  /**
   * Leads one client through its life. It is welcomed; each line of its input
   * is said in the room; at the end of its input it leaves, gets what it is
   * still owed, and is closed.
   *
   * @param conn The connection. It is the chat's to close from here on.
   * @returns When the connection is closed. However it fails, its client has left.
   * @throws {TypeError} If its streams are locked, so that it is no connection.
   *
   * @example Connections that the program itself accepts
   * ```ts
   * import { Chat } from "@linechat/chat";
   *
   * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
   * await using chat = new Chat();
   * using client = await Deno.connect({
   *   hostname: "127.0.0.1",
   *   port: listener.addr.port,
   * });
   * chat.handleConn(await listener.accept());
   * await client.read(new Uint8Array(100)); // "Welcome 127.0.0.1:…\n"
   * ```
   */
  async handleConn(conn: Connection): Promise<void> {
    const client = new Client(conn, ++this.#served);
    const refusal = this.#refusal(client);
    const handled = refusal === undefined
      ? this.#converse(client)
      : client.turnAway(refusal, this.#turningAway >= MAX_TURNING_AWAY);
    this.#connections.set(client, handled);
    if (client.refused) this.#turningAway++;
    await handled;
    this.#connections.delete(client);
    if (client.refused) this.#turningAway--;
  }

  async #converse(client: Client): Promise<void> {
    if (client.isShakingHands && !await this.#secure(client)) return;
    await this.#broadcaster.send({ type: "entering", client });
    const toEvents = this.#options.commands ? withCommands : asMessage;
    try {
      for await (const lines of this.#lines(client)) {
        for (const event of toEvents(client, lines)) {
          if (client.hasLeft) break; // It was told to go.
          await this.#broadcaster.send(event);
          await client.told; // Who does not read answers is not read.
        }
      }
    } catch {
      // The seed ignores input.Err() here, too.
    }
    await this.#broadcaster.send({ type: "leaving", client });
    await client.flushed;
    client.close();
  }

  /** Waits until a TLS connection is one; tells whether it is. */
  async #secure(client: Client): Promise<boolean> {
    try {
      await client.handshake();
    } catch (error) {
      const why = client.closed ? "it takes too long" : messageOf(error);
      if (!this.#closed) {
        this.#options.log(`Cannot secure ${client.who}: ${why}`);
      }
      client.close();
    }
    return !client.closed;
  }

  /** What the client says: whole lines, not too long and not too fast. */
  #lines(client: Client): AsyncIterable<string[]> {
    const { maxLine, rate, idle } = this.#options;
    const chunks = client.chunks(idle, () => {
      answer(client, this.#texts.idle);
      void this.#broadcaster.send({ type: "leaving", client });
    });
    const lines = splitLines(chunks, {
      maxLine,
      onTooLong: () => answer(client, this.#texts.tooLong(maxLine)),
    });
    return rate > 0 ? pace(lines, rate, client, this.#ending.signal) : lines;
  }

  /** Why the client cannot come in, if it cannot. */
  #refusal({ address }: Client): string | undefined {
    const { maxClients, maxPerAddress } = this.#options;
    if (this.#closed) return this.#texts.closing;
    if (this.#connections.size - this.#turningAway >= maxClients) {
      return this.#texts.full;
    }
    if (maxPerAddress === 0 || address === "") return;
    let neighbours = 0;
    for (const client of this.#connections.keys()) {
      if (client.address === address && !client.refused) neighbours++;
    }
    if (neighbours >= maxPerAddress) return this.#texts.crowded(address);
  }

  /**
   * The names of those who are in the room, in the order they came.
   *
   * @example
   * ```ts
   * import { Chat } from "@linechat/chat";
   * import { assertEquals } from "@std/assert";
   *
   * await using chat = new Chat();
   * assertEquals(chat.clients, []);
   * ```
   */
  get clients(): string[] {
    return this.#broadcaster.members.map(({ who }) => who);
  }

  /**
   * Watches the room: yields what happens from the call on, until the chat ends.
   * A watcher that is behind by more than `maxBacklog` bytes is dropped: its
   * stream fails with an error.
   *
   * @example A bot that tells the time
   * ```ts
   * import { Chat } from "@linechat/chat";
   *
   * await using chat = new Chat();
   * const events = chat.events();
   * await chat.say("ann", "!time");
   * for await (const event of events) {
   *   if (event.type !== "message") continue;
   *   if (event.text === "!time") {
   *     await chat.say("clock", new Date().toISOString());
   *   } else if (event.who === "clock") break; // That is all for an example.
   * }
   * ```
   */
  events({ messages = true }: EventsOptions = {}): ReadableStream<ChatEvent> {
    return this.#broadcaster.watch(messages);
  }

  /**
   * Says something in the room, as if a client of that name had sent it.
   *
   * @param who The speaker's name. Clients may take the same.
   * @param text One line, or several.
   * @returns When the room has taken it; a full room takes its time.
   * @throws {Error} If the chat has ended.
   *
   * @example
   * ```ts
   * import { Chat } from "@linechat/chat";
   *
   * await using chat = new Chat();
   * await chat.say("server", "Back in five minutes");
   * ```
   */
  async say(who: string, text: string): Promise<void> {
    if (this.#closed) throw new Error("Cannot speak: the chat has ended");
    await this.#broadcaster.send({
      type: "message",
      speaker: { who: printableName(who) },
      lines: printable(text).split("\n"),
    });
  }

  /**
   * Ends the chat: closes the listeners, tells the clients, gives those who read
   * up to 2 seconds to take what they are owed, and closes every connection.
   *
   * @returns When all is closed.
   *
   * @example
   * ```ts
   * import { Chat } from "@linechat/chat";
   *
   * const chat = new Chat();
   * const served = chat.serve(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
   * await chat.close();
   * await served;
   * ```
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** Ends the chat, as {@linkcode Chat.close} does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#forgetSignal();
    this.#ending.abort();
    for (const listener of this.#listeners) closeQuietly(listener);
    const timeout = setTimeout(() => {
      for (const client of this.#connections.keys()) client.close();
    }, CLOSE_TIMEOUT);
    for (const client of this.#connections.keys()) {
      if (client.isShakingHands) client.close();
    }
    await this.#broadcaster.end();
    while (this.#connections.size > 0) {
      await Promise.all(this.#connections.values());
    }
    clearTimeout(timeout);
    await this.#broadcaster.close();
  }
}

/**
 * Options of {@linkcode splitLines}.
 *
 * @example A line that is too long
 * ```ts
 * import { splitLines, type SplitLinesOptions } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * let tooLong = 0;
 * const options: SplitLinesOptions = { maxLine: 4, onTooLong: () => tooLong++ };
 * const packets = ReadableStream.from(["seven\nfour\n"])
 *   .pipeThrough(new TextEncoderStream());
 * assertEquals(await Array.fromAsync(splitLines(packets, options)), [["four"]]);
 * assertEquals(tooLong, 1);
 * ```
 */
export interface SplitLinesOptions {
  /** The most bytes of a line, its end not counted. @default {65536} */
  maxLine?: number;
  /**
   * Called once for each line that is longer, as soon as that is known. Nothing
   * more is read until what it returns is settled.
   */
  onTooLong?: () => unknown;
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * Splits UTF-8 to lines, in bounded memory: all the lines that a chunk completes
 * at once, and never more held of an unfinished line than `maxLine` bytes. A
 * longer line is discarded up to its end.
 *
 * A line ends in `\n`; a `\r` before it goes, as do all other control characters
 * but the tab: a line is text and nothing else. What is no UTF-8 becomes U+FFFD.
 * The last line needs no end.
 *
 * @example Two packets, three lines
 * ```ts
 * import { splitLines } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * const packets = ReadableStream.from(["one\r\ntw", "o\nthree"])
 *   .pipeThrough(new TextEncoderStream());
 * assertEquals(await Array.fromAsync(splitLines(packets)), [
 *   ["one"],
 *   ["two"],
 *   ["three"],
 * ]);
 * ```
 *
 * @param chunks The bytes. A chunk may be overwritten once the next is asked for.
 * @param options The limit, and what to do when it is passed.
 * @returns The lines, an array a chunk that completes any.
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  { maxLine = DEFAULTS.maxLine, onTooLong }: SplitLinesOptions = {},
): AsyncGenerator<string[]> {
  let held = new Uint8Array(0); // of the unfinished line, this…
  let length = 0; // …so many bytes of it
  let skipping = false; // up to the end of a line that is too long
  let unreported = 0; // lines that are too long

  const tooLong = (end: number, last: number) =>
    end > maxLine && !(end === maxLine + 1 && last === CR);

  /** Adds to the unfinished line, or finds that it is too long. */
  const hold = (piece: Uint8Array) => {
    if (skipping || piece.length === 0) return;
    if (tooLong(length + piece.length, piece.at(-1)!)) {
      skipping = true;
      held = new Uint8Array(0);
      length = 0;
      unreported++;
      return;
    }
    if (length + piece.length > held.length) {
      const larger = new Uint8Array(
        Math.min(maxLine + 1, Math.max(64, 2 * (length + piece.length))),
      );
      larger.set(held.subarray(0, length));
      held = larger;
    }
    held.set(piece, length);
    length += piece.length;
  };

  /** Takes the unfinished line as it is. */
  const finish = (): string[] => {
    const lines = skipping ? [] : [decode(held.subarray(0, length))];
    held = new Uint8Array(0);
    length = 0;
    skipping = false;
    return lines;
  };

  for await (const chunk of chunks) {
    const lines: string[] = [];
    const end = chunk.lastIndexOf(LF) + 1;
    let start = 0;
    while (start < end) {
      const unfinished = length > 0 || skipping;
      if (!unfinished && end - start <= maxLine) {
        // No line can be too long here: all at once.
        const text = decode(chunk.subarray(start, end - 1));
        for (const line of text.split("\n")) lines.push(line);
        break;
      }
      const next = chunk.indexOf(LF, start);
      hold(chunk.subarray(start, next));
      lines.push(...finish());
      start = next + 1;
    }
    hold(chunk.subarray(end));
    if (lines.length > 0) yield lines;
    for (; unreported > 0; unreported--) await onTooLong?.();
  }
  if (length > 0) yield finish();
}

/**
 * Lets through so many lines a second, and so many at once. None is lost, unless
 * the client is dropped meanwhile.
 */
async function* pace(
  input: AsyncIterable<string[]>,
  rate: number,
  client: Client,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  let allowance = rate;
  let last = performance.now();
  for await (const lines of input) {
    while (lines.length > 0 && !client.closed) {
      const now = performance.now();
      allowance = Math.min(rate, allowance + (now - last) * rate / 1000);
      last = now;
      if (allowance >= 1) {
        const admitted = lines.splice(0, Math.floor(allowance));
        allowance -= admitted.length;
        yield admitted;
      } else await delay((1 - allowance) * 1000 / rate, null, { signal });
    }
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function decode(bytes: Uint8Array): string {
  return printable(decoder.decode(bytes));
}

/**
 * Removes what could do more to a terminal than show text: the C0 and C1
 * controls but tab and newline, DEL, the line and paragraph separators, and the
 * bidirectional embeddings, overrides and isolates (https://trojansource.codes).
 *
 * @example What would have cleared the screen
 * ```ts
 * import { printable } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(printable("one\x1b[2J\r\n\ttwo"), "one[2J\n\ttwo");
 * ```
 *
 * @param text Any text; it may be of several lines.
 * @returns The rest of it. Of an escape sequence, only what is harmless text.
 */
export function printable(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g,
    "",
  );
}

/** The same for what has to stay on one line. */
function printableName(text: string): string {
  return printable(text).replaceAll("\n", " ");
}

/** What passes the broadcaster: what the seed has three channels for, and the end. */
type RoomEvent =
  | { type: "entering" | "leaving"; client: Client }
  | { type: "message"; speaker: Client | { who: string }; lines: string[] }
  | { type: "command"; client: Client; line: string }
  | { type: "closing" };

type WithoutTime<Event> = Event extends unknown ? Omit<Event, "time"> : never;

/** What a client says, where nothing is a command. */
function* asMessage(speaker: Client, lines: string[]): Generator<RoomEvent> {
  yield { type: "message", speaker, lines };
}

/** What a client says, and its commands, in their order. */
function* withCommands(client: Client, lines: string[]): Generator<RoomEvent> {
  const isCommand = (line: string) => line.startsWith("/");
  if (!lines.some(isCommand)) return yield* asMessage(client, lines);
  let said: string[] = [];
  for (const line of lines) {
    if (!isCommand(line)) said.push(line);
    else if (line.startsWith("//")) said.push(line.slice(1));
    else {
      if (said.length > 0) yield* asMessage(client, said);
      said = [];
      yield { type: "command", client, line };
    }
  }
  if (said.length > 0) yield* asMessage(client, said);
}

/** The room: the only owner of the client set, and of those who watch. */
class Broadcaster {
  readonly texts: Texts;
  readonly #options: Options;
  readonly #history: History;
  readonly #clients = new Set<Client>();
  /** Those who watch, and whether they want to know what is said, too. */
  readonly #watchers = new Map<
    ReadableStreamDefaultController<ChatEvent>,
    boolean
  >();
  readonly #trunk: Trunk;
  readonly #running: Promise<void>;
  #events!: ReadableStreamDefaultController<RoomEvent & { taken(): void }>;
  #closed = false;

  constructor(texts: Texts, options: Options) {
    this.texts = texts;
    this.#options = options;
    this.#history = new History(options.history);
    this.#trunk = new Trunk(options.maxBacklog, (client) => {
      options.log(`Dropped ${client.who}: it does not read`);
      client.close();
    });
    this.#running = this.#run(
      new ReadableStream({
        start: (controller) => void (this.#events = controller),
      }, { highWaterMark: 0 }),
    );
  }

  /**
   * Hands over an event, and waits until it is taken. So nobody is ahead of the
   * room by more than the event in hand, as with the seed's unbuffered channels;
   * and as there, all wait in one queue.
   */
  send(event: RoomEvent): Promise<void> {
    return new Promise((taken) => this.#events.enqueue({ ...event, taken }));
  }

  /** The seed's broadcaster: one loop over all that happens. */
  async #run(
    events: AsyncIterable<RoomEvent & { taken(): void }>,
  ): Promise<void> {
    let due: number | undefined; // The pending lines wait no longer.
    for await (const event of events) {
      switch (event.type) {
        case "entering": {
          this.#enter(event.client);
          break;
        }
        case "message": {
          const { speaker, lines } = event;
          if (speaker instanceof Client && !this.#clients.has(speaker)) break;
          this.say("message", speaker.who, lines);
          if (speaker instanceof Client) this.#offerHelp(speaker);
          break;
        }
        case "command": {
          const { client, line } = event;
          if (!this.#clients.has(client)) break; // It has left.
          client.knowsCommands = true;
          runCommand(this, client, line);
          break;
        }
        case "leaving": {
          this.leave(event.client);
          break;
        }
        case "closing": {
          this.#trunk.write(this.texts.closing);
          for (const client of this.#clients) {
            this.#trunk.leave(client);
            this.#notify({ type: "left", who: client.who });
          }
          this.#clients.clear();
          break;
        }
      }
      event.taken();
      const { pending } = this.#trunk;
      if (pending === 0) continue; // It was for one client alone.
      const now = performance.now();
      due ??= now + MAX_WAIT;
      if (pending < MAX_CHUNK && now < due && await this.#moreToCome()) {
        continue;
      }
      await this.#trunk.flush();
      due = undefined;
      if (pending < SMALL_CHUNK) await this.#rest();
    }
  }

  /** Whether more is there, or comes at once: a moment's lines are one chunk. */
  async #moreToCome(): Promise<boolean> {
    // How far the queue is above its high-water mark, which is 0.
    if (this.#events.desiredSize! < 0) return true;
    await setImmediate();
    return this.#events.desiredSize! < 0;
  }

  /**
   * Rests half as long as it took to hand out the last chunk. Where there are so
   * many clients that this takes long, to put the lines of that time together
   * saves more than the wait costs: the room stays below what a processor can do.
   */
  async #rest(): Promise<void> {
    const start = performance.now();
    await setImmediate(); // All write at once, before anything else is done.
    const sweep = performance.now() - start;
    if (sweep > LONG_SWEEP) await delay(sweep / 2);
  }

  #enter(client: Client): void {
    const { welcome, online } = this.texts;
    const { motd } = this.#options;
    const greeting = [welcome(client.who)];
    if (motd !== "") greeting.push(asAnswer(printable(motd)));
    // What is said from here on comes by the trunk: nothing twice, and no gap.
    client.tell([...greeting, ...this.#history].join("\n"));
    this.#trunk.write(online(client.who));
    this.#trunk.enter(client);
    client.since = Date.now();
    this.#clients.add(client);
    this.#notify({ type: "joined", who: client.who });
  }

  /** Tells a person that has said its first line where to find help. */
  #offerHelp(client: Client): void {
    if (client.knowsCommands) return;
    client.knowsCommands = true;
    const isPerson = Date.now() - client.since > PERSON_TYPES_AFTER;
    if (isPerson && this.#options.commands) answer(client, this.texts.hint);
  }

  /** Says lines to all. */
  say(type: "message" | "action", who: string, lines: string[]): void {
    const start = type === "message" ? `${who}: ` : `* ${who} `;
    this.#trunk.write(start + lines.join("\n" + start));
    this.#history.add(start, lines);
    if (!this.#watchers.values().some((messages) => messages)) return;
    for (const text of lines) this.#notify({ type, who, text });
  }

  /** Gives a client another name, and tells all. */
  rename(client: Client, name: string): void {
    this.#trunk.write(this.texts.renamed(client.who, name));
    this.#notify({ type: "renamed", who: client.who, name });
    client.call(name);
  }

  /** Has a client leave, if it is here, and tells the others. */
  leave(client: Client): void {
    if (!this.#clients.delete(client)) return; // It was told to go.
    this.#trunk.leave(client);
    this.#trunk.write(this.texts.offline(client.who));
    this.#notify({ type: "left", who: client.who });
  }

  /** Has all leave, without waiting any more for those who read slowly. */
  end(): Promise<void> {
    this.#trunk.end();
    return this.send({ type: "closing" });
  }

  /** Ends the loop, when all that was sent is taken, and the watchers' streams. */
  async close(): Promise<void> {
    this.#events.close();
    await this.#running;
    this.#closed = true;
    for (const watcher of this.#watchers.keys()) watcher.close();
    this.#watchers.clear();
  }

  /** Those who are here, in the order they came. */
  get members(): Client[] {
    return [...this.#clients];
  }

  /** Who has that name, or one that looks like it. */
  find(name: string): Client | undefined {
    if (name.length > MAX_NAME) return;
    const key = nameKey(name);
    return this.#clients.values().find((client) => client.key === key);
  }

  watch(messages: boolean): ReadableStream<ChatEvent> {
    let watcher: ReadableStreamDefaultController<ChatEvent>;
    return new ReadableStream({
      start: (controller) => {
        watcher = controller;
        if (this.#closed) watcher.close();
        else this.#watchers.set(watcher, messages);
      },
      cancel: () => void this.#watchers.delete(watcher),
    }, {
      highWaterMark: this.#options.maxBacklog,
      size: (event) => 64 + ("text" in event ? event.text.length : 0),
    });
  }

  #notify(event: WithoutTime<ChatEvent>): void {
    const timed = { time: new Date(), ...event };
    for (const [watcher, messages] of this.#watchers) {
      if (!messages && "text" in event) continue;
      if (watcher.desiredSize! > 0) watcher.enqueue(timed);
      else {
        this.#watchers.delete(watcher);
        watcher.error(new Error("Cannot watch on: the watcher fell behind"));
      }
    }
  }
}

/**
 * The room's lines on their way out, as one stream of chunks that is teed into
 * a branch a client, each piped to its client's writer.
 *
 * All is measured in bytes since the room was opened. A client is owed what is
 * written between its coming and its going; how far it has got in that is known
 * by what its writer has written, so a chunk may well begin before a client came
 * and end after it left.
 *
 * `tee()` runs at the pace of the fastest branch and buffers for all others
 * (https://github.com/whatwg/streams/issues/1233), so `flush` waits when the
 * slowest is too far behind. And since a branch cannot be grafted onto a teed
 * stream, nor a hop taken out of it, those who come get a trunk of their own
 * for a while; once as many have come and gone as half of those who are there,
 * all get a new trunk together. A change so costs the same in a room of any size.
 */
class Trunk {
  readonly #maxBacklog: number;
  readonly #drop: (client: Client) => void;
  /** The trunk's own end, and those of the trunks of them who came since. */
  readonly #stems = new Set<ReadableStreamDefaultController<Uint8Array>>();
  /** Those who have a branch. */
  readonly #piped = new Set<Client>();
  /** Those who are to get one, with the next chunk. */
  #newcomers: Client[] = [];
  /** How many have come or gone since all were teed from one trunk. */
  #changes = 0;
  #chunks: Uint8Array[] = [];
  /** How many bytes wait to be sent. */
  pending = 0;
  /** How many bytes were sent… */
  #sent = 0;
  /** …in how many chunks. */
  #sentChunks = 0;
  /** The time when something was last sent or waited for: exact enough. */
  now = 0;
  /** Is told of all progress, while somebody waits for it. */
  #onProgress?: (client: Client) => void;
  #stopWaiting = () => {};
  #ending = false;

  constructor(maxBacklog: number, drop: (client: Client) => void) {
    this.#maxBacklog = maxBacklog;
    this.#drop = drop;
  }

  /** To be called when a client has written something. */
  progressed(client: Client): void {
    this.#onProgress?.(client);
  }

  /** Adds a line, or several, to the next chunk. */
  write(text: string): void {
    const chunk = encoder.encode(text + "\n");
    this.#chunks.push(chunk);
    this.pending += chunk.length;
  }

  /** From here on, the client is owed what is written. */
  enter(client: Client): void {
    client.from = this.#sent + this.pending;
    this.#newcomers.push(client);
  }

  /** Up to here, the client is owed what is written. */
  leave(client: Client): void {
    client.leave(this.#sent + this.pending);
  }

  /** Sends what is pending to everybody as one chunk, once all have room for it. */
  async flush(): Promise<void> {
    const chunk = concat(this.#chunks, this.pending);
    await this.#room(chunk.length);
    this.now = performance.now();
    this.#tee();
    for (const stem of this.#stems) stem.enqueue(chunk);
    this.#sent += chunk.length;
    this.#sentChunks++;
    this.#chunks = [];
    this.pending = 0;
  }

  /** Gives a branch to those who came; or a new one to all. */
  #tee(): void {
    let clients = this.#newcomers;
    this.#newcomers = [];
    this.#changes += clients.length;
    for (const client of clients) {
      client.position = this.#sent;
      client.passedChunks = this.#sentChunks;
      this.#piped.add(client);
      client.flushed.then(() => {
        this.#piped.delete(client);
        this.#changes++;
        this.progressed(client);
      });
    }
    if (this.#changes > this.#piped.size / 2) {
      for (const stem of this.#stems) stem.close();
      this.#stems.clear();
      this.#changes = 0;
      clients = [...this.#piped];
    }
    if (clients.length === 0) return;

    let stem!: ReadableStreamDefaultController<Uint8Array>;
    const trunk = new ReadableStream<Uint8Array>({
      start: (controller) => void (stem = controller),
      cancel: () => void this.#stems.delete(stem), // Nobody reads it any more.
    }, { highWaterMark: 0 });
    this.#stems.add(stem);
    for (const branch of tee(trunk, clients.length)) {
      clients.pop()!.pipe(branch, this);
    }
  }

  /** Whether a client can take so many bytes more, or has no part in them. */
  #hasRoom(client: Client, bytes: number): boolean {
    const backlog = this.#sent - client.position;
    return backlog === 0 || backlog + bytes <= this.#maxBacklog ||
      !this.#piped.has(client);
  }

  /**
   * Waits until all have room for so many bytes more. A client is in debt for as
   * long as the room waits for it, and works it off by reading, a second with
   * each `FAIR_RATE` bytes. Who is in debt for `STALL_LIMIT` is dropped when it is
   * waited for. Those who read nothing meanwhile get into debt together with
   * those who are waited for, so that ten of them cost no more than one.
   *
   * If many are behind and do move, it is the machine, or its line, that is slow;
   * a client is then not to blame for the whole wait, but for a part of it.
   */
  async #room(bytes: number): Promise<void> {
    // The bytes are shared by all who are behind, but not the queues of chunks,
    // nor the branches that wait for those before them to end: many small ones
    // for many who do not read would cost more than the bytes.
    let queues = 0;
    for (const { passedChunks, branches } of this.#piped) {
      queues += (this.#sentChunks - passedChunks) * CHUNK_COST;
      if (branches > 2) queues += branches * BRANCH_COST;
    }
    if (queues > this.#maxBacklog) bytes = Infinity;

    const full = new Set<Client>();
    for (const client of this.#piped) {
      if (this.#hasRoom(client, bytes)) continue;
      if (client.debt >= STALL_LIMIT) this.#drop(client);
      else full.add(client);
    }
    if (full.size === 0 || this.#ending) return;

    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stopWaiting = resolve;
    this.now = performance.now();
    // Not more than a tick, if the process itself was late.
    const waited = () => Math.min(STALL_TICK, performance.now() - this.now);
    const share = full.size >= CROWD ? CROWD_SHARE : 1; // of those who do move
    this.#onProgress = (client) => {
      if (!full.has(client) || !this.#hasRoom(client, bytes)) return;
      full.delete(client);
      client.debt += waited() * share;
      if (full.size === 0) resolve();
    };
    const tick = setInterval(async () => {
      await setImmediate(); // What was written meanwhile is known only now.
      const behind = [...this.#piped].filter(({ position }) =>
        position < this.#sent
      );
      const recently = this.now - MOVING_WITHIN;
      const moving = behind.filter(({ movedAt }) => movedAt >= recently).length;
      const isCrowd = moving >= Math.max(CROWD, behind.length / 8);
      const debt = waited() * (isCrowd ? CROWD_SHARE : 1);
      for (const client of behind) {
        const isFull = full.has(client);
        if (isFull || client.movedAt < this.now) client.debt += debt;
        if (isFull && client.debt >= STALL_LIMIT) this.#drop(client);
      }
      this.now = performance.now();
    }, STALL_TICK);
    await promise;
    clearInterval(tick);
    this.#onProgress = undefined;
  }

  /** Waits for nobody any more. */
  end(): void {
    this.#ending = true;
    this.#stopWaiting();
  }
}

/** Tees a stream into so many branches: a tree, as deep as it must be. */
function* tee<T>(
  stream: ReadableStream<T>,
  branches: number,
): Generator<ReadableStream<T>> {
  if (branches === 1) return yield stream;
  const [left, right] = stream.tee();
  yield* tee(left, Math.ceil(branches / 2));
  yield* tee(right, Math.floor(branches / 2));
}

/** Why a client's writer takes no more when it has written all. */
const FLUSHED = new Error("all is written");

/** A connection, and what is known of it. It alone reads, writes and closes it. */
class Client {
  /** The client's name in the room: its address, until it takes another. */
  who!: string;
  /** What its name has in common with all that look like it. */
  key!: string;
  /** When it came, in milliseconds since 1970. */
  since = 0;
  /** Its TLS handshake is under way. */
  isShakingHands: boolean;
  /** It has used one, or was told of them. */
  knowsCommands = false;
  /** So many bytes are on their way that it alone is told. */
  untold = 0;
  /** The host it comes from; empty where there is none. */
  readonly address: string;
  /** It was turned away at the door. */
  refused = false;
  /** It is owed the trunk's bytes from here… */
  from = 0;
  /** …up to here… */
  to = Infinity;
  /** …and its writer is done with all of them before this one. */
  position = 0;
  /** It is done with so many of the trunk's chunks. */
  passedChunks = 0;
  /** It has so many branches: a new one, and those that it has not read yet. */
  branches = 0;
  /** When it was last found to read something. */
  movedAt = 0;
  /** How long the room has waited for it, in milliseconds, less what that bought. */
  debt = 0;
  /** Resolves when all that it is owed is written, or can no longer be. */
  readonly flushed: Promise<void>;
  /** Its connection is closed. */
  closed = false;

  readonly #socket: Socket;
  #output?: WritableStream<Uint8Array>;
  #piped = Promise.resolve();
  #delivering = Promise.resolve();
  #telling?: Promise<void>;
  #resolveFlushed!: () => void;
  #timeout?: ReturnType<typeof setTimeout>;

  constructor(conn: Connection, serial: number) {
    const { remoteAddr } = conn;
    if ("hostname" in remoteAddr) {
      // On a port for both, an IPv4 client has an IPv6 address.
      this.address = printableName(remoteAddr.hostname)
        .replace(/^::ffff:(?=\d+\.)/, "");
      this.call(formatAddress(this.address, remoteAddr.port));
    } else {
      this.address = "";
      this.call(`${remoteAddr.transport}:${serial}`);
    }
    this.#socket = "closeWrite" in conn
      ? conn as Connection & Socket
      : new StreamSocket(conn);
    this.isShakingHands = "handshake" in this.#socket;
    this.flushed = new Promise((resolve) => this.#resolveFlushed = resolve);
    try {
      this.#socket.setNoDelay?.(true);
      this.#socket.setKeepAlive?.(true);
    } catch {
      // It hung up already, as reading it will tell.
    }
  }

  /** Gives it a name. */
  call(name: string): void {
    this.who = name;
    this.key = nameKey(name);
  }

  /** Waits, not for long, until a TLS connection is one. */
  async handshake(): Promise<void> {
    this.closeWithin(HANDSHAKE_TIMEOUT);
    await this.#socket.handshake!();
    clearTimeout(this.#timeout);
    this.isShakingHands = false;
  }

  /**
   * What the client sends, in a buffer that is used again: a small one for those
   * who type, since most of what an idle client costs is the buffer of its read.
   */
  async *chunks(
    idle = 0,
    onIdle = () => {},
  ): AsyncGenerator<Uint8Array> {
    let buffer = new Uint8Array(READ_SIZE.least);
    while (true) {
      const timeout = idle > 0 ? setTimeout(onIdle, idle) : undefined;
      let size: number | null;
      try {
        size = await this.#socket.read(buffer);
      } finally {
        clearTimeout(timeout);
      }
      if (size === null) return;
      yield buffer.subarray(0, size);
      if (size === buffer.length && size < READ_SIZE.most) {
        buffer = new Uint8Array(2 * buffer.length);
      } else if (4 * size < buffer.length) {
        buffer = new Uint8Array(Math.max(buffer.length / 2, READ_SIZE.least));
      }
    }
  }

  /** Has the client's writer take a branch, after those that it has. */
  pipe(branch: ReadableStream<Uint8Array>, trunk: Trunk): void {
    const output = this.#output ??= this.#clientWriter(trunk);
    // Not cancelled by the pipe, which would wait for the other branch's cancel.
    const options = { preventClose: true, preventCancel: true };
    this.branches++;
    this.#piped = this.#piped
      .then(() => branch.pipeTo(output, options))
      .catch((reason) => {
        if (reason !== FLUSHED) this.close();
      })
      .finally(() => {
        this.branches--;
        branch.cancel().catch(() => {});
      });
  }

  /** The seed's clientWriter: writes what the client is owed, and counts it. */
  #clientWriter(trunk: Trunk): WritableStream<Uint8Array> {
    const count = (bytes: number) => {
      this.position += bytes;
      this.movedAt = trunk.now;
      this.debt = Math.max(0, this.debt - bytes * 1000 / FAIR_RATE);
      trunk.progressed(this);
    };
    return new WritableStream({
      write: (chunk) => {
        const start = Math.max(0, this.from - this.position);
        const end = Math.min(chunk.length, this.to - this.position);
        const owed = end - start === chunk.length
          ? chunk
          : chunk.subarray(start, Math.max(start, end));
        const writing = this.#telling?.then(() => this.#write(owed, count)) ??
          this.#write(owed, count);
        return this.#delivering = writing.then(() => {
          this.passedChunks++;
          count(chunk.length - owed.length);
          if (this.position < this.to) return;
          void this.hangUp();
          throw FLUSHED;
        });
      },
    }, { highWaterMark: 2 }); // Else each write would make the pipe wait anew.
  }

  /** Writes a line to this client alone, between those of the room. */
  tell(line: string): Promise<void> {
    const bytes = encoder.encode(line + "\n");
    this.untold += bytes.length;
    const telling = Promise.allSettled([this.#telling, this.#delivering])
      .then(() => this.#write(bytes, () => {}))
      .catch(() => this.close())
      .finally(() => {
        this.untold -= bytes.length;
        if (this.#telling === telling) this.#telling = undefined;
      });
    return this.#telling = telling;
  }

  /** Resolves when it has been told all so far, or can no longer be. */
  get told(): Promise<void> | undefined {
    return this.#telling;
  }

  /** Writes all, and has counted what the system takes at a time. */
  #write(bytes: Uint8Array, count: (bytes: number) => void): Promise<void> {
    // From a write of nothing, a socket of node:tls never recovers (Deno 2.9.6).
    if (bytes.length === 0) return Promise.resolve();
    return this.#socket.write(bytes).then((written) => {
      count(written);
      if (written < bytes.length) {
        return this.#write(bytes.subarray(written), count);
      }
    });
  }

  get hasLeft(): boolean {
    return this.to < Infinity;
  }

  /** The client is owed no more than what was written up to here. */
  leave(to: number): void {
    this.to = to;
    this.closeWithin(FLUSH_TIMEOUT);
  }

  /** Ends our side of the talk, and gives the client a moment to end its own. */
  async hangUp(): Promise<void> {
    try {
      await this.#socket.closeWrite();
    } catch {
      // The client was faster.
    }
    this.closeWithin(HANG_UP_TIMEOUT);
    this.#resolveFlushed();
  }

  /**
   * Tells a client why it cannot come in, and waits a moment for it to hang up:
   * what it has sent must be read, or closing would reset the connection and it
   * might never see why. In a crowd of them there is no time for that.
   */
  async turnAway(why: string, isCrowd: boolean): Promise<void> {
    this.refused = true;
    this.closeWithin(HANG_UP_TIMEOUT);
    await this.tell(why);
    try {
      if (!isCrowd) {
        await this.hangUp();
        for await (const _ of this.chunks());
      }
    } catch {
      // It is going anyway.
    }
    this.close();
  }

  closeWithin(timeout: number): void {
    clearTimeout(this.#timeout);
    if (this.closed) return;
    this.#timeout = setTimeout(() => this.close(), timeout);
  }

  /** Closes the connection. What waits for it to be read or written, fails. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.#timeout);
    closeQuietly(this.#socket);
    this.#resolveFlushed();
  }
}

/** What is used of a `Deno.Conn`. */
interface Socket {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
  handshake?(): Promise<unknown>;
  setNoDelay?(noDelay: boolean): void;
  setKeepAlive?(keepAlive: boolean): void;
}

/** A socket made of streams. */
class StreamSocket implements Socket {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);
  #failWrite = (_reason: unknown) => {};

  constructor({ readable, writable }: Connection) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, buffer.length);
    buffer.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }

  /** Fails at the latest on `close`, which a sink need not take notice of. */
  async write(bytes: Uint8Array): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#failWrite = reject;
      this.#writer.write(bytes).then(resolve, reject);
    });
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    return this.#writer.close();
  }

  close(): void {
    this.#reader.cancel().catch(() => {});
    this.#writer.abort().catch(() => {});
    this.#failWrite(new Error("Cannot write: the connection is closed"));
  }
}

// Beside the way of a line: the commands, names, and what was said.

/** What a client may ask of the room; `argument` is what follows the command. */
type Command = (room: Broadcaster, client: Client, argument: string) => void;

const COMMANDS: Record<string, Command> = {
  help: (room, client) => answer(client, room.texts.help),

  nick(room, client, argument) {
    const { texts } = room;
    if (argument === "") return answer(client, usage(texts, "nick"));
    const name = argument.slice(0, MAX_NAME).normalize("NFKC");
    if (!isName(name)) return answer(client, texts.notAName);
    const other = room.find(name);
    if (other !== undefined && other !== client) {
      return answer(client, texts.taken(name, other.who));
    }
    if (name !== client.who) room.rename(client, name);
  },

  who(room, client) {
    const { members, texts } = room;
    const lines = [texts.here(members.length)];
    for (const { who, since } of members.slice(0, MAX_LISTED)) {
      lines.push(texts.since(who, formatTime(since)));
    }
    if (members.length > MAX_LISTED) lines.push("…");
    answer(client, lines.join("\n"));
  },

  msg(room, client, argument) {
    const { texts } = room;
    const [, name, text] = /^(\S+)\s+(.+)$/.exec(argument) ?? [];
    if (name === undefined) return answer(client, usage(texts, "msg"));
    const other = room.find(name);
    if (other === undefined) return answer(client, texts.nobody(shorten(name)));
    if (other.untold > MAX_UNTOLD) return answer(client, texts.deaf(other.who));
    other.tell(texts.privately(client.who, text));
    client.tell(texts.toldPrivately(other.who, text));
  },

  me(room, client, argument) {
    if (argument === "") return answer(client, usage(room.texts, "me"));
    room.say("action", client.who, [argument]);
  },

  quit(room, client, argument) {
    if (argument !== "") room.say("message", client.who, [argument]);
    room.leave(client);
  },
};

/** How a command is used: its line in the help. */
function usage({ usage, help }: Texts, command: string): string {
  const lines = help.split("\n");
  return `${usage}: ${lines.find((line) => line.startsWith(`/${command} `))}`;
}

function runCommand(room: Broadcaster, client: Client, line: string): void {
  const [start] = /^\S+/.exec(line)!;
  const argument = line.slice(start.length).trim();
  const command = start.slice(1).toLowerCase();
  if (Object.hasOwn(COMMANDS, command)) {
    COMMANDS[command](room, client, argument);
  } else answer(client, room.texts.unknown(shorten(start)));
}

/** Tells a client what no other client can make it see: who speaks has a name. */
function answer(client: Client, text: string): Promise<void> {
  return client.tell(asAnswer(text));
}

function asAnswer(text: string): string {
  return "-- " + text.replaceAll("\n", "\n-- ");
}

/** The scripts whose letters look like those of another one's. */
const LOOKALIKE_SCRIPTS = [
  "Latin",
  "Greek",
  "Cyrillic",
  "Armenian",
  "Cherokee",
  "Coptic",
  "Lisu",
].map((script) => new RegExp(`\\p{Script=${script}}`, "u"));

/**
 * Whether clients may be called so: up to 32 letters, digits, `_`, `-` and `.` of
 * any script, with a letter among them and none that cannot be seen; beginning
 * like neither an answer nor a number, and not like an address. Letters of
 * scripts that look alike do not stand together.
 */
function isName(name: string): boolean {
  return /^[\p{L}\p{Nd}][\p{L}\p{M}\p{Nd}_.-]{0,31}$/u.test(name) &&
    /\p{L}/u.test(name) &&
    !/\p{Default_Ignorable_Code_Point}|\p{M}{3}|^\d+\.\d|^localhost$/iu
      .test(name) &&
    LOOKALIKE_SCRIPTS.filter((script) => script.test(name)).length <= 1;
}

/** What looks like a letter or, in capitals, like its capital. */
const LOOKALIKES = new Map(
  Object.entries({
    a: "ɑаα",
    b: "вβ",
    c: "с",
    d: "ԁ",
    e: "еε",
    g: "ɡ",
    h: "нһ",
    j: "ј",
    k: "кκ",
    l: "1iіι",
    m: "мμ",
    o: "0оο",
    p: "рρ",
    q: "ԛ",
    s: "ѕ",
    t: "тτ",
    u: "υ",
    v: "ν",
    w: "ԝ",
    x: "хχ",
    y: "у",
  }).flatMap(([letter, others]) =>
    Array.from(others, (other): [string, string] => [other, letter])
  ),
);

/** What names have in common that look alike: two clients cannot share it. */
function nameKey(name: string): string {
  const folded = name.normalize("NFKD").replace(/[\u0300-\u036f]/g, "")
    .toUpperCase().toLowerCase();
  return Array.from(folded, (letter) => LOOKALIKES.get(letter) ?? letter)
    .join("");
}

/** The lines last said, so many at most, and no more than fit in `MAX_HISTORY`. */
class History {
  readonly #limit: number;
  readonly #lines: { text: string; bytes: number }[] = [];
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds lines; each begins with `start`. */
  add(start: string, lines: string[]): void {
    if (this.#limit === 0) return;
    for (const line of lines.slice(-this.#limit)) {
      const text = start + line;
      const bytes = encoder.encode(text).length + 1;
      this.#lines.push({ text, bytes });
      this.#bytes += bytes;
    }
    let surplus = 0;
    while (
      this.#lines.length - surplus > this.#limit || this.#bytes > MAX_HISTORY
    ) this.#bytes -= this.#lines[surplus++].bytes;
    this.#lines.splice(0, surplus);
  }

  *[Symbol.iterator](): Generator<string> {
    for (const { text } of this.#lines) yield text;
  }
}

// The words, and what else is at hand.

/** What the room itself says. */
interface Texts {
  welcome(who: string): string;
  online(who: string): string;
  offline(who: string): string;
  renamed(who: string, name: string): string;
  privately(who: string, text: string): string;
  toldPrivately(who: string, text: string): string;
  hint: string;
  help: string;
  unknown(command: string): string;
  usage: string;
  notAName: string;
  taken(name: string, who: string): string;
  here(count: number): string;
  since(who: string, time: string): string;
  nobody(name: string): string;
  deaf(who: string): string;
  tooLong(maxLine: number): string;
  idle: string;
  full: string;
  crowded(address: string): string;
  closing: string;
}

const TEXTS: Record<Lang, Texts> = {
  en: {
    welcome: (who) => `Welcome ${who}`,
    online: (who) => `${who} is online`,
    offline: (who) => `${who} is offline`,
    renamed: (who, name) => `${who} is now known as ${name}`,
    privately: (who, text) => `${who} (private): ${text}`,
    toldPrivately: (who, text) => `(private) → ${who}: ${text}`,
    hint: "/nick NAME gives you a name, /help lists all commands",
    help: `/nick NAME      take a name
/who            who is here, and since when
/msg NAME TEXT  tell only one
/me TEXT        say what you do
/quit [TEXT]    leave
//TEXT          say /TEXT
/help           this list`,
    unknown: (command) => `Unknown command ${command}: /help lists them all`,
    usage: "Usage",
    notAName: "A name is 1 to 32 letters, digits, _, - or . of one script, " +
      "begins with a letter or digit, and does not look like an address",
    taken: (name, who) => `${name} is taken, or looks like it: ${who} is here`,
    here: (count) => `${count} here:`,
    since: (who, time) => `${who}, since ${time}`,
    nobody: (name) => `Nobody here is called ${name}`,
    deaf: (who) => `Not sent: ${who} does not read`,
    tooLong: (maxLine) => `Not sent: the line is longer than ${maxLine} bytes`,
    idle: "Goodbye: you were silent for too long",
    full: "Cannot enter: the room is full",
    crowded: (address) => `Cannot enter: too many connections from ${address}`,
    closing: "The server is shutting down",
  },
  zh: {
    welcome: (who) => `欢迎 ${who}`,
    online: (who) => `${who} 上线`,
    offline: (who) => `${who} 下线`,
    renamed: (who, name) => `${who} 改名为 ${name}`,
    privately: (who, text) => `${who} (私聊): ${text}`,
    toldPrivately: (who, text) => `(私聊) → ${who}: ${text}`,
    hint: "用 /nick 名字 给自己取名,用 /help 查看所有命令",
    help: `/nick 名字       取一个名字
/who             谁在这里,从何时起
/msg 名字 内容   只对一个人说
/me 内容         说你在做什么
/quit [内容]     离开
//内容           说出 /内容
/help            查看这些命令`,
    unknown: (command) => `没有命令 ${command}:用 /help 查看所有命令`,
    usage: "用法",
    notAName: "名字由 1 到 32 个同一种文字的字母、数字、_、- 或 . 组成," +
      "以字母或数字开头,并且不能像一个地址",
    taken: (name, who) => `${name} 已被占用,或与 ${who} 太相似`,
    here: (count) => `这里有 ${count} 人:`,
    since: (who, time) => `${who},自 ${time}`,
    nobody: (name) => `这里没有人叫 ${name}`,
    deaf: (who) => `未发送:${who} 没有在接收`,
    tooLong: (maxLine) => `未发送:这一行超过 ${maxLine} 字节`,
    idle: "再见:您太久没有说话",
    full: "无法进入:聊天室已满",
    crowded: (address) => `无法进入:来自 ${address} 的连接太多`,
    closing: "服务器即将关闭",
  },
};

/**
 * The languages in which the room can speak: each is a column of one table.
 *
 * @example
 * ```ts
 * import { LANGS } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(LANGS, ["en", "zh"]);
 * ```
 */
export const LANGS: readonly Lang[] = Object.keys(TEXTS) as Lang[];

/**
 * Writes an address as clients are named: an IPv6 host goes in brackets.
 *
 * @example
 * ```ts
 * import { formatAddress } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(formatAddress("127.0.0.1", 8000), "127.0.0.1:8000");
 * assertEquals(formatAddress("::1", 8000), "[::1]:8000");
 * assertEquals(formatAddress("[::1]", 8000), "[::1]:8000");
 * ```
 */
export function formatAddress(hostname: string, port: number): string {
  return /^[^[].*:/.test(hostname)
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

/** A time as people read it, to the minute. */
function formatTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/T(.{5}).*/, " $1 UTC");
}

/** What was given, not longer than a line should be. */
function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function concat(chunks: Uint8Array[], length: number): Uint8Array {
  if (chunks.length === 1) return chunks[0];
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function closeQuietly(resource: { close?(): void }): void {
  try {
    resource.close?.();
  } catch {
    // Closed already, by its other end.
  }
}
