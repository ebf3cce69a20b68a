/** Tests the parts of the library that moderation is made of. */

import { assert, assertEquals } from "@std/assert";
import {
  type Candidate,
  Chat,
  type Command,
  type CommandContext,
} from "../mod.ts";
import { MemoryClient, namesOf, openChat, TestClient } from "./clients.ts";

/** Reads the lines of a client up to one, and returns those before it. */
async function linesUntil(
  client: MemoryClient,
  last: string,
): Promise<string[]> {
  const lines = [];
  for (let line; (line = await client.line()) !== last;) {
    if (line === undefined) throw new Error(`There is no line ${last}`);
    lines.push(line);
  }
  return lines;
}

/** Sends a line and returns the lines that the client receives from then on. */
async function answers(client: MemoryClient, line: string): Promise<string[]> {
  await client.send(`/ping\n${line}\n/ping\n`);
  await linesUntil(client, "-- pong");
  return await linesUntil(client, "-- pong");
}

/** Adds a client to a chat and reads its first lines. */
async function join(
  chat: Chat,
  client: MemoryClient,
  isOperator?: boolean,
): Promise<MemoryClient> {
  void chat.handleConn({ ...client.conn, isOperator });
  await client.send("/ping\n");
  await linesUntil(client, "-- pong");
  return client;
}

Deno.test("an operator enters a full room, and other clients do not", async () => {
  await using chat = new Chat({
    maxClients: 1,
    maxPerAddress: 1,
    connectRate: 1,
  });
  await using _ann = await join(chat, new MemoryClient());
  await using _op = await join(chat, new MemoryClient(), true);
  await using eve = new MemoryClient();
  void chat.handleConn(eve.conn);
  assertEquals(await eve.line(), "Cannot enter: the room is full");
  assertEquals(
    chat.members.map(({ isOperator }) => isOperator),
    [false, true],
  );
});

Deno.test("only an operator can have a name that is reserved for the server", async () => {
  await using chat = new Chat();
  await using ann = await join(chat, new MemoryClient());
  await using op = await join(chat, new MemoryClient(), true);
  assertEquals(await answers(ann, "/nick op-1"), [
    "-- The name op-1 is reserved",
  ]);
  assertEquals(await answers(op, "/nick op-1"), [
    `${op.name} is now known as op-1`,
  ]);
});

Deno.test("a command that is not available is unknown and not in /help", async (t) => {
  await using chat = new Chat({
    commands: {
      kick: {
        usage: "/kick NAME",
        help: "remove a member",
        isAvailable: ({ isOperator }) => isOperator,
        run: ({ reply }, name) => reply(`removed ${name}`),
      },
    },
  });
  await using ann = await join(chat, new MemoryClient());
  await using op = await join(chat, new MemoryClient(), true);
  const helpOf = async (client: MemoryClient) =>
    (await answers(client, "/help")).filter((line) => line.includes("/kick"));
  assertEquals(await helpOf(ann), []);
  assertEquals(await helpOf(op), ["-- /kick NAME      remove a member"]);
  for (const command of ["/kick", "/KICK", "/\u212aick"]) {
    await t.step(command, async () => {
      assertEquals(await answers(ann, `${command} bob`), [
        `-- Unknown command ${command}. /help lists the commands`,
      ]);
      assertEquals(await answers(op, `${command} bob`), ["-- removed bob"]);
    });
  }
});

Deno.test("admit asks a client, and the rest of its input follows", async (t) => {
  const answers: (string | undefined)[] = [];
  await using room = openChat({
    async admit({ ask }) {
      answers.push(await ask("First?"), await ask("Second?\nSay no more"));
    },
  });
  /** Sends all input at once and returns the replies of the chat. */
  const replies = async (input: string) => {
    answers.length = 0;
    await using client = await TestClient.connect(room.addr);
    await client.send(input);
    await client.end();
    const lines = await client.rest();
    return lines.map((line) => line.replace(client.name, "ann"));
  };
  const prompts = ["-- First?", "-- Second?", "-- Say no more"];
  await t.step("in one packet", async () => {
    const lines = await replies("one\r\ntwo\nhello\nworld\n");
    assertEquals(answers, ["one", "two"]);
    assertEquals(lines.slice(0, 3), prompts);
    assertEquals(lines[3], "Welcome ann");
    assertEquals(lines.slice(-2), ["ann: hello", "ann: world"]);
  });
  await t.step("that sends too little", async () => {
    assertEquals((await replies("one")).slice(0, 3), prompts);
    assertEquals(answers, ["one", undefined]);
  });
  await t.step("that sends a long line", async () => {
    const lines = await replies("x".repeat(1000) + "\nhello\n");
    assertEquals(answers, ["x".repeat(512), "x".repeat(488)]);
    assertEquals(lines.at(-1), "ann: hello");
  });
  await t.step("that sends control characters", async () => {
    await replies("\x1b[2Jone\u202e\ntwo\n");
    assertEquals(answers, ["[2Jone", "two"]);
  });
});

