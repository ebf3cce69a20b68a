// Copyright 2026 the linechat authors. MIT license.

import { create, find } from "./dom.ts";
import { hueOf } from "./lines.ts";
import type { Texts } from "./texts.ts";

/** The list of the members. */
export class Roster {
  /** Maximum number of names in the list. */
  static readonly maxNames = 200;
  #names = new Set<string>();
  /** The number of members of whom the name is not known. */
  #unnamed = 0;
  /** The members who came (`true`) or left since a list was requested. */
  #changes?: Map<string, boolean>;
  /** The list that is being received, and the number of members in all. */
  #listing?: { names: string[]; total: number };
  #isShown = false;

  constructor(
    readonly texts: Texts,
    readonly onSelect: (name: string) => void,
  ) {
    find("people").onclick = () => this.#unfold();
  }

  /** Shows or hides the list on a phone. */
  #unfold(isOpen?: boolean): void {
    isOpen = document.body.classList.toggle("open", isOpen);
    find("people").ariaExpanded = String(isOpen);
  }

  get names(): string[] {
    return [...this.#names];
  }

  /** Sets the members. `total` also counts those of whom the name is not known. */
  set(names: string[], total = names.length): void {
    this.#names = new Set(names);
    this.#unnamed = Math.max(0, total - names.length);
    this.#changes?.forEach((isHere, name) =>
      isHere ? this.#names.add(name) : this.#names.delete(name)
    );
    this.#changes = this.#listing = undefined;
    this.#isShown = false;
  }

  add(name: string): void {
    this.#names.add(name);
    this.#changes?.set(name, true);
    this.#isShown = false;
  }

  remove(name: string): void {
    if (!this.#names.delete(name) && this.#unnamed > 0) this.#unnamed--;
    this.#changes?.set(name, false);
    this.#isShown = false;
  }

  /** Notes that the page has requested a list. Until then, changes are kept. */
  request(): void {
    this.#changes = new Map();
  }

  /** Begins to receive a list. Returns whether the page has requested it. */
  startList(total: number): boolean {
    this.#listing = { names: [], total };
    return this.#changes !== undefined;
  }

  /** Takes a notice that may belong to a requested list. Returns whether it does. */
  takeNotice(text: string): boolean {
    if (!this.#listing) return false;
    const isRequested = this.#changes !== undefined;
    const { names, total } = this.#listing;
    const [, name] = /^(\S+?)(?: \(|（)[^)）]*[)）]$/.exec(text) ?? [];
    if (name !== undefined) names.push(name);
    if (name === undefined || names.length === total) this.set(names, total);
    return isRequested && (name !== undefined || text === "…");
  }

  /** Shows the changes. */
  show(): void {
    if (this.#isShown) return;
    this.#isShown = true;
    const { here, more } = this.texts;
    const total = this.#names.size + this.#unnamed;
    find("people").textContent =
      find("count").textContent =
        here.replace("#", String(total));
    const names = this.names.sort((a, b) => a.localeCompare(b));
    const items = names.slice(0, Roster.maxNames).map((name) => {
      const item = create("li", "", "");
      const button = create("button", "name", name);
      button.type = "button";
      button.dir = "auto";
      button.style.setProperty("--hue", String(hueOf(name)));
      button.onclick = () => {
        this.#unfold(false);
        this.onSelect(name);
      };
      item.append(button);
      return item;
    });
    const rest = total - items.length;
    if (rest > 0) items.push(create("li", "", more.replace("#", String(rest))));
    find("members").replaceChildren(...items);
  }
}
