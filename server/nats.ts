// Copyright 2026 the linechat authors. MIT license.

/**
 * The stream of a room on NATS JetStream. The client of NATS is downloaded when a
 * connection is made for the first time.
 *
 * @module
 */

type Transport = typeof import("npm:@nats-io/transport-node@3.4.0");
type JetStream = typeof import("npm:@nats-io/jetstream@3.4.0");
type Client = Transport & JetStream;
type ConsumerMessages = import("npm:@nats-io/jetstream@3.4.0").ConsumerMessages;
type NatsConnection = Awaited<ReturnType<Transport["connect"]>>;

/**
 * The modules of the client. Deno would download them at start if their specifiers were
 * literals in an `import`.
 */
export const CLIENT_MODULES: readonly string[] = [
  "npm:@nats-io/transport-node@3.4.0",
  "npm:@nats-io/jetstream@3.4.0",
];

/** Time limit for a connection, in milliseconds. */
const CONNECT_TIMEOUT = 3_000;
/** Time between two pings, in milliseconds, and the number that can lack an answer. */
const PING = { period: 300, max: 3 };
/** Time limit for an answer of JetStream, in milliseconds. */
const REQUEST_TIMEOUT = 2_000;
/**
 * Time without messages after which NATS sends a heartbeat of the stream, in
 * milliseconds. The connection ends when two are missing.
 */
const IDLE_HEARTBEAT = 500;
/** Size of a new stream, in bytes. It discards its oldest messages then. */
const STREAM_SIZE = 256 * 1024 * 1024;
/** Size of the messages that NATS must accept, in bytes. */
const MAX_PAYLOAD = 1024 * 1024;
/** The error code of a stream that does not exist. */
const STREAM_NOT_FOUND = 10059;
/** The first version that keeps replicas of a stream equal. */
const REPLICAS_SINCE = [2, 10];
const SKIPPED = "NATS has skipped messages";

/** The connection of a server, and the stream of its room. See `ClusterOptions`. */
export interface StreamOptions {
  servers: readonly string[];
  room: string;
  credentials?: string;
}

/** A message of a stream. */
export interface StreamMessage {
  readonly seq: number;
  readonly time: Date;
  readonly subject: string;
  readonly data: Uint8Array;
}

/** A failure of a connection whose other end has not answered in about a second. */
export class NoAnswer extends Error {
  constructor() {
    super("NATS does not answer");
  }
}

/** A connection to NATS, from its beginning until it fails or is ended. */
export class RoomStream {
  readonly #nc: NatsConnection;
  readonly #options: StreamOptions;
  readonly #name: string;
  readonly #client: Client;
  /** The subjects of the entries, of the states, and of the heartbeats. */
  readonly subjects: { log: string; state: string; alive: string };
  /** The reason for which the connection has ended. */
  failure?: unknown;
  /** The number of messages that were read. */
  readCount = 0;
  isOpen = true;
  #messages?: ConsumerMessages;

  private constructor(
    nc: NatsConnection,
    options: StreamOptions,
    client: Client,
  ) {
    this.#nc = nc;
    this.#options = options;
    this.#client = client;
    this.#name = `linechat_${options.room}`;
    const prefix = `linechat.${options.room}`;
    this.subjects = {
      log: `${prefix}.log`,
      state: `${prefix}.state`,
      alive: `${prefix}.alive`,
    };
    void nc.closed().then((error) => this.end(error ?? undefined));
    void this.#watch();
  }

  /** Connects to the first NATS server that answers. */
  static async connect(options: StreamOptions): Promise<RoomStream> {
    const modules = CLIENT_MODULES.map((specifier) => import(specifier));
    const client: Client = Object.assign({}, ...await Promise.all(modules));
    const nc = await client.connect({
      ...authentication(options, client.credsAuthenticator),
      servers: [...options.servers],
      name: "linechat",
      reconnect: false,
      timeout: CONNECT_TIMEOUT,
      pingInterval: PING.period,
      maxPingOut: PING.max,
      tls: options.servers.some((url) => url.startsWith("tls:"))
        ? {}
        : undefined,
    });
    return new RoomStream(nc, options, client);
  }

