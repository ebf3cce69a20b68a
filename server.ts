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
import { once } from "node:events";
import { dirname, join } from "node:path";
import config from "./deno.json" with { type: "json" };
import {
  Chat,
  type ChatEvent,
  type ChatOptions,
  type Connection,
  DEFAULTS,
  formatAddress,
  LANGS,
} from "./mod.ts";

/** The options that take a number: the least, the most, and the default. */
const NUMBERS = {
  port: { min: 0, max: 65_535, default: 8000 },
  "tls-port": { min: 0, max: 65_535, default: 0 },
  "max-backlog": { min: 2 ** 20, max: 2 ** 30, default: DEFAULTS.maxBacklog },
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

/** How long the last bytes to a TLS client may take, in milliseconds. */
const HANG_UP_TIMEOUT = 1_000;

class UsageError extends Error {}

/** Where to listen. */
type Endpoint =
  | { hostname: string; port: number; isSecure: boolean }
  | { path: string };

/** The files that a TLS server needs. */
interface CredentialFiles {
  cert: string;
  key: string;
}

/** What the arguments ask for: a server, or only to be told something. */
type Command =
  | {
    endpoints: Endpoint[];
    credentials?: CredentialFiles;
    options: ChatOptions;
    log: LogOptions;
  }
  | { print: string };

function parseCommand(args: string[]): Command {
  const flags = parseArgs(args, {
    boolean: ["help", "version", "no-commands", "log-messages"],
    string: [
      "hostname",
      "lang",
      "motd",
      "log",
      "tls-cert",
      "tls-key",
      "unix",
      ...Object.keys(NUMBERS),
    ],
    collect: ["port", "tls-port", "unix"],
    alias: { help: "h", version: "V", port: "p" },
    default: {
      hostname: "localhost",
      lang: LANGS.find((lang) => navigator.language.startsWith(lang)) ??
        DEFAULTS.lang,
      motd: DEFAULTS.motd,
    },
    unknown,
  });
  if (flags.help) return { print: USAGE };
  if (flags.version) return { print: `chat-server ${config.version}` };

  if (flags._.length > 0) unknown(String(flags._[0])); // What follows a "--".
  const given: Record<string, unknown> = flags;
  const messages = given["log-messages"] === true;
  const { hostname, motd, log = messages ? "text" : "off" } = flags;
  const lang = LANGS.find((lang) => lang === flags.lang);
  if (!/^\S+$/.test(hostname)) {
    throw new UsageError(
      `Invalid --hostname ${quote(hostname)}: it takes a name or an address`,
    );
  }
  if (lang === undefined) {
    throw new UsageError(
      `Invalid --lang ${quote(flags.lang)}: it takes ${LANGS.join(" or ")}`,
    );
  }
  if (log !== "off" && log !== "text" && log !== "json") {
    throw new UsageError(
      `Invalid --log ${quote(log)}: it takes off, text or json`,
    );
  }
  const number = (name: keyof typeof NUMBERS, value = given[name]): number => {
    const { min, max, default: fallback } = NUMBERS[name];
    value ??= String(fallback);
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
    ...endpointsOf({
      hostname,
      ports: (given.port as string[]).map((port) => number("port", port)),
      tlsPorts: (given["tls-port"] as string[])
        .map((port) => number("tls-port", port)),
      paths: given.unix as string[],
      cert: flags["tls-cert"],
      key: flags["tls-key"],
    }),
    options: {
      lang,
      maxBacklog: number("max-backlog"),
      maxLine: number("max-line"),
      rate: number("rate"),
      maxClients: number("max-clients"),
      maxPerAddress: number("max-per-address"),
      idle: number("idle") * 1000,
      commands: given["no-commands"] === true ? false : undefined,
      history: number("history"),
      motd,
    },
    log: { format: log, messages },
  };
}

/** Where to listen, and what that needs. */
function endpointsOf({ hostname, ports, tlsPorts, paths, cert, key }: {
  hostname: string;
  ports: number[];
  tlsPorts: number[];
  paths: string[];
  cert?: string;
  key?: string;
}): { endpoints: Endpoint[]; credentials?: CredentialFiles } {
  const files = [cert, key].filter((file) => file !== undefined);
  if (files.length === 1 || tlsPorts.length > 0 && files.length === 0) {
    throw new UsageError("TLS takes both --tls-cert and --tls-key");
  }
  if ([...paths, ...files].includes("")) {
    throw new UsageError("--unix, --tls-cert and --tls-key take a file's path");
  }
  if (ports.length + tlsPorts.length + paths.length === 0) {
    ports = [NUMBERS.port.default];
  }
  const credentials = cert !== undefined && key !== undefined
    ? { cert, key }
    : undefined;
  const isSecure = credentials !== undefined && tlsPorts.length === 0;
  return {
    endpoints: [
      ...ports.map((port) => ({ hostname, port, isSecure })),
      ...tlsPorts.map((port) => ({ hostname, port, isSecure: true })),
      ...paths.map((path) => ({ path })),
    ],
    credentials,
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
    logNote("failure", `Some events are not logged: ${explain(error)}`, format);
    return logEvents(chat, { format, messages });
  }
}

function logNote(
  type: "failure" | "notice",
  message: string,
  format: LogOptions["format"],
): void {
  if (format === "off") console.error(message);
  else log({ time: new Date(), type, message }, format);
}

function log(
  event: ChatEvent | {
    time: Date;
    type: "failure" | "notice";
    message: string;
  },
  format: LogOptions["format"],
): void {
  const { time, type, ...rest } = event;
  const values = "message" in rest ? rest : { ...rest, id: "", own: "" };
  const words = Object.values(values).filter((value) => value);
  console.error(
    format === "json"
      ? JSON.stringify(event)
      : [time.toISOString(), type, ...words].join(" "),
  );
}

/** Why the server cannot start, for people. */
class StartError extends Error {}

type Listener = Deno.TcpListener | TlsListener | UnixListener;
type UnixListener = Deno.UnixListener & { readonly path: string };

/** Opens a port or a socket. */
async function listen(
  endpoint: Endpoint,
  credentials?: Deno.TlsCertifiedKeyPem,
): Promise<Listener> {
  try {
    if ("path" in endpoint) return await listenUnix(endpoint.path);
    if (!endpoint.isSecure) return Deno.listen(endpoint);
    return new TlsListener(endpoint, credentials!);
  } catch (error) {
    const where = "path" in endpoint
      ? endpoint.path
      : formatAddress(endpoint.hostname, endpoint.port);
    throw new StartError(`Cannot listen on ${where}: ${explain(error)}`);
  }
}

/**
 * A port for TLS. What comes to it is handed on, byte by byte, to a listener for
 * TLS inside, since `Deno.TlsConn.close` does not let go of the socket of a client
 * that is silent in the handshake, or does not read (Deno 2.9.6); and since a
 * `Deno.TlsListener` cannot take another certificate, but can be replaced.
 */
class TlsListener implements AsyncIterable<Connection> {
  readonly #outside: Deno.TcpListener;
  #inside: Deno.TlsListener;

  constructor(
    endpoint: { hostname: string; port: number },
    credentials: Deno.TlsCertifiedKeyPem,
  ) {
    this.#inside = listenInside(credentials);
    try {
      this.#outside = Deno.listen(endpoint);
    } catch (error) {
      this.#inside.close();
      throw error;
    }
  }

  get addr(): Deno.NetAddr {
    return this.#outside.addr;
  }

  /** Has others take their place, for those who connect from then on. */
  renew(credentials: Deno.TlsCertifiedKeyPem): void {
    const renewed = listenInside(credentials);
    this.#inside.close();
    this.#inside = renewed;
  }

  close(): void {
    this.#outside.close();
    this.#inside.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Connection> {
    for await (const conn of this.#outside) {
      try {
        yield await this.#secure(conn);
      } catch {
        closeQuietly(conn); // It hung up, or the certificate was renewed just now.
      }
    }
  }

  async #secure(outside: Deno.TcpConn): Promise<Connection> {
    outside.setNoDelay(); // Fails for who has hung up.
    outside.setKeepAlive();
    const { hostname, port } = this.#inside.addr;
    const wire = await Deno.connect({ hostname, port });
    const inside = await this.#accept(wire);
    wire.setNoDelay();
    const close = inside.close.bind(inside);
    let timeout: ReturnType<typeof setTimeout> | undefined;
    const hangUp = () => {
      clearTimeout(timeout);
      [outside, wire].forEach(closeQuietly);
    };
    Promise.all([copy(outside, wire), copy(wire, outside)])
      .catch(() => {}) // The chat finds out at the inside.
      .finally(hangUp);
    return Object.defineProperties(inside, {
      remoteAddr: { value: outside.remoteAddr },
      close: {
        value: () => {
          close();
          timeout = setTimeout(hangUp, HANG_UP_TIMEOUT);
        },
      },
    });
  }

  /** Accepts the other end of a connection. */
  async #accept(wire: Deno.TcpConn): Promise<Deno.TlsConn> {
    try {
      while (true) {
        const conn = await this.#inside.accept();
        if (conn.remoteAddr.port === wire.localAddr.port) return conn;
        conn.close(); // Somebody else on this machine has found the port.
      }
    } catch (error) {
      wire.close();
      throw error;
    }
  }
}

