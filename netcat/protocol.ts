// Copyright 2026 the linechat authors. MIT license.

/**
 * Parses the lines of a linechat server, in English and in Chinese.
 *
 * @module
 */

/**
 * A line of a room. The text of a `notice` has no `-- `. The text of a `refused` line is the
 * reason for which the server closes the connection.
 */
export type Line =
  | {
    type: "message" | "action" | "private" | "sent";
    name: string;
    text: string;
  }
  | { type: "welcome" | "joined" | "left"; name: string }
  | { type: "renamed"; name: string; newName: string }
  | { type: "notice"; text: string }
  | { type: "refused"; text: string }
  | { type: "other"; text: string };

/** Matches a name: no spaces, and no colon at the end. */
const NAME = "(\\S*[^\\s:])";
const OPEN = "[(\\uff08]";
const CLOSE = "[)\\uff09]";
const COLON = "[:\\uff1a]";

/** The words of the room, in each language. */
const WORDS = {
  welcome: either("Welcome", "欢迎"),
  private: OPEN + either("private", "私聊") + CLOSE,
  refused: either("Cannot enter", "无法进入"),
  online: either(" is online", " 上线"),
  offline: either(" is offline", " 下线"),
  renamed: either(" is now known as ", " 改名为 "),
  commands: either("/help lists the commands", "输入 /help 查看命令"),
  removed: either("You were removed", "你已被移出聊天室"),
};

/** Returns the source of an expression that matches any of several texts. */
function either(...texts: string[]): string {
  return `(?:${texts.join("|")})`;
}

/** The forms of lines. The first one that matches is used. */
const FORMS: [string, (...groups: string[]) => Line][] = [
  ["-- (.*)", (text) => ({ type: "notice", text })],
  ["\\* (\\S+)(?: (.*))?", (name, text = "") => ({
    type: "action",
    name,
    text,
  })],
  [`${NAME} ?${WORDS.private}${COLON} ?(.*)`, (name, text) => ({
    type: "private",
    name,
    text,
  })],
  [`${WORDS.private} ?→ ${NAME}${COLON} ?(.*)`, (name, text) => ({
    type: "sent",
    name,
    text,
  })],
  [`${WORDS.refused}${COLON} ?(.*)`, (text) => ({ type: "refused", text })],
  ["(\\S+?): (.*)", (name, text) => ({ type: "message", name, text })],
  [`${WORDS.welcome} (\\S+)`, (name) => ({ type: "welcome", name })],
  [`(\\S+)${WORDS.online}`, (name) => ({ type: "joined", name })],
  [`(\\S+)${WORDS.offline}`, (name) => ({ type: "left", name })],
  [`(\\S+)${WORDS.renamed}(\\S+)`, (name, newName) => ({
    type: "renamed",
    name,
    newName,
  })],
];

const PATTERNS = FORMS.map(([form, toLine]) =>
  [new RegExp(`^${form}$`), toLine] as const
);

/** Matches a row of the list of members. */
const LISTED = new RegExp(`^([^\\s(\\uff08]+) ?${OPEN}.*${CLOSE}$`);

/** Matches the notice after the welcome of a server with commands. */
const COMMANDS = new RegExp(`${WORDS.commands}$`);

/** Matches the notice to a member that an operator removes. */
const REMOVED = new RegExp(`^${WORDS.removed}`);

/** Parses a line of a room. */
export function parseLine(line: string): Line {
  for (const [pattern, toLine] of PATTERNS) {
    const match = pattern.exec(line);
    if (match) return toLine(...match.slice(1));
  }
  return { type: "other", text: line };
}

/**
 * Returns whether a first line is the welcome of a linechat server. The first name of a
 * member ends in a number: `HOST:PORT`, `unix:1` or `guest-1`.
 */
export function isGreeting(line: Line): line is Line & { type: "welcome" } {
  return line.type === "welcome" && /[:-]\d+$/.test(line.name);
}

/** Returns whether a notice before the welcome is a prompt, such as `Password:`. */
export function isPrompt(notice: string): boolean {
  return /[:?\uff1a\uff1f]$/.test(notice);
}

/** Returns whether a notice says that an operator has removed the user from the room. */
export function isRemoval(notice: string): boolean {
  return REMOVED.test(notice);
}

/** Maximum number of messages that a server replays to a new member. */
const MAX_HISTORY = 10_000;

/** Returns the number of messages in a replay that a notice announces. */
export function historyCount(notice: string): number | undefined {
  const [, digits] =
    /^\D*(\d+)\D.*\d{4}-\d\d-\d\d \d\d:\d\d UTC\D*$/.exec(notice) ?? [];
  const count = Number(digits);
  return count > 0 && count <= MAX_HISTORY ? count : undefined;
}

/** Returns the number of members in a list that a notice announces: `2 here:`. */
export function memberCount(notice: string): number | undefined {
  const [, digits] = /^\D*(\d+)\D*[:\uff1a]$/.exec(notice) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** Returns the name in a row of the list of members: `ann (3 min)`. */
export function listedName(notice: string): string | undefined {
  return LISTED.exec(notice)?.[1];
}

/** Returns whether a notice stands for the members that the server does not list. */
export function isListEnd(notice: string): boolean {
  return notice === "…";
}

/** Returns whether the notice after the welcome says that the server has commands. */
export function hasCommands(notice: string): boolean {
  return COMMANDS.test(notice);
}
