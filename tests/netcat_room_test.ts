/** Tests the state of the room in the client. */

import { assert, assertEquals } from "@std/assert";
import { commonStart, complete } from "../netcat/complete.ts";
import { historyCount, memberCount, parseLine } from "../netcat/protocol.ts";
import { mentions, Room } from "../netcat/room.ts";
import { greeting } from "./room.ts";

/** Creates a connected room, and collects the lines that it sends on its own. */
function openRoom(name?: string, others: string[] = ["bob"]) {
  const sent: string[] = [];
  const room = new Room((line) => sent.push(line), name);
  /** Passes lines to the room. Returns the lines that are shown. */
  const receive = (...lines: string[]) =>
    lines.flatMap((line) => room.receive(line).map(({ raw }) => raw));
  const connect = (...lines: string[]) => {
    room.connect();
    return receive("Welcome 127.0.0.1:1", greeting(...others), ...lines);
  };
  connect();
  return { room, sent, receive, connect };
}

/** Returns the notice before a history. */
const history = (count: number) =>
  `-- History: ${count} messages, last at 2026-11-24 12:03 UTC`;

Deno.test("parseLine recognizes the lines of a room in both languages", () => {
  const parse = (line: string) => Object.values(parseLine(line));
  assertEquals(parse("127.0.0.1:1: hi: ho"), [
    "message",
    "127.0.0.1:1",
    "hi: ho",
  ]);
  assertEquals(parse("[::1]:1: hi"), ["message", "[::1]:1", "hi"]);
  assertEquals(parse("bob: "), ["message", "bob", ""]);
  assertEquals(parse("* bob waves"), ["action", "bob", "waves"]);
  assertEquals(parse("bob (private): hi"), ["private", "bob", "hi"]);
  assertEquals(parse("小明（私聊）: 你好"), ["private", "小明", "你好"]);
  assertEquals(parse("(private) → bob: hi"), ["sent", "bob", "hi"]);
  assertEquals(parse("（私聊）→ bob: 你好"), ["sent", "bob", "你好"]);
  assertEquals(parse("bob is online"), ["joined", "bob"]);
  assertEquals(parse("小明 下线"), ["left", "小明"]);
  assertEquals(parse("bob is now known as cat"), ["renamed", "bob", "cat"]);
  assertEquals(parse("bob 改名为 小明"), ["renamed", "bob", "小明"]);
  assertEquals(parse("-- bob: hi"), ["notice", "bob: hi"]);
  assertEquals(parse("无法进入：聊天室已满"), ["refused", "聊天室已满"]);
});

Deno.test("parseLine does not mistake the text of a member for another line", () => {
  for (
    const text of [
      "is online",
      "bob is online",
      "（私聊）: hi",
      "(private): hi",
      "Cannot enter: x",
      "is now known as x",
      "-- hi",
      "* bob waves",
    ]
  ) {
    for (const name of ["mallory", "127.0.0.1:1", "[::1]:1"]) {
      assertEquals(parseLine(`${name}: ${text}`), {
        type: "message",
        name,
        text,
      });
    }
  }
});

Deno.test("the notices before a history and a list of members contain the count", () => {
  assertEquals(
    historyCount("History: 12 messages, last at 2026-11-24 12:03 UTC"),
    12,
  );
  assertEquals(
    historyCount("历史消息：3 条，最后一条发送于 2026-11-24 12:03 UTC"),
    3,
  );
  assertEquals(historyCount("12 messages"), undefined);
  assertEquals(
    historyCount("History: 99999999 messages, last at 2026-11-24 12:03 UTC"),
    undefined,
  );
  assertEquals(memberCount("2 here:"), 2);
  assertEquals(memberCount("3 人在线："), 3);
  assertEquals(memberCount("bob (3 min)"), undefined);
});

Deno.test("the members are known from one hidden /who and from later lines", () => {
  const { room, sent, receive } = openRoom();
  assertEquals(sent, ["/who"]);
  assertEquals(
    receive("-- 2 here:", "-- bob (3 min)", "-- 127.0.0.1:1 (0 s)"),
    [],
  );
  assertEquals(room.members.names, ["127.0.0.1:1", "bob"]);
  receive("cat is online", "bob is offline", "127.0.0.1:1 is now known as ann");
  assertEquals(room.members.names, ["ann", "cat"]);
  assertEquals(room.ownName, "ann");
  assertEquals(sent, ["/who"]);
});

Deno.test("a member keeps its colour when the list of members arrives", () => {
  const { room, receive } = openRoom();
  receive("127.0.0.1:1 is now known as ann");
  const colour = room.members.colours.get("ann");
  receive("-- 2 here:", "-- bob (3 min)", "-- ann (0 s)");
  assertEquals(room.members.colours.get("ann"), colour);
});