function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // Closed already.
  }
}

function listenInside(credentials: Deno.TlsCertifiedKeyPem): Deno.TlsListener {
  return Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...credentials });
}

/** Copies what one side sends to the other, and that it has ended. */
async function copy(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(8 * 1024);
  for (let size; (size = await from.read(buffer)) !== null;) {
    let bytes = buffer.subarray(0, size);
    while (bytes.length > 0) bytes = bytes.subarray(await to.write(bytes));
  }
  await to.closeWrite();
}

/**
 * Opens a Unix socket, for this user only, in place of one that nobody listens
 * on. It is made in a directory of its own, so that at no time others can use it.
 */
async function listenUnix(path: string): Promise<UnixListener> {
  const old = await Deno.lstat(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  if (old && !(old.isSocket && await isStale(path))) {
    throw new Deno.errors.AddrInUse();
  }
  const directory = await Deno.makeTempDir({ dir: dirname(path) });
  try {
    const unfinished = join(directory, "s"); // There is room for 107 bytes.
    const listener = Deno.listen({ transport: "unix", path: unfinished });
    try {
      await Deno.chmod(unfinished, 0o600);
      await Deno.rename(unfinished, path);
    } catch (error) {
      listener.close();
      throw error;
    }
    return Object.assign(listener, { path });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Whether a socket's file is all that is left of it. */
async function isStale(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return true;
    throw error;
  }
}

/** Closes a listener, and removes what it leaves. */
async function closeListener(listener: Listener): Promise<void> {
  closeQuietly(listener); // The chat may have done it.
  // Somebody may have removed it, which is fine.
  if ("path" in listener) await Deno.remove(listener.path).catch(() => {});
}

/** Where a listener can be reached. */
function nameOf(listener: Listener): string {
  if ("path" in listener) return listener.path;
  const { hostname, port } = listener.addr;
  return formatAddress(hostname, port);
}

/** Reads the certificate and the key. */
async function readCredentials(
  files: CredentialFiles,
): Promise<Deno.TlsCertifiedKeyPem> {
  const read = (file: string) =>
    Deno.readTextFile(file).catch((error) => {
      throw new StartError(`Cannot read ${file}: ${explain(error)}`);
    });
  return { cert: await read(files.cert), key: await read(files.key) };
}

/**
 * Reads the certificate and the key again at each SIGHUP, for those who connect
 * from then on. Where anything is wrong with them, the old ones stay.
 */
function renewOnSignal(
  listeners: Iterable<Listener>,
  files: CredentialFiles,
  log: (type: "failure" | "notice", message: string) => void,
): void {
  if (Deno.build.os === "windows") return; // There is no such signal.
  Deno.addSignalListener("SIGHUP", async () => {
    try {
      const credentials = await readCredentials(files);
      for (const listener of listeners) {
        if ("renew" in listener) listener.renew(credentials);
      }
      log("notice", "The certificate was renewed");
    } catch (error) {
      log("failure", `The certificate was not renewed: ${explain(error)}`);
    }
  });
}

/** What is missing, by the permission that Deno asks for. */
const DENIED: Record<string, string> = {
  net: "network access is not allowed, run with -N",
  read: "reading files is not allowed, run with -R",
  write: "writing files is not allowed, run with -W",
};

/** Why something failed, for people. */
function explain(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the address is already in use";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this machine does not have that address";
  }
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotCapable) {
    return DENIED[/--allow-(\w+)/.exec(error.message)?.[1] ?? ""] ??
      error.message;
  }
  return error instanceof Error ? error.message : String(error);
}

