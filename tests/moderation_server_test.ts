/** Tests moderation with the commands as processes. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { linesOf, TestClient } from "./clients.ts";
import { Command, type Server, startServer, UNIX } from "./commands.ts";

const PERMISSIONS = ["-N", "-R", "-W"];

function test(name: string, fn: (t: Deno.TestContext) => Promise<void>) {
  Deno.test({ name, ignore: !UNIX, fn });
}

/** A server with an admin socket, and the directory of its files. */
async function start(
  args: string[] = [],
  files: Record<string, string> = {},
) {
  const directory = await Deno.makeTempDir();
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
  const path = `${directory}/admin.sock`;
  const server = await startServer(
    [
      "--admin-socket",
      path,
      ...args.map((arg) => arg.replace("DIR", directory)),
    ],
    { permissions: PERMISSIONS },
  );
  assertEquals(await server.line(), `Listening on ${path} (operators)`);
  return {
    server,
    directory,
    path,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** Connects an operator and reads its first lines. */
async function connectOperator(path: string) {
  const conn = await Deno.connect({ transport: "unix", path });
  const lines = linesOf(conn);
  const encoder = new TextEncoder();
  const operator = {
    /** Reads lines up to one that matches, and returns that one. */
    async until(pattern: RegExp): Promise<string> {
      while (true) {
        const { value } = await lines.read();
        assert(value !== undefined, `There is no line ${pattern}`);
        if (pattern.test(value)) return value;
      }
    },
    async send(line: string): Promise<void> {
      await conn.write(encoder.encode(`${line}\n`));
    },
    [Symbol.asyncDispose]: () => lines.cancel(),
  };
  await operator.until(/lists the commands/);
  return operator;
}

async function stop(server: Server): Promise<string> {
  server.kill("SIGTERM");
  assertEquals(await server.code(), 0);
  return await server.stderr();
}

test("the admin socket is for its user only, and operators are logged", async () => {
  await using started = await start();
  const { server, path } = started;
  assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
  await using ann = await TestClient.join(server.addr);
  await using netcat = new Command("netcat.ts", ["--unix", path], {
    permissions: PERMISSIONS,
  });
  assertEquals(await netcat.line(), "Welcome op-2");
  await netcat.line();
  assertEquals(await ann.line(), "op-2 is online");
  await netcat.write(`/kick ${ann.name} advertising\n`);
  assertEquals(
    await netcat.line(),
    `-- ${ann.name} was removed: advertising`,
  );
  assertEquals(await ann.rest(), ["-- You were removed: advertising"]);
  assertEquals(
    await stop(server),
    `op-2: /kick ${ann.name} advertising\n`,
  );
});

test("operators cannot be without commands", async () => {
  await using server = new Command("server.ts", [
    ...["--admin-socket", "/tmp/a", "--no-commands"],
  ]);
  assertEquals(
    await server.stderr(),
    "--admin-socket needs commands, remove --no-commands\n",
  );
  assertEquals(await server.code(), 2);
});

test("--proxy-protocol takes networks only", async () => {
  await using server = new Command("server.ts", ["--proxy-protocol", "proxy"]);
  assertEquals(
    await server.stderr(),
    "Invalid --proxy-protocol proxy: " +
      "must be an address or a network such as 192.0.2.0/24\n",
  );
  assertEquals(await server.code(), 2);
});

test("a ban survives a restart", async () => {
  await using started = await start(["--bans", "DIR/bans"]);
  const { server, directory, path } = started;
  {
    await using op = await connectOperator(path);
    await op.send("/ban 127.0.0.1 1h spam");
    await op.until(/^-- Banned 127\.0\.0\.1 until .*: spam$/);
    await op.send("/bans");
    await op.until(/^-- 127\.0\.0\.1 until .*, by op-1: spam$/);
  }
  await stop(server);
  assertMatch(
    await Deno.readTextFile(`${directory}/bans`),
    /^127\.0\.0\.1 \d{4}-\S+Z op-1 spam\n$/,
  );
  await using again = await startServer(["--bans", `${directory}/bans`], {
    permissions: PERMISSIONS,
  });
  await using eve = await TestClient.connect(again.addr);
  assertMatch(
    (await eve.line())!,
    /^Cannot enter: you are banned until .*: spam$/,
  );
});

test("a malformed list of bans ends the start", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "# one\n127.0.0.1 soon op-1\n");
  await using server = new Command("server.ts", ["-p0", "--bans", path], {
    permissions: PERMISSIONS,
  });
  assertEquals(
    await server.stderr(),
    `Cannot read ${path}, line 2: soon is not a time such as 2026-12-01T12:00Z\n`,
  );
  assertEquals(await server.code(), 1);
  assertEquals(await server.line(), undefined);
  await Deno.remove(path);
});

