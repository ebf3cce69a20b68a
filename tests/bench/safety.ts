/**
 * What the server of this checkout makes of clients that are up to no good, each
 * case on a fresh one. Memory and descriptors come from /proc: it needs Linux.
 */

import { TestClient } from "../clients.ts";
import { type Command, startServer } from "../commands.ts";

type Server = Awaited<ReturnType<typeof startServer>>;

const encoder = new TextEncoder();
const LF = 0x0a;

/** A line of so many bytes, its end included, so many times. */
function linesOf(size: number, count: number): Uint8Array<ArrayBuffer> {
  return encoder.encode(("x".repeat(size - 1) + "\n").repeat(count));
}

/** Reads what comes, chunk by chunk, until the callback has enough. */
async function read(
  { hostname, port }: Deno.NetAddr,
  enough: (chunk: Uint8Array) => boolean,
): Promise<void> {
  using conn = await Deno.connect({ hostname, port });
  const buffer = new Uint8Array(256 * 1024);
  for (let n; (n = await conn.read(buffer)) !== null;) {
    if (enough(buffer.subarray(0, n))) return;
  }
  throw new Error("Cannot read on: the server has closed");
}

async function send(client: Deno.Conn, bytes: Uint8Array, times = 1) {
  for (; times > 0; times--) {
    for (let rest = bytes; rest.length > 0;) {
      rest = rest.subarray(await client.write(rest));
    }
  }
}

/** A client that never reads. */
function connect({ hostname, port }: Deno.NetAddr): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname, port });
}

function count(chunk: Uint8Array, byte: number): number {
  let n = 0;
  for (let i = -1; (i = chunk.indexOf(byte, i + 1)) >= 0;) n++;
  return n;
}

async function status({ pid }: Command) {
  const text = await Deno.readTextFile(`/proc/${pid}/status`);
  const mb = (key: string) =>
    Math.round(Number(new RegExp(`${key}:\\s+(\\d+)`).exec(text)![1]) / 1000);
  const fds = await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`));
  return { fds: fds.length, rss: mb("VmRSS"), peak: mb("VmHWM") };
}

/** So many bytes of lines pass from one client to another. */
async function pass(server: Server, bytes: number): Promise<void> {
  const block = linesOf(1000, 100);
  let missing = Math.ceil(bytes / block.length) * 100;
  const reading = read(server.addr, (chunk) => {
    missing -= count(chunk, 0x78) > 0 ? count(chunk, LF) : 0;
    return missing <= 0;
  });
  using sender = await connect(server.addr);
  const draining = (async () => {
    const buffer = new Uint8Array(256 * 1024);
    while (await sender.read(buffer) !== null);
  })().catch(() => {});
  await send(sender, block, Math.ceil(bytes / block.length));
  await reading;
  sender.close();
  await draining;
}

export const SAFETY: Record<string, () => Promise<void>> = {
  /** One client does not read while 40 and 400 MB pass. */
  async stuck() {
    for (const megabytes of [40, 400]) {
      await using server = await startServer();
      const before = await status(server);
      using _stuck = await connect(server.addr);
      const start = performance.now();
      await pass(server, megabytes * 1e6);
      const { peak } = await status(server);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      console.log(
        `stuck       peak memory ${peak} MB (${before.rss} at first) while ` +
          `${megabytes} MB passed a client that does not read, in ${seconds} s`,
      );
    }
  },

  /** A gigabyte without a newline. */
  async endless() {
    await using server = await startServer();
    const before = await status(server);
    using conn = await connect(server.addr);
    await send(conn, new Uint8Array(1_000_000).fill(0x78), 1000);
    await send(conn, encoder.encode("\nhello\n"));
    await read(server.addr, () => true); // The server has come to this.
    const { peak } = await status(server);
    console.log(
      `endless     peak memory ${peak} MB (${before.rss} at first) after 1 GB without a newline`,
    );
  },

  /** Ten clients do not read; how long does one that reads wait at most? */
  async gap() {
    for (const stuck of [0, 1, 10]) {
      await using server = await startServer();
      const conns = [];
      for (let i = 0; i < stuck; i++) conns.push(await connect(server.addr));
      let last = performance.now();
      let longest = 0;
      let bytes = 0;
      const reading = read(server.addr, (chunk) => {
        const now = performance.now();
        if (bytes > 0) longest = Math.max(longest, now - last);
        last = now;
        bytes += chunk.length;
        return bytes > 60e6;
      });
      await pass(server, 70e6);
      await reading;
      for (const conn of conns) conn.close();
      console.log(
        `gap         longest ${
          longest.toFixed(0)
        } ms with ${stuck} clients that do not read`,
      );
    }
  },

  /** What is left of 10,000 clients that came and went? */
  async leftovers() {
    await using server = await startServer();
    await using witness = await TestClient.join(server.addr);
    await storm(server, 100);
    const before = await status(server);
    const start = performance.now();
    await storm(server, 10_000);
    const seconds = (performance.now() - start) / 1000;
    await witness.send("the end\n");
    let present = 0;
    for (let isEnd = false; !isEnd || present > 0;) {
      const line = (await witness.line())!;
      if (line.endsWith(" is online")) present++;
      else if (line.endsWith(" is offline")) present--;
      else isEnd = true;
    }
    const after = await status(server);
    console.log(
      `leftovers   ${(10_000 / seconds).toFixed(0)} clients/s; ` +
        `descriptors ${before.fds} before, ${after.fds} after; ` +
        `memory ${before.rss} MB before, ${after.rss} after`,
    );
  },
};

/** So many clients come and go, 50 at a time. */
async function storm({ addr }: Server, clients: number): Promise<void> {
  await Promise.all(Array.from({ length: 50 }, async () => {
    while (clients-- > 0) {
      using conn = await connect(addr);
      await conn.read(new Uint8Array(64));
    }
  }));
}
