import { assert, assertEquals, assertMatch } from "@std/assert";

import config from "../deno.json" with { type: "json" };
import {
  Command,
  type CommandOptions,
  linuxTest,
  startServer,
} from "./commands.ts";
import { listenForReset } from "./room.ts";

const encoder = new TextEncoder();

/** 20 MB of different lines. */
const LINES = encoder.encode(
  Array.from({ length: 1_250_000 }, (_, i) => `line ${1e9 + i}\n`).join(""),
);
/** 20 MB of binary data, with NUL, line ends and invalid UTF-8. */
const BINARY = new Uint8Array(
  Uint32Array.from({ length: 5_000_000 }, (_, i) => Math.imul(i, 0x9e3779b1))
    .buffer,
);

/** Asserts that bytes are equal. Compares hashes, since assertEquals is slow for 20 MB. */
async function assertBytes(actual: Uint8Array, expected: Uint8Array) {
  const digest = async (bytes: Uint8Array) => ({
    length: bytes.length,
    sha256: new Uint8Array(
      await crypto.subtle.digest("SHA-256", new Uint8Array(bytes)),
    ).toHex(),
  });
  assertEquals(await digest(actual), await digest(expected));
}

/** A process of netcat.ts, and the other end of its connection. */
class Pair implements AsyncDisposable {
  private constructor(
    readonly netcat: Command,
    readonly peer: Deno.TcpConn,
  ) {}

  static async open(hostname = "127.0.0.1"): Promise<Pair> {
    using listener = Deno.listen({ hostname, port: 0 });
    const { port } = listener.addr;
    const netcat = new Command("netcat.ts", [hostname, `${port}`]);
    return new Pair(netcat, await listener.accept());
  }

  /** Sends bytes to netcat.ts. */
  async send(bytes: Uint8Array): Promise<void> {
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.peer.write(bytes));
    }
  }

  /** Receives the output of netcat.ts to its end. The other direction stays open. */
  async receive(): Promise<Uint8Array> {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    const buffer = new Uint8Array(65_536);
    for (let n; (n = await this.peer.read(buffer)) !== null;) {
      chunks.push(buffer.slice(0, n));
    }
    return new Blob(chunks).bytes();
  }

  hangUp(): void {
    this.peer.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.netcat[Symbol.asyncDispose]();
    try {
      this.peer.close();
    } catch {
      // The test has closed it.
    }
  }
}

/** Asserts that netcat.ts only prints a line on stderr, and exits with a code. */
async function assertFails(
  args: string[],
  code: number,
  start: string,
  options?: CommandOptions,
): Promise<void> {
  await using netcat = new Command("netcat.ts", args, options);
  assertEquals(await netcat.line(), undefined);
  const stderr = await netcat.stderr();
  assertMatch(stderr, /^[^\n]+\n$/);
  assert(stderr.startsWith(start), stderr);
  assertEquals(await netcat.code(), code);
}

for (const [what, bytes] of [["lines", LINES], ["binary", BINARY]] as const) {
  Deno.test(`netcat.ts sends 20 MB from stdin unchanged: ${what}`, async () => {
    await using pair = await Pair.open();
    const { netcat } = pair;
    const sent = netcat.write(bytes).then(() => netcat.closeStdin());
    await assertBytes(await pair.receive(), bytes);
    await sent;
  });

  Deno.test(`netcat.ts prints 20 MB from the server unchanged: ${what}`, async () => {
    await using pair = await Pair.open();
    const sent = pair.send(bytes).then(() => pair.hangUp());
    await assertBytes(await pair.netcat.stdout(), bytes);
    await sent;
    assertEquals(await pair.netcat.code(), 0);
    assertEquals(await pair.netcat.stderr(), "done\n");
  });
}

Deno.test("netcat.ts copies in both directions at the same time", async () => {
  await using pair = await Pair.open();
  const { netcat } = pair;
  const sent = netcat.write(LINES).then(() => netcat.closeStdin());
  const answered = pair.send(BINARY);
  const received = pair.receive();
  const printed = netcat.stdout();
  // When the server closes, netcat.ts ends and does not send the rest.
  await Promise.all([sent, answered, received]);
  await pair.peer.closeWrite();
  await assertBytes(await received, LINES);
  await assertBytes(await printed, BINARY);
});

