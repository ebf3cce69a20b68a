import { assert, assertEquals, assertMatch } from "@std/assert";
import { UnixListener } from "../server/unix.ts";
import { linesOf, TestClient } from "./clients.ts";
import { Command, startServer, UNIX, unixTest } from "./commands.ts";

const PERMISSIONS = { permissions: ["-N", "-R", "-W"] };

/** Creates a directory that is removed at the end of its scope, and a path in it. */
async function temporaryDirectory() {
  const directory = await Deno.makeTempDir();
  return {
    directory,
    path: `${directory}/chat.sock`,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

async function namesIn(directory: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(directory));
  return entries.map(({ name }) => name);
}

/** Starts a server on Unix sockets only. */
function listen(...paths: string[]): Command {
  const args = paths.flatMap((path) => ["--unix", path]);
  return new Command("server.ts", args, PERMISSIONS);
}

/** Checks that a server refuses a path, with a reason on one line. */
async function assertRefused(path: string, reason: string): Promise<void> {
  await using server = listen(path);
  assertEquals(
    await server.stderr(),
    `Cannot listen on ${path}: ${reason}\n`,
  );
  assertEquals(await server.line(), undefined);
  assertEquals(await server.code(), 1);
}

async function connect(path: string): Promise<void> {
  (await Deno.connect({ transport: "unix", path })).close();
}

const IN_USE =
  "address already in use, choose another path or stop the other server";

unixTest("clients of a port and of a Unix socket are in one room", async () => {
  await using temporary = await temporaryDirectory();
  const { path } = temporary;
  await using server = await startServer(["--unix", path], PERMISSIONS);
  assertEquals(await server.line(), `Listening on ${path}`);
  await using ann = await TestClient.join(server.addr);
  const conn = await Deno.connect({ transport: "unix", path });
  const bob = linesOf(conn);
  const name = (await bob.read()).value!.replace("Welcome ", "");
  assertMatch(name, /^unix:\d+$/);
  assertEquals(await ann.line(), `${name} is online`);
  await ann.send("hello\n");
  assertEquals(await ann.line(), `${ann.name}: hello`);
  await bob.cancel();
  assertEquals(await ann.line(), `${name} is offline`);
});

unixTest("netcat.ts talks on a Unix socket", async () => {
  await using temporary = await temporaryDirectory();
  const { path } = temporary;
  await using server = listen(path);
  await server.line();
  await using netcat = new Command("netcat.ts", ["--unix", path], PERMISSIONS);
  const name = (await netcat.line())!.replace("Welcome ", "");
  await netcat.write("hello\n");
  let line;
  do line = await netcat.line(); while (line?.startsWith("-- "));
  assertEquals(line, `${name}: hello`);
  await netcat.closeStdin();
  assertEquals(await netcat.code(), 0);
});

unixTest("netcat.ts reports a socket that does not exist", async () => {
  await using temporary = await temporaryDirectory();
  const { path } = temporary;
  await using netcat = new Command("netcat.ts", ["--unix", path], PERMISSIONS);
  assertEquals(
    await netcat.stderr(),
    `Cannot connect to ${path}: no such file or directory\n`,
  );
  assertEquals(await netcat.code(), 1);
});

unixTest(
  "a socket has mode 600, and is removed when the server exits",
  async () => {
    await using temporary = await temporaryDirectory();
    const { directory, path } = temporary;
    await using server = listen(path);
    await server.line();
    assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
    server.kill("SIGTERM");
    assertEquals(await server.code(), 0);
    assertEquals(await namesIn(directory), []);
  },
);

unixTest(
  "a server does not remove a socket that has replaced its own",
  async () => {
    await using temporary = await temporaryDirectory();
    const { path } = temporary;
    await using first = listen(path);
    await first.line();
    await Deno.remove(path);
    await using second = listen(path);
    assertEquals(await second.line(), `Listening on ${path}`);
    first.kill("SIGTERM");
    assertEquals(await first.code(), 0);
    await connect(path);
  },
);

unixTest("a server ends normally if its socket has been removed", async () => {
  await using temporary = await temporaryDirectory();
  const { path } = temporary;
  await using server = listen(path);
  await server.line();
  await Deno.remove(path);
  server.kill("SIGTERM");
  assertEquals(await server.stderr(), "");
  assertEquals(await server.code(), 0);
});

unixTest("a socket that a killed server left is replaced", async () => {
  await using temporary = await temporaryDirectory();
  const { path } = temporary;
  await using killed = listen(path);
  await killed.line();
  killed.kill("SIGKILL");
  await killed.code();
  assert((await Deno.lstat(path)).isSocket);
  await using server = listen(path);
  assertEquals(await server.line(), `Listening on ${path}`);
  await connect(path);
});

unixTest(
  "one of several listeners replaces a socket, and the others are refused",
  async () => {
    await using temporary = await temporaryDirectory();
    const { directory, path } = temporary;
    await using killed = listen(path);
    await killed.line();
    killed.kill("SIGKILL");
    await killed.code();
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => UnixListener.open(path, "en")),
    );
    const reasons = results.filter((result) => result.status === "rejected")
      .map(({ reason }) => reason.message);
    assertEquals(reasons, [IN_USE, IN_USE, IN_USE]);
    await connect(path);
    assertEquals(await namesIn(directory), ["chat.sock"]);
    for (const result of results) {
      if (result.status === "fulfilled") result.value.close();
    }
  },
);

