// Copyright 2026 the linechat authors. MIT license.

/** Number of heartbeats of a server that must be missing before it is removed. */
const MISSING_BEATS = 6;

/** The other servers of the room, and their heartbeats. */
export class Peers {
  readonly #peers = new Map<string, { missing: number; bytes: number }>();

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

  hear(id: string, bytes: number): void {
    if (this.#peers.has(id)) this.#peers.set(id, { missing: 0, bytes });
  }

  /** Counts a missing heartbeat of each server. Returns the servers that seem dead. */
  tick(): string[] {
    for (const peer of this.#peers.values()) peer.missing++;
    return [...this.#peers].filter(([, { missing }]) => missing > MISSING_BEATS)
      .map(([id]) => id);
  }

  /** The smallest position of the servers that seem alive, in bytes. */
  get slowest(): number {
    const alive = this.#peers.values()
      .filter(({ missing }) => missing <= MISSING_BEATS);
    return Math.min(...alive.map(({ bytes }) => bytes));
  }
}
