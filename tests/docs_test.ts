/** Checks the documents against the options, the files and each other. */

import { assert, assertEquals } from "@std/assert";
import type { Option, Options } from "../cli.ts";
import config from "../deno.json" with { type: "json" };
import { OPTIONS as NETCAT_OPTIONS } from "../netcat/options.ts";
import { OPTIONS as SERVER_OPTIONS } from "../server/options.ts";

const root = new URL("..", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));

const { stdout } = await new Deno.Command("git", {
  args: ["ls-files"],
  cwd: root,
}).output();
const tracked = new TextDecoder().decode(stdout).trim().split("\n");
const documents = tracked.filter((path) => path.endsWith(".md"));

/** Returns the cells of the rows of all tables in a document. */
function rowsOf(text: string): string[][] {
  return [...text.matchAll(/^\|(.*)\|$/gm)].map(([, row]) =>
    row.split("|").map((cell) => cell.trim())
  );
}

/** Returns the names of the options in a text, such as `--port`. */
function optionsIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w-])--([a-z][a-z\d-]*)/g)]
    .map(([, name]) => name);
}

/** Returns the first cells of the row that documents an option in docs/server.md. */
function cellsOf(name: string, option: Option): string[] {
  const { short, value, choices, min, max, multiple } = option;
  const placeholder = { lang: " LANG", log: " FORMAT" }[name] ??
    (value === undefined ? "" : ` ${value}`);
  const form = (short === undefined ? "" : `\`-${short}\`, `) +
    `\`--${name}${placeholder}\`` + (multiple ? "\\*" : "");
  const values = choices?.map((choice) => `\`${choice}\``).join(", ") ??
    (min === undefined ? "" : `${min} to ${max}`);
  return [form, values];
}

Deno.test("docs/server.md lists each option with its values and its default", async () => {
  const rows = rowsOf(await read("docs/server.md"));
  for (const [name, option] of Object.entries<Option>(SERVER_OPTIONS)) {
    const [form, values] = cellsOf(name, option);
    const row = rows.find(([first]) => first === form);
    assert(row, `There is no row for ${form}`);
    if (values !== "") assertEquals(row[1], values, name);
    if (option.default === undefined) continue;
    assertEquals(row[2].replaceAll("`", ""), `${option.default}`, name);
  }
  const listed = rows.flatMap(([first]) => optionsIn(first));
  const known = Object.keys(SERVER_OPTIONS);
  assertEquals(listed.filter((name) => !known.includes(name)), []);
});

Deno.test("docs/netcat.md lists each option", async () => {
  const rows = rowsOf(await read("docs/netcat.md"));
  const listed = rows.flatMap(([first]) => optionsIn(first));
  for (const name of Object.keys(NETCAT_OPTIONS)) {
    assert(listed.includes(name), `There is no row for --${name}`);
  }
});

for (const readme of ["README.md", "README.zh.md"]) {
  Deno.test(`the options in the tables of ${readme} exist and have these defaults`, async () => {
    const known: Options = { ...NETCAT_OPTIONS, ...SERVER_OPTIONS };
    for (const [first, , last] of rowsOf(await read(readme))) {
      if (!first.startsWith("`-")) continue;
      for (const name of optionsIn(first)) {
        assert(known[name], `There is no option --${name}`);
        const { default: value } = known[name];
        if (value === undefined || last === undefined) continue;
        assertEquals(last.replaceAll("`", ""), `${value}`, name);
      }
    }
  });
}

/** Returns the anchor that a heading has on GitHub. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}

/** Returns the targets of the links and pictures in a document. */
function linksIn(text: string): string[] {
  return [
    ...text.replace(/^```.*?^```/gms, "").matchAll(
      /\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$|(?:src|href)="([^"]+)"/gm,
    ),
  ].map(([, inline, reference, html]) => inline ?? reference ?? html);
}

Deno.test("links between documents lead to files and headings", async () => {
  for (const path of documents) {
    for (const link of linksIn(await read(path))) {
      if (/^https?:/.test(link)) continue;
      const { pathname, hash } = new URL(link, `file:///${path}`);
      const target = decodeURIComponent(pathname.slice(1));
      const exists = tracked.includes(target) ||
        tracked.some((file) => file.startsWith(target));
      assert(exists, `${path} links to ${link}`);
      if (hash === "") continue;
      const headings = (await read(target)).matchAll(/^#+ (.*)$/gm);
      const anchors = [...headings].map(([, heading]) => anchorOf(heading));
      const anchor = decodeURIComponent(hash.slice(1));
      assert(anchors.includes(anchor), `${path} links to ${link}`);
    }
  }
});

Deno.test("the index lists each document", async () => {
  const links = linksIn(await read("docs/README.md"));
  for (const path of documents) {
    const [, name] = /^docs\/(.*)$/.exec(path) ?? [];
    if (name === undefined || name === "README.md") continue;
    assert(links.includes(name), `docs/README.md does not list ${name}`);
  }
});

Deno.test("commands in the documents run tasks that exist", async () => {
  for (const path of documents) {
    const tasks = (await read(path)).matchAll(/deno@?[\d.]* task ([\w:]+)/g);
    for (const [, task] of tasks) {
      assert(task in config.tasks, `${path}: deno task ${task}`);
    }
  }
});

/** Returns what two translations of a document have in common. */
function structureOf(text: string) {
  const fences = [...text.matchAll(/^```(.*)\n([^]*?)^```$/gm)];
  const prose = text.replace(/^```.*?^```$/gms, "");
  return {
    headings: [...prose.matchAll(/^#+/gm)].map(([level]) => level),
    items: prose.match(/^- \*\*/gm)?.length,
    cells: rowsOf(prose).map((row) => row.length),
    code: fences.map(([, kind, code]) => [kind, code.split("\n").length]),
    links: linksIn(prose).filter((link) => !/^README|\.svg$/.test(link)),
    options: rowsOf(prose).flatMap(([first]) => optionsIn(first)),
    numbers: prose.match(/\d+(?:\.\d+)+/g),
  };
}

Deno.test("README.zh.md has the structure of README.md", async () => {
  assertEquals(
    structureOf(await read("README.zh.md")),
    structureOf(await read("README.md")),
  );
});

// JSR resolves relative links in the repository, but not links that start with /.
Deno.test("the links of README.md work on the page of the package", async () => {
  for (const link of linksIn(await read("README.md"))) {
    assert(!/^\/|^\.\.?\//.test(link), link);
  }
});

Deno.test("Chinese text has full-width punctuation", async () => {
  const han = "\\p{Script=Han}";
  const ascii = "[,:;?!()]";
  const pattern = new RegExp(
    `.{0,9}(?:${han}${ascii}|${ascii}${han}).{0,9}`,
    "gu",
  );
  const found: string[] = [];
  for (const path of tracked.filter((path) => /\.(?:md|ts)$/.test(path))) {
    for (const [text] of (await read(path)).matchAll(pattern)) {
      found.push(`${path}: ${text}`);
    }
  }
  assertEquals(found, []);
});
