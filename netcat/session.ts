// Copyright 2026 the linechat authors. MIT license.

import { setTimeout as delay } from "node:timers/promises";
import { Client, type ClientOptions } from "./client.ts";
import { connect, explainConnection, isTlsAlert } from "./connect.ts";
import type { Target } from "./target.ts";
import { Watchdog } from "./watchdog.ts";

/** Maximum pause before an attempt to connect, in milliseconds. */
const MAX_PAUSE = 30_000;

const encoder = new TextEncoder();

/** Options of a client that can reconnect. */
export interface SessionOptions extends ClientOptions {
  target: Target;
  reconnect: boolean;
}

/**
 * Runs the client in a terminal until the user leaves, or until a connection ends that is
 * not restored.
 *
 * @returns The exit code.
 */
export function talk(
  conn: Deno.Conn,
  options: SessionOptions,
): Promise<number> {
  return new Session(options).run(conn);
}

/** A client and its connections, one after the other. */
class Session {
  readonly #options: SessionOptions;
  readonly #client: Client;
  /** The number of attempts since a connection lasted longer than `MAX_PAUSE`. */
  #attempts = 0;
  /** Whether the user has requested a new connection. */
  #isRequested = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#client = new Client(options);
  }

  async run(conn: Deno.Conn): Promise<number> {
    const { address, reconnect } = this.#options;
    const { texts, room } = this.#client;
    while (true) {
      const start = Date.now();
      const reason = await this.#serve(conn);
      const mayReconnect = reconnect || this.#isRequested;
      if (room.refusal !== undefined || this.#client.hasLeft || !mayReconnect) {
        const failure = room.refusal ??
          (reason === undefined ? undefined : texts.lost(address, reason));
        await this.#client.close();
        console.error(failure ?? "done");
        return failure === undefined ? 0 : 1;
      }
      // The pauses grow while the server closes each connection soon.
      if (Date.now() - start > MAX_PAUSE) this.#attempts = 0;
      conn = await this.#reconnect(reason ?? texts.closed);
    }
  }

  /** Shows one connection until it ends. Returns the reason of a failure. */
  async #serve(conn: Deno.Conn): Promise<string | undefined> {
    const client = this.#client;
    const { lang, reconnect } = this.#options;
    let reason: string | undefined;
    const writer = conn.writable.getWriter();
    let sent = Promise.resolve();
    client.attach({
      // It is not awaited: a broken connection also ends the reading.
      send: (line) => {
        sent = writer.write(encoder.encode(`${line}\n`)).catch(() => {});
      },
      end: () => {
        sent.then(() => conn.closeWrite()).catch(() => {});
      },
    });
    client.onReconnect = () => {
      this.#isRequested = true;
      conn.close();
    };
    using watchdog = new Watchdog(
      () => reconnect && client.room.ping(),
      () => {
        reason = client.texts.silent;
        conn.close();
      },
    );
    // A character can be split between two chunks.
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let isFirst = true;
    try {
      for await (const chunk of conn.readable) {
        watchdog.heard();
        if (isFirst && isTlsAlert(chunk)) return client.texts.speaksTls;
        isFirst = false;
        await client.show(decoder.decode(chunk, { stream: true }));
      }
    } catch (error) {
      return reason ?? explainConnection(error, lang);
    } finally {
      client.show(decoder.decode());
      client.detach();
      client.onReconnect = undefined;
    }
  }

  /** Tries to connect until it succeeds. */
  async #reconnect(reason: string): Promise<Deno.Conn> {
    const { address, target, lang } = this.#options;
    const client = this.#client;
    if (!this.#isRequested) client.note(client.texts.lost(address, reason));
    while (true) {
      await this.#pause(reason);
      client.setStatus(client.texts.connecting(address));
      try {
        const conn = await connect(target, lang);
        client.setStatus("");
        client.note(client.texts.connectedAgain(address));
        return conn;
      } catch (error) {
        reason = explainConnection(error, lang);
      }
    }
  }

  /** Waits before an attempt, unless the user requests it. */
  async #pause(reason: string): Promise<void> {
    // Jitter, so that not all clients of a server reconnect at once.
    const pause = Math.min(1000 * 2 ** this.#attempts++, MAX_PAUSE) *
      (1 - Math.random() / 4);
    const end = Date.now() + pause;
    const request = new AbortController();
    this.#client.onReconnect = () => request.abort();
    if (this.#isRequested) request.abort();
    const { signal } = request;
    for (let left; (left = end - Date.now()) > 0 && !signal.aborted;) {
      const seconds = Math.ceil(left / 1000);
      const { attempt } = this.#client.texts;
      this.#client.setStatus(attempt(this.#attempts, reason, seconds));
      await delay(Math.min(left, 1000), null, { signal }).catch(() => {});
    }
    this.#client.onReconnect = undefined;
    this.#isRequested = false;
  }
}
