// Copyright 2026 the linechat authors. MIT license.

import { type Line, memberCount } from "./protocol.ts";

/** A line that was sent, and that the server has not answered. */
interface Entry {
  text: string;
  /**
   * `entered`: a line of the user. `own`: a line of the client. `hidden`: a line of the
   * client with an answer that is not shown to the user.
   */
  kind: "entered" | "own" | "hidden";
  /** Returns whether a notice can be the answer. */
  accepts(notice: string): boolean;
  onAnswer(notice: string): void;
}

/** The answers to hidden requests. */
const HIDDEN_ANSWERS = {
  "/ping": (notice: string) => /^pong\b/i.test(notice),
  "/who": (notice: string) => memberCount(notice) !== undefined,
};

/** A request with an answer that is not shown to the user. */
export type HiddenRequest = keyof typeof HIDDEN_ANSWERS;

/**
 * The lines that were sent and not yet answered. A server answers the lines of one
 * client in their order, so that an answer to a line answers all lines before it, too.
 */
export class Outbox {
  #entries: Entry[] = [];

  /** Adds a line that the user entered. */
  add(text: string): void {
    const accepts = () => true;
    this.#entries.push({ text, kind: "entered", accepts, onAnswer() {} });
  }

  /** Adds a line of the client. The user sees the answer. */
  addOwn(
    text: string,
    accepts: Entry["accepts"],
    onAnswer: Entry["onAnswer"],
  ): void {
    this.#entries.push({ text, kind: "own", accepts, onAnswer });
  }

  /** Adds a request of the client. The user does not see the answer. */
  addHidden(
    text: HiddenRequest,
    onAnswer: Entry["onAnswer"] = () => {},
  ): void {
    const accepts = (notice: string) =>
      HIDDEN_ANSWERS[text](notice) ||
      // The answer of a server that does not know the command.
      notice.includes(text) && !notice.startsWith(text);
    this.#entries.push({ text, kind: "hidden", accepts, onAnswer });
  }

  /** The lines of the user that have no answer yet, without secrets. */
  get lines(): string[] {
    return this.#entries.filter(({ kind }) => kind === "entered")
      .map(({ text }) => maskSecret(text));
  }

  /** Forgets all lines. */
  clear(): void {
    this.#entries = [];
  }

  /** Removes the lines up to the one that the server repeats to its sender. */
  echoed(line: Line): void {
    const index = this.#indexOf(line);
    if (index >= 0) this.#entries.splice(0, index + 1);
  }

  /** Returns the index of the entry that a line repeats. */
  #indexOf(line: Line): number {
    const find = (isMatch: (text: string) => boolean) =>
      this.#entries.findIndex(({ text, kind }) =>
        kind !== "hidden" && isMatch(text)
      );
    switch (line.type) {
      case "message": {
        const message = comparable(line.text);
        const exact = find((text) => comparable(messageOf(text)) === message);
        if (exact >= 0) return exact;
        // A server can change a line, for example shorten runs of spaces.
        return find((text) => /^(?!\/)|^\/\/|^\/quit\s/.test(text));
      }
      case "action":
        return find((text) => /^\/me\s/i.test(text));
      case "sent":
        return find((text) => /^\/msg\s/i.test(text));
      case "renamed":
        return find((text) => /^\/nick\s/i.test(text));
      default:
        return -1;
    }
  }

  /**
   * Handles a notice as the answer to the first line that accepts it. Returns whether
   * that is a hidden request.
   */
  noticed(notice: string): boolean {
    const index = this.#entries.findIndex(({ accepts }) => accepts(notice));
    if (index < 0) return false;
    const { kind, onAnswer } = this.#entries[index];
    this.#entries.splice(0, index + 1);
    onAnswer(notice);
    return kind === "hidden";
  }
}

/** Replaces the secret of `/nick NAME SECRET`, and all text after it, for the screen. */
export function maskSecret(line: string): string {
  return line.replace(/^(\/nick\s+\S+\s+)\S.*/i, "$1********");
}

/** Returns the message that the room gets from a line. */
function messageOf(line: string): string {
  return line.replace(/^\/(?=\/)|^\/quit\s+/, "");
}

/** Removes the differences that a server can make to a text. */
function comparable(text: string): string {
  return text.replace(/[\s\p{C}]+/gu, " ").trim();
}
