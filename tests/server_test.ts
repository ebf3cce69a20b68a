import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { TestClient } from "./clients.ts";
import { Command, startServer, UNIX } from "./commands.ts";

const MB = 1_000_000;
/** Both more than the system's buffers of a connection and less than its backlog. */
const LOTS = 12 * MB;

const CLOSING = "The server is shutting down";

const NUMERIC = [
  "--port",
  "--max-backlog",
  "--max-line",
  "--rate",
  "--max-clients",
  "--max-per-address",
  "--history",
  "--idle",
];

/** Has the server print only one line, on stderr, that says this; and end so. */
async function assertFails(
  args: string[],
  code: number,
  says: string,
  permissions?: string[],
): Promise<void> {
  await using server = new Command("server.ts", args, { permissions });
  assertEquals(await server.line(), undefined, `${args} is taken`);
  const stderr = await server.stderr();
  assertMatch(stderr, /^[^\n]+\n$/);
  assert(stderr.includes(says), stderr);
  assertEquals(await server.code(), code);
}

/** Says so many bytes in the room, and hears them all. */
async function talk(client: TestClient, bytes: number): Promise<void> {
  const text = "x".repeat(999);
  const lines = `${text}\n`.repeat(100);
  for (let sent = 0; sent < bytes; sent += lines.length) {
    await client.send(lines);
    for (const line of await client.lines(100)) {
      assertEquals(line, `${client.who}: ${text}`);
    }
  }
}

/** Has the server log one line: that it drops a client which does not read. */
async function causeLog(addr: Deno.NetAddr): Promise<string> {
  await using ann = await TestClient.join(addr); // Reads nothing more.
  await using bob = await TestClient.join(addr);
  const line = `${"x".repeat(999)}\n`;
  do await bob.send(line); while (
    await bob.line() !== `${ann.who} is offline`
  );
  return `Dropped ${ann.who}: its backlog exceeds 1048576 bytes\n`;
}

Deno.test("server.ts says where it listens in its first line, and can be joined at once", async () => {
  await using server = new Command("server.ts", [
    "--hostname=127.0.0.1",
    "--port=0",
  ]);
  const [, port] = /127\.0\.0\.1:(\d+)$/.exec(await server.line() ?? "")!;
  const addr = {
    transport: "tcp",
    hostname: "127.0.0.1",
    port: +port,
  } as const;
  await using ann = await TestClient.join(addr);
  await ann.send("hi\n");
  assertEquals(await ann.line(), `${ann.who}: hi`);
});

Deno.test("server.ts picks a free port for port 0", async () => {
  await using one = await startServer();
  await using other = await startServer();
  assert(one.addr.port > 0 && other.addr.port > 0);
  assert(one.addr.port !== other.addr.port);
});

Deno.test("server.ts takes the port that it is given", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  for (const option of [["--port", `${port}`], [`-p${port}`]]) {
    await using server = new Command("server.ts", [
      "--hostname=127.0.0.1",
      ...option,
    ]);
    assertEquals(await server.line(), `Listening on 127.0.0.1:${port}`);
  }
});

Deno.test("server.ts is for this machine only, by default", async () => {
  await using server = new Command("server.ts", ["--port", "0"]);
  assertMatch(await server.line() ?? "", / (127\.0\.0\.1|\[::1\]):\d+$/);
});

Deno.test("server.ts writes an IPv6 address in brackets", async () => {
  await using server = new Command("server.ts", [
    "--hostname",
    "::1",
    "--port",
    "0",
  ]);
  assertMatch(await server.line() ?? "", / \[::1\]:\d+$/);
});

Deno.test("server.ts listens on an IPv6 address", async () => {
  await using server = await startServer(["--hostname", "::1"]);
  await using ann = await TestClient.join(server.addr);
  assertMatch(ann.who, /^\[::1\]:\d+$/);
});

/** What the room says to the first of two clients, of which the second leaves. */
async function words(addr: Deno.NetAddr): Promise<string[]> {
  await using ann = await TestClient.connect(addr);
  const welcome = await ann.line();
  const bob = await TestClient.connect(addr);
  const online = await ann.line();
  await bob.end();
  await bob.rest();
  const lines = [welcome, online, await ann.line()];
  return lines.map((line) =>
    line!.replace(ann.who, "ann").replace(bob.who, "bob")
  );
}

