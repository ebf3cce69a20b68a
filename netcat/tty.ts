// Copyright 2026 the linechat authors. MIT license.

import { EventEmitter } from "node:events";
import process from "node:process";
import { InputParser } from "./keys.ts";

const encoder = new TextEncoder();

/** The most bytes of one write to the terminal. */
const CHUNK = 16 * 1024;

/** How long to wait for the terminal when the program ends, in milliseconds. */
const FLUSH_TIMEOUT = 500;

/** The most characters that are keys when they come together, and not a paste. */
const MAX_KEYS = 32;

/** How long to wait for the rest of an escape sequence, in milliseconds. */
const SEQUENCE_TIMEOUT = 50;

/** How long the shell may take to stop the other processes, in milliseconds. */
const STOP_DELAY = 20;

/** Saves the title; switches on the marks around pastes, and reports of the focus. */
const START = "\x1b[22;2t\x1b[?2004h\x1b[?1004h";
/** Takes back the modes of `START`, resets the style, and shows the cursor. */
const END = "\x1b[m\x1b[?1004l\x1b[?2004l\x1b[23;2t\x1b[?25h";

/**
 * Signals that end the program, by their numbers. Signals of faults of the program
 * itself cannot be caught in a useful way.
 */
const SIGNALS: Partial<Record<Deno.Signal, number>> =
  Deno.build.os === "windows"
    ? { SIGINT: 2, SIGBREAK: 21 }
    : Deno.build.os === "linux"
    ? {
      ...{ SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGUSR1: 10 },
      ...{ SIGUSR2: 12, SIGALRM: 14, SIGTERM: 15, SIGSTKFLT: 16, SIGXCPU: 24 },
      ...{ SIGXFSZ: 25, SIGVTALRM: 26, SIGPROF: 27, SIGIO: 29, SIGPWR: 30 },
    }
    : {
      ...{ SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGALRM: 14 },
      ...{ SIGTERM: 15, SIGXCPU: 24, SIGXFSZ: 25, SIGVTALRM: 26, SIGPROF: 27 },
      ...{ SIGUSR1: 30, SIGUSR2: 31 },
    };

/** Handles the input of a terminal. */
export interface TtyHandler {
  paste(text: string): void;
  /** The Tab key was pressed. */
  tab(): void;
  /** Any key was pressed. */
  key(): void;
  /** The window got the focus, or lost it. */
  focus(hasFocus: boolean): void;
  /** A signal ends the program with this exit code. */
  exit(code: number): void;
  /** The program goes on after it was suspended. */
  resume(): void;
}

/** The output of the terminal as `node:readline` uses it. Writing never waits. */
class Output extends EventEmitter {
  #queue = "";
  /** The beginning of the queue as bytes, which are being written. */
  #bytes = new Uint8Array();
  #flushed: Promise<void> | undefined;

  constructor() {
    super();
    process.stdout.on("resize", () => this.emit("resize"));
  }

  get columns(): number {
    return process.stdout.columns || 80;
  }

  write(text: string): boolean {
    this.#queue += text;
    this.#flushed ??= this.#flush();
    return true;
  }

  /** Discards the output that is not written. Returns whether there was any. */
  discard(): boolean {
    const isWaiting = this.#queue !== "" || this.#bytes.length > 0;
    this.#queue = "";
    this.#bytes = new Uint8Array();
    return isWaiting;
  }

  /** Resolves when everything is written. */
  async flush(): Promise<void> {
    await this.#flushed;
  }

  async #flush(): Promise<void> {
    await null; // More text may follow at once.
    try {
      while (this.#queue !== "") {
        this.#bytes = encoder.encode(this.#queue);
        this.#queue = "";
        while (this.#bytes.length > 0) {
          const chunk = this.#bytes.subarray(0, CHUNK);
          const length = await Deno.stdout.write(chunk);
          this.#bytes = this.#bytes.subarray(length);
        }
      }
    } catch {
      this.discard(); // The terminal is gone. Reading it ends the program.
    }
    this.#flushed = undefined;
  }
}

