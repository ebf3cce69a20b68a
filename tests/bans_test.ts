import { assert, assertEquals, assertRejects } from "@std/assert";
import { setTimeout as delay } from "node:timers/promises";
import { CommandError } from "../cli.ts";
import { writeFileAtomically } from "../server/atomic_file.ts";
import { type Ban, BanList } from "../server/bans.ts";
import { parseDuration } from "../server/duration.ts";
import { Network } from "../server/network.ts";
import { UNIX } from "./commands.ts";

/** A directory that is removed with its scope, and the path of a file in it. */
async function temporaryFile(text?: string) {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/bans`;
  if (text !== undefined) await Deno.writeTextFile(path, text);
  return {
    directory,
    path,
    read: () => Deno.readTextFile(path),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

/** Reads the bans of a file. */
async function load(path: string, now?: () => number): Promise<BanList> {
  const bans = new BanList({ path, now });
  await bans.load();
  return bans;
}

function ban(network: string, until?: string, reason = "spam"): Ban {
  return {
    network: Network.parse(network, 64)!,
    until: until === undefined ? undefined : new Date(until),
    by: "op-1",
    reason,
  };
}

const START = Date.parse("2026-11-24T12:00:00Z");

Deno.test("networks are parsed in any notation and printed in one", async (t) => {
  const networks: Record<string, string | undefined> = {
    "192.0.2.7": "192.0.2.7",
    "192.0.2.7/32": "192.0.2.7",
    "192.0.2.7/24": "192.0.2.0/24",
    "192.0.2.7/0": "0.0.0.0/0",
    "::ffff:192.0.2.7": "192.0.2.7",
    "::FFFF:c000:207": "192.0.2.7",
    "2001:DB8:0:0:1::7": "2001:db8::/64",
    "2001:db8::7/128": "2001:db8::7/128",
    "2001:db8:1:2ff::7/56": "2001:db8:1:200::/56",
    "::/0": "::/0",
    "::1": "::/64",
    "1:2:3:4:5:6:7:8/128": "1:2:3:4:5:6:7:8/128",
    "::1.2.3.4/128": "::102:304/128",
    "192.0.2.7/33": undefined,
    "192.0.2.7/-1": undefined,
    "192.0.2.7/": undefined,
    "192.0.2.7/1/2": undefined,
    "192.0.2.07": undefined,
    "192.0.2": undefined,
    "::1/129": undefined,
    "fe80::1%eth0": undefined,
    "[::1]": undefined,
    "[::1]:8000": undefined,
    "192.0.2.7:8000": undefined,
    "bob": undefined,
    "": undefined,
  };
  for (const [given, printed] of Object.entries(networks)) {
    await t.step(given, () => {
      const network = Network.parse(given, 64);
      assertEquals(network && String(network), printed);
      if (printed === undefined) return;
      assertEquals(Network.parse(printed)!.key, network!.key);
    });
  }
});

Deno.test("a network includes its addresses and no others", () => {
  const includes = (network: string, address: string) =>
    Network.parse(network)!.includes(Network.parse(address)!);
  assert(includes("192.0.2.0/24", "192.0.2.255"));
  assert(includes("192.0.2.0/24", "192.0.2.0/25"));
  assert(includes("0.0.0.0/0", "255.255.255.255"));
  assert(includes("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff"));
  assert(!includes("192.0.2.0/24", "192.0.3.0"));
  assert(!includes("192.0.2.0/25", "192.0.2.0/24"));
  assert(!includes("::/0", "192.0.2.7"));
  assert(!includes("0.0.0.0/0", "2001:db8::1"));
});

Deno.test("durations are parsed", () => {
  assertEquals(
    ["30s", "30m", "12h", "7d"].map(parseDuration),
    [30_000, 1_800_000, 43_200_000, 604_800_000],
  );
  const invalid = ["", "0m", "-1m", "1", "m", "1w", "1.5h", "99999d", "1m2s"];
  assertEquals(invalid.filter((text) => parseDuration(text)), []);
});

Deno.test("a ban matches addresses, IPv6 ones by their /64", async (t) => {
  const bans = new BanList();
  bans.add(ban("192.0.2.7"));
  bans.add(ban("198.51.100.0/24"));
  bans.add(ban("2001:db8:1:2::7"));
  const addresses = {
    "192.0.2.7": "192.0.2.7",
    "::ffff:192.0.2.7": "192.0.2.7",
    "192.0.2.8": undefined,
    "198.51.100.99": "198.51.100.0/24",
    "2001:db8:1:2:ffff::1": "2001:db8:1:2::/64",
    "2001:db8:1:3::7": undefined,
    "": undefined,
    "localhost": undefined,
  };
  for (const [address, network] of Object.entries(addresses)) {
    await t.step(`"${address}"`, () => {
      const found = bans.find(address);
      assertEquals(found && String(found.network), network);
    });
  }
});

Deno.test("a ban ends when its time has come", async () => {
  await using file = await temporaryFile();
  let now = START;
  const bans = await load(file.path, () => now);
  await bans.add(ban("192.0.2.7", "2026-11-24T12:30:00Z"));
  await bans.add(ban("192.0.2.8"));
  now = START + 1_799_999;
  assert(bans.find("192.0.2.7"));
  now++;
  assertEquals(bans.find("192.0.2.7"), undefined);
  assertEquals(bans.all.map(({ network }) => `${network}`), ["192.0.2.8"]);
  assert((await file.read()).includes("192.0.2.7 "));
  await bans.add(ban("192.0.2.9"));
  assertEquals(
    await file.read(),
    "192.0.2.8 - op-1 spam\n192.0.2.9 - op-1 spam\n",
  );
});

Deno.test("the file keeps its comments, its order and its bans", async () => {
  const text = `# Bans of the chat

# The spammer of November
192.0.2.7 2026-12-01T12:00:00.000Z op-1 spam # twice
  # an indented comment
198.51.100.0/24 - ann
2001:db8:1:2::/64 - op-2 flood
`;
  await using file = await temporaryFile(text);
  const bans = await load(file.path, () => START);
  assertEquals(bans.all, [
    ban("192.0.2.7", "2026-12-01T12:00:00Z", "spam # twice"),
    { ...ban("198.51.100.0/24", undefined, ""), by: "ann" },
    { ...ban("2001:db8:1:2::/64", undefined, "flood"), by: "op-2" },
  ]);
  await bans.add(ban("203.0.113.9", undefined, ""));
  const added = `${text}203.0.113.9 - op-1\n`;
  assertEquals(await file.read(), added);
  await bans.add(ban("192.0.2.7", undefined, "again"));
  const changed = added.replace(/^192.*$/m, "192.0.2.7 - op-1 again");
  assertEquals(await file.read(), changed);
  assertEquals(bans.remove(Network.parse("1.2.3.4")!).wasBanned, false);
  const { wasBanned, saved } = bans.remove(Network.parse("198.51.100.0/24")!);
  assertEquals(wasBanned, true);
  await saved;
  assertEquals(await file.read(), changed.replace(/^198.*\n/m, ""));
  assertEquals((await load(file.path, () => START)).all, bans.all);
});

Deno.test("lines by hand can be shorter", async () => {
  await using file = await temporaryFile(
    "192.0.2.77/24\t2026-12-01  root\r\n2001:DB8::1 2026-12-01T10:00Z root x",
  );
  const bans = await load(file.path, () => START);
  assertEquals(
    bans.all.map(({ network, until }) => `${network} ${until?.toISOString()}`),
    [
      "192.0.2.0/24 2026-12-01T00:00:00.000Z",
      "2001:db8::/64 2026-12-01T10:00:00.000Z",
    ],
  );
});

Deno.test("a malformed line is reported with its number", async (t) => {
  const FORM = "write ADDRESS[/PREFIX] UNTIL|- BY REASON";
  const lines = {
    "192.0.2.7": FORM,
    "192.0.2.7 -": FORM,
    "bob - op-1 spam": "bob is not an address or a network",
    "192.0.2.7/99 - op-1": "192.0.2.7/99 is not an address or a network",
    "192.0.2.7 12h op-1": "12h is not a time such as 2026-12-01T12:00Z",
    "192.0.2.7 2026-13-01 op-1":
      "2026-13-01 is not a time such as 2026-12-01T12:00Z",
  };
  for (const [line, reason] of Object.entries(lines)) {
    await t.step(line, async () => {
      await using file = await temporaryFile("192.0.2.1 - op-1 spam\n");
      const bans = await load(file.path);
      await Deno.writeTextFile(file.path, `# one\n\n${line}\n`);
      await assertRejects(
        () => bans.load(),
        CommandError,
        `Cannot read ${file.path}, line 3: ${reason}`,
      );
      assert(bans.find("192.0.2.1"));
    });
  }
});

