// Copyright 2026 the linechat authors. MIT license.

/**
 * Compiles the commands to binaries in `dist/`, with manual pages, shell completions
 * and SHA-256 checksums.
 *
 * ```sh
 * deno task compile        # dist/linechat, dist/linechat-netcat
 * deno task compile:all    # dist/linechat-x86_64-unknown-linux-gnu, …
 * ```
 *
 * A failure leaves `dist/` unchanged.
 */

import { CLIENT_MODULES } from "../server/nats.ts";
import { manualFiles } from "./manual.ts";

/** The targets of `deno compile`. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "aarch64-pc-windows-msvc",
];

/**
 * The permissions of the binaries. Options for TLS and Unix sockets need access to
 * files, and a binary has no flags for permissions.
 */
const PERMISSIONS = ["-N", "-R", "-W", "--no-prompt"];

const COMMANDS = { "linechat": "server.ts", "linechat-netcat": "netcat.ts" };

/** The modules that a command imports by a name in a variable. */
const INCLUDED: Record<string, readonly string[]> = {
  "server.ts": CLIENT_MODULES,
};

/** Runs `deno`. Returns its stderr if it fails. */
type Run = (args: string[]) => Promise<string | undefined>;

/** A failure to compile, with a message for the user. */
export class CompileError extends Error {}

/**
 * Compiles both commands into a new directory, which replaces the old one.
 *
 * @param targets The platforms. By default, only this one.
 * @throws {CompileError} If a command cannot be compiled. The old directory stays.
 */
export async function compile(
  directory: string,
  targets: readonly string[] = [],
  run: Run = runDeno,
): Promise<void> {
  // In the same file system, since it is renamed in the end.
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
          ...(INCLUDED[script] ?? []).flatMap((name) => ["--include", name]),
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

/** Returns the checksums of the files in a directory, for `sha256sum --check`. */
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

/** Returns the error that Deno has printed, with its causes, in one line. */
function explain(stderr: string): string {
  const [, error = stderr] = /^error: ([^]*)/m.exec(stderr) ?? [];
  const [message] = error.split(/\n+Stack backtrace:/);
  const causes = [...message.matchAll(/^ +\d+: (.*)$/gm)].map(([, text]) =>
    text
  );
  // Deno repeats a cause in the message of the one before it.
  const distinct = causes.filter((text, i) =>
    !causes.slice(0, i).some((cause) => cause.includes(text))
  );
  return (distinct.length > 0 ? distinct : message.trim().split(/\n\s*/))
    .map((text) => text.replace(/[.:]$/, "")).join(": ");
}

/** Runs the current Deno executable. The options are for tests. */
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
      // Deno would use that runtime for all targets.
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
