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

/** Runs a program on the files. */
async function run(command: string, args: string[]) {
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
}

/** Registers a test that needs a program. It is ignored if that is not installed. */
async function programTest(
  program: string,
  name: string,
  fn: () => Promise<void>,
): Promise<void> {
  const isMissing = await run(program, ["--version"]).then(
    () => false,
    (error) => error instanceof Deno.errors.NotFound,
  );
  const note = isMissing ? ` (not run: ${program} is missing)` : "";
  Deno.test({ name: name + note, ignore: isMissing, fn });
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

  await programTest(
    "groff",
    `the manual page of ${command} has no warnings`,
    async () => {
      const lint = await run("groff", ["-man", "-ww", "-z", `${command}.1`]);
      assertEquals(lint, { success: true, output: "", errors: "" });
    },
  );
}

/** Returns the completions that bash offers for the last word. */
async function completeInBash(...words: string[]): Promise<string[]> {
  const list = words.map((word) => `'${word}'`).join(" ");
  const { output } = await run("bash", [
    "-c",
    `. ./linechat-netcat.bash
COMP_WORDS=(linechat-netcat ${list}) COMP_CWORD=${words.length}
_linechat_netcat
printf '%s\\n' "\${COMPREPLY[@]}"`,
  ]);
  return output.trim().split("\n");
}

await programTest(
  "bash",
  "bash completes options and their values",
  async () => {
    assertEquals(
      (await completeInBash("--")).filter((word) => word.startsWith("--")),
      Object.keys(OPTIONS).map((name) => `--${name}`),
    );
    assertEquals(await completeInBash("--no"), ["--no-time"]);
    assertEquals(await completeInBash("--bell", "m"), ["mention"]);
    assertEquals(await completeInBash("--ca", "linechat-netcat.b"), [
      "linechat-netcat.bash",
    ]);
    assertEquals(await completeInBash("--name", ""), [""]);
  },
);

await programTest("zsh", "zsh accepts its completion", async () => {
  const result = await run("zsh", ["-f", "-n", "_linechat-netcat"]);
  assertEquals(result, { success: true, output: "", errors: "" });
});

await programTest(
  "fish",
  "fish completes options and their values",
  async () => {
    const complete = (line: string) =>
      run("fish", [
        "--no-config",
        "-c",
        `source linechat-netcat.fish; complete -C '${line}'`,
      ]);
    const choices = await complete("linechat-netcat --bell ");
    assertEquals(
      choices.output.trim().split("\n").map((row) => row.split("\t")[0]),
      ["all", "mention", "never"],
    );
    const options = await complete("linechat-netcat --no-");
    assert(options.output.startsWith("--no-time\t"), options.output);
  },
);
