// Copyright 2026 the linechat authors. MIT license.

/**
 * A line-based TCP chat server: every line that one client sends is broadcast to
 * all clients.
 *
 * ```sh
 * deno run -N server.ts          # the server, on localhost:8000
 * deno run -N netcat.ts          # a client
 * ```
 *
 * The program is a port of the chat server of *The Go Programming Language*
 * (https://gopl.io, ch8/chat) and keeps the names of its functions. The sections of
 * this file follow the path of a message:
 *
 * 1. Accept: {@linkcode Chat.serve} accepts a connection and passes it to
 *    {@linkcode Chat.handleConn}, an async function per connection.
 * 2. Read lines: `LineSplitter` splits the bytes of the client into lines.
 * 3. Events: lines become messages and commands.
 * 4. Broadcaster: one loop over one async iterator of events is the only owner of
 *    the members.
 * 5. Fan-out: all output that is queued at the same time is written as one chunk to
 *    a stream, the trunk. `tee()` splits it into one branch per kind of receiver (raw
 *    bytes, or framed). Each branch is piped into a sink, which appends the chunk to
 *    its log.
 * 6. Client writer: a cursor in that log, which writes to its connection as fast as
 *    the client reads.
 *
 * The other sections support these steps: backpressure, limits per address,
 * connections, options, commands, names, history, exchange and texts.
 *
 * @example Serve a chat on a free port
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
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
 *   if (event.type !== "message") continue;
 *   assertEquals(event.text, "hello");
 *   break;
 * }
 * ```
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const latin1 = new TextDecoder("latin1");
const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array(0);

// --- Accept ---------------------------------------------------------------------

/** Pause after a failed accept, in milliseconds. */
const ACCEPT_PAUSE = 100;
/** Time limit of a TLS handshake, in milliseconds. */
const HANDSHAKE_TIMEOUT = 10_000;
/** Time limit of {@linkcode ChatOptions.admit}, in milliseconds. */
const ADMIT_TIMEOUT = 60_000;
/** Time that clients have to read their output when the chat closes, in milliseconds. */
const CLOSE_TIMEOUT = 2_000;
/** Maximum number of refused clients that have time to close their side. */
const MAX_REFUSING = 100;
/** Maximum size of the unfinished lines of all clients together, in bytes. */
const MAX_UNFINISHED = 64 * 1024 * 1024;
/** Maximum size of the unread private output of all clients together, in bytes. */
const MAX_UNREAD = 64 * 1024 * 1024;

/**
 * A chat room.
 *
 * A chat opens no port. Pass listeners to {@linkcode Chat.serve} or connections to
 * {@linkcode Chat.handleConn}. Close it with `await using`, {@linkcode Chat.close}
 * or an `AbortSignal`.
 *
 * @example Test a chat without sockets
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * await using chat = new Chat();
 * await using ann = chat.connect({ name: "ann" });
 * assertEquals((await ann.lines.next()).value, "Welcome ann");
 * assertEquals(chat.members.map(({ name }) => name), ["ann"]);
 * ```
 */
export class Chat implements AsyncDisposable {
  readonly #options: Options;
  readonly #limits: AddressLimits;
  readonly #backpressure = new Backpressure();
  readonly #broadcaster: Broadcaster;
  readonly #commands: CommandTable;
  /** The open connections, and the promise of `handleConn` for each. */
  readonly #connections = new Map<Client, Promise<void>>();
  /** The clients that are waiting for their handshake. */
  readonly #securing = new Set<Client>();
  readonly #listeners = new Set<{ close?(): void }>();
  readonly #unfinished = new MemoryPool(MAX_UNFINISHED);
  readonly #unread = new MemoryPool(MAX_UNREAD);
  readonly #timer: ReturnType<typeof setInterval>;
  /** Aborts when the chat begins to close. */
  readonly #closing = new AbortController();
  #closed?: Promise<void>;
  /** The id of the latest connection. Ids count from 1. */
  #lastId = 0;
  /** The number of connections so far whose names are a number, as in `memory:1`. */
  #numberedCount = 0;
  /** The number of refused clients whose connections are open. */
  #refusingCount = 0;
  /** The credit of the program, whose bulk output waits like that of a member. */
  readonly #credit = new TokenBucket(CREDIT, CREDIT);

  /**
   * Creates a chat without members.
   *
   * @param options The options. `undefined` selects the default of an option.
   * @throws {TypeError} If an option has the wrong type.
   * @throws {RangeError} If a number is out of range.
   */
  constructor(options: ChatOptions = {}) {
    this.#options = checkOptions(options);
    const { maxBacklog, idle } = this.#options;
    this.#limits = new AddressLimits(this.#options);
    const fanOut = new FanOut(maxBacklog, this.#backpressure);
    this.#broadcaster = new Broadcaster(this.#options, fanOut, this);
    this.#commands = new CommandTable(this.#options, this, this.#broadcaster);
    const period = idle === 0 ? 1000 : Math.min(1000, idle / 4);
    this.#timer = setInterval(() => this.#tidy(), period);
    Deno.unrefTimer(this.#timer);
    const close = () => void this.close();
    const { signal } = this.#closing;
    options.signal?.addEventListener("abort", close, { signal });
    if (options.signal?.aborted) close();
  }

  /**
   * Accepts connections until the listener or the chat is closed. The chat closes
   * the listener.
   *
   * A failed accept is logged, and accepting continues after 0.1 seconds. The usual
   * cause is that no file descriptors are left.
   *
   * @param listener A `Deno.Listener`, or any async iterable of connections. One
   * without a method `close` must end by itself.
   * @returns A promise that resolves when accepting has ended. It never rejects.
   */
  async serve(
    listener: AsyncIterable<Connection> & { close?(): void },
  ): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#closing;
    this.#listeners.add(listener);
    let isFailing = false;
    while (!signal.aborted) {
      try {
        for await (const conn of listener) {
          isFailing = false;
          this.handleConn(conn).catch((error) =>
            log(`Cannot serve a connection: ${messageOf(error)}`)
          );
        }
        break;
      } catch (error) {
        // A peer can reset its connection before the accept.
        const isHarmless = error instanceof Deno.errors.NotConnected;
        if (!isHarmless && !isFailing) {
          log(`Cannot accept connections: ${messageOf(error)}`);
        }
        isFailing = !isHarmless;
        // A pause of a millisecond for each would let resets delay other clients.
        if (isHarmless) await nextTurn();
        else await delay(ACCEPT_PAUSE, null, { signal }).catch(() => {});
      }
    }
    this.#listeners.delete(listener);
    closeQuietly(listener);
  }

  /**
   * Serves one connection until it is closed. The client joins, and each line that
   * it sends is broadcast. When its input ends, the client leaves and receives its
   * pending output. Then the chat closes the connection.
   *
   * @param conn The connection. The chat closes it.
   * @returns A promise that resolves when the connection is closed.
   * @throws {TypeError} If a stream of the connection is locked. The chat does not
   * close such a connection.
   */
  async handleConn(conn: Connection): Promise<void> {
    const { remoteAddr: addr } = conn;
    const name = "hostname" in addr
      ? formatAddress(hostOf(addr.hostname), addr.port)
      : `${addr.transport}:${++this.#numberedCount}`;
    await this.#handle(conn, name);
  }

  #handle(conn: Connection, name: string): Promise<void> {
    const { exchange } = this.#options;
    const id = `${exchange ? `${exchange.id}-` : ""}${++this.#lastId}`;
    const client = new Client(id, name, conn, this.#unread);
    const entry = this.#closed
      ? this.#options.texts.closing
      : this.#limits.enter(client, this.#broadcaster.elsewhere);
    const served = typeof entry === "string"
      ? this.#refuse(client, entry)
      : this.#serveClient(client, entry);
    this.#connections.set(client, served);
    return served;
  }

  /** Admits a client, handles its lines and lets it leave. */
  async #serveClient(client: Client, allowance: Allowance): Promise<void> {
    await this.#spend(allowance.credit, ENTRY_COST);
    let refusal = await this.#admit(client);
    if (this.#closed) refusal = this.#options.texts.closing;
    if (refusal !== undefined) await this.#refuse(client, refusal);
    else if (!client.isClosed) {
      client.spokeAt = Date.now();
      await this.#broadcaster.enter(client);
      const splitter = new LineSplitter(this.#options.maxLine);
      try {
        for await (
          const lines of this.#readLines(client, splitter, allowance.lines)
        ) {
          const { isAscii } = splitter;
          await this.#handleLines(client, lines, isAscii, allowance.credit);
          if (client.writer.isFinishing) break;
        }
      } catch {
        // A failed read ends the input, as in the Go original.
      }
      await this.#broadcaster.send({ type: "leaving", id: client.id });
      await client.writer.flushed();
      await client.linger();
    }
    client.close();
    this.#limits.leave(client.address, allowance);
    this.#connections.delete(client);
  }

  /** Completes the handshake and returns the reason to refuse a client, if there is one. */
  async #admit(client: Client): Promise<string | undefined> {
    const { admit, log, texts } = this.#options;
    if (!await this.#secure(client) || admit === undefined) return;
    const decided = new AbortController();
    const signal = AbortSignal.any([decided.signal, this.#closing.signal]);
    try {
      const decision = await Promise.race([
        admit(candidateOf(client, signal)),
        delay(ADMIT_TIMEOUT, texts.notAdmitted, { signal }),
      ]);
      if (typeof decision !== "object") return decision ?? undefined;
      this.#checkName(decision.name);
      client.name = decision.name;
    } catch (error) {
      if (!this.#closed) {
        log(`Cannot admit ${client.name}: ${messageOf(error)}`);
      }
      return texts.notAdmitted;
    } finally {
      decided.abort();
    }
  }

  /** Completes the handshake of a client. Closes the client if that fails. */
  async #secure(client: Client): Promise<boolean> {
    if (!client.needsHandshake) return true;
    this.#securing.add(client);
    try {
      await client.handshake();
      return true;
    } catch (error) {
      const reason = client.isClosed ? "handshake timeout" : messageOf(error);
      if (!this.#closed) {
        this.#options.log(`Cannot secure ${client.name}: ${reason}`);
      }
      client.close();
      return false;
    } finally {
      this.#securing.delete(client);
    }
  }

  /** Sends the reason of a refusal and closes the connection. */
  async #refuse(client: Client, reason: string): Promise<void> {
    const { closing, refused } = this.#options.texts;
    const line = this.#closed ? closing : refused(onOneLine(reason));
    this.#refusingCount++;
    client.closeWithin(HANG_UP_TIMEOUT);
    client.writer.send(encoder.encode(line + "\n"));
    client.writer.finish();
    await client.writer.flushed();
    if (this.#refusingCount <= MAX_REFUSING) await client.linger();
    client.close();
    this.#refusingCount--;
    this.#connections.delete(client);
  }

  /** Yields the lines that a client sends, no faster than its rate limit. */
  async *#readLines(
    client: Client,
    splitter: LineSplitter,
    bucket?: TokenBucket,
  ): AsyncGenerator<string[]> {
    const { maxLine, texts } = this.#options;
    const { id, writer } = client;
    const notify = (text: string) =>
      this.#broadcaster.send({ type: "notice", id, text });
    const opening = new Opening();
    try {
      for await (const chunk of client.read()) {
        const protocol = opening.protocolOf(chunk);
        if (protocol !== undefined) {
          return await notify(texts.otherProtocol(protocol));
        }
        const lines = splitter.push(chunk);
        this.#unfinished.set(splitter, splitter.bufferSize, () => {
          splitter.discard();
          void notify(texts.discarded);
        });
        yield* pace(lines, bucket, this.#closing.signal);
        for (; splitter.tooLongCount > 0; splitter.tooLongCount--) {
          await notify(texts.tooLong(maxLine));
          await writer.privateWritten();
        }
      }
      yield* pace(splitter.end(), bucket, this.#closing.signal);
    } finally {
      this.#unfinished.delete(splitter);
    }
  }

  /** Broadcasts the messages in some lines and runs the commands, in their order. */
  async #handleLines(
    client: Client,
    lines: string[],
    isAscii: boolean,
    credit: TokenBucket,
  ): Promise<void> {
    const { id, writer } = client;
    const name = this.#broadcaster.member(id)?.name ?? client.name;
    const hasCommands = this.#options.commands !== false;
    for (const batch of batches(lines, isAscii, name, hasCommands)) {
      await this.#spend(credit, batch.size);
      client.lines += batch.lines.length;
      if (batch.isCommand) await this.#commands.run(id, batch.lines[0]);
      else {
        await this.#broadcaster.send({
          type: "message",
          id,
          lines: batch.lines,
        });
      }
      client.spokeAt = Date.now();
      // The next batch waits until the client has read its replies.
      await writer.privateWritten();
      if (writer.isFinishing) return;
    }
  }

  /** Spends credit. A sender that has overdrawn its credit waits for its turn first. */
  async #spend(credit: TokenBucket, size: number): Promise<void> {
    if (credit.level < 0) await this.#backpressure.turn();
    credit.spend(size);
  }

  /** Disconnects idle members and forgets addresses that have no connection. */
  #tidy(): void {
    const { idle, texts } = this.#options;
    this.#limits.tidy();
    if (idle === 0) return;
    const oldest = Date.now() - idle;
    for (const client of this.#connections.keys()) {
      if (client.spokeAt > oldest) continue;
      client.spokeAt = Infinity; // It leaves once, even if that takes a while.
      const { id } = client;
      const notice = texts.idle(formatDuration(idle, texts));
      void this.#broadcaster.send({ type: "leaving", id, notice });
    }
  }

  /** The present members, in the order in which they joined. */
  get members(): Member[] {
    return this.#broadcaster.members;
  }

  /**
   * Returns what a member has done and has yet to receive.
   *
   * @param id The id of the member.
   * @returns The activity, or `undefined` if there is no such member.
   */
  activityOf(id: string): Activity | undefined {
    const client = this.#broadcaster.client(id);
    if (client === undefined) return;
    const { lines, spokeAt, writer: { lag, privateSize } } = client;
    return {
      lines,
      idle: Math.max(0, Date.now() - spokeAt),
      backlog: lag + privateSize,
    };
  }

  /**
   * The message of the day, which a new member receives. A change is for members that
   * join from then on.
   */
  get motd(): string {
    return this.#options.motd;
  }

  set motd(text: string) {
    this.#options.motd = printable(text);
  }

  /**
   * Reports what happens in the room from this call on.
   *
   * The stream starts with the next event and ends when the chat has closed and all
   * events are read. A reader can lag by `maxBacklog` bytes. Past that, its stream
   * fails.
   *
   * @param options `messages: false` leaves out messages, actions and notices.
   * @returns A stream of events. Cancel it to stop.
   *
   * @example Write a bot that answers with the time
   * ```ts
   * import { Chat } from "@linechat/chat";
   *
   * await using chat = new Chat();
   * await using ann = chat.connect({ name: "ann" });
   * const events = chat.events();
   * await ann.send("!time");
   * for await (const event of events) {
   *   if (event.type !== "message" || event.own) continue;
   *   if (event.text === "!time") {
   *     await chat.say("clock", new Date().toISOString());
   *     break;
   *   }
   * }
   * ```
   */
  events(
    { messages = true }: { messages?: boolean } = {},
  ): ReadableStream<ChatEvent> {
    return this.#broadcaster.watch(messages);
  }

  /**
   * Broadcasts a message of the program.
   *
   * @param name The name of the speaker. It must be a valid name. Members can have
   * the same name.
   * @param text The text. Each line becomes a message.
   * @returns A promise that resolves when the text is queued. A program that
   * sends more than 64 KiB per second waits while a client lags.
   * @throws {TypeError} If the name is not valid.
   * @throws {Error} If the chat has closed and its events have been read.
   */
  async say(name: string, text: string): Promise<void> {
    await this.#speak("message", name, text);
  }

  /**
   * Broadcasts an action of the program, as the command `/me` does for a member.
   *
   * @param name The name of the actor, as for {@linkcode Chat.say}.
   * @param text The text. Each line becomes an action.
   * @throws {TypeError} If the name is not valid.
   * @throws {Error} If the chat has closed and its events have been read.
   */
  async act(name: string, text: string): Promise<void> {
    await this.#speak("action", name, text);
  }

  /**
   * Broadcasts a notice. Its lines start with `-- `, which no member can send.
   *
   * @param text The text. Each line becomes a notice.
   * @throws {Error} If the chat has closed and its events have been read.
   */
  async notice(text: string): Promise<void> {
    this.#checkOpen();
    await this.#sendEvent({ type: "notice", text: printable(text) });
  }

  /**
   * Sends a notice to one member.
   *
   * @param name The name of the member.
   * @param text The text. Each line becomes a notice.
   * @returns Whether there is such a member.
   * @throws {Error} If the chat has closed and its events have been read.
   */
  async tell(name: string, text: string): Promise<boolean> {
    this.#checkOpen();
    const id = this.#broadcaster.find(name)?.id;
    if (id === undefined) return false;
    await this.#sendEvent({ type: "notice", id, text: printable(text) });
    return true;
  }

  /**
   * Closes the connection of a member. The member and the room see the reason.
   *
   * @param name The name of the member.
   * @param reason The reason, on one line.
   * @returns Whether there is such a member.
   * @throws {Error} If the chat has closed and its events have been read.
   */
  async kick(name: string, reason = ""): Promise<boolean> {
    this.#checkOpen();
    const id = this.#broadcaster.find(name)?.id;
    if (id === undefined) return false;
    await this.#sendEvent({ type: "leaving", id, reason: onOneLine(reason) });
    return true;
  }

  /**
   * Sets a value that all servers of the room have. Each of them calls
   * {@linkcode ChatOptions.onShare}, also a server that starts later.
   *
   * @param key The key of the value.
   * @param value The value. Without it, the value of the key is removed.
   * @throws {Error} If the chat has closed and its events have been read.
   */
  async share(key: string, value?: string): Promise<void> {
    this.#checkOpen();
    await this.#sendEvent({ type: "sharing", key, value });
  }

  async #speak(
    type: "message" | "action",
    name: string,
    text: string,
  ): Promise<void> {
    this.#checkName(name);
    this.#checkOpen();
    for (const { lines, size } of batches(linesOf(text), false, name, false)) {
      await this.#spend(this.#credit, size);
      await this.#sendEvent({ type, id: "", name, lines });
    }
  }

  #checkName(name: string): void {
    const problem = nameProblem(name, this.#options.texts);
    if (problem !== undefined) throw new TypeError(problem);
  }

  #checkOpen(): void {
    if (this.#closed && this.#broadcaster.isDone) {
      throw new Error("Cannot write to the chat: it has ended");
    }
  }

  /** Sends an event of the program, unless the chat is closing. */
  async #sendEvent(event: RoomEvent): Promise<void> {
    if (!this.#closed) await this.#broadcaster.send(event);
  }

  /**
   * Adds an in-memory client, for a bot or a test.
   *
   * @param options The name of the member (by default, `memory:1` or the next number)
   * and the host that it seems to connect from (by default, none).
   * @returns The client.
   * @throws {TypeError} If the name is not valid.
   *
   * @example
   * ```ts
   * import { Chat } from "@linechat/chat";
   * import { assertEquals } from "@std/assert";
   *
   * await using chat = new Chat({ commands: false });
   * await using ann = chat.connect({ name: "ann" });
   * assertEquals((await ann.lines.next()).value, "Welcome ann");
   * await ann.send("hello");
   * assertEquals((await ann.lines.next()).value, "ann: hello");
   * ```
   */
  connect(
    { name, address = "" }: { name?: string; address?: string } = {},
  ): LocalClient {
    if (name !== undefined) this.#checkName(name);
    const [conn, client] = connectedPair(address);
    void this.#handle(conn, name ?? `memory:${++this.#numberedCount}`);
    return client;
  }

  /**
   * Closes the chat. It closes the listeners, sends a line to the clients, gives
   * them up to 2 seconds to read their pending output, and closes the connections.
   *
   * @returns A promise that resolves when everything is closed.
   */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** Closes the chat, as {@linkcode Chat.close} does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    // A listener that is closed can call `close`, which must find the promise.
    await null;
    this.#closing.abort();
    clearInterval(this.#timer);
    this.#listeners.forEach(closeQuietly);
    const closeAll = () =>
      this.#connections.keys().forEach((client) => client.close());
    const timeout = setTimeout(closeAll, CLOSE_TIMEOUT);
    this.#securing.forEach((client) => client.close());
    this.#backpressure.stop();
    await this.#broadcaster.close();
    while (this.#connections.size > 0) {
      await Promise.all(this.#connections.values());
    }
    clearTimeout(timeout);
    await this.#broadcaster.end();
  }
}

