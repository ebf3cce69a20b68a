// Copyright 2026 the linechat authors. MIT license.

/**
 * Helpers that the commands `server.ts` and `netcat.ts` share: a table of options,
 * from which arguments are parsed and `--help` is printed, and error messages in
 * English and Chinese.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import config from "./deno.json" with { type: "json" };
import { type Lang, LANGS, printable } from "./mod.ts";

/** A text for users, in each language. */
export type Text = Readonly<Record<Lang, string>>;

/** An error that the user can act on. The command prints the message only. */
class ExplainedError extends Error {
  constructor(text: Text, lang: Lang) {
    super(text[lang]);
  }
}

/** Wrong usage. The command exits with 2. */
export class UsageError extends ExplainedError {}

/** A failure of a command that is used correctly. The command exits with 1. */
export class CommandError extends ExplainedError {}

/** Runs a command, and exits with the code that it returns, or 1 or 2 for an error. */
export async function run(
  main: (args: string[], lang: Lang) => Promise<number>,
): Promise<never> {
  const lang = languageOf(Deno.args);
  const code = await main(Deno.args, lang).catch((error) => {
    try {
      console.error(
        error instanceof ExplainedError ? error.message : explain(error, lang),
      );
    } catch {
      // stderr cannot be written to, for example because the disk is full.
    }
    return error instanceof UsageError ? 2 : 1;
  });
  Deno.exit(code);
}

/** Prints a line to stdout. */
export function print(line: string, lang: Lang): void {
  try {
    console.log(line);
  } catch (error) {
    const reason = explain(error, lang);
    throw new CommandError({
      en: `Cannot write to stdout: ${reason}`,
      zh: `无法写入标准输出：${reason}`,
    }, lang);
  }
}

/** Returns the command that starts a program: a binary, a script or a package. */
export function programName(
  binary: string,
  module: "server" | "netcat",
): string {
  if (Deno.build.standalone) return binary;
  return import.meta.url.startsWith("file:")
    ? `deno run -N ${module}.ts`
    : `deno run -N jsr:${config.name}/${module}`;
}

/** Returns the language that `--lang` names, or else the system's language. */
export function languageOf(args: readonly string[]): Lang {
  const index = args.findLastIndex((arg) => /^--lang(=|$)/.test(arg));
  const given = args[index]?.slice("--lang=".length) || args[index + 1];
  return LANGS.find((lang) => index >= 0 && lang === given) ??
    LANGS.find((lang) => navigator.language.startsWith(lang)) ?? "en";
}

/**
 * An option of a command. Without `value` and `choices`, it is a switch. With `min` and
 * `max`, its value is an integer.
 */
export interface Option {
  /** The one-letter form. */
  short?: string;
  /** The placeholder of the value in `--help`. */
  value?: string;
  /** The values to choose from. */
  choices?: readonly string[];
  min?: number;
  max?: number;
  /** The value if the option is not given. */
  default?: string | number;
  /** Whether the option can be given more than once. */
  multiple?: boolean;
  /** The title of the section of `--help` that begins with this option. */
  heading?: Text;
  help: Text;
}

/** The options of a command by name, in the order of `--help`. */
export type Options = Readonly<Record<string, Option>>;

type Value<T extends Option> = T extends { min: number } ? number
  : T extends { choices: readonly (infer Choice)[] } ? Choice
  : T extends { value: string } ? string
  : boolean;

/** The parsed values of a table of options. */
export type Values<T extends Options> = {
  [Name in keyof T]: T[Name] extends { multiple: true } ? Value<T[Name]>[]
    : T[Name] extends { default: string | number } ? Value<T[Name]>
    : T[Name] extends { value: string } | { choices: readonly string[] }
      ? Value<T[Name]> | undefined
    : boolean;
};

/**
 * Parses arguments by a table of options.
 *
 * @returns The value of each option, and the arguments that are not options.
 * @throws {UsageError} If an option is unknown or its value is invalid.
 */