const ENGLISH = ["Welcome ann", "bob is online", "bob is offline"];
const CHINESE = ["欢迎 ann", "bob 上线", "bob 下线"];

Deno.test("server.ts speaks the language that it is told to", async () => {
  await using english = await startServer(["--lang", "en"], { lang: "zh_CN" });
  assertEquals(await words(english.addr), ENGLISH);
  await using chinese = await startServer(["--lang", "zh"], { lang: "en_US" });
  assertEquals(await words(chinese.addr), CHINESE);
});

for (
  const [lang, expected] of [
    ["zh_CN.UTF-8", CHINESE],
    ["zh_TW.UTF-8", CHINESE],
    ["zh", CHINESE],
    ["en_US.UTF-8", ENGLISH],
    ["de_DE.UTF-8", ENGLISH],
    ["C.UTF-8", ENGLISH],
    ["", ENGLISH],
  ] as const
) {
  Deno.test({
    name: `server.ts speaks ${
      expected === CHINESE ? "Chinese" : "English"
    } by default where LANG is "${lang}"`,
    // Elsewhere, the system's language is not told by the environment.
    ignore: Deno.build.os !== "linux",
    async fn() {
      await using server = await startServer([], { lang });
      assertEquals(await words(server.addr), [...expected]);
    },
  });
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test({
    name: `server.ts tells its clients and ends with 0 on ${signal}`,
    ignore: !UNIX,
    async fn() {
      await using server = await startServer();
      await using ann = await TestClient.join(server.addr);
      await using bob = await TestClient.join(server.addr);
      server.kill(signal);
      assertEquals(await bob.rest(), [CLOSING]);
      assertEquals(await ann.rest(), [`${bob.who} is online`, CLOSING]);
      assertEquals(await server.code(), 0);
      assertEquals(await server.stderr(), "");
    },
  });
}

Deno.test({
  name: "server.ts sends all that was said before a signal",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer();
    await using ann = await TestClient.join(server.addr);
    await using bob = await TestClient.join(server.addr);
    await talk(bob, LOTS); // Ann reads it only after the signal.
    server.kill("SIGTERM");
    assertEquals(await bob.rest(), [CLOSING]);
    const heard = await ann.rest();
    assertEquals(heard.length, 1 + LOTS / 1000 + 1);
    assertEquals(heard.at(-1), CLOSING);
    assertEquals(await server.code(), 0);
  },
});

Deno.test({
  name: "server.ts ends within 3 seconds of a signal, whoever does not read",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer();
    await using _stuck = await TestClient.join(server.addr);
    await using bob = await TestClient.join(server.addr);
    await talk(bob, LOTS);
    const start = performance.now();
    server.kill("SIGTERM");
    assertEquals(await server.code(), 0);
    const seconds = (performance.now() - start) / 1000;
    assert(seconds < 3, `it took ${seconds} s`);
  },
});

Deno.test({
  name: "server.ts ends at once on a second signal, even if a client is stuck",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer();
    await using _stuck = await TestClient.join(server.addr);
    await using bob = await TestClient.join(server.addr);
    await talk(bob, LOTS);
    server.kill("SIGTERM");
    assertEquals(await bob.line(), CLOSING);
    server.kill("SIGINT");
    // If it had waited for the stuck client after all, it would end with 0.
    assertEquals(await server.code(), 1);
    assertEquals(await server.stderr(), "");
  },
});

Deno.test("server.ts ends with 1 if the address is in use", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  await using server = new Command("server.ts", [
    "--hostname=127.0.0.1",
    `--port=${port}`,
  ]);
  assertEquals(await server.line(), undefined);
  assertEquals(
    await server.stderr(),
    `Cannot listen on 127.0.0.1:${port}: the address is already in use\n`,
  );
  assertEquals(await server.code(), 1);
});

