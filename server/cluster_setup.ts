// Copyright 2026 the linechat authors. MIT license.

/**
 * The connection of the server command to other servers, from its options.
 *
 * @module
 */

import { CommandError, explain, invalid, unreadable } from "../cli.ts";
import type { Lang } from "../mod.ts";
import { Cluster, MAX_LINE } from "./cluster.ts";
import type { Log } from "./log.ts";

/** The options of the server command that this module implements. */
export interface ClusterSettings {
  /** The addresses of NATS servers, separated by commas. */
  nats: string;
  room: string;
  credentialsPath?: string;
  maxLine: number;
}

/**
 * Connects to NATS.
 *
 * @throws {UsageError} If an option is invalid.
 * @throws {CommandError} If NATS cannot be used.
 */
export async function openCluster(
  { nats, room, credentialsPath, maxLine }: ClusterSettings,
  log: Log,
  lang: Lang,
): Promise<Cluster> {
  const servers = nats.split(",");
  if (!servers.every((url) => /^(nats|tls):\/\/[^@/\s]+$/.test(url))) {
    // The address can contain a password. It is not repeated.
    throw invalid("--nats", "…", {
      en:
        "must be nats://HOST:PORT or tls://HOST:PORT, or several with commas. " +
        "Use --nats-creds FILE for a user and password",
      zh: "必须是 nats://HOST:PORT 或 tls://HOST:PORT，多个地址用逗号分隔。" +
        "用户名和密码请用 --nats-creds FILE",
    }, lang);
  }
  if (!/^[\w-]{1,64}$/.test(room)) {
    throw invalid("--room", room, {
      en: "must be 1 to 64 letters, digits, _ and -",
      zh: "必须是 1 到 64 个字母、数字、_ 或 -",
    }, lang);
  }
  if (maxLine > MAX_LINE) {
    throw invalid("--max-line", `${maxLine}`, {
      en: `must be at most ${MAX_LINE} with --nats`,
      zh: `与 --nats 同用时不能大于 ${MAX_LINE}`,
    }, lang);
  }
  const credentials = credentialsPath === undefined
    ? undefined
    : await readCredentials(credentialsPath, lang);
  const report = (message: string) => log.frequentFailure(message);
  try {
    return await Cluster.connect({ servers, room, credentials, log: report });
  } catch (error) {
    const reason = explain(error, lang);
    throw new CommandError({
      en: `Cannot join the room on ${nats}: ${reason}`,
      zh: `无法加入 ${nats} 上的聊天室：${reason}`,
    }, lang);
  }
}

async function readCredentials(path: string, lang: Lang): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw unreadable(path, error, lang);
  }
}
