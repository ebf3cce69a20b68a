// Copyright 2026 the linechat authors. MIT license.

import { printable } from "../mod.ts";
import { KEY } from "./keys.ts";

/** Maximum number of pasted lines that are inserted without a question. */
const MAX_LINES = 5;

/** The character that represents a line end while a paste is edited. */
const LINE_END = "↵";

/** A text that was pasted into the terminal. */
export class Paste {
  /** The lines. A line end after the last one does not start another line. */
  readonly lines: string[];
  readonly #endsLine: boolean;

  constructor(text: string) {
    this.lines = printable(text.replaceAll(/\r\n?/g, "\n")).split("\n");
    this.#endsLine = this.lines.length > 1 && this.lines.at(-1) === "";
    if (this.#endsLine) this.lines.pop();
  }

  /** Whether the user is asked before the paste is inserted. */
  get isLong(): boolean {
    return this.lines.length > MAX_LINES;
  }

  /** The text to insert without a question. A single line is not entered. */
  get typed(): string {
    const isEntered = this.lines.length > 1 && this.#endsLine;
    return this.lines.join("\n") + (isEntered ? "\n" : "");
  }

  /** The text to insert so that every line is entered. */
  get entered(): string {
    return `${this.lines.join("\n")}\n`;
  }

  /** The text in one line, to be edited. */
  get editable(): string {
    return this.lines.join(LINE_END);
  }

  /** Returns the lines of a text that was edited. */
  static linesOf(edited: string): string[] {
    return edited.split(LINE_END);
  }
}

/** Matches a key that answers the question about a paste: a letter, or Escape. */
// deno-lint-ignore no-control-regex
const ANSWER = /^[sed\x1b]$/i;

/**
 * Finds the answer to the question about a paste in keys: send, edit or discard.
 * Returns the answer, and the keys after it.
 */
export function pasteAnswer(
  keys: string,
): { answer: "send" | "edit" | "discard"; rest: string } | undefined {
  for (const { 0: key, index } of keys.matchAll(KEY)) {
    if (!ANSWER.test(key)) continue;
    const rest = keys.slice(index + 1);
    switch (key.toLowerCase()) {
      case "s":
        return { answer: "send", rest };
      case "e":
        return { answer: "edit", rest };
      default:
        return { answer: "discard", rest };
    }
  }
}
