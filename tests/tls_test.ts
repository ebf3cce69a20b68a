import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";

import { Chat, type Connection } from "../mod.ts";
import { TlsListener } from "../server/tls.ts";
import { namesOf, stall, TestClient } from "./clients.ts";
import {
  addressOf,
  Command,
  startInBash,
  startServer,
  unixTest,
} from "./commands.ts";
import {
  Certificate,
  connectTls,
  joinTls,
  startTlsServer,
  tlsClient,
} from "./tls.ts";

const encoder = new TextEncoder();
const PERMISSIONS = { permissions: ["-N", "-R"] };

/** The methods of a connection that a chat uses. */
type TlsConnection = Connection & Deno.TlsConn;

/** Opens a listener on a free port. */
async function listen(certificate: Certificate): Promise<TlsListener> {
  return new TlsListener(
    Deno.listen({ hostname: "127.0.0.1", port: 0 }),
    await certificate.read(),
  );
}

/** Accepts the next connection. */
async function accept(listener: TlsListener): Promise<TlsConnection> {
  const { value } = await listener[Symbol.asyncIterator]().next();
  return value as TlsConnection;
}

/** Connects a client and completes the handshake on both sides. */
async function connectPair(listener: TlsListener, certificate: Certificate) {
  const [client, connection] = await Promise.all([
    connectTls(listener.addr, certificate),
    accept(listener),
  ]);
  await Promise.all([client.handshake(), connection.handshake()]);
  return { client, connection };
}

/** Reads to the end of a connection. Returns the number of bytes. */
async function readAll(
  conn: { read(buffer: Uint8Array): Promise<number | null> },
): Promise<number> {
  const buffer = new Uint8Array(64 * 1024);
  let length = 0;
  for (let size; (size = await conn.read(buffer)) !== null;) length += size;
  return length;
}

Deno.test("clients of a TLS port and of a plain port are in one room", async () => {
  await using certificate = await Certificate.make();
  await using server = await startTlsServer(certificate);
  await using ann = await TestClient.join(server.addr);
  await using bob = await joinTls(server.tlsAddr, certificate);
  await ann.send("hello\n");
  assertEquals(await bob.line(), `${ann.name}: hello`);
  await bob.send("hi\n");
  assertEquals(await ann.lines(3), [
    `${bob.name} is online`,
    `${ann.name}: hello`,
    `${bob.name}: hi`,
  ]);
});

Deno.test("a port is a TLS port if there is a certificate and no --tls-port", async () => {
  await using certificate = await Certificate.make();
  await using server = new Command(
    "server.ts",
    ["--hostname=127.0.0.1", "--port=0", ...certificate.options],
    PERMISSIONS,
  );
  const line = await server.line() ?? "";
  const [, port] = /^Listening on 127\.0\.0\.1:(\d+) \(TLS\)$/.exec(line)!;
  await using _ann = await joinTls(
    { transport: "tcp", hostname: "127.0.0.1", port: Number(port) },
    certificate,
  );
});

Deno.test("the server opens no port but the TLS port", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using certificate = await Certificate.make();
  await using server = new Command(
    "server.ts",
    ["--hostname=127.0.0.1", `--port=${port}`, ...certificate.options],
    { permissions: [`--allow-net=127.0.0.1:${port}`, "-R"] },
  );
  assertEquals(await server.line(), `Listening on 127.0.0.1:${port} (TLS)`);
  await using _ann = await joinTls(
    { transport: "tcp", hostname: "127.0.0.1", port },
    certificate,
  );
});

Deno.test("a TLS client that ends its output receives pending lines and leaves", async () => {
  await using certificate = await Certificate.make();
  await using server = await startTlsServer(certificate);
  await using ann = await joinTls(server.tlsAddr, certificate);
  await using bob = await TestClient.join(server.addr);
  await ann.send("the end");
  await ann.end();
  assertEquals(await ann.rest(), [
    `${bob.name} is online`,
    `${ann.name}: the end`,
  ]);
  assertEquals(await bob.lines(2), [
    `${ann.name}: the end`,
    `${ann.name} is offline`,
  ]);
});

