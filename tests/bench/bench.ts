/**
 * Measures the server of this checkout beside servers in Go, Node and Rust, where
 * `go`, `node` and `cargo` are installed. It needs Linux.
 *
 *     deno task bench                       # all rows
 *     deno task bench saturated-100 calm    # some rows
 *     deno task bench safety                # hostile and slow clients, see safety.ts
 *     deno task bench plot                  # draws docs/deliveries.svg
 *     deno task bench plot --from FILE      # draws it from the results of a run
 *
 * `--rounds N` (3) repeats each row. `--servers this,go` limits the columns.
 * `--before DIR` adds another checkout of this repository as a column. `--json FILE`
 * writes the results. The servers take turns and the table has medians, since only
 * figures of the same machine and minutes compare. All rows take 20 minutes.
 */

import { parseArgs } from "@std/cli/parse-args";
import { startCluster } from "./cluster.ts";
import { type Figures, quantile } from "./load.ts";
import { draw, short } from "./plot.ts";
import { ROOT, startServer } from "./process.ts";
import { deliveries, type Metric, PLOT_ROWS, type Row, ROWS } from "./rows.ts";
import { runSafety, SAFETY } from "./safety.ts";
import {
  bareServer,
  type Candidate,
  findServers,
  type LoadOptions,
} from "./servers.ts";
import { formatTable } from "./table.ts";

const PLOT = `${ROOT}/docs/deliveries.svg`;

interface Results {
  date: string;
  machine: { cores: number; system: string; deno: string };
  rounds: number;
  /** The titles and versions of the servers. */
  servers: Record<string, { title: string; version?: string }>;
  runs: Run[];
}

interface Run {
  row: string;
  server: string;
  /** Missing if the load generator failed. */
  figures?: Figures;
  /** The figures of the row's second load. */
  base?: Figures;
}

/** Time after which a server of another project is not measured again, in seconds. */
const PATIENCE = 20;

/** Starts a server and measures a load on it, in bounded time. */
async function measure(
  server: Candidate,
  load: LoadOptions,
): Promise<Figures | undefined> {
  const { cluster, ...options } = load;
  await using running = cluster
    ? await startCluster(server, cluster)
    : await startServer(server.command(load), {
      cwd: server.cwd,
      address: load.web ? /http:\/\/(\S+):(\d+)\/$/m : undefined,
    });
  const { seconds = 5, timeout = 30 } = load;
  const other = "other" in running ? running.other : 0;
  const flags = { ...options, seconds, timeout, other, pid: running.pid };
  const addr = `${running.hostname}:${running.port}`;
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "tests/bench/load.ts", "--json", "--addr", addr],
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

/** Measures a row, the servers in turns. */
async function measureRow(
  row: string,
  { load, base, metrics }: Row,
  servers: Record<string, Candidate>,
  rounds: number,
): Promise<Run[]> {
  const runs: Run[] = [];
  const slow = new Set<string>();
  for (let round = 1; round <= rounds; round++) {
    for (const [server, candidate] of Object.entries(servers)) {
      if (slow.has(server)) continue;
      if (base?.server && server !== Object.keys(servers)[0]) continue;
      if (load.web && !candidate.hasWeb) continue;
      if (load.cluster && !candidate.hasCluster) continue;
      const start = performance.now();
      const run: Run = { row, server };
      if (base) {
        const other = base.server ? bareServer() : candidate;
        run.base = await measure(other, { ...load, ...base.load });
      }
      run.figures = await measure(candidate, load);
      runs.push(run);
      const isSlow = performance.now() - start > PATIENCE * 1000;
      if (isSlow && !["this", "before"].includes(server)) slow.add(server);
      const cells = metrics.map((metric) =>
        `${cell(metric, [run])} ${metric.name}`
      );
      console.error(
        `${row}, round ${round} of ${rounds}, ${server}: ${cells.join(", ")}`,
      );
    }
  }
  return runs;
}

async function measureRows(
  rows: Record<string, Row>,
  rounds: number,
  servers: Record<string, Candidate>,
): Promise<Results> {
  const runs: Run[] = [];
  for (const [name, row] of Object.entries(rows)) {
    runs.push(...await measureRow(name, row, servers, rounds));
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cores: navigator.hardwareConcurrency,
      system: `${Deno.build.os} ${Deno.build.arch}`,
      deno: Deno.version.deno,
    },
    rounds,
    servers: Object.fromEntries(
      Object.entries(servers).map(([name, { title, version }]) =>
        [name, { title, version }] as const
      ),
    ),
    runs,
  };
}

/** Returns the median of a metric, if it was measured. */
function median(metric: Metric, runs: Run[]): number | undefined {
  const values = runs.flatMap(({ figures, base = figures }) => {
    if (!figures || !base || isPart(metric, figures)) return [];
    return metric.of(figures, base) ?? [];
  });
  return quantile(values, 0.5);
}

/** Returns whether the load ended too early for the metric. */
function isPart({ ofPart }: Metric, { timedOut }: Figures): boolean {
  return timedOut !== undefined && !(ofPart && timedOut !== "joining");
}

