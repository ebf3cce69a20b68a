/**
 * Sockets of Linux, through its C library. The benchmark needs them for two
 * reasons: Deno cannot set a source address, a receive buffer or a reset, and one
 * read through `Deno.Conn` costs as much as several reads here, so that a load
 * written with it measures itself and not the server.
 */

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 0x1;
const EPOLLOUT = 0x4;
const EPOLLERR = 0x8;
const EPOLLHUP = 0x10;

const int = "i32" as const;
const SYMBOLS = {
  socket: { parameters: [int, int, int], result: int },
  bind: { parameters: [int, "buffer", int], result: int },
  connect: { parameters: [int, "buffer", int], result: int },
  setsockopt: { parameters: [int, int, int, "buffer", int], result: int },
  recv: { parameters: [int, "buffer", "usize", int], result: "isize" },
  send: { parameters: [int, "buffer", "usize", int], result: "isize" },
  getsockname: { parameters: [int, "buffer", "buffer"], result: int },
  shutdown: { parameters: [int, int], result: int },
  close: { parameters: [int], result: int },
  epoll_create1: { parameters: [int], result: int },
  epoll_ctl: { parameters: [int, int, int, "buffer"], result: int },
  epoll_wait: { parameters: [int, "buffer", int, int], result: int },
} as const;

