// Copyright 2026 the linechat authors. MIT license.

/** The states of a link. `closed` means that the server has closed it on purpose. */
export type LinkState = "connecting" | "open" | "lost" | "closed";

/** A WebSocket that connects again when the connection is lost. */
export class Link {
  /** The shortest and the longest pause before the next attempt, in milliseconds. */
  static readonly pauses = [500, 30_000];
  /** The codes with which the server closes the connection of a client for good. */
  static readonly finalCodes = [1000, 1008];
  /** The silence after which the connection may be lost unnoticed, in milliseconds. */
  static readonly doubtAfter = 30_000;
  /** The time for the server to answer then, in milliseconds. */
  static readonly patience = 8_000;
  #socket?: WebSocket;
  #failures = 0;
  #timer?: ReturnType<typeof setTimeout>;
  #heardAt = 0;

  constructor(
    readonly onState: (state: LinkState) => void,
    readonly onText: (text: string) => void,
    /** Sends a line that the server answers. Returns whether that is possible. */
    readonly probe: () => boolean,
  ) {
    addEventListener("online", () => this.#check());
    document.addEventListener("visibilitychange", () => this.#check());
    // A page that the user has left can be kept, and shown again later.
    addEventListener("pagehide", () => this.#lose());
    addEventListener("pageshow", (event) => {
      if ((event as PageTransitionEvent).persisted) this.connect();
    });
  }

  /** Connects now, unless there is a connection. */
  connect(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#socket) return;
    const url = new URL("ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = url.search = "";
    const socket = this.#socket = new WebSocket(url, "text.linechat");
    socket.onopen = () => {
      this.#failures = 0;
      this.#heardAt = Date.now();
      this.onState("open");
    };
    socket.onmessage = ({ data }) => {
      this.#heardAt = Date.now();
      this.onText(data);
    };
    socket.onclose = ({ code }) => this.#onClose(code);
    this.onState("connecting");
  }

  /** Sends a line. Returns whether there is a connection. */
  send(line: string): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(line);
    return true;
  }

  #onClose(code: number): void {
    this.#socket = undefined;
    if (Link.finalCodes.includes(code)) return this.onState("closed");
    const [shortest, longest] = Link.pauses;
    const pause = Math.min(longest, shortest * 2 ** this.#failures++);
    // Half of the pause is random: not all clients come back in the same moment.
    this.#timer = setTimeout(
      () => this.connect(),
      pause * (1 + Math.random()) / 2,
    );
    this.onState("lost");
  }

  /** Makes sure of the connection when the user or the network comes back. */
  #check(): void {
    if (document.hidden) return;
    if (this.#timer !== undefined) return this.connect();
    const socket = this.#socket;
    const heardAt = this.#heardAt;
    if (!socket || Date.now() - heardAt < Link.doubtAfter) return;
    if (!this.probe()) return;
    setTimeout(() => {
      if (this.#socket === socket && this.#heardAt === heardAt) this.#lose();
    }, Link.patience);
  }

  /** Closes the connection as if it were lost. */
  #lose(): void {
    const socket = this.#socket;
    if (!socket) return;
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.#onClose(1006);
  }
}
