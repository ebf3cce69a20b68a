// deno-lint-ignore-file no-control-regex
/** Tests netcat.ts with stdin and stdout in a terminal. */

import { assert, assertEquals, assertMatch } from "@std/assert";

import { wrap } from "../netcat/width.ts";
import { openChat, stall, TestClient } from "./clients.ts";
import { startServer } from "./commands.ts";
import { greeting, listen, listenForReset, Peer, TestRoom } from "./room.ts";
import { Terminal, type TerminalOptions, terminalTest } from "./terminal.ts";

const encoder = new TextEncoder();
const HINT = "== Tab completes names and commands, Ctrl-D leaves";

const CONTROLS = /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
/** The escape sequences of the client: movements, styles, modes and the title. */
const OWN_ESCAPES =
  /\x1b\[(?:\d*[ABCDGJ]|[\d;:]*m|2[23];2t|\?\d+[hl])|\x1b\]2;[^\x1b]*\x1b\\/g;
const STYLES = /\x1b\[[\d;:]*m/g;

/** Starts a client in a terminal, and accepts its connection. */
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
    /** Greets the client like a room. Returns the rows that it shows. */
    async greet(columns = 60): Promise<string[]> {
      await peer.send(`Welcome ${peer.name}\n${greeting()}\n`);
      assertEquals(await peer.line(), "/who");
      await peer.send(`-- 1 here:\n-- ${peer.name} (0 s)\n`);
      const rows = intro(peer.name, columns);
      await terminal.showsLast([...rows, promptOf(peer.name, columns)]);
      return rows;
    },
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]();
      await terminal[Symbol.asyncDispose]();
    },
  };
}

/** Returns the rows of the first lines of a new member. */
function intro(name: string, columns: number, ...others: string[]): string[] {
  return [`Welcome ${name}`, greeting(...others), HINT]
    .flatMap((line) => wrap(line, columns, 2).split("\n"));
}

/** Returns the prompt of a member without the space at its end. */
function promptOf(name: string, columns: number): string {
  return name.length <= columns / 3 ? `${name}>` : ">";
}

/** Starts a client in a terminal and in a room. Returns its name, rows and prompt. */
async function openRoom(
  args: string[] = [],
  options: TerminalOptions & { others?: string[]; history?: string[] } = {},
) {
  const { others = [], history = [], columns = 60 } = options;
  const room = new TestRoom({ others, history });
  const terminal = await Terminal.open(
    ["--no-time", ...args, `127.0.0.1:${room.port}`],
    options,
  );
  await room.receives("/who");
  const [{ name }] = room.peers;
  const rows = intro(name, columns, ...others);
  const prompt = promptOf(name, columns);
  if (history.length === 0) await terminal.showsLast([...rows, prompt]);
  return {
    room,
    terminal,
    name,
    rows,
    prompt,
    async [Symbol.asyncDispose]() {
      await terminal[Symbol.asyncDispose]();
      await room[Symbol.asyncDispose]();
    },
  };
}

terminalTest("messages appear above the line being typed", async () => {
  await using opened = await openRoom();
  const { room, terminal, rows, prompt } = opened;
  await terminal.type("one three");
  await terminal.press("Left", "Left", "Left", "Left", "Left");
  await room.say("bob", "hi");
  await terminal.shows([...rows, "bob: hi", `${prompt} one three`]);
  assertEquals(await terminal.cursor(), [prompt.length + 5, rows.length + 1]);
  await terminal.type("two ");
  await terminal.shows([...rows, "bob: hi", `${prompt} one two three`]);
});

terminalTest(
  "a typed line of several rows stays below the messages",
  async () => {
    await using opened = await openRoom([], { columns: 40 });
    const { room, terminal, rows, prompt } = opened;
    const typed = ["1".repeat(38), "2".repeat(40), "3".repeat(10)];
    await terminal.type(typed.join(""));
    const typedRows = [`${prompt} ${typed[0]}`, typed[1], typed[2]];
    await terminal.shows([...rows, ...typedRows]);
    await room.say("bob", "hi");
    await terminal.shows([...rows, "bob: hi", ...typedRows]);
    await terminal.press("Home");
    await room.say("bob", "b".repeat(45));
    await terminal.shows([
      ...[...rows, "bob: hi", `bob: ${"b".repeat(35)}`],
      ...[`  ${"b".repeat(10)}`, ...typedRows],
    ]);
    assertEquals(await terminal.cursor(), [2, rows.length + 3]);
  },
);

terminalTest("an own line is shown once", async () => {
  await using opened = await openRoom();
  const { terminal, name, rows, prompt } = opened;
  await terminal.type("hello");
  await terminal.press("Enter");
  await terminal.shows([...rows, `${name}: hello`, prompt]);
  assertEquals(await terminal.cursor(), [prompt.length + 1, rows.length + 1]);
});

for (const length of [77, 78, 79]) {
  terminalTest(
    `a line of ${length} letters, on rows of 40, is shown once`,
    async () => {
      await using opened = await openRoom([], { columns: 40 });
      const { terminal, name, rows, prompt } = opened;
      await terminal.type("x".repeat(length));
      await terminal.press("Home", "Enter");
      const echo = wrap(`${name}: ${"x".repeat(length)}`, 40, 2).split("\n");
      await terminal.shows([...rows, ...echo, prompt]);
    },
  );
}

terminalTest("a line is dimmed until the server repeats it", async () => {
  await using pair = await openPair(["--no-time"]);
  const { terminal, peer, greet } = pair;
  const rows = await greet();
  const prompt = promptOf(peer.name, 60);
  await terminal.type("hello");
  await terminal.press("Enter");
  assertEquals(await peer.line(), "hello");
  await terminal.shows([...rows, "hello", prompt]);
  await terminal.output((output) => output.includes("\x1b[2mhello\x1b[22m"));
  await terminal.type("typed");
  await terminal.shows([...rows, "hello", `${prompt} typed`]);
  await peer.send(`bob: hi\n${peer.name}: hello\n`);
  await terminal.shows([
    ...[...rows, "bob: hi", `${peer.name}: hello`, `${prompt} typed`],
  ]);
});

terminalTest("a line that the server did not repeat has a note", async () => {
  await using pair = await openPair(["--no-time"], { columns: 100 });
  const { terminal, peer, greet } = pair;
  const rows = await greet(100);
  await terminal.type("hello");
  await terminal.press("Enter");
  assertEquals(await peer.line(), "hello");
  await peer.end();
  await terminal.assertEnds(0);
  assertEquals(
    (await terminal.screen())[rows.length],
    "== The server did not confirm this line; press ↑ to recall it: hello",
  );
});

terminalTest("lines that the server did not repeat have one note", async () => {
  await using pair = await openPair(["--no-time"], { columns: 100 });
  const { terminal, peer, greet } = pair;
  const rows = await greet(100);
  for (const line of ["one", "two"]) {
    await terminal.type(line);
    await terminal.press("Enter");
    assertEquals(await peer.line(), line);
  }
  await peer.end();
  await terminal.assertEnds(0);
  assertEquals((await terminal.screen()).slice(rows.length, rows.length + 3), [
    "== The server did not confirm these lines; press ↑ to recall them:",
    ...["== one", "== two"],
  ]);
});

