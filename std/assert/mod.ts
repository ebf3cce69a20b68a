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

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

/** Asserts that a function throws an error of a class, and returns the error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes = "",
): E {
  let error: unknown;
  try {
    fn();
  } catch (e) {
    error = e;
  }
  return checkError(error, ErrorClass, msgIncludes);
}

/** Asserts that a promise rejects with an error of a class, and returns the error. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes = "",
): Promise<E> {
  let error: unknown;
  const promise = fn(); // An error that `fn` throws is not a rejection.
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  return checkError(error, ErrorClass, msgIncludes);
}

function checkError<E extends Error>(
  error: unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes: string,
): E {
  assert(
    error instanceof ErrorClass,
    `Expected an error of the class "${ErrorClass.name}", got: ${error}`,
  );
  assert(
    error.message.includes(msgIncludes),
    `Expected an error that includes "${msgIncludes}", got: ${error}`,
  );
  return error;
}
