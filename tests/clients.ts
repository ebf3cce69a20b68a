/** Helpers that the tests share: a chat on a free port, and clients. */

import { assertEquals, assertMatch } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import { TextLineStream } from "@std/streams/text-line-stream";
import {
  Chat,
  type ChatEvent,
  type ChatOptions,
  type Connection,
  formatAddress,
} from "../mod.ts";

const encoder = new TextEncoder();

/** Matches the notice that follows the welcome. */
const GREETING =
  /^-- (No one else is|\d+) here(: .+)?\. \/help lists the commands$/;

/** Returns a reader for the lines that a connection receives. */
export function linesOf(
  { readable }: { readable: ReadableStream<Uint8Array<ArrayBuffer>> },
): ReadableStreamDefaultReader<string> {
  return readable
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream())
    .getReader();
}

/** A client that sends bytes and receives lines. */
export abstract class LineClient implements AsyncDisposable {
  abstract readonly name: string;
  readonly #lines: ReadableStreamDefaultReader<string>;

  constructor(readable: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#lines = linesOf({ readable });
  }

  /** Sends bytes or text. A line needs its `\n`. */
  abstract send(data: string | Uint8Array): Promise<void>;

  /** Shuts down the sending side, as `nc -N` does at the end of its input. */
  abstract end(): Promise<void>;

  /** Reads the next line. Returns undefined when the server has closed. */
  async line(): Promise<string | undefined> {
    return (await this.#lines.read()).value;
  }

  /** Reads a number of lines. */
  async lines(count: number): Promise<(string | undefined)[]> {
    const lines = [];
    while (lines.length < count) lines.push(await this.line());
    return lines;
  }

  /** Reads all lines until the server closes. */
  async rest(): Promise<string[]> {
    const lines = [];
    for (let line; (line = await this.line()) !== undefined;) lines.push(line);
    return lines;
  }

  /** Reads the welcome and the greeting. */
  async readWelcome(): Promise<void> {
    assertEquals(await this.line(), `Welcome ${this.name}`);
    assertMatch((await this.line())!, GREETING);
  }

  /** Closes the connection and discards unread lines. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines.cancel().catch(() => {});
  }
}

/** One end of a connection of any transport. */
export class SocketClient extends LineClient {
  constructor(
    readonly conn: Deno.Conn,
    public name: string,
    readable: ReadableStream<Uint8Array<ArrayBuffer>> = conn.readable,
  ) {
    super(readable);
  }

  async send(data: string | Uint8Array): Promise<void> {
    let bytes = typeof data === "string" ? encoder.encode(data) : data;
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.conn.write(bytes));
    }
  }

  async end(): Promise<void> {
    await this.conn.closeWrite();
  }
}

/** A client on a TCP connection. */
export class TestClient extends SocketClient {
  private constructor(conn: Deno.TcpConn) {
    super(conn, formatAddress(conn.localAddr.hostname, conn.localAddr.port));
  }

  /** Connects without reading the welcome. */
  static async connect({ hostname, port }: Deno.NetAddr): Promise<TestClient> {
    return new TestClient(await Deno.connect({ hostname, port }));
  }

  /** Connects and reads the welcome and the greeting. */
  static async join(addr: Deno.NetAddr): Promise<TestClient> {
    const client = await TestClient.connect(addr);
    await client.readWelcome();
    return client;
  }
}

/** A client on in-memory streams. */
export class MemoryClient extends LineClient {
  /** The number of clients so far, which gives each its port. */
  static #count = 0;
  /** The end of the connection that a chat serves. */
  readonly conn: Extract<Connection, { readable: unknown }>;
  readonly name: string;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(hostname = "192.0.2.1") {
    const input = new TransformStream<Uint8Array>();
    const output = new TransformStream<
      Uint8Array,
      Uint8Array<ArrayBuffer>
    >();
    super(output.readable);
    const port = ++MemoryClient.#count;
    this.name = `${hostname}:${port}`;
    this.#writer = input.writable.getWriter();
    this.conn = {
      readable: input.readable,
      writable: output.writable,
      remoteAddr: { hostname, port },
    };
  }

  send(data: string | Uint8Array): Promise<void> {
    return this.#writer.write(
      typeof data === "string" ? encoder.encode(data) : data,
    );
  }

  end(): Promise<void> {
    return this.#writer.close();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.abort().catch(() => {});
    await super[Symbol.asyncDispose]();
  }
}

/** Serves a chat on a free port of this machine. */
export function openChat(
  options?: ChatOptions,
  hostname = "127.0.0.1",
): { chat: Chat; addr: Deno.NetAddr } & AsyncDisposable {
  const chat = new Chat(options);
  const listener = Deno.listen({ hostname, port: 0 });
  const served = chat.serve(listener);
  return {
    chat,
    addr: listener.addr,
    async [Symbol.asyncDispose]() {
      await chat.close();
      await served;
    },
  };
}

/** Waits until a number has not grown for half a second. */
export async function stall(count: () => number): Promise<void> {
  for (let last = -1; last < count();) {
    last = count();
    await delay(500);
  }
}

/** Returns the part of an event that does not depend on time and connection. */
export function detailsOf(
  { time: _time, id: _id, address: _address, own: _own, ...details }: ChatEvent,
) {
  return details;
}

/** Returns the names of the members, in the order in which they joined. */
export function namesOf(chat: Chat): string[] {
  return chat.members.map(({ name }) => name);
}
