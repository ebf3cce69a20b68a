// Copyright 2026 the linechat authors. MIT license.

/**
 * The connections below TLS, HTTP and WebSockets.
 *
 * @module
 */

import type { Connection } from "../mod.ts";

/**
 * A connection that has methods: a TCP, TLS or Unix socket.
 *
 * @example Read from any such connection
 * ```ts
 * import type { Transport } from "@linechat/chat/web";
 *
 * function firstBytes(conn: Transport): Promise<number | null> {
 *   return conn.read(new Uint8Array(16));
 * }
 * ```
 */
export type Transport = Extract<Connection, { read: unknown }>;

/** Initial and maximum size of a read buffer, in bytes. */
export const READ_SIZE = { first: 512, largest: 16 * 1024 };

/**
 * Returns the size of the next read buffer: a larger one after a full one, and a smaller
 * one after one that was mostly empty, since a pending read holds it.
 */
export function nextReadSize(length: number, size: number): number {
  if (size === length) return Math.min(2 * length, READ_SIZE.largest);
  return 4 * size < length ? Math.max(length / 2, READ_SIZE.first) : length;
}

/** Writes all bytes. */
export async function writeAll(
  conn: Pick<Transport, "write">,
  bytes: Uint8Array,
): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}
