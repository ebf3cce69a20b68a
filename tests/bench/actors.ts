/** Slow, hostile and honest clients for the safety scenarios. */

import { Loop, Socket } from "./sockets.ts";

const encoder = new TextEncoder();

/** Returns lines of `size` bytes, ends included, `total` bytes in all. */
export function linesOf(size: number, total: number): Uint8Array<ArrayBuffer> {
  const line = `${"x".repeat(size - 1)}\n`;
  return encoder.encode(line.repeat(Math.ceil(total / size)));
}

/** Returns a line of invalid UTF-8, which the server sends as three times its size. */
export function invalidLine(size: number): Uint8Array<ArrayBuffer> {
  const line = new Uint8Array(size).fill(0xff);
  line[size - 1] = 0x0a;
  return line;
}

function receiveBufferFor(reads: number): number {
  return Math.max(MIN_RECEIVE_BUFFER, Math.round(reads * BUFFERED));
}

/** The options of a {@linkcode Client}. */
export interface ClientOptions {
  /** The source address. By default each client has its own. */
  source?: string;
  /** Maximum number of bytes per second that the client reads. @default {Infinity} */
  reads?: number;
  /** Whether the server must neither drop the client nor let it wait. */
  honest?: boolean;
}

/** Time between two reads of a slow client, in milliseconds. */
const READ_INTERVAL = 10;
/** Size of the receive buffer of a slow client, in seconds of reading. */
const BUFFERED = 0.05;
/** Minimum receive buffer, in bytes. In a larger one, the kernel reads for a slow client. */
const MIN_RECEIVE_BUFFER = 4096;
/** Send buffer of a client, in bytes. A larger one would hide a wait. */
const SEND_BUFFER = 64 * 1024;
/** Time after which a waiting client tries to write again, in milliseconds. */
const WRITE_INTERVAL = 1;
/** Maximum number of bytes that a client writes in one turn of the loop. */
const MAX_WRITE = 256 * 1024;
/** Maximum number of bytes that are read at once. */
const READ_SIZE = 256 * 1024;
/** Maximum number of connections that wait for their first bytes. */
const MAX_CONNECTING = 256;

/** A client that sends and reads at given rates. */
export class Client {
  readonly socket: Socket;
  readonly name: string;
  readonly honest: boolean;
  /** Whether the server has sent something. */
  joined = false;
  /** Whether the connection is closed. */
  closed = false;
  /** Whether the server has closed it. */
  dropped = false;
  /** The number of bytes that were read. */
  received = 0;
  /** The longest time for which the server did not read waiting data, in milliseconds. */
  #longestWait = 0;
  #reads: number;
  /** The times at which the client started and last managed to read slowly. */
  #readingSince = 0;
  #lastRead = 0;
  /** The number of bytes that were read before that. */
  #receivedBefore = 0;
  /** The data of the current write, and how often it repeats. */
  #data: Uint8Array<ArrayBuffer> = new Uint8Array();
  #offset = 0;
  #repeats = 0;
  #blockedSince?: number;
  readonly #stage: Stage;

  constructor(
    stage: Stage,
    { source, reads = Infinity, honest = false }: ClientOptions,
  ) {
    this.#stage = stage;
    this.#reads = reads;
    this.honest = honest;
    this.socket = new Socket(stage.loop, stage.server, {
      source: source ?? stage.nextAddress(),
      receiveBuffer: reads < Infinity ? receiveBufferFor(reads) : undefined,
      sendBuffer: SEND_BUFFER,
    });
    this.name = this.socket.name;
    this.socket.onReadable = () => this.#join();
  }

  /** Changes the number of bytes per second that the client reads. */
  set reads(value: number) {
    this.#reads = value;
    this.socket.watch({ read: value === Infinity, write: false });
    if (value === 0 || value === Infinity) return;
    this.socket.receiveBuffer = receiveBufferFor(value);
    this.#readSlowly();
  }

