import { assert, assertEquals, assertThrows } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import { Chat, type ChatOptions } from "../mod.ts";
import { Network } from "../server/network.ts";
import {
  type Header,
  HeaderError,
  parseHeader,
  ProxyListener,
  type ProxyListenerOptions,
} from "../server/proxy_protocol.ts";
import { linesOf, namesOf, TestClient } from "./clients.ts";
import { startServer } from "./commands.ts";
import { Certificate, connectTls, startTlsServer } from "./tls.ts";

const encoder = new TextEncoder();
const SIGNATURE = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10];
const IPV4 = [203, 0, 113, 7, 192, 0, 2, 1, 0xc3, 0x50, 0x1f, 0x40];
const IPV6 = [
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  ...[0xc3, 0x50, 0x1f, 0x40],
];
const V1 = "PROXY TCP4 203.0.113.7 192.0.2.1 50000 8000\r\n";

/** A header of version 2 with the size of its addresses in it. */
function v2(version: number, family: number, rest: number[]): Uint8Array {
  const size = [rest.length >> 8, rest.length & 255];
  return new Uint8Array([...SIGNATURE, version, family, ...size, ...rest]);
}

/** Opens a chat behind a proxy on this machine. */
function openChat(
  options: Partial<ProxyListenerOptions> = {},
  chatOptions: ChatOptions = {},
) {
  const logged: string[] = [];
  const log = (message: string) => void logged.push(message);
  const trusted = [Network.parse("127.0.0.0/8")!];
  const listener = new ProxyListener(
    Deno.listen({ hostname: "127.0.0.1", port: 0 }),
    { trusted, log, ...options },
  );
  const chat = new Chat(chatOptions);
  const served = chat.serve(listener);
  return {
    chat,
    logged,
    addr: listener.addr,
    async [Symbol.asyncDispose]() {
      await chat.close();
      await served;
    },
  };
}

Deno.test("headers are parsed", async (t) => {
  const tcp4 = { hostname: "203.0.113.7", port: 50000 };
  const tcp6 = { hostname: "2001:db8::7", port: 50000 };
  const long = "0000:0000:0000:0000:0000:0000:0000:0001";
  const headers: [string, Uint8Array | string, Header["source"]][] = [
    ["1, TCP over IPv4", V1, tcp4],
    [
      "1, TCP over IPv6",
      "PROXY TCP6 2001:DB8:0::7 2001:db8::1 50000 8000\r\n",
      tcp6,
    ],
    [
      "1, the longest line",
      `PROXY TCP6 ${long} ${long} 65535 65535\r\n`,
      { hostname: "::1", port: 65535 },
    ],
    ["1, unknown", "PROXY UNKNOWN\r\n", undefined],
    ["1, unknown with more", "PROXY UNKNOWN a b c d\r\n", undefined],
    ["2, TCP over IPv4", v2(0x21, 0x11, IPV4), tcp4],
    ["2, TCP over IPv6", v2(0x21, 0x21, IPV6), tcp6],
    ["2, with more fields", v2(0x21, 0x11, [...IPV4, 4, 0, 1, 0]), tcp4],
    ["2, local", v2(0x20, 0x11, IPV4), undefined],
    ["2, unspecified", v2(0x21, 0x00, []), undefined],
    ["2, a Unix socket", v2(0x21, 0x31, Array(216).fill(0)), undefined],
  ];
  for (const [kind, given, source] of headers) {
    await t.step(`version ${kind}`, () => {
      const bytes = typeof given === "string" ? encoder.encode(given) : given;
      const size = bytes.length;
      const whole = new Uint8Array([...bytes, 104, 105]);
      assertEquals(parseHeader(whole), source ? { size, source } : { size });
      for (let end = 0; end < size; end++) {
        assertEquals(parseHeader(whole.subarray(0, end)), undefined);
      }
    });
  }
});

Deno.test("what is not a header is refused", async (t) => {
  const malformed: Record<string, Uint8Array | string> = {
    "a message": "hello\n",
    "a TLS handshake": new Uint8Array([0x16, 3, 1, 2, 0]),
    "a line without an end": V1.trimEnd() + " ".repeat(70),
    "an end without CR": "PROXY TCP4 203.0.113.7 192.0.2.1 50000 8000\n" +
      " ".repeat(70),
    "another protocol": "PROXY UDP4 203.0.113.7 192.0.2.1 50000 8000\r\n",
    "another family": "PROXY TCP6 203.0.113.7 192.0.2.1 50000 8000\r\n",
    "a host name": "PROXY TCP4 localhost 192.0.2.1 50000 8000\r\n",
    "leading zeros": "PROXY TCP4 203.0.113.07 192.0.2.1 50000 8000\r\n",
    "a port that is too large": "PROXY TCP4 1.2.3.4 1.2.3.4 65536 80\r\n",
    "a port with a sign": "PROXY TCP4 1.2.3.4 1.2.3.4 +1 80\r\n",
    "two spaces": "PROXY TCP4  1.2.3.4 1.2.3.4 1 80\r\n",
    "no port": "PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
    "another signature": new Uint8Array([...SIGNATURE.slice(0, 11), 11]),
    "version 3": v2(0x31, 0x11, IPV4),
    "another command": v2(0x22, 0x11, IPV4),
    "UDP": v2(0x21, 0x12, IPV4),
    "too few bytes": v2(0x21, 0x11, IPV4.slice(1)),
    "too few bytes for IPv6": v2(0x21, 0x21, IPV4),
    "too many bytes": v2(0x21, 0x11, Array(4096).fill(0)),
  };
  for (const [kind, given] of Object.entries(malformed)) {
    await t.step(kind, () => {
      const bytes = typeof given === "string" ? encoder.encode(given) : given;
      assertThrows(() => parseHeader(bytes), HeaderError);
    });
  }
});

