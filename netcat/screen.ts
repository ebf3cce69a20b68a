// Copyright 2026 the linechat authors. MIT license.

import { createInterface, type Interface } from "node:readline";
import type { Tty } from "./tty.ts";
import { widthOf } from "./width.ts";

/** The most lines that the Up key brings back. */
const HISTORY_SIZE = 1_000;

/** Handles the lines that the user enters. */
export interface ScreenHandler {
  /** Takes a line, and draws the screen. */
  enter(line: string): void;
  /** The input has ended: Ctrl-D, or the end of stdin. */
  leave(): void;
  /** Ctrl-C was pressed, on Windows. Elsewhere it is a signal. */
  interrupt(): void;
}

/**
 * The screen: lines that stay; below them a footer, which is drawn again with each
 * change; and the line being typed, which belongs to `node:readline`.
 */
export class Screen {
  /** Lines without styles of less than a row, shown dimmed above the typed line. */
  footer: string[] = [];
  /** The text before the typed line. */
  prompt = "";
  /** Whether a line stays on the screen when the user enters it. */
  keepsLines = true;

  readonly #tty: Tty;
  readonly #editor: Interface;
  /** The footer that is on the screen. */
  #drawn: string[] = [];
  #isClosed = false;

  /** @param history The lines for the Up key, the newest first. */
  constructor(tty: Tty, handler: ScreenHandler, history: string[] = []) {
    this.#tty = tty;
    const { output, keys } = tty;
    let { columns } = output;
    output.on("resize", () => {
      // The editor uses the rows that it counted when it drew them, but the
      // terminal has wrapped the line again. Behind a row that is just full, it
      // has another one only if that was so before.
      const { rows, cols } = this.#editor.getCursorPos();
      const isLast = cols === 0 && rows * output.columns % columns !== 0;
      this.#setRow(isLast ? rows - 1 : rows);
      columns = output.columns;
    });
    this.#editor = createInterface({
      // The editor uses only the members that these have.
      input: keys as unknown as NodeJS.ReadableStream,
      output: output as unknown as NodeJS.WritableStream,
      terminal: true,
      prompt: "",
      historySize: HISTORY_SIZE,
      history,
    });
    keys.on("keypress", () => {
      // The editor does not notice that a wide character did not fit its row.
      this.#setRow(this.#editor.getCursorPos().rows);
    });
    this.#editor.prompt(); // Below the input that came before the start.
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

  /** Draws the footer and the typed line, below text that stays. */
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

  /** Resolves when all is written to the terminal. */
  flush(): Promise<void> {
    return this.#tty.output.flush();
  }

  /** Ends the editor. Everything that was shown is above the cursor. */
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

  /** Ends the editor at once where the terminal has not taken all output. */
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
    this.#editor.setPrompt(this.prompt);
    this.#setRow(0);
    this.#editor.prompt(true);
  }

  #enter(line: string, handler: ScreenHandler): void {
    // The editor has left the line where it is, and gone to the next row.
    this.#erase(this.#rowsOf(line));
    if (this.keepsLines) this.#tty.output.write(`${this.prompt}${line}\n`);
    handler.enter(line);
  }

  /** Erases the footer and the typed line, with the cursor in its given row. */
  #erase(row: number): void {
    const rows = this.#drawn.reduce(
      (sum, line) => sum + Math.ceil(widthOf(line) / this.columns || 1),
      row,
    );
    this.#tty.output.write((rows > 0 ? `\x1b[${rows}A` : "") + "\r\x1b[J");
    this.#drawn = [];
  }

  /** Sets the row in which the editor takes the cursor to be. */
  #setRow(row: number): void {
    Object.assign(this.#editor, { prevRows: row });
  }

  /** Returns the rows of an entered line, by the count of the editor. */
  #rowsOf(line: string): number {
    Object.assign(this.#editor, { line, cursor: line.length });
    const { rows } = this.#editor.getCursorPos();
    Object.assign(this.#editor, { line: "", cursor: 0 });
    return rows + 1;
  }
}
