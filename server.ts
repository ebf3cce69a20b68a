// Copyright 2026 the linechat authors. MIT license.

/**
 * The server command: a chat on TCP and TLS ports, on Unix sockets and in browsers.
 *
 * ```sh
 * deno run -N server.ts                   # on localhost:8000
 * deno run -N server.ts -p 0 --lang zh    # on a free port, in Chinese
 * deno run -N server.ts --help            # all options
 * ```
 *
 * The server prints the address of each listener to stdout, `Listening on HOST:PORT`,
 * and its log to stderr. SIGINT and SIGTERM close the chat within 2 seconds; a second
 * signal exits at once. Exit codes: 0 after a signal, 1 if the server cannot listen or
 * loses its room on NATS, 2 for wrong usage.
 *
 * @module
 */

import { once } from "node:events";
import {
  explain,
  invalid,
  parseOptions,
  print,
  run,
  unknownArgument,
  UsageError,
  type Values,
} from "./cli.ts";
import config from "./deno.json" with { type: "json" };
import { Chat, type ChatOptions, type Lang } from "./mod.ts";
import {
  type CertificateFiles,
  readCertificate,
} from "./server/certificate.ts";
import type { Cluster } from "./server/cluster.ts";
import type { ClusterSettings } from "./server/cluster_setup.ts";
import {
  type Endpoint,
  type Listener,
  type ListenerOptions,
  openListener,
} from "./server/listeners.ts";
import { Log } from "./server/log.ts";
import type {
  ModerationSettings,
  ServerModeration,
} from "./server/moderation_setup.ts";
import { ReservedNames } from "./server/names.ts";
import { Network } from "./server/network.ts";
import { helpText, OPTIONS } from "./server/options.ts";
import type { WebOptions } from "./server/web.ts";

/** The parsed command line. */
interface Settings {
  endpoints: Endpoint[];
  files?: CertificateFiles;
  /** The networks of the proxies that send PROXY headers. */
  proxies: Network[];
  web: WebOptions;
  chat: ChatOptions;
  hasCommands: boolean;
  moderation?: ModerationSettings;
  cluster?: ClusterSettings;
  log: "off" | "text" | "json";
  logMessages: boolean;
}

/** Parses the command line, to settings or to a text to print. */
function parseCommand(
  args: string[],
  lang: Lang,
): Settings | { print: string } {
  const { values, rest } = parseOptions(OPTIONS, args, lang);
  if (values.help) return { print: helpText(lang) };
  if (values.version) return { print: `linechat ${config.version}` };
  if (rest.length > 0) throw unknownArgument(rest[0], lang);
  const logMessages = values["log-messages"];
  return {
    ...parseEndpoints(values, lang),
    proxies: parseProxies(values, "proxy-protocol", lang),
    web: parseWeb(values, lang),
    chat: {
      lang,
      maxBacklog: values["max-backlog"],
      maxLine: values["max-line"],
      rate: values.rate,
      maxClients: values["max-clients"],
      maxPerAddress: values["max-per-address"],
      connectRate: values["connect-rate"],
      ipv6Prefix: values["ipv6-prefix"],
      idle: values.idle * 1000,
      history: values.history,
      motd: values.motd,
    },
    hasCommands: !values["no-commands"],
    moderation: parseModeration(values, lang),
    cluster: values.nats === undefined ? undefined : {
      nats: values.nats,
      room: values.room,
      credentialsPath: values["nats-creds"],
      maxLine: values["max-line"],
    },
    log: values.log ?? (logMessages ? "text" : "off"),
    logMessages,
  };
}

/** Returns the addresses to listen on, and the files that their TLS needs. */
function parseEndpoints(
  { hostname, port, unix, ...values }: Values<typeof OPTIONS>,
  lang: Lang,
): { endpoints: Endpoint[]; files?: CertificateFiles } {
  if (!/^\S+$/.test(hostname)) {
    throw invalid("--hostname", hostname, {
      en: "must be a host name or an address",
      zh: "必须是主机名或地址",
    }, lang);
  }
  const tlsPorts = values["tls-port"];
  const webPorts = values["web-port"];
  const webTlsPorts = values["web-tls-port"];
  const cert = values["tls-cert"];
  const key = values["tls-key"];
  const files = cert !== undefined && key !== undefined
    ? { cert, key }
    : undefined;
  if (
    !files && (cert ?? key ?? tlsPorts[0] ?? webTlsPorts[0]) !== undefined
  ) {
    throw new UsageError({
      en: "TLS needs both --tls-cert FILE and --tls-key FILE",
      zh: "TLS 需要 --tls-cert FILE 和 --tls-key FILE 两个选项",
    }, lang);
  }
  const adminSockets = [values["admin-socket"] ?? []].flat();
  const isDefault = port.length + tlsPorts.length + unix.length === 0;
  const ports = isDefault ? [OPTIONS.port.default] : port;
  const isSecure = files !== undefined && tlsPorts.length === 0;
  const endpointsOf = (ports: number[], isSecure: boolean, isWeb: boolean) =>
    ports.map((port) => ({ hostname, port, isSecure, isWeb }));
  return {
    endpoints: [
      ...endpointsOf(ports, isSecure, false),
      ...endpointsOf(tlsPorts, true, false),
      ...unix.map((path) => ({ path })),
      ...adminSockets.map((path) => ({ path, isForOperators: true })),
      ...endpointsOf(webPorts, false, true),
      ...endpointsOf(webTlsPorts, true, true),
    ],
    files,
  };
}