unixTest(
  "a socket on which a server listens is refused, and stays",
  async () => {
    await using temporary = await temporaryDirectory();
    const { path } = temporary;
    await using first = listen(path);
    await first.line();
    await assertRefused(path, IN_USE);
    await connect(path);
  },
);

unixTest("a file that is not a socket is refused, and stays", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/precious`;
  await Deno.writeTextFile(path, "precious");
  await assertRefused(
    path,
    "the file exists and is not a socket, choose another path",
  );
  assertEquals(await Deno.readTextFile(path), "precious");
  await assertRefused(
    temporary.directory,
    "the file exists and is not a socket, choose another path",
  );
});

unixTest("a path below a file is refused", async () => {
  await using temporary = await temporaryDirectory();
  const file = `${temporary.directory}/file`;
  await Deno.writeTextFile(file, "");
  await assertRefused(
    `${file}/chat.sock`,
    "a part of the path is not a directory",
  );
});

unixTest(
  "a path that is too long is refused, and the longest one works",
  async () => {
    await using temporary = await temporaryDirectory();
    const { directory } = temporary;
    const longest = `${directory}/`.padEnd(
      Deno.build.os === "linux" ? 107 : 103,
      "x",
    );
    await using server = listen(longest);
    assertEquals(await server.line(), `Listening on ${longest}`);
    await connect(longest);
    await using other = listen(`${longest}x`);
    assertMatch(
      await other.stderr(),
      /x: the path is too long, it can have 10[37] bytes, and 8[37] of them for the directory\n$/,
    );
    assertEquals(await other.code(), 1);
  },
);

unixTest("a directory with a path that is too long is refused", async () => {
  await using temporary = await temporaryDirectory();
  const directory = `${temporary.directory}/`.padEnd(90, "x");
  await Deno.mkdir(directory);
  await using server = listen(`${directory}/s`);
  assertMatch(await server.stderr(), /\/s: the path is too long, /);
});

unixTest("the server opens no listener if one of them fails", async () => {
  await using temporary = await temporaryDirectory();
  const { directory, path } = temporary;
  const missing = `${directory}/missing/chat.sock`;
  await using server = listen(path, missing);
  assertEquals(
    await server.stderr(),
    `Cannot listen on ${missing}: the directory does not exist, create it first\n`,
  );
  assertEquals(await server.line(), undefined);
  assertEquals(await server.code(), 1);
  assertEquals(await namesIn(directory), []);
});

/** Returns whether this process can create files in every directory. */
async function isSuperuser(): Promise<boolean> {
  await using temporary = await temporaryDirectory();
  const { directory } = temporary;
  await Deno.chmod(directory, 0o500);
  return await Deno.mkdir(`${directory}/x`).then(() => true, () => false);
}

Deno.test({
  name: "a directory in which the user cannot create files is refused",
  ignore: !UNIX || await isSuperuser(),
  async fn() {
    await using temporary = await temporaryDirectory();
    const { directory, path } = temporary;
    await Deno.chmod(directory, 0o500);
    await assertRefused(path, "no permission to create files in the directory");
  },
});

unixTest("the server names the permissions that a socket needs", async () => {
  for (
    const [permissions, missing] of [
      [["-N"], "reading files is not allowed, run with -R"],
      [["-N", "-R"], "writing files is not allowed, run with -W"],
    ] as const
  ) {
    await using server = new Command("server.ts", ["--unix", "chat.sock"], {
      permissions: [...permissions],
    });
    assertEquals(
      await server.stderr(),
      `Cannot listen on chat.sock: ${missing}\n`,
    );
  }
});
