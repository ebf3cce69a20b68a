/** Tests rooms of several chats on an exchange in memory. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { setImmediate } from "node:timers/promises";
import { Chat, type ChatOptions, type LocalClient } from "../mod.ts";
import { detailsOf, MemoryClient, namesOf } from "./clients.ts";
import { type MemoryExchange, MemoryRoom } from "./memory_exchange.ts";

/** A chat in a room of several ones. */
interface Server extends AsyncDisposable {
  chat: Chat;
  exchange: MemoryExchange;
  /** The messages for the operator. */
  log: string[];
}

function startServer(room: MemoryRoom, options: ChatOptions = {}): Server {
  const exchange = room.connect();
  const log: string[] = [];
  const chat = new Chat({
    log: (message) => void log.push(message),
    ...options,
    exchange,
  });
  return {
    chat,
    exchange,
    log,
    [Symbol.asyncDispose]: () => chat.close(),
  };
}

/** Adds a client and reads its first lines. */
async function join(
  { chat }: Server,
  name: string,
  address?: string,
): Promise<LocalClient> {
  const client = chat.connect({ name, address });
  assertEquals(await next(client), `Welcome ${name}`);
  assertMatch((await next(client))!, /^-- (No one else|\d+).* here/);
  return client;
}

async function next({ lines }: LocalClient): Promise<string | undefined> {
  return (await lines.next()).value;
}

/** Reads lines up to the given one. */
async function until(client: LocalClient, last: string): Promise<string[]> {
  const lines: string[] = [];
  for (let line; (line = await next(client)) !== undefined;) {
    lines.push(line);
    if (line === last) break;
  }
  return lines;
}

Deno.test("clients of two chats see arrivals, lines and departures once and in one order", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await using ann = await join(one, "ann");
  await using bob = await join(two, "bob");
  await ann.send("hello");
  await bob.send("hi");
  await ann.send("/me waves");
  const expected = ["ann: hello", "bob: hi", "* ann waves"];
  assertEquals(await until(bob, "* ann waves"), expected);
  assertEquals(await until(ann, "* ann waves"), ["bob is online", ...expected]);
  await bob.close();
  assertEquals(await next(ann), "bob is offline");
  assertEquals(namesOf(one.chat), ["ann"]);
  assertEquals(namesOf(two.chat), ["ann"]);
});

Deno.test("a client sees nothing from before it joined on another chat", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using ann = await join(one, "ann");
  await ann.send("before");
  await until(ann, "ann: before");
  await using two = startServer(room);
  await using bob = await join(two, "bob");
  await ann.send("after");
  assertEquals(await next(bob), "ann: after");
});

Deno.test("names are unique among all chats", async (t) => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await t.step("given names", async () => {
    await using _ann = await join(one, "ann");
    await using other = two.chat.connect({ name: "ann" });
    assertEquals(await next(other), "Welcome ann~2");
  });
  await t.step("addresses", async () => {
    await using ann = new MemoryClient();
    await using bob = new MemoryClient();
    const remoteAddr = { hostname: "192.0.2.1", port: 8399 };
    void one.chat.handleConn({ ...ann.conn, remoteAddr });
    void two.chat.handleConn({ ...bob.conn, remoteAddr });
    while (one.chat.members.length < 2) await setImmediate();
    while (two.chat.members.length < 2) await setImmediate();
    assertEquals(namesOf(one.chat), ["192.0.2.1:8399", "192.0.2.1:8399~2"]);
    assertEquals(namesOf(two.chat), namesOf(one.chat));
  });
  await t.step("names that both sides take at the same time", async () => {
    await using ann = await join(one, "ann");
    await using bob = await join(two, "bob");
    await until(ann, "bob is online");
    await Promise.all([ann.send("/nick carl"), bob.send("/nick Carl")]);
    assertEquals(await next(ann), "ann is now known as carl");
    assertEquals(await next(bob), "ann is now known as carl");
    assertEquals(await next(bob), "-- The name Carl is too similar to carl");
  });
});

