/** A NATS server for tests and benchmarks, as a process. */

/** The program. Debian has it in /usr/sbin. */
const PROGRAM = await findProgram("nats-server", "/usr/sbin/nats-server");

/** Whether there is no NATS server here, and the words that say so in the name of a test. */
export const NATS_MISSING = PROGRAM === undefined;
export const NOT_RUN = NATS_MISSING ? " (not run: no nats-server)" : "";

/** Returns the first of some programs that is installed. */
export async function findProgram(
  ...names: string[]
): Promise<string | undefined> {
  for (const name of names) {
    const command = new Deno.Command(name, {
      args: ["-v"],
      stdout: "null",
      stderr: "null",
    });
    const isFound = await command.output().then(() => true, () => false);
    if (isFound) return name;
  }
}

/** Returns a port of this machine that is free at the moment. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A NATS server that can be stopped and started again on its port and its files. */
export class NatsServer implements AsyncDisposable {
  readonly port = freePort();
  readonly directory = Deno.makeTempDirSync();
  #child?: Deno.ChildProcess;

  private constructor(readonly config: string) {}

  /** Starts a server, with further lines of its configuration. */
  static async start(config = ""): Promise<NatsServer> {
    const server = new NatsServer(config);
    await server.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const file = `${this.directory}/nats.conf`;
    await Deno.writeTextFile(
      file,
      `listen: "127.0.0.1:${this.port}"
jetstream: { store_dir: "${this.directory}" }
${this.config}
`,
    );
    this.#child = new Deno.Command(PROGRAM!, {
      args: ["-c", file],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const lines = this.#child.stderr.pipeThrough(new TextDecoderStream());
    const ready = Promise.withResolvers<void>();
    let text = "";
    const read = async () => {
      for await (const part of lines) {
        text += part;
        if (text.includes("Server is ready")) ready.resolve();
      }
      ready.reject(new Error(`Cannot start nats-server: ${text}`));
    };
    void read();
    await ready.promise;
  }

  kill(signal: Deno.Signal): void {
    this.#child!.kill(signal);
  }

  async stop(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    try {
      this.kill("SIGCONT");
      this.kill(signal);
    } catch {
      // It has ended.
    }
    await this.#child!.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.directory, { recursive: true });
  }
}
