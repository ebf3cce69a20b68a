// Copyright 2026 the linechat authors. MIT license.

import { type Lang, printable } from "../mod.ts";
import { runCommand } from "./commands.ts";
import { commonStart, complete } from "./complete.ts";
import { Formatter } from "./format.ts";
import type { HistoryFile } from "./history_file.ts";
import { type Item, Room } from "./room.ts";
import { Screen } from "./screen.ts";
import { bold, dim } from "./style.ts";
import { TEXTS, type Texts } from "./texts.ts";
import { Tty } from "./tty.ts";
import { cut, widthOf } from "./width.ts";

/** The most characters of a line that are held until its end comes. */
const MAX_HELD = 256 * 1024;
/** How long to wait for the end of a line before it is shown, in milliseconds. */
const PROMPT_DELAY = 200;
/** How long the server may take to close after Ctrl-D, in milliseconds. */
const LEAVE_TIMEOUT = 2_000;
/** The least time between two bells, in milliseconds. */
const BELL_INTERVAL = 1_000;
/** The most unanswered lines that are shown. */
const MAX_PENDING = 5;
/** The most lines of a paste that are sent without a question. */
const MAX_PASTE = 5;
/** Stands for a line end in a paste that is edited. */
const LINE_END = "↵";

/** Matches the command that makes the server close the connection. */
const QUIT = /^\/quit(?:\s|$)/i;
const HELP = /^\/help\s*$/i;

/** A connection, as the client uses it. */
export interface Peer {
  send(line: string): void;
  /** Shuts down the sending side. */
  end(): void;
}

export interface ClientOptions {
  /** The server's name for the title of the window. */
  address: string;
  name?: string;
  withTime: boolean;
  bell: "mention" | "all" | "never";
  historyFile?: HistoryFile;
  lang: Lang;
}

/**
 * The client in a terminal: shows the lines of a server, and sends the lines that
 * the user enters. A server that is not a linechat server is shown as it is.
 */
export class Client {
  readonly room: Room;
  readonly texts: Texts;
  /** Whether the user has left the server. */
  hasLeft = false;
  /** Handles the command to connect again. */
  onReconnect?: () => void;

