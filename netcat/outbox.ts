// Copyright 2026 the linechat authors. MIT license.

import { type Line, memberCount } from "./protocol.ts";

/** A line that was sent, and that the server has not answered. */
interface Entry {
  text: string;
  /** The client sent it by itself. The user sees neither the line nor the answer. */
  isHidden: boolean;
  onAnswer?: (notice: string) => void;
}

/** The answers that are expected to requests that the client sends by itself. */
const HIDDEN_ANSWERS: Record<string, (notice: string) => boolean> = {
  "/ping": (notice) => /^pong\b/i.test(notice),
  "/who": (notice) => memberCount(notice) !== undefined,
};

/**
 * The lines that were sent and not yet answered. A server answers the lines of one
 * client in their order, so an answer to a line answers all lines before it, too.
 */
export class Outbox {
  #entries: Entry[] = [];

  /** Adds a line that the user entered. */
  add(text: string, onAnswer?: Entry["onAnswer"]): void {
    this.#entries.push({ text, isHidden: false, onAnswer });
  }

  /** Adds a request that the user does not see. */
  addHidden(
    request: keyof typeof HIDDEN_ANSWERS,
    onAnswer: Entry["onAnswer"] = () => {},
  ): void {
    this.#entries.push({ text: request, isHidden: true, onAnswer });
  }

  /** The lines of the user that have no answer yet. */
  get lines(): string[] {
    return this.#entries.filter(({ isHidden }) => !isHidden)
      .map(({ text }) => text);
  }

  /** Whether a hidden request has no answer yet. */
  isWaitingFor(request: string): boolean {
    return this.#entries.some(({ text, isHidden }) =>
      isHidden && text === request
    );
  }

  /** Forgets all lines. */
  clear(): void {
    this.#entries = [];
  }

  /** Removes the lines up to the one that the room repeats to its sender. */
  echoed(line: Line): void {
    const index = this.#indexOf(line);
    if (index >= 0) this.#entries.splice(0, index + 1);
  }

  #indexOf(line: Line): number {
    const find = (form: RegExp) =>
      this.#entries.findIndex(({ text, isHidden }) =>
        !isHidden && form.test(text)
      );
    switch (line.type) {
      case "message": {
        const said = comparable(line.text);
        const exact = this.#entries.findIndex(({ text }) =>
          comparable(spoken(text)) === said
        );
        // A server may change a line, for example shorten runs of spaces.
        return exact >= 0 ? exact : find(/^(?!\/)|^\/\/|^\/quit\s/);
      }
      case "action":
        return find(/^\/me\s/i);
      case "sent":
        return find(/^\/msg\s/i);
      case "renamed":
        return find(/^\/nick\s/i);
      default:
        return -1;
    }
  }

  /**
   * Takes a notice as the answer to the first line. Returns whether it answers a
   * hidden request, so that the user does not see it.
   */
  noticed(notice: string): boolean {
    const [first] = this.#entries;
    if (first === undefined) return false;
    const { text, isHidden, onAnswer } = first;
    if (isHidden) {
      // A server without this command answers with its name: "Unknown command".
      const isUnknown = notice.includes(text) && !notice.startsWith(text);
      if (!isUnknown && !HIDDEN_ANSWERS[text](notice)) return false;
    }
    this.#entries.shift();
    onAnswer?.(notice);
    return isHidden;
  }
}

/** Returns the text that a line says in the room. */
function spoken(line: string): string {
  return line.replace(/^\/(?=\/)|^\/quit\s+/, "");
}

/** Removes the differences that a server may make to a text. */
function comparable(text: string): string {
  return text.replace(/[\s\p{C}]+/gu, " ").trim();
}
