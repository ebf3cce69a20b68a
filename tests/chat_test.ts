import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Chat, type ChatEvent, type Connection } from "../mod.ts";
import {
  detailsOf,
  MemoryClient,
  namesOf,
  openChat,
  TestClient,
} from "./clients.ts";

Deno.test("only a new member is welcomed, and the others see it join", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  assertEquals(await ann.line(), `${bob.name} is online`);
  // A notice of his own arrival would come before this line.
  await bob.send("hi\n");
  assertEquals(await bob.line(), `${bob.name}: hi`);
});

Deno.test("a line is broadcast to all clients, its sender included", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  await using eve = await TestClient.join(room.addr);
  await bob.send("hello\n");
  assertEquals(await ann.lines(3), [
    `${bob.name} is online`,
    `${eve.name} is online`,
    `${bob.name}: hello`,
  ]);
  assertEquals(await bob.lines(2), [
    `${eve.name} is online`,
    `${bob.name}: hello`,
  ]);
  assertEquals(await eve.line(), `${bob.name}: hello`);
});

Deno.test("a new member does not receive earlier messages", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await ann.send("before\n");
  assertEquals(await ann.line(), `${ann.name}: before`);
  await using bob = await TestClient.join(room.addr);
  await ann.send("after\n");
  assertEquals(await bob.line(), `${ann.name}: after`);
});

Deno.test("the others see a client leave", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  {
    await using bob = await TestClient.join(room.addr);
    assertEquals(await ann.line(), `${bob.name} is online`);
  }
  assert((await ann.line())?.endsWith(" is offline"));
});

Deno.test("all clients receive all lines in the same order", async () => {
  await using room = openChat();
  await using stack = new AsyncDisposableStack();
  const clients: TestClient[] = [];
  for (let i = 0; i < 10; i++) {
    clients.push(stack.use(await TestClient.join(room.addr)));
  }
  const each = 500;
  await Promise.all(clients.map(async (client) => {
    for (let i = 0; i < each; i++) await client.send(`line ${i}\n`);
  }));
  const seen = await Promise.all(clients.map(async (client, i) => {
    const joins = clients.length - 1 - i;
    const lines = await client.lines(joins + clients.length * each);
    return lines.slice(joins);
  }));
  for (const lines of seen) assertEquals(lines, seen[0]);
  for (const { name } of clients) {
    assertEquals(
      seen[0].filter((line) => line?.startsWith(`${name}: `)),
      Array.from({ length: each }, (_, i) => `${name}: line ${i}`),
    );
  }
});

Deno.test("an empty line is a message", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await ann.send("\n\r\n");
  assertEquals(await ann.lines(2), [`${ann.name}: `, `${ann.name}: `]);
});

