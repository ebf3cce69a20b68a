// Copyright 2026 the linechat authors. MIT license.

/** Time of silence after which a connection is checked, in milliseconds. */
export const QUIET = 60_000;

/** Time for the server to answer the check, in milliseconds. */
export const ANSWER = 15_000;

/**
 * Checks a connection that was silent for a while. The system reports a lost peer only
 * after minutes or hours.
 */
export class Watchdog implements Disposable {
  readonly #ask: () => boolean;
  readonly #lost: () => void;
  readonly #quiet: number;
  readonly #answer: number;
  #timer?: ReturnType<typeof setTimeout>;

  /**
   * @param ask Requests an answer. Returns whether the server can answer.
   * @param lost Called if there is no answer.
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

  /** Restarts the timer: the server has sent something. */
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
