// Copyright 2026 the linechat authors. MIT license.

/**
 * Moderation of a chat: operators and their commands, bans, a password, and hidden
 * addresses. It uses the public interface of a chat only.
 *
 * @example Serve operators on a port of this machine
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { Moderation, OperatorListener } from "@linechat/chat/moderation";
 * import { assertEquals } from "@std/assert";
 *
 * const moderation = new Moderation({ hideAddresses: true });
 * await using chat = new Chat(moderation.chatOptions);
 * const admin = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * chat.serve(new OperatorListener(admin));
 * await using eve = chat.connect();
 * assertEquals((await eve.lines.next()).value, "Welcome guest-1");
 *
 * const { port } = admin.addr;
 * using operator = await Deno.connect({ hostname: "127.0.0.1", port });
 * await operator.write(new TextEncoder().encode("/kick guest-1\n"));
 * for await (const line of eve.lines) {
 *   if (line === "-- You were removed") break;
 * }
 * ```
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import {
  type Admission,
  type Candidate,
  type Chat,
  type ChatOptions,
  type Command,
  type CommandContext,
  type Lang,
  type Member,
  nameKeys,
} from "../mod.ts";
import { BanList } from "./bans.ts";
import { parseDuration } from "./duration.ts";
import { TEXTS, type Texts } from "./moderation_texts.ts";
import { Network } from "./network.ts";
import type { Password } from "./password.ts";

export { type Ban, BanList, type BanListOptions } from "./bans.ts";
export { ReservedNames, type ReservedNamesOptions } from "./names.ts";
export { Network } from "./network.ts";
export { OperatorListener } from "./operators.ts";
export { Password, type PasswordOptions } from "./password.ts";

/** Maximum number of bans and mutes that `/bans` lists. */
const MAX_LISTED = 100;
/** Maximum number of names of speakers that are remembered. */
const MAX_SPEAKERS = 10_000;

/**
 * Options of a {@linkcode Moderation}.
 *
 * @example Log the commands of operators
 * ```ts
 * import { Moderation, type ModerationOptions } from "@linechat/chat/moderation";
 *
 * const options: ModerationOptions = {
 *   audit: (message) => console.error(message),
 * };
 * const moderation = new Moderation(options);
 * ```
 */
export interface ModerationOptions {
  /** The language of the texts. Give the chat the same one. @default {"en"} */
  lang?: Lang;
  /** The bans. By default, a list that is lost when the program ends. */
  bans?: BanList;
  /** The password of the room. By default, there is none. */
  password?: Password;
  /** Whether members get the names `guest-1`, `guest-2` instead of their addresses. */
  hideAddresses?: boolean;
  /** The prefix that a ban of an IPv6 address has by default. @default {64} */
  ipv6Prefix?: number;
  /** Receives each use of an operator command. */
  audit?: (message: string) => void;
  /** The clock. @default {Date.now} */
  now?: () => number;
}

/** A member that cannot speak, and later connections from its network. */
interface Mute {
  readonly name: string;
  readonly id: string;
  /** The network of the member. A member of a Unix socket has none. */
  readonly network?: Network;
  /** The ids of the members that were present. They can speak. */
  readonly others: ReadonlySet<string>;
  readonly until?: Date;
}

/** The effect of a change of the bans on those of this server. */
interface BanChange {
  wasBanned: boolean;
  saved: Promise<void>;
}

/** The effect of a command. */
type Run = (context: CommandContext, argument: string) => Promise<unknown>;

/**
 * Moderates one chat. Its commands are for operators, the members with `isOperator`.
 *
 * @example Add commands of the program
 * ```ts
 * import { Chat } from "@linechat/chat";
 * import { Moderation, ReservedNames } from "@linechat/chat/moderation";
 *
 * const { commands, ...hooks } = new Moderation().chatOptions;
 * const nick = new ReservedNames().command;
 * await using chat = new Chat({
 *   ...hooks,
 *   commands: { ...commands, nick },
 * });
 * ```
 */
