// Copyright 2026 the linechat authors. MIT license.

/**
 * One room of several servers, on NATS JetStream.
 *
 * Each server publishes the entries of its members to the stream of the room, in
 * batches, and handles only the entries that it reads from there. The order of the stream is
 * the order of the room.
 *
 * ```ts ignore
 * import { Chat } from "@linechat/chat";
 * import { Cluster } from "@linechat/chat/cluster";
 *
 * const exchange = await Cluster.connect({ servers: ["nats://127.0.0.1:4222"] });
 * await using chat = new Chat({ exchange });
 * await exchange.live;
 * await chat.serve(Deno.listen({ port: 8000 }));
 * ```
 *
 * @module
 */

import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Exchange, ExchangeItem } from "../mod.ts";
import { parseHeader } from "./batches.ts";
import { settlesWithin } from "./duration.ts";
import {
  NoAnswer,
  RoomStream,
  type StreamMessage,
  type StreamOptions,
} from "./nats.ts";
import { Peers } from "./peers.ts";
import { Publisher } from "./publisher.ts";
import { type Position, States } from "./states.ts";

/** Time between two heartbeats, in milliseconds. */
const BEAT = 1_000;
/** Time without a connection after which members are informed, in milliseconds. */
const NOTICE_AFTER = 1_000;
/** The same after NATS has not answered for a second. */
const PATIENCE = 250;
/** Pause before the next attempt to connect, in milliseconds. */
const RETRY_PAUSE = 250;
/** Number of attempts in which the stream may lack messages: a replica can lag. */
const MAX_SHORT = 20;
/** Time limit for a server to join its room, in milliseconds. */
const START_TIMEOUT = 9_000;
/** Time to send that this server leaves, in milliseconds. */
const CLOSE_TIMEOUT = 1_000;

/**
 * Maximum length of the lines of a chat with a cluster, in bytes. An entry with such a
 * line fits into a message of NATS.
 */
export const MAX_LINE: number = 128 * 1024;

/** Options of a {@linkcode Cluster}. */
export interface ClusterOptions {
  /** The addresses of the NATS servers: `nats://HOST:PORT` or `tls://HOST:PORT`. */
  servers: readonly string[];
  /** The name of the room: letters, digits, `_` and `-`. @default {"main"} */
  room?: string;
  /**
   * The contents of a `.creds` file, `USER:PASSWORD`, or a token. By default, the
   * connection has no credentials.
   */
  credentials?: string;
  /** Receives messages for the operator. */
  log?: (message: string) => void;
}

const decoder = new TextDecoder();

/** A failure after which this server cannot know the room. */
class Lost extends Error {}

