import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Chat } from "../mod.ts";
import { linesOf, namesOf, TestClient } from "./clients.ts";
import { Command, startServer, UNIX } from "./commands.ts";

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", {
    args,
    stdout: "null",
    stderr: "piped",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

/** Files of a certificate for localhost and 127.0.0.1, which go with their scope. */
class Certificate implements AsyncDisposable {
  readonly cert: string;
  readonly key: string;

  private constructor(readonly directory: string) {
    this.cert = `${directory}/cert.pem`;
    this.key = `${directory}/key.pem`;
  }

  /** Makes one, as good as `openssl` does. */
  static async make(): Promise<Certificate> {
    const certificate = new Certificate(await Deno.makeTempDir());
    await certificate.renew();
    return certificate;
  }

  async renew(names = "DNS:localhost,IP:127.0.0.1"): Promise<void> {
    await openssl(
      ...["req", "-x509", "-newkey", "ec", "-nodes", "-subj", "/CN=chat"],
      ...["-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"],
      ...["-addext", `subjectAltName=${names}`],
      ...["-addext", "basicConstraints=critical,CA:FALSE"],
      ...["-keyout", this.key, "-out", this.cert],
    );
  }

  /** Has it be one of a day of the past. */
  async expire(): Promise<void> {
    const { directory, key, cert } = this;
    const [config, request] = [`${directory}/config`, `${directory}/request`];
    await Deno.writeTextFile(`${directory}/index.txt`, "");
    await Deno.writeTextFile(
      config,
      `[ca]
default_ca = chat
[chat]
database = ${directory}/index.txt
new_certs_dir = ${directory}
policy = policy
default_md = sha256
rand_serial = yes
x509_extensions = extensions
[policy]
commonName = supplied
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
`,
    );
    await openssl(
      "req",
      "-new",
      "-key",
      key,
      "-subj",
      "/CN=chat",
      "-out",
      request,
    );
    await openssl(
      ...["ca", "-batch", "-selfsign", "-notext", "-config", config],
      ...["-keyfile", key, "-in", request, "-out", cert],
      ...["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"],
    );
  }

  get options(): string[] {
    return ["--tls-cert", this.cert, "--tls-key", this.key];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Connects to a server whose certificate is trusted. */
async function connect(
  { hostname, port }: Deno.NetAddr,
  { cert }: Certificate,
): Promise<Deno.TlsConn> {
  const caCerts = [await Deno.readTextFile(cert)];
  return await Deno.connectTls({ hostname, port, caCerts });
}

const encoder = new TextEncoder();
const SERVER = { permissions: ["-N", "-R"] };

Deno.test("server.ts speaks TLS, and its room has clients of both kinds", async () => {
  await using certificate = await Certificate.make();
  await using server = await startServer([
    "--tls-port=0",
    ...certificate.options,
  ], SERVER);
  const line = await server.line();
  const port = Number(/:(\d+)$/.exec(line!)![1]);
  await using ann = await TestClient.join(server.addr);
  const conn = await connect({ ...server.addr, port }, certificate);
  const bob = linesOf(conn);
  assertMatch((await bob.read()).value!, /^Welcome 127\.0\.0\.1:\d+$/);
  await ann.line(); // Bob's arrival
  await ann.send("hello\n");
  assertEquals((await bob.read()).value, `${ann.who}: hello`);
  await conn.write(encoder.encode("hi\n"));
  await ann.line();
  assertMatch((await ann.line())!, /: hi$/);
  await bob.cancel();
});

Deno.test("with a certificate alone, the port is for TLS", async () => {
  await using certificate = await Certificate.make();
  await using server = await startServer(certificate.options, SERVER);
  const conn = await connect(server.addr, certificate);
  const ann = linesOf(conn);
  assertMatch((await ann.read()).value!, /^Welcome /);
  await ann.cancel();
});

Deno.test("a TLS client that ends its sending is told what it is owed, and leaves", async () => {
  await using certificate = await Certificate.make();
  await using server = await startServer(certificate.options, SERVER);
  const conn = await connect(server.addr, certificate);
  const ann = linesOf(conn);
  const who = (await ann.read()).value!.replace("Welcome ", "");
  const bob = linesOf(await connect(server.addr, certificate));
  await bob.read();
  await ann.read(); // Bob's arrival
  await conn.write(encoder.encode("the end"));
  await conn.closeWrite();
  assertEquals((await ann.read()).value, `${who}: the end`);
  assertEquals((await ann.read()).done, true);
  assertEquals((await bob.read()).value, `${who}: the end`);
  assertEquals((await bob.read()).value, `${who} is offline`);
  await bob.cancel();
});

Deno.test("plain text to a TLS port is logged, and nobody is announced", async () => {
  await using certificate = await Certificate.make();
  await using server = await startServer(certificate.options, SERVER);
  const conn = await connect(server.addr, certificate);
  const ann = linesOf(conn);
  await ann.read();
  await using plain = await TestClient.connect(server.addr);
  await plain.send("hello\n");
  await plain.rest();
  await conn.write(encoder.encode("hi\n"));
  assertMatch((await ann.read()).value!, /: hi$/); // Nothing before it.
  await ann.cancel();
  server.kill("SIGKILL");
  assertMatch(
    await server.stderr(),
    new RegExp(`^Cannot secure ${plain.who}: .*\n$`),
  );
});

Deno.test({
  name: "a TLS handshake that never ends holds up nobody, nor the end",
  ignore: !UNIX,
  async fn() {
    await using certificate = await Certificate.make();
    await using server = await startServer(certificate.options, SERVER);
    await using silent = await TestClient.connect(server.addr);
    const ann = linesOf(await connect(server.addr, certificate));
    assertMatch((await ann.read()).value!, /^Welcome /);
    server.kill("SIGTERM");
    assertEquals((await ann.read()).value, "The server is shutting down");
    assertEquals(await server.code(), 0);
    assertEquals(await server.stderr(), "");
    await silent.rest().catch(() => {});
    await ann.cancel();
  },
});

Deno.test("a client on Deno.listenTls is in the room once its handshake is done", async () => {
  await using certificate = await Certificate.make();
  const listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    cert: await Deno.readTextFile(certificate.cert),
    key: await Deno.readTextFile(certificate.key),
  });
  const { addr } = listener;
  const logged: string[] = [];
  await using chat = new Chat({ log: (message) => logged.push(message) });
  const served = chat.serve(listener);
  const silent = await TestClient.connect(addr);
  await using plain = await TestClient.connect(addr);
  await plain.send("hello\n");
  await plain.rest();
  const ann = linesOf(await connect(addr, certificate));
  const welcome = (await ann.read()).value;
  assertEquals(namesOf(chat).map((who) => `Welcome ${who}`), [welcome]);
  const closed = chat.close();
  await silent[Symbol.asyncDispose](); // Else Deno would keep its socket.
  await closed;
  await served;
  assertEquals(logged.length, 1);
  assertMatch(logged[0], new RegExp(`^Cannot secure ${plain.who}: `));
  await ann.cancel();
});

