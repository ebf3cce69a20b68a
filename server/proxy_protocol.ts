// Copyright 2026 the linechat authors. MIT license.

/**
 * The PROXY protocol, versions 1 and 2, by which a proxy passes on the address of a
 * client (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt).
 *
 * @module
 */

import { isIP } from "node:net";
import { formatAddress, type Lang } from "../mod.ts";
import { isInAny, Network } from "./network.ts";

/** Time for a proxy to send the header, in milliseconds. */
const TIMEOUT = 5_000;
/** Maximum size of a header of each version, in bytes. */
const MAX_SIZE = { v1: 107, v2: 4096 };
/** The first bytes of a header of each version. */
const SIGNATURE = {
  v1: new TextEncoder().encode("PROXY "),
  v2: new Uint8Array([13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]),
};
/** The sizes of the addresses in version 2 by their families, in bytes. */
const ADDRESS_SIZES = new Map([[0x11, 4], [0x21, 16]]);
/** The families of version 2 that have no address of a client. */
const NO_ADDRESS = { unspecified: 0x00, unix: 0x31 };

/** The address and the port of a client. */
interface Source {
  hostname: string;
  port: number;
}

/** The header of a connection. */
export interface Header {
  /** The size of the header in bytes. */
  size: number;
  /** The client; undefined if the proxy has opened the connection for itself. */
  source?: Source;
}

/** Options of a {@linkcode ProxyListener}. */
export interface ProxyListenerOptions {
  /** The networks of the proxies. */
  trusted: readonly Network[];
  /** The language of messages. @default {"en"} */
  lang?: Lang;
  /** Receives a message for each connection that is closed for its header. */
  log?: (message: string) => void;
  /** Time for a proxy to send the header, in milliseconds. @default {5000} */
  timeout?: number;
  /**
   * Whether to accept connections that a proxy opens for itself. They have the address
   * of the proxy. Otherwise they are closed as soon as the proxy has closed them.
   * @default {false}
   */
  acceptsChecks?: boolean;
}

/**
 * Accepts connections of clients and of proxies. A connection of a proxy must start
 * with a header, and has the address that the header contains. Any other connection
 * must not start with one.
 *
 * A proxy opens connections without a client to check whether the server is alive.
 */
export class ProxyListener implements AsyncIterable<Deno.TcpConn> {
  readonly #listener: Deno.TcpListener;
  readonly #options: ProxyListenerOptions;
  /** The connections that are waiting for their headers. */
  readonly #pending = new Set<Deno.TcpConn>();
  /** Connections that are ready to be served. */
  readonly #ready: Deno.TcpConn[] = [];
  #accepting?: Promise<void>;
  #onReady = () => {};

  constructor(listener: Deno.TcpListener, options: ProxyListenerOptions) {
    this.#listener = listener;
    this.#options = options;
  }

  get addr(): Deno.NetAddr {
    return this.#listener.addr;
  }

  close(): void {
    this.#listener.close();
    for (const conn of this.#pending) this.#close(conn);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Deno.TcpConn> {
    while (true) {
      while (this.#ready.length > 0) yield this.#ready.shift()!;
      const ready = new Promise<void>((resolve) => this.#onReady = resolve);
      this.#accepting ??= this.#accept();
      this.#accepting.catch(() => {}); // It can fail before it is awaited again.
      try {
        await Promise.race([this.#accepting, ready]);
      } catch (error) {
        this.#accepting = undefined;
        const isClosed = error instanceof Deno.errors.BadResource ||
          error instanceof Deno.errors.Interrupted;
        if (isClosed) return;
        throw error;
      }
    }
  }

  async #accept(): Promise<void> {
    const conn = await this.#listener.accept();
    this.#accepting = undefined;
    void this.#receive(conn);
  }

  async #receive(conn: Deno.TcpConn): Promise<void> {
    const { hostname } = conn.remoteAddr;
    const isProxy = isInAny(this.#options.trusted, hostname);
    if (!isProxy) this.#refuseHeader(conn);
    else if (!await this.#readHeader(conn)) return;
    this.#ready.push(conn);
    this.#onReady();
  }

  /** Reads the header of a connection. Returns whether there is a client. */
  async #readHeader(conn: Deno.TcpConn): Promise<boolean> {
    const { timeout = TIMEOUT, acceptsChecks = false } = this.#options;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#close(conn);
    }, timeout);
    this.#pending.add(conn);
    try {
      const { header, rest } = await readHeader(conn);
      if (header.source) setSource(conn, header.source);
      else if (!acceptsChecks) {
        await drain(conn).catch(() => {});
        this.#close(conn);
        return false;
      }
      prepend(conn, rest);
      this.#pending.delete(conn);
      return true;
    } catch (error) {
      if (error instanceof HeaderError) this.#reject(conn, "malformed");
      else if (isLate) this.#reject(conn, "late");
      this.#close(conn);
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes a connection that is not one of a proxy as soon as it starts with a header. */
  #refuseHeader(conn: Deno.TcpConn): void {
    const read = async (buffer: Uint8Array) => {
      Reflect.deleteProperty(conn, "read");
      const size = await conn.read(buffer);
      if (!isHeader(buffer.subarray(0, size ?? 0))) return size;
      this.#reject(conn, "untrusted");
      return null;
    };
    Object.defineProperty(conn, "read", { configurable: true, value: read });
  }

  #reject(conn: Deno.TcpConn, problem: keyof typeof EN): void {
    const { log, lang = "en", timeout = TIMEOUT } = this.#options;
    const { hostname, port } = conn.remoteAddr;
    log?.(TEXTS[lang][problem](formatAddress(hostname, port), timeout / 1000));
  }

  #close(conn: Deno.TcpConn): void {
    if (!this.#pending.delete(conn)) return;
    try {
      conn.close();
    } catch {
      // The proxy has reset the connection.
    }
  }
}

/** The error for a connection that does not start with a header. */
export class HeaderError extends Error {}

async function readHeader(
  conn: Deno.TcpConn,
): Promise<{ header: Header; rest: Uint8Array }> {
  const buffer = new Uint8Array(MAX_SIZE.v2);
  for (let length = 0; length < buffer.length;) {
    const size = await conn.read(buffer.subarray(length));
    // A proxy can check whether the server is alive without a header.
    const isCheck = size === null && length === 0;
    if (isCheck) return { header: { size: 0 }, rest: new Uint8Array(0) };
    if (size === null) throw new HeaderError("The connection has ended");
    length += size;
    const header = parseHeader(buffer.subarray(0, length));
    if (header) return { header, rest: buffer.slice(header.size, length) };
  }
  throw new HeaderError("The header is too long");
}

/**
 * Parses a header.
 *
 * @param bytes The first bytes of a connection.
 * @returns The header, or `undefined` if more bytes are needed.
 * @throws {HeaderError} If the bytes are not the beginning of a header.
 */
export function parseHeader(bytes: Uint8Array): Header | undefined {
  if (startsAlike(bytes, SIGNATURE.v1)) return parseV1(bytes);
  if (startsAlike(bytes, SIGNATURE.v2)) return parseV2(bytes);
  throw new HeaderError("There is no signature");
}

function parseV1(bytes: Uint8Array): Header | undefined {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, MAX_SIZE.v1));
  const end = text.indexOf("\r\n");
  if (end < 0) {
    if (bytes.length < MAX_SIZE.v1) return;
    throw new HeaderError("The line has no end");
  }
  const line = text.slice(0, end);
  const size = end + 2;
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { size };
  const [, family, hostname, destination, ...ports] =
    /^PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d*) (0|[1-9]\d*)$/.exec(line) ?? [];
  const areValid = isIP(hostname) === Number(family) &&
    isIP(destination) === Number(family) &&
    ports.every((port) => Number(port) <= 65_535);
  if (!areValid) throw new HeaderError("The line is malformed");
  return { size, source: sourceOf(hostname, Number(ports[0])) };
}

