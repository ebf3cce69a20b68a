// Copyright 2026 the linechat authors. MIT license.

import { Colours } from "./colours.ts";
import { isListEnd, listedName, memberCount } from "./protocol.ts";

/** Maximum number of known members. A server admits 10,000 by default. */
const MAX_MEMBERS = 100_000;

/** Minimum time between two requests for the list, in milliseconds. */
const REQUEST_INTERVAL = 10_000;

/**
 * The members of a room. They are known from one list of the server, and from the lines
 * that announce changes. The list is requested again if a change contradicts it.
 */
export class MemberList {
  readonly colours = new Colours();
  readonly #send: (onAnswer: (notice: string) => void) => boolean;
  #names = new Set<string>();
  #lastRequest = -Infinity;
  /** The rows of a list that is being received. */
  #rows: string[] = [];
  /** The number of rows of that list that have yet to come. */
  #rowsLeft = 0;
  /** Whether the room has more members than the server lists. */
  #isPartial = false;

  /** @param send Sends the request, and returns whether the server has that command. */
  constructor(send: (onAnswer: (notice: string) => void) => boolean) {
    this.#send = send;
  }

  /** The names of all members, sorted. */
  get names(): string[] {
    return [...this.#names].sort();
  }

  /** Forgets the members of an earlier connection. */
  reset(ownName: string): void {
    this.#set([ownName]);
    this.#rowsLeft = 0;
    this.#isPartial = false;
    this.#lastRequest = -Infinity;
  }

  /** Requests the list, unless that was done a moment ago or the list is partial. */
  request(): void {
    const now = Date.now();
    if (this.#isPartial || now - this.#lastRequest < REQUEST_INTERVAL) return;
    const isSent = this.#send((notice) => {
      this.#rows = [];
      this.#rowsLeft = Math.min(memberCount(notice) ?? 0, MAX_MEMBERS);
    });
    if (isSent) this.#lastRequest = now;
  }

  /** Receives a notice. Returns whether it belongs to the requested list. */
  receive(notice: string, ownName: string): boolean {
    if (this.#rowsLeft === 0) return false;
    const name = listedName(notice);
    this.#isPartial = isListEnd(notice);
    if (name !== undefined) this.#rows.push(name);
    this.#rowsLeft = name === undefined ? 0 : this.#rowsLeft - 1;
    if (this.#rowsLeft === 0) {
      const others = this.#isPartial
        ? [...this.#names, ...this.#rows]
        : this.#rows;
      this.#set([ownName, ...others]);
    }
    return name !== undefined || this.#isPartial;
  }

  /** Adds a member. */
  add(name: string): void {
    if (this.#names.has(name)) this.request();
    if (this.#names.size >= MAX_MEMBERS) return;
    this.#names.add(name);
    this.colours.add(name);
  }

  /** Removes a member. */
  delete(name: string): void {
    if (!this.#names.delete(name)) this.request();
    this.colours.delete(name);
  }

  /** Changes the name of a member. It keeps its colour. */
  rename(oldName: string, newName: string): void {
    if (!this.#names.delete(oldName)) this.request();
    this.#names.add(newName);
    this.colours.rename(oldName, newName);
  }

  #set(names: string[]): void {
    this.#names = new Set(names);
    this.colours.set(this.#names);
  }
}
