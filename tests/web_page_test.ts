/** Tests the page in a real browser. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Chat } from "../mod.ts";
import { Moderation } from "../server/moderation.ts";
import { Password } from "../server/password.ts";
import { namesOf, TestClient } from "./clients.ts";
import { openWebRoom } from "./web_clients.ts";
import {
  addMember,
  browserTest,
  join,
  MEMBERS,
  open,
  row,
  rows,
  say,
} from "./web_pages.ts";

browserTest("two pages and a TCP client talk", async () => {
  await using room = openWebRoom();
  await using ann = await join(room, "ann");
  await using bob = await join(room, "bob");
  await using tcp = await TestClient.join(room.tcp);
  await say(ann, "hello from the browser");
  await row(bob, "message", "hello from the browser");
  assertEquals(await tcp.line(), "ann: hello from the browser");
  await tcp.send("hello from TCP\n");
  await row(ann, "message", "hello from TCP");
  await row(bob, "message", "hello from TCP");
  await say(bob, "/me waves");
  assertEquals((await tcp.lines(2))[1], "* bob waves");
  await row(ann, "action", "waves");
  assertEquals([...ann.problems, ...bob.problems], []);
});

browserTest("the name is asked for once and remembered", async () => {
  await using room = openWebRoom();
  await using tab = await open(room.url);
  await tab.until(`door.open && document.activeElement.id === "name"`);
  assertEquals(namesOf(room.chat), [], "nobody joins before the answer");
  for (let i = 0; i < 3; i++) await tab.press("Escape");
  await tab.until(`door.open && document.activeElement.id === "name"`);
  await tab.type("ann");
  await tab.press("Enter");
  await tab.until(`field.placeholder === "Message as ann"`);
  await tab.go(`${room.url}?again`);
  await tab.until(`field.placeholder === "Message as ann"`);
  assert(!await tab.evaluate("door.open"));
  await say(tab, "/nick anna");
  await tab.until(`localStorage.name === "anna"`);
});

browserTest("a name is optional", async () => {
  await using room = openWebRoom();
  await using tab = await open(room.url);
  await tab.until("door.open");
  await tab.press("Enter");
  await tab.until(`/as 127.0.0.1:/.test(field.placeholder)`);
});

browserTest("a name in the address cannot do more than a name", async () => {
  await using room = openWebRoom();
  await using tcp = await TestClient.join(room.tcp);
  const names = {
    "zoe\nI say what others want": "zoe_I_say_what_others_want",
    "zoe \t secret-word": "zoe_secret-word",
    " zoe ": "zoe",
  };
  for (const [address, name] of Object.entries(names)) {
    await using tab = await join(room, name, {}, address);
    assertMatch((await tcp.line())!, / is online$/);
    assertMatch((await tcp.line())!, new RegExp(` is now known as ${name}$`));
    await tab.go("about:blank");
    assertEquals(await tcp.line(), `${name} is offline`);
  }
  await using tab = await open(`${room.url}#%`);
  await tab.until(`document.body.dataset.state === "open"`);
});

browserTest("the page works where the browser stores nothing", async () => {
  await using room = openWebRoom();
  const init = `Object.defineProperty(window, "localStorage", {
    get() { throw new DOMException("Access is denied", "SecurityError"); },
  });`;
  await using tab = await open(room.url, { init });
  await tab.until("door.open");
  await tab.type("ann");
  await tab.press("Enter");
  await tab.until(`field.placeholder === "Message as ann"`);
});

browserTest(
  "a name that is refused is asked for again, with the reason",
  async () => {
    await using room = openWebRoom();
    await using _ann = addMember(room.chat, "ann");
    await using tab = await open(`${room.url}#ann`);
    await tab.until("door.open");
    assertEquals(
      await tab.evaluate("problem.textContent"),
      "The name ann is taken",
    );
    await tab.evaluate(`document.getElementById("name").select()`);
    await tab.type("anna");
    await tab.press("Enter");
    await tab.until(`field.placeholder === "Message as anna"`);
    assertEquals(await tab.evaluate("location.hash"), "#anna");
  },
);

browserTest("the kinds of lines are distinct", async () => {
  await using room = openWebRoom();
  await using ann = addMember(room.chat, "ann");
  await using tab = await join(room, "zoe");
  await say(tab, "mine");
  await ann.send("for all");
  await ann.send("hi Zoe!");
  await ann.send("/msg zoe a secret");
  await say(tab, "/msg ann an answer");
  await room.chat.notice("a notice");
  await ann.send("zoey is another name");
  await row(tab, "message", "zoey is another name");
  const classOf = (text: string) =>
    tab.evaluate(`${rows("row", text)}[0].className`);
  assertEquals(await classOf("mine"), "row message own");
  assertEquals(await classOf("for all"), "row message");
  assertEquals(await classOf("hi Zoe!"), "row message mention");
  assertEquals(await classOf("a secret"), "row private from");
  assertEquals(await classOf("an answer"), "row private own");
  assertEquals(await classOf("a notice"), "row notice");
  assertEquals(await classOf("zoey"), "row message");
  const colors = await tab.evaluate(`[...new Set(
    ["mine", "for all", "hi Zoe!", "a secret"].map((text) =>
      getComputedStyle([...document.querySelectorAll(".row")]
        .find((row) => row.textContent.includes(text))).backgroundColor))]`);
  assertEquals(colors.length, 4);
});

browserTest("members cannot imitate other lines", async () => {
  await using room = openWebRoom();
  await using ann = addMember(room.chat, "ann");
  await using tab = await join(room, "zoe");
  const forgeries = [
    "bob is online",
    "zoe is now known as eve",
    "-- a notice",
    "bob (private): hi",
    "* bob waves",
    "bob: hi",
    "Welcome bob",
    "-- Password:",
  ];
  for (const text of forgeries) await ann.send(text);
  await ann.send("/me : is online");
  await row(tab, "action", ": is online");
  for (const text of forgeries) {
    const type = await tab.evaluate(`${rows("row", text)}.at(-1).className`);
    assertMatch(type, /^row message/, text);
  }
  assertEquals(await tab.evaluate(MEMBERS), "ann,zoe");
});

browserTest("the list of members follows the room", async (t) => {
  await t.step("joins, departures and names", async () => {
    await using room = openWebRoom();
    await using ann = addMember(room.chat, "ann");
    await using tab = await join(room, "zoe");
    await tab.until(`${MEMBERS} === "ann,zoe"`);
    await ann.send("/nick anna");
    await tab.until(`${MEMBERS} === "anna,zoe"`);
    await using bob = addMember(room.chat, "bob");
    await tab.until(`${MEMBERS} === "anna,bob,zoe"`);
    await bob.close();
    await tab.until(`${MEMBERS} === "anna,zoe"`);
    assertEquals(await tab.evaluate("count.textContent"), "2 here");
    await tab.click("#members button");
    assertEquals(await tab.evaluate("field.value"), "/msg anna ");
  });
  await t.step("members that the greeting does not list", async () => {
    await using room = openWebRoom();
    const names = Array.from({ length: 30 }, (_, i) => `member${i}`);
    for (const name of names) addMember(room.chat, name);
    await using tab = await join(room, "zoe");
    await tab.until(`people.textContent === "31 here"`);
    await tab.until(
      `document.querySelectorAll("#members .name").length === 31`,
    );
    const log = await tab.evaluate("log.innerText");
    assert(!/member12/.test(log), "the page's own /who is not shown");
    await say(tab, "/who");
    await row(tab, "notice", "member12 (");
  });
  await t.step("more members than a list has", async () => {
    await using room = openWebRoom();
    for (let i = 0; i < 120; i++) addMember(room.chat, `member${i}`);
    await using tab = await join(room, "zoe");
    await tab.until(`people.textContent === "121 here"`);
    await tab.until(`members.textContent.includes("and 20 more")`);
  });
});

browserTest("times and dates are local", async () => {
  await using room = openWebRoom();
  await using tab = await join(room, "zoe");
  await say(tab, "now");
  await row(tab, "own", "now");
  const [text, iso] = await tab.evaluate(`(() => {
    const time = document.querySelector(".own time");
    return [time.textContent, time.dateTime];
  })()`);
  const date = new Date(iso);
  const pad = (number: number) => String(number).padStart(2, "0");
  assertEquals(text, `${pad(date.getHours())}:${pad(date.getMinutes())}`);
  const day = date.toLocaleDateString("en", { dateStyle: "full" });
  assertEquals(
    await tab.evaluate(`document.querySelector(".divider").textContent`),
    day,
  );
});

browserTest("history is marked, and shown once", async () => {
  await using room = openWebRoom({ history: 10 });
  await using ann = addMember(room.chat, "ann");
  for (let i = 1; i <= 3; i++) await ann.send(`old ${i}`);
  await using tab = await join(room, "zoe");
  await row(tab, "old", "old 3");
  assertEquals(
    await tab.evaluate(`document.querySelectorAll(".old").length`),
    3,
  );
  assert(await tab.evaluate(`${rows("divider", "Earlier messages")}.length`));
  await ann.send("live");
  await row(tab, "message", "live");
  const rejoined = rejoins(room.chat);
  room.drop();
  await ann.send("meanwhile");
  await rejoined;
  await row(tab, "old", "meanwhile");
  const texts = await tab.evaluate(
    `[...document.querySelectorAll(".message .text")].map((e) => e.textContent)`,
  );
  assertEquals(texts, ["old 1", "old 2", "old 3", "live", "meanwhile"]);
});

/** Resolves when somebody joins. */
async function rejoins(chat: Chat): Promise<void> {
  for await (const { type } of chat.events({ messages: false })) {
    if (type === "joined") break;
  }
}

