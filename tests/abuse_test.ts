/** Tests the limits against clients that try to evade them. */

import { assert, assertEquals } from "@std/assert";
import { Chat } from "../mod.ts";
import { MemoryClient, namesOf, openChat, TestClient } from "./clients.ts";

const encoder = new TextEncoder();

Deno.test("an HTTP request receives one notice and is not broadcast", async (t) => {
  const request = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n/nick admin\nhi\n";
  const requests: Record<string, string[]> = {
    "at once": [request],
    "in pieces": [request.slice(0, 3), request.slice(3, 12), request.slice(12)],
    "without a line end": ["GET / HTTP/1.1"],
    "with a long path": [`GET /${"x".repeat(70_000)}`, " HTTP/1.1\r\nA: b\r\n"],
  };
  for (const [kind, pieces] of Object.entries(requests)) {
    await t.step(kind, async () => {
      await using room = openChat();
      await using ann = await TestClient.join(room.addr);
      await using web = await TestClient.connect(room.addr);
      for (const piece of pieces) await web.send(piece).catch(() => {});
      const lines = await web.rest();
      assertEquals(lines, [
        `Welcome ${web.name}`,
        `-- 1 here: ${ann.name}. /help lists the commands`,
        "-- This is a chat server. It does not speak HTTP",
      ]);
      assertEquals(await ann.lines(2), [
        `${web.name} is online`,
        `${web.name} is offline`,
      ]);
    });
  }
});

Deno.test("an HTTP request is recognized in a room with very short lines", async () => {
  await using room = openChat({ maxLine: 5 });
  await using ann = await TestClient.join(room.addr);
  await using web = await TestClient.connect(room.addr);
  await web.send("GET / HTTP/1.1\r\na: b\r\n");
  await web.rest();
  assertEquals(await ann.lines(2), [
    `${web.name} is online`,
    `${web.name} is offline`,
  ]);
});

Deno.test("a TLS handshake on a plain port receives one notice", async () => {
  await using room = openChat();
  await using client = await TestClient.join(room.addr);
  await client.send(new Uint8Array([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x0a]));
  assertEquals(await client.rest(), [
    "-- This is a chat server. It does not speak TLS",
  ]);
});

Deno.test("a line that only mentions HTTP is a message", async () => {
  await using room = openChat();
  await using ann = await TestClient.join(room.addr);
  for (const line of ["GET is an HTTP/1.1 method", "HTTP/1.1 is old"]) {
    await ann.send(`${line}\n`);
    assertEquals(await ann.line(), `${ann.name}: ${line}`);
  }
  await ann.send("GET / HTTP/1.1\n");
  assertEquals(await ann.line(), `${ann.name}: GET / HTTP/1.1`);
});

Deno.test("reconnecting does not refill the rate of an address", async () => {
  await using chat = new Chat({ rate: 5 });
  await using ann = chat.connect({ name: "ann", address: "192.0.2.1" });
  const start = performance.now();
  let count = 0;
  const reading = (async () => {
    for await (const line of ann.lines) {
      if (line.endsWith("spam") && ++count === 10) return;
    }
  })();
  for (let i = 0; i < 10; i++) {
    await using spammer = chat.connect({ address: "192.0.2.2" });
    await spammer.send("spam");
    await spammer.close();
  }
  await reading;
  // Five lines pass at once, and five more at 5 lines per second.
  assert(performance.now() - start > 900);
});

Deno.test("the addresses of an IPv6 /64 network share their limits", async () => {
  await using chat = new Chat({ maxPerAddress: 1 });
  const first = async (address: string) => {
    const client = chat.connect({ address });
    return [(await client.lines.next()).value, client] as const;
  };
  const [welcome, ann] = await first("2001:db8:1:2::1");
  assertEquals(welcome, "Welcome memory:1");
  const [refused, bob] = await first("2001:db8:1:2:ffff::2");
  assertEquals(
    refused,
    "Cannot enter: too many connections from 2001:db8:1:2:ffff::2",
  );
  const [other, eve] = await first("2001:db8:1:3::1");
  assertEquals(other, "Welcome memory:3");
  for (const client of [ann, bob, eve]) await client.close();
});

Deno.test("new connections are limited for each address", async () => {
  await using chat = new Chat({ connectRate: 3 });
  await using ann = chat.connect({ name: "ann", address: "192.0.2.1" });
  await ann.lines.next();
  const first = async (address: string) => {
    await using client = chat.connect({ address });
    return (await client.lines.next()).value;
  };
  for (let i = 0; i < 3; i++) {
    assert((await first("192.0.2.2"))?.startsWith("Welcome "));
  }
  assertEquals(
    await first("192.0.2.2"),
    "Cannot enter: too many new connections from 192.0.2.2. Try again later",
  );
  assert((await first("192.0.2.3"))?.startsWith("Welcome "));
  assertEquals(namesOf(chat), ["ann"]);
});

Deno.test("the unfinished lines of all clients together are bounded", async () => {
  await using chat = new Chat();
  const bytes = new Uint8Array(60_000).fill(0x78);
  const clients = Array.from({ length: 1100 }, () => new MemoryClient());
  const handled = clients.map(({ conn }) => chat.handleConn(conn));
  for (const client of clients) void client.rest();
  await using oldest = new MemoryClient();
  const served = chat.handleConn(oldest.conn);
  await oldest.send(bytes);
  for (const client of clients) await client.send(bytes);
  const notice =
    "-- Not sent: the server holds too many unfinished lines. Try again";
  while (await oldest.line() !== notice);
  void oldest.rest();
  await chat.close();
  await Promise.all([...handled, served]);
});

Deno.test("the unread private output of all clients together is bounded", async () => {
  await using chat = new Chat();
  const stuck = Array.from({ length: 400 }, () => new MemoryClient());
  const handled = stuck.map(({ conn }) =>
    chat.handleConn({
      ...conn,
      writable: new WritableStream({ write: () => new Promise(() => {}) }),
    })
  );
  const text = "\ufffd".repeat(60_000);
  while (chat.members.length < stuck.length) await new Promise(setImmediate);
  for (const { name } of stuck) await chat.tell(name, text);
  // 400 times 180 KB are more than 64 MiB, so the first clients are closed.
  await Promise.all(handled.slice(0, 10));
  assertEquals(chat.members.at(-1)?.name, stuck.at(-1)?.name);
  await chat.close();
  await Promise.all(handled);
});

Deno.test("an idle client that does not read its replies is disconnected", async () => {
  await using room = openChat({ idle: 200 });
  const client = new MemoryClient();
  const events = room.chat.events();
  const handled = room.chat.handleConn({
    ...client.conn,
    readable: new ReadableStream({
      start: (input) => input.enqueue(encoder.encode("/help\n")),
    }),
    writable: new WritableStream({ write: () => new Promise(() => {}) }),
  });
  for await (const { type } of events) if (type === "left") break;
  await room.chat.close();
  await handled;
  await client[Symbol.asyncDispose]();
});

Deno.test("bytes without a line end do not reset the idle timeout", async () => {
  await using room = openChat({ idle: 200 });
  let timer: ReturnType<typeof setInterval>;
  const client = new MemoryClient();
  void client.rest();
  await room.chat.handleConn({
    ...client.conn,
    readable: new ReadableStream({
      start(input) {
        timer = setInterval(() => input.enqueue(new Uint8Array(1)), 20);
      },
      cancel: () => clearInterval(timer),
    }),
  });
  await client[Symbol.asyncDispose]();
});
