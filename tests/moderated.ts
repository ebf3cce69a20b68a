/** A moderated room on real sockets, in which tests choose the addresses of clients. */

import { Chat, type ChatOptions } from "../mod.ts";
import {
  Moderation,
  type ModerationOptions,
  OperatorListener,
} from "../server/moderation.ts";
import { Network } from "../server/network.ts";
import { ProxyListener } from "../server/proxy_protocol.ts";
import { TestClient } from "./clients.ts";

/** Reads the lines of a client up to one, and returns those before it. */
export async function linesUntil(
  client: TestClient,
  last: string,
): Promise<string[]> {
  const lines = [];
  for (let line; (line = await client.line()) !== last;) {
    if (line === undefined) throw new Error(`There is no line "${last}"`);
    lines.push(line);
  }
  return lines;
}

/** Sends a line and returns the lines that the client receives from then on. */
export async function answers(
  client: TestClient,
  line: string,
): Promise<string[]> {
  await client.send(`/ping\n${line}\n/ping\n`);
  await linesUntil(client, "-- pong");
  return await linesUntil(client, "-- pong");
}

/** Waits until a client has received all output so far, and returns it. */
export async function heard(client: TestClient): Promise<string[]> {
  await client.send("/ping\n");
  return await linesUntil(client, "-- pong");
}

/** A moderated room. */
export class ModeratedRoom implements AsyncDisposable {
  readonly chat: Chat;
  readonly moderation: Moderation;
  /** The uses of operator commands. */
  readonly audited: string[] = [];
  readonly #port: ProxyListener;
  readonly #admin: Deno.TcpListener;
  readonly #served: Promise<void>[];
  #clients = 0;

  constructor(options: ModerationOptions = {}, chatOptions: ChatOptions = {}) {
    const audit = (message: string) => void this.audited.push(message);
    this.moderation = new Moderation({ audit, ...options });
    const { commands, ...hooks } = this.moderation.chatOptions;
    this.chat = new Chat({
      lang: options.lang,
      ...hooks,
      ...chatOptions,
      onShare(...change) {
        hooks.onShare(...change);
        chatOptions.onShare?.(...change);
      },
      commands: { ...commands, ...chatOptions.commands || {} },
    });
    const listen = () => Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const trusted = [Network.parse("127.0.0.0/8")!];
    this.#port = new ProxyListener(listen(), { trusted });
    this.#admin = listen();
    this.#served = [
      this.chat.serve(this.#port),
      this.chat.serve(new OperatorListener(this.#admin)),
    ];
  }

  /** Connects a client from an address. */
  async connect(address = "203.0.113.7"): Promise<TestClient> {
    const client = await TestClient.connect(this.#port.addr);
    const family = address.includes(":") ? "TCP6" : "TCP4";
    const port = 50_000 + this.#clients++;
    await client.send(`PROXY ${family} ${address} ${address} ${port} 1\r\n`);
    return client;
  }

  /** Connects a client from an address and gives it a name. */
  async join(name: string, address?: string): Promise<TestClient> {
    const client = await this.connect(address);
    await answers(client, `/nick ${name}`);
    return client;
  }

  /** Connects an operator. */
  async operator(): Promise<TestClient> {
    const client = await TestClient.connect(this.#admin.addr);
    await heard(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.chat.close();
    await Promise.all(this.#served);
  }
}