browserTest("web addresses are links, and markup is text", async () => {
  await using room = openWebRoom();
  await using ann = addMember(room.chat, "ann");
  await using tab = await join(room, "zoe");
  await ann.send("see https://example.org/a?b=(c)&d, and (http://x.test/).");
  await ann.send(
    "javascript:alert(1) <img src=x onerror=alert(1)> <b>bold</b>",
  );
  await row(tab, "message", "<b>bold</b>");
  const links = await tab.evaluate(`[...log.querySelectorAll("a")]
    .map(({ href, target, rel }) => [href, target, rel])`);
  const blank = ["_blank", "noopener noreferrer"];
  assertEquals(links, [
    ["https://example.org/a?b=(c)&d", ...blank],
    ["http://x.test/", ...blank],
  ]);
  assertEquals(await tab.evaluate(`log.querySelectorAll("img, b").length`), 0);
  assertEquals(tab.problems, []);
});

browserTest("several lines are sent after a question", async () => {
  await using room = openWebRoom();
  await using tcp = await TestClient.join(room.tcp);
  await using tab = await join(room, "zoe");
  await tcp.lines(2);
  await say(tab, "one\ntwo\nthree");
  await tab.until("ask.open");
  assertEquals(
    await tab.evaluate("question.textContent"),
    "Send 3 lines as 3 messages?",
  );
  await tab.press("Escape");
  await tab.until("!ask.open");
  assertEquals(await tab.evaluate("field.value"), "one\ntwo\nthree");
  await tab.press("Enter");
  await tab.until("ask.open");
  await tab.press("Enter");
  assertEquals(await tcp.lines(3), ["zoe: one", "zoe: two", "zoe: three"]);
  await say(tab, "a\nb");
  await tab.until("ask.open");
  await tab.click("#ask button[value=one]");
  assertEquals(await tcp.line(), "zoe: a b");
});

