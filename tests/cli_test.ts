import { assertEquals } from "@std/assert";
import {
  explain,
  formatOptions,
  integer,
  languageOf,
  parseOptions,
  quote,
  UsageError,
} from "../cli.ts";

const help = { en: "", zh: "" };
const TABLE = {
  port: { short: "p", value: "N", min: 0, max: 65535, multiple: true, help },
  rate: { value: "N", min: 0, max: 10, default: 3, help },
  motd: { value: "TEXT", help },
  log: { choices: ["off", "text", "json"], default: "off", help },
  quiet: { help },
} as const;

const parse = (...args: string[]) => parseOptions(TABLE, args, "en");

/** Returns the message of the usage error that a function throws. */
function usageError(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error("The arguments were not refused");
}

const refusal = (...args: string[]) => usageError(() => parse(...args));

Deno.test("parseOptions returns the default of an option that is not given", () => {
  const { port, rate, motd, log, quiet } = parse().values;
  assertEquals(
    { port, rate, motd, log, quiet },
    { port: [], rate: 3, motd: undefined, log: "off", quiet: false },
  );
});

Deno.test("parseOptions accepts each form of a value", () => {
  const { values } = parse("-p", "1", "-p2", "--port=3", "--port", "4");
  assertEquals(values.port, [1, 2, 3, 4]);
  assertEquals(parse("--motd=--x").values.motd, "--x");
  assertEquals(parse("--log", "json", "--quiet").values.log, "json");
});

Deno.test("parseOptions returns the other arguments in their order", () => {
  assertEquals(parse("a", "-p", "1", "b", "--", "--rate", "").rest, [
    "a",
    "b",
    "--rate",
    "",
  ]);
});

Deno.test("parseOptions refuses a value with the rule that it breaks", () => {
  const rule = "must be an integer from 0 to 10";
  for (const value of ["-1", "11", "x", "1.5", "1e1", "0x1"]) {
    assertEquals(refusal("--rate", value), `Invalid --rate ${value}: ${rule}`);
  }
  assertEquals(refusal("--rate= "), `Invalid --rate " ": ${rule}`);
  assertEquals(
    refusal("--log", "xml"),
    "Invalid --log xml: must be off, text, or json",
  );
});

Deno.test("parseOptions refuses an option without its value", () => {
  const missing = "Missing value for --motd: write --motd TEXT";
  assertEquals(refusal("--motd"), missing);
  assertEquals(refusal("--motd="), missing);
  assertEquals(refusal("--motd", "--quiet"), missing);
  assertEquals(refusal("--motd", "--", "text"), missing);
  assertEquals(
    refusal("--log"),
    "Missing value for --log: write --log off|text|json",
  );
});

Deno.test("parseOptions refuses unknown options", () => {
  for (const arg of ["--foo", "--foo=1", "-x", "-xp", "-1"]) {
    assertEquals(refusal(arg), `Unknown argument ${arg}: see --help`);
  }
});

Deno.test("messages are in the language that --lang names", () => {
  assertEquals(languageOf(["--lang", "zh"]), "zh");
  assertEquals(languageOf(["--lang=zh", "--lang", "en"]), "en");
  assertEquals(
    usageError(() => integer("--rate", "x", 0, 10, "zh")),
    "--rate 的值 x 无效：必须是 0 到 10 之间的整数",
  );
  assertEquals(
    explain(new Error("No route to host (os error 113)"), "en"),
    "no route to the host",
  );
  assertEquals(explain(new Deno.errors.AddrInUse(), "zh"), "地址已被占用");
});

Deno.test("formatOptions aligns the texts and adds headings and defaults", () => {
  const table = {
    port: {
      short: "p",
      value: "N",
      default: 8000,
      help: { en: "A", zh: "甲" },
    },
    log: {
      choices: ["off", "on"],
      heading: { en: "Log", zh: "日志" },
      help: { en: "B", zh: "乙" },
    },
  };
  assertEquals(
    formatOptions(table, "en"),
    `  -p, --port N  A (default 8000)

Log
  --log off|on  B`,
  );
  assertEquals(
    formatOptions(table, "zh").split("\n")[0],
    "  -p, --port N  甲（默认 8000）",
  );
});

Deno.test("explain names the reason in one line", () => {
  assertEquals(
    explain(new Deno.errors.AddrInUse("x"), "en"),
    "address already in use",
  );
  assertEquals(
    explain(new Error("No space left on device (os error 28)"), "en"),
    "the disk is full",
  );
  assertEquals(explain(new Error("one\n  two"), "en"), "one two");
  assertEquals(explain("text", "en"), "text");
});

Deno.test("quote keeps plain words and quotes other values in one line", () => {
  assertEquals(quote("-1"), "-1");
  assertEquals(quote("[::1]:80"), "[::1]:80");
  assertEquals(quote(""), '""');
  assertEquals(quote("a b\n"), '"a b\\n"');
});