Deno.test("netcat.ts sends input at once", async () => {
  await using pair = await Pair.open();
  const buffer = new Uint8Array(10);
  for (const text of ["a", "bc\n"]) {
    await pair.netcat.write(text);
    const n = await pair.peer.read(buffer);
    assertEquals(buffer.subarray(0, n!), encoder.encode(text));
  }
});

Deno.test("netcat.ts sends --name after the welcome, and then its input unchanged", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  await using netcat = new Command(
    "netcat.ts",
    ["--name", "安", "127.0.0.1", `${port}`],
  );
  using peer = await listener.accept();
  await netcat.write("a\0b");
  await netcat.closeStdin();
  await peer.write(encoder.encode("Welcome 127.0.0.1:1\n"));
  const chunks = await Array.fromAsync(peer.readable);
  assertEquals(
    await new Blob(chunks.map((chunk) => chunk.slice())).text(),
    "/nick 安\na\0b",
  );
});

Deno.test("netcat.ts prints escape sequences unchanged, and no colours and hints", async () => {
  await using pair = await Pair.open();
  const text = "Welcome 127.0.0.1:1\nbob: \x1b[31mhi\r\n";
  await pair.send(encoder.encode(text));
  pair.hangUp();
  assertEquals(
    new TextDecoder().decode(await pair.netcat.stdout()),
    text,
  );
});

Deno.test("netcat.ts prints output of the server at once", async () => {
  await using pair = await Pair.open();
  for (const line of ["one", "two"]) {
    await pair.send(encoder.encode(`${line}\n`));
    assertEquals(await pair.netcat.line(), line);
  }
});

Deno.test("netcat.ts shuts down only its sending side when stdin ends", async () => {
  await using pair = await Pair.open();
  await pair.netcat.write("bye");
  await pair.netcat.closeStdin();
  assertEquals(await pair.receive(), encoder.encode("bye"));
  await pair.send(encoder.encode("still there?\n"));
  assertEquals(await pair.netcat.line(), "still there?");
  pair.hangUp();
  assertEquals(await pair.netcat.code(), 0);
});

Deno.test("netcat.ts ends when the server closes, while stdin is still open", async () => {
  await using pair = await Pair.open();
  await pair.send(encoder.encode("bye\n"));
  pair.hangUp();
  assertEquals(await pair.netcat.line(), "bye");
  assertEquals(await pair.netcat.line(), undefined);
  assertEquals(await pair.netcat.stderr(), "done\n");
  assertEquals(await pair.netcat.code(), 0);
});

Deno.test("netcat.ts ends without a message when stdout is closed", async () => {
  await using pair = await Pair.open();
  await pair.send(encoder.encode("one\n"));
  assertEquals(await pair.netcat.line(), "one");
  await pair.netcat.closeStdout();
  await pair.send(encoder.encode("two\n"));
  assertEquals(await pair.netcat.code(), 0);
  assertEquals(await pair.netcat.stderr(), "");
});

Deno.test("netcat.ts ends with 1 if the connection is refused", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const message = `Cannot connect to 127.0.0.1:${port}: connection refused\n`;
  await assertFails(["127.0.0.1", `${port}`], 1, message);
});

Deno.test("netcat.ts ends with 1 if the connection is reset", async () => {
  const { port, accepted } = await listenForReset();
  await using netcat = new Command("netcat.ts", ["127.0.0.1", `${port}`]);
  const peer = await accepted;
  peer.write("hello\n");
  assertEquals(await netcat.line(), "hello");
  peer.resetAndDestroy();
  assertEquals(await netcat.line(), undefined);
  assertEquals(
    await netcat.stderr(),
    `Cannot read from 127.0.0.1:${port}: connection reset\n`,
  );
  assertEquals(await netcat.code(), 1);
});

Deno.test("netcat.ts ends without a stack trace if it is reset while it sends", async () => {
  await using pair = await Pair.open();
  // netcat.ts does not read all of its input.
  const sent = pair.netcat.write(LINES).catch(() => {});
  await pair.peer.read(new Uint8Array(1));
  pair.hangUp();
  // Either reading or writing fails first.
  assertMatch(
    await pair.netcat.stderr(),
    /^(done|Cannot read from [^\n]+)\n$/,
  );
  assert([0, 1].includes(await pair.netcat.code()));
  await sent;
});

