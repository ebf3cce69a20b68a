import { assert, assertEquals } from "@std/assert";
import { Chat, type Connection } from "../mod.ts";
import { MemoryClient, namesOf, openChat, TestClient } from "./clients.ts";

/** Sends numbered lines of a total size, and checks that each of them comes back. */
async function flood(client: TestClient, bytes: number): Promise<void> {
  const line = (i: number) => `${i} ${"x".repeat(1000)}`;
  const count = Math.ceil(bytes / 1000);
  const sending = (async () => {
    for (let i = 0; i < count; i++) await client.send(line(i) + "\n");
  })();
  for (let i = 0; i < count;) {
    const got = await client.line();
    if (got === `${client.name}: ${line(i)}`) i++;
    else assert(/ is (on|off)line$/.test(got!), `after line ${i}: ${got}`);
  }
  await sending;
}

/** Reads until each of these lines has come. Other lines may come between them. */
async function readUntil(client: TestClient, lines: string[]): Promise<void> {
  const missing = new Set(lines);
  while (missing.size > 0) {
    const line = await client.line();
    assert(line !== undefined, "the server has closed");
    missing.delete(line);
  }
}

/** The smallest backlog that a chat accepts. */
const MIN_BACKLOG = 1024 * 1024;

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** Adds a client that reads a number of bytes every 10 ms. */
function enterSlow(chat: Chat, bytes: number): Promise<void> {
  const { conn } = new MemoryClient();
  let close = () => {};
  const closed = new Promise<null>((resolve) => close = () => resolve(null));
  return chat.handleConn(Object.assign({ ...conn }, {
    read: () => closed,
    write: (chunk: Uint8Array) =>
      pause(10).then(() => Math.min(bytes, chunk.length)),
    closeWrite: () => Promise.resolve(),
    close,
  }));
}

/** A connection that takes no output. */
function stuckConn(conn: Connection): Connection {
  const writable = new WritableStream({ write: () => new Promise(() => {}) });
  return { ...conn, writable };
}

Deno.test("clients that do not read are dropped, and the others receive all lines", async () => {
  const logged: string[] = [];
  await using room = openChat({
    maxBacklog: MIN_BACKLOG,
    log: (message) => logged.push(message),
  });
  await using stack = new AsyncDisposableStack();
  const stuck: TestClient[] = [];
  for (let i = 0; i < 10; i++) {
    stuck.push(stack.use(await TestClient.connect(room.addr)));
  }
  await using bob = await TestClient.join(room.addr);
  await using ann = await TestClient.join(room.addr);
  const seen = readUntil(bob, [
    ...stuck.map(({ name }) => `${name} is offline`),
    `${ann.name}: the end`,
  ]);
  // More than the system buffers for a client that does not read.
  await flood(ann, 20_000_000);
  await ann.send("the end\n");
  await seen;
  assertEquals(namesOf(room.chat), [bob.name, ann.name]);
  assertEquals(
    logged.toSorted(),
    stuck.map(({ name }) =>
      `Dropped ${name}: its backlog exceeds 1048576 bytes`
    )
      .toSorted(),
  );
});

Deno.test("clients that read a flood are not dropped, with the smallest backlog", async () => {
  await using room = openChat({ maxBacklog: MIN_BACKLOG });
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  await Promise.all([
    flood(ann, 3_000_000),
    (async () => {
      for (let i = 0; i < 3_000;) {
        if ((await bob.line())?.startsWith(`${ann.name}: ${i} `)) i++;
      }
    })(),
  ]);
  assertEquals(namesOf(room.chat), [ann.name, bob.name]);
});

Deno.test("a bulk sender is read no faster than a slow client reads", async () => {
  await using chat = new Chat({ maxBacklog: MIN_BACKLOG });
  const handled = enterSlow(chat, 50_000); // 5 MB/s
  const text = "x".repeat(200_000);
  for (let i = 0; i < 30; i++) await chat.say("bot", text);
  assertEquals(chat.members.length, 1);
  await Promise.all([chat.close(), handled]);
});

