// Copyright 2026 the linechat authors. MIT license.

import { setTimeout as delay } from "node:timers/promises";

/** The units of a duration, in milliseconds. */
const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** The longest duration: ten years, in milliseconds. */
const MAX_DURATION = 3650 * UNITS.d;

/**
 * Parses a duration such as `30m`, `12h` or `7d`.
 *
 * @returns The milliseconds, or `undefined` if the text is not a duration.
 */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit] = /^([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  if (unit === undefined) return;
  const duration = Number(amount) * UNITS[unit as keyof typeof UNITS];
  return duration <= MAX_DURATION ? duration : undefined;
}

/** Formats a duration in its largest unit, rounded down, such as `30m`. */
export function formatDuration(duration: number): string {
  const [unit, size] = Object.entries(UNITS)
    .findLast(([, size]) => duration >= size) ?? ["s", UNITS.s];
  return `${Math.floor(duration / size)}${unit}`;
}

/** Returns whether a promise settles within a time in milliseconds. */
export async function settlesWithin(
  promise: Promise<unknown>,
  time: number,
): Promise<boolean> {
  const timeout = new AbortController();
  const { signal } = timeout;
  const isSettled = await Promise.race([
    promise.then(() => true, () => true),
    delay(time, false, { signal }),
  ]);
  timeout.abort();
  return isSettled;
}