/** Runs netcat.ts in a shell with redirections. */
async function redirected(redirections: string) {
  await using server = await startServer();
  const { code, stderr } = await new Deno.Command("sh", {
    args: [
      "-c",
      `"$0" run -N netcat.ts 127.0.0.1 "$1" ${redirections}`,
      Deno.execPath(),
      `${server.addr.port}`,
    ],
    cwd: new URL("..", import.meta.url),
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

linuxTest("netcat.ts reports a failure of stdin and of stdout", async () => {
  const input = await redirected("</");
  assertEquals(input.stderr, "Cannot read from stdin: it is a directory\n");
  assertEquals(input.code, 1);
  const output = await redirected("</dev/null >/dev/full");
  assertEquals(output.stderr, "Cannot write to stdout: the disk is full\n");
  assertEquals(output.code, 1);
});

Deno.test("netcat.ts ends with 1 without the permission for the network", async () => {
  await assertFails(
    ["127.0.0.1", "1"],
    1,
    "Cannot connect to 127.0.0.1:1: network access is not allowed",
    { permissions: [] },
  );
});

Deno.test("netcat.ts ends with 1 for a --ca file without a certificate", async () => {
  await assertFails(
    ["--tls", "--ca", "README.md", "127.0.0.1:1"],
    1,
    "Cannot connect to 127.0.0.1:1: README.md: it contains no certificate",
    { permissions: ["-N", "-R"] },
  );
});

Deno.test("netcat.ts ends with 1 for a host name that is too long", async () => {
  const host = "x".repeat(300); // too long for a name
  await assertFails([host, "1"], 1, `Cannot connect to ${host}:1: `);
});

Deno.test("netcat.ts connects to an IPv6 address", async () => {
  await using pair = await Pair.open("::1");
  await pair.send(encoder.encode("hello\n"));
  assertEquals(await pair.netcat.line(), "hello");
});

for (
  const [what, args, start] of [
    ["an unknown option", ["--foo"], "Unknown argument --foo"],
    ["an unknown letter", ["-x"], "Unknown argument -x"],
    ["an option with the name _", ["--_"], "Unknown argument"],
    ["an extra argument", ["::1", "1", "2"], "Unknown argument 2"],
    ["an extra argument after --", ["--", "::1", "1", "2"], "Unknown argument"],
    ["an empty host", ["", "1"], "Invalid host"],
    ["a host of two lines", ["a\nb", "1"], 'Invalid host "a\\nb"'],
    ["another scheme", ["http://localhost:1"], "Invalid host"],
    ["a port alone", ["8000"], "Invalid host 8000"],
    [
      "an IPv6 address with a port",
      ["::1:8000"],
      "Invalid host ::1:8000: for port 8000, write [::1]:8000;",
    ],
    ["an empty port", ["::1", ""], 'Invalid port ""'],
    ["a port that is a word", ["::1", "http"], "Invalid port http"],
    ["a hexadecimal port", ["::1", "0x50"], "Invalid port 0x50"],
    ["port 0", ["::1", "0"], "Invalid port 0"],
    ["a port out of range", ["::1", "65536"], "Invalid port 65536"],
    ["--port out of range", ["--port", "0"], "Invalid --port 0"],
    ["two ports", ["localhost:1", "-p", "2"], "The port is given twice"],
    ["a negative port", ["::1", "-1"], "Unknown argument -1"],
    ["no name", ["--name"], "Missing value for --name"],
    ["an empty name", ["--name", "", "::1"], "Missing value for --name"],
    ["a name of two words", ["--name", "a b"], 'Invalid --name "a b"'],
    ["a name of two lines", ["--name=a\nb"], 'Invalid --name "a\\nb"'],
    ["a name too long", ["--name", "a".repeat(33)], "Invalid --name"],
    ["an unknown bell", ["--bell", "loud"], "Invalid --bell loud"],
    ["--ca without --tls", ["--ca=a"], "--ca needs --tls"],
    ["--unix with a port", ["--unix=a", "host", "1"], "--unix takes no host"],
    ["--unix with --tls", ["--unix=a", "--tls"], "--unix takes no host"],
    ["--unix without a path", ["--unix="], "Missing value for --unix"],
    [
      "--no-time without a terminal",
      ["--no-time", "::1", "1"],
      "Cannot use --no-time: stdin and stdout must be terminals",
    ],
    [
      "--reconnect without a terminal",
      ["--reconnect", "::1", "1"],
      "Cannot use --reconnect",
    ],
  ] as const
) {
  Deno.test(`netcat.ts ends with 2 for ${what}`, async () => {
    await assertFails([...args], 2, start);
  });
}

Deno.test("netcat.ts explains wrong usage in the language of --lang", async () => {
  await assertFails(["--lang", "zh", "8000"], 2, "主机的值 8000 无效");
});

for (
  const form of [
    (port: number) => [`127.0.0.1:${port}`],
    (port: number) => ["127.0.0.1", "-p", `${port}`],
    (port: number) => [`--port=${port}`, "127.0.0.1"],
    (port: number) => [`linechat://127.0.0.1:${port}`],
  ]
) {
  Deno.test(`netcat.ts connects to ${form(8000).join(" ")}`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using netcat = new Command("netcat.ts", form(listener.addr.port));
    using peer = await listener.accept();
    await peer.write(encoder.encode("hello\n"));
    assertEquals(await netcat.line(), "hello");
  });
}

Deno.test("netcat.ts connects to [::1]:PORT", async () => {
  using listener = Deno.listen({ hostname: "::1", port: 0 });
  await using netcat = new Command(
    "netcat.ts",
    [`[::1]:${listener.addr.port}`],
  );
  using peer = await listener.accept();
  await peer.write(encoder.encode("hello\n"));
  assertEquals(await netcat.line(), "hello");
});

Deno.test("netcat.ts ends with 1 and the reason if the server refuses it", async () => {
  await using pair = await Pair.open();
  const reason = "Cannot enter: the room is full\n";
  await pair.send(encoder.encode(reason));
  pair.hangUp();
  assertEquals(new TextDecoder().decode(await pair.netcat.stdout()), reason);
  assertEquals(await pair.netcat.stderr(), reason);
  assertEquals(await pair.netcat.code(), 1);
});

Deno.test("netcat.ts ends with 1 if the server refuses its password", async () => {
  await using pair = await Pair.open();
  const reason = "Cannot enter: wrong password\n";
  await pair.send(encoder.encode(`-- Password:\n${reason}`));
  pair.hangUp();
  assertEquals(await pair.netcat.stderr(), reason);
  assertEquals(await pair.netcat.code(), 1);
});

Deno.test("netcat.ts handles a refusal after the first line as text", async () => {
  await using pair = await Pair.open();
  await pair.send(encoder.encode("hi\nCannot enter: the room is full\n"));
  pair.hangUp();
  assertEquals(await pair.netcat.stderr(), "done\n");
  assertEquals(await pair.netcat.code(), 0);
});

Deno.test("netcat.ts needs no permission for --help", async () => {
  for (const option of ["--help", "-h"]) {
    await using netcat = new Command("netcat.ts", [option], {
      permissions: [],
    });
    const help = new TextDecoder().decode(await netcat.stdout());
    assertMatch(
      help,
      /^Usage: deno run -N netcat\.ts \[options\] \[SERVER\]$/m,
    );
    for (const form of ["-p, --port PORT", "--name NAME", "--no-time"]) {
      assertMatch(help, new RegExp(`^ +${form} `, "m"));
    }
    for (const heading of ["Keys", "Exit codes", "Examples"]) {
      assertMatch(help, new RegExp(`^${heading}.*:$`, "m"));
    }
    for (const line of help.split("\n")) assert(line.length <= 80, line);
    assertEquals(await netcat.stderr(), "");
    assertEquals(await netcat.code(), 0);
  }
});

Deno.test("netcat.ts prints its version", async () => {
  for (const option of ["--version", "-V"]) {
    await using netcat = new Command("netcat.ts", [option]);
    assertEquals(await netcat.line(), `linechat-netcat ${config.version}`);
    assertEquals(await netcat.line(), undefined);
    assertEquals(await netcat.code(), 0);
  }
});

/** Starts netcat.ts as a client of a server, and reads its name. */
async function join({ hostname, port }: Deno.NetAddr) {
  const netcat = new Command("netcat.ts", [hostname, `${port}`]);
  const name = (await netcat.line())?.replace("Welcome ", "");
  await netcat.line(); // The greeting.
  return Object.assign(netcat, { name });
}

Deno.test("two clients chat through the server", async () => {
  await using server = await startServer();
  await using ann = await join(server.addr);
  await using bob = await join(server.addr);
  assertEquals(await ann.line(), `${bob.name} is online`);
  await ann.write("hello\n");
  assertEquals(await bob.line(), `${ann.name}: hello`);
  assertEquals(await ann.line(), `${ann.name}: hello`);
  await bob.write("你好");
  await bob.closeStdin();
  assertEquals(await bob.line(), `${bob.name}: 你好`);
  assertEquals(await bob.line(), undefined);
  assertEquals(await bob.stderr(), "done\n");
  assertEquals(await bob.code(), 0);
  assertEquals(await ann.line(), `${bob.name}: 你好`);
  assertEquals(await ann.line(), `${bob.name} is offline`);
});

Deno.test("netcat.ts receives all that it sends from the server", async () => {
  await using server = await startServer();
  await using ann = await join(server.addr);
  const sent = ann.write(LINES).then(() => ann.closeStdin());
  let count = 0;
  for (let line; (line = await ann.line()) !== undefined;) {
    assertEquals(line, `${ann.name}: line ${1e9 + count}`);
    count++;
  }
  await sent;
  assertEquals(count, 1_250_000);
});

/** Starts a server with a password. Returns its address and a file with a password. */
async function startClosed(password: string) {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "correct horse\n");
  const server = await startServer(["--password-file", path], {
    permissions: ["-N", "-R"],
  });
  await Deno.writeTextFile(path, `${password}\nnot this line\n`);
  return {
    server,
    path,
    address: `127.0.0.1:${server.addr.port}`,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(path);
    },
  };
}

