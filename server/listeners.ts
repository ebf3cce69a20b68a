// Copyright 2026 the linechat authors. MIT license.

/**
 * The listeners of the server command: ports, TLS ports, web ports and Unix sockets.
 *
 * @module
 */

import { CommandError, explain, quote } from "../cli.ts";
import { type Connection, formatAddress, type Lang } from "../mod.ts";
import { OperatorListener } from "./operators.ts";
import { type TcpSource, TlsListener } from "./tls.ts";
import { UnixListener } from "./unix.ts";
import type { WebOptions } from "./web.ts";

/** An address to listen on. */
export type Endpoint =
  | { hostname: string; port: number; isSecure: boolean; isWeb: boolean }
  | { path: string; isForOperators?: boolean };

/** The parts of a listener that depend on options. */
export interface ListenerOptions {
  /** The certificate of TLS ports. */
  certificate?: Deno.TlsCertifiedKeyPem;
  /** Opens a port. @default {Deno.listen} */
  listen?: (address: Deno.TcpListenOptions & { isWeb: boolean }) => TcpSource;
  /** The options of web ports. */
  web?: WebOptions;
}

/** An open listener. */
export interface Listener extends AsyncIterable<Connection> {
  close(): void;
  /** Replaces the certificate for new connections. */
  renew?(certificate: Deno.TlsCertifiedKeyPem): void;
  /** Removes the file of the socket. */
  remove?(): Promise<void>;
}

/**
 * Number of connections that can wait to be accepted. Past it, the kernel drops a
 * connection attempt, and the client tries again after a second.
 */
const BACKLOG = 4096;

/**
 * Opens a listener.
 *
 * @returns The listener, and its address for users.
 * @throws {CommandError} If the address cannot be listened on.
 */
export async function openListener(
  endpoint: Endpoint,
  lang: Lang,
  { certificate, listen = Deno.listen, web }: ListenerOptions,
): Promise<{ listener: Listener; name: string }> {
  try {
    if ("path" in endpoint) {
      const listener = await UnixListener.open(endpoint.path, lang);
      if (!endpoint.isForOperators) return { listener, name: endpoint.path };
      const suffix = { en: " (operators)", zh: "（管理员）" }[lang];
      return {
        listener: new OperatorListener(listener),
        name: endpoint.path + suffix,
      };
    }
    const { isSecure, isWeb } = endpoint;
    const source = listen({ ...endpoint, tcpBacklog: BACKLOG });
    const { hostname, port } = source.addr;
    const listener = isSecure ? new TlsListener(source, certificate!) : source;
    const name = formatAddress(hostname, port);
    if (!isWeb) return { listener, name: isSecure ? `${name} (TLS)` : name };
    const { WebListener } = await import("./web.ts");
    return {
      listener: new WebListener(listener, web),
      name: `${isSecure ? "https" : "http"}://${name}/`,
    };
  } catch (error) {
    const name = "path" in endpoint
      ? quote(endpoint.path)
      : formatAddress(endpoint.hostname, endpoint.port);
    const reason = explain(error, lang) + hint(error, endpoint, lang);
    throw new CommandError({
      en: `Cannot listen on ${name}: ${reason}`,
      zh: `无法监听 ${name}：${reason}`,
    }, lang);
  }
}

/** Returns what the user can do about an error. */
function hint(error: unknown, endpoint: Endpoint, lang: Lang): string {
  if ("path" in endpoint) return "";
  if (error instanceof Deno.errors.AddrInUse) {
    const option = "--" + (endpoint.isWeb ? "web-" : "") +
      (endpoint.isSecure ? "tls-port" : "port");
    return {
      en: `, choose another ${option} or stop the other program`,
      zh: `，请换一个 ${option} 或停止另一个程序`,
    }[lang];
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return {
      en: ", choose a port from 1024",
      zh: "，请使用 1024 以上的端口",
    }[lang];
  }
  if (error instanceof Deno.errors.NotCapable) return "";
  return { en: ", see --hostname", zh: "，请检查 --hostname" }[lang];
}