terminalTest("the secret of a name is not repeated on the screen", async () => {
  await using pair = await openPair(["--no-time", "--reconnect"], {
    columns: 100,
  });
  const { terminal, peer, greet } = pair;
  await greet(100);
  const prompt = promptOf(peer.name, 100);
  const line = "/nick eve correct-horse";
  await terminal.type(line);
  await terminal.press("Enter");
  assertEquals(await peer.line(), line);
  await terminal.showsLast(["/nick eve ********", prompt]);
  await peer[Symbol.asyncDispose]();
  await terminal.showsRow(
    "== The server did not confirm this line; press ↑ to recall it: /nick eve ********",
  );
  await terminal.press("Up");
  await terminal.showsLast([`${prompt} ${line}`]);
  await terminal.press("Enter");
  await terminal.until((screen) => screen.at(-4) === "/nick eve ********");
  assert(!(await terminal.screen()).join("\n").includes("horse"));
});

terminalTest("blank lines are not sent to a room", async () => {
  await using opened = await openRoom();
  const { room, terminal, name, rows, prompt } = opened;
  await terminal.press("Enter", "Space", "Enter");
  await terminal.type("hi");
  await terminal.press("Enter");
  await terminal.shows([...rows, `${name}: hi`, prompt]);
  assertEquals(room.received, ["/who", "hi"]);
});

terminalTest("blank lines are sent to another server", async () => {
  await using pair = await openPair();
  const { terminal, peer } = pair;
  await terminal.type("GET /");
  await terminal.press("Enter", "Enter");
  assertEquals([await peer.line(), await peer.line()], ["GET /", ""]);
});

terminalTest("200 lines can be pasted", async () => {
  await using opened = await openRoom();
  const { room, terminal, name, rows, prompt } = opened;
  const lines = Array.from({ length: 200 }, (_, i) => `line ${i} 中文`);
  await terminal.paste([...lines, "the rest"].join("\n"));
  await terminal.until((screen) =>
    screen.at(-1) === `${prompt} the rest` &&
    screen.at(-2) === `${name}: ${lines.at(-1)}`
  );
  assertEquals(room.received.slice(1), lines);
  assertEquals(await terminal.scrollback(), [
    ...[...rows, ...lines.map((line) => `${name}: ${line}`)],
    `${prompt} the rest`,
  ]);
});

const PASTE = ["one", "two\tx", "three", "four", "/five", "six"];

terminalTest("a paste of six lines is sent after a question", async () => {
  await using opened = await openRoom();
  const { room, terminal, rows, prompt } = opened;
  const question = "Paste 6 lines? (s)end, (e)dit or (d)iscard";
  await terminal.pasteMarked(`${PASTE.join("\n")}\n`);
  await terminal.shows([...rows, question, prompt]);
  await terminal.type("x");
  await terminal.press("Left"); // These keys are no answers.
  await terminal.type("d");
  await terminal.shows([...rows, prompt]);
  assertEquals(room.received, ["/who"]);
  await terminal.pasteMarked(`${PASTE.join("\n")}\n`);
  await terminal.showsRow(question);
  await terminal.type("s");
  await room.receives("six");
  assertEquals(room.received.slice(1), PASTE);
});

terminalTest("a paste of six lines can be edited", async () => {
  await using opened = await openRoom();
  const { room, terminal, rows, prompt } = opened;
  await terminal.pasteMarked("1\n2\n3\n4\n5\n6");
  await terminal.until((screen) => screen.at(-2)?.startsWith("Paste 6"));
  await terminal.type("e");
  await terminal.shows([...rows, `${prompt} 1↵2↵3↵4↵5↵6`]);
  await terminal.press("BSpace", "BSpace", "BSpace");
  await terminal.press("Enter");
  await room.receives("4");
  assertEquals(room.received.slice(1), ["1", "2", "3", "4"]);
});

terminalTest("a question about a paste fits in a narrow window", async () => {
  await using opened = await openRoom([], { columns: 20 });
  const { room, terminal, prompt } = opened;
  await terminal.pasteMarked("1\n2\n3\n4\n5\n6");
  const question = ["Paste 6 lines?", "(s)end, (e)dit or", "(d)iscard"];
  await terminal.showsLast([...question, prompt]);
  await room.say("bob", "hi");
  await terminal.showsLast(["bob: hi", ...question, prompt]);
  await terminal.press("d");
  await terminal.showsLast(["bob: hi", prompt]);
});

for (const hasLeft of [false, true]) {
  const title = hasLeft ? "after a reconnect" : "on entering";
  terminalTest(`a password is not shown or kept ${title}`, async () => {
    const history = await Deno.makeTempFile();
    const listener = listen();
    const { port } = listener.addr;
    await using terminal = await Terminal.open(
      // deno-fmt-ignore
      ["--no-time", "--reconnect", "--name", "ann", "--history", history, `127.0.0.1:${port}`],
      { flags: ["-R", "-W"] },
    );
    let peer = new Peer(await listener.accept());
    if (hasLeft) {
      await peer.send(`Welcome ${peer.name}\n`);
      assertEquals(await peer.line(), "/nick ann");
      await peer[Symbol.asyncDispose]();
      peer = new Peer(await listener.accept());
    }
    await peer.send("-- Password:\n");
    await terminal.showsLast(["Password:"]);
    await terminal.type("sesame");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "sesame");
    await peer.send(`Welcome ${peer.name}\n${greeting()}\n`);
    // The name is not sent as a password.
    assertEquals(await peer.line(), "/nick ann");
    await peer.send(`${peer.name} is now known as ann\n`);
    await terminal.showsLast(["ann>"]);
    await terminal.press("Up");
    await terminal.type("x");
    await terminal.showsLast(["ann> x"]);
    assert(!(await terminal.screen()).join("\n").includes("sesame"));
    assertEquals(await Deno.readTextFile(history), "");
    listener.close();
    await peer[Symbol.asyncDispose]();
    await Deno.remove(history);
  });
}

/** Starts a server with a password, and a client in a terminal that it asks. */
async function openWithPassword(
  args: string[] = [],
  { password = "sesame", lang = "en", isInFile = false } = {},
) {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, `${password}\n`);
  const option = ["--password-file", path];
  const server = await startServer(
    [...option, "--lang", lang],
    { permissions: ["-N", "-R"] },
  );
  const terminal = await Terminal.open(
    [
      ...["--no-time", ...args, ...isInFile ? option : []],
      `127.0.0.1:${server.addr.port}`,
    ],
    { flags: ["-R"], columns: 40 },
  );
  return {
    terminal,
    async [Symbol.asyncDispose]() {
      await terminal[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await Deno.remove(path);
    },
  };
}

terminalTest("a password is typed without echo", async () => {
  await using opened = await openWithPassword(["--name", "ann"]);
  const { terminal } = opened;
  await terminal.shows(["Password:"]);
  const { length } = await terminal.output((o) => o.includes("Password:"));
  const cursor = ["Password: ".length, 0];
  await terminal.type("wrong start");
  await terminal.press("C-u");
  await terminal.type("tesx");
  await terminal.press("Left", "Up", "BSpace", "BSpace", "BSpace", "BSpace");
  await terminal.type("sesamé");
  await terminal.press("BSpace");
  await terminal.type("e word");
  await terminal.press("C-w", "BSpace");
  assertEquals(await terminal.cursor(), cursor);
  await terminal.press("Enter");
  const output = await terminal.output((o) => o.includes("Welcome"));
  // Nothing is written while keys are pressed.
  const written = output.slice(length, output.indexOf("Welcome"));
  assertEquals(
    written.replace(OWN_ESCAPES, "").replace(/[\r\n\x07 ]/g, ""),
    "Password:",
  );
  await terminal.showsLast(["ann>"]);
  assertEquals((await terminal.screen())[0], "Password:");
  await terminal.press("Up");
  await terminal.type("hello");
  await terminal.showsLast(["ann> hello"]);
  await terminal.press("Enter");
  await terminal.showsLast(["ann: hello", "ann>"]);
});