Deno.test("plain text to a TLS port gets an alert, a line in the log and no announcement", async () => {
  await using certificate = await Certificate.make();
  await using server = await startTlsServer(certificate);
  await using ann = await TestClient.join(server.addr);
  const { hostname, port } = server.tlsAddr;
  using plain = await Deno.connect({ hostname, port });
  await plain.write(encoder.encode("hello\n"));
  const buffer = new Uint8Array(16);
  assertEquals(await plain.read(buffer), 7);
  assertEquals([...buffer.subarray(0, 3)], [0x15, 3, 3]);
  assertEquals(await plain.read(buffer), null);
  await ann.send("hi\n");
  assertEquals(await ann.line(), `${ann.name}: hi`); // No line comes before it.
  server.kill("SIGKILL");
  assertEquals(
    await server.stderr(),
    `Cannot secure ${hostname}:${plain.localAddr.port}: the client does not speak TLS\n`,
  );
});

unixTest(
  "failed handshakes are one line in the log until the server ends",
  async () => {
    await using certificate = await Certificate.make();
    await using server = await startTlsServer(certificate);
    const { hostname, port } = server.tlsAddr;
    for (let i = 0; i < 20; i++) {
      using plain = await Deno.connect({ hostname, port });
      await plain.write(encoder.encode("hello\n"));
      assertEquals(await readAll(plain), 7);
    }
    server.kill("SIGTERM");
    const lines = (await server.stderr()).trimEnd().split("\n");
    assertEquals(lines.length, 2);
    assertMatch(lines[0], /^Cannot secure .* does not speak TLS$/);
    assertMatch(lines[1], /^Cannot secure .* \(and 18 more like this\)$/);
  },
);

unixTest(
  "a silent handshake delays neither other clients nor the end of the server",
  async () => {
    await using certificate = await Certificate.make();
    await using server = await startTlsServer(certificate);
    await using silent = await TestClient.connect(server.tlsAddr);
    await using ann = await joinTls(server.tlsAddr, certificate);
    server.kill("SIGTERM");
    assertEquals(await ann.line(), "The server is shutting down");
    assertEquals(await server.code(), 0);
    assertEquals(await server.stderr(), "");
    await silent.rest().catch(() => {});
  },
);

Deno.test("silent handshakes count as clients until they end", async () => {
  await using certificate = await Certificate.make();
  await using server = await startTlsServer(certificate, ["--max-clients=3"]);
  const silent = await Promise.all(
    Array.from({ length: 3 }, () => TestClient.connect(server.tlsAddr)),
  );
  const connect = async () =>
    tlsClient(await connectTls(server.tlsAddr, certificate));
  await using refused = await connect();
  assertMatch(await refused.line() ?? "", /^Cannot enter: /);
  assertEquals(await refused.line(), undefined);
  for (const client of silent) await client[Symbol.asyncDispose]();
  let welcome: string | undefined;
  while (!welcome?.startsWith("Welcome ")) {
    await using ann = await connect();
    welcome = await ann.line().catch(() => undefined);
  }
});

unixTest(
  "the server survives a lack of file descriptors on a TLS port",
  async () => {
    await using certificate = await Certificate.make();
    await using server = startInBash('ulimit -n 64 && exec "$@"', [
      ...["--hostname=127.0.0.1", "--port=0", "--log=text"],
      ...certificate.options,
    ], ["-N", "-R"]);
    const addr = await addressOf(server);
    await using ann = await joinTls(addr, certificate);
    const silent = await Promise.all(
      Array.from({ length: 100 }, () => TestClient.connect(addr)),
    );
    await server.logs(/failure Cannot accept connections: /);
    await ann.send("still here\n");
    assertEquals(await ann.line(), `${ann.name}: still here`);
    for (const client of silent) await client[Symbol.asyncDispose]();
    await using _bob = await joinTls(addr, certificate);
    server.kill("SIGKILL");
    const failures = (await server.stderr()).match(/Cannot accept/g);
    assertEquals(failures?.length, 1);
  },
);

Deno.test("closing a connection releases a client that is silent in its handshake", async () => {
  await using certificate = await Certificate.make();
  const listener = await listen(certificate);
  const [client, connection] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    accept(listener),
  ]);
  const secured = assertRejects(() => connection.handshake(), Error);
  connection.close();
  await secured;
  assertEquals(await client.read(new Uint8Array(1)), null);
  client.close();
  listener.close();
});

