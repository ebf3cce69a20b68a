// Copyright 2026 the linechat authors. MIT license.

import { type Line, memberCount } from "./protocol.ts";

/** A line that was sent, and that the server has not answered. */
interface Entry {
  text: string;
  /** Whether the user entered it, and not the client by itself. */
  isEntered: boolean;
  /** Whether the user does not see the answer. */
  isHidden: boolean;
  /** Whether a notice may be the answer. */
  accepts(notice: string): boolean;
  onAnswer(notice: string): void;
}

/** The answers that are expected to requests that the client sends by itself. */
const HIDDEN_ANSWERS = {
  "/ping": (notice: string) => /^pong\b/i.test(notice),
  "/who": (notice: string) => memberCount(notice) !== undefined,
};

/**
 * The lines that were sent and not yet answered. A server answers the lines of one
 * client in their order, so an answer to a line answers all lines before it, too.
 */
export class Outbox {
  #entries: Entry[] = [];

  /** Adds a line that the user entered. */
  add(text: string): void {
    this.#entries.push({
      text,
      isEntered: true,
      isHidden: false,
      accepts: () => true,
      onAnswer: () => {},
    });
  }

  /** Adds a line that the client sent by itself. The user sees the answer. */
  addOwn(
    text: string,
    accepts: Entry["accepts"],
    onAnswer: Entry["onAnswer"],
  ): void {
    const [isEntered, isHidden] = [false, false];
    this.#entries.push({ text, isEntered, isHidden, accepts, onAnswer });
  }

  /** Adds a request that the user does not see. */
  addHidden(
    text: keyof typeof HIDDEN_ANSWERS,
    onAnswer: Entry["onAnswer"] = () => {},
  ): void {
    const accepts = (notice: string) =>
      HIDDEN_ANSWERS[text](notice) ||
      // The answer of a server that does not know the command.
      notice.includes(text) && !notice.startsWith(text);
    const [isEntered, isHidden] = [false, true];
    this.#entries.push({ text, isEntered, isHidden, accepts, onAnswer });
  }

  /** The lines of the user that have no answer yet. */
  get lines(): string[] {
    return this.#entries.filter(({ isEntered }) => isEntered)
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
   * Takes a notice as the answer to the first line that accepts it. Returns whether
   * that is a hidden request, so that the user does not see the notice.
   */
  noticed(notice: string): boolean {
    const index = this.#entries.findIndex(({ accepts }) => accepts(notice));
    if (index < 0) return false;
    const { isHidden, onAnswer } = this.#entries[index];
    this.#entries.splice(0, index + 1);
    onAnswer(notice);
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
