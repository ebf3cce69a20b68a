// Copyright 2026 the linechat authors. MIT license.

import { EventEmitter } from "node:events";
import process from "node:process";
import { InputParser } from "./keys.ts";

const encoder = new TextEncoder();

/** Maximum size of one write to the terminal, in bytes. */
const CHUNK = 16 * 1024;

/** Time for the terminal to accept the last output, in milliseconds. */
const FLUSH_TIMEOUT = 500;

/** Maximum number of characters that are keys if they arrive together. More are a paste. */
const MAX_KEYS = 32;

/** Time to wait for the rest of an escape sequence, in milliseconds. */
const SEQUENCE_TIMEOUT = 50;

/** Time for the shell to stop the other processes of the job, in milliseconds. */
const STOP_DELAY = 20;

/** Saves the title, and enables marks around pastes and reports of the focus. */
const START = "\x1b[22;2t\x1b[?2004h\x1b[?1004h";
/** Undoes `START`, resets the style and shows the cursor. */
const END = "\x1b[m\x1b[?1004l\x1b[?2004l\x1b[23;2t\x1b[?25h";

/**
 * The numbers of the signals that end the program. Signals for faults of the program
 * itself, such as SIGSEGV, are left out.
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
  /** Handles keys before the editor. Returns the keys for the editor. */
  keys(text: string): string;
  /** Handles the Tab key. */
  tab(): void;
  /** Handles any key, before its own effect. */
  key(): void;
  /** Handles a change of the focus of the window. */
  focus(hasFocus: boolean): void;
  /** Ends the program after a signal. */
  exit(code: number): void;
  /** Draws the screen again after the program was suspended. */
  resume(): void;
}

/** The output of the terminal for `node:readline`. Writing does not wait. */
class Output extends EventEmitter {
  #queue = "";
  /** The bytes that are being written. They are not in the queue any more. */
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
    await null; // Collects the text of one turn of the event loop.
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
      this.discard(); // The terminal is closed. Reading from it ends the program.
    }
    this.#flushed = undefined;
  }
}

/** The input of the terminal for `node:readline`. */
class Keys extends EventEmitter {
  /** Sets the mode in which a key is read at once and is not echoed. */
  setRawMode(isRaw: boolean): void {
    // With `cbreak`, the terminal sends the signals of Ctrl-C and Ctrl-Z to the
    // whole process group, which includes `npx` if that has started the program.
    if (isRaw) Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
    // Deno restores the mode at exit without waiting for the terminal to read.
  }

  /** The editor pauses its input only when it is closed. */
  pause(): void {}

  resume(): void {}
}

/**
 * The terminal: its modes, its input and output, and its signals. The modes are restored
 * whenever the program ends or is suspended.
 */
export class Tty {
  readonly output = new Output();
  readonly keys = new Keys();
  readonly #parser = new InputParser();
  #handler!: TtyHandler;
  #timer?: ReturnType<typeof setTimeout>;
  /** Whether the modes of `START` are set. */
  #isOpen = false;
  #isSuspending = false;

  /** Sets the modes of the terminal, and starts to read. */
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

  /** Restores the modes, and waits for the output for a limited time. */
  async close(): Promise<void> {
    this.#stop();
    await this.flush();
  }

  /** Waits for the output for a limited time. */
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
      this.#handler.exit(1); // The terminal is closed.
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
    text = this.#handler.keys(text);
    // In a paste without marks, a Tab is a character.
    const parts = text.length > MAX_KEYS ? [text] : text.split("\t");
    for (const [i, part] of parts.entries()) {
      if (i > 0) this.#handler.tab();
      if (part !== "") this.keys.emit("data", part);
    }
  }

  /**
   * Suspends the program at Ctrl-Z. The shell can take the terminal back as soon as
   * another process of the job has stopped. The system then stops this process when it
   * changes the terminal, and `fg` continues it. It must not stop itself after that.
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
      // SIGTSTP has a listener, and SIGTTIN has none. Like SIGTSTP, it has no effect
      // if there is no shell that could continue the process.
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
