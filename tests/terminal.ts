/** Runs netcat.ts in a terminal of tmux. */

import { assert, assertEquals } from "@std/assert";

/** Maximum time to wait for the screen to change, in milliseconds. */
const PATIENCE = 30_000;
/** Time between two looks at the screen, in milliseconds. */
const POLL = 20;

/** A note in the names of tests that are ignored. */
const missing = await tmuxIsMissing() ? " (not run: tmux is missing)" : "";

async function tmuxIsMissing(): Promise<boolean> {
  try {
    await new Deno.Command("tmux", { args: ["-V"] }).output();
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

/** Registers a test that needs a terminal. It is ignored without tmux. */
export function terminalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: `netcat.ts in a terminal: ${name}${missing}`,
    ignore: missing !== "",
    fn,
  });
}

/** Options for a run of netcat.ts in a terminal. */
export interface TerminalOptions {
  /** More flags for Deno. */
  flags?: string[];
  columns?: number;
  rows?: number;
  env?: Record<string, string>;
}

/** A terminal that runs netcat.ts and then a shell. */
export class Terminal implements AsyncDisposable {
  private constructor(readonly directory: string) {}

  static async open(
    args: string[],
    { flags = [], columns = 60, rows = 20, env = {} }: TerminalOptions = {},
  ): Promise<Terminal> {
    const terminal = new Terminal(await Deno.makeTempDir());
    const script = `
      trap : INT QUIT
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
          // tmux is not a child process, so it watches for the end of the tests.
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

  /** Waits for the editor. Before that, the terminal handles the keys. */
  async #ready(): Promise<void> {
    const tty = await this.#tmux(["display-message", "-p", "#{pane_tty}"]);
    const isReady = await poll(async () => {
      const { stdout } = await new Deno.Command("stty", {
        args: ["-a", "-F", tty.trim()],
      }).output();
      return /-icanon/.test(new TextDecoder().decode(stdout));
    });
    assert(
      isReady,
      `netcat.ts does not start:\n${(await this.screen()).join("\n")}`,
    );
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

  /** Presses keys. They have the names of tmux: `Enter`, `Left`, `C-d`. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux(["send-keys", ...keys]);
  }

  async type(text: string): Promise<void> {
    await this.#tmux(["send-keys", "-l", text]);
  }

  /** Pastes like a terminal that does not mark pastes. */
  async paste(text: string): Promise<void> {
    await this.#tmux(["load-buffer", "-", ";", "paste-buffer"], {
      stdin: text,
    });
  }

  /** Pastes like a terminal that marks pastes if the program enables it. */
  async pasteMarked(text: string): Promise<void> {
    await this.#tmux(["load-buffer", "-", ";", "paste-buffer", "-p"], {
      stdin: text,
    });
  }

  /** Stops the terminal until the returned function is called. */
  async freeze(): Promise<() => void> {
    const pid = Number(await this.#tmux(["display-message", "-p", "#{pid}"]));
    Deno.kill(pid, "SIGSTOP");
    return () => Deno.kill(pid, "SIGCONT");
  }

  /** Returns the title of the window. */
  async title(): Promise<string> {
    const title = await this.#tmux(["display-message", "-p", "#{pane_title}"]);
    return title.trimEnd();
  }

  /** Waits until the window has a title. */
  async showsTitle(title: string): Promise<void> {
    await poll(async () => await this.title() === title);
    assertEquals(await this.title(), title);
  }

  /**
   * Changes the size, and waits until the editor has redrawn its line. There must be
   * no pending output before the call.
   */
  async resize(columns: number, rows: number): Promise<void> {
    const { length } = await this.output(() => true);
    await this.#tmux(["resize-window", "-x", `${columns}`, "-y", `${rows}`]);
    await this.output((output) =>
      // deno-lint-ignore no-control-regex
      /\x1b\[0J[^]*\x1b\[\d+G$/.test(output.slice(length))
    );
  }

  /** Returns the rows of the screen without empty rows and spaces at the end. */
  async screen(): Promise<string[]> {
    return rowsOf(await this.#tmux(["capture-pane", "-p"]));
  }

  /** Returns the screen with the escape sequences of styles. */
  async styledScreen(): Promise<string> {
    return await this.#tmux(["capture-pane", "-p", "-e"]);
  }

  /** Returns the rows of the screen and the rows that have scrolled away. */
  async scrollback(): Promise<string[]> {
    const rows = rowsOf(await this.#tmux(["capture-pane", "-p", "-S", "-"]));
    // tmux keeps the empty rows of a screen that was cleared.
    return rows.slice(rows.findIndex((row) => row !== ""));
  }

  /** Returns the column of the cursor and its row, both from 0. */
  async cursor(): Promise<number[]> {
    const answer = await this.#tmux(
      ["display-message", "-p", "#{cursor_x},#{cursor_y}"],
    );
    return answer.split(",").map(Number);
  }

  /** Waits until the screen meets a condition, and returns it. */
  async until(
    isExpected: (screen: string[]) => boolean | undefined,
  ): Promise<string[]> {
    let screen: string[] = [];
    const isDone = await poll(async () => {
      screen = await this.screen();
      return isExpected(screen) === true;
    });
    assert(isDone, `Not ${isExpected}:\n${screen.join("\n")}`);
    return screen;
  }

  /** Waits until the screen has exactly these rows. */
  async shows(rows: string[]): Promise<void> {
    const expected = rows.join("\n");
    await poll(async () => (await this.screen()).join("\n") === expected);
    assertEquals(await this.screen(), rows);
  }

  /** Waits until these are the last rows. */
  async showsLast(rows: string[]): Promise<void> {
    const expected = rows.join("\n");
    const last = async () => (await this.scrollback()).slice(-rows.length);
    await poll(async () => (await last()).join("\n") === expected);
    assertEquals(await last(), rows);
  }

  /** Waits until the screen has a row. */
  async showsRow(row: string): Promise<string[]> {
    return await this.until((screen) => screen.includes(row));
  }

  /** Waits until the bytes for the terminal meet a condition, and returns them. */
  async output(isAll: (output: string) => boolean): Promise<string> {
    let output = "";
    const isDone = await poll(async () => {
      // tmux creates the file with the first output.
      output = await Deno.readTextFile(`${this.directory}/output`)
        .catch(() => "");
      return isAll(output);
    });
    assert(isDone, `Not ${isAll}:\n${JSON.stringify(output)}`);
    return output;
  }

  /** Returns the process id of netcat.ts. */
  async pid(): Promise<number> {
    return Number(await Deno.readTextFile(`${this.directory}/pid`));
  }

  /** Returns the peak memory of netcat.ts in kB. */
  async peakMemory(): Promise<number> {
    const { stdout } = await new Deno.Command("grep", {
      args: ["VmHWM", `/proc/${await this.pid()}/status`],
    }).output();
    return Number(/(\d+) kB/.exec(new TextDecoder().decode(stdout))?.[1]);
  }

  /** Waits for the exit code, and asserts that the terminal is restored. */
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
      "1\n", // The cursor is visible.
    );
    await this.type("echo $((6 * 7))");
    await this.press("Enter");
    await this.shows([...screen.slice(0, -1), "$ echo $((6 * 7))", "42", "$"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux(["kill-server"]);
    // The shell and `cat` may still write to the directory.
    await poll(() =>
      Deno.remove(this.directory, { recursive: true })
        .then(() => true, () => false)
    );
  }
}

function rowsOf(capture: string): string[] {
  return capture.trimEnd().split("\n").map((row) => row.trimEnd());
}

/** Waits until a condition holds. Returns false if that takes too long. */
async function poll(isDone: () => Promise<boolean>): Promise<boolean> {
  for (const deadline = Date.now() + PATIENCE; Date.now() < deadline;) {
    if (await isDone()) return true;
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  return false;
}
