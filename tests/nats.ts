/** NATS servers for tests and benchmarks, as processes. */

import { setTimeout as delay } from "node:timers/promises";
import { CLIENT_MODULES } from "../server/nats.ts";

/** The installed program. Debian has it in /usr/sbin. */
const PROGRAM = await findProgram("nats-server", "/usr/sbin/nats-server");

/** Whether there is no NATS server here, and the words that say so in the name of a test. */
export const NATS_MISSING = PROGRAM === undefined;
export const NOT_RUN = NATS_MISSING ? " (not run: no nats-server)" : "";

const IS_OLD = PROGRAM !== undefined &&
  / v2\.\d\./.test(await versionOf(PROGRAM));

/** The installed program, if it is older than 2.10. */
export const OLD_NATS = IS_OLD ? PROGRAM : undefined;

/** A program of version 2.10 or later, if there is one: it keeps replicas equal. */
export const RECENT_NATS = Deno.env.get("NATS_SERVER_2_10") ??
  (IS_OLD ? undefined : PROGRAM);

async function versionOf(program: string): Promise<string> {
  const command = new Deno.Command(program, { args: ["-v"] });
  return new TextDecoder().decode((await command.output()).stdout);
}

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

type JetStream = typeof import("npm:@nats-io/jetstream@3.4.0");
type Streams = Awaited<ReturnType<JetStream["jetstreamManager"]>>["streams"];

/** Manages the streams of a NATS server, as an operator does. */
export async function manageStreams(
  url: string,
  manage: (streams: Streams) => Promise<unknown>,
): Promise<void> {
  const { connect }: typeof import("npm:@nats-io/transport-node@3.4.0") =
    await import(CLIENT_MODULES[0]);
  const { jetstreamManager }: JetStream = await import(CLIENT_MODULES[1]);
  const nc = await connect({ servers: url });
  try {
    const options = { checkAPI: false, timeout: 1_000 };
    await manage((await jetstreamManager(nc, options)).streams);
  } finally {
    await nc.close();
  }
}

/** A NATS server that can be stopped and started again on its port and its files. */
export class NatsServer implements AsyncDisposable {
  readonly port = freePort();
  readonly directory = Deno.makeTempDirSync();
  #child?: Deno.ChildProcess;

  private constructor(public config: string, readonly program: string) {}

  /** Starts a server, with further lines of its configuration. */
  static async start(config = "", program = PROGRAM!): Promise<NatsServer> {
    const server = new NatsServer(config, program);
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
    this.#child = new Deno.Command(this.program, {
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

/** Three NATS servers that keep the replicas of a stream. */
export class NatsCluster implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly nodes: NatsServer[] = [];
  /** The ports of the servers for monitoring. */
  readonly #monitors: number[] = [];

  private constructor() {}

  static async start(program: string): Promise<NatsCluster> {
    // Servers that start together do not always find each other.
    for (let attempts = 3;; attempts--) {
      const cluster = new NatsCluster();
      try {
        await cluster.#start(program);
        return cluster;
      } catch (error) {
        await cluster[Symbol.asyncDispose]();
        if (attempts === 1) throw error;
      }
    }
  }

  async #start(program: string): Promise<void> {
    const ports = [freePort(), freePort(), freePort()];
    const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`);
    for (const [i, port] of ports.entries()) {
      const monitor = freePort();
      const config = `server_name: n${i}
http: "127.0.0.1:${monitor}"
cluster { name: c, listen: "127.0.0.1:${port}", routes: [${routes}] }`;
      const node = await NatsServer.start(config, program);
      this.nodes.push(this.#stack.use(node));
      this.#monitors.push(monitor);
    }
    await this.makeStream("probe", ["probe"]);
  }

  /** Makes a stream with three replicas, when the servers are ready for that. */
  async makeStream(name: string, subjects: string[]): Promise<void> {
    const end = performance.now() + 10_000;
    await manageStreams(this.nodes[0].url, async (streams) => {
      for (;;) {
        try {
          return await streams.add({ name, subjects, num_replicas: 3 });
        } catch (error) {
          if (performance.now() > end) throw error;
          await delay(100);
        }
      }
    });
  }

  /** Returns the server that leads the stream of a room. */
  async leader(): Promise<NatsServer> {
    for (;;) {
      const name = streamOf(await this.#status(0))?.cluster.leader;
      const node = this.nodes[Number(name?.slice(1))];
      if (node !== undefined) return node;
      await delay(50);
    }
  }

  /** Returns the servers that send the messages of the stream to chat servers. */
  async senders(): Promise<NatsServer[]> {
    const streams = await Promise.all(
      this.nodes.map(async (_, i) => streamOf(await this.#status(i))),
    );
    return this.nodes.filter((_, i) => streams[i]?.consumer_detail?.length);
  }

  /** Returns the status of JetStream on a server. */
  async #status(node: number): Promise<JetStreamStatus> {
    const origin = `http://127.0.0.1:${this.#monitors[node]}`;
    return await (await fetch(`${origin}/jsz?consumers=true`)).json();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** The parts of the status of JetStream that the tests read. */
interface JetStreamStatus {
  account_details?: { stream_detail?: StreamStatus[] }[];
}

interface StreamStatus {
  name: string;
  cluster: { leader?: string };
  consumer_detail?: unknown[];
}

/** Returns the status of the stream of a room, if there is one. */
function streamOf(
  { account_details }: JetStreamStatus,
): StreamStatus | undefined {
  return account_details?.[0]?.stream_detail
    ?.find(({ name }) => name === "linechat_main");
}
