// Copyright 2026 the chat authors. MIT license.

/**
 * The chat server's command line.
 *
 * ```sh
 * deno run -N server.ts                   # on localhost:8000
 * deno run -N server.ts -p 0 --lang zh    # on a free port, in Chinese
 * deno run -N server.ts --help            # all options
 * ```
 *
 * The first line on stdout ends in the address that it listens on; logs go to
 * stderr. SIGINT and SIGTERM end it in good order, a second signal at once.
 * Exit codes: 0 when it was told to end, 1 when it cannot listen, 2 for wrong usage.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import config from "./deno.json" with { type: "json" };
import {
  Chat,
  type ChatEvent,
  type ChatOptions,
  DEFAULTS,
  formatAddress,
} from "./mod.ts";

/** The options that take a number: the least, the most, and the default. */
const NUMBERS = {
  port: { min: 0, max: 65_535, default: 8000 },
  "max-backlog": { min: 1, max: 2 ** 30, default: DEFAULTS.maxBacklog },
  "max-line": { min: 1, max: 2 ** 24, default: DEFAULTS.maxLine },
  rate: { min: 0, max: 1_000_000, default: DEFAULTS.rate },
  "max-clients": { min: 1, max: 1_000_000, default: DEFAULTS.maxClients },
  "max-per-address": {
    min: 0,
    max: 1_000_000,
    default: DEFAULTS.maxPerAddress,
  },
  idle: { min: 0, max: 2_000_000, default: DEFAULTS.idle / 1000 },
  history: { min: 0, max: 10_000, default: DEFAULTS.history },
};

class UsageError extends Error {}

/** What the arguments ask for: a server, or only to be told something. */
type Command =
  | { hostname: string; port: number; options: ChatOptions; log: LogOptions }
  | { print: string };

function parseCommand(args: string[]): Command {
  const flags = parseArgs(args, {
    boolean: ["help", "version", "no-commands", "log-messages"],
    string: ["hostname", "lang", "motd", "log", ...Object.keys(NUMBERS)],
    alias: { help: "h", version: "V", port: "p" },
    default: {
      hostname: "localhost",
      lang: navigator.language.startsWith("zh") ? "zh" : "en",
      motd: DEFAULTS.motd,
      log: "off",
    },
    unknown,
  });
  if (flags.help) return { print: USAGE };
  if (flags.version) return { print: `chat-server ${config.version}` };

  if (flags._.length > 0) unknown(String(flags._[0])); // What follows a "--".
  const { hostname, lang, motd, log } = flags;
  if (!/^\S+$/.test(hostname)) {
    throw new UsageError(
      `Invalid --hostname ${quote(hostname)}: it takes a name or an address`,
    );
  }
  if (lang !== "en" && lang !== "zh") {
    throw new UsageError(`Invalid --lang ${quote(lang)}: it takes en or zh`);
  }
  if (log !== "off" && log !== "text" && log !== "json") {
    throw new UsageError(
      `Invalid --log ${quote(log)}: it takes off, text or json`,
    );
  }
  const number = (name: keyof typeof NUMBERS): number => {
    const { min, max, default: fallback } = NUMBERS[name];
    const value = (flags as Record<string, unknown>)[name] ?? String(fallback);
    if (
      /^\d+$/.test(`${value}`) && min <= Number(value) && Number(value) <= max
    ) return Number(value);
    throw new UsageError(
      `Invalid --${name} ${
        quote(value)
      }: it takes a whole number from ${min} to ${max}`,
    );
  };
  return {
    hostname,
    port: number("port"),
    options: {
      lang,
      maxBacklog: number("max-backlog"),
      maxLine: number("max-line"),
      rate: number("rate"),
      maxClients: number("max-clients"),
      maxPerAddress: number("max-per-address"),
      idle: number("idle") * 1000,
      commands: !flags["no-commands"],
      history: number("history"),
      motd,
    },
    log: { format: log, messages: flags["log-messages"] },
  };
}

