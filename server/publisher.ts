// Copyright 2026 the linechat authors. MIT license.

import { countOf, formatBatch } from "./batches.ts";
import type { RoomStream } from "./nats.ts";

/** Maximum length of an entry, in UTF-16 units: 960 KiB in UTF-8. */
const MAX_ENTRY = 320 * 1024;
/** Time after which a batch that was not read back is sent again, in milliseconds. */
const REPEAT_AFTER = 500;
/** Time limit for the answer to that, in milliseconds. */
const ANSWER_TIMEOUT = 500;

/** Entries that are published in one message. */
interface Batch {
  readonly text: string;
  readonly gone: string[];
  readonly entries: string[];
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
  #count = 0;
  /** Whether the batch was sent twice and was not read back. */
  isStuck = false;
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

  /** Adds an entry. Throws if it does not fit into a message. */
  add(entry: string): void {
    if (entry.length > MAX_ENTRY) {
      throw new RangeError("Cannot send: the text is too long for the room");
    }
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

  /** Publishes the waiting entries, and that this server leaves. */
  close(): void {
    this.#isClosing = true;
    this.wake();
  }

  /**
   * Notes a batch with the name of this server that was read from the stream. If another
   * program has sent it, the batch of this server needs another number.
   */
  confirm(number: number, text: string): void {
    this.#count = Math.max(this.#count, number);
    if (text === this.#batch?.text) this.#batch = undefined;
    else if (this.#batch) this.#batch = this.#format(this.#batch);
    this.isStuck = false;
    this.wake();
  }

  /** Checks again whether there is a batch. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Publishes batches until the connection ends. */
  async run(stream: RoomStream): Promise<void> {
    let published: Batch | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      while (stream.isOpen) {
        this.#batch ??= this.#next();
        if (this.#batch !== published) {
          published = this.#batch;
          clearTimeout(timer);
          if (published) {
            const { text } = published;
            stream.send(stream.subjects.log, text);
            timer = setTimeout(() => this.#repeat(stream, text), REPEAT_AFTER);
          }
        }
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
    } catch (error) {
      stream.end(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends a batch again. Servers ignore the second copy, but NATS answers to it. */
  #repeat(stream: RoomStream, text: string): void {
    this.isStuck = true;
    stream.publish(stream.subjects.log, text, ANSWER_TIMEOUT)
      .catch((error) => stream.end(error));
  }

  #next(): Batch | undefined {
    const isWaiting = this.isHeld() || this.#count === 0;
    const length = isWaiting ? 0 : countOf(this.#waiting);
    const isLeaving = this.#isClosing && length === this.#waiting.length;
    const isDue = this.#isDue || isLeaving;
    if (this.#hasLeft || length + this.#gone.size === 0 && !isDue) return;
    this.#isDue = false;
    this.#hasLeft = isLeaving;
    const entries = this.#waiting.splice(0, length);
    const gone = isLeaving ? [...this.#gone, this.id] : [...this.#gone];
    return this.#format({ gone, entries });
  }

  /** Gives entries the next number. */
  #format({ gone, entries }: Pick<Batch, "gone" | "entries">): Batch {
    const number = ++this.#count;
    const header = { server: this.id, number, gone };
    return { text: formatBatch(header, entries), gone, entries };
  }
}
