/** Tests the manual pages and the shell completions. */

import { assert, assertEquals } from "@std/assert";
import { OPTIONS } from "../netcat/options.ts";
import { OPTIONS as SERVER_OPTIONS } from "../server/options.ts";
import { manualFiles } from "../scripts/manual.ts";

const directory = await Deno.makeTempDir();
Deno.test.afterAll(() => Deno.remove(directory, { recursive: true }));
for (const [name, text] of manualFiles()) {
  await Deno.writeTextFile(`${directory}/${name}`, text);
}

/** Runs a program on the files. Returns undefined if it is not installed. */
async function run(command: string, args: string[]) {
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, {
      args,
      cwd: directory,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return {
      success,
      output: decoder.decode(stdout),
      errors: decoder.decode(stderr),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The commands and the options of each. */
const COMMANDS = { "linechat": SERVER_OPTIONS, "linechat-netcat": OPTIONS };

for (const [command, options] of Object.entries(COMMANDS)) {
  Deno.test(`each file of ${command} has every option`, () => {
    const files = manualFiles();
    for (const option of Object.keys(options)) {
      const forms = {
        [`${command}.1`]: `--${option}`.replaceAll("-", "\\-"),
        [`${command}.bash`]: `--${option}`,
        [`_${command}`]: `--${option}[`,
        [`${command}.fish`]: `-l ${option} `,
      };
      for (const [file, form] of Object.entries(forms)) {
        assert(files.get(file)?.includes(form), `${file} lacks ${form}`);
      }
    }
  });

  Deno.test(`the manual page of ${command} has no warnings`, async () => {
    const lint = await run("groff", ["-man", "-ww", "-z", `${command}.1`]);
    if (lint === undefined) return console.log("not run: groff is missing");
    assertEquals(lint, { success: true, output: "", errors: "" });
  });
}

/** Returns the completions that bash offers for the last word. */
async function completeInBash(...words: string[]) {
  const list = words.map((word) => `'${word}'`).join(" ");
  return await run("bash", [
    "-c",
    `. ./linechat-netcat.bash
COMP_WORDS=(linechat-netcat ${list}) COMP_CWORD=${words.length}
_linechat_netcat
printf '%s\\n' "\${COMPREPLY[@]}"`,
  ]);
}

Deno.test("bash completes options and their values", async () => {
  const all = await completeInBash("--");
  if (all === undefined) return console.log("not run: bash is missing");
  assertEquals(
    all.output.trim().split("\n").filter((word) => word.startsWith("--")),
    Object.keys(OPTIONS).map((name) => `--${name}`),
  );
  const words = async (...words: string[]) =>
    (await completeInBash(...words))?.output.trim().split("\n");
  assertEquals(await words("--no"), ["--no-time"]);
  assertEquals(await words("--bell", "m"), ["mention"]);
  assertEquals(await words("--ca", "linechat-netcat.b"), [
    "linechat-netcat.bash",
  ]);
  assertEquals(await words("--name", ""), [""]);
});

Deno.test("zsh accepts its completion", async () => {
  const result = await run("zsh", ["-f", "-n", "_linechat-netcat"]);
  if (result === undefined) return console.log("not run: zsh is missing");
  assertEquals(result, { success: true, output: "", errors: "" });
});

Deno.test("fish completes options and their values", async () => {
  const complete = (line: string) =>
    run("fish", [
      "--no-config",
      "-c",
      `source linechat-netcat.fish; complete -C '${line}'`,
    ]);
  const choices = await complete("linechat-netcat --bell ");
  if (choices === undefined) return console.log("not run: fish is missing");
  assertEquals(
    choices.output.trim().split("\n").map((row) => row.split("\t")[0]),
    ["all", "mention", "never"],
  );
  const options = await complete("linechat-netcat --no-");
  assert(options?.output.startsWith("--no-time\t"), options?.output);
});