function unknown(arg: string): never {
  throw new UsageError(`Unknown argument ${quote(arg)}: see --help`);
}

/** What was given, on one line whatever it holds. */
const quote: (value: unknown) => string = JSON.stringify;

/** Aborts at the first signal to terminate; the second terminates at once. */
function terminationSignal(): AbortSignal {
  const controller = new AbortController();
  // Windows has no SIGTERM, but a Ctrl+Break.
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM"];
  for (const signal of signals) {
    Deno.addSignalListener(signal, () => {
      if (controller.signal.aborted) Deno.exit(1);
      controller.abort();
    });
  }
  return controller.signal;
}

/** What is logged, and how. */
interface LogOptions {
  /** Where it is `off`, only failures are logged. */
  format: "off" | "text" | "json";
  /** Whether what is said is logged, too. */
  messages: boolean;
}

/** Logs what happens in the room, a line an event, until the chat ends. */
async function logEvents(
  chat: Chat,
  { format, messages }: LogOptions,
): Promise<void> {
  if (format === "off") return;
  try {
    for await (const event of chat.events({ messages })) log(event, format);
  } catch (error) {
    logFailure(`Some events are not logged: ${explain(error)}`, format);
    return logEvents(chat, { format, messages });
  }
}

function logFailure(message: string, format: LogOptions["format"]): void {
  if (format === "off") console.error(message);
  else log({ time: new Date(), type: "failure", message }, format);
}

function log(
  event: ChatEvent | { time: Date; type: "failure"; message: string },
  format: LogOptions["format"],
): void {
  const { time, type, ...rest } = event;
  console.error(
    format === "json"
      ? JSON.stringify(event)
      : [time.toISOString(), type, ...Object.values(rest)].join(" "),
  );
}

/** Why a port cannot be listened on, for people. */
function explain(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the address is already in use";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine does not have that address";
  }
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotCapable) {
    return "network access is not allowed, run with -N";
  }
  return error instanceof Error ? error.message : String(error);
}

const USAGE = `chat-server ${config.version}

A line-based TCP chat server: every line that one client sends reaches all.

Usage: deno run -N server.ts [options]

  --hostname NAME        the name or address to listen on (localhost)
  -p, --port N           the port, 0 for a free one (${NUMBERS.port.default})
  --lang en|zh           the language of the room's own lines (your system's)
  --max-backlog BYTES    how far behind a client may be (${DEFAULTS.maxBacklog})
  --max-line BYTES       the longest line (${DEFAULTS.maxLine})
  --rate N               lines a second of one client, 0 for any (${DEFAULTS.rate})
  --max-clients N        clients at a time (${DEFAULTS.maxClients})
  --max-per-address N    clients of one address, 0 for any (${DEFAULTS.maxPerAddress})
  --idle SECONDS         silence before a client has to go, 0 for ever (${DEFAULTS.idle})
  --no-commands          every line is text: no /help, no names
  --history N            lines last said that a newcomer is told (${DEFAULTS.history})
  --motd TEXT            what a newcomer is told
  --log off|text|json    log who comes and goes; failures always are (off)
  --log-messages         log what is said, too
  -h, --help             print this
  -V, --version          print the version`;

async function main(args: string[]): Promise<number> {
  const command = parseCommand(args);
  if ("print" in command) {
    console.log(command.print);
    return 0;
  }
  const { hostname, port, options, log } = command;
  let listener: Deno.TcpListener;
  try {
    listener = Deno.listen({ hostname, port });
  } catch (error) {
    const address = formatAddress(hostname, port);
    console.error(`Cannot listen on ${address}: ${explain(error)}`);
    return 1;
  }
  const { addr } = listener;
  await using chat = new Chat({
    ...options,
    signal: terminationSignal(),
    log: (message) => logFailure(message, log.format),
  });
  const logged = logEvents(chat, log);
  const served = chat.serve(listener);
  console.log(`Listening on ${formatAddress(addr.hostname, addr.port)}`);
  await served;
  await chat.close();
  await logged;
  return 0;
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