function parseV2(bytes: Uint8Array): Header | undefined {
  if (bytes.length < 16) return;
  const [version, command] = [bytes[12] >> 4, bytes[12] & 0xf];
  const family = bytes[13];
  const size = 16 + (bytes[14] << 8 | bytes[15]);
  if (version !== 2 || command > 1 || size > MAX_SIZE.v2) {
    throw new HeaderError("The header is not supported");
  }
  if (bytes.length < size) return;
  const isLocal = command === 0;
  if (isLocal || Object.values(NO_ADDRESS).includes(family)) return { size };
  const length = ADDRESS_SIZES.get(family);
  if (length === undefined || size < 16 + 2 * length + 4) {
    throw new HeaderError("The addresses are malformed");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + 16, size - 16);
  const hostname = length === 4
    ? Array.from({ length: 4 }, (_, i) => view.getUint8(i)).join(".")
    : Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16))
      .join(":");
  return { size, source: sourceOf(hostname, view.getUint16(2 * length)) };
}

/** Returns a source with its address in the shortest form. */
function sourceOf(hostname: string, port: number): Source {
  return { hostname: Network.parse(hostname)!.address, port };
}

/** Returns whether bytes are the beginning of a signature, or start with it. */
function startsAlike(bytes: Uint8Array, signature: Uint8Array): boolean {
  return signature.subarray(0, bytes.length)
    .every((byte, i) => byte === bytes[i]);
}

/** Returns whether the first bytes of a connection are those of a header. */
function isHeader(bytes: Uint8Array): boolean {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 20));
  return /^PROXY (TCP[46]|UNKNOWN)/.test(text) ||
    bytes.length >= SIGNATURE.v2.length && startsAlike(bytes, SIGNATURE.v2);
}

/** Reads until the other side has closed the connection. */
async function drain(conn: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(512);
  while (await conn.read(buffer) !== null);
}

function setSource(conn: Deno.TcpConn, source: Source): void {
  const value: Deno.NetAddr = { transport: "tcp", ...source };
  Object.defineProperty(conn, "remoteAddr", { value });
}

/** Lets the next reads of a connection return bytes that have been read already. */
function prepend(conn: Deno.TcpConn, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  const read = (buffer: Uint8Array) => {
    const part = bytes.subarray(0, buffer.length);
    buffer.set(part);
    bytes = bytes.subarray(part.length);
    if (bytes.length === 0) Reflect.deleteProperty(conn, "read");
    return Promise.resolve(part.length);
  };
  Object.defineProperty(conn, "read", { configurable: true, value: read });
}

const EN = {
  malformed: (name: string, _seconds: number) =>
    `Cannot serve ${name}: it did not send a PROXY header`,
  late: (name: string, seconds: number) =>
    `Cannot serve ${name}: it did not send a PROXY header within ${seconds} s`,
  untrusted: (name: string, _seconds: number) =>
    `Cannot serve ${name}: it sent a PROXY header, but --proxy-protocol does ` +
    "not name it",
};

const ZH: typeof EN = {
  malformed: (name) => `无法处理来自 ${name} 的连接：没有发送 PROXY 头`,
  late: (name, seconds) =>
    `无法处理来自 ${name} 的连接：没有在 ${seconds} 秒内发送 PROXY 头`,
  untrusted: (name) =>
    `无法处理来自 ${name} 的连接：发送了 PROXY 头，但不在 --proxy-protocol 的范围内`,
};

const TEXTS: Record<Lang, typeof EN> = { en: EN, zh: ZH };
