// Copyright 2026 the linechat authors. MIT license.

/** Input of a terminal: keys as they are, a paste, or a change of focus. */
export type Input =
  | { type: "keys" | "paste"; text: string }
  | { type: "focus"; hasFocus: boolean };

/** Matches a key: an escape sequence, or a character. */
// deno-lint-ignore no-control-regex
export const KEY = /\x1b(?:\[[\d;]*|O)?.|[^]/gu;

const PASTE_START = "\x1b[200~";
const PASTE_END = "\x1b[201~";

/** Matches the sequences that a terminal sends around a paste and for its focus. */
// deno-lint-ignore no-control-regex
const SEQUENCE = /\x1b\[(?:200~|I|O)/;

/** Matches the beginning of such a sequence at the end of a text. */
// deno-lint-ignore no-control-regex
const UNFINISHED = /\x1b(?:\[(?:2(?:00?)?)?)?$/;

/** Separates pastes and changes of focus from the keys in a terminal's input. */
export class InputParser {
  /** Input that can be the beginning of a sequence. */
  #rest = "";
  /** The paste that has not ended. */
  #paste?: string;

  /** Parses more input. */
  *parse(text: string): Generator<Input> {
    text = this.#rest + text;
    this.#rest = "";
    while (text !== "") {
      if (this.#paste !== undefined) {
        text = this.#paste + text;
        const end = text.indexOf(PASTE_END);
        if (end < 0) {
          this.#paste = text;
          return;
        }
        this.#paste = undefined;
        yield { type: "paste", text: text.slice(0, end) };
        text = text.slice(end + PASTE_END.length);
        continue;
      }
      const match = SEQUENCE.exec(text);
      if (match === null) {
        this.#rest = UNFINISHED.exec(text)?.[0] ?? "";
        text = text.slice(0, text.length - this.#rest.length);
        if (text !== "") yield { type: "keys", text };
        return;
      }
      if (match.index > 0) {
        yield { type: "keys", text: text.slice(0, match.index) };
      }
      if (match[0] === PASTE_START) this.#paste = "";
      else yield { type: "focus", hasFocus: match[0].endsWith("I") };
      text = text.slice(match.index + match[0].length);
    }
  }

  /** Whether the last input can be the beginning of a sequence. */
  get isUnfinished(): boolean {
    return this.#rest !== "";
  }

  /** Returns the rest of the input if no sequence follows, for example the Escape key. */
  flush(): string {
    const rest = this.#rest;
    this.#rest = "";
    return rest;
  }
}