for (const isInFile of [true, false]) {
  const origin = isInFile ? "--password-file" : "the first line of stdin";
  Deno.test(`netcat.ts sends the password of ${origin}, --name and stdin in this order`, async () => {
    await using closed = await startClosed("correct horse");
    const args = isInFile ? ["--password-file", closed.path] : [];
    await using netcat = new Command(
      "netcat.ts",
      [...args, "--name", "ann", closed.address],
      { permissions: ["-N", "-R"] },
    );
    await netcat.write(isInFile ? "hello\nbye" : "correct horse\nhello\nbye");
    await netcat.closeStdin();
    const output = new TextDecoder().decode(await netcat.stdout());
    assertMatch(output, /^-- Password:\nWelcome /);
    assertMatch(output, / is now known as ann\nann: hello\nann: bye\n$/);
    assertEquals(await netcat.stderr(), "done\n");
    assertEquals(await netcat.code(), 0);
  });
}

Deno.test("netcat.ts sends a wrong password once, and no other lines", async () => {
  await using closed = await startClosed("battery");
  await using netcat = new Command(
    "netcat.ts",
    ["--password-file", closed.path, "--name", "ann", closed.address],
    { permissions: ["-N", "-R"] },
  );
  await netcat.write("hello\n");
  assertEquals(await netcat.line(), "-- Password:");
  assertEquals(await netcat.stderr(), "Cannot enter: wrong password\n");
  assertEquals(await netcat.code(), 1);
  closed.server.kill("SIGTERM");
  assertMatch(
    await closed.server.stderr(),
    /^Wrong password from 127\.0\.0\.1:\d+\n$/,
  );
});

Deno.test("netcat.ts does not send the password to a room without one", async () => {
  await using closed = await startClosed("battery");
  await using server = await startServer();
  await using netcat = new Command(
    "netcat.ts",
    ["--password-file", closed.path, `127.0.0.1:${server.addr.port}`],
    { permissions: ["-N", "-R"] },
  );
  await netcat.write("hello\n");
  await netcat.closeStdin();
  const output = new TextDecoder().decode(await netcat.stdout());
  assertMatch(output, /^Welcome .*\n-- .*\n\S+: hello\n$/);
});

Deno.test("netcat.ts ends with 1 for a --password-file that it cannot read", async () => {
  await assertFails(
    ["--password-file", "missing.txt", "127.0.0.1:1"],
    1,
    "Cannot read missing.txt: no such file or directory",
    { permissions: ["-N", "-R"] },
  );
});
