// Copyright 2026 the chat authors. MIT license.

/**
 * The seed's netcat: copies stdin to the server and what the server sends to
 * stdout, byte by byte.
 *
 * ```sh
 * deno run -N netcat.ts                   # to localhost:8000
 * deno run -N netcat.ts ::1 4000
 * ```
 *
 * At the end of stdin it shuts down its sending side only, and goes on to print
 * what comes; it ends when the server closes, and says "done" on stderr.
 * Exit codes: 0 then, or when stdout is closed; 1 when the connection cannot be
 * made, or breaks; 2 for wrong usage.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import config from "./deno.json" with { type: "json" };
import { formatAddress } from "./mod.ts";

class UsageError extends Error {}

const USAGE = `chat-netcat ${config.version}

Copies stdin to a TCP server, and what it sends to stdout.

Usage: deno run -N netcat.ts [options] [host] [port]

  host             the server's name or address (localhost)
  port             its port (8000)
  -h, --help       print this
  -V, --version    print the version`;

/** What the arguments ask for: a connection, or only to be told something. */
type Command = { hostname: string; port: number } | { print: string };

function parseCommand(args: string[]): Command {
  const names: string[] = [];
  const flags = parseArgs(args, {
    boolean: ["help", "version"],
    alias: { help: "h", version: "V" },
    unknown: (arg, key) => {
      if (key !== undefined) unknown(arg);
      names.push(arg);
      return false;
    },
  });
  if (flags.help) return { print: USAGE };
  if (flags.version) return { print: `chat-netcat ${config.version}` };

  names.push(...flags._.map(String)); // What follows a "--".
  const [hostname = "localhost", port = "8000", ...rest] = names;
  if (rest.length > 0) unknown(rest[0]);
  if (!/^\S+$/.test(hostname)) {
    throw new UsageError(
      `Invalid host ${quote(hostname)}: it is a name or an address`,
    );
  }
  if (!/^\d+$/.test(port) || +port < 1 || +port > 65_535) {
    throw new UsageError(
      `Invalid port ${quote(port)}: it is a whole number from 1 to 65535`,
    );
  }
  return { hostname, port: Number(port) };
}

function unknown(arg: string): never {
  throw new UsageError(`Unknown argument ${quote(arg)}: see --help`);
}

/** What was given, on one line whatever it holds. */
const quote: (value: unknown) => string = JSON.stringify;

/** Why there is no connection, or no longer one, for people. */
function explain(error: unknown): string {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "the connection was refused";
  }
  if (error instanceof Deno.errors.ConnectionReset) {
    return "the connection was reset";
  }
  if (error instanceof Deno.errors.NotCapable) {
    return "network access is not allowed, run with -N";
  }
  return error instanceof Error ? error.message : String(error);
}

async function main(args: string[]): Promise<number> {
  const command = parseCommand(args);
  if ("print" in command) {
    console.log(command.print);
    return 0;
  }
  const { hostname, port } = command;
  const address = formatAddress(hostname, port);
  let conn: Deno.TcpConn;
  try {
    conn = await Deno.connect({ hostname, port });
  } catch (error) {
    console.error(`Cannot connect to ${address}: ${explain(error)}`);
    return 1;
  }
  let code = 0;
  const fail = (what: string, error: unknown) => {
    console.error(`Cannot ${what}: ${explain(error)}`);
    code = 1;
  };
  /** What can be read; a failure is told, and is the end. */
  const read = (from: string, source: ReadableStream<Uint8Array>) =>
    ReadableStream.from((async function* () {
      try {
        yield* source;
      } catch (error) {
        fail(`read from ${from}`, error);
      }
    })());
  // Not awaited: if the connection breaks, reading it tells.
  read("stdin", Deno.stdin.readable)
    .pipeTo(conn.writable, { preventClose: true })
    .then(() => conn.closeWrite())
    .catch(() => {});
  try {
    await read(address, conn.readable)
      .pipeTo(Deno.stdout.writable, { preventClose: true });
    if (code === 0) console.error("done");
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) {
      fail("write to stdout", error);
    }
  }
  return code;
}

if (import.meta.main) {
  Deno.exit(
    await main(Deno.args).catch((error) => {
      if (!(error instanceof UsageError)) throw error;
      console.error(error.message);
      return 2;
    }),
  );
}