Deno.test("a client that is asked is no member yet", async () => {
  const asked = Promise.withResolvers<void>();
  await using room = openChat({
    async admit({ name, ask }) {
      if (name === "ann") return;
      const answer = ask("Why?");
      asked.resolve();
      await answer;
    },
  });
  await using ann = room.chat.connect({ name: "ann" });
  await using eve = await TestClient.connect(room.addr);
  await asked.promise;
  await ann.send("hello");
  for await (const line of ann.lines) if (line === "ann: hello") break;
  assertEquals(namesOf(room.chat), ["ann"]);
  await eve.send("because\n");
  assertEquals(await eve.lines(2), ["-- Why?", `Welcome ${eve.name}`]);
});

Deno.test("admit can ask only until it has decided", async () => {
  let candidate: Candidate | undefined;
  await using chat = new Chat({ admit: (given) => void (candidate = given) });
  await using ann = await join(chat, new MemoryClient());
  assertEquals(candidate!.id, chat.members[0].id);
  assertEquals(await candidate!.ask("Still there?"), undefined);
  assertEquals(await answers(ann, "hello"), [`${ann.name}: hello`]);
});

Deno.test("a chat closes while a client is asked", async () => {
  const asked = Promise.withResolvers<unknown>();
  const room = openChat({
    async admit({ ask }) {
      const answer = ask("Why?");
      asked.resolve(answer);
      await answer;
    },
  });
  await using ann = await TestClient.connect(room.addr);
  assertEquals(await ann.line(), "-- Why?");
  await room[Symbol.asyncDispose]();
  assertEquals(await asked.promise, undefined);
});

Deno.test("admit chooses the first name of a client", async () => {
  const logged: string[] = [];
  await using chat = new Chat({
    log: (message) => logged.push(message),
    admit: ({ name }) => ({ name: name.replace("memory:", "guest-") }),
  });
  await using ann = chat.connect();
  await using bob = chat.connect({ name: "bob" });
  await using _ann2 = chat.connect({ name: "guest-1" });
  assertEquals((await ann.lines.next()).value, "Welcome guest-1");
  assertEquals((await bob.lines.next()).value, "Welcome bob");
  assertEquals(namesOf(chat), ["guest-1", "bob", "guest-1~2"]);
  await using eve = new MemoryClient();
  void chat.handleConn(eve.conn);
  assertEquals(
    await eve.line(),
    "Cannot enter: the server could not check the connection. Try again later",
  );
  assertEquals(logged, [
    `Cannot admit ${eve.name}: A name can only contain letters, digits, _, - and .`,
  ]);
});

Deno.test("screen refuses all that a member can say", async (t) => {
  const screened: string[] = [];
  await using chat = new Chat({
    commands: { shout: { usage: "", help: "", run: ({ say }) => say("HO") } },
    screen({ name }) {
      screened.push(name);
      if (name === "eve") return "Not sent: you are muted";
    },
  });
  await using eve = await join(chat, new MemoryClient());
  await using ann = await join(chat, new MemoryClient());
  await answers(ann, "/nick ann");
  await answers(eve, "/nick eve");
  const lines = [
    ...["hello", "", "//hello", "/me waves", "/msg ann hello"],
    ...["/nick eva", "/shout"],
  ];
  for (const line of lines) {
    await t.step(line, async () => {
      screened.length = 0;
      assertEquals(await answers(eve, line), ["-- Not sent: you are muted"]);
      assertEquals(screened, ["eve"]);
    });
  }
  await eve.send("/quit goodbye\n");
  assertEquals(await eve.rest(), ["-- Not sent: you are muted"]);
  const heard = await answers(ann, "/msg ann to myself");
  assertEquals(heard.at(-1), "(private) → ann: to myself");
  assertEquals((await answers(ann, "hello")).at(-1), "ann: hello");
  await chat.say("eve", "the program can speak as anybody");
});

Deno.test("one refusal answers lines that are sent at once", async () => {
  await using chat = new Chat({ screen: () => "Not sent: the room is closed" });
  await using ann = await join(chat, new MemoryClient());
  assertEquals(await answers(ann, "one\ntwo\nthree"), [
    "-- Not sent: the room is closed",
  ]);
});

Deno.test("a screen that throws refuses the line", async () => {
  const logged: string[] = [];
  await using chat = new Chat({
    log: (message) => logged.push(message),
    screen() {
      throw new Error("a fault");
    },
  });
  await using ann = await join(chat, new MemoryClient());
  assertEquals(await answers(ann, "hello"), [
    "-- Not sent: the server could not check the line. Try again later",
  ]);
  assertEquals(logged, [`Cannot screen ${ann.name}: a fault`]);
});

Deno.test("the activity of a member is known while it is present", async () => {
  await using room = openChat();
  const { chat } = room;
  await using ann = await TestClient.connect(room.addr);
  await ann.send("one\n\n/ping\n/ping\n");
  while (await ann.line() !== "-- pong");
  const [{ id }] = chat.members;
  const { idle, ...activity } = chat.activityOf(id)!;
  assertEquals(activity, { lines: 4, backlog: 0 });
  assert(0 <= idle && idle < 60_000);
  await ann.end();
  await ann.rest();
  assertEquals(chat.activityOf(id), undefined);
  assertEquals(chat.activityOf("no such id"), undefined);
});

