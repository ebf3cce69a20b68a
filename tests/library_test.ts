/** Tests the library: options, events, commands and in-memory clients. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { setImmediate } from "node:timers/promises";
import {
  Chat,
  type ChatEvent,
  type ChatOptions,
  type Command,
  type Connection,
} from "../mod.ts";
import { detailsOf, MemoryClient, namesOf } from "./clients.ts";

/** Reads lines of an in-memory client up to one that matches, and returns that one. */
async function lineOf(
  lines: AsyncGenerator<string>,
  pattern: RegExp,
): Promise<string> {
  while (true) {
    const { done, value } = await lines.next();
    assert(!done, `No line matches ${pattern}`);
    if (pattern.test(value)) return value;
  }
}

Deno.test("undefined selects the default of each option", async () => {
  const names = [
    "lang",
    "signal",
    "maxBacklog",
    "maxLine",
    "rate",
    "maxClients",
    "maxPerAddress",
    "connectRate",
    "ipv6Prefix",
    "idle",
    "commands",
    "history",
    "motd",
    "admit",
    "screen",
    "log",
  ];
  const options = Object.fromEntries(names.map((name) => [name, undefined]));
  await using chat = new Chat(options as ChatOptions);
  await using ann = chat.connect({ name: "ann" });
  await ann.send("/ping");
  assertEquals((await ann.lines.next()).value, "Welcome ann");
  assertEquals(await lineOf(ann.lines, /pong/), "-- pong");
});

Deno.test("the error for an invalid option names it", async (t) => {
  const invalid: Record<string, [unknown, ErrorConstructor]> = {
    lang: ["xx", TypeError],
    signal: [{}, TypeError],
    maxBacklog: [1000, RangeError],
    maxLine: [0.5, RangeError],
    rate: [-1, RangeError],
    maxClients: ["10", TypeError],
    maxPerAddress: [NaN, RangeError],
    connectRate: [Infinity, RangeError],
    ipv6Prefix: [129, RangeError],
    idle: [2 ** 31, RangeError],
    commands: [{ time: () => {} }, TypeError],
    history: [null, TypeError],
    motd: [5, RangeError],
    admit: ["no", TypeError],
    screen: [{}, TypeError],
    log: [console, TypeError],
  };
  for (const [name, [value, ErrorType]] of Object.entries(invalid)) {
    await t.step(name, () => {
      assertThrows(
        () => new Chat({ [name]: value }),
        ErrorType,
        `Invalid ${name}${typeof value === "object" ? ":" : ` ${value}:`}`,
      );
    });
  }
});

Deno.test("a fractional rate lets lines pass", async () => {
  await using chat = new Chat({ rate: 0.5 });
  await using ann = chat.connect({ name: "ann" });
  await ann.send("hello");
  assertEquals(await lineOf(ann.lines, /hello/), "ann: hello");
});

Deno.test("0 means no limit", async () => {
  await using chat = new Chat({ maxClients: 0, maxPerAddress: 0, idle: 0 });
  await using ann = chat.connect({ name: "ann" });
  assertEquals((await ann.lines.next()).value, "Welcome ann");
});

Deno.test("an event has the id of its member, or is marked as caused by the program", async () => {
  const events: ChatEvent[] = [];
  {
    await using chat = new Chat();
    const reading = (async () => {
      for await (const event of chat.events()) events.push(event);
    })();
    const ann = chat.connect({ name: "ann", address: "192.0.2.1" });
    await lineOf(ann.lines, /Welcome/);
    await ann.send("one");
    await ann.send("/nick bob");
    await ann.send("two");
    await ann.close();
    await chat.say("bot", "three");
    await chat.act("bot", "waves");
    await chat.notice("four");
    await chat.close();
    await reading;
  }
  assertEquals(
    events.map(({ id, own, address }) => [id, own, address]),
    [
      ...Array(5).fill(["1", false, "192.0.2.1"]),
      ...Array(3).fill(["", true, ""]),
    ],
  );
  assertEquals(events.map(detailsOf), [
    { type: "joined", name: "ann" },
    { type: "message", name: "ann", text: "one" },
    { type: "renamed", name: "ann", newName: "bob" },
    { type: "message", name: "bob", text: "two" },
    { type: "left", name: "bob", reason: undefined },
    { type: "message", name: "bot", text: "three" },
    { type: "action", name: "bot", text: "waves" },
    { type: "notice", name: "", text: "four" },
  ]);
});

