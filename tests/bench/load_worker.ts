/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A thread of `load.ts`, which runs a share of the clients. */

import { type Load, now, Phase, Tally } from "./load.ts";
import { Loop, Socket } from "./sockets.ts";

/** The part of a load that one thread runs. */
export interface Share extends Load {
  /** The number of clients. */
  clients: number;
  /** The indexes of its senders among all senders. */
  senders: number[];
  /** The counters that the main thread reads. See {@linkcode Tally}. */
  tally: Float64Array<SharedArrayBuffer>;
  /** The phase that the main thread sets. See {@linkcode Phase}. */
  phase: Int32Array<SharedArrayBuffer>;
}

/** Size of the buffer of all clients, which fits in the cache of the processor. */
const READ_SIZE = 256 * 1024;
/** Size of the space before the buffer, for the rest of an earlier read. */
const HEAD_SIZE = 64;
const PAGE_SIZE = 64 * 1024;
/** Starts each line of the load, and occurs nowhere else in the output. */
const MARK = 0x40; // "@"
/** Number of digits of the time after the mark, if latency is measured. */
const DIGITS = 16;
/** Number of lines of one write, like a paste or the output of a program. */
const LINES_PER_WRITE = 64;
/**
 * The maximum number of TCP clients and of WebSockets that wait for their first bytes.
 * Deno and Node queue 511 connections to accept, and the kernel retries more than that
 * after a second. A web port closes the oldest of 256 connections without a request.
 */
const MAX_CONNECTING = { tcp: 500, web: 200 };

