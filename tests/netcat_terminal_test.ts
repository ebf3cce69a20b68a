/** netcat.ts where stdin and stdout are terminals. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { formatAddress } from "../mod.ts";
import { namesOf, openChat, SocketClient } from "./clients.ts";
import { Terminal, type TerminalOptions, terminalTest } from "./terminal.ts";

const encoder = new TextEncoder();
const HINT = "/help lists the commands, Ctrl-D leaves";

// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
/** What the client itself does: the editor's movements, dim and colours. */
// deno-lint-ignore no-control-regex
const OWN_ESCAPES = /\x1b\[(?:\d*[ACDGJ]|2m|22m|38;5;\d+m|39m)/g;

/** A server's end of netcat's connection. */
class Peer extends SocketClient {
  readonly who: string;

  constructor(conn: Deno.TcpConn) {
    // Not its own, which closes both sides at the end of what it reads.
    super(
      conn,
      new ReadableStream({
        async pull(controller) {
          const buffer = new Uint8Array(4096);
          const length = await conn.read(buffer);
          if (length === null) controller.close();
          else controller.enqueue(buffer.subarray(0, length));
        },
      }),
    );
    const { hostname, port } = conn.remoteAddr;
    this.who = formatAddress(hostname, port);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.conn.close();
    await super[Symbol.asyncDispose]();
  }
}

function listen(port = 0): Deno.TcpListener {
  return Deno.listen({ hostname: "127.0.0.1", port });
}

/** A netcat in a terminal, and a server that says and does what a test tells. */
async function openPair(args: string[] = [], options?: TerminalOptions) {
  using listener = listen();
  const { port } = listener.addr;
  const terminal = await Terminal.open(
    [...args, "127.0.0.1", `${port}`],
    options,
  );
  const peer = new Peer(await listener.accept());
  return {
    terminal,
    peer,
    port,
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]();
      await terminal[Symbol.asyncDispose]();
    },
  };
}

/** A netcat in a terminal, in a room, and its name there. */
async function openRoom(args: string[] = [], options?: TerminalOptions) {
  const { chat, addr, [Symbol.asyncDispose]: close } = openChat();
  const terminal = await Terminal.open(
    [...args, addr.hostname, `${addr.port}`],
    options,
  );
  await terminal.showsRow(HINT);
  return {
    chat,
    terminal,
    port: addr.port,
    who: namesOf(chat)[0],
    async [Symbol.asyncDispose]() {
      await terminal[Symbol.asyncDispose]();
      await close();
    },
  };
}

terminalTest(
  "what others say appears above the line being typed",
  async () => {
    await using room = await openRoom();
    const { chat, terminal, who } = room;
    await terminal.type("one three");
    await terminal.press("Left", "Left", "Left", "Left", "Left");
    await chat.say("bob", "hi");
    await terminal.shows([`Welcome ${who}`, HINT, "bob: hi", "one three"]);
    assertEquals(await terminal.cursor(), [4, 3]);
    await terminal.type("two ");
    await terminal.shows([`Welcome ${who}`, HINT, "bob: hi", "one two three"]);
    assertEquals(await terminal.cursor(), [8, 3]);
  },
);

terminalTest(
  "a typed line of several rows stays below what others say",
  async () => {
    await using room = await openRoom([], { columns: 40 });
    const { chat, terminal, who } = room;
    const typed = ["1".repeat(40), "2".repeat(40), "3".repeat(10)];
    await terminal.type(typed.join(""));
    await terminal.shows([`Welcome ${who}`, HINT, ...typed]);
    await chat.say("bob", "hi");
    await terminal.shows([`Welcome ${who}`, HINT, "bob: hi", ...typed]);
    await terminal.press("Home");
    await chat.say("bob", "b".repeat(45));
    await terminal.shows([
      ...[`Welcome ${who}`, HINT, "bob: hi", `bob: ${"b".repeat(35)}`],
      ...["b".repeat(10), ...typed],
    ]);
    assertEquals(await terminal.cursor(), [0, 5]);
  },
);

