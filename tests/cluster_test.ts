/** Tests rooms of several servers on a real NATS server. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { RoomStream } from "../server/nats.ts";
import { linesOf, TestClient } from "./clients.ts";
import {
  enter,
  join,
  natsTest,
  PAUSED,
  progress,
  RESUMED,
  talkWhile,
  until,
} from "./cluster.ts";
import { Command, startServer } from "./commands.ts";
import {
  findProgram,
  freePort,
  manageStreams,
  NATS_MISSING,
  NatsServer,
  NOT_RUN,
} from "./nats.ts";
import { formatCredentials, Operator } from "./nats_operator.ts";
import { Certificate } from "./tls.ts";

const DOCUMENT = await Deno.readTextFile("docs/cluster.md");

natsTest(
  "clients of two servers see all lines once and in one order",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using two = await join(nats);
    const clients = [];
    for (let i = 0; i < 6; i++) {
      clients.push(await enter(i % 2 === 0 ? one : two, `m${i}`));
    }
    const count = 200;
    const transcripts = clients.map(async (client) => {
      const lines = [];
      while (lines.length < count * clients.length) {
        const line = (await client.line())!;
        if (/^m\d: /.test(line)) lines.push(line);
      }
      return lines;
    });
    await Promise.all(clients.map(async (client) => {
      for (let n = 0; n < count; n++) await client.send(`line ${n}\n`);
    }));
    const [first, ...others] = await Promise.all(transcripts);
    for (const lines of others) assertEquals(lines, first);
    for (let i = 0; i < clients.length; i++) {
      assertEquals(
        first.filter((line) => line.startsWith(`m${i}: `)),
        Array.from({ length: count }, (_, n) => `m${i}: line ${n}`),
      );
    }
    for (const client of clients) await client[Symbol.asyncDispose]();
  },
);

natsTest(
  "a server that is killed loses its members once within 10 s",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using two = await join(nats);
    await using ann = await enter(one, "ann");
    await using _bob = await enter(two, "bob");
    await using _carl = await enter(two, "carl");
    await until(ann, /known as carl$/);
    const start = performance.now();
    two.kill("SIGKILL");
    assertEquals(await ann.line(), "bob is offline");
    assert(performance.now() - start < 10_000);
    assertEquals(await ann.line(), "carl is offline");
    await ann.send("hello\n");
    assertEquals(await ann.line(), "ann: hello");
  },
);

natsTest(
  "a server that gets SIGTERM leaves at once, and its last lines arrive",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using two = await join(nats);
    await using ann = await enter(one, "ann");
    await using bob = await enter(two, "bob");
    await until(ann, /known as bob$/);
    await bob.send("last words\n");
    await until(bob, /last words/);
    const start = performance.now();
    two.kill("SIGTERM");
    assertEquals(await ann.line(), "bob: last words");
    assertEquals(await ann.line(), "bob is offline");
    assert(performance.now() - start < 2_000);
    assertEquals(await bob.rest(), ["The server is shutting down"]);
    assertEquals(await two.code(), 0);
  },
);

natsTest(
  "without NATS, a server exits with 1 and one line within 10 s, and opens no port",
  async () => {
    const port = freePort();
    await using server = new Command("server.ts", [
      ...["--hostname", "127.0.0.1", "--port", `${port}`],
      ...["--nats", `nats://127.0.0.1:${freePort()}`],
    ]);
    const start = performance.now();
    assertEquals(await server.code(), 1);
    assert(performance.now() - start < 10_000);
    assertMatch(
      await server.stderr(),
      /^Cannot join the room on nats:\/\/127\.0\.0\.1:\d+: connection refused\n$/,
    );
    assertEquals(await server.line(), undefined);
  },
);

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  natsTest(
    `a restart of NATS after ${signal} loses and repeats nothing`,
    async () => {
      await using nats = await NatsServer.start();
      await using one = await join(nats);
      await using two = await join(nats);
      const talkers = await talkWhile([one, two], async (talkers) => {
        await progress(talkers);
        await nats.stop(signal);
        while (!talkers.every(({ notices }) => notices.includes(PAUSED))) {
          await delay(20);
        }
        await nats.start();
        while (!talkers.every(({ notices }) => notices.includes(RESUMED))) {
          await delay(20);
        }
        await progress(talkers);
      });
      for (const { notices } of talkers) {
        assertEquals(notices, [PAUSED, RESUMED]);
      }
    },
  );
}

natsTest(
  "a NATS server that stands still for 10 s loses and repeats nothing",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using two = await join(nats);
    const talkers = await talkWhile([one, two], async (talkers) => {
      await progress(talkers);
      nats.kill("SIGSTOP");
      await delay(10_000);
      nats.kill("SIGCONT");
      await progress(talkers);
    });
    for (const { notices } of talkers) assertEquals(notices, [PAUSED, RESUMED]);
  },
);

natsTest("a server that stands still for 3 s goes on", async () => {
  await using nats = await NatsServer.start();
  await using one = await join(nats);
  await using two = await join(nats);
  await using ann = await enter(one, "ann");
  await using bob = await enter(two, "bob");
  await until(ann, /known as bob$/);
  two.kill("SIGSTOP");
  await ann.send("hello\n");
  await delay(3_000);
  two.kill("SIGCONT");
  await bob.send("here\n");
  const expected = ["ann: hello", "bob: here"];
  assertEquals(await ann.lines(2), expected);
  assertEquals(
    (await until(bob, /here$/)).filter((line) => !line.startsWith("-- ")),
    expected,
  );
});

natsTest(
  "a server that is taken for dead informs its clients and exits with 1",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using two = await join(nats);
    await using ann = await enter(one, "ann");
    await using bob = await enter(two, "bob");
    await until(ann, /known as bob$/);
    two.kill("SIGSTOP");
    await bob.send("never said\n");
    assertEquals(await ann.line(), "bob is offline");
    // The name is free while the server still has its member.
    await using other = await enter(one, "bob");
    two.kill("SIGCONT");
    const rest = await bob.rest();
    assertEquals(rest.at(-1), "The server is shutting down");
    assertEquals(rest.filter((line) => line.includes("never said")), []);
    assertEquals(await two.code(), 1);
    assertMatch(
      await two.stderr(),
      /The room has ended: .* took this one for dead/,
    );
    await other.send("I am bob\n");
    assertEquals((await until(ann, /I am bob/)).slice(1), [
      `${other.name} is now known as bob`,
      "bob: I am bob",
    ]);
  },
);

natsTest(
  "history comes from the stream and survives a restart of all servers",
  async () => {
    await using nats = await NatsServer.start();
    {
      await using one = await join(nats);
      await using ann = await enter(one, "ann");
      await ann.send("one\ntwo\nthree\n");
      await until(ann, /three/);
      one.kill("SIGTERM");
      await one.code();
    }
    await using two = await join(nats, "--history", "2");
    await using bob = await TestClient.connect(two.addr);
    const lines = await bob.lines(5);
    assertEquals(lines[1], "-- No one else is here. /help lists the commands");
    assertMatch(lines[2]!, /^-- History: 2 messages, last at /);
    assertEquals(lines.slice(3), ["ann: two", "ann: three"]);
  },
);

natsTest(
  "members of a server that was killed alone leave when the next one has joined",
  async () => {
    await using nats = await NatsServer.start();
    {
      await using one = await join(nats);
      await using ann = await enter(one, "ann");
      one.kill("SIGKILL");
      await ann.rest();
    }
    await using two = await join(nats);
    await using bob = await TestClient.connect(two.addr);
    assertMatch((await bob.line())!, /^Welcome/);
    assertMatch((await bob.line())!, /^-- 1 here: ann\./);
    assertEquals(await bob.line(), "ann is offline");
  },
);

natsTest(
  "members with the same address and port have different names",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats, "--proxy-protocol", "127.0.0.1");
    await using two = await join(nats, "--proxy-protocol", "127.0.0.1");
    const header = "PROXY TCP4 192.0.2.1 127.0.0.1 8399 8000\r\n";
    await using ann = await TestClient.connect(one.addr);
    await ann.send(header);
    assertEquals(await ann.line(), "Welcome 192.0.2.1:8399");
    await using bob = await TestClient.connect(two.addr);
    await bob.send(header);
    assertEquals(await bob.line(), "Welcome 192.0.2.1:8399~2");
  },
);

natsTest(
  "malformed messages of the stream are skipped and logged",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using ann = await enter(one, "ann");
    const stream = await RoomStream.connect({
      servers: [nats.url],
      room: "main",
    });
    const { log, state, alive } = stream.subjects;
    const header = { format: 1, server: "123456789", number: 1 };
    for (
      const text of [
        ...["", "x", "null", "[]", "{}", "\0\n\xff", "\n\n"],
        JSON.stringify({ ...header, format: 2 }),
        JSON.stringify({ ...header, server: "x" }),
        JSON.stringify({ ...header, number: "1" }),
        JSON.stringify({ ...header, gone: "all" }),
        JSON.stringify({ ...header, number: 7 }),
        JSON.stringify(header) + "\nx\n{}\n",
        JSON.stringify({ ...header, number: 5 }),
      ]
    ) await stream.publish(log, text);
    await stream.publish(state, "no state");
    for (const text of ["", "x", "1 2 3", "-1 -1"]) stream.send(alive, text);
    await ann.send("still here\n");
    assertEquals(await ann.line(), "ann: still here");
    stream.end();
    assertMatch(
      await (async () => {
        one.kill("SIGTERM");
        return await one.stderr();
      })(),
      /^Skipped a malformed message/,
    );
  },
);

natsTest(
  "a server gives its batch another number when its own was forged",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using two = await join(nats);
    await using ann = await enter(one, "ann");
    await using bob = await enter(two, "bob");
    await until(ann, /known as bob$/);
    const stream = await RoomStream.connect({
      servers: [nats.url],
      room: "main",
    });
    const last = await stream.last(stream.subjects.log);
    const [header] = new TextDecoder().decode(last).split("\n");
    const forged = JSON.parse(header);
    forged.number++;
    await stream.publish(stream.subjects.log, JSON.stringify(forged));
    stream.end();
    await bob.send("hello\n");
    assertEquals(await ann.line(), "bob: hello");
    await ann.send("hello\n");
    assertEquals(await ann.line(), "ann: hello");
  },
);

natsTest(
  "members are informed while NATS refuses the lines of a room",
  async () => {
    await using nats = await NatsServer.start();
    const name = "linechat_main";
    await manageStreams(nats.url, (streams) =>
      streams.add({
        name,
        subjects: ["linechat.main.log", "linechat.main.state"],
        max_msgs: 20,
        discard: "new",
      }));
    await using one = await join(nats);
    await using ann = await enter(one, "ann");
    let [sent, line] = [0, ""];
    while (line !== PAUSED) {
      await ann.send(`${++sent}\n`);
      line = (await ann.line())!;
    }
    await manageStreams(
      nats.url,
      (streams) => streams.update(name, { max_msgs: -1 }),
    );
    assertEquals(await ann.lines(2), [RESUMED, `ann: ${sent}`]);
    one.kill("SIGTERM");
    assertMatch(await one.stderr(), /maximum messages exceeded/);
  },
);

natsTest("a room begins again when all its messages have expired", async () => {
  await using nats = await NatsServer.start();
  {
    await using one = await join(nats);
    await using _ann = await enter(one, "ann");
    one.kill("SIGTERM");
    await one.code();
  }
  await manageStreams(nats.url, (streams) => streams.purge("linechat_main"));
  await using two = await join(nats);
  await using ann = await enter(two, "ann");
  await ann.send("hello\n");
  assertEquals(await ann.line(), "ann: hello");
});

/** The permissions of docs/cluster.md. */
const PERMISSIONS = DOCUMENT.match(/^```conf\n([^]*?)^```$/m)![1];