terminalTest(
  "a password has three tries, then the refusal is shown",
  async () => {
    await using opened = await openWithPassword();
    const { terminal } = opened;
    const rows: string[] = [];
    for (const text of ["hunter1", "hunter2", "hunter3"]) {
      await terminal.shows([...rows, "Password:"]);
      await terminal.type(text);
      await terminal.press("Enter");
      rows.push("Password:", "-- Wrong password");
    }
    await terminal.assertEnds(1);
    assertEquals((await terminal.screen()).slice(0, 7), [
      ...rows.slice(0, 5),
      "Cannot enter: wrong password",
      "exit code 1",
    ]);
  },
);

for (
  const [key, code] of [["C-c", 130], ["C-d", 0], ["C-\\", 131]] as const
) {
  terminalTest(`${key} leaves at the prompt for a password`, async () => {
    await using opened = await openWithPassword();
    const { terminal } = opened;
    await terminal.shows(["Password:"]);
    if (key !== "C-d") await terminal.type("sesame");
    await terminal.press(key);
    await terminal.assertEnds(code);
    assertEquals((await terminal.screen()).slice(0, 2), [
      "Password:",
      `exit code ${code}`,
    ]);
  });
}

terminalTest("--password-file answers instead of the user", async () => {
  await using opened = await openWithPassword(["--name", "ann"], {
    isInFile: true,
  });
  const { terminal } = opened;
  await terminal.showsLast(["ann>"]);
  const screen = await terminal.screen();
  assertMatch(screen[0], /^Welcome /);
  assert(!/Password|sesame/.test(screen.join("\n")));
});

terminalTest("a wrong --password-file is not sent twice", async () => {
  using listener = listen();
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "sesame\n");
  await using terminal = await Terminal.open(
    // deno-fmt-ignore
    ["--reconnect", "--password-file", path, `127.0.0.1:${listener.addr.port}`],
    { flags: ["-R"] },
  );
  await using peer = new Peer(await listener.accept());
  await peer.send("-- Password:\n");
  assertEquals(await peer.line(), "sesame");
  await peer.send("-- Wrong password\n-- Password:\n");
  assertEquals(await peer.line(), undefined);
  await peer.send("Cannot enter: wrong password\n");
  await peer.end();
  await terminal.assertEnds(1);
  assertEquals((await terminal.screen()).slice(0, 3), [
    "-- Wrong password",
    "Cannot enter: wrong password",
    "exit code 1",
  ]);
  await Deno.remove(path);
});

terminalTest("a password in Chinese is asked for without echo", async () => {
  await using opened = await openWithPassword([], {
    password: "芝麻开门",
    lang: "zh",
  });
  const { terminal } = opened;
  await terminal.shows(["密码："]);
  await terminal.type("芝麻");
  await terminal.type("开关");
  await terminal.press("BSpace");
  await terminal.type("门");
  assertEquals(await terminal.cursor(), ["密码：".length * 2, 0]);
  await terminal.press("Enter");
  await terminal.until((screen) =>
    screen[0] === "密码：" && screen[1]?.startsWith("欢迎 ") === true &&
    screen.at(-1)!.endsWith(">")
  );
});

for (const how of ["paste", "pasteMarked"] as const) {
  terminalTest(`a password can be pasted (${how})`, async () => {
    const password = "correct horse 中文 ".repeat(8).trim();
    await using opened = await openWithPassword([], { password });
    const { terminal } = opened;
    await terminal.shows(["Password:"]);
    await terminal[how](password);
    assertEquals(await terminal.cursor(), ["Password: ".length, 0]);
    await terminal.press("Enter");
    await terminal.until((screen) =>
      screen[0] === "Password:" && screen[1]?.startsWith("Welcome ") === true
    );
    const output = await terminal.output((o) => o.includes("Welcome"));
    assert(!output.includes("horse"));
  });
}

terminalTest("a paste of many lines is not shown as a password", async () => {
  await using pair = await openPair();
  const { terminal, peer } = pair;
  await peer.send("-- Password:\n");
  await terminal.shows(["Password:"]);
  await terminal.pasteMarked(`sesame\n${PASTE.join("\n")}\n`);
  await terminal.press("Enter");
  assertEquals(await peer.line(), "sesame");
  await terminal.shows(["Password:"]);
});

terminalTest(
  "keys between two prompts for a password are discarded",
  async () => {
    await using pair = await openPair();
    const { terminal, peer } = pair;
    await peer.send("-- Password:\n");
    await terminal.shows(["Password:"]);
    await terminal.paste("one\ntwo\nthree");
    assertEquals(await peer.line(), "one");
    await peer.send("-- Wrong password\n-- Password:\n");
    await terminal.shows(["Password:", "-- Wrong password", "Password:"]);
    await terminal.type("four");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "four");
  },
);

terminalTest(
  "a line that is typed waits for the password after a reconnect",
  async () => {
    const listener = listen();
    await using terminal = await Terminal.open(
      ["--no-time", "--reconnect", `127.0.0.1:${listener.addr.port}`],
      { columns: 90 },
    );
    let peer = new Peer(await listener.accept());
    await peer.send(`Welcome ${peer.name}\n${greeting()}\n`);
    await terminal.showsLast([`${peer.name}>`]);
    await terminal.type("typed");
    await terminal.press("Left");
    await terminal.showsLast([`${peer.name}> typed`]);
    await terminal.pasteMarked(PASTE.join("\n"));
    const question = "Paste 6 lines? (s)end, (e)dit or (d)iscard";
    await terminal.showsLast([question, `${peer.name}> typed`]);
    await peer[Symbol.asyncDispose]();
    peer = new Peer(await listener.accept());
    listener.close();
    await peer.send("-- Password:\n");
    const screen = await terminal.until((screen) =>
      screen.at(-1) === "Password:"
    );
    assert(!screen.includes(question));
    await terminal.type("sesame");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "sesame");
    await peer.send(`Welcome ${peer.name}\n${greeting()}\n`);
    await terminal.showsLast([question, `${peer.name}> typed`]);
    await terminal.type("d");
    await terminal.showsLast([`${peer.name}> typed`]);
    await terminal.type("x");
    await terminal.showsLast([`${peer.name}> typexd`]);
    await peer[Symbol.asyncDispose]();
  },
);

terminalTest(
  "a line before the first line of the server is not in the file of lines",
  async () => {
    const path = await Deno.makeTempFile();
    await using pair = await openPair(["--no-time", "--history", path], {
      flags: ["-R", "-W"],
    });
    const { terminal, peer } = pair;
    await terminal.type("sesame");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "sesame");
    await peer.send(`Welcome ${peer.name}\n`);
    await terminal.showsLast([`${peer.name}>`]);
    await terminal.type("hello");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "hello");
    assertEquals(await Deno.readTextFile(path), "hello\n");
    await Deno.remove(path);
  },
);

