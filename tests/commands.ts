/** What the tests of the command lines have in common: the commands as processes. */

const encoder = new TextEncoder();

/** Signals are what they are only there. */
export const UNIX = Deno.build.os !== "windows";

/** How a command is run. */
export interface CommandOptions {
  /** The script as a binary, to be run instead. */
  binary?: string;
  /** What Deno allows it. @default {["-N"]} */
  permissions?: string[];
  /** The system's language, as `LANG` has it. @default {"en_US.UTF-8"} */
  lang?: string;
  /** Closes the pipe that its stderr is, as it starts. */
  stderrClosed?: boolean;
}

/** A command of this project as a process, which ends with its scope. */
export class Command implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  /** Not piped through anything, which would read ahead: see `closeStdout`. */
  readonly #stdout: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #decoder = new TextDecoder();
  #text = "";
  /** Read all the time, or a command that logs much would wait. */
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
    // What goes before LANG, where it is set.
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

  /** The exit code, once there is one. */
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

  /** The next line on stdout, or nothing where there are no more. */
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

  /** All of stdout, up to its end. */
  async stdout(): Promise<Uint8Array<ArrayBuffer>> {
    const chunks = [];
    for (let chunk; (chunk = (await this.#stdout.read()).value);) {
      chunks.push(chunk);
    }
    return new Blob(chunks).bytes();
  }

  /** Closes the pipe; a read under way would hold it open until something comes. */
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
  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#errors)) {
      await new Promise<void>((resolve) => this.#onErrors = resolve);
    }
  }

  /** All of stderr, up to its end. */
  stderr(): Promise<string> {
    return this.#stderr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await Promise.allSettled([
      this.#child.status,
      this.#stdin.abort(),
      this.closeStdout(),
      this.#stderr,
    ]);
  }
}

/** A command that is a server, and where it listens. */
export type Server = Command & { readonly addr: Deno.NetAddr };

/** Starts a server on a free port, and waits until it says where it listens. */
export async function startServer(
  args: string[] = [],
  options?: CommandOptions,
): Promise<Server> {
  const server = new Command(
    "server.ts",
    ["--hostname", "127.0.0.1", "--port", "0", ...args],
    options,
  );
  const line = await server.line();
  const [, host, port] = /(\S+):(\d+)$/.exec(line ?? "") ?? [];
  if (host === undefined) {
    const stderr = line ?? await server.stderr();
    await server[Symbol.asyncDispose]();
    throw new Error(`Cannot start a server: ${stderr}`);
  }
  const hostname = host.replace(/^\[(.+)\]$/, "$1");
  return Object.assign(server, {
    addr: { transport: "tcp", hostname, port: Number(port) } as const,
  });
}