/** Returns the networks of the proxies that an option names. */
function parseProxies(
  values: Values<typeof OPTIONS>,
  option: "proxy-protocol" | "forwarded-for",
  lang: Lang,
): Network[] {
  return values[option].map((text) => {
    const network = Network.parse(text);
    if (network) return network;
    throw invalid(`--${option}`, text, {
      en: "must be an address or a network such as 192.0.2.0/24",
      zh: "必须是地址或 192.0.2.0/24 这样的网络",
    }, lang);
  });
}

/** Returns the settings of the moderation, if one of its options is given. */
function parseModeration(
  values: Values<typeof OPTIONS>,
  lang: Lang,
): ModerationSettings | undefined {
  const adminSocket = values["admin-socket"];
  const bansPath = values.bans;
  const passwordPath = values["password-file"];
  const hideAddresses = values["hide-addresses"];
  if (adminSocket !== undefined && values["no-commands"]) {
    throw new UsageError({
      en: "--admin-socket needs commands, remove --no-commands",
      zh: "--admin-socket 需要命令，请去掉 --no-commands",
    }, lang);
  }
  const isModerated = hideAddresses ||
    (adminSocket ?? bansPath ?? passwordPath) !== undefined;
  return isModerated
    ? {
      bansPath,
      passwordPath,
      hideAddresses,
      ipv6Prefix: values["ipv6-prefix"],
    }
    : undefined;
}

/** Returns the options of the web ports. */
function parseWeb(values: Values<typeof OPTIONS>, lang: Lang): WebOptions {
  const hosts = values["web-host"];
  const proxies = parseProxies(values, "forwarded-for", lang);
  for (const host of hosts) {
    if (/^[\w.-]+$/.test(host)) continue;
    throw invalid("--web-host", host, {
      en: "must be a host name, such as chat.example.org",
      zh: "必须是主机名，例如 chat.example.org",
    }, lang);
  }
  const ports = [...values["web-port"], ...values["web-tls-port"]];
  if (ports.length === 0 && hosts.length + proxies.length > 0) {
    const option = hosts.length > 0 ? "--web-host" : "--forwarded-for";
    throw new UsageError({
      en: `${option} needs --web-port or --web-tls-port`,
      zh: `${option} 需要 --web-port 或 --web-tls-port`,
    }, lang);
  }
  return { hosts, proxies };
}

/** Aborts at the first signal to terminate. The second one exits at once. */
function terminationSignal(): AbortSignal {
  const controller = new AbortController();
  // Windows has no SIGTERM.
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM"];
  for (const signal of signals) {
    Deno.addSignalListener(signal, () => {
      if (controller.signal.aborted) Deno.exit(1);
      controller.abort();
    });
  }
  return controller.signal;
}

/** Reads files again at each SIGHUP. */
function onHangup(reload: () => Promise<void>): void {
  if (Deno.build.os === "windows") return; // Windows has no SIGHUP.
  Deno.addSignalListener("SIGHUP", reload);
}

/**
 * Reads the certificate again, for new connections. A certificate that cannot be used
 * changes nothing.
 */
async function renewCertificate(
  listeners: Listener[],
  files: CertificateFiles,
  log: Log,
  lang: Lang,
): Promise<void> {
  try {
    const certificate = await readCertificate(files, lang);
    for (const listener of listeners) listener.renew?.(certificate);
    log.info(
      {
        en: "The certificate was renewed",
        zh: "证书已更新",
      }[lang],
    );
  } catch (error) {
    const reason = explain(error, lang);
    log.failure(
      {
        en: `The certificate was not renewed. ${reason}`,
        zh: `证书没有更新。${reason}`,
      }[lang],
    );
  }
}

