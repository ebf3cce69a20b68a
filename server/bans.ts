// Copyright 2026 the linechat authors. MIT license.

/**
 * Banned networks, and the file that keeps them.
 *
 * A line of the file is `ADDRESS[/PREFIX] UNTIL|- BY REASON`, a comment that starts
 * with `#`, or empty.
 *
 * @module
 */

import { CommandError, explain, quote, type Text, unreadable } from "../cli.ts";
import { type Lang, printable } from "../mod.ts";
import { writeFileAtomically } from "./atomic_file.ts";
import { Network } from "./network.ts";

/**
 * A banned network.
 *
 * @example Ban an address for an hour
 * ```ts
 * import { type Ban, BanList, Network } from "@linechat/chat/moderation";
 *
 * const ban: Ban = {
 *   network: Network.parse("192.0.2.7")!,
 *   until: new Date(Date.now() + 3_600_000),
 *   by: "bot",
 *   reason: "flood",
 * };
 * await new BanList().add(ban);
 * ```
 */
export interface Ban {
  /** The addresses. */
  readonly network: Network;
  /** The end of the ban. Without it, the ban holds until it is removed. */
  readonly until?: Date;
  /** The name of the operator. */
  readonly by: string;
  /** The reason, or an empty string. */
  readonly reason: string;
}

/**
 * Options of a {@linkcode BanList}.
 *
 * @example Keep bans in a file
 * ```ts
 * import { BanList, type BanListOptions } from "@linechat/chat/moderation";
 *
 * const options: BanListOptions = { path: await Deno.makeTempFile() };
 * const bans = new BanList(options);
 * await bans.load();
 * await Deno.remove(options.path!);
 * ```
 */
export interface BanListOptions {
  /** The file that keeps the bans. Without it, they are lost when the program ends. */
  path?: string;
  /** The language of error messages. @default {"en"} */
  lang?: Lang;
  /** The prefix of an IPv6 address in the file that has none. @default {64} */
  ipv6Prefix?: number;
  /** The clock. @default {Date.now} */
  now?: () => number;
}

/**
 * The banned networks. A change is in force at once and is then written to the file.
 *
 * Before it is written, the file is read again, so that a change by hand is not lost.
 * Changes that could not be written stay in force, and are written with the next one.
 *
 * @example Ban the addresses of a network
 * ```ts
 * import { BanList, Network } from "@linechat/chat/moderation";
 * import { assert } from "@std/assert";
 *
 * const bans = new BanList();
 * const network = Network.parse("192.0.2.0/24")!;
 * await bans.add({ network, by: "bot", reason: "flood" });
 * assert(bans.find("192.0.2.7"));
 * ```
 */
export class BanList {
  readonly #options: BanListOptions;
  readonly #now: () => number;
  #bans = new BanFile();
  /** The changes that are not in the file. */
  #unsaved: ((bans: BanFile) => void)[] = [];
  /** Resolves when the last use of the file has ended. */
  #used = Promise.resolve();

  /**
   * Creates a list without bans.
   *
   * @param options The options.
   */
  constructor(options: BanListOptions = {}) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Reads the file. Call this again when the file has changed. A missing file has no bans.
   *
   * @throws {CommandError} If it cannot be read or a line is malformed. Then nothing
   * changes.
   */
  load(): Promise<void> {
    if (this.#options.path === undefined) return Promise.resolve();
    return this.#inTurn(async () => this.#adopt(await this.#read()));
  }

  /**
   * Returns the ban of an address or of a whole network, if there is one.
   *
   * @param address The address or the network.
   * @returns The ban.
   */
  find(address: string | Network): Ban | undefined {
    const network = typeof address === "string"
      ? Network.parse(address)
      : address;
    return network && this.#bans.find(network, this.#now());
  }

  /** The bans that are in force. */
  get all(): Ban[] {
    return this.#bans.inForce(this.#now());
  }

  /**
   * Adds a ban, in place of a ban of the same network. It is in force at once.
   *
   * @param ban The ban.
   * @returns A promise that resolves when the file is written.
   * @throws {CommandError} If it cannot be written.
   */
  add(ban: Ban): Promise<void> {
    return this.#change((bans) => bans.set(ban));
  }

  /**
   * Removes a ban.
   *
   * @param network The network, exactly as it was banned.
   * @returns Whether there was one, and a promise that resolves when the file is
   * written, as for {@linkcode BanList.add}.
   */
  remove(network: Network): { wasBanned: boolean; saved: Promise<void> } {
    const wasBanned = this.all.some((ban) => ban.network.key === network.key);
    const saved = wasBanned
      ? this.#change((bans) => bans.delete(network))
      : Promise.resolve();
    return { wasBanned, saved };
  }

  #change(change: (bans: BanFile) => void): Promise<void> {
    change(this.#bans);
    if (this.#options.path === undefined) return Promise.resolve();
    this.#unsaved.push(change);
    return this.#inTurn(() => this.#save());
  }

  /** Uses the file after the uses before have ended. */
  #inTurn(use: () => Promise<void>): Promise<void> {
    const used = this.#used.then(use);
    this.#used = used.catch(() => {});
    return used;
  }

  /** Applies the unsaved changes to the file. */
  async #save(): Promise<void> {
    const count = this.#unsaved.length;
    if (count === 0) return; // The save before this one has written all of them.
    const bans = await this.#read();
    for (const change of this.#unsaved.slice(0, count)) change(bans);
    await this.#write(bans.format(this.#now()));
    this.#unsaved.splice(0, count);
    this.#adopt(bans);
  }

  #adopt(bans: BanFile): void {
    for (const change of this.#unsaved) change(bans);
    this.#bans = bans;
  }

  async #read(): Promise<BanFile> {
    const { lang = "en", ipv6Prefix = 64 } = this.#options;
    const path = this.#options.path!;
    let text;
    try {
      text = await Deno.readTextFile(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return new BanFile();
      throw unreadable(path, error, lang);
    }
    try {
      return BanFile.parse(text, ipv6Prefix);
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      const { number, problem } = error;
      throw new CommandError({
        en: `Cannot read ${quote(path)}, line ${number}: ${problem.en}`,
        zh: `无法读取 ${quote(path)} 第 ${number} 行：${problem.zh}`,
      }, lang);
    }
  }

  async #write(text: string): Promise<void> {
    const { lang = "en" } = this.#options;
    const path = this.#options.path!;
    try {
      await writeFileAtomically(path, text);
    } catch (error) {
      const reason = explain(error, lang);
      throw new CommandError({
        en: `Cannot write ${quote(path)}: ${reason}`,
        zh: `无法写入 ${quote(path)}：${reason}`,
      }, lang);
    }
  }
}

