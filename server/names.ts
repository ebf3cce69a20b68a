// Copyright 2026 the linechat authors. MIT license.

/**
 * Names that stay with their owner: `/nick NAME SECRET`.
 *
 * @module
 */

import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";
import { promisify } from "node:util";
import {
  type Chat,
  type ChatOptions,
  type Command,
  type CommandContext,
  type Lang,
  nameKeys,
} from "../mod.ts";
import { Attempts } from "./attempts.ts";
import { parseDuration } from "./duration.ts";
import { Network } from "./network.ts";

/** Time for which a name stays reserved after its last use, in milliseconds. */
const MAX_TIME = 24 * 3_600_000;
/** Maximum number of reserved names, in total and per network. */
const MAX_NAMES = { total: 1000, perNetwork: 10 };
/** Maximum number of secrets per address and minute, in total and of wrong ones. */
const MAX_USES = { total: 20, wrong: 5 };
/** Maximum number of secrets that wait to be hashed. */
const MAX_WAITING = 50;
/** Matches a secret. A shorter word is treated as a part of a name with a space. */
const SECRET = /^\S{8,128}$/;
/** Maximum length of a name before it is normalized, in UTF-16 units. */
const MAX_NAME_INPUT = 128;

/** A name that its owner has reserved by a secret. */
interface Reservation {
  readonly name: string;
  readonly secret: HashedSecret;
  /** The network of the owner; empty if the owner has no address. */
  readonly network: string;
  /** Time for which the name stays reserved after its last use, in milliseconds. */
  readonly time: number;
  /** The id of the member that has the name, while it is present. */
  holder?: string;
  /** The time of the last use, in milliseconds. */
  usedAt: number;
}

/**
 * Options of {@linkcode ReservedNames}.
 *
 * @example Log wrong secrets
 * ```ts
 * import { ReservedNames, type ReservedNamesOptions } from "@linechat/chat/moderation";
 *
 * const options: ReservedNamesOptions = {
 *   log: (message) => console.error(message),
 * };
 * const names = new ReservedNames(options);
 * ```
 */
export interface ReservedNamesOptions {
  /** The language of the texts. @default {"en"} */
  lang?: Lang;
  /** The prefix of the IPv6 networks that count as one address. @default {64} */
  ipv6Prefix?: number;
  /** The clock. @default {Date.now} */
  now?: () => number;
  /** Receives a message for each wrong secret. It does not contain the secret. */
  log?: (message: string) => void;
}

/**
 * The command `/nick NAME [SECRET [TIME]]` of one chat. With a secret, the name is
 * reserved while its owner is present, and up to 24 hours longer: no member can set it
 * without the secret. If an older connection has the name, that connection is closed.
 *
 * `/nick NAME` of the owner ends the reservation.
 *
 * @example Let members keep their names
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { ReservedNames } from "@linechat/chat/moderation";
 *
 * const { command, onShare } = new ReservedNames();
 * await using chat = new Chat({ commands: { nick: command }, onShare });
 * await using ann = chat.connect();
 * await ann.send("/nick ann correct-horse-battery");
 * for await (const line of ann.lines) {
 *   if (line.includes("is reserved with your secret")) break;
 * }
 * ```
 */
export class ReservedNames {
  /** The command, for the option `commands` of a chat. */
  readonly command: Command;
  /** Takes the names that are reserved on any server of the room, for the option `onShare`. */
  readonly onShare: NonNullable<ChatOptions["onShare"]>;
  readonly #lang: Lang;
  readonly #ipv6Prefix: number;
  readonly #now: () => number;
  readonly #log: (message: string) => void;
  readonly #uses: Attempts;
  readonly #wrong: Attempts;
  readonly #reservations = new Set<Reservation>();
  /** The same reservations by the keys of their names. */
  readonly #byKey = new Map<string, Reservation>();
  /** Whether the events of the chat are being read. */
  #isFollowing = false;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /**
   * Creates the command, without reserved names.
   *
   * @param options The options.
   */
  constructor(options: ReservedNamesOptions = {}) {
    const { lang = "en", ipv6Prefix = 64, now = Date.now } = options;
    this.#lang = lang;
    this.#ipv6Prefix = ipv6Prefix;
    this.#now = now;
    this.#log = options.log ?? (() => {});
    this.#uses = new Attempts(MAX_USES.total, ipv6Prefix, now);
    this.#wrong = new Attempts(MAX_USES.wrong, ipv6Prefix, now);
    const [usage, help] = TEXTS[lang].help;
    this.command = {
      usage,
      help,
      run: (context, argument) => this.#run(context, argument),
    };
    this.onShare = (key, value, chat) => this.#takeShared(key, value, chat);
  }

