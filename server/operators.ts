// Copyright 2026 the linechat authors. MIT license.

import type { Connection } from "../mod.ts";

/** A listener, which may have the file of a socket. */
interface Listener extends AsyncIterable<Connection> {
  close(): void;
  remove?(): Promise<void>;
}

/** A listener of which all clients are operators. */
export class OperatorListener implements AsyncIterable<Connection> {
  readonly #listener: Listener;

  /** @param listener The listener, such as a `Deno.UnixListener`. */
  constructor(listener: Listener) {
    this.#listener = listener;
  }

  close(): void {
    this.#listener.close();
  }

  /** Removes the file of the socket, if the listener can do that. */
  async remove(): Promise<void> {
    await this.#listener.remove?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Connection> {
    for await (const conn of this.#listener) {
      yield Object.assign(conn, { isOperator: true });
    }
  }
}
