/** Operators, accounts and users of NATS as JSON Web Tokens (JWT), for tests. */

import { CLIENT_MODULES } from "../server/nats.ts";

const { nkeys }: typeof import("npm:@nats-io/transport-node@3.4.0") =
  await import(CLIENT_MODULES[0]);

type KeyPair = ReturnType<typeof nkeys.createUser>;

const encoder = new TextEncoder();

/** A missing limit is 0 in a token. */
const UNLIMITED = { subs: -1, payload: -1, data: -1 };

/** An operator of NATS that has an account with JetStream. */
export class Operator {
  readonly #account = nkeys.createAccount();
  /** The configuration of a NATS server that trusts this operator. */
  readonly config: string;

  constructor() {
    const operator = nkeys.createOperator();
    const system = nkeys.createAccount();
    const account = (key: KeyPair, jetstream: Record<string, number>) => {
      const limits = { ...UNLIMITED, conn: -1, ...jetstream };
      const token = sign(operator, key, { type: "account", limits });
      return `${key.getPublicKey()}: ${token}`;
    };
    this.config = `operator: ${sign(operator, operator, { type: "operator" })}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${account(system, {})}
  ${account(this.#account, { disk_storage: -1, streams: -1, consumer: -1 })}
}`;
  }

  /** Makes a user of the account, and returns its token and its seed. */
  addUser(): { token: string; seed: string } {
    const user = nkeys.createUser();
    const token = sign(this.#account, user, { type: "user", ...UNLIMITED });
    return { token, seed: new TextDecoder().decode(user.getSeed()) };
  }
}

/** Formats a `.creds` file. */
export function formatCredentials(token: string, seed: string): string {
  return `-----BEGIN NATS USER JWT-----
${token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
}

/** Signs the claims of a subject. */
function sign(
  issuer: KeyPair,
  subject: KeyPair,
  nats: Record<string, unknown>,
): string {
  const header = { typ: "JWT", alg: "ed25519-nkey" };
  const claims = {
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: "test",
    nats: { version: 2, ...nats },
  };
  const text = [header, claims]
    .map((part) => toBase64Url(encoder.encode(JSON.stringify(part)))).join(".");
  return `${text}.${toBase64Url(issuer.sign(encoder.encode(text)))}`;
}

function toBase64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
