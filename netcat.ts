// Copyright 2026 the chat authors. MIT license.

/**
 * The seed's netcat: copies stdin to the server and what the server sends to
 * stdout, byte by byte. Where both are terminals it is a line editor instead,
 * with what others say above the line being typed.
 *
 * ```sh
 * deno run -N netcat.ts                   # to localhost:8000
 * deno run -N netcat.ts ::1 4000
 * deno run -N netcat.ts --name ann --time --reconnect
 * ```
 *
 * At the end of stdin (Ctrl-D) it shuts down its sending side only, and goes on to
 * print what comes; it ends when the server closes, and says "done" on stderr.
 * Exit codes: 0 then, or when stdout is closed; 1 when the connection cannot be
 * made, or breaks; 2 for wrong usage; 130 for Ctrl-C.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import config from "./deno.json" with { type: "json" };
import { formatAddress, printable } from "./mod.ts";

class UsageError extends Error {}

const USAGE = `chat-netcat ${config.version}

Copies stdin to a TCP server, and what it sends to stdout. In a terminal: a line
editor, with what others say above the line being typed. Ctrl-D leaves.

Usage: deno run -N netcat.ts [options] [host] [port]

  host             the server's name or address (localhost)
  port             its port (8000)
  --unix PATH      a Unix socket instead. Needs -R -W
  --tls            talk TLS, and check the server's certificate
  --ca FILE        trust the certificates in this file (PEM), too. Needs -R
  --name NAME      first of all, send "/nick NAME"
  --time           in a terminal: the time before each line
  --reconnect      in a terminal: come back when the connection is lost
  -h, --help       print this
  -V, --version    print the version`;

/** Where to. */
type Target =
  | { hostname: string; port: number; isSecure: boolean; ca?: string }
  | { path: string };

/** Where to, and how. */
interface Options {
  target: Target;
  name?: string;
  time: boolean;
  reconnect: boolean;
}

/** What the arguments ask for: a connection, or only to be told something. */
type Command = Options | { print: string };