Deno.test("a list of members that is too short does not hide other notices", () => {
  const { receive } = openRoom();
  receive("-- 99 here:", "-- bob (3 min)");
  assertEquals(receive("-- hello", "-- bob (3 min)").length, 2);
});

Deno.test("a list of members that the server shortens is hidden, and keeps the others", () => {
  const { room, sent, receive } = openRoom();
  receive("dan is online");
  assertEquals(receive("-- 200 here:", "-- bob (3 min)", "-- \u2026"), []);
  assertEquals(room.members.names, ["127.0.0.1:1", "bob", "dan"]);
  const { now } = Date;
  try {
    Date.now = () => now() + 60_000;
    receive("eve is offline");
  } finally {
    Date.now = now;
  }
  assertEquals(sent, ["/who"]);
});

Deno.test("the line of a departure has the colour of the member", () => {
  const { room, receive } = openRoom();
  const names = ["bob", "cat", "dan", "eve", "fay", "gil", "hal", "ida", "joe"];
  for (const name of names) receive(`${name} is online`);
  for (const name of names) {
    const colour = room.members.colours.get(name);
    receive(`${name} is offline`);
    assertEquals(room.members.colours.get(name), colour);
  }
});

Deno.test("the reply to a /who of the user is shown", () => {
  const { room, receive } = openRoom();
  receive("-- 1 here:", "-- bob (3 min)");
  room.enter("/who");
  assertEquals(receive("-- 1 here:", "-- bob (3 min)").length, 2);
});

Deno.test("/who is sent again if the list of members is wrong", () => {
  const { sent, receive } = openRoom();
  receive("-- 1 here:", "-- bob (3 min)");
  const { now } = Date;
  try {
    Date.now = () => now() + 60_000;
    receive("dan is offline");
    assertEquals(sent, ["/who", "/who"]);
    // Only one request is sent at a time.
    receive("eve is offline");
    assertEquals(sent, ["/who", "/who"]);
  } finally {
    Date.now = now;
  }
});

Deno.test("no commands are sent to a server without commands", () => {
  const sent: string[] = [];
  const room = new Room((line) => sent.push(line));
  room.connect();
  room.receive("Welcome 127.0.0.1:1");
  room.receive("-- /help is not here");
  assert(!room.ping());
  assertEquals(sent, []);
});

Deno.test("a line is pending until the room repeats it", () => {
  const { room, receive } = openRoom();
  receive("-- 1 here:", "-- bob (3 min)");
  for (const line of ["one", "//two", "/me waves", "three   spaces", "/x"]) {
    room.enter(line);
  }
  receive("bob: one");
  assertEquals(room.outbox.lines.length, 5);
  receive("127.0.0.1:1: one", "127.0.0.1:1: /two");
  assertEquals(room.outbox.lines, ["/me waves", "three   spaces", "/x"]);
  receive("* 127.0.0.1:1 waves", "127.0.0.1:1: three spaces");
  assertEquals(room.outbox.lines, ["/x"]);
  receive("-- Unknown command /x. /help lists the commands");
  assertEquals(room.outbox.lines, []);
});

Deno.test("an answer to a line also answers the lines before it", () => {
  const { room, receive } = openRoom();
  for (const line of ["one", "two", "three"]) room.enter(line);
  receive("127.0.0.1:1: two");
  assertEquals(room.outbox.lines, ["three"]);
});

Deno.test("a replayed history is marked, and does not answer a line", () => {
  const { room } = openRoom();
  room.connect();
  room.receive("Welcome 127.0.0.1:1");
  room.receive(greeting());
  room.enter("hi");
  room.receive(history(1));
  const [item] = room.receive("127.0.0.1:1: hi");
  assert(item.isReplayed);
  assertEquals(room.outbox.lines.length, 1);
  assert(!room.receive("127.0.0.1:1: hi")[0].isReplayed);
});

Deno.test("after a reconnect, only new lines of the history are shown", () => {
  const { receive, connect } = openRoom();
  assertEquals(connect(history(2), "bob: a", "bob: b").length, 5);
  receive("bob: c");
  // The history has 3 lines, and the last one is new.
  assertEquals(connect(history(3), "bob: b", "bob: c", "cat: d").slice(2), [
    "cat: d",
  ]);
  assertEquals(connect(history(3), "bob: b", "bob: c", "cat: d").slice(2), []);
  // All lines are new.
  assertEquals(connect(history(2), "x: 1", "x: 2").slice(2), ["x: 1", "x: 2"]);
});

Deno.test("repeated lines of a history are compared in their order", () => {
  const { receive, connect } = openRoom();
  receive("bob: a", "bob: a");
  assertEquals(connect(history(3), "bob: a", "bob: a", "bob: a").slice(2), []);
  assertEquals(
    connect(history(4), "bob: a", "bob: a", "bob: b", "bob: a").slice(2),
    [
      "bob: b",
      "bob: a",
    ],
  );
});

