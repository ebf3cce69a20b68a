// Copyright 2026 the linechat authors. MIT license.

/**
 * The meaning of the lines of a room, in both languages. The functions run in the
 * browser: the page embeds their source. So they use nothing outside of themselves but
 * each other.
 *
 * @module
 */

/** A line of the room. */
export type Line =
  | { kind: "message" | "action"; name: string; text: string }
  /** A private message from a member or, if it `isOwn`, to a member. */
  | { kind: "private"; name: string; text: string; isOwn: boolean }
  | { kind: "welcome" | "online" | "offline"; name: string }
  | { kind: "renamed"; name: string; newName: string }
  /** The other members. `names` lacks some unless it `isComplete`. */
  | { kind: "greeting"; names: string[]; isComplete: boolean; text: string }
  /** The lines that follow are older messages. */
  | { kind: "history"; count: number; time: Date; text: string }
  /** The reply to the command `/who`. The names follow as notices. */
  | { kind: "who"; count: number; text: string }
  | { kind: "password" }
  | { kind: "notice"; text: string }
  /** A line of the room itself, such as the reason of a refusal. */
  | { kind: "plain"; text: string };

/** Returns a pattern for a text in English or in Chinese. */
export function either(english: string, chinese: string): string {
  return `(?:${english}|${chinese})`;
}

/**
 * Parses a line of the room. Names contain no spaces and start with a letter, a digit
 * or a bracket, so members cannot forge any line that is not a message of theirs.
 */
export function parseLine(line: string): Line {
  const match = (...pattern: string[]) =>
    new RegExp(`^${pattern.join("")}$`).exec(line)?.slice(1);
  let found;
  if (line.startsWith("-- ")) return parseNotice(line.slice(3));
  if ((found = match("\\* (\\S+) (.*)"))) {
    return { kind: "action", name: found[0], text: found[1] };
  }
  const mark = either("\\(private\\)", "（私聊）");
  if ((found = match(mark, " ?→ (\\S+): (.*)"))) {
    return { kind: "private", name: found[0], text: found[1], isOwn: true };
  }
  if ((found = match("([^\\s（]+) ?", mark, ": (.*)"))) {
    return { kind: "private", name: found[0], text: found[1], isOwn: false };
  }
  if ((found = match("(\\S+): (.*)"))) {
    return { kind: "message", name: found[0], text: found[1] };
  }
  if ((found = match(either("Welcome", "欢迎"), " (\\S+)"))) {
    return { kind: "welcome", name: found[0] };
  }
  if ((found = match("(\\S+) ", either("is online", "上线")))) {
    return { kind: "online", name: found[0] };
  }
  if ((found = match("(\\S+) ", either("is offline", "下线")))) {
    return { kind: "offline", name: found[0] };
  }
  if (
    (found = match(
      "(\\S+) ",
      either("is now known as", "改名为"),
      " (\\S+)",
    ))
  ) {
    return { kind: "renamed", name: found[0], newName: found[1] };
  }
  return { kind: "plain", text: line };
}

/** Parses a notice, of which the mark `-- ` is removed. */
export function parseNotice(text: string): Line {
  const match = (...pattern: string[]) =>
    new RegExp(`^${pattern.join("")}$`).exec(text)?.slice(1);
  let found;
  if (match(either("Password:", "密码："))) return { kind: "password" };
  if (
    match(either("No one else is here. ", "这里还没有其他人。"), ".*/help.*")
  ) {
    return { kind: "greeting", names: [], isComplete: true, text };
  }
  const here = either(" here: ", " 人在线：");
  const more = either(", …", "、…");
  const end = either("\\. ", "。输入 ");
  if ((found = match("\\d+", here, `(.+?)(${more})?`, end, "/help.*"))) {
    const names = found[0].split(/, |、/);
    return { kind: "greeting", names, isComplete: !found[1], text };
  }
  const history = either("History: ", "历史消息：");
  const time = "(\\d{4}-\\d\\d-\\d\\d) (\\d\\d:\\d\\d) UTC";
  if ((found = match(history, "(\\d+)\\D+", time))) {
    const [count, day, minute] = found;
    const at = new Date(`${day}T${minute}Z`);
    return { kind: "history", count: Number(count), time: at, text };
  }
  if ((found = match("(\\d+)", either(" here:", " 人在线：")))) {
    return { kind: "who", count: Number(found[0]), text };
  }
  return { kind: "notice", text };
}

/** Returns the lines of a history that were not shown before. */
export function newLines(history: string[], shown: string[]): string[] {
  for (let end = history.length; end > 0; end--) {
    const common = Math.min(end, shown.length);
    const isShown = common > 0 &&
      history.slice(end - common, end)
        .every((line, i) => line === shown[shown.length - common + i]);
    if (isShown) return history.slice(end);
  }
  return history;
}

/** Splits text into plain parts and web addresses, alternately. */
export function splitLinks(text: string): string[] {
  return text.split(
    /(\bhttps?:\/\/[^\s<>"]*[^\s<>"'.,:;!?)\]}，。：；！？）】》」』、])/,
  );
}

/** Returns whether a text mentions a name as a word of its own. */
export function mentions(text: string, name: string): boolean {
  if (name === "") return false;
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  // Words of Chinese and Japanese are not separated.
  const edge = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u
      .test(name)
    ? ""
    : "[\\p{L}\\p{N}_]";
  const pattern = edge ? `(?<!${edge})${escaped}(?!${edge})` : escaped;
  return new RegExp(pattern, "iu").test(text);
}

/**
 * Returns the beginning of a text with its last word completed, for each word that it
 * can become. A name at the beginning is followed by a colon.
 */
export function completions(
  text: string,
  names: string[],
  commands: string[],
): string[] {
  const [, start, word] = /^(.*?)(\S+)$/s.exec(text) ?? [];
  if (word === undefined) return [];
  const candidates = start === "" && word.startsWith("/") ? commands : names;
  return candidates
    .filter((name) => name.toLowerCase().startsWith(word.toLowerCase()))
    .map((name) =>
      start + name + (start === "" && name[0] !== "/" ? ": " : " ")
    );
}

/** Returns the hue of a name, from 0 to 359. */
export function hueOf(name: string): number {
  let hash = 0;
  for (const character of name) {
    hash = (hash * 31 + character.codePointAt(0)!) >>> 0;
  }
  return hash * 137 % 360;
}
