// Copyright 2026 the linechat authors. MIT license.

import { createInterface, type Interface } from "node:readline";
import type { Tty } from "./tty.ts";
import { widthOf } from "./width.ts";

/** Maximum number of lines that the Up key recalls. */
const HISTORY_SIZE = 1_000;

/** Handles the lines that the user enters. */
export interface ScreenHandler {
  /** Handles an entered line, and draws the screen. */
  enter(line: string): void;
  /** Handles the end of the input, for example Ctrl-D. */
  leave(): void;
  /** Handles Ctrl-C on Windows. On other systems, Ctrl-C is a signal. */
  interrupt(): void;
}

/**
 * The screen. It has lines that stay, then a footer that is replaced at each change, and
 * then the typed line, which `node:readline` edits.
 */
export class Screen {
  /** Lines above the typed line, shown dimmed. Each fits in a row and has no styles. */
  footer: string[] = [];
  /** The text before the typed line. */
  prompt = "";
  /** Whether a line stays on the screen when the user enters it. */
  keepsLines = true;
  /** Whether the typed line is hidden. It is shown again later. */
  hidesLine = false;

  readonly #tty: Tty;
  readonly #editor: Interface;
  /** The footer that is on the screen. */
  #drawn: string[] = [];
  /** The typed line and its cursor, while they are hidden. */
  #hidden?: { line: string; cursor: number };
  #isClosed = false;

  /** @param history The lines for the Up key, the newest first. */
  constructor(tty: Tty, handler: ScreenHandler, history: string[] = []) {
    this.#tty = tty;
    const { output, keys } = tty;
    let { columns } = output;
    output.on("resize", () => {
      // The editor keeps the row of the cursor from its last output, but the
      // terminal has wrapped the line again. After a row that is exactly full, an
      // empty row follows only if it did before the resize.
      const { rows, cols } = this.#editor.getCursorPos();
      const isLast = cols === 0 && rows * output.columns % columns !== 0;
      this.#setRow(isLast ? rows - 1 : rows);
      columns = output.columns;
    });
    this.#editor = createInterface({
      // The editor uses no other members of a stream.
      input: keys as unknown as NodeJS.ReadableStream,
      output: output as unknown as NodeJS.WritableStream,
      terminal: true,
      prompt: "",
      historySize: HISTORY_SIZE,
      history,
    });
    keys.on("keypress", () => {
      // The editor does not count a column that a wide character leaves empty.
      this.#setRow(this.#editor.getCursorPos().rows);
    });
    this.#editor.prompt(); // Below input that was typed before the start.
    this.#editor
      .on("line", (line) => this.#enter(line, handler))
      .on("SIGINT", () => handler.interrupt())
      .on("close", () => {
        if (this.#isClosed) return;
        this.close();
        handler.leave();
      });
  }

  get columns(): number {
    return this.#tty.output.columns;
  }

  /** The typed line up to the cursor. */
  get typed(): string {
    return this.#editor.line.slice(0, this.#editor.cursor);
  }

  /** Prints text, and draws the footer and the typed line below it. */
  draw(text = ""): void {
    if (this.#isClosed) {
      this.#tty.output.write(text);
      return;
    }
    this.#erase(this.#editor.getCursorPos().rows);
    this.#tty.output.write(text);
    this.#drawBelow();
  }

  /** Clears the screen. */
  clear(): void {
    this.#tty.output.write("\x1b[H\x1b[2J");
    this.#drawBelow();
  }

  /** Draws the footer and the typed line where another program left the cursor. */
  redraw(): void {
    this.#drawBelow();
  }

  /** Inserts text at the cursor. Each line end in it enters a line. */
  insert(text: string): void {
    if (!this.#isClosed) this.#editor.write(text);
  }

  /** Replaces the text before the cursor by another one. */
  replace(text: string, replacement: string): void {
    for (const _ of text) this.#editor.write(null, { name: "backspace" });
    this.#editor.write(replacement);
  }

  /** Discards the typed line. */
  discardLine(): void {
    this.#erase(this.#editor.getCursorPos().rows);
    Object.assign(this.#editor, { line: "", cursor: 0 });
  }

  /** Resolves when all output is written to the terminal. */
  flush(): Promise<void> {
    return this.#tty.output.flush();
  }

  /** Ends the editor, and moves the cursor below the output. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const isEmpty = this.#editor.line === "";
    if (isEmpty && !(this.keepsLines && this.prompt !== "")) {
      this.#erase(this.#editor.getCursorPos().rows);
    } else {
      this.#moveToEnd();
      this.#tty.output.write("\n");
    }
    this.#editor.close();
  }

  /** Ends the editor and discards the output, if the terminal has not accepted all of it. */
  abandon(): void {
    if (this.#isClosed || !this.#tty.output.discard()) return;
    this.#isClosed = true;
    this.#tty.output.write("\n");
    this.#editor.close();
  }

  /** Moves the cursor to the end of the typed line. */
  #moveToEnd(): void {
    const { cursor, line } = this.#editor;
    const { rows } = this.#editor.getCursorPos();
    Object.assign(this.#editor, { cursor: line.length });
    const down = this.#editor.getCursorPos().rows - rows;
    Object.assign(this.#editor, { cursor });
    this.#tty.output.write(down > 0 ? `\x1b[${down}B` : "");
  }

  #drawBelow(): void {
    const below = this.footer.map((line) => `\x1b[2m${line}\x1b[22m\n`);
    this.#tty.output.write(below.join(""));
    this.#drawn = this.footer;
    this.#hideLine();
    this.#editor.setPrompt(this.prompt);
    this.#setRow(0);
    this.#editor.prompt(true);
  }

  /** Hides the typed line from the editor, or returns it. */
  #hideLine(): void {
    if (this.hidesLine === (this.#hidden !== undefined)) return;
    const { line, cursor } = this.#editor;
    Object.assign(this.#editor, this.#hidden ?? { line: "", cursor: 0 });
    this.#hidden = this.hidesLine ? { line, cursor } : undefined;
  }

  #enter(line: string, handler: ScreenHandler): void {
    // The editor has moved the cursor to the row below the line.
    this.#erase(this.#rowsOf(line));
    if (this.keepsLines) this.#tty.output.write(`${this.prompt}${line}\n`);
    handler.enter(line);
  }

  /** Erases the footer and the typed line. The cursor is in this row of the typed line. */
  #erase(row: number): void {
    const rows = this.#drawn.reduce(
      (sum, line) => sum + Math.ceil(widthOf(line) / this.columns || 1),
      row,
    );
    this.#tty.output.write((rows > 0 ? `\x1b[${rows}A` : "") + "\r\x1b[J");
    this.#drawn = [];
  }

  /** Sets the row of the cursor for the editor. */
  #setRow(row: number): void {
    Object.assign(this.#editor, { prevRows: row });
  }

  /** Returns the number of rows of an entered line, as the editor counts them. */
  #rowsOf(line: string): number {
    Object.assign(this.#editor, { line, cursor: line.length });
    const { rows } = this.#editor.getCursorPos();
    Object.assign(this.#editor, { line: "", cursor: 0 });
    return rows + 1;
  }
}
