import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { CommandError } from "../cli.ts";
import { Password, type PasswordOptions } from "../server/password.ts";
import { namesOf } from "./clients.ts";
import { answers, heard, linesUntil, ModeratedRoom } from "./moderated.ts";

const SECRET = "correct horse battery staple";
const TOO_MANY =
  "Cannot enter: too many wrong passwords. Try again in a minute";

/** Opens a room with a password. */
async function open(options: Partial<PasswordOptions> = {}, text = SECRET) {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, `${text}\n`);
  const logged: string[] = [];
  const log = (message: string) => void logged.push(message);
  const password = new Password({ path, log, ...options });
  await password.load();
  const room = new ModeratedRoom({ password, lang: options.lang }, {
    history: 10,
  });
  return {
    room,
    path,
    password,
    logged,
    async [Symbol.asyncDispose]() {
      await room[Symbol.asyncDispose]();
      await Deno.remove(path);
    },
  };
}

Deno.test("a client with the password joins, and its next lines are said", async () => {
  await using opened = await open();
  const { room, logged } = opened;
  await using ann = await room.connect();
  assertEquals(await ann.line(), "-- Password:");
  assertEquals(namesOf(room.chat), []);
  await ann.send(`${SECRET}\r\nhello\n`);
  assertMatch((await ann.line())!, /^Welcome 203\.0\.113\.7:/);
  await linesUntil(ann, `${namesOf(room.chat)[0]}: hello`);
  await using bob = await room.connect();
  await bob.send(`wrong\n${SECRET}\n/nick bob\n`); // All at once.
  assertEquals(await bob.lines(3), [
    "-- Password:",
    "-- Wrong password",
    "-- Password:",
  ]);
  assertMatch((await bob.line())!, /^Welcome /);
  assert((await heard(bob)).some((line) => line.endsWith("known as bob")));
  assertEquals(logged.length, 1);
});

Deno.test("a client has three tries, and sees nothing of the room", async () => {
  await using opened = await open();
  const { room, logged } = opened;
  await using ann = await room.connect("203.0.113.8");
  await ann.send(`${SECRET}\n/nick ann\nhello\n`);
  await linesUntil(ann, "ann: hello");
  await using eve = await room.connect();
  await eve.send(`one\n/who\n\n${SECRET}\n`);
  assertEquals(await eve.rest(), [
    "-- Password:",
    "-- Wrong password",
    "-- Password:",
    "-- Wrong password",
    "-- Password:",
    "Cannot enter: wrong password",
  ]);
  assertEquals(await heard(ann), []);
  assertEquals(
    logged.map((line) => line.replace(/:\d+$/, "")),
    Array(3).fill("Wrong password from 203.0.113.7"),
  );
});

