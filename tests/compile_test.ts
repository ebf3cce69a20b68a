/**
 * Compiles the commands and runs the binaries.
 *
 * `deno compile` adds the program to a runtime, `denort`, which it downloads unless
 * DENORT_BIN names one. Without a runtime, the tests that run a binary are ignored,
 * and another test checks that the missing runtime is the only failure.
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { compile, CompileError, runDeno, TARGETS } from "../scripts/compile.ts";
import { manualFiles } from "../scripts/manual.ts";
import { TestClient } from "./clients.ts";
import { Command, startServer } from "./commands.ts";

/** Maximum time of a download, in milliseconds. */
const DOWNLOAD_TIMEOUT = 60_000;
const EXE = Deno.build.os === "windows" ? ".exe" : "";

const temporary = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(temporary, { recursive: true }));

const binaries = `${temporary}/binaries`;
const failure: string | undefined = await compile(
  binaries,
  [],
  (args) => runDeno(args, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT) }),
).then(() => undefined, (error) => error.message);
const notRun = failure === undefined
  ? ""
  : " (not run: the runtime cannot be downloaded)";

/** Returns the sorted names of the files in a directory. */
async function list(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory), ({ name }) => name))
    .sort();
}

/** The manual pages and the shell completions that are added to the binaries. */
const MANUAL = [...manualFiles().keys()];

/** Replaces `deno compile`. Writes a file with the arguments. */
async function fakeCompile(args: string[]): Promise<undefined> {
  await Deno.writeTextFile(args[args.indexOf("--output") + 1], args.join(" "));
}

Deno.test("compile fails only without a runtime, with a message of one line", () => {
  if (failure === undefined) return;
  assertMatch(failure, /^Cannot compile server\.ts: .*\/denort-\S+\.zip.*$/);
});

Deno.test("compile makes a binary of each command for each target", async () => {
  const directory = `${temporary}/all`;
  await compile(directory, TARGETS, fakeCompile);
  assertEquals(
    await list(directory),
    [
      ...MANUAL,
      "SHA256SUMS",
      "linechat-netcat-aarch64-apple-darwin",
      "linechat-netcat-aarch64-pc-windows-msvc.exe",
      "linechat-netcat-aarch64-unknown-linux-gnu",
      "linechat-netcat-x86_64-apple-darwin",
      "linechat-netcat-x86_64-pc-windows-msvc.exe",
      "linechat-netcat-x86_64-unknown-linux-gnu",
      "linechat-aarch64-apple-darwin",
      "linechat-aarch64-pc-windows-msvc.exe",
      "linechat-aarch64-unknown-linux-gnu",
      "linechat-x86_64-apple-darwin",
      "linechat-x86_64-pc-windows-msvc.exe",
      "linechat-x86_64-unknown-linux-gnu",
    ].sort(),
  );
  assertEquals(
    await Deno.readTextFile(
      `${directory}/linechat-netcat-x86_64-pc-windows-msvc.exe`,
    ),
    `compile -N -R -W --no-prompt --target x86_64-pc-windows-msvc --output ${directory}.unfinished/linechat-netcat-x86_64-pc-windows-msvc.exe netcat.ts`,
  );
});

Deno.test("the targets are those of Deno", async () => {
  const failure = await runDeno(["compile", "--target", "none", "server.ts"]);
  const [, known = ""] = /possible values: (.*)/.exec(failure ?? "") ?? [];
  assertEquals(TARGETS.toSorted(), known.split(", ").sort());
});

Deno.test("compile writes checksums in the format of sha256sum", async () => {
  const directory = `${temporary}/sums`;
  await compile(directory, [], async (args) => {
    const output = args[args.indexOf("--output") + 1];
    await Deno.writeTextFile(output, args.at(-1) === "server.ts" ? "abc" : "");
    return undefined;
  });
  const sums = await Deno.readTextFile(`${directory}/SHA256SUMS`);
  const lines = sums.trim().split("\n");
  for (
    const line of [
      `ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  linechat${EXE}`,
      `e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  linechat-netcat${EXE}`,
    ]
  ) assert(lines.includes(line), line);
  assertEquals(lines.length, 2 + MANUAL.length);
});

Deno.test("compile replaces old binaries", async () => {
  const directory = `${temporary}/again`;
  await compile(directory, TARGETS, fakeCompile);
  await compile(directory, [], fakeCompile);
  assertEquals(
    await list(directory),
    [...MANUAL, "SHA256SUMS", `linechat-netcat${EXE}`, `linechat${EXE}`].sort(),
  );
});

Deno.test("compile leaves the old files if it fails", async () => {
  const parent = `${temporary}/parent`;
  const directory = `${parent}/failed`;
  const fail = async (args: string[]) => {
    await fakeCompile(args);
    return args.includes("netcat.ts")
      ? "error: Writing executable\n\nCaused by:\n    0: Setting up.\n    1: no net: dns\n    2: dns\n\nStack backtrace:\n   0: <unknown>\n"
      : undefined;
  };
  const error = await assertRejects(
    () => compile(directory, TARGETS, fail),
    CompileError,
  );
  assertEquals(
    error.message,
    "Cannot compile netcat.ts for x86_64-unknown-linux-gnu: Setting up: no net: dns",
  );
  assertEquals(await list(parent), []);

  await compile(directory, [], fakeCompile);
  await assertRejects(() => compile(directory, TARGETS, fail), CompileError);
  assertEquals(await list(parent), ["failed"]);
  assertEquals((await list(directory)).length, 3 + MANUAL.length);
});

// With the full Deno as the runtime, the binary does not run the program, but
// `deno compile` still resolves, checks and embeds all of its modules.
Deno.test("deno compile accepts the program", async () => {
  const directory = `${temporary}/full`;
  const env = { DENORT_BIN: Deno.execPath() };
  await compile(directory, [], (args) => runDeno(args, { env }));
  assertEquals((await list(directory)).length, 3 + MANUAL.length);
  await Deno.remove(directory, { recursive: true });
});

Deno.test({
  name: `the compiled server serves${notRun}`,
  ignore: failure !== undefined,
  async fn() {
    const binary = `${binaries}/linechat${EXE}`;
    await using process = await startServer([], { binary });
    await using ann = await TestClient.join(process.addr);
    await ann.send("hi\n");
    assertEquals(await ann.line(), `${ann.name}: hi`);
  },
});

Deno.test({
  name: `the compiled netcat connects${notRun}`,
  ignore: failure !== undefined,
  async fn() {
    const binary = `${binaries}/linechat-netcat${EXE}`;
    await using room = await startServer();
    const { hostname, port } = room.addr;
    const args = [hostname, `${port}`];
    await using process = new Command("netcat.ts", args, { binary });
    assert((await process.line())?.startsWith("Welcome "));
  },
});