Deno.test("a change by hand is not lost", async () => {
  await using file = await temporaryFile("192.0.2.1 - op-1 one\n");
  const bans = await load(file.path);
  await Deno.writeTextFile(file.path, "# by hand\n192.0.2.2 - root two\n");
  await bans.add(ban("192.0.2.3"));
  assertEquals(
    await file.read(),
    "# by hand\n192.0.2.2 - root two\n192.0.2.3 - op-1 spam\n",
  );
  assertEquals(bans.all.map(({ network }) => `${network}`), [
    "192.0.2.2",
    "192.0.2.3",
  ]);
});

Deno.test("changes at a time are all written", async () => {
  await using file = await temporaryFile();
  const bans = await load(file.path);
  const saved = Array.from(
    { length: 50 },
    (_, i) => bans.add(ban(`192.0.2.${i}`)),
  );
  saved.push(bans.remove(Network.parse("192.0.2.0")!).saved);
  await Promise.all(saved);
  assertEquals((await load(file.path)).all, bans.all);
  assertEquals(bans.all.length, 49);
});

Deno.test("a ban that is added while the file is read again stays in force", async () => {
  await using file = await temporaryFile();
  const bans = await load(file.path);
  const { readTextFile } = Deno;
  const added = Promise.withResolvers<void>();
  Deno.readTextFile = async (path) => {
    Deno.readTextFile = readTextFile;
    const text = await readTextFile(path).catch(() => "");
    // The disk is slow: the ban is written first, unless that waits for this read.
    await Promise.race([added.promise, delay(200)]);
    return text;
  };
  const loaded = bans.load();
  await bans.add(ban("192.0.2.7"));
  added.resolve();
  await loaded;
  assert(bans.find("192.0.2.7"));
});

