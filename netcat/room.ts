// Copyright 2026 the linechat authors. MIT license.

import { Colours } from "./colours.ts";
import { Outbox } from "./outbox.ts";
import {
  hasCommands,
  historyCount,
  isGreeting,
  isRemoval,
  type Line,
  listedName,
  memberCount,
  parseLine,
} from "./protocol.ts";
import { Replay } from "./replay.ts";

/** A line to be shown. */
export interface Item {
  /** The line as the server sent it. */
  raw: string;
  line: Line;
  /** The line is a part of the history that the server replays. */
  isReplayed?: boolean;
  /** The user said it. */
  isOwn?: boolean;
  /** It names the user, or is private. */
  isMention?: boolean;
  /** The number of messages that the user missed. Set for the first of them. */
  missed?: number;
}

/** The parts of a connection, in their order. */
type Phase =
  /** Before the first line. */
  | "start"
  /** The line after the welcome lists members where the server has commands. */
  | "members"
  /** Notices for new members follow. */
  | "greeting"
  /** The server replays its history. */
  | "replay"
  | "live";

/** The most members that are known. A server admits 10,000 by default. */
const MAX_MEMBERS = 100_000;

/** The most characters of a history that is compared with the lines shown before. */
const MAX_REPLAY = 1024 * 1024;

/** The least time between two requests for the list of members, in milliseconds. */
const WHO_INTERVAL = 10_000;

/**
 * The room as the client knows it from the lines of the server: its members, the
 * lines that have no answer, and the lines that were shown before.
 */
export class Room {
  readonly outbox = new Outbox();
  readonly colours = new Colours();
  /** Names of members whose lines are hidden. */
  readonly ignored = new Set<string>();
  /** The name of the user in the room. */
  ownName = "";
  /** The name that the user chose last. It is taken again after a reconnect. */
  chosenName?: string;
  /** Whether the server is a linechat server. Unknown before its first line. */
  isChat?: boolean;
  /** Whether the server has commands. */
  hasCommands = false;
  /** The reason for which the server refuses the connection. */
  refusal?: string;

  readonly #send: (line: string) => void;
  readonly #replay = new Replay();
  #members = new Set<string>();
  #phase: Phase = "start";
  /** The lines of the history that are still to come. */
  #replayLeft = 0;
  /** The history so far, while it is compared with the lines shown before. */
  #replayed?: string[];
  #replayedLength = 0;
  /** The rows of the list of members that are still to come. */
  #listLeft = 0;
  #list: string[] = [];
  #lastWho = -Infinity;
  /** The notice by which the server refused the chosen name. */
  #nameRefusal?: string;
  /** The member that left in the last line. The line is shown in its colour. */
  #departed?: string;

  /** @param send Sends a line that the user does not see. */
  constructor(send: (line: string) => void, name?: string) {
    this.#send = send;
    this.chosenName = name;
  }