/** Returns the median as text, with a remark on clients that were dropped. */
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

/** Returns the ratio of one server to another one. */
function ratio(
  metric: Metric,
  runs: Run[],
  [server, other]: [string, string],
): string {
  const of = (name: string) =>
    median(metric, runs.filter(({ server }) => server === name));
  const [ours, theirs] = [of(server), of(other)];
  if (ours === undefined || theirs === undefined) return "";
  return `${format(ours / theirs)} ×`;
}

/** Returns the versions of all platforms as text. */
function versionsOf(
  { machine, servers }: Pick<Results, "machine" | "servers">,
): string[] {
  const peers = Object.values(servers).flatMap(({ version }) => version ?? []);
  return [`Deno ${machine.deno}`, ...peers];
}

function print({ machine, date, rounds, servers, runs }: Results): void {
  const names = Object.keys(servers);
  const [first, ...others] = names;
  const header = ["row", "metric", ...names, ...others.map((n) => `to ${n}`)];
  const lines = Object.entries({ ...ROWS, ...PLOT_ROWS }).flatMap(
    ([name, { metrics }]) => {
      const ofRow = runs.filter(({ row }) => row === name);
      if (ofRow.length === 0) return [];
      return metrics.map((metric, i) => [
        i === 0 ? name : "",
        metric.name,
        ...names.map((column) =>
          cell(metric, ofRow.filter(({ server }) => server === column))
        ),
        ...others.map((other) => ratio(metric, ofRow, [first, other])),
      ]);
    },
  );
  const versions = versionsOf({ machine, servers });
  console.log(`
${machine.cores} cores, ${machine.system}, ${versions.join(", ")}; ${date}.
Medians of ${rounds} rounds. A saturated load stops after 5 s. "to go" is the figure of
the first server divided by that of Go. A peer that takes more than ${PATIENCE} s is
measured once.
`);
  console.log(formatTable([header, ...lines]));
}

function plot({ machine, date, rounds, servers, runs }: Results): string {
  const series = Object.entries(servers).map(([server, { title }]) => ({
    name: title,
    points: Object.entries(PLOT_ROWS).flatMap(([name, { load }]) => {
      const value = median(
        deliveries,
        runs.filter((run) => run.row === name && run.server === server),
      );
      return value ? [[load.n, value * 1e6] as [number, number]] : [];
    }),
  })).filter(({ points }) => points.length > 0);
  const versions = versionsOf({ machine, servers });
  return draw(series, {
    title: "Lines delivered in a saturated room",
    description: series.map(({ name, points }) =>
      `${name}: ${
        points.map(([n, value]) => `${short(value)}/s to ${n} clients`)
          .join(", ")
      }.`
    ).join(" "),
    x: "clients, up to 10 of which send as fast as the server accepts",
    y: "deliveries/s",
    caption: [
      `${machine.cores} cores, ${machine.system}, load on the same machine; ` +
      versions.join(", "),
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
    string: ["before", "from", "json", "rounds", "servers"],
    default: { rounds: "3" },
    unknown: (arg, option) => {
      if (option !== undefined) fail(`Unknown option: ${arg}`);
    },
  });
  const rounds = Number(args.rounds);
  if (!(rounds >= 1)) fail(`Not a number of rounds: ${args.rounds}`);
  const names = args._.map(String);
  const save = async (results: unknown) => {
    if (!args.json) return;
    await Deno.writeTextFile(
      args.json,
      JSON.stringify(results, null, 2) + "\n",
    );
  };
  if (names[0] === "safety") {
    const chosen = names.length > 1 ? names.slice(1) : Object.keys(SAFETY);
    const unknown = chosen.find((name) => !(name in SAFETY));
    if (unknown) {
      fail(
        `Unknown scenario: ${unknown}. See ${Object.keys(SAFETY).join(", ")}`,
      );
    }
    return save(await runSafety(chosen, args.before, args.servers?.split(",")));
  }

  const known: Record<string, Record<string, Row>> = { plot: PLOT_ROWS };
  for (const [name, row] of Object.entries(ROWS)) known[name] = { [name]: row };
  const unknown = names.find((name) => !(name in known));
  if (unknown) {
    fail(
      `Unknown row: ${unknown}. See safety, ${Object.keys(known).join(", ")}`,
    );
  }
  const rows: Record<string, Row> = names.length === 0
    ? ROWS
    : Object.assign({}, ...names.map((name) => known[name]));
  let results: Results;
  if (args.from) {
    results = JSON.parse(await Deno.readTextFile(args.from));
  } else {
    const found = await findServers(args.before);
    const columns: string[] = args.servers?.split(",") ?? Object.keys(found);
    const missing = columns.find((name) => !(name in found));
    if (missing) fail(`Not installed: ${missing}`);
    results = await measureRows(
      rows,
      rounds,
      Object.fromEntries(columns.map((name) => [name, found[name]])),
    );
  }
  print(results);
  await save(results);
  if (names.includes("plot")) await Deno.writeTextFile(PLOT, plot(results));
}

if (import.meta.main) await main();
