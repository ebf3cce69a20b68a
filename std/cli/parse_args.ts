/** A stand-in for `@std/cli/parse-args`: see ../README.md. */

import { parseArgs as parse } from "node:util";

/** What this project uses of the real `parseArgs`' options. */
export interface ParseOptions {
  /** Options that are true where they are given, and else false. */
  boolean?: readonly string[];
  /** Options that take a string; with `"_"`, what has no name stays one. */
  string?: readonly string[];
  /** One-letter names of options. */
  alias?: Readonly<Record<string, string>>;
  /** The values of options that are not given. */
  default?: Readonly<Record<string, unknown>>;
  /** Is asked about all that is not named above; what it returns `false` for is left out. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** The options by name, and in `_` what has none. */
// deno-lint-ignore no-explicit-any
export type Args = { _: (string | number)[]; [name: string]: any };

/** Parses command-line arguments. */
export function parseArgs(
  args: readonly string[],
  {
    boolean = [],
    string = [],
    alias = {},
    default: defaults = {},
    unknown = () => true,
  }: ParseOptions = {},
): Args {
  const named = string.filter((name) => name !== "_");
  const result: Args = { _: [] };
  const set = (name: string, value: unknown) => {
    result[name] = value;
    if (alias[name]) result[alias[name]] = value;
  };
  const option = (type: "boolean" | "string") => (name: string) =>
    [name, { type, ...(alias[name] && { short: alias[name] }) }] as const;

  const { tokens } = parse({
    args: args.map((arg, i) => {
      // Node takes a value that looks like an option for one; the real one
      // takes the option to have none.
      const name = named.find((name) =>
        arg === `--${name}` || arg === `-${alias[name]}`
      );
      const next = args[i + 1] ?? "";
      return name && (next === "" || next.startsWith("-")) ? `--${name}=` : arg;
    }),
    options: Object.fromEntries([
      ...boolean.map(option("boolean")),
      ...named.map(option("string")),
    ]),
    strict: false,
    tokens: true,
  });

  for (const token of tokens) {
    if (token.kind === "positional") {
      const { value } = token;
      if (unknown(value) === false) continue;
      const isNumber = value.trim() !== "" && Number.isFinite(Number(value));
      result._.push(isNumber && !string.includes("_") ? Number(value) : value);
    } else if (token.kind === "option") {
      const { name, rawName, value, inlineValue } = token;
      if (named.includes(name)) {
        const short = !rawName.startsWith("--");
        set(name, short && inlineValue ? value!.replace(/^=/, "") : value);
      } else if (boolean.includes(name)) {
        set(name, value !== "false");
      } else {
        const arg = inlineValue ? `${rawName}=${value}` : rawName;
        if (unknown(arg, name, value ?? true) !== false) {
          set(name, value ?? true);
        }
      }
    }
  }

  for (const [name, value] of Object.entries(defaults)) {
    if (!(name in result)) set(name, value);
  }
  for (const name of boolean) if (!(name in result)) set(name, false);
  return result;
}
