// Copyright 2026 the linechat authors. MIT license.

import { MemberList } from "./members.ts";
import { type HiddenRequest, Outbox } from "./outbox.ts";
import {
  hasCommands,
  historyCount,
  isGreeting,
  isPrompt,
  isRemoval,
  type Line,
  parseLine,
} from "./protocol.ts";
import { Replay } from "./replay.ts";

/** A line to show. */
export interface Item {
  /** The line as the server sent it. */
  raw: string;
  line: Line;
  /** Whether the line is a part of the history that the server replays. */
  isReplayed?: boolean;
  /** Whether the line is one of the user. */
  isOwn?: boolean;
  /** Whether the line contains the name of the user, or is private. */
  isMention?: boolean;
  /** The number of messages that the user missed. Only the first of them has it. */
  missed?: number;
}

/**
 * The phases of a connection, in order:
 * - `start`: before the first line.
 * - `question`: the server asks for a password before the welcome.
 * - `members`: after the welcome. A server with commands sends a line about members.
 * - `greeting`: notices for a new member, and the announcement of a replay.
 * - `live`: the replay, and then the lines of the members.
 */
type Phase = "start" | "question" | "members" | "greeting" | "live";

/**
 * The room as the client knows it from the lines of the server: its members, the
 * lines without an answer, and the lines that were shown before.
 */
export class Room {
  readonly outbox = new Outbox();
  readonly members = new MemberList((onAnswer) =>
    this.#request("/who", onAnswer)
  );
  /** Names of members whose lines are hidden. */
  readonly ignored = new Set<string>();
  /** The name of the user in the room. */
  ownName = "";
  /** The name that the user chose last. The client sets it after a reconnect. */
  chosenName?: string;
  /** Whether the server is a linechat server. It is unknown before the first line. */
  isChat?: boolean;
  /** The reason for which the server refuses the connection. */
  refusal?: string;
  /** The prompt of the server for a password, until the user answers it. */
  question?: string;

  readonly #send: (line: string) => void;
  readonly #replay = new Replay();
  #phase: Phase = "start";
  #hasCommands = false;
  /** The last `/nick NAME SECRET` of the user, which also sets a reserved name. */
  #reservation?: { name: string; line: string };
  /** The notice by which the server refused the chosen name. */
  #nameRefusal?: string;

  /** @param send Sends a line that the user did not enter. */
  constructor(send: (line: string) => void, name?: string) {
    this.#send = send;
    this.chosenName = name;
  }

  /** Whether the welcome and the line after it have come. */
  get isGreeted(): boolean {
    return this.isChat === true && this.#phase !== "members";
  }

  /** Whether the welcome has come, or the first line of another server. */
  get hasBegun(): boolean {
    return this.#phase !== "start" && this.#phase !== "question";
  }

  /** Whether the server asks for a password, or checks it. */
  get isAsked(): boolean {
    return this.#phase === "question";
  }

  /** Begins a new connection. */
  connect(): void {
    this.#phase = "start";
    this.refusal = undefined;
    this.question = undefined;
    this.#hasCommands = false;
    this.outbox.clear();
    this.#replay.reset();
  }

  /** Remembers a line of the user until the server answers it. */
  enter(line: string): void {
    this.outbox.add(line);
    const [, name] = /^\/nick\s+(\S+)\s+\S/i.exec(line) ?? [];
    if (name !== undefined) this.#reservation = { name, line };
  }

  /** Receives a line of the server. Returns the lines to show. */
  receive(raw: string): Item[] {
    const line = parseLine(raw);
    switch (this.#phase) {
      case "start":
      case "question":
        return this.#receiveFirst(raw, line);
      case "members":
        this.#phase = "greeting";
        if (line.type === "notice" && hasCommands(line.text)) {
          this.#hasCommands = true;
          this.members.request();
          return [{ raw, line }];
        }
        return this.#receiveGreeting(raw, line);
      case "greeting":
        return this.#receiveGreeting(raw, line);
      case "live":
        return this.#replay.isActive
          ? this.#receiveReplay(raw)
          : this.#receiveLive(raw, line);
    }
  }

