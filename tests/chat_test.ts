import { assertEquals } from "@std/assert";
import { openChat, TestClient } from "./clients.ts";

Deno.test("a newcomer alone is welcomed, and the others are told", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  await using bob = await TestClient.join(room.addr);
  assertEquals(await ann.line(), `${bob.who} is online`);
  await bob.send("hi\n");
  assertEquals(await ann.line(), `${bob.who}: hi`);
  assertEquals(await bob.line(), `${bob.who}: hi`);
});