Deno.test("/who and the greeting list the members of all chats", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await using _ann = await join(one, "ann");
  await using bob = two.chat.connect({ name: "bob" });
  assertEquals(await next(bob), "Welcome bob");
  assertEquals(await next(bob), "-- 1 here: ann. /help lists the commands");
  await bob.send("/who");
  assertEquals(await next(bob), "-- 2 here:");
  assertMatch((await next(bob))!, /^-- ann \(/);
  assertMatch((await next(bob))!, /^-- bob \(/);
  const [ann] = one.chat.members;
  assertEquals(two.chat.members[0], ann);
});

Deno.test("a private message reaches a member of another chat alone", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await using ann = await join(one, "ann");
  await using bob = await join(two, "bob");
  await using carl = await join(two, "carl");
  await until(ann, "carl is online");
  await ann.send("/msg bob secret");
  assertEquals(await next(ann), "(private) → bob: secret");
  assertEquals(await next(bob), "carl is online");
  assertEquals(await next(bob), "ann (private): secret");
  await ann.send("/msg nobody secret");
  assertEquals(await next(ann), "-- No one here is named nobody");
  await ann.send("hello");
  assertEquals(await next(carl), "ann: hello");
});

Deno.test("a private message to a member of another chat that does not read is refused", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await using ann = await join(one, "ann");
  await using bob = new MemoryClient();
  void two.chat.handleConn(bob.conn);
  await until(ann, `${bob.name} is online`);
  const text = "x".repeat(60_000);
  const sent = `(private) → ${bob.name}: ${text}`;
  let reply: string | undefined = sent;
  while (reply === sent) {
    await ann.send(`/msg ${bob.name} ${text}`);
    reply = await next(ann);
  }
  assertEquals(
    reply,
    `-- Not sent: ${bob.name} is not receiving messages`,
  );
});

Deno.test("kick and tell reach members of other chats", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await using ann = await join(one, "ann");
  await using bob = await join(two, "bob");
  await until(ann, "bob is online");
  assert(await one.chat.tell("bob", "be nice"));
  assertEquals(await next(bob), "-- be nice");
  assert(await one.chat.kick("bob", "flood"));
  assertEquals(await until(bob, ""), ["-- You were removed: flood"]);
  assertEquals(await next(ann), "-- bob was removed: flood");
  assertEquals(await next(ann), "bob is offline");
  assertEquals(namesOf(one.chat), ["ann"]);
});

Deno.test("say, act and notice of one chat reach the clients of all", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await using ann = await join(one, "ann");
  await using bob = await join(two, "bob");
  await until(ann, "bob is online");
  await two.chat.say("bot", "one\ntwo");
  await two.chat.act("bot", "rests");
  await two.chat.notice("line\nline");
  const expected = [
    "bot: one",
    "bot: two",
    "* bot rests",
    "-- line",
    "-- line",
  ];
  for (const line of expected) assertEquals(await next(ann), line);
  for (const line of expected) assertEquals(await next(bob), line);
});

Deno.test("events of one chat are those of the whole room", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  const [events, others] = [one.chat.events(), two.chat.events()];
  {
    await using ann = await join(one, "ann");
    await ann.send("hello");
    await ann.send("/nick ada");
    await until(ann, "ann is now known as ada");
  }
  const first4 = async (events: ReadableStream) => {
    const list = [];
    for await (const event of events) if (list.push(event) === 4) break;
    return list;
  };
  const list = await first4(events);
  assertEquals(await first4(others), list);
  assertEquals(list.map(detailsOf), [
    { type: "joined", name: "ann" },
    { type: "message", name: "ann", text: "hello" },
    { type: "renamed", name: "ann", newName: "ada" },
    { type: "left", name: "ada", reason: undefined },
  ]);
});