terminalTest(
  "a line is not sent between a reconnect and the welcome",
  async () => {
    using listener = listen();
    const { port } = listener.addr;
    await using terminal = await Terminal.open(
      ["--no-time", "--reconnect", `127.0.0.1:${port}`],
      { columns: 90 },
    );
    const first = new Peer(await listener.accept());
    await first.send(`Welcome ${first.name}\n`);
    await terminal.showsLast([`${first.name}>`]);
    await first[Symbol.asyncDispose]();
    await using peer = new Peer(await listener.accept());
    await terminal.showsRow(`== Connected to 127.0.0.1:${port} again`);
    await terminal.type("early");
    await terminal.press("Enter");
    await terminal.showsLast([
      "early",
      "== Not connected; line not sent. Press ↑ to recall it.",
      `${first.name}>`,
    ]);
    await peer.send(`Welcome ${peer.name}\n`);
    await terminal.showsLast([`${peer.name}>`]);
    await terminal.press("Up");
    await terminal.type("!");
    await terminal.press("Enter");
    assertEquals(await peer.line(), "early!");
  },
);

terminalTest("text before the prompt for a password is discarded", async () => {
  await using pair = await openPair(["--no-time"]);
  const { terminal, peer } = pair;
  await terminal.type("early".repeat(20));
  await terminal.until((screen) => screen[1]?.endsWith("early"));
  await peer.send("-- Password:\n");
  await terminal.shows(["Password:"]);
  await peer.send(`Welcome ${peer.name}\n`);
  await terminal.showsLast([`Welcome ${peer.name}`, `${peer.name}>`]);
});

