// Copyright 2026 the linechat authors. MIT license.

import type { RoomStream } from "./nats.ts";

/** Number of bytes by which a server can be ahead of the others before it waits. */
const WINDOW = 16 * 1024 * 1024;
/** Number of bytes after which a server sends a heartbeat early. */
const BEAT_AFTER = 2 * 1024 * 1024;
/** Number of heartbeats of a server that must be missing before it is removed. */
const MISSING_BEATS = 6;

/** The other servers of the room, and the heartbeats of all. */
export class Peers {
  readonly #peers = new Map<string, { missing: number; bytes: number }>();
  /** The position of this server at its last heartbeat. */
  #beatBytes = 0;

  constructor(readonly id: string) {}

  /** Whether a heartbeat cannot wait for its time. */
  isBeatDue(bytes: number): boolean {
    return bytes - this.#beatBytes > BEAT_AFTER;
  }

  /** Sends a heartbeat: the name of this server, and the bytes that it has read. */
  beat(stream: RoomStream, bytes: number): void {
    this.#beatBytes = bytes;
    stream.send(stream.subjects.alive, `${this.id} ${bytes}`);
  }

  /** Takes a heartbeat. Those of this server return, too. */
  hear(text: string): void {
    const [, id, bytes] = /^(\d+) (\d+)$/.exec(text) ?? [];
    if (this.#peers.has(id)) this.add(id, Number(bytes));
  }

  /** Adds a server that has read so many bytes. */
  add(id: string, bytes: number): void {
    this.#peers.set(id, { missing: 0, bytes });
  }

  remove(id: string): void {
    this.#peers.delete(id);
  }

  /** Forgets missing heartbeats: this server could not receive any. */
  reset(): void {
    for (const peer of this.#peers.values()) peer.missing = 0;
  }

  /** Counts a missing heartbeat of each server. Returns the servers that seem dead. */
  tick(): string[] {
    for (const peer of this.#peers.values()) peer.missing++;
    return [...this.#peers].filter(([, { missing }]) => missing > MISSING_BEATS)
      .map(([id]) => id);
  }

  /** Returns whether a server that seems alive is far behind a position. */
  areBehind(bytes: number): boolean {
    return this.#peers.values().some((peer) =>
      peer.missing <= MISSING_BEATS && bytes - peer.bytes > WINDOW
    );
  }
}
