/** Attacks the web port and the TCP port from pages of other servers, in a real browser. */

import { assert, assertEquals } from "@std/assert";
import type { Tab } from "./browser.ts";
import { namesOf, TestClient } from "./clients.ts";
import { openWebRoom, type WebRoom } from "./web_clients.ts";
import { browserTest, open } from "./web_pages.ts";

/** Defines a test that needs a browser, a room and an empty page of another server. */
function attackTest(
  name: string,
  attack: (tab: Tab, room: WebRoom) => Promise<void>,
): void {
  browserTest(name, async () => {
    await using room = openWebRoom({ history: 10 });
    await using site = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      () =>
        new Response("<!doctype html><title>evil</title>", {
          headers: { "content-type": "text/html" },
        }),
    );
    await using tab = await open(`http://evil.example:${site.addr.port}/`);
    await attack(tab, room);
  });
}

/** Waits until the console of a page has a message. */
async function problem(tab: Tab, pattern: RegExp): Promise<void> {
  const end = Date.now() + 10_000;
  while (!tab.problems.some((problem) => pattern.test(problem))) {
    assert(Date.now() < end, `${tab.problems.join("\n")} has no ${pattern}`);
    await tab.evaluate("new Promise((resolve) => setTimeout(resolve))");
  }
}

/** Returns an expression that opens a WebSocket and says how that ends. */
function openSocket({ addr }: WebRoom, host = `127.0.0.1:${addr.port}`) {
  return `new Promise((resolve) => {
    const socket = new WebSocket("ws://${host}/ws", "text.linechat");
    socket.onopen = () => resolve("open");
    socket.onclose = ({ code }) => resolve(code);
  })`;
}

attackTest("another site cannot open a WebSocket", async (tab, room) => {
  assertEquals(await tab.evaluate(openSocket(room)), 1006);
  await problem(tab, /Unexpected response code: 403/);
  assertEquals(namesOf(room.chat), []);
});

attackTest("a sandboxed frame cannot open a WebSocket", async (tab, room) => {
  const result = await tab.evaluate(`new Promise((resolve) => {
    addEventListener("message", ({ data }) => resolve(data));
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts";
    frame.srcdoc = \`<script>${openSocket(room)}
      .then((result) => parent.postMessage(result, "*"))</\` + "script>";
    document.body.append(frame);
  })`);
  assertEquals(result, 1006);
  assertEquals(namesOf(room.chat), []);
});

attackTest(
  "a name that is rebound to the server is refused",
  async (tab, room) => {
    // The browser takes the page for one of the server: Origin and Host are equal.
    const origin = `evil.example:${room.addr.port}`;
    await tab.call("Fetch.enable", { patterns: [{ urlPattern: "*/evil" }] });
    tab.browser.listen(({ sessionId, method, params }) => {
      if (
        sessionId !== tab.sessionId || method !== "Fetch.requestPaused"
      ) return;
      tab.call("Fetch.fulfillRequest", {
        requestId: params.requestId,
        responseCode: 200,
        responseHeaders: [{ name: "content-type", value: "text/html" }],
        body: btoa("<!doctype html><title>evil</title>"),
      });
    });
    await tab.go(`http://${origin}/evil`);
    assertEquals(await tab.evaluate("location.host"), origin);
    assertEquals(await tab.evaluate(openSocket(room, origin)), 1006);
    await problem(tab, /Unexpected response code: 421/);
    assertEquals(
      await tab.evaluate(`fetch("/").then(({ status }) => status)`),
      421,
    );
    assertEquals(namesOf(room.chat), []);
  },
);

attackTest("another site cannot read the page", async (tab, room) => {
  for (const mode of ["cors", "no-cors"]) {
    const result = await tab.evaluate(
      `fetch("${room.url}", { mode: "${mode}" }).then(() => "read", String)`,
    );
    assertEquals(result, "TypeError: Failed to fetch", mode);
  }
});

attackTest(
  "another site cannot put the page into a frame",
  async (tab, room) => {
    const content = await tab.evaluate(`new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.src = "${room.url}#eve";
    frame.onload = () => resolve(frame.contentWindow.length);
    document.body.append(frame);
  })`);
    assertEquals(content, 0);
    await problem(tab, /frame-ancestors 'none'/);
    assertEquals(namesOf(room.chat), []);
  },
);