Deno.test("an HTTP request is refused, and is not a guess", async () => {
  await using opened = await open();
  const { room, logged } = opened;
  for (let i = 0; i < 6; i++) {
    await using page = await room.connect("203.0.113.7");
    await page.send(`POST /${"x".repeat(9 * i)} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assertEquals((await page.rest()).at(-1), "Cannot enter: wrong password");
  }
  assertEquals(logged, []);
  await using ann = await room.connect("203.0.113.7");
  await ann.send(`${SECRET}\n/quit\n`);
  assertMatch((await ann.rest()).at(-1)!, /lists the commands/);
});

Deno.test("an address that guesses is refused for a minute", async () => {
  let now = 0;
  await using opened = await open({ now: () => now });
  const { room, logged } = opened;
  const tries = async (address: string, lines: string) => {
    await using client = await room.connect(address);
    await client.send(lines);
    return (await client.rest()).at(-1);
  };
  const three = "1\n2\n3\n";
  const wrong = "Cannot enter: wrong password";
  const right = `${SECRET}\n/quit\n`;
  assertEquals(await tries("203.0.113.7", three), wrong);
  assertEquals(await tries("203.0.113.7", three), TOO_MANY);
  assertEquals(logged.length, 5);
  // Not even the right password helps.
  assertEquals(await tries("203.0.113.7", right), TOO_MANY);
  assertEquals(await tries("2001:db8::1", three), wrong);
  assertEquals(await tries("2001:db8::2", three), TOO_MANY);
  assertMatch((await tries("203.0.113.8", right))!, /lists the commands/);
  now = 59_999;
  assertEquals(await tries("203.0.113.7", right), TOO_MANY);
  now = 60_000;
  assertMatch((await tries("203.0.113.7", right))!, /lists the commands/);
});

Deno.test("guesses on many connections at a time are limited, too", async () => {
  await using opened = await open({ now: () => 0 });
  const { room, logged } = opened;
  const clients = await Promise.all(
    Array.from({ length: 30 }, () => room.connect()),
  );
  for (const client of clients) await client.line();
  await Promise.all(clients.map((client, i) => client.send(`guess ${i}\n`)));
  await clients[29].send(`${SECRET}\n`);
  const ends = await Promise.all(clients.map(async (client) => {
    await client.send("guess\nguess\n");
    return (await client.rest()).at(-1);
  }));
  assertEquals(ends, Array(30).fill(TOO_MANY));
  assertEquals(logged.length, 5);
  for (const client of clients) await client[Symbol.asyncDispose]();
});

Deno.test("a client that sends no password is refused in time", async () => {
  await using opened = await open({ timeout: 500 });
  await using eve = await opened.room.connect();
  await eve.send("the beginning of a line");
  assertEquals(await eve.rest(), [
    "-- Password:",
    "Cannot enter: no password within 0.5 s",
  ]);
  assertEquals(opened.logged, []);
});

Deno.test("a client that leaves instead is not a failure", async () => {
  await using opened = await open();
  await using eve = await opened.room.connect();
  await eve.line();
  await eve.end();
  assertEquals(await eve.rest(), ["Cannot enter: wrong password"]);
  assertEquals(opened.logged, []);
});

Deno.test("a long line is no password, and is not held", async () => {
  await using opened = await open();
  await using eve = await opened.room.connect();
  await eve.send("x".repeat(100_000) + "\n");
  assertEquals((await eve.rest()).at(-1), "Cannot enter: wrong password");
  assertEquals(opened.logged.length, 3);
});

Deno.test("an operator needs no password, and a banned client is not asked", async () => {
  await using opened = await open();
  const { room } = opened;
  await using op = await room.operator();
  await using eve = await room.connect();
  assertEquals(await eve.line(), "-- Password:");
  await answers(op, "/ban 203.0.113.7");
  await eve.send(`${SECRET}\n`);
  assertEquals(await eve.rest(), ["Cannot enter: you are banned"]);
  await using back = await room.connect();
  assertEquals(await back.rest(), ["Cannot enter: you are banned"]);
  await answers(op, "/lock");
  await using bob = await room.connect("203.0.113.8");
  assertEquals(await bob.rest(), ["Cannot enter: the room is locked"]);
});

Deno.test("a changed password is for new clients", async () => {
  await using opened = await open();
  const { room, path, password } = opened;
  await using ann = await room.connect();
  await ann.send(`${SECRET}\n/nick ann\n`);
  await heard(ann);
  await Deno.writeTextFile(path, "second\r\nnot this line\n");
  await password.load();
  await using bob = await room.connect();
  await bob.send(`${SECRET}\nsecond\n/nick bob\n`);
  await heard(bob);
  assertEquals(namesOf(room.chat), ["ann", "bob"]);
});

Deno.test("a file without a password is refused, and the old one stays", async (t) => {
  await using opened = await open();
  const { path, password } = opened;
  const rule = "its first line must be a password of 1 to 500 bytes";
  for (const text of ["", "\nsecond", "\x00\r\n", "x".repeat(501)]) {
    await t.step(JSON.stringify(text.slice(0, 20)), async () => {
      await Deno.writeTextFile(path, text);
      await assertRejects(
        () => password.load(),
        CommandError,
        `Cannot use ${path}: ${rule}`,
      );
    });
  }
  await t.step("or without a file", async () => {
    const missing = new Password({ path: `${path}.missing` });
    await assertRejects(
      () => missing.load(),
      CommandError,
      `Cannot read ${path}.missing: no such file or directory`,
    );
  });
  await using ann = await opened.room.connect();
  await ann.send(`${SECRET}\n`);
  await linesUntil(ann, "-- Password:");
  assertMatch((await ann.line())!, /^Welcome /);
});

Deno.test("the password is asked for in Chinese, too", async () => {
  await using opened = await open({ lang: "zh" }, "\u5bc6\u7801");
  await using ann = await opened.room.connect();
  await ann.send("x\n\u5bc6\u7801\n");
  assertEquals(await ann.lines(3), [
    "-- \u5bc6\u7801\uff1a",
    "-- \u5bc6\u7801\u9519\u8bef",
    "-- \u5bc6\u7801\uff1a",
  ]);
  assertMatch((await ann.line())!, /^\u6b22\u8fce /);
});

Deno.test("the password is in no output, no log, no event and no list", async () => {
  const events: string[] = [];
  await using opened = await open();
  const { room, logged } = opened;
  const reading = (async () => {
    for await (const event of room.chat.events()) {
      events.push(JSON.stringify(event));
    }
  })();
  await using ann = await room.connect("203.0.113.8");
  await using eve = await room.connect("203.0.113.9");
  await using op = await room.operator();
  const seen = [];
  await ann.send(`${SECRET}\n/nick ann\nhello\n/who\n/whois ann\n`);
  await eve.send("hunter2\nhunter2\nhunter2\n");
  seen.push(...await heard(ann), ...await eve.rest());
  seen.push(...await answers(op, "/whois ann"), ...await answers(op, "/bans"));
  await using late = await room.connect("203.0.113.8");
  await late.send(`${SECRET}\n`);
  seen.push(...await heard(late));
  await room.chat.close();
  await reading;
  const output = [...seen, ...logged, ...events, ...room.audited].join("\n");
  assert(output.includes("ann: hello") && logged.length === 3);
  assertEquals(/horse|battery|hunter/.test(output), false);
});
