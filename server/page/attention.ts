// Copyright 2026 the linechat authors. MIT license.

import { find, settings } from "./dom.ts";
import type { Entry } from "./message_log.ts";

/** Draws the attention of a user who is elsewhere: by the title and by notifications. */
export class Attention {
  #unread = 0;
  readonly #button = find("bell");

  constructor() {
    addEventListener("focus", () => this.#show(0));
    this.#button.hidden = !("Notification" in window) || !isSecureContext;
    if (this.#button.hidden) return;
    this.#button.title = this.#button.ariaLabel!;
    this.#button.onclick = async () => {
      settings().notify = this.#isOn ? "" : "on";
      if (settings().notify) await Notification.requestPermission();
      this.#button.ariaPressed = String(this.#isOn);
    };
    this.#button.ariaPressed = String(this.#isOn);
  }

  get #isOn(): boolean {
    return settings().notify === "on" &&
      Notification.permission === "granted";
  }

  /** Counts messages that the user does not see. */
  count(messages: number): void {
    if (!document.hasFocus()) this.#show(this.#unread + messages);
  }

  #show(unread: number): void {
    this.#unread = unread;
    document.title = (unread > 0 ? `(${unread}) ` : "") + "linechat";
  }

  /** Shows a message to a user who does not see the page. */
  notify({ name = "", text }: Entry): void {
    if (this.#button.hidden || !this.#isOn || document.hasFocus()) return;
    try {
      const notification = new Notification(name, { body: text, tag: "chat" });
      notification.onclick = () => focus();
    } catch {
      // Chrome on Android has notifications of service workers only.
    }
  }
}