const USAGE = `chat-server ${config.version}

A line-based TCP chat server: every line that one client sends reaches all.

Usage: deno run -N server.ts [options]

  --hostname NAME        the name or address to listen on (localhost)
  -p, --port N           the port, 0 for a free one (${NUMBERS.port.default}); may be repeated
  --tls-cert FILE        the certificate, and those that vouch for it, as PEM;
  --tls-key FILE         and its key: the ports are for TLS then. Needs -R
  --tls-port N           a port for TLS, and --port is for plain text; may be repeated
  --unix PATH            a Unix socket; may be repeated. Needs -R -W
  --lang ${
  LANGS.join("|")
}           the language of the room's own lines (your system's)
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
  --log-messages         log what is said, too (as text)
  -h, --help             print this
  -V, --version          print the version`;

async function main(args: string[]): Promise<number> {
  const command = parseCommand(args);
  if ("print" in command) {
    console.log(command.print);
    return 0;
  }
  const { endpoints, credentials, options, log } = command;
  const note = (type: "failure" | "notice", message: string) =>
    logNote(type, message, log.format);
  const fail = (message: string) => note("failure", message);
  const listeners: Listener[] = [];
  const stopListening = () => Promise.all(listeners.map(closeListener));
  try {
    const tls = credentials && await readCredentials(credentials);
    for (const endpoint of endpoints) {
      listeners.push(await listen(endpoint, tls));
    }
  } catch (error) {
    await stopListening();
    if (!(error instanceof StartError)) throw error;
    console.error(error.message);
    return 1;
  }
  const ended = terminationSignal();
  await using chat = new Chat({ ...options, signal: ended, log: fail });
  const logged = logEvents(chat, log);
  if (credentials) renewOnSignal(listeners, credentials, note);
  for (const listener of listeners) {
    chat.serve(listener);
    console.log(`Listening on ${nameOf(listener)}`);
  }
  if (!ended.aborted) await once(ended, "abort");
  await chat.close();
  await stopListening();
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
