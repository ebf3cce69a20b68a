/** A stand-in for `@std/assert`: see ../README.md. */

import nodeAssert, { AssertionError } from "node:assert/strict";

export { AssertionError };

/** Asserts that a value is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError({ message: msg });
}

/** Asserts that two values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  nodeAssert.deepEqual(actual, expected, msg);
}

/** Asserts that a string matches. */
export function assertMatch(
  actual: string,
  expected: RegExp,
  msg?: string,
): void {
  nodeAssert.match(actual, expected, msg);
}

/** Asserts that a promise is rejected with such an error, and returns it. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes = "",
): Promise<E> {
  let error: unknown;
  const promise = fn(); // Throwing is no rejecting.
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  assert(
    error instanceof ErrorClass,
    `Expected a rejection with "${ErrorClass.name}", got: ${error}`,
  );
  assert(
    error.message.includes(msgIncludes),
    `Expected an error that says "${msgIncludes}", got: ${error}`,
  );
  return error;
}
