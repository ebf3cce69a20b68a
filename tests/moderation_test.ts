import { assert, assertEquals, assertMatch } from "@std/assert";
import { BanList } from "../server/bans.ts";
import { namesOf } from "./clients.ts";
import { answers, heard, ModeratedRoom } from "./moderated.ts";

const START = Date.parse("2026-11-24T12:00:00Z");
const HOUR = 3_600_000;

Deno.test("an operator is op-N at first, and its commands are in its /help only", async () => {
  await using room = new ModeratedRoom();
  await using ann = await room.join("ann");
  await using op = await room.operator();
  assertEquals(namesOf(room.chat), ["ann", "op-2"]);
  assertEquals(await heard(ann), ["op-2 is online"]);
  const commandsOf = (help: string[]) =>
    help.map((line) => /^-- \/(\w+)/.exec(line)?.[1]);
  const common = commandsOf(await answers(ann, "/help"));
  const all = commandsOf(await answers(op, "/help"));
  assertEquals(
    all.filter((name) => !common.includes(name)),
    [
      ...["kick", "ban", "unban", "bans", "mute", "unmute"],
      ...["lock", "unlock", "motd", "whois"],
    ],
  );
});

Deno.test("a member cannot run an operator command, by any spelling", async (t) => {
  await using room = new ModeratedRoom();
  await using ann = await room.join("ann");
  await using bob = await room.join("bob");
  const names = Object.keys(room.moderation.chatOptions.commands);
  assertEquals(names.length, 10);
  const spellings = (name: string) => [
    name,
    name.toUpperCase(),
    name.replace("k", "\u212a"), // The Kelvin sign, a k in lower case.
    name.replace("i", "\u0130"),
    name.replace("s", "\u017f"),
    `${name}\u0000`,
    `${name}\u200b`,
    `\u2066${name}`,
  ];
  await heard(ann);
  for (const name of names) {
    for (const spelling of spellings(name)) {
      await t.step(JSON.stringify(spelling), async () => {
        const [answer, ...others] = await answers(
          ann,
          `/${spelling} bob advertising`,
        );
        assertMatch(answer, /^-- Unknown command \/\S+\. \/help lists/);
        assertEquals(others, []);
      });
    }
  }
  for (
    const line of ["//kick bob", " /kick bob", "\t/kick bob", "/ kick bob"]
  ) {
    await t.step(line, async () => {
      const [answer] = await answers(ann, line);
      assertMatch(answer, /^(ann: |-- Unknown command \/\.)/);
    });
  }
  await t.step("an operator runs them all", async () => {
    await using op = await room.operator();
    for (const name of names) {
      const [answer] = await answers(op, `/${name.toUpperCase()} \u00a0`);
      assert(!answer.includes("Unknown"));
    }
  });
  const seen = await heard(bob);
  assertEquals(seen.filter((line) => /removed/.test(line)), []);
});

Deno.test("/kick closes a connection with a reason", async (t) => {
  await using room = new ModeratedRoom();
  await using ann = await room.join("ann");
  await using bob = await room.join("bob");
  await using op = await room.operator();
  await heard(ann);
  await t.step("and checks its argument", async () => {
    assertEquals(await answers(op, "/kick"), ["-- Usage: /kick NAME [REASON]"]);
    assertEquals(await answers(op, "/kick eve"), [
      "-- No one here is named eve",
    ]);
  });
  assertEquals(await answers(op, "/kick b0b off topic"), [
    "-- bob was removed: off topic",
    "bob is offline",
    "-- Removed bob",
  ]);
  assertEquals((await bob.rest()).at(-1), "-- You were removed: off topic");
  assertEquals(await heard(ann), [
    "-- bob was removed: off topic",
    "bob is offline",
  ]);
  await t.step("without a reason, too", async () => {
    await answers(op, "/kick ann");
    assertEquals((await ann.rest()).at(-1), "-- You were removed");
  });
  assertEquals(room.audited, [
    "op-3: /kick",
    "op-3: /kick eve",
    "op-3: /kick b0b off topic",
    "op-3: /kick ann",
  ]);
});

