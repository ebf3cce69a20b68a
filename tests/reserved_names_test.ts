import { assert, assertEquals } from "@std/assert";
import { ReservedNames, type ReservedNamesOptions } from "../server/names.ts";
import { namesOf, type TestClient } from "./clients.ts";
import { answers, heard, linesUntil, ModeratedRoom } from "./moderated.ts";

const SECRET = "sesame-open-up";
const HOUR = 3_600_000;
const KEPT =
  "-- The name ann is reserved with your secret, for 24h after you leave";
const RESERVED =
  "-- The name ann is reserved. Its owner can take it with /nick ann SECRET";
const RULE =
  "-- A name cannot contain spaces. A secret after it has 8 to 128 characters";
const TOO_MANY = "-- Too many secrets at a time. Try again in a minute";

/** Opens a room in which names can be reserved. */
function open(options: ReservedNamesOptions = {}): ModeratedRoom & {
  logged: string[];
} {
  const logged: string[] = [];
  const log = (message: string) => void logged.push(message);
  const { command, onShare } = new ReservedNames({ log, ...options });
  const room = new ModeratedRoom({ lang: options.lang }, {
    commands: { nick: command },
    onShare,
    history: 100,
  });
  return Object.assign(room, { logged });
}

/** Connects a client and waits until it is a member. */
async function connect(room: ModeratedRoom, address?: string) {
  const client = await room.connect(address);
  await heard(client);
  return client;
}

async function leave(client: TestClient): Promise<void> {
  await client.end();
  await client.rest();
}

Deno.test("a reserved name stays with its owner", async () => {
  await using room = open();
  await using ann = await connect(room);
  const before = namesOf(room.chat)[0];
  assertEquals(await answers(ann, `/nick ann ${SECRET}`), [
    `${before} is now known as ann`,
    KEPT,
  ]);
  await leave(ann);
  await using eve = await connect(room, "203.0.113.66");
  for (const name of ["ann", "Ann", "\u00e4nn", "\uff41nn"]) {
    const shown = name.normalize("NFKC");
    assertEquals(await answers(eve, `/nick ${name}`), [
      RESERVED.replaceAll(/\bann\b/g, shown),
    ]);
  }
  assertEquals(await answers(eve, "/nick ann wrong-secret"), [
    "-- Wrong secret for the name ann",
  ]);
  assertEquals(room.logged, [
    `Wrong secret for the name ann from ${
      namesOf(room.chat)[0]
    } (203.0.113.66)`,
  ]);
  assertEquals((await answers(eve, "/nick eve")).length, 1);
  await using back = await connect(room);
  assertEquals((await answers(back, `/nick ann ${SECRET}`)).at(-1), KEPT);
  assertEquals(namesOf(room.chat), ["eve", "ann"]);
});

Deno.test("the secret takes the name from an old connection, which is closed", async () => {
  await using room = open();
  await using old = await connect(room);
  await answers(old, `/nick ann ${SECRET}`);
  await using bob = await room.join("bob", "203.0.113.8");
  await using ann = await connect(room);
  await heard(bob);
  const name = namesOf(room.chat).at(-1);
  assertEquals(await answers(ann, `/nick Ann ${SECRET}`), [
    "ann is offline",
    `${name} is now known as Ann`,
    KEPT.replace("ann", "Ann"),
  ]);
  assertEquals(
    (await old.rest()).at(-1),
    "-- Another connection has taken the name Ann with its secret",
  );
  assertEquals(await heard(bob), [
    "ann is offline",
    `${name} is now known as Ann`,
  ]);
  assertEquals(namesOf(room.chat), ["bob", "Ann"]);
});

Deno.test("a secret does not take a name that nobody has reserved", async () => {
  await using room = open();
  await using ann = await room.join("ann");
  await using eve = await connect(room);
  assertEquals(await answers(eve, `/nick ann ${SECRET}`), [
    "-- The name ann is taken",
  ]);
  assertEquals(await answers(ann, `/nick ann ${SECRET}`), [KEPT]);
  assertEquals(await answers(eve, "/nick ann other-secret"), [
    "-- Wrong secret for the name ann",
  ]);
});

