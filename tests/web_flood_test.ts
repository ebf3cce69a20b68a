/** Tests that many connections of one address do not close those of others. */

import { assertEquals } from "@std/assert";
import { Chat } from "../mod.ts";
import { type Transport, WebListener } from "../server/web.ts";

/** A client that sends its request after the server has accepted all connections. */
class LateClient implements Transport {
  readonly remoteAddr;
  readonly #request = Promise.withResolvers<Uint8Array>();
  readonly #closed = Promise.withResolvers<null>();
  response = "";

  constructor(hostname: string) {
    this.remoteAddr = { hostname, port: 1 };
  }

  /** Sends a request, and waits until the server or the client has closed. */
  async request(): Promise<void> {
    const head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    this.#request.resolve(new TextEncoder().encode(head));
    await this.#closed.promise;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const input = this.response === ""
      ? await Promise.race([this.#request.promise, this.#closed.promise])
      : null;
    if (input) buffer.set(input);
    return input?.length ?? null;
  }

  write(bytes: Uint8Array): Promise<number> {
    this.response += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#closed.resolve(null);
  }
}

/** Accepts all connections, and then lets each send its request. */
async function respondToAll(clients: LateClient[]): Promise<void> {
  async function* accept() {
    yield* clients;
    await Promise.all(clients.map((client) => client.request()));
  }
  const listener = Object.assign(accept(), { close() {} });
  await using chat = new Chat();
  await chat.serve(new WebListener(listener));
}

Deno.test("many connections of an address do not close those of others", async (t) => {
  for (
    const [kind, honest, network] of [
      ["IPv4", "192.0.2.1", "198.51.100.1"],
      ["IPv6", "2001:db8:1::1", "2001:db8:2::"],
    ]
  ) {
    await t.step(kind, async () => {
      const early = new LateClient(honest);
      const many = Array.from(
        { length: 300 },
        (_, i) =>
          new LateClient(
            kind === "IPv4" ? network : network + i.toString(16),
          ),
      );
      await respondToAll([early, ...many]);
      assertEquals(early.response.slice(0, 15), "HTTP/1.1 200 OK");
      assertEquals(many.filter(({ response }) => response === "").length, 45);
    });
  }
});
