/** A driver for Chromium over the DevTools protocol, with the parts that tests need. */

/** The binary of an installed Chromium, if there is one. */
export const CHROMIUM = [
  ...["/usr/bin/chromium", "/usr/bin/chromium-browser"],
  ...["/usr/bin/google-chrome", "/usr/bin/google-chrome-stable"],
].find((path) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
});

interface Message {
  id?: number;
  sessionId?: string;
  method?: string;
  // deno-lint-ignore no-explicit-any
  params?: any;
  // deno-lint-ignore no-explicit-any
  result?: any;
  error?: { message: string };
}

/** How a tab looks and behaves. */
export interface TabOptions {
  /** The language of the browser. */
  lang?: string;
  scheme?: "light" | "dark";
  reducedMotion?: boolean;
  /** Emulates a phone with a touch screen. */
  isPhone?: boolean;
  width?: number;
  height?: number;
  /** Turns JavaScript off. */
  noScript?: boolean;
  /** Code that runs in the page before its own. */
  init?: string;
}

/** A running Chromium. It ends with its scope. */
export class Browser implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #listeners = new Set<(message: Message) => void>();
  #count = 0;

  private constructor(
    process: Deno.ChildProcess,
    profile: string,
    socket: WebSocket,
  ) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
  }

  /** Starts a browser without a window. */
  static async launch(...flags: string[]): Promise<Browser> {
    const profile = await Deno.makeTempDir({ prefix: "chromium-" });
    const process = new Deno.Command(CHROMIUM!, {
      args: [
        ...["--headless=new", "--remote-debugging-port=0", "--no-first-run"],
        ...["--disable-background-networking", "--disable-component-update"],
        ...["--disable-dev-shm-usage", "--disable-gpu", "--mute-audio"],
        // The sandbox does not run as root, and the pages are from the tests.
        "--no-sandbox",
        ...[`--user-data-dir=${profile}`, ...flags, "about:blank"],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const url = await findUrl(process.stderr);
    const socket = new WebSocket(url);
    await new Promise((resolve) => socket.onopen = resolve);
    return new Browser(process, profile, socket);
  }

  #receive(message: Message): void {
    if (message.id === undefined) {
      return this.#listeners.forEach((listener) => listener(message));
    }
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    if (message.error) call?.reject(new Error(message.error.message));
    else call?.resolve(message.result);
  }

  /** Calls a method of the protocol. */
  // deno-lint-ignore no-explicit-any
  call(method: string, params = {}, sessionId?: string): Promise<any> {
    const id = ++this.#count;
    const call = Promise.withResolvers<unknown>();
    this.#calls.set(id, call);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return call.promise;
  }

  listen(listener: (message: Message) => void): void {
    this.#listeners.add(listener);
  }

  /** Opens a page in a profile of its own. */
  async open(url: string, options: TabOptions = {}): Promise<Tab> {
    const { browserContextId } = await this.call("Target.createBrowserContext");
    const { targetId } = await this.call("Target.createTarget", {
      url: "about:blank",
      browserContextId,
      width: options.width ?? 1000,
      height: options.height ?? 700,
    });
    const { sessionId } = await this.call("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    const tab = new Tab(this, sessionId, browserContextId);
    await tab.prepare(options);
    await tab.go(url);
    return tab;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    await this.call("Browser.close").catch(() => {});
    await closed;
    await this.#process.status;
    await Deno.remove(this.#profile, { recursive: true });
  }
}

/** Finds the address of the protocol in the output of a browser, and reads on. */
async function findUrl(
  stderr: ReadableStream<Uint8Array<ArrayBuffer>>,
): Promise<string> {
  const reader = stderr.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Chromium does not start: ${text}`);
    text += value;
    const [, url] = /DevTools listening on (\S+)\s/.exec(text) ?? [];
    if (url === undefined) continue;
    const drain = async () => {
      while (!(await reader.read()).done);
    };
    void drain();
    return url;
  }
}

/** A page in a browser. */
export class Tab implements AsyncDisposable {
  /** The errors and warnings on the console of the page. */
  readonly problems: string[] = [];

  constructor(
    readonly browser: Browser,
    readonly sessionId: string,
    readonly contextId: string,
  ) {
    browser.listen((message) => {
      if (message.sessionId !== sessionId) return;
      if (message.method === "Runtime.exceptionThrown") {
        const { exception, text } = message.params.exceptionDetails;
        this.problems.push(exception?.description ?? text);
      } else if (message.method === "Log.entryAdded") {
        this.problems.push(message.params.entry.text);
      }
    });
  }

  call(method: string, params = {}) {
    return this.browser.call(method, params, this.sessionId);
  }

  async prepare(options: TabOptions): Promise<void> {
    const { lang = "en", scheme = "light", isPhone, init } = options;
    await this.call("Page.enable");
    await this.call("Runtime.enable");
    await this.call("Log.enable");
    await this.call("Emulation.setLocaleOverride", { locale: lang });
    await this.call("Emulation.setUserAgentOverride", {
      userAgent: "test",
      acceptLanguage: lang,
    });
    const motion = options.reducedMotion ? "reduce" : "no-preference";
    await this.call("Emulation.setEmulatedMedia", {
      features: [
        { name: "prefers-color-scheme", value: scheme },
        { name: "prefers-reduced-motion", value: motion },
      ],
    });
    if (isPhone) {
      await this.call("Emulation.setDeviceMetricsOverride", {
        width: 390,
        height: 844,
        deviceScaleFactor: 2,
        mobile: true,
      });
      await this.call("Emulation.setTouchEmulationEnabled", { enabled: true });
    }
    if (options.noScript) {
      const value = true;
      await this.call("Emulation.setScriptExecutionDisabled", { value });
    }
    if (init) {
      const source = init;
      await this.call("Page.addScriptToEvaluateOnNewDocument", { source });
    }
  }

  /** Loads a page. */
  async go(url: string): Promise<void> {
    const loaded = new Promise<void>((resolve) =>
      this.browser.listen(({ sessionId, method }) => {
        if (sessionId === this.sessionId && method === "Page.loadEventFired") {
          resolve();
        }
      })
    );
    const { errorText } = await this.call("Page.navigate", { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  /** Returns the value of an expression, or of a promise. */
  // deno-lint-ignore no-explicit-any
  async evaluate<T = any>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    if (exceptionDetails) {
      const { exception, text } = exceptionDetails;
      throw new Error(exception?.description ?? text);
    }
    return result.value;
  }

  /** Waits until an expression is true, and returns its value. */
  // deno-lint-ignore no-explicit-any
  async until<T = any>(expression: string, seconds = 10): Promise<T> {
    const wait = `new Promise((resolve) => {
      const end = Date.now() + ${seconds * 1000};
      const check = () => {
        const value = ${expression};
        if (value || Date.now() > end) resolve(value);
        else setTimeout(check, 10);
      };
      check();
    })`;
    const value = await this.evaluate<T>(wait).catch((error) => {
      if (!/navigated/.test(error.message)) throw error;
      return this.evaluate<T>(wait);
    });
    if (value) return value;
    const text = await this.evaluate(`document.body.innerText`);
    throw new Error(`Not true: ${expression}\nThe page:\n${text}`);
  }

  /** Moves the focus to an element. */
  async focus(selector: string): Promise<void> {
    await this.evaluate(
      `document.querySelector(${JSON.stringify(selector)}).focus()`,
    );
  }

  /** Clicks an element with the mouse. */
  async click(selector: string): Promise<void> {
    const { x, y } = await this.evaluate(`(() => {
      const element = document.querySelector(${JSON.stringify(selector)});
      const { x, y, width, height } = element.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    })()`);
    for (const type of ["mousePressed", "mouseReleased"]) {
      const options = { type, x, y, button: "left", clickCount: 1 };
      await this.call("Input.dispatchMouseEvent", options);
    }
  }

  /** Types text into the element with the focus. */
  async type(text: string): Promise<void> {
    await this.call("Input.insertText", { text });
  }

  /** Presses a key, with modifiers: 1 for Alt, 2 for Ctrl, 8 for Shift. */
  async press(key: string, modifiers = 0): Promise<void> {
    const text = key === "Enter" ? "\r" : key.length === 1 ? key : undefined;
    const code = KEY_CODES[key];
    const options = { key, code: key, windowsVirtualKeyCode: code, modifiers };
    await this.call("Input.dispatchKeyEvent", {
      ...options,
      type: text ? "keyDown" : "rawKeyDown",
      text,
    });
    await this.call("Input.dispatchKeyEvent", { ...options, type: "keyUp" });
  }

  /** Returns a picture of the page as PNG. */
  async screenshot(): Promise<Uint8Array<ArrayBuffer>> {
    const { data } = await this.call("Page.captureScreenshot");
    return Uint8Array.fromBase64(data);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { contextId: browserContextId } = this;
    await this.browser.call("Target.disposeBrowserContext", {
      browserContextId,
    });
  }
}

const KEY_CODES: Record<string, number> = {
  Tab: 9,
  Enter: 13,
  Escape: 27,
  End: 35,
  Home: 36,
  ArrowUp: 38,
  ArrowDown: 40,
};
