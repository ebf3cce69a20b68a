// Copyright 2026 the linechat authors. MIT license.

import { isIPv6 } from "node:net";
import { integer, invalid, unknownArgument, UsageError } from "../cli.ts";
import { formatAddress, type Lang } from "../mod.ts";
import { DEFAULT_PORT } from "./options.ts";

/** A server to connect to. */
export type Target =
  | {
    hostname: string;
    port: number;
    isSecure: boolean;
    /** A file of certificates to trust. */
    ca?: string;
  }
  | { path: string };

/** The options that choose a server. */
export interface TargetOptions {
  port?: number;
  unix?: string;
  tls: boolean;
  ca?: string;
}

/**
 * Parses the server to connect to: `HOST`, `HOST PORT`, `HOST:PORT`, `[IPV6]:PORT`,
 * `linechat://HOST:PORT` or `linechats://HOST:PORT`.
 *
 * @throws {UsageError} If the arguments have another form.
 */
export function parseTarget(
  args: readonly string[],
  options: TargetOptions,
  lang: Lang,
): Target {
  const { unix, ca } = options;
  const usage = (en: string, zh: string) => new UsageError({ en, zh }, lang);
  const [address = "localhost", ...rest] = args;
  if (unix !== undefined) {
    if (args.length > 0 || options.tls || options.port !== undefined) {
      throw usage(
        "--unix takes no host, no port and no --tls",
        "--unix 不能与主机、端口或 --tls 同时使用",
      );
    }
    return { path: unix };
  }
  const { hostname, port, isSecure } = parseAddress(address, lang);
  if (rest.length > 1) {
    throw unknownArgument(rest[1], lang);
  }
  const ports = [port, rest[0], options.port].filter((port) =>
    port !== undefined
  );
  if (ports.length > 1) {
    throw usage(
      `The port is given twice: ${ports.join(" and ")}`,
      `端口给出了两次：${ports.join(" 和 ")}`,
    );
  }
  if (ports.length === 0 && !address.includes("[")) {
    checkPort(hostname, lang);
  }
  const target = {
    hostname,
    port: integer(
      { en: "port", zh: "端口" }[lang],
      `${ports[0] ?? DEFAULT_PORT}`,
      1,
      65_535,
      lang,
    ),
    isSecure: isSecure || options.tls,
    ca,
  };
  if (ca !== undefined && !target.isSecure) {
    throw usage("--ca needs --tls", "--ca 需要与 --tls 一起使用");
  }
  return target;
}

/** Splits an address into its parts. */
function parseAddress(
  address: string,
  lang: Lang,
): { hostname: string; port?: string; isSecure: boolean } {
  const [, scheme, rest] = /^(?:(linechats?):\/\/)?(.*)$/s.exec(address)!;
  const authority = scheme === undefined ? rest : rest.replace(/\/$/, "");
  const [, ipv6, hostAndPort] =
    /^(?:\[([\da-f:.]*:[\da-f:.]*)\](?=:|$))?(.*)$/is.exec(authority)!;
  const isSecure = scheme === "linechats";
  if (ipv6 !== undefined) {
    const port = hostAndPort === "" ? undefined : hostAndPort.slice(1);
    return { hostname: ipv6, port, isSecure };
  }
  // An IPv6 address without brackets has no port.
  if (/^[\da-f.]*:[\da-f.]*:[\da-f:.]*$/i.test(hostAndPort)) {
    return { hostname: hostAndPort, isSecure };
  }
  const [, hostname, port] =
    /^([^\s:\/@[\]]+)(?::([^:\/]*))?$/.exec(hostAndPort) ?? [];
  const forms = ["HOST:PORT", "[IPV6]:PORT", "linechat://HOST:PORT"];
  if (hostname === undefined) {
    throw invalid({ en: "host", zh: "主机" }[lang], address, {
      en: `must be a name or an address, or one of the forms ${
        forms.join(", ")
      }`,
      zh: `应为主机名或地址，例如 ${forms.join("、")}`,
    }, lang);
  }
  if (/^\d+$/.test(hostname)) {
    throw invalid({ en: "host", zh: "主机" }[lang], address, {
      en: `for a port on this machine, write localhost:${hostname}`,
      zh: `如需连接本机端口，请写成 localhost:${hostname}`,
    }, lang);
  }
  return { hostname, port, isSecure };
}

/** Refuses an IPv6 address without brackets if it can end in a port. */
function checkPort(hostname: string, lang: Lang): void {
  const [, ip, port] = /^(.*):(\d{1,5})$/.exec(hostname) ?? [];
  if (port === undefined || !isIPv6(ip) || Number(port) > 65_535) return;
  const form = formatAddress(ip, Number(port));
  throw invalid({ en: "host", zh: "主机" }[lang], hostname, {
    en: `for port ${port}, write ${form}; for an address, write [${hostname}]`,
    zh:
      `如需端口 ${port}，请写成 ${form}；如果全部是地址，请写成 [${hostname}]`,
  }, lang);
}

/** Returns the name of a server for messages. */
export function nameOf(target: Target): string {
  return "path" in target
    ? target.path
    : formatAddress(target.hostname, target.port);
}
