/** The servers that the benchmark compares. */

import { HAS_CLUSTER } from "./cluster.ts";
import { ROOT } from "./process.ts";

/** The options of a load, as `load.ts` takes them on its command line. */
export type LoadOptions = Record<string, number>;

/** A server that can be measured. */
export interface Candidate {
  /** The name in the plot. */
  title: string;
  /** The directory in which the command runs. */
  cwd: string;
  command(load: LoadOptions): string[];
  /** Whether clients can be WebSockets. */
  hasWeb?: boolean;
  /** Whether several servers can share a room. */
  hasCluster?: boolean;
  /** The version of its platform, unless that is this Deno. */
  version?: string;
}

const PEERS = "tests/bench/peers";
/** The crates of Debian's librust-*-dev packages. */
const DEBIAN_CRATES = "/usr/share/cargo/registry";

/** Returns the command that starts the chat server of a checkout. */
export function chatServer(...options: string[]): string[] {
  return [
    ...[Deno.execPath(), "run", "-N", "server.ts"],
    ...["--hostname", "127.0.0.1", "--port", "0", ...options],
  ];
}

/**
 * Finds the servers that can run here, in the order of the columns.
 *
 * @param before Another checkout of this repository, which gets its own column.
 */
export async function findServers(
  before?: string,
): Promise<Record<string, Candidate>> {
  const servers: Record<string, Candidate> = {
    this: {
      title: "linechat",
      cwd: ROOT,
      command: ({ web }) => chatServer(...web ? ["--web-port", "0"] : []),
      hasWeb: true,
      hasCluster: HAS_CLUSTER,
    },
  };
  if (before !== undefined) {
    servers.before = { ...servers.this, title: "before", cwd: before };
  }
  for (const [name, find] of Object.entries({ go, node, tokio })) {
    const found = await find();
    if (found) servers[name] = { cwd: ROOT, ...found };
  }
  return servers;
}

/** Returns a program that writes as much as Deno can. See `peers/bare.ts`. */
export function bareServer(): Candidate {
  return {
    title: "bare",
    cwd: ROOT,
    command: ({ s, l, size = 64 }) => [
      ...[Deno.execPath(), "run", "-N", `${PEERS}/bare.ts`],
      ...[`${s * l}`, `${size}`],
    ],
  };
}

type Found = Omit<Candidate, "cwd"> | undefined;

async function go(): Promise<Found> {
  const version = await outputOf("go", "env", "GOVERSION");
  const binary = `${await buildDirectory()}/go-chat`;
  const source = `${PEERS}/server.go`;
  if (!version || !await run("go", "build", "-o", binary, source)) return;
  const title = version.replace("go", "Go ");
  return { title: "Go", version: title, command: () => [binary] };
}

async function node(): Promise<Found> {
  const version = await outputOf("node", "--version");
  // Deno runs itself where Node is not installed.
  if (!version?.startsWith("v")) return;
  const command = ["node", `${PEERS}/server.mjs`];
  return { title: "Node", version: `Node ${version}`, command: () => command };
}

async function tokio(): Promise<Found> {
  const version = await outputOf("cargo", "--version");
  if (!version) return;
  const target = `${await buildDirectory()}/tokio`;
  const isDebian = await Deno.stat(DEBIAN_CRATES).then(() => true, () => false);
  const source = [
    ...["--offline", "--config", `source.debian.directory="${DEBIAN_CRATES}"`],
    ...["--config", 'source.crates-io.replace-with="debian"'],
  ];
  const isBuilt = await run(
    ...["cargo", "build", "--quiet", "--release", "--target-dir", target],
    ...["--manifest-path", `${PEERS}/tokio/Cargo.toml`],
    ...(isDebian ? source : []),
  );
  if (!isBuilt) return;
  const command = [`${target}/release/chat`];
  const [, short] = version.split(" ");
  return { title: "tokio", version: `Rust ${short}`, command: () => command };
}

/** Creates the directory of the compiled servers, which later runs reuse. */
async function buildDirectory(): Promise<string> {
  const directory = `${Deno.env.get("TMPDIR") ?? "/tmp"}/linechat-bench`;
  await Deno.mkdir(directory, { recursive: true });
  return directory;
}

async function run(...command: string[]): Promise<boolean> {
  const [program, ...args] = command;
  const options = { args, cwd: ROOT, stderr: "inherit" } as const;
  const { success } = await new Deno.Command(program, options).output();
  return success;
}

/** Returns the output of a program, if it is installed. */
async function outputOf(
  command: string,
  ...args: string[]
): Promise<string | undefined> {
  try {
    const { stdout } = await new Deno.Command(command, { args }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
