// Copyright 2026 the linechat authors. MIT license.

/**
 * Passes on the output of the room at a pace that leaves the page responsive. A browser
 * cannot slow down the server, so the inbox skips messages that come too fast.
 */
export class Inbox {
  /** Maximum number of lines that are shown at once. */
  static readonly maxLines = 200;
  #text = "";
  #timer?: ReturnType<typeof setTimeout>;
  /** The pause before the next lines, in milliseconds. */
  #pause = 0;

  constructor(
    /** Handles lines in their order, and the number of the lines skipped before them. */
    readonly handle: (lines: string[], skipped: number) => void,
  ) {}

  /** Adds complete lines. */
  push(text: string): void {
    this.#text += text;
    this.#timer ??= setTimeout(() => this.flush(), this.#pause);
  }

  /** Handles what there is. Takes a fifth of the time at most. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const text = this.#text;
    this.#text = "";
    if (text === "") return;
    const start = performance.now();
    let kept = text.length;
    for (let count = 0; count < Inbox.maxLines && kept > 0; count++) {
      kept = text.lastIndexOf("\n", kept - 2) + 1;
    }
    const [important, skipped] = this.#skip(text.slice(0, kept));
    const lines = text.slice(kept, -1).split("\n");
    this.handle([...important, ...lines], skipped);
    this.#pause = Math.min(1000, 4 * (performance.now() - start));
  }

  /** Returns the lines that are not messages, and the number of messages. */
  #skip(text: string): [string[], number] {
    if (text === "") return [[], 0];
    const important =
      text.match(/^(?:(?!\* )\S*[^\s:](?: .*)?|\S+（私聊）: .*)$/gm) ??
        [];
    return [important, text.split("\n").length - 1 - important.length];
  }
}
