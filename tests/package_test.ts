/**
 * Publishes the package to a local registry, and runs the commands from there, like
 * `deno run jsr:@linechat/chat/server` runs them from JSR.
 *
 * The published files differ from the checkout: imports are rewritten to `jsr:`
 * specifiers, and only the files of `"publish"` are included. A dry run does not test
 * that.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../deno.json" with { type: "json" };
import standIn from "../std/cli/deno.json" with { type: "json" };

const root = new URL("..", import.meta.url);

/** A package in the registry. */
interface Package {
  version: string;
  exports: Record<string, string>;
  files: Map<string, Uint8Array<ArrayBuffer>>;
}

/** The parts of the output of `deno doc --json` that a test reads. */
interface DocumentedModule {
  symbols: {
    name: string;
    declarations: { jsDoc?: { tags?: { kind: string; doc?: string }[] } }[];
  }[];
}

/** A registry with the requests of JSR that `deno publish` and `deno run` make. */
class Registry implements AsyncDisposable {
  readonly packages = new Map<string, Package>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => this.#answer(request),
  );

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/api/")) return await this.#publish(request);

    const [, name, path] = /^\/(@[^/]+\/[^/]+)\/(.*)$/.exec(pathname) ?? [];
    const found = this.packages.get(name);
    if (!found) return new Response("", { status: 404 });
    const { version, exports, files } = found;
    if (path === "meta.json") {
      return Response.json({ latest: version, versions: { [version]: {} } });
    }
    if (path === `${version}_meta.json`) {
      const manifest: Record<string, unknown> = {};
      for (const [file, bytes] of files) {
        const sum = await crypto.subtle.digest("SHA-256", bytes);
        const checksum = `sha256-${new Uint8Array(sum).toHex()}`;
        manifest[`/${file}`] = { size: bytes.length, checksum };
      }
      return Response.json({ exports, manifest });
    }
    const type = path.endsWith(".json")
      ? "application/json"
      : "text/typescript";
    const file = files.get(path.slice(version.length + 1));
    return new Response(file, {
      status: file ? 200 : 404,
      headers: { "content-type": type },
    });
  }

  async #publish(request: Request): Promise<Response> {
    const [, scope, name, version] =
      /^\/api\/scopes\/([^/]+)\/packages\/([^/]+)(?:\/versions\/(.+))?$/
        .exec(new URL(request.url).pathname) ?? [];
    if (request.method === "POST") {
      this.packages.set(`@${scope}/${name}`, {
        version,
        exports: config.exports,
        files: await untar(request.body!),
      });
      return Response.json({ id: "1", status: "success", error: null });
    }
    return version
      ? Response.json({ code: "packageVersionNotFound", message: "" }, {
        status: 404,
      })
      : Response.json({ scope, name });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Returns the files of a `.tar.gz` by their names. */
async function untar(
  archive: ReadableStream<Uint8Array<ArrayBuffer>>,
): Promise<Package["files"]> {
  const bytes = await new Response(
    archive.pipeThrough(new DecompressionStream("gzip")),
  ).bytes();
  const files: Package["files"] = new Map();
  const field = (start: number, length: number) =>
    new TextDecoder().decode(bytes.subarray(start, start + length))
      .replace(/\0.*$/s, "");
  for (let block = 0; bytes[block];) {
    const start = block + 512;
    const size = parseInt(field(block + 124, 12), 8);
    files.set(field(block, 100), bytes.slice(start, start + size));
    block = start + Math.ceil(size / 512) * 512;
  }
  return files;
}

const temporary = await Deno.makeTempDir();
const registry = new Registry();
Deno.test.afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await Deno.remove(temporary, { recursive: true });
});