browserTest("the text field has a history and completes words", async () => {
  await using room = openWebRoom();
  await using _anna = addMember(room.chat, "anna");
  await using _andy = addMember(room.chat, "andy");
  await using _ming = addMember(room.chat, "小明");
  await using tab = await join(room, "zoe");
  const value = () => tab.evaluate("field.value");
  await say(tab, "first");
  await say(tab, "second");
  await tab.type("draft");
  await tab.press("ArrowUp");
  assertEquals(await value(), "second");
  await tab.press("ArrowUp");
  assertEquals(await value(), "first");
  await tab.press("ArrowUp");
  assertEquals(await value(), "first");
  await tab.press("ArrowDown");
  await tab.press("ArrowDown");
  assertEquals(await value(), "draft");
  const complete = async (text: string, ...expected: string[]) => {
    await tab.evaluate(`field.value = ""`);
    await tab.type(text);
    for (const result of expected) {
      await tab.press("Tab");
      assertEquals(await value(), result);
    }
  };
  await complete("An", "anna: ", "andy: ", "anna: ");
  await complete("hi 小", "hi 小明 ");
  await complete("/w", "/who ");
  await complete("/msg and", "/msg andy ");
  await complete("nobody");
  await tab.press("Tab");
  assert(await tab.evaluate(`document.activeElement.dataset.t === "send"`));
});

