// Copyright 2026 the linechat authors. MIT license.

import { find } from "./dom.ts";
import { completions } from "./lines.ts";

/** The text field: its keys, its history and the completion of words. */
export class Composer {
  static readonly maxHistory = 100;
  /** The texts that were sent, and the current one at the end. */
  #history = [""];
  #position = 0;
  /** The completions that repeated Tab keys go through. */
  #completions: string[] = [];
  /** The index of the present one. */
  #completed = -1;

  readonly field = find<HTMLTextAreaElement>("field");

  constructor(
    readonly names: () => string[],
    readonly commands: string[],
    readonly onSubmit: (text: string) => void,
  ) {
    const { field } = this;
    field.form!.onsubmit = (event) => {
      event.preventDefault();
      if (field.value.trim() !== "") this.onSubmit(field.value);
    };
    field.oninput = () => this.#fit();
    field.onkeydown = (event) => {
      // Enter in an input method completes a word.
      if (event.isComposing || event.keyCode === 229) return;
      if (this.#handleKey(event)) event.preventDefault();
    };
  }

  /** Replaces the text. */
  set text(text: string) {
    this.field.value = text;
    this.field.setSelectionRange(text.length, text.length);
    this.#fit();
  }

  /** Empties the field after its text was sent. */
  clear(): void {
    const { value } = this.field;
    if (this.#history.at(-2) !== value) this.#history.splice(-1, 0, value);
    this.#history.splice(0, this.#history.length - 1 - Composer.maxHistory);
    this.#history[this.#history.length - 1] = "";
    this.#position = this.#history.length - 1;
    this.text = "";
  }

  /** Puts a text in front of the present one. */
  prepend(text: string): void {
    this.text = text + (this.field.value && `\n${this.field.value}`);
  }

  /** Begins a text and moves the focus to it. */
  begin(text: string): void {
    if (!this.field.value.startsWith(text)) this.text = text + this.field.value;
    this.field.focus();
  }

  /** Makes the field as high as its text. CSS limits it. */
  #fit(): void {
    const { field } = this;
    field.style.height = "auto";
    const borders = field.offsetHeight - field.clientHeight;
    field.style.height = `${field.scrollHeight + borders}px`;
  }

  /** Returns whether the key was handled. */
  #handleKey(
    { key, shiftKey, ctrlKey, altKey, metaKey }: KeyboardEvent,
  ): boolean {
    const { value, selectionStart, selectionEnd } = this.field;
    if (ctrlKey || altKey || metaKey || shiftKey) return false;
    if (key === "Enter") {
      this.field.form!.requestSubmit();
      return true;
    }
    if (selectionStart !== selectionEnd) return false;
    if (key === "Tab") return this.#complete();
    const isFirst = !value.slice(0, selectionStart).includes("\n");
    const isLast = !value.slice(selectionStart).includes("\n");
    if (key === "ArrowUp" && isFirst) return this.#recall(-1);
    if (key === "ArrowDown" && isLast) return this.#recall(1);
    return false;
  }

  #recall(step: number): boolean {
    const position = this.#position + step;
    if (!(position in this.#history)) return false;
    this.#history[this.#position] = this.field.value;
    this.#position = position;
    this.text = this.#history[position];
    return true;
  }

  /** Completes the word before the cursor. If there is none, Tab moves the focus. */
  #complete(): boolean {
    const { value, selectionStart } = this.field;
    const text = value.slice(0, selectionStart);
    const isRepeated = text === this.#completions[this.#completed];
    if (!isRepeated) {
      this.#completions = completions(text, this.names(), this.commands);
      this.#completed = -1;
    }
    const { length } = this.#completions;
    if (length === 0 || isRepeated && length === 1) return false;
    this.#completed = (this.#completed + 1) % length;
    this.text = this.#completions[this.#completed];
    const { length: end } = this.field.value;
    this.field.value += value.slice(selectionStart);
    this.field.setSelectionRange(end, end);
    return true;
  }
}
