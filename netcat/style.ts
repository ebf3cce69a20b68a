// Copyright 2026 the linechat authors. MIT license.

/**
 * Styles of text in a terminal. `NO_COLOR` removes colours and keeps the rest.
 *
 * @module
 */

/** Adds the sequences that start and end a style. */
function sgr(text: string, on: string, off: string): string {
  return text === "" ? "" : `\x1b[${on}m${text}\x1b[${off}m`;
}

/** Makes text bold. */
export function bold(text: string): string {
  return sgr(text, "1", "22");
}

/** Makes text dim. */
export function dim(text: string): string {
  return sgr(text, "2", "22");
}

/** Underlines text. */
export function underline(text: string): string {
  return sgr(text, "4", "24");
}

/** Swaps the colours of text and background. */
export function reverse(text: string): string {
  return sgr(text, "7", "27");
}

/** Gives text a colour of `PALETTE`. */
export function colour(text: string, index: number): string {
  if (Deno.noColor) return text;
  const { rgb, nearest } = PALETTE[index];
  // A terminal without 24-bit colours ignores the second sequence.
  return `\x1b[38;5;${nearest}m` + sgr(text, `38:2::${rgb.join(":")}`, "39");
}

/** A colour for names. */
export interface Colour {
  rgb: readonly [number, number, number];
  /** The nearest of the 256 colours of xterm that has enough contrast. */
  nearest: number;
}

/**
 * The colours for names, ordered by hue. Each has a contrast of at least 4.5 with black
 * and with white.
 */
export const PALETTE: readonly Colour[] = [
  { rgb: [234, 19, 19], nearest: 130 },
  { rgb: [205, 75, 0], nearest: 130 },
  { rgb: [160, 107, 0], nearest: 130 },
  { rgb: [97, 128, 7], nearest: 64 },
  { rgb: [0, 138, 0], nearest: 28 },
  { rgb: [0, 136, 79], nearest: 29 },
  { rgb: [0, 132, 127], nearest: 30 },
  { rgb: [0, 126, 175], nearest: 30 },
  { rgb: [0, 112, 241], nearest: 63 },
  { rgb: [64, 103, 255], nearest: 63 },
  { rgb: [116, 89, 255], nearest: 63 },
  { rgb: [158, 62, 255], nearest: 98 },
  { rgb: [197, 12, 233], nearest: 164 },
  { rgb: [218, 0, 174], nearest: 163 },
  { rgb: [230, 12, 103], nearest: 162 },
  { rgb: [118, 118, 118], nearest: 97 },
];