/** Describes a client to `admit`. The client can be asked until the signal aborts. */
function candidateOf(client: Client, signal: AbortSignal): Candidate {
  const { id, name, address, isOperator } = client;
  return {
    id,
    name,
    address,
    isOperator,
    async ask(question) {
      if (signal.aborted) return;
      const notice = asNotice(printable(question));
      client.writer.send(encoder.encode(notice + "\n"));
      return await client.readLine().catch(() => undefined);
    },
  };
}

// --- Read lines -----------------------------------------------------------------

const LF = 0x0a;
const CR = 0x0d;
/** Number of bytes of the first line that are searched for another protocol. */
const MAX_OPENING = 16 * 1024;

/**
 * Splits a UTF-8 byte stream into lines. Yields one array for each chunk that
 * completes a line. Buffers at most `maxLine` bytes; longer lines are discarded.
 *
 * A line ends with `\n`. A preceding `\r` and all control characters except tab are
 * removed. Invalid UTF-8 becomes U+FFFD. The last line needs no end.
 *
 * @param chunks The bytes. A chunk is not used after the next one is requested, so chunks
 * can share a buffer.
 * @param options `maxLine` is the maximum length of a line in bytes, without its
 * end (65536 by default). `onTooLong` is called for each longer line, as soon as its
 * length is known; the next chunk is read when the returned value has settled.
 * @returns The lines, in arrays.
 *
 * @example Split two packets into three lines
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
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  { maxLine = DEFAULTS.maxLine, onTooLong }: {
    maxLine?: number;
    onTooLong?: () => unknown;
  } = {},
): AsyncGenerator<string[]> {
  const splitter = new LineSplitter(maxLine);
  for await (const chunk of chunks) {
    const lines = splitter.push(chunk);
    if (lines.length > 0) yield lines;
    for (; splitter.tooLongCount > 0; splitter.tooLongCount--) {
      await onTooLong?.();
    }
  }
  const rest = splitter.end();
  if (rest.length > 0) yield rest;
}

/** Splits chunks of UTF-8 into lines. */
class LineSplitter {
  /** The bytes of the unfinished line, in a buffer that grows. */
  #buffer = EMPTY;
  #length = 0;
  /** Whether the rest of the unfinished line is to be discarded. */
  #isSkipping = false;
  /** The number of lines that were too long. The caller resets it. */
  tooLongCount = 0;
  /** Whether the lines of the latest chunk have only ASCII characters. */
  isAscii = true;

  constructor(readonly maxLine: number) {}

  /** The size of the buffer for the unfinished line, in bytes. */
  get bufferSize(): number {
    return this.#buffer.length;
  }

  /** Returns the lines that a chunk completes. */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    this.isAscii = true;
    const end = chunk.lastIndexOf(LF) + 1;
    let start = 0;
    while (start < end) {
      const isUnfinished = this.#length > 0 || this.#isSkipping;
      if (!isUnfinished && end - start <= this.maxLine) {
        // Fast path: no line of the rest can be too long.
        const text = this.#decode(chunk.subarray(start, end - 1));
        for (const line of text.split("\n")) lines.push(line);
        break;
      }
      const next = chunk.indexOf(LF, start);
      this.#hold(chunk.subarray(start, next));
      this.#finish(lines);
      start = next + 1;
    }
    this.#hold(chunk.subarray(end));
    return lines;
  }

  /** Returns the last line, if it has no end. */
  end(): string[] {
    const lines: string[] = [];
    if (this.#length > 0) this.#finish(lines);
    return lines;
  }

  /** Discards the unfinished line. */
  discard(): void {
    this.#isSkipping = true;
    this.#clear();
  }

  #hold(piece: Uint8Array): void {
    if (this.#isSkipping || piece.length === 0) return;
    const length = this.#length + piece.length;
    const endsWithCR = length === this.maxLine + 1 && piece.at(-1) === CR;
    if (length > this.maxLine && !endsWithCR) {
      this.tooLongCount++;
      return this.discard();
    }
    if (length > this.#buffer.length) {
      const size = Math.min(this.maxLine + 1, Math.max(64, 2 * length));
      const larger = new Uint8Array(size);
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(piece, this.#length);
    this.#length = length;
  }

  #finish(lines: string[]): void {
    if (!this.#isSkipping) {
      lines.push(this.#decode(this.#buffer.subarray(0, this.#length)));
    }
    this.#isSkipping = false;
    this.#clear();
  }

  #decode(bytes: Uint8Array): string {
    const text = decoder.decode(bytes);
    this.isAscii &&= text.length === bytes.length && !text.includes("\ufffd");
    return printable(text);
  }

  #clear(): void {
    this.#buffer = EMPTY;
    this.#length = 0;
  }
}

function decode(bytes: Uint8Array): string {
  return printable(decoder.decode(bytes));
}

/**
 * Removes the characters that could do more to a terminal than show text: control
 * characters except tab and newline, DEL, line and paragraph separators, and the
 * controls of bidirectional text (https://trojansource.codes).
 *
 * @param text Text of one or several lines.
 * @returns The text without these characters.
 *
 * @example Remove an escape sequence
 * ```ts
 * import { printable } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(printable("one\x1b[2J\r\n\ttwo"), "one[2J\n\ttwo");
 * ```
 */
export function printable(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    "",
  );
}

function linesOf(text: string): string[] {
  return printable(text).split("\n");
}

/** Removes unprintable characters, and replaces newlines by spaces. */
function onOneLine(text: string): string {
  return printable(text).replaceAll("\n", " ");
}

/** Recognizes clients of other protocols by the first bytes that they send. */
class Opening {
  /** The first line as far as it is known; undefined once it is a chat line. */
  #text: string | undefined = "";