Deno.test({
  name: "SIGHUP has server.ts read its certificate again, and drops nobody",
  ignore: !UNIX,
  async fn() {
    await using certificate = await Certificate.make();
    await using server = await startServer(certificate.options, SERVER);
    const conn = await connect(server.addr, certificate);
    const ann = linesOf(conn);
    await ann.read();
    const old = await Deno.readTextFile(certificate.cert);
    await certificate.renew();
    server.kill("SIGHUP");
    let bob: ReadableStreamDefaultReader<string> | undefined;
    while (!bob) { // Until the new one is in use, it is not trusted.
      const conn = await connect(server.addr, certificate);
      await conn.handshake().then(
        () => bob = linesOf(conn),
        () => conn.close(),
      );
    }
    await bob.read();
    assertMatch((await ann.read()).value!, / is online$/);
    await conn.write(encoder.encode("still here\n"));
    assertMatch((await bob.read()).value!, /: still here$/);
    const { hostname, port } = server.addr;
    const late = await Deno.connectTls({ hostname, port, caCerts: [old] });
    await assertRejects(() => late.handshake(), Error);
    late.close();
    server.kill("SIGTERM");
    await ann.cancel();
    await bob.cancel();
    assertMatch(await server.stderr(), /^The certificate was renewed\n/);
  },
});

Deno.test({
  name: "a certificate that is no good is not taken at SIGHUP",
  ignore: !UNIX,
  async fn() {
    await using certificate = await Certificate.make();
    await using server = await startServer(certificate.options, SERVER);
    const caCerts = [await Deno.readTextFile(certificate.cert)];
    await Deno.writeTextFile(certificate.key, "rubbish");
    server.kill("SIGHUP");
    await server.says(/^The certificate was not renewed: No keys found/m);
    await Deno.remove(certificate.key);
    server.kill("SIGHUP");
    await server.says(/^The certificate was not renewed: .*no such file/m);
    const { hostname, port } = server.addr;
    const ann = linesOf(await Deno.connectTls({ hostname, port, caCerts }));
    assertMatch((await ann.read()).value!, /^Welcome /);
    await ann.cancel();
  },
});

