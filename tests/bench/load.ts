/**
 * A load generator for any chat server that sends each line to every client:
 *
 *     deno run -A tests/bench/load.ts --addr 127.0.0.1:8000 -n 100 -s 10 -l 2000
 *
 * `-n` clients join. `-s` of them send `-l` lines each, of `--size` bytes: as fast
 * as the server accepts them, or at `--rate` lines per second in total, which also
 * measures latency. `--churn` clients join and leave before that. `--web=1` connects
 * WebSockets. Every other client connects to the port `--other`, if there is one.
 * Joining, the churn and the load can take `--timeout` seconds each, and the
 * load at most `--seconds`. `--pid` is the process of the server, for its memory and processor
 * time. `--json` prints all figures in one line, memory in kB.
 */

import { parseArgs } from "@std/cli/parse-args";
import type { Share } from "./load_worker.ts";
import { memoryOf, processorTimeOf } from "./process.ts";

/** The load to run. */
export interface Load {
  hostname: string;
  port: number;
  /** The port for every other client; 0 for the same. */
  other: number;
  /** The number of clients. */
  n: number;
  /** The number of clients that send. */
  s: number;
  /** The number of lines that each sender sends. */
  lines: number;
  /** The bytes of a line without its end. */
  size: number;
  /** Lines per second of all senders; 0 for as many as the server accepts. */
  rate: number;
  /** 1 for clients that are WebSockets; 0 for TCP clients. */
  web: number;
  /** The number of clients that join and leave before the load. */
  churn: number;
  /** Maximum time for joining, for the churn and for the load, in seconds each. */
  timeout: number;
  /** Time after which the load stops, in seconds. */
  seconds: number;
  /** The process of the server. */
  pid?: number;
}

/** The result of a load. A figure that cannot be measured is missing. */
export interface Figures {
  /** The phase that took too long. The figures cover the time until then. */
  timedOut?: "joining" | "churn" | "load";
  /** The number of clients that the server has dropped. */
  lost: number;
  /** The seconds until all clients have joined and have received the last join. */
  join?: number;
  /** The memory of a client in kB: the growth of the server while all join. */
  memoryAClient?: number;
  /** The number of clients that joined and left. */
  churned: number;
  deliveries: number;
  seconds: number;
  deliveriesASecond: number;
  bytesASecond: number;
  /** The processor time of the server in microseconds. */
  cpuADelivery?: number;
  /** The latencies in milliseconds. */
  p50?: number;
  p99?: number;
  max?: number;
  /** The memory of the server in kB: at the end, and at its peak. */
  memory?: number;
  peak?: number;
}

/** The counters of a thread. Only that thread writes them. */
export const Tally = {
  /** The number of lines received. */
  marks: 0,
  /** The number of bytes received. */
  bytes: 1,
  /** The number of clients that the server has closed. */
  lost: 2,
  /** The time of the last bytes. */
  last: 3,
  length: 4,
};

/** The phases of a load, which the main thread sets for all threads. */
export const Phase = { join: 0, send: 1, report: 2 };

