import { assert, assertEquals, assertMatch } from "@std/assert";
import { Chat, type ChatEvent, type ChatOptions } from "../mod.ts";
import { detailsOf, namesOf, openChat, TestClient } from "./clients.ts";

/** Opens a room with clients of these names. They have read all lines so far. */
async function meet<Names extends string[]>(
  names: [...Names],
  options?: ChatOptions,
) {
  const room = openChat(options);
  const clients: TestClient[] = [];
  for (const name of names) {
    const client = await TestClient.join(room.addr);
    for (const other of clients) {
      assertEquals(await other.line(), `${client.name} is online`);
    }
    clients.push(client);
    await client.send(`/nick ${name}\n`);
    for (const each of clients) {
      assertEquals(await each.line(), `${client.name} is now known as ${name}`);
    }
  }
  return {
    ...room,
    clients: clients as { [K in keyof Names]: TestClient },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client[Symbol.asyncDispose]();
      await room[Symbol.asyncDispose]();
    },
  };
}

/** Sends a line, and returns the reply. */
async function replyTo(client: TestClient, line: string): Promise<string> {
  await client.send(`${line}\n/nick\n`);
  const lines = [];
  for (let next; (next = await client.line()) !== USAGE;) lines.push(next);
  return lines.join("\n");
}

const USAGE = "-- Usage: /nick NAME";

Deno.test("/nick renames a member for all clients", async () => {
  await using room = await meet(["ann", "bob"]);
  const [ann, bob] = room.clients;
  await bob.send("hello\n");
  assertEquals(await ann.line(), "bob: hello");
  assertEquals(await bob.line(), "bob: hello");
  assertEquals(namesOf(room.chat), ["ann", "bob"]);
  await bob.end();
  assertEquals(await bob.rest(), []);
  assertEquals(await ann.line(), "bob is offline");
});

Deno.test("/nick accepts names in any script and normalizes them", async () => {
  await using room = await meet(["ann"]);
  const [ann] = room.clients;
  const names = {
    "王小明": "王小明",
    "Ａｎｎ": "Ann",
    "e\u0301lan": "\u00e9lan",
    "Ελένη": "Ελένη",
    "अनुष्का": "अनुष्का",
    "محمد": "محمد",
    "王Bob": "王Bob",
    "ボブ": "ボブ",
    "J.R.R._T-1": "J.R.R._T-1",
    "2pac": "2pac",
    ["x".repeat(32)]: "x".repeat(32),
    ["𠮷".repeat(32)]: "𠮷".repeat(32),
  };
  let last = "ann";
  for (const [given, name] of Object.entries(names)) {
    await ann.send(`/nick ${given}\n`);
    assertEquals(await ann.line(), `${last} is now known as ${name}`);
    last = name;
  }
});

Deno.test("/nick names the rule that a name breaks", async (t) => {
  await using room = await meet(["ann"]);
  const [ann] = room.clients;
  const SPACE = "A name cannot contain spaces";
  const LONG = "A name has at most 32 characters";
  const START = "A name must start with a letter or a digit";
  const INVISIBLE = "A name cannot contain invisible or stacked characters";
  const CHARACTERS = "A name can only contain letters, digits, _, - and .";
  const MIXED = "A name cannot mix scripts that look alike";
  const address = (name: string) => `The name ${name} looks like an address`;
  const refused: Record<string, [string, string]> = {
    "two words": ["ann bob", SPACE],
    "33 letters": ["x".repeat(33), LONG],
    "a colon": ["ann:", CHARACTERS],
    "the start of a notice": ["--", START],
    "the start of an action": ["*", START],
    "digits only": ["12345", "The name 12345 has no letter"],
    "digits and dots": ["1.5", "The name 1.5 has no letter"],
    "an address with a port": ["127.0.0.1:8000", CHARACTERS],
    "an address with more": ["10.0.0.1.in-addr", address("10.0.0.1.in-addr")],
    "an IPv6 address": ["[::1]:8000", START],
    "the name of a host": ["localhost", address("localhost")],
    "the name of a Unix client": ["unix:1", CHARACTERS],
    "Latin and Cyrillic": ["pаypal", MIXED],
    "Latin and Greek": ["αnn", MIXED],
    "invisible letters": ["ann\u3164", INVISIBLE],
    "joiners": ["an\u200dn", INVISIBLE],
    "stacked marks": ["a\u0329\u0329\u0329\u0329nn", INVISIBLE],
    "a symbol": ["ann☺", CHARACTERS],
  };
  for (const [kind, [name, rule]] of Object.entries(refused)) {
    await t.step(kind, async () => {
      assertEquals(await replyTo(ann, `/nick ${name}`), `-- ${rule}`);
    });
  }
});