Deno.test("/ban NAME closes all connections of an address and refuses it", async () => {
  let now = START;
  await using room = new ModeratedRoom({ now: () => now });
  await using spammer = await room.join("eve", "203.0.113.7");
  await using second = await room.join("eva", "203.0.113.7");
  await using ann = await room.join("ann", "203.0.113.8");
  await using op = await room.operator();
  await heard(ann);
  assertEquals(await answers(op, "/ban eve 12h advertising"), [
    "-- Banned 203.0.113.7 until 2026-11-25 00:00 UTC: advertising",
    "-- eve was removed: advertising",
    "eve is offline",
    "-- eva was removed: advertising",
    "eva is offline",
  ]);
  assertEquals(
    (await spammer.rest()).at(-1),
    "-- You were removed: advertising",
  );
  assertEquals(
    (await second.rest()).at(-1),
    "-- You were removed: advertising",
  );
  await using back = await room.connect("203.0.113.7");
  assertEquals(await back.rest(), [
    "Cannot enter: you are banned until 2026-11-25 00:00 UTC: advertising",
  ]);
  assertEquals(namesOf(room.chat), ["ann", "op-4"]);
  now += 12 * HOUR;
  await using again = await room.join("eve", "203.0.113.7");
  assertEquals(namesOf(room.chat), ["ann", "op-4", "eve"]);
  assertEquals(await heard(again), []);
});

Deno.test("/ban takes addresses and networks of both families", async (t) => {
  await using room = new ModeratedRoom({ now: () => START });
  await using op = await room.operator();
  const bans: [string, string, string[], string[]][] = [
    [
      "192.0.2.7",
      "192.0.2.7 until /unban",
      ["192.0.2.7"],
      ["192.0.2.8"],
    ],
    [
      "198.51.100.99/24 30m",
      "198.51.100.0/24 until 2026-11-24 12:30 UTC",
      ["198.51.100.1", "198.51.100.255"],
      ["198.51.101.1"],
    ],
    [
      "2001:db8:1:2::7 flood",
      "2001:db8:1:2::/64 until /unban: flood",
      ["2001:db8:1:2:ffff::1"],
      ["2001:db8:1:3::1"],
    ],
    [
      "2001:db8:5::7/128",
      "2001:db8:5::7/128 until /unban",
      ["2001:db8:5::7"],
      ["2001:db8:5::8"],
    ],
    [
      "2001:db8:6::/48 7d 3 times",
      "2001:db8:6::/48 until 2026-12-01 12:00 UTC: 3 times",
      ["2001:db8:6:ffff::1"],
      ["2001:db8:7::1"],
    ],
  ];
  for (const [argument, printed, refused, admitted] of bans) {
    await t.step(argument, async () => {
      assertEquals(await answers(op, `/ban ${argument}`), [
        `-- Banned ${printed}`,
      ]);
      for (const address of refused) {
        await using eve = await room.connect(address);
        assertMatch((await eve.line())!, /^Cannot enter: you are banned/);
      }
      for (const address of admitted) {
        await using ann = await room.connect(address);
        assertMatch((await ann.line())!, /^Welcome /);
      }
    });
  }
  await t.step("and refuses anything else", async () => {
    for (const target of ["192.0.2.7/33", "nobody", "[::1]", "*"]) {
      const [answer] = await answers(op, `/ban ${target}`);
      assertEquals(answer, `-- No one here is named ${target}`);
    }
  });
});

Deno.test("/bans lists bans and /unban removes them", async () => {
  let now = START;
  await using room = new ModeratedRoom({ now: () => now });
  await using op = await room.operator();
  assertEquals(await answers(op, "/bans"), ["-- No bans"]);
  await answers(op, "/ban 192.0.2.7 30m spam");
  await answers(op, "/ban 192.0.2.0/24");
  await answers(op, "/nick ann");
  await answers(op, "/ban 2001:db8::1 flood");
  assertEquals(await answers(op, "/bans"), [
    "-- 3 bans:",
    "-- 192.0.2.7 until 2026-11-24 12:30 UTC, by op-1: spam",
    "-- 192.0.2.0/24 until /unban, by op-1",
    "-- 2001:db8::/64 until /unban, by ann: flood",
  ]);
  assertEquals(await answers(op, "/unban 192.0.2.7"), [
    "-- 192.0.2.7 is banned as a part of 192.0.2.0/24",
  ]);
  assertEquals(await answers(op, "/unban 192.0.2.0/24"), [
    "-- 192.0.2.0/24 is not banned any more",
  ]);
  assertEquals(await answers(op, "/unban 192.0.2.7"), [
    "-- 192.0.2.7 is not banned",
  ]);
  assertEquals(await answers(op, "/unban bob"), [
    "-- Usage: /unban ADDRESS[/PREFIX]",
  ]);
  await answers(op, "/ban 192.0.2.7 30m");
  now += HOUR;
  assertEquals(await answers(op, "/bans"), [
    "-- 1 ban:",
    "-- 2001:db8::/64 until /unban, by ann: flood",
  ]);
  await using eve = await room.connect("192.0.2.7");
  assertMatch((await eve.line())!, /^Welcome /);
  assertEquals(room.audited.slice(3, 5), [
    "op-1 (ann): /ban 2001:db8::1 flood",
    "op-1 (ann): /bans",
  ]);
});