natsTest(
  "the permissions of docs/cluster.md are enough, and no others are needed",
  async () => {
    await using nats = await NatsServer.start(PERMISSIONS);
    const creds = await Deno.makeTempFile();
    await Deno.writeTextFile(creds, "linechat:CHANGE-ME\n");
    const args = ["--nats", nats.url, "--nats-creds", creds];
    const options = { permissions: ["-N", "-R"] };
    {
      await using one = await startServer(args, options);
      await using two = await startServer(args, options);
      await using ann = await enter(one, "ann");
      await using bob = await enter(two, "bob");
      await until(ann, /known as bob$/);
      await nats.stop();
      await nats.start();
      await bob.send("hello\n");
      await until(ann, /^bob: hello$/);
      for (const server of [one, two]) {
        server.kill("SIGTERM");
        assertEquals(await server.code(), 0);
        const log = await server.stderr();
        assert(!/CHANGE-ME|ermission/.test(log), log);
      }
    }
    await Deno.writeTextFile(creds, "linechat:wrong-password\n");
    const message = await startServer(args, options)
      .then(() => "", (error) => error.message);
    assertMatch(
      message,
      /Cannot join the room on .*: Authorization Violation/i,
    );
    assert(!message.includes("wrong-password"), message);
    await Deno.remove(creds);
  },
);

