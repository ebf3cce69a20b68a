/**
 * Compiles the commands to binaries of their own, with their SHA-256 sums, into
 * `dist/`: for this platform, or for all that Deno compiles to.
 *
 * ```sh
 * deno task compile        # dist/chat-server, dist/chat-netcat, dist/SHA256SUMS
 * deno task compile:all    # dist/chat-server-x86_64-unknown-linux-gnu, …
 * ```
 *
 * All of it is there in the end, or nothing has changed.
 */

import { manualFiles } from "./manual.ts";

/** All that `deno compile --target` takes. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
];

/**
 * A binary is asked for a certificate or a Unix socket long after it was made,
 * so that it may read and write files; what its user may not, it cannot either.
 * There is nobody to ask for more.
 */
const PERMISSIONS = ["-N", "-R", "-W", "--no-prompt"];

const COMMANDS = { "chat-server": "server.ts", "chat-netcat": "netcat.ts" };

/** Runs `deno`, and returns what it wrote to stderr if it failed. */
type Run = (args: string[]) => Promise<string | undefined>;

/** Why something cannot be compiled. */
export class CompileError extends Error {}

/**
 * Compiles both commands, for this platform or for so many targets, into a
 * directory that replaces the last one.
 *
 * @throws {CompileError} If a binary cannot be made. The last directory stays.
 */
export async function compile(
  directory: string,
  targets: readonly string[] = [],
  run: Run = runDeno,
): Promise<void> {
  // Beside it, since a directory cannot be renamed into another file system.
  const unfinished = `${directory}.unfinished`;
  await removeAll(unfinished);
  try {
    await Deno.mkdir(unfinished, { recursive: true });
    for (const target of targets.length > 0 ? targets : [undefined]) {
      for (const [name, script] of Object.entries(COMMANDS)) {
        const failure = await run([
          "compile",
          ...PERMISSIONS,
          ...target ? ["--target", target] : [],
          "--output",
          `${unfinished}/${fileName(name, target)}`,
          script,
        ]);
        if (failure === undefined) continue;
        const where = target ? ` for ${target}` : "";
        throw new CompileError(
          `Cannot compile ${script}${where}: ${explain(failure)}`,
        );
      }
    }
    for (const [name, text] of manualFiles()) {
      await Deno.writeTextFile(`${unfinished}/${name}`, text);
    }
    await Deno.writeTextFile(
      `${unfinished}/SHA256SUMS`,
      await sums(unfinished),
    );
    await removeAll(directory);
    await Deno.rename(unfinished, directory);
  } finally {
    await removeAll(unfinished);
  }
}

function fileName(name: string, target?: string): string {
  if (target === undefined) {
    return Deno.build.os === "windows" ? `${name}.exe` : name;
  }
  return `${name}-${target}${target.includes("windows") ? ".exe" : ""}`;
}

/** The sums of a directory's files, as `sha256sum --check` takes them. */
export async function sums(directory: string): Promise<string> {
  const names = [];
  for await (const { name } of Deno.readDir(directory)) names.push(name);
  let text = "";
  for (const name of names.sort()) {
    const bytes = await Deno.readFile(`${directory}/${name}`);
    const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    text += `${sum.toHex()}  ${name}\n`;
  }
  return text;
}

/** Deno tells why in several lines: what failed, and what that was caused by. */
function explain(stderr: string): string {
  const [, error = stderr] = /^error: ([^]*)/m.exec(stderr) ?? [];
  const [told] = error.split(/\n+Stack backtrace:/);
  const causes = [...told.matchAll(/^ +\d+: (.*)$/gm)].map(([, text]) => text);
  // A cause that repeats the end of the one before it says nothing new.
  const news = causes.filter((text, i) =>
    !causes.slice(0, i).some((cause) => cause.includes(text))
  );
  return (news.length > 0 ? news : told.trim().split(/\n\s*/))
    .map((text) => text.replace(/[.:]$/, "")).join(": ");
}

/** Runs this very Deno. The options are for tests. */
export async function runDeno(
  args: string[],
  options: Deno.CommandOptions = {},
): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: new URL("..", import.meta.url),
    stdin: "null",
    ...options,
    env: { ...options.env, NO_COLOR: "1" },
  }).output();
  return success ? undefined : new TextDecoder().decode(stderr);
}

async function removeAll(directory: string): Promise<void> {
  await Deno.remove(directory, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

if (import.meta.main) {
  try {
    const all = Deno.args.includes("--all");
    if (all && Deno.env.get("DENORT_BIN")) {
      // Deno would take it for the others, too.
      throw new CompileError(
        "Cannot compile for all targets: DENORT_BIN names the runtime of one",
      );
    }
    const directory = `${import.meta.dirname}/../dist`;
    await compile(directory, all ? TARGETS : []);
    console.log(await Deno.readTextFile(`${directory}/SHA256SUMS`));
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