function parseCommand(args: string[]): Command {
  const names: string[] = [];
  const flags = parseArgs(args, {
    boolean: ["help", "version", "tls", "time", "reconnect"],
    string: ["name", "ca", "unix"],
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
  const { name, time, reconnect, tls: isSecure, ca, unix: path } = flags;
  if (path === "" || ca === "") {
    throw new UsageError("--unix and --ca take a file's path");
  }
  if (ca !== undefined && !isSecure) {
    throw new UsageError("--ca is for --tls");
  }
  if (path !== undefined && (isSecure || names.length > 0)) {
    throw new UsageError("--unix takes no host, no port and no --tls");
  }
  // The server knows better; but this is one word of one line in any case.
  if (name !== undefined && !/^[^\s\p{C}]{1,32}$/u.test(name)) {
    throw new UsageError(
      `Invalid --name ${quote(name)}: it is 1 to 32 characters, without spaces`,
    );
  }
  for (const [option, given] of Object.entries({ time, reconnect })) {
    if (given && !isTerminal()) {
      throw new UsageError(
        `Cannot use --${option}: it needs a terminal as stdin and as stdout`,
      );
    }
  }
  const target = path === undefined
    ? { hostname, port: Number(port), isSecure, ca }
    : { path };
  return { target, name, time, reconnect };
}

function unknown(arg: string): never {
  throw new UsageError(`Unknown argument ${quote(arg)}: see --help`);
}

/** What was given, on one line whatever it holds. */
const quote: (value: unknown) => string = JSON.stringify;

function isTerminal(): boolean {
  return Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
}

/** Why there is no connection, or no longer one, for people. */
function explain(error: unknown): string {
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "the connection was refused";
  }
  if (error instanceof Deno.errors.ConnectionReset) {
    return "the connection was reset";
  }
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  const message = error instanceof Error ? error.message : String(error);
  for (const [pattern, reason] of REASONS) {
    if (pattern.test(message)) return reason;
  }
  return message;
}

/** What Deno says of permissions and of TLS, and what it means. */
const REASONS: [RegExp, string][] = [
  [/--allow-net/, "network access is not allowed, run with -N"],
  [/--allow-read/, "reading files is not allowed, run with -R"],
  [/--allow-write/, "writing files is not allowed, run with -W"],
  [/UnknownIssuer|BadSignature/, "its certificate is not trusted: see --ca"],
  [/CaUsedAsEndEntity/, "its certificate is an authority's, not a server's"],
  [/[Ee]xpired/, "its certificate has expired"],
  [/NotValidYet/, "its certificate is not valid yet"],
  [/not valid for (any )?name/i, "its certificate is for another name"],
  [/InvalidContentType/, "it does not speak TLS"],
];

function nameOf(target: Target): string {
  return "path" in target
    ? target.path
    : formatAddress(target.hostname, target.port);
}

/** Connects, and has TLS agreed on where it is asked for. */
async function connect(target: Target): Promise<Deno.Conn> {
  if ("path" in target) {
    return await Deno.connect({ transport: "unix", path: target.path });
  }
  const { hostname, port, isSecure, ca } = target;
  if (!isSecure) return await Deno.connect({ hostname, port });
  const caCerts = ca === undefined ? [] : [
    await Deno.readTextFile(ca).catch((error) => {
      throw new Error(`${ca}: ${explain(error)}`);
    }),
  ];
  const conn = await Deno.connectTls({ hostname, port, caCerts });
  try {
    await conn.handshake();
    return conn;
  } catch (error) {
    conn.close();
    throw error;
  }
}

const encoder = new TextEncoder();

/** How a chat of ours is asked for a name. */
const nick = (name: string) => `/nick ${name}`;

/** The seed's netcat: copies both ways, until the server closes. */
async function copy(
  conn: Deno.Conn,
  address: string,
  { name }: Options,
): Promise<number> {
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
  if (name !== undefined) {
    // A line as short as this is written at once, or not at all.
    await conn.write(encoder.encode(`${nick(name)}\n`)).catch(() => {});
  }
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

/** The longest pause before the next attempt to connect, in seconds. */
const MAX_PAUSE = 30;

/** The same for people: until they leave, or the connection is lost for good. */
async function talk(
  conn: Deno.Conn,
  address: string,
  options: Options,
): Promise<number> {
  using terminal = new Terminal(options.time);
  for (let attempt = 0;;) {
    const start = Date.now();
    const lost = await converse(conn, terminal, options);
    if (!options.reconnect || terminal.hasLeft) {
      terminal.close();
      console.error(
        lost ? `Lost the connection to ${address}: ${lost}` : "done",
      );
      return lost ? 1 : 0;
    }
    // A server that accepts only to close again is not asked all the time.
    if (Date.now() - start > MAX_PAUSE * 1000) attempt = 0;
    let reason = `Lost the connection to ${address}: ${
      lost ?? "the server closed it"
    }`;
    for (let isLost = true; isLost;) {
      // Not all who lost a server are to come back in the same moment.
      const pause = Math.min(2 ** attempt++, MAX_PAUSE) *
        (1 - Math.random() / 4);
      terminal.note(`${reason}; trying again in ${pause.toFixed(1)} s`);
      await delay(pause * 1000);
      try {
        conn = await connect(options.target);
        isLost = false;
      } catch (error) {
        reason = `Cannot connect to ${address}: ${explain(error)}`;
      }
    }
    terminal.note(`Connected to ${address} again`);
  }
}

/** Talks over one connection, up to its end; says why it broke, if it did. */
async function converse(
  conn: Deno.Conn,
  terminal: Terminal,
  { name }: Options,
): Promise<string | undefined> {
  const writer = conn.writable.getWriter();
  let sent = Promise.resolve();
  // Not awaited: if the connection breaks, reading it tells.
  const send = (line: string) => {
    sent = writer.write(encoder.encode(`${line}\n`)).catch(() => {});
  };
  const end = () => {
    sent.then(() => conn.closeWrite()).catch(() => {});
  };
  if (name !== undefined) send(nick(name));
  terminal.attach({ send, end });
  // Whole characters, also where one is split over two packets.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  try {
    for await (const chunk of conn.readable) {
      // An alert: what a TLS server answers to plain text.
      if (chunk[0] === 0x15 && chunk[1] === 0x03) {
        return "it speaks TLS, see --tls";
      }
      terminal.show(decoder.decode(chunk, { stream: true }));
    }
  } catch (error) {
    return explain(error);
  } finally {
    terminal.show(decoder.decode());
    terminal.detach();
  }
}

/** The other end, as the terminal knows it. */
interface Peer {
  send(line: string): void;
  /** No line will follow. */
  end(): void;
}

/** The first line of a chat of ours, which alone echoes what one says. */
const WELCOME = /^(?:Welcome|欢迎) \S+:\d+$/;
const HINT = "/help lists the commands, Ctrl-D leaves";
/** What asks the server to close, so that it is no loss. */
const QUIT = /^\/quit(?:\s|$)/;
/** So much of a line is held, in UTF-16 units, for its end to come. */
const MAX_HELD = 64 * 1024;
/** How long to wait for the end of a line, in milliseconds, before it is shown. */
const PROMPT_DELAY = 200;
/** How long the server may take to close when we have left, in milliseconds. */
const LEAVE_TIMEOUT = 2_000;

/**
 * The terminal: lines from the server, and below them the line being typed,
 * which is all `node:readline`'s. A line that has not ended yet stands where a
 * shell has its prompt.
 */
class Terminal implements Disposable {
  readonly #editor: Interface;
  readonly #withTime: boolean;
  #peer?: Peer;
  /** Whether the peer is a chat of ours; unknown up to its first line. */
  #isChat?: boolean;
  #hasHinted = false;
  /** What has come of a line that has not ended. */
  #held = "";
  #heldTimer?: ReturnType<typeof setTimeout>;
  #closed = false;
  /** Whether this side wants to end the conversation. */
  hasLeft = false;

  constructor(withTime: boolean) {
    this.#withTime = withTime;
    const { stdin, stdout } = process;
    let { columns } = stdout;
    stdout.on("resize", () => {
      // The editor takes the rows for what they were when it drew them, but the
      // terminal has wrapped the line anew. Behind a row that is just full, it
      // has another one only if that was so before.
      const { rows, cols } = this.#editor.getCursorPos();
      const isLast = cols === 0 && rows * stdout.columns % columns !== 0;
      this.#setRow(isLast ? rows - 1 : rows);
      columns = stdout.columns;
    });
    this.#editor = createInterface({
      input: stdin,
      output: stdout,
      terminal: true,
      prompt: "",
      historySize: 1000,
    });
    stdin.on("keypress", () => {
      // Nor does it notice that a wide character did not fit its row.
      this.#setRow(this.#editor.getCursorPos().rows);
    });
    this.#editor.prompt(); // Below what was typed while this started.
    this.#editor
      .on("line", (line) => this.#enter(line))
      .on("close", () => this.#leave())
      .on("SIGINT", () => this.#exit(130))
      .on("SIGCONT", () => {
        this.#setRow(0); // The shell has written meanwhile.
        this.#editor.prompt(true);
      })
      .on("error", () => this.#exit(1));
    // Ctrl-C is a key here. This is for those who send signals to processes.
    if (Deno.build.os !== "windows") {
      Deno.addSignalListener("SIGINT", () => this.#exit(130));
      Deno.addSignalListener("SIGTERM", () => this.#exit(143));
    }
  }

  attach(peer: Peer): void {
    this.#peer = peer;
    this.#isChat = undefined;
  }

  /** Shows what came at last, too. */
  detach(): void {
    this.#peer = undefined;
    if (this.#held !== "") this.show("\n");
  }

  /** Shows text of the server, as it comes. */
  show(text: string): void {
    clearTimeout(this.#heldTimer);
    const lines = (this.#held + printable(text)).split("\n");
    this.#held = lines.pop()!;
    if (this.#held.length > MAX_HELD) {
      lines.push(this.#held);
      this.#held = "";
    }
    if (lines.length > 0) this.#draw(this.#dress(lines));
    if (this.#held === "") return;
    this.#heldTimer = setTimeout(() => {
      // What is longer than a row is no prompt, and would be drawn at each key.
      if (this.#held.length < process.stdout.columns) {
        this.#draw("", this.#held);
      } else this.show("\n");
    }, PROMPT_DELAY);
  }

  /** Shows a line of our own. */
  note(text: string): void {
    this.#draw(dim(text) + "\n");
  }

  /** Gives the terminal back as it was, below all that was shown. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#heldTimer);
    this.#editor.write(null, { ctrl: true, name: "e" }); // to the line's end
    if (this.#editor.getPrompt() + this.#editor.line !== "") {
      process.stdout.write("\n");
    }
    this.#editor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #exit(code: number): never {
    this.close();
    Deno.exit(code);
  }

  /** Ctrl-D: the server may still say what it has to say. */
  #leave(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.hasLeft = true;
    if (this.#takePrompt()) process.stdout.write("\n");
    if (!this.#peer) Deno.exit(0);
    this.#peer.end();
    setTimeout(() => Deno.exit(0), LEAVE_TIMEOUT);
  }

  #enter(line: string): void {
    if (!this.#peer) {
      this.note("Not sent, for want of a connection: ↑ brings the line back");
    } else {
      if (this.#isChat) {
        // It comes back as others see it.
        this.#eraseRows(this.#rowsOf(line));
        this.hasLeft = QUIT.test(line);
      } else this.#takePrompt();
      this.#peer.send(line);
    }
    this.#editor.prompt();
  }

  /** Leaves the prompt, if there is one, where it is shown. */
  #takePrompt(): boolean {
    if (this.#editor.getPrompt() === "") return false;
    this.#held = "";
    this.#editor.setPrompt("");
    return true;
  }

  /** Draws the line being typed anew, below what is to be above it. */
  #draw(above: string, prompt = ""): void {
    if (this.#closed) {
      process.stdout.write(above);
      return;
    }
    this.#eraseRows(this.#editor.getCursorPos().rows);
    process.stdout.write(above);
    this.#editor.setPrompt(prompt);
    this.#setRow(0);
    this.#editor.prompt(true);
  }

  /** Erases all from so many rows above the cursor on. */
  #eraseRows(rows: number): void {
    process.stdout.write((rows > 0 ? `\x1b[${rows}A` : "") + "\r\x1b[J");
  }

  /** Tells the editor in which of its rows the cursor is. */
  #setRow(row: number): void {
    Object.assign(this.#editor, { prevRows: row });
  }

  /** The rows of a line that was entered, by the editor's own count. */
  #rowsOf(line: string): number {
    Object.assign(this.#editor, { line, cursor: line.length });
    const { rows } = this.#editor.getCursorPos();
    Object.assign(this.#editor, { line: "", cursor: 0 });
    return rows + 1;
  }

  #dress(lines: string[]): string {
    const time = this.#withTime
      ? dim(new Date().toTimeString().slice(0, 8)) + " "
      : "";
    return lines.map((line) => {
      this.#isChat ??= WELCOME.test(line);
      let text = time + (this.#isChat ? colourNames(line) : line) + "\n";
      if (this.#isChat && !this.#hasHinted) {
        this.#hasHinted = true;
        text += dim(HINT) + "\n";
      }
      return text;
    }).join("");
  }
}

function style(text: string, on: string, off: string): string {
  return Deno.noColor ? text : `\x1b[${on}m${text}\x1b[${off}m`;
}

function dim(text: string): string {
  return style(text, "2", "22");
}

/**
 * Colours of xterm's 256, as far from black as from white: the contrast with
 * either is at least 4.
 */
const PALETTE = [161, 130, 28, 31, 62, 133];

/** Where names are in a chat's lines: what is said, and what the room tells. */
const NAMES = new RegExp(
  [
    "^\\S+?(?=: | \\([^()]+\\): )",
    "^\\S+(?= is online$| is offline$| 上线$| 下线$)",
    "^\\S+(?= is now known as \\S+$| 改名为 \\S+$)",
    "(?<=^\\S+ is now known as |^\\S+ 改名为 |^Welcome |^欢迎 )\\S+$",
    "(?<=^\\* )\\S+",
    "(?<=^\\([^()]+\\) → )\\S+?(?=: )",
  ].join("|"),
  "g",
);

/** Each name in its colour, the same wherever and whenever it occurs. */
function colourNames(line: string): string {
  return line.replace(NAMES, (name) => {
    let hash = 0;
    for (const char of name) hash = (hash * 31 + char.codePointAt(0)!) >>> 0;
    return style(name, `38;5;${PALETTE[hash % PALETTE.length]}`, "39");
  });
}

async function main(args: string[]): Promise<number> {
  const command = parseCommand(args);
  if ("print" in command) {
    console.log(command.print);
    return 0;
  }
  const address = nameOf(command.target);
  let conn: Deno.Conn;
  try {
    conn = await connect(command.target);
  } catch (error) {
    console.error(`Cannot connect to ${address}: ${explain(error)}`);
    return 1;
  }
  if (isTerminal()) return await talk(conn, address, command);
  return await copy(conn, address, command);
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
