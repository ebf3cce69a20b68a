// Copyright 2026 the linechat authors. MIT license.

import { printable } from "../mod.ts";
import { KEY } from "./keys.ts";

/** Handles the keys that end the input of a secret. */
export interface SecretHandler {
  enter(secret: string): void;
  /** Handles Ctrl-D without a text before it. */
  leave(): void;
  /** Handles Ctrl-C on Windows. On other systems, Ctrl-C is a signal. */
  interrupt(): void;
}

/** A line that the user types and that is not shown. */
export class SecretInput {
  readonly #handler: SecretHandler;
  #text = "";

  constructor(handler: SecretHandler) {
    this.#handler = handler;
  }

  /** Handles keys. Keys that move the cursor have no effect. */
  press(keys: string): void {
    for (const [key] of keys.matchAll(KEY)) this.#press(key);
  }

  /** Forgets the line. */
  clear(): void {
    this.#text = "";
  }

  #press(key: string): void {
    const text = this.#text;
    switch (key) {
      case "\r":
      case "\n":
        this.clear();
        return this.#handler.enter(text);
      case "\x03":
        return this.#handler.interrupt();
      case "\x04": // Ctrl-D
        if (text === "") this.#handler.leave();
        return;
      case "\b":
      case "\x7f":
        this.#text = text.replace(/.$/su, "");
        return;
      case "\x15": // Ctrl-U
        return this.clear();
      case "\x17": // Ctrl-W
        this.#text = text.replace(/\S*\s*$/u, "");
        return;
      default:
        if (printable(key) === key) this.#text += key;
    }
  }
}
