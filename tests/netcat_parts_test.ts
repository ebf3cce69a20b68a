/** Tests targets, the history file, pastes and the check of a silent connection. */

import { assert, assertEquals } from "@std/assert";
import { UsageError } from "../cli.ts";
import { HistoryFile } from "../netcat/history_file.ts";
import { Paste, pasteAnswer } from "../netcat/paste.ts";
import { SecretInput } from "../netcat/secret_input.ts";
import { nameOf, parseTarget } from "../netcat/target.ts";
import { Watchdog } from "../netcat/watchdog.ts";

/** Parses a target and returns its name, with a mark for TLS. */
function target(args: string[], options = {}): string {
  const target = parseTarget(args, { tls: false, ...options }, "en");
  return nameOf(target) +
    ("isSecure" in target && target.isSecure ? " TLS" : "");
}

/** Returns the message of the usage error for a target. */
function refusal(args: string[], options = {}): string {
  try {
    return `Not refused: ${target(args, options)}`;
  } catch (error) {
    assert(error instanceof UsageError);
    return error.message;
  }
}

Deno.test("a target can have several forms", () => {
  assertEquals(target([]), "localhost:8000");
  assertEquals(target(["chat.example"]), "chat.example:8000");
  assertEquals(target(["chat.example", "1"]), "chat.example:1");
  assertEquals(target(["chat.example:65535"]), "chat.example:65535");
  assertEquals(target(["::1"]), "[::1]:8000");
  assertEquals(target(["::1", "80"]), "[::1]:80");
  assertEquals(target(["[::1]"]), "[::1]:8000");
  assertEquals(target(["[::1]:80"]), "[::1]:80");
  assertEquals(target(["[::1:8000]"]), "[::1:8000]:8000");
  assertEquals(target(["::1:8000", "80"]), "[::1:8000]:80");
  assertEquals(target(["fe80::1:a"]), "[fe80::1:a]:8000");
  assertEquals(target(["2001:db8::443"]), "[2001:db8::443]:8000");
  assertEquals(target(["::ffff:1.2.3.4"]), "[::ffff:1.2.3.4]:8000");
  assertEquals(target(["1:2:3:4:5:6:7:8"]), "[1:2:3:4:5:6:7:8]:8000");
  assertEquals(target(["linechat://a:1"]), "a:1");
  assertEquals(target(["linechat://[::1]:80/"]), "[::1]:80");
  assertEquals(target(["linechats://a"]), "a:8000 TLS");
  assertEquals(target(["a"], { tls: true }), "a:8000 TLS");
  assertEquals(target(["a"], { port: 80 }), "a:80");
  assertEquals(target([], { unix: "/tmp/x" }), "/tmp/x");
});

Deno.test("the error for a wrong target names the right form", () => {
  for (
    const host of ["", "a b", "http://a", "a/b", "a@b:1", "[a]:1", "host:1:2"]
  ) {
    const message = refusal([host]);
    assert(message.startsWith("Invalid host"), message);
    assert(message.includes("HOST:PORT, [IPV6]:PORT, linechat://"), message);
  }
  assertEquals(
    refusal(["8510"]),
    "Invalid host 8510: for a port on this machine, write localhost:8510",
  );
  for (
    const [host, form] of [["::1:8000", "[::1]:8000"], [
      "fe80::1:80",
      "[fe80::1]:80",
    ]]
  ) {
    const port = form.slice(form.lastIndexOf(":") + 1);
    assertEquals(
      refusal([host]),
      `Invalid host ${host}: for port ${port}, write ${form}; ` +
        `for an address, write [${host}]`,
    );
    assertEquals(refusal([`linechat://${host}`]), refusal([host]));
  }
  assert(refusal(["::1:18000"]).includes("write [::1]:18000;"));
  for (const port of ["", "0", "65536", "http", "0x50"]) {
    const message = refusal([`a:${port}`]);
    assert(message.startsWith("Invalid port"), message);
    assert(message.endsWith("must be an integer from 1 to 65535"), message);
  }
  assertEquals(refusal(["a:1", "2"]), "The port is given twice: 1 and 2");
  assertEquals(refusal(["a"], { ca: "x" }), "--ca needs --tls");
  assertEquals(
    refusal(["a"], { unix: "x" }),
    "--unix takes no host, no port and no --tls",
  );
  assertEquals(refusal(["a", "1", "x"]), "Unknown argument x: see --help");
});

