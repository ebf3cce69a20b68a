/** Holds docs/service.md to what can be checked of it without installing it. */

import { assert, assertEquals, assertMatch } from "@std/assert";

const root = new URL("..", import.meta.url);
const document = await Deno.readTextFile(new URL("docs/service.md", root));

/** The document's only block of such a kind. */
function block(kind: string): string {
  const [, text] = document.split("```" + kind + "\n");
  assert(text, `docs/service.md shows no ${kind}`);
  return text.split("```")[0];
}

/** Has systemd look at the unit, or tells that there is none. */
async function analyze(...args: string[]) {
  const directory = await Deno.makeTempDir();
  try {
    const unit = `${directory}/chat.service`;
    // A program that there is, where the binary has not been installed.
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
const notRun = verified ? "" : " (not run: systemd-analyze is not here)";

Deno.test({
  name: `systemd takes the unit${notRun}`,
  ignore: !verified,
  fn() {
    assertEquals(verified, { code: 0, output: "" });
  },
});

Deno.test({
  name: `systemd rates the unit's sandbox as the document says${notRun}`,
  ignore: !verified,
  async fn() {
    const rated = await analyze("security", "--offline=true", "--threshold=15");
    assertEquals(rated?.code, 0, rated?.output);
    assertMatch(rated!.output, /exposure level for chat\.service: 1\.\d OK/);
  },
});

Deno.test("each line of the unit is justified", () => {
  const [, tables] = document.split("systemctl enable");
  // Some are told of together, as `ProtectKernel…`.
  const told = [...tables.matchAll(/`(\w+)(…?)/g)];
  for (const [, name] of block("ini").matchAll(/^(\w+)=/gm)) {
    const isTold = told.some(([, start, rest]) =>
      name === start || rest !== "" && name.startsWith(start)
    );
    assert(isTold || name === "ExecStart", name);
  }
});

Deno.test("the image's files and command make a server", async () => {
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

/** Copies a file into a directory; or what is in a directory, as COPY does. */
async function copyInto(from: URL, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  if ((await Deno.stat(from)).isFile) {
    return await Deno.copyFile(from, `${to}/${from.pathname.split("/").pop()}`);
  }
  for await (const { name, isFile } of Deno.readDir(from)) {
    await copyInto(new URL(`${from}/${name}`), isFile ? to : `${to}/${name}`);
  }
}
