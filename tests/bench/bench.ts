/**
 * Measures the server of this checkout, beside a Node and a Go server of the usual
 * kind where `node` and `go` are installed, and then its safety:
 *
 *     deno task bench                       # all
 *     deno task bench saturated-100 stuck   # some
 *     deno task bench plot                  # draws docs/deliveries.svg
 *     deno task bench plot --from FILE      # draws it again, and measures nothing
 *
 * `--rounds` (3) tells how often, `--json FILE` keeps the results. Only figures of
 * the same machine and minutes compare: that is why the servers take turns, and a
 * table has the medians. It ends by itself, in about a quarter of an hour.
 */

import { parseArgs } from "@std/cli/parse-args";
import { type Figures, quantile } from "./load.ts";
import { draw, short } from "./plot.ts";
import { SAFETY } from "./safety.ts";

/** Where to, and what from, if `plot` is not told. */
const PLOT = "docs/deliveries.svg";
const ROOT = new URL("../../", import.meta.url);

interface Results {
  date: string;
  machine: { cores: number; system: string; deno: string } & Versions;
  rounds: number;
  runs: Run[];
}

/** Of the programs that need not be here. */
interface Versions {
  node?: string;
  go?: string;
}

interface Run {
  row: string;
  server: string;
  load: Load;
  /** None where the load ended without a result. */
  figures?: Figures;
  /** What they are compared to. */
  base?: Figures;
}

/** Flags of `load.ts`. */
type Load = Record<string, number>;

interface Row {
  load: Load;
  /** What is otherwise for the peers, who would take minutes. */
  peers?: Load;
  /** What is measured before, to compare to. */
  base?: { server?: "bare"; load?: Load };
  metrics: Metric[];
}

interface Metric {
  name: string;
  of(figures: Figures, base: Figures): number | undefined;
  /** The less, the better. */
  less?: boolean;
  /** It is a figure even if the load was stopped on its way. */
  ofPart?: boolean;
}

const deliveries: Metric = {
  name: "million deliveries/s",
  of: ({ deliveriesASecond }) => deliveriesASecond / 1e6,
  ofPart: true,
};
const cpu: Metric = {
  name: "µs of server CPU a delivery",
  of: ({ cpuADelivery }) => cpuADelivery,
  less: true,
  ofPart: true,
};
const saturated = [deliveries, cpu];
const latencies: Metric[] = [
  { name: "ms latency, p50", of: ({ p50 }) => p50, less: true },
  { name: "ms latency, p99", of: ({ p99 }) => p99, less: true },
  cpu,
];

const ROWS: Record<string, Row> = {
  "saturated-100": { load: { n: 100, s: 10, l: 2000 }, metrics: saturated },
  "saturated-10": { load: { n: 10, s: 10, l: 20_000 }, metrics: saturated },
  "saturated-1000": { load: { n: 1000, s: 10, l: 200 }, metrics: saturated },
  "long-lines": {
    load: { n: 100, s: 10, l: 500, size: 4000 },
    metrics: saturated,
  },
  "calm": {
    load: { n: 100, s: 10, l: 200, rate: 200, seconds: 20 },
    metrics: latencies,
  },
  "busy": {
    load: { n: 500, s: 10, l: 200, rate: 200, seconds: 20 },
    metrics: latencies,
  },
  "crowd-joins": {
    load: { n: 3000, s: 1, l: 1, timeout: 60 },
    metrics: [{
      name: "s till 3,000 are in",
      of: ({ join }) => join,
      less: true,
    }],
  },
  "crowd-idle": {
    load: { n: 5000, s: 1, l: 1, timeout: 60 },
    peers: { n: 1000 },
    metrics: [{
      name: "kB a client of 5,000 (peers: of 1,000)",
      of: ({ memoryAClient }) => memoryAClient,
      less: true,
    }],
  },
  "churn": {
    load: { n: 100, s: 10, l: 2000, churn: 20_000, timeout: 20 },
    base: { load: { churn: 0 } },
    metrics: [
      {
        name: "thousand clients came and went, within 20 s",
        of: ({ churned }) => churned / 1000,
        ofPart: true,
      },
      {
        name: "% of its fresh deliveries/s after it",
        of: (after, fresh) =>
          100 * after.deliveriesASecond / fresh.deliveriesASecond,
        ofPart: true,
      },
      {
        name: "MB of memory more than fresh",
        of: (after, fresh) =>
          after.memory && fresh.memory && (after.memory - fresh.memory) / 1000,
        less: true,
        ofPart: true,
      },
    ],
  },
  "limit": {
    load: { n: 100, s: 10, l: 20_000 },
    base: { server: "bare" },
    metrics: [
      { name: "GB/s", of: ({ bytesASecond }) => bytesASecond / 1e9 },
      {
        name: "% of what a bare program writes",
        of: (chat, bare) => 100 * chat.bytesASecond / bare.bytesASecond,
      },
    ],
  },
};

