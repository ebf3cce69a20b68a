// Copyright 2026 the linechat authors. MIT license.

import { Attention } from "./attention.ts";
import { Composer } from "./composer.ts";
import { find, settings } from "./dom.ts";
import { Door } from "./door.ts";
import { Inbox } from "./inbox.ts";
import { type Line, mentions, newLines, parseLine } from "./lines.ts";
import { Link, type LinkState } from "./link.ts";
import { type Entry, MessageLog } from "./message_log.ts";
import { Roster } from "./roster.ts";
import type { Texts } from "./texts.ts";

/** The page: passes lines from the room to its parts, and text to the room. */
export class App {
  static readonly commands = [
    ...["/help", "/me", "/msg", "/nick", "/quit", "/who"],
  ];
  /**
   * Pauses before a name is requested again, in milliseconds. The connection of the
   * page before it, or a lost connection, may still have the name.
   */
  static readonly namePauses = {
    first: [1000],
    returning: Array(8).fill(10_000),
  };
  readonly #attention: Attention;
  readonly #composer: Composer;
  readonly #door: Door;
  readonly #inbox: Inbox;
  readonly #link: Link;
  readonly #log: MessageLog;
  readonly #roster: Roster;
  /** The name as the room has it. Empty outside of the room. */
  #name = "";
  /** The name to ask for. */
  #wanted = "";
  /** The last `/nick` command of the user, which may contain a secret. */
  #nickCommand = "";
  #isNaming = false;
  #namePauses: number[] = [];
  /** The password that the room has accepted, for the next connection. */
  #password = "";
  /** The password that was sent last. */
  #sentPassword = "";
  #hasCommands = false;
  /** Whether the page was in the room before. */
  #isReturning = false;
  /** The latest public messages, as lines. */
  readonly #shown: string[] = [];
  /** The messages that were sent and did not come back yet. */
  #unconfirmed: string[] = [];
  /** The number of replies to the page's own `/ping`. */
  #pongs = 0;