browserTest("an input method does not send", async () => {
  await using room = openWebRoom();
  await using tab = await join(room, "小王");
  await tab.focus("#field");
  const options = { selectionStart: 2, selectionEnd: 2 };
  await tab.call("Input.imeSetComposition", { text: "ni", ...options });
  await tab.evaluate(`field.dispatchEvent(new KeyboardEvent("keydown", {
    key: "Enter", isComposing: true, bubbles: true, cancelable: true,
  }))`);
  await tab.call("Input.imeSetComposition", { text: "你好", ...options });
  await tab.call("Input.insertText", { text: "你好" });
  await tab.press("Enter");
  await row(tab, "own", "你好");
  assertEquals(
    await tab.evaluate(`document.querySelectorAll(".own").length`),
    1,
  );
});

browserTest(
  "unread messages are counted in the title, and mentions notify",
  async () => {
    await using room = openWebRoom();
    await using ann = addMember(room.chat, "ann");
    const init = `window.shown = [];
    window.Notification = class {
      static permission = "default";
      static async requestPermission() { Notification.permission = "granted"; }
      constructor(title, { body }) { shown.push([title, body]); }
    };
    window.isAway = false;
    document.hasFocus = () => !isAway;`;
    await using tab = await join(room, "zoe", { init });
    assertEquals(await tab.evaluate("bell.ariaPressed"), "false");
    await tab.evaluate("isAway = true");
    await ann.send("zoe?");
    await tab.until(`document.title === "(1) linechat"`);
    assertEquals(await tab.evaluate("shown"), [], "notifications are opt-in");
    await tab.click("#bell");
    await tab.until(`bell.ariaPressed === "true"`);
    await ann.send("hello all");
    await ann.send("@zoe are you there?");
    await tab.until("shown.length === 1");
    await ann.send("/msg zoe psst");
    await tab.until(`document.title === "(4) linechat" && shown.length === 2`);
    assertEquals(await tab.evaluate("shown"), [
      ["ann", "@zoe are you there?"],
      ["ann", "psst"],
    ]);
    await tab.evaluate(`isAway = false; dispatchEvent(new Event("focus"))`);
    assertEquals(await tab.evaluate("document.title"), "linechat");
  },
);

browserTest(
  "a lost connection is visible and comes back by itself",
  async () => {
    await using room = openWebRoom();
    await using tcp = await TestClient.join(room.tcp);
    const init = `window.states = [];
    new MutationObserver(() => states.push(document.body.dataset.state))
      .observe(document, { subtree: true, attributeFilter: ["data-state"] });`;
    await using tab = await join(room, "zoe", { init });
    await tcp.lines(2);
    await tab.focus("#field");
    await tab.type("unsent");
    await tab.evaluate("states.length = 0");
    room.drop();
    await tab.until(`states.includes("lost")`);
    await tab.until(`document.body.dataset.state === "open"`);
    await tab.until(`field.placeholder === "Message as zoe"`);
    assertEquals(await tab.evaluate("states"), ["lost", "connecting", "open"]);
    assertEquals(await tab.evaluate("field.value"), "unsent");
    await tab.focus("#field");
    await tab.press("Enter");
    while ((await tcp.line()) !== "zoe: unsent");
  },
);