  /** The names of the members, the user included. */
  get members(): string[] {
    return [...this.#members].sort();
  }

  /** Whether the first lines for a new member have come. */
  get isGreeted(): boolean {
    return this.isChat === true && this.#phase !== "members";
  }

  /** Begins a new connection. */
  connect(): void {
    this.#phase = "start";
    this.refusal = undefined;
    this.hasCommands = false;
    this.outbox.clear();
    this.#replayed = undefined;
    this.#listLeft = 0;
    this.#lastWho = -Infinity;
    this.#takeName();
  }

  /** Takes a line of the server. Returns the lines to be shown. */
  receive(raw: string): Item[] {
    if (this.#departed !== undefined) this.colours.delete(this.#departed);
    this.#departed = undefined;
    const line = parseLine(raw);
    switch (this.#phase) {
      case "start":
        return this.#receiveFirst(raw, line);
      case "members":
        this.#phase = "greeting";
        if (line.type === "notice" && hasCommands(line.text)) {
          this.hasCommands = true;
          this.#askForMembers();
          return [{ raw, line }];
        }
        return this.#receiveGreeting(raw, line);
      case "greeting":
        return this.#receiveGreeting(raw, line);
      case "replay":
        return this.#receiveReplay(raw, line);
      case "live":
        return this.#receiveLive(raw, line);
    }
  }

  #receiveFirst(raw: string, line: Line): Item[] {
    if (line.type === "refused") {
      this.refusal = raw;
      return [];
    }
    // A server may ask for a password before it greets.
    if (line.type === "notice") return [{ raw, line }];
    this.isChat = isGreeting(line);
    if (!isGreeting(line)) {
      this.#phase = "live";
      return [{ raw, line: { type: "other", text: raw } }];
    }
    this.#phase = "members";
    this.ownName = line.name;
    this.#setMembers([]);
    return [{ raw, line }];
  }

  #receiveGreeting(raw: string, line: Line): Item[] {
    if (line.type !== "notice") {
      this.#phase = "live";
      return this.#receiveLive(raw, line);
    }
    const count = historyCount(line.text);
    if (count === undefined) {
      if (this.#takeNotice(line.text)) return [];
      return [{ raw, line }];
    }
    this.#phase = "replay";
    this.#replayLeft = count;
    if (this.#replay.isEmpty) return [{ raw, line }];
    this.#replayed = [];
    this.#replayedLength = 0;
    return [];
  }

  #receiveReplay(raw: string, line: Line): Item[] {
    if (--this.#replayLeft === 0) this.#phase = "live";
    if (this.#replayed === undefined) {
      this.#replay.add(raw);
      return this.#isIgnored(line) ? [] : [{ raw, line, isReplayed: true }];
    }
    this.#replayed.push(raw);
    this.#replayedLength += raw.length;
    const isTooLong = this.#replayedLength > MAX_REPLAY;
    if (this.#replayLeft > 0 && !isTooLong) return [];
    const news = this.#replay.news(this.#replayed);
    this.#replayed = undefined;
    const items = news.flatMap((raw): Item[] => {
      this.#replay.add(raw);
      const line = parseLine(raw);
      return this.#isIgnored(line) ? [] : [{ raw, line, isReplayed: true }];
    });
    if (items.length > 0) items[0].missed = items.length;
    return items;
  }

  #receiveLive(raw: string, line: Line): Item[] {
    if (!this.isChat) return [{ raw, line: { type: "other", text: raw } }];
    switch (line.type) {
      case "notice":
        return this.#takeNotice(line.text) ? [] : [{ raw, line }];
      case "joined":
        this.#join(line.name);
        return [{ raw, line }];
      case "left":
        this.#leave(line.name);
        return [{ raw, line }];
      case "renamed":
        this.#rename(line.name, line.newName);
        return [{ raw, line, isOwn: line.newName === this.ownName }];
      case "sent":
        this.outbox.echoed(line);
        return [{ raw, line, isOwn: true }];
      case "message":
      case "action":
        this.#replay.add(raw);
    }
    return this.#isIgnored(line) ? [] : [this.#spoken(raw, line)];
  }

  #spoken(raw: string, line: Line): Item {
    if (!("text" in line) || !("name" in line)) return { raw, line };
    const isOwn = line.name === this.ownName && line.type !== "private";
    if (isOwn) this.outbox.echoed(line);
    const isMention = !isOwn &&
      (line.type === "private" || mentions(line.text, this.ownName));
    return { raw, line, isOwn, isMention };
  }

  /** Takes a notice that may be an answer. Returns whether it is hidden. */
  #takeNotice(text: string): boolean {
    if (isRemoval(text)) this.refusal = text;
    if (this.#listLeft === 0) return this.outbox.noticed(text);
    const name = listedName(text);
    if (name === undefined) this.#listLeft = 0;
    else {
      this.#list.push(name);
      this.#listLeft--;
    }
    if (this.#listLeft === 0) this.#setMembers(this.#list);
    return name !== undefined;
  }

  #isIgnored(line: Line): boolean {
    return "name" in line && this.ignored.has(line.name);
  }

  #join(name: string): void {
    if (this.#members.has(name)) this.#askForMembers();
    if (this.#members.size >= MAX_MEMBERS) return;
    this.#members.add(name);
    this.colours.add(name);
  }

  #leave(name: string): void {
    if (!this.#members.delete(name)) this.#askForMembers();
    this.#departed = name;
    this.#retryName(name);
  }

  #rename(oldName: string, newName: string): void {
    if (oldName === this.ownName) {
      this.outbox.echoed({ type: "renamed", name: oldName, newName });
      this.ownName = newName;
      this.chosenName = newName;
      this.#nameRefusal = undefined;
    }
    if (!this.#members.delete(oldName)) this.#askForMembers();
    this.#members.add(newName);
    this.colours.rename(oldName, newName);
    if (this.ignored.delete(oldName)) this.ignored.add(newName);
    this.#retryName(oldName);
  }

  #setMembers(names: string[]): void {
    this.#members = new Set([this.ownName, ...names]);
    this.colours.set(this.#members);
  }

  /** Asks for the list of members, which the user does not see. */
  #askForMembers(): void {
    const now = Date.now();
    if (!this.hasCommands || this.outbox.isWaitingFor("/who")) return;
    if (now - this.#lastWho < WHO_INTERVAL) return;
    this.#lastWho = now;
    this.#send("/who");
    this.outbox.addHidden("/who", (notice) => {
      this.#listLeft = memberCount(notice) ?? 0;
      this.#list = [];
    });
  }

  /**
   * Asks for an answer, which the user does not see. Returns whether the server has
   * the command for that.
   */
  ping(onAnswer?: () => void): boolean {
    if (!this.hasCommands) return false;
    this.#send("/ping");
    this.outbox.addHidden("/ping", onAnswer);
    return true;
  }

  /** Takes the chosen name, where there is one. */
  #takeName(): void {
    const name = this.chosenName;
    if (name === undefined) return;
    this.#nameRefusal = undefined;
    this.#send(`/nick ${name}`);
    this.outbox.addOwn(
      `/nick ${name}`,
      (notice) => notice.includes(name),
      (notice) => this.#nameRefusal = notice,
    );
  }

  /** Takes the chosen name when the member leaves that had it, or one like it. */
  #retryName(freed: string): void {
    if (this.#nameRefusal === undefined) return;
    const isFreed = this.chosenName?.toLowerCase() === freed.toLowerCase() ||
      this.#nameRefusal.includes(freed);
    if (isFreed) this.#takeName();
  }
}

/** Whether a text has a name as a word. Chinese has no spaces between words. */
export function mentions(text: string, name: string): boolean {
  return name !== "" && mentionsOf(name).test(text);
}

/** Returns an expression that finds a name in texts. */
export function mentionsOf(name: string): RegExp {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const letter = "[\\p{L}\\p{M}\\p{N}_]";
  const isSpaced = !/\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}/u
    .test(name);
  return new RegExp(
    isSpaced ? `(?<!${letter})${escaped}(?!${letter})` : escaped,
    "giu",
  );
}
