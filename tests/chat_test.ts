import { assert, assertEquals, assertRejects } from "@std/assert";
import { Chat, type ChatEvent, type Connection } from "../mod.ts";
import {
  detailsOf,
  MemoryClient,
  namesOf,
  openChat,
  TestClient,
} from "./clients.ts";

Deno.test("the newcomer alone is welcomed, the others are told", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  assertEquals(await ann.line(), `${bob.name} is online`);
  // Had Bob seen his own arrival, it would stand before this.
  await bob.send("hi\n");
  assertEquals(await bob.line(), `${bob.name}: hi`);
});

Deno.test("a line reaches everybody, its sender included", async () => {
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

Deno.test("a newcomer sees nothing that was said before", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await ann.send("before\n");
  assertEquals(await ann.line(), `${ann.name}: before`);
  await using bob = await TestClient.join(room.addr);
  await ann.send("after\n");
  assertEquals(await bob.line(), `${ann.name}: after`);
});

Deno.test("the others are told when a client leaves", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  {
    await using bob = await TestClient.join(room.addr);
    assertEquals(await ann.line(), `${bob.name} is online`);
  }
  assert((await ann.line())?.endsWith(" is offline"));
});

Deno.test("all see all lines in one same order", async () => {
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
    const arrivals = clients.length - 1 - i;
    return (await client.lines(arrivals + clients.length * each)).slice(
      arrivals,
    );
  }));
  for (const lines of seen) assertEquals(lines, seen[0]);
  for (const { name } of clients) {
    assertEquals(
      seen[0].filter((line) => line?.startsWith(`${name}: `)),
      Array.from({ length: each }, (_, i) => `${name}: line ${i}`),
    );
  }
});

Deno.test("a line of nothing is a message too", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await ann.send("\n\r\n");
  assertEquals(await ann.lines(2), [`${ann.name}: `, `${ann.name}: `]);
});

Deno.test("a client that shuts down its sending side gets what it is owed", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}`);
  await bob.send(lines.join("\n")); // The last one without its end.
  await bob.end();
  const owed = lines.map((line) => `${bob.name}: ${line}`);
  assertEquals(await bob.rest(), owed);
  assertEquals(await ann.lines(lines.length + 2), [
    `${bob.name} is online`,
    ...owed,
    `${bob.name} is offline`,
  ]);
});

Deno.test("a client that only connects and hangs up has come and gone", async () => {
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

Deno.test("a client that resets its connection has left", async () => {
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

Deno.test("IPv6 addresses are written in brackets", async () => {
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

Deno.test("the room speaks the seed's words with lang zh", async () => {
  await using room = openChat({ lang: "zh", commands: false });
  await using ann = await TestClient.connect(room.addr);
  assertEquals(await ann.line(), `欢迎 ${ann.name}`);
  const bob = await TestClient.connect(room.addr);
  assertEquals(await ann.line(), `${bob.name} 上线`);
  await bob.end();
  await bob.rest();
  assertEquals(await ann.line(), `${bob.name} 下线`);
});

Deno.test("events tell who joined, spoke and left", async () => {
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

Deno.test("events can be watched by several, each until it has enough", async () => {
  await using chat = new Chat();
  const first = chat.events().values();
  const second = chat.events().values();
  await chat.say("bot", "one");
  const one = { type: "message", name: "bot", text: "one" } as const;
  const next = async (watcher: typeof first) =>
    detailsOf((await watcher.next()).value!);
  assertEquals(await next(first), one);
  assertEquals(await next(second), one);
  await first.return!();
  await chat.say("bot", "two");
  assertEquals(await next(second), { ...one, text: "two" });
  await chat.close();
  assertEquals((await second.next()).done, true);
});

Deno.test("events of a chat that has ended end at once", async () => {
  const chat = new Chat();
  await chat.close();
  assertEquals(await Array.fromAsync(chat.events()), []);
});

Deno.test("a watcher that falls behind is dropped", async () => {
  await using chat = new Chat({ maxBacklog: 2 ** 20 });
  const watcher = chat.events().values();
  for (let i = 0; i < 20; i++) await chat.say("bot", "x".repeat(100_000));
  await assertRejects(() => watcher.next(), Error, "fell behind");
});

Deno.test("say speaks in the room, line by line, and only text", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await room.chat.say("bot", "one\r\ntwo\x07\x1b[2J");
  assertEquals(await ann.lines(2), ["bot: one", "bot: two[2J"]);
});

Deno.test("say fails once the chat has ended", async () => {
  const chat = new Chat();
  await chat.close();
  await assertRejects(() => chat.say("bot", "hi"), Error, "has ended");
});

Deno.test("clients lists who is there", async () => {
  await using room = openChat();
  assertEquals(namesOf(room.chat), []);
  await using ann = await TestClient.join(room.addr);
  const bob = await TestClient.join(room.addr);
  assertEquals(namesOf(room.chat), [ann.name, bob.name]);
  await bob.end();
  await bob.rest();
  assertEquals(namesOf(room.chat), [ann.name]);
});

Deno.test("a closing chat tells its clients and closes everything", async () => {
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

Deno.test("an AbortSignal ends the chat", async () => {
  const controller = new AbortController();
  await using room = openChat({ signal: controller.signal });
  await using ann = await TestClient.join(room.addr);
  controller.abort();
  assertEquals(await ann.rest(), ["The server is shutting down"]);
});

Deno.test("a chat whose signal is aborted from the start takes nobody", async () => {
  await using chat = new Chat({ signal: AbortSignal.abort() });
  await using ann = new MemoryClient();
  chat.handleConn(ann.conn);
  assertEquals(await ann.rest(), ["The server is shutting down"]);
});

Deno.test("one chat serves several listeners", async () => {
  await using room = openChat();
  const other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const served = room.chat.serve(other);
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(other.addr);
  assertEquals(await ann.line(), `${bob.name} is online`);
  await room.chat.close();
  await served;
});

Deno.test("a client without a host has the name of its transport", async () => {
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

/** Serves a listener that fails so often, then yields a client; returns the log. */
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

Deno.test("accepting that fails is logged once, and goes on", async () => {
  assertEquals(await serveAfter(new Error("Too many open files"), 3), [
    "Cannot accept connections: Too many open files",
  ]);
});

Deno.test("a connection that cannot be served is logged, and accepting goes on", async () => {
  const logged: string[] = [];
  await using chat = new Chat({ log: (message) => logged.push(message) });
  await using locked = new MemoryClient();
  locked.conn.readable.getReader();
  await using ann = new MemoryClient();
  await chat.serve(ReadableStream.from([locked.conn, ann.conn]));
  assertEquals(await ann.line(), `Welcome ${ann.name}`);
  assertEquals(logged, ["Cannot serve a connection: ReadableStream is locked"]);
});

Deno.test("a name is text on one line, too", async () => {
  await using chat = new Chat();
  await using ann = new MemoryClient("a\n\x1b[1mb");
  chat.handleConn(ann.conn);
  assertEquals(await ann.line(), `Welcome ${ann.name.replace("\n\x1b", " ")}`);
});

Deno.test("a connection that was reset before it was accepted is passed over", async () => {
  assertEquals(await serveAfter(new Deno.errors.NotConnected(), 3), []);
});