natsTest("members wait until NATS sends the messages of the room", async () => {
  await using nats = await NatsServer.start(PERMISSIONS);
  const creds = await Deno.makeTempFile();
  await Deno.writeTextFile(creds, "linechat:CHANGE-ME\n");
  const args = ["--nats", nats.url, "--nats-creds", creds];
  await using one = await startServer(args, { permissions: ["-N", "-R"] });
  const talkers = await talkWhile([one], async (talkers) => {
    const all = async (notice: string) => {
      while (!talkers.every(({ notices }) => notices.includes(notice))) {
        await delay(20);
      }
    };
    await progress(talkers);
    await nats.stop();
    await all(PAUSED);
    nats.config = PERMISSIONS.replace(/.*CONSUMER\.CREATE.*\n/, "");
    await nats.start();
    // A server sends a heartbeat when it has connected.
    const stream = await RoomStream.connect({
      servers: [nats.url],
      room: "main",
      credentials: "linechat:CHANGE-ME",
    });
    for (let i = 0; i < 3; i++) {
      await new Promise<string>((resolve) =>
        stream.receive(stream.subjects.alive, resolve)
      );
    }
    stream.end();
    assert(talkers.every(({ notices }) => !notices.includes(RESUMED)));
    await nats.stop();
    nats.config = PERMISSIONS;
    await nats.start();
    await all(RESUMED);
    await progress(talkers);
  });
  for (const { notices } of talkers) assertEquals(notices, [PAUSED, RESUMED]);
  await Deno.remove(creds);
});

