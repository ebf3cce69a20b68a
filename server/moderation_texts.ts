// Copyright 2026 the linechat authors. MIT license.

import type { Activity, Lang, Member } from "../mod.ts";
import type { Ban } from "./bans.ts";
import { formatDuration } from "./duration.ts";
import type { Network } from "./network.ts";

const EN = {
  help: {
    kick: ["/kick NAME [REASON]", "close a member's connection"],
    ban: [
      "/ban NAME|ADDRESS[/PREFIX] [DURATION] [REASON]",
      "refuse an address, for 30m, 12h, 7d or until /unban",
    ],
    unban: ["/unban ADDRESS[/PREFIX]", "admit an address again"],
    bans: ["/bans", "list bans and mutes"],
    mute: ["/mute NAME [DURATION]", "refuse the lines of a member"],
    unmute: ["/unmute NAME", "let a member speak again"],
    lock: ["/lock [REASON]", "refuse new clients"],
    unlock: ["/unlock", "admit new clients again"],
    motd: ["/motd [TEXT|-]", "show, set or remove the message of the day"],
    whois: ["/whois NAME", "show address and activity of a member"],
  },
  usage: (usage: string) => `Usage: ${usage}`,
  noSuchMember: (name: string) => `No one here is named ${name}`,
  isOperator: (name: string) => `${name} is an operator`,
  noAddress: (name: string) => `${name} has no address. Use /kick ${name}`,
  kicked: (name: string) => `Removed ${name}`,
  wasBanned: ({ network, until, reason }: Ban) =>
    `Banned ${network} until ${until ? formatTime(until) : "/unban"}${
      reason && `: ${reason}`
    }`,
  wasUnbanned: (network: Network) => `${network} is not banned any more`,
  notBanned: (network: Network) => `${network} is not banned`,
  partOfBan: (network: Network, other: Network) =>
    `${network} is banned as a part of ${other}`,
  unsaved: (reason: string) =>
    `This change is lost when the server restarts. ${reason}`,
  bans: (count: number) =>
    count === 0 ? "No bans" : `${count} ${count === 1 ? "ban" : "bans"}:`,
  ban: ({ network, until, by, reason }: Ban) =>
    `${network} until ${until ? formatTime(until) : "/unban"}, by ${by}${
      reason && `: ${reason}`
    }`,
  mutes: (count: number) => `${count} ${count === 1 ? "mute" : "mutes"}:`,
  mute: (name: string, network?: Network, until?: Date) =>
    `${name}${network ? ` (${network})` : ""} until ${
      until ? formatTime(until) : "/unmute"
    }`,
  wasMuted: (name: string, until?: Date) =>
    `Muted ${name} until ${until ? formatTime(until) : "/unmute"}`,
  youAreMuted: (until?: Date) =>
    `You are muted${until ? ` until ${formatTime(until)}` : ""}`,
  muted: (until?: Date) =>
    `Not sent: you are muted${until ? ` until ${formatTime(until)}` : ""}`,
  wasUnmuted: (name: string) => `${name} can speak again`,
  youAreUnmuted: "You can speak again",
  notMuted: (name: string) => `${name} is not muted`,
  roomLocked: (reason: string) =>
    `The room is locked: ${reason || "no one can enter"}`,
  roomUnlocked: "The room is open again",
  notLocked: "The room is not locked",
  motd: (text: string) =>
    text === ""
      ? "There is no message of the day"
      : `The message of the day:\n${text}`,
  whois: ({ name, address, joinedAt }: Member, activity?: Activity) => [
    `${name}:`,
    `address ${address || "none"}`,
    `joined ${formatTime(joinedAt)}`,
    ...activity
      ? [
        `idle for ${formatDuration(activity.idle)}`,
        `lines sent: ${activity.lines}`,
        `backlog: ${activity.backlog} bytes`,
      ]
      : ["connected to another server"],
  ],
  whoisMuted: (until?: Date) =>
    `muted until ${until ? formatTime(until) : "/unmute"}`,
  banned: (reason: string, until?: Date) =>
    `you are banned${until ? ` until ${formatTime(until)}` : ""}${
      reason && `: ${reason}`
    }`,
  locked: (reason: string) => `the room is locked${reason && `: ${reason}`}`,
};

