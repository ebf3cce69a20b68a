// Copyright 2026 the linechat authors. MIT license.

/** How long a connection may be silent before it is checked, in milliseconds. */
export const QUIET = 60_000;

/** How long the server may take to answer the check, in milliseconds. */
export const ANSWER = 15_000;

/**
 * Checks a connection when nothing came for a while, since the system reports a
 * peer that vanished only after minutes or hours.
 */
export class Watchdog implements Disposable {
  readonly #ask: () => boolean;
  readonly #lost: () => void;
  readonly #quiet: number;
  readonly #answer: number;
  #timer?: ReturnType<typeof setTimeout>;

  /**
   * @param ask Asks the server for an answer, and returns whether it can be asked.
   * @param lost Is called when no answer came.
   */
  constructor(
    ask: () => boolean,
    lost: () => void,
    { quiet = QUIET, answer = ANSWER } = {},
  ) {
    this.#ask = ask;
    this.#lost = lost;
    this.#quiet = quiet;
    this.#answer = answer;
    this.heard();
  }

  /** Notes that something came. */
  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#ask()) this.#timer = setTimeout(this.#lost, this.#answer);
      else this.heard();
    }, this.#quiet);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