  /** The number of bytes per second that the client has read, if it has a limit. */
  get readRate(): number | undefined {
    if (this.#reads === 0 || this.#reads === Infinity) return undefined;
    const seconds = (this.#lastRead - this.#readingSince) / 1000;
    return (this.received - this.#receivedBefore) / Math.max(seconds, 1);
  }

  /** Whether everything is written. */
  get idle(): boolean {
    return this.#repeats === 0 || this.closed;
  }

  /** The longest wait so far, in milliseconds. */
  get wait(): number {
    const current = this.#blockedSince === undefined
      ? 0
      : performance.now() - this.#blockedSince;
    return Math.max(this.#longestWait, current);
  }

  /** Sends data as fast as the server accepts it, for a number of times. */
  send(data: Uint8Array<ArrayBuffer> | string, times = 1): void {
    this.#data = typeof data === "string" ? encoder.encode(data) : data;
    this.#offset = 0;
    this.#repeats = times;
    this.#write();
  }

  /** Sends data repeatedly, a number of times per second. Skips repetitions while it waits. */
  repeat(data: Uint8Array<ArrayBuffer> | string, perSecond: number): void {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    let time = performance.now() + Math.random() * 1000 / perSecond;
    const turn = () => {
      if (this.closed) return;
      if (this.idle) this.send(bytes);
      time = Math.max(time + 1000 / perSecond, performance.now() - 100);
      this.#stage.loop.at(time, turn);
    };
    this.#stage.loop.at(time, turn);
  }

  close(): void {
    this.closed = true;
    this.#blockedSince = undefined;
    this.socket.close();
  }

  #join(): void {
    this.joined = true;
    this.socket.onReadable = () => this.#read(READ_SIZE);
    this.#read(256); // The welcome. More would exceed a low rate.
    this.reads = this.#reads;
  }

  #read(size: number): void {
    const read = this.socket.read(this.#stage.buffer.subarray(0, size));
    if (read === 0 && size > 0) {
      this.dropped = true;
      this.close();
    }
    if (read > 0) {
      this.received += read;
      this.#lastRead = performance.now();
    }
  }

  #readSlowly(): void {
    const rate = this.#reads;
    this.#readingSince = performance.now();
    this.#receivedBefore = this.received;
    let last = this.#readingSince;
    let allowance = 0;
    const turn = () => {
      if (this.closed || this.#reads !== rate) return;
      const now = performance.now();
      // Unused allowance expires, as on a slow network.
      const seconds = Math.min((now - last) / 1000, BUFFERED);
      last = now;
      allowance = allowance % 1 + rate * seconds;
      this.#read(Math.min(READ_SIZE, Math.floor(allowance)));
      this.#stage.loop.after(READ_INTERVAL, turn);
    };
    this.#stage.loop.after(Math.random() * READ_INTERVAL, turn);
  }

  #write(): void {
    let written = 0;
    while (!this.idle && written < MAX_WRITE) {
      const size = this.socket.write(this.#data.subarray(this.#offset));
      if (size === 0) break;
      written += size;
      this.#offset += size;
      if (this.#offset < this.#data.length) continue;
      this.#offset = 0;
      this.#repeats--;
    }
    if (written > 0) {
      this.#longestWait = this.wait;
      this.#blockedSince = undefined;
    }
    if (this.idle) return;
    this.#blockedSince ??= performance.now();
    this.#stage.loop.after(WRITE_INTERVAL, () => this.#write());
  }
}

/** The options of {@linkcode Stage.churn}. */
export interface ChurnOptions {
  source?: string;
  /** Number of connections at a time. @default {8} */
  parallel?: number;
  /** Sent by each client, which then waits until the server closes. */
  data?: Uint8Array<ArrayBuffer>;
  /** The number of clients. @default {Infinity} */
  count?: number;
}

/** The server of a scenario and its clients. */
export class Stage {
  readonly loop = new Loop();
  readonly clients: Client[] = [];
  /** The number of clients of all churns. */
  churned = 0;
  /** Results that only one scenario has. */
  readonly notes: string[] = [];
  /** All clients read into one buffer and discard it. */
  readonly buffer = new Uint8Array(READ_SIZE);
  #addresses = 0;

  constructor(
    readonly server: { hostname: string; port: number; pid: number },
  ) {}

  nextAddress(): string {
    const i = this.#addresses++;
    return `127.1.${i >> 7}.${1 + (i & 127)}`;
  }

  /** Lets clients join and returns them. */
  join(count: number, options: ClientOptions = {}): Client[] {
    const clients: Client[] = [];
    const connecting = () =>
      clients.filter(({ joined, closed }) => !joined && !closed).length;
    while (clients.length < count) {
      clients.push(new Client(this, options));
      this.loop.runFor(1, () => connecting() < MAX_CONNECTING);
    }
    this.clients.push(...clients);
    this.loop.runFor(5, () => connecting() === 0);
    return clients;
  }

  /** Lets one client join. */
  joinOne(options?: ClientOptions): Client {
    return this.join(1, options)[0];
  }

  wait(seconds: number, isOver?: () => boolean): void {
    this.loop.runFor(seconds, isOver);
  }

  /** Lets clients join, read their first line and reset the connection. */
  churn(
    { source, parallel = 8, data, count = Infinity }: ChurnOptions,
  ): void {
    const connect = () => {
      if (count-- <= 0) return;
      const socket = new Socket(this.loop, this.server, {
        source: source ?? this.nextAddress(),
      });
      let offset = 0;
      const leave = () => {
        this.churned++;
        socket.reset();
        this.loop.after(0, connect);
      };
      const read = () => {
        if (socket.read(this.buffer) === 0) leave();
      };
      socket.onReadable = () => {
        if (data === undefined) return leave();
        read();
        socket.onReadable = read;
        if (!socket.closed) socket.watch({ read: true, write: true });
      };
      socket.onWritable = () => {
        if (data === undefined) return;
        offset += socket.write(data.subarray(offset));
        if (offset < data.length) return;
        socket.watch({ read: true, write: false });
        socket.end();
      };
    };
    for (let i = 0; i < parallel; i++) connect();
  }
}