export class Moderation {
  readonly #options: ModerationOptions;
  readonly #texts: Texts;
  readonly #bans: BanList;
  readonly #now: () => number;
  /** The members that have spoken, by the names that they had. The latest is the last. */
  readonly #speakers = new Map<string, Member>();
  #mutes: Mute[] = [];
  /** The keys of the bans that commands are changing, and the effects. */
  readonly #changes = new Map<string, BanChange | undefined>();
  #isEnforcing = false;
  /** The reason of a lock. Without it, the room is open. */
  #lock?: string;
  /** The number of guests so far, which gives them their names. */
  #guests = 0;

  /**
   * Creates the moderation of an open room.
   *
   * @param options The options.
   */
  constructor(options: ModerationOptions = {}) {
    this.#options = options;
    this.#texts = TEXTS[options.lang ?? "en"];
    this.#now = options.now ?? Date.now;
    this.#bans = options.bans ?? new BanList({ now: this.#now });
  }

  /** The options that a chat needs for its moderation. */
  get chatOptions(): {
    admit: NonNullable<ChatOptions["admit"]>;
    screen: NonNullable<ChatOptions["screen"]>;
    onShare: NonNullable<ChatOptions["onShare"]>;
    commands: Record<string, Command>;
  } {
    return {
      admit: (candidate) => this.#admit(candidate),
      screen: (member) => this.#screen(member),
      onShare: (key, value, chat) => this.#takeShared(key, value, chat),
      commands: this.#commands(),
    };
  }

  /**
   * Closes the connections of banned addresses. Call this after the list of bans was
   * changed or read again.
   *
   * @param chat The chat.
   */
  async enforceBans(chat: Chat): Promise<void> {
    const kicks = chat.members.map((member) => {
      const ban = member.isOperator
        ? undefined
        : this.#bans.find(member.address);
      return ban && chat.kick(member.name, ban.reason);
    });
    await Promise.all(kicks);
  }

