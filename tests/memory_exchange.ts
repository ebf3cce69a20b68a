/** An exchange between the chats of one process. */

import type { Exchange, ExchangeItem } from "../mod.ts";

/** A room of several chats in one process. */
export class MemoryRoom {
  /** The items of all chats, in their order. */
  readonly log: ExchangeItem[] = [];
  readonly present = new Set<MemoryExchange>();
  /** The state of the room before the item at a position. */
  snapshot?: { position: number; state: string[] };
  isFrozen = false;
  #count = 0;
  #changed = Promise.withResolvers<void>();

  /** Returns the exchange of one more chat. */
  connect(): MemoryExchange {
    const server = new MemoryExchange(`${++this.#count}`, this);
    this.present.add(server);
    return server;
  }

  /** Adds items behind all others. */
  publish(...items: ExchangeItem[]): void {
    this.log.push(...items);
    this.notify();
  }

  /** Removes a chat as if its process had been killed. */
  kill(server: MemoryExchange): void {
    if (!this.present.delete(server)) return;
    this.publish({ type: "gone", server: server.id });
  }

  /** Lets entries wait. */
  freeze(): void {
    this.isFrozen = true;
    this.publish({ type: "paused" });
  }

  /** Lets entries pass again. */
  thaw(): void {
    this.isFrozen = false;
    this.publish({ type: "resumed" });
    for (const server of this.present) server.flush();
  }

  notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  changed(): Promise<void> {
    return this.#changed.promise;
  }
}

/** The exchange of one chat. */
export class MemoryExchange implements Exchange {
  #batch: string[] = [];
  #isClosed = false;

  constructor(readonly id: string, readonly room: MemoryRoom) {}

  send(entry: string): void {
    this.#batch.push(entry);
    if (this.#batch.length === 1) queueMicrotask(() => this.flush());
  }

  /** Publishes all that waits, as one batch. */
  flush(): void {
    const { id, room } = this;
    if (room.isFrozen || this.#batch.length === 0) return;
    const entries = this.#batch;
    this.#batch = [];
    if (!room.present.has(this)) return;
    room.publish({ type: "entries", server: id, entries, time: new Date() });
  }

  async *read(state: () => string[]): AsyncGenerator<ExchangeItem> {
    const { room } = this;
    let position = 0;
    if (room.snapshot) {
      position = room.snapshot.position;
      yield { type: "state", entries: room.snapshot.state };
    }
    for (;;) {
      while (position === room.log.length) {
        room.snapshot = { position, state: state() };
        if (this.#isClosed) return;
        await room.changed();
      }
      const item = room.log[position++];
      if (item.type !== "gone" || item.server !== this.id) yield item;
      else if (!this.#isClosed) throw new Error("this server was removed");
    }
  }

  // deno-lint-ignore require-await
  async close(): Promise<void> {
    this.flush();
    this.#isClosed = true;
    this.room.kill(this);
    this.room.notify();
  }
}