Deno.test("a relay of two rooms does not loop", async () => {
  await using one = new Chat();
  await using two = new Chat();
  const relay = async (from: Chat, to: Chat) => {
    for await (const event of from.events()) {
      if (event.type === "message" && !event.own) {
        await to.say(event.name, event.text);
      }
    }
  };
  const relaying = [relay(one, two), relay(two, one)];
  await using ann = one.connect({ name: "ann" });
  await using bob = two.connect({ name: "bob" });
  await ann.send("hello");
  assertEquals(await lineOf(bob.lines, /^ann: /), "ann: hello");
  await bob.send("hi");
  assertEquals(await lineOf(ann.lines, /^ann: /), "ann: hello");
  // A repeated message would come before this one.
  assertEquals(await lineOf(ann.lines, /^ann: |^bob: /), "bob: hi");
  await Promise.all([one.close(), two.close()]);
  await Promise.all(relaying);
});

Deno.test("a bot that reads all events keeps up with senders of empty lines", async () => {
  await using chat = new Chat();
  const newlines = new TextEncoder().encode("\n".repeat(16 * 1024));
  const total = 8;
  let count = 0;
  const bot = (async () => {
    for await (const event of chat.events()) {
      if (event.type === "message") count++;
    }
  })();
  const senders = Array.from({ length: 4 }, async () => {
    const client = new MemoryClient();
    const handled = chat.handleConn(client.conn);
    const reading = client.rest();
    for (let i = 0; i < total; i++) await client.send(newlines);
    await client.end();
    await Promise.all([handled, reading]);
    await client[Symbol.asyncDispose]();
  });
  await Promise.all(senders);
  await chat.close();
  await bot;
  assertEquals(count, 4 * total * newlines.length);
});

Deno.test("a bot can read the remaining events of a closed chat, and say has no effect", async () => {
  const chat = new Chat();
  const events = chat.events();
  await chat.say("bot", "one");
  await chat.say("bot", "two");
  await chat.close();
  const read: string[] = [];
  for await (const event of events) {
    if (event.type === "message") read.push(event.text);
    await chat.say("bot", "too late");
  }
  assertEquals(read, ["one", "two"]);
  await assertRejects(() => chat.say("bot", "hi"), Error, "has ended");
});

Deno.test("a pending message of the program does not fail when the chat closes", async () => {
  const chat = new Chat();
  const sent = Array.from(
    { length: 20 },
    () => chat.say("bot", "x".repeat(100_000)),
  );
  await chat.close();
  await Promise.all(sent);
});

Deno.test("a program can only use names that members can have", async (t) => {
  await using chat = new Chat();
  for (const name of ["", "a:b", "-- x", "two words", "a\nb", "127.0.0.1:80"]) {
    await t.step(JSON.stringify(name), async () => {
      await assertRejects(() => chat.say(name, "hi"), TypeError);
      await assertRejects(() => chat.act(name, "hi"), TypeError);
      assertThrows(() => chat.connect({ name }), TypeError);
    });
  }
});

Deno.test("act, notice and tell reach the room or one member", async () => {
  await using chat = new Chat({ commands: false });
  await using ann = chat.connect({ name: "ann" });
  await using bob = chat.connect({ name: "bob" });
  await lineOf(ann.lines, /bob is online/);
  await lineOf(bob.lines, /Welcome/);
  await chat.act("clock", "strikes\ntwelve");
  await chat.notice("one\ntwo");
  assertEquals(await chat.tell("bob", "for you\nalone"), true);
  assertEquals(await chat.tell("carol", "hi"), false);
  await chat.say("clock", "end");
  const both = ["* clock strikes", "* clock twelve", "-- one", "-- two"];
  const readAll = async (lines: AsyncGenerator<string>) => {
    const all: string[] = [];
    for await (const line of lines) {
      all.push(line);
      if (line === "clock: end") return all;
    }
  };
  assertEquals(await readAll(ann.lines), [...both, "clock: end"]);
  assertEquals(
    await readAll(bob.lines),
    [...both, "-- for you", "-- alone", "clock: end"],
  );
});

Deno.test("kick disconnects a member, and all clients see the reason", async () => {
  const reasons: (string | undefined)[] = [];
  await using chat = new Chat();
  const reading = (async () => {
    for await (const event of chat.events()) {
      if (event.type === "left") reasons.push(event.reason);
    }
  })();
  await using ann = chat.connect({ name: "ann" });
  await using bob = chat.connect({ name: "bob" });
  await lineOf(ann.lines, /bob is online/);
  assertEquals(await chat.kick("bob", "spam\nand more"), true);
  assertEquals(await chat.kick("bob"), false);
  assertEquals(
    await lineOf(ann.lines, /removed/),
    "-- bob was removed: spam and more",
  );
  assertEquals((await ann.lines.next()).value, "bob is offline");
  assertEquals(
    await lineOf(bob.lines, /removed/),
    "-- You were removed: spam and more",
  );
  assertEquals((await bob.lines.next()).done, true);
  assertEquals(namesOf(chat), ["ann"]);
  await chat.close();
  await reading;
  assertEquals(reasons, ["spam and more", undefined]);
});

