/**
 * Generates the table of confusable characters in mod.ts from Unicode's
 * confusables.txt, which the npm package unhomoglyph contains:
 *
 *     deno run -RW scripts/confusables.ts            # writes the table
 *     deno run -R scripts/confusables.ts --check     # fails if the table differs
 *
 * The table holds the letters and digits that look like ASCII text. Scripts that are
 * written from right to left are omitted, since a name in them never looks like ASCII.
 */

import data from "unhomoglyph/data.json" with { type: "json" };

const FILE = new URL("../mod.ts", import.meta.url);
const TABLE = /(?<=\nconst CONFUSABLES = `\n)[^`]*(?=`;)/;
const WIDTH = 72;
const RIGHT_TO_LEFT =
  /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/** Returns entries of the form TEXT=CHARACTERS, wrapped to lines. */
function generate(): string {
  const similar = Map.groupBy(
    Object.keys(data).filter((character) =>
      /^[\p{L}\p{Nd}]$/u.test(character) &&
      character.normalize("NFKC") === character &&
      /^[A-Za-z0-9:-]+$/.test(textOf(character)) &&
      !RIGHT_TO_LEFT.test(character)
    ),
    textOf,
  );
  let table = "";
  let line = "";
  for (const [text, characters] of similar) {
    const entry = `${text}=${characters.join("")}`;
    if (line.length + entry.length > WIDTH) {
      table += `${line.trimEnd()}\n`;
      line = "";
    }
    line += `${entry} `;
  }
  return `${table}${line.trimEnd()}\n`;
}

function textOf(character: string): string {
  return data[character as keyof typeof data];
}

const source = await Deno.readTextFile(FILE);
const generated = source.replace(TABLE, generate());
if (!Deno.args.includes("--check")) await Deno.writeTextFile(FILE, generated);
else if (source !== generated) {
  console.error("The table in mod.ts differs: run scripts/confusables.ts");
  Deno.exit(1);
}
