// Copyright 2026 the linechat authors. MIT license.

/**
 * A TLS port: a plain listener, and a `TLSSocket` of `node:tls` on each connection.
 *
 * Deno 2.9.6 has no simpler safe way. `Deno.TlsConn.close` keeps the socket of a client
 * that is silent in its handshake or does not read, and a `Deno.TlsListener` keeps its
 * certificate. A `TLSSocket` on a `net.Socket` reads without limit while it is paused.
 * On a stream it can be paused and closed, and it needs one descriptor.
 *
 * @module
 */

import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import { nextReadSize, READ_SIZE, writeAll } from "./transport.ts";

/** Maximum size of one write, in bytes. */
const WRITE_SIZE = 64 * 1024;
/**
 * The alert `handshake_failure`. A `TLSSocket` on a stream closes the connection
 * without one, so that the client could not report the reason.
 */
const ALERT = new Uint8Array([0x15, 3, 3, 0, 2, 2, 40]);

/** A `Deno.TcpListener`, or a listener on top of one. */
export interface TcpSource extends AsyncIterable<Deno.TcpConn> {
  readonly addr: Deno.NetAddr;
  close(): void;
}

/** Accepts TLS connections. Their handshakes do not delay each other. */
export class TlsListener implements AsyncIterable<TlsConnection> {
  readonly #listener: TcpSource;
  #context: SecureContext;

  constructor(
    listener: TcpSource,
    credentials: Deno.TlsCertifiedKeyPem,
  ) {
    this.#listener = listener;
    this.#context = createSecureContext(credentials);
  }

  get addr(): Deno.NetAddr {
    return this.#listener.addr;
  }

  /** Replaces the certificate for new connections. */
  renew(credentials: Deno.TlsCertifiedKeyPem): void {
    this.#context = createSecureContext(credentials);
  }

  close(): void {
    this.#listener.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TlsConnection> {
    for await (const conn of this.#listener) {
      yield new TlsConnection(conn, this.#context);
    }
  }
}

/** A connection with the methods of a `Deno.TlsConn` that a chat uses. */
class TlsConnection {
  readonly remoteAddr: Deno.NetAddr;
  readonly #conn: Deno.TcpConn;
  readonly #transport: Transport;
  readonly #socket: TLSSocket;
  readonly #secured = Promise.withResolvers<void>();
  /** Decrypted bytes that are still to be read. */
  readonly #received: Uint8Array[] = [];
  #isSecure = false;
  #hasEnded = false;
  #error?: Error;
  /** Continues a pending `read`. */
  #wake = () => {};

  constructor(conn: Deno.TcpConn, secureContext: SecureContext) {
    this.#conn = conn;
    this.remoteAddr = conn.remoteAddr;
    this.#transport = new Transport(conn);
    this.#secured.promise.catch(() => {});
    this.#socket = new TLSSocket(
      this.#transport as unknown as Socket, // Any duplex stream is accepted.
      { isServer: true, secureContext },
    );
    const fail = (error: Error) => this.#fail(error);
    this.#socket
      .on("secure", () => this.#secure())
      .on("data", (chunk: Uint8Array) => this.#receive(chunk))
      .on("end", () => this.#end())
      .on("error", fail)
      .on("_tlsError", fail) // The event of errors after the handshake.
      .on("close", () => this.#end());
  }

  /** Resolves when the handshake is done. */
  handshake(): Promise<void> {
    return this.#secured.promise;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#received.length === 0) {
      if (this.#error) throw this.#error;
      if (this.#hasEnded) return null;
      this.#transport.resume();
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#received.shift()!;
    const part = chunk.subarray(0, buffer.length);
    buffer.set(part);
    if (part.length < chunk.length) {
      this.#received.unshift(chunk.subarray(part.length));
    }
    return part.length;
  }

  /** Resolves when the system has taken the bytes, at most 64 KiB of them. */
  async write(bytes: Uint8Array): Promise<number> {
    await this.#secured.promise;
    const part = bytes.subarray(0, WRITE_SIZE);
    if (part.length === 0) return 0; // An empty write fails (Deno 2.9.6).
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(part, (error) => error ? reject(error) : resolve());
    });
    return part.length;
  }

  async closeWrite(): Promise<void> {
    await this.#secured.promise;
    await new Promise<void>((resolve) => this.#socket.end(resolve));
    await this.#transport.flushed;
    await this.#conn.closeWrite();
  }

  setNoDelay(noDelay?: boolean): void {
    this.#conn.setNoDelay(noDelay);
  }

  setKeepAlive(keepAlive?: boolean): void {
    this.#conn.setKeepAlive(keepAlive);
  }

  /** Closes the connection at once. */
  close(): void {
    this.#end();
    this.#socket.destroy();
    this.#conn.close();
  }

  /** Pauses the transport until the bytes are read. */
  #receive(chunk: Uint8Array): void {
    this.#transport.pause();
    this.#received.push(chunk);
    this.#wake();
  }

  #secure(): void {
    this.#isSecure = true;
    this.#secured.resolve();
  }

  #end(): void {
    this.#hasEnded = true;
    this.#secured.reject(new Error("the client has closed the connection"));
    this.#wake();
  }

  #fail(error: Error): void {
    if (this.#hasEnded || this.#error) return;
    this.#error = /InvalidContentType/.test(error.message)
      ? new Error("the client does not speak TLS")
      : error;
    if (!this.#isSecure) this.#conn.write(ALERT).catch(() => {});
    this.#secured.reject(this.#error);
    this.#wake();
  }
}

/** The encrypted bytes of a connection as a stream. It does not close the connection. */
class Transport extends Duplex {
  readonly #conn: Deno.TcpConn;
  #readSize = READ_SIZE.first;
  /** Resolves when the last write is done. */
  flushed = Promise.resolve();

  constructor(conn: Deno.TcpConn) {
    super({ readableHighWaterMark: 1 });
    this.#conn = conn;
  }

  /** Keeps the buffer small for idle clients, since a pending read holds it. */
  override async _read(): Promise<void> {
    const buffer = new Uint8Array(this.#readSize);
    try {
      const size = await this.#conn.read(buffer);
      if (size === null) return void this.push(null);
      this.#readSize = nextReadSize(buffer.length, size);
      this.push(buffer.subarray(0, size));
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  override _write(
    bytes: Uint8Array,
    _encoding: string,
    callback: (error?: Error) => void,
  ): void {
    this.flushed = writeAll(this.#conn, bytes).then(() => callback(), callback);
  }
}