Deno.test("members have an id, a name, an address and a time", async () => {
  const start = Date.now();
  await using chat = new Chat();
  await using ann = chat.connect({ name: "ann", address: "2001:db8::1" });
  await lineOf(ann.lines, /Welcome/);
  const [{ joinedAt, ...member }] = chat.members;
  assertEquals(member, {
    id: "1",
    name: "ann",
    address: "2001:db8::1",
    isOperator: false,
  });
  assert(start <= joinedAt.getTime() && joinedAt.getTime() <= Date.now());
});

Deno.test("a program can add commands", async (t) => {
  const logged: string[] = [];
  const commands: Record<string, Command> = {
    time: {
      usage: "/time ZONE",
      help: "show the time",
      run: ({ member, reply }, zone) =>
        reply(`${member.name}: noon in ${zone}`),
    },
    everything: {
      usage: "/everything",
      help: "use every action",
      async run({ chat, act, say, sendPrivate, rename, leave, member }) {
        await act("starts");
        await say(`one of ${chat.members.length}`);
        await sendPrivate(member.name, "psst");
        await rename("bob");
        await leave();
      },
    },
    broken: {
      usage: "/broken",
      help: "",
      run() {
        throw new Error("a fault");
      },
    },
    rejected: {
      usage: "/rejected",
      help: "",
      run: () => Promise.reject(new Error("another fault")),
    },
  };
  await using chat = new Chat({ commands, log: (text) => logged.push(text) });
  await using ann = chat.connect({ name: "ann" });
  await t.step("with an argument", async () => {
    await ann.send("/TIME   here and there ");
    const line = await lineOf(ann.lines, /noon/);
    assertEquals(line, "-- ann: noon in here and there");
  });
  await t.step("in /help", async () => {
    await ann.send("/help");
    assertMatch(
      await lineOf(ann.lines, /time/),
      /^-- \/time ZONE +show the time$/,
    );
  });
  await t.step("with an error", async () => {
    await ann.send("/broken");
    const text = "-- /broken failed. Try again later";
    assertEquals(await lineOf(ann.lines, /broken/), text);
    await ann.send("/rejected");
    await lineOf(ann.lines, /rejected failed/);
    assertEquals(logged, [
      "Cannot run /broken of ann: a fault",
      "Cannot run /rejected of ann: another fault",
    ]);
  });
  await t.step("with every action", async () => {
    await ann.send("/everything");
    const lines = [
      "* ann starts",
      "ann: one of 1",
      "ann (private): psst",
      "(private) → ann: psst",
      "ann is now known as bob",
    ];
    for (const line of lines) {
      assertEquals((await ann.lines.next()).value, line);
    }
    assertEquals((await ann.lines.next()).done, true);
  });
});

Deno.test("admit can refuse a client before it joins", async (t) => {
  const logged: string[] = [];
  const candidates: { name: string; address: string }[] = [];
  await using chat = new Chat({
    log: (text) => logged.push(text),
    admit({ name, address }) {
      candidates.push({ name, address });
      if (name === "eve") return "not\nyou";
      if (name === "dan") return Promise.resolve("no");
      if (name === "bug") throw new Error("a fault");
      if (name === "bob") return Promise.resolve();
    },
  });
  await using ann = chat.connect({ name: "ann", address: "192.0.2.1" });
  await lineOf(ann.lines, /Welcome/);
  assertEquals(candidates, [{ name: "ann", address: "192.0.2.1" }]);
  const refused = {
    eve: "Cannot enter: not you",
    dan: "Cannot enter: no",
    bug:
      "Cannot enter: the server could not check the connection. Try again later",
  };
  for (const [name, reason] of Object.entries(refused)) {
    await t.step(name, async () => {
      await using client = chat.connect({ name });
      assertEquals((await client.lines.next()).value, reason);
      assertEquals((await client.lines.next()).done, true);
    });
  }
  assertEquals(logged, ["Cannot admit bug: a fault"]);
  await using _bob = chat.connect({ name: "bob" });
  assertEquals(await lineOf(ann.lines, /is online/), "bob is online");
});

Deno.test("a chat closes while it waits for admit", async () => {
  const asked = Promise.withResolvers<void>();
  const chat = new Chat({
    admit() {
      asked.resolve();
      return new Promise(() => {});
    },
  });
  const ann = chat.connect({ name: "ann" });
  await asked.promise;
  const closed = chat.close();
  assertEquals(await Array.fromAsync(ann.lines), [
    "The server is shutting down",
  ]);
  await closed;
});

