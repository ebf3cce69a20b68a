/** Helpers of the tests of the web port: a chat with one, and clients of it. */

import { assertEquals, assertMatch } from "@std/assert";
import { Chat, type ChatOptions } from "../mod.ts";
import {
  type TransportListener,
  WebListener,
  type WebOptions,
} from "../server/web.ts";
import { clientFrame, Opcode, serverFrames } from "./websockets.ts";

const encoder = new TextEncoder();

/** A chat on a web port and a TCP port of this machine. */
export interface WebRoom extends AsyncDisposable {
  readonly chat: Chat;
  /** The address of the web port. */
  readonly addr: Deno.NetAddr;
  /** The address of the TCP port. */
  readonly tcp: Deno.NetAddr;
  /** The address of the page. */
  readonly url: string;
  /** Closes the connections of all browsers without a close frame. */
  drop(): void;
}

/** Keeps the connections that a listener accepts. */
class TrackedListener implements TransportListener {
  readonly conns = new Set<Deno.TcpConn>();

  constructor(readonly listener: Deno.TcpListener) {}

  close(): void {
    this.listener.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Deno.TcpConn> {
    for await (const conn of this.listener) {
      this.conns.add(conn);
      yield conn;
    }
  }
}

/** Opens a chat on a web port and a TCP port. */
export function openWebRoom(
  options?: ChatOptions,
  webOptions?: WebOptions,
  port = 0,
): WebRoom {
  const chat = new Chat(options);
  const hostname = "127.0.0.1";
  const web = Deno.listen({ hostname, port });
  const tcp = Deno.listen({ hostname, port: 0 });
  const tracked = new TrackedListener(web);
  const served = [
    chat.serve(new WebListener(tracked, webOptions)),
    chat.serve(tcp),
  ];
  return {
    chat,
    addr: web.addr,
    tcp: tcp.addr,
    url: `http://127.0.0.1:${web.addr.port}/`,
    drop() {
      for (const conn of tracked.conns) {
        try {
          conn.close();
        } catch {
          // It is closed already.
        }
      }
      tracked.conns.clear();
    },
    async [Symbol.asyncDispose]() {
      await chat.close();
      await Promise.all(served);
    },
  };
}

/** Sends bytes and returns all that the server answers until it closes. */
export async function exchange(
  { hostname, port }: Deno.NetAddr,
  request: string,
): Promise<string> {
  using conn = await Deno.connect({ hostname, port });
  await conn.write(encoder.encode(request));
  const response = await new Response(conn.readable).text();
  return response;
}

/** Returns a request for a WebSocket. `undefined` leaves out a header. */
export function upgradeRequest(
  { port }: { port: number },
  headers: Record<string, string | undefined> = {},
): string {
  const all = {
    "Host": `127.0.0.1:${port}`,
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(all)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET /ws HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** A client that speaks the protocol frame by frame. */
export class RawClient implements Disposable {
  #rest = new Uint8Array(0);
  #lines: string[] = [];
  /** The frames that are not text. */
  readonly others: { opcode: number; text: string; code?: number }[] = [];
  hasEnded = false;

  private constructor(readonly conn: Deno.Conn) {}

  /** Connects and completes the opening handshake. A proxy sends a prefix before it. */
  static async connect(
    addr: Deno.NetAddr,
    headers?: Record<string, string | undefined>,
    prefix = "",
  ): Promise<RawClient> {
    const { hostname, port } = addr;
    const conn = await Deno.connect({ hostname, port });
    const request = prefix + upgradeRequest(addr, headers);
    return await RawClient.upgrade(conn, request);
  }

  /** Completes the opening handshake on a connection. */
  static async upgrade(conn: Deno.Conn, request: string): Promise<RawClient> {
    const client = new RawClient(conn);
    await client.sendBytes(encoder.encode(request));
    let head = "";
    const byte = new Uint8Array(1);
    while (!head.endsWith("\r\n\r\n")) {
      assertEquals(await client.conn.read(byte), 1, head);
      head += String.fromCharCode(byte[0]);
    }
    assertMatch(head, /^HTTP\/1\.1 101 /);
    return client;
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.conn.write(bytes));
    }
  }

  /** Sends a message. */
  async send(text: string): Promise<void> {
    await this.sendBytes(clientFrame(Opcode.text, text));
  }

  /** Reads the next line, or nothing at the end. */
  async line(): Promise<string | undefined> {
    while (this.#lines.length === 0) {
      if (!await this.receive()) return;
    }
    return this.#lines.shift();
  }

  /** Reads lines until one matches. */
  async until(pattern: RegExp): Promise<string> {
    for (let line; (line = await this.line()) !== undefined;) {
      if (pattern.test(line)) return line;
    }
    throw new Error(`The server has closed before ${pattern}`);
  }

  /** Reads some bytes. Returns false at the end. */
  async receive(): Promise<boolean> {
    const buffer = new Uint8Array(64 * 1024);
    const size = await this.conn.read(buffer).catch(() => null);
    if (size === null) {
      this.hasEnded = true;
      return false;
    }
    const bytes = new Uint8Array(this.#rest.length + size);
    bytes.set(this.#rest);
    bytes.set(buffer.subarray(0, size), this.#rest.length);
    const { frames, rest } = serverFrames(bytes);
    this.#rest = rest.slice();
    for (const frame of frames) {
      if (frame.opcode !== Opcode.text) this.others.push(frame);
      else this.#lines.push(...frame.text.split("\n").slice(0, -1));
    }
    return true;
  }

  /** Reads until the server closes, and returns the close code. */
  async closeCode(): Promise<number | undefined> {
    while (await this.receive());
    return this.others.find(({ opcode }) => opcode === Opcode.close)?.code;
  }

  [Symbol.dispose](): void {
    try {
      this.conn.close();
    } catch {
      // It is closed already.
    }
  }
}
