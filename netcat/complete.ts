// Copyright 2026 the linechat authors. MIT license.

/** The commands, each with the kind of its argument. */
const COMMANDS: Record<string, "name" | "text" | "none"> = {
  "/clear": "none",
  "/help": "none",
  "/ignore": "name",
  "/me": "text",
  "/msg": "name",
  "/names": "none",
  "/nick": "text",
  "/quit": "text",
  "/reconnect": "none",
  "/unignore": "name",
  "/who": "none",
};

/** Matches a name of a member. Other names of a hostile server are not inserted. */
const NAME = /^[\p{L}\p{Nd}[][\p{L}\p{M}\p{Nd}_.:[\]-]{0,63}$/u;

/** Matches the word at the end of a text. Chinese has no spaces between words. */
const WORD = /[^\s\u3001\u3002\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f]*$/;

/** The completions of a word. */
export interface Completion {
  /** The number of characters before the cursor that are replaced. */
  length: number;
  /** The words to choose from, each with the text that follows it. */
  choices: string[];
}

/**
 * Completes the word before the cursor: a command, a name, or the name that is the
 * argument of a command.
 *
 * @param typed The line up to the cursor.
 * @param names The names of the other members.
 */
export function complete(typed: string, names: readonly string[]): Completion {
  const word = WORD.exec(typed)![0];
  const isFirst = word.length === typed.length;
  if (isFirst && word.startsWith("/")) {
    const commands = Object.keys(COMMANDS).filter((command) =>
      command.startsWith(word.toLowerCase())
    );
    return { length: word.length, choices: commands.map((c) => `${c} `) };
  }
  const command = /^\/\S+/.exec(typed)?.[0].toLowerCase() ?? "";
  const isArgument = /^\/\S+\s+\S*$/.test(typed);
  if (isArgument && COMMANDS[command] === "none") {
    return { length: word.length, choices: [] };
  }
  // A name is also completed after an @.
  const part = word.replace(/^@/, "").toLowerCase();
  const end = isFirst ? ": " : " ";
  const choices = names.filter((name) =>
    NAME.test(name) && name.toLowerCase().startsWith(part)
  ).map((name) => name + end);
  return part === "" && !isArgument && !isFirst
    ? { length: 0, choices: [] }
    : { length: part.length, choices };
}

/** Returns the longest beginning that words have in common, without case. */
export function commonStart(words: readonly string[]): string {
  const [first = "", ...rest] = words;
  let length = first.length;
  for (const word of rest) {
    while (
      word.slice(0, length).toLowerCase() !==
        first.slice(0, length).toLowerCase()
    ) length--;
  }
  return first.slice(0, length);
}