Deno.test("an operator can use the name that a member had when it spoke", async (t) => {
  await using room = new ModeratedRoom();
  await using op = await room.operator();
  await using ann = await room.join("ann", "198.51.100.7");
  await answers(ann, "CHEAP GOLD");
  await answers(ann, "/nick zoe");
  await heard(op);

  await t.step("a member that has changed its name", async () => {
    const [name] = await answers(op, "/whois ann");
    assertEquals(name, "-- zoe:");
    const kicked = await answers(op, "/kick ann");
    assertEquals(kicked.at(-1), "-- Removed zoe");
  });

  await t.step("a member that has left can be banned", async () => {
    assertEquals(await answers(op, "/kick ann"), [
      "-- No one here is named ann",
    ]);
    assertEquals(await answers(op, "/ban ann"), [
      "-- Banned 198.51.100.7 until /unban",
    ]);
  });

  await t.step("the present owner of a name comes first", async () => {
    await using other = await room.join("ann", "192.0.2.8");
    await answers(other, "hello");
    const [, address] = await answers(op, "/whois ann");
    assertEquals(address, "-- address 192.0.2.8");
  });
});

Deno.test("an operator cannot lock itself or another operator out", async () => {
  await using room = new ModeratedRoom({}, { maxClients: 3, maxPerAddress: 1 });
  await using op = await room.operator();
  await using other = await room.operator();
  await using ann = await room.join("ann");
  assertEquals(await answers(op, "/kick op-1"), ["-- op-1 is an operator"]);
  assertEquals(await answers(op, "/ban op-2"), ["-- op-2 is an operator"]);
  assertEquals(await answers(op, "/mute op-1"), ["-- op-1 is an operator"]);
  await answers(op, "/ban 0.0.0.0/0 everybody");
  await answers(op, "/ban 127.0.0.1");
  await answers(op, "/ban ::/0");
  await answers(op, "/lock");
  assertEquals((await ann.rest()).at(-1), "-- You were removed: everybody");
  assertEquals(await answers(op, "hello"), ["op-1: hello"]);
  assertEquals((await heard(other)).at(-1), "op-1: hello");
  await using third = await room.operator();
  await using fourth = await room.operator();
  assertEquals(await answers(third, "/unlock"), ["-- The room is open again"]);
  assertEquals(await answers(fourth, "/unban 0.0.0.0/0"), [
    "-- 0.0.0.0/0 is not banned any more",
  ]);
});

Deno.test("a member without an address can be kicked, and not banned", async () => {
  await using room = new ModeratedRoom();
  await using bot = room.chat.connect({ name: "bot" });
  await bot.lines.next();
  await using op = await room.operator();
  assertEquals(await answers(op, "/ban bot"), [
    "-- bot has no address. Use /kick bot",
  ]);
  await answers(op, "/ban 0.0.0.0/0");
  await answers(op, "/ban ::/0");
  assertEquals(namesOf(room.chat), ["bot", "op-2"]);
  await answers(op, "/kick bot");
  assertEquals(namesOf(room.chat), ["op-2"]);
});

Deno.test("/mute refuses the lines of a member, and of its later connections", async (t) => {
  let now = START;
  await using room = new ModeratedRoom({ now: () => now });
  await using eve = await room.join("eve", "203.0.113.7");
  await using neighbour = await room.join("ned", "203.0.113.7");
  await using ann = await room.join("ann", "203.0.113.8");
  await using op = await room.operator();
  await t.step("and checks its argument", async () => {
    const usage = ["-- Usage: /mute NAME [DURATION]"];
    assertEquals(await answers(op, "/mute"), usage);
    assertEquals(await answers(op, "/mute eve spam"), usage);
    assertEquals(await answers(op, "/mute eve 1h spam"), usage);
    assertEquals(await answers(op, "/mute bob"), [
      "-- No one here is named bob",
    ]);
  });
  assertEquals(await answers(op, "/mute eve 1h"), [
    "-- Muted eve until 2026-11-24 13:00 UTC",
  ]);
  await heard(ann);
  const before = await heard(eve);
  assertEquals(before.at(-1), "-- You are muted until 2026-11-24 13:00 UTC");
  const notice = "-- Not sent: you are muted until 2026-11-24 13:00 UTC";
  for (const line of ["hello", "/me waves", "/msg ann hi", "/nick eva"]) {
    await t.step(line, async () => {
      assertEquals(await answers(eve, line), [notice]);
      assertEquals(await heard(ann), []);
    });
  }
  await t.step("and it still reads", async () => {
    await ann.send("hello\n");
    assertEquals((await heard(eve)).at(-1), "ann: hello");
  });
  await t.step("but not of those who were present at its address", async () => {
    assertEquals((await answers(neighbour, "hello")).at(-1), "ned: hello");
  });
  await t.step("until it is over", async () => {
    await using back = await room.connect("203.0.113.7");
    assertEquals((await answers(back, "hello")).at(-1), notice);
    now += HOUR;
    assertMatch((await answers(back, "hello")).at(-1)!, /: hello$/);
    assertEquals(await answers(op, "/unmute eve"), ["-- eve is not muted"]);
  });
});