/**
 * Counts the marks from `start` to `end`, 16 bytes at a time. A loop in JavaScript
 * is slower than the server. The text format is
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
    "020601 0000 020001", // import: a memory of 1 page or more, without a name
    "030201 00", // function: of type 0
    "070401 00 0000", // export: the function, without a name
    "0a2c01 2a 01017f", // code: one function, one local
    "0340 2000 fd000400 41c000 fd0f fd23 fd64 69 2002 6a 2102",
    "2000 4110 6a 2200 2001 49 0d00 0b 2002 0b",
  ].join("").replaceAll(" ", ""),
);

const encoder = new TextEncoder();
const NOTHING = new Uint8Array();

class Clients {
  readonly #share: Share;
  readonly #loop = new Loop();
  readonly #sockets: Socket[] = [];
  /** The buffer of all reads, in the memory of {@linkcode COUNT_MARKS}. */
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #buffer: Uint8Array<ArrayBuffer>;
  readonly #countMarks: (start: number, end: number) => number;
  /** Latencies in milliseconds. */
  readonly latencies: Float32Array<ArrayBuffer>;

  constructor(share: Share) {
    this.#share = share;
    const { rate, clients, s, lines } = share;
    this.latencies = new Float32Array(rate > 0 ? clients * s * lines : 0);
    const memory = new WebAssembly.Memory({
      initial: 1 + READ_SIZE / PAGE_SIZE,
    });
    const counter = new WebAssembly.Module(COUNT_MARKS);
    const { exports } = new WebAssembly.Instance(counter, {
      "": { "": memory },
    });
    this.#countMarks = exports[""] as (start: number, end: number) => number;
    this.#memory = new Uint8Array(memory.buffer as ArrayBuffer);
    this.#buffer = this.#memory.subarray(HEAD_SIZE, HEAD_SIZE + READ_SIZE);
  }

  join(): void {
    const { hostname, port, other, clients, rate, web } = this.#share;
    const most = web ? MAX_CONNECTING.web : MAX_CONNECTING.tcp;
    let connecting = 0;
    while (this.#sockets.length < clients) {
      const isOther = other > 0 && this.#sockets.length % 2 === 1;
      const address = { hostname, port: isOther ? other : port };
      const socket = new Socket(this.#loop, address);
      this.#sockets.push(socket);
      if (this.#share.web) this.#upgrade(socket);
      const read = rate > 0 ? this.#timer(socket) : this.#counter(socket);
      connecting++;
      socket.onReadable = () => {
        connecting--;
        socket.onReadable = read;
        read();
      };
      this.#loop.run(() => connecting < most);
    }
    this.#loop.run(() => connecting === 0);
  }

  /** Requests a WebSocket as soon as the socket is connected. */
  #upgrade(socket: Socket): void {
    const request = "GET /ws HTTP/1.1\r\nHost: localhost\r\n" +
      "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.onWritable = () => {
      socket.write(encoder.encode(request));
      socket.watch({ read: true, write: false });
    };
    socket.watch({ read: true, write: true });
  }

  /** Encodes a line as a client sends it. */
  #encode(line: string): Uint8Array<ArrayBuffer> {
    if (!this.#share.web) return encoder.encode(`${line}\n`);
    const { length } = line;
    const size = length < 126 ? [length] : [126, length >> 8, length & 0xff];
    // A frame with a mask of zeros, which leaves the text as it is.
    const header = [0x81, 0x80 | size[0], ...size.slice(1), 0, 0, 0, 0];
    return Uint8Array.from([...header, ...encoder.encode(line)]);
  }

  /** Runs until the main thread sets another phase. */
  runDuring(phase: number): void {
    this.#loop.run(() => Atomics.load(this.#share.phase, 0) !== phase);
  }

  /** Counts the lines that a client receives. */
  #counter(socket: Socket): () => void {
    const { tally } = this.#share;
    return () => {
      const size = this.#read(socket);
      if (size <= 0) return;
      const end = HEAD_SIZE + size;
      // The last 16 bytes may contain bytes of an earlier read.
      this.#memory.fill(0, end, (end + 15) & ~15);
      tally[Tally.marks] += this.#countMarks(HEAD_SIZE, end);
    };
  }

  /** Measures the latency of the lines that a client receives. */
  #timer(socket: Socket): () => void {
    const { tally } = this.#share;
    let rest = NOTHING;
    return () => {
      const size = this.#read(socket);
      if (size <= 0) return;
      const time = now();
      const memory = this.#memory;
      const end = HEAD_SIZE + size;
      let i = HEAD_SIZE - rest.length;
      memory.set(rest, i);
      memory[end] = MARK; // Ends the search.
      for (; (i = memory.indexOf(MARK, i)) < end - DIGITS; i++) {
        let sent = 0;
        for (let k = i + 1; k <= i + DIGITS; k++) {
          sent = sent * 10 + memory[k] - 0x30;
        }
        const latency = (time - sent) / 1000;
        // The size of a frame can look like a mark.
        if (!(latency >= 0 && latency < 1e6)) continue;
        this.latencies[tally[Tally.marks]++] = latency;
      }
      rest = i === end ? NOTHING : memory.slice(i, end);
    };
  }

  #read(socket: Socket): number {
    const { tally } = this.#share;
    const size = socket.read(this.#buffer);
    if (size === 0) {
      socket.close();
      tally[Tally.lost]++;
    }
    tally[Tally.bytes] += Math.max(0, size);
    tally[Tally.last] = now();
    return size;
  }

  send(): void {
    const { senders, s, rate } = this.#share;
    const gap = s / rate * 1000;
    const start = performance.now();
    senders.forEach((sender, i) => {
      const socket = this.#sockets[i];
      if (rate === 0) this.#sendAll(socket);
      else this.#sendAtRate(socket, start + gap * (1 + sender / s), gap);
    });
  }

  #sendAll(socket: Socket): void {
    const { lines, size } = this.#share;
    const line = this.#encode(
      String.fromCharCode(MARK) + "x".repeat(size - 1),
    );
    const block = new Uint8Array(LINES_PER_WRITE * line.length);
    for (let i = 0; i < block.length; i += line.length) block.set(line, i);
    const total = lines * line.length;
    let sent = 0;
    socket.onWritable = () => {
      const start = sent % block.length;
      sent += socket.write(block.subarray(start, start + total - sent));
      if (sent === total) socket.watch({ read: true, write: false });
    };
    socket.watch({ read: true, write: true });
  }

  #sendAtRate(socket: Socket, time: number, gap: number): void {
    const padding = "x".repeat(Math.max(0, this.#share.size - 1 - DIGITS));
    let left = this.#share.lines;
    const send = () => {
      if (socket.closed || left-- === 0) return;
      const sent = String(Math.floor(now())).padStart(DIGITS, "0");
      const mark = String.fromCharCode(MARK);
      socket.write(this.#encode(`${mark}${sent}${padding}`));
      this.#loop.at(time += gap, send);
    };
    this.#loop.at(time, send);
  }
}

self.onmessage = ({ data: share }: MessageEvent<Share>) => {
  const clients = new Clients(share);
  clients.join();
  self.postMessage("joined");
  clients.runDuring(Phase.join);
  clients.send();
  clients.runDuring(Phase.send);
  self.postMessage(clients.latencies.subarray(0, share.tally[Tally.marks]));
};