/** A malformed line of the file. */
class LineError extends Error {
  constructor(readonly number: number, readonly problem: Text) {
    super(problem.en);
  }
}

/** The lines of the file: bans, comments and empty lines, in their order. */
class BanFile {
  readonly #lines: (Ban | string)[] = [];
  readonly #bans = new Map<string, Ban>();
  /** The lengths of the prefixes that occur. */
  readonly #prefixes = new Set<number>();

  /** @throws {LineError} If a line is malformed. */
  static parse(text: string, ipv6Prefix: number): BanFile {
    const file = new BanFile();
    const lines = text.split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    lines.forEach((line, i) => {
      if (/^\s*(#|$)/.test(line)) file.#lines.push(line);
      else file.set(parseBan(line, i + 1, ipv6Prefix));
    });
    return file;
  }

  /** Formats the file, without the bans that have ended. */
  format(now: number): string {
    return this.#lines
      .filter((line) => typeof line === "string" || isInForce(line, now))
      .map((line) => (typeof line === "string" ? line : formatBan(line)) + "\n")
      .join("");
  }

  set(ban: Ban): void {
    const { key, prefix } = ban.network;
    const index = this.#indexOf(key);
    this.#lines[index < 0 ? this.#lines.length : index] = ban;
    this.#bans.set(key, ban);
    this.#prefixes.add(prefix);
  }

  delete({ key }: Network): void {
    const index = this.#indexOf(key);
    if (index >= 0) this.#lines.splice(index, 1);
    this.#bans.delete(key);
  }

  find(network: Network, now: number): Ban | undefined {
    return [...this.#prefixes].filter((prefix) => prefix <= network.prefix)
      .map((prefix) => this.#bans.get(network.widen(prefix).key))
      .find((ban) => ban && isInForce(ban, now));
  }

  inForce(now: number): Ban[] {
    return [...this.#bans.values()].filter((ban) => isInForce(ban, now));
  }

  #indexOf(key: string): number {
    if (!this.#bans.has(key)) return -1;
    return this.#lines.findIndex((line) =>
      typeof line !== "string" && line.network.key === key
    );
  }
}

function isInForce({ until }: Ban, now: number): boolean {
  return until === undefined || until.getTime() > now;
}

/** Matches a time in UTC, or a date. */
const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z)?$/;

function parseBan(line: string, number: number, ipv6Prefix: number): Ban {
  const fields = /^\s*(\S+)\s+(\S+)\s+(\S+)(?:\s+(.*))?$/.exec(line);
  if (!fields) {
    throw new LineError(number, {
      en: "write ADDRESS[/PREFIX] UNTIL|- BY REASON",
      zh: "请写成 ADDRESS[/PREFIX] UNTIL|- BY REASON",
    });
  }
  const [, address, end, by, reason = ""] = fields;
  const network = Network.parse(address, ipv6Prefix);
  if (network === undefined) {
    throw new LineError(number, {
      en: `${quote(address)} is not an address or a network`,
      zh: `${quote(address)} 不是地址或网络`,
    });
  }
  const until = end === "-" ? undefined : new Date(TIME.test(end) ? end : NaN);
  if (until && isNaN(until.getTime())) {
    throw new LineError(number, {
      en: `${quote(end)} is not a time such as 2026-12-01T12:00Z`,
      zh: `${quote(end)} 不是 2026-12-01T12:00Z 这样的时间`,
    });
  }
  return { network, until, by, reason: printable(reason).trim() };
}

function formatBan({ network, until, by, reason }: Ban): string {
  const end = until?.toISOString() ?? "-";
  return `${network} ${end} ${by} ${reason}`.trimEnd();
}
