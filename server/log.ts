// Copyright 2026 the linechat authors. MIT license.

/**
 * The log of the server command, on stderr.
 *
 * @module
 */

import type { Chat, ChatEvent, Lang } from "../mod.ts";

/** The form of the log. `off` logs failures only, without a time. */
export type LogFormat = "off" | "text" | "json";

/** A line that is not an event of the room. */
interface Note {
  time: Date;
  type: "info" | "failure";
  message: string;
}

/** A kind of failure that was logged within the last minute. */
interface RecentFailure {
  /** The number of failures that were not logged. */
  count: number;
  /** The last failure that was not logged. */
  last: string;
  timer: ReturnType<typeof setInterval>;
}

/** Time after a failure in which further ones of its kind are only counted, in milliseconds. */
const QUIET_TIME = 60_000;

const encoder = new TextEncoder();

/**
 * Writes lines to stderr. A full disk does not stop the server: lines that cannot be
 * written are counted, and their number is logged as soon as writing works again.
 */
export class Log implements Disposable {
  readonly #format: LogFormat;
  readonly #lang: Lang;
  readonly #sink: { writeSync(bytes: Uint8Array): number };
  readonly #recent = new Map<string, RecentFailure>();
  /** The number of lines that could not be written. */
  #lost = 0;
  /** Whether only the beginning of the last line could be written. */
  #isTorn = false;

  constructor(
    format: LogFormat,
    lang: Lang,
    sink: { writeSync(bytes: Uint8Array): number } = Deno.stderr,
  ) {
    this.#format = format;
    this.#lang = lang;
    this.#sink = sink;
  }

  /** Logs the events of a chat until it closes. */
  async follow(chat: Chat, messages: boolean): Promise<void> {
    if (this.#format === "off") return;
    try {
      for await (const event of chat.events({ messages })) {
        this.#write(this.#formatEvent(event));
      }
    } catch (error) {
      const reason = (error as Error).message;
      this.failure(
        {
          en: `Some events are not logged: ${reason}`,
          zh: `部分事件没有记录：${reason}`,
        }[this.#lang],
      );
      return this.follow(chat, messages);
    }
  }

  /** Logs a message for the operator. */
  info(message: string): void {
    this.#write(this.#formatNote("info", message));
  }

  /** Logs a failure. */
  failure(message: string): void {
    this.#write(this.#formatNote("failure", message));
  }

  /**
   * Logs a failure that clients can cause: at most one line per kind and minute,
   * with the number of failures. The first words are the kind, such as "Cannot
   * secure". A dropped client is always logged.
   */
  frequentFailure(message: string): void {
    const [kind] = /^(?:Cannot )?\S*/.exec(message)!;
    if (kind === "Dropped") return this.failure(message);
    const recent = this.#recent.get(kind);
    if (recent) {
      recent.count++;
      recent.last = message;
      return;
    }
    this.failure(message);
    const timer = setInterval(() => this.#tick(kind), QUIET_TIME);
    Deno.unrefTimer(timer);
    this.#recent.set(kind, { count: 0, last: "", timer });
  }

  /** Logs the failures that were only counted. */
  [Symbol.dispose](): void {
    for (const recent of this.#recent.values()) {
      clearInterval(recent.timer);
      this.#summarize(recent);
    }
    this.#recent.clear();
  }

  /** Logs the number of failures of the last minute. Without any, forgets their kind. */
  #tick(kind: string): void {
    const recent = this.#recent.get(kind)!;
    if (recent.count > 0) return this.#summarize(recent);
    clearInterval(recent.timer);
    this.#recent.delete(kind);
  }

  #summarize(recent: RecentFailure): void {
    const { count, last } = recent;
    if (count === 0) return;
    recent.count = 0;
    const more = {
      en: ` (and ${count - 1} more like this)`,
      zh: `（另有 ${count - 1} 次类似情况）`,
    };
    this.failure(count === 1 ? last : last + more[this.#lang]);
  }

  #formatEvent(event: ChatEvent): string {
    if (this.#format === "json") return JSON.stringify(event);
    const { time, type, name, address } = event;
    const details = Object.entries(event)
      .filter(([key]) => ["newName", "text", "reason"].includes(key))
      .map(([, value]) => value);
    return [time.toISOString(), type, name || "-", address || "-", ...details]
      .join(" ");
  }

  #formatNote(type: Note["type"], message: string): string {
    const note: Note = { time: new Date(), type, message };
    if (this.#format === "off") return message;
    if (this.#format === "json") return JSON.stringify(note);
    return `${note.time.toISOString()} ${type} ${message}`;
  }

  #write(line: string): void {
    const report = this.#lost === 0 ? "" : this.#formatNote(
      "failure",
      {
        en: `${this.#lost} log line${this.#lost > 1 ? "s were" : " was"} lost`,
        zh: `丢失了 ${this.#lost} 行日志`,
      }[this.#lang],
    ) + "\n";
    // Ends the line that was written in part.
    // Ends the line that was written in part.
    const end = this.#isTorn ? "\n" : "";
    let bytes = encoder.encode(`${end}${report}${line}\n`);
    try {
      while (bytes.length > 0) {
        bytes = bytes.subarray(this.#sink.writeSync(bytes));
        this.#isTorn = bytes.length > 0;
      }
      this.#lost = 0;
    } catch {
      this.#lost++;
    }
  }
}
