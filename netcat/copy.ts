// Copyright 2026 the linechat authors. MIT license.

import { explain } from "../cli.ts";
import { type Lang, printable } from "../mod.ts";
import { explainConnection } from "./connect.ts";
import { parseLine } from "./protocol.ts";

const encoder = new TextEncoder();

/** The most bytes of a first line in which a reason for a refusal is looked for. */
const MAX_REASON = 1_000;

/** How bytes are copied. */
export interface CopyOptions {
  /** The server's name in messages. */
  address: string;
  /** A name to set before anything else. */
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
  let code = 0;
  const fail = (en: string, zh: string, reason: string) => {
    console.error(
      { en: `Cannot ${en}: ${reason}`, zh: `无法${zh}：${reason}` }[
        lang
      ],
    );
    code = 1;
  };
  /** Reads a source. A failure is reported, and ends the stream. */
  const read = (
    source: ReadableStream<Uint8Array>,
    onFailure: (error: unknown) => void,
    onChunk: (chunk: Uint8Array) => void = () => {},
  ) =>
    ReadableStream.from((async function* () {
      try {
        for await (const chunk of source) {
          onChunk(chunk);
          yield chunk;
        }
      } catch (error) {
        onFailure(error);
      }
    })());
  if (name !== undefined) {
    await conn.write(encoder.encode(`/nick ${name}\n`)).catch(() => {});
  }
  // Not awaited: reading reports a connection that breaks.
  read(
    Deno.stdin.readable,
    (error) => fail("read from stdin", "读取标准输入", explain(error, lang)),
  )
    .pipeTo(conn.writable, { preventClose: true })
    .then(() => conn.closeWrite())
    .catch(() => {});
  /** The first bytes of the server, which may give the reason of a refusal. */
  let start = "";
  const decoder = new TextDecoder();
  try {
    await read(conn.readable, (error) => {
      const reason = explainConnection(error, lang);
      fail(`read from ${address}`, `从 ${address} 读取`, reason);
    }, (chunk) => {
      const missing = chunk.subarray(0, MAX_REASON - start.length);
      if (start.length < MAX_REASON) {
        start += decoder.decode(missing, { stream: true });
      }
    }).pipeTo(Deno.stdout.writable, { preventClose: true });
    const reason = start.trimEnd();
    if (parseLine(reason).type === "refused") {
      console.error(printable(reason));
      code = 1;
    } else if (code === 0) console.error("done");
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) {
      fail("write to stdout", "写入标准输出", explain(error, lang));
    }
  }
  return code;
}
