// Copyright 2026 the linechat authors. MIT license.

/**
 * The part of HTTP/1.1 that a page and a WebSocket need: one request without a body
 * per connection.
 *
 * `Deno.serve` and `node:http` have no time limit for the head of a request, and do not
 * give a connection back for another protocol (Deno 2.9.6).
 *
 * @module
 */

import { type Transport, writeAll } from "./transport.ts";

/** Maximum size of the head of a request, in bytes. Cookies of all ports are in it. */
export const MAX_HEAD = 16 * 1024;

/** The head of a request. */
export interface HttpRequest {
  readonly method: string;
  /** The path, without the query. */
  readonly path: string;
  readonly headers: Headers;
  /** The bytes after the head. */
  readonly rest: Uint8Array<ArrayBuffer>;
}

/** A response. */
export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** A request that gets an error as its response. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }

  /** The response, with the message as its text. */
  get response(): HttpResponse {
    const headers = { ...this.headers, "content-type": "text/plain" };
    return { status: this.status, headers, body: `${this.message}\n` };
  }
}

const REASONS: Record<number, string> = {
  101: "Switching Protocols",
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  421: "Misdirected Request",
  426: "Upgrade Required",
  431: "Request Header Fields Too Large",
};

/** Headers of every response. */
const COMMON_HEADERS = {
  "cache-control": "no-cache",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");

/**
 * Reads the head of a request.
 *
 * @returns The request, or nothing if the client sends nothing.
 * @throws {HttpError} If the head is malformed or too long.
 */
export async function readRequest(
  conn: Transport,
): Promise<HttpRequest | undefined> {
  const buffer = new Uint8Array(MAX_HEAD);
  let size = 0;
  while (size < buffer.length) {
    const count = await conn.read(buffer.subarray(size));
    if (count === null) return;
    const searched = Math.max(0, size - 3);
    size += count;
    if (!/^[A-Z]/.test(latin1.decode(buffer.subarray(0, 1)))) {
      throw new HttpError(400, "This port speaks HTTP");
    }
    const end = latin1.decode(buffer.subarray(searched, size))
      .indexOf("\r\n\r\n");
    if (end < 0) continue;
    const headSize = searched + end;
    const head = latin1.decode(buffer.subarray(0, headSize));
    return { ...parseHead(head), rest: buffer.slice(headSize + 4, size) };
  }
  throw new HttpError(431, `A request has at most ${MAX_HEAD} bytes`);
}

function parseHead(head: string): Omit<HttpRequest, "rest"> {
  const [first, ...lines] = head.split("\r\n");
  const [, method, path, version] =
    /^([A-Z]+) (\/[!-~]*) HTTP\/1\.([01])$/.exec(first) ?? [];
  if (method === undefined) throw new HttpError(400, "Malformed request line");
  const headers = new Headers();
  for (const line of lines) {
    const [, name, value] = /^([\w.-]+):(.*)$/.exec(line) ?? [];
    if (name === undefined || /[\0\r\n]/.test(value)) {
      throw new HttpError(400, "Malformed header");
    }
    headers.append(name, value);
  }
  // HTTP/1.0 needs no host. Browsers send one; health checks of HAProxy do not.
  if (version === "0" && !headers.has("host")) headers.set("host", "localhost");
  return { method, path: path.replace(/\?.*$/, ""), headers };
}

/** Writes a response. Unless it switches protocols, the connection is for one request. */
export async function writeResponse(
  conn: Transport,
  { status, headers, body = "" }: HttpResponse,
  { method }: { method: string } = { method: "GET" },
): Promise<void> {
  const bytes = typeof body === "string" ? encoder.encode(body) : body;
  const lines = Object.entries({
    ...status === 101 ? {} : {
      ...COMMON_HEADERS,
      "connection": "close",
      "content-length": bytes.length,
    },
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${REASONS[status]}\r\n${lines.join("")}\r\n`;
  await writeAll(conn, encoder.encode(head));
  if (method !== "HEAD") await writeAll(conn, bytes);
}

/**
 * Half-closes a connection and waits until the client closes its side. Closing a
 * socket that has unread input resets the connection, and the client might lose the
 * response.
 */
export async function hangUp(conn: Transport): Promise<void> {
  await conn.closeWrite();
  const buffer = new Uint8Array(1024);
  while (await conn.read(buffer) !== null);
}
