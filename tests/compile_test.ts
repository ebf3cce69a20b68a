/**
 * Runs the `compile` task's commands, with their binaries in another directory.
 *
 * `deno compile` adds the program to a runtime that it downloads. Where that is
 * out of reach, there is no binary: then it must have failed at just that, and
 * the test's output says, as an ignored step, what was not run.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { TestClient } from "./clients.ts";
import { Command, startServer } from "./commands.ts";

/** For a download that neither fails nor comes to an end. */
const PATIENCE = 60_000;

const COMMANDS = config.tasks.compile.split(" && ").map((command) =>
  command.split(" ")
);

/** Has Deno do what these tests themselves are not allowed. */
async function evaluate(code: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", code],
  }).output();
  return new TextDecoder().decode(stdout);
}

/** A directory for the binaries, removed at the end of its scope. */
async function makeTempDir() {
  const path = await evaluate(
    "Deno.stdout.write(\
    new TextEncoder().encode(Deno.makeTempDirSync()))",
  );
  return {
    path,
    async [Symbol.asyncDispose]() {
      const quoted = JSON.stringify(path);
      await evaluate(`Deno.removeSync(${quoted}, { recursive: true })`);
    },
  };
}

/** Compiles, and returns the binary if it can be had here. */
async function compile(
  t: Deno.TestContext,
  command: string[],
  directory: string,
): Promise<string | undefined> {
  const [, ...args] = command;
  const output = args.indexOf("--output") + 1;
  const binary = args[output].replace("dist", directory);
  const deadline = AbortSignal.timeout(PATIENCE);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: args.with(output, binary),
    cwd: new URL("..", import.meta.url),
    env: { NO_COLOR: "1" },
    signal: deadline,
  }).output();
  if (success) return binary;

  const text = new TextDecoder().decode(stderr);
  assertMatch(text, /^Compile /m); // The program itself was fine.
  assertMatch(text, /^Download \S+\/denort-\S+\.zip$/m);
  if (!deadline.aborted) {
    assertMatch(
      text,
      /Setting up base binary\.\n.*(error sending request|Failed downloading|Bad response)/,
    );
  }
  await t.step({
    name: `not run: ${args.at(-1)} as a binary, since the runtime ` +
      "that `deno compile` needs cannot be downloaded here",
    ignore: true,
    fn() {},
  });
}

Deno.test("the compile task gives its binaries the network, and nothing else", () => {
  assertEquals(COMMANDS, [
    ["deno", "compile", "-N", "--output", "dist/chat-server", "server.ts"],
    ["deno", "compile", "-N", "--output", "dist/chat-netcat", "netcat.ts"],
  ]);
});

Deno.test("the compiled server serves", async (t) => {
  await using directory = await makeTempDir();
  const binary = await compile(t, COMMANDS[0], directory.path);
  if (binary === undefined) return;
  await using server = await startServer([], { binary });
  await using ann = await TestClient.join(server.addr);
  await ann.send("hi\n");
  assertEquals(await ann.line(), `${ann.who}: hi`);
});

Deno.test("the compiled netcat connects", async (t) => {
  await using directory = await makeTempDir();
  const binary = await compile(t, COMMANDS[1], directory.path);
  if (binary === undefined) return;
  await using server = await startServer();
  const { hostname, port } = server.addr;
  await using netcat = new Command("netcat.ts", [hostname, `${port}`], {
    binary,
  });
  const welcome = await netcat.line();
  assert(welcome?.startsWith("Welcome "), welcome);
});
