// Copyright 2026 the linechat authors. MIT license.

/**
 * The messages in the stream of a room: batches of entries, and states.
 *
 * @module
 */

/** Version of the format of batches and states. */
const FORMAT = 1;
/** Maximum length of the entries of a batch, in UTF-16 units, unless it has one only. */
const MAX_BATCH = 256 * 1024;

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
  const { readable, writable } = new CompressionStream("gzip");
  const writer = writable.getWriter();
  void writer.write(
    new TextEncoder().encode(JSON.stringify({ format: FORMAT, ...state })),
  );
  void writer.close();
  return await new Response(readable).bytes();
}

/** Unpacks a state. Returns nothing if it is malformed. */
export async function unpackState(
  data: Uint8Array,
): Promise<State | undefined> {
  try {
    const { format, seq, bytes, servers, entries } = await new Response(
      new Blob([new Uint8Array(data)]).stream()
        .pipeThrough(new DecompressionStream("gzip")),
    ).json();
    const isValid = format === FORMAT && isCount(seq) && isCount(bytes) &&
      Array.isArray(servers) &&
      servers.every(([id, number]) => isServer(id) && isCount(number)) &&
      entries.every((entry: unknown) => typeof entry === "string");
    if (isValid) return { seq, bytes, servers, entries };
  } catch {
    // It is not the compressed JSON of a state.
  }
}
