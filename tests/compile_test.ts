/**
 * Runs the `compile` task's commands, with their binaries in another directory.
 *
 * `deno compile` adds the program to a runtime that it downloads. Where that is
 * out of reach there are no binaries to test: those tests are ignored then, and
 * say why, and the failure must have been just that.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { TestClient } from "./clients.ts";
import { Command, startServer } from "./commands.ts";

/** For a download that neither fails nor comes to an end, in milliseconds. */
const PATIENCE = 60_000;

const commands = config.tasks.compile.split(" && ").map((command) =>
  command.split(" ")
);

const directory = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));

/** Runs one of the commands, and tells what came of it. */
async function compile([, ...args]: string[]) {
  const output = args.indexOf("--output") + 1;
  const binary = args[output].replace("dist", directory);
  const deadline = AbortSignal.timeout(PATIENCE);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: args.with(output, binary),
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1" },
    stdin: "null",
    signal: deadline,
  }).output();
  return {
    binary: success ? binary : undefined,
    stderr: new TextDecoder().decode(stderr),
    timedOut: deadline.aborted,
  };
}

const attempts = await Promise.all(commands.map(compile));
const [server, netcat] = attempts.map(({ binary }) => binary);
const notRun = (binary?: string) =>
  binary ? "" : " (not run: the runtime for it cannot be downloaded here)";

Deno.test("the compile task gives its binaries the network, and nothing else", () => {
  assertEquals(commands, [
    ["deno", "compile", "-N", "--output", "dist/chat-server", "server.ts"],
    ["deno", "compile", "-N", "--output", "dist/chat-netcat", "netcat.ts"],
  ]);
});

Deno.test("deno compile fails at nothing but the download of its runtime", () => {
  for (const { binary, stderr, timedOut } of attempts) {
    if (binary) continue;
    assertMatch(stderr, /^Download \S+\/denort-\S+\.zip$/m);
    if (timedOut) continue;
    assertMatch(
      stderr,
      /Setting up base binary\.\n.*(error sending request|Failed downloading|Bad response)/,
    );
  }
});

Deno.test({
  name: `the compiled server serves${notRun(server)}`,
  ignore: !server,
  async fn() {
    await using process = await startServer([], { binary: server });
    await using ann = await TestClient.join(process.addr);
    await ann.send("hi\n");
    assertEquals(await ann.line(), `${ann.who}: hi`);
  },
});

Deno.test({
  name: `the compiled netcat connects${notRun(netcat)}`,
  ignore: !netcat,
  async fn() {
    await using room = await startServer();
    const { hostname, port } = room.addr;
    const args = [hostname, `${port}`];
    await using process = new Command("netcat.ts", args, { binary: netcat });
    assert((await process.line())?.startsWith("Welcome "));
  },
});