Deno.test("a client behind a proxy has its own address", async (t) => {
  await using room = openChat();
  const headers = {
    "version 1": encoder.encode(V1),
    "version 2": v2(0x21, 0x11, IPV4),
  };
  for (const [version, header] of Object.entries(headers)) {
    await t.step(`${version}, together with its first line`, async () => {
      await using ann = await TestClient.connect(room.addr);
      await ann.send(new Uint8Array([...header, ...encoder.encode("hi\n")]));
      assertEquals(await ann.line(), "Welcome 203.0.113.7:50000");
      await ann.line();
      assertEquals(await ann.line(), "203.0.113.7:50000: hi");
      assertEquals(room.chat.members[0].address, "203.0.113.7");
      await ann.end();
      await ann.rest();
    });
    await t.step(`${version}, byte by byte`, async () => {
      await using ann = await TestClient.connect(room.addr);
      for (const byte of header) await ann.send(new Uint8Array([byte]));
      assertEquals(await ann.line(), "Welcome 203.0.113.7:50000");
      await ann.end();
      await ann.rest();
    });
  }
  await t.step("also for the limits of an address", async () => {
    await using room = openChat({}, { maxPerAddress: 1 });
    await using ann = await TestClient.connect(room.addr);
    await using bob = await TestClient.connect(room.addr);
    await using eve = await TestClient.connect(room.addr);
    await ann.send(V1);
    await ann.line();
    await bob.send(V1.replace("203.0.113.7", "203.0.113.8"));
    assertEquals(await bob.line(), "Welcome 203.0.113.8:50000");
    await eve.send(V1.replace("50000", "50001"));
    assertEquals(
      await eve.line(),
      "Cannot enter: too many connections from 203.0.113.7",
    );
  });
});

Deno.test("a proxy that sends no header is closed and logged", async () => {
  await using room = openChat();
  await using ann = await TestClient.connect(room.addr);
  await ann.send("hello\n");
  assertEquals(await ann.rest(), []);
  assertEquals(room.logged, [
    `Cannot serve ${ann.name}: it did not send a PROXY header`,
  ]);
});

Deno.test("a proxy that is late is closed and logged, and delays no one", async () => {
  await using room = openChat({ timeout: 1000 });
  await using late = await TestClient.connect(room.addr);
  await late.send(V1.slice(0, 10));
  await using ann = await TestClient.connect(room.addr);
  await ann.send(V1);
  assertEquals(await ann.line(), "Welcome 203.0.113.7:50000");
  assertEquals(room.logged, []);
  assertEquals(await late.rest(), []);
  assertEquals(room.logged, [
    `Cannot serve ${late.name}: it did not send a PROXY header within 1 s`,
  ]);
});

Deno.test("a proxy that checks the server does not enter the room", async (t) => {
  await using room = openChat();
  await using ann = await TestClient.connect(room.addr);
  await ann.send(V1);
  await ann.lines(2);
  const checks = {
    "with a header of version 1": "PROXY UNKNOWN\r\n",
    "with a header of version 2": v2(0x20, 0, []),
    "without a header": "",
  };
  for (const [kind, header] of Object.entries(checks)) {
    await t.step(kind, async () => {
      await using check = await TestClient.connect(room.addr);
      await check.send(header);
      await check.end();
      assertEquals(await check.rest(), []);
    });
  }
  await ann.send("/ping\n");
  assertEquals(await ann.line(), "-- pong");
  assertEquals(room.logged, []);
});

Deno.test("only a proxy can send a header", async (t) => {
  await using room = openChat({ trusted: [Network.parse("192.0.2.0/24")!] });
  for (const header of [encoder.encode(V1), v2(0x21, 0x11, IPV4)]) {
    await t.step(`version ${header[0] === 13 ? 2 : 1}`, async () => {
      room.logged.length = 0;
      await using eve = await TestClient.join(room.addr);
      await eve.send(header);
      assertEquals(await eve.rest(), []);
      assertEquals(room.logged, [
        `Cannot serve ${eve.name}: it sent a PROXY header, ` +
        "but --proxy-protocol does not name it",
      ]);
    });
  }
  await t.step("and anyone else is served", async () => {
    await using ann = await TestClient.join(room.addr);
    await ann.send("PROXY is a word\n");
    assertEquals(await ann.line(), `${ann.name}: PROXY is a word`);
  });
});

