// Copyright 2026 the linechat authors. MIT license.

import { explain } from "../cli.ts";
import { type Lang, printable } from "../mod.ts";
import { Attention, type Bell } from "./attention.ts";
import { runCommand } from "./commands.ts";
import { commonStart, complete } from "./complete.ts";
import { Formatter } from "./format.ts";
import type { HistoryFile } from "./history_file.ts";
import { maskSecret } from "./outbox.ts";
import { Paste, pasteAnswer } from "./paste.ts";
import { type Item, Room } from "./room.ts";
import { Screen } from "./screen.ts";
import { SecretInput } from "./secret_input.ts";
import { bold, dim } from "./style.ts";
import { TEXTS, type Texts } from "./texts.ts";
import { Tty } from "./tty.ts";
import { cut, widthOf, wrap } from "./width.ts";

/** Maximum length of a line that has not ended, in characters. */
const MAX_HELD = 256 * 1024;
/** Time to wait for the end of a line before its beginning is shown, in milliseconds. */
const PROMPT_DELAY = 200;
/** Time for the server to close after Ctrl-D, in milliseconds. */
const LEAVE_TIMEOUT = 2_000;
/** Maximum number of unanswered lines that are shown. */
const MAX_PENDING = 5;
/** Maximum length of a text in the footer of the screen, in full rows. */
const MAX_FOOTER_ROWS = 4;

/** Matches the command that makes the server close the connection. */
const QUIT = /^\/quit(?:\s|$)/i;
/** Matches the command that lists the commands. */
const HELP = /^\/help\s*$/i;

/** The connection of a client. */
export interface Peer {
  send(line: string): void;
  /** Shuts down the sending side. */
  end(): void;
}

/** Options of the client in a terminal. */
export interface ClientOptions {
  /** The address of the server, for the title of the window. */
  address: string;
  /** The name to set on connecting. */
  name?: string;
  /** The password for the room. Without one, the user is asked. */
  password?: string;
  /** Whether to show the time before each line. */
  withTime: boolean;
  bell: Bell;
  /** The file that keeps the entered lines. */
  historyFile?: HistoryFile;
  /** The language of the client's own texts. */
  lang: Lang;
}

/**
 * The client in a terminal. It shows the lines of the server, and sends the lines that
 * the user enters. If the server is not a linechat server, its output is not formatted.
 */
export class Client {
  readonly room: Room;
  readonly texts: Texts;
  /** Whether the user has left the server. */
  hasLeft = false;
  /** Called by the command `/reconnect`. */
  onReconnect?: () => void;