browserTest(
  "text is kept while there is no connection, and never sent by itself",
  async () => {
    const room = openWebRoom();
    const { port } = room.addr;
    await using tab = await join(room, "zoe");
    room.drop();
    await room[Symbol.asyncDispose]();
    await tab.until(`document.body.dataset.state === "lost"`);
    await say(tab, "keep me");
    assertEquals(await tab.evaluate("field.value"), "keep me");
    assertMatch(
      await tab.evaluate("document.getElementById('status').textContent"),
      /^Not sent/,
    );
    await using again = openWebRoom(undefined, undefined, port);
    await tab.click("#retry");
    await tab.until(`field.placeholder === "Message as zoe"`);
    assertEquals(await tab.evaluate("field.value"), "keep me");
    const events = again.chat.events();
    await say(tab, ", please");
    for await (const event of events) {
      if (event.type !== "message") continue;
      assertEquals(event.text, "keep me, please");
      break;
    }
  },
);

browserTest(
  "a message that did not arrive is put back into the text field",
  async () => {
    await using room = openWebRoom({ rate: 1 });
    await using tab = await join(room, "zoe");
    await say(tab, "too fast");
    room.drop();
    await tab.until(`field.value === "too fast"`);
  },
);

browserTest(
  "a closed connection stays closed until the user joins again",
  async () => {
    await using room = openWebRoom();
    await using tab = await join(room, "zoe");
    await room.chat.kick("zoe", "spam");
    await tab.until(`document.body.dataset.state === "closed"`);
    await row(tab, "notice", "You were removed: spam");
    assertEquals(await tab.evaluate("retry.textContent"), "Join again");
    await tab.evaluate(`dispatchEvent(new Event("online"))`);
    assertEquals(namesOf(room.chat), []);
    await tab.click("#retry");
    await tab.until(`field.placeholder === "Message as zoe"`);
  },
);

browserTest(
  "a page that wakes up notices a connection that is lost",
  async () => {
    await using room = openWebRoom();
    // Time passes faster, and the first connection loses all that is sent.
    const init = `const now = Date.now;
    let skipped = 0;
    Date.now = () => now() + skipped;
    window.sleep = () => {
      skipped += 60_000;
      WebSocket.prototype.send = () => {};
      dispatchEvent(new Event("online"));
    };
    const timeout = setTimeout;
    window.setTimeout = (run, time) => timeout(run, time === 8000 ? 50 : time);`;
    await using tab = await join(room, "zoe", { init });
    await tab.evaluate("sleep()");
    await tab.until(`document.body.dataset.state === "lost"`);
  },
);

browserTest("the page stays responsive in a flood", async () => {
  await using room = openWebRoom();
  await using tab = await join(room, "zoe");
  const { hostname, port } = room.tcp;
  using flooder = await Deno.connect({ hostname, port });
  const drain = async () => {
    const buffer = new Uint8Array(256 * 1024);
    while (await flooder.read(buffer).catch(() => null));
  };
  const draining = drain();
  const block = new TextEncoder().encode(`${"x".repeat(60)}\n`.repeat(1000));
  const lines = 1_000_000;
  const flood = async () => {
    for (let sent = 0; sent < lines; sent += 1000) {
      for (let rest = block; rest.length > 0;) {
        rest = rest.subarray(await flooder.write(rest));
      }
    }
  };
  const flooding = flood();
  await tab.until(`${rows("divider", "lines skipped")}.length > 0`);
  const start = performance.now();
  await tab.evaluate(
    `new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))`,
  );
  const delay = performance.now() - start;
  await flooding;
  flooder.closeWrite();
  await draining;
  await tab.until(`${rows("event", "is offline")}.length > 0`, 30);
  assert(delay < 2000, `${delay} ms`);
  assert(await tab.evaluate("log.childElementCount <= 1000"));
  const [shown, skipped] = await tab.evaluate(`[
    document.querySelectorAll(".message").length,
    ${rows("divider", "lines skipped")}.map((row) =>
      Number(row.textContent.replace(/\\D/g, ""))).reduce((a, b) => a + b),
  ]`);
  assert(shown > 0 && skipped > 100_000, `${shown} shown, ${skipped} skipped`);
  await say(tab, "still here");
  await row(tab, "own", "still here");
});

