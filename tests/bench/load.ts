/**
 * A load for any chat server that sends each line to everybody:
 *
 *     deno run -A tests/bench/load.ts --addr 127.0.0.1:8000 -n 100 -s 10 -l 2000
 *
 * `-n` clients join; `-s` of them send `-l` lines each, of `--size` bytes: as fast
 * as the server takes them, or with `--rate` so many a second in all, and then the
 * latency is measured, too. `--churn` clients come and go before. Joining, the
 * churn and the load may take `--timeout` seconds each, and the load no longer than
 * `--seconds`. `--pid` is the server's process, for what /proc tells of it, and
 * `--json` prints all figures, memory in kB.
 */

import { parseArgs } from "@std/cli/parse-args";
import type { Share } from "./load_worker.ts";

/** What is to be measured. */
export interface Load {
  hostname: string;
  port: number;
  /** Clients. */
  n: number;
  /** Of them, so many send. */
  s: number;
  /** Lines a sender. */
  lines: number;
  /** Bytes a line, its end not counted. */
  size: number;
  /** Lines a second in all; 0 for as fast as the server takes them. */
  rate: number;
  /** So many clients come and go before. */
  churn: number;
  /** The most seconds that joining, the churn and the load may take each… */
  timeout: number;
  /** …and the load, whose rate is known long before its end. */
  seconds: number;
  /** The server's process. */
  pid?: number;
}

/** What was measured. Where a figure is missing, it could not be. */
export interface Figures {
  /** What took too long. The figures are of what was done till then. */
  timedOut?: "joining" | "churn" | "load";
  /** Clients whom the server dropped. */
  lost: number;
  /** Seconds till all were in, and told of it. */
  join?: number;
  /** What a client costs, beyond the empty process, when all are in. */
  memoryAClient?: number;
  /** So many clients came and went. */
  churned: number;
  deliveries: number;
  seconds: number;
  deliveriesASecond: number;
  bytesASecond: number;
  /** Microseconds of the server's processor time. */
  cpuADelivery?: number;
  /** Milliseconds. */
  p50?: number;
  p99?: number;
  /** Of the server, in the end, and the most. */
  memory?: number;
  peak?: number;
}

/** The places in what a thread tells while it runs; no other thread writes it. */
export const Tally = { marks: 0, bytes: 1, lost: 2, last: 3, length: 4 };

