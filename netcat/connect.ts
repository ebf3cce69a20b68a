// Copyright 2026 the linechat authors. MIT license.

import { explain } from "../cli.ts";
import type { Lang } from "../mod.ts";
import type { Target } from "./target.ts";

/** Reasons of failures of TLS, by the error's message. */
const TLS_REASONS: [RegExp, Record<Lang, string>][] = [
  [/UnknownIssuer|BadSignature/, {
    en: "its certificate is not trusted, see --ca",
    zh: "证书不受信任，请参阅 --ca",
  }],
  [/CaUsedAsEndEntity/, {
    en: "its certificate belongs to an authority and not to a server",
    zh: "这是证书颁发机构的证书，不是服务器证书",
  }],
  [/[Ee]xpired/, {
    en: "its certificate has expired",
    zh: "证书已过期",
  }],
  [/NotValidYet/, {
    en: "its certificate is not valid yet",
    zh: "证书尚未生效",
  }],
  [/not valid for (any )?name/i, {
    en: "its certificate is for another name",
    zh: "证书与主机名不符",
  }],
  [/InvalidContentType/, {
    en: "it does not use TLS",
    zh: "对方没有使用 TLS",
  }],
];

/** Returns the reason of a failed or lost connection in a few words. */
export function explainConnection(error: unknown, lang: Lang): string {
  const message = error instanceof Error ? error.message : String(error);
  const reason = TLS_REASONS.find(([pattern]) => pattern.test(message));
  return reason?.[1][lang] ?? explain(error, lang);
}

/** Connects to a server, and completes the handshake if it uses TLS. */
export async function connect(target: Target, lang: Lang): Promise<Deno.Conn> {
  if ("path" in target) {
    return await Deno.connect({ transport: "unix", path: target.path });
  }
  const { hostname, port, isSecure, ca } = target;
  if (!isSecure) return await Deno.connect({ hostname, port });
  const caCerts = ca === undefined ? [] : [await readCertificates(ca, lang)];
  const conn = await Deno.connectTls({ hostname, port, caCerts });
  try {
    await conn.handshake();
    return conn;
  } catch (error) {
    conn.close();
    throw error;
  }
}

/** Reads a file of certificates. */
async function readCertificates(path: string, lang: Lang): Promise<string> {
  const failure = (reason: string) =>
    new Error({ en: `${path}: ${reason}`, zh: `${path}：${reason}` }[lang]);
  const text = await Deno.readTextFile(path).catch((error) => {
    throw failure(explain(error, lang));
  });
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw failure(
    { en: "it contains no certificate", zh: "文件中没有证书" }[lang],
  );
}

/** Returns whether the first bytes of a server are a TLS alert. It expects TLS then. */
export function isTlsAlert(bytes: Uint8Array): boolean {
  return bytes[0] === 0x15 && bytes[1] === 0x03;
}