Deno.test("a name is reserved for 24 hours after its last use", async () => {
  let now = 0;
  await using room = open({ now: () => now });
  await using ann = await connect(room);
  await answers(ann, `/nick ann ${SECRET}`);
  await using bob = await room.join("bob");
  now += 100 * HOUR; // Its owner is present.
  assertEquals(await answers(bob, "/nick ann"), [RESERVED]);
  await leave(ann);
  await linesUntil(bob, "ann is offline");
  now += 24 * HOUR - 1;
  assertEquals(await answers(bob, "/nick ann"), [RESERVED]);
  now += 1;
  assertEquals(await answers(bob, "/nick ann"), ["bob is now known as ann"]);
});

Deno.test("a name can be reserved for a shorter time", async () => {
  let now = 0;
  await using room = open({ now: () => now });
  await using ann = await connect(room);
  assertEquals(
    (await answers(ann, `/nick ann ${SECRET} 10m`)).at(-1),
    KEPT.replace("24h", "10m"),
  );
  await answers(ann, "/nick anne");
  await using bob = await room.join("bob");
  now += HOUR / 6 - 1;
  assertEquals(await answers(bob, "/nick ann"), [RESERVED]);
  now += 1;
  assertEquals(await answers(bob, "/nick ann"), ["bob is now known as ann"]);
});

Deno.test("the owner ends a reservation with /nick NAME", async () => {
  await using room = open();
  await using ann = await connect(room);
  await answers(ann, `/nick ann ${SECRET}`);
  assertEquals(await answers(ann, "/nick ann"), [
    "-- The name ann is not reserved any more",
  ]);
  await answers(ann, "/nick anne");
  await using bob = await room.join("bob");
  assertEquals(await answers(bob, "/nick ann"), ["bob is now known as ann"]);
});

Deno.test("a name with spaces is not taken for a name with a secret", async (t) => {
  await using room = open();
  await using ann = await connect(room);
  const lines = [
    "/nick Ann Lee",
    "/nick ann 1234567",
    `/nick ann ${"x".repeat(129)}`,
    `/nick ann ${SECRET} 25h`,
    `/nick ann ${SECRET} soon`,
    `/nick ann ${SECRET} 1h more`,
  ];
  for (const line of lines) {
    await t.step(line.slice(0, 40), async () => {
      assertEquals(await answers(ann, line), [RULE]);
    });
  }
  assertEquals(await answers(ann, "/nick"), ["-- Usage: /nick NAME [SECRET]"]);
  assertEquals(await answers(ann, `/nick 1 ${SECRET}`), [
    "-- The name 1 has no letter",
  ]);
  assertEquals(await answers(ann, `/nick admin ${SECRET}`), [
    "-- The name admin is reserved",
  ]);
});

Deno.test("guesses of a secret are limited for each address", async () => {
  let now = 0;
  await using room = open({ now: () => now });
  await using ann = await connect(room);
  await answers(ann, `/nick ann ${SECRET}`);
  await leave(ann);
  await using eve = await connect(room, "2001:db8::1");
  for (let i = 0; i < 5; i++) {
    assertEquals(await answers(eve, `/nick ann guess-number-${i}`), [
      "-- Wrong secret for the name ann",
    ]);
  }
  await using other = await connect(room, "2001:db8::2");
  assertEquals(await answers(other, `/nick ann ${SECRET}`), [TOO_MANY]);
  await using back = await connect(room);
  assertEquals((await answers(back, `/nick ann ${SECRET}`)).at(-1), KEPT);
  assertEquals(room.logged.length, 5);
  now += 60_000;
  assertEquals(await answers(other, "/nick ann another-guess"), [
    "-- Wrong secret for the name ann",
  ]);
});

Deno.test("the uses of secrets of an address are limited", async () => {
  await using room = open({ now: () => 0 });
  await using ann = await connect(room);
  for (let i = 0; i < 20; i++) await answers(ann, `/nick ann ${SECRET}`);
  assertEquals(await answers(ann, `/nick ann ${SECRET}`), [TOO_MANY]);
});

