// Copyright 2026 the linechat authors. MIT license.

/**
 * Networks: IPv4 and IPv6 addresses, each with the length of a prefix.
 *
 * @module
 */

import { isIPv4, isIPv6 } from "node:net";

/**
 * An IPv4 or IPv6 network. A single address is a network with the longest prefix.
 *
 * @example Compare an address with a network
 * ```ts
 * import { Network } from "@linechat/chat/moderation";
 * import { assert } from "@std/assert";
 *
 * const network = Network.parse("2001:db8::/32")!;
 * assert(network.includes(Network.parse("2001:db8::7")!));
 * ```
 */
export class Network {
  /** Two networks with the same key are the same. */
  readonly key: string;

  private constructor(
    /** The length of an address: 32 bits for IPv4, 128 for IPv6. */
    readonly width: 32 | 128,
    /** The bits of the prefix, followed by zeros. */
    readonly bits: bigint,
    /** The length of the prefix in bits. */
    readonly prefix: number,
  ) {
    this.key = `${width}/${prefix}/${bits}`;
  }

  /**
   * Parses `ADDRESS` or `ADDRESS/PREFIX`. An IPv4 address in IPv6 notation
   * (`::ffff:192.0.2.1`) is an IPv4 address.
   *
   * @param text The text.
   * @param ipv6Prefix The prefix of an IPv6 address that has none.
   * @returns The network, or `undefined` if the text is not one.
   */
  static parse(text: string, ipv6Prefix = 128): Network | undefined {
    const [address, suffix, ...rest] = text.split("/");
    const { width, bits } = parseAddress(address) ?? {};
    if (width === undefined || bits === undefined || rest.length > 0) return;
    const given = suffix ?? String(width === 32 ? 32 : ipv6Prefix);
    const prefix = Number(given);
    if (!/^\d{1,3}$/.test(given) || prefix > width) return;
    return new Network(width, bits, width).widen(prefix);
  }

  /**
   * Returns the network with a prefix that includes this one.
   *
   * @param prefix The length of the prefix in bits.
   * @returns The network; this one if its prefix is shorter.
   */
  widen(prefix: number): Network {
    if (prefix >= this.prefix) return this;
    const zeros = BigInt(this.width - prefix);
    return new Network(this.width, this.bits >> zeros << zeros, prefix);
  }

  /**
   * Returns whether all addresses of another network are in this one.
   *
   * @param other The other network.
   * @returns Whether they are.
   */
  includes(other: Network): boolean {
    return other.width === this.width && other.prefix >= this.prefix &&
      other.widen(this.prefix).key === this.key;
  }

  /** The first address, in its shortest form. */
  get address(): string {
    return this.width === 32
      ? groupsOf(this.bits, 4, 8).join(".")
      : formatIPv6(this.bits);
  }

  /** Returns `ADDRESS/PREFIX`, or `ADDRESS` for a single IPv4 address. */
  toString(): string {
    const { address, prefix } = this;
    return prefix === 32 && this.width === 32
      ? address
      : `${address}/${prefix}`;
  }
}

/** Returns whether one of several networks includes an address. */
export function isInAny(networks: readonly Network[], text: string): boolean {
  const address = Network.parse(text);
  return networks.some((network) => address && network.includes(address));
}

function parseAddress(
  text: string,
): { width: 32 | 128; bits: bigint } | undefined {
  if (isIPv4(text)) {
    return { width: 32, bits: join(text.split("."), 8) };
  }
  if (!isIPv6(text) || text.includes("%")) return;
  const [head, tail = ""] = normalize(text).split("::");
  const groups = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => `0x${group}`);
  const zeros = 8 - groups(head).length - groups(tail).length;
  const bits = join(
    [...groups(head), ...Array(zeros).fill("0"), ...groups(tail)],
    16,
  );
  const isMapped = bits >> 32n === 0xffffn;
  return isMapped
    ? { width: 32, bits: bits & 0xffff_ffffn }
    : { width: 128, bits };
}

/** Returns an IPv6 address in its shortest form, without dots. */
function normalize(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function formatIPv6(bits: bigint): string {
  const groups = groupsOf(bits, 8, 16);
  return normalize(groups.map((group) => group.toString(16)).join(":"));
}

function join(groups: string[], size: number): bigint {
  return groups.reduce(
    (bits, group) => (bits << BigInt(size)) | BigInt(group),
    0n,
  );
}

function groupsOf(bits: bigint, count: number, size: number): bigint[] {
  return Array.from(
    { length: count },
    (_, i) => BigInt.asUintN(size, bits >> BigInt((count - 1 - i) * size)),
  );
}