terminalTest("a line that one says is shown once", async () => {
  await using room = await openRoom();
  const { terminal, who } = room;
  await terminal.type("hello");
  await terminal.press("Enter");
  await terminal.shows([`Welcome ${who}`, HINT, `${who}: hello`]);
  assertEquals(await terminal.cursor(), [0, 3]);
});

for (const length of [79, 80, 81]) {
  terminalTest(
    `a line of ${length} letters, on rows of 40, is shown once`,
    async () => {
      await using room = await openRoom([], { columns: 40 });
      const { terminal, who } = room;
      await terminal.type("x".repeat(length));
      await terminal.press("Home", "Enter");
      const rows = `${who}: ${"x".repeat(length)}`.match(/.{1,40}/g)!;
      await terminal.shows([`Welcome ${who}`, HINT, ...rows]);
    },
  );
}

terminalTest("many lines are pasted", async () => {
  await using room = await openRoom();
  const { chat, terminal, who } = room;
  const events = chat.events();
  const lines = Array.from({ length: 200 }, (_, i) => `line ${i} 中文`);
  await terminal.paste([...lines, "the rest"].join("\n"));
  const heard = [];
  for await (const event of events) {
    if (event.type === "message") heard.push(event.text);
    if (heard.length === lines.length) break;
  }
  assertEquals(heard, lines);
  await terminal.until((screen) =>
    screen.at(-1) === "the rest" && screen.at(-2) === `${who}: ${lines.at(-1)}`
  );
  assertEquals(await terminal.scrollback(), [
    `Welcome ${who}`,
    HINT,
    ...lines.map((line) => `${who}: ${line}`),
    "the rest",
  ]);
});

terminalTest("wide characters keep their places", async () => {
  // The last column of a row is too narrow for half of them.
  await using room = await openRoom([], { columns: 41 });
  const { chat, terminal, who } = room;
  await terminal.type("中".repeat(20) + "文😀x");
  const rows = ["中".repeat(20), "文😀x"];
  await terminal.shows([`Welcome ${who}`, HINT, ...rows]);
  await terminal.press("Home", "Delete");
  await terminal.type("中");
  await terminal.press("End");
  await terminal.shows([`Welcome ${who}`, HINT, ...rows]);
  await chat.say("bob", "你好 😀");
  await terminal.shows([`Welcome ${who}`, HINT, "bob: 你好 😀", ...rows]);
  assertEquals(await terminal.cursor(), [5, 4]);
  await terminal.press("Left", "BSpace", "Left", "Left");
  await terminal.type("国");
  await terminal.shows([
    ...[`Welcome ${who}`, HINT, "bob: 你好 😀"],
    ...["中".repeat(19) + "国", "中文x"],
  ]);
  await terminal.press("Enter");
  await terminal.shows([
    ...[`Welcome ${who}`, HINT, "bob: 你好 😀"],
    ...`${who}: ${"中".repeat(19)}国中文x`
      .match(
        new RegExp(
          `^.{${who.length + 2 + (39 - who.length) / 2 | 0}}|.+$`,
          "g",
        ),
      )!,
  ]);
});

terminalTest(
  "the up arrow brings back what was sent",
  async () => {
    await using pair = await openPair();
    const { terminal, peer } = pair;
    for (const line of ["one", "two"]) {
      await terminal.type(line);
      await terminal.press("Enter");
      assertEquals(await peer.line(), line);
    }
    await terminal.press("Up", "Up");
    await terminal.type("!");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "one!");
  },
);

