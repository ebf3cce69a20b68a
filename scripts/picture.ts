// Copyright 2026 the linechat authors. MIT license.

/**
 * Draws docs/terminal.svg and docs/terminal.zh.svg, the pictures of the README: the
 * terminal of the first of three members of a room. Each member is a process
 * of netcat.ts in tmux.
 *
 * ```sh
 * deno run -A scripts/picture.ts
 * ```
 */

import { widthOf } from "../netcat/width.ts";
import { startServer } from "../tests/commands.ts";
import { Terminal } from "../tests/terminal.ts";

const ROOT = new URL("..", import.meta.url);
/** The size of the terminal in characters. */
const COLUMNS = 66;
/** The size of a character, in pixels. */
const CELL = { width: 8.4, height: 20 };
const PADDING = 16;
const TITLE_BAR = 34;

/** A conversation in one language. */
interface Conversation {
  file: string;
  lang: "en" | "zh";
  /** The names of the members. The picture shows the terminal of the first one. */
  names: [string, string, string];
  /** The lines that the members enter, and the last row of each in the picture. */
  lines: [member: number, line: string, row: string][];
  /** The text that the first member has not sent yet. */
  typed: string;
}

const CONVERSATIONS: Conversation[] = [
  {
    file: "docs/terminal.svg",
    lang: "en",
    names: ["ann", "bob", "mei"],
    lines: [
      [1, "morning! the new build is up", "bob: morning! the new build is up"],
      [2, "ann 早上好！试过了吗？", "mei: ann 早上好！试过了吗？"],
      [
        0,
        "just now: it starts in half the time",
        "ann: just now: it starts in half the time",
      ],
      [1, "/me does a little dance", "* bob does a little dance"],
      [2, "/msg ann lunch at one?", "mei (private): lunch at one?"],
      [
        0,
        "/msg mei gladly, see you there",
        "(private) → mei: gladly, see you there",
      ],
    ],
    typed: "who writes the release notes?",
  },
  {
    file: "docs/terminal.zh.svg",
    lang: "zh",
    names: ["xiaoan", "bob", "xiaoming"],
    lines: [
      [1, "早上好！新版本发布了", "bob: 早上好！新版本发布了"],
      [2, "xiaoan 你试过了吗？", "xiaoming: xiaoan 你试过了吗？"],
      [0, "刚试过，启动快了一倍", "xiaoan: 刚试过，启动快了一倍"],
      [1, "/me 跳了一小段舞", "* bob 跳了一小段舞"],
      [2, "/msg xiaoan 一点钟去吃饭？", "xiaoming（私聊）: 一点钟去吃饭？"],
      [0, "/msg xiaoming 好，一会儿见", "（私聊）→ xiaoming: 好，一会儿见"],
    ],
    typed: "谁来写发布说明？",
  },
];

/** Runs a conversation and returns the picture of it. */
async function draw(conversation: Conversation): Promise<string> {
  const { lang, names, lines, typed } = conversation;
  await using server = await startServer(["--lang", lang]);
  const address = `127.0.0.1:${server.addr.port}`;
  await using terminals = new AsyncDisposableStack();
  const members: Terminal[] = [];
  const shows = (terminal: Terminal, row: string) =>
    terminal.until((screen) => screen.some((line) => line.endsWith(row)));
  // The first member comes last, so that its greeting lists the others.
  for (const name of names.toReversed()) {
    const member = terminals.use(
      await Terminal.open(["--lang", lang, "--name", name, address], {
        columns: COLUMNS,
        rows: 24,
        env: { COLORTERM: "truecolor" },
      }),
    );
    members.unshift(member);
    await shows(member, `${name}>`);
  }
  const [first] = members;
  for (const [member, line, row] of lines) {
    await members[member].type(line);
    await members[member].press("Enter");
    await shows(first, row);
  }
  await first.type(typed);
  await shows(first, typed);
  const rows = (await first.styledScreen()).trimEnd().split("\n");
  const [column, row] = await first.cursor();
  return toSvg(await first.title(), rows, column, row);
}

/** The style of text, as far as netcat.ts uses it. */
interface Style {
  isBold?: boolean;
  isDim?: boolean;
  isUnderlined?: boolean;
  isReverse?: boolean;
  /** A colour that is readable on black and on white. */
  colour?: string;
}

/** Returns the style after an escape sequence with these parameters. */
function apply(style: Style, parameters: string): Style {
  const codes = parameters.split(";").map(Number);
  for (let code; (code = codes.shift()) !== undefined;) {
    if (code === 0) style = {};
    else if (code === 1) style = { ...style, isBold: true };
    else if (code === 2) style = { ...style, isDim: true };
    else if (code === 4) style = { ...style, isUnderlined: true };
    else if (code === 7) style = { ...style, isReverse: true };
    else if (code === 39) style = { ...style, colour: undefined };
    else if (code === 49) continue; // No style sets the background.
    else if (code === 38 && codes.shift() === 2) {
      style = { ...style, colour: `rgb(${codes.splice(0, 3)})` };
    } else throw new Error(`Cannot draw the style ${parameters}`);
  }
  return style;
}

