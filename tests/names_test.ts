/** Tests the rules for names, and the names that look alike. */

import { assertEquals } from "@std/assert";
import { Chat } from "../mod.ts";

/** Joins a room with one member and returns the reply to `/nick NAME`. */
async function nick(name: string, present = "somebody"): Promise<string> {
  await using chat = new Chat();
  await using _owner = chat.connect({ name: present });
  await using ann = chat.connect();
  await ann.send(`/nick ${name}`);
  await ann.send("/ping");
  let reply = "";
  for await (const line of ann.lines) {
    if (line === "-- pong") return reply;
    reply = line;
  }
  return reply;
}

Deno.test("names that look alike are refused", async (t) => {
  const pairs = [
    ["ΖΟΕ", "ZOE"],
    ["ΝΙΝΑ", "NINA"],
    ["ΗΑΝΑ", "HANA"],
    ["ΤΟΥ", "TOY"],
    ["РАУӏ", "PAYl"],
    ["ӏо", "lo"],
    ["ѵоѵа", "vova"],
    ["b\u1dc0ob", "bob"],
    ["b\u1ab0ob", "bob"],
    ["b\u20dfob", "bob"],
    ["bᴏb", "bob"],
    ["ǀx", "lx"],
    ["modern", "rnodern"],
    ["AIice", "alice"],
    ["a1ice", "Alice"],
    ["b0b", "bob"],
  ];
  for (const [name, owner] of pairs) {
    await t.step(`${name} and ${owner}`, async () => {
      const problem = `The name ${name.normalize("NFKC")} is too similar to`;
      assertEquals(await nick(name, owner), `-- ${problem} ${owner}`);
    });
  }
});

Deno.test("names that look different can be used together", async (t) => {
  const pairs = [
    ["ann", "anna"],
    ["अनु", "अनि"],
    ["ノア", "アノ"],
    ["がか", "かが"],
  ];
  for (const [name, owner] of pairs) {
    await t.step(`${name} and ${owner}`, async () => {
      assertEquals(await nick(name, owner), `memory:1 is now known as ${name}`);
    });
  }
});

Deno.test("names that look like an address are refused", async (t) => {
  for (const name of ["l27.0.0.1", "1O.0.0.5", "loca1host", "localhost."]) {
    await t.step(name, async () => {
      assertEquals(
        await nick(name),
        `-- The name ${name} looks like an address`,
      );
    });
  }
});

Deno.test("names with invisible letters are refused", async (t) => {
  for (const letter of ["\u{13441}", "\u{13442}", "\u{16fe4}", "\u3164"]) {
    await t.step(letter.codePointAt(0)!.toString(16), async () => {
      assertEquals(
        await nick(`bob${letter}`),
        "-- A name cannot contain invisible or stacked characters",
      );
    });
  }
});

Deno.test("names that look like the start of a notice are refused", async () => {
  assertEquals(
    await nick("ⲻⲻ"),
    "-- A name must start with a letter or a digit",
  );
});

Deno.test("names that look like the server are refused", async (t) => {
  const names = [
    "server",
    "SERVER",
    "admin",
    "аdmіn".replaceAll(/[аі]/g, (letter) => letter === "а" ? "a" : "1"),
    "Welcome",
    "op-1",
    "guest-1",
    "admin_2",
    "root",
    "服务器",
    "管理员",
    "欢迎",
    "无法进入",
    "服务器即将关闭",
    "op-O",
    "op-2l",
    "OP_l",
    "op-٢",
    "op-৪",
    "guest-l",
    "root.I",
  ];
  for (const name of names) {
    await t.step(name, async () => {
      assertEquals(await nick(name), `-- The name ${name} is reserved`);
    });
  }
  await t.step(
    "names that only contain a reserved name are allowed",
    async () => {
      assertEquals(await nick("Roota"), "memory:1 is now known as Roota");
      assertEquals(await nick("opal"), "memory:1 is now known as opal");
      assertEquals(await nick("Tool"), "memory:1 is now known as Tool");
    },
  );
});

Deno.test("the table of similar characters is up to date", async () => {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-R", "--no-lock", "scripts/confusables.ts", "--check"],
    cwd: new URL("..", import.meta.url),
  }).output();
  assertEquals(success, true);
});
