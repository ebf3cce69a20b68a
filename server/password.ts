// Copyright 2026 the linechat authors. MIT license.

/**
 * A password that clients must send before they join the room.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { readPassword } from "../cli.ts";
import type { Candidate, Lang } from "../mod.ts";
import { Attempts } from "./attempts.ts";

/** The number of passwords that a client can try. */
const MAX_TRIES = 3;
/** Maximum number of wrong passwords of an address per minute. */
const MAX_FAILURES = 5;
/** Time for a client to send the password, in milliseconds. */
const TIMEOUT = 30_000;

/**
 * Options of a {@linkcode Password}.
 *
 * @example Give people more time
 * ```ts
 * import { Password, type PasswordOptions } from "@linechat/chat/moderation";
 *
 * const options: PasswordOptions = { path: "password.txt", timeout: 50_000 };
 * const password = new Password(options);
 * ```
 */
export interface PasswordOptions {
  /** The file with the password in its first line. */
  path: string;
  /** The language of the prompt and of error messages. @default {"en"} */
  lang?: Lang;
  /** The prefix of the IPv6 networks that count as one address. @default {64} */
  ipv6Prefix?: number;
  /** Time for a client to send the password, in milliseconds, below 60000. @default {30000} */
  timeout?: number;
  /** The clock of the limit for wrong passwords. @default {Date.now} */
  now?: () => number;
  /** Receives a message for each wrong password. It does not contain the password. */
  log?: (message: string) => void;
}

/**
 * Asks clients for a password.
 *
 * @example Open a room with a password
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { Moderation, Password } from "@linechat/chat/moderation";
 * import { assertEquals } from "@std/assert";
 *
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, "sesame\n");
 * const password = new Password({ path });
 * await password.load();
 * await Deno.remove(path);
 *
 * const moderation = new Moderation({ password });
 * await using chat = new Chat(moderation.chatOptions);
 * await using ann = chat.connect({ name: "ann" });
 * assertEquals((await ann.lines.next()).value, "-- Password:");
 * await ann.send("sesame");
 * assertEquals((await ann.lines.next()).value, "Welcome ann");
 * ```
 */
export class Password {
  readonly #options: PasswordOptions;
  readonly #lang: Lang;
  readonly #texts: typeof EN;
  readonly #failures: Attempts;
  #digest = new Uint8Array(0);

  /**
   * Creates a password that has yet to be loaded.
   *
   * @param options The options.
   */
  constructor(options: PasswordOptions) {
    const { ipv6Prefix, now, lang = "en" } = options;
    this.#options = options;
    this.#lang = lang;
    this.#texts = TEXTS[lang];
    this.#failures = new Attempts(MAX_FAILURES, ipv6Prefix, now);
  }

  /**
   * Reads the password from the file. Call this before the first client is asked.
   *
   * @throws {CommandError} If the file cannot be read or has no password. Then the
   * password does not change.
   */
  async load(): Promise<void> {
    this.#digest = digestOf(
      await readPassword(this.#options.path, this.#lang),
    );
  }

  /**
   * Asks a client for the password.
   *
   * @param candidate The client.
   * @returns The reason to refuse the client, if there is one.
   */
  async check(candidate: Candidate): Promise<string | undefined> {
    const { timeout = TIMEOUT } = this.#options;
    const expired = Promise.withResolvers<string>();
    const timer = setTimeout(
      () => expired.resolve(this.#texts.late(timeout / 1000)),
      timeout,
    );
    try {
      return await Promise.race([this.#ask(candidate), expired.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #ask({ name, address, ask }: Candidate): Promise<string | undefined> {
    const texts = this.#texts;
    let question = texts.prompt;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (this.#failures.areOver(address)) return texts.tooMany;
      const answer = await ask(question);
      if (answer === undefined) break;
      if (this.#failures.areOver(address)) return texts.tooMany;
      if (timingSafeEqual(digestOf(answer), this.#digest)) return;
      if (HTTP_REQUEST.test(answer)) break;
      this.#failures.add(address);
      this.#options.log?.(texts.wrongFrom(name));
      question = `${texts.wrong}\n${texts.prompt}`;
    }
    return texts.refused;
  }
}

/**
 * Matches the start of an HTTP request. It is not a guess: otherwise a web page could
 * make the browser of a visitor use up the tries of its address.
 */
const HTTP_REQUEST =
  /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE) [/*h]/;

/** Returns bytes of a fixed length, for a comparison in constant time. */
function digestOf(text: string): Uint8Array<ArrayBuffer> {
  const digest = createHash("sha256").update(text.normalize("NFC")).digest();
  return new Uint8Array(digest);
}

const EN = {
  prompt: "Password:",
  wrong: "Wrong password",
  wrongFrom: (name: string) => `Wrong password from ${name}`,
  refused: "wrong password",
  tooMany: "too many wrong passwords. Try again in a minute",
  late: (seconds: number) => `no password within ${seconds} s`,
};

const ZH: typeof EN = {
  prompt: "密码：",
  wrong: "密码错误",
  wrongFrom: (name) => `密码错误：来自 ${name}`,
  refused: "密码错误",
  tooMany: "密码错误次数过多，请一分钟后再试",
  late: (seconds) => `${seconds} 秒内没有输入密码`,
};

const TEXTS: Record<Lang, typeof EN> = { en: EN, zh: ZH };