/** Microseconds since 1970, on one clock for all threads. */
export function now(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What so much of the samples does not exceed. */
export function quantile(
  samples: ArrayLike<number>,
  q: number,
): number | undefined {
  return Float64Array.from(samples)
    .sort()[Math.floor(q * (samples.length - 1))];
}

/** How long nothing must come for all to be told. */
const QUIET = 500_000;
/** A thread reads 3 GB/s, which is what a server's thread can write. */
const THREADS = Math.ceil(Math.min(navigator.hardwareConcurrency, 8) / 2);

async function measure(load: Load): Promise<Figures> {
  const { hostname, port, n, s, lines, churn, pid } = load;
  const threads = Math.min(THREADS, n);
  const tallies: Float64Array<SharedArrayBuffer>[] = [];
  const total = (key: number) =>
    tallies.reduce((sum, tally) => sum + tally[key], 0);
  const last = () => Math.max(...tallies.map((tally) => tally[Tally.last]));
  /** Waits for something; too long is too long. */
  const wait = async (done: () => boolean, seconds: number) => {
    const deadline = now() + seconds * 1e6;
    while (!done()) {
      if (now() > deadline) return false;
      await delay(2);
    }
    return true;
  };
  const isQuiet = () => now() - last() > QUIET;
  const figures: Figures = {
    lost: 0,
    churned: 0,
    deliveries: 0,
    seconds: 0,
    deliveriesASecond: 0,
    bytesASecond: 0,
  };

  const empty = await memory(pid);
  const begun = now();
  let joined = 0;
  const workers = Array.from({ length: threads }, (_, i) => {
    /** Every so manieth of so many. */
    const mine = (count: number) =>
      Array.from({ length: count }, (_, k) => k).filter((k) =>
        k % threads === i
      );
    const tally = new Float64Array(
      new SharedArrayBuffer(Tally.length * Float64Array.BYTES_PER_ELEMENT),
    );
    tallies.push(tally);
    const worker = new Worker(new URL("load_worker.ts", import.meta.url), {
      type: "module",
    });
    worker.onmessage = () => joined++;
    worker.onerror = ({ message }) => {
      console.error(`Cannot load ${hostname}:${port}: ${message}`);
      Deno.exit(1);
    };
    worker.postMessage(
      {
        ...load,
        clients: mine(n).length,
        senders: mine(s),
        tally,
      } satisfies Share,
    );
    return worker;
  });
  if (!await wait(() => joined === threads && isQuiet(), load.timeout)) {
    return { ...figures, timedOut: "joining", lost: total(Tally.lost) };
  }
  figures.join = (last() - begun) / 1e6;
  const full = await memory(pid);
  if (full && empty) figures.memoryAClient = (full.now - empty.now) / n;

  const deadline = now() + load.timeout * 1e6;
  const cycles = Array.from({ length: churn > 0 ? 20 : 0 }, async () => {
    const buffer = new Uint8Array(64);
    while (figures.churned < churn && now() < deadline) {
      figures.churned++;
      using conn = await Deno.connect({ hostname, port });
      await conn.read(buffer); // Its welcome.
    }
  });
  await Promise.race([Promise.all(cycles), delay(load.timeout * 1000)]);
  if (figures.churned < churn) figures.timedOut = "churn";
  await wait(isQuiet, load.timeout);

  const bytes = total(Tally.bytes);
  const cpu = await processorTime(pid);
  const start = now();
  for (const worker of workers) worker.postMessage("send");
  const all = n * s * lines;
  const isOver = () =>
    total(Tally.marks) >= all || (total(Tally.lost) > 0 && isQuiet());
  if (!await wait(isOver, Math.min(load.seconds, load.timeout))) {
    figures.timedOut ??= "load";
  }
  const cpuAfter = await processorTime(pid);
  figures.lost = total(Tally.lost);
  figures.deliveries = total(Tally.marks);
  figures.seconds = (last() - start) / 1e6;
  figures.deliveriesASecond = figures.deliveries / figures.seconds;
  figures.bytesASecond = (total(Tally.bytes) - bytes) / figures.seconds;
  if (cpu !== undefined && cpuAfter !== undefined) {
    figures.cpuADelivery = (cpuAfter - cpu) * 1e6 / figures.deliveries;
  }
  const after = await memory(pid);
  figures.memory = after?.now;
  figures.peak = after?.peak;

  const latencies: number[] = [];
  for (const worker of workers) {
    const samples = await new Promise<Float32Array>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage("report");
    });
    for (const sample of samples) latencies.push(sample);
  }
  figures.p50 = quantile(latencies, 0.5);
  figures.p99 = quantile(latencies, 0.99);
  return figures;
}

/** What /proc tells of a process, where there is a /proc. */
async function proc(pid: number | undefined, file: string): Promise<string> {
  return pid === undefined
    ? ""
    : await Deno.readTextFile(`/proc/${pid}/${file}`).catch(() => "");
}

/** The kB of memory that a process has, and has had at most. */
async function memory(
  pid?: number,
): Promise<{ now: number; peak: number } | undefined> {
  const status = await proc(pid, "status");
  const kB = (key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
  if (status !== "") return { now: kB("VmRSS"), peak: kB("VmHWM") };
}

/** The seconds of processor time that a process has used. */
async function processorTime(pid?: number): Promise<number | undefined> {
  const stat = await proc(pid, "stat");
  // The 14th and 15th field; the second, its name, may have blanks in it.
  const [user, system] = stat.slice(stat.lastIndexOf(")")).split(" ").slice(12);
  if (system !== undefined) return (Number(user) + Number(system)) / 100;
}

if (import.meta.main) {
  const args = parseArgs(Deno.args, {
    string: ["addr"],
    boolean: ["json"],
    default: {
      addr: "127.0.0.1:8000",
      n: 100,
      s: 10,
      l: 1000,
      size: 64,
      rate: 0,
      churn: 0,
      timeout: 100,
      seconds: 100,
    },
  });
  const { hostname, port } = new URL(`tcp://${args.addr}`);
  const { n, s, l: lines, ...rest } = args;
  const figures = await measure(
    { ...rest, hostname, port: Number(port), n, s, lines } as
      & Load
      & typeof args,
  );
  if (args.json) console.log(JSON.stringify(figures));
  else console.log(figures);
  Deno.exit(); // Hangs up.
}
