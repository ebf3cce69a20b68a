/** Tests the moderation of a room that several chats share. */

import { assertEquals, assertMatch } from "@std/assert";
import { Chat } from "../mod.ts";
import { Moderation, ReservedNames } from "../server/moderation.ts";
import { MemoryClient } from "./clients.ts";
import { MemoryRoom } from "./memory_exchange.ts";

/** A moderated chat in a room of several ones. */
class Server implements AsyncDisposable {
  readonly chat: Chat;
  readonly audited: string[] = [];

  constructor(room: MemoryRoom) {
    const audit = (message: string) => void this.audited.push(message);
    const moderation = new Moderation({ audit });
    const names = new ReservedNames();
    const { commands, onShare, ...hooks } = moderation.chatOptions;
    this.chat = new Chat({
      ...hooks,
      commands: { ...commands, nick: names.command },
      onShare(...change) {
        onShare(...change);
        names.onShare(...change);
      },
      exchange: room.connect(),
    });
  }

  /** Connects a client from an address. */
  connect(address: string, isOperator = false): MemoryClient {
    const client = new MemoryClient(address);
    void this.chat.handleConn({ ...client.conn, isOperator });
    return client;
  }

  /** Connects a client and gives it a name. */
  async join(
    name: string,
    address = "203.0.113.7",
    isOperator = false,
  ): Promise<MemoryClient> {
    const client = this.connect(address, isOperator);
    await client.send(`/nick ${name}\n`);
    await until(client, new RegExp(`is now known as ${name}$`));
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.chat.close();
  }
}

/** Reads lines up to one that matches, and returns that. */
async function until(client: MemoryClient, last: RegExp): Promise<string> {
  for (;;) {
    const line = await client.line();
    if (line === undefined) throw new Error(`No line matches ${last}`);
    if (last.test(line)) return line;
  }
}

/** Two chats of one room, an operator of the first and a member of the second. */
async function openRoom() {
  const room = new MemoryRoom();
  const stack = new AsyncDisposableStack();
  const one = stack.use(new Server(room));
  const two = stack.use(new Server(room));
  const op = stack.use(await one.join("op", "192.0.2.1", true));
  const bob = stack.use(await two.join("bob"));
  await until(op, /known as bob$/);
  const dispose = () => stack.disposeAsync();
  return { room, one, two, op, bob, [Symbol.asyncDispose]: dispose };
}

Deno.test("/kick removes a member of another chat", async () => {
  await using room = await openRoom();
  const { op, bob } = room;
  await op.send("/kick bob flood\n");
  await until(op, /^bob is offline$/);
  await until(op, /^-- Removed bob$/);
  assertEquals(await until(bob, /removed/), "-- You were removed: flood");
  assertEquals(await bob.rest(), []);
});

Deno.test("a ban holds on all chats, and on later ones", async () => {
  await using room = await openRoom();
  const { op, bob, one, two } = room;
  await op.send("/ban bob 1h flood\n");
  await until(op, /^bob is offline$/);
  await until(bob, /^-- You were removed: flood$/);
  await using three = new Server(room.room);
  await three.chat.share("");
  for (const server of [one, two, three]) {
    await using eve = server.connect("203.0.113.7");
    assertMatch(
      (await eve.line())!,
      /^Cannot enter: you are banned until .* UTC: flood$/,
    );
  }
  await op.send("/unban 203.0.113.7\n");
  await until(op, /^-- 203\.0\.113\.7 is not banned any more$/);
  for (const server of [one, two, three]) {
    await server.chat.share("");
    await using _ann = await server.join("ann");
  }
});

Deno.test("a ban removes a client that another chat has just admitted", async () => {
  await using room = await openRoom();
  const { op, two } = room;
  room.room.freeze();
  await using eve = two.connect("198.51.100.9");
  await until(op, /cannot be reached/);
  await op.send("/ban 198.51.100.9 spam\n");
  room.room.thaw();
  assertMatch((await eve.line())!, /^Welcome/);
  await until(eve, /^-- You were removed: spam$/);
});

Deno.test("a mute holds on all chats, and a member that was present can speak", async () => {
  await using room = await openRoom();
  const { op, bob, one, two } = room;
  await using ann = await one.join("ann");
  await until(op, /known as ann$/);
  await op.send("/mute bob\n");
  await until(op, /^-- Muted bob until \/unmute$/);
  await until(bob, /^-- You are muted$/);
  await bob.send("hello\n");
  await until(bob, /^-- Not sent: you are muted$/);
  await ann.send("I can speak\n");
  await until(op, /^ann: I can speak$/);
  for (const server of [one, two]) {
    await using again = server.connect("203.0.113.7");
    await again.send("hello\n");
    await until(again, /^-- Not sent: you are muted$/);
  }
  await op.send("/unmute bob\n");
  await until(bob, /^-- You can speak again$/);
  await bob.send("hello\n");
  await until(op, /^bob: hello$/);
});

Deno.test("a lock and the message of the day hold on all chats", async () => {
  await using room = await openRoom();
  const { op, bob, two } = room;
  await op.send("/motd be nice\n/lock party\n");
  await until(bob, /^-- The room is locked: party$/);
  assertEquals(two.chat.motd, "be nice");
  await using three = new Server(room.room);
  await three.chat.share("");
  assertEquals(three.chat.motd, "be nice");
  for (const server of [two, three]) {
    await using eve = server.connect("198.51.100.9");
    assertEquals(await eve.line(), "Cannot enter: the room is locked: party");
  }
  await op.send("/unlock\n");
  await until(bob, /^-- The room is open again$/);
  await using _ann = await two.join("ann");
});

Deno.test("/whois shows a member of another chat", async () => {
  await using room = await openRoom();
  const { op } = room;
  await op.send("/whois bob\n");
  await until(op, /^-- bob:$/);
  assertEquals(await op.line(), "-- address 203.0.113.7");
  assertMatch((await op.line())!, /^-- joined /);
  assertEquals(await op.line(), "-- connected to another server");
});

Deno.test("a name that is reserved on one chat is reserved on all", async () => {
  await using room = await openRoom();
  const { op, bob, one } = room;
  await bob.send("/nick bob correct-horse\n");
  await until(bob, /is reserved with your secret/);
  await using ann = await one.join("ann");
  await ann.send("/nick bob\n");
  await until(ann, /^-- The name bob is reserved/);
  await ann.send("/nick bob wrong-horse\n");
  await until(ann, /^-- Wrong secret for the name bob$/);
  await ann.send("/nick bob correct-horse\n");
  await until(bob, /^-- Another connection has taken the name bob/);
  await until(op, /^ann is now known as bob$/);
  await until(ann, /is reserved with your secret/);
  await using three = new Server(room.room);
  await three.chat.share("");
  await using eve = three.connect("198.51.100.9");
  await eve.send("/nick b0b\n");
  await until(eve, /^-- The name b0b is reserved/);
  const log = JSON.stringify(room.room.log);
  assertEquals(log.includes("horse"), false);
});