// 100 letters fill rows of 50, and of 100.
for (const length of [95, 100]) {
  terminalTest(
    `a typed line of ${length} letters outlives changes of size`,
    async () => {
      await using room = await openRoom([], { columns: 60 });
      const { chat, terminal, who } = room;
      const typed = "x".repeat(length - 2) + "yz";
      await terminal.type(typed);
      await terminal.output((output) => output.endsWith("yz"));
      let rows: string[] = [];
      for (const columns of [40, 50, 100, 45, 50]) {
        await terminal.resize(columns, 20);
        rows = typed.match(new RegExp(`.{1,${columns}}`, "g"))!;
        await terminal.showsLast([HINT, ...rows]);
      }
      await chat.say("bob", "hi");
      await terminal.showsLast([HINT, "bob: hi", ...rows]);
      // tmux has scrolled for lines that took more rows meanwhile.
      assertEquals(await terminal.scrollback(), [
        ...[`Welcome ${who}`, HINT, "bob: hi", ...rows],
      ]);
    },
  );
}

terminalTest(
  "what is typed to another server stays",
  async () => {
    await using pair = await openPair();
    const { terminal, peer } = pair;
    await peer.send("220 Welcome to this server\r\n");
    await terminal.showsRow("220 Welcome to this server");
    await terminal.type("NOOP");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "NOOP");
    await peer.send("250 OK: done\r\n");
    await terminal.shows([
      "220 Welcome to this server",
      "NOOP",
      "250 OK: done",
    ]);
    assert(!(await terminal.styledScreen()).includes("\x1b"));
  },
);

terminalTest(
  "a prompt without a line end is shown, and stays with its answer",
  async () => {
    await using pair = await openPair();
    const { terminal, peer } = pair;
    await peer.send("hello\nlogin: ");
    await terminal.shows(["hello", "login:"]);
    await terminal.type("ann");
    await terminal.shows(["hello", "login: ann"]);
    await terminal.press("Enter");
    assertEquals(await peer.line(), "ann");
    await peer.send("welcome\nbye");
    await peer.end();
    await terminal.until((screen) => screen.includes("exit code 0"));
    assertEquals(
      (await terminal.screen()).slice(0, 6),
      ["hello", "login: ann", "welcome", "bye", "done", "exit code 0"],
    );
  },
);

terminalTest(
  "a line that comes in pieces is shown as one",
  async () => {
    await using pair = await openPair();
    const { terminal, peer } = pair;
    await peer.send("one, ");
    await terminal.shows(["one,"]);
    await terminal.type("typed");
    await terminal.shows(["one, typed"]);
    await peer.send("two\n");
    await terminal.shows(["one, two", "typed"]);
  },
);

terminalTest(
  "a character that is split over two packets is whole",
  async () => {
    await using pair = await openPair();
    const { terminal, peer } = pair;
    const bytes = encoder.encode("a 😀 b");
    await peer.send(bytes.subarray(0, 4));
    await terminal.shows(["a"]);
    await peer.send(bytes.subarray(4));
    await peer.send("\n");
    await terminal.shows(["a 😀 b"]);
  },
);

terminalTest("what is no UTF-8 becomes U+FFFD", async () => {
  await using pair = await openPair();
  await pair.peer.send(new Uint8Array([0x61, 0xff, 0x62, 0x0a]));
  await pair.terminal.shows(["a\ufffdb"]);
});

terminalTest(
  "a line without an end is shown, and not held",
  async () => {
    await using pair = await openPair([], { columns: 100, rows: 10 });
    const { terminal, peer } = pair;
    const block = "x".repeat(1024 * 1024);
    for (let i = 0; i < 64; i++) await peer.send(block);
    await peer.send("\nthe end\n");
    await terminal.until((screen) => screen.at(-1) === "the end");
    if (Deno.build.os !== "linux") return console.log("not run: its memory");
    const peak = await terminal.peakMemory();
    assert(peak < 200_000, `${peak} kB at its peak`);
  },
);

