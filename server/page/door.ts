// Copyright 2026 the linechat authors. MIT license.

import { find } from "./dom.ts";

/** The dialog that asks for a name, or for the password of the room. */
export class Door {
  readonly #dialog = find<HTMLDialogElement>("door");
  #isAsking = false;

  constructor(
    readonly onAnswer: (id: "name" | "password", text: string) => void,
  ) {
    // The Escape key does not close it for long: there is no room behind it.
    this.#dialog.onclose = () => this.#isAsking && this.#dialog.showModal();
    find<HTMLFormElement>("answer").onsubmit = (event) => {
      event.preventDefault();
      const { id, value } = this.#dialog.querySelector(
        "input:enabled",
      )! as HTMLInputElement;
      this.close();
      this.onAnswer(id as "name" | "password", value.trim());
    };
  }

  /** Asks a question. `problem` says why the last answer was refused. */
  open(id: "name" | "password", value = "", problem = ""): void {
    for (const field of this.#dialog.querySelectorAll("input")) {
      field.disabled = field.id !== id;
      field.parentElement!.hidden = field.disabled;
      field.value = value;
    }
    find("problem").textContent = problem;
    this.#isAsking = true;
    if (!this.#dialog.open) this.#dialog.showModal();
    find(id).focus();
  }

  close(): void {
    this.#isAsking = false;
    this.#dialog.close();
  }
}