natsTest("a stream is not open after its end", async () => {
  await using nats = await NatsServer.start();
  const stream = await RoomStream.connect({
    servers: [nats.url],
    room: "main",
  });
  await stream.open();
  await stream.subscribe(1);
  stream.end();
  assert(!stream.isOpen);
});

natsTest(
  "a file with a token is enough for a NATS server that wants one",
  async () => {
    await using nats = await NatsServer.start(
      'authorization { token: "s3cret" }',
    );
    const creds = await Deno.makeTempFile();
    await Deno.writeTextFile(creds, "s3cret\n");
    await using one = await startServer(
      ["--nats", nats.url, "--nats-creds", creds],
      { permissions: ["-N", "-R"] },
    );
    await using ann = await enter(one, "ann");
    await ann.send("hello\n");
    assertEquals(await ann.line(), "ann: hello");
    await Deno.remove(creds);
  },
);

natsTest(
  "a .creds file is enough for NATS with an operator, a wrong key is refused",
  async () => {
    const operator = new Operator();
    await using nats = await NatsServer.start(operator.config);
    const creds = await Deno.makeTempFile();
    const args = ["--nats", nats.url, "--nats-creds", creds];
    const options = { permissions: ["-N", "-R"] };
    const { token, seed } = operator.addUser();
    await Deno.writeTextFile(creds, formatCredentials(token, seed));
    {
      await using one = await startServer(args, options);
      await using two = await startServer(args, options);
      await using ann = await enter(one, "ann");
      await using bob = await enter(two, "bob");
      await until(ann, /known as bob$/);
      await bob.send("hello\n");
      assertEquals(await ann.line(), "bob: hello");
      await ann.send("hi\n");
      assertEquals(await bob.lines(2), ["bob: hello", "ann: hi"]);
    }
    const { seed: wrong } = operator.addUser();
    await Deno.writeTextFile(creds, formatCredentials(token, wrong));
    await using server = new Command("server.ts", args, options);
    assertEquals(await server.code(), 1);
    assertMatch(
      await server.stderr(),
      /^Cannot join the room on nats:\S+: Authorization Violation\n$/i,
    );
    await Deno.remove(creds);
  },
);