Deno.test("a new chat has the members, names and history of the room", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room, { history: 2 });
  await using ann = await join(one, "ann");
  await ann.send("one\n");
  await ann.send("/me waves");
  await ann.send("three");
  await until(ann, "ann: three");
  for (const source of ["state", "entries"]) {
    if (source === "entries") room.snapshot = undefined;
    await using two = startServer(room, { history: 2 });
    await using bob = await join(two, "bob");
    assertMatch((await next(bob))!, /^-- History: 2 messages, last at /);
    assertEquals(await next(bob), "* ann waves");
    assertEquals(await next(bob), "ann: three");
    await bob.send("/nick Ann");
    assertEquals(await next(bob), "-- The name Ann is too similar to ann");
    assertEquals(two.chat.members[0], one.chat.members[0]);
  }
});

Deno.test("the members of a chat that fails leave once, in the order in which they joined", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await using ann = await join(one, "ann");
  await using bob = await join(two, "bob");
  await using _carl = await join(two, "carl");
  await until(ann, "carl is online");
  room.kill(two.exchange);
  assertEquals(await next(ann), "bob is offline");
  assertEquals(await next(ann), "carl is offline");
  await ann.send("hello");
  assertEquals(await next(ann), "ann: hello");
  // The other chat reads of its removal.
  assertEquals(
    (await until(bob, "")).at(-1),
    "The server is shutting down",
  );
  assertEquals(two.log, ["The room has ended: this server was removed"]);
});

Deno.test("a chat that closes delivers what its clients sent, and its members leave", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using ann = await join(one, "ann");
  const two = startServer(room);
  const bob = await join(two, "bob");
  await until(ann, "bob is online");
  await bob.send("last words");
  await until(bob, "bob: last words");
  await two.chat.close();
  assertEquals(await next(bob), "The server is shutting down");
  assertEquals(await next(bob), undefined);
  assertEquals(await next(ann), "bob: last words");
  assertEquals(await next(ann), "bob is offline");
});

Deno.test("while entries wait, clients receive one notice, and replies to commands", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using two = startServer(room);
  await using ann = await join(one, "ann");
  await using bob = await join(two, "bob");
  await until(ann, "bob is online");
  room.freeze();
  const paused = "-- The room cannot be reached. What you send now waits";
  assertEquals(await next(ann), paused);
  await bob.send("/ping");
  assertEquals(await next(bob), paused);
  assertEquals(await next(bob), "-- pong");
  await ann.send("one");
  await ann.send("two");
  await bob.send("/who");
  assertEquals(await next(bob), "-- 2 here:");
  room.thaw();
  const rest = ["-- The room can be reached again", "ann: one", "ann: two"];
  assertEquals(await until(ann, "ann: two"), rest);
  assertEquals((await until(bob, "ann: two")).slice(2), rest);
});

Deno.test("a client that waits for its welcome is informed when the chat closes", async () => {
  const room = new MemoryRoom();
  const one = startServer(room);
  room.freeze();
  const ann = one.chat.connect({ name: "ann" });
  await setImmediate();
  await one.chat.close();
  assertEquals(await until(ann, ""), ["The server is shutting down"]);
});

Deno.test("a client that is silent while entries wait leaves once", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room, { idle: 20 });
  await using ann = await join(one, "ann");
  room.freeze();
  assertMatch((await next(ann))!, /cannot be reached/);
  // The clock of the chat ticks every 5 ms.
  await new Promise((resolve) => setTimeout(resolve, 60));
  room.thaw();
  const lines = await until(ann, "");
  assertEquals(lines.at(-1), "-- Disconnected after 0 s without a line");
  const entries = room.log
    .flatMap((item) => item.type === "entries" ? item.entries : [])
    .filter((entry) => entry.includes("without a line"));
  assertEquals(entries.length, 1);
});

