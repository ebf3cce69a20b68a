// Copyright 2026 the linechat authors. MIT license.

/**
 * Lets browsers join a chat: a listener that answers requests for the page itself, and
 * yields a connection for each WebSocket.
 *
 * | request            | response                             |
 * | ------------------ | ------------------------------------ |
 * | `GET /`            | the page                             |
 * | `GET /ws`          | a WebSocket, subprotocol `text.linechat` |
 * | `GET /healthz`     | `ok`                                 |
 *
 * @example Serve a chat to browsers
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { WebListener } from "@linechat/chat/web";
 *
 * await using chat = new Chat();
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * chat.serve(new WebListener(listener, { hosts: ["chat.example.org"] }));
 * ```
 *
 * @module
 */

import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { CloseCode } from "./frames.ts";
import {
  hangUp,
  HttpError,
  type HttpRequest,
  type HttpResponse,
  readRequest,
  writeResponse,
} from "./http.ts";
import { isInAny, Network } from "./network.ts";
import { Page } from "./page.ts";
import type { Transport } from "./transport.ts";
import { Heartbeat, WebSocketConn } from "./websocket.ts";

export type { Transport };

/** Maximum number of connections that are not WebSockets yet. */
const MAX_PENDING = 256;
/** Time limit for a request and its response, in milliseconds. */
const REQUEST_TIMEOUT = 10_000;
/** The subprotocol of the page: lines of text. */
const SUBPROTOCOL = "text.linechat";
/** The constant of RFC 6455 from which a server proves that it speaks the protocol. */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/**
 * Options of a {@linkcode WebListener}.
 *
 * @example Run behind a reverse proxy on the same machine
 * ```ts
 * import { Network } from "@linechat/chat/moderation";
 * import type { WebOptions } from "@linechat/chat/web";
 *
 * const options: WebOptions = {
 *   hosts: ["chat.example.org"],
 *   proxies: [Network.parse("127.0.0.1")!],
 * };
 * ```
 */
export interface WebOptions {
  /**
   * The names under which browsers reach the server. Its addresses and `localhost` need
   * no entry. A request for another name is refused, since it can come from a page that
   * has pointed its own name to this server (DNS rebinding).
   */
  readonly hosts?: readonly string[];
  /**
   * The networks of reverse proxies. The `X-Forwarded-For` header of their requests is
   * the address of the client.
   */
  readonly proxies?: readonly Network[];
  /** The port of the same chat for TCP clients, which the page shows without JavaScript. */
  readonly chat?: { readonly port: number; readonly isSecure: boolean };
  /** Receives the failures of TLS handshakes. */
  readonly log?: (message: string) => void;
}

/**
 * A listener for connections that have methods. A `Deno.Listener` is one.
 *
 * @example Write your own listener
 * ```ts
 * import { type TransportListener, WebListener } from "@linechat/chat/web";
 *
 * class LocalListener implements TransportListener {
 *   readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 *
 *   close(): void {
 *     this.#listener.close();
 *   }
 *
 *   [Symbol.asyncIterator](): AsyncIterator<Deno.TcpConn> {
 *     return this.#listener[Symbol.asyncIterator]();
 *   }
 * }
 *
 * const listener = new WebListener(new LocalListener());
 * listener.close();
 * ```
 */
export interface TransportListener extends AsyncIterable<Transport> {
  /** Stops listening. */
  close(): void;
  /** Replaces the certificate for new connections. */
  renew?(certificate: Deno.TlsCertifiedKeyPem): void;
}

/**
 * Accepts connections of browsers on another listener. It answers requests for the page,
 * and yields the WebSockets.
 *
 * @example Serve the page on a free port
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { WebListener } from "@linechat/chat/web";
 * import { assertEquals } from "@std/assert";
 *
 * await using chat = new Chat();
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * chat.serve(new WebListener(listener));
 *
 * const url = `http://127.0.0.1:${listener.addr.port}/healthz`;
 * assertEquals(await (await fetch(url)).text(), "ok\n");
 * ```
 */
export class WebListener implements AsyncIterable<Transport> {
  readonly #listener: TransportListener;
  readonly #site: Site;
  readonly #log: (message: string) => void;
  readonly #pending = new PendingConns();
  readonly #heartbeat = new Heartbeat();
  /** The WebSockets that the chat has not taken yet. */
  readonly #joined: WebSocketConn[] = [];
  /** Continues the iterator. */
  #wake = () => {};
  #isClosed = false;

