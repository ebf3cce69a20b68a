// Copyright 2026 the linechat authors. MIT license.

/**
 * The server side of a WebSocket.
 *
 * `Deno.upgradeWebSocket` cannot be bounded (Deno 2.9.6): it reads without
 * backpressure, collects the fragments of a message without limit, and does not close
 * the connection of a client that does not read. Here, the payload of a frame is
 * passed on as it arrives, and the connection below is read and closed directly.
 *
 * @module
 */

import {
  CloseCode,
  closeFrame,
  encodeFrame,
  FrameDecoder,
  Opcode,
  textFrame,
} from "./frames.ts";
import {
  nextReadSize,
  READ_SIZE,
  type Transport,
  writeAll,
} from "./transport.ts";

/** Writes frames one after another, so that a control frame never splits another frame. */
class FrameWriter {
  #last = Promise.resolve();

  constructor(readonly conn: Transport) {}

  /** Resolves when the frames have been written completely. */
  write(frames: Uint8Array): Promise<void> {
    return this.#last = this.#last.then(() => writeAll(this.conn, frames));
  }
}

/** Options of a {@linkcode WebSocketConn}. */
export interface WebSocketOptions {
  /** The address of the client, if it is not that of the connection. */
  remoteAddr?: Transport["remoteAddr"];
  /** Bytes that were read from the connection after the opening handshake. */
  received?: Uint8Array<ArrayBuffer>;
  /** Sends pings and closes the connections of clients that do not answer. */
  heartbeat?: Heartbeat;
  /** Returns the code with which the server closes the connection. */
  closeCode?: () => number;
}

/**
 * A WebSocket with the methods of a `Deno.Conn` that a chat uses. It reads the text of
 * messages, with a line feed after each. It writes frames: a chat encodes its output
 * by {@linkcode WebSocketConn.frame}.
 *
 * The opening handshake must be done.
 */
export class WebSocketConn implements Transport {
  readonly remoteAddr: Transport["remoteAddr"];
  readonly frame = textFrame;
  readonly #conn: Transport;
  readonly #writer: FrameWriter;
  readonly #heartbeat?: Heartbeat;
  readonly #closeCode: () => number;
  readonly #decoder = new FrameDecoder();
  #buffer = new Uint8Array(READ_SIZE.first);
  /** The time since which a read waits for the client, if one does. */
  #waitingSince?: number;
  #isPinging = false;
  /** Whether the reader knows of the failure of the decoder. */
  #hasFailed = false;
  /** Whether a close frame was sent. No frame may follow it. */
  #hasClosed = false;

  constructor(
    conn: Transport,
    {
      remoteAddr = conn.remoteAddr,
      received = new Uint8Array(0),
      heartbeat,
      closeCode = () => CloseCode.normal,
    }: WebSocketOptions = {},
  ) {
    this.#conn = conn;
    this.remoteAddr = remoteAddr;
    this.#writer = new FrameWriter(conn);
    this.#heartbeat = heartbeat;
    this.#closeCode = closeCode;
    this.#decoder.push(received);
    heartbeat?.add(this);
  }

  /**
   * Reads text. Returns `null` after a close frame or at the end of the input. After
   * a violation of the protocol it fails once, and then discards the input.
   *
   * Pings are answered before the next bytes are read. So a client that sends pings
   * and does not read is not read either.
   */
  async read(buffer: Uint8Array): Promise<number | null> {
    while (true) {
      const size = this.#decoder.decode(buffer);
      if (this.#decoder.ping) await this.#answerPing(this.#decoder.ping);
      if (size > 0) return size;
      const { failure, close } = this.#decoder;
      if (close) return null;
      if (failure && !this.#hasFailed) {
        this.#hasFailed = true;
        throw failure;
      }
      const input = await this.#receive();
      if (input === null) return null;
      if (!failure) this.#decoder.push(input);
    }
  }

  /** Reads into a buffer that is small for a client that sends little. */
  async #receive(): Promise<Uint8Array<ArrayBuffer> | null> {
    const buffer = this.#buffer;
    this.#waitingSince = performance.now();
    const size = await this.#conn.read(buffer);
    this.#waitingSince = undefined;
    if (size === null) return null;
    const next = nextReadSize(buffer.length, size);
    if (next !== buffer.length) this.#buffer = new Uint8Array(next);
    return buffer.subarray(0, size);
  }

  async #answerPing(ping: Uint8Array): Promise<void> {
    this.#decoder.ping = undefined;
    if (this.#hasClosed) return;
    await this.#writer.write(encodeFrame(Opcode.pong, ping));
  }

  /** Writes frames. Resolves when the system has taken all bytes. */
  async write(frames: Uint8Array): Promise<number> {
    await this.#writer.write(frames);
    return frames.length;
  }

  /** Sends a close frame. */
  async closeWrite(): Promise<void> {
    this.#hasClosed = true;
    this.#heartbeat?.remove(this);
    const { close, failure } = this.#decoder;
    const code = close ? close.code : failure?.code ?? this.#closeCode();
    await this.#writer.write(closeFrame(code));
    // A client that breaks the protocol may not answer the close frame.
    if (failure) await this.#conn.closeWrite();
  }

  /** Closes the connection at once. */
  close(): void {
    this.#heartbeat?.remove(this);
    this.#conn.close();
  }

  /** Sends a ping, unless one is still to be written. */
  ping(): void {
    if (this.#isPinging) return;
    this.#isPinging = true;
    this.#writer.write(encodeFrame(Opcode.ping, new Uint8Array(0))).then(
      () => this.#isPinging = false,
      () => {}, // The reader and the writer of the chat notice the failure.
    );
  }

  /** Returns how long a read has waited for the client, in milliseconds. */
  silence(now: number): number {
    return this.#waitingSince === undefined ? 0 : now - this.#waitingSince;
  }

  setNoDelay(noDelay: boolean): void {
    this.#conn.setNoDelay?.(noDelay);
  }

  setKeepAlive(keepAlive: boolean): void {
    this.#conn.setKeepAlive?.(keepAlive);
  }
}

/**
 * Sends pings to WebSockets and closes those that do not answer. Pings also keep
 * connections open through proxies, which close silent ones.
 *
 * A client that is not read at present, since the room is busy, is not silent.
 */
export class Heartbeat {
  /** The WebSockets, and the time of the last ping of each. */
  readonly #pingedAt = new Map<WebSocketConn, number>();
  #timer?: ReturnType<typeof setInterval>;

  /**
   * Creates a heartbeat.
   *
   * @param pingAfter The time between two pings, in milliseconds.
   * @param closeAfter The silence after which a client is closed, in milliseconds.
   */
  constructor(readonly pingAfter = 25_000, readonly closeAfter = 60_000) {}

  /** Adds a WebSocket. */
  add(socket: WebSocketConn): void {
    this.#pingedAt.set(socket, performance.now());
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.beat(), this.pingAfter / 5);
  }

  /** Removes a WebSocket. */
  remove(socket: WebSocketConn): void {
    this.#pingedAt.delete(socket);
    if (this.#pingedAt.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Sends the pings that are due, and closes the silent WebSockets. A timer calls it. */
  beat(now = performance.now()): void {
    for (const [socket, pingedAt] of this.#pingedAt) {
      if (socket.silence(now) > this.closeAfter) socket.close();
      else if (now - pingedAt >= this.pingAfter) {
        this.#pingedAt.set(socket, now);
        socket.ping();
      }
    }
  }
}
