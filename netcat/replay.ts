// Copyright 2026 the linechat authors. MIT license.

/** The most lines that are remembered, and compared with a replay. */
const MAX_SEEN = 1_000;

/**
 * Finds the new lines in the history that a server replays after a reconnect.
 */
export class Replay {
  /** The last lines of the room that the user has seen, the newest last. */
  #seen: string[] = [];

  /** Remembers a line that the user has seen. */
  add(line: string): void {
    this.#seen.push(line);
    if (this.#seen.length >= 2 * MAX_SEEN) {
      this.#seen = this.#seen.slice(-MAX_SEEN);
    }
  }

  /** Whether any line was seen. */
  get isEmpty(): boolean {
    return this.#seen.length === 0;
  }

  /** Returns the lines of a replay that the user has not seen. */
  news(replay: readonly string[]): string[] {
    const seen = this.#seen.slice(-MAX_SEEN);
    for (let end = replay.length; end > 0; end--) {
      const length = Math.min(end, seen.length);
      let same = 0;
      while (
        same < length && replay[end - 1 - same] === seen[seen.length - 1 - same]
      ) same++;
      if (same === length) return replay.slice(end);
    }
    return [...replay];
  }
}