/** The input of the terminal as `node:readline` uses it. */
class Keys extends EventEmitter {
  /** Sets the mode in which each key is read at once, without echo. */
  setRawMode(isRaw: boolean): void {
    // With `cbreak`, the terminal sends the signals of Ctrl-C and Ctrl-Z to the
    // whole process group, so also to `npx` where that started the program.
    if (isRaw) Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
    // Deno restores the mode at exit without waiting for the terminal to read.
  }

  /** The editor pauses its input only when it is closed. */
  pause(): void {}

  resume(): void {}
}

/**
 * The terminal: its modes, its input and output, and the signals that come from
 * it. Each way out leaves the terminal as it was.
 */
export class Tty {
  readonly output = new Output();
  readonly keys = new Keys();
  /** Takes the keys before the editor, and returns the rest of them. */
  onKeys?: (text: string) => string;
  readonly #parser = new InputParser();
  #handler!: TtyHandler;
  #timer?: ReturnType<typeof setTimeout>;
  /** Whether the modes of `START` are set. */
  #isOpen = false;
  #isSuspending = false;

  /** Switches the terminal to its modes, and begins to read. */
  open(handler: TtyHandler): void {
    this.#handler = handler;
    this.#start();
    for (const [signal, number] of Object.entries(SIGNALS)) {
      Deno.addSignalListener(
        signal as Deno.Signal,
        () => handler.exit(128 + number),
      );
    }
    if (Deno.build.os !== "windows") {
      Deno.addSignalListener("SIGTSTP", () => this.#suspend());
    }
    this.#read();
  }

  setTitle(title: string): void {
    if (this.#isOpen) this.output.write(`\x1b]2;${title}\x1b\\`);
  }

  bell(): void {
    this.output.write("\x07");
  }

  /** Takes back the modes. Waits for the terminal, but not for long. */
  async close(): Promise<void> {
    this.#stop();
    await this.flush();
  }

  /** Waits until the terminal has taken the output, but not for long. */
  async flush(): Promise<void> {
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, FLUSH_TIMEOUT);
    await Promise.race([this.output.flush(), timeout.promise]);
    clearTimeout(timer);
  }

  #start(): void {
    this.#isOpen = true;
    this.output.write(START);
  }

  #stop(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.output.write(END);
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of Deno.stdin.readable) {
        this.#take(decoder.decode(chunk, { stream: true }));
      }
      this.keys.emit("end");
    } catch {
      this.#handler.exit(1); // The terminal is gone.
    }
  }

  #take(text: string): void {
    clearTimeout(this.#timer);
    for (const input of this.#parser.parse(text)) {
      if (input.type === "focus") this.#handler.focus(input.hasFocus);
      else {
        this.#handler.key();
        if (input.type === "paste") this.#handler.paste(input.text);
        else this.#press(input.text);
      }
    }
    if (this.#parser.isUnfinished) {
      this.#timer = setTimeout(
        () => this.#press(this.#parser.flush()),
        SEQUENCE_TIMEOUT,
      );
    }
  }

  #press(text: string): void {
    if (this.onKeys) text = this.onKeys(text);
    // In a paste that the terminal does not mark, a Tab is a character.
    const parts = text.length > MAX_KEYS ? [text] : text.split("\t");
    for (const [i, part] of parts.entries()) {
      if (i > 0) this.#handler.tab();
      if (part !== "") this.keys.emit("data", part);
    }
  }

  /**
   * Suspends the program at Ctrl-Z. The shell may take the terminal back as soon as
   * the first process of the group stops. Then the system stops this process when
   * it changes the terminal, and `fg` continues it before it stops itself.
   */
  async #suspend(): Promise<void> {
    if (this.#isSuspending) return;
    this.#isSuspending = true;
    let isContinued = false;
    const onContinue = () => isContinued = true;
    Deno.addSignalListener("SIGCONT", onContinue);
    this.#stop();
    await this.flush();
    Deno.stdin.setRaw(false);
    await delay(STOP_DELAY);
    if (!isContinued) {
      // Not SIGTSTP, which has a listener. Like that signal, the system ignores it
      // where no shell could continue the process.
      process.kill(process.pid, "SIGTTIN");
      await delay(STOP_DELAY);
    }
    Deno.removeSignalListener("SIGCONT", onContinue);
    this.keys.setRawMode(true);
    this.#start();
    this.#isSuspending = false;
    this.#handler.resume();
  }
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