for (
  const [what, args, says, code] of [
    ["a certificate without a key", ["--tls-cert=a"], "--tls-key", 2],
    ["a TLS port without a certificate", ["--tls-port=0"], "--tls-cert", 2],
    ["no file", ["--tls-cert=", "--tls-key="], "--tls-cert", 2],
    [
      "a certificate that is not there",
      ["--tls-cert=no.pem", "--tls-key=no.pem"],
      "Cannot read no.pem: there is no such file",
      1,
    ],
    [
      "a certificate that is none",
      ["--tls-cert=README.md", "--tls-key=README.md"],
      "No certificates found in certificate data",
      1,
    ],
  ] as const
) {
  Deno.test(`server.ts ends with ${code} for ${what}`, async () => {
    await using server = new Command("server.ts", [...args], SERVER);
    const stderr = await server.stderr();
    assertMatch(stderr, /^[^\n]+\n$/);
    assert(stderr.includes(says), stderr);
    assertEquals(await server.code(), code);
  });
}

Deno.test("server.ts does not take another certificate's key", async () => {
  await using one = await Certificate.make();
  await using other = await Certificate.make();
  await using server = new Command("server.ts", [
    "--tls-cert",
    one.cert,
    "--tls-key",
    other.key,
  ], SERVER);
  assertMatch(
    await server.stderr(),
    /^Cannot listen on localhost:8000: .*KeyMismatch\n$/,
  );
});

Deno.test("server.ts says that it needs -R for a certificate", async () => {
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

/** Has netcat.ts talk to a server with such a certificate, and say why it cannot. */
async function complaint(
  { cert, options }: Certificate,
  args: (port: string) => string[],
): Promise<string> {
  await using server = await startServer(options, SERVER);
  const { hostname, port } = server.addr;
  await using netcat = new Command(
    "netcat.ts",
    ["--ca", cert, ...args(`${port}`)],
    SERVER,
  );
  assertEquals(await netcat.code(), 1);
  const start = `Cannot connect to ${hostname}:${port}: `;
  const stderr = await netcat.stderr();
  assert(stderr.startsWith(start), stderr);
  return stderr.slice(start.length);
}

Deno.test("netcat.ts talks TLS with a server that it trusts", async () => {
  await using certificate = await Certificate.make();
  await using server = await startServer(certificate.options, SERVER);
  await using netcat = new Command("netcat.ts", [
    ...["--tls", "--ca", certificate.cert],
    ...["127.0.0.1", `${server.addr.port}`],
  ], SERVER);
  const who = (await netcat.line())!.replace("Welcome ", "");
  await netcat.write("the end");
  await netcat.closeStdin();
  assertEquals(await netcat.line(), `${who}: the end`);
  assertEquals(await netcat.code(), 0);
});

Deno.test("netcat.ts says that a certificate has expired", async () => {
  await using certificate = await Certificate.make();
  await certificate.expire();
  assertEquals(
    await complaint(certificate, (port) => ["--tls", "127.0.0.1", port]),
    "its certificate has expired\n",
  );
});

Deno.test("netcat.ts says that a certificate is for another name", async () => {
  await using certificate = await Certificate.make();
  await certificate.renew("DNS:example.org");
  assertEquals(
    await complaint(certificate, (port) => ["--tls", "127.0.0.1", port]),
    "its certificate is for another name\n",
  );
});

Deno.test("netcat.ts says that it does not trust a certificate", async () => {
  await using certificate = await Certificate.make();
  await using other = await Certificate.make();
  assertEquals(
    await complaint(
      certificate,
      (port) => ["--tls", "--ca", other.cert, "127.0.0.1", port],
    ),
    "its certificate is not trusted: see --ca\n",
  );
});

Deno.test("netcat.ts says that a server does not speak TLS", async () => {
  await using server = await startServer();
  const { hostname, port } = server.addr;
  await using netcat = new Command("netcat.ts", ["--tls", hostname, `${port}`]);
  assertEquals(
    await netcat.stderr(),
    `Cannot connect to ${hostname}:${port}: it does not speak TLS\n`,
  );
});

for (
  const [what, args, says] of [
    ["--ca without --tls", ["--ca=a"], "--ca is for --tls"],
    ["--unix with a port", ["--unix=a", "host", "1"], "--unix takes no host"],
    ["--unix with --tls", ["--unix=a", "--tls"], "--unix takes no host"],
    ["--unix without a path", ["--unix="], "take a file's path"],
  ] as const
) {
  Deno.test(`netcat.ts ends with 2 for ${what}`, async () => {
    await using netcat = new Command("netcat.ts", [...args]);
    const stderr = await netcat.stderr();
    assertMatch(stderr, /^[^\n]+\n$/);
    assert(stderr.includes(says), stderr);
    assertEquals(await netcat.code(), 2);
  });
}

Deno.test("netcat.ts says that it needs -R for a --ca", async () => {
  await using netcat = new Command("netcat.ts", ["--tls", "--ca=README.md"]);
  assertEquals(
    await netcat.stderr(),
    "Cannot connect to localhost:8000: README.md: reading files is not allowed, run with -R\n",
  );
});