Deno.test("a client that shuts down its sending side receives its pending output", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}`);
  await bob.send(lines.join("\n")); // The last line has no end.
  await bob.end();
  const messages = lines.map((line) => `${bob.name}: ${line}`);
  assertEquals(await bob.rest(), messages);
  assertEquals(await ann.lines(lines.length + 2), [
    `${bob.name} is online`,
    ...messages,
    `${bob.name} is offline`,
  ]);
});

Deno.test("a client that connects and closes at once joins and leaves", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  const bob = await TestClient.connect(room.addr);
  await bob.end();
  assertEquals(await bob.rest(), [
    `Welcome ${bob.name}`,
    `-- 1 here: ${ann.name}. /help lists the commands`,
  ]);
  assertEquals(await ann.lines(2), [
    `${bob.name} is online`,
    `${bob.name} is offline`,
  ]);
});

Deno.test("a client that resets its connection leaves", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  {
    await using bob = await TestClient.join(room.addr);
    await ann.send("unread\n"); // Closing with unread data resets.
    assertEquals(await ann.lines(2), [
      `${bob.name} is online`,
      `${ann.name}: unread`,
    ]);
  }
  assert((await ann.line())?.endsWith(" is offline"));
});

Deno.test("an IPv6 address is in brackets", async () => {
  await using room = openChat({}, "::1");
  await using ann = await TestClient.join(room.addr);
  assert(/^\[::1\]:\d+$/.test(ann.name));
  await ann.send("hi\n");
  assertEquals(await ann.line(), `${ann.name}: hi`);
});

Deno.test("an IPv4 client of an IPv6 port has its IPv4 address", async () => {
  await using chat = new Chat();
  await using ann = new MemoryClient("::ffff:192.0.2.7");
  chat.handleConn(ann.conn);
  assert((await ann.line())?.startsWith("Welcome 192.0.2.7:"));
});

Deno.test("with lang zh, the texts are those of the Go original", async () => {
  await using room = openChat({ lang: "zh", commands: false });
  await using ann = await TestClient.connect(room.addr);
  assertEquals(await ann.line(), `欢迎 ${ann.name}`);
  const bob = await TestClient.connect(room.addr);
  assertEquals(await ann.line(), `${bob.name} 上线`);
  await bob.end();
  await bob.rest();
  assertEquals(await ann.line(), `${bob.name} 下线`);
});

Deno.test("events report joins, messages and leaves", async () => {
  const events: ChatEvent[] = [];
  let name = "";
  const start = Date.now();
  {
    await using room = openChat();
    const watching = (async () => {
      for await (const event of room.chat.events()) events.push(event);
    })();
    const ann = await TestClient.join(room.addr);
    name = ann.name;
    await ann.send("one\ntwo\n");
    await ann.end();
    await ann.rest();
    await room.chat.close();
    await watching;
  }
  const times = events.map(({ time }) => time.getTime());
  assertEquals(times, times.toSorted());
  assert(start <= times[0] && times.at(-1)! <= Date.now());
  assertEquals(events.map(detailsOf), [
    { type: "joined", name },
    { type: "message", name, text: "one" },
    { type: "message", name, text: "two" },
    { type: "left", name, reason: undefined },
  ]);
});

Deno.test("several readers of events do not depend on each other", async () => {
  await using chat = new Chat();
  const first = chat.events().values();
  const second = chat.events().values();
  await chat.say("bot", "one");
  const one = { type: "message", name: "bot", text: "one" } as const;
  const next = async (reader: typeof first) =>
    detailsOf((await reader.next()).value!);
  assertEquals(await next(first), one);
  assertEquals(await next(second), one);
  await first.return!();
  await chat.say("bot", "two");
  assertEquals(await next(second), { ...one, text: "two" });
  await chat.close();
  assertEquals((await second.next()).done, true);
});

Deno.test("the events of a closed chat end at once", async () => {
  const chat = new Chat();
  await chat.close();
  assertEquals(await Array.fromAsync(chat.events()), []);
});

Deno.test("the events of a reader that falls behind fail", async () => {
  await using chat = new Chat({ maxBacklog: 2 ** 20 });
  const reader = chat.events().values();
  for (let i = 0; i < 20; i++) await chat.say("bot", "x".repeat(100_000));
  await assertRejects(() => reader.next(), Error, "fell behind");
});

Deno.test("say broadcasts each line of a text without control characters", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await room.chat.say("bot", "one\r\ntwo\x07\x1b[2J");
  assertEquals(await ann.lines(2), ["bot: one", "bot: two[2J"]);
});

Deno.test("say fails after the chat has ended", async () => {
  const chat = new Chat();
  await chat.close();
  await assertRejects(() => chat.say("bot", "hi"), Error, "has ended");
});

Deno.test("members lists the present members", async () => {
  await using room = openChat();
  assertEquals(namesOf(room.chat), []);
  await using ann = await TestClient.join(room.addr);
  const bob = await TestClient.join(room.addr);
  assertEquals(namesOf(room.chat), [ann.name, bob.name]);
  await bob.end();
  await bob.rest();
  assertEquals(namesOf(room.chat), [ann.name]);
});

Deno.test("closing informs the clients and closes all connections", async () => {
  const room = openChat();
  await using ann = await TestClient.join(room.addr);
  const closed = room.chat.close();
  assertEquals(await ann.rest(), ["The server is shutting down"]);
  await ann[Symbol.asyncDispose]();
  await closed;
  await room[Symbol.asyncDispose]();
  await assertRejects(
    () => TestClient.connect(room.addr),
    Deno.errors.ConnectionRefused,
  );
});

Deno.test("an AbortSignal closes the chat", async () => {
  const controller = new AbortController();
  await using room = openChat({ signal: controller.signal });
  await using ann = await TestClient.join(room.addr);
  controller.abort();
  assertEquals(await ann.rest(), ["The server is shutting down"]);
});

Deno.test("a chat whose signal is already aborted admits nobody", async () => {
  await using chat = new Chat({ signal: AbortSignal.abort() });
  await using ann = new MemoryClient();
  chat.handleConn(ann.conn);
  assertEquals(await ann.rest(), ["The server is shutting down"]);
});

Deno.test("a chat serves several listeners", async () => {
  await using room = openChat();
  const other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = room.chat.serve(other);
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(other.addr);
  assertEquals(await ann.line(), `${bob.name} is online`);
  await room.chat.close();
  await served;
});

Deno.test("a client without a host is named after its transport", async () => {
  await using chat = new Chat();
  for (const name of ["unix:1", "unix:2"]) {
    await using ann = new MemoryClient();
    chat.handleConn({
      ...ann.conn,
      remoteAddr: { transport: "unix", path: "" },
    });
    assertEquals(await ann.line(), `Welcome ${name}`);
  }
});

/** Serves a listener that first fails and then yields a client. Returns the log. */
async function serveAfter(error: Error, failures: number): Promise<string[]> {
  const logged: string[] = [];
  await using ann = new MemoryClient();
  const results: (() => Promise<IteratorResult<Connection>>)[] = [
    ...Array.from({ length: failures }, () => () => Promise.reject(error)),
    () => Promise.resolve({ value: ann.conn, done: false }),
    () => Promise.resolve({ value: undefined, done: true }),
  ];
  await using chat = new Chat({ log: (message) => logged.push(message) });
  await chat.serve({
    [Symbol.asyncIterator]: () => ({ next: () => results.shift()!() }),
  });
  assertEquals(await ann.line(), `Welcome ${ann.name}`);
  return logged;
}

Deno.test("a failing accept is logged once, and accepting continues", async () => {
  assertEquals(await serveAfter(new Error("Too many open files"), 3), [
    "Cannot accept connections: Too many open files",
  ]);
});

Deno.test("a connection that cannot be served is logged, and accepting continues", async () => {
  const logged: string[] = [];
  await using chat = new Chat({ log: (message) => logged.push(message) });
  await using locked = new MemoryClient();
  locked.conn.readable.getReader();
  await using ann = new MemoryClient();
  await chat.serve(ReadableStream.from([locked.conn, ann.conn]));
  assertEquals(await ann.line(), `Welcome ${ann.name}`);
  assertEquals(logged, ["Cannot serve a connection: ReadableStream is locked"]);
});

Deno.test("a name has no control characters and one line", async () => {
  await using chat = new Chat();
  await using ann = new MemoryClient("a\n\x1b[1mb");
  chat.handleConn(ann.conn);
  assertEquals(await ann.line(), `Welcome ${ann.name.replace("\n\x1b", " ")}`);
});

Deno.test("a connection that is reset before the accept is ignored", async () => {
  assertEquals(await serveAfter(new Deno.errors.NotConnected(), 3), []);
});

Deno.test("many connections that are reset before the accept do not delay the next one", async () => {
  const start = performance.now();
  await serveAfter(new Deno.errors.NotConnected(), 10_000);
  // A pause of a millisecond after each would take 10 seconds.
  assert(performance.now() - start < 5_000);
});

/** Adds a client whose chunks are framed. Returns all text that it receives. */
async function receiveFramed(
  chat: Chat,
  frame: (chunk: Uint8Array) => Uint8Array,
): Promise<string> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  await chat.handleConn({
    remoteAddr: { hostname: "192.0.2.9", port: 1 },
    readable: new ReadableStream(),
    writable: new WritableStream({
      write: (chunk) => void chunks.push(chunk.slice()),
    }),
    frame,
  });
  return await new Blob(chunks).text();
}

Deno.test("framed and plain clients receive the same lines", async () => {
  await using chat = new Chat({ commands: false });
  await using ann = chat.connect({ name: "ann" });
  assertEquals((await ann.lines.next()).value, "Welcome ann");
  let frames = 0;
  const frame = (chunk: Uint8Array) => {
    frames++;
    return new Uint8Array([0x5b, ...chunk, 0x5d]); // "[" and "]"
  };
  const received = Array.from({ length: 3 }, () => receiveFramed(chat, frame));
  for (const _ of received) {
    assertMatch((await ann.lines.next()).value!, / is online$/);
  }
  const before = frames;
  await ann.send("hello");
  assertEquals((await ann.lines.next()).value, "ann: hello");
  // Chunks in all sizes, up to more than a block of the log.
  for (const size of [10, 100_000, 100_000, 400_000, 10]) {
    await chat.say("bot", "x".repeat(size));
  }
  const closed = chat.close();
  const plain = await Array.fromAsync(ann.lines);
  await closed;
  const texts = await Promise.all(received);
  assert(frames - before < 3 * 7, "each chunk is framed once");
  for (const text of texts) {
    assertEquals(text.match(/\[[^[\]]+\]/g)?.join(""), text);
    const lines = text.replace(/[[\]]/g, "").trim().split("\n");
    const start = lines.indexOf("ann: hello");
    assertEquals(lines.slice(start + 1), plain);
  }
  assertEquals(
    plain.map((line) => line.length),
    [15, 100_005, 100_005, 400_005, 15, 27],
  );
});
