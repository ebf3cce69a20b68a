// Copyright 2026 the linechat authors. MIT license.

import { PALETTE } from "./style.ts";

/** The distance between colours that are tried one after the other. */
const STEP = 7;

/**
 * Gives names their colours. A name has the same colour each time, unless another
 * member has it: two members share a colour only when none is free.
 */
export class Colours {
  /** The colours of the members, by name. */
  readonly #taken = new Map<string, number>();

  /** Reserves a colour for a member. */
  add(name: string): void {
    if (this.#taken.has(name)) return;
    const taken = new Set(this.#taken.values());
    let colour = preferred(name);
    for (let i = 0; i < PALETTE.length && taken.has(colour); i++) {
      colour = (colour + STEP) % PALETTE.length;
    }
    this.#taken.set(name, colour);
  }

  /** Frees the colour of a member that left. */
  delete(name: string): void {
    this.#taken.delete(name);
  }

  /** Keeps the colour of a member that changed its name. */
  rename(oldName: string, newName: string): void {
    const colour = this.#taken.get(oldName) ?? preferred(newName);
    this.#taken.delete(oldName);
    this.#taken.set(newName, colour);
  }

  /** Frees all colours. */
  clear(): void {
    this.#taken.clear();
  }

  /** Returns the index of a name's colour in `PALETTE`. */
  get(name: string): number {
    return this.#taken.get(name) ?? preferred(name);
  }
}

/** Returns the first colour to try for a name. */
function preferred(name: string): number {
  let hash = 0;
  for (const character of name) {
    hash = (hash * 31 + character.codePointAt(0)!) >>> 0;
  }
  return hash % PALETTE.length;
}