  /**
   * Creates a listener.
   *
   * @param listener A listener for TCP, TLS or Unix sockets.
   * @param options The options.
   */
  constructor(listener: TransportListener, options: WebOptions = {}) {
    this.#listener = listener;
    this.#site = new Site(options);
    this.#log = options.log ?? (() => {});
  }

  /** Closes the listener. WebSockets stay open. */
  close(): void {
    this.#isClosed = true;
    this.#pending.closeAll();
    this.#listener.close();
  }

  /** Replaces the certificate for new connections. */
  renew(certificate: Deno.TlsCertifiedKeyPem): void {
    this.#listener.renew?.(certificate);
  }

  /** Yields WebSockets until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Transport> {
    let end: { error?: unknown } | undefined;
    this.#accept()
      .then(() => end = {}, (error) => end = { error })
      .finally(() => this.#wake());
    while (true) {
      for (let conn; (conn = this.#joined.shift());) yield conn;
      if (end && "error" in end) throw end.error;
      if (end) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Accepts connections. Their requests do not delay each other. */
  async #accept(): Promise<void> {
    for await (const conn of this.#listener) void this.#serve(conn);
  }

  /** Answers the request of a connection. */
  async #serve(conn: Transport): Promise<void> {
    this.#pending.add(conn);
    try {
      await this.#secure(conn);
      const socket = await this.#answer(conn);
      if (socket) {
        return this.#pending.remove(conn) ? this.#join(socket) : socket.close();
      }
    } catch {
      // The client has closed the connection, or its time is up.
    }
    this.#pending.close(conn);
  }

  async #secure(conn: Transport): Promise<void> {
    try {
      await conn.handshake?.();
    } catch (error) {
      const { remoteAddr: addr } = conn;
      const name = "hostname" in addr ? addr.hostname : addr.transport;
      const { message } = error as Error;
      if (!this.#isClosed) this.#log(`Cannot secure ${name}: ${message}`);
      throw error;
    }
  }

  /** Answers a request. Returns the WebSocket that it opens, if it opens one. */
  async #answer(conn: Transport): Promise<WebSocketConn | undefined> {
    let request: HttpRequest | undefined;
    let response: HttpResponse;
    try {
      request = await readRequest(conn);
      if (request === undefined) return;
      response = this.#site.respond(request);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      response = error.response;
    }
    await writeResponse(conn, response, request);
    if (response.status !== 101) return void await hangUp(conn);
    const { headers, rest: received } = request!;
    return new WebSocketConn(conn, {
      remoteAddr: this.#site.clientOf(conn.remoteAddr, headers),
      received,
      heartbeat: this.#heartbeat,
      closeCode: () => this.#isClosed ? CloseCode.goingAway : CloseCode.normal,
    });
  }

  #join(socket: WebSocketConn): void {
    if (this.#isClosed) return socket.close();
    this.#joined.push(socket);
    this.#wake();
  }
}

/** A connection that is not a WebSocket yet. */
interface Pending {
  /** The IPv4 address or IPv6 /64 of the client; empty if there is none. */
  readonly network: string;
  /** Closes the connection. */
  readonly timer: ReturnType<typeof setTimeout>;
}

/** The connections that are not WebSockets yet. They are bounded in number and time. */
class PendingConns {
  /** The connections in the order of their arrival. */
  readonly #conns = new Map<Transport, Pending>();