Deno.test("/nick refuses a name that looks like the name of another member", async (t) => {
  await using room = await meet(["Alice_0", "bob"]);
  const [, bob] = room.clients;
  for (
    const name of ["Alice_0", "ALICE_0", "a1ice_o", "AIice_O", "Álicé_0"]
  ) {
    await t.step(name, async () => {
      assertEquals(
        await replyTo(bob, `/nick ${name}`),
        name === "Alice_0"
          ? "-- The name Alice_0 is taken"
          : `-- The name ${name} is too similar to Alice_0`,
      );
    });
  }
});

Deno.test("/nick refuses a name that looks the same in another script", async () => {
  await using room = await meet(["cop", "bob"]);
  const [, bob] = room.clients;
  assertEquals(
    await replyTo(bob, "/nick сор"), // Cyrillic
    "-- The name сор is too similar to cop",
  );
});

Deno.test("/nick can change the case of a name, and frees the old name", async () => {
  await using room = await meet(["ann", "bob"]);
  const [ann, bob] = room.clients;
  await ann.send("/nick ANN\n/nick carol\n");
  assertEquals(await bob.lines(2), [
    "ann is now known as ANN",
    "ANN is now known as carol",
  ]);
  await bob.send("/nick ann\n");
  assertEquals(await bob.line(), "bob is now known as ann");
});

Deno.test("/who lists the members and their times to its sender only", async () => {
  await using room = await meet(["ann", "bob"]);
  const [ann, bob] = room.clients;
  const [count, first, second] = (await replyTo(ann, "/who")).split("\n");
  assertEquals(count, "-- 2 here:");
  assertMatch(first, /^-- ann \(\d+ s\)$/);
  assertMatch(second, /^-- bob \(\d+ s\)$/);
  await ann.send("done\n");
  assertEquals(await bob.line(), "ann: done");
});

Deno.test("/who lists at most 100 members", async () => {
  await using room = await meet(["ann"]);
  const [ann] = room.clients;
  const others = [];
  for (let i = 0; i < 120; i++) {
    others.push(await TestClient.join(room.addr));
    await ann.line();
  }
  const lines = (await replyTo(ann, "/who")).split("\n");
  assertEquals([lines.length, lines[0], lines.at(-1)], [
    102,
    "-- 121 here:",
    "-- …",
  ]);
  for (const other of others) await other[Symbol.asyncDispose]();
});

Deno.test("/msg sends a private message to a name in any case", async () => {
  await using room = await meet(["ann", "bob", "carol"]);
  const [ann, bob, carol] = room.clients;
  await ann.send("/msg BOB  to you: only \n");
  assertEquals(await ann.line(), "(private) → bob: to you: only");
  assertEquals(await bob.line(), "ann (private): to you: only");
  await using dave = await TestClient.join(room.addr);
  for (const each of room.clients) await each.line();
  await ann.send(`/msg ${dave.name} hi\nall\n`);
  assertEquals(await dave.lines(2), ["ann (private): hi", "ann: all"]);
  assertEquals(await carol.line(), "ann: all");
  assertEquals(
    await replyTo(carol, "/msg erin hi"),
    "-- No one here is named erin",
  );
  assertMatch(await replyTo(carol, "/msg bob"), /^-- Usage: \/msg NAME TEXT/);
});

