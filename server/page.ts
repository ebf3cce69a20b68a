// Copyright 2026 the linechat authors. MIT license.

/**
 * The page for browsers: one self-contained document. Its script is the source of the
 * modules in `page/`, so it needs no build step, and the same code is type-checked and
 * tested.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { HttpResponse } from "./http.ts";
import { App } from "./page/app.ts";
import { Attention } from "./page/attention.ts";
import { Composer } from "./page/composer.ts";
import { create, find, settings } from "./page/dom.ts";
import { Door } from "./page/door.ts";
import { Inbox } from "./page/inbox.ts";
import {
  completions,
  either,
  hueOf,
  mentions,
  newLines,
  parseLine,
  parseNotice,
  splitLinks,
} from "./page/lines.ts";
import { Link } from "./page/link.ts";
import { MessageLog } from "./page/message_log.ts";
import { Roster } from "./page/roster.ts";
import { STYLE } from "./page/style.ts";
import { TEXTS } from "./page/texts.ts";

/** The functions and classes of the page. A class follows those that it refers to. */
const PARTS = [
  ...[find, settings, create, either, parseLine, parseNotice, newLines],
  ...[splitLinks, mentions, completions, hueOf, Attention, Composer, Door],
  ...[Inbox, Link, MessageLog, Roster, App],
];

/** Starts the page, in the language of the browser or of `?lang=`. */
function start(texts: typeof TEXTS): void {
  const asked = new URLSearchParams(location.search).get("lang");
  const lang = (asked ?? navigator.language).startsWith("zh") ? "zh" : "en";
  new App(texts[lang], lang);
}

const SCRIPT = `"use strict";{
${compact(PARTS.map(String).join("\n"))}
(${compact(String(start))})(${JSON.stringify(TEXTS)})}`;
const CSS = compact(STYLE);

/** Removes comments that are on lines of their own, and indentation. */
function compact(source: string): string {
  return source.replace(/\/\*\*.*?\*\/|^\s*\/\/[^\n]*$/gms, "")
    .replace(/\s*\n\s*/g, "\n").trim();
}

const ICON = "data:image/svg+xml," + encodeURIComponent(
  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>" +
    "<path fill='#0a63c2' d='M2 2h12v9H7l-4 4v-4H2z'/></svg>",
);

/** The address of the chat for TCP clients. */
export interface ChatAddress {
  /** The port. */
  readonly port: number;
  /** Whether the port is for TLS. */
  readonly isSecure: boolean;
}

/** The page as a resource. */
export class Page {
  readonly #html: string;
  readonly #compressed: Uint8Array;
  readonly #policy: string;

  /**
   * Creates the page.
   *
   * @param chat The address that the page shows without JavaScript.
   */
  constructor(chat?: ChatAddress) {
    this.#html = documentFor(commandFor(chat));
    this.#compressed = gzipSync(this.#html, { level: 9 });
    this.#policy = [
      "default-src 'none'",
      `script-src '${hashOf(SCRIPT)}'`,
      `style-src '${hashOf(CSS)}'`,
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; ");
  }

  /** Returns the page for a host, which must have been checked. */
  respond(host: string, acceptEncoding = ""): HttpResponse {
    const isCompressed = /\bgzip\b/.test(acceptEncoding);
    return {
      status: 200,
      headers: {
        "content-type": "text/html; charset=utf-8",
        ...isCompressed && { "content-encoding": "gzip" },
        "vary": "accept-encoding",
        // Old versions of Safari do not count WebSockets as 'self'.
        "content-security-policy":
          `${this.#policy}; connect-src 'self' ws://${host} wss://${host}`,
        "cross-origin-opener-policy": "same-origin",
      },
      body: isCompressed ? this.#compressed : this.#html,
    };
  }
}

/** Returns the command that joins the chat without a browser. */
function commandFor({ port, isSecure }: Partial<ChatAddress> = {}): string {
  return `${isSecure ? "ncat --ssl" : "nc"} HOST ${port ?? "PORT"}`;
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

function documentFor(command: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content">
<title>linechat</title>
<link rel="icon" href="${ICON}">
<style>${CSS}</style>
<noscript>
<h1>linechat</h1>
<p>This page needs JavaScript. A terminal can join, too: <code>${command}</code>, where HOST is the name in the address of this page.</p>
<p lang="zh">本页面需要 JavaScript。也可以在终端中加入：<code>${command}</code>，其中 HOST 是本页地址中的主机名。</p>
</noscript>
<div id="app" hidden>
<header>
<h1>linechat</h1>
<button id="bell" type="button" aria-pressed="false" data-l="notify"><svg viewBox="0 0 20 20"><path d="M10 1a2 2 0 0 0-2 2v.4A6 6 0 0 0 4 9v4l-2 3h16l-2-3V9a6 6 0 0 0-4-5.6V3a2 2 0 0 0-2-2zM8 17a2 2 0 0 0 4 0z"/></svg></button>
<button id="people" type="button" aria-expanded="false" aria-controls="side"></button>
</header>
<main>
<div id="log" role="log" tabindex="0" data-l="messages"></div>
<button id="latest" type="button" hidden data-t="latest"></button>
</main>
<aside id="side" data-l="members"><p id="count"></p><ul id="members"></ul></aside>
<footer>
<div id="state"><p id="status" role="status"></p><button id="retry" type="button" hidden></button></div>
<form id="composer">
<textarea id="field" rows="1" maxlength="60000" enterkeyhint="send" autocomplete="off" dir="auto" data-l="message"></textarea>
<button class="main" data-t="send"></button>
</form>
</footer>
</div>
<dialog id="door" aria-labelledby="title">
<form id="answer">
<h2 id="title" data-t="joinTitle"></h2>
<label><span data-t="name"></span><input id="name" maxlength="32" autocomplete="nickname" autocapitalize="off" spellcheck="false" dir="auto"><small data-t="nameHint"></small></label>
<label><span data-t="password"></span><input id="password" type="password" autocomplete="current-password"></label>
<p id="problem" role="alert"></p>
<button class="main" data-t="join"></button>
</form>
</dialog>
<dialog id="ask" aria-labelledby="question">
<form method="dialog">
<h2 id="question" data-t="manyLines"></h2>
<button class="main" value="many" data-t="sendMany"></button>
<button value="one" data-t="sendOne"></button>
<button value="" data-t="edit"></button>
</form>
</dialog>
<script>${SCRIPT}</script>
</html>
`;
}