/** Connects a chat to the other servers of its room. */
export class Cluster implements Exchange {
  /** The name of this server. */
  readonly id: string = String(
    100_000_000 + crypto.getRandomValues(new Uint32Array(1))[0] % 900_000_000,
  );
  readonly #startedAt = performance.now();
  readonly #options: StreamOptions;
  readonly #log: (message: string) => void;
  #stream?: RoomStream;
  /** The servers of the room, in the order of their arrival, and their last batches. */
  #servers = new Map<string, number>();
  readonly #peers = new Peers(this.id);
  readonly #publisher = new Publisher(
    this.id,
    () => this.#peers.areBehind(this.#position.bytes),
  );
  /** The last message that was taken. */
  #position: Position = { seq: 0, bytes: 0 };
  readonly #states: States;
  /** The entries of the state with which this server began. */
  #initial: string[] = [];
  /** Whether members know that the room cannot be reached. */
  #isPaused = false;
  /** The number of attempts in which the stream lacked messages. */
  #shortCount = 0;
  readonly #closing = new AbortController();
  readonly #closed = once(this.#closing.signal, "abort").then(() => undefined);
  readonly #live = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<Error | undefined>();

  private constructor({ room = "main", log, ...options }: ClusterOptions) {
    this.#options = { ...options, room };
    this.#log = log ?? (() => {});
    this.#states = new States(this.#log);
    this.#live.promise.catch(() => {});
  }

  /**
   * Connects to NATS. The room is joined when a chat uses the result, which must
   * happen within 9 seconds.
   *
   * @param options The options.
   * @returns The exchange for one chat.
   * @throws {Error} If NATS cannot be used.
   */
  static async connect(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options);
    const connected = cluster.#connect();
    if (!await settlesWithin(connected, START_TIMEOUT)) {
      connected.then((stream) => stream.end(), () => {});
      throw new NoAnswer();
    }
    cluster.#stream = await connected;
    return cluster;
  }

  /**
   * Resolves when this server is a part of the room. Rejects if that fails or takes too
   * long.
   */
  get live(): Promise<void> {
    return this.#live.promise;
  }

  /** Resolves when this server has left the room, with the failure if there was one. */
  get ended(): Promise<Error | undefined> {
    return this.#ended.promise;
  }

  /**
   * Sends an entry to all servers.
   *
   * @param entry The entry, on one line.
   * @throws {RangeError} If it is longer than 327,680 UTF-16 units.
   */
  send(entry: string): void {
    this.#publisher.add(entry);
  }

  /** Yields the entries of all servers. A chat calls this once. */
  async *read(state: () => string[]): AsyncGenerator<ExchangeItem> {
    const elapsed = performance.now() - this.#startedAt;
    const timer = setTimeout(
      () => this.#stream?.end(new NoAnswer()),
      START_TIMEOUT - elapsed,
    );
    this.#live.promise.then(() => clearTimeout(timer), () => {});
    let failure: Error | undefined;
    try {
      yield* this.#readAll(state);
    } catch (error) {
      failure = error as Error;
      throw error;
    } finally {
      clearTimeout(timer);
      this.#stream?.end();
      this.#live.reject(failure ?? new Error("the chat has closed"));
      this.#ended.resolve(failure);
    }
  }

  /** Sends that this server leaves, and waits at most 1 second for that. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#publisher.close();
    await settlesWithin(this.#ended.promise, CLOSE_TIMEOUT);
    this.#stream?.end();
  }

  async *#readAll(state: () => string[]): AsyncGenerator<ExchangeItem> {
    yield { type: "state", entries: this.#initial };
    while (this.#stream) {
      const stream = this.#stream;
      try {
        for await (const message of this.#messages(stream)) {
          yield* this.#take(message, state);
          if (!this.#servers.has(this.id) && this.#closing.signal.aborted) {
            return;
          }
        }
        throw stream.failure ?? new Error("the connection was closed");
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        const isLive = this.#servers.has(this.id);
        if (error instanceof Lost || !isLive) throw error;
        this.#log(`Lost the connection to NATS: ${(error as Error).message}`);
      }
      const isSilent = stream.failure instanceof NoAnswer ||
        this.#publisher.isStuck;
      yield* this.#reconnect(isSilent ? PATIENCE : NOTICE_AFTER);
    }
  }

  /** Connects to NATS, sends heartbeats, and opens the stream. */
  async #connect(): Promise<RoomStream> {
    const stream = await RoomStream.connect(this.#options);
    this.#options.servers = stream.servers;
    // Heartbeats come first: JetStream can take seconds to choose a leader.
    this.#peers.reset();
    stream.receive(stream.subjects.alive, (text) => {
      this.#peers.hear(text);
      this.#publisher.wake();
    });
    const timer = setInterval(() => this.#tick(stream, timer), BEAT);
    this.#tick(stream, timer);
    try {
      const { first, last } = await stream.open();
      if (this.#position.seq === 0) await this.#restore(stream, first, last);
      const { seq, time } = this.#position;
      if (last < seq) {
        const message = "NATS has lost messages of the room";
        throw ++this.#shortCount < MAX_SHORT
          ? new Error(message)
          : new Lost(message);
      }
      this.#shortCount = 0;
      // The last message that was taken shows that the stream is the same one.
      await stream.subscribe(time === undefined ? seq + 1 : seq);
      return stream;
    } catch (error) {
      stream.end();
      throw stream.failure ?? error;
    }
  }

  async #restore(
    stream: RoomStream,
    first: number,
    last: number,
  ): Promise<void> {
    const { seq, bytes, servers, entries } = await this.#states
      .load(stream, first, last);
    this.#position = { seq, bytes };
    this.#servers = new Map(servers);
    for (const [id] of servers) this.#peers.add(id, bytes);
    this.#initial = entries;
  }

  /**
   * Connects again until that succeeds or the chat closes. Members are informed if that
   * takes longer than a time in milliseconds.
   */
  async *#reconnect(patience: number): AsyncGenerator<ExchangeItem> {
    this.#stream = undefined;
    const connected = this.#retry();
    const isShort = await settlesWithin(connected, patience);
    if (!isShort || this.#publisher.isStuck) yield* this.#setPaused(true);
    this.#stream = await Promise.race([connected, this.#closed]);
    // Otherwise, the room continues when the batch of this server has been read.
    if (this.#stream && !this.#publisher.isStuck) yield* this.#setPaused(false);
  }

  /** Informs members when the room stands still, or continues. */
  *#setPaused(isPaused: boolean): Generator<ExchangeItem> {
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    yield { type: isPaused ? "paused" : "resumed" };
  }

  async #retry(): Promise<RoomStream | undefined> {
    while (!this.#closing.signal.aborted) {
      try {
        const stream = await this.#connect();
        if (!this.#closing.signal.aborted) return stream;
        stream.end();
      } catch (error) {
        if (error instanceof Lost) throw error;
        this.#log(`Cannot connect to NATS: ${(error as Error).message}`);
        await delay(RETRY_PAUSE);
      }
    }
  }

  /** Yields the messages of the stream, and publishes batches at the same time. */
  async *#messages(stream: RoomStream): AsyncGenerator<StreamMessage> {
    const publishing = this.#publisher.run(stream);
    const { seq, time } = this.#position;
    try {
      for await (const message of stream.read()) {
        // A replica that lags begins with messages that were taken.
        if (message.seq > seq) yield message;
        else if (
          message.seq === seq && time !== undefined &&
          message.time.getTime() !== time
        ) {
          throw new Lost("the stream of the room was replaced");
        }
      }
    } finally {
      stream.end();
      this.#publisher.wake();
      await publishing;
    }
  }

  /** Takes a message, and yields the items in it. */
  async *#take(
    { seq, time, subject, data }: StreamMessage,
    state: () => string[],
  ): AsyncGenerator<ExchangeItem> {
    if (seq !== this.#position.seq + 1) {
      throw new Lost("NATS has dropped messages that this server had not read");
    }
    const bytes = this.#position.bytes + data.length;
    if (!subject.endsWith(".state")) yield* this.#takeBatch(data, time);
    this.#position = { seq, bytes, time: time.getTime() };
    if (this.#peers.isBeatDue(bytes)) this.#peers.beat(this.#stream!, bytes);
    if (this.#isFirst && this.#states.isDue(this.#position)) {
      this.#states.store(
        this.#stream!,
        this.#position,
        this.#servers,
        state(),
      );
    }
  }

  async *#takeBatch(
    data: Uint8Array,
    time: Date,
  ): AsyncGenerator<ExchangeItem> {
    const text = decoder.decode(data);
    const [header, ...entries] = text.split("\n");
    const parsed = parseHeader(header);
    if (parsed === undefined) return this.#log("Skipped a malformed message");
    const { server, number, gone = [] } = parsed;
    const last = this.#servers.get(server) ?? (number === 1 ? 0 : undefined);
    if (last === undefined || number <= last) return; // It is fenced, or a repetition.
    if (number > last + 1) {
      return this.#log(`Skipped a message of ${server}: its number is wrong`);
    }
    this.#servers.set(server, number);
    if (server === this.id) {
      this.#publisher.confirm(number, text);
      yield* this.#setPaused(false);
    }
    if (number === 1) this.#join(server);
    if (entries.length > 0) yield { type: "entries", server, entries, time };
    for (const id of gone) yield* this.#remove(id);
  }

  #join(server: string): void {
    if (server === this.id) this.#live.resolve();
    else this.#peers.add(server, this.#position.bytes);
  }

  *#remove(server: string): Generator<ExchangeItem> {
    if (!this.#servers.delete(server)) return;
    this.#peers.remove(server);
    this.#publisher.forget(server);
    if (server !== this.id) yield { type: "gone", server };
    else if (!this.#closing.signal.aborted) {
      throw new Lost("the other servers took this one for dead");
    }
  }

  /** Whether this server stores the states of the room. */
  get #isFirst(): boolean {
    return this.#servers.keys().next().value === this.id;
  }

  /** Sends a heartbeat, and looks for those of the others. */
  #tick(stream: RoomStream, timer: ReturnType<typeof setInterval>): void {
    if (!stream.isOpen) return clearInterval(timer);
    this.#peers.beat(stream, this.#position.bytes);
    if (!this.#servers.has(this.id)) return;
    for (const server of this.#peers.tick()) this.#publisher.bury(server);
    // The state is stored when the batch has been read.
    if (this.#isFirst && this.#states.isDue(this.#position)) {
      this.#publisher.publishEmpty();
    }
  }
}