Deno.test({
  name: "a ban holds although the disk is full, and is written with the next",
  ignore: Deno.build.os !== "linux", // The system has /dev/full.
  async fn() {
    await using file = await temporaryFile("# one\n");
    const { directory, path } = file;
    const program = `import { BanList } from "./server/bans.ts";
      import { Network } from "./server/network.ts";
      const path = "${path}";
      const bans = new BanList({ path });
      const add = (address) =>
        bans.add({ network: Network.parse(address), by: "op-1", reason: "" });
      const log = () => console.log(Boolean(bans.find("192.0.2.7")));
      await Deno.symlink("/dev/full", path + ".new");
      await add("192.0.2.7").catch(({ message }) => console.log(message));
      log();
      console.log(await Deno.readTextFile(path));
      await bans.load();
      log();
      await add("192.0.2.8");`;
    // Only a program with all permissions can open /dev/full.
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", program],
      cwd: new URL("..", import.meta.url),
    }).output();
    assertEquals(
      new TextDecoder().decode(stdout),
      `Cannot write ${path}: the disk is full\ntrue\n# one\n\ntrue\n`,
    );
    assertEquals(
      await file.read(),
      "# one\n192.0.2.7 - op-1\n192.0.2.8 - op-1\n",
    );
    const entries = await Array.fromAsync(Deno.readDir(directory));
    assertEquals(entries.map(({ name }) => name), ["bans"]);
  },
});

Deno.test("a ban holds although the file cannot be written", async () => {
  await using file = await temporaryFile();
  const path = `${file.directory}/missing/bans`;
  const bans = await load(path);
  await assertRejects(
    () => bans.add(ban("192.0.2.7")),
    CommandError,
    `Cannot write ${path}: no such file or directory`,
  );
  assert(bans.find("192.0.2.7"));
});

Deno.test({
  name: "the file keeps its mode, and a link to it stays",
  ignore: !UNIX,
  async fn() {
    await using file = await temporaryFile("");
    const modeOf = async () => (await Deno.stat(file.path)).mode! & 0o777;
    const link = `${file.directory}/link`;
    await Deno.symlink("bans", link);
    await Deno.chmod(file.path, 0o640);
    await (await load(link)).add(ban("192.0.2.7"));
    assertEquals(await file.read(), "192.0.2.7 - op-1 spam\n");
    assertEquals(await modeOf(), 0o640);
    assert((await Deno.lstat(link)).isSymlink);
    await Deno.remove(file.path);
    await (await load(file.path)).add(ban("192.0.2.7"));
    assertEquals(await modeOf(), 0o600);
  },
});

Deno.test("a process that is killed while it writes leaves a whole file", async () => {
  const size = 10_000;
  await using file = await temporaryFile("0\n".repeat(size));
  /** Reads the file, checks that it is one whole version, and returns which. */
  const version = async () => {
    const text = await file.read();
    const [first] = text.split("\n");
    assertEquals(text, `${first}\n`.repeat(size));
    return first;
  };
  const module = new URL("../server/atomic_file.ts", import.meta.url);
  const program = `import { writeFileAtomically } from "${module}";
    for (let i = 1; i <= 1000; i++) {
      await writeFileAtomically(Deno.args[0], (i + "\\n").repeat(${size}));
    }`;
  const script = `${file.directory}/writer.ts`;
  await Deno.writeTextFile(script, program);
  for (let round = 0; round < 5; round++) {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-RW", "--no-check", script, file.path],
    }).spawn();
    let hasEnded = false;
    const status = child.status.finally(() => hasEnded = true);
    const seen = new Set([await version()]);
    while (seen.size < 10 + 5 * round && !hasEnded) seen.add(await version());
    child.kill("SIGKILL");
    assertEquals((await status).signal, "SIGKILL");
    seen.add(await version());
    assert(seen.size >= 10 + 5 * round);
  }
  await writeFileAtomically(file.path, "done");
  assertEquals(await file.read(), "done");
});
