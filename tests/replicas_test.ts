/** Tests rooms on three NATS servers, which keep three replicas of the stream. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import {
  PAUSED,
  progress,
  RESUMED,
  type Talker,
  talkWhile,
} from "./cluster.ts";
import { Command, type Server, startServer } from "./commands.ts";
import { NatsCluster, OLD_NATS, RECENT_NATS } from "./nats.ts";

/** The subjects of the stream, which an operator can make. */
const SUBJECTS = ["linechat.main.log", "linechat.main.state"];

/** Defines a test that needs NATS 2.10. */
function replicasTest(name: string, fn: () => Promise<void>): void {
  const notRun = " (not run: no nats-server of 2.10 or later)";
  Deno.test({
    name: RECENT_NATS === undefined ? name + notRun : name,
    ignore: RECENT_NATS === undefined,
    fn,
  });
}

/** Checks that members have received at most one pair of notices. */
function assertOnePause(talkers: Talker[]): void {
  for (const { notices } of talkers) {
    assertEquals(notices, notices.length === 0 ? [] : [PAUSED, RESUMED]);
  }
}

replicasTest(
  "a room continues without the leader of its stream, which is killed",
  async () => {
    await using nats = await NatsCluster.start(RECENT_NATS!);
    const urls = nats.nodes.map(({ url }) => url).join();
    await using one = await startServer(["--nats", urls]);
    await using two = await startServer(["--nats", urls]);
    const talkers = await talkWhile([one, two], async (talkers) => {
      await progress(talkers);
      const leader = await nats.leader();
      await leader.stop("SIGKILL");
      await progress(talkers);
      await leader.start();
      await progress(talkers);
    });
    assertOnePause(talkers);
  },
);

replicasTest(
  "a room continues while the leader of its stream stands still for 8 s",
  async () => {
    await using nats = await NatsCluster.start(RECENT_NATS!);
    const urls = nats.nodes.map(({ url }) => url).join();
    await using one = await startServer(["--nats", urls]);
    await using two = await startServer(["--nats", urls]);
    const talkers = await talkWhile([one, two], async (talkers) => {
      await progress(talkers);
      const leader = await nats.leader();
      leader.kill("SIGSTOP");
      await delay(8_000);
      leader.kill("SIGCONT");
      await progress(talkers);
    });
    assertOnePause(talkers);
  },
);

replicasTest(
  "a server that knew one NATS server continues when that one is killed",
  async () => {
    await using nats = await NatsCluster.start(RECENT_NATS!);
    const [first, second] = nats.nodes;
    await using one = await startServer(["--nats", first.url]);
    await using two = await startServer(["--nats", second.url]);
    const talkers = await talkWhile([one, two], async (talkers) => {
      await progress(talkers);
      await first.stop("SIGKILL");
      await progress(talkers);
      await first.start();
      await progress(talkers);
    });
    assertOnePause(talkers);
  },
);

replicasTest(
  "a room continues within 40 s without the NATS server that sends its messages",
  async () => {
    await using nats = await NatsCluster.start(RECENT_NATS!);
    await nats.makeStream("linechat_main", SUBJECTS);
    // Without the leader, the servers would connect again for another reason.
    const leader = await nats.leader();
    await using stack = new AsyncDisposableStack();
    const servers: Server[] = [];
    for (let i = 0; i < 3; i++) {
      servers.push(stack.use(await startServer(["--nats", leader.url])));
    }
    const talkers = await talkWhile(servers, async (talkers) => {
      await progress(talkers);
      // NATS chooses a sender for each server. Rarely, the leader sends to all.
      const others = nats.nodes.filter((node) => node !== leader);
      const senders = await nats.senders();
      const start = performance.now();
      await (others.find((node) => senders.includes(node)) ?? others[0])
        .stop("SIGKILL");
      await progress(talkers);
      assert(performance.now() - start < 40_000);
    });
    assertOnePause(talkers);
  },
);

Deno.test({
  name: `a stream with three replicas is refused by NATS before 2.10${
    OLD_NATS === undefined ? " (not run: no nats-server before 2.10)" : ""
  }`,
  ignore: OLD_NATS === undefined,
  async fn() {
    await using nats = await NatsCluster.start(OLD_NATS!);
    const [{ url }] = nats.nodes;
    await nats.makeStream("linechat_main", SUBJECTS);
    await using server = new Command("server.ts", ["--nats", url]);
    assertEquals(await server.code(), 1);
    assertMatch(
      await server.stderr(),
      /can lose lines of a stream with 3 replicas, use NATS 2\.10/,
    );
  },
});
