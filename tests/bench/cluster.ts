/** Two servers of one room, with a NATS server of their own. */

import { NATS_MISSING, NatsServer } from "../nats.ts";
import { type Server, startServer } from "./process.ts";
import type { Candidate } from "./servers.ts";

/** Whether a cluster can run here. */
export const HAS_CLUSTER = !NATS_MISSING;

/**
 * Starts a cluster. It ends with its scope.
 *
 * @returns The first server, and the port of the second one.
 */
export async function startCluster(
  { command, cwd }: Candidate,
): Promise<Server & { other: number }> {
  const stack = new AsyncDisposableStack();
  const nats = stack.use(await NatsServer.start());
  const args = [...command({}), "--nats", nats.url];
  const first = stack.use(await startServer(args, { cwd }));
  const second = stack.use(await startServer(args, { cwd }));
  return {
    ...first,
    other: second.port,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
