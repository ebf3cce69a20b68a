/** Helpers of the tests of the page: a browser, and the use of the page in it. */

import type { Chat, LocalClient } from "../mod.ts";
import { Browser, CHROMIUM, type Tab, type TabOptions } from "./browser.ts";

const browser = CHROMIUM
  ? await Browser.launch(
    "--host-resolver-rules=MAP *.example 127.0.0.1",
    // Newer browsers ask the user before a page of a public server connects to this
    // machine. The server does not rely on that.
    "--disable-features=LocalNetworkAccessChecks",
  )
  : undefined;
Deno.test.afterAll(() => browser?.[Symbol.asyncDispose]());

/** Defines a test that needs a browser. */
export function browserTest(
  name: string,
  run: (t: Deno.TestContext) => Promise<void>,
): void {
  const reason = CHROMIUM ? "" : " (ignored: Chromium is not installed)";
  Deno.test({ name: name + reason, ignore: !CHROMIUM, fn: run });
}

/** Opens a page. */
export function open(url: string, options?: TabOptions): Promise<Tab> {
  return browser!.open(url, options);
}

/** Opens the page and joins under a name. `asked` is the name in the address. */
export async function join(
  { url }: { url: string },
  name: string,
  options?: TabOptions,
  asked = name,
): Promise<Tab> {
  const tab = await open(`${url}#${encodeURIComponent(asked)}`, options);
  await tab.until(`field.placeholder.includes(${JSON.stringify(name)})`);
  return tab;
}

/** Types a line and sends it. */
export async function say(tab: Tab, text: string): Promise<void> {
  await tab.focus("#field");
  await tab.type(text);
  await tab.press("Enter");
}

/** Returns an expression for the rows of a type that contain a text. */
export function rows(type: string, text = ""): string {
  return `[...document.querySelectorAll(".${type}")]
    .filter((row) => row.textContent.includes(${JSON.stringify(text)}))`;
}

/** Waits for a row of a type with a text. */
export async function row(tab: Tab, type: string, text: string): Promise<void> {
  await tab.until(`${rows(type, text)}.length > 0`);
}

/** Adds a member that reads all the time. */
export function addMember(chat: Chat, name: string): LocalClient {
  const client = chat.connect({ name });
  const drain = async () => {
    for await (const _ of client.lines);
  };
  void drain();
  return client;
}

/** Returns an expression for the names in the list of members. */
export const MEMBERS = `[...document.querySelectorAll("#members .name")]
  .map((name) => name.textContent).join()`;