/** Returns a function that opens ports on which proxies send PROXY headers. */
async function listenBehind(
  proxies: Network[],
  log: Log,
  lang: Lang,
): Promise<ListenerOptions["listen"]> {
  if (proxies.length === 0) return;
  const { ProxyListener } = await import("./server/proxy_protocol.ts");
  return (address) =>
    new ProxyListener(Deno.listen(address), {
      trusted: proxies,
      acceptsChecks: address.isWeb,
      lang,
      log: (message) => log.frequentFailure(message),
    });
}

/** Creates the moderation, if one of its options is given. */
async function moderate(
  { moderation }: Settings,
  log: Log,
  lang: Lang,
): Promise<ServerModeration | undefined> {
  if (moderation === undefined) return;
  const { openModeration } = await import("./server/moderation_setup.ts");
  return await openModeration(moderation, log, lang);
}

/** Connects to the other servers of the room, if there can be any. */
async function joinCluster(
  { cluster }: Settings,
  log: Log,
  lang: Lang,
): Promise<Cluster | undefined> {
  if (cluster === undefined) return;
  const { openCluster } = await import("./server/cluster_setup.ts");
  return await openCluster(cluster, log, lang);
}

/** Returns the options of the chat. */
function chatOptions(
  { chat, hasCommands }: Settings,
  moderated: ServerModeration | undefined,
  exchange: Cluster | undefined,
  log: Log,
  lang: Lang,
): ChatOptions {
  const report = (message: string) => log.frequentFailure(message);
  const { commands, onShare, ...hooks } = moderated?.chatOptions ??
    {} as ChatOptions;
  const { ipv6Prefix } = chat;
  const names = new ReservedNames({ lang, ipv6Prefix, log: report });
  return {
    ...chat,
    ...hooks,
    exchange,
    commands: hasCommands && { nick: names.command, ...commands },
    onShare(...change) {
      names.onShare(...change);
      onShare?.(...change);
    },
    log: report,
  };
}

async function main(args: string[], lang: Lang): Promise<number> {
  const settings = parseCommand(args, lang);
  if ("print" in settings) {
    print(settings.print, lang);
    return 0;
  }
  const { endpoints, files, proxies, web } = settings;
  using log = new Log(settings.log, lang);
  const certificate = files && await readCertificate(files, lang);
  const moderated = await moderate(settings, log, lang);
  const options = {
    certificate,
    listen: await listenBehind(proxies, log, lang),
    web: {
      ...web,
      chat: chatAddressOf(endpoints),
      log: (message: string) => log.frequentFailure(message),
    },
  };
  const cluster = await joinCluster(settings, log, lang);
  await using chat = new Chat(
    chatOptions(settings, moderated, cluster, log, lang),
  );
  try {
    await cluster?.live;
  } catch {
    return 1; // The chat has logged the reason.
  }
  const terminated = terminationSignal();
  await using cleanup = new AsyncDisposableStack();
  const listeners: Listener[] = [];
  const names: string[] = [];
  for (const endpoint of endpoints) {
    const { listener, name } = await openListener(endpoint, lang, options);
    cleanup.defer(() => closeListener(listener));
    listeners.push(listener);
    names.push(name);
  }
  if (files) {
    onHangup(() => renewCertificate(listeners, files, log, lang));
  }
  if (moderated) onHangup(() => moderated.reload(chat));
  const logged = log.follow(chat, settings.logMessages);
  for (const listener of listeners) chat.serve(listener);
  const prefix = { en: "Listening on ", zh: "正在监听 " }[lang];
  for (const name of names) print(prefix + name, lang);
  if (!terminated.aborted) {
    const signal = once(terminated, "abort");
    await (cluster ? Promise.race([signal, cluster.ended]) : signal);
  }
  await Promise.all(listeners.map((listener) => listener.remove?.()));
  await chat.close();
  await logged;
  return await cluster?.ended === undefined ? 0 : 1;
}

/** Returns the port for TCP clients that the page shows, if there is one. */
function chatAddressOf(endpoints: Endpoint[]): WebOptions["chat"] {
  for (const endpoint of endpoints) {
    if ("port" in endpoint && !endpoint.isWeb && endpoint.port > 0) {
      return endpoint;
    }
  }
}

/** Closes a listener, and removes the file of its socket. */
async function closeListener(listener: Listener): Promise<void> {
  await listener.remove?.();
  try {
    listener.close();
  } catch {
    // The chat has closed it.
  }
}

if (import.meta.main) await run(main);
