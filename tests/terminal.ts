/** netcat.ts in a real terminal: tmux is the terminal, and tells what is on it. */

import { assert, assertEquals } from "@std/assert";

/** For what never comes to be on the screen, in milliseconds. */
const PATIENCE = 30_000;
/** tmux tells of no change by itself: it is asked so often, in milliseconds. */
const POLL = 20;

/** Why there can be no terminal here, if there can be none. */
const missing = await tmuxIsMissing()
  ? " (not run: there is no tmux here)"
  : "";

async function tmuxIsMissing(): Promise<boolean> {
  try {
    await new Deno.Command("tmux", { args: ["-V"] }).output();
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

/** A test that needs a terminal; its name says so where there is none. */
export function terminalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: `netcat.ts in a terminal: ${name}${missing}`,
    ignore: missing !== "",
    fn,
  });
}

/** How netcat.ts is run in the terminal. */
export interface TerminalOptions {
  /** What else Deno is told. */
  flags?: string[];
  columns?: number;
  rows?: number;
  env?: Record<string, string>;
}

/** A terminal in which netcat.ts runs, and a shell when that has ended. */
export class Terminal implements AsyncDisposable {
  private constructor(readonly directory: string) {}

  static async open(
    args: string[],
    { flags = [], columns = 60, rows = 20, env = {} }: TerminalOptions = {},
  ): Promise<Terminal> {
    const terminal = new Terminal(await Deno.makeTempDir());
    const script = `
      stty -a >"$0/before"
      sh -c 'echo $$ >"$0/pid"; exec "$@"' "$0" "$@"
      echo "exit code $?"
      stty -a >"$0/after"
      PS1='$ ' exec sh`;
    const netcat = [Deno.execPath(), "run", "-N", ...flags, "netcat.ts"];
    const variables = { ...Deno.env.toObject(), LC_ALL: "C.UTF-8", ...env };
    for (const name of ["NO_COLOR", "TMUX"]) {
      if (!(name in env)) delete (variables as Record<string, string>)[name];
    }
    try {
      await terminal.#tmux(
        // deno-fmt-ignore
        [
          "-f", "/dev/null", "new-session", "-d", "-x", `${columns}`, "-y", `${rows}`,
          "sh", "-c", script, terminal.directory, ...netcat, ...args, ";",
          "pipe-pane", `cat >'${terminal.directory}/output'`, ";",
          // Its server is nobody's child: it has to see for itself if we are killed.
          "run-shell", "-b", `while kill -0 ${Deno.pid}; do sleep 1; done
            tmux -S '${terminal.directory}/socket' kill-server`,
        ],
        { env: variables },
      );
      await terminal.#ready();
    } catch (error) {
      await terminal[Symbol.asyncDispose]().catch(() => {});
      throw error;
    }
    return terminal;
  }

  /** Waits for the editor: what is typed earlier, the terminal may take itself. */
  async #ready(): Promise<void> {
    const tty = await this.#tmux(["display-message", "-p", "#{pane_tty}"]);
    const isReady = await poll(async () => {
      const { stdout } = await new Deno.Command("stty", {
        args: ["-a", "-F", tty.trim()],
      }).output();
      return /-icanon/.test(new TextDecoder().decode(stdout));
    });
    assert(isReady, `It does not start:\n${(await this.screen()).join("\n")}`);
  }

  async #tmux(
    args: string[],
    { env, stdin }: { env?: Record<string, string>; stdin?: string } = {},
  ): Promise<string> {
    const child = new Deno.Command("tmux", {
      args: ["-u", "-S", `${this.directory}/socket`, ...args],
      cwd: new URL("..", import.meta.url),
      clearEnv: env !== undefined,
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    if (stdin !== undefined) {
      await writer.write(new TextEncoder().encode(stdin));
    }
    await writer.close();
    const { success, stdout, stderr } = await child.output();
    assert(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  }

  /** Presses keys, by their names in tmux: `Enter`, `Left`, `C-d`. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux(["send-keys", ...keys]);
  }

  async type(text: string): Promise<void> {
    await this.#tmux(["send-keys", "-l", text]);
  }

  /** Pastes, as with a mouse. */
  async paste(text: string): Promise<void> {
    await this.#tmux(["load-buffer", "-", ";", "paste-buffer"], {
      stdin: text,
    });
  }

  /**
   * Changes the size, and waits until the editor has drawn its line for it; or it
   * might be asked to draw for a size that is the last but one. All that it has
   * drawn before must be in the output.
   */
  async resize(columns: number, rows: number): Promise<void> {
    const { length } = await this.output(() => true);
    await this.#tmux(["resize-window", "-x", `${columns}`, "-y", `${rows}`]);
    await this.output((output) =>
      // deno-lint-ignore no-control-regex
      /\x1b\[0J[^]*\x1b\[\d+G$/.test(output.slice(length))
    );
  }

  /** The rows that are not empty at the end, without the spaces at theirs. */
  async screen(): Promise<string[]> {
    return rowsOf(await this.#tmux(["capture-pane", "-p"]));
  }

  /** The same, with what has scrolled away, and with the escapes of colours. */
  async styledScreen(): Promise<string> {
    return await this.#tmux(["capture-pane", "-p", "-e"]);
  }

  /** The same, with the lines that have scrolled away. */
  async scrollback(): Promise<string[]> {
    const rows = rowsOf(await this.#tmux(["capture-pane", "-p", "-S", "-"]));
    // An empty screen that is cleared is kept by tmux.
    return rows.slice(rows.findIndex((row) => row !== ""));
  }

  /** The column of the cursor, from 0, and its row. */
  async cursor(): Promise<number[]> {
    const answer = await this.#tmux(
      ["display-message", "-p", "#{cursor_x},#{cursor_y}"],
    );
    return answer.split(",").map(Number);
  }

  /** Waits until the screen is as it should be, and returns it. */
  async until(isAsExpected: (screen: string[]) => boolean): Promise<string[]> {
    let screen: string[] = [];
    const isSo = await poll(async () => {
      screen = await this.screen();
      return isAsExpected(screen);
    });
    assert(isSo, `Not ${isAsExpected}:\n${screen.join("\n")}`);
    return screen;
  }

  /** Waits until the screen is just so. */
  async shows(rows: string[]): Promise<void> {
    const expected = rows.join("\n");
    await poll(async () => (await this.screen()).join("\n") === expected);
    assertEquals(await this.screen(), rows);
  }

  /** The same for the last rows, where above them there may be more. */
  async showsLast(rows: string[]): Promise<void> {
    const expected = rows.join("\n");
    const last = async () => (await this.scrollback()).slice(-rows.length);
    await poll(async () => (await last()).join("\n") === expected);
    assertEquals(await last(), rows);
  }

  /** Waits until a row is just so. */
  async showsRow(row: string): Promise<string[]> {
    return await this.until((screen) => screen.includes(row));
  }

  /** All that the terminal has got; waits until it is all that is expected. */
  async output(isAll: (output: string) => boolean): Promise<string> {
    let output = "";
    const isSo = await poll(async () => {
      output = await Deno.readTextFile(`${this.directory}/output`);
      return isAll(output);
    });
    assert(isSo, `Not ${isAll}:\n${JSON.stringify(output)}`);
    return output;
  }

  /** The netcat's process. */
  async pid(): Promise<number> {
    return Number(await Deno.readTextFile(`${this.directory}/pid`));
  }

  /** The most memory that the netcat has had so far, in kB. */
  async peakMemory(): Promise<number> {
    const { stdout } = await new Deno.Command("grep", {
      args: ["VmHWM", `/proc/${await this.pid()}/status`],
    }).output();
    return Number(/(\d+) kB/.exec(new TextDecoder().decode(stdout))?.[1]);
  }

  /** Waits until the netcat has ended, and asserts that a shell can follow. */
  async assertEnds(code: number): Promise<void> {
    const row = `exit code ${code}`;
    const screen = await this.until((screen) => screen.at(-1) === "$");
    assertEquals(screen.at(-2), row);
    const [before, after] = await Promise.all(
      ["before", "after"].map((name) =>
        Deno.readTextFile(`${this.directory}/${name}`)
          .then((settings) => settings.replace(/rows \d+; columns \d+/, ""))
      ),
    );
    assertEquals(after, before);
    assertEquals(
      await this.#tmux(["display-message", "-p", "#{cursor_flag}"]),
      "1\n", // It is to be seen.
    );
    await this.type("echo $((6 * 7))");
    await this.press("Enter");
    await this.shows([...screen.slice(0, -1), "$ echo $((6 * 7))", "42", "$"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux(["kill-server"]);
    await Deno.remove(this.directory, { recursive: true });
  }
}

function rowsOf(capture: string): string[] {
  return capture.trimEnd().split("\n").map((row) => row.trimEnd());
}

/** Asks until it is so; not so for too long, it is not. */
async function poll(isSo: () => Promise<boolean>): Promise<boolean> {
  for (const deadline = Date.now() + PATIENCE; Date.now() < deadline;) {
    if (await isSo()) return true;
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  return false;
}