  async #run(context: CommandContext, argument: string): Promise<void> {
    const texts = TEXTS[this.#lang];
    const { address } = context.member;
    const [given, secret, time = "24h", ...rest] = argument.split(/\s+/);
    const name = given.slice(0, MAX_NAME_INPUT).normalize("NFKC");
    if (name === "") return await context.reply(texts.usage);
    if (secret === undefined) return await this.#take(context, name);
    const milliseconds = parseDuration(time) ?? Infinity;
    if (!SECRET.test(secret) || milliseconds > MAX_TIME || rest.length > 0) {
      return await context.reply(texts.rule);
    }
    const isBusy = this.#uses.areOver(address) ||
      this.#wrong.areOver(address) || this.#waiting >= MAX_WAITING;
    if (isBusy) return await context.reply(texts.tooMany);
    this.#uses.add(address);
    await this.#inTurn(() => this.#takeWithSecret(context, name, secret, time));
  }

  /** Runs one task at a time: a hash takes 16 MiB and about 50 ms of a core. */
  async #inTurn(task: () => Promise<void>): Promise<void> {
    this.#waiting++;
    const done = this.#last.then(task);
    this.#last = done.catch(() => {});
    try {
      await done;
    } finally {
      this.#waiting--;
    }
  }

  /** Gives a member a name without a secret. */
  async #take(context: CommandContext, name: string): Promise<void> {
    const { chat, member, reply, rename } = context;
    const texts = TEXTS[this.#lang];
    const found = this.#find(name);
    if (found.some(({ holder }) => holder !== member.id)) {
      return await reply(texts.reserved(name));
    }
    if (found.length === 0 || found[0].name !== name) return await rename(name);
    await chat.share(keyOf(found[0]));
    await reply(texts.released(name));
  }

  async #takeWithSecret(
    { chat, member, reply, rename }: CommandContext,
    name: string,
    given: string,
    time: string,
  ): Promise<void> {
    const { id, address } = member;
    const texts = TEXTS[this.#lang];
    if (!isPresent(chat, id)) return;
    const [found, ...others] = this.#find(name);
    if (others.length > 0) return await reply(texts.reserved(name));
    if (found && !await found.secret.matches(given)) {
      this.#wrong.add(address);
      this.#log(texts.wrongFrom(name, member.name, address || "-"));
      return await reply(texts.wrong(name));
    }
    const secret = found?.secret ?? await HashedSecret.create(given);
    await rename(name, found && texts.tookOver(name));
    // The room has sent a reason to a member that cannot have the name.
    if (!isPresent(chat, id, name)) return;
    const network = Network.parse(address, this.#ipv6Prefix)?.key ?? address;
    if (this.#isFull(chat, network, found)) {
      if (found) await chat.share(keyOf(found));
      return await reply(texts.full(name));
    }
    if (found && found.name !== name) await chat.share(keyOf(found));
    const reservation: Reservation = {
      name,
      secret,
      network,
      time: parseDuration(time)!,
      holder: id,
      usedAt: this.#now(),
    };
    await chat.share(keyOf(reservation), JSON.stringify(reservation));
    await reply(texts.kept(name, time));
  }

  /** Returns the reservations of names that look like a name. */
  #find(name: string): Reservation[] {
    const found = new Set<Reservation>();
    for (const key of nameKeys(name)) {
      const reservation = this.#byKey.get(key);
      if (reservation === undefined) continue;
      if (this.#hasEnded(reservation)) this.#delete(reservation);
      else found.add(reservation);
    }
    return [...found];
  }

  #hasEnded({ holder, usedAt, time }: Reservation): boolean {
    return holder === undefined && usedAt + time <= this.#now();
  }

  /** Returns whether no name can be reserved from a network, apart from one reservation. */
  #isFull(chat: Chat, network: string, except?: Reservation): boolean {
    for (const reservation of this.#reservations) {
      if (this.#hasEnded(reservation)) void chat.share(keyOf(reservation));
    }
    const others = [...this.#reservations].filter((reservation) =>
      reservation !== except && !this.#hasEnded(reservation)
    );
    const ofNetwork = others
      .filter((reservation) => reservation.network === network);
    return others.length >= MAX_NAMES.total ||
      network !== "" && ofNetwork.length >= MAX_NAMES.perNetwork;
  }

  /** Takes a reservation that was made on a server of the room, or its end. */
  #takeShared(key: string, value: string | undefined, chat: Chat): void {
    if (!key.startsWith("name ")) return;
    for (const reservation of this.#reservations) {
      if (keyOf(reservation) === key) this.#delete(reservation);
    }
    if (value === undefined) return;
    const { secret, ...rest } = JSON.parse(value);
    const reservation = { ...rest, secret: HashedSecret.fromJSON(secret) };
    this.#add(reservation);
    void this.#follow(chat);
    this.#release(chat, reservation.holder);
  }

  #add(reservation: Reservation): void {
    this.#reservations.add(reservation);
    for (const key of nameKeys(reservation.name)) {
      this.#byKey.set(key, reservation);
    }
  }

  #delete(reservation: Reservation): void {
    this.#reservations.delete(reservation);
    for (const key of nameKeys(reservation.name)) this.#byKey.delete(key);
  }

  /** Notes when the holders of reserved names leave or change their names. */
  async #follow(chat: Chat): Promise<void> {
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    try {
      for await (const event of chat.events({ messages: false })) {
        if (event.type !== "joined") this.#release(chat, event.id);
      }
    } catch {
      // The reader fell behind. Nothing is lost: all holders are checked.
      this.#isFollowing = false;
      for (const { holder } of this.#reservations) {
        if (holder !== undefined) this.#release(chat, holder);
      }
      this.#follow(chat);
    }
  }

  /** Starts the time of the reservations that a member does not use any more. */
  #release(chat: Chat, id: string): void {
    for (const reservation of this.#reservations) {
      const { holder, name } = reservation;
      if (holder !== id || isPresent(chat, id, name)) continue;
      reservation.holder = undefined;
      reservation.usedAt = this.#now();
    }
  }
}