/** Returns the microseconds since 1970, on one clock for all threads. */
export function now(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Returns the sample that a share `q` of all samples does not exceed. */
export function quantile(
  samples: ArrayLike<number>,
  q: number,
): number | undefined {
  return Float64Array.from(samples)
    .sort()[Math.floor(q * (samples.length - 1))];
}

/** Time without output after which a load has ended, in microseconds. */
const QUIET = 500_000;
/** Number of threads: half of the cores. One thread receives as much as one can send. */
const THREADS = Math.ceil(Math.min(navigator.hardwareConcurrency, 8) / 2);
/** Number of clients of the churn that are connected at a time. */
const CHURNERS = 20;

/** Runs a load and measures it. */
async function measure(load: Load): Promise<Figures> {
  const { n, s, lines, churn, pid } = load;
  const figures: Figures = {
    lost: 0,
    churned: 0,
    deliveries: 0,
    seconds: 0,
    deliveriesASecond: 0,
    bytesASecond: 0,
  };

  const empty = await memoryOf(pid);
  const begun = now();
  const threads = new Threads(load);
  const hasJoined = () => threads.haveJoined && threads.areQuiet;
  if (!await until(hasJoined, load.timeout)) {
    figures.lost = threads.total(Tally.lost);
    return { ...figures, timedOut: "joining" };
  }
  figures.join = (threads.last - begun) / 1e6;
  const full = await memoryOf(pid);
  if (full && empty) figures.memoryAClient = (full.now - empty.now) / n;

  if (churn > 0) {
    figures.churned = await joinAndLeave(load);
    if (figures.churned < churn) figures.timedOut = "churn";
    await until(() => threads.areQuiet, load.timeout);
  }

  const bytes = threads.total(Tally.bytes);
  const cpu = await processorTimeOf(pid);
  const start = now();
  threads.enter(Phase.send);
  const isOver = () =>
    threads.total(Tally.marks) >= n * s * lines ||
    (threads.total(Tally.lost) > 0 && threads.areQuiet);
  if (!await until(isOver, Math.min(load.seconds, load.timeout))) {
    figures.timedOut ??= "load";
  }
  const cpuAfter = await processorTimeOf(pid);
  figures.lost = threads.total(Tally.lost);
  figures.deliveries = threads.total(Tally.marks);
  figures.seconds = (threads.last - start) / 1e6;
  figures.deliveriesASecond = figures.deliveries / figures.seconds;
  figures.bytesASecond = (threads.total(Tally.bytes) - bytes) / figures.seconds;
  if (cpu !== undefined && cpuAfter !== undefined) {
    figures.cpuADelivery = (cpuAfter - cpu) * 1e6 / figures.deliveries;
  }
  const after = await memoryOf(pid);
  figures.memory = after?.now;
  figures.peak = after?.peak;

  const latencies = await threads.report();
  figures.p50 = quantile(latencies, 0.5);
  figures.p99 = quantile(latencies, 0.99);
  figures.max = quantile(latencies, 1);
  return figures;
}

/** The threads that run the clients. */
class Threads {
  readonly #workers: Worker[] = [];
  readonly #tallies: Float64Array<SharedArrayBuffer>[] = [];
  readonly #phase = new Int32Array(new SharedArrayBuffer(4));
  #joined = 0;

  constructor(load: Load) {
    const threads = Math.min(THREADS, load.n);
    for (let i = 0; i < threads; i++) {
      const tally = new Float64Array(
        new SharedArrayBuffer(Tally.length * Float64Array.BYTES_PER_ELEMENT),
      );
      const share: Share = {
        ...load,
        clients: everyNth(load.n, threads, i).length,
        senders: everyNth(load.s, threads, i),
        tally,
        phase: this.#phase,
      };
      this.#tallies.push(tally);
      this.#workers.push(this.#start(share));
    }
  }

  #start(share: Share): Worker {
    const url = new URL("load_worker.ts", import.meta.url);
    const worker = new Worker(url, { type: "module" });
    worker.onmessage = () => this.#joined++;
    worker.onerror = ({ message }) => {
      console.error(`Cannot load ${share.hostname}:${share.port}: ${message}`);
      Deno.exit(1);
    };
    worker.postMessage(share);
    return worker;
  }

  get haveJoined(): boolean {
    return this.#joined === this.#workers.length;
  }

  /** The time of the last bytes. */
  get last(): number {
    return Math.max(...this.#tallies.map((tally) => tally[Tally.last]));
  }

  get areQuiet(): boolean {
    return now() - this.last > QUIET;
  }

  total(key: number): number {
    return this.#tallies.reduce((sum, tally) => sum + tally[key], 0);
  }

  enter(phase: number): void {
    Atomics.store(this.#phase, 0, phase);
  }

  /** Ends the load and returns its latencies. */
  async report(): Promise<number[]> {
    const reports = this.#workers.map((worker) =>
      new Promise<Float32Array>((resolve) => {
        worker.onmessage = ({ data }) => resolve(data);
      })
    );
    this.enter(Phase.report);
    return (await Promise.all(reports)).flatMap((report) => [...report]);
  }
}

/** Returns the numbers `i`, `i + n`, `i + 2 * n` and so on below `count`. */
function everyNth(count: number, n: number, i: number): number[] {
  return Array.from({ length: count }, (_, k) => k).filter((k) => k % n === i);
}

/** Waits for a condition and returns whether it holds in time. */
async function until(
  isDone: () => boolean,
  seconds: number,
): Promise<boolean> {
  const deadline = now() + seconds * 1e6;
  while (!isDone()) {
    if (now() > deadline) return false;
    await delay(2);
  }
  return true;
}

/** Lets clients join, read their first line and leave. Returns their number. */
async function joinAndLeave(
  { hostname, port, churn, timeout }: Load,
): Promise<number> {
  const deadline = now() + timeout * 1e6;
  let count = 0;
  const cycles = Array.from({ length: CHURNERS }, async () => {
    const buffer = new Uint8Array(64);
    while (count < churn && now() < deadline) {
      count++;
      using conn = await Deno.connect({ hostname, port });
      await conn.read(buffer);
    }
  });
  await Promise.race([Promise.all(cycles), delay(timeout * 1000)]);
  return count;
}

if (import.meta.main) {
  const args = parseArgs(Deno.args, {
    string: ["addr"],
    boolean: ["json"],
    default: {
      addr: "127.0.0.1:8000",
      other: 0,
      n: 100,
      s: 10,
      l: 1000,
      size: 64,
      rate: 0,
      churn: 0,
      web: 0,
      timeout: 100,
      seconds: 100,
    },
  });
  const { hostname, port } = new URL(`tcp://${args.addr}`);
  const { l: lines, n, s, size, rate, churn, web, other, timeout, seconds } =
    args;
  const limits = { timeout, seconds, pid: args.pid as number | undefined };
  const address = { hostname, port: Number(port), other };
  const shape = { n, s, lines, size, rate, churn, web };
  const load: Load = { ...address, ...shape, ...limits };
  const figures = await measure(load);
  if (args.json) console.log(JSON.stringify(figures));
  else console.log(figures);
  Deno.exit(); // Closes the connections.
}