test("SIGHUP reads the bans again, and a malformed list changes nothing", async () => {
  await using started = await start(["--bans", "DIR/bans"], {
    bans: "# one\n",
  });
  const { server, directory, path } = started;
  const bans = `${directory}/bans`;
  await using ann = await TestClient.join(server.addr);
  await using op = await connectOperator(path);
  await Deno.writeTextFile(bans, "127.0.0.1 - root by hand\n");
  server.kill("SIGHUP");
  await server.logs(/^The bans were read again$/m);
  assertEquals((await ann.rest()).at(-1), "-- You were removed: by hand");
  await op.until(/ was removed: by hand$/);
  await Deno.writeTextFile(bans, "127.0.0.1\n");
  server.kill("SIGHUP");
  await server.logs(
    /^The bans have not changed\. Cannot read \S+, line 1: write ADDRESS/m,
  );
  await using eve = await TestClient.connect(server.addr);
  assertEquals(await eve.line(), "Cannot enter: you are banned: by hand");
  await op.send("/unban 127.0.0.1");
  await op.until(/^-- This change is lost when the server restarts\. Cannot/);
  await using bob = await TestClient.join(server.addr);
  await bob.end();
});

test("a ban that cannot be written is reported", async () => {
  await using started = await start(["--bans", "DIR/bans"]);
  await Deno.mkdir(`${started.directory}/bans.new`);
  await using op = await connectOperator(started.path);
  await op.send("/ban 127.0.0.1");
  await op.until(/^-- This change is lost .*: it is a directory$/);
  await using eve = await TestClient.connect(started.server.addr);
  assertEquals(await eve.line(), "Cannot enter: you are banned");
  assertMatch(
    await stop(started.server),
    /^op-1: This change is lost .*: it is a directory$/m,
  );
});

test("SIGHUP reads the password again", async () => {
  await using started = await start(["--password-file", "DIR/password"], {
    password: "first\n",
  });
  const { server, directory } = started;
  const join = async (password: string) => {
    await using client = await TestClient.connect(server.addr);
    await client.send(`${password}\n`);
    assertEquals(await client.line(), "-- Password:");
    return await client.line();
  };
  assertMatch((await join("first"))!, /^Welcome /);
  await Deno.writeTextFile(`${directory}/password`, "second\n");
  server.kill("SIGHUP");
  await server.logs(/^The password was read again$/m);
  assertMatch((await join("second"))!, /^Welcome /);
  assertEquals(await join("first"), "-- Wrong password");
  await Deno.remove(`${directory}/password`);
  server.kill("SIGHUP");
  await server.logs(
    /^The password has not changed\. Cannot read \S+: no such/m,
  );
  assertMatch((await join("second"))!, /^Welcome /);
  const log = await stop(server);
  assertMatch(log, /^Wrong password from 127\.0\.0\.1:\d+$/m);
  assertEquals(/first|second/.test(log), false);
});

test("a password file that is missing ends the start", async () => {
  await using server = new Command(
    "server.ts",
    ["-p0", "--password-file", "/missing/password"],
    { permissions: PERMISSIONS },
  );
  assertEquals(
    await server.stderr(),
    "Cannot read /missing/password: no such file or directory\n",
  );
  assertEquals(await server.code(), 1);
});

test("hidden addresses are in the log only", async () => {
  await using started = await start(["--hide-addresses", "--log", "text"]);
  const { server, path } = started;
  await using ann = await TestClient.connect(server.addr);
  assertEquals(await ann.line(), "Welcome guest-1");
  await using op = await connectOperator(path);
  await op.send("/whois guest-1");
  await op.until(/^-- address 127\.0\.0\.1$/);
  assertMatch(await stop(server), / joined guest-1 127\.0\.0\.1$/m);
});

test("names can be reserved on every server, and secrets are not logged", async () => {
  await using server = await startServer(["--log", "json", "--log-messages"]);
  const secret = "sesame-open-up";
  await using old = await TestClient.join(server.addr);
  await old.send(`/nick ann ${secret}\n`);
  assertEquals(await old.line(), `${old.name} is now known as ann`);
  assertMatch((await old.line())!, /reserved with your secret/);
  await using ann = await TestClient.connect(server.addr);
  await ann.send(`/nick ann wrong-${secret}\n/nick ann ${secret}\nhello\n`);
  while (await ann.line() !== "ann: hello");
  assertMatch((await old.rest()).at(-1)!, /^-- Another connection has taken/);
  const log = await stop(server);
  assert(log.includes("Wrong secret for the name ann"));
  assertEquals(log.includes("sesame"), false);
});

test("moderation is imported only if one of its options is given", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "server.ts"],
    cwd: new URL("..", import.meta.url),
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: {
      specifier: string;
      dependencies?: {
        specifier: string;
        code?: { specifier: string };
        isDynamic?: boolean;
      }[];
    }[];
  };
  const imported = new Set<string>();
  const follow = (url: string) => {
    if (imported.has(url)) return;
    imported.add(url);
    const module = modules.find(({ specifier }) => specifier === url);
    for (const { code, isDynamic } of module?.dependencies ?? []) {
      if (code && !isDynamic) follow(code.specifier);
    }
  };
  follow(new URL("../server.ts", import.meta.url).href);
  const names = [...imported].map((url) => url.split("/").at(-1)!);
  assert(names.includes("names.ts"));
  const optional = ["moderation.ts", "bans.ts", "password.ts"];
  const isOptional = (name: string) =>
    [...optional, "proxy_protocol.ts"].includes(name);
  assertEquals(names.filter(isOptional), []);
});