function openLibrary() {
  if (Deno.build.os !== "linux") throw new Error("The benchmark needs Linux");
  return Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

const libc = openLibrary();

/** The C struct `epoll_event` is packed on x86_64 and padded elsewhere. */
const EVENT = Deno.build.arch === "x86_64"
  ? { fd: 1, words: 3 }
  : { fd: 2, words: 4 };
/** Maximum number of events that one system call returns. */
const MAX_EVENTS = 512;
/** Maximum time between two checks of the condition of a loop, in milliseconds. */
const MAX_WAIT = 1;

/** The options of a {@linkcode Socket}. */
export interface SocketOptions {
  /** The source address, for example one of 127.0.0.0/8. */
  source?: string;
  /** The receive buffer in bytes. Linux doubles it, and does not change it any more. */
  receiveBuffer?: number;
  /** The send buffer in bytes. Linux doubles it. */
  sendBuffer?: number;
}

/** A non-blocking TCP socket, which belongs to a {@linkcode Loop}. */
export class Socket {
  /** Called when there are bytes to read, or when the peer has closed. */
  onReadable: () => void = () => {};
  /** Called when there is space to write, while {@linkcode watch} asks for it. */
  onWritable: () => void = () => {};
  readonly #fd: number;
  readonly #loop: Loop;
  #events = EPOLLIN;
  #closed = false;

  /** Starts to connect. `onWritable` or `onReadable` follows. */
  constructor(
    loop: Loop,
    { hostname, port }: { hostname: string; port: number },
    { source, receiveBuffer, sendBuffer }: SocketOptions = {},
  ) {
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.#fd = libc.socket(AF_INET, type, 0);
    if (this.#fd < 0) throw new Error("Cannot open a socket: see ulimit -n");
    this.#set(IPPROTO_TCP, TCP_NODELAY, 1);
    if (receiveBuffer !== undefined) this.receiveBuffer = receiveBuffer;
    if (sendBuffer !== undefined) {
      this.#set(SOL_SOCKET, SO_SNDBUF, sendBuffer);
    }
    if (source !== undefined) {
      const local = socketAddress(source, 0);
      if (libc.bind(this.#fd, local, local.length) < 0) {
        throw new Error(`Cannot connect from ${source}`);
      }
    }
    const remote = socketAddress(hostname, port);
    // A failure to connect shows as the end of the input.
    libc.connect(this.#fd, remote, remote.length);
    this.#loop = loop;
    loop.add(this.#fd, this.#events, this);
  }

  /** The local address, as the server names the client: `HOST:PORT`. */
  get name(): string {
    const address = new Uint8Array(16);
    libc.getsockname(this.#fd, address, new Int32Array([address.length]));
    const port = new DataView(address.buffer).getUint16(2);
    return `${address.subarray(4, 8).join(".")}:${port}`;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sets the receive buffer in bytes. */
  set receiveBuffer(size: number) {
    this.#set(SOL_SOCKET, SO_RCVBUF, size);
  }

  /**
   * Reads some bytes. Returns 0 at the end and -1 if there are none yet. After a
   * failure it returns -1 once and then 0.
   */
  read(buffer: Uint8Array<ArrayBuffer>): number {
    return Number(libc.recv(this.#fd, buffer, BigInt(buffer.length), 0));
  }

  /** Writes some bytes and returns their number. */
  write(bytes: Uint8Array<ArrayBuffer>): number {
    const length = BigInt(bytes.length);
    const size = libc.send(this.#fd, bytes, length, MSG_NOSIGNAL);
    return Math.max(0, Number(size));
  }

  /** Chooses the callbacks that are called. */
  watch({ read, write }: { read: boolean; write: boolean }): void {
    const events = (read ? EPOLLIN : 0) | (write ? EPOLLOUT : 0);
    if (events === this.#events || this.#closed) return;
    this.#events = events;
    this.#loop.modify(this.#fd, events);
  }

  /** Shuts down the sending side. */
  end(): void {
    libc.shutdown(this.#fd, SHUT_WR);
  }

  /** Closes the connection. Closing twice has no effect. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.remove(this.#fd);
    libc.close(this.#fd);
  }

  /** Closes the connection with a reset, which discards unsent bytes. */
  reset(): void {
    if (this.#closed) return;
    this.#set(SOL_SOCKET, SO_LINGER, 1, 0);
    this.close();
  }

  #set(level: number, name: number, ...values: number[]): void {
    const value = new Int32Array(values);
    libc.setsockopt(this.#fd, level, name, value, value.byteLength);
  }
}

/** An event loop over sockets and timers. Its turns block the thread. */
export class Loop {
  readonly #epoll = libc.epoll_create1(0);
  readonly #events = new Int32Array(MAX_EVENTS * EVENT.words);
  readonly #change = new Int32Array(EVENT.words);
  readonly #sockets: (Socket | undefined)[] = [];
  /** Sorted by time, the next one last. */
  readonly #timers: { time: number; run: () => void }[] = [];

  /** Runs a callback in some milliseconds, never earlier. */
  after(ms: number, run: () => void): void {
    this.at(performance.now() + ms, run);
  }

  /** Runs a callback at a time of `performance.now()`, never earlier. */
  at(time: number, run: () => void): void {
    let i = this.#timers.length;
    while (i > 0 && this.#timers[i - 1].time < time) i--;
    this.#timers.splice(i, 0, { time, run });
  }

  /** Runs for some seconds, or until the condition holds. */
  runFor(seconds: number, isOver: () => boolean = () => false): void {
    const end = performance.now() + seconds * 1000;
    this.run(() => performance.now() >= end || isOver());
  }

  /** Runs until the condition holds. It is checked at least every millisecond. */
  run(isOver: () => boolean): void {
    while (!isOver()) this.#turn();
  }

  #turn(): void {
    const next = this.#timers.at(-1)?.time ?? Infinity;
    const ms = next - performance.now() < MAX_WAIT / 2 ? 0 : MAX_WAIT;
    const count = libc.epoll_wait(this.#epoll, this.#events, MAX_EVENTS, ms);
    for (let i = 0; i < count; i++) {
      const events = this.#events[i * EVENT.words];
      const socket = this.#sockets[this.#events[i * EVENT.words + EVENT.fd]];
      const isEnd = (events & (EPOLLERR | EPOLLHUP)) !== 0;
      if (isEnd || events & EPOLLIN) socket?.onReadable();
      if (events & EPOLLOUT && !socket?.closed) socket?.onWritable();
    }
    const now = performance.now();
    while (this.#timers.length > 0 && this.#timers.at(-1)!.time <= now) {
      this.#timers.pop()!.run();
    }
  }

  add(fd: number, events: number, socket: Socket): void {
    this.#sockets[fd] = socket;
    this.#control(EPOLL_CTL_ADD, fd, events);
  }

  modify(fd: number, events: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events);
  }

  remove(fd: number): void {
    this.#sockets[fd] = undefined;
    this.#control(EPOLL_CTL_DEL, fd, 0);
  }

  #control(operation: number, fd: number, events: number): void {
    this.#change[0] = events;
    this.#change[EVENT.fd] = fd;
    libc.epoll_ctl(this.#epoll, operation, fd, this.#change);
  }
}

/** The C struct `sockaddr_in`. */
function socketAddress(
  hostname: string,
  port: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  new Uint16Array(bytes.buffer)[0] = AF_INET;
  new DataView(bytes.buffer).setUint16(2, port);
  bytes.set(hostname.split(".").map(Number), 4);
  return bytes;
}