  /** Ends the connection when NATS does not answer pings, or refuses something. */
  async #watch(): Promise<void> {
    for await (const status of this.#nc.status()) {
      if (status.type === "staleConnection") this.end(new NoAnswer());
      if (status.type === "error") this.end(status.error);
    }
  }

  /** The addresses of the options, and those that NATS has announced. */
  get servers(): string[] {
    const { servers } = this.#options;
    const known = servers.map((url) => url.replace(/^\w+:\/\//, ""));
    const announced = this.#nc.info?.connect_urls ?? [];
    return [...servers, ...announced.filter((url) => !known.includes(url))];
  }

  /** Ends the connection. Requests in progress fail. */
  end(failure?: unknown): void {
    this.failure ??= failure;
    this.isOpen = false;
    this.#nc.close().catch(() => {});
  }

  /** Sends text to a subject, without a confirmation. */
  send(subject: string, text: string): void {
    if (this.isOpen) this.#nc.publish(subject, text);
  }

  /** Receives the text that is sent to a subject. */
  receive(subject: string, onText: (text: string) => void): void {
    this.#nc.subscribe(subject, {
      callback: (error, message) =>
        error ? this.end(error) : onText(message.string()),
    });
  }

  /** Opens the stream, or makes it. Returns the numbers of its messages. */
  async open(): Promise<{ first: number; last: number }> {
    const { version = "", max_payload = 0, cluster } = this.#nc.info ?? {};
    if (max_payload < MAX_PAYLOAD) {
      throw new Error(`max_payload of NATS must be at least ${MAX_PAYLOAD}`);
    }
    const canReplicate = isSince(version, REPLICAS_SINCE);
    const jsm = await this.#manager();
    const info = await jsm.streams.info(this.#name).catch((error) => {
      if (error.code !== STREAM_NOT_FOUND) throw error;
      return jsm.streams.add({
        name: this.#name,
        subjects: [this.subjects.log, this.subjects.state],
        max_bytes: STREAM_SIZE,
        num_replicas: cluster !== undefined && canReplicate ? 3 : 1,
      });
    });
    const { config: { num_replicas }, state } = info;
    if (num_replicas > 1 && !canReplicate) {
      throw new Error(
        `NATS ${version} can lose lines of a stream with ${num_replicas} replicas, ` +
          `use NATS ${REPLICAS_SINCE.join(".")} or one replica`,
      );
    }
    return { first: state.first_seq, last: state.last_seq };
  }

  /** Returns the last message of a subject that is stored, if there is one. */
  async last(subject: string): Promise<Uint8Array | undefined> {
    const jsm = await this.#manager();
    const query = { last_by_subj: subject };
    return (await jsm.streams.getMessage(this.#name, query))?.data;
  }

  /**
   * Subscribes to the stored messages from a number on, and to those that follow. NATS
   * sends more when the last ones were taken.
   */
  async subscribe(seq: number): Promise<void> {
    // An ordered consumer of the client would notice the end of its NATS server
    // after 60 to 90 seconds.
    const { createInbox, jetstream, nanos } = this.#client;
    const delivery = {
      deliver_subject: createInbox(),
      idle_heartbeat: nanos(IDLE_HEARTBEAT),
    };
    const { consumers } = jetstream(this.#nc);
    const consumer = await consumers.getBoundPushConsumer(delivery);
    this.#messages = await consumer.consume();
    const jsm = await this.#manager();
    await jsm.consumers.add(this.#name, {
      ...delivery,
      name: crypto.randomUUID(),
      deliver_policy: "by_start_sequence",
      opt_start_seq: seq,
      ack_policy: "none",
      flow_control: true,
      num_replicas: 1,
    });
  }

  /** Yields the messages of the subscription. */
  async *read(): AsyncGenerator<StreamMessage> {
    const messages = this.#messages!;
    void this.#watchMessages(messages);
    for await (const message of messages) {
      if (message.info.deliverySequence !== ++this.readCount) {
        throw new Error(SKIPPED);
      }
      yield message;
    }
  }

  /** Ends the connection if NATS sends no more messages, or has skipped some. */
  async #watchMessages(messages: ConsumerMessages): Promise<void> {
    for await (const status of messages.status()) {
      if (status.type === "heartbeats_missed") this.end(new NoAnswer());
      if (status.type !== "heartbeat") continue;
      const received = messages.getProcessed() + messages.getPending();
      if (received < status.lastConsumerSequence) this.end(new Error(SKIPPED));
    }
  }

  /** Stores a message and waits until NATS has confirmed that. */
  async publish(
    subject: string,
    data: Uint8Array | string,
    timeout = REQUEST_TIMEOUT,
  ): Promise<void> {
    await this.#client.jetstream(this.#nc).publish(subject, data, { timeout });
  }

  #manager() {
    return this.#client.jetstreamManager(this.#nc, {
      checkAPI: false,
      timeout: REQUEST_TIMEOUT,
    });
  }
}

/** Returns the options of a connection with credentials. */
function authentication(
  { credentials = "" }: StreamOptions,
  fromFile: Transport["credsAuthenticator"],
) {
  if (credentials.includes("BEGIN NATS USER JWT")) {
    return { authenticator: fromFile(new TextEncoder().encode(credentials)) };
  }
  const [line] = credentials.split(/\r?\n/);
  const colon = line.indexOf(":");
  if (line === "") return {};
  return colon < 0
    ? { token: line }
    : { user: line.slice(0, colon), pass: line.slice(colon + 1) };
}

function isSince(version: string, [major, minor]: number[]): boolean {
  const [ownMajor, ownMinor] = version.split(".").map(Number);
  return ownMajor > major || ownMajor === major && ownMinor >= minor;
}