/** The rows of the plot: about 2 million deliveries each. */
const PLOT_ROWS = Object.fromEntries(
  [3, 10, 30, 100, 300, 1000].map((n): [string, Row] => {
    const s = Math.min(10, n);
    const l = Math.round(2_000_000 / n / s);
    return [`clients-${n}`, {
      load: { n, s, l, seconds: 3 },
      metrics: [deliveries],
    }];
  }),
);

const COMMANDS: Record<string, (load: Load) => string[]> = {
  this: () => [
    ...[Deno.execPath(), "run", "-N", "server.ts"],
    ...["--hostname", "127.0.0.1", "--port", "0"],
  ],
  node: () => ["node", "tests/bench/peers/server.mjs"],
  bare: ({ s, l, size = 64 }) => [
    ...[Deno.execPath(), "run", "-N", "tests/bench/peers/bare.ts"],
    ...[`${s * l}`, `${size}`],
  ],
};

/** Who takes longer in a round is not asked again, in seconds. */
const PATIENCE = 20;

/** A server as a process, which ends with its scope. */
async function start([command, ...args]: string[]) {
  const child = new Deno.Command(command, {
    args,
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const stop = async () => {
    child.kill("SIGKILL");
    await Promise.all([child.status, reader.cancel()]);
  };
  const { value } = await reader.read();
  const [addr] = /\S+:\d+$/.exec(new TextDecoder().decode(value).trim()) ?? [];
  if (addr === undefined) {
    await stop();
    throw new Error(`Cannot start a server: ${command} ${args.join(" ")}`);
  }
  return { pid: child.pid, addr, [Symbol.asyncDispose]: stop };
}

/** Loads a fresh server, in bounded time. */
async function measure(server: string, load: Load) {
  await using running = await start(COMMANDS[server](load));
  const { seconds = 5, timeout = 30 } = load;
  const flags = { ...load, seconds, timeout, pid: running.pid };
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "tests/bench/load.ts", "--json", "--addr", running.addr],
      ...Object.entries(flags).map(([name, value]) =>
        name.length === 1 ? `-${name}=${value}` : `--${name}=${value}`
      ),
    ],
    cwd: ROOT,
    stderr: "inherit",
    signal: AbortSignal.timeout((3 * timeout + seconds + 10) * 1000),
  }).output();
  if (success) return JSON.parse(new TextDecoder().decode(stdout)) as Figures;
}