  /** Returns the name of the other protocol, if it is one. */
  protocolOf(chunk: Uint8Array): "HTTP" | "TLS" | undefined {
    if (this.#text === undefined) return;
    const end = chunk.indexOf(LF);
    this.#text += latin1.decode(end < 0 ? chunk : chunk.subarray(0, end));
    if (this.#text.startsWith("\x16\x03")) return "TLS";
    if (/^[A-Z]+ \S+ HTTP\/\d/.test(this.#text)) return "HTTP";
    const isLong = this.#text.length >= MAX_OPENING;
    if (isLong && /^[A-Z]+ \/\S+$/.test(this.#text)) return "HTTP";
    if (isLong || end >= 0) this.#text = undefined;
  }
}

/** Yields lines no faster than a bucket allows. Fails when the signal aborts. */
async function* pace(
  lines: string[],
  bucket: TokenBucket | undefined,
  signal: AbortSignal,
): AsyncGenerator<string[]> {
  while (lines.length > 0) {
    const time = bucket?.timeUntil(1) ?? 0;
    if (time > 0) await delay(time, null, { signal });
    const count = bucket ? Math.floor(bucket.level) : lines.length;
    const admitted = count >= lines.length ? lines : lines.slice(0, count);
    lines = lines.slice(count);
    bucket?.spend(admitted.length);
    yield admitted;
  }
}

// --- Events ---------------------------------------------------------------------

/** Maximum size of the output of one message event, in bytes, unless one line is longer. */
const MAX_EVENT = 16 * 1024;
/** Size that a shorter line counts as, in bytes. It bounds the lines of an event. */
const MIN_LINE = 64;
/** Maximum number of UTF-8 bytes of a UTF-16 unit. */
const MAX_WIDTH = 3;
/** Credit that a command costs besides its text, in bytes: it takes time, not output. */
const COMMAND_COST = 8 * 1024;
/** Credit that joining costs, in bytes. */
const ENTRY_COST = 256;

/** An event of the room, which a client or the program causes. The program has no id. */
type RoomEvent = { time?: Date } & (SharedEvent | LocalEvent);

/** An event that an {@linkcode Exchange} carries to all servers of the room. */
type SharedEvent =
  | ({ type: "entering" } & Omit<Member, "joinedAt">)
  | { type: "leaving"; id: string; notice?: string; reason?: string }
  | { type: "message" | "action"; id: string; name?: string; lines: string[] }
  | { type: "private"; id: string; to: string; text: string }
  /** With a notice, a member that has the name receives it and leaves. */
  | { type: "renaming"; id: string; name: string; notice?: string }
  /** A notice for one member or, without an id, for all. */
  | { type: "notice"; id?: string; text: string }
  /** Reports a private message to its sender. Without the text, it was refused. */
  | { type: "delivered"; id: string; to: string; text?: string }
  /** Adds messages with their prefixes to the history. */
  | { type: "remembering"; lines: string[] }
  /** Sets a value of the program. */
  | { type: "sharing"; key: string; value?: string };

/** An event for this server alone. */
type LocalEvent =
  | { type: "closing" }
  /** Sends the delayed output of arrivals and departures. */
  | { type: "flushing" }
  /** All members of another server leave. */
  | { type: "gone"; server: string }
  | { type: "paused" | "resumed" };

/** The events of one type. */
type EventOf<Type> = Extract<SharedEvent | LocalEvent, { type: Type }>;

/** Lines that become one event: messages, or a single command. */
interface Batch {
  lines: string[];
  isCommand: boolean;
  /** An upper bound of the size of the output, in bytes. */
  size: number;
}

/** Groups the lines of a member into batches of limited size. */
function* batches(
  lines: string[],
  isAscii: boolean,
  name: string,
  hasCommands: boolean,
): Generator<Batch> {
  const width = isAscii ? 1 : MAX_WIDTH;
  const prefix = MAX_WIDTH * name.length + 3;
  let start = 0;
  let batch = { isCommand: false, size: 0 };
  for (let end = 0; end < lines.length; end++) {
    const line = hasCommands ? withSlash(lines[end]) : lines[end];
    const isEscaped = hasCommands && line.startsWith("//");
    const isCommand = hasCommands && !isEscaped && line.startsWith("/");
    lines[end] = isEscaped ? line.slice(1) : line;
    const textSize = prefix + width * line.length; // `/me` broadcasts its text.
    const size = isCommand
      ? COMMAND_COST + textSize
      : Math.max(MIN_LINE, textSize);
    const isFull = isCommand || batch.isCommand ||
      batch.size + size > MAX_EVENT;
    if (isFull && end > start) {
      yield { ...batch, lines: lines.slice(start, end) };
      start = end;
      batch = { isCommand, size };
    } else batch = { isCommand, size: batch.size + size };
  }
  if (start < lines.length) yield { ...batch, lines: lines.slice(start) };
}

/** Replaces a full-width slash, as Chinese input methods write it, at the start of a line. */
function withSlash(line: string): string {
  return line.startsWith("\uff0f") ? "/" + line.slice(1) : line;
}

/**
 * An event of the room, as {@linkcode Chat.events} reports it. Private messages are
 * not reported.
 *
 * `left` has the reason that was given to {@linkcode Chat.kick}. An `action` is the
 * text of `/me`. Each line of a text is an event of its own.
 *
 * @example Format an event
 * ```ts
 * import type { ChatEvent } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * const format = (event: ChatEvent) =>
 *   event.type === "message" ? `${event.name}: ${event.text}` : event.type;
 * const ann = { id: "1", name: "ann", address: "192.0.2.1", own: false };
 * const event: ChatEvent = { type: "joined", time: new Date(), ...ann };
 * assertEquals(format(event), "joined");
 * ```
 */
export type ChatEvent =
  & {
    /** The time of the event. */
    time: Date;
    /** The id of the member, as in {@linkcode Member.id}; empty for the program. */
    id: string;
    /** The name of the member or of the speaker; empty for a notice. */
    name: string;
    /** The host that the member connects from; empty if there is none. */
    address: string;
    /** Whether the program caused the event, by `say`, `act` or `notice` on any server. */
    own: boolean;
  }
  & (
    | { type: "joined" }
    | { type: "left"; reason?: string }
    | { type: "renamed"; newName: string }
    | { type: "message" | "action" | "notice"; text: string }
  );

/**
 * A member of the room.
 *
 * @example Format a member
 * ```ts
 * import type { Member } from "@linechat/chat";
 *
 * const format = ({ name, joinedAt }: Member) =>
 *   `${name} since ${joinedAt.toISOString()}`;
 * ```
 */
export interface Member {
  /** The id, which stays the same while the member is connected. */
  readonly id: string;
  /** The name: `HOST:PORT` until the member chooses another. */
  readonly name: string;
  /** The host that the member connects from; empty if there is none. */
  readonly address: string;
  /** Whether the member is an operator, as {@linkcode Connection.isOperator} says. */
  readonly isOperator: boolean;
  /** The time at which the member joined. */
  readonly joinedAt: Date;
}

/**
 * What a member has done and has yet to receive.
 *
 * @example Remove the members that are silent
 * ```ts
 * import { type Activity, Chat } from "@linechat/chat";
 *
 * const isSilent = ({ lines, idle }: Activity) => lines === 0 && idle > 600_000;
 * await using chat = new Chat();
 * for (const { id, name } of chat.members) {
 *   const activity = chat.activityOf(id);
 *   if (activity && isSilent(activity)) await chat.kick(name, "silent");
 * }
 * ```
 */
export interface Activity {
  /** The number of lines that the member has sent. */
  readonly lines: number;
  /** The time since the last line or since the member joined, in milliseconds. */
  readonly idle: number;
  /** The size of the output that waits for the member, in bytes. */
  readonly backlog: number;
}

// --- Broadcaster ----------------------------------------------------------------

/** Collected output of this size is sent without waiting for more events, in bytes. */
const MAX_CHUNK = 256 * 1024;
/** Number of events after which their output is sent. */
const MAX_EVENTS = 64;
/**
 * Pause before the output of arrivals and departures alone, as a multiple of the time
 * that the last output took. It bounds the share of time that a storm of them costs.
 */
const PRESENCE_PAUSE = 4;
/** Maximum number of names in the greeting. */
const MAX_GREETED = 10;
/** Unread private output from which a member receives no private messages, in bytes. */
const MAX_PRIVATE = 64 * 1024;

/** The owner of the room: the members, the history and the readers of events. */
class Broadcaster {
  readonly #history: History;
  readonly #readers: EventReaders;
  readonly #members = new Map<string, Member>();
  /** The same members by the keys of their names. */
  readonly #membersByKey = new Map<string, Member>();
  /** The clients of this process that are members or are about to join. */
  readonly #clients = new Map<string, Client>();
  /** The values that the program has set by {@linkcode Chat.share}. */
  readonly #values = new Map<string, string>();
  readonly #replicator?: Replicator;
  readonly #running: Promise<void>;
  #queue!: ReadableStreamDefaultController<[RoomEvent, () => void]>;
  #hasEnded = false;
  /** The number of events since the last flush. */
  #unflushed = 0;
  /** Whether an event since the last flush is not an arrival or a departure. */
  #isUrgent = false;
  /** The time until which the output of arrivals and departures is delayed. */
  #presenceDue = 0;
  #timer?: ReturnType<typeof setTimeout>;
  /** The time of the event that is being handled, if it comes from an exchange. */
  #time?: Date;

  constructor(
    readonly options: Options,
    readonly fanOut: FanOut,
    readonly chat: Chat,
  ) {
    const { exchange } = options;
    // Another server of the room can show more messages than this one.
    this.#history = new History(
      exchange ? MAX_SHARED_HISTORY : options.history,
    );
    this.#readers = new EventReaders(
      options.maxBacklog,
      fanOut.backpressure,
    );
    this.#running = this.#run(
      new ReadableStream({
        start: (controller) => void (this.#queue = controller),
      }, { highWaterMark: 0 }),
    );
    if (exchange) this.#replicator = new Replicator(this, exchange);
  }

  /**
   * Queues an event, for all servers of the room, and waits until it has been handled.
   * After the end, it is ignored.
   */
  send(event: RoomEvent): Promise<void> {
    return this.#replicator && this.#isShared(event)
      ? this.#replicator.send(event)
      : new Promise((done) => this.queue(event, done));
  }

  /** Queues an event for this server. */
  queue(event: RoomEvent, done: () => void): void {
    if (this.#hasEnded) done();
    else this.#queue.enqueue([event, done]);
  }

  /** Adds a client as a member. */
  enter(client: Client): Promise<void> {
    const { id, name, address, isOperator } = client;
    this.#clients.set(id, client);
    return this.send({ type: "entering", id, name, address, isOperator });
  }

  /** Whether all servers handle an event. A notice for a client of this one stays here. */
  #isShared(event: RoomEvent): event is SharedEvent {
    if (event.type === "notice") return !this.#clients.has(event.id ?? "");
    return event.type in SHARED_EVENTS;
  }

  /** The broadcaster of the Go original: one loop over all events. */
  async #run(events: AsyncIterable<[RoomEvent, () => void]>): Promise<void> {
    for await (const [event, done] of events) {
      this.#handle(event);
      done();
      if (!this.#canWait(event)) await this.#flush();
    }
  }

  /** Decides whether the output of an event waits for that of the next events. */
  #canWait({ type }: RoomEvent): boolean {
    const isFull = this.fanOut.pending >= MAX_CHUNK ||
      ++this.#unflushed >= MAX_EVENTS;
    if (isFull) return false;
    this.#isUrgent ||= type !== "entering" && type !== "leaving";
    // A negative desired size means that more events are queued.
    if (this.#queue.desiredSize! < 0) return true;
    const time = this.#presenceDue - performance.now();
    if (this.#isUrgent || time <= 0) return false;
    this.#timer ??= setTimeout(
      () => void this.send({ type: "flushing" }),
      time,
    );
    return true;
  }

  #handle(event: RoomEvent): void {
    this.#time = event.time;
    switch (event.type) {
      case "entering":
        return this.#enter(event);
      case "leaving":
        return this.#leave(event);
      case "message":
      case "action":
        return this.#speak(event);
      case "private":
        return this.#sendPrivate(event);
      case "renaming":
        return this.#rename(event);
      case "notice":
        return event.id === undefined
          ? this.#announce(event.text)
          : this.#notify(event.id, event.text);
      case "delivered":
        return this.#confirm(event);
      case "remembering":
        return this.#history.add("", event.lines, event.time);
      case "gone":
        return this.#leaveAll(event.server);
      case "sharing":
        return this.#share(event);
      case "paused":
      case "resumed":
        return this.fanOut.write(asNotice(this.options.texts[event.type]));
      case "closing":
        return this.#close();
      case "flushing":
        // Nothing to do: the loop sends the output of earlier events.
    }
  }

  /** Sends the collected output. Members that lag too far leave. */
  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#unflushed = 0;
    this.#isUrgent = false;
    const start = performance.now();
    const slow = await this.fanOut.flush();
    const end = performance.now();
    this.#presenceDue = end + PRESENCE_PAUSE * (end - start);
    if (slow.length === 0) return;
    const { log, maxBacklog } = this.options;
    for (const client of slow) {
      const name = this.#members.get(client.id)?.name ?? client.name;
      log(`Dropped ${name}: its backlog exceeds ${maxBacklog} bytes`);
      client.close();
      // In a room of several servers, `handleConn` lets it leave.
      if (!this.#replicator) this.#leave({ id: client.id });
    }
    await this.#flush();
  }

  /** Adds a member, greets it and announces it to the others. */
  #enter(event: EventOf<"entering">): void {
    const { id, address, isOperator } = event;
    if (this.#members.has(id)) return;
    const name = this.#freeName(event.name);
    const joinedAt = this.#now;
    const member = { id, name, address, isOperator, joinedAt };
    const client = this.#clients.get(id);
    if (client) this.fanOut.send(client, this.#greeting(name));
    this.fanOut.write(this.options.texts.online(name));
    if (client) this.fanOut.add(client); // It receives everything from here on.
    this.#members.set(id, member);
    this.#setKeys(member);
    this.#publish(member, { type: "joined" });
  }

  /** Returns the lines for a new member. */
  #greeting(name: string): string {
    const { texts, motd, commands } = this.options;
    const history = this.#history.last(this.options.history);
    const lines = [texts.welcome(name)];
    if (commands !== false) {
      const others = this.#members.values().map(({ name }) => name);
      const first = others.take(MAX_GREETED).toArray();
      lines.push(asNotice(texts.greeting(this.#members.size, first)));
    }
    if (motd !== "") lines.push(asNotice(motd));
    if (history.length > 0) {
      const time = formatTime(this.#history.lastAt);
      lines.push(asNotice(texts.history(history.length, time)), ...history);
    }
    return lines.join("\n");
  }

  /** Removes a member, if it is present, and announces that to the others. */
  #leave({ id, notice, reason }: Omit<EventOf<"leaving">, "type">): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    const { removed, wasRemoved, offline } = this.options.texts;
    if (notice !== undefined) this.#notify(id, notice);
    if (reason !== undefined) this.#notify(id, removed(reason));
    this.#remove(member);
    if (reason !== undefined) {
      this.fanOut.write(asNotice(wasRemoved(member.name, reason)));
    }
    this.fanOut.write(offline(member.name));
    this.#publish(member, { type: "left", reason });
  }

  /** Removes a member. Its client receives what has been written so far. */
  #remove({ id, name }: Member): void {
    const client = this.#clients.get(id);
    if (client) this.fanOut.remove(client);
    this.#clients.delete(id);
    this.#members.delete(id);
    for (const key of nameKeys(name)) this.#membersByKey.delete(key);
  }

  /** Returns a member, unless it may not speak. Then it receives the reason. */
  #speaker(id: string): Member | undefined {
    const member = this.#members.get(id);
    // In a room of several servers, that of the member has decided.
    const refusal = this.#replicator ? undefined : this.refusal(id);
    if (refusal === undefined) return member;
    this.#notify(id, refusal);
  }

  /** Returns the reason for which a member may not speak, if there is one. */
  refusal(id: string): string | undefined {
    const { screen, log, texts } = this.options;
    const member = this.#members.get(id);
    if (member === undefined || screen === undefined) return;
    try {
      const reason = screen(member);
      return reason === undefined ? undefined : printable(reason);
    } catch (error) {
      log(`Cannot screen ${member.name}: ${messageOf(error)}`);
      return texts.notScreened;
    }
  }

  /** Broadcasts messages or actions of a member or of the program. */
  #speak({ type, id, name, lines }: EventOf<"message" | "action">): void {
    const speaker = name === undefined ? this.#speaker(id) : program(name);
    if (speaker === undefined) return;
    const prefix = type === "message"
      ? `${speaker.name}: `
      : `* ${speaker.name} `;
    this.fanOut.write(prefix + lines.join("\n" + prefix));
    this.#history.add(prefix, lines, this.#time);
    if (!this.#readers.wantMessages) return;
    for (const text of lines) this.#publish(speaker, { type, text });
  }

  #sendPrivate({ id, to, text }: EventOf<"private">): void {
    const { texts } = this.options;
    const sender = this.#speaker(id);
    const receiver = this.find(to);
    if (sender === undefined) return;
    if (receiver === undefined) {
      return this.#notify(id, texts.noSuchMember(shorten(to)));
    }
    const client = this.#clients.get(receiver.id);
    if (client === undefined) return; // Its server delivers the message.
    const isRefused = client.writer.privateSize > MAX_PRIVATE;
    if (!isRefused) {
      this.fanOut.send(client, texts.privateFrom(sender.name, text));
    }
    const report: EventOf<"delivered"> = {
      type: "delivered",
      id,
      to: receiver.name,
      text: isRefused ? undefined : text,
    };
    if (this.#clients.has(id)) this.#confirm(report);
    else void this.send(report);
  }

  /** Reports a private message to its sender. */
  #confirm({ id, to, text }: EventOf<"delivered">): void {
    const { texts } = this.options;
    if (text === undefined) this.#notify(id, texts.notReceiving(to));
    else this.#sendTo(id, texts.privateTo(to, text));
  }

  #rename({ id, name: given, notice }: EventOf<"renaming">): void {
    const { texts } = this.options;
    const member = this.#speaker(id);
    if (member === undefined) return;
    const name = given.slice(0, MAX_NAME_INPUT).normalize("NFKC");
    const problem = nameProblem(name, texts);
    if (problem !== undefined) return this.#notify(id, problem);
    if (isReserved(name) && !member.isOperator) {
      return this.#notify(id, texts.nameReserved(name));
    }
    const owner = this.find(name, id);
    if (owner && notice === undefined) {
      return this.#notify(id, texts.nameTaken(name, owner.name));
    }
    if (owner) this.#leave({ id: owner.id, notice });
    if (name === member.name) return;
    this.fanOut.write(texts.renamed(member.name, name));
    this.#publish(member, { type: "renamed", newName: name });
    const renamed = { ...member, name };
    this.#members.set(id, renamed);
    for (const key of nameKeys(member.name)) this.#membersByKey.delete(key);
    this.#setKeys(renamed);
  }

  /** Sends a notice to all members. */
  #announce(text: string): void {
    this.fanOut.write(asNotice(text));
    for (const line of text.split("\n")) {
      this.#publish(program(""), { type: "notice", text: line });
    }
  }

  /** Sends a notice to one member. */
  #notify(id: string, text: string): void {
    this.#sendTo(id, asNotice(text));
  }