Deno.test("/unmute lets a member speak again", async () => {
  await using room = new ModeratedRoom();
  await using eve = await room.join("eve", "203.0.113.7");
  await using op = await room.operator();
  await answers(op, "/mute eve");
  assertEquals(await answers(op, "/bans"), [
    "-- No bans",
    "-- 1 mute:",
    "-- eve (203.0.113.7) until /unmute",
  ]);
  assertEquals(await answers(eve, "hello"), ["-- Not sent: you are muted"]);
  assertEquals(await answers(op, "/unmute eve"), ["-- eve can speak again"]);
  assertEquals(await answers(eve, "hello"), ["eve: hello"]);
  // A member that has reconnected under another name.
  await answers(op, "/mute eve");
  await eve.end();
  await eve.rest();
  await using back = await room.connect("203.0.113.7");
  await heard(back);
  const [name] = namesOf(room.chat).slice(-1);
  assertEquals(
    (await answers(back, "hello")).at(-1),
    "-- Not sent: you are muted",
  );
  assertEquals(
    (await answers(op, `/unmute ${name}`)).at(-1),
    `-- ${name} can speak again`,
  );
  assertEquals((await answers(back, "hello")).at(-1), `${name}: hello`);
  // A member that is not present.
  await answers(op, `/mute ${name}`);
  await back.end();
  await back.rest();
  assertEquals(
    (await answers(op, `/unmute ${name}`)).at(-1),
    `-- ${name} can speak again`,
  );
});

Deno.test("/lock refuses new clients, and members stay", async () => {
  await using room = new ModeratedRoom();
  await using ann = await room.join("ann");
  await using op = await room.operator();
  await heard(ann);
  assertEquals(await answers(op, "/unlock"), ["-- The room is not locked"]);
  await answers(op, "/lock back at noon");
  assertEquals(await heard(ann), ["-- The room is locked: back at noon"]);
  await using bob = await room.connect();
  assertEquals(await bob.rest(), [
    "Cannot enter: the room is locked: back at noon",
  ]);
  await answers(op, "/lock");
  assertEquals(await heard(ann), ["-- The room is locked: no one can enter"]);
  await using eve = await room.connect();
  assertEquals(await eve.rest(), ["Cannot enter: the room is locked"]);
  assertEquals(await answers(ann, "hello"), ["ann: hello"]);
  await answers(op, "/unlock");
  assertEquals((await heard(ann)).at(-1), "-- The room is open again");
  await using _late = await room.join("late");
  assertEquals(namesOf(room.chat), ["ann", "op-2", "late"]);
});

Deno.test("/motd shows and changes the message of the day", async () => {
  await using room = new ModeratedRoom({}, { motd: "one" });
  await using op = await room.operator();
  assertEquals(await answers(op, "/motd"), [
    "-- The message of the day:",
    "-- one",
  ]);
  assertEquals(await answers(op, "/motd Maintenance at noon"), [
    "-- The message of the day:",
    "-- Maintenance at noon",
  ]);
  await using ann = await room.connect();
  assertEquals((await heard(ann)).at(-1), "-- Maintenance at noon");
  assertEquals(
    (await answers(op, "/motd -")).at(-1),
    "-- There is no message of the day",
  );
  await using bob = await room.connect();
  assertMatch((await heard(bob)).at(-1)!, /lists the commands$/);
});