Deno.test("a sender of long actions is read no faster than a slow client reads", async () => {
  await using chat = new Chat({ maxBacklog: MIN_BACKLOG });
  const handled = enterSlow(chat, 50_000); // 5 MB/s
  await using ann = chat.connect({ name: "ann" });
  const count = 40;
  const sent = (async () => {
    for (let i = 0; i < count; i++) {
      await ann.send(`/me ${"x".repeat(60_000)}`);
    }
  })();
  let received = 0;
  for await (const line of ann.lines) {
    if (line.startsWith("* ann ") && ++received === count) break;
  }
  await sent;
  assertEquals(chat.members.length, 2);
  await Promise.all([chat.close(), handled]);
});

Deno.test("a client that reads slower than a paste is not dropped while its backlog suffices", async () => {
  await using chat = new Chat();
  const handled = Array.from({ length: 150 }, () => enterSlow(chat, 800));
  for (let i = 0; i < 20; i++) await chat.say("bot", "x".repeat(100_000));
  await chat.say("ann", "still here");
  assertEquals(chat.members.length, 150);
  await Promise.all([chat.close(), ...handled]);
});

Deno.test("a client that reads too slowly is dropped at last", async () => {
  await using chat = new Chat({ maxBacklog: MIN_BACKLOG });
  const handled = enterSlow(chat, 1);
  do await chat.say("bot", "x".repeat(10_000)); while (chat.members.length > 0);
  await handled;
});

Deno.test("a sender within its credit does not wait for a client that is stuck", async () => {
  await using chat = new Chat({ maxBacklog: MIN_BACKLOG });
  const stuck = new MemoryClient();
  const handled = chat.handleConn(stuckConn(stuck.conn));
  await using ann = chat.connect({ name: "ann" });
  await using bob = chat.connect({ name: "bob" });
  let isBulkDone = false;
  const bulk = (async () => {
    for (let i = 0; i < 20; i++) await bob.send("x".repeat(60_000));
  })().then(() => isBulkDone = true);
  const bobReads = (async () => {
    for await (const _ of bob.lines);
  })();
  await ann.send("hello");
  for await (const line of ann.lines) if (line === "ann: hello") break;
  assertEquals(isBulkDone, false);
  await chat.close();
  await Promise.allSettled([bulk, bobReads, handled]);
  await stuck[Symbol.asyncDispose]();
});

Deno.test("the backlog also bounds a client that has left and does not read", async () => {
  await using chat = new Chat({ maxBacklog: MIN_BACKLOG });
  const stuck = new MemoryClient();
  const handled = chat.handleConn({
    ...stuckConn(stuck.conn),
    readable: new ReadableStream({ start: (input) => input.close() }),
  });
  let isClosed = false;
  handled.then(() => isClosed = true);
  do await chat.say("bot", "x".repeat(10_000)); while (!isClosed);
  await stuck[Symbol.asyncDispose]();
});

Deno.test("a dropped client is released although its streams never settle", async () => {
  await using chat = new Chat({ maxBacklog: MIN_BACKLOG });
  let cancelled = false;
  const stuck = new MemoryClient();
  const handled = chat.handleConn({
    ...stuckConn(stuck.conn),
    readable: new ReadableStream({ cancel: () => void (cancelled = true) }),
  });
  do await chat.say("bot", "x".repeat(10_000)); while (chat.members.length > 0);
  await handled;
  assert(cancelled);
  await stuck[Symbol.asyncDispose]();
});

Deno.test("only the sender of a line that is too long receives a notice", async () => {
  await using room = openChat({ maxLine: 10 });
  await using bob = await TestClient.join(room.addr);
  await using ann = await TestClient.join(room.addr);
  await ann.send("12345678901\n");
  assertEquals(
    await ann.line(),
    "-- Not sent: the line is longer than 10 bytes",
  );
  await ann.send("1234567890\n");
  assertEquals(await ann.line(), `${ann.name}: 1234567890`);
  assertEquals(await bob.lines(2), [
    `${ann.name} is online`,
    `${ann.name}: 1234567890`,
  ]);
});

