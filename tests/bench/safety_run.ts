/**
 * Runs one scenario of `safety.ts` and prints its figures as JSON:
 *
 *     deno run -A tests/bench/safety_run.ts SCENARIO DIRECTORY
 *
 * DIRECTORY is the checkout of linechat to start the server from.
 */

import { Stage } from "./actors.ts";
import { delay, now, quantile } from "./load.ts";
import type { ProbeOrder, ProbeReport } from "./probe_worker.ts";
import { memoryOf, ROOT, startServer } from "./process.ts";
import { SAFETY, type SafetyFigures, type Scenario } from "./safety.ts";
import { chatServer } from "./servers.ts";

/** Time for which the probe measures the idle room, in seconds. */
const IDLE = 2;
/** Time for the last lines of the probe to arrive, in seconds. */
const GRACE = 1;

/** The honest clients of a scenario, on a thread of their own. */
class Probe {
  readonly #state = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker = new Worker(new URL("probe_worker.ts", import.meta.url), {
    type: "module",
  });

  async join({ hostname, port }: { hostname: string; port: number }) {
    const joined = this.#message();
    const order: ProbeOrder = { hostname, port, state: this.#state };
    this.#worker.postMessage(order);
    await joined;
  }

  async report(): Promise<ProbeReport> {
    const report = this.#message();
    Atomics.store(this.#state, 0, 1);
    await delay(GRACE * 1000);
    Atomics.store(this.#state, 0, 2);
    return await report as ProbeReport;
  }

  #message(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => resolve(data);
      this.#worker.onerror = ({ message }) => reject(new Error(message));
    });
  }
}

async function run(
  { options, isBot, run }: Scenario,
  directory: string,
): Promise<SafetyFigures> {
  const errors = await Deno.makeTempFile();
  // A pipe would fill up, since the scenario blocks this thread.
  const toFile = ["sh", "-c", 'exec "$@" 2> "$0"', errors];
  const bot = ["run", "-NR", `${ROOT}/tests/bench/bot.ts`, directory];
  const command = isBot
    ? [Deno.execPath(), ...bot]
    : chatServer(...options ?? []);
  await using server = await startServer([...toFile, ...command], {
    cwd: directory,
  });
  const probe = new Probe();
  await probe.join(server);
  await delay(IDLE * 1000);

  const stage = new Stage(server);
  const start = now();
  run(stage);
  const stop = now();
  const wait = Math.max(
    0,
    ...stage.clients.filter(({ honest }) => honest).map(({ wait }) => wait),
  );
  const report = await probe.report();
  const end = now();
  const memory = await memoryOf(server.pid);
  const log = await Deno.readTextFile(errors);
  await Deno.remove(errors);

  const idle: number[] = [];
  const loaded: number[] = [];
  let missing = 0;
  report.sent.forEach((sent, i) => {
    let latency = report.latencies[i];
    if (latency < 0) {
      missing++;
      latency = (end - sent) / 1000;
    }
    (sent < start ? idle : loaded).push(latency);
  });
  const seconds = (stop - start) / 1e6;
  const megabytes = report.bytes / seconds / 1e6;
  stage.notes.push(`${megabytes.toPrecision(2)} MB/s to each reader`);
  const rates = stage.clients.flatMap(({ readRate }) => readRate ?? []);
  if (rates.length > 0) {
    const range = [Math.min(...rates), Math.max(...rates)].map((rate) =>
      (rate / 1000).toFixed(0)
    );
    stage.notes.push(`slow readers read ${range.join(" to ")} KB/s`);
  }
  if (stage.churned > 0) {
    stage.notes.push(`${(stage.churned / seconds).toFixed(0)} joins/s`);
  }
  if (isBot) {
    stage.notes.push(memory ? "the bot is alive" : "the bot has ended");
  }
  const dropped = stage.clients.filter((client) =>
    new RegExp(`\\b${RegExp.escape(client.name)}\\b`).test(log)
  );
  const honest = stage.clients.filter((client) =>
    client.honest && (client.dropped || dropped.includes(client))
  );
  return {
    idleP99: quantile(idle, 0.99)!,
    p50: quantile(loaded, 0.5)!,
    p99: quantile(loaded, 0.99)!,
    max: quantile(loaded, 1)!,
    lines: loaded.length,
    missing,
    dropped: {
      honest: honest.length + report.dropped,
      others: dropped.filter(({ honest }) => !honest).length,
    },
    wait,
    peak: (memory?.peak ?? 0) / 1000,
    notes: stage.notes,
  };
}

const [scenario, directory] = Deno.args;
console.log(JSON.stringify(await run(SAFETY[scenario], directory)));
Deno.exit(); // Ends the threads.
