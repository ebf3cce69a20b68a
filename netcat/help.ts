// Copyright 2026 the linechat authors. MIT license.

import { formatOptions, programName } from "../cli.ts";
import config from "../deno.json" with { type: "json" };
import type { Lang } from "../mod.ts";
import { OPTIONS } from "./options.ts";

/** The parts of `--help` and of the manual page, without the options. */
export const ABOUT = {
  description: {
    en:
      `Copies stdin to a TCP server, and the bytes of the server to stdout. In a
terminal, it is a chat client: messages appear above your input line.`,
    zh: `把标准输入发送到 TCP 服务器，并输出服务器发来的内容。
在终端中它是聊天客户端：收到的消息显示在输入行上方。`,
  },
  targets: [
    ["HOST", { en: "a name or an address", zh: "主机名或地址" }],
    ["HOST PORT, HOST:PORT", { en: "with a port", zh: "带端口" }],
    ["[IPV6]:PORT", {
      en: "an IPv6 address with a port",
      zh: "IPv6 地址和端口",
    }],
    ["linechat://HOST:PORT", {
      en: "the same as HOST:PORT",
      zh: "同 HOST:PORT",
    }],
    ["linechats://HOST:PORT", { en: "with TLS", zh: "使用 TLS" }],
  ],
  examples: [
    ["", {
      en: "connect to localhost:8000",
      zh: "连接 localhost:8000",
    }],
    ["--name ann --reconnect linechats://chat.example:8443", {
      en: "chat with TLS as ann",
      zh: "以 ann 的名字通过 TLS 聊天",
    }],
    ["[::1]:8000 <file", {
      en: "send the lines of a file",
      zh: "发送文件中的各行",
    }],
  ],
  keys: [
    ["Tab", {
      en: "complete a command or a name",
      zh: "补全命令或名字",
    }],
    ["Up, Down", {
      en: "recall entered lines",
      zh: "找回输入过的行",
    }],
    ["Ctrl-D", { en: "leave", zh: "离开" }],
    ["Ctrl-C", { en: "leave at once", zh: "立即离开" }],
    ["Ctrl-Z", {
      en: "suspend; fg brings it back",
      zh: "挂起，用 fg 恢复",
    }],
  ],
  exitCodes: [
    ["0", {
      en: "the server closed the connection, or you left",
      zh: "服务器关闭了连接，或者你离开了",
    }],
    ["1", {
      en: "the connection failed, broke or was refused",
      zh: "连接失败、中断或被拒绝",
    }],
    ["2", { en: "wrong usage", zh: "用法错误" }],
    ["128+N", {
      en: "ended by signal N, for example 130 for Ctrl-C",
      zh: "被信号 N 终止，例如 Ctrl-C 为 130",
    }],
  ],
} as const;

const HEADINGS = {
  usage: { en: "Usage", zh: "用法" },
  server: { en: "SERVER is one of", zh: "SERVER 的写法" },
  options: { en: "Options", zh: "选项" },
  keys: { en: "Keys in a terminal", zh: "终端中的按键" },
  exitCodes: { en: "Exit codes", zh: "退出码" },
  examples: { en: "Examples", zh: "示例" },
};

/** Returns the text of `--help`. */
export function helpText(lang: Lang): string {
  const program = programName("linechat-netcat", "netcat");
  const [colon, space] = { en: [":", " "], zh: ["：", ""] }[lang];
  const section = (
    name: keyof typeof HEADINGS,
    rows: readonly (readonly [string, Readonly<Record<Lang, string>>])[],
  ) => {
    const width = Math.max(...rows.map(([left]) => left.length));
    return [
      HEADINGS[name][lang] + colon,
      ...rows.map(([left, text]) => `  ${left.padEnd(width)}  ${text[lang]}`),
    ].join("\n");
  };
  const examples = ABOUT.examples.map(([args, text]) =>
    `  ${program} ${args}`.trimEnd() + `\n      ${text[lang]}`
  );
  return [
    `linechat-netcat ${config.version}`,
    ABOUT.description[lang],
    `${HEADINGS.usage[lang]}${colon}${space}${program} [${
      { en: "options", zh: "选项" }[lang]
    }] [SERVER]`,
    section("server", ABOUT.targets),
    `${HEADINGS.options[lang]}${colon}\n${formatOptions(OPTIONS, lang)}`,
    section("keys", ABOUT.keys),
    section("exitCodes", ABOUT.exitCodes),
    `${HEADINGS.examples[lang]}${colon}\n${examples.join("\n")}`,
  ].join("\n\n");
}