  #receiveFirst(raw: string, line: Line): Item[] {
    if (line.type === "refused") {
      this.refusal = raw;
      return [];
    }
    if (line.type === "notice") {
      if (!isPrompt(line.text)) return [{ raw, line }];
      this.#phase = "question";
      this.question = line.text;
      return [];
    }
    this.#requestName();
    this.isChat = isGreeting(line);
    if (!isGreeting(line)) {
      this.#phase = "live";
      return this.#receiveLive(raw, line);
    }
    this.#phase = "members";
    this.ownName = line.name;
    this.members.reset(line.name);
    return [{ raw, line }];
  }

  #receiveGreeting(raw: string, line: Line): Item[] {
    const count = line.type === "notice" ? historyCount(line.text) : undefined;
    if (line.type !== "notice" || count !== undefined) this.#phase = "live";
    if (count === undefined) return this.#receiveLive(raw, line);
    this.#replay.start(count);
    return this.#replay.isCompared ? [] : [{ raw, line }];
  }

  #receiveReplay(raw: string): Item[] {
    const items = this.#replay.receive(raw)
      .map((raw) => ({ raw, line: parseLine(raw), isReplayed: true }))
      .filter(({ line }) => !this.#isIgnored(line));
    return this.#replay.isCompared
      ? items.map((item, i) => i > 0 ? item : { ...item, missed: items.length })
      : items;
  }

  #receiveLive(raw: string, line: Line): Item[] {
    if (!this.isChat) return [{ raw, line: { type: "other", text: raw } }];
    switch (line.type) {
      case "notice":
        return this.#receiveNotice(line.text) ? [] : [{ raw, line }];
      case "joined":
        this.members.add(line.name);
        return [{ raw, line }];
      case "left":
        this.members.delete(line.name);
        this.#retryName(line.name);
        return [{ raw, line }];
      case "renamed":
        this.#rename(line.name, line.newName);
        return [{ raw, line, isOwn: line.newName === this.ownName }];
      case "sent":
        this.outbox.echoed(line);
        return [{ raw, line, isOwn: true }];
      case "private":
        return this.#isIgnored(line) ? [] : [{ raw, line, isMention: true }];
      case "message":
      case "action": {
        this.#replay.add(raw);
        if (this.#isIgnored(line)) return [];
        const isOwn = line.name === this.ownName;
        if (isOwn) this.outbox.echoed(line);
        const isMention = !isOwn && mentions(line.text, this.ownName);
        return [{ raw, line, isOwn, isMention }];
      }
      default:
        return [{ raw, line }];
    }
  }

  /** Receives a notice. Returns whether the user does not see it. */
  #receiveNotice(text: string): boolean {
    if (isRemoval(text)) this.refusal = text;
    return this.members.receive(text, this.ownName) ||
      this.outbox.noticed(text);
  }

  #isIgnored(line: Line): boolean {
    return "name" in line && this.ignored.has(line.name);
  }

  #rename(oldName: string, newName: string): void {
    if (oldName === this.ownName) {
      this.outbox.echoed({ type: "renamed", name: oldName, newName });
      this.ownName = newName;
      this.chosenName = newName;
      this.#nameRefusal = undefined;
    }
    this.members.rename(oldName, newName);
    if (this.ignored.delete(oldName)) this.ignored.add(newName);
    this.#retryName(oldName);
  }

  /**
   * Sends a request of which the user does not see the answer. Returns false if the
   * server has no commands.
   */
  #request(
    command: HiddenRequest,
    onAnswer?: (notice: string) => void,
  ): boolean {
    if (!this.#hasCommands) return false;
    this.#send(command);
    this.outbox.addHidden(command, onAnswer);
    return true;
  }

  /** Checks the connection. Returns false if the server has no command for that. */
  ping(onAnswer?: () => void): boolean {
    return this.#request("/ping", onAnswer);
  }

  /** Asks the server to set the chosen name, if there is one. */
  #requestName(): void {
    const name = this.chosenName;
    if (name === undefined) return;
    this.#nameRefusal = undefined;
    const line = this.#reservation?.name === name
      ? this.#reservation.line
      : `/nick ${name}`;
    this.#send(line);
    this.outbox.addOwn(
      line,
      (notice) => notice.includes(name),
      (notice) => this.#nameRefusal = notice,
    );
  }

  /** Requests the chosen name again when a name that prevented it becomes free. */
  #retryName(freeName: string): void {
    if (this.#nameRefusal === undefined) return;
    const isFree = this.chosenName?.toLowerCase() === freeName.toLowerCase() ||
      this.#nameRefusal.includes(freeName);
    if (isFree) this.#requestName();
  }
}

/** Returns whether a text contains a name as a word. */
export function mentions(text: string, name: string): boolean {
  return name !== "" && mentionsOf(name).test(text);
}

/**
 * Returns an expression that finds a name in texts, as a word. Chinese and Japanese have
 * no spaces between words, so that such a name is found anywhere.
 */
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
