// Copyright 2026 the linechat authors. MIT license.

import type { Connection } from "../mod.ts";

/** A listener. One of a Unix socket can remove its file. */
interface Listener extends AsyncIterable<Connection> {
  close(): void;
  remove?(): Promise<void>;
}

/**
 * A listener with operators as its clients. Use a socket that only operators can
 * connect to.
 *
 * @example Serve operators on a port of this machine
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { Moderation, OperatorListener } from "@linechat/chat/moderation";
 *
 * await using chat = new Chat(new Moderation().chatOptions);
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * chat.serve(new OperatorListener(listener));
 * ```
 */
export class OperatorListener implements AsyncIterable<Connection> {
  readonly #listener: Listener;

  /**
   * Makes operators of the clients of a listener.
   *
   * @param listener The listener, such as a `Deno.UnixListener`.
   */
  constructor(listener: Listener) {
    this.#listener = listener;
  }

  /** Closes the listener. */
  close(): void {
    this.#listener.close();
  }

  /** Removes the file of the socket, if the listener can do that. */
  async remove(): Promise<void> {
    await this.#listener.remove?.();
  }

  /** Accepts operators. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Connection> {
    for await (const conn of this.#listener) {
      yield Object.assign(conn, { isOperator: true });
    }
  }
}
