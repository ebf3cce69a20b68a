/**
 * Scenarios of slow and hostile clients: `deno task bench safety [NAME…]`. Each one
 * runs against a fresh server, while a probe measures the latency of honest lines.
 *
 * As root with `unshare` and `ip`, each scenario has a network namespace of its own
 * with an MTU of 1500 and cubic, as on a usual Linux server: the loopback device has
 * packets and socket buffers so large that the kernel reads for slow clients.
 */

import { invalidLine, linesOf, type Stage } from "./actors.ts";
import { ROOT } from "./process.ts";
import { formatTable } from "./table.ts";

/** A scenario of slow or hostile clients. */
export interface Scenario {
  title: string;
  /** The options of the server. */
  options?: string[];
  /** Whether the server is the bot of `bot.ts`. */
  isBot?: boolean;
  /** Maximum time for which an honest sender waits, in seconds. @default {2} */
  maxWait?: number;
  /** Runs the clients. The measurement ends when it returns. */
  run(stage: Stage): void;
}

/** The options that docs/service.md recommends for an open port. */
const SERVICE = [
  ...["--max-clients", "1000", "--max-per-address", "8"],
  ...["--rate", "10", "--idle", "3600"],
];
const ATTACKER = "127.2.0.1";
const MiB = 1024 * 1024;

/** Lets five honest clients send 500 small lines per second in total: 45 KB/s. */
function talk(stage: Stage): void {
  for (const client of stage.join(5, { honest: true })) {
    client.repeat(linesOf(72, 72), 100);
  }
}

/** Returns a scenario of honest readers, and one client that pastes some text. */
function paste(count: number, reads: number, bytes: number): Scenario {
  return {
    title: `${count} readers of ${reads / 1000} KB/s, a paste of ${
      bytes / 1e6
    } MB`,
    run(stage) {
      stage.join(count, { reads, honest: true });
      talk(stage);
      stage.wait(2);
      stage.joinOne({ honest: true }).send(linesOf(100, bytes));
      stage.wait(20);
    },
  };
}

/** Returns a scenario of a command with names that normalization expands. */
function expand(command: string, rest = ""): Scenario {
  const line = `${command} ${"\ufdfa".repeat(250)}${rest}\n`;
  return {
    title: `100 senders of ${command} with names that normalization expands`,
    run(stage) {
      for (const client of stage.join(100)) client.send(line, Infinity);
      stage.wait(10);
    },
  };
}

/** Returns a scenario of clients that leave a backlog unread and then read slowly. */
function refill(
  count: number,
  { reads, backlog, stuck = 0 }: {
    reads: number;
    backlog: number;
    stuck?: number;
  },
): Scenario {
  return {
    title: `${count} × ${reads / 1000} KB/s with ${
      backlog / MiB
    } MiB waiting, ${stuck} stuck, small chunks`,
    run(stage) {
      const slow = stage.join(count, { reads: 0 });
      const sender = stage.joinOne();
      sender.send(linesOf(1024, backlog));
      stage.wait(5, () => sender.idle);
      stage.join(stuck, { reads: 0 });
      for (const client of stage.join(4)) client.repeat("x\n", 1800);
      stage.wait(1.5);
      for (const client of slow) client.reads = reads;
      stage.wait(15);
    },
  };
}

/** Returns a scenario of a bulk sender and one reader with a fixed rate. */
function trickle(reads: number): Scenario {
  return {
    title: `1 reader of ${reads / 1000} KB/s, 1 bulk sender`,
    maxWait: 0.7,
    run(stage) {
      stage.joinOne({ reads });
      stage.joinOne({ honest: true }).send(linesOf(100, 1e5), Infinity);
      stage.wait(10);
    },
  };
}