natsTest("a server uses the first NATS server that answers", async () => {
  await using nats = await NatsServer.start();
  const urls = `nats://127.0.0.1:${freePort()},${nats.url}`;
  await using one = await startServer(["--nats", urls]);
  await using ann = await enter(one, "ann");
  await ann.send("hello\n");
  assertEquals(await ann.line(), "ann: hello");
});

natsTest("rooms of other names are separate", async () => {
  await using nats = await NatsServer.start();
  await using one = await join(nats);
  await using two = await join(nats, "--room", "other");
  await using ann = await enter(one, "ann");
  await using other = await enter(two, "ann");
  await other.send("hello\n");
  assertEquals(await other.line(), "ann: hello");
  await ann.send("/who\n");
  assertEquals(await ann.line(), "-- 1 here:");
});

natsTest("a server exits with 1 when NATS has lost its files", async () => {
  await using nats = await NatsServer.start();
  await using one = await join(nats);
  await using ann = await enter(one, "ann");
  await nats.stop();
  await Deno.remove(`${nats.directory}/jetstream`, { recursive: true });
  await nats.start();
  assertEquals((await ann.rest()).at(-1), "The server is shutting down");
  assertEquals(await one.code(), 1);
  assertMatch(await one.stderr(), /The room has ended: NATS has lost messages/);
});

natsTest(
  "a server ends within 3 s of a signal while NATS stands still",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using ann = await enter(one, "ann");
    nats.kill("SIGSTOP");
    await ann.send("waits\n");
    const start = performance.now();
    one.kill("SIGTERM");
    // NATS can store the line before the signal has stopped all its threads.
    assertEquals((await ann.rest()).at(-1), "The server is shutting down");
    assertEquals(await one.code(), 0);
    assert(performance.now() - start < 3_000);
  },
);

natsTest(
  "a user and a password in --nats are refused, and not repeated",
  async () => {
    for (
      const url of ["nats://ann:secret@127.0.0.1:4222", "http://127.0.0.1"]
    ) {
      await using server = new Command("server.ts", ["--nats", url]);
      assertEquals(await server.code(), 2);
      const message = await server.stderr();
      assertMatch(message, /^Invalid --nats .*--nats-creds FILE/);
      assert(!message.includes("secret"));
    }
  },
);