Deno.test("the last chosen name is taken again after a reconnect", () => {
  const { sent, receive, connect } = openRoom("ann");
  assertEquals(sent[0], "/nick ann");
  receive("127.0.0.1:1 is now known as ann", "ann is now known as eve");
  sent.length = 0;
  connect();
  assertEquals(sent[0], "/nick eve");
});

Deno.test("a reserved name is taken again with its secret", () => {
  const { room, sent, receive, connect } = openRoom("ann");
  room.enter("/nick eve correct-horse");
  receive("127.0.0.1:1 is now known as eve");
  sent.length = 0;
  connect();
  assertEquals(sent[0], "/nick eve correct-horse");
  receive("127.0.0.1:1 is now known as eve", "eve is now known as dan");
  sent.length = 0;
  connect();
  assertEquals(sent[0], "/nick dan");
});

Deno.test("a pending line is listed without the secret of a name", () => {
  const { room } = openRoom();
  const lines = [
    "/nick eve correct-horse",
    "/NICK  eve\tcorrect-horse 10m",
    "/nick eve",
    "/nickname eve x",
    "use /nick eve x",
  ];
  for (const line of lines) room.enter(line);
  assertEquals(room.outbox.lines, [
    "/nick eve ********",
    "/NICK  eve\t********",
    ...lines.slice(2),
  ]);
});

Deno.test("a refused name is requested again when its owner leaves", () => {
  const { sent, receive } = openRoom("Bob");
  receive("-- The name Bob is too similar to bob");
  receive("-- 1 here:", "-- bob (3 min)");
  sent.length = 0;
  receive("cat is offline");
  assert(!sent.includes("/nick Bob"));
  receive("bob is offline");
  assert(sent.includes("/nick Bob"));
});

Deno.test("the lines of an ignored member are hidden, also after a rename", () => {
  const { room, receive } = openRoom();
  room.ignored.add("bob");
  assertEquals(receive("bob: a", "* bob waves", "bob (private): b"), []);
  receive("bob is now known as cat");
  assertEquals(receive("cat: a"), []);
  assertEquals(receive("dan: a"), ["dan: a"]);
});

Deno.test("the reason of a refusal or a removal is kept", () => {
  const { room, receive } = openRoom();
  room.connect();
  receive("Cannot enter: the room is full");
  assertEquals(room.refusal, "Cannot enter: the room is full");
  const { room: other, receive: receiveOther } = openRoom();
  receiveOther("-- You were removed: spam");
  assertEquals(other.refusal, "You were removed: spam");
  // A message of a member has no effect.
  const { room: third, receive: receiveThird } = openRoom();
  receiveThird("bob: -- You were removed", "bob: Cannot enter: x");
  assertEquals(third.refusal, undefined);
});

Deno.test("a mention is a name as a whole word", () => {
  assert(mentions("hi Ann!", "ann"));
  assert(mentions("@ann", "ann"));
  assert(!mentions("annex", "ann"));
  assert(!mentions("joann", "ann"));
  assert(mentions("小明你好", "小明"));
  assert(mentions("to 127.0.0.1:1: hi", "127.0.0.1:1"));
  assert(!mentions("a.b", "a-b"));
});

Deno.test("complete offers commands, names, and names as arguments", () => {
  const names = ["ann", "Anton", "bob", "小明"];
  assertEquals(complete("/n", names).choices, ["/names ", "/nick "]);
  assertEquals(complete("b", names), { length: 1, choices: ["bob: "] });
  assertEquals(complete("hi B", names), { length: 1, choices: ["bob "] });
  assertEquals(complete("你好，b", names), { length: 1, choices: ["bob "] });
  assertEquals(complete("hi @b", names), { length: 1, choices: ["bob "] });
  assertEquals(complete("an", names).choices, ["ann: ", "Anton: "]);
  assertEquals(complete("/msg 小", names).choices, ["小明 "]);
  assertEquals(complete("/msg ", names).choices.length, 4);
  assertEquals(complete("/who b", names).choices, []);
  assertEquals(complete("hi ", names).choices, []);
  assertEquals(commonStart(["ann: ", "Anton: "]), "an");
});

Deno.test("complete offers only valid names", () => {
  for (
    const name of [
      "/quit",
      "-- x",
      "a\u202eb",
      "a/b",
      "a b",
      "x".repeat(65),
      "\x1b[2J",
      "",
    ]
  ) {
    assertEquals(
      complete(name[0] ?? "", [name]).choices.filter((c) => c === `${name}: `),
      [],
    );
  }
  assertEquals(complete("[", ["[::1]:80"]).choices, ["[::1]:80: "]);
});