Deno.test("a member that may not speak is refused by its own chat", async () => {
  const room = new MemoryRoom();
  let isMuted = true;
  await using one = startServer(room, {
    screen: () => isMuted ? "You are muted" : undefined,
  });
  await using two = startServer(room);
  await using ann = await join(one, "ann");
  for (const line of ["hello", "/me waves", "/nick ada", "/msg ann hi"]) {
    await ann.send(line);
    assertEquals(await next(ann), "-- You are muted");
  }
  await using bob = await join(two, "bob");
  isMuted = false;
  await ann.send("free");
  assertEquals(await next(bob), "ann: free");
});

Deno.test("maxPerAddress counts the members of all chats", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room, { maxPerAddress: 2 });
  await using two = startServer(room, { maxPerAddress: 2 });
  await using ann = await join(one, "ann", "192.0.2.1");
  await using _bob = await join(two, "bob", "192.0.2.1");
  await using _carl = await join(two, "carl", "192.0.2.2");
  await until(ann, "carl is online");
  for (const { chat } of [one, two]) {
    await using eve = chat.connect({ address: "192.0.2.1" });
    assertEquals(
      await next(eve),
      "Cannot enter: too many connections from 192.0.2.1",
    );
  }
});

Deno.test("values are shared with all chats, and with later ones", async () => {
  const room = new MemoryRoom();
  const calls: string[][] = [[], [], []];
  const options = (i: number): ChatOptions => ({
    onShare: (key, value) => void calls[i].push(`${key}=${value}`),
  });
  await using one = startServer(room, options(0));
  await using two = startServer(room, options(1));
  await one.chat.share("a", "1");
  await one.chat.share("b", "x\ny");
  await two.chat.share("a", "2");
  await one.chat.share("b");
  assertEquals(calls[0], ["a=1", "b=x\ny", "a=2", "b=undefined"]);
  await two.chat.notice("all is read");
  assertEquals(calls[1], calls[0]);
  await using three = startServer(room, options(2));
  await three.chat.share("c", "3");
  assertEquals(calls[2], ["a=2", "c=3"]);
});

Deno.test("a value that is not printable is refused on all chats", async () => {
  const room = new MemoryRoom();
  const values: string[][] = [[], []];
  const options = (i: number): ChatOptions => ({
    onShare: (_, value) => void values[i].push(value!),
  });
  await using one = startServer(room, options(0));
  await using two = startServer(room, options(1));
  await one.chat.share("a", "1");
  await one.chat.share("a", "2\u200e");
  await one.chat.share("b", "3");
  await two.chat.notice("all is read");
  assertEquals(values, [["1", "3"], ["1", "3"]]);
});

Deno.test("a chat alone shares values, too, and an onShare that throws is logged", async () => {
  const log: string[] = [];
  await using chat = new Chat({
    log: (message) => void log.push(message),
    onShare: () => {
      throw new Error("boom");
    },
  });
  await chat.share("a", "1");
  assertEquals(log, ["Cannot take the value of a: boom"]);
});

