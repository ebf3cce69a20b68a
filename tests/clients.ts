/** What the tests have in common: clients that they talk through, and servers. */

import { assertEquals } from "@std/assert";
import { TextLineStream } from "@std/streams/text-line-stream";
import { Chat, type ChatOptions } from "../mod.ts";

const encoder = new TextEncoder();

/** A client as a test sees it: lines out, lines in, over a real socket. */
export class TestClient implements AsyncDisposable {
  readonly #lines: ReadableStreamDefaultReader<string>;

  private constructor(readonly conn: Deno.Conn, readonly who: string) {
    this.#lines = conn.readable
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
  }

  /** Connects, and does not wait for a welcome. */
  static async connect({ hostname, port }: Deno.NetAddr): Promise<TestClient> {
    const conn = await Deno.connect({ hostname, port });
    const { hostname: host, port: localPort } = conn.localAddr as Deno.NetAddr;
    return new TestClient(
      conn,
      host.includes(":") ? `[${host}]:${localPort}` : `${host}:${localPort}`,
    );
  }

  /** Connects, and waits until the welcome says that it is in the room. */
  static async join(addr: Deno.NetAddr): Promise<TestClient> {
    const client = await TestClient.connect(addr);
    assertEquals(await client.line(), `Welcome ${client.who}`);
    return client;
  }

  /** The next line, or nothing where the server has closed. */
  async line(): Promise<string | undefined> {
    return (await this.#lines.read()).value;
  }

  /** The next lines, so many. */
  async lines(count: number): Promise<(string | undefined)[]> {
    const lines = [];
    while (lines.length < count) lines.push(await this.line());
    return lines;
  }

  /** All lines up to the end of what the server sends. */
  async rest(): Promise<string[]> {
    const lines = [];
    for (let line; (line = await this.line()) !== undefined;) lines.push(line);
    return lines;
  }

  /** Sends bytes, or text as it is: a line needs its `\n`. */
  async send(data: string | Uint8Array): Promise<void> {
    let bytes = typeof data === "string" ? encoder.encode(data) : data;
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.conn.write(bytes));
    }
  }

  /** Shuts down the sending side, as `nc -N` does at the end of its input. */
  async end(): Promise<void> {
    await this.conn.closeWrite();
  }

  /** Closes the connection, whatever is still to come. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines.cancel().catch(() => {});
    try {
      this.conn.close();
    } catch {
      // It is closed: the server has hung up, and all was read.
    }
  }
}

/** A chat on a free port of this machine. */
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
