import { assert, assertEquals, assertMatch } from "@std/assert";
import { linesOf, TestClient } from "./clients.ts";
import { Command, startServer, UNIX } from "./commands.ts";

const SERVER = { permissions: ["-N", "-R", "-W"] };

/** A directory that goes with its scope. */
async function temporaryDirectory() {
  const directory = await Deno.makeTempDir();
  return {
    directory,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

function test(name: string, fn: () => Promise<void>) {
  Deno.test({ name, ignore: !UNIX, fn });
}

test("server.ts has clients of a port and of a Unix socket in one room", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/chat.sock`;
  await using server = await startServer(["--unix", path], SERVER);
  assertEquals(await server.line(), `Listening on ${path}`);
  await using ann = await TestClient.join(server.addr);
  const conn = await Deno.connect({ transport: "unix", path });
  const bob = linesOf(conn);
  const who = (await bob.read()).value!.replace("Welcome ", "");
  assertMatch(who, /^unix:\d+$/);
  assertEquals(await ann.line(), `${who} is online`);
  await ann.send("hello\n");
  assertEquals((await bob.read()).value, `${ann.who}: hello`);
  await bob.cancel();
});

test("netcat.ts talks on a Unix socket", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/chat.sock`;
  await using server = await startServer(["--unix", path], SERVER);
  await server.line();
  await using netcat = new Command("netcat.ts", ["--unix", path], SERVER);
  const who = (await netcat.line())!.replace("Welcome ", "");
  await netcat.write("hello\n");
  assertEquals(await netcat.line(), `${who}: hello`);
  await netcat.closeStdin();
  assertEquals(await netcat.code(), 0);
});

test("netcat.ts says that there is no socket, or nobody on it", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/chat.sock`;
  await using netcat = new Command("netcat.ts", ["--unix", path], SERVER);
  assertEquals(
    await netcat.stderr(),
    `Cannot connect to ${path}: there is no such file\n`,
  );
  assertEquals(await netcat.code(), 1);
});

test("the socket is for its user alone, and goes with the server", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/chat.sock`;
  await using server = await startServer(["--unix", path], SERVER);
  await server.line();
  assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
  server.kill("SIGTERM");
  assertEquals(await server.code(), 0);
  assertEquals(await Array.fromAsync(Deno.readDir(temporary.directory)), []);
});

test("a socket that a killed server left is replaced", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/chat.sock`;
  const args = ["--unix", path];
  await using killed = await startServer(args, SERVER);
  await killed.line();
  killed.kill("SIGKILL");
  await killed.code();
  assert((await Deno.lstat(path)).isSocket);
  await using server = await startServer(args, SERVER);
  assertEquals(await server.line(), `Listening on ${path}`);
  (await Deno.connect({ transport: "unix", path })).close();
});

test("a socket that somebody listens on is refused, and stays", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/chat.sock`;
  await using first = await startServer(["--unix", path], SERVER);
  await first.line();
  await using second = new Command("server.ts", ["--unix", path], SERVER);
  assertEquals(
    await second.stderr(),
    `Cannot listen on ${path}: the address is already in use\n`,
  );
  assertEquals(await second.code(), 1);
  (await Deno.connect({ transport: "unix", path })).close();
});

test("a file that is no socket is refused, and stays as it is", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/precious`;
  await Deno.writeTextFile(path, "precious");
  await using server = new Command("server.ts", ["--unix", path], SERVER);
  assertEquals(
    await server.stderr(),
    `Cannot listen on ${path}: the address is already in use\n`,
  );
  assertEquals(await Deno.readTextFile(path), "precious");
});

test("server.ts listens on nothing where one place of several fails", async () => {
  await using temporary = await temporaryDirectory();
  const path = `${temporary.directory}/chat.sock`;
  const bad = `${temporary.directory}/missing/chat.sock`;
  await using server = new Command(
    "server.ts",
    ["--unix", path, "--unix", bad],
    SERVER,
  );
  assertEquals(
    await server.stderr(),
    `Cannot listen on ${bad}: there is no such file\n`,
  );
  assertEquals(await server.line(), undefined);
  assertEquals(await server.code(), 1);
  assertEquals(await Array.fromAsync(Deno.readDir(temporary.directory)), []);
});

test("server.ts says which permission a socket needs", async () => {
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

Deno.test("server.ts listens on each port that it is given", async () => {
  await using server = await startServer(["--port", "0"]);
  const second = await server.line();
  const port = Number(/:(\d+)$/.exec(second!)![1]);
  await using ann = await TestClient.join(server.addr);
  await using bob = await TestClient.join({ ...server.addr, port });
  assertEquals(await ann.line(), `${bob.who} is online`);
});