export function parseOptions<const T extends Options>(
  table: T,
  args: readonly string[],
  lang: Lang,
): { values: Values<T>; rest: string[] } {
  const entries = Object.entries<Option>(table);
  const takesValue = entries.filter(([, option]) => hasValue(option));
  const rest: string[] = [];
  const flags: Record<string, unknown> = parseArgs(
    joinValues(args, takesValue),
    {
      boolean: entries.filter(([, option]) => !hasValue(option))
        .map(([name]) => name),
      string: takesValue.map(([name]) => name),
      collect: entries.filter(([, option]) => option.multiple)
        .map(([name]) => name),
      alias: Object.fromEntries(
        entries.flatMap(([name, { short }]) => short ? [[name, short]] : []),
      ),
      unknown: (arg: string, key?: string) => {
        if (key !== undefined) throw unknownArgument(arg, lang);
        rest.push(arg);
        return false;
      },
    },
  );
  for (const [name, option] of takesValue) {
    const check = (value: string) => checkValue(name, option, value, lang);
    const given = flags[name];
    flags[name] = Array.isArray(given)
      ? given.map(check)
      : given === undefined
      ? option.default
      : check(given as string);
  }
  rest.push(...(flags._ as unknown[]).map(String)); // The arguments after "--".
  return { values: flags as Values<T>, rest };
}

/** Returns the error for an argument that the command does not know. */
export function unknownArgument(arg: string, lang: Lang): UsageError {
  return new UsageError({
    en: `Unknown argument ${quote(arg)}: see --help`,
    zh: `未知参数 ${quote(arg)}：请参阅 --help`,
  }, lang);
}

function hasValue({ value, choices }: Option): boolean {
  return value !== undefined || choices !== undefined;
}

/**
 * Joins options and their values, so that `--rate -1` is parsed like `--rate=-1`.
 * An argument that looks like an option is not a value.
 */
function joinValues(
  args: readonly string[],
  takesValue: [string, Option][],
): string[] {
  const names = new Set(
    takesValue.flatMap(([name, { short }]) => [`--${name}`, `-${short}`]),
  );
  const joined: string[] = [];
  for (let i = 0; i < args.length && args[i] !== "--"; i++) {
    const next = args[i + 1];
    const isValue = next !== undefined && !/^-(?!\d)/.test(next);
    joined.push(
      names.has(args[i]) && isValue ? `${args[i]}=${args[++i]}` : args[i],
    );
  }
  const end = args.indexOf("--");
  return end < 0 ? joined : [...joined, ...args.slice(end)];
}

function checkValue(
  name: string,
  { value: placeholder, choices, min, max }: Option,
  value: string,
  lang: Lang,
): string | number {
  if (value === "") {
    const form = `--${name} ${placeholder ?? choices!.join("|")}`;
    throw new UsageError({
      en: `Missing value for --${name}: write ${form}`,
      zh: `--${name} 缺少值：请写成 ${form}`,
    }, lang);
  }
  if (choices && !choices.includes(value)) {
    throw invalid(`--${name}`, value, oneOf(choices), lang);
  }
  return min === undefined || max === undefined
    ? value
    : integer(`--${name}`, value, min, max, lang);
}

/**
 * Parses an integer in decimal digits.
 *
 * @throws {UsageError} If the value is not an integer, or is out of range.
 */
export function integer(
  name: string,
  value: string,
  min: number,
  max: number,
  lang: Lang,
): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && min <= number && number <= max) return number;
  throw invalid(name, value, {
    en: `must be an integer from ${min} to ${max}`,
    zh: `必须是 ${min} 到 ${max} 之间的整数`,
  }, lang);
}

/** Returns the error for a value that breaks a rule. */
export function invalid(
  name: string,
  value: string,
  rule: Text,
  lang: Lang,
): UsageError {
  const space = /^\p{Script=Han}/u.test(name) ? "" : " ";
  return new UsageError({
    en: `Invalid ${name} ${quote(value)}: ${rule.en}`,
    zh: `${name}${space}的值 ${quote(value)} 无效：${rule.zh}`,
  }, lang);
}

function oneOf(choices: readonly string[]): Text {
  const list = new Intl.ListFormat("en", { type: "disjunction" });
  return {
    en: `must be ${list.format(choices)}`,
    zh: `必须是 ${choices.join("、")} 之一`,
  };
}

/** Formats a table of options for `--help`. */
export function formatOptions(table: Options, lang: Lang): string {
  const rows = Object.entries(table).map(([name, option]) => {
    const { short, value, choices, heading, help } = option;
    const flag = short === undefined ? `--${name}` : `-${short}, --${name}`;
    const form = `${flag} ${value ?? choices?.join("|") ?? ""}`.trimEnd();
    const note = option.default === undefined ? "" : {
      en: ` (default ${option.default})`,
      zh: `（默认 ${option.default}）`,
    }[lang];
    return { form, text: help[lang] + note, heading: heading?.[lang] };
  });
  const width = Math.max(...rows.map(({ form }) => form.length));
  return rows.map(({ form, text, heading }) =>
    (heading === undefined ? "" : `\n${heading}\n`) +
    `  ${form.padEnd(width)}  ${text}`
  ).join("\n");
}

