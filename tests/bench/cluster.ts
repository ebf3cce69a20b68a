/** Servers of one room, with a NATS server of their own. */

import { NATS_MISSING, NatsServer } from "../nats.ts";
import { type Server, startServer } from "./process.ts";
import type { Candidate } from "./servers.ts";

/** Whether a cluster can run here. */
export const HAS_CLUSTER = !NATS_MISSING;

/**
 * Starts a cluster of one or two servers. It ends with its scope.
 *
 * @returns The first server, and the port of the second one or 0.
 */
export async function startCluster(
  { command, cwd }: Candidate,
  count: number,
): Promise<Server & { other: number }> {
  const stack = new AsyncDisposableStack();
  const nats = stack.use(await NatsServer.start());
  const args = [...command({}), "--nats", nats.url];
  const first = stack.use(await startServer(args, { cwd }));
  const second = count === 2
    ? stack.use(await startServer(args, { cwd }))
    : undefined;
  return {
    ...first,
    other: second?.port ?? 0,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
