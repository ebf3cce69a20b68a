// Copyright 2026 the linechat authors. MIT license.

/** Maximum number of lines that are kept. */
const MAX_LINES = 1_000;

/** Matches a command whose text is not private. Other commands are not kept. */
const PUBLIC =
  /^\/(?:\/|(?:clear|help|ignore|me|names|quit|reconnect|unignore|who)\b)|^\/nick\s+\S+\s*$/i;

/** Keeps the entered lines in a file that only the user can read. */
export class HistoryFile {
  readonly #path: string;
  /** The lines of earlier runs, the newest first. */
  readonly lines: string[];

  /** Opens the file, or creates it. */
  constructor(path: string) {
    this.#path = path;
    this.lines = this.#load();
  }

  /** Adds a line, unless it is private or can contain a secret. */
  add(line: string): void {
    if (line.trim() === "" || line.startsWith("/") && !PUBLIC.test(line)) {
      return;
    }
    Deno.writeTextFileSync(this.#path, `${line}\n`, { append: true });
  }

  /** Reads the lines of earlier runs, and removes surplus lines from the file. */
  #load(): string[] {
    Deno.openSync(this.#path, { create: true, append: true, mode: 0o600 })
      .close();
    // The mode in `openSync` has no effect on a file that exists.
    if (Deno.build.os !== "windows") Deno.chmodSync(this.#path, 0o600);
    const lines = Deno.readTextFileSync(this.#path).split("\n")
      .filter((line) => line !== "");
    const kept = lines.slice(-MAX_LINES);
    if (kept.length < lines.length) {
      Deno.writeTextFileSync(this.#path, `${kept.join("\n")}\n`);
    }
    return kept.reverse();
  }
}