/** Returns the error for a file that cannot be read. */
export function unreadable(
  path: string,
  error: unknown,
  lang: Lang,
): CommandError {
  const reason = explain(error, lang);
  return new CommandError({
    en: `Cannot read ${quote(path)}: ${reason}`,
    zh: `无法读取 ${quote(path)}：${reason}`,
  }, lang);
}

/** Maximum size of a password, in bytes. A longer line of a client is split. */
const MAX_PASSWORD = 500;

/**
 * Reads the password in the first line of a file.
 *
 * @throws {CommandError} If the file cannot be read or has no password.
 */
export async function readPassword(path: string, lang: Lang): Promise<string> {
  const text = await Deno.readTextFile(path).catch((error) => {
    throw unreadable(path, error, lang);
  });
  const password = printable(text.split("\n")[0]);
  const { length } = new TextEncoder().encode(password);
  if (length > 0 && length <= MAX_PASSWORD) return password;
  throw new CommandError({
    en: `Cannot use ${quote(path)}: its first line must be a password ` +
      `of 1 to ${MAX_PASSWORD} bytes`,
    zh: `无法使用 ${quote(path)}：第一行必须是 1 到 ${MAX_PASSWORD} 字节的密码`,
  }, lang);
}

/** Quotes an argument for a message, in one line. A plain word needs no quotes. */
export function quote(value: string): string {
  return /^[\w.:/@%+=~[\]-]+$/.test(value) ? value : JSON.stringify(value);
}

/** Reasons of errors, by the class of the error or by its message. */
const REASONS: [(new (message?: string) => Error) | RegExp, Text][] = [
  [Deno.errors.AddrInUse, { en: "address already in use", zh: "地址已被占用" }],
  [Deno.errors.AddrNotAvailable, {
    en: "this machine does not have that address",
    zh: "本机没有该地址",
  }],
  [Deno.errors.ConnectionRefused, {
    en: "connection refused",
    zh: "连接被拒绝",
  }],
  [Deno.errors.ConnectionReset, { en: "connection reset", zh: "连接被重置" }],
  [Deno.errors.TimedOut, { en: "connection timed out", zh: "连接超时" }],
  [Deno.errors.NotFound, {
    en: "no such file or directory",
    zh: "文件或目录不存在",
  }],
  [Deno.errors.NotADirectory, {
    en: "a part of the path is not a directory",
    zh: "路径中的某一部分不是目录",
  }],
  [Deno.errors.IsADirectory, { en: "it is a directory", zh: "它是一个目录" }],
  [Deno.errors.PermissionDenied, { en: "permission denied", zh: "权限不足" }],
  [/--allow-net/, {
    en: "network access is not allowed, run with -N",
    zh: "没有网络权限，运行时请加 -N",
  }],
  [/--allow-read/, {
    en: "reading files is not allowed, run with -R",
    zh: "没有读取文件的权限，运行时请加 -R",
  }],
  [/--allow-write/, {
    en: "writing files is not allowed, run with -W",
    zh: "没有写入文件的权限，运行时请加 -W",
  }],
  [/no route to host/i, {
    en: "no route to the host",
    zh: "没有到该主机的路由",
  }],
  [/network is unreachable/i, {
    en: "the network is unreachable",
    zh: "网络不可达",
  }],
  [/failed to lookup address|invalid host/, {
    en: "host not found",
    zh: "找不到主机",
  }],
  [/os error 24\b|EMFILE/, {
    en: "too many open files",
    zh: "打开的文件过多",
  }],
  [/os error 28\b|ENOSPC/, { en: "the disk is full", zh: "磁盘已满" }],
];

/** Returns the reason of an error in a few words, or else the error's message. */
export function explain(error: unknown, lang: Lang): string {
  const message = error instanceof Error ? error.message : String(error);
  const reason = REASONS.find(([cause]) =>
    cause instanceof RegExp ? cause.test(message) : error instanceof cause
  );
  return reason?.[1][lang] ?? message.replace(/\s*\n\s*/g, " ");
}
