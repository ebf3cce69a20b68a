// Copyright 2026 the linechat authors. MIT license.

import type { Lang } from "../mod.ts";

/** The texts that the client shows in a terminal. */
export interface Texts {
  hint: string;
  connectedAgain(address: string): string;
  lost(address: string, reason: string): string;
  closed: string;
  silent: string;
  speaksTls: string;
  attempt(number: number, reason: string, seconds: number): string;
  connecting(address: string): string;
  notConnected: string;
  notConfirmed(lines: string[]): string;
  missed(count: number): string;
  paste(lines: number): string;
  help: string;
  here(names: string[]): string;
  ignoring(name: string): string;
  notIgnoring(name: string): string;
  ignored(names: string[]): string;
  historyFailed(reason: string): string;
  more(count: number): string;
}

export const TEXTS: Record<Lang, Texts> = {
  en: {
    hint: "Tab completes names and commands, Ctrl-D leaves",
    connectedAgain: (address) => `Connected to ${address} again`,
    lost: (address, reason) => `Lost the connection to ${address}: ${reason}`,
    closed: "the server closed it",
    silent: "the server does not answer",
    speaksTls: "the server uses TLS, see --tls",
    attempt: (number, reason, seconds) =>
      `Not connected: ${reason}. Attempt ${number} in ${seconds} s`,
    connecting: (address) => `Connecting to ${address}`,
    notConnected: "Not connected; line not sent. Press ↑ to recall it.",
    notConfirmed: (lines) =>
      lines.length === 1
        ? `The server did not confirm this line; press ↑ to recall it: ${
          lines[0]
        }`
        : ["The server did not confirm these lines; press ↑ to recall them:"]
          .concat(lines).join("\n"),
    missed: (count) =>
      count === 1
        ? "1 message while you were disconnected"
        : `${count} messages while you were disconnected`,
    paste: (lines) => `Paste ${lines} lines? (s)end, (e)dit or (d)iscard`,
    help: `Commands of this program:
/names          list who is here
/ignore [NAME]  hide a member's messages
/unignore NAME  show them again
/clear          clear the screen
/reconnect      connect again`,
    here: (names) => `${names.length} here: ${names.join(", ")}`,
    ignoring: (name) => `Messages of ${name} are hidden`,
    notIgnoring: (name) => `Messages of ${name} are shown`,
    ignored: (names) =>
      names.length === 0
        ? "No members are hidden"
        : `Hidden members: ${names.join(", ")}`,
    historyFailed: (reason) => `Cannot keep entered lines: ${reason}`,
    more: (count) => `… and ${count} more lines`,
  },
  zh: {
    hint: "按 Tab 补全名字和命令，按 Ctrl-D 离开",
    connectedAgain: (address) => `已重新连接到 ${address}`,
    lost: (address, reason) => `与 ${address} 的连接已断开：${reason}`,
    closed: "服务器关闭了连接",
    silent: "服务器没有响应",
    speaksTls: "服务器使用 TLS，请参阅 --tls",
    attempt: (number, reason, seconds) =>
      `未连接：${reason}。${seconds} 秒后进行第 ${number} 次尝试`,
    connecting: (address) => `正在连接 ${address}`,
    notConnected: "未连接，这一行没有发送。按 ↑ 可找回",
    notConfirmed: (lines) =>
      lines.length === 1
        ? `服务器没有确认这一行，按 ↑ 可找回：${lines[0]}`
        : ["服务器没有确认以下各行，按 ↑ 可找回："].concat(lines).join("\n"),
    missed: (count) => `断线期间的 ${count} 条消息`,
    paste: (lines) => `要粘贴 ${lines} 行吗？s 发送，e 编辑，d 放弃`,
    help: `本程序的命令：
/names          列出在线成员
/ignore [名字]  隐藏某人的消息
/unignore 名字  重新显示其消息
/clear          清屏
/reconnect      重新连接`,
    here: (names) => `${names.length} 人在线：${names.join("、")}`,
    ignoring: (name) => `已隐藏 ${name} 的消息`,
    notIgnoring: (name) => `已恢复显示 ${name} 的消息`,
    ignored: (names) =>
      names.length === 0 ? "没有隐藏任何人" : `被隐藏的人：${names.join("、")}`,
    historyFailed: (reason) => `无法保存输入历史：${reason}`,
    more: (count) => `……还有 ${count} 行`,
  },
};
