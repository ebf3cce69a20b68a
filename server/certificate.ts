// Copyright 2026 the linechat authors. MIT license.

/**
 * The certificate of the TLS ports and its private key.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { CommandError, quote, type Text, unreadable } from "../cli.ts";
import type { Lang } from "../mod.ts";

/** The paths of a certificate chain and of its private key. */
export interface CertificateFiles {
  cert: string;
  key: string;
}

/**
 * Reads a certificate chain and its private key.
 *
 * @throws {CommandError} If a file cannot be read, or cannot be used.
 */
export async function readCertificate(
  files: CertificateFiles,
  lang: Lang,
): Promise<Deno.TlsCertifiedKeyPem> {
  const cert = await readText(files.cert, lang);
  const key = await readText(files.key, lang);
  const certificate = parseCertificate(cert, files.cert, lang);
  const privateKey = parseKey(key, files.key, lang);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw unusable(files.key, {
      en: `it is not the private key of ${files.cert}`,
      zh: `它不是 ${files.cert} 的私钥`,
    }, lang);
  }
  return { cert, key };
}

async function readText(path: string, lang: Lang): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw unreadable(path, error, lang);
  }
}

function parseCertificate(
  text: string,
  path: string,
  lang: Lang,
): X509Certificate {
  const pem = findPem(text, "CERTIFICATE");
  if (pem === undefined) {
    throw unusable(path, {
      en: "it contains no certificate in PEM format",
      zh: "其中没有 PEM 格式的证书",
    }, lang);
  }
  try {
    return new X509Certificate(pem);
  } catch {
    throw unusable(path, {
      en: "its certificate is damaged",
      zh: "其中的证书已损坏",
    }, lang);
  }
}

function parseKey(text: string, path: string, lang: Lang) {
  const pem = findPem(text, "[A-Z ]*PRIVATE KEY");
  if (pem === undefined) {
    throw unusable(path, {
      en: "it contains no private key in PEM format",
      zh: "其中没有 PEM 格式的私钥",
    }, lang);
  }
  if (/ENCRYPTED/.test(pem)) {
    throw unusable(path, {
      en: "its private key is encrypted, remove the passphrase with " +
        "openssl pkey -in OLD -out NEW",
      zh: "其中的私钥已加密，请用 openssl pkey -in OLD -out NEW 去除密码",
    }, lang);
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw unusable(path, {
      en: "its private key is damaged",
      zh: "其中的私钥已损坏",
    }, lang);
  }
}

/** Returns the first PEM block with a label. */
function findPem(text: string, label: string): string | undefined {
  return new RegExp(`-----BEGIN (${label})-----[^]*?-----END \\1-----`)
    .exec(text)?.[0];
}

function unusable(path: string, reason: Text, lang: Lang): CommandError {
  return new CommandError({
    en: `Cannot use ${quote(path)}: ${reason.en}`,
    zh: `无法使用 ${quote(path)}：${reason.zh}`,
  }, lang);
}