Deno.test("malformed and forged entries are skipped and logged", async () => {
  const room = new MemoryRoom();
  await using one = startServer(room);
  await using ann = await join(one, "ann");
  const [{ id }] = one.chat.members;
  const entries = [
    "",
    "[",
    "null",
    "3",
    '"x"',
    "[]",
    "{}",
    '{"type":"closing"}',
    '{"type":"gone","server":"1"}',
    '{"type":"toString"}',
    '{"type":"__proto__"}',
    '{"type":["message"],"id":"1-1","lines":["x"]}',
    ...[
      { type: "message", id },
      { type: "message", id, lines: "x" },
      { type: "message", id, lines: [] },
      { type: "message", id, lines: [1] },
      { type: "message", id, lines: ["one\ntwo"] },
      { type: "message", id, lines: ["\x1b[2J"] },
      { type: "message", id, lines: ["\u202eabc"] },
      { type: "message", id: 1, lines: ["x"] },
      { type: "entering", id: "9-1", name: "x\ny", address: "" },
      { type: "entering", id: "9-1", name: "eve", address: "" },
      { type: "leaving" },
      { type: "leaving", id, reason: 1 },
      { type: "private", id, to: "ann" },
      { type: "renaming", id, name: null },
      { type: "notice", text: "\x07" },
      { type: "delivered", id, to: "x", text: {} },
    ].map((entry) => JSON.stringify(entry)),
  ];
  room.publish({ type: "entries", server: "9", entries, time: new Date() });
  await ann.send("hello");
  assertEquals(await next(ann), "ann: hello");
  assertEquals(one.log, entries.map(() => "Skipped a malformed entry of 9"));
  // Entries that are well-formed and make no sense change nothing.
  const absurd = [
    { type: "entering", id, name: "eve", address: "", isOperator: true },
    { type: "message", id: "9-7", lines: ["x"] },
    { type: "leaving", id: "9-7" },
    { type: "renaming", id: "9-7", name: "x" },
    { type: "private", id: "9-7", to: "ann", text: "x" },
    { type: "delivered", id: "9-7", to: "ann" },
  ].map((entry) => JSON.stringify(entry));
  room.publish({
    type: "entries",
    server: "9",
    entries: absurd,
    time: new Date(),
  });
  await ann.send("still here");
  assertEquals(await next(ann), "ann: still here");
  assertEquals(namesOf(one.chat), ["ann"]);
});

Deno.test("malformed entries of a state are skipped and logged", async () => {
  const room = new MemoryRoom();
  const time = "2026-11-24T12:03:00.000Z";
  const fields = {
    id: "9-1",
    name: "bob",
    address: "",
    isOperator: false,
    time,
  };
  const state = [
    "x",
    { type: "entering", ...fields },
    { type: "entering", ...fields, name: 3 },
    { type: "remembering", lines: ["bob: hello"], time },
    { type: "remembering", lines: ["bob: late"], time: "soon" },
  ].map((entry) => JSON.stringify(entry));
  room.snapshot = { position: 0, state };
  await using one = startServer(room, { history: 5 });
  await using ann = one.chat.connect({ name: "ann" });
  assertEquals((await until(ann, "bob: hello")).slice(1), [
    "-- 1 here: bob. /help lists the commands",
    "-- History: 1 message, last at 2026-11-24 12:03 UTC",
    "bob: hello",
  ]);
  assertEquals(one.chat.members[0].joinedAt, new Date(time));
  assertEquals(
    one.log,
    Array(3).fill("Skipped a malformed entry of the state"),
  );
});

Deno.test("clients of all chats see many lines in the same order", async () => {
  const room = new MemoryRoom();
  const servers = [startServer(room), startServer(room), startServer(room)];
  const count = 100;
  const clients = await Promise.all(
    servers.flatMap((server, i) =>
      [0, 1, 2].map((j) => server.chat.connect({ name: `m${i}${j}` }))
    ),
  );
  for (const server of servers) {
    while (server.chat.members.length < clients.length) await setImmediate();
  }
  const end = "-- end";
  const transcripts = clients.map((client) => until(client, end));
  await Promise.all(clients.map(async (client, i) => {
    for (let n = 0; n < count; n++) {
      await client.send(`${i} ${n}`);
      if (n % 50 === i) await setImmediate();
    }
    await client.send("/who");
  }));
  let said = 0;
  for (let i = 0; said < count * clients.length; i++) {
    while (i === room.log.length) await setImmediate();
    const item = room.log[i];
    if (item.type !== "entries") continue;
    for (const entry of item.entries) {
      said += JSON.parse(entry).lines?.length ?? 0;
    }
  }
  await servers[0].chat.notice("end");
  const messages = (await Promise.all(transcripts)).map((lines) =>
    lines.filter((line) => /^m\d\d: /.test(line))
  );
  for (const lines of messages) {
    assertEquals(lines.length, count * clients.length);
    assertEquals(lines, messages[0]);
  }
  await Promise.all(servers.map(({ chat }) => chat.close()));
});
