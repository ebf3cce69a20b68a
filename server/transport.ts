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

/** Writes all bytes. */
export async function writeAll(
  conn: Pick<Transport, "write">,
  bytes: Uint8Array,
): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}