  readonly #options: ClientOptions;
  readonly #tty = new Tty();
  readonly #screen: Screen;
  readonly #formatter: Formatter;
  #peer?: Peer;
  /** The beginning of a line that has not ended. */
  #held = "";
  #heldTimer?: ReturnType<typeof setTimeout>;
  /** The rows of the lines that came together. */
  #rows?: string[];
  /** Whether the beginning of the current line was shown already. */
  #isContinued = false;
  /** The state of the connection, where it is not connected. */
  #status = "";
  /** The words to choose from at the second Tab key. */
  #choices = "";
  /** A paste of many lines that the user is asked about. */
  #paste?: string[];
  #hasHinted = false;
  #unread = 0;
  #hasFocus = false;
  #lastBell = -Infinity;
  #isExiting = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    const { name, withTime, historyFile, lang } = options;
    this.texts = TEXTS[lang];
    this.room = new Room((line) => this.#peer?.send(line), name);
    this.#formatter = new Formatter(withTime, lang, this.room.colours);
    this.#screen = new Screen(this.#tty, {
      enter: (line) => this.#enter(line),
      leave: () => this.#leave(),
    }, historyFile?.load());
    this.#tty.open({
      paste: (text) => this.#takePaste(text),
      tab: () => this.#complete(),
      key: () => this.#read(),
      focus: (hasFocus) => {
        this.#hasFocus = hasFocus;
        if (hasFocus) this.#read();
      },
      exit: (code) => this.#exit(code),
      resume: () => {
        this.#setTitle();
        this.#screen.redraw();
      },
    });
    this.#setTitle();
  }

  /** Begins a connection. */
  attach(peer: Peer): void {
    this.#peer = peer;
    this.room.connect();
    this.setStatus("");
  }

  /** Ends a connection. */
  detach(): void {
    this.#peer = undefined;
    if (this.#held !== "") this.show("\n");
    if (!this.room.isChat || this.hasLeft || this.room.refusal) return;
    for (const line of this.room.outbox.lines) {
      this.note(this.texts.notConfirmed(line));
    }
    this.room.outbox.clear();
  }

  /** Shows text of the server. Resolves when the terminal has taken it. */
  async show(text: string): Promise<void> {
    clearTimeout(this.#heldTimer);
    const lines = (this.#held + printable(text)).split("\n");
    this.#held = lines.pop()!;
    this.#rows = [];
    for (const line of lines) this.#takeLine(line);
    if (this.#held.length > MAX_HELD) {
      this.#takeLine(this.#held);
      this.#isContinued = true;
      this.#held = "";
    }
    const rows = this.#rows.join("");
    this.#rows = undefined;
    if (rows !== "") this.#draw(rows);
    if (this.#held !== "" && !this.room.isChat) {
      this.#heldTimer = setTimeout(() => this.#showHeld(), PROMPT_DELAY);
    }
    await this.#screen.flush();
  }

  /** Shows a line of the client itself. */
  note(text: string): void {
    const { columns } = this.#screen;
    const rows = text.split("\n").map((line) =>
      this.#formatter.note(line, columns)
    );
    // Between lines that came together, it has its place.
    if (this.#rows) this.#rows.push(...rows);
    else this.#draw(rows.join(""));
  }

  /** Shows the state of the connection, in place of the last state. */
  setStatus(text: string): void {
    this.#status = text;
    this.#draw();
  }

  /** Gives the terminal back as it was. */
  async close(): Promise<void> {
    clearTimeout(this.#heldTimer);
    this.#screen.close();
    await this.#tty.close();
  }

  async #exit(code: number): Promise<never> {
    if (this.#isExiting) Deno.exit(code);
    this.#isExiting = true;
    await this.close();
    Deno.exit(code);
  }

  /** Handles Ctrl-D: the server may still send its last lines. */
  #leave(): void {
    this.hasLeft = true;
    if (!this.#peer) return void this.#exit(0);
    this.#peer.end();
    setTimeout(() => this.#exit(0), LEAVE_TIMEOUT);
  }

  #enter(line: string): void {
    const lines = this.#paste ? line.split(LINE_END) : [line];
    this.#paste = undefined;
    for (const line of lines) this.#enterLine(line);
    this.#draw();
  }

  #enterLine(line: string): void {
    const { room } = this;
    if (room.isChat && line.trim() === "") return;
    // The answer to a prompt may be a password.
    if (this.#held === "") this.#options.historyFile?.add(line);
    if (room.isChat && runCommand(line, this.#commandContext)) return;
    if (!this.#peer) return this.#enterWithoutPeer(line);
    if (room.isChat) {
      this.hasLeft = QUIT.test(line);
      room.outbox.add(line);
    } else {
      this.#held = "";
      this.#isContinued = true;
    }
    this.#peer.send(line);
    if (room.isChat && HELP.test(line)) {
      const showHelp = () => this.note(this.texts.help);
      // The answer to this request comes behind the server's own help.
      if (!room.ping(showHelp)) showHelp();
    }
  }

  #enterWithoutPeer(line: string): void {
    if (QUIT.test(line)) return void this.#exit(0);
    if (this.room.isChat) this.#draw(`${dim(line)}\n`);
    this.note(this.texts.notConnected);
  }

  get #commandContext() {
    return {
      room: this.room,
      texts: this.texts,
      note: (text: string) => this.note(text),
      clear: () => this.#screen.clear(),
      reconnect: () => this.onReconnect?.(),
    };
  }

  /** Inserts a paste. Asks first where it has many lines. */
  #takePaste(text: string): void {
    const lines = printable(text.replaceAll(/\r\n?/g, "\n")).split("\n");
    const last = lines.at(-1) === "" ? lines.pop() : undefined;
    if (lines.length === 1) return this.#screen.insert(lines[0]);
    if (lines.length <= MAX_PASTE) {
      if (last !== undefined) lines.push(last);
      return this.#screen.insert(lines.join("\n"));
    }
    this.#paste = lines;
    this.#tty.onKeys = (keys) => this.#answerPaste(keys);
    this.#draw();
  }

  /**
   * Takes the key that answers the question about a paste: a letter, or Escape.
   * Returns the keys behind it.
   */
  #answerPaste(keys: string): string {
    // deno-lint-ignore no-control-regex
    const match = /^\x1b$|^[^\x1b]*?[sed]/i.exec(keys);
    if (match === null) return "";
    const lines = this.#paste!;
    const answer = match[0].at(-1)!.toLowerCase();
    this.#tty.onKeys = undefined;
    if (answer === "e") {
      this.#screen.insert(lines.join(LINE_END));
    } else {
      this.#paste = undefined;
      if (answer === "s") this.#screen.insert(`${lines.join("\n")}\n`);
    }
    this.#draw();
    return keys.slice(match[0].length);
  }

  /** Completes the word before the cursor, or shows the choices. */
  #complete(): void {
    if (!this.room.isChat) return this.#screen.insert("\t");
    const others = this.room.members.filter((name) =>
      name !== this.room.ownName
    );
    const { typed } = this.#screen;
    const { length, choices } = complete(typed, others);
    const word = typed.slice(typed.length - length);
    const start = commonStart(choices);
    if (start.length > word.length) {
      this.#screen.insert(start.slice(word.length));
    } else if (choices.length > 1) {
      this.#choices = choices.map((choice) => choice.trim().replace(/:$/, ""))
        .join("  ");
      this.#draw();
    }
  }

  /** Notes that the user looks at the screen. */
  #read(): void {
    if (this.#choices !== "") {
      this.#choices = "";
      this.#draw();
    }
    if (this.#unread === 0) return;
    this.#unread = 0;
    this.#setTitle();
  }

  #setTitle(): void {
    const count = this.#unread > 0 ? `(${this.#unread}) ` : "";
    this.#tty.setTitle(
      printable(`${count}linechat ${this.#options.address}`),
    );
  }

  /** Takes a line of the server, and adds the rows to show. */
  #takeLine(line: string): void {
    const rows = this.#rows!;
    if (this.#isContinued) {
      this.#isContinued = false;
      rows.push(`${line}\n`);
      return;
    }
    for (const item of this.room.receive(line)) {
      if (!this.room.isChat) rows.push(`${item.raw}\n`);
      else this.#takeItem(item);
    }
    if (this.#hasHinted || !this.room.isGreeted) return;
    this.#hasHinted = true;
    this.note(this.texts.hint);
  }

  #takeItem(item: Item): void {
    const { columns } = this.#screen;
    const { ownName } = this.room;
    this.#notify(item);
    if (item.missed !== undefined) this.note(this.texts.missed(item.missed));
    this.#rows!.push(this.#formatter.item(item, ownName, new Date(), columns));
  }

  /** Rings the bell and counts unread messages. */
  #notify({ line, isOwn, isMention, isReplayed }: Item): void {
    const isMessage = line.type === "message" || line.type === "action" ||
      line.type === "private";
    if (!isMessage || isOwn || isReplayed) return;
    const { bell } = this.#options;
    if (bell === "all" || bell === "mention" && isMention) this.#ring();
    if (this.#hasFocus) return;
    this.#unread++;
    this.#setTitle();
  }

  #ring(): void {
    const now = Date.now();
    if (now - this.#lastBell < BELL_INTERVAL) return;
    this.#lastBell = now;
    this.#tty.bell();
  }

  /** Shows the beginning of a line as a prompt, or as a line where it is long. */
  #showHeld(): void {
    if (widthOf(this.#held) < this.#screen.columns) this.#draw();
    else this.show("\n");
  }

  /** Draws the footer and the prompt, below text that stays. */
  #draw(text = ""): void {
    this.#screen.keepsLines = !this.room.isChat;
    this.#screen.footer = this.#footer();
    this.#screen.prompt = this.#prompt();
    this.#screen.draw(text);
  }

  #prompt(): string {
    if (!this.room.isChat) return this.#held;
    const { ownName } = this.room;
    const isShort = widthOf(ownName) <= this.#screen.columns / 3;
    return isShort ? `${bold(ownName)}> ` : "> ";
  }

  #footer(): string[] {
    const lines = this.room.isChat ? this.room.outbox.lines : [];
    const rows = lines.slice(0, MAX_PENDING);
    if (lines.length > MAX_PENDING) {
      rows.push(this.texts.more(lines.length - MAX_PENDING));
    }
    if (this.#status !== "") rows.push(`== ${this.#status}`);
    if (this.#choices !== "") rows.push(this.#choices);
    if (this.#tty.onKeys) rows.push(this.texts.paste(this.#paste!.length));
    const { columns } = this.#screen;
    return rows.map((row) => cut(row.replaceAll("\t", " "), columns - 1));
  }
}