  #sendTo(id: string, text: string): void {
    const client = this.#clients.get(id);
    if (client) this.fanOut.send(client, text);
  }

  #close(): void {
    const { closing } = this.options.texts;
    this.fanOut.write(closing);
    for (const [id, client] of this.#clients) {
      const member = this.#members.get(id);
      if (member) {
        this.#remove(member);
        this.#publish(member, { type: "left" });
      } else { // It waits for its arrival, which does not come.
        this.fanOut.send(client, closing);
        this.fanOut.remove(client);
      }
    }
  }

  #share({ key, value }: EventOf<"sharing">): void {
    const { onShare, log } = this.options;
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    try {
      onShare?.(key, value, this.chat);
    } catch (error) {
      log(`Cannot take the value of ${key}: ${messageOf(error)}`);
    }
  }

  /** Returns events by which another server reaches the state of this one. */
  get state(): RoomEvent[] {
    const lines = this.#history.last(MAX_SHARED_HISTORY);
    const time = this.#history.lastAt;
    const members = this.members.map(({ joinedAt, ...member }) =>
      ({ type: "entering", ...member, time: joinedAt }) as const
    );
    const values = Array.from(
      this.#values,
      ([key, value]) => ({ type: "sharing", key, value }) as const,
    );
    return lines.length === 0
      ? [...members, ...values]
      : [...members, ...values, { type: "remembering", lines, time }];
  }

  #leaveAll(server: string): void {
    for (const id of [...this.#members.keys()]) {
      if (id.startsWith(`${server}-`)) this.#leave({ id });
    }
  }

  #publish(
    { id, name, address }: Pick<Member, "id" | "name" | "address">,
    details: EventDetails,
  ): void {
    const own = id === "";
    this.#readers.publish({
      time: this.#now,
      id,
      name,
      address,
      own,
      ...details,
    });
  }

  /** Returns a name that nobody has: the given one, or that with a number. */
  #freeName(name: string): string {
    let free = name;
    for (let n = 2; this.find(free); n++) free = `${name}~${n}`;
    return free;
  }

  get #now(): Date {
    return this.#time ?? new Date();
  }

  /** The members, in the order in which they joined. */
  get members(): Member[] {
    return [...this.#members.values()];
  }

  /** The members of other servers. */
  get elsewhere(): Iterable<Member> {
    return this.#replicator
      ? this.#members.values().filter(({ id }) => !this.#clients.has(id))
      : [];
  }

  member(id: string): Member | undefined {
    return this.#members.get(id);
  }

  client(id: string): Client | undefined {
    return this.#clients.get(id);
  }

  #setKeys(member: Member): void {
    for (const key of nameKeys(member.name)) {
      this.#membersByKey.set(key, member);
    }
  }

  /** Finds a member by a name that is the same or looks alike, except the member `except`. */
  find(name: string, except?: string): Member | undefined {
    if (name.length > MAX_NAME_INPUT) return;
    return nameKeys(name).map((key) => this.#membersByKey.get(key))
      .find((member) => member && member.id !== except);
  }

  watch(messages: boolean): ReadableStream<ChatEvent> {
    return this.#readers.add(messages);
  }

  /** Whether the room has ended and every event has been read. */
  get isDone(): boolean {
    return this.#readers.isDone;
  }

  /** Lets all members of this server leave. */
  async close(): Promise<void> {
    await this.#replicator?.close();
    await this.send({ type: "closing" });
  }

  /** Ends the loop and the streams of events. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    this.#hasEnded = true;
    this.#queue.close();
    await this.#running;
    clearTimeout(this.#timer);
    this.#readers.end();
  }
}

/** The part of an event that differs by its type. */
type EventDetails = ChatEvent extends infer Event
  ? Event extends unknown
    ? Omit<Event, "time" | "id" | "name" | "address" | "own">
  : never
  : never;

/** The program as a speaker. */
function program(name: string) {
  return { id: "", name, address: "" };
}

/** Number of events that a reader reads in one turn of the event loop. */
const MAX_READ = 64;

/** An event in a linked list. A reader holds the last one that it has read. */
interface EventNode {
  event?: ChatEvent;
  /** The size of all events up to this one, in bytes. */
  end: number;
  next?: EventNode;
}

interface EventReader {
  readonly messages: boolean;
  readonly controller: ReadableStreamDefaultController<ChatEvent>;
  position: EventNode;
  /** The number of events that were read. */
  count: number;
  /** Continues a read that waits for the next event. */
  wake: () => void;
}

/** The readers of {@linkcode Chat.events}. They share one list of events. */
class EventReaders {
  readonly #readers = new Set<EventReader>();
  #tail: EventNode = { end: 0 };
  #hasEnded = false;

  constructor(
    readonly maxLag: number,
    readonly backpressure: Backpressure,
  ) {}

  /** Whether a reader wants messages. */
  get wantMessages(): boolean {
    return this.#readers.values().some(({ messages }) => messages);
  }

  /** Whether no event will follow and all have been read. */
  get isDone(): boolean {
    return this.#hasEnded && this.#readers.size === 0;
  }

  publish(event: ChatEvent): void {
    if (this.#readers.size === 0) return;
    const size = 256 + ("text" in event ? 2 * event.text.length : 0);
    const node: EventNode = { event, end: this.#tail.end + size };
    this.#tail = this.#tail.next = node;
    for (const reader of this.#readers) {
      const lag = node.end - reader.position.end;
      if (lag <= this.maxLag) {
        this.backpressure.note(reader, lag / this.maxLag);
        reader.wake();
      } else {
        this.#remove(reader);
        const reason =
          `the reader fell behind by more than ${this.maxLag} bytes`;
        reader.controller.error(new Error(`Cannot read events: ${reason}`));
      }
    }
  }

  #remove(reader: EventReader): void {
    this.#readers.delete(reader);
    this.backpressure.caughtUp(reader);
  }

  /** Returns a stream of the events from now on. */
  add(messages: boolean): ReadableStream<ChatEvent> {
    let reader: EventReader;
    return new ReadableStream({
      start: (controller) => {
        reader = {
          messages,
          controller,
          position: this.#tail,
          count: 0,
          wake() {},
        };
        this.#readers.add(reader);
      },
      pull: () => this.#read(reader),
      cancel: () => this.#remove(reader),
    }, { highWaterMark: 0 });
  }

  /** Passes on the next event that a reader wants, once there is one. */
  async #read(reader: EventReader): Promise<void> {
    // A reader that never waits must not stop the event loop.
    if (++reader.count % MAX_READ === 0) await nextTurn();
    while (this.#readers.has(reader)) {
      const { next } = reader.position;
      if (next !== undefined) {
        reader.position = next;
        const lag = this.#tail.end - next.end;
        this.backpressure.progressed(reader, lag / this.maxLag);
        if (reader.messages || !("text" in next.event!)) {
          return reader.controller.enqueue(next.event!);
        }
      } else if (this.#hasEnded) {
        this.#remove(reader);
        reader.controller.close();
      } else await new Promise<void>((resolve) => reader.wake = resolve);
    }
  }

  /** Ends every stream after its last event. */
  end(): void {
    this.#hasEnded = true;
    for (const reader of this.#readers) {
      reader.wake();
      if (reader.position === this.#tail) void this.#read(reader);
    }
  }
}

// --- Fan-out --------------------------------------------------------------------

/** Size of a block of the log, in bytes. */
const BLOCK = 256 * 1024;

/**
 * Sends text to all clients. It writes chunks to the trunk, a stream that `tee()`
 * splits into one branch per kind of receiver. Each branch is piped into a sink.
 *
 * Text, arrivals and departures are collected in one list. A client receives the
 * text between its arrival and its departure.
 */
class FanOut {
  /** The sinks, by the function that frames their chunks. */
  readonly #sinks = new Map<Connection["frame"], Sink>();
  #trunk?: ReadableStreamDefaultController<Uint8Array>;
  /** The buffer for text, which becomes a block of the logs. */
  #buffer = new Uint8Array(BLOCK);
  /** The part of the buffer that holds the text since the last item was collected. */
  #start = 0;
  #end = 0;
  #collected: (Uint8Array | (() => void))[] = [];
  /** The size of the collected output, in bytes. */
  pending = 0;

  constructor(
    readonly maxBacklog: number,
    readonly backpressure: Backpressure,
  ) {}

  /** Adds lines for all clients. */
  write(text: string): void {
    const maxSize = 3 * text.length + 1;
    if (this.#end + maxSize > this.#buffer.length) {
      this.#collectText();
      this.#buffer = new Uint8Array(Math.max(BLOCK, maxSize));
      this.#start = this.#end = 0;
    }
    const rest = this.#buffer.subarray(this.#end);
    const { written } = encoder.encodeInto(text + "\n", rest);
    this.#end += written;
    this.pending += written;
  }

  /** Adds lines for one client. */
  send(client: Client, text: string): void {
    const bytes = encoder.encode(text + "\n");
    this.pending += bytes.length;
    this.#collect(() => client.writer.send(bytes));
  }

  /** Adds a client. It receives the text that follows. */
  add(client: Client): void {
    this.#collect(() => client.writer.start(this.#sinkFor(client.frame)));
  }

  /** Ends the output of a client with the text so far. */
  remove(client: Client): void {
    this.#collect(() => client.leave());
  }

  #collect(action: () => void): void {
    this.#collectText();
    this.#collected.push(action);
  }

  #collectText(): void {
    if (this.#end === this.#start) return;
    this.#collected.push(this.#buffer.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  /** Sends what is collected. Returns the clients that lag by more than `maxBacklog`. */
  async flush(): Promise<Client[]> {
    this.#collectText();
    const collected = this.#collected;
    this.#collected = [];
    this.pending = 0;
    for (const item of collected) {
      if (typeof item === "function") item();
      else if (this.#sinks.size > 0) {
        const sinks = [...this.#sinks.values()];
        const received = Promise.all(sinks.map((sink) => sink.nextChunk()));
        this.#trunk!.enqueue(item);
        await received; // Each sink has the chunk in its log.
      }
    }
    return [...this.#sinks.values()].flatMap((sink) => sink.deliver());
  }

  /**
   * Returns the sink for a framing. A new sink needs a new trunk: a stream that is
   * split gets no more branches.
   */
  #sinkFor(frame: Connection["frame"]): Sink {
    let sink = this.#sinks.get(frame);
    if (sink === undefined) {
      sink = new Sink(frame, this.maxBacklog, this.backpressure);
      this.#sinks.set(frame, sink);
      this.#openTrunk();
    }
    return sink;
  }

  #openTrunk(): void {
    this.#trunk?.close();
    const trunk = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#trunk = controller),
    });
    const sinks = [...this.#sinks.values()];
    tee(trunk, sinks.length).forEach((branch, i) => sinks[i].pipe(branch));
  }
}

/** Splits a stream into a number of branches. */
function tee<T>(stream: ReadableStream<T>, count: number): ReadableStream<T>[] {
  if (count === 1) return [stream];
  const [branch, rest] = stream.tee();
  return [branch, ...tee(rest, count - 1)];
}

/** A part of a log, which is filled from its beginning. */
interface Block {
  readonly bytes: Uint8Array;
  /** The offset of its first byte in the log. */
  readonly start: number;
  /** The offset behind its last byte. */
  end: number;
  next?: Block;
}

/**
 * The receivers of one kind, and the log of the output that they have not read yet.
 * The log is a linked list of blocks. A client writer is a cursor in the log, so a
 * block is freed when the last cursor has passed it.
 *
 * A sink never waits for a receiver. So the branches of the trunk cannot drift apart,
 * and `tee()` has nothing to buffer.
 */
class Sink {
  readonly #writers = new Set<ClientWriter>();
  readonly #writable = new WritableStream<Uint8Array>({
    write: (chunk) => this.#append(chunk),
  });
  /** The last block of the log. */
  tail: Block = { bytes: EMPTY, start: 0, end: 0 };
  /** Resolves when the next chunk is in the log. */
  #received = Promise.withResolvers<void>();
  /** Resolves when the current branch has ended. */
  #piped = Promise.resolve();

  constructor(
    readonly frame: Connection["frame"],
    readonly maxBacklog: number,
    readonly backpressure: Backpressure,
  ) {}

  /** Pipes a branch of the trunk into the log, once the branch before it has ended. */
  pipe(branch: ReadableStream<Uint8Array>): void {
    const { frame } = this;
    if (frame) {
      branch = branch.pipeThrough(
        new TransformStream({
          transform: (chunk, controller) => controller.enqueue(frame(chunk)),
        }),
      );
    }
    this.#piped = this.#piped
      .then(() => branch.pipeTo(this.#writable, { preventClose: true }));
  }

  /** Resolves when the next chunk is in the log. */
  nextChunk(): Promise<void> {
    return this.#received.promise;
  }

  /**
   * Appends a chunk to the log. An unframed chunk is not copied: it lies in the buffer
   * of the fan-out, which becomes a block.
   */
  #append(chunk: Uint8Array): void {
    const { buffer, byteOffset, length } = chunk;
    const { bytes, start, end } = this.tail;
    const free = bytes.subarray(end - start);
    if (this.frame && length <= free.length) free.set(chunk);
    else if (buffer !== free.buffer || byteOffset !== free.byteOffset) {
      const block = this.frame
        ? new Uint8Array(Math.max(BLOCK, length))
        : new Uint8Array(buffer, byteOffset);
      if (this.frame) block.set(chunk);
      this.tail = this.tail.next = { bytes: block, start: end, end };
    }
    this.tail.end += length;
    this.#received.resolve();
    this.#received = Promise.withResolvers();
  }

  add(writer: ClientWriter): void {
    this.#writers.add(writer);
  }

  remove(writer: ClientWriter): void {
    this.#writers.delete(writer);
    this.backpressure.caughtUp(writer);
  }

  /** Lets all writers continue. Returns the clients that lag too far. */
  deliver(): Client[] {
    const slow: Client[] = [];
    for (const writer of this.#writers) {
      if (this.#lagOf(writer) > this.maxBacklog) slow.push(writer.client);
      else {
        this.noteLag(writer);
        writer.wake();
      }
    }
    return slow;
  }

  /** Tells the backpressure how far a writer lags. */
  noteLag(writer: ClientWriter): void {
    this.backpressure.note(writer, this.#lagOf(writer) / this.maxBacklog);
  }

  /** Returns the size of the log that a writer has not passed. */
  #lagOf(writer: ClientWriter): number {
    return this.tail.end - writer.offset;
  }
}

// --- Client writer --------------------------------------------------------------

/**
 * Writes to one connection: the clientWriter of the Go original. It is a cursor in
 * the log of its sink. When a write has completed, the next one takes all that a
 * block holds beyond the cursor.
 *
 * Private output is for this client alone. It has an offset in the log, too.
 */
class ClientWriter {
  #sink?: Sink;
  #block?: Block;
  /** The offset of the cursor in the log. */
  offset = 0;
  /** The offset at which the output ends. */
  #end = Infinity;
  #private: { bytes: Uint8Array; offset: number }[] = [];
  /** The size of the private output that is not written yet, in bytes. */
  privateSize = 0;
  /** The part of the write in progress that the connection has not taken yet. */
  #rest?: Uint8Array;
  /** The size of the private output in the write in progress, in bytes. */
  #restPrivate = 0;
  isClosed = false;
  #onPrivateWritten?: () => void;
  #onFlushed?: () => void;

  constructor(
    readonly client: Client,
    readonly socket: Socket,
    readonly pool: MemoryPool,
  ) {}

  /** Begins at the end of the log of a sink. */
  start(sink: Sink): void {
    if (this.isClosed) return;
    this.#sink = sink;
    this.#block = sink.tail;
    this.offset = sink.tail.end;
    sink.add(this);
  }

  /** Adds private output. */
  send(bytes: Uint8Array): void {
    if (this.isClosed || this.isFinishing) return;
    bytes = this.client.frame?.(bytes) ?? bytes;
    this.#private.push({ bytes, offset: this.#sink?.tail.end ?? 0 });
    this.#countPrivate(bytes.length);
    this.wake();
  }

  /** Ends the output here. Once it is written, the connection is half-closed. */
  finish(): void {
    this.#end = Math.min(this.#end, this.#sink?.tail.end ?? 0);
    this.wake();
  }

  get isFinishing(): boolean {
    return this.#end < Infinity;
  }

  /** The size of the log after the cursor and of the write in progress, in bytes. */
  get lag(): number {
    const end = this.#sink?.tail.end ?? 0;
    const unwritten = this.#restPrivate > 0 ? 0 : this.#rest?.length ?? 0;
    return Math.min(this.#end, end) - this.offset + unwritten;
  }

  /** Writes what there is, unless a write is in progress. */
  wake(): void {
    if (this.#rest !== undefined || this.isClosed) return;
    const bytes = this.#take();
    if (bytes !== undefined) this.#write(bytes);
    else if (this.offset >= this.#end) this.#halfClose();
  }

  /** Moves the cursor and returns the bytes that it has passed. */
  #take(): Uint8Array | undefined {
    const next = this.#private[0];
    if (next !== undefined && next.offset <= this.offset) {
      this.#private.shift();
      this.#restPrivate = next.bytes.length;
      return next.bytes;
    }
    if (this.#block === undefined) return;
    if (this.offset === this.#block.end && this.#block.next) {
      this.#block = this.#block.next;
    }
    const { bytes, start } = this.#block;
    const end = Math.min(this.#block.end, next?.offset ?? this.#end);
    if (end <= this.offset) return;
    const taken = bytes.subarray(this.offset - start, end - start);
    this.offset = end;
    return taken;
  }

  #write(bytes: Uint8Array): void {
    this.#rest = bytes;
    try {
      this.socket.write(bytes).then(this.#onWritten, this.#onFailed);
    } catch {
      this.#onFailed(); // A connection of a program can throw at once.
    }
  }

  #onWritten = (size: number): void => {
    if (this.isClosed) return;
    const rest = this.#rest!;
    if (size < rest.length) return this.#write(rest.subarray(size));
    this.#rest = undefined;
    if (this.#restPrivate > 0) {
      this.#countPrivate(-this.#restPrivate);
      this.#restPrivate = 0;
    }
    this.#sink?.noteLag(this);
    this.wake();
  };

  #onFailed = (): void => this.client.close();

  #countPrivate(size: number): void {
    this.privateSize += size;
    this.pool.set(this, this.privateSize, () => this.client.close());
    if (this.privateSize === 0) this.#onPrivateWritten?.();
  }

  /** Waits until the private output is written. */
  privateWritten(): Promise<void> | undefined {
    if (this.privateSize === 0 || this.isClosed) return;
    return new Promise((resolve) => this.#onPrivateWritten = resolve);
  }

  /** Waits until all output is written, or the connection is closed. */
  flushed(): Promise<void> | undefined {
    if (this.isClosed) return;
    return new Promise((resolve) => this.#onFlushed = resolve);
  }

  #halfClose(): void {
    this.socket.closeWrite().catch(() => {});
    this.close();
    this.client.closeSoon();
  }

  /** Ends the output at once. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#private = [];
    this.#block = undefined;
    this.pool.delete(this);
    this.#sink?.remove(this);
    this.#onPrivateWritten?.();
    this.#onFlushed?.();
  }
}

// --- Backpressure ---------------------------------------------------------------

/** Lag from which bulk senders wait for a client, as a part of `maxBacklog`. */
const HIGH_MARK = 1 / 16;
/** Lag at which a client has caught up, as a part of `maxBacklog`. */
const LOW_MARK = 1 / 64;
/** Output that a sender may cause without waiting, in bytes and bytes per second. */
const CREDIT = 64 * 1024;
/** Time that bulk senders wait for one client to catch up, in milliseconds. */
const MAX_WAIT = 700;
/** Time that they wait for all clients that do not catch up, in milliseconds. */
const MAX_TOTAL_WAIT = 2_000;
/** Part of the elapsed time by which the total wait recovers. */
const RECOVERY = 0.1;
/** Number of bulk senders that continue in one turn of the event loop. */
const MAX_PER_TURN = 16;

/**
 * A clock, which tests replace. Times are in milliseconds.
 *
 * @ignore
 */
export interface Clock {
  now(): number;
  /** Waits for the next turn of the event loop. */
  turn(): Promise<unknown>;
  sleep(time: number, signal: AbortSignal): Promise<unknown>;
}

const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  turn: nextTurn,
  sleep: (time, signal) => delay(time, null, { signal }),
};

/**
 * Decides how long bulk senders wait. A bulk sender is one that has used up its
 * credit; other senders never wait.
 *
 * Bulk senders wait while a client lags by more than the high mark, until it has
 * caught up to the low mark. A client that does not catch up within `MAX_WAIT` is
 * not waited for again before it has caught up. Such waits also count towards
 * `MAX_TOTAL_WAIT`; when that is used up, no client is waited for.
 *
 * @ignore
 */
export class Backpressure {
  /** The clients that bulk senders wait for, and the time since which each is behind. */
  readonly #behind = new Map<unknown, number>();
  /** The clients that did not catch up in time. */
  readonly #excused = new Set<unknown>();
  /** The bulk senders that wait for their turn. */
  #waiting: (() => void)[] = [];
  #isRunning = false;
  /** Interrupts the sleep of the loop when the last client has caught up. */
  #interrupt = new AbortController();
  #totalWait = 0;
  #recoveredAt = 0;
  /** The time since which bulk senders wait, if they do. */
  #waitingSince?: number;
  #isStopped = false;

  constructor(readonly clock: Clock = SYSTEM_CLOCK) {}

  /** Notes the lag of a client or of a reader of events, as a part of the maximum. */
  note(client: unknown, lag: number): void {
    if (lag > HIGH_MARK) this.fellBehind(client);
    else if (lag <= LOW_MARK) this.caughtUp(client);
  }

  /** Notes that a reader of events is behind, but reads: it is waited for again. */
  progressed(reader: unknown, lag: number): void {
    if (this.#behind.has(reader)) this.#behind.set(reader, this.clock.now());
    this.note(reader, lag);
  }

  /** Notes that a client lags by more than the high mark. */
  fellBehind(client: unknown): void {
    if (this.#behind.has(client) || this.#excused.has(client)) return;
    this.#behind.set(client, this.clock.now());
  }

  /** Notes that a client lags by less than the low mark, or is gone. */
  caughtUp(client: unknown): void {
    if (this.#behind.size + this.#excused.size === 0) return;
    this.#excused.delete(client);
    if (this.#behind.delete(client) && this.#behind.size === 0) {
      this.#interrupt.abort();
    }
  }

  /** Waits until a bulk sender may continue. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#isRunning) void this.#run();
    });
  }

  /** Lets all senders continue from now on. */
  stop(): void {
    this.#isStopped = true;
    this.#interrupt.abort();
  }

  /** Lets some bulk senders continue in each turn of the event loop. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      await this.clock.turn();
      const time = this.#isStopped ? 0 : this.#excuse();
      if (time > 0) {
        this.#interrupt = new AbortController();
        await this.clock.sleep(time, this.#interrupt.signal).catch(() => {});
      } else {
        for (const resume of this.#waiting.splice(0, MAX_PER_TURN)) resume();
      }
    }
    this.#isRunning = false;
  }

  /**
   * Excuses the clients that did not catch up in time. Returns how long to wait for
   * the others.
   */
  #excuse(): number {
    const now = this.clock.now();
    const recovered = RECOVERY * (now - this.#recoveredAt);
    this.#totalWait = Math.max(0, this.#totalWait - recovered);
    this.#recoveredAt = now;
    const limit = Math.min(MAX_WAIT, MAX_TOTAL_WAIT - this.#totalWait);
    let longest = 0;
    let isExcusing = false;
    for (const [client, since] of this.#behind) {
      const left = since + limit - now;
      longest = Math.max(longest, left);
      if (left > 0) continue;
      this.#behind.delete(client);
      this.#excused.add(client);
      isExcusing = true;
    }
    if (isExcusing && this.#waitingSince !== undefined) {
      this.#totalWait += now - this.#waitingSince;
      this.#waitingSince = now;
    }
    if (longest <= 0) this.#waitingSince = undefined;
    else this.#waitingSince ??= now;
    return Math.max(0, longest);
  }
}

// --- Limits ---------------------------------------------------------------------

/** Tokens that refill at a rate per second, up to one burst. */
class TokenBucket {
  #level: number;
  #updatedAt = performance.now();

  constructor(
    readonly rate: number,
    readonly burst: number,
  ) {
    this.#level = burst;
  }

  /** The number of tokens. It is negative when too many were spent. */
  get level(): number {
    const now = performance.now();
    const added = this.rate * (now - this.#updatedAt) / 1000;
    this.#level = Math.min(this.burst, this.#level + added);
    this.#updatedAt = now;
    return this.#level;
  }

  get isFull(): boolean {
    return this.level === this.burst;
  }

  /** Takes tokens. The level does not fall below minus one burst. */
  spend(tokens: number): void {
    this.#level = Math.max(-this.burst, this.level - tokens);
  }

  /** Returns the time until the bucket holds that many tokens, in milliseconds. */
  timeUntil(tokens: number): number {
    return Math.max(0, tokens - this.level) * 1000 / this.rate;
  }
}

/** The buckets of one connection. */
interface Allowance {
  /** The output in bytes that the client can cause without waiting. */
  readonly credit: TokenBucket;
  /** The lines that the client can send, if there is a rate limit. */
  readonly lines?: TokenBucket;
}

/** The connections of one address, or of one network for IPv6. */
interface AddressRecord {
  /** The number of open connections. */
  open: number;
  /** The new connections that are possible, if there is a rate limit. */
  readonly connects?: TokenBucket;
  /** The buckets of closed connections that have not refilled. */
  unfilled: Allowance[];
}

/**
 * Limits the number of connections, in total and per address. The buckets of a closed
 * connection stay with its address until they are full, so reconnecting does not
 * refill them.
 */
class AddressLimits {
  readonly #records = new Map<string, AddressRecord>();
  #open = 0;

  constructor(readonly options: Options) {}

  /**
   * Admits a connection and returns its buckets, or the reason of a refusal. Members
   * elsewhere count towards the limit of an address.
   */
  enter(
    { address, isOperator }: Client,
    elsewhere: Iterable<Member>,
  ): Allowance | string {
    const { maxClients, maxPerAddress, connectRate, rate, ipv6Prefix, texts } =
      this.options;
    const key = networkOf(address, ipv6Prefix);
    const record = this.#records.get(key) ??
      { open: 0, connects: bucketOf(connectRate), unfilled: [] };
    if (maxClients > 0 && this.#open >= maxClients && !isOperator) {
      return texts.full;
    }
    if (address !== "" && !isOperator) {
      if (maxPerAddress > 0) {
        let open = record.open;
        for (const member of elsewhere) {
          if (networkOf(member.address, ipv6Prefix) === key) open++;
        }
        if (open >= maxPerAddress) return texts.tooMany(address);
      }
      if (record.connects && record.connects.level < 1) {
        return texts.tooFast(address);
      }
    }
    record.connects?.spend(1);
    record.open++;
    this.#open++;
    this.#records.set(key, record);
    return record.unfilled.pop() ??
      { credit: new TokenBucket(CREDIT, CREDIT), lines: bucketOf(rate) };
  }

  /** Notes that a connection has closed. */
  leave(address: string, allowance: Allowance): void {
    const key = networkOf(address, this.options.ipv6Prefix);
    const record = this.#records.get(key)!;
    record.unfilled.push(allowance);
    record.open--;
    this.#open--;
  }

  /** Forgets the buckets that are full, and addresses without a connection. */
  tidy(): void {
    for (const [key, record] of this.#records) {
      const isUnfilled = ({ credit, lines }: Allowance) =>
        !credit.isFull || lines?.isFull === false;
      record.unfilled = record.unfilled.filter(isUnfilled);
      const isIdle = record.open + record.unfilled.length === 0;
      if (isIdle && record.connects?.isFull !== false) {
        this.#records.delete(key);
      }
    }
  }
}

/** Creates a bucket for a rate per second with a burst of one second; none for 0. */
function bucketOf(rate: number): TokenBucket | undefined {
  return rate === 0 ? undefined : new TokenBucket(rate, Math.max(1, rate));
}

/** Returns the network of an IPv6 address, and any other address as it is. */
function networkOf(address: string, prefix: number): string {
  if (!address.includes(":")) return address;
  const [head, tail = ""] = address.split("::");
  const left = head.split(":");
  const right = tail.split(":");
  const zeros = Array(Math.max(0, 8 - left.length - right.length)).fill("0");
  return [...left, ...zeros, ...right].slice(0, 8).map((group, i) => {
    const bits = Math.min(16, Math.max(0, prefix - 16 * i));
    return (parseInt(group, 16) || 0) & (0xffff << (16 - bits));
  }).join(":");
}

/**
 * Bounds the memory of many owners together. When they hold more than the limit,
 * the owner that has held its part for the longest time releases it.
 */
class MemoryPool {
  readonly #parts = new Map<object, { size: number; release: () => void }>();
  #total = 0;

  constructor(readonly limit: number) {}

  /** Sets the size of the part of an owner, in bytes. */
  set(owner: object, size: number, release: () => void): void {
    if (size === 0) return this.delete(owner);
    const part = this.#parts.get(owner) ?? { size: 0, release };
    this.#total += size - part.size;
    part.size = size;
    this.#parts.set(owner, part);
    while (this.#total > this.limit) {
      const [oldest, { release }] = this.#parts.entries().next().value!;
      this.delete(oldest);
      release();
    }
  }

  delete(owner: object): void {
    this.#total -= this.#parts.get(owner)?.size ?? 0;
    this.#parts.delete(owner);
  }
}

// --- Connections ----------------------------------------------------------------

/** Minimum and maximum size of a read buffer, in bytes. */
const READ_SIZE = { min: 256, max: 16 * 1024 };
/** Maximum size of an answer to `ask`, in bytes. */
const MAX_ANSWER = 512;
/** Time in which a client that has left can read its pending output, in milliseconds. */
const FLUSH_TIMEOUT = 30_000;
/** Time for a client to close its side after the server has, in milliseconds. */
const HANG_UP_TIMEOUT = 1_000;
/** Size of the buffer of an in-memory client in each direction, in bytes. */
const LOCAL_BUFFER = 64 * 1024;

/**
 * A connection that a chat can serve: an address, and either streams of bytes or the
 * methods of a `Deno.Conn` (TCP, TLS or Unix).
 *
 * The chat uses the methods if there are both. The streams of a `Deno.Conn` close it
 * in both directions at the end of its input, but a client that has shut down its
 * sending side still receives its pending output.
 *
 * @example Serve a client that is made of streams
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
export type Connection =
  & {
    /** The address of the client, which is its initial name. */
    readonly remoteAddr:
      | Deno.Addr
      | { hostname: string; port: number }
      | { transport: string };
    /**
     * Encodes a chunk for a transport that frames its messages. Each chunk is framed
     * once for all connections with the same function.
     */
    readonly frame?: (chunk: Uint8Array) => Uint8Array;
    /**
     * Whether the client is an operator. An operator can enter a full room and can have
     * a name that is reserved for the server, such as `op-1`. @default {false}
     */
    readonly isOperator?: boolean;
  }
  & (
    | {
      /** The bytes that the client sends. */
      readonly readable: ReadableStream<Uint8Array>;
      /** Takes the bytes for the client. */
      readonly writable: WritableStream<Uint8Array>;
    }
    | {
      /** Reads into a buffer. Resolves with the number of bytes, or null at the end. */
      read(buffer: Uint8Array): Promise<number | null>;
      /** Writes some of the bytes. Resolves with their number. */
      write(bytes: Uint8Array): Promise<number>;
      /** Ends the output, and keeps the input open. */
      closeWrite(): Promise<void>;
      /** Closes the connection. Reads and writes in progress fail. */
      close(): void;
      /** Completes a handshake before the first read or write, within 10 seconds. */
      handshake?(): Promise<unknown>;
      setNoDelay?(noDelay: boolean): void;
      setKeepAlive?(keepAlive: boolean): void;
    }
  );

/** The connections that have methods, and those that have streams. */
type Socket = Extract<Connection, { read: unknown }>;
type Streams = Extract<Connection, { readable: unknown }>;

/**
 * The chat's side of a connection. It reads the input, owns the
 * {@linkcode ClientWriter}, and closes the socket.
 */
class Client {
  /** The host of the client; empty if there is none. */
  readonly address: string;
  readonly isOperator: boolean;
  readonly frame: Connection["frame"];
  readonly writer: ClientWriter;
  readonly #socket: Socket;
  /** The time at which it joined or sent its last line, in milliseconds. */
  spokeAt = Date.now();
  /** The number of lines that it has sent. */
  lines = 0;
  #timeout?: ReturnType<typeof setTimeout>;
  isClosed = false;
  #hasEnded = false;
  /** The bytes that `readLine` has read after its line. */
  #readAhead = EMPTY;

  constructor(
    readonly id: string,
    /** The name with which the client joins. */
    public name: string,
    conn: Connection,
    pool: MemoryPool,
  ) {
    const { remoteAddr, frame, isOperator = false } = conn;
    this.address = "hostname" in remoteAddr ? hostOf(remoteAddr.hostname) : "";
    this.isOperator = isOperator;
    this.frame = frame;
    this.#socket = "read" in conn ? conn : new StreamSocket(conn);
    this.writer = new ClientWriter(this, this.#socket, pool);
    try {
      this.#socket.setNoDelay?.(true);
      this.#socket.setKeepAlive?.(true);
    } catch {
      // The client has closed the connection already. The first read reports it.
    }
  }

  get needsHandshake(): boolean {
    return this.#socket.handshake !== undefined;
  }

  /** Completes the handshake of a TLS connection, within a time limit. */
  async handshake(): Promise<void> {
    this.closeWithin(HANDSHAKE_TIMEOUT);
    await this.#socket.handshake!();
    clearTimeout(this.#timeout);
  }

  /**
   * Yields the bytes that the client sends, in a buffer that is reused. The buffer
   * is small for a client that sends little, since a waiting read holds it.
   */
  async *read(): AsyncGenerator<Uint8Array> {
    const { min, max } = READ_SIZE;
    let buffer = new Uint8Array(min);
    for (let size; (size = await this.#receive(buffer)) !== null;) {
      yield buffer.subarray(0, size);
      if (size === buffer.length && size < max) {
        buffer = new Uint8Array(2 * buffer.length);
      } else if (4 * size < buffer.length) {
        buffer = new Uint8Array(Math.max(min, buffer.length / 2));
      }
    }
    this.#hasEnded = true;
  }

  /**
   * Reads one line, before `read` takes the rest. A line that is longer than the
   * buffer is split. Returns nothing at the end of the input.
   */
  async readLine(): Promise<string | undefined> {
    const buffer = new Uint8Array(MAX_ANSWER);
    for (let length = 0; length < buffer.length;) {
      const size = await this.#receive(buffer.subarray(length));
      if (size === null) {
        return length > 0 ? decode(buffer.subarray(0, length)) : undefined;
      }
      length += size;
      const end = buffer.subarray(0, length).indexOf(LF);
      if (end < 0) continue;
      this.#readAhead = buffer.slice(end + 1, length);
      return decode(buffer.subarray(0, end));
    }
    return decode(buffer);
  }

  #receive(buffer: Uint8Array): Promise<number | null> {
    const { length } = this.#readAhead;
    if (length === 0) return this.#socket.read(buffer);
    buffer.set(this.#readAhead); // No buffer is smaller than that of `readLine`.
    this.#readAhead = EMPTY;
    return Promise.resolve(length);
  }

  /** Ends the output with what is written so far. */
  leave(): void {
    this.writer.finish();
    if (!this.writer.isClosed) this.closeWithin(FLUSH_TIMEOUT);
  }

  /** Gives the client time to close its side, unless it has done so. */
  closeSoon(): void {
    if (!this.#hasEnded) this.closeWithin(HANG_UP_TIMEOUT);
  }

  /**
   * Reads until the client closes its side. Closing a socket that has unread input
   * resets the connection, and the client might lose the last output.
   */
  async linger(): Promise<void> {
    if (this.#hasEnded || this.isClosed) return;
    try {
      for await (const _ of this.read());
    } catch {
      // The time is up, or the client has reset the connection.
    }
  }

  closeWithin(time: number): void {
    clearTimeout(this.#timeout);
    if (!this.isClosed) this.#timeout = setTimeout(() => this.close(), time);
  }

  /** Closes the connection. Reads and writes in progress fail. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    clearTimeout(this.#timeout);
    closeQuietly(this.#socket);
    this.writer.close();
  }
}

/** Gives a pair of streams the methods of a socket. */
class StreamSocket implements Socket {
  readonly remoteAddr: Connection["remoteAddr"];
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #rest: Uint8Array = EMPTY;
  #failWrite = (_reason: unknown) => {};

  constructor({ readable, writable, remoteAddr }: Streams) {
    this.remoteAddr = remoteAddr;
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

  /** Rejects when the socket is closed. A sink might never settle an aborted write. */
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
    const reason = new TypeError("The connection is closed");
    this.#reader.cancel(reason).catch(() => {});
    this.#writer.abort(reason).catch(() => {});
    this.#failWrite(reason);
  }
}

/**
 * An in-memory client, as {@linkcode Chat.connect} returns it.
 *
 * @example Send a command and read the reply
 * ```ts
 * import { Chat, type LocalClient } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * await using chat = new Chat();
 * await using ann: LocalClient = chat.connect({ name: "ann" });
 * await ann.send("/ping");
 * for await (const line of ann.lines) {
 *   if (line === "-- pong") break;
 * }
 * ```
 */
export interface LocalClient extends AsyncDisposable {
  /**
   * The lines that the client receives. They end when the chat closes the client. A
   * loop that ends early, for example by `break`, closes the client.
   */
  readonly lines: AsyncGenerator<string>;
  /**
   * Sends a line. Resolves at once unless more than 64 KiB wait for the chat.
   *
   * @param line The line, without its end.
   * @throws {TypeError} If the client is closed.
   */
  send(line: string): Promise<void>;
  /**
   * Leaves the room, discards the unread lines, and waits until the chat has closed
   * the client.
   */
  close(): Promise<void>;
}

/** Creates both ends of an in-memory connection. */
function connectedPair(address: string): [Connection, LocalClient] {
  const buffered = new ByteLengthQueuingStrategy({
    highWaterMark: LOCAL_BUFFER,
  });
  const pipe = () =>
    new TransformStream<Uint8Array, Uint8Array>({}, undefined, buffered);
  const input = pipe();
  const output = pipe();
  const writer = input.writable.getWriter();
  const lines = (async function* () {
    try {
      // A broadcast line can be longer than `maxLine`: it starts with a name.
      const received = splitLines(output.readable, { maxLine: Infinity });
      for await (const batch of received) yield* batch;
    } catch {
      // The chat has closed the client before its output was read.
    }
  })();
  const close = async () => {
    const closed = writer.close().catch(() => {});
    while (!(await lines.next()).done);
    await closed;
  };
  return [{
    readable: input.readable,
    writable: output.writable,
    remoteAddr: { hostname: address, port: 0 },
  }, {
    lines,
    send: (line) => writer.write(encoder.encode(onOneLine(line) + "\n")),
    close,
    [Symbol.asyncDispose]: close,
  }];
}

// --- Options ---------------------------------------------------------------------

/**
 * Options of a {@linkcode Chat}. `undefined` selects the default. For the limits, 0
 * means no limit.
 *
 * @example Limit the clients of a public port
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
 *
 * @example Let new members listen for a minute before they speak
 * ```ts
 * import { Chat, type Member } from "@linechat/chat";
 *
 * function screen({ joinedAt }: Member) {
 *   const isNew = Date.now() - joinedAt.getTime() < 60_000;
 *   return isNew ? "Not sent: listen for a minute first" : undefined;
 * }
 * await using chat = new Chat({ screen });
 * ```
 */
export interface ChatOptions {
  /** The language of the texts of the room. @default {"en"} */
  lang?: Lang;
  /** Closes the chat when it aborts, as {@linkcode Chat.close} does. */
  signal?: AbortSignal;
  /**
   * Maximum lag of a client in bytes, from 1 MiB to 1 GiB. A client that lags
   * further is disconnected. All clients share one backlog in memory.
   * @default {16777216}
   */
  maxBacklog?: number;
  /** Maximum length of a line in bytes, from 1 byte to 16 MiB. Longer lines are discarded. @default {65536} */
  maxLine?: number;
  /** Maximum lines per second of one client, with a burst of one second. @default {0} */
  rate?: number;
  /** Maximum number of connections. @default {10000} */
  maxClients?: number;
  /** Maximum number of connections of one IPv4 address or IPv6 network. @default {0} */
  maxPerAddress?: number;
  /**
   * Maximum new connections per second of one IPv4 address or IPv6 network, with
   * a burst of one second. @default {0}
   */
  connectRate?: number;
  /**
   * Length of the prefix of an IPv6 network, from 1 to 128. The addresses of a
   * network count as one. @default {64}
   */
  ipv6Prefix?: number;
  /** Time without a line after which a client is disconnected, in milliseconds. @default {0} */
  idle?: number;
  /**
   * Commands of the program, which add to the built-in ones. `false` turns all
   * commands off: a line that starts with `/` is a message. @default {{}}
   */
  commands?: Readonly<Record<string, Command>> | false;
  /** Number of messages that a new member receives, at most 64 KiB. @default {0} */
  history?: number;
  /** The message of the day: text that a new member receives. @default {""} */
  motd?: string;
  /**
   * Decides whether a client can join. To refuse the client, returns a reason; the
   * client receives `Cannot enter: REASON`. To admit it, returns nothing or a name. A
   * promise has 60 seconds to resolve; then the client is refused. By default, every
   * client can join.
   */
  admit?: (candidate: Candidate) => Admission | Promise<Admission>;
  /**
   * Decides whether a member can speak or change its name. Is called for each message
   * and each new name. Returns a reason, which the member receives, or nothing. By
   * default, every member can.
   */
  screen?: (member: Member) => string | undefined;
  /**
   * Receives each value that {@linkcode Chat.share} sets on a server of the room, in the
   * same order on all servers. Without a value, the value of the key is removed.
   */
  onShare?: (key: string, value: string | undefined, chat: Chat) => void;
  /**
   * Receives messages for the operator: failed accepts, failed handshakes and
   * disconnected slow consumers. By default, they are not logged.
   */
  log?: (message: string) => void;
  /** Connects the servers of one room. By default, the room has this server only. */
  exchange?: Exchange;
}

/**
 * The decision of {@linkcode ChatOptions.admit}: a reason to refuse a client, the
 * name with which the client joins, or nothing to admit the client.
 *
 * @example Hide the addresses of clients
 * ```ts
 * import { type Admission, Chat } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * let count = 0;
 * const admit = (): Admission => ({ name: `guest-${++count}` });
 * await using chat = new Chat({ admit });
 * await using ann = chat.connect({ address: "192.0.2.1" });
 * assertEquals((await ann.lines.next()).value, "Welcome guest-1");
 * ```
 */
export type Admission = string | { name: string } | undefined | void;

/**
 * A client that wants to join.
 *
 * @example Ask for a password
 * ```ts
 * import { type Candidate, Chat } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * async function admit({ ask }: Candidate) {
 *   if (await ask("Password:") !== "sesame") return "wrong password";
 * }
 * await using chat = new Chat({ admit });
 * await using ann = chat.connect({ name: "ann" });
 * assertEquals((await ann.lines.next()).value, "-- Password:");
 * await ann.send("sesame");
 * assertEquals((await ann.lines.next()).value, "Welcome ann");
 * ```
 */
export interface Candidate {
  /** The id of the member that the client becomes. */
  readonly id: string;
  /** The name with which the client joins, unless `admit` returns another. */
  readonly name: string;
  /** The host that the client connects from; empty if there is none. */
  readonly address: string;
  /** Whether the client is an operator. */
  readonly isOperator: boolean;
  /**
   * Sends a notice to the client and resolves with the next line that the client
   * sends. A line that is longer than 512 bytes is split.
   *
   * @param question The text of the notice.
   * @returns The line, or `undefined` if there is none: the client has closed the
   * connection, or the decision has been made.
   */
  readonly ask: (question: string) => Promise<string | undefined>;
}

/**
 * The defaults of the options.
 *
 * @example Double the maximum length of a line
 * ```ts
 * import { Chat, DEFAULTS } from "@linechat/chat";
 *
 * await using chat = new Chat({ maxLine: 2 * DEFAULTS.maxLine });
 * ```
 */
export const DEFAULTS: Readonly<
  Required<
    Omit<ChatOptions, "signal" | "admit" | "screen" | "onShare" | "exchange">
  >
> = {
  lang: "en",
  maxBacklog: 16 * 1024 * 1024,
  maxLine: 64 * 1024,
  rate: 0,
  maxClients: 10_000,
  maxPerAddress: 0,
  connectRate: 0,
  ipv6Prefix: 64,
  idle: 0,
  commands: {},
  history: 0,
  motd: "",
  log: () => {},
};

/** The options with their defaults, and the texts of the language. */
type Options =
  & Required<
    Omit<ChatOptions, "signal" | "admit" | "screen" | "onShare" | "exchange">
  >
  & Pick<ChatOptions, "admit" | "screen" | "onShare" | "exchange">
  & { texts: Texts };

/** The rule of an option: the test of a value and the description of the values. */
type Rule = [isValid: (value: unknown) => boolean, values: string];

const RULES: { [Name in keyof ChatOptions]-?: Rule } = {
  lang: [(value) => Object.hasOwn(TEXTS, value as string), '"en" or "zh"'],
  signal: [(value) => value instanceof AbortSignal, "an AbortSignal"],
  maxBacklog: between(2 ** 20, 2 ** 30, "an integer"),
  maxLine: between(1, 2 ** 24, "an integer"),
  rate: between(0, 1_000_000),
  maxClients: between(0, 1_000_000, "an integer"),
  maxPerAddress: between(0, 1_000_000, "an integer"),
  connectRate: between(0, 1_000_000),
  ipv6Prefix: between(1, 128, "an integer"),
  idle: between(0, 2 ** 31 - 1),
  commands: [
    (value) =>
      value === false || Object.entries(value as object).every(isCommand),
    "false, or commands with usage, help and run, under names without spaces",
  ],
  history: between(0, 10_000, "an integer"),
  motd: [(value) => typeof value === "string", "a string"],
  admit: [(value) => typeof value === "function", "a function"],
  screen: [(value) => typeof value === "function", "a function"],
  onShare: [(value) => typeof value === "function", "a function"],
  log: [(value) => typeof value === "function", "a function"],
  exchange: [
    (value) => typeof (value as Partial<Exchange>).read === "function",
    "an Exchange",
  ],
};

function between(
  min: number,
  max: number,
  kind: "a number" | "an integer" = "a number",
): Rule {
  const isValid = (value: unknown) =>
    typeof value === "number" && min <= value && value <= max &&
    (kind === "a number" || Number.isInteger(value));
  return [isValid, `${kind} from ${min} to ${max}`];
}

function isCommand([name, command]: [string, Partial<Command>]): boolean {
  return /^\S+$/.test(name) && typeof command.usage === "string" &&
    typeof command.help === "string" && typeof command.run === "function";
}

/** Checks the options and adds the defaults. */
function checkOptions(options: ChatOptions): Options {
  const given = Object.entries(options)
    .filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    const [isValid, values] = RULES[name as keyof ChatOptions] ?? [];
    if (isValid === undefined || isValid(value)) continue;
    const ErrorType = typeof value === "number" ? RangeError : TypeError;
    const shown = typeof value === "object" ? "" : ` ${String(value)}`;
    throw new ErrorType(`Invalid ${name}${shown}: must be ${values}`);
  }
  const all: typeof DEFAULTS & ChatOptions = {
    ...DEFAULTS,
    ...Object.fromEntries(given),
  };
  return {
    ...all,
    motd: printable(all.motd),
    texts: TEXTS[all.lang],
    log(message) {
      try {
        all.log(message);
      } catch {
        // A log that throws does not end the chat.
      }
    },
  };
}

// --- Commands --------------------------------------------------------------------

/** Maximum number of members that `/who` lists. */
const MAX_LISTED = 100;

/**
 * A command that members can use. `/help` lists it.
 *
 * @example Add a command that replies with the time
 * ```ts
 * import { Chat, type Command } from "@linechat/chat";
 *
 * const time: Command = {
 *   usage: "/time",
 *   help: "show the time",
 *   run: ({ reply }) => reply(new Date().toISOString()),
 * };
 * await using chat = new Chat({ commands: { time } });
 * await using ann = chat.connect({ name: "ann" });
 * await ann.send("/time");
 * for await (const line of ann.lines) {
 *   if (/^-- \d{4}-/.test(line)) break;
 * }
 * ```
 *
 * @example Add a command for operators
 * ```ts
 * import { Chat, type Command } from "@linechat/chat";
 *
 * const clear: Command = {
 *   usage: "/clear",
 *   help: "remove all other members",
 *   isAvailable: ({ isOperator }) => isOperator,
 *   async run({ chat, member }) {
 *     for (const { id, name } of chat.members) {
 *       if (id !== member.id) await chat.kick(name);
 *     }
 *   },
 * };
 * await using chat = new Chat({ commands: { clear } });
 * ```
 */
export interface Command {
  /** How the command is written, for example `/time [ZONE]`. */
  readonly usage: string;
  /** The description in `/help`, without a full stop; empty to hide the command. */
  readonly help: string;
  /**
   * Returns whether a member can use the command. For other members, the command is
   * unknown and `/help` does not list it. By default, all members can use it.
   */
  isAvailable?(member: Member): boolean;
  /**
   * Runs the command. An error is logged, and the member receives a notice. The next
   * line of the member is read, and the chat closes, when the promise has settled.
   *
   * @param context The member and the actions of the command.
   * @param argument The text after the name of the command, without surrounding spaces.
   */
  run(context: CommandContext, argument: string): void | Promise<void>;
}

/**
 * The member that uses a command, and the actions that a command can take.
 *
 * @example Roll a die for the room
 * ```ts
 * import { Chat, type CommandContext } from "@linechat/chat";
 *
 * const roll = {
 *   usage: "/roll",
 *   help: "roll a die",
 *   run({ act }: CommandContext) {
 *     act(`rolls ${1 + Math.floor(6 * Math.random())}`);
 *   },
 * };
 * await using chat = new Chat({ commands: { roll } });
 * ```
 */
export interface CommandContext {
  /** The chat. */
  readonly chat: Chat;
  /** The member that uses the command. */
  readonly member: Member;
  /** Sends a notice to the member. */
  readonly reply: (text: string) => Promise<void>;
  /** Broadcasts a message of the member. */
  readonly say: (text: string) => Promise<void>;
  /** Broadcasts an action of the member. */
  readonly act: (text: string) => Promise<void>;
  /** Sends a private message of the member, or a notice if that is not possible. */
  readonly sendPrivate: (name: string, text: string) => Promise<void>;
  /**
   * Renames the member, or sends it a notice if that is not possible. If another
   * member has the name and there is a notice for it, that member leaves.
   */
  readonly rename: (name: string, notice?: string) => Promise<void>;
  /** Makes the member leave. */
  readonly leave: () => Promise<void>;
}

/** Runs the commands of members. */
class CommandTable {
  readonly #commands: Map<string, Command>;

  constructor(
    readonly options: Options,
    readonly chat: Chat,
    readonly broadcaster: Broadcaster,
  ) {
    const commands = {
      ...builtInCommands(options.texts, () => this.#commands.values()),
      ...options.commands,
    };
    // Members can write the name of a command in any case.
    this.#commands = new Map(
      Object.entries(commands).map((
        [name, command],
      ) => [name.toLowerCase(), command]),
    );
  }

  /** Runs the command in a line that starts with `/`, and waits for its actions. */
  async run(id: string, line: string): Promise<void> {
    const member = this.broadcaster.member(id);
    if (member === undefined) return;
    const actions: Promise<void>[] = [];
    const send = (event: RoomEvent) => {
      const action = this.broadcaster.send(event);
      actions.push(action);
      return action;
    };
    const context: CommandContext = {
      chat: this.chat,
      member,
      reply: (text) => send({ type: "notice", id, text: printable(text) }),
      say: (text) => send({ type: "message", id, lines: linesOf(text) }),
      act: (text) => send({ type: "action", id, lines: linesOf(text) }),
      sendPrivate: (to, text) =>
        send({ type: "private", id, to, text: onOneLine(text) }),
      rename: (name, given) => {
        const notice = given === undefined ? given : printable(given);
        return send({ type: "renaming", id, name, notice });
      },
      leave: () => send({ type: "leaving", id }),
    };
    const { texts, log } = this.options;
    const [start] = /^\S+/.exec(line)!;
    const command = this.#commands.get(start.slice(1).toLowerCase());
    try {
      if (command && isAvailable(command, member)) {
        await command.run(context, line.slice(start.length).trim());
      } else context.reply(texts.unknownCommand(shorten(start)));
    } catch (error) {
      log(
        `Cannot run ${shorten(start)} of ${member.name}: ${messageOf(error)}`,
      );
      context.reply(texts.commandFailed(shorten(start)));
    }
    await Promise.all(actions);
  }
}

function isAvailable(command: Command, member: Member): boolean {
  return command.isAvailable?.(member) ?? true;
}

/** Creates the built-in commands, in the order of `/help`. */
function builtInCommands(
  texts: Texts,
  all: () => Iterable<Command>,
): Record<string, Command> {
  const { help } = texts;
  const command = (
    [usage, help]: string[],
    run: Command["run"],
    { needsArgument = false } = {},
  ): Command => ({
    usage,
    help,
    run: (context, argument) =>
      needsArgument && argument === ""
        ? context.reply(texts.usage(usage))
        : run(context, argument),
  });
  return {
    nick: command(help.nick, ({ rename }, name) => rename(name), {
      needsArgument: true,
    }),
    who: command(help.who, ({ chat, reply }) => {
      const { members } = chat;
      const lines = members.slice(0, MAX_LISTED).map(({ name, joinedAt }) =>
        texts.present(
          name,
          formatDuration(Date.now() - joinedAt.getTime(), texts),
        )
      );
      if (members.length > MAX_LISTED) lines.push("…");
      return reply([texts.here(members.length), ...lines].join("\n"));
    }),
    msg: command(help.msg, ({ sendPrivate, reply }, argument) => {
      const [, name, text] = /^(\S+)\s+(.+)$/.exec(argument) ?? [];
      return name === undefined
        ? reply(texts.usage(help.msg[0]))
        : sendPrivate(name, text);
    }),
    me: command(help.me, ({ act }, text) => act(text), { needsArgument: true }),
    quit: command(help.quit, async ({ say, leave }, text) => {
      if (text !== "") await say(text);
      await leave();
    }),
    // Only for /help: a line that starts with two slashes is sent as a message.
    "/": command(help.slash, () => {}),
    help: command(help.help, ({ member, reply }) => {
      const listed = [...all()].filter((command) =>
        command.help !== "" && isAvailable(command, member)
      );
      const width = 2 + Math.max(...listed.map(({ usage }) => widthOf(usage)));
      const line = ({ usage, help }: Command) =>
        usage + " ".repeat(width - widthOf(usage)) + help;
      return reply(listed.map(line).join("\n"));
    }),
    ping: command(["/ping", ""], ({ reply }) => reply("pong")),
  };
}

/** Marks lines as notices. Members cannot send such lines: no name starts with `-`. */
function asNotice(text: string): string {
  return "-- " + text.replaceAll("\n", "\n-- ");
}

// --- Names ----------------------------------------------------------------------

/** Maximum length of a name, in characters. */
const MAX_NAME = 32;
/**
 * Maximum length of a name that is looked up or normalized, in UTF-16 units. A name can
 * be longer before it is normalized than after.
 */
const MAX_NAME_INPUT = 128;

/** Scripts that have letters in similar shapes. A name uses at most one of them. */
const SIMILAR_SCRIPTS = "Latin Greek Cyrillic Armenian Cherokee Coptic Lisu"
  .split(" ").map((script) => new RegExp(`\\p{Script=${script}}`, "u"));

/** Returns the rule that a name breaks, or nothing if members can have the name. */
function nameProblem(name: string, { nameRules }: Texts): string | undefined {
  if (/\s/.test(name)) return nameRules.space;
  if ([...name].length > MAX_NAME) return nameRules.tooLong(MAX_NAME);
  const keys = [name, name.toUpperCase()].flatMap(nameKeys);
  const isNotice = keys.some((key) => key.startsWith("-"));
  if (!/^[\p{L}\p{Nd}]/u.test(name) || isNotice) return nameRules.start;
  if (INVISIBLE.test(name)) return nameRules.invisible;
  if (!/^[\p{L}\p{M}\p{Nd}_.-]+$/u.test(name)) return nameRules.characters;
  if (!/\p{L}/u.test(name)) return nameRules.noLetter(name);
  if (ADDRESS.test(keys[0])) return nameRules.address(name);
  if (SIMILAR_SCRIPTS.filter((script) => script.test(name)).length > 1) {
    return nameRules.mixed;
  }
}

/** Matches characters without a shape, and stacks of marks. */
const INVISIBLE =
  /[\p{Default_Ignorable_Code_Point}\u{13441}\u{13442}\u{16fe4}]|\p{M}{3}/u;
/** Matches the key of a name that looks like an address. */
const ADDRESS = /^[\dol]+\.[\dol]|^localhost\.?$|:/;

/**
 * Returns whether a name looks like one of the server, or like that with a number.
 * Members cannot have it. In a key, `o` and `l` stand for digits, too.
 */
function isReserved(name: string): boolean {
  return nameKeys(name)
    .some((key) => RESERVED_KEYS.has(key.replace(/[\p{Nd}ol_.-]+$/u, "")));
}

/**
 * Returns the keys of a name. Two names that look alike, or differ only in case or in
 * accents, have a key in common. Two members of a room cannot have such names.
 *
 * @param name The name. Its first 128 UTF-16 units count.
 * @returns The keys. In a key, `o` also stands for 0 and `l` for 1 and i.
 *
 * @example Compare two names
 * ```ts
 * import { nameKeys } from "@linechat/chat";
 * import { assert } from "@std/assert";
 *
 * assert(nameKeys("b0b").some((key) => nameKeys("Bob").includes(key)));
 * ```
 */
export function nameKeys(name: string): string[] {
  const start = name.slice(0, MAX_NAME_INPUT);
  return [start, start.toLowerCase()].map((name) =>
    name.normalize("NFD").replace(ACCENTS, "")
      .replace(SIMILAR_CHARACTERS, (character) => SIMILAR.get(character)!)
      .toLowerCase().replaceAll("i", "l")
  );
}

/**
 * Characters that look like ASCII text, as entries of the form TEXT=CHARACTERS.
 * Generated by scripts/confusables.ts from unhomoglyph 1.0.6 (Unicode 13.0.0).
 */
const CONFUSABLES = `
O=0০୦𑓐𑣠ΟⲞОՕⵔዐଠ𐓂ꓳ𑢵𐊒𐊫𐐄𐔖 l=1IƖǀΙⲒІӀⵏᛁꓲ𖼨𐊊𐌉 -=Ⲻ :=ːꓽ 2=ꝚƧϨꙄᒿ
3=ꞫȜƷꝪⳌЗӠ𖼻𑣊 4=Ꮞ𑢯 5=Ƽ𑢻 6=ⳒбᏮ𑣕 7=𐓒𑣆 8=৪੪ȣȢ𐌚 9=੧୨৭൭ꝮⳊ𑣌𑢬𑣖 a=ɑαа
A=ΑАᎪᗅꓮ𖽀𐊠 aa=ꜳ AA=Ꜳ ae=æӕ AE=ÆӔ ao=ꜵ AO=Ꜵ au=ꜷ AU=Ꜷ av=ꜹꜻ AV=ꜸꜺ ay=ꜽ
AY=Ꜽ b=ƄЬᏏᑲᖯ B=ꞴΒВᏴᗷꓐ𐊂𐊡𐌁 bl=Ы c=ᴄⲥсꮯ𐐽 C=𑣩ⲤСᏟꓚ𐊢𐌂𐐕𐔜 d=ԁᏧᑯꓒ D=Ꭰᗞᗪꓓ
dz=ʣ e=ꬲеҽ E=ΕЕⴹᎬꓰ𑢦𑢮𐊆 f=ꬵꞙẝք F=ꞘϜᖴꓝ𑣂𑢢𐊇𐊥𐔥 g=ɡᶃƍց G=ԌᏀᏳꓖ h=һհᏂ
H=ΗⲎНᎻᕼꓧ𐋏 i=ıɪɩιіꙇӏꭵᎥ𑣃 j=ϳј J=ꞲͿЈᎫᒍꓙ K=ΚⲔКᏦᛕꓗ𐔘 L=ⳐᏞᒪꓡ𖼖𑢣𑢲𐐛𐔦 ll=ǁ
lO=Ю ls=ʪ lz=ʫ M=ΜϺⲘМᎷᗰᛖꓟ𐊰𐌑 n=ոռ N=ΝⲚꓠ𐔓
o=०੦૦௦౦೦൦๐໐၀ᴏᴑꬽοσⲟоჿօഠဝ𐓪𑣈𑣗𐐬 oe=œ OE=Œ oo=ꝏꚙ OO=ꝎꚘ p=ρⲣр P=ΡⲢРᏢᑭꓑ𐊕
q=ԛգզ Q=ⵕ r=ꭇꭈᴦⲅгꮁ R=ƦᎡᏒ𐒴ᖇꓣ𖼵 rn=𑣣m𑜀 s=ꜱƽѕꮪ𑣁𐑈 S=ЅՏᏕᏚꓢ𖼺𐊖𐐠
T=ΤⲦТᎢꓔ𖼊𑢼𐊗𐊱𐌕 T3=Ꜩ tf=ꝷ ts=ʦ u=ꞟᴜꭎꭒʋυս𐓶𑣘 U=Սሀ𐓎ᑌꓴ𖽂𑢸 ue=ᵫ uo=ꭣ
v=ᴠνѵ𑜆ꮩ𑣀 V=ѴⴸᏙᐯꛟꓦ𖼈𑢠𐔝 w=ɯᴡѡԝա𑜊𑜎𑜏ꮃ W=𑣦ԜᎳᏔꓪ x=хᕁᕽ
X=ꞳΧⲬХⵝᚷꓫ𐊐𐊴𐌗𐔧 y=ɣᶌʏỿꭚγуүყ𑣜 Y=ΥⲨУҮᎩᎽꓬ𖽃𑢤𐊲 z=ᴢꮓ𑣄 Z=𑣥ΖᏃꓜ𑢩
`;

const SIMILAR = new Map(
  CONFUSABLES.trim().split(/\s/).flatMap((entry) => {
    const [text, characters = ""] = entry.split("=");
    return Array.from(characters, (character) => [character, text] as const);
  }),
);

const SIMILAR_CHARACTERS = new RegExp(
  `[${[...SIMILAR.keys()].join("")}]`,
  "gu",
);

/** Marks that do not make another letter, unlike the voicing marks of kana. */
const ACCENTS = /(?![\u3099\u309a])\p{Script=Inherited}/gu;

/** The keys of the names that look like the server. */
const RESERVED_KEYS = new Set(
  [
    ...["server", "admin", "administrator", "operator", "op", "moderator"],
    ...["system", "root", "host", "guest", "welcome", "history", "linechat"],
    ...["服务器", "管理员", "系统", "欢迎", "无法进入", "服务器即将关闭"],
  ].flatMap(nameKeys),
);

// --- History ---------------------------------------------------------------------

/** Maximum size of the history, in bytes. */
const MAX_HISTORY = 64 * 1024;

/** The latest messages, which a new member receives. */
class History {
  #events: { prefix: string; messages: string[]; size: number }[] = [];
  /** The size of all messages, in UTF-16 units. */
  #size = 0;
  /** The time of the last message. */
  lastAt = new Date(0);

  constructor(readonly limit: number) {}

  /** Adds messages, each with a prefix. */
  add(prefix: string, messages: string[], time?: Date): void {
    if (this.limit === 0) return;
    this.lastAt = time ?? new Date();
    let size = messages.length * (prefix.length + 1);
    for (const message of messages) size += message.length;
    this.#events.push({ prefix, messages, size });
    this.#size += size;
    // A UTF-16 unit is at least one byte.
    while (this.#size - this.#events[0].size > MAX_HISTORY) {
      this.#size -= this.#events.shift()!.size;
    }
  }

  /** Returns the last messages with their prefixes. */
  last(count: number): string[] {
    const lines: string[] = [];
    let bytes = 0;
    for (const { prefix, messages } of this.#events.toReversed()) {
      for (const message of messages.toReversed()) {
        bytes += sizeOf(prefix + message);
        if (lines.length === count || bytes > MAX_HISTORY) {
          return lines.reverse();
        }
        lines.push(prefix + message);
      }
    }
    return lines.reverse();
  }
}

/** Returns the size of a line in UTF-8, with its end. */
function sizeOf(line: string): number {
  return encoder.encode(line).length + 1;
}

// --- Exchange --------------------------------------------------------------------

/** Number of messages that the servers of a room keep for each other. */
const MAX_SHARED_HISTORY = 10_000;

/**
 * Connects the chats of several servers to one room: each of them receives the
 * entries of all in the same order. So they have the same members and messages.
 *
 * A chat handles an event of its own members when it receives the entry for it.
 * While no entries arrive, the room stands still.
 *
 * `@linechat/chat/cluster` implements this interface on NATS JetStream.
 *
 * @example Connect chats of one process
 * ```ts
 * import { Chat, type Exchange, type ExchangeItem } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * const streams = new Set<ReadableStreamDefaultController<ExchangeItem>>();
 * function connect(id: string): Exchange {
 *   const publish = (item: ExchangeItem) =>
 *     streams.forEach((stream) => stream.enqueue(item));
 *   let own: ReadableStreamDefaultController<ExchangeItem>;
 *   const items = new ReadableStream<ExchangeItem>({
 *     start: (controller) => void streams.add(own = controller),
 *   });
 *   return {
 *     id,
 *     read: () => items,
 *     send: (entry) =>
 *       publish({ type: "entries", server: id, entries: [entry], time: new Date() }),
 *     async close() {
 *       streams.delete(own);
 *       own.close();
 *       publish({ type: "gone", server: id });
 *     },
 *   };
 * }
 *
 * await using one = new Chat({ exchange: connect("1") });
 * await using two = new Chat({ exchange: connect("2") });
 * await using ann = one.connect({ name: "ann" });
 * assertEquals((await ann.lines.next()).value, "Welcome ann");
 * await using bob = two.connect({ name: "bob" });
 * await ann.lines.next();
 * assertEquals((await ann.lines.next()).value, "bob is online");
 * ```
 */
export interface Exchange {
  /** The name of this server: letters and digits. No other server has or had it. */
  readonly id: string;
  /**
   * Sends an entry to all servers, this one included, after all that this one has
   * sent before.
   *
   * @param entry The entry, on one line.
   * @throws {RangeError} If it is too long.
   */
  send(entry: string): void;
  /**
   * Yields the entries of all servers, in the same order on each, without a gap and
   * none twice. The chat asks for the next item when it has handled the last one.
   * If the iteration throws, the chat closes.
   *
   * @param state Returns entries by which a new server reaches the state that the room
   * has after the last item that was handled.
   * @returns The items.
   */
  read(state: () => string[]): AsyncIterable<ExchangeItem>;
  /**
   * Sends to all servers that this one leaves. The iteration of `read` ends with that, or
   * when a time has passed.
   */
  close(): Promise<void>;
}

/**
 * An item that an {@linkcode Exchange} yields.
 *
 * A `state` can be the first item: the room as it was before the next one. `gone`
 * means that another server has left or failed, and no entry of it follows. Between
 * `paused` and `resumed`, entries cannot be exchanged.
 *
 * @example Count entries
 * ```ts
 * import type { ExchangeItem } from "@linechat/chat";
 * import { assertEquals } from "@std/assert";
 *
 * const count = (items: ExchangeItem[]) =>
 *   items.flatMap((item) => item.type === "entries" ? item.entries : []).length;
 * assertEquals(count([{ type: "paused" }, { type: "resumed" }]), 0);
 * ```
 */
export type ExchangeItem =
  | { type: "state"; entries: string[] }
  | { type: "entries"; server: string; entries: string[]; time: Date }
  | { type: "gone"; server: string }
  | { type: "paused" | "resumed" };

/** Sends the events of this server to an exchange, and queues those that it yields. */
class Replicator {
  /** The events of this server that it has not read back yet. */
  readonly #inTransit: { entry: string; event: RoomEvent; done(): void }[] = [];
  readonly #running: Promise<void>;
  #hasEnded = false;

  constructor(
    readonly broadcaster: Broadcaster,
    readonly exchange: Exchange,
  ) {
    this.#running = this.#run();
  }

  /** Sends an event and waits until it has been handled here. */
  async send(event: SharedEvent): Promise<void> {
    if (this.#hasEnded) return;
    if (isSpeech(event)) {
      const { id } = event;
      const text = this.broadcaster.refusal(id);
      if (text) return this.broadcaster.send({ type: "notice", id, text });
    }
    const entry = JSON.stringify(event);
    this.exchange.send(entry);
    await new Promise<void>((done) =>
      this.#inTransit.push({ entry, event, done })
    );
  }

  async close(): Promise<void> {
    if (!this.#hasEnded) await this.exchange.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { log } = this.broadcaster.options;
    const state = () =>
      this.broadcaster.state.map((event) => JSON.stringify(event));
    try {
      for await (const item of this.exchange.read(state)) {
        await this.#take(item);
      }
    } catch (error) {
      log(`The room has ended: ${messageOf(error)}`);
    }
    this.#hasEnded = true;
    for (const { done } of this.#inTransit) done();
    void this.broadcaster.chat.close();
  }

  /** Queues the events of an item and waits until they have been handled. */
  async #take(item: ExchangeItem): Promise<void> {
    if (!("entries" in item)) return await this.#queue(item);
    const server = "server" in item ? item.server : "the state";
    let last: Promise<void> | undefined;
    for (const entry of item.entries) {
      const sent = server === this.exchange.id
        ? this.#inTransit.shift()
        : undefined;
      // The own messages are valid: checking them again would cost much of the time.
      const isMessage = sent?.entry === entry && sent.event.type === "message";
      const event = isMessage ? sent.event : parseEntry(entry);
      const time = "time" in item ? item.time : event?.time;
      if (event) last = this.#queue({ ...event, time }, sent?.done);
      else {
        this.broadcaster.options.log(`Skipped a malformed entry of ${server}`);
        sent?.done();
      }
    }
    await last;
  }

  #queue(event: RoomEvent, done?: () => void): Promise<void> {
    return new Promise((resolve) =>
      this.broadcaster.queue(event, () => {
        done?.();
        resolve();
      })
    );
  }
}

/** Whether a member causes an event by speaking. */
function isSpeech(event: SharedEvent): event is SharedEvent & { id: string } {
  const types = ["message", "action", "private", "renaming"];
  return types.includes(event.type) && "id" in event && event.id !== "";
}

type Test = (value: unknown) => boolean;

const isText: Test = (value) =>
  typeof value === "string" && printable(value) === value;
const isLine: Test = (value) =>
  isText(value) && !(value as string).includes("\n");
const isLines: Test = (value) =>
  Array.isArray(value) && value.length > 0 &&
  value.every((line) => typeof line === "string") && isLine(value.join(""));
const isBoolean: Test = (value) => typeof value === "boolean";
const optional = (test: Test): Test => (value) =>
  value === undefined || test(value);

const SPEECH = { id: isLine, name: optional(isLine), lines: isLines };
/** The fields of the events that an exchange carries. */
const SHARED_EVENTS: Record<SharedEvent["type"], Record<string, Test>> = {
  entering: {
    id: isLine,
    name: isLine,
    address: isLine,
    isOperator: isBoolean,
  },
  leaving: { id: isLine, notice: optional(isText), reason: optional(isLine) },
  message: SPEECH,
  action: SPEECH,
  private: { id: isLine, to: isLine, text: isLine },
  renaming: { id: isLine, name: isLine, notice: optional(isText) },
  notice: { id: optional(isLine), text: isText },
  delivered: { id: isLine, to: isLine, text: optional(isLine) },
  remembering: { lines: isLines },
  sharing: { key: isLine, value: optional(isText) },
};

/** Parses an entry. Returns nothing if it is malformed. */
function parseEntry(text: string): RoomEvent | undefined {
  try {
    const event = JSON.parse(text);
    if (event.time !== undefined) event.time = new Date(event.time);
    const tests = SHARED_EVENTS[event.type as SharedEvent["type"]];
    const isKnown = typeof event.type === "string" &&
      Object.hasOwn(SHARED_EVENTS, event.type);
    const isValid = isKnown && !Number.isNaN(event.time?.getTime()) &&
      Object.entries(tests).every(([name, test]) => test(event[name]));
    if (isValid) return event;
  } catch {
    // It is not JSON, or has no type that is known.
  }
}

// --- Texts -----------------------------------------------------------------------

/**
 * A language of the texts of the room: English or Chinese.
 *
 * @example Use the language of the system
 * ```ts
 * import { Chat, type Lang } from "@linechat/chat";
 *
 * const lang: Lang = navigator.language.startsWith("zh") ? "zh" : "en";
 * await using chat = new Chat({ lang });
 * ```
 */
export type Lang = "en" | "zh";

const EN = {
  welcome: (name: string) => `Welcome ${name}`,
  online: (name: string) => `${name} is online`,
  offline: (name: string) => `${name} is offline`,
  renamed: (name: string, newName: string) =>
    `${name} is now known as ${newName}`,
  greeting(count: number, names: string[]) {
    const more = count > names.length ? ", …" : "";
    return count === 0
      ? "No one else is here. /help lists the commands"
      : `${count} here: ${names.join(", ")}${more}. /help lists the commands`;
  },
  history: (count: number, time: string) =>
    `History: ${count} ${
      count === 1 ? "message" : "messages"
    }, last at ${time}`,
  privateFrom: (name: string, text: string) => `${name} (private): ${text}`,
  privateTo: (name: string, text: string) => `(private) → ${name}: ${text}`,
  help: {
    nick: ["/nick NAME", "set your name"],
    who: ["/who", "list who is here"],
    msg: ["/msg NAME TEXT", "send a private message"],
    me: ["/me TEXT", "describe an action"],
    quit: ["/quit [TEXT]", "leave, with an optional goodbye"],
    slash: ["//TEXT", "send a line that starts with /"],
    help: ["/help", "list the commands"],
  },
  usage: (usage: string) => `Usage: ${usage}`,
  unknownCommand: (command: string) =>
    `Unknown command ${command}. /help lists the commands`,
  commandFailed: (command: string) => `${command} failed. Try again later`,
  nameRules: {
    space: "A name cannot contain spaces",
    tooLong: (max: number) => `A name has at most ${max} characters`,
    start: "A name must start with a letter or a digit",
    invisible: "A name cannot contain invisible or stacked characters",
    characters: "A name can only contain letters, digits, _, - and .",
    noLetter: (name: string) => `The name ${name} has no letter`,
    address: (name: string) => `The name ${name} looks like an address`,
    mixed: "A name cannot mix scripts that look alike",
  },
  nameReserved: (name: string) => `The name ${name} is reserved`,
  nameTaken: (name: string, owner: string) =>
    name === owner
      ? `The name ${name} is taken`
      : `The name ${name} is too similar to ${owner}`,
  here: (count: number) => `${count} here:`,
  present: (name: string, duration: string) => `${name} (${duration})`,
  units: ["s", "min", "h", "d"],
  noSuchMember: (name: string) => `No one here is named ${name}`,
  notReceiving: (name: string) => `Not sent: ${name} is not receiving messages`,
  tooLong: (maxLine: number) =>
    `Not sent: the line is longer than ${maxLine} bytes`,
  notScreened: "Not sent: the server could not check the line. Try again later",
  discarded: "Not sent: the server holds too many unfinished lines. Try again",
  idle: (duration: string) => `Disconnected after ${duration} without a line`,
  removed: (reason: string) => `You were removed${reason && `: ${reason}`}`,
  wasRemoved: (name: string, reason: string) =>
    `${name} was removed${reason && `: ${reason}`}`,
  otherProtocol: (protocol: string) =>
    `This is a chat server. It does not speak ${protocol}`,
  refused: (reason: string) => `Cannot enter: ${reason}`,
  full: "the room is full",
  tooMany: (address: string) => `too many connections from ${address}`,
  tooFast: (address: string) =>
    `too many new connections from ${address}. Try again later`,
  notAdmitted: "the server could not check the connection. Try again later",
  closing: "The server is shutting down",
  paused: "The room cannot be reached. What you send now waits",
  resumed: "The room can be reached again",
};

/** The texts of the room in one language. */
type Texts = typeof EN;

const ZH: Texts = {
  welcome: (name) => `欢迎 ${name}`,
  online: (name) => `${name} 上线`,
  offline: (name) => `${name} 下线`,
  renamed: (name, newName) => `${name} 改名为 ${newName}`,
  greeting(count, names) {
    const more = count > names.length ? "、…" : "";
    return count === 0
      ? "这里还没有其他人。输入 /help 查看命令"
      : `${count} 人在线：${names.join("、")}${more}。输入 /help 查看命令`;
  },
  history: (count, time) => `历史消息：${count} 条，最后一条发送于 ${time}`,
  privateFrom: (name, text) => `${name}（私聊）: ${text}`,
  privateTo: (name, text) => `（私聊）→ ${name}: ${text}`,
  help: {
    nick: ["/nick 名字", "设置名字"],
    who: ["/who", "查看在线成员"],
    msg: ["/msg 名字 内容", "发送私聊"],
    me: ["/me 内容", "描述动作"],
    quit: ["/quit [内容]", "离开聊天室，可附一句告别"],
    slash: ["//内容", "发送以 / 开头的内容"],
    help: ["/help", "查看命令"],
  },
  usage: (usage) => `用法：${usage}`,
  unknownCommand: (command) => `未知命令 ${command}。输入 /help 查看命令`,
  commandFailed: (command) => `${command} 执行失败，请稍后再试`,
  nameRules: {
    space: "名字不能包含空格",
    tooLong: (max) => `名字最多 ${max} 个字符`,
    start: "名字必须以文字或数字开头",
    invisible: "名字不能包含不可见或叠加的字符",
    characters: "名字只能包含文字、数字、_、- 和 .",
    noLetter: (name) => `名字 ${name} 不能只有数字和符号`,
    address: (name) => `名字 ${name} 与地址相似`,
    mixed: "名字不能混用外形相近的文字",
  },
  nameReserved: (name) => `名字 ${name} 为系统保留`,
  nameTaken: (name, owner) =>
    name === owner
      ? `名字 ${name} 已被占用`
      : `名字 ${name} 与 ${owner} 过于相似`,
  here: (count) => `${count} 人在线：`,
  present: (name, duration) => `${name}（${duration}）`,
  units: ["秒", "分钟", "小时", "天"],
  noSuchMember: (name) => `没有名为 ${name} 的成员`,
  notReceiving: (name) => `未发送：${name} 暂时无法接收消息`,
  tooLong: (maxLine) => `未发送：这一行超过 ${maxLine} 字节`,
  notScreened: "未发送：服务器暂时无法处理，请稍后再试",
  discarded: "未发送：服务器上未完成的行过多，请重试",
  idle: (duration) => `你已 ${duration}未发言，连接已断开`,
  removed: (reason) => `你已被移出聊天室${reason && `：${reason}`}`,
  wasRemoved: (name, reason) =>
    `${name} 被移出聊天室${reason && `：${reason}`}`,
  otherProtocol: (protocol) => `这是聊天服务器，不支持 ${protocol}`,
  refused: (reason) => `无法进入：${reason}`,
  full: "聊天室已满",
  tooMany: (address) => `来自 ${address} 的连接过多`,
  tooFast: (address) => `来自 ${address} 的新连接过于频繁，请稍后再试`,
  notAdmitted: "服务器暂时无法处理，请稍后再试",
  closing: "服务器即将关闭",
  paused: "暂时无法连接聊天室，你发送的内容会稍后送达",
  resumed: "聊天室已恢复连接",
};

const TEXTS: Record<Lang, Texts> = { en: EN, zh: ZH };

/**
 * The languages that a chat can use.
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

/** Formats a duration in its largest unit: seconds, minutes, hours or days. */
function formatDuration(milliseconds: number, { units }: Texts): string {
  const amounts = [1000, 60_000, 3_600_000, 86_400_000]
    .map((unit) => Math.floor(milliseconds / unit));
  const largest = Math.max(0, amounts.findLastIndex((amount) => amount > 0));
  return `${amounts[largest]} ${units[largest]}`;
}

/** Formats a time to the minute. */
function formatTime(time: Date): string {
  return time.toISOString().replace(/T(.{5}).*/, " $1 UTC");
}

/** Returns the number of columns of a text on a terminal: two for a wide character. */
function widthOf(text: string): number {
  // A character outside of the BMP is wide, and has two units already.
  return text.replace(/[\u2e80-\uffef]/gu, "xx").length;
}

/** Shortens text that a member has sent, for a reply. */
function shorten(text: string): string {
  // A pair of surrogates is not split.
  const start = text.slice(0, 40).replace(/[\ud800-\udbff]$/, "");
  return text.length > 40 ? `${start}…` : text;
}

// --- Helpers ---------------------------------------------------------------------

/**
 * Formats an address as `HOST:PORT`. An IPv6 host is put in brackets.
 *
 * @param hostname The name or address of the host.
 * @param port The port.
 * @returns The formatted address.
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

/** Returns a host as text. An IPv4 client of an IPv6 port has its IPv4 address. */
function hostOf(hostname: string): string {
  return onOneLine(hostname).replace(/^::ffff:(?=\d+\.)/, "");
}

/**
 * Waits for the next turn of the event loop. With `setImmediate`, Deno looks for input
 * in a small part of the turns only; a task of another thread lets it look in each one.
 */
function nextTurn(): Promise<unknown> {
  return crypto.subtle.digest("SHA-1", EMPTY);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function closeQuietly(resource: { close?(): void }): void {
  try {
    resource.close?.();
  } catch {
    // The other end has closed it already.
  }
}
