/** Tests the parts of the library that moderation is made of. */

import { assertEquals } from "@std/assert";
import { Chat } from "../mod.ts";
import { MemoryClient } from "./clients.ts";

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
    `${op.who} is now known as op-1`,
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
