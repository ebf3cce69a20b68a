/** Tests docs/linechat.service and docs/Dockerfile without installing them. */

import { assert, assertEquals, assertMatch } from "@std/assert";

const root = new URL("..", import.meta.url);
const service = await Deno.readTextFile(new URL("docs/linechat.service", root));
const image = await Deno.readTextFile(new URL("docs/Dockerfile", root));
const document = await Deno.readTextFile(new URL("docs/service.md", root));

/** Runs systemd-analyze on the unit. Returns undefined without systemd. */
async function analyze(args: string[], dropIn?: string) {
  const directory = await Deno.makeTempDir();
  // The binary is not installed, so another program replaces it.
  const install = (name: string, text: string) =>
    Deno.writeTextFile(
      `${directory}/${name}`,
      text.replaceAll("/usr/local/bin/linechat", "/bin/true"),
    );
  try {
    await install("linechat.service", service);
    if (dropIn !== undefined) {
      await Deno.mkdir(`${directory}/linechat.service.d`);
      await install("linechat.service.d/options.conf", dropIn);
    }
    const { code, stdout, stderr } = await new Deno.Command("systemd-analyze", {
      args: [...args, `${directory}/linechat.service`],
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

const verified = await analyze(["verify"]);
const notRun = verified ? "" : " (not run: systemd-analyze is missing)";

Deno.test({
  name: `systemd accepts the unit${notRun}`,
  ignore: !verified,
  fn() {
    assertEquals(verified, { code: 0, output: "" });
  },
});

Deno.test({
  name: `systemd accepts the unit with the drop-in of docs/service.md${notRun}`,
  ignore: !verified,
  async fn() {
    const [, dropIn] = /^```ini\n(.*?)^```/ms.exec(document)!;
    const result = await analyze(["verify"], dropIn);
    assertEquals(result, { code: 0, output: "" });
  },
});

Deno.test({
  name: `systemd rates the sandbox of the unit at 1.0 to 1.9${notRun}`,
  ignore: !verified,
  async fn() {
    const rated = await analyze(
      ["security", "--offline=true", "--threshold=15"],
    );
    assertEquals(rated?.code, 0, rated?.output);
    assertMatch(
      rated!.output,
      /exposure level for linechat\.service: 1\.\d OK/,
    );
  },
});

Deno.test("each group of settings of the unit starts with a comment", () => {
  const [, settings] = /^\[Service\]\n(.*)^\[Install\]/ms.exec(service)!;
  for (const group of settings.trim().split("\n\n")) {
    assert(group.startsWith("#"), group);
  }
});

Deno.test("the recommended options are the same everywhere", async () => {
  const [, command] = /^CMD (.*)$/m.exec(image)!;
  const recommended = JSON.parse(command).slice(2).join(" ");
  for (
    const path of [
      "README.md",
      "README.zh.md",
      "docs/linechat.service",
      "docs/open-port.md",
      "docs/service.md",
    ]
  ) {
    const text = await Deno.readTextFile(new URL(path, root));
    assert(text.replaceAll(/\s*\\\n\s*/g, " ").includes(recommended), path);
  }
});

Deno.test("the files and the command of the image start a server", async () => {
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