Deno.test("server.ts ends with 1 if it cannot have the hostname", async () => {
  // An address of the documentation's network; what is too long for a name.
  for (const hostname of ["192.0.2.1", "2001:db8::1", "x".repeat(300)]) {
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    await assertFails(
      ["--hostname", hostname, "--port", "0"],
      1,
      `Cannot listen on ${host}:0: `,
    );
  }
});

Deno.test("server.ts ends with 1 if it is not allowed the network", async () => {
  await assertFails(["--port=0"], 1, "run with -N", []);
});

Deno.test("server.ts needs no permission to say what it takes", async () => {
  for (const option of ["--help", "-h"]) {
    await using server = new Command("server.ts", [option], {
      permissions: [],
    });
    const help = new TextDecoder().decode(await server.stdout());
    for (const name of [...NUMERIC, "--hostname", "--lang", "-p", "-V"]) {
      assert(help.includes(`${name} `) || help.includes(`${name},`), name);
    }
    assertEquals(await server.stderr(), "");
    assertEquals(await server.code(), 0);
  }
});

Deno.test("server.ts says its version", async () => {
  for (const option of ["--version", "-V"]) {
    await using server = new Command("server.ts", [option]);
    assertEquals(await server.line(), `chat-server ${config.version}`);
    assertEquals(await server.line(), undefined);
    assertEquals(await server.stderr(), "");
    assertEquals(await server.code(), 0);
  }
});

for (const option of NUMERIC) {
  Deno.test(`server.ts takes nothing but a number in range for ${option}`, async () => {
    for (
      const value of ["", "x", "1x", "-1", "1.5", "1e3", "0x1", "9".repeat(12)]
    ) {
      await assertFails(["--port=0", `${option}=${value}`], 2, option);
    }
    await assertFails(["--port=0", option], 2, option); // Without a value.
  });
}

Deno.test("server.ts takes no 0 where nothing would work", async () => {
  for (const option of ["--max-backlog", "--max-line", "--max-clients"]) {
    await assertFails(["--port=0", option, "0"], 2, option);
  }
});

for (
  const [what, args, says] of [
    ["an unknown option", ["--foo"], "--foo"],
    ["an unknown option with a value", ["--foo=1"], "--foo"],
    ["an unknown letter", ["-x"], "-x"],
    ["a letter that is unknown among known ones", ["-Vx"], "-Vx"],
    ["an extra argument", ["8000"], "8000"],
    ["an extra argument after --", ["--", "8000"], "8000"],
    ["an empty argument", [""], '""'],
    ["a negative number that stands alone", ["--port", "-1"], "-1"],
    ["an unknown language", ["--lang", "de"], "--lang"],
    ["an unknown log", ["--log", "xml"], "--log"],
    ["a language in capitals", ["--lang=ZH"], "--lang"],
    ["an empty language", ["--lang="], "--lang"],
    ["no language", ["--lang"], "--lang"],
    ["an empty hostname", ["--hostname="], "--hostname"],
    ["a hostname of two lines", ["--hostname=a\nb"], "--hostname"],
    ["a language of two lines", ["--lang=e\nn"], "--lang"],
  ] as const
) {
  Deno.test(`server.ts ends with 2 for ${what}`, async () => {
    await assertFails(["--port=0", ...args], 2, says);
  });
}

Deno.test({
  name: "server.ts logs to stderr, not to stdout",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer(["--max-backlog", "1048576"]);
    const log = await causeLog(server.addr);
    server.kill("SIGTERM");
    assertEquals(await server.line(), undefined);
    assertEquals(await server.stderr(), log);
    assertEquals(await server.code(), 0);
  },
});

Deno.test({
  name: "server.ts goes on when its stdout is closed",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer();
    await server.closeStdout();
    await using ann = await TestClient.join(server.addr);
    await ann.send("hi\n");
    assertEquals(await ann.line(), `${ann.who}: hi`);
    server.kill("SIGTERM");
    assertEquals(await ann.rest(), [CLOSING]);
    assertEquals(await server.code(), 0);
  },
});

Deno.test({
  name: "server.ts goes on when its stderr is closed",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer(["--max-backlog", "1048576"], {
      stderrClosed: true,
    });
    await causeLog(server.addr);
    await using ann = await TestClient.join(server.addr);
    server.kill("SIGTERM");
    assertEquals((await ann.rest()).at(-1), CLOSING);
    assertEquals(await server.code(), 0);
  },
});