/** The first line that a program prints, if it is installed. */
async function versionOf(command: string, ...args: string[]) {
  try {
    const { stdout } = await new Deno.Command(command, { args }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function measureRow(
  name: string,
  { load, peers, base, metrics }: Row,
  servers: string[],
  rounds: number,
): Promise<Run[]> {
  const runs: Run[] = [];
  const tooSlow = new Set<string>();
  for (let round = 1; round <= rounds; round++) {
    for (const server of base?.server ? ["this"] : servers) {
      if (tooSlow.has(server)) continue;
      const begun = performance.now();
      const run: Run = { row: name, server, load };
      if (server !== "this") run.load = { ...load, ...peers };
      if (base) {
        run.base = await measure(
          base.server ?? server,
          { ...run.load, ...base.load },
        );
      }
      run.figures = await measure(server, run.load);
      runs.push(run);
      if (performance.now() - begun > PATIENCE * 1000 && server !== "this") {
        tooSlow.add(server);
      }
      console.error(
        `${name}, round ${round} of ${rounds}, ${server}: ${
          metrics.map((metric) => `${cell(metric, [run])} ${metric.name}`)
            .join(", ")
        }`,
      );
    }
  }
  return runs;
}

/** The median of what was measured, if it was. */
function median(metric: Metric, runs: Run[]): number | undefined {
  const values = runs.flatMap(({ figures, base = figures }) => {
    if (!figures || !base || isPart(metric, figures)) return [];
    return metric.of(figures, base) ?? [];
  });
  return quantile(values, 0.5);
}

/** Whether the figures are of less than the metric is about. */
function isPart({ ofPart }: Metric, { timedOut }: Figures): boolean {
  return timedOut !== undefined && !(ofPart && timedOut !== "joining");
}

/** The median as it is printed, with what has to be known of it; or why there is none. */
function cell(metric: Metric, runs: Run[]): string {
  if (runs.length === 0) return "";
  const value = median(metric, runs);
  const lost = Math.max(...runs.map(({ figures }) => figures?.lost ?? 0));
  const dropped = lost > 0 ? ` (${lost} were dropped)` : "";
  if (value !== undefined) return format(value) + dropped;
  const timedOut = runs.find(({ figures }) => figures?.timedOut);
  return (timedOut ? "timed out" : "not measured") + dropped;
}

function format(value: number): string {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}

/** How many times better this server is than a peer. */
function ratio(metric: Metric, runs: Run[], peer: string): string {
  const of = (server: string) =>
    median(metric, runs.filter((run) => run.server === server));
  const [ours, theirs] = [of("this"), of(peer)];
  if (ours === undefined || theirs === undefined) return "";
  return `${format(metric.less ? theirs / ours : ours / theirs)} ×`;
}

function table({ runs }: Pick<Results, "runs">): string {
  const columns = ["this", "node", "go"];
  const lines = [["row", "what", ...columns, "to node", "to go"]];
  for (const [name, { metrics }] of Object.entries({ ...ROWS, ...PLOT_ROWS })) {
    const ofRow = runs.filter(({ row }) => row === name);
    if (ofRow.length === 0) continue;
    for (const metric of metrics) {
      lines.push([
        metric === metrics[0] ? name : "",
        metric.name,
        ...columns.map((column) =>
          cell(metric, ofRow.filter(({ server }) => server === column))
        ),
        ratio(metric, ofRow, "node"),
        ratio(metric, ofRow, "go"),
      ]);
    }
  }
  const widths = lines[0].map((_, i) =>
    Math.max(...lines.map((line) => line[i].length))
  );
  lines.splice(1, 0, widths.map((width) => "-".repeat(width)));
  return lines.map((line) =>
    `| ${line.map((text, i) => text.padEnd(widths[i])).join(" | ")} |\n`
  ).join("");
}

/** Measures rows, on all servers that there are. */
async function measureRows(
  rows: Record<string, Row>,
  rounds: number,
): Promise<Results> {
  const servers = ["this"];
  const node = await versionOf("node", "--version");
  if (node) servers.push("node");
  const go = await versionOf("go", "env", "GOVERSION");
  const bin = await Deno.makeTempFile();
  if (go) {
    const source = "tests/bench/peers/server.go";
    const { success } = await new Deno.Command("go", {
      args: ["build", "-o", bin, source],
      cwd: ROOT,
      stderr: "inherit",
    }).output();
    if (success) servers.push("go");
    COMMANDS.go = () => [bin];
  }
  const runs: Run[] = [];
  for (const [name, row] of Object.entries(rows)) {
    runs.push(...await measureRow(name, row, servers, rounds));
  }
  await Deno.remove(bin);
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cores: navigator.hardwareConcurrency,
      system: `${Deno.build.os} ${Deno.build.arch}`,
      deno: Deno.version.deno,
      node,
      go,
    },
    rounds,
    runs,
  };
}

function print(results: Results): void {
  const { machine, date, rounds, runs } = results;
  const { cores, system, deno, node, go } = machine;
  console.log(`
${cores} cores, ${system}, Deno ${deno}; ${date}. Medians of ${rounds} rounds; a server that
needs more than ${PATIENCE} s is measured once. A saturated load is stopped after 5 s: its
rate is that of the lines which came till then. "to node", "to go": how many
times better this server is.
`);
  console.log(table(results));
  if (!node) console.log("node was not run: it is not installed.");
  if (!go) console.log("go was not run: it is not installed.");
  else if (!runs.some(({ server }) => server === "go")) {
    console.log("go was not run: its server could not be built.");
  }
}

const SERVER_NAMES: Record<string, string> = {
  this: "this server",
  node: "Node, the tutorial's server",
  go: "Go, the tutorial's server",
};

function plot(results: Results): string {
  const { machine, date, rounds, runs } = results;
  const { cores, system, deno, node, go } = machine;
  const series = Object.keys(SERVER_NAMES).map((server) => ({
    name: SERVER_NAMES[server],
    points: Object.entries(PLOT_ROWS).flatMap(([name, { load }]) => {
      const value = median(
        deliveries,
        runs.filter((run) => run.row === name && run.server === server),
      );
      return value ? [[load.n, value * 1e6] as [number, number]] : [];
    }),
  })).filter(({ points }) => points.length > 0);
  return draw(series, {
    title: "How many lines a saturated room delivers",
    description: series.map(({ name, points }) =>
      `${name}: ${
        points.map(([n, value]) => `${short(value)}/s to ${n} clients`)
          .join(", ")
      }.`
    ).join(" "),
    x: "clients in the room, of whom up to 10 send as fast as they can",
    y: "deliveries/s",
    caption: [
      `${cores} cores, ${system}, the load on the same machine; Deno ${deno}` +
      (node ? `, Node ${node.slice(1)}` : "") +
      (go ? `, Go ${go.slice(2)}` : ""),
      `lines of 64 bytes, medians of ${rounds} rounds; ${date}`,
    ],
  });
}

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
}

