/** Helpers that the tests of clusters share: servers of one room, and members that talk. */

import { assertEquals, assertMatch } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import { TestClient } from "./clients.ts";
import { type Server, startServer } from "./commands.ts";
import { NATS_MISSING, type NatsServer, NOT_RUN } from "./nats.ts";

/** Defines a test that needs a NATS server. */
export function natsTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: name + NOT_RUN, ignore: NATS_MISSING, fn });
}

/** Starts a chat server in the room of a NATS server. */
export function join(nats: NatsServer, ...args: string[]): Promise<Server> {
  return startServer(["--nats", nats.url, ...args]);
}

/** Connects a client, which takes a name. */
export async function enter(
  { addr }: Server,
  name: string,
): Promise<TestClient> {
  const client = await TestClient.connect(addr);
  assertMatch((await client.line())!, /^Welcome /);
  assertMatch((await client.line())!, / here(: .+)?\. \/help lists/);
  await client.send(`/nick ${name}\n`);
  await until(client, new RegExp(` is now known as ${name}$`));
  return client;
}

/** Reads lines up to one that matches, and returns them. */
export async function until(
  client: TestClient,
  last: RegExp,
): Promise<string[]> {
  const lines: string[] = [];
  for (let line; (line = await client.line()) !== undefined;) {
    lines.push(line);
    if (last.test(line)) return lines;
  }
  throw new Error(`No line matches ${last}: ${lines.join("\n")}`);
}

/** A member that sends numbered lines and keeps all lines of members that it receives. */
export class Talker {
  readonly lines: string[] = [];
  readonly notices: string[] = [];
  #sent = 0;
  #isStopped = false;

  private constructor(readonly name: string, readonly client: TestClient) {}

  static async enter(server: Server, name: string): Promise<Talker> {
    return new Talker(name, await enter(server, name));
  }

  /** Sends a line each time that the last one has arrived, until `stop` is called. */
  async talk(): Promise<void> {
    let isFinished = false;
    await this.client.send(`${++this.#sent}\n`);
    while (!isFinished) {
      const line = await this.client.line();
      if (line === undefined) throw new Error(`${this.name} was disconnected`);
      if (line.startsWith("-- ")) this.notices.push(line);
      if (!/^\w+: \d+$/.test(line)) continue;
      this.lines.push(line);
      if (line !== `${this.name}: ${this.#sent}`) continue;
      if (this.#isStopped) isFinished = true;
      else await this.client.send(`${++this.#sent}\n`);
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Reads until it has received a number of lines. */
  async receive(count: number): Promise<void> {
    while (this.lines.length < count) {
      const line = (await this.client.line())!;
      if (/^\w+: \d+$/.test(line)) this.lines.push(line);
    }
  }

  get sent(): number {
    return this.#sent;
  }
}

/**
 * Lets members of two servers talk while something happens. Then all have received all
 * lines once and in the same order.
 *
 * @returns The members.
 */
export async function talkWhile(
  servers: Server[],
  action: (talkers: Talker[]) => Promise<void>,
): Promise<Talker[]> {
  const talkers: Talker[] = [];
  for (let i = 0; i < 4; i++) {
    talkers.push(await Talker.enter(servers[i % servers.length], `m${i}`));
  }
  const talking = talkers.map((talker) => talker.talk());
  await Promise.race([action(talkers), Promise.all(talking)]);
  for (const talker of talkers) talker.stop();
  await Promise.all(talking);
  const count = talkers.reduce((sum, { sent }) => sum + sent, 0);
  await Promise.all(talkers.map((talker) => talker.receive(count)));
  for (const { name, sent } of talkers) {
    assertEquals(
      talkers[0].lines.filter((line) => line.startsWith(`${name}: `)),
      Array.from({ length: sent }, (_, n) => `${name}: ${n + 1}`),
    );
  }
  for (const { lines } of talkers) assertEquals(lines, talkers[0].lines);
  for (const { client } of talkers) await client[Symbol.asyncDispose]();
  return talkers;
}

/** Waits until each member has received a number of further lines. */
export async function progress(talkers: Talker[], count = 50): Promise<void> {
  const goals = talkers.map(({ lines }) => lines.length + count);
  while (talkers.some(({ lines }, i) => lines.length < goals[i])) {
    await delay(5);
  }
}

/** The notices to members while NATS is away. */
export const PAUSED = "-- The room cannot be reached. What you send now waits";
export const RESUMED = "-- The room can be reached again";
