/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A thread of `load.ts`: its share of the clients. */

import { delay, type Load, now, Tally } from "./load.ts";

/** What a thread is told at first: to join. */
export interface Share extends Load {
  /** Of the load's clients, so many. */
  clients: number;
  /** Those of its clients who send, by their numbers among all who do. */
  senders: number[];
  /** What it tells all the time: see {@linkcode Tally}. */
  tally: Float64Array<SharedArrayBuffer>;
}

/** A power of 2, as big as the chunks of the fastest server. */
const READ_SIZE = 256 * 1024;
const PAGE_SIZE = 64 * 1024;
/** Begins each line of the load, and is nowhere else in what is received. */
const MARK = 0x40; // "@"
/** Behind the mark, where latency is measured: when the line was sent. */
const DIGITS = 16;

/**
 * Counts the marks from `start` up to `end`, 16 bytes at a time, in the memory
 * that is read into. Counted in JavaScript, the fastest way that was found, a
 * saturated server is measured at half of its speed. This is
 *
 *     (func (param $start i32) (param $end i32) (result i32) (local $marks i32)
 *       (loop
 *         (local.set $marks (i32.add
 *           (i32.popcnt (i8x16.bitmask (i8x16.eq
 *             (v128.load (local.get $start))
 *             (i8x16.splat (i32.const 0x40)))))
 *           (local.get $marks)))
 *         (br_if 0 (i32.lt_u
 *           (local.tee $start (i32.add (local.get $start) (i32.const 16)))
 *           (local.get $end))))
 *       (local.get $marks))
 */
const COUNT_MARKS = Uint8Array.fromHex(
  [
    "0061736d01000000", // magic, version
    "010701 60027f7f017f", // type: (i32, i32) -> i32
    "020601 0000 020001", // import: a memory, of 1 page at least, without a name
    "030201 00", // function: of type 0
    "070401 00 0000", // export: the function, without a name
    "0a2c01 2a 01017f", // code: one function, one local
    "0340 2000 fd000400 41c000 fd0f fd23 fd64 69 2002 6a 2102",
    "2000 4110 6a 2200 2001 49 0d00 0b 2002 0b",
  ].join("").replaceAll(" ", ""),
);

class Clients {
  readonly #share: Share;
  readonly #conns: Deno.TcpConn[] = [];
  readonly #memory: WebAssembly.Memory;
  readonly #countMarks: (start: number, end: number) => number;
  /** In milliseconds. */
  readonly latencies: number[] = [];

  constructor(share: Share) {
    this.#share = share;
    // The system gives a page only once it is written to.
    const initial = share.clients * READ_SIZE / PAGE_SIZE;
    const memory = this.#memory = new WebAssembly.Memory({ initial });
    const counter = new WebAssembly.Module(COUNT_MARKS);
    const { exports } = new WebAssembly.Instance(counter, {
      "": { "": memory },
    });
    this.#countMarks = exports[""] as (start: number, end: number) => number;
  }

  async join(): Promise<void> {
    const { hostname, port, clients, rate, tally } = this.#share;
    while (this.#conns.length < clients) {
      const conn = await Deno.connect({ hostname, port });
      const i = this.#conns.push(conn) - 1;
      const buffer = new Uint8Array(
        this.#memory.buffer,
        i * READ_SIZE,
        READ_SIZE,
      );
      void (rate > 0 ? this.#time(conn, buffer) : this.#count(conn, buffer));
    }
    tally[Tally.last] = now();
  }

  async #count(conn: Deno.Conn, buffer: Uint8Array): Promise<void> {
    const { tally } = this.#share;
    const start = buffer.byteOffset;
    for (let size; (size = await this.#read(conn, buffer)) > 0;) {
      // What follows in the last 16 bytes is of an earlier read.
      buffer.fill(0, size, (size + 15) & ~15);
      tally[Tally.marks] += this.#countMarks(start, start + size);
    }
  }

  async #time(conn: Deno.Conn, buffer: Uint8Array): Promise<void> {
    const { tally } = this.#share;
    let held = 0;
    for (
      let size;
      (size = await this.#read(conn, buffer.subarray(held))) > 0;
    ) {
      const end = held + size;
      const time = now();
      held = 0;
      const received = buffer.subarray(0, end);
      for (let i = 0; (i = received.indexOf(MARK, i)) >= 0; i++) {
        if (i + DIGITS >= end) { // The rest of the time is still to come.
          buffer.copyWithin(0, i, end);
          held = end - i;
          break;
        }
        let sent = 0;
        for (let k = i + 1; k <= i + DIGITS; k++) {
          sent = sent * 10 + received[k] - 0x30;
        }
        this.latencies.push((time - sent) / 1000);
        tally[Tally.marks]++;
      }
    }
  }

  /** Reads some, and 0 bytes where the server has closed. */
  async #read(conn: Deno.Conn, buffer: Uint8Array): Promise<number> {
    const { tally } = this.#share;
    const size = await conn.read(buffer).catch(() => null) ?? 0;
    if (size === 0) tally[Tally.lost]++;
    tally[Tally.bytes] += size;
    tally[Tally.last] = now();
    return size;
  }

  async send(): Promise<void> {
    const { senders, lines, rate, size, s } = this.#share;
    const start = now();
    await Promise.all(senders.map((sender, i) => {
      const conn = this.#conns[i];
      if (rate === 0) return sendAll(conn, lines, size);
      const gap = s / rate * 1e6;
      return sendAtRate(conn, lines, size, start + gap * (1 + sender / s), gap);
    }));
  }
}

const encoder = new TextEncoder();

/** 16 lines a write, as somebody's paste, or a program's output, may come. */
async function sendAll(
  conn: Deno.Conn,
  lines: number,
  size: number,
): Promise<void> {
  const line = `${String.fromCharCode(MARK)}${"x".repeat(size - 1)}\n`;
  const block = encoder.encode(line.repeat(16));
  for (; lines > 0; lines -= 16) {
    await write(conn, block.subarray(0, Math.min(lines, 16) * line.length));
  }
}

async function sendAtRate(
  conn: Deno.Conn,
  lines: number,
  size: number,
  next: number,
  gap: number,
): Promise<void> {
  const padding = "x".repeat(Math.max(0, size - 1 - DIGITS));
  for (; lines > 0; lines--, next += gap) {
    await delay((next - now()) / 1000);
    const time = String(Math.floor(now())).padStart(DIGITS, "0");
    await write(
      conn,
      encoder.encode(`${String.fromCharCode(MARK)}${time}${padding}\n`),
    );
  }
}

async function write(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}

let clients: Clients;
self.onmessage = async ({ data }: MessageEvent<Share | "send" | "report">) => {
  if (data === "send") {
    // Who was dropped cannot send on: it is counted where it reads.
    await clients.send().catch(() => {});
  } else if (data === "report") {
    self.postMessage(Float32Array.from(clients.latencies));
  } else {
    clients = new Clients(data);
    await clients.join();
    self.postMessage("joined");
  }
};