async function main(): Promise<void> {
  const args = parseArgs(Deno.args, {
    string: ["from", "json", "rounds"],
    default: { rounds: "3" },
    unknown: (arg, option) => {
      if (option !== undefined) fail(`Unknown option: ${arg}`);
    },
  });
  const rounds = Number(args.rounds);
  if (!(rounds >= 1)) fail(`Not a number of rounds: ${args.rounds}`);
  const known = { ...ROWS, ...SAFETY };
  let names = args._.map(String);
  for (const name of names) {
    if (name in known || name === "plot") continue;
    fail(
      `Unknown name: ${name}. Known: plot, ${Object.keys(known).join(", ")}`,
    );
  }
  if (names.length === 0) names = Object.keys(known);
  const rows = Object.entries({ ...ROWS, plot: PLOT_ROWS })
    .filter(([name]) => names.includes(name))
    .map(([name, row]) => name === "plot" ? row : { [name]: row });

  const results: Results = args.from
    ? JSON.parse(await Deno.readTextFile(args.from))
    : await measureRows(Object.assign({}, ...rows), rounds);
  if (results.runs.length > 0) print(results);
  if (args.json) {
    await Deno.writeTextFile(
      args.json,
      JSON.stringify(results, null, 2) + "\n",
    );
  }
  if (names.includes("plot")) {
    await Deno.writeTextFile(new URL(PLOT, ROOT), plot(results));
  }
  if (args.from) return;
  for (const name of names) await SAFETY[name]?.();
}

if (import.meta.main) await main();
