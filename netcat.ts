// Copyright 2026 the linechat authors. MIT license.

/**
 * The client command. It copies stdin to the server and the bytes of the server to
 * stdout. If both are terminals, it is a chat client with a line editor.
 *
 * ```sh
 * deno run -N netcat.ts                   # localhost:8000
 * deno run -N netcat.ts chat.example:4000
 * deno run -N netcat.ts --name ann --reconnect linechats://chat.example:4000
 * ```
 *
 * At the end of stdin (Ctrl-D) it shuts down only its sending side, and still prints the
 * output of the server. When the server closes the connection, it prints "done" to stderr
 * and exits. Exit codes: 0 if the server closes the connection or stdout is closed; 1 if
 * the connection fails, breaks or is refused; 2 for wrong usage; 128 plus the number of a
 * signal, for example 130 for Ctrl-C.
 *
 * @module
 */

import {
  CommandError,
  explain,
  invalid,
  parseOptions,
  print,
  readPassword,
  run,
  UsageError,
} from "./cli.ts";
import config from "./deno.json" with { type: "json" };
import type { Lang } from "./mod.ts";
import { connect, explainConnection } from "./netcat/connect.ts";
import { copy } from "./netcat/copy.ts";
import { helpText } from "./netcat/help.ts";
import { HistoryFile } from "./netcat/history_file.ts";
import { OPTIONS } from "./netcat/options.ts";
import { talk } from "./netcat/session.ts";
import { nameOf, parseTarget } from "./netcat/target.ts";

/** Options that need a terminal. */
const TERMINAL_OPTIONS = ["reconnect", "no-time", "history"] as const;

async function main(args: string[], lang: Lang): Promise<number> {
  const { values, rest } = parseOptions(OPTIONS, args, lang);
  if (values.help) {
    print(helpText(lang), lang);
    return 0;
  }
  if (values.version) {
    print(`linechat-netcat ${config.version}`, lang);
    return 0;
  }
  const target = parseTarget(rest, values, lang);
  const isTerminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  const option = TERMINAL_OPTIONS.find((option) => values[option]);
  if (option !== undefined && !isTerminal) {
    throw new UsageError({
      en: `Cannot use --${option}: stdin and stdout must be terminals`,
      zh: `无法使用 --${option}：标准输入和标准输出都必须是终端`,
    }, lang);
  }
  const { name, reconnect, bell, history } = values;
  checkName(name, lang);
  const historyFile = history === undefined
    ? undefined
    : openHistory(history, lang);
  const passwordFile = values["password-file"];
  const password = passwordFile === undefined
    ? undefined
    : await readPassword(passwordFile, lang);
  const address = nameOf(target);
  const conn = await connect(target, lang).catch((error) => {
    const reason = explainConnection(error, lang);
    throw new CommandError({
      en: `Cannot connect to ${address}: ${reason}`,
      zh: `无法连接到 ${address}：${reason}`,
    }, lang);
  });
  if (!isTerminal) return await copy(conn, { address, name, password, lang });
  return await talk(conn, {
    target,
    address,
    name,
    password,
    reconnect,
    bell,
    withTime: !values["no-time"],
    historyFile,
    lang,
  });
}

/** Opens the file of entered lines. */
function openHistory(path: string, lang: Lang): HistoryFile {
  try {
    return new HistoryFile(path);
  } catch (error) {
    const reason = explain(error, lang);
    throw new CommandError({
      en: `Cannot open ${path}: ${reason}`,
      zh: `无法打开 ${path}：${reason}`,
    }, lang);
  }
}

/** Checks that a name can be the argument of `/nick`. */
function checkName(name: string | undefined, lang: Lang): void {
  if (name === undefined || /^[^\s\p{C}]{1,32}$/u.test(name)) return;
  throw invalid("--name", name, {
    en: "must be 1 to 32 characters without spaces",
    zh: "应为 1 到 32 个字符，不含空格",
  }, lang);
}

if (import.meta.main) await run(main);
