// Copyright 2026 the linechat authors. MIT license.

import type { Colours } from "./colours.ts";
import { type Item, mentionsOf } from "./room.ts";
import { bold, colour, dim, reverse, underline } from "./style.ts";
import { wrap } from "./width.ts";

/** The columns of the time, with the space behind it. */
const TIME_COLUMNS = 6;

/** The indent of the rows after the first. */
const INDENT = 2;

/** Formats lines of a room for a terminal. */
export class Formatter {
  readonly #withTime: boolean;
  readonly #lang: string;
  readonly #colours: Colours;
  /** The day of the last line, to show a line when it changes. */
  #day?: string;

  constructor(withTime: boolean, lang: string, colours: Colours) {
    this.#withTime = withTime;
    this.#lang = lang;
    this.#colours = colours;
  }

  /** Formats a line of the server that came at a time. */
  item(item: Item, ownName: string, time: Date, columns: number): string {
    if (item.isReplayed) {
      return this.#rows("│ ", dim(this.#dress(item, ownName)), columns);
    }
    const date = this.#dateLine(time);
    const clock = time.toTimeString().slice(0, 5);
    return date + this.#rows(`${clock} `, this.#dress(item, ownName), columns);
  }

  /** Formats a line of the client, which has no time. */
  note(text: string, columns: number): string {
    return this.#rows("", dim(`== ${text}`), columns);
  }

  /** Returns a line with the date where a new day began since the last line. */
  #dateLine(time: Date): string {
    const day = time.toLocaleDateString(this.#lang, { dateStyle: "full" });
    const isNew = this.#day !== undefined && this.#day !== day;
    this.#day = day;
    return isNew ? `${dim(`== ${day}`)}\n` : "";
  }

  #rows(start: string, text: string, columns: number): string {
    const margin = this.#withTime
      ? start.padStart(TIME_COLUMNS)
      : start.includes(":")
      ? ""
      : start;
    const indent = Math.min(margin.length + INDENT, columns >> 2);
    return `${wrap((margin && dim(margin)) + text, columns, indent)}\n`;
  }

  /** Gives a line its colours and styles. */
  #dress({ raw, line, isOwn, isMention }: Item, ownName: string): string {
    raw = raw.replaceAll("\t", "    ");
    if (line.type === "other") return raw;
    if (line.type === "notice" || line.type === "refused") return dim(raw);
    if (line.type === "renamed") {
      // The member keeps its colour.
      const member = this.#colours.get(line.newName);
      return dim(
        colour(line.name, member) +
          raw.slice(line.name.length, -line.newName.length) +
          colour(line.newName, member),
      );
    }
    const start = raw.indexOf(line.name);
    const end = start + line.name.length;
    const [before, name, after] = [
      raw.slice(0, start),
      this.#name(line.name),
      raw.slice(end),
    ];
    switch (line.type) {
      case "joined":
      case "left":
        return dim(name + after);
      case "private":
      case "sent": {
        const text = after.length - line.text.replaceAll("\t", "    ").length;
        return underline(before + name + after.slice(0, text).trimEnd()) +
          after.slice(0, text).match(/ *$/)![0] + after.slice(text);
      }
    }
    if (isOwn) return before + bold(name) + after;
    if (!isMention) return before + name + after;
    const marked = after.replace(
      mentionsOf(ownName),
      (found) => reverse(found),
    );
    return bold(before + name + marked);
  }

  #name(name: string): string {
    return colour(name, this.#colours.get(name));
  }
}
