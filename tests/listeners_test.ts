import { assertEquals } from "@std/assert";
import { Chat, type Connection } from "../mod.ts";
import { SocketClient } from "./clients.ts";

/** Checks that clients of a listener can join, talk and leave. */
async function assertServes(
  listener: AsyncIterable<Connection> & { close(): void },
  connect: () => Promise<Deno.Conn>,
  nameOf: (conn: Deno.Conn, serial: number) => string,
): Promise<void> {
  await using chat = new Chat({ commands: false });
  const served = chat.serve(listener);
  const join = async (serial: number) => {
    const conn = await connect();
    const client = new SocketClient(conn, nameOf(conn, serial));
    assertEquals(await client.line(), `Welcome ${client.name}`);
    return client;
  };
  await using ann = await join(1);
  await using bob = await join(2);
  assertEquals(await ann.line(), `${bob.name} is online`);
  await bob.send("hello\nand goodbye");
  await bob.end();
  const messages = [`${bob.name}: hello`, `${bob.name}: and goodbye`];
  assertEquals(await bob.rest(), messages);
  assertEquals(await ann.lines(3), [...messages, `${bob.name} is offline`]);
  const closed = chat.close();
  assertEquals(await ann.rest(), ["The server is shutting down"]);
  await ann[Symbol.asyncDispose]();
  await closed;
  await served;
}

Deno.test("a chat serves TLS connections", async () => {
  const listener = Deno.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    key,
    cert,
  });
  const { hostname, port } = listener.addr;
  await assertServes(
    listener,
    () => Deno.connectTls({ hostname, port, caCerts: [cert] }),
    ({ localAddr }) => `127.0.0.1:${(localAddr as Deno.NetAddr).port}`,
  );
});

Deno.test({
  name: "a chat serves Unix connections",
  ignore: Deno.build.os === "windows",
  async fn() {
    const dir = await Deno.makeTempDir();
    const path = `${dir}/chat.sock`;
    await assertServes(
      Deno.listen({ transport: "unix", path }),
      () => Deno.connect({ transport: "unix", path }),
      (_, serial) => `unix:${serial}`,
    );
    await Deno.remove(dir, { recursive: true });
  },
});

// A key and a certificate for this test, valid for a hundred years.
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCNGpe2nmjYtG+t88
unbVYdMkNHwrstjY+GW9lTVyMZChRANCAAS2Fi9Te6NSFCjS3CI0xgOJpSOPZspb
eXiiJW8nQrZDdTT0jh3P1xidv6q8Xf9MZe3l//NDGplOUeuWmLlkOmEk
-----END PRIVATE KEY-----`;
const cert = `-----BEGIN CERTIFICATE-----
MIIBmDCCAT6gAwIBAgIUFVcSe1DDXtUx08rVDkvnMoudnYYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzA3MjcyM1oYDzIxMjYxMDMw
MDcyNzIzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS2Fi9Te6NSFCjS3CI0xgOJpSOPZspbeXiiJW8nQrZDdTT0jh3P1xid
v6q8Xf9MZe3l//NDGplOUeuWmLlkOmEko2wwajAdBgNVHQ4EFgQUH5Pbsaq595vU
/FCTyq5l8le+DOcwHwYDVR0jBBgwFoAUH5Pbsaq595vU/FCTyq5l8le+DOcwGgYD
VR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0E
AwIDSAAwRQIgV502SdlxE2BNyTqz8EoVI2PIC3o2GGtZCWRiPSq5358CIQC0RjSe
4k4DYbyu78RTCS5jTiizS4sxIy6PCBq2jjC+Zw==
-----END CERTIFICATE-----`;