terminalTest(
  "no escape sequence of the server gets there",
  async () => {
    await using pair = await openPair(["--time"]);
    const { terminal, peer } = pair;
    await peer.send(`Welcome ${peer.who}\n`);
    await terminal.showsRow(HINT);
    await peer.send(
      "bob: \x1b[31mred \x1b]0;title\x07 \x1bc \x1b[2J\x1b[H\x9b5n \x9d0;t\x9c \x08\x7f\x0e\x00 \u202e\u2066 end\n",
    );
    await peer.send("\x1b[?1049h prompt\x1b[6n");
    await terminal.until((screen) => /prompt\[6n$/.test(screen.at(-1)!));
    await terminal.type("typed");
    await terminal.until((screen) => /prompt\[6ntyped$/.test(screen.at(-1)!));
    const whole = await terminal.output((output) => output.endsWith("typed"));
    const output = whole.slice(whole.lastIndexOf(HINT));
    assertMatch(output, /: \[31mred \]0;title c \[2J\[H5n 0;t {3}end\r\n/);
    const rest = output
      // What the client itself does: the editor's movements, dim and colours.
      .replace(OWN_ESCAPES, "")
      .replace(/\r\n|\r/g, "");
    assertEquals(
      rest.match(CONTROLS),
      null,
    );
  },
);

const LEAVING: [string, string, number][] = [
  ["Ctrl-D", "C-d", 0],
  ["Ctrl-C", "C-c", 130],
];
for (const [what, key, code] of LEAVING) {
  terminalTest(
    `${what} leaves with ${code}, and all is as it was`,
    async () => {
      await using room = await openRoom();
      const { chat, terminal } = room;
      const events = chat.events();
      await terminal.press(key);
      await terminal.assertEnds(code);
      for await (const event of events) if (event.type === "left") break;
    },
  );
}

terminalTest(
  "Ctrl-C leaves what was typed on a row of its own",
  async () => {
    await using room = await openRoom([], { columns: 40 });
    const { terminal } = room;
    await terminal.type("x".repeat(50));
    await terminal.press("Home", "C-c");
    await terminal.assertEnds(130);
    assertEquals(
      (await terminal.screen()).slice(2, 5),
      ["x".repeat(40), "x".repeat(10), "exit code 130"],
    );
  },
);

terminalTest(
  "Ctrl-D leaves a server that does not close",
  async () => {
    await using pair = await openPair();
    const { terminal, peer } = pair;
    await terminal.type("bye");
    await terminal.press("Enter", "C-d");
    assertEquals(await peer.line(), "bye");
    assertEquals(await peer.line(), undefined);
    await peer.send("one more thing\n");
    await terminal.assertEnds(0);
    assertEquals((await terminal.screen()).slice(0, 2), [
      "bye",
      "one more thing",
    ]);
  },
);

terminalTest("Ctrl-Z suspends it, and fg brings it back", async () => {
  await using room = await openRoom([], { columns: 100 });
  const { chat, terminal, port } = room;
  // From a shell that has jobs.
  await terminal.press("C-c");
  await terminal.until((screen) => screen.at(-1) === "$");
  await terminal.type(
    `"${Deno.execPath()}" run -N netcat.ts 127.0.0.1 ${port}`,
  );
  await terminal.press("Enter");
  await terminal.until((screen) => screen.at(-1) === HINT);
  await terminal.type("typed");
  await terminal.press("C-z");
  await terminal.until((screen) => screen.at(-1) === "$");
  await terminal.type("fg");
  await terminal.press("Enter");
  await terminal.until((screen) => screen.at(-1) === "typed");
  await terminal.type(" on");
  await terminal.press("Enter");
  await terminal.until((screen) =>
    screen.at(-1) === `${namesOf(chat)[0]}: typed on`
  );
});

for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
  terminalTest(
    `${signal} ends it with ${code}, and all is as it was`,
    async () => {
      await using room = await openRoom();
      const { terminal } = room;
      Deno.kill(await terminal.pid(), signal);
      await terminal.assertEnds(code);
    },
  );
}

terminalTest(
  "it ends with 0 when the server closes, and all is as it was",
  async () => {
    await using room = await openRoom();
    const { chat, terminal, who } = room;
    await terminal.type("unsent");
    await terminal.showsRow("unsent");
    await chat.close();
    await terminal.assertEnds(0);
    assertEquals((await terminal.screen()).slice(0, 6), [
      ...[`Welcome ${who}`, HINT, "The server is shutting down"],
      ...["unsent", "done", "exit code 0"],
    ]);
  },
);

terminalTest(
  "it says that the connection is lost, and ends with 1",
  async () => {
    // Node's, since Deno's own always take leave before.
    const listener = createServer().listen(0, "127.0.0.1");
    const accepted = once(listener, "connection");
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    await using terminal = await Terminal.open(["127.0.0.1", `${port}`], {
      columns: 100,
    });
    const [peer]: Socket[] = await accepted;
    peer.write("hello\n");
    await terminal.shows(["hello"]);
    peer.resetAndDestroy();
    listener.close();
    await terminal.assertEnds(1);
    assertEquals(
      (await terminal.screen())[1],
      `Lost the connection to 127.0.0.1:${port}: the connection was reset`,
    );
  },
);

terminalTest(
  "it says that a server speaks TLS, where it does",
  async () => {
    await using pair = await openPair([], { columns: 100 });
    const { terminal, peer, port } = pair;
    await terminal.type("hello");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "hello");
    await peer.send(new Uint8Array([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x32]));
    await terminal.assertEnds(1);
    assertEquals(
      (await terminal.screen())[1],
      `Lost the connection to 127.0.0.1:${port}: it speaks TLS, see --tls`,
    );
  },
);

terminalTest(
  "--reconnect comes back to a server that was restarted",
  async () => {
    const listener = listen();
    const { port } = listener.addr;
    await using terminal = await Terminal.open(
      ["--reconnect", "--name", "ann", "127.0.0.1", `${port}`],
      { columns: 100 },
    );
    const first = new Peer(await listener.accept());
    assertEquals(await first.line(), "/nick ann");
    await first.send(`Welcome ${first.who}\n`);
    await terminal.type("typed");
    await terminal.shows([`Welcome ${first.who}`, HINT, "typed"]);
    listener.close();
    await first[Symbol.asyncDispose]();

    const LOST =
      /^Lost the connection to \S+: .+; trying again in (0\.[789]|1\.0) s$/;
    const STILL =
      /^Cannot connect to \S+: the connection was refused; trying again in (1\.[5-9]|2\.0) s$/;
    const NOT_SENT =
      "Not sent, for want of a connection: ↑ brings the line back";
    await terminal.until((screen) => LOST.test(screen[2]));
    await terminal.press("Enter");
    const screen = await terminal.until((screen) =>
      screen.some((row) => STILL.test(row)) && screen.includes(NOT_SENT)
    );
    assertEquals(screen[screen.indexOf(NOT_SENT) - 1], "typed");
    await terminal.press("Up");
    await terminal.until((screen) => screen.at(-1) === "typed");

    using restarted = listen(port);
    await using second = new Peer(await restarted.accept());
    assertEquals(await second.line(), "/nick ann");
    await second.send(`Welcome ${second.who}\n`);
    await terminal.showsLast([
      `Connected to 127.0.0.1:${port} again`,
      `Welcome ${second.who}`,
      "typed",
    ]);
    await terminal.press("Enter");
    assertEquals(await second.line(), "typed");
  },
);

for (const key of ["C-d", "C-c"]) {
  terminalTest(
    `${key} leaves while there is no connection`,
    async () => {
      const pair = await openPair(["--reconnect"], { columns: 100 });
      await using terminal = pair.terminal;
      await pair.peer[Symbol.asyncDispose]();
      await terminal.until((screen) => / again in /.test(screen.join("")));
      await terminal.press(key);
      await terminal.assertEnds(key === "C-d" ? 0 : 130);
    },
  );
}

terminalTest(
  "--reconnect does not come back after /quit",
  async () => {
    await using pair = await openPair(["--reconnect"]);
    const { terminal, peer } = pair;
    await peer.send(`Welcome ${peer.who}\n`);
    await terminal.showsRow(HINT);
    await terminal.type("/quit see you");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "/quit see you");
    await peer.end();
    await terminal.assertEnds(0);
    assertEquals((await terminal.screen())[2], "done");
  },
);

terminalTest("a name has the same colour wherever it is", async () => {
  await using pair = await openPair();
  const { terminal, peer } = pair;
  const { who } = peer;
  const lines = [
    `Welcome <${who}>`,
    `<${who}> is online`,
    `<${who}> is now known as <ann>`,
    "<ann>: bob: no, bob is online",
    "<ann> (private): psst: this",
    "(private) → <ann>: bob: what?",
    "* <ann> waves",
    "-- bob: there is no bob",
    "<ann> is offline",
    "<ann> 上线",
    "<ann> 改名为 <bob>",
    "<bob> 下线",
  ];
  await peer.send(lines.join("\n").replace(/[<>]/g, "") + "\n");
  await terminal.showsRow("bob 下线");
  const output = await terminal.output((output) => /下线\r\n/.test(output));
  const colours = new Map(
    // deno-lint-ignore no-control-regex
    Array.from(output.matchAll(/\x1b\[38;5;(\d+)m(\S+?)\x1b\[39m/g))
      .map(([, colour, name]) => [name, colour]),
  );
  assertEquals([...colours.keys()], [who, "ann", "bob"]);
  assert(colours.get("ann") !== colours.get("bob"));
  for (const line of lines) {
    const coloured = line.replace(
      /<(.+?)>/g,
      (_, name) => `\x1b[38;5;${colours.get(name)}m${name}\x1b[39m`,
    );
    assert(output.includes(`${coloured}\r\n`), line);
  }
});

terminalTest("NO_COLOR means none", async () => {
  await using room = await openRoom(["--time"], { env: { NO_COLOR: "1" } });
  assert(!(await room.terminal.styledScreen()).includes("\x1b"));
});

terminalTest("--time tells when each line came", async () => {
  await using room = await openRoom(["--time"], { env: { TZ: "UTC-5" } });
  const { chat, terminal, who } = room;
  const local = () =>
    new Date(Date.now() + 5 * 3600_000).toISOString().slice(11, 19);
  const start = local();
  await chat.say("bob", "hi");
  const screen = await terminal.until((screen) => screen.length === 3);
  const [, time] = /^(\d\d:\d\d:\d\d) bob: hi$/.exec(screen[2])!;
  assert(start <= time && time <= local() || start > local(), time);
  assertMatch(screen[0], new RegExp(`^\\d\\d:\\d\\d:\\d\\d Welcome ${who}$`));
  assertEquals(screen[1], HINT);
});

terminalTest(
  "it asks for no permission but -N, and needs none",
  async () => {
    for (const flags of [[], ["--no-prompt"]]) {
      await using room = await openRoom(["--time", "--name", "ann"], { flags });
      const { terminal, who } = room;
      await terminal.resize(50, 20);
      await terminal.type("hello");
      await terminal.press(
        "Enter",
        "Up",
        "Home",
        "Tab",
        "C-z",
        "End",
        "C-u",
        "C-d",
      );
      await terminal.assertEnds(0);
      const screen = (await terminal.screen()).map((row) =>
        row.replace(/^\d\d:\d\d:\d\d /, "")
      );
      assertMatch(screen[0], /^Welcome /);
      assertEquals(screen[1], HINT);
      assert(screen.includes(`${who}: hello`));
      assert(!screen.some((row) => /permission|access/.test(row)));
    }
  },
);