Deno.test("the backlog of a member that does not read is known", async () => {
  await using chat = new Chat();
  const ann = new MemoryClient();
  const writable = new WritableStream({ write: () => new Promise(() => {}) });
  void chat.handleConn({ ...ann.conn, writable });
  await using bob = await join(chat, new MemoryClient());
  const backlog = () => chat.activityOf(chat.members[0].id)!.backlog;
  const before = backlog();
  await answers(bob, "x".repeat(1000));
  assertEquals(backlog() - before, `${bob.name}: ${"x".repeat(1000)}\n`.length);
  const withMessage = backlog();
  await answers(bob, `/msg ${ann.name} hello`);
  const message = `${bob.name} (private): hello\n`;
  assertEquals(backlog() - withMessage, message.length);
});

Deno.test("a changed message of the day is for members that join later", async () => {
  await using chat = new Chat({ motd: "one" });
  await using ann = await join(chat, new MemoryClient());
  chat.motd = "two\nthree\x07";
  assertEquals(chat.motd, "two\nthree");
  await using bob = chat.connect({ name: "bob" });
  const lines = [];
  for await (const line of bob.lines) {
    lines.push(line);
    if (line === "-- three") break;
  }
  assertEquals(lines.at(-2), "-- two");
  assertEquals(await answers(ann, "/ping"), []);
});

Deno.test("the prefix decides which IPv6 addresses count as one", async (t) => {
  const pairs: [number, string, string, boolean][] = [
    [1, "7fff::1", "::1", true],
    [1, "8000::1", "::1", false],
    [48, "2001:db8:1:2::1", "2001:db8:1:3::1", true],
    [56, "2001:db8:1:2ff::1", "2001:db8:1:200::1", true],
    [56, "2001:db8:1:200::1", "2001:db8:1:300::1", false],
    [127, "2001:db8::2", "2001:db8::3", true],
    [128, "2001:db8::2", "2001:db8::3", false],
    [128, "2001:db8::2", "2001:db8:0:0:0::2", true],
    [1, "192.0.2.1", "192.0.2.2", false],
  ];
  for (const [ipv6Prefix, one, other, areOne] of pairs) {
    await t.step(`/${ipv6Prefix} of ${one} and ${other}`, async () => {
      await using chat = new Chat({ ipv6Prefix, maxPerAddress: 1 });
      await using _ann = await join(chat, new MemoryClient(one));
      await using eve = new MemoryClient(other);
      void chat.handleConn(eve.conn);
      assertEquals((await eve.line())?.startsWith("Cannot enter"), areOne);
    });
  }
});

Deno.test("a command can take a name over from another member", async () => {
  const claim: Command = {
    usage: "/claim NAME",
    help: "",
    run: ({ rename }, name) =>
      rename(name, "Somebody else has your name\x1b[2J now"),
  };
  await using chat = new Chat({ commands: { claim } });
  await using ann = await join(chat, new MemoryClient());
  await using bob = await join(chat, new MemoryClient());
  await answers(ann, "/nick ann");
  assertEquals(await answers(bob, "/claim 1"), ["-- The name 1 has no letter"]);
  assertEquals(await answers(bob, "/claim Ann"), [
    "ann is offline",
    `${bob.name} is now known as Ann`,
  ]);
  assertEquals(
    (await ann.rest()).at(-1),
    "-- Somebody else has your name[2J now",
  );
  assertEquals(namesOf(chat), ["Ann"]);
  assertEquals(await answers(bob, "/claim ann"), ["Ann is now known as ann"]);
});

Deno.test("the time in which a client is admitted does not make it idle", async () => {
  await using room = openChat({
    idle: 400,
    admit: () => new Promise((resolve) => setTimeout(resolve, 500)),
  });
  await using ann = await TestClient.connect(room.addr);
  assertEquals(await ann.line(), `Welcome ${ann.name}`);
  const start = performance.now();
  await ann.rest();
  const time = performance.now() - start;
  assert(time > 300, `The member was disconnected after ${time} ms`);
});

Deno.test("an action of a command after the end of the chat does nothing", async () => {
  const started = Promise.withResolvers<CommandContext>();
  const late: Command = { usage: "/late", help: "", run: started.resolve };
  const chat = new Chat({ commands: { late } });
  const ann = chat.connect({ name: "ann" });
  await ann.send("/late");
  const { reply, say } = await started.promise;
  await chat.close();
  await Promise.all([reply("too late"), say("too late")]);
});

Deno.test("a connection whose write throws does not affect the others", async () => {
  await using chat = new Chat({ commands: false });
  await using ann = chat.connect({ name: "ann" });
  assertEquals((await ann.lines.next()).value, "Welcome ann");
  await chat.handleConn({
    remoteAddr: { hostname: "192.0.2.1", port: 7 },
    read: () => Promise.resolve(null),
    write() {
      throw new Error("broken");
    },
    closeWrite: () => Promise.resolve(),
    close() {},
  });
  assertEquals((await ann.lines.next()).value, "192.0.2.1:7 is online");
  assertEquals((await ann.lines.next()).value, "192.0.2.1:7 is offline");
});