Deno.test("a chat closes while a proxy is waited for", async () => {
  const room = openChat();
  await using ann = await TestClient.connect(room.addr);
  await ann.send("PROXY ");
  await using bob = await TestClient.connect(room.addr);
  await bob.send(V1);
  await bob.line();
  await room[Symbol.asyncDispose]();
  assertEquals(await ann.rest(), []);
  assertEquals(room.logged, []);
});

Deno.test("the server has the addresses of a proxy on TLS ports, too", async () => {
  await using certificate = await Certificate.make();
  await using server = await startTlsServer(
    certificate,
    ["--proxy-protocol", "::1", "--proxy-protocol", "127.0.0.0/8"],
  );
  await using ann = await TestClient.connect(server.addr);
  await ann.send(V1);
  assertEquals(await ann.line(), "Welcome 203.0.113.7:50000");
  await ann.line();
  const { hostname, port } = server.tlsAddr;
  const conn = await Deno.connect({ hostname, port });
  await conn.write(encoder.encode(V1.replace("113.7", "113.8")));
  using bob = await Deno.startTls(conn, {
    hostname: "localhost",
    caCerts: [await Deno.readTextFile(certificate.cert)],
  });
  await bob.write(encoder.encode("hello\n"));
  assertEquals(await ann.line(), "203.0.113.8:50000 is online");
  assertEquals(await ann.line(), "203.0.113.8:50000: hello");
});

Deno.test("a server without proxies does not accept a header", async () => {
  await using server = await startServer();
  await using ann = await TestClient.join(server.addr);
  await ann.send(V1);
  assertEquals(await ann.line(), `${ann.name}: ${V1.trimEnd()}`);
});

const haproxy = await new Deno.Command("haproxy", { args: ["-v"] }).output()
  .then(({ success }) => success, () => false);

/** Starts HAProxy in front of a port, with some options of its server. */
async function startHAProxy(
  { port }: Deno.NetAddr,
  options: string,
): Promise<AsyncDisposable & { addr: Deno.NetAddr }> {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { addr } = free;
  free.close();
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(
    path,
    `defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen chat
  bind 127.0.0.1:${addr.port}
  server chat 127.0.0.1:${port} ${options}
`,
  );
  const child = new Deno.Command("haproxy", {
    args: ["-db", "-q", "-f", path],
    stdin: "null",
  }).spawn();
  return {
    addr,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
      await Deno.remove(path);
    },
  };
}

/** Connects as soon as a port is open. */
async function connect(addr: Deno.NetAddr): Promise<TestClient> {
  while (true) {
    try {
      return await TestClient.connect(addr);
    } catch (error) {
      assert(error instanceof Deno.errors.ConnectionRefused);
      await delay(20);
    }
  }
}

/** Runs a test if HAProxy is installed. */
function testHAProxy(name: string, fn: (t: Deno.TestContext) => Promise<void>) {
  const note = haproxy ? "" : " (HAProxy is not installed)";
  Deno.test({ name: name + note, ignore: !haproxy, fn });
}

testHAProxy("clients of HAProxy have their own addresses", async (t) => {
  for (const option of ["send-proxy", "send-proxy-v2"]) {
    await t.step(option, async () => {
      await using room = openChat();
      await using proxy = await startHAProxy(
        room.addr,
        `${option} check inter 20ms`,
      );
      await using ann = await connect(proxy.addr);
      assertEquals(await ann.line(), `Welcome ${ann.name}`);
      await ann.line();
      await using bob = await connect(proxy.addr);
      // The checks of the proxy are not announced.
      assertEquals(await ann.line(), `${bob.name} is online`);
      await bob.send("hello\n");
      assertEquals(await ann.line(), `${bob.name}: hello`);
      assertEquals(namesOf(room.chat), [ann.name, bob.name]);
      await bob.end();
      assertEquals(await ann.line(), `${bob.name} is offline`);
      assertEquals(room.logged, []);
    });
  }
});

testHAProxy("clients of HAProxy talk TLS with the server", async () => {
  await using certificate = await Certificate.make();
  await using server = await startTlsServer(
    certificate,
    ["--proxy-protocol", "127.0.0.1"],
  );
  await using proxy = await startHAProxy(server.tlsAddr, "send-proxy-v2");
  await (await connect(proxy.addr))[Symbol.asyncDispose]();
  const conn = await connectTls(proxy.addr, certificate);
  const { port } = conn.localAddr;
  const lines = linesOf(conn);
  assertEquals((await lines.read()).value, `Welcome 127.0.0.1:${port}`);
  await lines.cancel();
});
