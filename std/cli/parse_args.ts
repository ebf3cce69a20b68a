/** A stand-in for `@std/cli/parse-args`: see ../README.md. */

/** The options of `parseArgs` that this project uses. */
export interface ParseOptions {
  /** Options without a value: true if given, otherwise false. */
  boolean?: readonly string[];
  /** Options that take a string. */
  string?: readonly string[];
  /** Options that can be repeated. Their value is an array. */
  collect?: readonly string[];
  /** Other names of options. */
  alias?: Readonly<Record<string, string>>;
  /** The values of options that are not given. */
  default?: Readonly<Record<string, unknown>>;
  /** Called for each argument that is not named above. If it returns `false`, the argument is omitted. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** The options by name, and the other arguments in `_`. */
// deno-lint-ignore no-explicit-any
export type Args = { _: (string | number)[]; [name: string]: any };

/** Parses command-line arguments. */
export function parseArgs(
  args: readonly string[],
  {
    boolean = [],
    string = [],
    collect = [],
    alias = {},
    default: defaults = {},
    unknown = () => true,
  }: ParseOptions = {},
): Args {
  const result: Args = { _: [] };
  const aliases = new Map(
    Object.entries(alias).flatMap(([a, b]) => [[a, b], [b, a]]),
  );
  const isIn = (names: readonly string[], name: string) =>
    names.includes(name) || names.includes(aliases.get(name)!);
  const assign = (name: string, value: unknown) => {
    result[name] = value;
    if (aliases.has(name)) result[aliases.get(name)!] = value;
  };
  const add = (name: string, value: unknown) =>
    assign(name, isIn(collect, name) ? [...result[name] ?? [], value] : value);
  const set = (name: string, value: string | boolean, arg: string) => {
    const known = isIn(boolean, name) || isIn(string, name) ||
      aliases.has(name);
    if (!known && unknown(arg, name, value) === false) return;
    add(name, isIn(string, name) ? value : toNumber(value));
  };

  const separator = args.indexOf("--");
  const rest = separator < 0 ? [] : args.slice(separator + 1);
  const queue = separator < 0 ? [...args] : args.slice(0, separator);

  const noValue = (name: string) => isIn(string, name) ? "" : true;
  /** Takes the next argument if it can be the value of the option. */
  const nextValue = (name: string, option: RegExp): string | boolean => {
    const next = queue[0] ?? "";
    const takesAny = !isIn(boolean, name);
    if (takesAny && next !== "" && !option.test(next)) return queue.shift()!;
    if (/^(true|false)$/.test(next)) return queue.shift() === "true";
    return noValue(name);
  };

  for (let arg; (arg = queue.shift()) !== undefined;) {
    if (/^--./s.test(arg)) {
      const [, name, value] = /^--(.+?)(?:=(.*))?$/s.exec(arg)!;
      if (value === undefined) set(name, nextValue(name, /^-/), arg);
      else set(name, isIn(boolean, name) ? value !== "false" : value, arg);
    } else if (/^-./s.test(arg)) { // letters
      for (let i = 1; i < arg.length; i++) {
        const name = arg[i];
        const tail = arg.slice(i + 1);
        const value = attachedValue(name, tail);
        if (value !== undefined) {
          set(name, value, arg);
          break;
        }
        set(name, tail ? noValue(name) : nextValue(name, /^--?[^-]/), arg);
      }
    } else if (unknown(arg) !== false) {
      result._.push(toNumber(arg));
    }
  }
  result._.push(...rest);

  for (const [name, value] of Object.entries(defaults)) {
    if (!Object.hasOwn(result, name)) assign(name, value);
  }
  for (const name of collect) {
    if (!Object.hasOwn(result, name)) assign(name, []);
  }
  for (const name of boolean) {
    if (!Object.hasOwn(result, name)) assign(name, false);
  }
  return result;
}

/** Returns the value after the letter of an option: `-p80`, `-p=80` or `-p/80`. */
function attachedValue(letter: string, tail: string): string | undefined {
  if (tail === "=") return "";
  if (tail === "-") return tail;
  if (/[a-z]/i.test(letter)) {
    const value = /=(.+)/.exec(tail)?.[1];
    if (value || /\d\.?$/.test(tail)) return value ?? tail;
  }
  if (/^\W./s.test(tail)) return tail;
}

/** Converts text that is a number. */
function toNumber<T>(value: T): T | number {
  return typeof value === "string" && value.trim() !== "" &&
      Number.isFinite(Number(value))
    ? Number(value)
    : value;
}
