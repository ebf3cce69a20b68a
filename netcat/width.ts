// Copyright 2026 the linechat authors. MIT license.

/**
 * Measures, cuts and wraps text by its width in a terminal.
 *
 * @module
 */

/** Matches a character of two columns: East Asian wide, or an emoji. */
const WIDE =
  /[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\u3247\u3250-\u4dbf\u4e00-\ua4c6\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** Matches a character without a width. */
const INVISIBLE = /[\p{Mn}\p{Me}\p{Default_Ignorable_Code_Point}]/u;

/** Matches an escape sequence that sets a style. It has no width. */
// deno-lint-ignore no-control-regex
const STYLE = /\x1b\[[\d;:]*m/g;

/** Matches text in which every character has a width of one column. */
const PLAIN = /^[\x20-\x7e]*$/;

/** Returns the width of a character in columns. */
function widthOfCharacter(character: string): number {
  if (WIDE.test(character)) return 2;
  return INVISIBLE.test(character) ? 0 : 1;
}

/** Returns the width of a text in columns. Styles have no width. */
export function widthOf(text: string): number {
  text = text.replace(STYLE, "");
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += widthOfCharacter(character);
  return width;
}

/** Cuts a text without styles to a width. A cut text ends with `…`. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let result = "";
  let width = 0;
  for (const character of text) {
    width += widthOfCharacter(character);
    if (width >= columns) break;
    result += character;
  }
  return `${result}…`;
}

/** Matches punctuation that must not start a row. */
const CLOSING =
  "[\\u3001\\u3002\\uff01\\uff0c\\uff1a\\uff1b\\uff1f\\uff09\\u300b\\u300d\\u300f\\u3011]";

/**
 * Matches the pieces of a text between which a row can end: spaces, a wide character with
 * the punctuation after it, or a word. Styles belong to words.
 */
const PIECES = new RegExp(
  [
    " +",
    `(?:${STYLE.source})*(?:${WIDE.source})${CLOSING}*(?:${STYLE.source})*`,
    `(?:${STYLE.source}|(?! |${WIDE.source})[^])+`,
  ].join("|"),
  "gu",
);

/**
 * Wraps a line at words. Rows after the first one start with `indent` spaces.
 */
export function wrap(line: string, columns: number, indent: number): string {
  if (widthOf(line) <= columns) return line;
  const rows: string[] = [];
  let row = "";
  let width = 0;
  /** The spaces before the next piece. They are dropped at the end of a row. */
  let space = "";
  const nextRow = () => {
    rows.push(row);
    row = " ".repeat(indent);
    width = indent;
    space = "";
  };
  for (const [piece] of line.matchAll(PIECES)) {
    if (piece.startsWith(" ")) {
      space = piece;
      continue;
    }
    const pieceWidth = widthOf(piece);
    // A word that is longer than a whole row starts in the current one.
    const isTooLong = pieceWidth > columns - indent;
    if (width + space.length + pieceWidth > columns && !isTooLong) nextRow();
    row += space;
    width += space.length;
    space = "";
    if (width + pieceWidth <= columns) {
      row += piece;
      width += pieceWidth;
      continue;
    }
    for (const [part] of piece.matchAll(PARTS)) {
      const partWidth = widthOf(part);
      if (width + partWidth > columns) nextRow();
      row += part;
      width += partWidth;
    }
  }
  rows.push(row);
  return rows.join("\n");
}

/** Matches the parts of a word that is longer than a row: styles and characters. */
const PARTS = new RegExp(`${STYLE.source}|[^]`, "gu");
