// Copyright 2026 the linechat authors. MIT license.

/** The most lines, and the most characters of lines, that are remembered. */
const MAX_LINES = 10_000;
const MAX_LENGTH = 256 * 1024;

/**
 * Finds the new lines in the history that a server replays after a reconnect. A
 * server keeps 64 KiB of history, so the memory of shown lines is bounded, too.
 */
export class Replay {
  /** The last lines that were shown, the newest last. */
  #shown: string[] = [];
  /** The number of their characters. */
  #length = 0;

  /** Remembers a line that is shown. */
  add(line: string): void {
    this.#shown.push(line);
    this.#length += line.length;
    if (this.#shown.length > MAX_LINES || this.#length > MAX_LENGTH) {
      this.#forget();
    }
  }

  /** Whether no line was shown. */
  get isEmpty(): boolean {
    return this.#shown.length === 0;
  }

  /** Returns the lines of a replay that were not shown. */
  news(replay: readonly string[]): string[] {
    const shown = this.#shown;
    // The replay has the last lines that were shown, and then the new ones.
    for (let end = replay.length; end > 0; end--) {
      const length = Math.min(end, shown.length);
      let same = 0;
      while (
        same < length &&
        replay[end - 1 - same] === shown[shown.length - 1 - same]
      ) same++;
      if (same === length) return replay.slice(end);
    }
    return [...replay];
  }

  /** Forgets the older half of the lines. */
  #forget(): void {
    this.#shown.splice(0, Math.ceil(this.#shown.length / 2));
    this.#length = this.#shown.reduce((sum, { length }) => sum + length, 0);
  }
}
