import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Chat, ChatEvent } from "../mod.ts";
import { Log, type LogFormat } from "../server/log.ts";
import { TestClient } from "./clients.ts";
import { addressOf, linuxTest, startInBash, unixTest } from "./commands.ts";

/** A replacement for stderr that can be full. */
class Sink {
  text = "";
  /** The bytes that can still be written. */
  space = Infinity;

  writeSync(bytes: Uint8Array): number {
    if (this.space === 0) throw new Error("No space left on device");
    const part = bytes.subarray(0, this.space);
    this.space -= part.length;
    this.text += new TextDecoder().decode(part);
    return part.length;
  }

  /** The lines without their times. */
  get lines(): string[] {
    return this.text.split("\n").slice(0, -1)
      .map((line) => line.replace(/^\d{4}-\S+Z /, ""));
  }
}

const time = new Date(0);
const ann = { time, id: "1", name: "ann", address: "192.0.2.1", own: false };
const EVENTS: ChatEvent[] = [
  { ...ann, type: "joined" },
  { ...ann, type: "renamed", newName: "anna" },
  { ...ann, type: "message", text: "two words" },
  { ...ann, type: "action", text: "waves" },
  { ...ann, type: "left", reason: "spam" },
  { time, type: "notice", id: "", name: "", address: "", own: true, text: "x" },
];

/** Logs events, in place of those of a chat. */
async function follow(format: LogFormat, events = EVENTS): Promise<Sink> {
  const sink = new Sink();
  using log = new Log(format, "en", sink);
  const chat = { events: () => ReadableStream.from(events) };
  await log.follow(chat as unknown as Chat, true);
  return sink;
}

Deno.test("the log has the time, type, name and address of each event as text", async () => {
  const { text } = await follow("text");
  assert(text.startsWith("1970-01-01T00:00:00.000Z joined ann 192.0.2.1\n"));
  assertEquals((await follow("text")).lines, [
    "joined ann 192.0.2.1",
    "renamed ann 192.0.2.1 anna",
    "message ann 192.0.2.1 two words",
    "action ann 192.0.2.1 waves",
    "left ann 192.0.2.1 spam",
    "notice - - x",
  ]);
});

Deno.test("the log has each event as a JSON object", async () => {
  const { lines } = await follow("json");
  assertEquals(
    lines.map((line) => JSON.parse(line)),
    JSON.parse(JSON.stringify(EVENTS)),
  );
});

Deno.test("--log off logs failures without a time", async () => {
  assertEquals((await follow("off")).text, "");
  const sink = new Sink();
  using log = new Log("off", "en", sink);
  log.failure("Cannot x");
  log.info("y");
  assertEquals(sink.text, "Cannot x\ny\n");
});

Deno.test("the log reports missed events, and continues", async () => {
  const sink = new Sink();
  using log = new Log("text", "en", sink);
  const streams = [
    new ReadableStream({
      start: (controller) => controller.error(new Error("too slow")),
    }),
    ReadableStream.from(EVENTS.slice(0, 1)),
  ];
  const chat = { events: () => streams.shift() };
  await log.follow(chat as unknown as Chat, true);
  assertEquals(sink.lines, [
    "failure Some events are not logged: too slow",
    "joined ann 192.0.2.1",
  ]);
});

for (const format of ["text", "json", "off"] as const) {
  Deno.test(`the number of lines that a full disk loses is logged with --log ${format}`, () => {
    const sink = new Sink();
    using log = new Log(format, "en", sink);
    log.info("one");
    sink.space = 0;
    for (let i = 0; i < 12; i++) log.info("lost");
    sink.space = Infinity;
    log.info("two");
    log.info("three");
    const messages = sink.lines.map((line) =>
      format === "json"
        ? JSON.parse(line).message
        : line.replace(/^(info|failure) /, "")
    );
    assertEquals(messages, ["one", "12 log lines were lost", "two", "three"]);
  });
}