Deno.test("/msg to a client that does not read is refused", async () => {
  await using room = await meet(["ann", "bob"]);
  const [ann] = room.clients; // Bob reads nothing more.
  const text = "x".repeat(60_000);
  let sent = 0;
  for (;; sent++) {
    await ann.send(`/msg bob ${text}\n`);
    const line = await ann.line();
    if (line === "-- Not sent: bob is not receiving messages") break;
    assertEquals(line, `(private) → bob: ${text}`);
    assert(sent < 1000, "The unread messages are not bounded");
  }
  await ann.send("still here\n");
  assertEquals(await ann.line(), "ann: still here");
});

Deno.test("/me broadcasts an action", async () => {
  await using room = await meet(["ann", "bob"]);
  const [ann, bob] = room.clients;
  await ann.send("/me  waves at bob\n");
  assertEquals(await bob.line(), "* ann waves at bob");
  assertEquals(await ann.line(), "* ann waves at bob");
  assertMatch(await replyTo(ann, "/me"), /^-- Usage: \/me TEXT/);
});

Deno.test("/quit sends a goodbye and leaves", async () => {
  await using room = await meet(["ann", "bob", "carol"]);
  const [ann, bob, carol] = room.clients;
  await bob.send("/quit see you\nnot heard\n");
  assertEquals(await ann.lines(2), ["bob: see you", "bob is offline"]);
  assertEquals(await bob.rest(), ["bob: see you"]);
  await carol.lines(2);
  await carol.send("/quit\n");
  assertEquals(await ann.line(), "carol is offline");
  assertEquals(await carol.rest(), []);
});

Deno.test("/help lists every command to its sender only", async () => {
  await using room = await meet(["ann"]);
  const help = (await replyTo(room.clients[0], "/help")).split("\n");
  assert(help.every((line) => line.startsWith("-- /")));
  assertEquals(
    help.map((line) => line.split(" ")[1]),
    ["/nick", "/who", "/msg", "/me", "/quit", "//TEXT", "/help"],
  );
});

Deno.test("an unknown command is not broadcast", async (t) => {
  await using room = await meet(["ann", "bob"]);
  const [ann, bob] = room.clients;
  for (const command of ["/", "/nickname x", "/constructor", "/__proto__ x"]) {
    await t.step(command, async () => {
      const [name] = command.split(" ");
      assertEquals(
        await replyTo(ann, command),
        `-- Unknown command ${name}. /help lists the commands`,
      );
    });
  }
  assertEquals(
    await replyTo(ann, "/" + "x".repeat(1000)),
    `-- Unknown command /${"x".repeat(39)}…. /help lists the commands`,
  );
  await ann.send("done\n");
  assertEquals(await bob.line(), "ann: done");
});

Deno.test("the time for a command is linear in the length of the line", async () => {
  await using room = await meet(["ann"]);
  const [ann] = room.clients;
  const gap = " ".repeat(60_000);
  await ann.send(`/foo a${gap}b\n`.repeat(100));
  for (let i = 0; i < 100; i++) {
    assertEquals(
      await ann.line(),
      "-- Unknown command /foo. /help lists the commands",
    );
  }
});

Deno.test("// sends one slash, and commands keep their place among the lines", async () => {
  await using room = await meet(["ann", "bob"]);
  const [ann, bob] = room.clients;
  await ann.send("one\n//etc\n/nick carol\ntwo\n/me nods\nthree\n");
  assertEquals(await bob.lines(6), [
    "ann: one",
    "ann: /etc",
    "ann is now known as carol",
    "carol: two",
    "* carol nods",
    "carol: three",
  ]);
});

Deno.test("a command can start with the slash of a Chinese input method", async () => {
  await using room = await meet(["ann", "bob"]);
  const [ann, bob] = room.clients;
  await ann.send("\uff0fnick carol\n\uff0f/x\na\uff0fb\n");
  assertEquals(await bob.lines(3), [
    "ann is now known as carol",
    "carol: /x",
    "carol: a\uff0fb",
  ]);
});