Deno.test("an address can reserve ten names", async () => {
  await using room = open();
  await using ann = await connect(room);
  for (const letter of "abcdefghjk") {
    const lines = await answers(ann, `/nick name-${letter} ${SECRET}`);
    assert(lines.at(-1)!.includes("is reserved with your secret"));
  }
  assertEquals(
    (await answers(ann, `/nick name-m ${SECRET}`)).at(-1),
    "-- The name name-m is not reserved: too many names are. Try again later",
  );
  assertEquals(namesOf(room.chat), ["name-m"]);
  await using eve = await connect(room, "203.0.113.66");
  await answers(eve, "/nick name-n");
  assertEquals((await answers(eve, `/nick name-o ${SECRET}`)).length, 2);
});

Deno.test("two members that reserve a name at a time do not both get it", async () => {
  await using room = open();
  await using ann = await connect(room);
  await using bob = await connect(room);
  const [one, two] = await Promise.all([
    answers(ann, "/nick sam secret-of-ann"),
    answers(bob, "/nick sam secret-of-bob"),
  ]);
  const kept = [one, two].filter((lines) =>
    lines.some((line) => line.includes("with your secret"))
  );
  assertEquals(kept.length, 1);
  assertEquals(namesOf(room.chat).filter((name) => name === "sam").length, 1);
});

Deno.test("a muted member cannot reserve a name", async () => {
  await using room = open();
  await using eve = await room.join("eve");
  await using op = await room.operator();
  await answers(op, "/mute eve");
  assertEquals(
    (await answers(eve, `/nick ann ${SECRET}`)).at(-1),
    "-- Not sent: you are muted",
  );
  await using bob = await connect(room, "203.0.113.8");
  assertEquals((await answers(bob, "/nick ann")).length, 1);
  assertEquals(namesOf(room.chat).at(-1), "ann");
});

Deno.test("the secret is in no output, no log, no event and no list", async () => {
  const events: string[] = [];
  await using room = open();
  const reading = (async () => {
    for await (const event of room.chat.events()) {
      events.push(JSON.stringify(event));
    }
  })();
  await using ann = await connect(room);
  await using op = await room.operator();
  const seen = [];
  const lines = [
    `/nick ann ${SECRET}`,
    `/nick ann ${SECRET} 1h`,
    `/NICK  ann   ${SECRET}`,
    `/nick admin ${SECRET}`,
    `/nick ann wrong-${SECRET}`,
    `/nick ann ${SECRET} and more`,
    `/nick bob bob ${SECRET}`,
    ...["hello", "/who", "/help"],
  ];
  for (const line of lines) seen.push(...await answers(ann, line));
  seen.push(...await answers(op, "/whois ann"), ...await heard(op));
  await using late = await room.connect();
  seen.push(...await heard(late));
  await room.chat.close();
  await reading;
  const output = [...seen, ...room.logged, ...events, ...room.audited];
  assert(output.includes("ann: hello"));
  assertEquals(output.filter((line) => line.includes("sesame")), []);
});

Deno.test("the texts of reserved names are in Chinese, too", async () => {
  await using room = open({ lang: "zh" });
  await using ann = await connect(room);
  await using eve = await connect(room, "203.0.113.66");
  const said = [];
  for (const line of [`/nick ann ${SECRET}`, "/nick", "/nick a b", "/help"]) {
    said.push(...await answers(ann, line));
  }
  said.push(...await answers(eve, "/nick ann"));
  said.push(...await answers(eve, "/nick ann wrong-secret"));
  said.push(...await answers(ann, "/nick ann"));
  const english = said.filter((line) =>
    /\b(name|reserved|secret)\b/i.test(line)
  );
  assertEquals(english, []);
  const punctuation = /\p{Script=Han}[,:;?!()]|[,:;?!()]\p{Script=Han}/u;
  assertEquals(said.filter((line) => punctuation.test(line)), []);
});