  readonly #options: ClientOptions;
  readonly #tty = new Tty();
  readonly #screen: Screen;
  readonly #formatter: Formatter;
  readonly #attention: Attention;
  /** The file that keeps the entered lines, unless writing it has failed. */
  #historyFile?: HistoryFile;
  /** Whether the given password was sent to this server. */
  #hasSentPassword = false;
  /** The password that is being typed. */
  readonly #secret = new SecretInput({
    enter: (secret) => this.#enterPassword(secret),
    leave: () => this.#leave(),
    interrupt: () => this.#exit(130),
  });
  #peer?: Peer;
  /** The beginning of a line that has not ended. */
  #held = "";
  #heldTimer?: ReturnType<typeof setTimeout>;
  /** The rows to draw, while lines of the server are handled. */
  #rows?: string[];
  /** Whether the next line continues one that was too long to hold. */
  #isContinued = false;
  /** The state of the connection, unless it is connected. */
  #status = "";
  /** The choices of a completion, while they are shown. */
  #choices = "";
  /** A paste that the user is asked about. */
  #paste?: Paste;
  /** Whether the typed line is a paste of several lines. */
  #isEditingPaste = false;
  #hasHinted = false;
  #isExiting = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    const { address, name, withTime, bell, historyFile, lang } = options;
    this.texts = TEXTS[lang];
    this.#historyFile = historyFile;
    this.room = new Room((line) => this.#peer?.send(line), name);
    this.#formatter = new Formatter(withTime, lang, this.room.members.colours);
    this.#screen = new Screen(this.#tty, {
      enter: (line) => this.#enter(line),
      leave: () => this.#leave(),
      interrupt: () => this.#exit(130),
    }, historyFile?.lines);
    this.#tty.open({
      paste: (text) => this.#insertPaste(text),
      keys: (text) => this.#takeKeys(text),
      tab: () => this.#complete(),
      key: () => this.#handleKey(),
      focus: (hasFocus) => this.#attention.focus(hasFocus),
      exit: (code) => this.#exit(code),
      resume: () => {
        this.#attention.restoreTitle();
        this.#screen.redraw();
      },
    });
    this.#attention = new Attention(this.#tty, address, bell);
    this.#attention.showTitle();
  }

  /** Begins a connection. */
  attach(peer: Peer): void {
    this.#peer = peer;
    this.#hasSentPassword = false;
    this.room.connect();
    this.setStatus("");
  }

  /** Ends a connection. */
  detach(): void {
    this.#peer = undefined;
    this.#secret.clear();
    if (this.#held !== "") this.show("\n");
    if (!this.room.isChat || this.hasLeft || this.room.refusal) return;
    const { lines } = this.room.outbox;
    this.room.outbox.clear();
    if (lines.length > 0) this.note(this.texts.notConfirmed(lines));
  }

  /** Shows text of the server. Resolves when it is written to the terminal. */
  async show(text: string): Promise<void> {
    clearTimeout(this.#heldTimer);
    if (this.#isExiting) return;
    const lines = (this.#held + printable(text)).split("\n");
    this.#held = lines.pop()!;
    this.#rows = [];
    for (const line of lines) this.#receiveLine(line);
    if (this.#held.length > MAX_HELD) {
      this.#receiveLine(this.#held);
      this.#isContinued = true;
      this.#held = "";
    }
    const rows = this.#rows.join("");
    this.#rows = undefined;
    if (rows !== "" || this.#isAsked) this.#draw(rows);
    this.#attention.showTitle();
    if (this.#held !== "" && !this.room.isChat) {
      this.#heldTimer = setTimeout(() => this.#showHeld(), PROMPT_DELAY);
    }
    await this.#screen.flush();
  }

  /** Shows lines of the client itself. */
  note(text: string): void {
    const { columns } = this.#screen;
    const rows = text.split("\n").map((line) =>
      this.#formatter.note(line, columns)
    );
    // While lines of the server are handled, a note is drawn between them.
    if (this.#rows) this.#rows.push(...rows);
    else this.#draw(rows.join(""));
  }

  /** Shows the state of the connection instead of the last one. */
  setStatus(text: string): void {
    this.#status = text;
    this.#draw();
  }

  /** Restores the terminal. */
  async close(): Promise<void> {
    clearTimeout(this.#heldTimer);
    this.#screen.close();
    await this.#tty.close();
  }

  async #exit(code: number): Promise<never> {
    if (this.#isExiting) Deno.exit(code);
    this.#isExiting = true;
    await this.#tty.flush();
    // The output that a slow terminal has not accepted by now is discarded.
    this.#screen.abandon();
    await this.close();
    Deno.exit(code);
  }

  /** Handles Ctrl-D. The server can still send its last lines. */
  #leave(): void {
    this.hasLeft = true;
    if (!this.#peer || this.#isAsked) return void this.#exit(0);
    this.#peer.end();
    setTimeout(() => this.#exit(0), LEAVE_TIMEOUT);
  }

  #enter(line: string): void {
    const lines = this.#isEditingPaste ? Paste.linesOf(line) : [line];
    this.#isEditingPaste = false;
    for (const line of lines) this.#enterLine(line);
    this.#draw();
  }

  #enterLine(line: string): void {
    const { room } = this;
    if (room.isChat && line.trim() === "") return;
    const isPrivate = this.#held !== "" || !room.hasBegun;
    // A line after a prompt, or before the first line of the server, can be a password.
    if (!isPrivate) this.#keep(line);
    if (room.isChat && runCommand(line, this.#commandContext)) return;
    // Before the welcome, a room would take the line for a password.
    if (!this.#peer || room.isChat && !room.hasBegun) {
      return this.#enterWithoutPeer(line);
    }
    if (room.isChat) {
      this.hasLeft = QUIT.test(line);
      room.enter(line);
    } else this.#held = "";
    this.#peer.send(line);
    if (room.isChat && HELP.test(line)) {
      const showHelp = () => this.note(this.texts.help);
      // The answer to this request follows the server's own help.
      if (!room.ping(showHelp)) showHelp();
    }
  }

  /** Whether the user types a password, which is not shown and not kept. */
  get #isAsked(): boolean {
    return this.#peer !== undefined && this.room.isAsked;
  }

  /** Sends a password, unless the server checks another one. */
  #enterPassword(password: string): void {
    const { question } = this.room;
    if (question === undefined || password === "") return;
    this.room.question = undefined;
    this.#draw(`${question}\n`);
    this.#peer?.send(password);
  }

  /** Answers a prompt with the given password. A wrong one is not sent twice. */
  #sendGivenPassword(): void {
    const { password } = this.#options;
    if (password === undefined) return;
    this.room.question = undefined;
    if (this.#hasSentPassword) this.#peer?.end();
    else this.#peer?.send(password);
    this.#hasSentPassword = true;
  }

  /** Takes the keys that are not for the editor. Returns the others. */
  #takeKeys(keys: string): string {
    if (this.#isAsked) {
      this.#secret.press(keys);
      // Keys before the next prompt are discarded.
      if (this.room.question === undefined) this.#secret.clear();
      return "";
    }
    return this.#paste ? this.#answerPaste(this.#paste, keys) : keys;
  }

  /** Adds a line to the file of entered lines. */
  #keep(line: string): void {
    try {
      this.#historyFile?.add(line);
    } catch (error) {
      this.#historyFile = undefined;
      const reason = explain(error, this.#options.lang);
      this.note(this.texts.historyFailed(reason));
    }
  }

  #enterWithoutPeer(line: string): void {
    if (QUIT.test(line)) return void this.#exit(0);
    if (this.room.isChat) this.#draw(`${dim(maskSecret(line))}\n`);
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

  /** Inserts a paste. If it has many lines, the user is asked first. */
  #insertPaste(text: string): void {
    const paste = new Paste(text);
    if (this.#isAsked) return void this.#takeKeys(paste.lines[0]);
    if (!paste.isLong) return this.#screen.insert(paste.typed);
    this.#paste = paste;
    this.#draw();
  }

  /** Handles keys after the question about a paste. Returns the keys after the answer. */
  #answerPaste(paste: Paste, keys: string): string {
    const { answer, rest } = pasteAnswer(keys) ?? { rest: "" };
    if (answer === undefined) return rest;
    this.#paste = undefined;
    this.#draw();
    if (answer === "send") this.#screen.insert(paste.entered);
    if (answer === "edit") {
      this.#isEditingPaste = true;
      this.#screen.insert(paste.editable);
    }
    return rest;
  }

  /** Completes the word before the cursor, or shows the choices. */
  #complete(): void {
    if (!this.room.isChat) return this.#screen.insert("\t");
    const others = this.room.members.names.filter((name) =>
      name !== this.room.ownName
    );
    const { typed } = this.#screen;
    const { length, choices } = complete(typed, others);
    const word = typed.slice(typed.length - length);
    const start = commonStart(choices);
    if (start.length > word.length) this.#screen.replace(word, start);
    else if (choices.length > 1) {
      this.#choices = choices.map((choice) => choice.trim().replace(/:$/, ""))
        .join("  ");
      this.#draw();
    }
  }

  #handleKey(): void {
    this.#attention.read();
    if (this.#choices === "") return;
    this.#choices = "";
    this.#draw();
  }

  /** Handles a line of the server, and adds the rows to show. */
  #receiveLine(line: string): void {
    const rows = this.#rows!;
    if (this.#isContinued) {
      this.#isContinued = false;
      rows.push(`${line}\n`);
      return;
    }
    for (const item of this.room.receive(line)) {
      if (!this.room.isChat) rows.push(`${item.raw}\n`);
      else this.#addItem(item);
    }
    // Text that was typed before the first prompt can be a password.
    if (this.#isAsked && !this.room.isChat) this.#screen.discardLine();
    if (this.room.question !== undefined) this.#sendGivenPassword();
    if (this.#hasHinted || !this.room.isGreeted) return;
    this.#hasHinted = true;
    this.note(this.texts.hint);
  }

  #addItem(item: Item): void {
    const { columns } = this.#screen;
    const { ownName } = this.room;
    this.#attention.handle(item);
    if (item.missed !== undefined) this.note(this.texts.missed(item.missed));
    this.#rows!.push(this.#formatter.item(item, ownName, new Date(), columns));
  }

  /** Shows the beginning of a line as the prompt, or as a line if it is too long. */
  #showHeld(): void {
    if (widthOf(this.#held) < this.#screen.columns) this.#draw();
    else this.show("\n");
  }

  /** Prints text, and draws the footer and the prompt below it. */
  #draw(text = ""): void {
    this.#screen.hidesLine = this.#isAsked;
    this.#screen.keepsLines = !this.room.isChat || this.#isAsked;
    this.#screen.footer = this.#footer();
    this.#screen.prompt = this.#prompt();
    this.#screen.draw(text);
  }

  #prompt(): string {
    if (this.#isAsked) {
      const question = cut(this.room.question ?? "", this.#screen.columns - 1);
      return question.replace(/[:?]$/, "$& ");
    }
    if (!this.room.isChat) return this.#held;
    const { ownName } = this.room;
    const isShort = widthOf(ownName) <= this.#screen.columns / 3;
    return isShort ? `${bold(ownName)}> ` : "> ";
  }

  #footer(): string[] {
    const lines = this.room.isChat ? this.room.outbox.lines : [];
    const columns = this.#screen.columns - 1;
    const rows = lines.slice(0, MAX_PENDING)
      .map((line) => cut(line.replaceAll("\t", " "), columns));
    const texts = [
      lines.length > MAX_PENDING
        ? this.texts.more(lines.length - MAX_PENDING)
        : "",
      this.#status && `== ${this.#status}`,
      this.#choices,
      this.#paste && !this.#isAsked
        ? this.texts.paste(this.#paste.lines.length)
        : "",
    ];
    for (const text of texts.filter((text) => text !== "")) {
      const short = cut(text, MAX_FOOTER_ROWS * columns);
      rows.push(...wrap(short, columns, 0).split("\n"));
    }
    return rows;
  }
}
