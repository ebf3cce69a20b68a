import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { TestClient } from "./clients.ts";
import { OPTIONS } from "../server/options.ts";
import {
  addressOf,
  Command,
  linuxTest,
  startInBash,
  startServer,
  unixTest,
} from "./commands.ts";

const MB = 1_000_000;
/** More than the system buffers for a connection, and less than the backlog. */
const LOTS = 12 * MB;

const CLOSING = "The server is shutting down";

const NUMERIC = [
  "--port",
  "--max-backlog",
  "--max-line",
  "--rate",
  "--max-clients",
  "--max-per-address",
  "--connect-rate",
  "--ipv6-prefix",
  "--history",
  "--idle",
];

/** Checks that the server refuses its arguments with one line on stderr. */
async function assertRefuses(
  args: string[],
  code: number,
  message: string,
  permissions?: string[],
): Promise<void> {
  await using server = new Command("server.ts", args, { permissions });
  assertEquals(await server.line(), undefined, `${args} is accepted`);
  assertEquals(await server.stderr(), `${message}\n`);
  assertEquals(await server.code(), code);
}

/** Sends lines of a total size, and receives them. */
async function talk(client: TestClient, bytes: number): Promise<void> {
  const text = "x".repeat(999);
  const lines = `${text}\n`.repeat(100);
  for (let sent = 0; sent < bytes; sent += lines.length) {
    await client.send(lines);
    for (const line of await client.lines(100)) {
      assertEquals(line, `${client.name}: ${text}`);
    }
  }
}

/** Makes the server log a client that does not read. Returns that line. */
async function causeLog(addr: Deno.NetAddr): Promise<string> {
  await using ann = await TestClient.join(addr); // Does not read.
  await using bob = await TestClient.join(addr);
  const line = `${"x".repeat(999)}\n`;
  do await bob.send(line); while (
    await bob.line() !== `${ann.name} is offline`
  );
  return `Dropped ${ann.name}: its backlog exceeds 1048576 bytes\n`;
}

Deno.test("the first line of the server ends with an address that accepts clients", async () => {
  await using server = new Command("server.ts", [
    "--hostname=127.0.0.1",
    "--port=0",
  ]);
  const [, port] = /127\.0\.0\.1:(\d+)$/.exec(await server.line() ?? "")!;
  await using ann = await TestClient.join({
    transport: "tcp",
    hostname: "127.0.0.1",
    port: Number(port),
  });
  await ann.send("hi\n");
  assertEquals(await ann.line(), `${ann.name}: hi`);
});

Deno.test("port 0 is a free port", async () => {
  await using one = await startServer();
  await using other = await startServer();
  assert(one.addr.port > 0 && other.addr.port > 0);
  assert(one.addr.port !== other.addr.port);
});