Deno.test("without commands, every line is a message and there is no greeting", async () => {
  await using room = openChat({ commands: false });
  await using ann = await TestClient.connect(room.addr);
  await ann.send("/nick ann\n//x\n/help\n");
  assertEquals(await ann.lines(4), [
    `Welcome ${ann.name}`,
    `${ann.name}: /nick ann`,
    `${ann.name}: //x`,
    `${ann.name}: /help`,
  ]);
});

Deno.test("replies and notices are in Chinese with lang zh", async () => {
  await using room = openChat({ lang: "zh", motd: "请友好" });
  await using ann = await TestClient.connect(room.addr);
  assertEquals(await ann.lines(3), [
    `欢迎 ${ann.name}`,
    "-- 这里还没有其他人。输入 /help 查看命令",
    "-- 请友好",
  ]);
  const name = "小明";
  await ann.send(`/nick ${name}\n/msg ${name} 你好\n/foo\n`);
  assertEquals(await ann.lines(4), [
    `${ann.name} 改名为 ${name}`,
    `${name}\uff08私聊\uff09: 你好`,
    `\uff08私聊\uff09→ ${name}: 你好`,
    "-- 未知命令 /foo。输入 /help 查看命令",
  ]);
});

Deno.test("no message of a member looks like another kind of line", async (t) => {
  await using room = await meet(["ann", "mallory"]);
  const [ann, mallory] = room.clients;
  const forgeries = {
    "a notice": "ann is offline",
    "a notice within a line": "x\rann is offline",
    "another line": "x\u2028ann: hello",
    "a line of another member": "ann: hello",
    "an action": "* ann waves",
    "a reply": "-- 2 here:",
    "a private message": "ann (private): hello",
    "a private message that was sent": "(private) → ann: hello",
    "a shutdown": "The server is shutting down",
    "a cursor movement": "\x1b[1G\x1b[Kann: hello",
    "backspaces": "\b".repeat(20) + "ann: hello",
    "a reversed line": "\u202eolleh :nna",
    "a command of two lines": "/me \u2029ann: hello",
  };
  for (const [kind, line] of Object.entries(forgeries)) {
    await t.step(kind, async () => {
      await mallory.send(`${line}\n`);
      assertMatch(
        (await ann.line())!,
        /^(mallory: |\* mallory )[^\p{Cc}\u2028-\u202e]*$/u,
      );
      await mallory.line();
    });
  }
  await t.step("a goodbye", async () => {
    await mallory.send("/quit ann is offline\n");
    assertEquals(await ann.lines(2), [
      "mallory: ann is offline",
      "mallory is offline",
    ]);
  });
});

Deno.test("a private message always starts with the name of its sender", async () => {
  await using room = await meet(["ann", "mallory"]);
  const [ann, mallory] = room.clients;
  await mallory.send(
    "/msg ann -- You have won\n/msg ann \u2028ann is offline\n",
  );
  assertEquals(await ann.lines(2), [
    "mallory (private): -- You have won",
    "mallory (private): ann is offline",
  ]);
});

Deno.test("events report names and actions, but no private messages", async () => {
  const events: ChatEvent[] = [];
  const changes: ChatEvent[] = [];
  await using chat = new Chat();
  const collect = async (
    into: ChatEvent[],
    options: { messages?: boolean },
  ) => {
    for await (const event of chat.events(options)) into.push(event);
  };
  const collected = [
    collect(events, {}),
    collect(changes, { messages: false }),
  ];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  chat.serve(listener);
  const ann = await TestClient.join(listener.addr);
  await ann.send("/nick ann\nhello\n/me waves\n/msg ann secret\n/quit\n");
  await ann.rest();
  await chat.close();
  await Promise.all(collected);
  assertEquals(events.map(detailsOf), [
    { type: "joined", name: ann.name },
    { type: "renamed", name: ann.name, newName: "ann" },
    { type: "message", name: "ann", text: "hello" },
    { type: "action", name: "ann", text: "waves" },
    { type: "left", name: "ann", reason: undefined },
  ]);
  assertEquals(changes.map(detailsOf), [
    { type: "joined", name: ann.name },
    { type: "renamed", name: ann.name, newName: "ann" },
    { type: "left", name: "ann", reason: undefined },
  ]);
});