export const SAFETY: Record<string, Scenario> = {
  "h1a-150": paste(150, 80e3, 2e6),
  "h1a-100": paste(100, 150e3, 3e6),
  "h1a-40": paste(40, 80e3, 3e6),
  "h1b": refill(9, { reads: 150e3, backlog: 14 * MiB }),
  "h1c": refill(1, { reads: 1.2e6, backlog: 10 * MiB, stuck: 9 }),
  "h1d": {
    title: "8 × 150 KB/s with 13 MB waiting, 1,003 resets",
    options: SERVICE,
    run(stage) {
      const slow = stage.join(8, { reads: 150e3, source: ATTACKER });
      for (const client of slow) client.send(invalidLine(60_000), 9);
      stage.wait(1);
      stage.churn({ source: "127.2.0.2", parallel: 1, count: 1003 });
      stage.wait(18);
    },
  },
  "h1e-churn": {
    title: "1 honest 100 KB/s reader 1.8 MB behind, a churn of resets",
    options: SERVICE,
    run(stage) {
      stage.joinOne({ reads: 100e3, honest: true });
      stage.joinOne().send(invalidLine(60_000), 10);
      stage.wait(1);
      stage.churn({ source: ATTACKER });
      stage.wait(8);
    },
  },
  "h1e-stuck": {
    title: "1 honest 100 KB/s reader 2 MB behind, 20 stuck, 9,000 lines",
    run(stage) {
      stage.joinOne({ reads: 100e3, honest: true });
      stage.join(20, { reads: 0 });
      stage.joinOne().send(linesOf(100, 2e6));
      stage.wait(1);
      for (const client of stage.join(4)) client.repeat("x\n", 1250);
      stage.wait(8);
    },
  },
  "h4a": {
    title: "8 × 150 KB/s of one address, 1 MB/s of long lines",
    options: SERVICE,
    run(stage) {
      for (const client of stage.join(8, { reads: 150e3, source: ATTACKER })) {
        client.repeat(invalidLine(60_000), 2);
      }
      stage.wait(20);
    },
  },
  "h4b": {
    title: "1 × 1.3 MB/s, 42 KB/s of newlines under a long name",
    run(stage) {
      const client = stage.joinOne({ reads: 1.3e6 });
      client.send(`/nick ${"\u{10428}".repeat(32)}\n`);
      stage.wait(0.5);
      client.repeat("\n".repeat(4200), 10);
      stage.wait(15);
    },
  },
  "h4c": {
    title: "8 × 175 KB/s, 1 stuck, 1 bulk sender",
    run(stage) {
      stage.join(8, { reads: 175e3 });
      stage.joinOne({ reads: 0 });
      stage.joinOne({ honest: true }).send(linesOf(100, 1e5), Infinity);
      stage.wait(15);
    },
  },
  "m1": {
    title: "a bot that reads events, 4 senders of empty lines",
    isBot: true,
    run(stage) {
      for (const client of stage.join(4)) client.send("\n".repeat(10_000), 1e9);
      stage.wait(10);
    },
  },
  "m2-join": {
    title: "joins and leaves without a pause",
    options: SERVICE,
    run(stage) {
      stage.churn({ source: ATTACKER });
      stage.wait(10);
    },
  },
  "m2-lines": {
    title: "joins that send 10 lines of 60 KB each",
    options: SERVICE,
    run(stage) {
      stage.churn({ source: ATTACKER, data: linesOf(60_000, 600_000) });
      stage.wait(10);
    },
  },
  "m5": {
    title: "30 that stop reading, 1 bulk sender; memory of the kernel",
    run(stage) {
      const clients = stage.join(30);
      const sender = stage.joinOne({ honest: true });
      sender.send(linesOf(100, 1e5), Infinity);
      stage.wait(1);
      for (const client of clients) client.reads = 0;
      stage.wait(4);
      sender.close();
      stage.wait(5);
      const queued = sendQueues(stage.server.port) / 1e6;
      stage.notes.push(`${queued.toFixed(0)} MB left in the kernel after 9 s`);
    },
  },
  "m7-who": {
    title: "1 sender of /who in a room of 1,500",
    run(stage) {
      stage.join(1500);
      stage.joinOne().send("/who\n".repeat(1000), Infinity);
      stage.wait(10);
    },
  },
  "m7-msg": expand("/msg", " x"),
  "m7-nick": expand("/nick"),
  "trickle-1k": trickle(1e3),
  "trickle-10k": trickle(10e3),
  "trickle-100k": trickle(100e3),
  "trickle-1m": trickle(1e6),
  "trickle-5m": trickle(5e6),
  "stuck-10": {
    title: "10 stuck, one after the other, 1 bulk sender",
    run(stage) {
      stage.joinOne({ honest: true }).send(linesOf(100, 1e5), Infinity);
      for (let i = 0; i < 10; i++) {
        stage.joinOne({ reads: 0 });
        stage.wait(1.5);
      }
    },
  },
  "endless": {
    title: "1 sender of a line without an end",
    run(stage) {
      stage.joinOne().send(new Uint8Array(MiB).fill(0x78), Infinity);
      stage.wait(5);
    },
  },
  "mixed-100": {
    title: "25 bulk senders, 25 stuck, 25 × 100 KB/s, 25 that churn",
    run(stage) {
      stage.join(25, { reads: 100e3 });
      stage.join(25, { reads: 0 });
      for (const client of stage.join(25)) {
        client.send(linesOf(100, 1e5), Infinity);
      }
      stage.churn({ parallel: 25 });
      stage.wait(15);
    },
  },
};

/** Returns the number of bytes that the kernel has yet to send for a server. */
function sendQueues(port: number): number {
  const lines = Deno.readTextFileSync("/proc/net/tcp").split("\n").slice(1, -1);
  return lines.reduce((sum, line) => {
    const [, local, , , queues] = line.trim().split(/\s+/);
    const isServer = parseInt(local.split(":")[1], 16) === port;
    return sum + (isServer ? parseInt(queues.split(":")[0], 16) : 0);
  }, 0);
}