Deno.test("the server listens on a port that is given", async () => {
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

Deno.test("the server listens on each port that is given", async () => {
  await using server = await startServer(["--port", "0"]);
  const other = await addressOf(server);
  await using ann = await TestClient.join(server.addr);
  await using bob = await TestClient.join(other);
  assertEquals(await ann.line(), `${bob.name} is online`);
});

Deno.test("the server listens on this machine only by default", async () => {
  await using server = new Command("server.ts", ["--port", "0"]);
  assertMatch(await server.line() ?? "", / (127\.0\.0\.1|\[::1\]):\d+$/);
});

Deno.test("an IPv6 address is printed in brackets", async () => {
  await using server = new Command("server.ts", [
    "--hostname",
    "::1",
    "--port",
    "0",
  ]);
  assertMatch(await server.line() ?? "", / \[::1\]:\d+$/);
});

Deno.test("the server listens on an IPv6 address", async () => {
  await using server = await startServer(["--hostname", "::1"]);
  await using ann = await TestClient.join(server.addr);
  assertMatch(ann.name, /^\[::1\]:\d+$/);
});

/** Returns the lines of the room for a client, while another one joins and leaves. */
async function roomLines(addr: Deno.NetAddr): Promise<string[]> {
  await using ann = await TestClient.connect(addr);
  const start = await ann.lines(2);
  const bob = await TestClient.connect(addr);
  const online = await ann.line();
  await bob.end();
  await bob.rest();
  const lines = [...start, online, await ann.line()];
  return lines.map((line) =>
    line!.replace(ann.name, "ann").replace(bob.name, "bob")
  );
}

const ENGLISH = [
  "Welcome ann",
  "-- No one else is here. /help lists the commands",
  "bob is online",
  "bob is offline",
];
const CHINESE = [
  "欢迎 ann",
  "-- 这里还没有其他人。输入 /help 查看命令",
  "bob 上线",
  "bob 下线",
];

Deno.test("--lang is the language of the room", async () => {
  await using english = await startServer(["--lang", "en"], { lang: "zh_CN" });
  assertEquals(await roomLines(english.addr), ENGLISH);
  await using chinese = await startServer(["--lang", "zh"], { lang: "en_US" });
  assertEquals(await roomLines(chinese.addr), CHINESE);
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
  linuxTest(
    `the room is in ${
      expected === CHINESE ? "Chinese" : "English"
    } by default where LANG is "${lang}"`,
    async () => {
      await using server = await startServer([], { lang });
      assertEquals(await roomLines(server.addr), [...expected]);
    },
  );
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  unixTest(
    `the server informs its clients and exits with 0 on ${signal}`,
    async () => {
      await using server = await startServer();
      await using ann = await TestClient.join(server.addr);
      await using bob = await TestClient.join(server.addr);
      server.kill(signal);
      assertEquals(await bob.rest(), [CLOSING]);
      assertEquals(await ann.rest(), [`${bob.name} is online`, CLOSING]);
      assertEquals(await server.code(), 0);
      assertEquals(await server.stderr(), "");
    },
  );
}

unixTest("the server sends pending lines after a signal", async () => {
  await using server = await startServer();
  await using ann = await TestClient.join(server.addr);
  await using bob = await TestClient.join(server.addr);
  await talk(bob, LOTS); // Ann reads this after the signal.
  server.kill("SIGTERM");
  assertEquals(await bob.rest(), [CLOSING]);
  const lines = await ann.rest();
  assertEquals(lines.length, 1 + LOTS / 1000 + 1);
  assertEquals(lines.at(-1), CLOSING);
  assertEquals(await server.code(), 0);
});

unixTest(
  "the server exits after a signal although a client does not read",
  async () => {
    await using server = await startServer();
    await using _stuck = await TestClient.join(server.addr);
    await using bob = await TestClient.join(server.addr);
    await talk(bob, LOTS);
    const start = performance.now();
    server.kill("SIGTERM");
    assertEquals(await server.code(), 0);
    const seconds = (performance.now() - start) / 1000;
    // The limit is 2 seconds. Without it, the client would be closed after 30.
    assert(seconds < 10, `it took ${seconds} s`);
  },
);

unixTest("the server exits at once on a second signal", async () => {
  await using server = await startServer();
  await using _stuck = await TestClient.join(server.addr);
  await using bob = await TestClient.join(server.addr);
  await talk(bob, LOTS);
  server.kill("SIGTERM");
  assertEquals(await bob.line(), CLOSING);
  server.kill("SIGINT");
  // It would exit with 0 if it waited for the client that does not read.
  assertEquals(await server.code(), 1);
  assertEquals(await server.stderr(), "");
});

Deno.test("the server refuses an address that is in use", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const args = ["--hostname=127.0.0.1", `--port=${port}`];
  await assertRefuses(
    args,
    1,
    `Cannot listen on 127.0.0.1:${port}: address already in use, choose another --port or stop the other program`,
  );
  await assertRefuses(
    [...args, "--lang=zh"],
    1,
    `无法监听 127.0.0.1:${port}：地址已被占用，请换一个 --port 或停止另一个程序`,
  );
});

Deno.test("the server refuses an address that this machine does not have", async () => {
  const reason = "this machine does not have that address, see --hostname";
  // These addresses are reserved for documentation.
  for (const host of ["192.0.2.1", "2001:db8::1"]) {
    await assertRefuses(
      ["--hostname", host, "--port", "0"],
      1,
      `Cannot listen on ${
        host.includes(":") ? `[${host}]` : host
      }:0: ${reason}`,
    );
  }
});

Deno.test("the server refuses a host name that does not exist", async () => {
  const reason = "host not found, see --hostname";
  for (const host of ["x".repeat(300), "nobody.invalid"]) {
    await assertRefuses(
      ["--hostname", host, "--port", "0"],
      1,
      `Cannot listen on ${host}:0: ${reason}`,
    );
  }
});

Deno.test("the server names the permission that a port needs", async () => {
  await assertRefuses(
    ["--port=0", "--lang=en"],
    1,
    "Cannot listen on localhost:0: network access is not allowed, run with -N",
    [],
  );
});

for (const lang of ["en", "zh"] as const) {
  Deno.test(`the help has each option, in ${lang} and in 80 columns`, async () => {
    await using server = new Command("server.ts", ["-h", "--lang", lang], {
      permissions: [],
    });
    const help = new TextDecoder().decode(await server.stdout());
    for (const name of Object.keys(OPTIONS)) {
      assert(help.includes(`--${name}`), name);
    }
    for (const line of help.split("\n")) {
      const width = line.length + line.replace(/[^\u2e80-\uffff]/g, "").length;
      assert(width <= 80, line);
    }
    assertMatch(help, { en: /\(default 8000\)/, zh: /（默认 8000）/ }[lang]);
    assertEquals(await server.stderr(), "");
    assertEquals(await server.code(), 0);
  });
}

Deno.test("the help is in the language of the system", async () => {
  await using server = new Command("server.ts", ["--help"], { lang: "zh_CN" });
  const help = new TextDecoder().decode(await server.stdout());
  assertMatch(help, /用法：deno run -N server\.ts/);
});

Deno.test("the server prints its version", async () => {
  for (const option of ["--version", "-V"]) {
    await using server = new Command("server.ts", [option]);
    assertEquals(await server.line(), `linechat ${config.version}`);
    assertEquals(await server.line(), undefined);
    assertEquals(await server.stderr(), "");
    assertEquals(await server.code(), 0);
  }
});

for (const option of NUMERIC) {
  Deno.test(`the server accepts only integers in range for ${option}`, async () => {
    const { min, max } = OPTIONS[option.slice(2) as "rate"];
    const rule = `must be an integer from ${min} to ${max}`;
    const outside = [`${min - 1}`, `${max + 1}`];
    for (const value of ["x", "1x", "-1", "1.5", "1e3", "0x1", ...outside]) {
      await assertRefuses(
        ["--port=0", option, value],
        2,
        `Invalid ${option} ${value}: ${rule}`,
      );
    }
  });
}

for (
  const [option, form] of [
    ["--hostname", "NAME"],
    ["--port", "N"],
    ["--tls-port", "N"],
    ["--tls-cert", "FILE"],
    ["--unix", "PATH"],
    ["--lang", "en|zh"],
    ["--motd", "TEXT"],
    ["--log", "off|text|json"],
    ["--rate", "N"],
    ["--idle", "SECONDS"],
    ["--max-line", "BYTES"],
  ] as const
) {
  Deno.test(`the server refuses ${option} without a value`, async () => {
    const message = `Missing value for ${option}: write ${option} ${form}`;
    await assertRefuses(["--port=0", option], 2, message);
    await assertRefuses(["--port=0", `${option}=`], 2, message);
    await assertRefuses([option, "--no-commands"], 2, message);
  });
}

for (
  const [name, args, message] of [
    ["an unknown option", ["--foo"], "Unknown argument --foo: see --help"],
    [
      "an unknown option with a value",
      ["--foo=1"],
      "Unknown argument --foo=1: see --help",
    ],
    ["an unknown letter", ["-x"], "Unknown argument -x: see --help"],
    [
      "an unknown letter after a known one",
      ["-Vx"],
      "Unknown argument -Vx: see --help",
    ],
    ["an extra argument", ["8000"], "Unknown argument 8000: see --help"],
    [
      "an extra argument after --",
      ["--", "8000"],
      "Unknown argument 8000: see --help",
    ],
    ["an empty argument", [""], 'Unknown argument "": see --help'],
    [
      "an unknown language",
      ["--lang", "de"],
      "Invalid --lang de: must be en or zh",
    ],
    [
      "a language in capitals",
      ["--lang=ZH"],
      "Invalid --lang ZH: must be en or zh",
    ],
    [
      "a language of two lines",
      ["--lang=e\nn"],
      'Invalid --lang "e\\nn": must be en or zh',
    ],
    [
      "an unknown log",
      ["--log", "xml"],
      "Invalid --log xml: must be off, text, or json",
    ],
    [
      "a hostname of two lines",
      ["--hostname=a\nb"],
      'Invalid --hostname "a\\nb": must be a host name or an address',
    ],
    [
      "an invalid value in Chinese",
      ["--rate", "-1", "--lang", "zh"],
      "--rate 的值 -1 无效：必须是 0 到 1000000 之间的整数",
    ],
  ] as const
) {
  Deno.test(`the server refuses ${name}`, async () => {
    await assertRefuses(["--port=0", ...args], 2, message);
  });
}

linuxTest(
  "the server reports a stdout that cannot be written in one line",
  async () => {
    for (const option of ["--port=0", "--help", "--version"]) {
      await using server = startInBash('exec "$@" >/dev/full', [
        "--lang=en",
        option,
      ]);
      assertEquals(
        await server.stderr(),
        "Cannot write to stdout: the disk is full\n",
      );
      assertEquals(await server.code(), 1);
    }
  },
);

Deno.test("--connect-rate limits the new connections of an address", async () => {
  await using server = await startServer(["--connect-rate=2"]);
  await using _ann = await TestClient.join(server.addr);
  await using _bob = await TestClient.join(server.addr);
  await using carol = await TestClient.connect(server.addr);
  assertMatch(await carol.line() ?? "", /^Cannot enter: /);
  assertEquals(await carol.line(), undefined);
});

unixTest("the log goes to stderr and not to stdout", async () => {
  await using server = await startServer(["--max-backlog", "1048576"]);
  const log = await causeLog(server.addr);
  server.kill("SIGTERM");
  assertEquals(await server.line(), undefined);
  assertEquals(await server.stderr(), log);
  assertEquals(await server.code(), 0);
});

unixTest("the server continues when its stdout is closed", async () => {
  await using server = await startServer();
  await server.closeStdout();
  await using ann = await TestClient.join(server.addr);
  await ann.send("hi\n");
  assertEquals(await ann.line(), `${ann.name}: hi`);
  server.kill("SIGTERM");
  assertEquals(await ann.rest(), [CLOSING]);
  assertEquals(await server.code(), 0);
});

unixTest("the server continues when its stderr is closed", async () => {
  await using server = await startServer(["--max-backlog", "1048576"], {
    stderrClosed: true,
  });
  await causeLog(server.addr);
  await using ann = await TestClient.join(server.addr);
  server.kill("SIGTERM");
  assertEquals((await ann.rest()).at(-1), CLOSING);
  assertEquals(await server.code(), 0);
});

unixTest(
  "--log text logs joins, leaves and new names, but no messages",
  async () => {
    await using server = await startServer(["--log", "text"]);
    const ann = await TestClient.join(server.addr);
    await ann.send("/nick ann\nhello\n/me waves\n/quit\n");
    await ann.rest();
    server.kill("SIGTERM");
    const lines = (await server.stderr()).trimEnd().split("\n");
    for (const line of lines) assertMatch(line, /^\d{4}-\d\d-\d\dT[\d:.]+Z /);
    assertEquals(lines.map((line) => line.replace(/^\S+ /, "")), [
      `joined ${ann.name} 127.0.0.1`,
      `renamed ${ann.name} 127.0.0.1 ann`,
      "left ann 127.0.0.1",
    ]);
  },
);

unixTest(
  "--log json --log-messages logs each event and message as an object",
  async () => {
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
        ["joined", ann.name, "127.0.0.1", undefined],
        ["message", ann.name, "127.0.0.1", 'say "hi"'],
        ["left", ann.name, "127.0.0.1", undefined],
      ],
    );
  },
);

