/** Tests the unit and the image of docs/service.md without installing them. */

import { assert, assertEquals, assertMatch } from "@std/assert";

const root = new URL("..", import.meta.url);
const document = await Deno.readTextFile(new URL("docs/service.md", root));

/** Returns the only code block of a language. */
function block(kind: string): string {
  const [, text] = document.split("```" + kind + "\n");
  assert(text, `docs/service.md shows no ${kind}`);
  return text.split("```")[0];
}

/** Runs systemd-analyze on the unit. Returns undefined without systemd. */
async function analyze(...args: string[]) {
  const directory = await Deno.makeTempDir();
  try {
    const unit = `${directory}/chat.service`;
    // The binary is not installed, so another program replaces it.
    const text = block("ini").replace(
      "/usr/local/bin/chat-server",
      "/bin/true",
    );
    await Deno.writeTextFile(unit, text);
    const { code, stdout, stderr } = await new Deno.Command("systemd-analyze", {
      args: [...args, unit],
      env: { SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "" },
    }).output();
    const output = new TextDecoder().decode(stdout) +
      new TextDecoder().decode(stderr);
    return { code, output };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const verified = await analyze("verify");
const notRun = verified ? "" : " (not run: systemd-analyze is missing)";

Deno.test({
  name: `systemd accepts the unit${notRun}`,
  ignore: !verified,
  fn() {
    assertEquals(verified, { code: 0, output: "" });
  },
});

Deno.test({
  name: `systemd rates the sandbox of the unit at 1.0 to 1.9${notRun}`,
  ignore: !verified,
  async fn() {
    const rated = await analyze("security", "--offline=true", "--threshold=15");
    assertEquals(rated?.code, 0, rated?.output);
    assertMatch(rated!.output, /exposure level for chat\.service: 1\.\d OK/);
  },
});

Deno.test("each setting of the unit is explained", () => {
  const [, tables] = document.split("systemctl enable");
  // Related settings are explained together, for example `ProtectKernel…`.
  const explained = [...tables.matchAll(/`(\w+)(…?)/g)];
  for (const [, name] of block("ini").matchAll(/^(\w+)=/gm)) {
    const isExplained = explained.some(([, start, rest]) =>
      name === start || rest !== "" && name.startsWith(start)
    );
    assert(isExplained || name === "ExecStart", name);
  }
});

Deno.test("the files and the command of the image start a server", async () => {
  const image = block("dockerfile");
  const directory = await Deno.makeTempDir();
  try {
    for (const [, line] of image.matchAll(/^COPY (.*)$/gm)) {
      const names = line.split(" ");
      const target = names.pop();
      for (const name of names) {
        await copyInto(new URL(name, root), `${directory}/${target}`);
      }
    }
    const [, entrypoint] = /^ENTRYPOINT (.*)$/m.exec(image)!;
    const [, options] = /^CMD (.*)$/m.exec(image)!;
    const [, ...args] = JSON.parse(entrypoint);
    await using server = new Deno.Command(Deno.execPath(), {
      args: [...args, ...JSON.parse(options), "--port", "0"],
      cwd: directory,
      env: { DENO_DIR: `${directory}/none` },
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = server.stdout.getReader();
    const { value } = await reader.read();
    assertMatch(new TextDecoder().decode(value), /^Listening on \[::\]:\d+\n$/);
    server.kill();
    await reader.cancel();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Copies a file or the files of a directory into a directory, like COPY. */
async function copyInto(from: URL, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  if ((await Deno.stat(from)).isFile) {
    return await Deno.copyFile(from, `${to}/${from.pathname.split("/").pop()}`);
  }
  for await (const { name, isFile } of Deno.readDir(from)) {
    await copyInto(new URL(`${from}/${name}`), isFile ? to : `${to}/${name}`);
  }
}