  /** Takes a change that a command has made on a server of the room. */
  #takeShared(key: string, value: string | undefined, chat: Chat): void {
    const [kind, rest] = splitWord(key);
    if (kind === "ban") this.#takeBan(key, rest, value, chat);
    else if (kind === "mute") this.#takeMute(rest, value);
    else if (kind === "lock") this.#lock = value;
    else if (kind === "motd") chat.motd = value ?? "";
  }

  #takeBan(key: string, address: string, value = "", chat: Chat): void {
    const network = Network.parse(address)!;
    const change = value === "" ? this.#bans.remove(network) : {
      wasBanned: true,
      saved: this.#bans.add({ network, ...parse(value) }),
    };
    const isOwn = this.#changes.has(key);
    change.saved.catch((error) => {
      // A command reports the failure itself.
      if (!isOwn) this.#options.audit?.(this.#texts.unsaved(error.message));
    });
    if (isOwn) this.#changes.set(key, change);
    else void this.#enforceSoon(chat);
  }

  /** Closes the connections that were admitted before another server added a ban. */
  async #enforceSoon(chat: Chat): Promise<void> {
    if (this.#isEnforcing) return;
    this.#isEnforcing = true;
    // The clients that were admitted before are members after a round trip.
    await chat.share("");
    this.#isEnforcing = false;
    await this.enforceBans(chat);
  }

  #takeMute(id: string, value?: string): void {
    this.#mutes = this.#activeMutes().filter((mute) => mute.id !== id);
    if (value === undefined) return;
    const { network, others, ...rest } = parse(value);
    this.#mutes.push({
      ...rest,
      id,
      network: Network.parse(network ?? ""),
      others: new Set(others),
    });
  }

  async #admit(candidate: Candidate): Promise<Admission> {
    if (candidate.isOperator) return { name: operatorName(candidate) };
    const { password, hideAddresses } = this.#options;
    let refusal = this.#refusal(candidate);
    if (refusal === undefined && password) {
      refusal = await password.check(candidate) ?? this.#refusal(candidate);
    }
    if (refusal !== undefined) return refusal;
    // The name of an in-memory client has no colon unless it is an address.
    if (hideAddresses && candidate.name.includes(":")) {
      return { name: `guest-${++this.#guests}` };
    }
  }

  /** Returns the reason to refuse a client, if there is one. */
  #refusal({ address }: Candidate): string | undefined {
    const ban = this.#bans.find(address);
    if (ban) return this.#texts.banned(ban.reason, ban.until);
    if (this.#lock !== undefined) return this.#texts.locked(this.#lock);
  }

  /** Returns the reason for which a member cannot speak, if there is one. */
  #screen(member: Member): string | undefined {
    if (this.#speakers.get(member.name)?.id !== member.id) {
      this.#remember(member);
    }
    const mute = this.#mutes.length > 0 && this.#muteOf(member);
    if (mute) return this.#texts.muted(mute.until);
  }

  /** Notes the name of a speaker, which operators can use after it has changed. */
  #remember(member: Member): void {
    this.#speakers.delete(member.name);
    this.#speakers.set(member.name, member);
    if (this.#speakers.size <= MAX_SPEAKERS) return;
    const [oldest] = this.#speakers.keys();
    this.#speakers.delete(oldest);
  }

  #muteOf({ id, address, isOperator }: Member): Mute | undefined {
    if (isOperator) return;
    const own = Network.parse(address);
    return this.#activeMutes().find((mute) =>
      mute.id === id ||
      own && mute.network?.includes(own) && !mute.others.has(id)
    );
  }

  #activeMutes(): Mute[] {
    const now = this.#now();
    const isActive = ({ until }: Mute) => !until || until.getTime() > now;
    if (!this.#mutes.every(isActive)) {
      this.#mutes = this.#mutes.filter(isActive);
    }
    return this.#mutes;
  }

  #commands(): Record<keyof Texts["help"], Command> {
    const optional = false;
    return {
      kick: this.#command("kick", this.#kick),
      ban: this.#command("ban", this.#ban),
      unban: this.#command("unban", this.#unban),
      bans: this.#command("bans", this.#listBans, optional),
      mute: this.#command("mute", this.#mute),
      unmute: this.#command("unmute", this.#unmute),
      lock: this.#command("lock", this.#lockRoom, optional),
      unlock: this.#command("unlock", this.#unlockRoom, optional),
      motd: this.#command("motd", this.#changeMotd, optional),
      whois: this.#command("whois", this.#whois),
    };
  }

  /** Creates a command that is available to operators, and logs each use of it. */
  #command(
    name: keyof Texts["help"],
    run: Run,
    needsArgument = true,
  ): Command {
    const [usage, help] = this.#texts.help[name];
    return {
      usage,
      help,
      isAvailable: ({ isOperator }) => isOperator,
      run: async (context, argument) => {
        this.#audit(context, `/${name} ${argument}`.trim());
        if (needsArgument && argument === "") {
          await context.reply(this.#texts.usage(usage));
        } else await run.call(this, context, argument);
      },
    };
  }

  #audit({ member }: CommandContext, action: string): void {
    const operator = operatorName(member);
    const name = member.name === operator ? "" : ` (${member.name})`;
    this.#options.audit?.(`${operator}${name}: ${action}`);
  }

  async #kick(context: CommandContext, argument: string): Promise<void> {
    const [name, reason] = splitWord(argument);
    const member = await this.#target(context, name);
    if (member === undefined) return;
    await context.chat.kick(member.name, reason);
    await context.reply(this.#texts.kicked(member.name));
  }

  async #ban(context: CommandContext, argument: string): Promise<void> {
    const { chat, member: { name: by }, reply } = context;
    const [target, rest] = splitWord(argument);
    const network = this.#parseNetwork(target) ??
      await this.#networkOf(context, target);
    if (network === undefined) return;
    const { until, rest: reason } = this.#splitDuration(rest);
    const ban = { network, until, by, reason };
    const { saved } = await this.#changeBan(
      chat,
      network,
      JSON.stringify({ until, by, reason }),
    );
    // Clients that were admitted before the ban become members now, and are removed.
    await setImmediate();
    await reply(this.#texts.wasBanned(ban));
    await this.enforceBans(chat);
    await this.#reportSaved(context, saved);
  }

  /** Changes a ban on all servers. */
  async #changeBan(
    chat: Chat,
    network: Network,
    value?: string,
  ): Promise<BanChange> {
    const key = `ban ${network}`;
    this.#changes.set(key, undefined);
    await chat.share(key, value);
    const change = this.#changes.get(key);
    this.#changes.delete(key);
    // Without a change, the chat is closing.
    return change ?? { wasBanned: false, saved: Promise.resolve() };
  }

  async #unban(context: CommandContext, argument: string): Promise<void> {
    const { chat, reply } = context;
    const network = this.#parseNetwork(argument);
    if (network === undefined) {
      return await reply(this.#texts.usage(this.#texts.help.unban[0]));
    }
    const { wasBanned, saved } = await this.#changeBan(chat, network);
    const rest = this.#bans.find(network);
    await reply(
      rest
        ? this.#texts.partOfBan(network, rest.network)
        : wasBanned
        ? this.#texts.wasUnbanned(network)
        : this.#texts.notBanned(network),
    );
    await this.#reportSaved(context, saved);
  }

  /** Reports a change of the bans that could not be written. */
  async #reportSaved(
    context: CommandContext,
    saved: Promise<void>,
  ): Promise<void> {
    try {
      await saved;
    } catch (error) {
      const message = this.#texts.unsaved((error as Error).message);
      this.#audit(context, message);
      await context.reply(message);
    }
  }

  async #listBans({ reply }: CommandContext): Promise<void> {
    const { texts, bans, mutes } = {
      texts: this.#texts,
      bans: this.#bans.all,
      mutes: this.#activeMutes(),
    };
    const lines = [
      texts.bans(bans.length),
      ...shortened(bans.map(texts.ban)),
    ];
    if (mutes.length > 0) {
      const list = mutes.map(({ name, network, until }) =>
        texts.mute(name, network, until)
      );
      lines.push(texts.mutes(mutes.length), ...shortened(list));
    }
    await reply(lines.join("\n"));
  }

  async #mute(context: CommandContext, argument: string): Promise<void> {
    const { chat, reply } = context;
    const [given, rest] = splitWord(argument);
    const { until, rest: surplus } = this.#splitDuration(rest);
    if (surplus !== "") {
      return await reply(this.#texts.usage(this.#texts.help.mute[0]));
    }
    const member = await this.#target(context, given);
    if (member === undefined) return;
    const { id, name, address } = member;
    const network = this.#parseNetwork(address);
    const others = chat.members.flatMap(({ id, address }) => {
      const own = Network.parse(address);
      return own && network?.includes(own) ? id : [];
    });
    const mute = { name, network: network?.toString(), others, until };
    await chat.share(`mute ${id}`, JSON.stringify(mute));
    await chat.tell(name, this.#texts.youAreMuted(until));
    await reply(this.#texts.wasMuted(name, until));
  }

  async #unmute({ chat, reply }: CommandContext, name: string): Promise<void> {
    const member = this.#find(chat, name);
    const muted = this.#activeMutes().filter((mute) =>
      areAlike(mute.name, name) || member && mute.id === member.id
    );
    const own = member && this.#muteOf(member);
    if (own) muted.push(own);
    if (muted.length === 0) return await reply(this.#texts.notMuted(name));
    await Promise.all(muted.map(({ id }) => chat.share(`mute ${id}`)));
    if (member) await chat.tell(member.name, this.#texts.youAreUnmuted);
    await reply(this.#texts.wasUnmuted(name));
  }

  async #lockRoom({ chat }: CommandContext, reason: string): Promise<void> {
    await chat.share("lock", reason);
    await chat.notice(this.#texts.roomLocked(reason));
  }

  async #unlockRoom({ chat, reply }: CommandContext): Promise<void> {
    if (this.#lock === undefined) return await reply(this.#texts.notLocked);
    await chat.share("lock");
    await chat.notice(this.#texts.roomUnlocked);
  }

  async #changeMotd(
    { chat, reply }: CommandContext,
    text: string,
  ): Promise<void> {
    if (text !== "") await chat.share("motd", text === "-" ? "" : text);
    await reply(this.#texts.motd(chat.motd));
  }

  async #whois({ chat, reply }: CommandContext, name: string): Promise<void> {
    const member = this.#find(chat, name);
    if (member === undefined) {
      return await reply(this.#texts.noSuchMember(name));
    }
    const activity = chat.activityOf(member.id);
    const lines = this.#texts.whois(member, activity);
    const mute = this.#muteOf(member);
    if (mute) lines.push(this.#texts.whoisMuted(mute.until));
    await reply(lines.join("\n"));
  }

  /**
   * Finds a member by its name, by the name with which it has spoken before, or by a
   * name that looks like its name.
   */
  #find({ members }: Chat, name: string): Member | undefined {
    const speaker = this.#speakers.get(name);
    return members.find((member) => member.name === name) ??
      members.find(({ id }) => id === speaker?.id) ??
      members.find((member) => areAlike(member.name, name));
  }

  /** Finds the member that an operator names. It cannot be another operator. */
  async #target(
    { chat, reply }: CommandContext,
    name: string,
    absent?: Member,
  ): Promise<Member | undefined> {
    const member = this.#find(chat, name) ?? absent;
    if (member === undefined) await reply(this.#texts.noSuchMember(name));
    else if (member.isOperator) {
      await reply(this.#texts.isOperator(member.name));
    } else return member;
  }

  /** Finds the network of a member that is to be banned. It may have left. */
  async #networkOf(
    context: CommandContext,
    name: string,
  ): Promise<Network | undefined> {
    const speaker = this.#speakers.get(name);
    const member = await this.#target(context, name, speaker);
    if (member === undefined) return;
    const network = this.#parseNetwork(member.address);
    if (network === undefined) {
      await context.reply(this.#texts.noAddress(member.name));
    }
    return network;
  }

  #parseNetwork(text: string): Network | undefined {
    return Network.parse(text, this.#options.ipv6Prefix ?? 64);
  }

  /** Splits a duration from the beginning of a text, if there is one. */
  #splitDuration(text: string): { until?: Date; rest: string } {
    const [word, rest] = splitWord(text);
    const duration = parseDuration(word);
    return duration === undefined
      ? { rest: text }
      : { until: new Date(this.#now() + duration), rest };
  }
}

/** Parses a shared ban or mute. */
function parse(value: string) {
  return JSON.parse(
    value,
    (key, value) => key === "until" ? new Date(value) : value,
  );
}

/** The first name of an operator, by which it is logged. */
function operatorName({ id }: { id: string }): string {
  return `op-${id}`;
}

function areAlike(name: string, other: string): boolean {
  const keys = nameKeys(other);
  return nameKeys(name).some((key) => keys.includes(key));
}

function splitWord(text: string): [word: string, rest: string] {
  const [, word, rest] = /^(\S*)\s*([^]*)$/.exec(text)!;
  return [word, rest];
}

function shortened(lines: string[]): string[] {
  return lines.length > MAX_LISTED
    ? [...lines.slice(0, MAX_LISTED), "\u2026"]
    : lines;
}
