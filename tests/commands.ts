/** Runs the commands of this project as processes, for tests. */

const encoder = new TextEncoder();

/** Whether this system has the signals, pipes and file modes of Unix. */
export const UNIX = Deno.build.os !== "windows";

/** Registers a test that needs Unix. */
export function unixTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !UNIX, fn });
}

/** Registers a test that needs a device or a setting of Linux. */
export function linuxTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: Deno.build.os !== "linux", fn });
}

/** Options of {@linkcode Command}. */
export interface CommandOptions {
  /** A program to run instead of the script with Deno. */
  binary?: string;
  /** The permissions of the script. @default {["-N"]} */
  permissions?: string[];
  /** The value of the variable `LANG`. @default {"en_US.UTF-8"} */
  lang?: string;
  /** Whether to close the pipe of stderr at the start. */
  stderrClosed?: boolean;
}

/** A process of a command. It is killed at the end of its scope. */
export class Command implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  /** A reader without a pipe, which would read ahead: see `closeStdout`. */
  readonly #stdout: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #decoder = new TextDecoder();
  #text = "";
  /** The whole of stderr. It is always read, since a full pipe would block the command. */
  readonly #stderr: Promise<string>;
  #errors = "";
  #onErrors = () => {};

  constructor(
    script: "server.ts" | "netcat.ts",
    args: string[] = [],
    {
      binary,
      permissions = ["-N"],
      lang = "en_US.UTF-8",
      stderrClosed = false,
    }: CommandOptions = {},
  ) {
    const env = Deno.env.toObject();
    // These variables override LANG.
    for (const name of ["LC_ALL", "LC_MESSAGES", "LANGUAGE"]) delete env[name];
    this.#child = new Deno.Command(binary ?? Deno.execPath(), {
      args: binary === undefined
        ? ["run", "--no-prompt", ...permissions, script, ...args]
        : args,
      cwd: new URL("..", import.meta.url),
      clearEnv: true,
      env: { ...env, LANG: lang },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#stdout = this.#child.stdout.getReader();
    this.#stderr = stderrClosed
      ? this.#child.stderr.cancel().then(() => "")
      : this.#readErrors();
  }

  get pid(): number {
    return this.#child.pid;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for the exit code. */
  async code(): Promise<number> {
    return (await this.#child.status).code;
  }

  async write(data: string | Uint8Array): Promise<void> {
    await this.#stdin.write(
      typeof data === "string" ? encoder.encode(data) : data,
    );
  }

  async closeStdin(): Promise<void> {
    await this.#stdin.close();
  }

  /** Reads the next line of stdout. Returns undefined at its end. */
  async line(): Promise<string | undefined> {
    let end;
    while ((end = this.#text.indexOf("\n")) < 0) {
      const { value } = await this.#stdout.read();
      if (value === undefined) return this.#text || undefined;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line;
  }

  /** Reads the rest of stdout. */
  async stdout(): Promise<Uint8Array<ArrayBuffer>> {
    const chunks = [];
    for (let chunk; (chunk = (await this.#stdout.read()).value);) {
      chunks.push(chunk);
    }
    return new Blob(chunks).bytes();
  }

  /** Closes the pipe of stdout. No read may be pending, since that keeps the pipe open. */
  async closeStdout(): Promise<void> {
    await this.#stdout.cancel();
  }

  async #readErrors(): Promise<string> {
    const decoder = new TextDecoderStream();
    for await (const text of this.#child.stderr.pipeThrough(decoder)) {
      this.#errors += text;
      this.#onErrors();
    }
    return this.#errors;
  }

  /** Waits until stderr has a line that matches. */
  async logs(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#errors)) {
      await new Promise<void>((resolve) => this.#onErrors = resolve);
    }
  }

  /** Waits for the end of stderr, and returns all of it. */
  stderr(): Promise<string> {
    return this.#stderr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill("SIGKILL");
    } catch {
      // The process has ended.
    }
    await Promise.allSettled([
      this.#child.status,
      this.#stdin.abort(),
      this.closeStdout(),
      this.#stderr,
    ]);
  }
}

/** A process of the server, and the address that it listens on. */
export type Server = Command & { readonly addr: Deno.NetAddr };

/** Starts a server on a free port, and waits until it listens. */
export async function startServer(
  args: string[] = [],
  options?: CommandOptions,
): Promise<Server> {
  const server = new Command(
    "server.ts",
    ["--hostname", "127.0.0.1", "--port", "0", ...args],
    options,
  );
  try {
    return Object.assign(server, { addr: await addressOf(server) });
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** Starts a server from bash. The script runs it as `"$@"`. */
export function startInBash(
  script: string,
  args: string[],
  permissions: string[] = ["-N"],
): Command {
  const deno = [Deno.execPath(), "run", "--no-prompt", ...permissions];
  return new Command(
    "server.ts",
    ["-c", script, "bash", ...deno, "server.ts", ...args],
    { binary: "bash" },
  );
}

/** Waits until a server listens. Returns the address in the next line of stdout. */
export async function addressOf(server: Command): Promise<Deno.NetAddr> {
  const line = await server.line();
  const [, host, port] = /(\S+):(\d+)(?: \(TLS\))?$/.exec(line ?? "") ?? [];
  if (host === undefined) {
    throw new Error(`Cannot start a server: ${line ?? await server.stderr()}`);
  }
  const hostname = host.replace(/^\[(.+)\]$/, "$1");
  return { transport: "tcp", hostname, port: Number(port) };
}
