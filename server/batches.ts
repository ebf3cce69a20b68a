// Copyright 2026 the linechat authors. MIT license.

/**
 * The messages in the stream of a room: batches of entries, and states.
 *
 * @module
 */

import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";

/** Version of the format of batches and states. */
const FORMAT = 1;
/** Maximum length of the entries of a batch, in UTF-16 units, unless it has one only. */
const MAX_BATCH = 256 * 1024;
/** Maximum size of a state that is unpacked, in bytes. */
const MAX_STATE = 32 * 1024 * 1024;

const compress = promisify<string, Uint8Array>(gzip);
const decompress = promisify<
  Uint8Array,
  { maxOutputLength: number },
  Uint8Array
>(gunzip);

/** The header of the entries that a server sends in one message. */
export interface BatchHeader {
  server: string;
  number: number;
  /** The servers that leave the room after the entries. */
  gone?: string[];
}

/** The room after a message of the stream. */
export interface State {
  seq: number;
  /** The size of all messages up to this one. */
  bytes: number;
  /** The servers of the room, and the number of the last batch of each. */
  servers: [string, number][];
  entries: string[];
}

/** Formats a batch: a line with the header, and a line for each entry. */
export function formatBatch(header: BatchHeader, entries: string[]): string {
  return [JSON.stringify({ format: FORMAT, ...header }), ...entries].join("\n");
}

/** Returns the number of entries that fit into a batch. */
export function countOf(entries: string[]): number {
  let length = 0;
  const end = entries.findIndex((entry, i) =>
    (length += entry.length) > MAX_BATCH && i > 0
  );
  return end < 0 ? entries.length : end;
}

/** Parses the header of a batch. Returns nothing if it is malformed. */
export function parseHeader(text: string): BatchHeader | undefined {
  try {
    const { format, server, number, gone = [] } = JSON.parse(text);
    const isValid = format === FORMAT && isServer(server) && isCount(number) &&
      Array.isArray(gone);
    if (isValid) return { server, number, gone: gone.map(String) };
  } catch {
    // It is not JSON.
  }
}

function isServer(id: unknown): boolean {
  return typeof id === "string" && /^\d{9}$/.test(id);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && value as number >= 0;
}

/** Compresses a state. */
export async function packState(state: State): Promise<Uint8Array> {
  return await compress(JSON.stringify({ format: FORMAT, ...state }));
}

/** Unpacks a state. Returns nothing if it is malformed. */
export async function unpackState(
  data: Uint8Array,
): Promise<State | undefined> {
  try {
    const text = await decompress(data, { maxOutputLength: MAX_STATE });
    const { format, seq, bytes, servers, entries } = JSON.parse(`${text}`);
    const isValid = format === FORMAT && isCount(seq) && isCount(bytes) &&
      Array.isArray(servers) &&
      servers.every(([id, number]) => isServer(id) && isCount(number)) &&
      entries.every((entry: unknown) => typeof entry === "string");
    if (isValid) return { seq, bytes, servers, entries };
  } catch {
    // It is not the compressed JSON of a state.
  }
}