  /** Adds a connection. If there are too many, another one is closed. */
  add(conn: Transport): void {
    if (this.#conns.size === MAX_PENDING) this.close(this.#surplus());
    const timer = setTimeout(() => this.close(conn), REQUEST_TIMEOUT);
    this.#conns.set(conn, { network: networkOf(conn), timer });
  }

  /**
   * Returns the oldest connection of the network that has the most. So a network that
   * opens many connections does not close those of others.
   */
  #surplus(): Transport {
    const networks = Map.groupBy(this.#conns, ([, { network }]) => network);
    const [largest] = [...networks.values()]
      .sort((a, b) => b.length - a.length);
    const [[oldest]] = largest;
    return oldest;
  }

  /** Removes a connection. Returns whether it was still open. */
  remove(conn: Transport): boolean {
    clearTimeout(this.#conns.get(conn)?.timer);
    return this.#conns.delete(conn);
  }

  /** Closes a connection, unless it was removed. */
  close(conn: Transport): void {
    if (!this.remove(conn)) return;
    try {
      conn.close();
    } catch {
      // The client has closed it already.
    }
  }

  closeAll(): void {
    for (const conn of [...this.#conns.keys()]) this.close(conn);
  }
}

function networkOf({ remoteAddr }: Transport): string {
  if (!("hostname" in remoteAddr)) return "";
  return Network.parse(remoteAddr.hostname, 64)?.key ?? "";
}

/** The resources of the server, and the rules for requests. */
class Site {
  readonly #hosts: Set<string>;
  readonly #proxies: readonly Network[];
  readonly #page: Page;

  constructor({ hosts = [], proxies = [], chat }: WebOptions) {
    this.#hosts = new Set(hosts.map((name) => name.toLowerCase()));
    this.#proxies = proxies;
    this.#page = new Page(chat);
  }

  /**
   * Returns the response to a request.
   *
   * @throws {HttpError} If the request is refused.
   */
  respond(request: HttpRequest): HttpResponse {
    const { method, path, headers } = request;
    const host = this.#checkHost(headers.get("host") ?? "");
    if (!["/", "/ws", "/healthz"].includes(path)) {
      throw new HttpError(404, "Not found");
    }
    if (method !== "GET" && method !== "HEAD") {
      throw new HttpError(405, "Method not allowed", { allow: "GET, HEAD" });
    }
    if (path === "/ws") return this.#acceptWebSocket(request, host);
    if (path === "/") {
      return this.#page.respond(host, headers.get("accept-encoding") ?? "");
    }
    return {
      status: 200,
      headers: { "content-type": "text/plain" },
      body: "ok\n",
    };
  }

  /** Returns the host of a request, in lower case. */
  #checkHost(header: string): string {
    const host = header.toLowerCase();
    const [, name] = /^([\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/.exec(host) ?? [];
    if (name === undefined) throw new HttpError(400, "Malformed Host header");
    const isKnown = name === "localhost" || this.#hosts.has(name) ||
      isIP(name.replace(/^\[(.*)\]$/, "$1")) > 0;
    if (!isKnown) {
      const hint = `Start it with --web-host ${name}`;
      throw new HttpError(421, `This server is not known as ${name}. ${hint}`);
    }
    return host;
  }

  /** Returns the response that opens a WebSocket. */
  #acceptWebSocket(
    { method, headers }: HttpRequest,
    host: string,
  ): HttpResponse {
    checkUpgrade(method, headers);
    checkOrigin(headers.get("origin"), host);
    const key = headers.get("sec-websocket-key") ?? "";
    if (!/^[\w+/]{22}==$/.test(key)) {
      throw new HttpError(400, "Malformed Sec-WebSocket-Key header");
    }
    const offers = listOf(headers.get("sec-websocket-protocol"));
    return {
      status: 101,
      headers: {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": createHash("sha1").update(key + ACCEPT_SUFFIX)
          .digest("base64"),
        ...offers.includes(SUBPROTOCOL) &&
          { "sec-websocket-protocol": SUBPROTOCOL },
      },
    };
  }

  /** Returns the address of a client. A known proxy names it in a header. */
  clientOf(
    addr: Transport["remoteAddr"],
    headers: Headers,
  ): Transport["remoteAddr"] {
    const isProxy = (address: string) => isInAny(this.#proxies, address);
    if (!("hostname" in addr) || !isProxy(addr.hostname)) return addr;
    // Each proxy appends the address of its client. The first one may be invented.
    const client = listOf(headers.get("x-forwarded-for"))
      .findLast((address) => !isProxy(address));
    const network = Network.parse(client ?? "");
    return network ? { ...addr, hostname: network.address } : addr;
  }
}

function checkUpgrade(method: string, headers: Headers): void {
  const isUpgrade = method === "GET" &&
    listOf(headers.get("upgrade")).includes("websocket") &&
    listOf(headers.get("connection")).includes("upgrade");
  if (isUpgrade && headers.get("sec-websocket-version") === "13") return;
  throw new HttpError(426, "This is a WebSocket of version 13", {
    "upgrade": "websocket",
    "sec-websocket-version": "13",
  });
}

/**
 * Refuses WebSockets of pages of other servers: browsers allow any page to open one.
 * Clients that are not browsers send no origin.
 */
function checkOrigin(origin: string | null, host: string): void {
  if (origin === null) return;
  const [, originHost] = /^https?:\/\/(.+)$/.exec(origin.toLowerCase()) ?? [];
  if (originHost === host) return;
  throw new HttpError(403, "This page cannot join: it is from another server");
}

/** Splits the value of a header that is a list, in lower case. */
function listOf(value: string | null): string[] {
  return value?.toLowerCase().split(",").map((item) => item.trim()) ?? [];
}