Deno.test("closing a connection releases a client that does not read", async () => {
  await using certificate = await Certificate.make();
  const listener = await listen(certificate);
  const { client, connection } = await connectPair(listener, certificate);
  const chunk = new Uint8Array(64 * 1024);
  let written = 0;
  const writing = (async () => {
    while (true) written += await connection.write(chunk);
  })();
  const failed = assertRejects(() => writing, Error);
  await stall(() => written);
  connection.close();
  await failed;
  await readAll(client).catch(() => {}); // The end has no close_notify.
  client.close();
  listener.close();
});

Deno.test("a client that sends more than the server reads waits, and no byte is lost", async () => {
  await using certificate = await Certificate.make();
  const listener = await listen(certificate);
  const { client, connection } = await connectPair(listener, certificate);
  const chunk = new Uint8Array(64 * 1024);
  const total = 1024 * chunk.length;
  let sent = 0;
  const sending = (async () => {
    while (sent < total) sent += await client.write(chunk);
    await client.closeWrite();
  })();
  await stall(() => sent);
  assert(sent < total / 2, `${sent} bytes were taken`);
  assertEquals(await readAll(connection), total);
  await sending;
  connection.close();
  client.close();
  listener.close();
});

Deno.test("a connection closes after a record that cannot be decrypted", async () => {
  await using certificate = await Certificate.make();
  const listener = await listen(certificate);
  const proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [client, inner, connection, outer] = await Promise.all([
    connectTls(proxy.addr, certificate),
    proxy.accept(),
    accept(listener),
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
  ]);
  const piped = Promise.allSettled([
    inner.readable.pipeTo(outer.writable, { preventClose: true }),
    outer.readable.pipeTo(inner.writable),
  ]);
  await Promise.all([client.handshake(), connection.handshake()]);
  await outer.write(new Uint8Array([0x17, 3, 3, 0, 32, ...Array(32).fill(7)]));
  await assertRejects(() => connection.read(new Uint8Array(1)), Error);
  connection.close();
  await assertRejects(() => readAll(client), Error); // The server sends an alert.
  client.close();
  await piped;
  for (const resource of [proxy, listener]) resource.close();
});

Deno.test("a chat serves a client of Deno.listenTls after its handshake", async () => {
  await using certificate = await Certificate.make();
  const listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    ...await certificate.read(),
  });
  const { addr } = listener;
  const logged: string[] = [];
  await using chat = new Chat({ log: (message) => logged.push(message) });
  const served = chat.serve(listener);
  const silent = await TestClient.connect(addr);
  await using plain = await TestClient.connect(addr);
  await plain.send("hello\n");
  await plain.rest();
  await using ann = await joinTls(addr, certificate);
  assertEquals(namesOf(chat), [ann.name]);
  const closed = chat.close();
  await silent[Symbol.asyncDispose](); // Deno does not close its socket.
  await closed;
  await served;
  assertEquals(logged.length, 1);
  assertMatch(logged[0], new RegExp(`^Cannot secure ${plain.name}: `));
});

unixTest("SIGHUP renews the certificate and disconnects nobody", async () => {
  await using certificate = await Certificate.make();
  await using server = await startTlsServer(certificate);
  await using ann = await joinTls(server.tlsAddr, certificate);
  const old = await Deno.readTextFile(certificate.cert);
  await certificate.renew();
  server.kill("SIGHUP");
  await server.logs(/^The certificate was renewed$/m);
  await using bob = await joinTls(server.tlsAddr, certificate);
  assertEquals(await ann.line(), `${bob.name} is online`);
  await ann.send("still here\n");
  assertEquals(await bob.line(), `${ann.name}: still here`);
  const { hostname, port } = server.tlsAddr;
  const late = await Deno.connectTls({ hostname, port, caCerts: [old] });
  await assertRejects(() => late.handshake(), Error);
  late.close();
});

