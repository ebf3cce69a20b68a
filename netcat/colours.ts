// Copyright 2026 the linechat authors. MIT license.

import { PALETTE } from "./style.ts";

/** The distance in `PALETTE` between two colours that are tried in succession. */
const STEP = 7;

/**
 * Assigns colours to names. A name gets the same colour each time, unless another member
 * has that colour. Two members share a colour only if no colour is free.
 */
export class Colours {
  /** The colours of the members, by name. */
  readonly #taken = new Map<string, number>();
  /** The number of members with each colour. */
  readonly #members: number[] = PALETTE.map(() => 0);
  /** The member that left last. The line about that is shown in its colour. */
  #last?: { name: string; colour: number };

  /** Reserves a colour for a member. */
  add(name: string): void {
    if (this.#taken.has(name)) return;
    let colour = preferred(name);
    for (let i = 0; i < PALETTE.length && this.#members[colour] > 0; i++) {
      colour = (colour + STEP) % PALETTE.length;
    }
    this.#take(name, colour);
  }

  /** Frees the colour of a member that left. */
  delete(name: string): void {
    const colour = this.#taken.get(name);
    if (colour === undefined) return;
    this.#taken.delete(name);
    this.#members[colour]--;
    this.#last = { name, colour };
  }

  /** Keeps the colour of a member that changed its name. */
  rename(oldName: string, newName: string): void {
    const colour = this.get(oldName);
    this.delete(oldName);
    this.delete(newName);
    this.#take(newName, colour);
  }

  #take(name: string, colour: number): void {
    this.#taken.set(name, colour);
    this.#members[colour]++;
  }

  /** Replaces the members. Members that stay keep their colours. */
  set(names: ReadonlySet<string>): void {
    for (const name of this.#taken.keys()) {
      if (!names.has(name)) this.delete(name);
    }
    for (const name of names) this.add(name);
  }

  /** Returns the index of a name's colour in `PALETTE`. */
  get(name: string): number {
    const last = this.#last?.name === name ? this.#last.colour : undefined;
    return this.#taken.get(name) ?? last ?? preferred(name);
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
