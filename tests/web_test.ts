/** Tests the web port without a browser: requests, WebSockets, bounds and attacks. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { createHash } from "node:crypto";
import WebSocket from "ws";
import { Chat } from "../mod.ts";
import { Network } from "../server/network.ts";
import { WebListener } from "../server/web.ts";
import { namesOf, TestClient } from "./clients.ts";
import {
  exchange,
  openWebRoom,
  RawClient,
  upgradeRequest,
} from "./web_clients.ts";
import { clientFrame, Opcode } from "./websockets.ts";

const encoder = new TextEncoder();

Deno.test("the page is one document with a strict policy", async () => {
  await using room = openWebRoom();
  const response = await fetch(room.url);
  assertEquals(response.status, 200);
  const { headers } = response;
  assertEquals(headers.get("content-type"), "text/html; charset=utf-8");
  assertEquals(headers.get("x-content-type-options"), "nosniff");
  assertEquals(headers.get("referrer-policy"), "no-referrer");
  assertEquals(headers.get("set-cookie"), null);
  const html = await response.text();
  const [, script] = /<script>(.*)<\/script>/s.exec(html)!;
  const [, style] = /<style>(.*)<\/style>/s.exec(html)!;
  const hash = (text: string) =>
    `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const host = `127.0.0.1:${room.addr.port}`;
  assertEquals(headers.get("content-security-policy")!.split("; ").sort(), [
    "base-uri 'none'",
    `connect-src 'self' ws://${host} wss://${host}`,
    "default-src 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "img-src data:",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
  ]);
  assert(!/<\/script/i.test(script), "the script does not end itself");
  assert(!/\b(src|href)="?http/.test(html), "nothing is loaded");
});

Deno.test("the page has at most 20 KB as a browser receives it", async () => {
  await using room = openWebRoom();
  const request = "GET / HTTP/1.1\r\nHost: localhost\r\n" +
    "Accept-Encoding: gzip, deflate, br\r\n\r\n";
  const response = await exchange(room.addr, request);
  assertMatch(response, /\r\ncontent-encoding: gzip\r\n/);
  const [, length] = /\r\ncontent-length: (\d+)\r\n/.exec(response)!;
  assert(Number(length) <= 20_000, length);
});

Deno.test("requests are answered by their status", async (t) => {
  await using room = openWebRoom(undefined, { hosts: ["chat.example.org"] });
  const host = "Host: 127.0.0.1\r\n";
  const requests: [string, number, RegExp?][] = [
    [`GET / HTTP/1.1\r\n${host}`, 200, /<!doctype html>/],
    [`GET /?lang=zh HTTP/1.1\r\n${host}`, 200],
    [`GET / HTTP/1.0\r\n${host}`, 200],
    ["GET /healthz HTTP/1.0\r\n", 200],
    ["GET /healthz HTTP/1.0\r\nHost: evil.example\r\n", 421],
    [`GET /healthz HTTP/1.1\r\n${host}`, 200, /\r\n\r\nok\n$/],
    [`HEAD /healthz HTTP/1.1\r\n${host}`, 200, /length: 3\r\n.*\r\n\r\n$/s],
    [`GET /favicon.ico HTTP/1.1\r\n${host}`, 404],
    [`GET /../etc/passwd HTTP/1.1\r\n${host}`, 404],
    [`POST / HTTP/1.1\r\n${host}Content-Length: 2\r\n\r\nhi`, 405],
    [`DELETE /healthz HTTP/1.1\r\n${host}`, 405, /\r\nallow: GET, HEAD\r\n/],
    [`GET /ws HTTP/1.1\r\n${host}`, 426, /\r\nsec-websocket-version: 13\r\n/],
    ["GET / HTTP/1.1\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a b\r\n", 400],
    [`GET / HTTP/1.1\r\n${host}${host}`, 400],
    [`GET / HTTP/1.1\r\n${host}no header\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host} folded: x\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}x: \0\r\n`, 400],
    [`GET http://127.0.0.1/ HTTP/1.1\r\n${host}`, 400],
    [`GET / HTTP/2.0\r\n${host}`, 400],
    ["\x16\x03\x01\x02\x00\x01", 400],
    ["GET / HTTP/1.1\r\nHost: chat.example.org\r\n", 200],
    ["GET / HTTP/1.1\r\nHost: CHAT.example.org:8080\r\n", 200],
    ["GET / HTTP/1.1\r\nHost: localhost:8080\r\n", 200],
    ["GET / HTTP/1.1\r\nHost: [::1]:8080\r\n", 200],
    ["GET / HTTP/1.1\r\nHost: evil.example\r\n", 421, /--web-host evil/],
    ["GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n", 421],
    ["GET /healthz HTTP/1.1\r\nHost: localhost.evil.example\r\n", 421],
  ];
  for (const [request, status, pattern = /^/] of requests) {
    await t.step(
      `${JSON.stringify(request).slice(0, 70)}: ${status}`,
      async () => {
        const response = await exchange(room.addr, `${request}\r\n`);
        assertEquals(Number(response.split(" ")[1]), status, response);
        assertMatch(response, pattern);
        assertMatch(response, /\r\nconnection: close\r\n/);
        assertMatch(response, /\r\nx-content-type-options: nosniff\r\n/);
      },
    );
  }
  assertEquals(room.chat.members, []);
});

Deno.test("WebSockets are opened for the page and for programs only", async (t) => {
  await using room = openWebRoom(undefined, { hosts: ["chat.example.org"] });
  const own = `127.0.0.1:${room.addr.port}`;
  const rebound = `evil.example:${room.addr.port}`;
  const requests: [string, Record<string, string | undefined>, number][] = [
    ["the page", { Origin: `http://${own}` }, 101],
    ["the page behind TLS", { Origin: `https://${own}` }, 101],
    ["the page by its name", {
      Host: "chat.example.org",
      Origin: "https://chat.example.org",
    }, 101],
    ["a program without an origin", {}, 101],
    ["another site", { Origin: "http://evil.example" }, 403],
    ["another port of this host", { Origin: "http://127.0.0.1:1" }, 403],
    ["a sandboxed frame or a file", { Origin: "null" }, 403],
    ["an extension", { Origin: `chrome-extension://${own}` }, 403],
    ["a longer name", { Origin: `http://${own}.evil.example` }, 403],
    ["a user name", { Origin: `http://${own}@evil.example` }, 403],
    ["a rebound name", { Host: rebound, Origin: `http://${rebound}` }, 421],
    ["no key", { "Sec-WebSocket-Key": undefined }, 400],
    ["a short key", { "Sec-WebSocket-Key": "YQ==" }, 400],
    ["an old version", { "Sec-WebSocket-Version": "8" }, 426],
    ["another protocol", { Upgrade: "h2c" }, 426],
    ["no upgrade", { Connection: "keep-alive" }, 426],
  ];
  for (const [name, headers, status] of requests) {
    await t.step(`${name}: ${status}`, async () => {
      const { hostname, port } = room.addr;
      using conn = await Deno.connect({ hostname, port });
      await conn.write(encoder.encode(upgradeRequest(room.addr, headers)));
      const buffer = new Uint8Array(1000);
      const size = await conn.read(buffer);
      const text = new TextDecoder().decode(buffer.subarray(0, size ?? 0));
      assertEquals(Number(text.split(" ")[1]), status, text);
    });
  }
});

Deno.test("the answer to the example of RFC 6455 is that of the RFC", async () => {
  await using room = openWebRoom();
  const { hostname, port } = room.addr;
  using conn = await Deno.connect({ hostname, port });
  await conn.write(encoder.encode(upgradeRequest(room.addr, {
    "Sec-WebSocket-Protocol": "chat, text.linechat",
    "Sec-WebSocket-Extensions": "permessage-deflate",
  })));
  const buffer = new Uint8Array(1000);
  const size = await conn.read(buffer);
  const head = new TextDecoder().decode(buffer.subarray(0, size!))
    .split("\r\n\r\n")[0];
  assertEquals(head.split("\r\n"), [
    "HTTP/1.1 101 Switching Protocols",
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "sec-websocket-protocol: text.linechat",
  ]);
});

Deno.test("clients of WebSockets and of TCP are in one room", async () => {
  await using room = openWebRoom();
  await using tcp = await TestClient.join(room.tcp);
  using web = await RawClient.connect(room.addr);
  const [, name] = namesOf(room.chat);
  assertEquals(await web.line(), `Welcome ${name}`);
  assertEquals(await tcp.line(), `${name} is online`);
  const newName = "小明";
  await web.send(`/nick ${newName}`);
  await web.send("大家好");
  assertEquals(await tcp.line(), `${name} is now known as ${newName}`);
  assertEquals(await tcp.line(), `${newName}: 大家好`);
  await tcp.send("hi\n");
  await web.until(new RegExp(`^${tcp.name}: hi$`));
  await web.sendBytes(clientFrame(Opcode.close, Uint8Array.of(3, 233)));
  assertEquals(await web.closeCode(), 1001);
  await tcp.line();
  assertEquals(await tcp.line(), "小明 is offline");
});

Deno.test("npm:ws is a client", async () => {
  await using room = openWebRoom();
  const socket = new WebSocket(`${room.url.replace("http", "ws")}ws`, [
    "text.linechat",
  ]);
  const lines: string[] = [];
  let wake = () => {};
  socket.on("message", (data: Uint8Array, isBinary: boolean) => {
    assert(!isBinary);
    lines.push(...data.toString().split("\n").slice(0, -1));
    wake();
  });
  const until = async (line: string) => {
    while (!lines.includes(line)) {
      await new Promise<void>((resolve) => wake = resolve);
    }
  };
  await new Promise((resolve) => socket.on("open", resolve));
  assertEquals(socket.protocol, "text.linechat");
  socket.send("/nick ann");
  socket.send("frag", { fin: false });
  socket.send("mented", { fin: true });
  await until("ann: fragmented");
  const pong = new Promise<Uint8Array>((resolve) => socket.on("pong", resolve));
  socket.ping("payload");
  assertEquals((await pong).toString(), "payload");
  const long = "长".repeat(20_000);
  socket.send(long);
  await until(`ann: ${long}`);
  socket.send("x".repeat(70_000));
  await until("-- Not sent: the line is longer than 65536 bytes");
  const closed = new Promise<number>((resolve) => socket.on("close", resolve));
  socket.send("/quit bye");
  assertEquals(await closed, 1000);
  assert(lines.includes("ann: bye"));
});

Deno.test("a WebSocket is closed with the code of the reason", async (t) => {
  await t.step("1001 when the server shuts down", async () => {
    const room = openWebRoom();
    using web = await RawClient.connect(room.addr);
    await web.until(/^Welcome/);
    const closing = room[Symbol.asyncDispose]();
    await web.until(/^The server is shutting down$/);
    web.conn.closeWrite();
    assertEquals(await web.closeCode(), 1001);
    await closing;
  });
  await t.step("1000 when the member is removed", async () => {
    await using room = openWebRoom();
    using web = await RawClient.connect(room.addr);
    await web.until(/^Welcome/);
    await room.chat.kick(namesOf(room.chat)[0], "spam");
    await web.until(/^-- You were removed: spam$/);
    await web.sendBytes(clientFrame(Opcode.close, Uint8Array.of(3, 232)));
    assertEquals(await web.closeCode(), 1000);
  });
  await t.step("1000 when the room is full", async () => {
    await using room = openWebRoom({ maxClients: 1 });
    using first = await RawClient.connect(room.addr);
    await first.until(/^Welcome/);
    using web = await RawClient.connect(room.addr);
    assertEquals(await web.line(), "Cannot enter: the room is full");
    await web.sendBytes(clientFrame(Opcode.close, Uint8Array.of(3, 232)));
    assertEquals(await web.closeCode(), 1000);
  });
  await t.step("1002 after a violation of the protocol", async () => {
    await using room = openWebRoom();
    using web = await RawClient.connect(room.addr);
    await web.until(/^Welcome/);
    await web.sendBytes(Uint8Array.of(0x81, 1, 0x61)); // Not masked.
    await web.sendBytes(new Uint8Array(100_000)).catch(() => {});
    assertEquals(await web.closeCode(), 1002);
  });
});

Deno.test("the limits of a room hold for browsers", async (t) => {
  await t.step("the length of a line, across fragments", async () => {
    await using room = openWebRoom({ maxLine: 10 });
    using web = await RawClient.connect(room.addr);
    const part = (isFinal: boolean, opcode = Opcode.continuation) =>
      web.sendBytes(clientFrame(opcode, "abcdef", { isFinal }));
    await part(false, Opcode.text);
    await part(true);
    await web.until(/^-- Not sent: the line is longer than 10 bytes$/);
    await web.send("short");
    await web.until(/: short$/);
  });
  await t.step("the rate delays lines and loses none", async () => {
    await using room = openWebRoom({ rate: 20 });
    using web = await RawClient.connect(room.addr);
    const start = performance.now();
    for (let i = 1; i <= 30; i++) await web.send(`line ${i}`);
    for (let i = 1; i <= 30; i++) await web.until(new RegExp(`: line ${i}$`));
    assert(performance.now() - start > 400, "10 lines wait");
  });
  await t.step("idle clients are closed, whatever they ping", async () => {
    await using room = openWebRoom({ idle: 200 });
    using web = await RawClient.connect(room.addr);
    const pings = setInterval(
      () => web.sendBytes(clientFrame(Opcode.ping, "")).catch(() => {}),
      20,
    );
    await web.until(/^-- Disconnected after/);
    clearInterval(pings);
    assertEquals(await web.closeCode(), 1000);
  });
  await t.step("clients per address", async () => {
    await using room = openWebRoom({ maxPerAddress: 1 });
    using first = await RawClient.connect(room.addr);
    await first.until(/^Welcome/);
    using web = await RawClient.connect(room.addr);
    assertMatch((await web.line())!, /^Cannot enter: too many connections/);
  });
  await t.step("new connections per second and address", async () => {
    await using room = openWebRoom({ connectRate: 1 });
    using first = await RawClient.connect(room.addr);
    await first.until(/^Welcome/);
    using web = await RawClient.connect(room.addr);
    assertMatch((await web.line())!, /^Cannot enter: too many new connections/);
  });
  await t.step("a client that does not read is dropped at once", async () => {
    const logged: string[] = [];
    await using room = openWebRoom({
      maxBacklog: 1024 * 1024,
      log: (message) => logged.push(message),
    });
    await using tcp = await TestClient.join(room.tcp);
    using stuck = await RawClient.connect(room.addr);
    await tcp.line();
    const line = `${"x".repeat(1000)}\n`;
    const sending = (async () => {
      for (let i = 0; i < 20_000 && logged.length === 0; i++) {
        await tcp.send(line);
      }
      await tcp.send("end\n");
    })();
    for (let line; (line = await tcp.line());) {
      if (line.endsWith(": end")) break;
    }
    await sending;
    assertMatch(logged.join(), /^Dropped .*: its backlog exceeds 1048576/);
    assertEquals(namesOf(room.chat), [tcp.name]);
    assertEquals(await stuck.closeCode(), undefined, "no close frame");
  });
});

Deno.test("a client of a known proxy has the address that the proxy names", async (t) => {
  const cases: [string, string[], string | undefined, string][] = [
    ["no proxy is known", [], "203.0.113.5", "127.0.0.1"],
    ["another proxy is known", ["192.0.2.9"], "203.0.113.5", "127.0.0.1"],
    ["the proxy", ["127.0.0.1"], "203.0.113.5", "203.0.113.5"],
    [
      "an invented address before",
      ["127.0.0.1"],
      "8.8.8.8, 203.0.113.5",
      "203.0.113.5",
    ],
    [
      "two proxies",
      ["127.0.0.1", "192.0.2.9"],
      "203.0.113.5, 192.0.2.9",
      "203.0.113.5",
    ],
    ["a network", ["127.0.0.0/8"], "203.0.113.5", "203.0.113.5"],
    ["IPv6", ["127.0.0.1"], "2001:DB8:0::1", "2001:db8::1"],
    ["no header", ["127.0.0.1"], undefined, "127.0.0.1"],
    ["not an address", ["127.0.0.1"], "unknown", "127.0.0.1"],
  ];
  for (const [name, trusted, header, address] of cases) {
    await t.step(name, async () => {
      const proxies = trusted.map((text) => Network.parse(text)!);
      await using room = openWebRoom(undefined, { proxies });
      const headers = { "X-Forwarded-For": header };
      using web = await RawClient.connect(room.addr, headers);
      await web.until(/^Welcome/);
      assertEquals(room.chat.members[0].address, address);
    });
  }
});

Deno.test("text that follows the handshake at once is not lost", async () => {
  await using room = openWebRoom();
  const { hostname, port } = room.addr;
  using conn = await Deno.connect({ hostname, port });
  const request = encoder.encode(upgradeRequest(room.addr));
  const frame = clientFrame(Opcode.text, "at once");
  await conn.write(Uint8Array.from([...request, ...frame]));
  await using tcp = await TestClient.connect(room.tcp);
  const events = room.chat.events();
  void tcp;
  for await (const event of events) {
    if (event.type === "message") {
      assertEquals(event.text, "at once");
      break;
    }
  }
});

Deno.test("the oldest of too many silent connections is closed", async () => {
  await using room = openWebRoom();
  const { hostname, port } = room.addr;
  const silent: Deno.TcpConn[] = [];
  for (let i = 0; i < 257; i++) {
    silent.push(await Deno.connect({ hostname, port }));
  }
  assertEquals(await silent[0].read(new Uint8Array(1)).catch(() => null), null);
  const response = await fetch(`${room.url}healthz`);
  assertEquals(await response.text(), "ok\n");
  for (const conn of silent) conn.close();
});

Deno.test("a head that is too long is refused", async () => {
  await using room = openWebRoom();
  const head = `GET / HTTP/1.1\r\nHost: localhost\r\nCookie: `;
  const response = await exchange(room.addr, head + "x".repeat(16_384));
  assertMatch(response, /^HTTP\/1\.1 431 /);
});

Deno.test("a request has 10 seconds", async () => {
  await using room = openWebRoom();
  const { hostname, port } = room.addr;
  using conn = await Deno.connect({ hostname, port });
  await conn.write(encoder.encode("GET / HTTP/1.1\r\n"));
  const start = performance.now();
  assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
  const seconds = (performance.now() - start) / 1000;
  assert(seconds > 9 && seconds < 20, `${seconds} s`);
});

Deno.test("closing the listener closes the connections that wait", async () => {
  const chat = new Chat();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr;
  const web = new WebListener(listener);
  const served = chat.serve(web);
  using conn = await Deno.connect({ hostname, port });
  assertEquals((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
  await chat.close();
  await served;
  assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
});

Deno.test("accepting continues after a failure", async () => {
  await using chat = new Chat({ log: () => {} });
  const inner = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let hasFailed = false;
  const web = new WebListener({
    close: () => inner.close(),
    [Symbol.asyncIterator]() {
      if (hasFailed) return inner[Symbol.asyncIterator]();
      hasFailed = true;
      return { next: () => Promise.reject(new Error("no descriptors")) };
    },
  });
  const served = chat.serve(web);
  using client = await RawClient.connect(inner.addr);
  await client.until(/^Welcome/);
  await chat.close();
  await served;
});