unixTest("no events are logged by default", async () => {
  await using server = await startServer();
  const ann = await TestClient.join(server.addr);
  await ann.send("hello\n/quit\n");
  await ann.rest();
  server.kill("SIGTERM");
  assertEquals(await server.code(), 0);
  assertEquals(await server.stderr(), "");
});

unixTest("--log json logs a failure as an object", async () => {
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
});

Deno.test("--log-messages alone logs as text", async () => {
  await using server = await startServer(["--log-messages"]);
  await using ann = await TestClient.join(server.addr);
  await ann.send("hello\n");
  await server.logs(/Z message \S+ \S+ hello$/m);
});

Deno.test("--motd, --history and --no-commands change the room", async () => {
  await using server = await startServer([
    "--motd=Be kind",
    "--history=1",
    "--no-commands",
  ]);
  await using ann = await TestClient.connect(server.addr);
  await ann.send("/one\n/two\n");
  assertEquals(await ann.lines(4), [
    `Welcome ${ann.name}`,
    "-- Be kind",
    `${ann.name}: /one`,
    `${ann.name}: /two`,
  ]);
  await using bob = await TestClient.connect(server.addr);
  assertEquals(await bob.lines(2), [`Welcome ${bob.name}`, "-- Be kind"]);
  assertMatch((await bob.line())!, /^-- History: 1 message, last at /);
  assertEquals(await bob.line(), `${ann.name}: /two`);
});

Deno.test("a flood of commands does not delay the lines of others", async () => {
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
  while (await ann.line() !== `${ann.name}: hello`);
  const answeredMeanwhile = answered;
  await Promise.all(floods);
  assert(answeredMeanwhile < answered / 2, `${answeredMeanwhile}`);
});