natsTest(
  "a server that stands still is not left behind by more than 16 MiB",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using two = await join(nats);
    await using ann = await enter(one, "ann");
    await using bob = await enter(two, "bob");
    await until(ann, /known as bob$/);
    const line = "x".repeat(4_000);
    const count = 6_000;
    let received = 0;
    const read = async (client: TestClient, isCounted: boolean) => {
      for (let n = 0; n < count;) {
        if (!(await client.line())!.startsWith("ann: ")) continue;
        n++;
        if (isCounted) received = n;
      }
    };
    two.kill("SIGSTOP");
    const done = Promise.all([
      read(ann, true),
      read(bob, false),
      ann.send(`${line}\n`.repeat(count)),
    ]);
    while (received * line.length < 15 * 2 ** 20) await delay(10);
    await delay(1_000);
    assert(received * line.length < 18 * 2 ** 20, `${received} lines`);
    two.kill("SIGCONT");
    await done;
  },
);

natsTest(
  "a server starts from a state, and does not read all entries",
  async () => {
    await using nats = await NatsServer.start();
    await using one = await join(nats);
    await using ann = await enter(one, "ann");
    const stream = await RoomStream.connect({
      servers: [nats.url],
      room: "main",
    });
    const { last: first } = await stream.open();
    // Each line is a message of the stream, since the next one waits for it.
    for (let n = 0; n < 1_200; n++) {
      await ann.send(`${n}\n`);
      await ann.line();
    }
    const state = await stream.last(stream.subjects.state);
    const text = await new Response(
      new Blob([new Uint8Array(state!)]).stream()
        .pipeThrough(new DecompressionStream("gzip")),
    ).json();
    stream.end();
    assert(text.seq >= first + 500, `${text.seq}`);
    await using two = await join(nats, "--history", "1");
    await using bob = await TestClient.connect(two.addr);
    const lines = await bob.lines(4);
    assertEquals(lines[1], "-- 1 here: ann. /help lists the commands");
    assertEquals(lines[3], "ann: 1199");
  },
);

natsTest(
  "tls:// connects with TLS, and only to a server with a known certificate",
  async () => {
    await using certificate = await Certificate.make();
    const { cert, key } = certificate;
    await using nats = await NatsServer.start(
      `tls { cert_file: "${cert}", key_file: "${key}" }`,
    );
    const args = ["--nats", `tls://127.0.0.1:${nats.port}`];
    {
      await using one = await startServer(args, {
        permissions: ["-N", "--cert", cert],
      });
      await using ann = await enter(one, "ann");
      await ann.send("hello\n");
      assertEquals(await ann.line(), "ann: hello");
    }
    const message = await startServer(args).then(
      () => "",
      (error) => error.message,
    );
    assertMatch(message, /Cannot join the room on tls:.*certificate/);
    await using plain = await NatsServer.start();
    const refusal = await startServer([
      "--nats",
      `tls://127.0.0.1:${plain.port}`,
    ])
      .then(() => "", (error) => error.message);
    assertMatch(refusal, /Cannot join the room on tls:/);
  },
);

const HAPROXY = await findProgram("haproxy", "/usr/sbin/haproxy");

/** A client that connects again when its server ends. */
class Wanderer {
  /** The lines that came back, and all lines that were sent. */
  readonly confirmed: string[] = [];
  readonly sent: string[] = [];
  isStopped = false;

  constructor(readonly name: string, readonly addr: Deno.NetAddr) {}

  async run(): Promise<void> {
    while (!this.isStopped) {
      await using client = await TestClient.connect(this.addr);
      if (!(await client.line())?.startsWith("Welcome ")) continue;
      while (!this.isStopped && await this.#say(client)) await delay(10);
    }
  }

  /** Says a line, and returns whether it came back. */
  async #say(client: TestClient): Promise<boolean> {
    const text = `${this.name} ${this.sent.length}`;
    this.sent.push(text);
    await client.send(`${text}\n`).catch(() => {});
    for (;;) {
      const line = await client.line().catch(() => undefined);
      if (line === undefined) return false;
      if (!line.endsWith(`: ${text}`)) continue;
      this.confirmed.push(text);
      return true;
    }
  }
}

