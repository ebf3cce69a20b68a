// Copyright 2026 the linechat authors. MIT license.

import { Network } from "./network.ts";

/** The time after which the attempts of a network are forgotten, in milliseconds. */
const PERIOD = 60_000;
/** Maximum number of networks that are known at a time. */
const MAX_NETWORKS = 10_000;

/** Limits the attempts of each IPv4 address and of each IPv6 network per minute. */
export class Attempts {
  readonly #records = new Map<string, { count: number; end: number }>();

  constructor(
    readonly limit: number,
    readonly ipv6Prefix = 64,
    readonly now: () => number = Date.now,
  ) {}

  /** Returns whether an address has used up its attempts. */
  areOver(address: string): boolean {
    return this.#recordOf(address).count >= this.limit;
  }

  /** Counts an attempt. */
  add(address: string): void {
    const key = this.#keyOf(address);
    const record = this.#recordOf(address);
    record.count++;
    this.#records.delete(key); // The map is ordered by the time of the last attempt.
    this.#records.set(key, record);
    if (this.#records.size <= MAX_NETWORKS) return;
    const [oldest] = this.#records.keys();
    this.#records.delete(oldest);
  }

  #recordOf(address: string): { count: number; end: number } {
    const now = this.now();
    const record = this.#records.get(this.#keyOf(address));
    return record && record.end > now
      ? record
      : { count: 0, end: now + PERIOD };
  }

  #keyOf(address: string): string {
    const network = Network.parse(address, this.ipv6Prefix);
    return network?.key ?? address;
  }
}