Deno.test("a line that a full disk cuts off does not damage the next one", () => {
  const sink = new Sink();
  using log = new Log("text", "zh", sink);
  sink.space = 10;
  log.info("lost");
  sink.space = Infinity;
  log.info("two");
  const [torn, ...lines] = sink.lines;
  assertEquals(torn.length, 10);
  assertEquals(lines, ["failure 丢失了 1 行日志", "info two"]);
});

Deno.test("repeated failures of one kind are logged once and then counted", () => {
  const sink = new Sink();
  {
    using log = new Log("off", "en", sink);
    for (let i = 1; i <= 5; i++) log.frequentFailure(`Cannot secure ${i}: x`);
    log.frequentFailure("Cannot admit ann: y");
    log.frequentFailure("Cannot admit bob: y");
    log.frequentFailure("Cannot accept connections: z");
    assertEquals(sink.lines, [
      "Cannot secure 1: x",
      "Cannot admit ann: y",
      "Cannot accept connections: z",
    ]);
  }
  assertEquals(sink.lines.slice(3), [
    "Cannot secure 5: x (and 3 more like this)",
    "Cannot admit bob: y",
  ]);
});

Deno.test("every dropped client is logged", () => {
  const sink = new Sink();
  using log = new Log("off", "en", sink);
  log.frequentFailure("Dropped ann: y");
  log.frequentFailure("Dropped bob: y");
  assertEquals(sink.lines, ["Dropped ann: y", "Dropped bob: y"]);
});

Deno.test("the number of frequent failures is logged once a minute", () => {
  const { setInterval, clearInterval } = globalThis;
  let tick = () => {};
  let timers = 0;
  // A clock that the test advances.
  globalThis.setInterval = ((callback: () => void) => {
    timers++;
    tick = callback;
    return 0;
  }) as unknown as typeof setInterval;
  globalThis.clearInterval = () => void timers--;
  try {
    const sink = new Sink();
    using log = new Log("off", "zh", sink);
    log.frequentFailure("Cannot admit a");
    tick();
    assertEquals(timers, 0); // No failure has followed.
    for (const name of ["b", "c", "d"]) {
      log.frequentFailure(`Cannot admit ${name}`);
    }
    tick();
    log.frequentFailure("Cannot admit e");
    assertEquals(sink.lines, [
      "Cannot admit a",
      "Cannot admit b",
      "Cannot admit d（另有 1 次类似情况）",
    ]);
    tick();
    tick();
    assertEquals(sink.lines.slice(3), ["Cannot admit e"]);
    assertEquals(timers, 0);
  } finally {
    Object.assign(globalThis, { setInterval, clearInterval });
  }
});

for (const options of ["--log=off", "--log=text --log-messages"]) {
  linuxTest(`the server survives a full disk with ${options}`, async () => {
    await using server = startInBash('exec "$@" 2>/dev/full', [
      ...["--hostname=127.0.0.1", "--port=0"],
      ...["--max-backlog=1048576", ...options.split(" ")],
    ]);
    const addr = await addressOf(server);
    await using slow = await TestClient.join(addr); // Does not read.
    await using bob = await TestClient.join(addr);
    const line = `${"x".repeat(999)}\n`;
    do await bob.send(line); while (
      await bob.line() !== `${slow.name} is offline`
    );
    await using carol = await TestClient.join(addr);
    await carol.send("hello\n");
    assertMatch(await carol.line() ?? "", /: (hello|x+)$/);
    server.kill("SIGTERM");
    assertEquals(await server.code(), 0);
  });
}

unixTest("the server survives a stderr that is closed", async () => {
  await using server = startInBash('exec "$@" 2>&-', [
    ...["--hostname=127.0.0.1", "--port=0", "--log=text"],
  ]);
  await using ann = await TestClient.join(await addressOf(server));
  await ann.send("hello\n");
  assertEquals(await ann.line(), `${ann.name}: hello`);
  server.kill("SIGTERM");
  assertEquals(await server.code(), 0);
});
