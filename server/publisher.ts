// Copyright 2026 the linechat authors. MIT license.

import { countOf, formatBatch } from "./batches.ts";
import type { RoomStream } from "./nats.ts";

/**
 * Publishes the entries of one server. While a batch is not confirmed, entries are
 * collected for the next one.
 */
export class Publisher {
  #waiting: string[] = [];
  /** The batch that is not confirmed yet. It is published again after a failure. */
  #batch?: { number: number; text: string };
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

  /** Notes that a batch of this server is in the stream. */
  confirm(number: number): void {
    if (number === this.#batch?.number) this.#batch = undefined;
  }

  /** Checks again whether there is a batch. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Publishes batches until the connection ends. */
  async run(stream: RoomStream): Promise<void> {
    try {
      while (stream.isOpen) {
        this.#batch ??= this.#next();
        if (this.#batch === undefined) {
          await this.#wake.promise;
          this.#wake = Promise.withResolvers();
        } else {
          const { number, text } = this.#batch;
          await stream.publish(stream.subjects.log, text);
          this.confirm(number);
        }
      }
    } catch (error) {
      stream.end(error);
    }
  }

  #next(): { number: number; text: string } | undefined {
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
