// Copyright 2026 the linechat authors. MIT license.

import { printable } from "../mod.ts";
import type { Item } from "./room.ts";
import type { Tty } from "./tty.ts";

/** Minimum time between two bells, in milliseconds. */
const BELL_INTERVAL = 1_000;

/** The messages that ring the bell. */
export type Bell = "mention" | "all" | "never";

/**
 * Draws attention to new messages: rings the bell, and shows in the title of the
 * window how many of them the user has not read.
 */
export class Attention {
  readonly #tty: Tty;
  readonly #address: string;
  readonly #bell: Bell;
  #hasFocus = false;
  #unread = 0;
  #title = "";
  #lastBell = -Infinity;

  constructor(tty: Tty, address: string, bell: Bell) {
    this.#tty = tty;
    this.#address = address;
    this.#bell = bell;
  }

  /** Handles a line that is shown. */
  handle({ line, isOwn, isMention, isReplayed }: Item): void {
    const isMessage = line.type === "message" || line.type === "action" ||
      line.type === "private";
    if (!isMessage || isOwn || isReplayed) return;
    if (this.#bell === "all" || this.#bell === "mention" && isMention) {
      this.#ring();
    }
    if (!this.#hasFocus) this.#unread++;
  }

  /** Marks all messages as read. */
  read(): void {
    this.#unread = 0;
    this.showTitle();
  }

  /** Handles a change of the focus of the window. */
  focus(hasFocus: boolean): void {
    this.#hasFocus = hasFocus;
    if (hasFocus) this.read();
  }

  /** Shows the title if it has changed. */
  showTitle(): void {
    const count = this.#unread > 0 ? `(${this.#unread}) ` : "";
    const title = printable(`${count}linechat ${this.#address}`);
    if (title === this.#title) return;
    this.#title = title;
    this.#tty.setTitle(title);
  }

  /** Shows the title again, after another program could have changed it. */
  restoreTitle(): void {
    this.#title = "";
    this.showTitle();
  }

  #ring(): void {
    const now = Date.now();
    if (now - this.#lastBell < BELL_INTERVAL) return;
    this.#lastBell = now;
    this.#tty.bell();
  }
}
