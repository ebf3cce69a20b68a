// Copyright 2026 the linechat authors. MIT license.

/**
 * The moderation of the server command, from its options.
 *
 * @module
 */

import { explain } from "../cli.ts";
import type { Chat, Lang } from "../mod.ts";
import { BanList } from "./bans.ts";
import type { Log } from "./log.ts";
import { Moderation } from "./moderation.ts";
import { Password } from "./password.ts";

/** The options of the server command that this module implements. */
export interface ModerationSettings {
  bansPath?: string;
  passwordPath?: string;
  hideAddresses: boolean;
  ipv6Prefix: number;
}

/** The options that a chat needs, and a function that reads the files again. */
export interface ServerModeration {
  chatOptions: Moderation["chatOptions"];
  reload(chat: Chat): Promise<void>;
}

/**
 * Creates the moderation and reads its files.
 *
 * @throws {CommandError} If a file cannot be read.
 */
export async function openModeration(
  { bansPath, passwordPath, hideAddresses, ipv6Prefix }: ModerationSettings,
  log: Log,
  lang: Lang,
): Promise<ServerModeration> {
  const bans = new BanList({ path: bansPath, lang, ipv6Prefix });
  const password = passwordPath === undefined ? undefined : new Password({
    path: passwordPath,
    lang,
    ipv6Prefix,
    log: (message) => log.frequentFailure(message),
  });
  await bans.load();
  await password?.load();
  const moderation = new Moderation({
    lang,
    bans,
    password,
    hideAddresses,
    ipv6Prefix,
    audit: (message) => log.info(message),
  });
  const reload = async (chat: Chat) => {
    if (bansPath !== undefined) {
      await logged(() => bans.load(), log, TEXTS[lang].bans, lang);
      await moderation.enforceBans(chat);
    }
    if (password) {
      await logged(() => password.load(), log, TEXTS[lang].password, lang);
    }
  };
  return { chatOptions: moderation.chatOptions, reload };
}

/** Reads a file again and logs whether that succeeded. */
async function logged(
  load: () => Promise<void>,
  log: Log,
  [success, failure]: readonly string[],
  lang: Lang,
): Promise<void> {
  try {
    await load();
    log.info(success);
  } catch (error) {
    log.failure(`${failure}${explain(error, lang)}`);
  }
}

const EN = {
  bans: ["The bans were read again", "The bans have not changed. "],
  password: ["The password was read again", "The password has not changed. "],
};

const ZH: typeof EN = {
  bans: ["已重新读取封禁列表", "封禁列表没有更改。"],
  password: ["已重新读取密码", "密码没有更改。"],
};

const TEXTS: Record<Lang, typeof EN> = { en: EN, zh: ZH };