terminalTest("a paste of one line is sent at Enter", async () => {
  await using opened = await openRoom();
  const { room, terminal, rows, prompt } = opened;
  await terminal.pasteMarked("one\ttwo\x1b[2J\n");
  await terminal.until((screen) => /> one +two\[2J$/.test(screen.at(-1)!));
  assertEquals(await terminal.screen().then((s) => s.slice(0, -1)), rows);
  await terminal.press("Enter");
  await room.receives("one\ttwo[2J");
  await terminal.until((screen) => screen.at(-1) === prompt);
});

const CHINESE = "小明";

terminalTest("Tab completes commands and names", async () => {
  await using opened = await openRoom([], {
    others: ["anna", "anton", CHINESE],
  });
  const { room, terminal, rows, prompt } = opened;
  // The client has the list of members when this line arrives.
  await room.say("bob", "hi");
  await terminal.showsRow("bob: hi");
  rows.push("bob: hi");
  await terminal.type("小");
  await terminal.press("Tab");
  await terminal.shows([...rows, `${prompt} ${CHINESE}:`]);
  await terminal.press("C-u");
  await terminal.type("hi a");
  await terminal.press("Tab");
  await terminal.shows([...rows, `${prompt} hi an`]);
  await terminal.press("Tab");
  await terminal.shows([...rows, "anna  anton", `${prompt} hi an`]);
  await terminal.type("t");
  await terminal.press("Tab");
  await terminal.shows([...rows, `${prompt} hi anton`]);
  await terminal.press("C-u");
  await terminal.type("/ms");
  await terminal.press("Tab");
  await room.join("zoe");
  await room.leave("anton");
  await terminal.showsRow("anton is offline");
  await terminal.type("z");
  await terminal.press("Tab");
  await terminal.type("hi a");
  await terminal.press("Tab");
  await terminal.showsRow(`${prompt} /msg zoe hi anna`);
});

terminalTest("wide characters are drawn in the right columns", async () => {
  // A wide character does not fit in the last column of a row.
  await using opened = await openRoom([], { columns: 41 });
  const { room, terminal, name, rows } = opened;
  const typed = "中".repeat(19) + "文😀x";
  const typedRows = [`> ${"中".repeat(19)}`, "文😀x"];
  await terminal.type(typed);
  await terminal.shows([...rows, ...typedRows]);
  await terminal.press("Home", "Delete");
  await terminal.type("中");
  await terminal.press("End");
  await terminal.shows([...rows, ...typedRows]);
  await room.say("bob", "你好 😀");
  await terminal.shows([...rows, "bob: 你好 😀", ...typedRows]);
  assertEquals(await terminal.cursor(), [5, rows.length + 2]);
  await terminal.press("Left", "BSpace", "Left", "Left");
  await terminal.type("国");
  await terminal.shows([
    ...[...rows, "bob: 你好 😀"],
    ...[`> ${"中".repeat(18)}国`, "中文x"],
  ]);
  await terminal.press("Enter");
  const echo = wrap(`${name}: ${"中".repeat(18)}国中文x`, 41, 2).split("\n");
  await terminal.shows([...rows, "bob: 你好 😀", ...echo, ">"]);
});

terminalTest("20 columns are wide enough", async () => {
  await using opened = await openRoom([], { columns: 60 });
  const { room, terminal } = opened;
  await terminal.resize(20, 20);
  await terminal.type("你好 world");
  await room.say("anna", "这是一句很长的中文句子，需要换行");
  await terminal.showsLast([
    ..."anna: 这是一句很长的".match(/.+/g)!,
    ..."  中文句子，需要换行".match(/.+/g)!,
    "> 你好 world",
  ]);
  await terminal.press("Enter");
  await room.receives("你好 world");
  await terminal.until((screen) => screen.at(-1) === ">");
});

terminalTest("the up arrow recalls a sent line", async () => {
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
});

terminalTest("--history saves lines for the next run", async () => {
  const path = await Deno.makeTempFile();
  try {
    const args = ["--history", path];
    const options = { flags: ["-R", "-W"] };
    {
      await using opened = await openRoom(args, options);
      const { room, terminal } = opened;
      for (const line of ["hello", "/msg bob secret"]) {
        await terminal.type(line);
        await terminal.press("Enter");
        await room.receives(line);
      }
    }
    assertEquals(await Deno.readTextFile(path), "hello\n");
    await using opened = await openRoom(args, options);
    const { terminal, rows, prompt } = opened;
    await terminal.press("Up");
    await terminal.shows([...rows, `${prompt} hello`]);
  } finally {
    await Deno.remove(path);
  }
});

// With the prompt, 100 columns fill rows of 50 and of 100 exactly.
for (const length of [95, 100]) {
  terminalTest(
    `a typed line of ${length} columns survives changes of size`,
    async () => {
      await using opened = await openRoom();
      const { room, terminal, rows, prompt } = opened;
      const typed = `${prompt} `.padEnd(length - 2, "x") + "yz";
      await terminal.type(typed.slice(prompt.length + 1));
      await terminal.output((output) => output.endsWith("yz"));
      let typedRows: string[] = [];
      for (const columns of [48, 50, 100, 48, 50]) {
        await terminal.resize(columns, 20);
        typedRows = typed.match(new RegExp(`.{1,${columns}}`, "g"))!;
        await terminal.showsLast([
          HINT.slice(-(HINT.length % columns)),
          ...typedRows,
        ]);
      }
      await room.say("bob", "hi");
      await terminal.showsLast(["bob: hi", ...typedRows]);
      // tmux has scrolled for lines that took more rows meanwhile.
      const wrapped = rows.flatMap((row) => row.match(/.{1,50}/g)!);
      assertEquals(await terminal.scrollback(), [
        ...[...wrapped, "bob: hi", ...typedRows],
      ]);
    },
  );
}

terminalTest("a line that is sent to another server stays", async () => {
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
});

terminalTest(
  "a prompt without a line end is shown, and its answer stays beside it",
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

terminalTest("a line that arrives in pieces is shown as one", async () => {
  await using pair = await openPair();
  const { terminal, peer } = pair;
  await peer.send("one, ");
  await terminal.shows(["one,"]);
  await terminal.type("typed");
  await terminal.shows(["one, typed"]);
  await peer.send("two\n");
  await terminal.shows(["one, two", "typed"]);
});

terminalTest("a part of a message is not shown as a line", async () => {
  await using pair = await openPair(["--no-time"], { columns: 80 });
  const { terminal, peer, greet } = pair;
  const rows = await greet(80);
  await peer.send(`mallory: ${"x".repeat(100)}`);
  await peer.send("\n");
  await terminal.until((screen) => screen.at(-2)?.startsWith("  xx"));
  // A prompt would be shown before the rest arrives.
  await peer.send(`mallory: ${"y".repeat(100)} `);
  await new Promise((resolve) => setTimeout(resolve, 500));
  await peer.send("bob: I give up\n");
  await terminal.shows([
    ...rows,
    ...wrap(`mallory: ${"x".repeat(100)}`, 80, 2).split("\n"),
    ...wrap(`mallory: ${"y".repeat(100)} bob: I give up`, 80, 2).split("\n"),
    promptOf(peer.name, 80),
  ]);
});

terminalTest(
  "a character that is split over two packets is shown",
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

terminalTest("invalid UTF-8 becomes U+FFFD", async () => {
  await using pair = await openPair();
  await pair.peer.send(new Uint8Array([0x61, 0xff, 0x62, 0x0a]));
  await pair.terminal.shows(["a\ufffdb"]);
});

terminalTest(
  "a line without an end is shown, and not kept in memory",
  async () => {
    await using pair = await openPair([], { columns: 100, rows: 10 });
    const { terminal, peer } = pair;
    const block = "x".repeat(1024 * 1024);
    for (let i = 0; i < 64; i++) await peer.send(block);
    await peer.send("\nthe end\n");
    await terminal.until((screen) => screen.at(-1) === "the end");
    if (Deno.build.os !== "linux") return console.log("not measured: memory");
    const peak = await terminal.peakMemory();
    assert(peak < 200_000, `${peak} kB at its peak`);
  },
);

/** Sends lines of 64 KB until the connection is closed. */
async function flood(peer: Peer, onSent = () => {}): Promise<void> {
  const line = encoder.encode(`bob: ${"x".repeat(64_000)}\n`);
  try {
    for (;; onSent()) await peer.send(line);
  } catch {
    // The client is gone.
  }
}

terminalTest("Ctrl-C leaves during a flood of long lines", async () => {
  await using pair = await openPair(["--no-time"], { columns: 100 });
  const { terminal, peer, greet } = pair;
  await greet(100);
  const flooded = flood(peer);
  await terminal.until((screen) => screen[0]?.includes("xxxx"));
  await terminal.press("C-c");
  await terminal.until((screen) => screen.at(-2)?.endsWith("exit code 130"));
  await flooded;
});

terminalTest("lines are sent during a flood of long lines", async () => {
  await using pair = await openPair(["--no-time"], { columns: 100 });
  const { terminal, peer, greet } = pair;
  await greet(100);
  const flooded = flood(peer);
  await terminal.until((screen) => screen[0]?.includes("xxxx"));
  await terminal.type("stop");
  await terminal.press("Enter");
  assertEquals(await peer.line(), "stop");
  await terminal.press("C-c");
  await terminal.until((screen) => screen.at(-2)?.endsWith("exit code 130"));
  await flooded;
});

terminalTest("a line can be typed at 300 messages a second", async () => {
  await using opened = await openRoom();
  const { room, terminal, prompt } = opened;
  let count = 0;
  const timer = setInterval(
    () => room.send(...[1, 2, 3].map(() => `bob: message ${++count}`)),
    10,
  );
  try {
    await terminal.until((screen) => screen.length === 20);
    for (const character of "typed while") {
      await terminal.type(character);
    }
    await terminal.showsRow(`${prompt} typed while`);
    await terminal.press("BSpace", "Left", "BSpace", "End");
    await terminal.showsRow(`${prompt} typed whl`);
    await terminal.press("Enter");
    await room.receives("typed whl");
  } finally {
    clearInterval(timer);
  }
  await terminal.until((screen) =>
    screen.at(-1) === prompt &&
    screen.some((row) => row.endsWith(": typed whl"))
  );
  const rows = await terminal.scrollback();
  // No part of the typed line remains between the messages.
  for (const row of rows.slice(3, -1)) {
    assertMatch(row, /^bob: message \d+$|: typed whl$/);
  }
});

terminalTest("escape sequences of the server are removed", async () => {
  await using pair = await openPair();
  const { terminal, peer } = pair;
  const start = "Welcome 127.0.0.1:1\n-- x /help\nbob: start\n";
  await peer.send(start);
  await terminal.until((screen) => screen.at(-2)?.endsWith("bob: start"));
  await peer.send(
    "bob: \x1b[31mred \x1b]0;title\x07 \x1bc \x1b[2J\x1b[H\x9b5n \x9d0;t\x9c \x08\x7f\x0e\x00 \u202e\u2066 end\n",
  );
  await peer.send(
    "\x1b]2;x\x07\x1b[200~ is online\n* \x1b[I waves\n\x1b[?1049h: prompt\x1b[6n\n",
  );
  await terminal.until((screen) => screen.at(-2)?.endsWith("prompt[6n"));
  await terminal.type("typed");
  const whole = await terminal.output((output) => output.endsWith("typed"));
  const output = whole.slice(whole.lastIndexOf("start"));
  assertMatch(
    output.replace(STYLES, ""),
    /: \[31mred \]0;title c \[2J\[H5n 0;t {3}end\r\n/,
  );
  const rest = output.replace(OWN_ESCAPES, "").replace(/\r\n|\r/g, "");
  assertEquals(rest.match(CONTROLS), null);
  assertMatch(
    await terminal.title(),
    /^linechat 127\.0\.0\.1:\d+$/,
  );
});

terminalTest("completion inserts only valid names", async () => {
  await using pair = await openPair(["--no-time"]);
  const { terminal, peer, greet } = pair;
  const rows = await greet();
  await peer.send("q/quit is online\nqa;b is online\nqbob is online\n");
  await terminal.showsRow("qbob is online");
  await terminal.type("q");
  await terminal.press("Tab");
  await terminal.showsRow(`${promptOf(peer.name, 60)} qbob:`);
  assertEquals((await terminal.screen()).slice(0, rows.length), rows);
});

const LEAVING: [string, string, number][] = [
  ["Ctrl-D", "C-d", 0],
  ["Ctrl-C", "C-c", 130],
  ["Ctrl-\\", "C-\\", 131],
];
for (const [what, key, code] of LEAVING) {
  terminalTest(
    `${what} leaves with ${code} and restores the terminal`,
    async () => {
      await using opened = await openRoom();
      const { room, terminal } = opened;
      await terminal.press(key);
      await terminal.assertEnds(code);
      await room.isEmpty();
    },
  );
}

terminalTest("Ctrl-C leaves the typed text on a row of its own", async () => {
  await using opened = await openRoom([], { columns: 40 });
  const { terminal, rows } = opened;
  await terminal.type("x".repeat(50));
  // The terminal discards the keys that were not read before Ctrl-C.
  await terminal.showsLast([`> ${"x".repeat(38)}`, "x".repeat(12)]);
  await terminal.press("Home", "C-c");
  await terminal.assertEnds(130);
  assertEquals(
    (await terminal.screen()).slice(rows.length, rows.length + 3),
    [`> ${"x".repeat(38)}`, "x".repeat(12), "exit code 130"],
  );
});

terminalTest("Ctrl-D leaves a server that does not close", async () => {
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
});

/** Waits until all processes with these arguments are suspended. */
async function stopped(args: string): Promise<void> {
  while (true) {
    const { stdout } = await new Deno.Command("ps", {
      args: ["-eo", "stat=,args="],
    }).output();
    const processes = new TextDecoder().decode(stdout).split("\n")
      .filter((row) => row.endsWith(args));
    if (processes.every((row) => row.startsWith("T"))) return;
  }
}

const DENO = `"${Deno.execPath()}" run -N netcat.ts`;
for (
  const [what, shell, start] of [
    // This shell relies on the client to restore the modes of the terminal.
    ["it", "sh", DENO],
    // npx waits for its child like this, and is suspended by the same Ctrl-Z.
    ["it and its parent", "bash --norc", `sh -c '${DENO} "$@"; exit' sh`],
  ]
) {
  terminalTest(
    `Ctrl-Z suspends ${what}, and fg continues it`,
    async () => {
      await using opened = await openRoom([], { columns: 100 });
      const { room, terminal } = opened;
      // Start from a shell with job control.
      await terminal.press("C-c");
      await terminal.until((screen) => screen.at(-1) === "$");
      await terminal.type(`clear; exec ${shell}`);
      await terminal.press("Enter");
      await terminal.shows(["$"]);
      await terminal.type(`${start} --no-time 127.0.0.1 ${room.port}`);
      await terminal.press("Enter");
      await terminal.until((screen) =>
        /^127\.0\.0\.1:\d+>$/.test(screen.at(-1)!)
      );
      const [{ name }] = room.peers.slice(-1);
      for (const text of ["typed", " on"]) {
        await terminal.type(text);
        await terminal.until((screen) => screen.at(-1)?.endsWith(text));
        await terminal.press("C-z");
        await terminal.until((screen) => screen.at(-1) === "$");
        await stopped(`127.0.0.1 ${room.port}`);
        await terminal.type("fg");
        await terminal.press("Enter");
        await terminal.until((screen) =>
          screen.at(-1)?.startsWith(`${name}> typed`)
        );
      }
      await terminal.press("Enter");
      await room.receives("typed on");
      await terminal.press("C-c");
      await terminal.until((screen) => screen.at(-1) === "$");
    },
  );
}

for (
  const [signal, code] of [
    ["SIGTERM", 143],
    ["SIGINT", 130],
    ["SIGHUP", 129],
    ["SIGQUIT", 131],
    ["SIGALRM", 142],
    ["SIGUSR1", 138],
    ["SIGUSR2", 140],
    ["SIGXCPU", 152],
  ] as const
) {
  terminalTest(
    `${signal} ends it with ${code} and restores the terminal`,
    async () => {
      await using opened = await openRoom();
      const { terminal } = opened;
      Deno.kill(await terminal.pid(), signal);
      await terminal.assertEnds(code);
      const output = await terminal.output((o) => o.includes("\x1b[?2004l"));
      assert(output.includes("\x1b[23;2t"));
    },
  );
}

terminalTest(
  "SIGTERM ends it while the terminal does not read",
  async () => {
    await using pair = await openPair(["--no-time"], { columns: 100 });
    const { terminal, peer, greet } = pair;
    await greet(100);
    const pid = await terminal.pid();
    const thaw = await terminal.freeze();
    try {
      // The flood ends when the client has closed the connection.
      let count = 0;
      const flooded = flood(peer, () => count++);
      await stall(() => count);
      Deno.kill(pid, "SIGTERM");
      await flooded;
    } finally {
      thaw();
    }
    // The row before it may be incomplete.
    await terminal.until((screen) => screen.at(-2)?.endsWith("exit code 143"));
  },
);

terminalTest(
  "the client stops reading while the terminal does not read",
  async () => {
    await using pair = await openPair(["--no-time"], { columns: 100 });
    const { terminal, peer, greet } = pair;
    await greet(100);
    const thaw = await terminal.freeze();
    try {
      const block = encoder.encode(`bob: ${"x".repeat(63_994)}\n`.repeat(16));
      let count = 0;
      const sent = (async () => {
        while (count < 256) {
          await peer.send(block);
          count++;
        }
      })().catch(() => {});
      await stall(() => count);
      assert(count < 256, "The client has taken 256 MB");
      Deno.kill(await terminal.pid(), "SIGKILL");
      await sent;
    } finally {
      thaw();
    }
  },
);

terminalTest("it ends with 0 when the server closes", async () => {
  await using pair = await openPair(["--no-time"]);
  const { terminal, peer, greet } = pair;
  const rows = await greet();
  await terminal.type("unsent");
  await terminal.until((screen) => screen.at(-1)?.endsWith("> unsent"));
  await peer.send("The server is shutting down\n");
  await peer.end();
  await terminal.assertEnds(0);
  assertEquals((await terminal.screen()).slice(rows.length, rows.length + 4), [
    "The server is shutting down",
    `${promptOf(peer.name, 60)} unsent`,
    ...["done", "exit code 0"],
  ]);
});

terminalTest(
  "it ends with 1 and the reason when the connection is lost",
  async () => {
    const { port, accepted } = await listenForReset();
    await using terminal = await Terminal.open(["127.0.0.1", `${port}`], {
      columns: 100,
    });
    const peer = await accepted;
    peer.write("hello\n");
    await terminal.shows(["hello"]);
    peer.resetAndDestroy();
    await terminal.assertEnds(1);
    assertEquals(
      (await terminal.screen())[1],
      `Lost the connection to 127.0.0.1:${port}: connection reset`,
    );
  },
);

for (const args of [[], ["--reconnect"]]) {
  terminalTest(
    `a refused entry ends ${args[0] ?? "it"} with 1 and the reason`,
    async () => {
      await using pair = await openPair(args);
      const { terminal, peer } = pair;
      await peer.send("Cannot enter: the room is full\n");
      await peer.end();
      await terminal.assertEnds(1);
      assertEquals(
        (await terminal.screen())[0],
        "Cannot enter: the room is full",
      );
    },
  );
}

terminalTest("it reports that the server uses TLS", async () => {
  await using pair = await openPair([], { columns: 100 });
  const { terminal, peer, port } = pair;
  await terminal.type("hello");
  await terminal.press("Enter");
  assertEquals(await peer.line(), "hello");
  await peer.send(new Uint8Array([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x32]));
  await terminal.assertEnds(1);
  assertEquals(
    (await terminal.screen())[1],
    `Lost the connection to 127.0.0.1:${port}: the server uses TLS, see --tls`,
  );
});

terminalTest("bytes of a TLS alert within a message are text", async () => {
  await using pair = await openPair(["--no-time"]);
  const { terminal, peer, greet } = pair;
  const rows = await greet();
  await peer.send("\x15\x03bob: hi\n");
  await terminal.shows([...rows, "bob: hi", promptOf(peer.name, 60)]);
});

terminalTest(
  "--reconnect connects to a server that was restarted",
  async () => {
    const listener = listen();
    const { port } = listener.addr;
    await using terminal = await Terminal.open(
      ["--reconnect", "--name", "ann", "127.0.0.1", `${port}`],
      { columns: 100 },
    );
    const first = new Peer(await listener.accept());
    await first.send(`Welcome ${first.name}\n${greeting()}\n`);
    assertEquals(await first.line(), "/nick ann");
    await first.send(`${first.name} is now known as ann\n`);
    await terminal.until((screen) => screen.at(-1) === "ann>");
    await terminal.type("/nick eve");
    await terminal.press("Enter");
    assertEquals([await first.line(), await first.line()], [
      "/who",
      "/nick eve",
    ]);
    await first.send("ann is now known as eve\n");
    await terminal.until((screen) => screen.at(-1) === "eve>");
    await terminal.type("typed");
    await terminal.until((screen) => screen.at(-1) === "eve> typed");
    listener.close();
    await first[Symbol.asyncDispose]();

    // One row has the state, between the note on the loss and the typed line.
    const LOST = /^ {6}== Lost the connection to \S+: the server closed it$/;
    const FIRST = /^== Not connected: .+\. Attempt 1 in 1 s$/;
    const STATE =
      /^== Not connected: connection refused\. Attempt [23] in \d s$/;
    await terminal.until(([...rows]) =>
      rows.at(-1) === "eve> typed" && FIRST.test(rows.at(-2)!) &&
      LOST.test(rows.at(-3)!)
    );
    await terminal.press("Enter");
    const NOT_SENT =
      "      == Not connected; line not sent. Press ↑ to recall it.";
    await terminal.until((rows) =>
      rows.at(-1) === "eve>" && STATE.test(rows.at(-2)!) &&
      rows.at(-3) === NOT_SENT && rows.at(-4) === "typed" &&
      LOST.test(rows.at(-5)!)
    );
    await terminal.press("Up");
    await terminal.until((screen) => screen.at(-1) === "eve> typed");

    using restarted = listen(port);
    await using second = new Peer(await restarted.accept());
    await second.send(`Welcome ${second.name}\n`);
    assertEquals(await second.line(), "/nick eve");
    await second.send(`${second.name} is now known as eve\n`);
    await terminal.until((rows) =>
      rows.at(-1) === "eve> typed" &&
      rows.at(-3)?.endsWith(`Welcome ${second.name}`) &&
      rows.at(-4) === `      == Connected to 127.0.0.1:${port} again` &&
      rows.at(-5) === NOT_SENT
    );
    await terminal.press("Enter");
    assertEquals(await second.line(), "typed");
  },
);

terminalTest("a history is marked, and not shown twice", async () => {
  const history = ["bob: one", "* bob waves"];
  await using opened = await openRoom([], { history });
  const { room, terminal } = opened;
  const marker = "-- History: 2 messages, last at 2026-11-24 12:03 UTC";
  await terminal.until((screen) =>
    screen.slice(3, 6).join() === [marker, "│ bob: one", "│ * bob waves"].join()
  );
  await room.say("bob", "three");
  await terminal.showsRow("bob: three");
  history.push("bob: three", "bob: four");
  await terminal.type("/reconnect");
  await terminal.press("Enter");
  await terminal.until((screen) => screen.includes("│ bob: four"));
  const rows = await terminal.scrollback();
  const news = rows.indexOf("== 1 message while you were disconnected");
  assertEquals(rows[news + 1], "│ bob: four");
  assertEquals(rows.filter((row) => row.endsWith("bob: one")).length, 1);
  assertEquals(rows.filter((row) => row.endsWith("bob: three")).length, 1);
});

for (const key of ["C-d", "C-c", "/quit"]) {
  terminalTest(`${key} leaves while there is no connection`, async () => {
    const pair = await openPair(["--reconnect"], { columns: 100 });
    await using terminal = pair.terminal;
    await pair.peer[Symbol.asyncDispose]();
    await terminal.until((screen) => /Attempt \d in /.test(screen.join("")));
    if (key.startsWith("/")) {
      await terminal.type(key);
      await terminal.press("Enter");
    } else await terminal.press(key);
    await terminal.assertEnds(key === "C-c" ? 130 : 0);
  });
}

terminalTest("--reconnect does not connect again after /quit", async () => {
  await using opened = await openRoom(["--reconnect"]);
  const { terminal, rows } = opened;
  await terminal.type("/quit see you");
  await terminal.press("Enter");
  await terminal.assertEnds(0);
  assertEquals((await terminal.screen())[rows.length], "done");
});

terminalTest("local commands are not sent", async () => {
  await using opened = await openRoom([], { others: ["bob"] });
  const { room, terminal, name, rows, prompt } = opened;
  const enter = async (line: string) => {
    await terminal.type(line);
    await terminal.press("Enter");
  };
  await enter("/names");
  await terminal.shows([...rows, `== 2 here: ${name}, bob`, prompt]);
  await enter("/ignore bob");
  await terminal.showsRow("== Messages of bob are hidden");
  await room.send("bob: a", "* bob waves", "bob (private): b", "cat: c");
  await terminal.until((screen) => screen.at(-2) === "cat: c");
  await enter("/unignore bob");
  await terminal.showsRow("== Messages of bob are shown");
  await room.say("bob", "d");
  await terminal.showsLast([
    ...["== Messages of bob are hidden", "cat: c"],
    ...["== Messages of bob are shown", "bob: d", prompt],
  ]);
  await enter("/clear");
  await terminal.shows([prompt]);
  assertEquals(room.received, ["/who"]);
});

terminalTest(
  "/help lists the local commands below those of the server",
  async () => {
    await using opened = await openRoom();
    const { room, terminal, rows, prompt } = opened;
    await terminal.type("/help");
    await terminal.press("Enter");
    await terminal.shows([
      ...[...rows, "-- /nick NAME  set your name", "-- /help  list"],
      "== Commands of this program:",
      "== /names          list who is here",
      "== /ignore [NAME]  hide a member's messages",
      "== /unignore NAME  show them again",
      "== /clear          clear the screen",
      "== /reconnect      connect again",
      prompt,
    ]);
    assertEquals(room.received, ["/who", "/help", "/ping"]);
  },
);

terminalTest("a name has the same colour in every line", async () => {
  await using pair = await openPair();
  const { terminal, peer } = pair;
  const { name } = peer;
  const lines = [
    `Welcome <${name}>`,
    "<ann> is online",
    "<ann>: bob: no, bob is online",
    "<ann> (private): psst: this",
    "(private) → <ann>: bob: what?",
    "* <ann> waves",
    "-- bob: there is no bob",
    "<bob> 上线",
    "<bob> 下线",
  ];
  await peer.send(lines.join("\n").replace(/[<>]/g, "") + "\n");
  await terminal.until((screen) => screen.at(-2)?.endsWith("bob 下线"));
  const output = await terminal.output((output) => /下线/.test(output));
  const colours = new Map(
    Array.from(
      output.matchAll(/\x1b\[38;5;\d+m\x1b\[38:2::([\d:]+)m(\S+?)\x1b\[39m/g),
    ).map(([, colour, name]) => [name, colour]),
  );
  assertEquals([...colours.keys()], [name, "ann", "bob"]);
  assertEquals(new Set(colours.values()).size, 3);
  const shown = output.replace(
    /\x1b\[38;5;\d+m\x1b\[38:2::[\d:]+m(.+?)\x1b\[39m/g,
    "<$1>",
  ).replace(STYLES, "");
  for (const line of lines) assert(shown.includes(`${line}\r\n`), line);
});

terminalTest("NO_COLOR removes colours and keeps bold and dim", async () => {
  await using opened = await openRoom([], { env: { NO_COLOR: "1" } });
  const { room, terminal, name } = opened;
  await room.say("bob", `hi ${name}`);
  await terminal.showsRow(`bob: hi ${name}`);
  const screen = await terminal.styledScreen();
  assert(!/\x1b\[[\d;]*3[0-8]/.test(screen), JSON.stringify(screen));
  assertMatch(screen, /1m(?:\x1b\[[\d;]*m)*bob: hi \x1b\[[\d;]*7m/);
  assertMatch(screen, /\x1b\[[\d;]*2m-- No one/);
});

terminalTest("each line starts with its time", async () => {
  const room = new TestRoom({ history: ["bob: old"] });
  await using terminal = await Terminal.open([`127.0.0.1:${room.port}`], {
    env: { TZ: "UTC-5" },
  });
  await using _ = room;
  const local = () =>
    new Date(Date.now() + 5 * 3600_000).toISOString().slice(11, 16);
  const start = local();
  await room.receives("/who");
  await room.say("bob", "hi");
  const screen = await terminal.until((screen) =>
    screen.some((row) => row.endsWith(" bob: hi"))
  );
  const [, time] = /^(\d\d:\d\d) bob: hi$/.exec(screen.at(-2)!)!;
  assert(start <= time && time <= local() || start > local(), time);
  assertMatch(screen[0], /^\d\d:\d\d Welcome /);
  // Notes of the client and lines of the history have no time.
  assertEquals(screen[2], `      ${HINT}`.slice(0, 60));
  assertEquals(screen.at(-3), "    │ bob: old");
});

terminalTest(
  "a mention rings the bell, and is counted in the title",
  async () => {
    await using opened = await openRoom();
    const { room, terminal, name } = opened;
    const title = `linechat 127.0.0.1:${room.port}`;
    await terminal.showsTitle(title);
    await room.say("bob", "no one");
    await terminal.showsTitle(`(1) ${title}`);
    const bells = async (end: string) =>
      (await terminal.output((output) => output.includes(end)))
        .split("\x07").length - 1;
    assertEquals(await bells("(1) "), 0);
    // The bell rings at most once per second.
    await room.send(
      ...Array.from({ length: 300 }, (_, i) => `bob: ${name} ${i}`),
    );
    await terminal.showsTitle(`(301) ${title}`);
    const count = await bells("(301) ");
    assert(count === 1 || count === 2, `${count} bells`);
    await terminal.press("Left");
    await terminal.showsTitle(title);
    await terminal.press("C-d");
    await terminal.until((screen) => screen.at(-1) === "$");
    assert(!(await terminal.title()).includes("linechat"));
  },
);

for (
  const [bell, lines, expected] of [
    ["never", ["bob (private): psst"], 0],
    ["all", ["bob: hi"], 1],
    ["mention", ["bob (private): psst"], 1],
  ] as const
) {
  terminalTest(
    `--bell ${bell} rings ${expected} times for ${lines[0]}`,
    async () => {
      await using opened = await openRoom(["--bell", bell]);
      const { room, terminal } = opened;
      await room.send(...lines, "cat is online");
      await terminal.showsRow("cat is online");
      const output = await terminal.output((o) => o.includes(" is online\x1b"));
      assertEquals(output.split("\x07").length - 1, expected);
    },
  );
}

terminalTest("--lang zh shows the notes in Chinese", async () => {
  await using pair = await openPair(["--no-time", "--lang", "zh"]);
  const { terminal, peer } = pair;
  await peer.send(
    `欢迎 ${peer.name}\n-- 1 人在线：小明。输入 /help 查看命令\n`,
  );
  assertEquals(await peer.line(), "/who");
  await peer.send(`-- 1 人在线：\n-- 小明（3 分钟）\n`);
  await terminal.showsRow("== 按 Tab 补全名字和命令，按 Ctrl-D 离开");
  await terminal.type("/names");
  await terminal.press("Enter");
  await terminal.showsRow(`== 2 人在线：${peer.name}、小明`);
});

for (const lang of ["en", "zh"] as const) {
  terminalTest(
    `it understands the lines of a server with --lang ${lang}`,
    async () => {
      await using server = openChat({ lang, history: 10, motd: "Be kind" });
      const { chat, addr } = server;
      await using bob = await TestClient.connect(addr);
      await bob.send("/nick bob\nold\n");
      while (await bob.line() !== "bob: old");
      await using terminal = await Terminal.open([
        ...["--no-time", "--lang", lang, "--name", "ann", "--reconnect"],
        `127.0.0.1:${addr.port}`,
      ], { rows: 40 });
      await terminal.until((screen) => screen.at(-1) === "ann>");
      const enter = async (line: string) => {
        await terminal.type(line);
        await terminal.press("Enter");
      };
      await terminal.showsRow("│ bob: old");
      // The list of members is not shown, and completes names.
      await terminal.type("/msg b");
      await terminal.press("Tab");
      await enter("psst");
      await terminal.until((screen) => screen.at(-2)?.endsWith("→ bob: psst"));
      await enter("/help");
      await terminal.until((screen) =>
        screen.at(-2)?.startsWith("== /reconnect") &&
        screen.some((row) => row.startsWith("-- /me "))
      );
      await enter("/reconnect");
      await bob.send("new\n");
      await terminal.until((screen) =>
        screen.some((row) => row.endsWith("bob: new")) &&
        screen.at(-1) === "ann>"
      );
      const rows = await terminal.scrollback();
      assertEquals(rows.filter((row) => row.endsWith("bob: old")).length, 1);
      assertEquals(rows.filter((row) => row.endsWith("pong")).length, 0);
      await chat.kick("ann", "spam");
      await terminal.assertEnds(1);
    },
  );
}

terminalTest("it needs and requests no permission other than -N", async () => {
  for (const flags of [[], ["--no-prompt"]]) {
    await using opened = await openRoom([], { flags });
    const { terminal, name } = opened;
    await terminal.resize(50, 20);
    await terminal.type("hello");
    await terminal.press("Enter");
    await terminal.showsRow(`${name}: hello`);
    await terminal.press("Up", "Home", "Tab", "End", "C-u", "C-z");
    // Ctrl-Z has no effect, since no shell could continue the client.
    await terminal.output((o) => o.split("\x1b[?2004h").length === 3);
    await terminal.press("C-d");
    await terminal.assertEnds(0);
    const screen = await terminal.scrollback();
    assert(!screen.some((row) => /permission|access/.test(row)));
  }
});