attackTest("another site cannot speak by a form", async (tab, room) => {
  await tab.evaluate(`(() => {
    document.body.innerHTML =
      '<form method="post" action="${room.url}ws"><input name="a" value="hi"></form>';
    setTimeout(() => document.forms[0].submit());
  })()`);
  await tab.until(`document.body.innerText.includes("Method not allowed")`);
  assertEquals(namesOf(room.chat), []);
});

attackTest("another site cannot speak on the TCP port", async (tab, room) => {
  await using ann = await TestClient.join(room.tcp);
  const { hostname, port } = room.tcp;
  const result = await tab.evaluate(
    `fetch("http://${hostname}:${port}/", {
      method: "POST", mode: "no-cors", body: "/nick admin\\nsend me your passwords\\n",
    }).then(() => "answered", String)`,
  );
  assertEquals(result, "TypeError: Failed to fetch");
  // The browser may try more than once.
  await ann.send("end\n");
  const lines = [];
  for (let line; (line = await ann.line()) !== `${ann.name}: end`;) {
    lines.push(line);
  }
  assert(lines.length >= 2, "the request has reached the server");
  for (const line of lines) {
    assert(/^127\S+ is (on|off)line$/.test(line!), line);
  }
});

attackTest(
  "a window of another site cannot script the page",
  async (tab, room) => {
    const result = await tab.evaluate(`new Promise((resolve) => {
    const page = open("${room.url}#eve");
    const check = () => {
      try {
        if (page.closed) return resolve("no handle");
        page.document.title;
      } catch (error) {
        return resolve(error.name);
      }
      setTimeout(check, 10);
    };
    check();
  })`);
    assert(["no handle", "SecurityError"].includes(result), result);
  },
);

attackTest("members cannot run code in the page", async (tab, room) => {
  await using mallory = room.chat.connect({ name: "mallory" });
  const lines = [
    "<script>document.title = 'hacked'</script>",
    "<img src=x onerror=\"document.title = 'hacked'\">",
    '<a href="javascript:document.title=1">x</a>',
    "https://x.example/\" onclick=\"document.title='hacked'",
    "javascript://x.example/%0adocument.title=1",
    "</p></div><style>*{display:none}</style>",
    "\u202egnp.exe\u2066",
    "__proto__",
    "constructor: x",
  ];
  await tab.go(`${room.url}#zoe`);
  await tab.until(`field.placeholder === "Message as zoe"`);
  for (const line of lines) await mallory.send(line);
  await mallory.send("/me <img src=x onerror=alert(1)>");
  await mallory.send("/msg zoe <img src=x onerror=alert(1)>");
  await mallory.send("/nick __proto__");
  await mallory.send("end");
  await tab.until(`log.innerText.includes("end")`);
  assertEquals(
    await tab.evaluate(`[...document.querySelectorAll("#log *")]
      .filter(({ localName }) => !["p", "time", "span", "bdi", "a", "em"].includes(localName))
      .length`),
    0,
  );
  const links = await tab.evaluate(
    `[...log.querySelectorAll("a")].map(({ href }) => href)`,
  );
  assertEquals(links, ["https://x.example/"]);
  assertEquals(await tab.evaluate("document.title"), "linechat");
  assertEquals(tab.problems, []);
});

attackTest("an injected script would not run", async (tab, room) => {
  await tab.go(`${room.url}#zoe`);
  await tab.evaluate(`(() => {
    const script = document.createElement("script");
    script.textContent = "document.title = 'hacked'";
    document.body.append(script);
    document.body.insertAdjacentHTML("beforeend",
      '<img src="data:," onerror="document.title = 1"><p style="color:red" id="red">');
  })()`);
  assertEquals(await tab.evaluate("document.title"), "linechat");
  assert(
    await tab.evaluate(`getComputedStyle(red).color !== "rgb(255, 0, 0)"`),
  );
  const result = await tab.evaluate(
    `fetch("http://evil.example/").then(() => "sent", String)`,
  );
  assertEquals(result, "TypeError: Failed to fetch");
  await problem(tab, /connect-src/);
});