unixTest(
  "every client can connect while the certificate is renewed",
  async () => {
    await using certificate = await Certificate.make();
    await using server = await startTlsServer(certificate);
    const caCerts = [await Deno.readTextFile(certificate.cert)];
    const { hostname, port } = server.tlsAddr;
    for (let i = 0; i < 20; i++) {
      const connecting = Deno.connectTls({ hostname, port, caCerts });
      server.kill("SIGHUP");
      await using ann = tlsClient(await connecting);
      await ann.readWelcome();
    }
  },
);

unixTest(
  "SIGHUP keeps the certificate if the new one cannot be used",
  async () => {
    await using certificate = await Certificate.make();
    await using server = await startTlsServer(certificate);
    const start = "^The certificate was not renewed\\. ";
    await Deno.writeTextFile(certificate.key, "rubbish");
    server.kill("SIGHUP");
    await server.logs(new RegExp(`${start}Cannot use .* no private key`, "m"));
    await Deno.remove(certificate.key);
    server.kill("SIGHUP");
    await server.logs(new RegExp(`${start}Cannot read .*: no such file`, "m"));
    await using _ann = await joinTls(server.tlsAddr, certificate);
  },
);

const BOTH = "TLS needs both --tls-cert FILE and --tls-key FILE";

for (
  const [name, args, message, code] of [
    ["--tls-cert alone", ["--tls-cert=a"], BOTH, 2],
    ["--tls-key alone", ["--tls-key=a"], BOTH, 2],
    ["--tls-port without a certificate", ["--tls-port=0"], BOTH, 2],
    [
      "an empty file name",
      ["--tls-cert=", "--tls-key="],
      "Missing value for --tls-cert: write --tls-cert FILE",
      2,
    ],
    [
      "a file that does not exist",
      ["--tls-cert=no.pem", "--tls-key=no.pem"],
      "Cannot read no.pem: no such file or directory",
      1,
    ],
    [
      "a directory",
      ["--tls-cert=docs", "--tls-key=docs"],
      "Cannot read docs: it is a directory",
      1,
    ],
    [
      "a file without a certificate",
      ["--tls-cert=README.md", "--tls-key=README.md"],
      "Cannot use README.md: it contains no certificate in PEM format",
      1,
    ],
  ] as const
) {
  Deno.test(`the server refuses ${name}`, async () => {
    await using server = new Command("server.ts", [...args], PERMISSIONS);
    assertEquals(await server.stderr(), `${message}\n`);
    assertEquals(await server.code(), code);
  });
}

/** Starts a server with files that it refuses. Returns the reason. */
async function refusal(
  { options, directory }: Certificate,
  ...args: string[]
): Promise<string> {
  await using server = new Command(
    "server.ts",
    ["--port=0", ...options, ...args],
    PERMISSIONS,
  );
  assertEquals(await server.code(), 1);
  return (await server.stderr()).replaceAll(`${directory}/`, "");
}

Deno.test("the server refuses a file without a private key", async () => {
  await using certificate = await Certificate.make();
  await Deno.copyFile(certificate.cert, certificate.key);
  assertEquals(
    await refusal(certificate),
    "Cannot use key.pem: it contains no private key in PEM format\n",
  );
  assertEquals(
    await refusal(certificate, "--lang=zh"),
    "无法使用 key.pem：其中没有 PEM 格式的私钥\n",
  );
});

Deno.test("the server refuses the private key of another certificate", async () => {
  await using certificate = await Certificate.make();
  await using other = await Certificate.make();
  await Deno.copyFile(other.key, certificate.key);
  assertEquals(
    await refusal(certificate),
    "Cannot use key.pem: it is not the private key of cert.pem\n",
  );
});

Deno.test("the server refuses a private key with a passphrase", async () => {
  await using certificate = await Certificate.make();
  await certificate.encryptKey();
  assertMatch(
    await refusal(certificate),
    /^Cannot use key\.pem: its private key is encrypted, remove the passphrase /,
  );
});

Deno.test("the server refuses damaged files", async () => {
  await using certificate = await Certificate.make();
  const { cert, key } = await certificate.read();
  const damage = (text: string) => text.replace(/\n.{8}/, "\nAAAAAAAA");
  await Deno.writeTextFile(certificate.key, damage(key));
  assertEquals(
    await refusal(certificate),
    "Cannot use key.pem: its private key is damaged\n",
  );
  await Deno.writeTextFile(certificate.cert, damage(cert));
  assertEquals(
    await refusal(certificate),
    "Cannot use cert.pem: its certificate is damaged\n",
  );
});

