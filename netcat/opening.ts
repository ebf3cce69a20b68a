// Copyright 2026 the linechat authors. MIT license.

import { isPrompt, parseLine } from "./protocol.ts";

/** Maximum size of the output of a server before its welcome or refusal, in bytes. */
const MAX_SIZE = 1_000;

/** The byte of a line end. */
const LF = 0x0a;

const encoder = new TextEncoder();

/** The first bytes of a server: prompts for a password, a welcome, or a refusal. */
export class Opening {
  /** The complete lines, as they arrive. */
  readonly #lines: ReadableStream<string>;
  #controller!: ReadableStreamDefaultController<string>;
  #text = "";
  /** The position of the line that is not complete. */
  #lineStart = 0;
  readonly #decoder = new TextDecoder();

  constructor() {
    this.#lines = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
    });
  }

  /** Passes on chunks of the server, and keeps the first bytes. */
  async *record(
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of chunks) {
        if (!this.#isFull) this.#keep(chunk);
        yield chunk;
      }
    } finally {
      if (!this.#isFull) this.#controller.close();
    }
  }

  /**
   * Passes on stdin, after the lines that enter a room: the password if the server asks
   * for one, and then the name. Without a password, the first line of stdin answers.
   */
  async *enter(
    stdin: AsyncIterable<Uint8Array>,
    { name, password }: { name?: string; password?: string },
  ): AsyncGenerator<Uint8Array> {
    if (name === undefined && password === undefined) return yield* stdin;
    const nick = encoder.encode(name === undefined ? "" : `/nick ${name}\n`);
    let isAsked = false;
    for await (const text of this.#lines.values({ preventCancel: true })) {
      const line = parseLine(text);
      if (line.type !== "notice") break;
      if (!isPrompt(line.text)) continue;
      if (password === undefined) return yield* insertAfterLine(stdin, nick);
      if (isAsked) return; // The password is wrong. The next try would fail, too.
      isAsked = true;
      yield encoder.encode(`${password}\n`);
    }
    yield nick;
    yield* stdin;
  }

  /** The reason of the refusal, if no other lines than notices came before it. */
  get refusal(): string | undefined {
    const line = this.#text.trimEnd().replace(/^(?:-- .*\n)+/, "");
    return parseLine(line).type === "refused" ? line : undefined;
  }

  get #isFull(): boolean {
    return this.#text.length >= MAX_SIZE;
  }

  #keep(chunk: Uint8Array): void {
    const bytes = chunk.subarray(0, MAX_SIZE - this.#text.length);
    this.#text += this.#decoder.decode(bytes, { stream: true });
    for (let end; (end = this.#text.indexOf("\n", this.#lineStart)) >= 0;) {
      this.#controller.enqueue(this.#text.slice(this.#lineStart, end));
      this.#lineStart = end + 1;
    }
    if (this.#isFull) this.#controller.close();
  }
}

/** Inserts bytes after the first line of a stream. */
async function* insertAfterLine(
  chunks: AsyncIterable<Uint8Array>,
  bytes: Uint8Array,
): AsyncGenerator<Uint8Array> {
  let isInserted = false;
  for await (const chunk of chunks) {
    const end = isInserted ? 0 : chunk.indexOf(LF) + 1;
    if (end > 0) {
      yield chunk.subarray(0, end);
      yield bytes;
      isInserted = true;
    }
    yield chunk.subarray(end);
  }
}
