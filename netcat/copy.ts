// Copyright 2026 the linechat authors. MIT license.

import { explain, type Text } from "../cli.ts";
import { type Lang, printable } from "../mod.ts";
import { explainConnection } from "./connect.ts";
import { Opening } from "./opening.ts";

/** The options of `copy`. */
export interface CopyOptions {
  /** The address of the server for messages. */
  address: string;
  /** The name to set before stdin is sent. */
  name?: string;
  /** The password for the room. Without one, the first line of stdin is the password. */
  password?: string;
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
  { address, name, password, lang }: CopyOptions,
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
  const opening = new Opening();
  const stdin = untilFailure(Deno.stdin.readable, (error) => {
    const action = { en: "read from stdin", zh: "读取标准输入" };
    fail(action, explain(error, lang));
  });
  // It is not awaited: a broken connection also ends the other direction.
  ReadableStream.from(opening.enter(stdin, { name, password }))
    .pipeTo(conn.writable, { preventClose: true })
    .then(() => conn.closeWrite())
    .catch(() => {});
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
