// Copyright 2026 the linechat authors. MIT license.

/**
 * The server command: a chat on TCP and TLS ports and on Unix sockets.
 *
 * ```sh
 * deno run -N server.ts                   # on localhost:8000
 * deno run -N server.ts -p 0 --lang zh    # on a free port, in Chinese
 * deno run -N server.ts --help            # all options
 * ```
 *
 * The server prints the address of each listener to stdout, `Listening on HOST:PORT`,
 * and its log to stderr. SIGINT and SIGTERM close the chat within 2 seconds; a second
 * signal exits at once. Exit codes: 0 after a signal, 1 if the server cannot listen,
 * 2 for wrong usage.
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
import {
  type Endpoint,
  type Listener,
  openListener,
} from "./server/listeners.ts";
import { Log } from "./server/log.ts";
import { helpText, OPTIONS } from "./server/options.ts";

/** The parsed command line. */
interface Settings {
  endpoints: Endpoint[];
  files?: CertificateFiles;
  chat: ChatOptions;
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
    chat: {
      lang,
      maxBacklog: values["max-backlog"],
      maxLine: values["max-line"],
      rate: values.rate,
      maxClients: values["max-clients"],
      maxPerAddress: values["max-per-address"],
      connectRate: values["connect-rate"],
      idle: values.idle * 1000,
      commands: values["no-commands"] ? false : undefined,
      history: values.history,
      motd: values.motd,
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
  const cert = values["tls-cert"];
  const key = values["tls-key"];
  const files = cert !== undefined && key !== undefined
    ? { cert, key }
    : undefined;
  if (!files && (cert ?? key ?? tlsPorts[0]) !== undefined) {
    throw new UsageError(
      {
        en: "TLS needs both --tls-cert FILE and --tls-key FILE",
        zh: "TLS 需要 --tls-cert FILE 和 --tls-key FILE 两个选项",
      }[lang],
    );
  }
  const isDefault = port.length + tlsPorts.length + unix.length === 0;
  const ports = isDefault ? [OPTIONS.port.default] : port;
  const isSecure = files !== undefined && tlsPorts.length === 0;
  return {
    endpoints: [
      ...ports.map((port) => ({ hostname, port, isSecure })),
      ...tlsPorts.map((port) => ({ hostname, port, isSecure: true })),
      ...unix.map((path) => ({ path })),
    ],
    files,
  };
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

/**
 * Reads the certificate again at each SIGHUP, for new connections. A certificate that
 * cannot be used changes nothing.
 */
function renewOnHangup(
  listeners: Listener[],
  files: CertificateFiles,
  log: Log,
  lang: Lang,
): void {
  if (Deno.build.os === "windows") return; // Windows has no SIGHUP.
  Deno.addSignalListener("SIGHUP", async () => {
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
  });
}

async function main(args: string[], lang: Lang): Promise<number> {
  const settings = parseCommand(args, lang);
  if ("print" in settings) {
    print(settings.print, lang);
    return 0;
  }
  const { endpoints, files } = settings;
  using log = new Log(settings.log, lang);
  const certificate = files && await readCertificate(files, lang);
  await using cleanup = new AsyncDisposableStack();
  const listeners: Listener[] = [];
  const names: string[] = [];
  for (const endpoint of endpoints) {
    const { listener, name } = await openListener(endpoint, lang, certificate);
    cleanup.defer(() => closeListener(listener));
    listeners.push(listener);
    names.push(name);
  }
  const terminated = terminationSignal();
  if (files) renewOnHangup(listeners, files, log, lang);
  await using chat = new Chat({
    ...settings.chat,
    log: (message) => log.frequentFailure(message),
  });
  const logged = log.follow(chat, settings.logMessages);
  for (const listener of listeners) chat.serve(listener);
  const prefix = { en: "Listening on ", zh: "正在监听 " }[lang];
  for (const name of names) print(prefix + name, lang);
  if (!terminated.aborted) await once(terminated, "abort");
  await Promise.all(listeners.map((listener) => listener.remove?.()));
  await chat.close();
  await logged;
  return 0;
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
