/**
 * Runs mixed clients against a server and checks for leaks:
 *
 *     deno task soak            # for two minutes
 *     deno task soak SECONDS
 *
 * Two witnesses must receive the same lines. Each client must join once and leave
 * once. The file descriptors of the server must return to their number at the
 * start, and its memory to about its size (both on Linux only).
 */

import { assert, assertEquals } from "@std/assert";
import { TestClient } from "./clients.ts";
import { startServer } from "./commands.ts";

/** Number of clients that are connected at once. */
const CLIENTS = 60;
/** Maximum growth of the memory in MB. V8 returns memory late. */
const MAX_GROWTH = 150;
/** Time for the server to close the last connections, in seconds. */
const MAX_CLOSING = 40;

const seconds = Number(Deno.args[0] ?? 120);
const random = (below: number) => Math.floor(Math.random() * below);
const pick = <T>(items: T[]): T => items[random(items.length)];
/** Waits. The timer does not keep the process alive. */
const pause = (ms: number) =>
  new Promise((resolve) => Deno.unrefTimer(setTimeout(resolve, ms)));

/** The kinds of clients. Each one disconnects when its function returns. */
const kinds: Record<string, (client: TestClient) => Promise<void>> = {
  async talks(client) {
    for (let i = random(50); i > 0; i--) {
      await client.send(`hello ${i}\n`);
      await client.line();
    }
  },
  async sendsAndHalfCloses(client) {
    await client.send("one\ntwo");
    await client.end();
    await client.rest();
  },
  async floods(client) {
    const lines = `${"x".repeat(200)}\n`.repeat(100);
    for (let i = random(200); i > 0; i--) await client.send(lines);
  },
  async neverReads(client) {
    await pause(random(20_000));
    await client.end();
  },
  async readsSlowly(client) {
    for (let i = random(100); i > 0; i--) {
      await client.line();
      await pause(random(100));
    }
  },
  async neverEndsItsLine(client) {
    const piece = new Uint8Array(65_536).fill(0x78);
    for (let i = random(500); i > 0; i--) await client.send(piece);
  },
  async sendsRandomBytes(client) {
    const bytes = new Uint8Array(10_000);
    for (let i = random(20); i > 0; i--) {
      await client.send(crypto.getRandomValues(bytes));
    }
  },
  async sendsCommands(client) {
    const commands = ["/who", "/help", "/me waves", "/msg ann hi", "/foo", "/"];
    for (let i = random(500); i > 0; i--) {
      await client.send(`${pick(commands)}\n`);
      if (i % 2) await client.line();
    }
    await client.send("/quit bye\n");
    await client.rest();
  },
  async typesByteByByte(client) {
    for (const char of "hello, how are you?\n") {
      await client.send(char);
      await pause(random(20));
    }
  },
  async leavesAtOnce() {},
  async isSilent() {
    await pause(random(10_000));
  },
};

/** Reads until all others have left, counts the joins and hashes the lines. */
async function witness(client: TestClient) {
  let isEnd = false;
  const present = new Set<string>();
  let joins = 0;
  let hash = 0;
  for (let line; (line = await client.line()) !== undefined;) {
    if (line.startsWith("-- ")) continue; // A notice to this client alone.
    const [, name, state] = /^(\S+) is (online|offline)$/.exec(line) ?? [];
    if (state === "online") {
      assert(!present.has(name), `${name} joined twice`);
      present.add(name);
      joins++;
    } else if (state === "offline") {
      assert(present.delete(name), `${name} left without a join`);
    }
    for (let i = 0; i < line.length; i += 16) {
      hash = (hash * 31 + line.charCodeAt(i)) | 0;
    }
    if (line.endsWith(": the end")) isEnd = true;
    if (isEnd && present.size === 0) break;
  }
  return { joins, hash };
}

/** Measures the file descriptors of a process and its memory in MB. */
async function measure(pid: number) {
  const fds = (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return { fds, rss: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1000 };
}

await using server = await startServer();
const { addr } = server;
const hasProc = Deno.build.os === "linux";
await using ann = await TestClient.join(addr);
await using bob = await TestClient.join(addr);
await ann.line(); // The join of bob.
const witnesses = [witness(ann), witness(bob)];
const before = hasProc ? await measure(server.pid) : undefined;

const counts: Record<string, number> = {};
const over = pause(seconds * 1000);
let isOver = false;
over.then(() => isOver = true);
await Promise.all(Array.from({ length: CLIENTS }, async () => {
  while (!isOver) {
    const kind = pick(Object.keys(kinds));
    counts[kind] = (counts[kind] ?? 0) + 1;
    const client = await TestClient.connect(addr);
    // The server drops some clients, and the end of the test interrupts others.
    await Promise.race([kinds[kind](client).catch(() => {}), over]);
    await client[Symbol.asyncDispose]();
  }
}));

await ann.send("the end\n");
const [first, second] = await Promise.all(witnesses);
console.log(`${first.joins} joined and left:`, counts);
assertEquals(first, second, "the witnesses received different lines");
assertEquals(first.joins, Object.values(counts).reduce((a, b) => a + b));

if (before) {
  let after = await measure(server.pid);
  for (let i = 0; i < MAX_CLOSING && after.fds > before.fds; i++) {
    await pause(1000);
    after = await measure(server.pid);
  }
  console.log({ before, after });
  assertEquals(after.fds, before.fds, "file descriptors are still open");
  assert(after.rss < before.rss + MAX_GROWTH, "memory has leaked");
}