Deno.test("/whois shows the address and the activity of a member", async () => {
  await using room = new ModeratedRoom();
  await using ann = await room.join("ann", "2001:db8::7");
  await using op = await room.operator();
  assertEquals(await answers(op, "/whois bob"), [
    "-- No one here is named bob",
  ]);
  await answers(ann, "hello");
  const [name, address, joined, idle, lines, ...rest] = await answers(
    op,
    "/whois ann",
  );
  assertEquals(
    [name, address, lines, ...rest].filter((line) => !/ann: hello/.test(line)),
    [
      "-- ann:",
      "-- address 2001:db8::7",
      "-- lines sent: 6",
      "-- backlog: 0 bytes",
    ],
  );
  assertMatch(joined, /^-- joined \d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
  assertMatch(idle, /^-- idle for \d+s$/);
  await answers(op, "/mute ann");
  assertEquals(
    (await answers(op, "/whois ann")).at(-1),
    "-- muted until /unmute",
  );
  assertEquals((await answers(op, "/whois op-2")).slice(0, 2), [
    "-- op-2:",
    "-- address 127.0.0.1",
  ]);
});

Deno.test("hidden addresses are in no text that another member sees", async () => {
  const events: string[] = [];
  await using room = new ModeratedRoom({ hideAddresses: true }, {
    history: 10,
  });
  const reading = (async () => {
    for await (const { name, address } of room.chat.events()) {
      events.push(`${name} ${address}`);
    }
  })();
  await using ann = await room.connect("203.0.113.7");
  const seen = await heard(ann);
  await using bob = await room.connect("2001:db8::8");
  seen.push(...await heard(bob));
  await using op = await room.operator();
  seen.push(...await heard(op));
  assertEquals(namesOf(room.chat), ["guest-1", "guest-2", "op-3"]);
  seen.push(...await answers(ann, "hello"));
  seen.push(...await answers(ann, "/nick ann"));
  seen.push(...await answers(bob, "/who"));
  seen.push(...await answers(bob, "/msg ann hi"));
  seen.push(...await answers(bob, "/nick guest-1"));
  await ann.end();
  seen.push(...await ann.rest());
  await using late = await room.connect("203.0.113.9");
  seen.push(...await heard(late), ...await heard(bob));
  assert(seen.includes("guest-1: hello") && seen.includes("ann is offline"));
  assert(seen.includes("-- The name guest-1 is reserved"));
  const shown = /203\.|2001:|127\.0|\[|:\d{5}/;
  assertEquals(seen.filter((line) => shown.test(line)), []);
  assertEquals(
    (await answers(op, "/whois guest-2"))[1],
    "-- address 2001:db8::8",
  );
  await using _bot = room.chat.connect({ name: "bot" });
  await heard(op);
  assertEquals(namesOf(room.chat).at(-1), "bot");
  await room.chat.close();
  await reading;
  assert(events.includes("guest-1 203.0.113.7"));
});

Deno.test("a change of the bans that cannot be written is reported", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/missing/bans`;
  await using room = new ModeratedRoom({ bans: new BanList({ path }) });
  await using op = await room.operator();
  const report = "This change is lost when the server restarts. " +
    `Cannot write ${path}: no such file or directory`;
  assertEquals(await answers(op, "/ban 192.0.2.7"), [
    "-- Banned 192.0.2.7 until /unban",
    `-- ${report}`,
  ]);
  await using eve = await room.connect("192.0.2.7");
  assertEquals(await eve.line(), "Cannot enter: you are banned");
  assertEquals((await answers(op, "/unban 192.0.2.7")).at(-1), `-- ${report}`);
  assertEquals(room.audited.filter((line) => line.includes("lost")).length, 2);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("the texts of the moderation are in Chinese, too", async () => {
  await using room = new ModeratedRoom({ lang: "zh", now: () => START });
  await using ann = await room.join("ann", "203.0.113.7");
  await using op = await room.operator();
  await heard(op);
  const said: string[] = [];
  const lines = [
    ...["/help", "/kick", "/kick bob", "/kick op-2", "/whois ann"],
    ...["/mute ann 1h", "/bans", "/unmute ann", "/unmute ann"],
    ...[
      "/lock \u5348\u95f4",
      "/unlock",
      "/unlock",
      "/motd \u4f60\u597d",
      "/motd -",
    ],
    ...["/ban 192.0.2.7 1h \u5e7f\u544a", "/ban 192.0.2.0/24", "/bans"],
    ...["/unban 192.0.2.7", "/unban 192.0.2.0/24", "/unban 192.0.2.7"],
  ];
  for (const line of lines) said.push(...await answers(op, line));
  said.push(...await answers(ann, "/kick bob"));
  const english =
    /\b(until|banned|muted|usage|member|named|room|locked|idle|lines)\b/i;
  assertEquals(said.filter((line) => english.test(line)), []);
  const punctuation = /\p{Script=Han}[,:;?!()]|[,:;?!()]\p{Script=Han}/u;
  assertEquals(said.filter((line) => punctuation.test(line)), []);
});
