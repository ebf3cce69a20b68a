// Copyright 2026 the linechat authors. MIT license.

import { create, find } from "./dom.ts";
import { hueOf, splitLinks } from "./lines.ts";
import type { Texts } from "./texts.ts";

/** An entry of the log. */
export interface Entry {
  /** The classes of its element: `message`, `action`, `private`, `notice`, `own` and others. */
  type: string;
  name?: string;
  text: string;
  /** A remark between name and text, for example that the message is private. */
  label?: string;
}

/** The messages on the page. */
export class MessageLog {
  /** Maximum number of entries. */
  static readonly maxEntries = 1000;
  #day = "";
  #skipped = 0;
  #lastType = "";
  #atEnd = true;

  readonly element = find("log");
  /** Scrolls to the end. Shown while newer messages are out of sight. */
  readonly latest = find("latest");

  constructor(readonly texts: Texts, readonly lang: string) {
    const { element, latest } = this;
    latest.onclick = () => this.scrollToEnd();
    element.onscroll = () => {
      this.#atEnd =
        element.scrollHeight - element.scrollTop - element.clientHeight < 40;
      if (this.#atEnd) latest.hidden = true;
    };
    // The phone's keyboard makes the log smaller.
    new ResizeObserver(() => this.#atEnd && this.scrollToEnd())
      .observe(element);
  }

  /** Shows entries of this moment. */
  add(entries: Entry[]): void {
    if (entries.length === 0) return;
    const now = new Date();
    const day = this.#format(now, { dateStyle: "full" });
    if (day !== this.#day) this.addDivider(day);
    this.#day = day;
    this.#append(entries.map((entry) => this.#row(entry, now)));
    this.#skipped = 0;
  }

  /** Shows entries of an earlier, unknown time. */
  addOld(entries: Entry[]): void {
    const kept = entries.slice(-MessageLog.maxEntries);
    this.#append(
      kept.map((entry) => this.#row({ ...entry, type: `${entry.type} old` })),
    );
  }

  /** Shows a line between entries. */
  addDivider(text: string): void {
    this.#append([this.#divider(text)]);
  }

  /** Shows how many lines were skipped. */
  skip(count: number): void {
    if (count === 0) return;
    const isRepeated = this.#skipped > 0;
    this.#skipped += count;
    const divider = this.#divider(
      this.texts.skipped.replace("#", this.#skipped.toLocaleString(this.lang)),
    );
    if (isRepeated) this.element.lastElementChild?.replaceWith(divider);
    else this.#append([divider]);
  }

  scrollToEnd(): void {
    this.element.scrollTop = this.element.scrollHeight;
  }

  /** Formats the time of older messages. */
  formatTime(time: Date): string {
    return this.#format(time, { dateStyle: "medium", timeStyle: "short" });
  }

  #format(time: Date, options: Intl.DateTimeFormatOptions): string {
    return time.toLocaleString(this.lang, options);
  }

  #append(rows: HTMLElement[]): void {
    const { element } = this;
    element.append(...rows);
    while (element.childElementCount > MessageLog.maxEntries) {
      element.firstElementChild!.remove();
    }
    if (this.#atEnd) this.scrollToEnd();
    else this.latest.hidden = false;
  }

  #divider(text: string): HTMLElement {
    return create("p", "divider", text);
  }

  #row({ type, name, text, label }: Entry, time?: Date): HTMLElement {
    const row = create("p", `row ${type}`, "");
    const clock = this.#clock(time);
    // A list in a notice has one time.
    if (type !== "notice" || type !== this.#lastType) row.append(clock, " ");
    this.#lastType = type;
    if (name !== undefined) {
      const shown = create("bdi", "name", name);
      shown.title = name;
      shown.style.setProperty("--hue", String(hueOf(name)));
      row.append(shown, " ");
    }
    const body = create("span", "text", "");
    body.dir = "auto";
    if (label) body.append(create("em", "", label), " ");
    body.append(...this.#linked(text));
    row.append(body);
    return row;
  }

  #clock(time?: Date): HTMLElement {
    if (time === undefined) return create("span", "", "");
    const clock = create(
      "time",
      "",
      this.#format(time, {
        hour: "2-digit",
        minute: "2-digit",
        hourCycle: "h23",
      }),
    );
    clock.dateTime = time.toISOString();
    return clock;
  }

  /** Returns text in which web addresses are links. */
  #linked(text: string): (string | HTMLElement)[] {
    return splitLinks(text).map((part, i) => {
      if (i % 2 === 0) return part;
      const link = document.createElement("a");
      link.href = link.textContent = part;
      link.target = "_blank";
      link.rel = "noopener noreferrer";
      return link;
    });
  }
}