Deno.test("a client that does not read its notices is not read", async () => {
  await using chat = new Chat({ maxLine: 1 });
  let read = 0;
  const stuck = new MemoryClient();
  const handled = chat.handleConn({
    ...stuck.conn,
    writable: new WritableStream({ write: () => new Promise(() => {}) }),
    readable: new ReadableStream({
      pull(controller) {
        read++;
        controller.enqueue(new TextEncoder().encode("too long\n"));
      },
    }),
  });
  for (let i = 0; i < 100; i++) await new Promise(setImmediate);
  assert(read < 10, `${read} chunks were read`);
  await Promise.all([chat.close(), handled]);
  await stuck[Symbol.asyncDispose]();
});

Deno.test("a line of 64 KiB passes, and a longer one does not", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  const line = "x".repeat(65_536);
  await ann.send(`${line}\n`);
  assertEquals(await ann.line(), `${ann.name}: ${line}`);
  await ann.send(`${line}x\n`);
  assertEquals(
    await ann.line(),
    "-- Not sent: the line is longer than 65536 bytes",
  );
});

Deno.test("control characters are removed from messages", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await ann.send(
    "\x1b]0;title\x07\x1b[2Jred\x1b[0m\t\u202eabc\u2066\x9b2J\r!\r\n",
  );
  assertEquals(await ann.line(), `${ann.name}: ]0;title[2Jred[0m\tabc2J!`);
});