browserTest("the log scrolls only if it is at its end", async () => {
  await using room = openWebRoom();
  await using ann = addMember(room.chat, "ann");
  await using tab = await join(room, "zoe");
  for (let i = 0; i < 100; i++) await ann.send(`line ${i}`);
  await row(tab, "message", "line 99");
  const distance = `log.scrollHeight - log.scrollTop - log.clientHeight`;
  assert(await tab.evaluate(`${distance} < 2`));
  await tab.evaluate(`new Promise((resolve) => {
    log.addEventListener("scroll", resolve, { once: true });
    log.scrollTop = 0;
  })`);
  await ann.send("below");
  await row(tab, "message", "below");
  assertEquals(await tab.evaluate("log.scrollTop"), 0);
  await tab.click("#latest");
  await tab.until(`${distance} < 2 && latest.hidden`);
});

browserTest("the page fits on a phone", async () => {
  await using room = openWebRoom();
  await using ann = addMember(room.chat, "ann");
  await using tab = await join(room, "zoe", { isPhone: true });
  await ann.send("x".repeat(1000));
  await row(tab, "message", "xxx");
  const layout = await tab.evaluate(`({
    overflow: document.documentElement.scrollWidth - innerWidth,
    height: app.getBoundingClientRect().height - innerHeight,
    font: getComputedStyle(field).fontSize,
    key: field.enterKeyHint,
    aside: getComputedStyle(side).display,
  })`);
  assertEquals(layout, {
    overflow: 0,
    height: 0,
    font: "16px",
    key: "send",
    aside: "none",
  });
  const people = () =>
    tab.evaluate("[getComputedStyle(side).display, people.ariaExpanded]");
  await tab.click("#people");
  assertEquals(await people(), ["block", "true"]);
  await tab.click("#members button");
  assertEquals(await people(), ["none", "false"]);
});

browserTest("nothing moves where the user prefers that", async () => {
  await using room = openWebRoom();
  const animation = `getComputedStyle(
    document.querySelector(".row:last-child")).animationName`;
  await using moving = await join(room, "ann");
  assertEquals(await moving.evaluate(animation), "appear");
  await using still = await join(room, "bob", { reducedMotion: true });
  assertEquals(await still.evaluate(animation), "none");
});

browserTest("everything can be reached by the keyboard", async () => {
  await using room = openWebRoom();
  await using tab = await join(room, "zoe");
  await tab.focus("#field");
  const reached: string[] = [];
  while (!reached.includes("field")) {
    await tab.press("Tab");
    const [name, outline] = await tab.evaluate(`(() => {
      const { id, dataset, className } = document.activeElement;
      const { outlineStyle } = getComputedStyle(document.activeElement);
      return [id || dataset.t || className || "body", outlineStyle];
    })()`);
    reached.push(name);
    if (name !== "body") assertEquals(outline, "solid", `the ring of ${name}`);
  }
  assertEquals(reached.filter((name) => name !== "body"), [
    ...["send", "bell", "log", "name", "field"],
  ]);
});

browserTest("the page speaks the language of the browser", async (t) => {
  await using room = openWebRoom({ lang: "zh" });
  await using _ann = addMember(room.chat, "ann");
  await t.step("Chinese", async () => {
    await using tab = await join(room, "小王", { lang: "zh-CN" });
    assertEquals(await tab.evaluate("document.documentElement.lang"), "zh");
    assertEquals(await tab.evaluate("people.textContent"), "2 人在线");
    await say(tab, "/msg ann 你好");
    await row(tab, "private", "私聊 ann");
    await using _bob = addMember(room.chat, "bob");
    await row(tab, "event", "上线");
  });
  await t.step("English, in a room in Chinese", async () => {
    await using tab = await join(room, "kim", { lang: "en-GB" });
    await using bob = addMember(room.chat, "bob2");
    await row(tab, "event", "is online");
    await bob.send("/nick ben");
    await row(tab, "event", "is now known as ben");
    await bob.send("/msg kim 你好");
    await row(tab, "from", "你好");
  });
  await t.step("another one by the address", async () => {
    await using tab = await open(`${room.url}?lang=zh`);
    await tab.until(`title.textContent === "加入聊天室"`);
  });
});