Deno.test("keys that move the cursor are not a part of a secret", () => {
  const events: string[] = [];
  const input = new SecretInput({
    enter: (secret) => events.push(secret),
    leave: () => events.push("leave"),
    interrupt: () => events.push("interrupt"),
  });
  input.press("\x7fa\u{1f600}\x7fb\x1b[Ac\x1b[1;5D\x1bOPd\x01\te\x04\r");
  input.press("one two \x17\x08\n");
  input.press("x\x15\x04\x03\r");
  assertEquals(events, ["abcd\te", "one", "leave", "interrupt", ""]);
});

Deno.test("a history file is readable by its user only, and contains no secrets", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.chmod(path, 0o644);
    await Deno.writeTextFile(path, "old\n");
    const file = new HistoryFile(path);
    assertEquals(file.lines, ["old"]);
    if (Deno.build.os !== "windows") {
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    }
    for (
      const line of [
        "hi",
        " ",
        "/msg bob psst",
        "/nick ann",
        "/nick ann secret",
        "/password x",
        "/me waves",
        "//x",
        "/who",
        "/whois bob",
      ]
    ) file.add(line);
    assertEquals(
      new HistoryFile(path).lines,
      ["/who", "//x", "/me waves", "/nick ann", "hi", "old"],
    );
    for (let i = 0; i < 1_100; i++) file.add(`${i}`);
    const { lines } = new HistoryFile(path);
    assertEquals(lines.length, 1_000);
    assertEquals(lines.at(-1), "100");
    assertEquals((await Deno.readTextFile(path)).split("\n").length, 1_001);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("a new history file is readable by its user only", async () => {
  const directory = await Deno.makeTempDir();
  try {
    new HistoryFile(`${directory}/history`);
    if (Deno.build.os === "windows") return;
    const { mode } = await Deno.stat(`${directory}/history`);
    assertEquals(mode! & 0o777, 0o600);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a paste is typed, entered or edited", () => {
  const one = new Paste("one\ttwo\n");
  assertEquals([one.isLong, one.typed], [false, "one\ttwo"]);
  assertEquals(new Paste("1\r\n2\r3").typed, "1\n2\n3");
  assertEquals(new Paste("1\n2\n").typed, "1\n2\n");
  const long = new Paste("1\n2\n3\n4\n5\n\x1b[2J6\n");
  assertEquals(long.isLong, true);
  assertEquals(long.entered, "1\n2\n3\n4\n5\n[2J6\n");
  assertEquals(long.editable, "1↵2↵3↵4↵5↵[2J6");
  assertEquals(Paste.linesOf(long.editable), long.lines);
});

Deno.test("pasteAnswer finds a letter or Escape among other keys", () => {
  assertEquals(pasteAnswer("xyz"), undefined);
  assertEquals(pasteAnswer("\x1b[D\x1bOD\x1bd"), undefined);
  assertEquals(pasteAnswer("x\x1b[Dd2"), { answer: "discard", rest: "2" });
  assertEquals(pasteAnswer("\x1b"), { answer: "discard", rest: "" });
  assertEquals(pasteAnswer("S"), { answer: "send", rest: "" });
  assertEquals(pasteAnswer("e"), { answer: "edit", rest: "" });
});

Deno.test("a silent connection is checked, and lost if there is no answer", async () => {
  const events: string[] = [];
  const lost = Promise.withResolvers<void>();
  using watchdog = new Watchdog(
    () => {
      events.push("ask");
      // Only the first check is answered.
      if (events.length === 1) queueMicrotask(() => watchdog.heard());
      return true;
    },
    lost.resolve,
    { quiet: 20, answer: 20 },
  );
  await lost.promise;
  assertEquals(events, ["ask", "ask"]);
});

Deno.test("a connection that cannot be checked is kept", async () => {
  const asked = Promise.withResolvers<void>();
  let count = 0;
  using _ = new Watchdog(
    () => {
      if (++count === 3) asked.resolve();
      return false;
    },
    () => asked.reject(new Error("lost")),
    { quiet: 10, answer: 1 },
  );
  await asked.promise;
});
