// Copyright 2026 the linechat authors. MIT license.

import { explain, type Text } from "../cli.ts";
import { type Lang, printable } from "../mod.ts";
import { explainConnection } from "./connect.ts";
import { parseLine } from "./protocol.ts";

const encoder = new TextEncoder();

/** Maximum size of the output of a server that ends in a refusal, in bytes. */
const MAX_REFUSAL = 1_000;

/** The options of `copy`. */
export interface CopyOptions {
  /** The address of the server for messages. */
  address: string;
  /** The name to set before stdin is sent. */
  name?: string;
  lang: Lang;
}

/**
 * Copies stdin to the server, and the bytes of the server to stdout, until the
 * server closes. At the end of stdin, it shuts down the sending side only.
 *
 * @returns The exit code.
 */
export async function copy(
  conn: Deno.Conn,
  { address, name, lang }: CopyOptions,
): Promise<number> {
  let hasFailed = false;
  const fail = (action: Text, reason: string) => {
    hasFailed = true;
    console.error(
      {
        en: `Cannot ${action.en}: ${reason}`,
        zh: `无法${action.zh}：${reason}`,
      }[lang],
    );
  };
  if (name !== undefined) {
    await conn.write(encoder.encode(`/nick ${name}\n`)).catch(() => {});
  }
  // It is not awaited: a broken connection also ends the other direction.
  untilFailure(Deno.stdin.readable, (error) => {
    const action = { en: "read from stdin", zh: "读取标准输入" };
    fail(action, explain(error, lang));
  }).pipeTo(conn.writable, { preventClose: true })
    .then(() => conn.closeWrite())
    .catch(() => {});
  const opening = new Opening();
  try {
    await untilFailure(opening.record(conn.readable), (error) => {
      const action = { en: `read from ${address}`, zh: `从 ${address} 读取` };
      fail(action, explainConnection(error, lang));
    }).pipeTo(Deno.stdout.writable, { preventClose: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) {
      const action = { en: "write to stdout", zh: "写入标准输出" };
      fail(action, explain(error, lang));
    }
    return hasFailed ? 1 : 0;
  }
  const { refusal } = opening;
  if (refusal !== undefined) console.error(printable(refusal));
  else if (!hasFailed) console.error("done");
  return hasFailed || refusal !== undefined ? 1 : 0;
}

/** Returns a stream of the chunks of a source until it ends or fails. */
function untilFailure(
  source: AsyncIterable<Uint8Array>,
  onFailure: (error: unknown) => void,
): ReadableStream<Uint8Array> {
  return ReadableStream.from((async function* () {
    try {
      yield* source;
    } catch (error) {
      onFailure(error);
    }
  })());
}

/** The first bytes of a server, which can be the reason of a refusal. */
class Opening {
  #text = "";
  readonly #decoder = new TextDecoder();

  /** Passes on chunks of the server, and keeps the first bytes. */
  async *record(
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      const left = MAX_REFUSAL - this.#text.length;
      if (left > 0) {
        const bytes = chunk.subarray(0, left);
        this.#text += this.#decoder.decode(bytes, { stream: true });
      }
      yield chunk;
    }
  }

  /** The reason of the refusal, if no other lines than notices came before it. */
  get refusal(): string | undefined {
    const line = this.#text.trimEnd().replace(/^(?:-- .*\n)+/, "");
    return parseLine(line).type === "refused" ? line : undefined;
  }
}