/** Creates a Deno command with an empty cache and with this registry as JSR. */
function deno(args: string[], cwd: URL | string): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: {
      DENO_DIR: `${temporary}/cache`,
      JSR_URL: registry.url,
      NO_COLOR: "1",
      NO_PROXY: "127.0.0.1",
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

registry.packages.set("@std/cli", {
  version: standIn.version,
  exports: standIn.exports,
  files: new Map([[
    "parse_args.ts",
    await Deno.readFile(new URL("std/cli/parse_args.ts", root)),
  ]]),
});
// The copy has no deno.lock: with the real @std packages, that has their checksums and
// not those of the stand-in. `deno publish --no-lock` reads it nevertheless.
const copy = `${temporary}/copy`;
for (
  const directory of [
    "",
    "server/",
    "server/page/",
    "netcat/",
    "std/assert/",
    "std/cli/",
    "std/streams/",
  ]
) {
  await Deno.mkdir(`${copy}/${directory}`, { recursive: true });
  for await (const { isFile, name } of Deno.readDir(new URL(directory, root))) {
    if (!isFile || name === "deno.lock") continue;
    const file = directory + name;
    await Deno.copyFile(new URL(file, root), `${copy}/${file}`);
  }
}
const published = await deno(
  ["publish", "--no-provenance", "--token=any"],
  copy,
).output();
assert(published.success, new TextDecoder().decode(published.stderr));
const { files } = registry.packages.get(config.name)!;

Deno.test("the package contains the program, the README and the license", () => {
  // The tests below run the commands, which checks the files in directories.
  const names = [...files.keys()].filter((name) => !name.includes("/"));
  assertEquals(names.sort(), [
    "LICENSE",
    "README.md",
    "cli.ts",
    "deno.json",
    "mod.ts",
    "netcat.ts",
    "server.ts",
  ]);
});

Deno.test("the package imports the real @std packages", () => {
  const source = new TextDecoder().decode(files.get("cli.ts"));
  assertMatch(source, /from "jsr:\/?@std\/cli@\^1\/parse-args"/);
});

Deno.test("deno run -N jsr:… runs the server", async () => {
  const specifier = `jsr:${config.name}/server`;
  const args = ["--hostname", "127.0.0.1", "--port", "0"];
  await using server = deno(
    ["run", "-N", "--no-prompt", specifier, ...args],
    temporary,
  ).spawn();
  const stderr = server.stderr.text();
  const reader = server.stdout.getReader();
  const { value } = await reader.read();
  const [, port] =
    /127\.0\.0\.1:(\d+)\n$/.exec(new TextDecoder().decode(value)) ??
      [];
  if (!port) throw new Error(await stderr);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: +port });
  const welcome = new Uint8Array(64);
  const length = await conn.read(welcome) ?? 0;
  assertMatch(
    new TextDecoder().decode(welcome.subarray(0, length)),
    /^Welcome /,
  );
  server.kill();
  await Promise.all([reader.cancel(), stderr]);
});

Deno.test("deno run -N jsr:… runs the server for browsers", async () => {
  const specifier = `jsr:${config.name}/server`;
  const args = ["--hostname=127.0.0.1", "--port=0", "--web-port=0"];
  await using server = deno(
    ["run", "-N", "--no-prompt", specifier, ...args],
    temporary,
  ).spawn();
  const stderr = server.stderr.text();
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let url: string | undefined;
  while (!(url = /http:\S+\/(?=\n)/.exec(text)?.[0])) {
    const { value } = await reader.read();
    if (value === undefined) throw new Error(await stderr);
    text += value;
  }
  assertMatch(await (await fetch(url)).text(), /^<!doctype html>/);
  server.kill();
  await Promise.all([reader.cancel(), stderr]);
});

Deno.test("deno run -N jsr:… runs netcat", async () => {
  const { stdout, stderr } = await deno(
    ["run", "-N", "--no-prompt", `jsr:${config.name}/netcat`, "--version"],
    temporary,
  ).output();
  assertEquals(
    new TextDecoder().decode(stdout),
    `linechat-netcat ${config.version}\n`,
    new TextDecoder().decode(stderr),
  );
});

Deno.test("every public symbol has an example that is run", async () => {
  const { stdout } = await deno(
    ["doc", "--json", "mod.ts", "server/moderation.ts", "server/web.ts"],
    root,
  ).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout));
  const missing = [];
  for (const { symbols } of Object.values<DocumentedModule>(nodes)) {
    for (const { name, declarations } of symbols) {
      const tags = declarations.flatMap(({ jsDoc }) => jsDoc?.tags ?? []);
      const isRun = tags.some(({ kind, doc }) =>
        kind === "example" && doc?.includes("```ts\n")
      );
      if (!isRun) missing.push(name);
    }
  }
  assertEquals(missing, []);
});

Deno.test("the tasks in the workflows exist", async () => {
  for (const name of ["test", "release"]) {
    const file = new URL(`.github/workflows/${name}.yml`, root);
    const text = await Deno.readTextFile(file);
    const tasks = text.matchAll(/deno task (\S+)/g);
    for (const [, task] of tasks) assert(task in config.tasks, task);
  }
});
