/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * A thread of honest clients, which measures the latency of their lines. It has its
 * own thread so that a flood of the scenario does not delay it.
 */

import { now } from "./load.ts";
import { Loop, Socket } from "./sockets.ts";

/** The instructions for a probe. */
export interface ProbeOrder {
  hostname: string;
  port: number;
  /** Set to 1 to stop sending, and to 2 to report. */
  state: Int32Array<SharedArrayBuffer>;
}

/** The result of a probe. */
export interface ProbeReport {
  /** The time at which each line was sent, in microseconds since 1970. */
  sent: Float64Array<ArrayBuffer>;
  /** The time until all clients of the probe had the line, in milliseconds, or -1. */
  latencies: Float64Array<ArrayBuffer>;
  /** The number of clients of the probe that the server has closed. */
  dropped: number;
  /** The number of bytes that one client of the probe has received. */
  bytes: number;
}

const CLIENTS = 3;
/** Time between two lines of a client, in milliseconds. */
const INTERVAL = 125;
/** Starts a line of the probe. No other client sends it. */
const MARK = 0x40; // "@"
/** Number of digits after the mark. They are the number of the line. */
const DIGITS = 6;
const HEAD_SIZE = 16;
const READ_SIZE = 256 * 1024;

class Probe {
  readonly #loop = new Loop();
  readonly #memory = new Uint8Array(HEAD_SIZE + READ_SIZE + 1);
  readonly #sockets: Socket[] = [];
  readonly #sent: number[] = [];
  readonly #latencies: number[] = [];
  /** The number of clients that have each line. */
  readonly #counts: number[] = [];
  #bytes = 0;
  #isSending = true;

  constructor(readonly order: ProbeOrder) {
    for (let i = 0; i < CLIENTS; i++) {
      const source = `127.9.0.${i + 1}`;
      const socket = new Socket(this.#loop, order, { source });
      this.#sockets.push(socket);
      let isIn = false;
      const read = this.#reader(socket, i === 0);
      socket.onReadable = () => {
        isIn = true;
        read();
      };
      this.#loop.runFor(5, () => isIn);
      if (!isIn) throw new Error("A probe cannot join");
    }
  }

  run(): void {
    this.#sockets.forEach((socket, i) => this.#sendLines(socket, i));
    const { state } = this.order;
    this.#loop.run(() => Atomics.load(state, 0) >= 1);
    this.#isSending = false;
    this.#loop.run(() => Atomics.load(state, 0) >= 2);
  }

  report(): ProbeReport {
    const alive = this.#sockets.filter(({ closed }) => !closed).length;
    return {
      sent: Float64Array.from(this.#sent),
      latencies: Float64Array.from(
        this.#latencies,
        (latency, i) => this.#counts[i] >= Math.max(1, alive) ? latency : -1,
      ),
      dropped: CLIENTS - alive,
      bytes: this.#bytes,
    };
  }

  #sendLines(socket: Socket, i: number): void {
    const encoder = new TextEncoder();
    let time = performance.now() + i * INTERVAL / CLIENTS;
    const send = () => {
      if (socket.closed || !this.#isSending) return;
      const number = this.#sent.push(now()) - 1;
      this.#latencies.push(0);
      this.#counts.push(0);
      const digits = String(number).padStart(DIGITS, "0");
      socket.write(encoder.encode(`@${digits}\n`));
      this.#loop.at(time += INTERVAL, send);
    };
    this.#loop.at(time, send);
  }

  #reader(socket: Socket, counts: boolean): () => void {
    const memory = this.#memory;
    let rest = new Uint8Array();
    return () => {
      const size = socket.read(
        memory.subarray(HEAD_SIZE, HEAD_SIZE + READ_SIZE),
      );
      if (size === 0) socket.close();
      if (size <= 0) return;
      if (counts) this.#bytes += size;
      const time = now();
      const end = HEAD_SIZE + size;
      let i = HEAD_SIZE - rest.length;
      memory.set(rest, i);
      memory[end] = MARK; // Ends the search.
      for (; (i = memory.indexOf(MARK, i)) < end - DIGITS; i++) {
        let number = 0;
        for (let k = i + 1; k <= i + DIGITS; k++) {
          number = number * 10 + memory[k] - 0x30;
        }
        this.#counts[number]++;
        this.#latencies[number] = (time - this.#sent[number]) / 1000;
      }
      rest = memory.slice(i, end);
    };
  }
}

self.onmessage = ({ data }: MessageEvent<ProbeOrder>) => {
  const probe = new Probe(data);
  self.postMessage("joined");
  probe.run();
  self.postMessage(probe.report());
};
