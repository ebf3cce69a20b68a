/** Helpers of the tests with TLS. */

import { assert } from "@std/assert";
import { formatAddress } from "../mod.ts";
import { SocketClient } from "./clients.ts";
import {
  addressOf,
  type CommandOptions,
  type Server,
  startServer,
} from "./commands.ts";

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", {
    args,
    stdout: "null",
    stderr: "piped",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

/** The files of a certificate for localhost and 127.0.0.1. */
export class Certificate implements AsyncDisposable {
  readonly cert: string;
  readonly key: string;

  private constructor(readonly directory: string) {
    this.cert = `${directory}/cert.pem`;
    this.key = `${directory}/key.pem`;
  }

  /** Makes a certificate and its key. */
  static async make(): Promise<Certificate> {
    const certificate = new Certificate(await Deno.makeTempDir());
    await certificate.renew();
    return certificate;
  }

  /** Replaces the certificate and its key. */
  async renew(names = "DNS:localhost,IP:127.0.0.1"): Promise<void> {
    await openssl(
      ...["req", "-x509", "-newkey", "ec", "-nodes", "-subj", "/CN=chat"],
      ...["-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"],
      ...["-addext", `subjectAltName=${names}`],
      ...["-addext", "basicConstraints=critical,CA:FALSE"],
      ...["-keyout", this.key, "-out", this.cert],
    );
  }

  /** Encrypts the key with a passphrase. */
  async encryptKey(): Promise<void> {
    const plain = `${this.directory}/plain.pem`;
    await Deno.rename(this.key, plain);
    await openssl(
      ...["pkey", "-in", plain, "-out", this.key],
      ...["-aes128", "-passout", "pass:secret"],
    );
  }

  /** Replaces the certificate by one that has expired. */
  async expire(): Promise<void> {
    const { directory, key, cert } = this;
    const [config, request] = [`${directory}/config`, `${directory}/request`];
    await Deno.writeTextFile(`${directory}/index.txt`, "");
    await Deno.writeTextFile(
      config,
      `[ca]
default_ca = chat
[chat]
database = ${directory}/index.txt
new_certs_dir = ${directory}
policy = policy
default_md = sha256
rand_serial = yes
x509_extensions = extensions
[policy]
commonName = supplied
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
`,
    );
    await openssl(
      ...["req", "-new", "-key", key, "-subj", "/CN=chat", "-out", request],
    );
    await openssl(
      ...["ca", "-batch", "-selfsign", "-notext", "-config", config],
      ...["-keyfile", key, "-in", request, "-out", cert],
      ...["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"],
    );
  }

  /** The options of the server for these files. */
  get options(): string[] {
    return ["--tls-cert", this.cert, "--tls-key", this.key];
  }

  /** Reads both files. */
  async read(): Promise<{ cert: string; key: string }> {
    const [cert, key] = await Promise.all(
      [this.cert, this.key].map((file) => Deno.readTextFile(file)),
    );
    return { cert, key };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Connects to a TLS port, and trusts a certificate. */
export async function connectTls(
  { hostname, port }: Deno.NetAddr,
  { cert }: Certificate,
): Promise<Deno.TlsConn> {
  const caCerts = [await Deno.readTextFile(cert)];
  return await Deno.connectTls({ hostname, port, caCerts });
}

/** Creates a client on a TLS connection. */
export function tlsClient(conn: Deno.TlsConn): SocketClient {
  const { hostname, port } = conn.localAddr as Deno.NetAddr;
  return new SocketClient(conn, formatAddress(hostname, port));
}

/** Connects to a TLS port, and reads the welcome and the greeting. */
export async function joinTls(
  addr: Deno.NetAddr,
  certificate: Certificate,
): Promise<SocketClient> {
  const client = tlsClient(await connectTls(addr, certificate));
  await client.readWelcome();
  return client;
}

/** A server with a plain port and a TLS port. */
export type TlsServer = Server & { readonly tlsAddr: Deno.NetAddr };

/** Starts a server with a plain port and a TLS port. */
export async function startTlsServer(
  certificate: Certificate,
  args: string[] = [],
  options: CommandOptions = { permissions: ["-N", "-R"] },
): Promise<TlsServer> {
  const server = await startServer(
    ["--tls-port", "0", ...certificate.options, ...args],
    options,
  );
  return Object.assign(server, { tlsAddr: await addressOf(server) });
}