browserTest("a room with a password asks for it", async () => {
  await using file = await passwordFile("open sesame");
  const password = new Password({ path: file.path });
  await password.load();
  const { chatOptions } = new Moderation({ password, hideAddresses: true });
  await using room = openWebRoom(chatOptions);
  await using tab = await open(`${room.url}#zoe`);
  const isAsked = `door.open && document.activeElement.id === "password"`;
  await tab.until(isAsked);
  await tab.type("wrong");
  await tab.press("Enter");
  await tab.until(`${isAsked} && problem.textContent === "Wrong password"`);
  await tab.type("open sesame");
  await tab.press("Enter");
  await tab.until(`!door.open && field.placeholder === "Message as zoe"`);
  // The page keeps it for the next connection, in memory only.
  const rejoined = rejoins(room.chat);
  room.drop();
  await rejoined;
  await tab.until(`field.placeholder === "Message as zoe"`);
  const stored = await tab.evaluate("JSON.stringify(localStorage)");
  assert(!/sesame/.test(stored + await tab.evaluate("location.href")));
});

browserTest(
  "a question ends when the server closes the connection",
  async () => {
    await using file = await passwordFile("open sesame");
    const password = new Password({ path: file.path, timeout: 200 });
    await password.load();
    const { chatOptions } = new Moderation({ password });
    await using room = openWebRoom(chatOptions);
    await using tab = await open(`${room.url}#zoe`);
    await tab.until(`document.body.dataset.state === "closed" && !door.open`);
    await row(tab, "notice", "Cannot enter: no password within 0.2 s");
    await tab.click("#retry");
    await tab.until("door.open");
  },
);

/** Writes a password to a file. */
async function passwordFile(
  password: string,
): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, password);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}

browserTest("without JavaScript, the page says how to join", async () => {
  await using room = openWebRoom(undefined, {
    chat: { port: 8000, isSecure: false },
  });
  await using tab = await open(room.url, { noScript: true });
  const { root } = await tab.call("DOM.getDocument", { depth: -1 });
  const { outerHTML } = await tab.call("DOM.getOuterHTML", root);
  assertMatch(outerHTML, /<noscript>.*<code>nc HOST 8000<\/code>/s);
});

browserTest("the contrast of names is at least 4.5", async (t) => {
  await using room = openWebRoom();
  for (const scheme of ["light", "dark"] as const) {
    await t.step(scheme, async () => {
      await using tab = await join(room, "zoe", { scheme });
      await say(tab, "hi");
      await row(tab, "own", "hi");
      const worst = await tab.evaluate(`(() => {
        const context = new OffscreenCanvas(1, 1).getContext("2d");
        const luminance = (color) => {
          context.fillStyle = color;
          context.fillRect(0, 0, 1, 1);
          const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map(
            (value) => value / 255 <= 0.04045
              ? value / 255 / 12.92
              : ((value / 255 + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const root = getComputedStyle(document.documentElement);
        const backs = ["back", "side", "own", "mention", "private"]
          .map((name) => luminance(root.getPropertyValue("--" + name)));
        const name = document.querySelector(".own .name");
        let worst = Infinity;
        for (let hue = 0; hue < 360; hue++) {
          name.style.setProperty("--hue", hue);
          const front = luminance(getComputedStyle(name).color);
          for (const back of backs) worst = Math.min(worst, contrast(front, back));
        }
        return worst;
      })()`);
      assert(worst >= 4.5, `${worst}`);
    });
  }
});