Deno.test("a new member receives the history after the message of the day", async () => {
  await using room = openChat({
    history: 3,
    motd: "Be kind\nand \x1b[1mbrief",
  });
  await using ann = await TestClient.join(room.addr);
  await ann.send("/nick ann\none\ntwo\n/me waves\n/msg ann secret\nthree\n");
  while (await ann.line() !== "ann: three");
  await using bob = await TestClient.join(room.addr);
  assertEquals(await bob.lines(2), ["-- Be kind", "-- and [1mbrief"]);
  assertMatch(
    (await bob.line())!,
    /^-- History: 3 messages, last at \d{4}-\d\d-\d\d \d\d:\d\d UTC$/,
  );
  assertEquals(await bob.lines(3), [
    "ann: two",
    "* ann waves",
    "ann: three",
  ]);
  await ann.send("four\n");
  assertEquals(await bob.line(), "ann: four");
});

Deno.test("the history is bounded in bytes and has the latest messages", async () => {
  await using room = openChat({ history: 1000 });
  await using ann = await TestClient.join(room.addr);
  for (let i = 0; i < 10; i++) {
    await ann.send(`${i}${"中".repeat(5000)}\n`);
    await ann.line();
  }
  await using bob = await TestClient.join(room.addr);
  assertMatch((await bob.line())!, /^-- History: 4 messages, /);
  const lines = await bob.lines(4);
  assertEquals(lines.map((line) => line!.split(": ")[1][0]), [..."6789"]);
  await ann.send("next\n");
  assertEquals(await bob.line(), `${ann.name}: next`);
});

Deno.test("no message is missing or repeated after the history", async () => {
  await using room = openChat({ history: 50 });
  await using ann = await TestClient.join(room.addr);
  const reading = ann.rest();
  const last = 20_000;
  const talking = (async () => {
    for (let i = 1; i <= last; i += 10) {
      const lines = Array.from({ length: 10 }, (_, j) => `${i + j}\n`);
      await ann.send(lines.join(""));
    }
  })();
  const start = `${ann.name}: `;
  for (let i = 0; i < 20; i++) {
    await using bob = await TestClient.join(room.addr);
    const numbers: number[] = [];
    while (numbers.length < 200 && numbers.at(-1) !== last) {
      const line = (await bob.line())!;
      if (line.startsWith(start)) {
        numbers.push(Number(line.slice(start.length)));
      }
    }
    assertEquals(numbers, numbers.map((_, i) => numbers[0] + i));
  }
  await talking;
  await ann.end();
  await reading;
});

Deno.test("a new member receives the names of the others and a hint about /help", async () => {
  await using room = openChat();
  const greeting = async () => {
    const client = await TestClient.connect(room.addr);
    await client.line();
    return [client, await client.line()] as const;
  };
  await using stack = new AsyncDisposableStack();
  const help = "/help lists the commands";
  const [ann, alone] = await greeting();
  stack.use(ann);
  assertEquals(alone, `-- No one else is here. ${help}`);
  await ann.send("/nick ann\n");
  await ann.line();
  const names = ["ann"];
  for (let count = 1; count <= 11; count++) {
    const [client, text] = await greeting();
    stack.use(client);
    const first = names.slice(0, 10).join(", ");
    const more = count > 10 ? ", …" : "";
    assertEquals(text, `-- ${count} here: ${first}${more}. ${help}`);
    names.push(client.name);
  }
});

Deno.test("replies keep their place among the lines of the sender", async () => {
  await using room = await meet(["ann"]);
  const [ann] = room.clients;
  for (let i = 0; i < 50; i++) {
    await ann.send(`one\n/ping\ntwo\n/msg ann hi\nthree\n`);
    assertEquals(await ann.lines(6), [
      "ann: one",
      "-- pong",
      "ann: two",
      "ann (private): hi",
      "(private) → ann: hi",
      "ann: three",
    ]);
  }
});