/** Returns the key under which the servers of a room share a reservation. */
function keyOf({ name }: Reservation): string {
  return `name ${name}`;
}

/** Returns whether a member is present, and has a name if one is given. */
function isPresent(chat: Chat, id: string, name?: string): boolean {
  const member = chat.members.find((member) => member.id === id);
  return member !== undefined && member.name === (name ?? member.name);
}

const hash = promisify<string, Uint8Array, number, Uint8Array>(scrypt);

/** A secret as its salted hash. */
class HashedSecret {
  private constructor(
    readonly salt: Uint8Array,
    readonly hash: Uint8Array,
  ) {}

  static async create(secret: string): Promise<HashedSecret> {
    const salt = randomBytes(16);
    return new HashedSecret(salt, await hash(secret, salt, 32));
  }

  static fromJSON({ salt, hash }: { salt: string; hash: string }) {
    return new HashedSecret(Buffer.from(salt, "hex"), Buffer.from(hash, "hex"));
  }

  toJSON(): { salt: string; hash: string } {
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
    return { salt: hex(this.salt), hash: hex(this.hash) };
  }

  async matches(secret: string): Promise<boolean> {
    return timingSafeEqual(await hash(secret, this.salt, 32), this.hash);
  }
}

const EN = {
  help: ["/nick NAME [SECRET]", "set your name, and reserve it with a secret"],
  usage: "Usage: /nick NAME [SECRET]",
  rule:
    "A name cannot contain spaces. A secret after it has 8 to 128 characters",
  reserved: (name: string) =>
    `The name ${name} is reserved. Its owner can take it with /nick ${name} SECRET`,
  released: (name: string) => `The name ${name} is not reserved any more`,
  kept: (name: string, time: string) =>
    `The name ${name} is reserved with your secret, for ${time} after you leave`,
  full: (name: string) =>
    `The name ${name} is not reserved: too many names are. Try again later`,
  wrong: (name: string) => `Wrong secret for the name ${name}`,
  wrongFrom: (name: string, member: string, address: string) =>
    `Wrong secret for the name ${name} from ${member} (${address})`,
  tooMany: "Too many secrets at a time. Try again in a minute",
  tookOver: (name: string) =>
    `Another connection has taken the name ${name} with its secret`,
};

const ZH: typeof EN = {
  help: ["/nick 名字 [密钥]", "设置名字，可用密钥保留该名字"],
  usage: "用法：/nick 名字 [密钥]",
  rule: "名字不能包含空格。名字后的密钥须为 8 到 128 个字符",
  reserved: (name) =>
    `名字 ${name} 已被保留。保留者可输入 /nick ${name} 密钥 使用`,
  released: (name) => `名字 ${name} 不再保留`,
  kept: (name, time) => `名字 ${name} 已用你的密钥保留，离开后仍保留 ${time}`,
  full: (name) => `名字 ${name} 未能保留：保留的名字过多，请稍后再试`,
  wrong: (name) => `名字 ${name} 的密钥错误`,
  wrongFrom: (name, member, address) =>
    `名字 ${name} 的密钥错误：来自 ${member}（${address}）`,
  tooMany: "密钥使用过于频繁，请一分钟后再试",
  tookOver: (name) => `另一个连接已用密钥接管名字 ${name}`,
};

const TEXTS: Record<Lang, typeof EN> = { en: EN, zh: ZH };