Deno.test("a paste beyond the rate limit arrives late and complete", async () => {
  await using room = openChat({ rate: 200 });
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`);
  const start = performance.now();
  await ann.send(lines.join("\n"));
  await ann.end();
  // The first 200 lines come at once, and the rest does not delay Bob.
  assertEquals(
    await bob.lines(200),
    lines.slice(0, 200).map((line) => `${ann.name}: ${line}`),
  );
  await bob.send("hello\n");
  const rest = await bob.lines(302);
  assertEquals(
    rest.filter((line) => !line!.startsWith(bob.name)),
    [
      ...lines.slice(200).map((line) => `${ann.name}: ${line}`),
      `${ann.name} is offline`,
    ],
  );
  assert(rest.indexOf(`${bob.name}: hello`) < 250);
  assert(performance.now() - start >= 1_490); // 300 lines, 200 a second.
});

Deno.test("a dropped client leaves although its rate limit delays its lines", async () => {
  await using chat = new Chat({ rate: 1, maxBacklog: MIN_BACKLOG });
  const ghost = new MemoryClient();
  const handled = chat.handleConn({
    ...stuckConn(ghost.conn),
    readable: ReadableStream.from([
      new TextEncoder().encode("boo\n".repeat(60)),
    ]),
  });
  do await chat.say("bot", "x".repeat(10_000)); while (chat.members.length > 0);
  await chat.close();
  await handled;
  await ghost[Symbol.asyncDispose]();
});

Deno.test("a client beyond maxClients is refused and not announced", async () => {
  await using room = openChat({ maxClients: 2 });
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  await using eve = await TestClient.connect(room.addr);
  await eve.send("not broadcast\n");
  assertEquals(await eve.rest(), ["Cannot enter: the room is full"]);
  // The refused client does not count.
  await bob.end();
  assertEquals(await bob.rest(), []);
  await using tom = await TestClient.join(room.addr);
  assertEquals(await ann.lines(3), [
    `${bob.name} is online`,
    `${bob.name} is offline`,
    `${tom.name} is online`,
  ]);
});

Deno.test("each of many refused clients receives the reason", async () => {
  await using room = openChat({ maxClients: 1 });
  await using _ann = await TestClient.join(room.addr);
  await Promise.all(Array.from({ length: 250 }, async () => {
    await using client = await TestClient.connect(room.addr);
    assertEquals(await client.rest(), ["Cannot enter: the room is full"]);
  }));
});

Deno.test("a client beyond maxPerAddress is refused", async () => {
  await using room = openChat({ maxPerAddress: 1 });
  await using other = new MemoryClient("192.0.2.9");
  room.chat.handleConn(other.conn);
  await using _ann = await TestClient.join(room.addr);
  await using bob = await TestClient.connect(room.addr);
  assertEquals(await bob.rest(), [
    "Cannot enter: too many connections from 127.0.0.1",
  ]);
  assertEquals(await other.lines(3), [
    `Welcome ${other.name}`,
    "-- No one else is here. /help lists the commands",
    `${_ann.name} is online`,
  ]);
});

Deno.test("clients without an address have no limit per address", async () => {
  await using chat = new Chat({ maxPerAddress: 1 });
  const remoteAddr = { transport: "unix", path: "" } as const;
  await using ann = new MemoryClient();
  await using bob = new MemoryClient();
  chat.handleConn({ ...ann.conn, remoteAddr });
  chat.handleConn({ ...bob.conn, remoteAddr });
  assertEquals(await bob.line(), "Welcome unix:2");
});

Deno.test("a silent client is disconnected with a notice, and an active one stays", async () => {
  await using room = openChat({ idle: 1000 });
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  assertEquals(await ann.line(), `${bob.name} is online`);
  let line: string | undefined;
  do {
    await ann.send("tick\n");
    line = await ann.line();
  } while (line === `${ann.name}: tick`);
  assertEquals(line, `${bob.name} is offline`);
  const lines = await bob.rest();
  assertEquals(lines.at(-1), "-- Disconnected after 1 s without a line");
  assertEquals(namesOf(room.chat), [ann.name]);
});

Deno.test("TCP keep-alive and no delay are set for a connection", async () => {
  await using chat = new Chat();
  const set: string[] = [];
  await chat.handleConn(Object.assign(
    {
      remoteAddr: { hostname: "192.0.2.1", port: 1 },
      readable: new ReadableStream<Uint8Array>(),
      writable: new WritableStream<Uint8Array>(),
    },
    {
      setNoDelay: (on: boolean) => set.push(`noDelay ${on}`),
      setKeepAlive: (on: boolean) => set.push(`keepAlive ${on}`),
      read: () => Promise.resolve(null),
      write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
      closeWrite: () => Promise.resolve(),
      close: () => set.push("close"),
    },
  ));
  assertEquals(set, ["noDelay true", "keepAlive true", "close"]);
});

Deno.test("a chat closes although a client does not read", async () => {
  await using room = openChat();
  await using _stuck = await TestClient.connect(room.addr);
  await using ann = await TestClient.join(room.addr);
  await flood(ann, 15_000_000);
  const closed = room.chat.close();
  assertEquals((await ann.rest()).at(-1), "The server is shutting down");
  await ann[Symbol.asyncDispose]();
  await closed;
  assertEquals(namesOf(room.chat), []);
});

Deno.test("closing does not wait for clients that read slowly", async () => {
  await using chat = new Chat({ maxBacklog: MIN_BACKLOG });
  await using ann = new MemoryClient();
  const handled = [chat.handleConn(ann.conn), enterSlow(chat, 1000)];
  const text = "x".repeat(400_000);
  for (let i = 0; i < 12; i++) void chat.say("bot", text);
  const lines = ann.rest();
  await chat.close();
  assertEquals((await lines).at(-1), "The server is shutting down");
  await Promise.all(handled);
});

Deno.test("closing informs all clients although one of them floods the chat", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  const flooding = (async () => {
    while (true) await bob.send(`${"x".repeat(99)}\n`.repeat(100));
  })().catch(() => {});
  const reading = bob.rest();
  while (!(await ann.line())?.startsWith(`${bob.name}: x`));
  const closed = room.chat.close();
  assertEquals((await ann.rest()).at(-1), "The server is shutting down");
  await Promise.all([closed, flooding, reading]);
});

Deno.test("every join is followed by one leave, for many clients at once", async () => {
  await using room = openChat();
  const present = new Map<string, number>();
  const watched = (async () => {
    for await (const { type, name } of room.chat.events()) {
      const change = type === "joined" ? 1 : type === "left" ? -1 : 0;
      present.set(name, (present.get(name) ?? 0) + change);
    }
  })();
  const clients = Array.from({ length: 300 }, async (_, i) => {
    await using client = await TestClient.connect(room.addr);
    if (i % 2) await client.send("hello\nwor");
    if (i % 3) await client.line();
    if (i % 5 === 0) await client.end();
    if (i % 10 === 0) await client.rest();
  });
  await Promise.all(clients);
  await room.chat.close();
  await watched;
  assertEquals(present.size, 300);
  assert(present.values().every((count) => count === 0));
});