Deno.test("a log that throws is contained", async () => {
  await using chat = new Chat({
    log() {
      throw new Error("disk full");
    },
  });
  await using locked = new MemoryClient();
  locked.conn.readable.getReader();
  await using ann = new MemoryClient();
  await chat.serve(ReadableStream.from([locked.conn, ann.conn]));
  assertEquals(await ann.line(), `Welcome ${ann.name}`);
});

Deno.test("in-memory clients have unique names", async () => {
  await using chat = new Chat();
  await using ann = chat.connect();
  await using bob = chat.connect({ name: "ann" });
  await using eve = chat.connect({ name: "Ann" });
  assertEquals((await ann.lines.next()).value, "Welcome memory:1");
  assertEquals((await bob.lines.next()).value, "Welcome ann");
  assertEquals((await eve.lines.next()).value, "Welcome Ann~2");
});

Deno.test("a message does not wait with a join that follows it at once", async () => {
  await using chat = new Chat();
  const decoder = new TextDecoderStream();
  let next = () => {};
  const order: string[] = [];
  void chat.handleConn({
    readable: new ReadableStream(),
    writable: decoder.writable as WritableStream<Uint8Array>,
    remoteAddr: { hostname: "192.0.2.1", port: 50000 },
    frame(chunk) {
      next();
      return chunk;
    },
  });
  const reader = decoder.readable.getReader();
  await reader.read();
  next = () => {
    next = () => {};
    // The pause of joins is four times as long as this.
    const end = performance.now() + 100;
    while (performance.now() < end);
    setTimeout(() => order.push("pause"), 200);
    void chat.notice("a message");
    chat.connect({ name: "ann" });
  };
  await chat.notice("slow output");
  let received = "";
  while (!received.includes("a message")) {
    received += (await reader.read()).value ?? "";
  }
  order.push("message");
  assertEquals(order, ["message"]);
});

Deno.test("an in-memory client closes while its input and output are full", async () => {
  await using chat = new Chat();
  const ann = chat.connect({ name: "ann" });
  const line = "/help".padEnd(100);
  for (let i = 0; i < 2000; i++) ann.send(line).catch(() => {});
  await ann.close();
  assertEquals(chat.members, []);
});

Deno.test("an in-memory client cannot send after the chat has closed it", async () => {
  await using chat = new Chat();
  await using ann = chat.connect({ name: "ann" });
  await ann.lines.next();
  await chat.close();
  await assertRejects(() => ann.send("hello"), TypeError, "is closed");
});

Deno.test("/help aligns usages with emoji", async () => {
  const run = () => {};
  await using chat = new Chat({
    commands: {
      wave: { usage: "/wave 👋", help: "wave", run },
      greet: { usage: "/greet X", help: "greet", run },
    },
  });
  await using ann = chat.connect({ name: "ann" });
  await ann.send("/help");
  assertEquals(
    await lineOf(ann.lines, /wave/),
    "-- /wave 👋        wave",
  );
  assertEquals(await lineOf(ann.lines, /greet/), "-- /greet X        greet");
});

Deno.test("a command of the program can have a name in any case", async () => {
  const commands: Record<string, Command> = {
    Roll: { usage: "/Roll", help: "roll", run: ({ reply }) => reply("6") },
    WHO: { usage: "/who", help: "who", run: ({ reply }) => reply("nobody") },
  };
  await using chat = new Chat({ commands });
  await using ann = chat.connect({ name: "ann" });
  await ann.send("/Roll");
  assertEquals(await lineOf(ann.lines, /6|Unknown/), "-- 6");
  await ann.send("/who");
  assertEquals(await lineOf(ann.lines, /body|1 here/), "-- nobody");
});

Deno.test("a listener can close the chat when it is closed", async () => {
  const chat = new Chat();
  const listener = Object.assign(new ReadableStream<Connection>(), {
    close: () => void chat.close(),
  });
  void chat.serve(listener);
  await chat.close();
});

Deno.test("a long command is not cut in the middle of a character", async () => {
  await using chat = new Chat();
  await using ann = chat.connect({ name: "ann" });
  await ann.send(`/${"x".repeat(38)}👋👋`);
  assertMatch(await lineOf(ann.lines, /Unknown/), /command \/x{38}…\./);
});

Deno.test("a reader of many events leaves turns of the event loop to others", async () => {
  await using chat = new Chat();
  const events = chat.events();
  const count = 10_000;
  await chat.notice("x\n".repeat(count - 1) + "x");
  let turns = 0;
  let isDone = false;
  const counting = (async () => {
    for (; !isDone; turns++) await setImmediate();
  })();
  let read = 0;
  for await (const _ of events) if (++read === count) break;
  isDone = true;
  await counting;
  assert(turns >= 100, `${turns} turns`);
});