Deno.test("the server finds a certificate and a key in one file", async () => {
  await using certificate = await Certificate.make();
  const { cert, key } = await certificate.read();
  await Deno.writeTextFile(certificate.cert, key + cert);
  await Deno.writeTextFile(certificate.key, cert + key);
  await using server = await startTlsServer(certificate);
  const { hostname, port } = server.tlsAddr;
  const conn = await Deno.connectTls({ hostname, port, caCerts: [cert] });
  await using ann = tlsClient(conn);
  await ann.readWelcome();
});

Deno.test("the server names the permission that a certificate needs", async () => {
  await using server = new Command("server.ts", [
    "--tls-cert=README.md",
    "--tls-key=README.md",
  ]);
  assertEquals(
    await server.stderr(),
    "Cannot read README.md: reading files is not allowed, run with -R\n",
  );
  assertEquals(await server.code(), 1);
});

/** Connects netcat.ts to a TLS port. Returns the reason of its failure. */
async function tlsFailure(
  certificate: Certificate,
  args: (port: string) => string[],
): Promise<string> {
  await using server = await startTlsServer(certificate);
  const { hostname, port } = server.tlsAddr;
  await using netcat = new Command(
    "netcat.ts",
    ["--ca", certificate.cert, ...args(`${port}`)],
    PERMISSIONS,
  );
  assertEquals(await netcat.code(), 1);
  const start = `Cannot connect to ${hostname}:${port}: `;
  const stderr = await netcat.stderr();
  assert(stderr.startsWith(start), stderr);
  return stderr.slice(start.length);
}

Deno.test("netcat.ts talks TLS with a server that it trusts", async () => {
  await using certificate = await Certificate.make();
  await using server = await startTlsServer(certificate);
  await using netcat = new Command("netcat.ts", [
    ...["--tls", "--ca", certificate.cert],
    ...["127.0.0.1", `${server.tlsAddr.port}`],
  ], PERMISSIONS);
  const name = (await netcat.line())!.replace("Welcome ", "");
  await netcat.line(); // The greeting.
  await netcat.write("the end");
  await netcat.closeStdin();
  let line;
  do line = await netcat.line(); while (line?.startsWith("-- "));
  assertEquals(line, `${name}: the end`);
  assertEquals(await netcat.code(), 0);
});

Deno.test("netcat.ts reports an expired certificate", async () => {
  await using certificate = await Certificate.make();
  await certificate.expire();
  assertEquals(
    await tlsFailure(certificate, (port) => ["--tls", "127.0.0.1", port]),
    "its certificate has expired\n",
  );
});

Deno.test("netcat.ts reports a certificate for another name", async () => {
  await using certificate = await Certificate.make();
  await certificate.renew("DNS:example.org");
  assertEquals(
    await tlsFailure(certificate, (port) => ["--tls", "127.0.0.1", port]),
    "its certificate is for another name\n",
  );
});

Deno.test("netcat.ts reports a certificate that it does not trust", async () => {
  await using certificate = await Certificate.make();
  await using other = await Certificate.make();
  assertEquals(
    await tlsFailure(
      certificate,
      (port) => ["--tls", "--ca", other.cert, "127.0.0.1", port],
    ),
    "its certificate is not trusted, see --ca\n",
  );
});

Deno.test("netcat.ts reports a server without TLS", async () => {
  await using server = await startServer();
  const { hostname, port } = server.addr;
  await using netcat = new Command("netcat.ts", ["--tls", hostname, `${port}`]);
  assertEquals(
    await netcat.stderr(),
    `Cannot connect to ${hostname}:${port}: it does not use TLS\n`,
  );
});

Deno.test("netcat.ts names the permission that --ca needs", async () => {
  await using netcat = new Command("netcat.ts", ["--tls", "--ca=README.md"]);
  assertEquals(
    await netcat.stderr(),
    "Cannot connect to localhost:8000: README.md: reading files is not allowed, run with -R\n",
  );
});
