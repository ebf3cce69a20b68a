// Copyright 2026 the linechat authors. MIT license.

import type { Options } from "../cli.ts";
import { LANGS } from "../mod.ts";

/** The port of a server if none is given. */
export const DEFAULT_PORT = 8000;

/** The options of the client. */
export const OPTIONS = {
  port: {
    short: "p",
    value: "PORT",
    min: 1,
    max: 65_535,
    help: {
      en: `the server's port, 1 to 65535 (default ${DEFAULT_PORT})`,
      zh: `服务器的端口，1 到 65535（默认 ${DEFAULT_PORT}）`,
    },
  },
  unix: {
    value: "PATH",
    help: {
      en: "connect to a Unix socket; needs -R -W",
      zh: "连接 Unix 套接字，需要 -R -W",
    },
  },
  tls: {
    help: {
      en: "use TLS, and check the server's certificate",
      zh: "使用 TLS，并验证服务器证书",
    },
  },
  ca: {
    value: "FILE",
    help: {
      en: "trust the certificates in this file, too; needs -R",
      zh: "同时信任该 PEM 文件中的证书，需要 -R",
    },
  },
  name: {
    value: "NAME",
    help: {
      en: "set your name on connecting",
      zh: "连接后设置名字",
    },
  },
  "password-file": {
    value: "FILE",
    help: {
      en: "read the room's password from this file; needs -R",
      zh: "从该文件读取聊天室的密码，需要 -R",
    },
  },
  reconnect: {
    heading: { en: "In a terminal:", zh: "在终端中：" },
    help: {
      en: "reconnect if the connection is lost",
      zh: "连接断开后自动重连",
    },
  },
  "no-time": {
    help: {
      en: "do not show the time before each line",
      zh: "不在每行前显示时间",
    },
  },
  bell: {
    choices: ["mention", "all", "never"],
    default: "mention",
    help: {
      en: "when to ring the bell",
      zh: "何时响铃",
    },
  },
  history: {
    value: "FILE",
    help: {
      en: "keep entered lines in this file; needs -R -W",
      zh: "把输入历史（↑ 键）保存到该文件，需要 -R -W",
    },
  },
  lang: {
    choices: LANGS,
    heading: { en: "Other:", zh: "其他：" },
    help: {
      en: "language of this program (default: the system's)",
      zh: "本程序的语言（默认跟随系统）",
    },
  },
  help: {
    short: "h",
    help: { en: "print this help", zh: "显示此帮助" },
  },
  version: {
    short: "V",
    help: { en: "print the version", zh: "显示版本" },
  },
} as const satisfies Options;