Deno.test({
  name: "server.ts logs who comes, goes and is renamed, but not what is said",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer(["--log", "text"]);
    const ann = await TestClient.join(server.addr);
    await ann.send("/nick ann\nhello\n/me waves\n/quit\n");
    await ann.rest();
    server.kill("SIGTERM");
    const lines = (await server.stderr()).trimEnd().split("\n");
    for (const line of lines) assertMatch(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z /);
    assertEquals(lines.map((line) => line.replace(/^\S+ /, "")), [
      `joined ${ann.who} 127.0.0.1`,
      `renamed ${ann.who} 127.0.0.1 ann`,
      "left ann 127.0.0.1",
    ]);
  },
});

Deno.test({
  name:
    "server.ts --log json --log-messages logs an object a line, and what is said",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer(["--log=json", "--log-messages"]);
    const ann = await TestClient.join(server.addr);
    await ann.send('say "hi"\n/quit\n');
    await ann.rest();
    server.kill("SIGTERM");
    const lines = (await server.stderr()).trimEnd().split("\n");
    const events = lines.map((line) => JSON.parse(line));
    assert(
      events.every(({ time }) =>
        Math.abs(Date.parse(time) - Date.now()) < 60_000
      ),
    );
    assertEquals(
      events.map((
        { type, name, address, text },
      ) => [type, name, address, text]),
      [
        ["joined", ann.who, "127.0.0.1", undefined],
        ["message", ann.who, "127.0.0.1", 'say "hi"'],
        ["left", ann.who, "127.0.0.1", undefined],
      ],
    );
  },
});

Deno.test({
  name: "server.ts logs nothing of the room by default",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer();
    const ann = await TestClient.join(server.addr);
    await ann.send("hello\n/quit\n");
    await ann.rest();
    server.kill("SIGTERM");
    assertEquals(await server.code(), 0);
    assertEquals(await server.stderr(), "");
  },
});

Deno.test({
  name: "server.ts logs a failure in the log's own form",
  ignore: !UNIX,
  async fn() {
    await using server = await startServer([
      "--log=json",
      "--max-backlog=1048576",
    ]);
    const log = await causeLog(server.addr);
    server.kill("SIGTERM");
    const failures = (await server.stderr()).trimEnd().split("\n")
      .map((line) => JSON.parse(line))
      .filter(({ type }) => type === "failure");
    assertEquals(failures.map(({ message }) => `${message}\n`), [log]);
  },
});

Deno.test("server.ts --log-messages alone logs as text", async () => {
  await using server = await startServer(["--log-messages"]);
  await using ann = await TestClient.join(server.addr);
  await ann.send("hello\n");
  await server.says(/Z message \S+ \S+ hello$/m);
});

Deno.test("server.ts takes a message of the day, a history, and no commands", async () => {
  await using server = await startServer([
    "--motd=Be kind",
    "--history=1",
    "--no-commands",
  ]);
  await using ann = await TestClient.join(server.addr);
  await ann.send("/one\n/two\n");
  assertEquals(await ann.lines(3), [
    "-- Be kind",
    `${ann.who}: /one`,
    `${ann.who}: /two`,
  ]);
  await using bob = await TestClient.join(server.addr);
  assertEquals(await bob.lines(2), ["-- Be kind", `${ann.who}: /two`]);
});

Deno.test("server.ts has a flood of commands not hold up what others say", async () => {
  await using server = await startServer();
  const count = 20_000;
  let answered = 0;
  const floods = Array.from({ length: 4 }, async () => {
    const flooder = await TestClient.connect(server.addr);
    const sent = flooder.send("/foo\n".repeat(count)).then(() => flooder.end());
    while (await flooder.line() !== undefined) answered++;
    await sent;
  });
  await using ann = await TestClient.join(server.addr);
  await ann.send("hello\n");
  while (await ann.line() !== `${ann.who}: hello`);
  const answeredMeanwhile = answered;
  await Promise.all(floods);
  assert(answeredMeanwhile < answered / 2, `${answeredMeanwhile}`);
});
