// Copyright 2026 the linechat authors. MIT license.

/** Maximum number of lines that are remembered, and of their characters. */
const MAX_SHOWN = { lines: 10_000, length: 256 * 1024 };

/** Maximum number of characters of a replay. A server keeps 64 KiB of history. */
const MAX_REPLAY = 1024 * 1024;

/**
 * Receives the history that a server replays. After a reconnect, it finds the lines
 * that were not shown before.
 */
export class Replay {
  /** The last lines that were shown, the newest last. */
  #shown: string[] = [];
  #shownLength = 0;
  /** The lines of the replay so far. */
  #received: string[] = [];
  #receivedLength = 0;
  /** The number of lines that have yet to come. */
  #left = 0;
  #isCompared = false;

  /** Whether more lines of the replay follow. */
  get isActive(): boolean {
    return this.#left > 0;
  }

  /** Whether the replay is compared with the lines that were shown before. */
  get isCompared(): boolean {
    return this.#isCompared;
  }

  /** Starts a replay. */
  start(count: number): void {
    this.reset();
    this.#left = count;
    this.#isCompared = this.#shown.length > 0;
  }

  /** Ends a replay. Incomplete, it has no effect. */
  reset(): void {
    this.#left = 0;
    this.#received = [];
    this.#receivedLength = 0;
  }

  /**
   * Receives a line of the replay. Returns the lines to show: a replay that is compared
   * returns all of them after its last line.
   */
  receive(line: string): string[] {
    this.#left--;
    if (!this.#isCompared) {
      this.add(line);
      return [line];
    }
    this.#received.push(line);
    this.#receivedLength += line.length;
    if (this.#receivedLength > MAX_REPLAY) this.#left = 0;
    if (this.isActive) return [];
    const lines = this.#newLines();
    this.reset();
    for (const line of lines) this.add(line);
    return lines;
  }

  /** Remembers a line that is shown. */
  add(line: string): void {
    this.#shown.push(line);
    this.#shownLength += line.length;
    const { lines, length } = MAX_SHOWN;
    if (this.#shown.length > lines || this.#shownLength > length) {
      this.#forget();
    }
  }

  /** Returns the lines after the last one that was shown. */
  #newLines(): string[] {
    const [received, shown] = [this.#received, this.#shown];
    // The replay starts with lines that were shown last, and continues with new ones.
    for (let end = received.length; end > 0; end--) {
      const length = Math.min(end, shown.length);
      let same = 0;
      while (
        same < length &&
        received[end - 1 - same] === shown[shown.length - 1 - same]
      ) same++;
      if (same === length) return received.slice(end);
    }
    return received;
  }

  /** Forgets the older half of the lines. */
  #forget(): void {
    this.#shown.splice(0, Math.ceil(this.#shown.length / 2));
    this.#shownLength = this.#shown.reduce(
      (sum, { length }) => sum + length,
      0,
    );
  }
}