Deno.test({
  name: `a rolling restart behind HAProxy loses no line that came back${
    HAPROXY ? NOT_RUN : " (not run: no haproxy)"
  }`,
  ignore: NATS_MISSING || HAPROXY === undefined,
  async fn() {
    await using nats = await NatsServer.start();
    const ports = [freePort(), freePort(), freePort()];
    const start = (port: number) =>
      join(
        nats,
        ...["--port", `${port}`, "--history", "10000"],
        ...["--proxy-protocol", "127.0.0.1"],
      );
    const servers = await Promise.all(ports.map(start));
    const front = freePort();
    let config = DOCUMENT.match(/^```haproxy\n([^]*?)^```$/m)![1]
      .replace("bind :8000", `bind 127.0.0.1:${front}`);
    ports.forEach((port, i) =>
      config = config.replace(`192.0.2.1${i + 1}:8001`, `127.0.0.1:${port}`)
    );
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, config);
    const haproxy = new Deno.Command(HAPROXY!, {
      args: ["-q", "-db", "-f", file],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const addr = {
      transport: "tcp",
      hostname: "127.0.0.1",
      port: front,
    } as const;
    for (;;) {
      try {
        (await Deno.connect(addr)).close();
        break;
      } catch {
        await delay(50);
      }
    }
    const clients = ["a", "b", "c"].map((name) => new Wanderer(name, addr));
    const running = clients.map((client) => client.run());
    const progress = async () => {
      const goals = clients.map(({ confirmed }) => confirmed.length + 20);
      while (clients.some(({ confirmed }, i) => confirmed.length < goals[i])) {
        await delay(20);
      }
    };
    for (const [i, port] of ports.entries()) {
      await progress();
      servers[i].kill("SIGTERM");
      assertEquals(await servers[i].code(), 0);
      servers[i] = await start(port);
    }
    await progress();
    for (const client of clients) client.isStopped = true;
    await Promise.all(running);
    await using last = await TestClient.connect(addr);
    await last.send("the end\n");
    const lines = await until(last, /: the end$/);
    for (const { name, confirmed, sent } of clients) {
      const said = lines.flatMap((line) =>
        new RegExp(`: (${name} \\d+)$`).exec(line)?.[1] ?? []
      );
      assertEquals(said, sent.filter((text) => said.includes(text)));
      assertEquals(confirmed.filter((text) => !said.includes(text)), []);
    }
    haproxy.kill();
    await haproxy.status;
    await Deno.remove(file);
    for (const server of servers) await server[Symbol.asyncDispose]();
  },
});

natsTest(
  "docs/cluster.sh starts NATS and two servers of one room",
  async () => {
    const [nats, one, two] = [freePort(), freePort(), freePort()];
    const directory = await Deno.makeTempDir();
    const script = new Deno.Command("bash", {
      args: ["docs/cluster.sh"],
      env: {
        PATH: `${dirname(Deno.execPath())}:${Deno.env.get("PATH")}`,
        NATS_PORT: `${nats}`,
        NATS_DIRECTORY: `${directory}/nats`,
        PORT_1: `${one}`,
        PORT_2: `${two}`,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const output = linesOf({ readable: script.stdout });
    const ports = [await output.read(), await output.read()]
      .map(({ value }) => Number(value!.split(":")[1]));
    assertEquals(ports.sort(), [one, two].sort());
    const addr = { transport: "tcp", hostname: "127.0.0.1" } as const;
    await using ann = await TestClient.connect({ ...addr, port: one });
    await ann.lines(2);
    await using bob = await TestClient.connect({ ...addr, port: two });
    await bob.send("hello\n");
    await until(ann, /: hello$/);
    script.kill("SIGTERM");
    assertEquals((await script.status).code, 0);
    await output.cancel();
    await Deno.remove(directory, { recursive: true });
  },
);