/** The texts of the moderation in one language. */
export type Texts = typeof EN;

const ZH: Texts = {
  help: {
    kick: ["/kick 名字 [原因]", "断开一名成员的连接"],
    ban: [
      "/ban 名字|地址[/前缀] [时长] [原因]",
      "禁止一个地址进入，时长如 30m、12h、7d，不写则直到 /unban",
    ],
    unban: ["/unban 地址[/前缀]", "重新允许一个地址进入"],
    bans: ["/bans", "列出封禁和禁言"],
    mute: ["/mute 名字 [时长]", "禁止一名成员发言"],
    unmute: ["/unmute 名字", "允许一名成员重新发言"],
    lock: ["/lock [原因]", "不再接受新成员"],
    unlock: ["/unlock", "重新接受新成员"],
    motd: ["/motd [内容|-]", "查看、设置或删除欢迎语"],
    whois: ["/whois 名字", "查看一名成员的地址和活动"],
  },
  usage: (usage) => `用法：${usage}`,
  noSuchMember: (name) => `没有名为 ${name} 的成员`,
  isOperator: (name) => `${name} 是管理员`,
  noAddress: (name) => `${name} 没有地址，请用 /kick ${name}`,
  kicked: (name) => `已移出 ${name}`,
  wasBanned: ({ network, until, reason }) =>
    `已封禁 ${network}，${untilOr("/unban", until)}${reason && `：${reason}`}`,
  wasUnbanned: (network) => `已解除对 ${network} 的封禁`,
  notBanned: (network) => `${network} 没有被封禁`,
  partOfBan: (network, other) => `${network} 属于被封禁的 ${other}`,
  unsaved: (reason) => `服务器重启后此更改会丢失。${reason}`,
  bans: (count) => count === 0 ? "没有封禁" : `${count} 条封禁：`,
  ban: ({ network, until, by, reason }) =>
    `${network} ${untilOr("/unban", until)}，由 ${by} 设置${
      reason && `：${reason}`
    }`,
  mutes: (count) => `${count} 条禁言：`,
  mute: (name, network, until) =>
    `${name}${network ? `（${network}）` : " "}${untilOr("/unmute", until)}`,
  wasMuted: (name, until) => `已禁言 ${name}，${untilOr("/unmute", until)}`,
  youAreMuted: (until) =>
    until ? `你已被禁言，至 ${formatTime(until)}` : "你已被禁言",
  muted: (until) =>
    until
      ? `未发送：你已被禁言，至 ${formatTime(until)}`
      : "未发送：你已被禁言",
  wasUnmuted: (name) => `${name} 可以重新发言了`,
  youAreUnmuted: "你可以重新发言了",
  notMuted: (name) => `${name} 没有被禁言`,
  roomLocked: (reason) => `聊天室已锁定：${reason || "不再接受新成员"}`,
  roomUnlocked: "聊天室已重新开放",
  notLocked: "聊天室没有锁定",
  motd: (text) => text === "" ? "没有欢迎语" : `欢迎语：\n${text}`,
  whois: ({ name, address, joinedAt }, activity) => [
    `${name}：`,
    `地址 ${address || "无"}`,
    `加入于 ${formatTime(joinedAt)}`,
    ...activity
      ? [
        `空闲 ${formatDuration(activity.idle)}`,
        `已发送 ${activity.lines} 行`,
        `待接收 ${activity.backlog} 字节`,
      ]
      : ["连接在另一台服务器上"],
  ],
  whoisMuted: (until) =>
    until ? `禁言至 ${formatTime(until)}` : "禁言，直到 /unmute",
  banned: (reason, until) =>
    `你已被封禁${until ? `，至 ${formatTime(until)}` : ""}${
      reason && `：${reason}`
    }`,
  locked: (reason) => `聊天室已锁定${reason && `：${reason}`}`,
};

export const TEXTS: Readonly<Record<Lang, Texts>> = { en: EN, zh: ZH };

/** Formats the end of a ban or a mute in Chinese: a time, or the command that ends it. */
function untilOr(command: string, until?: Date): string {
  return until ? `至 ${formatTime(until)}` : `直到 ${command}`;
}

/** Formats a time to the minute. */
function formatTime(time: Date): string {
  return time.toISOString().replace(/T(.{5}).*/, " $1 UTC");
}