  constructor(readonly texts: Texts, lang: string) {
    document.documentElement.lang = lang;
    this.#translate();
    this.#attention = new Attention();
    this.#door = new Door((id, text) => this.#enter(id, text));
    this.#log = new MessageLog(texts, lang);
    this.#roster = new Roster(
      texts,
      (name) =>
        this.#composer.begin(name === this.#name ? "/nick " : `/msg ${name} `),
    );
    this.#composer = new Composer(
      () => this.#roster.names,
      App.commands,
      (text) => void this.#submit(text),
    );
    this.#inbox = new Inbox((lines, skipped) => this.#handle(lines, skipped));
    this.#link = new Link(
      (state) => this.#setState(state),
      (text) => this.#receive(text),
      () => this.#probe(),
    );
    find("retry").onclick = () => this.#link.connect();
    const address = new URLSearchParams(location.hash.replace("#", "name="));
    const name = address.get("name") || settings().name;
    if (name === undefined) this.#door.open("name");
    else {
      this.#want(name);
      this.#link.connect();
    }
  }

  #translate(): void {
    for (const element of document.querySelectorAll<HTMLElement>("[data-t]")) {
      element.textContent = this.texts[element.dataset.t as keyof Texts];
    }
    for (const element of document.querySelectorAll<HTMLElement>("[data-l]")) {
      element.ariaLabel =
        element.title =
          this.texts[element.dataset.l as keyof Texts];
    }
    find("app").hidden = false;
  }

  // --- Joining -------------------------------------------------------------------

  /**
   * Sets the name to ask for. It cannot have spaces: `/nick` takes a second word for
   * a secret, and a line feed would begin a line that the user has not written.
   */
  #want(name: string): void {
    this.#wanted = settings().name = name.trim().replace(/\s+/g, "_");
  }

  /** Takes the answer that the user has given at the door. */
  #enter(id: "name" | "password", text: string): void {
    this.#composer.field.focus();
    if (id === "password") {
      return this.#sendPassword(text);
    }
    this.#want(text);
    this.#namePauses = [];
    if (this.#name === "") this.#link.connect();
    else this.#requestName();
  }

  #setState(state: LinkState): void {
    const { connecting, lost, closed, retry, again, unconfirmed } = this.texts;
    document.body.dataset.state = state;
    const status = find("status");
    status.textContent = { connecting, lost, closed, open: "" }[state];
    const isOver = state === "lost" || state === "closed";
    find("retry").hidden = !isOver;
    find("retry").textContent = state === "closed" ? again : retry;
    if (!isOver) return;
    this.#door.close();
    this.#inbox.flush();
    this.#setName("");
    if (this.#unconfirmed.length === 0) return;
    status.textContent += ` ${unconfirmed}`;
    this.#composer.prepend(this.#unconfirmed.join("\n"));
    this.#unconfirmed = [];
  }

  #setName(name: string): void {
    this.#name = name;
    this.#composer.field.placeholder = name &&
      this.texts.messageAs.replace("#", name);
  }

  #receive(text: string): void {
    if (this.#name !== "") return this.#inbox.push(text);
    const lines = text.split("\n").slice(0, -1);
    const [first] = lines.map(parseLine);
    if (first.kind === "welcome") this.#join(first.name, lines.slice(1));
    else if (parseLine(lines.at(-1)!).kind !== "password") {
      this.#handle(lines, 0);
    } else if (this.#password) this.#sendPassword(this.#password);
    else {
      const problem = lines.slice(0, -1).join("\n").replace(/^-- /gm, "");
      this.#door.open("password", "", problem);
    }
  }

  #sendPassword(password: string): void {
    this.#sentPassword = password;
    this.#password = "";
    this.#link.send(password);
  }

  /** Handles the first output: the greeting, the message of the day and the history. */
  #join(name: string, lines: string[]): void {
    this.#setName(name);
    this.#password = this.#sentPassword;
    const parsed = lines.map(parseLine);
    const [greeting] = parsed;
    this.#hasCommands = greeting?.kind === "greeting";
    this.#roster.set([name]);
    if (greeting?.kind === "greeting") {
      this.#roster.set([...greeting.names, name]);
      if (!greeting.isComplete) {
        this.#roster.request();
        this.#link.send("/who");
      }
    }
    const history = parsed.findIndex(({ kind }) => kind === "history");
    const notices = history < 0 ? parsed : parsed.slice(0, history);
    if (this.#isReturning) this.#log.addDivider(this.texts.reconnected);
    else this.#log.add(notices.map((line) => this.#entryOf(line)));
    if (history >= 0) {
      this.#showHistory(parsed[history], lines.slice(history + 1));
    }
    this.#roster.show();
    const { first, returning } = App.namePauses;
    this.#namePauses = [...this.#isReturning ? returning : first];
    this.#isReturning = true;
    this.#requestName();
  }

  #showHistory(header: Line, history: string[]): void {
    const lines = newLines(history, this.#shown);
    if (header.kind !== "history" || lines.length === 0) return;
    const time = this.#log.formatTime(header.time);
    this.#log.addDivider(this.texts.history.replace("#", time));
    const entries = lines.map((line) => this.#entryOf(parseLine(line)));
    this.#log.addOld(entries);
    this.#remember(lines);
  }

  #remember(messages: string[]): void {
    this.#shown.push(...messages);
    this.#shown.splice(0, this.#shown.length - MessageLog.maxEntries);
  }

  #requestName(): void {
    const isOther = this.#wanted !== "" && this.#wanted !== this.#name;
    if (!isOther || this.#name === "" || !this.#hasCommands) return;
    const plain = `/nick ${this.#wanted}`;
    const isKnown = this.#nickCommand.startsWith(`${plain} `);
    this.#isNaming = this.#link.send(isKnown ? this.#nickCommand : plain);
  }

  /** Requests a refused name again, or asks for another. */
  #refuseName(reason: string): void {
    this.#isNaming = false;
    const pause = this.#namePauses.shift();
    if (pause === undefined) this.#door.open("name", this.#wanted, reason);
    else setTimeout(() => this.#requestName(), pause);
  }

  /** Sends a line that the server answers. */
  #probe(): boolean {
    if (!this.#hasCommands || !this.#link.send("/ping")) return false;
    this.#pongs++;
    return true;
  }

  // --- Receiving -----------------------------------------------------------------

  /** Handles lines from the room. */
  #handle(lines: string[], skipped: number): void {
    if (skipped > 0) this.#unconfirmed = [];
    this.#log.skip(skipped);
    const entries: Entry[] = [];
    const messages: string[] = [];
    for (const line of lines) {
      const parsed = parseLine(line);
      if (!this.#update(parsed)) continue;
      entries.push(this.#entryOf(parsed));
      const { kind } = parsed;
      if (kind === "message" || kind === "action") messages.push(line);
    }
    this.#log.add(entries);
    this.#remember(messages);
    this.#roster.show();
    const isMessage = ({ type }: Entry) => /message|action|from/.test(type);
    this.#attention.count(entries.filter(isMessage).length + skipped);
    const news = entries.findLast(({ type }) => /mention|from/.test(type));
    if (news) this.#attention.notify(news);
  }

  /** Updates the state of the page. Returns whether the line is to be shown. */
  #update(line: Line): boolean {
    switch (line.kind) {
      case "online":
        this.#roster.add(line.name);
        return true;
      case "offline":
        this.#roster.remove(line.name);
        return true;
      case "renamed":
        return this.#rename(line.name, line.newName);
      case "message":
        if (line.name === this.#name) this.#confirm(line.text);
        return true;
      case "who":
        return !this.#roster.startList(line.count);
      case "notice":
        return this.#takeNotice(line.text);
      default:
        return true;
    }
  }

  #rename(name: string, newName: string): boolean {
    this.#roster.remove(name);
    this.#roster.add(newName);
    if (name !== this.#name) return true;
    const wasNaming = this.#isNaming;
    this.#isNaming = false;
    this.#setName(newName);
    this.#want(newName);
    if (location.hash) history.replaceState(null, "", `#${newName}`);
    return !wasNaming;
  }

  /** Notes that a message has come back. Those before it have come back, too. */
  #confirm(text: string): void {
    const sent = text.startsWith("/") ? `/${text}` : text;
    this.#unconfirmed.splice(0, this.#unconfirmed.indexOf(sent) + 1);
  }

  #takeNotice(text: string): boolean {
    if (this.#roster.takeNotice(text)) return false;
    if (text === "pong" && this.#pongs > 0) {
      this.#pongs--;
      return false;
    }
    if (/^(?:Not sent|未发送.)/.test(text)) this.#unconfirmed.shift();
    if (!this.#isNaming) return true;
    this.#refuseName(text);
    return false;
  }

  /** Returns the entry of the log for a line. */
  #entryOf(line: Line): Entry {
    const { online, offline, renamed, private: label, privateTo } = this.texts;
    switch (line.kind) {
      case "message":
      case "action": {
        const { kind, name, text } = line;
        const isOwn = name === this.#name;
        const isMention = !isOwn && mentions(text, this.#name);
        const type = kind + (isOwn ? " own" : isMention ? " mention" : "");
        return { type, name, text };
      }
      case "private": {
        const { name, text, isOwn } = line;
        if (!isOwn) return { type: "private from", name, text, label };
        const to = privateTo.replace("#", name);
        return { type: "private own", name: this.#name, text, label: to };
      }
      case "online":
        return { type: "event", name: line.name, text: online };
      case "offline":
        return { type: "event", name: line.name, text: offline };
      case "renamed": {
        const text = renamed.replace("#", line.newName);
        return { type: "event", name: line.name, text };
      }
      default:
        return { type: "notice", text: "text" in line ? line.text : "" };
    }
  }

  // --- Sending -------------------------------------------------------------------

  /** Sends a text to the room, line by line. */
  async #submit(text: string): Promise<void> {
    let lines = text.trimEnd().split("\n");
    if (lines.length > 1) {
      const answer = await this.#ask(lines.length);
      if (answer === "one") lines = [lines.join(" ")];
      else if (answer !== "many") return;
    }
    if (this.#name === "") {
      find("status").textContent = this.texts.unsent;
      return;
    }
    for (const line of lines) {
      this.#link.send(line);
      if (line.startsWith("/nick ")) this.#nickCommand = line;
      const isCommand = this.#hasCommands && /^\/(?!\/)/.test(line);
      if (!isCommand) this.#unconfirmed.push(line);
    }
    this.#composer.clear();
    this.#log.scrollToEnd();
  }

  /** Asks whether to send several lines. */
  #ask(count: number): Promise<string> {
    const dialog = find<HTMLDialogElement>("ask");
    for (const element of dialog.querySelectorAll<HTMLElement>("[data-t]")) {
      element.textContent = this.texts[element.dataset.t as keyof Texts]
        .replaceAll("#", String(count));
    }
    dialog.showModal();
    // The Escape key closes the dialog, and leaves the text as it is.
    return new Promise((resolve) => {
      dialog.onsubmit = ({ submitter }) =>
        resolve((submitter as HTMLButtonElement).value);
    });
  }
}