/** The figures of one scenario. Times are in milliseconds. */
export interface SafetyFigures {
  /** The 99th percentile of the latency in the idle room. */
  idleP99: number;
  p50: number;
  p99: number;
  max: number;
  lines: number;
  /** The number of lines that did not arrive. Their age counts as their latency. */
  missing: number;
  /** The numbers of honest and other clients that the server dropped. */
  dropped: { honest: number; others: number };
  /** The longest wait of an honest sender. */
  wait: number;
  /** The peak memory of the server in MB. */
  peak: number;
  notes: string[];
}

interface SafetyRun {
  scenario: string;
  server: string;
  network: "namespace" | "loopback";
  /** Missing if the scenario failed. */
  figures?: SafetyFigures;
}

/** Runs a command in a new network namespace with the settings of a usual server. */
const NAMESPACE = [
  ...["unshare", "--net", "sh", "-c"],
  `ip link set lo mtu 1500 up &&
  for to in 127.0.0.0/8 127.0.0.1; do
    ip route replace local $to dev lo table local proto kernel scope host \\
      src 127.0.0.1 congctl cubic || exit
  done
  exec "$@"`,
  "sh",
];

async function hasNamespaces(): Promise<boolean> {
  const [command, ...args] = [...NAMESPACE, "true"];
  try {
    const { success } = await new Deno.Command(command, { args }).output();
    return success;
  } catch {
    return false;
  }
}

/** Maximum latency that a scenario can add, in milliseconds. */
const MAX_LATENCY = 100;

/** Returns the guarantees that a scenario breaks. */
function broken(name: string, figures: SafetyFigures): string {
  const { idleP99, p99, dropped, wait } = figures;
  const limit = 1000 * (SAFETY[name].maxWait ?? 2);
  return [
    p99 > idleP99 + MAX_LATENCY ? "latency" : [],
    dropped.honest > 0 ? "drops" : [],
    wait > limit * 1.1 ? "wait" : [],
  ].flat().join(", ");
}

/** Runs scenarios, prints their table and returns the results. */
export async function runSafety(
  names: string[],
  before?: string,
  columns = before === undefined ? ["this"] : ["this", "before"],
): Promise<unknown> {
  const network = await hasNamespaces() ? "namespace" : "loopback";
  const directories: Record<string, string | undefined> = {
    this: ROOT,
    before,
  };
  const runs: SafetyRun[] = [];
  for (const scenario of names) {
    for (const server of columns) {
      const directory = directories[server];
      if (directory === undefined) throw new Error(`Unknown server: ${server}`);
      const figures = await runScenario(scenario, directory, network);
      runs.push({ scenario, server, network, figures });
      console.error(`${scenario}, ${server}: ${JSON.stringify(figures)}`);
    }
  }
  console.log(
    network === "namespace"
      ? "\nEach scenario ran in a network namespace (MTU 1500, cubic).\n"
      : "\nThe scenarios ran on loopback: a namespace needs root, unshare and ip.\n",
  );
  console.log(format(runs));
  return { date: new Date().toISOString().slice(0, 10), runs };
}

async function runScenario(
  scenario: string,
  directory: string,
  network: SafetyRun["network"],
): Promise<SafetyFigures | undefined> {
  const [command, ...args] = [
    ...(network === "namespace" ? NAMESPACE : []),
    ...[Deno.execPath(), "run", "-A", "tests/bench/safety_run.ts"],
    ...[scenario, directory],
  ];
  const { success, stdout } = await new Deno.Command(command, {
    args,
    cwd: ROOT,
    stderr: "inherit",
    signal: AbortSignal.timeout(90_000),
  }).output();
  if (success) return JSON.parse(new TextDecoder().decode(stdout));
}

function format(runs: SafetyRun[]): string {
  const header = [
    ...["scenario", "clients", "server", "idle p99", "p50", "p99", "max"],
    ...["dropped: honest", "others", "wait, s", "peak MB", "broken", "notes"],
  ];
  const rows = runs.map(({ scenario, server, figures }) => {
    const start = [scenario, SAFETY[scenario].title, server];
    if (!figures) return [...start, ...Array(9).fill(""), "failed"];
    const { idleP99, p50, p99, max, dropped, wait, peak, notes } = figures;
    return [
      ...start,
      ...[idleP99, p50, p99, max].map((ms) => ms.toPrecision(3)),
      ...[dropped.honest, dropped.others, (wait / 1000).toFixed(1)].map(String),
      ...[peak.toFixed(0), broken(scenario, figures), notes.join("; ")],
    ];
  });
  return formatTable([header, ...rows]);
}