/**
 * Returns the text of the rows in SVG. A style lasts until the next one, also into the
 * next row. Each run of characters has the width that a terminal gives it.
 */
function drawRows(rows: string[]): string {
  let svg = "";
  let style: Style = {};
  rows.forEach((row, i) => {
    let column = 0;
    for (const [text, parameters] of piecesOf(row)) {
      if (parameters !== undefined) style = apply(style, parameters || "0");
      // Characters of one and of two columns are from different fonts.
      for (const run of text.match(/[\x20-\x7e…→│]+|[^\x20-\x7e…→│]+/g) ?? []) {
        svg += drawRun(run, column, baselineOf(i), style);
        column += widthOf(run);
      }
    }
  });
  return svg;
}

/** Splits a row into texts, with the parameters of the escape sequence before each. */
function piecesOf(row: string): [text: string, parameters?: string][] {
  const [start, ...pieces] = row.split("\x1b[");
  return [
    [start],
    ...pieces.map((piece): [string, string] => {
      const end = piece.indexOf("m");
      return [piece.slice(end + 1), piece.slice(0, end)];
    }),
  ];
}

/** Returns the position of the text of a row. */
function baselineOf(row: number): number {
  return TITLE_BAR + PADDING + row * CELL.height + 15;
}

function drawRun(
  text: string,
  column: number,
  y: number,
  style: Style,
): string {
  const { isBold, isDim, isUnderlined, isReverse, colour } = style;
  const x = pixels(PADDING + column * CELL.width);
  const width = pixels(widthOf(text) * CELL.width);
  const classes = Object.entries({
    bold: isBold,
    dim: isDim,
    underlined: isUnderlined,
    reverse: isReverse,
    wide: widthOf(text) > text.length,
  }).filter(([, isSet]) => isSet).map(([name]) => name).join(" ");
  const attributes = (classes && ` class="${classes}"`) +
    (colour ? ` style="fill: ${colour}"` : "");
  const box = isReverse
    ? `<rect class="cursor" x="${x}" y="${
      pixels(y - 15)
    }" width="${width}" height="${CELL.height}"/>`
    : "";
  return text.trim() === ""
    ? box
    : `${box}<text${attributes} x="${x}" y="${y}" textLength="${width}">${
      escape(text)
    }</text>\n`;
}

function toSvg(
  title: string,
  rows: string[],
  cursorColumn: number,
  cursorRow: number,
): string {
  const width = pixels(2 * PADDING + COLUMNS * CELL.width);
  const height = TITLE_BAR + 2 * PADDING + rows.length * CELL.height;
  const text = rows.map((row) => piecesOf(row).map(([text]) => text).join(""))
    .join("\n");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">
<title id="title">${escape(title)}</title>
<desc id="description">${escape(text)}</desc>
<style>
text { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace; fill: #1f2328; white-space: pre }
.window { fill: #fff; stroke: #d1d9e0 }
.bar { fill: #f6f8fa }
.button { fill: #d1d9e0 }
.title { text-anchor: middle }
.title, .dim { fill: #59636e }
.dim[style] { opacity: .85 }
.wide { font-size: 16px }
.bold { font-weight: bold }
.underlined { text-decoration: underline }
.cursor { fill: #1f2328 }
.reverse { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .window { fill: #010409; stroke: #3d444d }
  .bar { fill: #151b23 }
  .button { fill: #3d444d }
  .title, .dim { fill: #9198a1 }
  .cursor { fill: #f0f6fc }
  .reverse { fill: #010409 }
}
</style>
<clipPath id="corners"><rect width="${width}" height="${height}" rx="8"/></clipPath>
<g clip-path="url(#corners)">
<rect class="window" width="${width}" height="${height}"/>
<rect class="bar" width="${width}" height="${TITLE_BAR}"/>
</g>
<rect class="window" x=".5" y=".5" width="${width - 1}" height="${
    height - 1
  }" rx="7.5" style="fill: none"/>
${
    [20, 38, 56].map((x) =>
      `<circle class="button" cx="${x}" cy="${TITLE_BAR / 2}" r="6"/>`
    ).join("")
  }
<text class="title" x="${width / 2}" y="22">${escape(title)}</text>
${drawRows(rows)}<rect class="cursor" x="${
    pixels(PADDING + cursorColumn * CELL.width)
  }" y="${
    baselineOf(cursorRow) - 15
  }" width="${CELL.width}" height="${CELL.height}"/>
</svg>
`;
}

function pixels(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

for (const conversation of CONVERSATIONS) {
  await Deno.writeTextFile(
    new URL(conversation.file, ROOT),
    await draw(conversation),
  );
}
