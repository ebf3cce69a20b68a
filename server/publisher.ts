// Copyright 2026 the linechat authors. MIT license.

import { countOf, formatBatch } from "./batches.ts";
import { NoAnswer, type RoomStream } from "./nats.ts";

/** Time between two checks whether a batch was stored, in milliseconds. */
const CHECK_PERIOD = 250;
/** Number of checks without any message of the stream after which NATS is not waited for. */
const MAX_SILENT = 4;
/** Number of checks in all after which NATS is not waited for. */
const MAX_CHECKS = 40;

interface Batch {
  readonly number: number;
  readonly text: string;
}

/**
 * Publishes the entries of one server. While a batch has not been read back from the
 * stream, entries are collected for the next one.
 */
export class Publisher {
  #waiting: string[] = [];
  /** The batch that was not read back yet. It is published again after a failure. */
  #batch?: Batch;
  /** The number of batches so far. */
  count = 0;
  /** The servers that this one takes for dead. */
  readonly #gone = new Set<string>();
  /** Whether a batch is due without entries. The first one announces the server. */
  #isDue = true;
  #isClosing = false;
  /** Whether the last batch says that this server leaves. */
  #hasLeft = false;
  #wake = Promise.withResolvers<void>();

  /**
   * @param id The name of the server.
   * @param isHeld Returns whether entries have to wait for a slow server.
   */
  constructor(readonly id: string, readonly isHeld: () => boolean) {}

  add(entry: string): void {
    this.#waiting.push(entry);
    this.wake();
  }

  /** Publishes a batch although there are no entries. */
  publishEmpty(): void {
    this.#isDue = true;
    this.wake();
  }

  /** Publishes that another server is dead, until `forget` is called. */
  bury(server: string): void {
    this.#gone.add(server);
    this.wake();
  }

  forget(server: string): void {
    this.#gone.delete(server);
    this.wake();
  }

  /** Publishes what waits, and that this server leaves. */
  close(): void {
    this.#isClosing = true;
    this.wake();
  }

  /** Notes that a batch of this server was read from the stream. */
  confirm(number: number): void {
    if (number === this.#batch?.number) this.#batch = undefined;
    this.wake();
  }

  /** Checks again whether there is a batch. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Publishes batches until the connection ends. */
  async run(stream: RoomStream): Promise<void> {
    let published: Batch | undefined;
    let checks = 0;
    let silent = 0;
    let readCount = 0;
    // Checks are counted, since a process that was stopped has received nothing.
    const timer = setInterval(() => {
      if (this.#batch === undefined) return;
      silent = stream.readCount > readCount ? 0 : silent + 1;
      readCount = stream.readCount;
      const isLost = silent >= MAX_SILENT || ++checks >= MAX_CHECKS;
      if (isLost) stream.end(new NoAnswer());
    }, CHECK_PERIOD);
    try {
      while (stream.isOpen) {
        this.#batch ??= this.#next();
        if (this.#batch !== undefined && this.#batch !== published) {
          published = this.#batch;
          checks = silent = 0;
          stream.send(stream.subjects.log, published.text);
        }
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
    } catch (error) {
      stream.end(error);
    } finally {
      clearInterval(timer);
    }
  }

  #next(): Batch | undefined {
    const isWaiting = this.isHeld() || this.count === 0;
    const length = isWaiting ? 0 : countOf(this.#waiting);
    const isDue = this.#isDue || this.#isClosing;
    if (this.#hasLeft || length + this.#gone.size === 0 && !isDue) return;
    this.#isDue = false;
    const gone = [...this.#gone];
    const entries = this.#waiting.splice(0, length);
    this.#hasLeft = this.#isClosing && this.#waiting.length === 0;
    if (this.#hasLeft) gone.push(this.id);
    const number = ++this.count;
    const header = { server: this.id, number, gone };
    return { number, text: formatBatch(header, entries) };
  }
}
