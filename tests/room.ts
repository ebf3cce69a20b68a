/** A server for the tests of the client: a room that a test controls. */

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { formatAddress } from "../mod.ts";
import { SocketClient } from "./clients.ts";

/** The server side of a connection. */
export class Peer extends SocketClient {
  constructor(conn: Deno.TcpConn) {
    const { hostname, port } = conn.remoteAddr;
    // The stream of a `Deno.Conn` closes both directions at its end.
    super(
      conn,
      formatAddress(hostname, port),
      new ReadableStream({
        async pull(controller) {
          const buffer = new Uint8Array(4096);
          const length = await conn.read(buffer).catch(() => null);
          if (length === null) controller.close();
          else controller.enqueue(buffer.slice(0, length));
        },
      }),
    );
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.conn.close();
    } catch {
      // The test has closed it.
    }
    await super[Symbol.asyncDispose]();
  }
}

/** Listens on a port of this machine. */
export function listen(port = 0): Deno.TcpListener {
  return Deno.listen({ hostname: "127.0.0.1", port });
}

/**
 * Listens for one connection that a test can reset. It is a socket of Node, since
 * those of Deno cannot be reset.
 */
export async function listenForReset(): Promise<
  { port: number; accepted: Promise<Socket> }
> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const accepted = once(listener, "connection").then(([socket]) => {
    listener.close();
    return socket;
  });
  return { port, accepted };
}

/** Returns the greeting of a new member, with the names of the others. */
export function greeting(...others: string[]): string {
  return others.length === 0
    ? "-- No one else is here. /help lists the commands"
    : `-- ${others.length} here: ${
      others.join(", ")
    }. /help lists the commands`;
}

/**
 * A server with the texts of a chat and without limits. It replies to the commands
 * that the client sends on its own.
 */
export class TestRoom implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #accepted: Promise<void>;
  /** The names of members that have no connection. */
  readonly #others: string[];
  readonly #history: string[];
  readonly peers: Peer[] = [];
  /** All lines that clients have sent. */
  readonly received: string[] = [];
  #changed = Promise.withResolvers<void>();
  readonly #served: Promise<void>[] = [];

  constructor({ others = [], history = [], port = 0 }: {
    others?: string[];
    history?: string[];
    port?: number;
  } = {}) {
    this.#others = [...others];
    this.#history = history;
    this.#listener = listen(port);
    this.#accepted = this.#accept();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Sends a line to every client. */
  async send(...lines: string[]): Promise<void> {
    const text = lines.map((line) => `${line}\n`).join("");
    await Promise.all(
      this.peers.map((peer) => peer.send(text).catch(() => {})),
    );
  }

  /** Sends a message of a member to every client. */
  async say(name: string, text: string): Promise<void> {
    await this.send(`${name}: ${text}`);
  }

  async join(name: string): Promise<void> {
    this.#others.push(name);
    await this.send(`${name} is online`);
  }

  async leave(name: string): Promise<void> {
    this.#others.splice(this.#others.indexOf(name), 1);
    await this.send(`${name} is offline`);
  }

  /** Waits until a client has sent exactly this line. */
  async receives(line: string): Promise<void> {
    while (!this.received.includes(line)) await this.#changed.promise;
  }

  /** Waits until no client is connected. */
  async isEmpty(): Promise<void> {
    while (this.peers.length > 0) await this.#changed.promise;
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) {
      this.#served.push(this.#serve(new Peer(conn)));
    }
  }

  async #serve(peer: Peer): Promise<void> {
    const others = [...this.#others, ...this.peers.map(({ name }) => name)];
    const welcome = [`Welcome ${peer.name}`, greeting(...others)];
    if (this.#history.length > 0) {
      welcome.push(
        `-- History: ${this.#history.length} messages, last at 2026-11-24 12:03 UTC`,
        ...this.#history,
      );
    }
    await peer.send(welcome.map((line) => `${line}\n`).join(""));
    await this.send(`${peer.name} is online`);
    this.peers.push(peer);
    for (let line; (line = await peer.line()) !== undefined;) {
      this.received.push(line);
      await this.#take(peer, line).catch(() => {});
      this.#change();
    }
    this.peers.splice(this.peers.indexOf(peer), 1);
    this.#change();
    await peer[Symbol.asyncDispose]();
    await this.send(`${peer.name} is offline`);
  }

  async #take(peer: Peer, line: string): Promise<void> {
    const [, command, argument] = /^(\/\w+) ?(.*)$/.exec(line) ?? [];
    switch (command) {
      case undefined:
        return await this.send(`${peer.name}: ${line.replace(/^\/\//, "/")}`);
      case "/ping":
        return await peer.send("-- pong\n");
      case "/me":
        return await this.send(`* ${peer.name} ${argument}`);
      case "/help":
        return await peer.send(
          "-- /nick NAME  set your name\n-- /help  list\n",
        );
      case "/who": {
        const names = [...this.#others, ...this.peers.map(({ name }) => name)];
        const rows = names.map((name) => `-- ${name} (3 min)\n`);
        return await peer.send(`-- ${names.length} here:\n${rows.join("")}`);
      }
      case "/nick": {
        if (this.#others.includes(argument)) {
          return await peer.send(`-- The name ${argument} is taken\n`);
        }
        const { name } = peer;
        peer.name = argument;
        return await this.send(`${name} is now known as ${argument}`);
      }
      case "/msg": {
        const [, name, text] = /^(\S+) (.*)$/.exec(argument)!;
        return await peer.send(`(private) → ${name}: ${text}\n`);
      }
      case "/quit":
        return await peer.end();
      default:
        await peer.send(
          `-- Unknown command ${command}. /help lists the commands\n`,
        );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepted.catch(() => {});
    await Promise.all([...this.peers].map((p) => p[Symbol.asyncDispose]()));
    await Promise.all(this.#served);
  }
}
