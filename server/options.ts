// Copyright 2026 the linechat authors. MIT license.

import { formatOptions, type Options, programName } from "../cli.ts";
import config from "../deno.json" with { type: "json" };
import { DEFAULTS, type Lang, LANGS } from "../mod.ts";

/** The options of the server. Arguments are parsed and `--help` is printed from them. */
export const OPTIONS = {
  hostname: {
    value: "NAME",
    default: "localhost",
    heading: { en: "Listening:", zh: "监听：" },
    help: {
      en: "host name or address to listen on",
      zh: "监听的主机名或地址",
    },
  },
  port: {
    short: "p",
    value: "N",
    min: 0,
    max: 65_535,
    default: 8000,
    multiple: true,
    help: {
      en: "port, 0 for a free one; repeatable",
      zh: "端口，0 表示任意空闲端口；可重复",
    },
  },
  "tls-cert": {
    value: "FILE",
    help: {
      en: "certificate chain (PEM), leaf first. Needs -R",
      zh: "证书链（PEM），服务器证书在最前。需要 -R",
    },
  },
  "tls-key": {
    value: "FILE",
    help: {
      en: "private key of the certificate (PEM)",
      zh: "证书的私钥（PEM）",
    },
  },
  "tls-port": {
    value: "N",
    min: 0,
    max: 65_535,
    multiple: true,
    help: {
      en: "TLS port; without it, every --port uses TLS; repeatable",
      zh: "TLS 端口；不指定时每个 --port 都使用 TLS；可重复",
    },
  },
  unix: {
    value: "PATH",
    multiple: true,
    help: {
      en: "Unix socket; repeatable. Needs -R -W",
      zh: "Unix 套接字；可重复。需要 -R -W",
    },
  },
  "proxy-protocol": {
    value: "NET",
    multiple: true,
    help: {
      en: "proxy (ADDRESS[/PREFIX]) with PROXY headers; repeatable",
      zh: "发送 PROXY 头的代理（ADDRESS[/PREFIX]）；可重复",
    },
  },
  "web-port": {
    value: "N",
    min: 0,
    max: 65_535,
    multiple: true,
    heading: { en: "Browsers:", zh: "浏览器：" },
    help: {
      en: "port of the web page; repeatable",
      zh: "网页的端口；可重复",
    },
  },
  "web-tls-port": {
    value: "N",
    min: 0,
    max: 65_535,
    multiple: true,
    help: {
      en: "port of the web page over TLS; repeatable",
      zh: "使用 TLS 的网页端口；可重复",
    },
  },
  "web-host": {
    value: "NAME",
    multiple: true,
    help: {
      en: "name of the server in a browser's address; repeatable",
      zh: "浏览器地址中的服务器名；可重复",
    },
  },
  "forwarded-for": {
    value: "NET",
    multiple: true,
    help: {
      en: "proxy that sets X-Forwarded-For; repeatable",
      zh: "设置 X-Forwarded-For 的代理；可重复",
    },
  },
  lang: {
    choices: LANGS,
    heading: { en: "Room:", zh: "聊天室：" },
    help: {
      en: "language (default: of the system)",
      zh: "语言（默认为系统语言）",
    },
  },
  motd: {
    value: "TEXT",
    help: { en: "message for new clients", zh: "发给新成员的欢迎语" },
  },
  history: {
    value: "N",
    min: 0,
    max: 10_000,
    default: DEFAULTS.history,
    help: {
      en: "replay the last N messages to new clients",
      zh: "向新成员发送最近 N 条消息",
    },
  },
  "no-commands": {
    help: {
      en: "treat every line as a message",
      zh: "把每一行都当作消息",
    },
  },
  "max-clients": {
    value: "N",
    min: 1,
    max: 1_000_000,
    default: DEFAULTS.maxClients,
    heading: {
      en: "Limits (default 0: no limit):",
      zh: "限制（默认 0 表示不限）：",
    },
    help: { en: "connections", zh: "连接数" },
  },
  "max-per-address": {
    value: "N",
    min: 0,
    max: 1_000_000,
    default: DEFAULTS.maxPerAddress,
    help: { en: "connections per address", zh: "每个地址的连接数" },
  },
  "connect-rate": {
    value: "N",
    min: 0,
    max: 1_000_000,
    default: DEFAULTS.connectRate,
    help: {
      en: "new connections per second and address",
      zh: "每个地址每秒的新连接数",
    },
  },
  "ipv6-prefix": {
    value: "N",
    min: 1,
    max: 128,
    default: DEFAULTS.ipv6Prefix,
    help: {
      en: "IPv6 prefix that counts as one address",
      zh: "视为一个地址的 IPv6 前缀长度",
    },
  },
  rate: {
    value: "N",
    min: 0,
    max: 1_000_000,
    default: DEFAULTS.rate,
    help: { en: "lines per second and client", zh: "每个客户端每秒的行数" },
  },
  idle: {
    value: "SECONDS",
    min: 0,
    max: 2_000_000,
    default: DEFAULTS.idle / 1000,
    help: {
      en: "disconnect clients that are silent this long",
      zh: "断开沉默超过该秒数的客户端",
    },
  },
  "max-line": {
    value: "BYTES",
    min: 1,
    max: 2 ** 24,
    default: DEFAULTS.maxLine,
    help: { en: "length of a line", zh: "一行的长度" },
  },
  "max-backlog": {
    value: "BYTES",
    min: 2 ** 20,
    max: 2 ** 30,
    default: DEFAULTS.maxBacklog,
    help: { en: "pending output of a client", zh: "客户端待发送的数据量" },
  },
  "admin-socket": {
    value: "PATH",
    heading: { en: "Moderation:", zh: "管理：" },
    help: {
      en: "Unix socket for operators. Needs -R -W",
      zh: "供管理员使用的 Unix 套接字。需要 -R -W",
    },
  },
  bans: {
    value: "FILE",
    help: {
      en: "list of banned addresses. Needs -R -W",
      zh: "封禁地址的列表。需要 -R -W",
    },
  },
  "password-file": {
    value: "FILE",
    help: {
      en: "ask clients for the password in this file. Needs -R",
      zh: "要求客户端输入该文件中的密码。需要 -R",
    },
  },
  "hide-addresses": {
    help: {
      en: "name new members guest-1, guest-2, not HOST:PORT",
      zh: "新成员的名字为 guest-1、guest-2，而不是 HOST:PORT",
    },
  },
  nats: {
    value: "URL",
    heading: { en: "Several servers:", zh: "多台服务器：" },
    help: {
      en: "share the room on NATS, nats://HOST:PORT[,...]",
      zh: "通过 NATS 共用聊天室，nats://HOST:PORT[,...]",
    },
  },
  room: {
    value: "NAME",
    default: "main",
    help: { en: "room of the servers", zh: "服务器共用的聊天室" },
  },
  "nats-creds": {
    value: "FILE",
    help: {
      en: "credentials, USER:PASSWORD or a token. Needs -R",
      zh: "凭据文件、USER:PASSWORD 或令牌。需要 -R",
    },
  },
  log: {
    choices: ["off", "text", "json"],
    heading: { en: "Log:", zh: "日志：" },
    help: {
      en: "joins and leaves; errors are always logged (default off)",
      zh: "记录成员进出；总会记录错误（默认 off）",
    },
  },
  "log-messages": {
    help: {
      en: "messages, too (as text, unless --log json)",
      zh: "同时记录消息（除非 --log json，否则为文本）",
    },
  },
  help: {
    short: "h",
    heading: { en: "Other:", zh: "其他：" },
    help: { en: "print this help", zh: "显示本帮助" },
  },
  version: {
    short: "V",
    help: { en: "print the version", zh: "显示版本" },
  },
} as const satisfies Options;

/** Returns the text of `--help`. */
export function helpText(lang: Lang): string {
  const program = programName("linechat", "server");
  const intro = {
    en: `linechat ${config.version}

A TCP chat server: every line that one client sends reaches all.

Usage: ${program} [options]
`,
    zh: `linechat ${config.version}

TCP 聊天服务器：每个客户端发送的每一行都会广播给所有人。

用法：${program} [选项]
`,
  };
  return intro[lang] + formatOptions(OPTIONS, lang);
}
