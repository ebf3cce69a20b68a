/**
 * Two minutes of a server's life among clients of every kind: `deno task soak`,
 * or `deno task soak SECONDS`. It ends by checking the books: everyone who came
 * has gone, just once; two witnesses saw the same; and the server's descriptors
 * and memory (where there is a /proc to read them from) are back where they were.
 */

import { assert, assertEquals } from "@std/assert";
import { TestClient } from "./clients.ts";
import { startServer } from "./commands.ts";

const seconds = Number(Deno.args[0] ?? 120);
const random = (below: number) => Math.floor(Math.random() * below);
const pick = <T>(items: T[]): T => items[random(items.length)];
/** Does not keep the process: those who still wait when all is over may. */
const pause = (ms: number) =>
  new Promise((resolve) => Deno.unrefTimer(setTimeout(resolve, ms)));

/** What a client can be like. Each of them ends by hanging up, one way or other. */
const kinds: Record<string, (client: TestClient) => Promise<void>> = {
  async talks(client) {
    for (let i = random(50); i > 0; i--) {
      await client.send(`hello ${i}\n`);
      await client.line();
    }
  },
  async says_its_piece_and_listens(client) {
    await client.send("one\ntwo");
    await client.end();
    await client.rest();
  },
  async floods(client) {
    const lines = `${"x".repeat(200)}\n`.repeat(100);
    for (let i = random(200); i > 0; i--) await client.send(lines);
  },
  async never_reads(client) {
    await pause(random(20_000));
    await client.end();
  },
  async reads_a_little(client) {
    for (let i = random(100); i > 0; i--) {
      await client.line();
      await pause(random(100));
    }
  },
  async never_ends_its_line(client) {
    const piece = new Uint8Array(65_536).fill(0x78);
    for (let i = random(500); i > 0; i--) await client.send(piece);
  },
  async sends_rubbish(client) {
    const rubbish = new Uint8Array(10_000);
    for (let i = random(20); i > 0; i--) {
      await client.send(crypto.getRandomValues(rubbish));
    }
  },
  async commands(client) {
    const commands = ["/who", "/help", "/me waves", "/msg ann hi", "/foo", "/"];
    for (let i = random(500); i > 0; i--) {
      await client.send(`${pick(commands)}\n`);
      if (i % 2) await client.line();
    }
    await client.send("/quit bye\n");
    await client.rest();
  },
  async types_byte_by_byte(client) {
    for (const char of "hello, how are you?\n") {
      await client.send(char);
      await pause(random(20));
    }
  },
  async only_looks_in() {},
  async is_silent() {
    await pause(random(10_000));
  },
};

/** Reads all until everybody has gone in the end, and counts them by it. */
async function witness(client: TestClient) {
  let isEnd = false;
  const present = new Set<string>();
  let arrivals = 0;
  let hash = 0;
  for (let line; (line = await client.line()) !== undefined;) {
    if (line.startsWith("-- ")) continue; // Only this one is told.
    const [, who, state] = /^(\S+) is (online|offline)$/.exec(line) ?? [];
    if (state === "online") {
      assert(!present.has(who), `${who} came twice`);
      present.add(who);
      arrivals++;
    } else if (state === "offline") {
      assert(present.delete(who), `${who} left, and was not there`);
    }
    for (let i = 0; i < line.length; i += 16) {
      hash = (hash * 31 + line.charCodeAt(i)) | 0;
    }
    if (line.endsWith(": the end")) isEnd = true;
    if (isEnd && present.size === 0) break;
  }
  return { arrivals, hash };
}

/** The server's descriptors, and its memory in MB. */
async function measure(pid: number) {
  const fds = (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return { fds, rss: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1000 };
}

await using server = await startServer();
const { addr } = server;
const procfs = Deno.build.os === "linux";
await using ann = await TestClient.join(addr);
await using bob = await TestClient.join(addr);
await ann.line(); // Bob's arrival
const witnesses = [witness(ann), witness(bob)];
const before = procfs ? await measure(server.pid) : undefined;

const counts: Record<string, number> = {};
const over = pause(seconds * 1000);
let isOver = false;
over.then(() => isOver = true);
await Promise.all(Array.from({ length: 60 }, async () => {
  while (!isOver) {
    const kind = pick(Object.keys(kinds));
    counts[kind] = (counts[kind] ?? 0) + 1;
    const client = await TestClient.connect(addr);
    // Being dropped is a fate that some of them share; so is the end of time.
    await Promise.race([kinds[kind](client).catch(() => {}), over]);
    await client[Symbol.asyncDispose]();
  }
}));

await ann.send("the end\n");
const [seen, seenToo] = await Promise.all(witnesses);
console.log(`${seen.arrivals} came and went:`, counts);
assertEquals(seen, seenToo, "the two witnesses saw different things");
assertEquals(seen.arrivals, Object.values(counts).reduce((a, b) => a + b));

if (before) {
  let after = await measure(server.pid);
  for (let i = 0; i < 40 && after.fds > before.fds; i++) {
    await pause(1000); // Those who do not hang up are given some time.
    after = await measure(server.pid);
  }
  console.log({ before, after });
  assertEquals(after.fds, before.fds, "descriptors are left open");
  // Not to the megabyte: V8 keeps for a while what it has once used.
  assert(after.rss < before.rss + 150, "memory is left in use");
}
