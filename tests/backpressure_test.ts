/** Tests the policy for slow consumers with a fake clock and without sockets. */

import { assertEquals } from "@std/assert";
import { Backpressure } from "../mod.ts";

/** A clock that stands still until a test advances it. */
class FakeClock {
  #now = 0;
  readonly #sleepers = new Map<() => void, number>();

  now = (): number => this.#now;

  turn = (): Promise<void> => Promise.resolve();

  sleep = (time: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      this.#sleepers.set(resolve, this.#now + time);
      signal.addEventListener("abort", () => {
        this.#sleepers.delete(resolve);
        reject(signal.reason);
      });
    });

  /** Advances the time, and ends the sleeps that are over by then. */
  async advance(time: number): Promise<void> {
    this.#now += time;
    for (const [wake, end] of this.#sleepers) {
      if (end > this.#now) continue;
      this.#sleepers.delete(wake);
      wake();
    }
    await settle();
  }
}

/** Lets all promises settle. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** A bulk sender that asks for its next turn. */
function ask(backpressure: Backpressure): { continued: boolean } {
  const sender = { continued: false };
  backpressure.turn().then(() => sender.continued = true);
  return sender;
}

/** Advances the time until a sender continues. Returns how long it waited. */
async function waitOf(
  backpressure: Backpressure,
  clock: FakeClock,
): Promise<number> {
  const start = clock.now();
  const sender = ask(backpressure);
  await settle();
  while (!sender.continued) await clock.advance(10);
  return clock.now() - start;
}

Deno.test("a bulk sender continues in the next turn while no client is behind", async () => {
  const backpressure = new Backpressure(new FakeClock());
  const sender = ask(backpressure);
  assertEquals(sender.continued, false);
  await settle();
  assertEquals(sender.continued, true);
});

Deno.test("a bulk sender waits for a client that is behind until it has caught up", async () => {
  const clock = new FakeClock();
  const backpressure = new Backpressure(clock);
  backpressure.fellBehind("slow");
  const sender = ask(backpressure);
  await clock.advance(600);
  assertEquals(sender.continued, false);
  backpressure.caughtUp("slow");
  await settle();
  assertEquals(sender.continued, true);
});

Deno.test("a bulk sender waits for all clients that are behind", async () => {
  const backpressure = new Backpressure(new FakeClock());
  backpressure.fellBehind("ann");
  backpressure.fellBehind("bob");
  const sender = ask(backpressure);
  backpressure.caughtUp("ann");
  await settle();
  assertEquals(sender.continued, false);
  backpressure.caughtUp("bob");
  await settle();
  assertEquals(sender.continued, true);
});

Deno.test("a bulk sender waits at most 0.7 s for one client until it has caught up", async () => {
  const clock = new FakeClock();
  const backpressure = new Backpressure(clock);
  backpressure.fellBehind("slow");
  assertEquals(await waitOf(backpressure, clock), 700);
  backpressure.fellBehind("slow");
  assertEquals(await waitOf(backpressure, clock), 0);
  backpressure.caughtUp("slow");
  backpressure.fellBehind("slow");
  assertEquals(await waitOf(backpressure, clock), 700);
});

Deno.test("clients that are behind at the same time are waited for together", async () => {
  const clock = new FakeClock();
  const backpressure = new Backpressure(clock);
  for (let i = 0; i < 100; i++) backpressure.fellBehind(`slow ${i}`);
  assertEquals(await waitOf(backpressure, clock), 700);
  backpressure.fellBehind("another");
  assertEquals(await waitOf(backpressure, clock), 700);
});

Deno.test("bulk senders wait at most 2 s for clients that get stuck one after the other", async () => {
  const clock = new FakeClock();
  const backpressure = new Backpressure(clock);
  let total = 0;
  for (let i = 0; i < 10; i++) {
    backpressure.fellBehind(`stuck ${i}`);
    total += await waitOf(backpressure, clock);
  }
  // The limit of 2 seconds recovers by a tenth of the elapsed time.
  assertEquals(Math.round(total / 100), 22);
});

Deno.test("clients that catch up in time do not count towards the 2 s", async () => {
  const clock = new FakeClock();
  const backpressure = new Backpressure(clock);
  for (let i = 0; i < 100; i++) {
    backpressure.fellBehind("healthy");
    const sender = ask(backpressure);
    await clock.advance(500);
    assertEquals(sender.continued, false);
    backpressure.caughtUp("healthy");
    await settle();
    assertEquals(sender.continued, true);
  }
  backpressure.fellBehind("stuck");
  assertEquals(await waitOf(backpressure, clock), 700);
});

Deno.test("the limit of 2 s has recovered after 20 s", async () => {
  const clock = new FakeClock();
  const backpressure = new Backpressure(clock);
  for (let i = 0; i < 10; i++) {
    backpressure.fellBehind(`stuck ${i}`);
    await waitOf(backpressure, clock);
  }
  await clock.advance(20_000);
  backpressure.fellBehind("one more");
  assertEquals(await waitOf(backpressure, clock), 700);
});

Deno.test("a client that leaves is no longer waited for", async () => {
  const backpressure = new Backpressure(new FakeClock());
  backpressure.fellBehind("leaving");
  const sender = ask(backpressure);
  await settle();
  backpressure.caughtUp("leaving"); // As a writer reports when it closes.
  await settle();
  assertEquals(sender.continued, true);
});

Deno.test("sixteen bulk senders continue in one turn", async () => {
  const clock = new FakeClock();
  const turns: (() => void)[] = [];
  clock.turn = () => new Promise((resolve) => turns.push(resolve));
  const backpressure = new Backpressure(clock);
  const senders = Array.from({ length: 40 }, () => ask(backpressure));
  const continued = () => senders.filter((sender) => sender.continued).length;
  for (const expected of [16, 32, 40]) {
    turns.shift()!();
    await settle();
    assertEquals(continued(), expected);
  }
});

Deno.test("all senders continue when the chat closes", async () => {
  const backpressure = new Backpressure(new FakeClock());
  backpressure.fellBehind("stuck");
  const sender = ask(backpressure);
  await settle();
  backpressure.stop();
  await settle();
  assertEquals(sender.continued, true);
});
