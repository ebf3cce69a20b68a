// Copyright 2026 the linechat authors. MIT license.

import type { Colours } from "./colours.ts";
import { type Item, mentionsOf } from "./room.ts";
import { bold, colour, dim, reverse, underline } from "./style.ts";
import { wrap } from "./width.ts";

/** Indent of the second and later rows of a line, in columns. */
const INDENT = 2;

/** Formats lines of a room for a terminal. */
export class Formatter {
  readonly #withTime: boolean;
  readonly #date: Intl.DateTimeFormat;
  readonly #colours: Colours;
  /** The date of the last line. */
  #day?: string;

  constructor(withTime: boolean, lang: string, colours: Colours) {
    this.#withTime = withTime;
    this.#date = new Intl.DateTimeFormat(lang, { dateStyle: "full" });
    this.#colours = colours;
  }

  /** Formats a line of the server, with the time at which it arrived. */
  item(item: Item, ownName: string, time: Date, columns: number): string {
    const text = this.#style(item, ownName);
    // The time of a replayed line is not known.
    if (item.isReplayed) return this.#rows("│ ", dim(text), columns);
    const start = this.#withTime ? time.toTimeString().slice(0, 5) + " " : "";
    return this.#dateLine(time, columns) +
      this.#rows(start, text, columns);
  }

  /** Formats a note of the client. It has no time. */
  note(text: string, columns: number): string {
    return this.#rows("", dim(`== ${text}`), columns);
  }

  /** Returns a line with the date if the day has changed since the last line. */
  #dateLine(time: Date, columns: number): string {
    const lastDay = this.#day;
    this.#day = this.#date.format(time);
    const isNew = lastDay !== undefined && lastDay !== this.#day;
    return isNew ? this.note(this.#day, columns) : "";
  }

  /** Wraps a text after a margin. With times, the margin is as wide as a time. */
  #rows(margin: string, text: string, columns: number): string {
    if (this.#withTime) margin = margin.padStart("00:00 ".length);
    const indent = Math.min(margin.length + INDENT, columns >> 2);
    return `${wrap((margin && dim(margin)) + text, columns, indent)}\n`;
  }

  /** Adds colours and styles to a line. */
  #style({ raw, line, isOwn, isMention }: Item, ownName: string): string {
    switch (line.type) {
      case "other":
        return expandTabs(raw);
      case "notice":
      case "refused":
        return dim(expandTabs(raw));
      case "welcome":
        return raw.slice(0, -line.name.length) + this.#name(line.name);
      case "joined":
      case "left":
        return dim(this.#name(line.name) + raw.slice(line.name.length));
      case "renamed": {
        // The member keeps its colour.
        const member = this.#colours.get(line.newName);
        const between = raw.slice(line.name.length, -line.newName.length);
        return dim(
          colour(line.name, member) + between + colour(line.newName, member),
        );
      }
    }
    const end = raw.length - line.text.length;
    const text = expandTabs(raw.slice(end));
    const head = raw.slice(0, end).trimEnd();
    const space = raw.slice(head.length, end);
    const start = line.type === "sent" ? head.lastIndexOf(line.name) : head
      .indexOf(line.name);
    const before = head.slice(0, start);
    const after = head.slice(start + line.name.length);
    const name = this.#name(line.name);
    if (line.type === "private" || line.type === "sent") {
      return underline(before + name + after) + space + text;
    }
    if (isOwn) return before + bold(name) + after + space + text;
    if (!isMention) return before + name + after + space + text;
    const marked = text.replace(mentionsOf(ownName), (own) => reverse(own));
    return bold(before + name + after + space + marked);
  }

  #name(name: string): string {
    return colour(name, this.#colours.get(name));
  }
}

/** Replaces tabs by spaces, so that the width of the text is known. */
function expandTabs(text: string): string {
  return text.replaceAll("\t", "    ");
}
