/** Tests the web ports of the server command, with TLS and behind nginx. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { TestClient } from "./clients.ts";
import { Command, startServer, UNIX } from "./commands.ts";
import { Certificate, connectTls } from "./tls.ts";
import { exchange, RawClient, upgradeRequest } from "./web_clients.ts";

const address = (port: string | number): Deno.NetAddr => ({
  transport: "tcp",
  hostname: "127.0.0.1",
  port: Number(port),
});

const FREE = { hostname: "127.0.0.1", port: 0 };

/** Returns a port that nobody listens on. */
function freePort(hostname = "127.0.0.1"): number {
  using listener = Deno.listen({ hostname, port: 0 });
  return listener.addr.port;
}

/** Returns the port of the next line of a server, `Listening on http://…:PORT/`. */
async function webPort(server: Command, scheme = "http"): Promise<string> {
  const pattern = new RegExp(
    `^Listening on ${scheme}://127\\.0\\.0\\.1:(\\d+)/$`,
  );
  const line = await server.line() ?? await server.stderr();
  assertMatch(line, pattern);
  return pattern.exec(line)![1];
}

/** Gets a document over TLS, and trusts a certificate. */
async function get(url: string, { cert }: Certificate): Promise<string> {
  const caCerts = [await Deno.readTextFile(cert)];
  using client = Deno.createHttpClient({ caCerts });
  const response = await fetch(url, { client });
  return await response.text();
}

/** Opens a WebSocket over TLS. */
async function connect(
  addr: Deno.NetAddr,
  certificate: Certificate,
): Promise<RawClient> {
  const conn = await connectTls(addr, certificate);
  return await RawClient.upgrade(conn, upgradeRequest(addr));
}

Deno.test("--web-port opens the room to browsers, with -N only", async () => {
  await using server = await startServer([
    "--web-port=0",
    "--web-host=chat.example.org",
  ]);
  const port = await webPort(server);
  const page = await fetch(`http://127.0.0.1:${port}/`);
  assertMatch(await page.text(), /^<!doctype html>/);
  await using tcp = await TestClient.join(server.addr);
  using web = await RawClient.connect(address(port), {
    Host: "chat.example.org",
    Origin: "https://chat.example.org",
  });
  await web.send("hello");
  await web.until(/: hello$/);
  assertMatch((await tcp.lines(2))[1]!, /: hello$/);
});

Deno.test("web ports take the addresses of PROXY headers", async () => {
  await using server = await startServer([
    ...["--web-port=0", "--proxy-protocol=127.0.0.1"],
  ]);
  const addr = address(await webPort(server));
  const header = "PROXY TCP4 203.0.113.7 127.0.0.1 50000 80\r\n";
  using web = await RawClient.connect(addr, {}, header);
  assertEquals(await web.line(), "Welcome 203.0.113.7:50000");
  // A health check of the proxy itself.
  const check = "PROXY UNKNOWN\r\nGET /healthz HTTP/1.0\r\n\r\n";
  assertMatch(await exchange(addr, check), /^HTTP\/1\.1 200 .*\nok\n$/s);
});

Deno.test("bans, the password and hidden addresses hold for browsers", async () => {
  const directory = await Deno.makeTempDir();
  const [bans, password] = [`${directory}/bans`, `${directory}/password`];
  await Deno.writeTextFile(bans, "203.0.113.9 - op-1 spam\n");
  await Deno.writeTextFile(password, "open sesame\n");
  await using server = await startServer([
    ...["--web-port=0", "--forwarded-for=127.0.0.1", "--hide-addresses"],
    ...[`--bans=${bans}`, `--password-file=${password}`],
  ], { permissions: ["-N", "-R", "-W"] });
  const addr = address(await webPort(server));
  const from = (host: string) =>
    RawClient.connect(addr, { "X-Forwarded-For": host });
  using banned = await from("203.0.113.9");
  assertMatch((await banned.line())!, /^Cannot enter: .*spam/);
  using web = await from("203.0.113.7");
  assertEquals(await web.line(), "-- Password:");
  await web.send("open sesame");
  assertEquals(await web.line(), "Welcome guest-1");
  await Deno.remove(directory, { recursive: true });
});

Deno.test("the page shows the TCP port without JavaScript", async () => {
  const port = freePort();
  await using server = new Command("server.ts", [
    ...["--hostname=127.0.0.1", `--port=${port}`, "--web-port=0"],
  ]);
  await server.line();
  const page = await fetch(`http://127.0.0.1:${await webPort(server)}/`);
  assertMatch(await page.text(), new RegExp(`<code>nc HOST ${port}</code>`));
});

Deno.test("wrong options for browsers are refused", async (t) => {
  const cases: [string[], string][] = [
    [["--web-host=a"], "--web-host needs --web-port or --web-tls-port"],
    [
      ["--forwarded-for=127.0.0.1"],
      "--forwarded-for needs --web-port or --web-tls-port",
    ],
    [
      ["--web-port=0", "--web-host=https://a.example"],
      "Invalid --web-host https://a.example: " +
      "must be a host name, such as chat.example.org",
    ],
    [
      ["--web-port=0", "--forwarded-for=proxy"],
      "Invalid --forwarded-for proxy: must be an address or a network such as 192.0.2.0/24",
    ],
    [
      ["--web-tls-port=0"],
      "TLS needs both --tls-cert FILE and --tls-key FILE",
    ],
    [
      ["--web-port=65536"],
      "Invalid --web-port 65536: must be an integer from 0 to 65535",
    ],
  ];
  for (const [args, message] of cases) {
    await t.step(args.join(" "), async () => {
      await using server = new Command("server.ts", args);
      assertEquals(await server.stderr(), `${message}\n`);
      assertEquals(await server.code(), 2);
    });
  }
});

Deno.test("a web port that is in use is reported", async () => {
  using listener = Deno.listen(FREE);
  const { port } = listener.addr;
  await using server = new Command("server.ts", [
    ...["--hostname=127.0.0.1", "--port=0", `--web-port=${port}`],
  ]);
  assertEquals(
    await server.stderr(),
    `Cannot listen on 127.0.0.1:${port}: address already in use, ` +
      "choose another --web-port or stop the other program\n",
  );
  assertEquals(await server.code(), 1);
});

Deno.test({
  name: "--web-tls-port serves browsers over TLS, and renews its certificate",
  ignore: !UNIX,
  async fn() {
    await using certificate = await Certificate.make();
    await using server = await startServer(
      ["--tls-port=0", "--web-tls-port=0", ...certificate.options],
      { permissions: ["-N", "-R"] },
    );
    await server.line(); // The TLS port.
    const port = await webPort(server, "https");
    const url = `https://localhost:${port}/`;
    assertEquals(await get(`${url}healthz`, certificate), "ok\n");
    const addr = { ...address(port), hostname: "localhost" };
    using ann = await connect(addr, certificate);
    await ann.until(/^Welcome /);
    await certificate.renew();
    server.kill("SIGHUP");
    await server.logs(/The certificate was renewed/);
    assertEquals(await get(`${url}healthz`, certificate), "ok\n");
    using bob = await connect(addr, certificate);
    await bob.until(/^Welcome /);
    await ann.send("still here");
    await bob.until(/: still here$/);
  },
});

Deno.test("plain HTTP on a web TLS port is reported in the log", async () => {
  await using certificate = await Certificate.make();
  await using server = await startServer(
    ["--tls-port=0", "--web-tls-port=0", ...certificate.options],
    { permissions: ["-N", "-R"] },
  );
  await server.line();
  const port = await webPort(server, "https");
  await fetch(`http://127.0.0.1:${port}/`).catch(() => {});
  await server.logs(/Cannot secure 127\.0\.0\.1: .* does not speak TLS/);
});

/** The binary of an installed nginx, if there is one. */
const NGINX = ["/usr/sbin/nginx", "/usr/bin/nginx"].find((path) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
});

/** Returns the configuration of nginx in the documentation, for other addresses. */
async function configuration(
  directory: string,
  { cert, key }: Certificate,
  port: number,
  server: string,
): Promise<string> {
  const docs = new URL("../docs/web.md", import.meta.url);
  const [, block] = /```nginx\n(.*?)```/s.exec(await Deno.readTextFile(docs))!;
  const http = block
    .replace("listen 443 ssl", `listen [::1]:${port} ssl`)
    .replace("cert.pem", cert)
    .replace("key.pem", key)
    .replace("127.0.0.1:8080", `127.0.0.1:${server}`);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/${name};`);
  return `daemon off;
pid ${directory}/pid;
error_log stderr notice;
events {}
http {
access_log off;
${paths.join("\n")}
${http}}
`;
}

Deno.test({
  name: "browsers join through nginx" +
    (NGINX ? "" : " (ignored: nginx is not installed)"),
  ignore: !NGINX,
  async fn() {
    await using certificate = await Certificate.make();
    await certificate.renew("IP:::1");
    await using server = await startServer([
      "--web-port=0",
      "--forwarded-for=127.0.0.1",
    ]);
    const serverPort = await webPort(server);
    const port = freePort("::1");
    const { directory } = certificate;
    const file = `${directory}/nginx.conf`;
    await Deno.writeTextFile(
      file,
      await configuration(directory, certificate, port, serverPort),
    );
    const nginx = new Deno.Command(NGINX!, {
      args: ["-c", file, "-e", "stderr"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const errors = nginx.stderr.pipeThrough(new TextDecoderStream())
      .getReader();
    for (let text = ""; !/start worker process /.test(text);) {
      const { value } = await errors.read();
      assert(value !== undefined, text);
      text += value;
    }
    try {
      const url = `https://[::1]:${port}/`;
      assertMatch(await get(url, certificate), /^<!doctype html>/);
      const addr = { ...address(port), hostname: "::1" };
      using web = await connect(addr, certificate);
      // The name has the address of the client, and not that of nginx.
      assertMatch(await web.until(/^Welcome /), /^Welcome \[::1\]:\d+$/);
      await web.send("/nick ann");
      await web.send("through nginx");
      await web.until(/^ann: through nginx$/);
    } finally {
      nginx.kill("SIGTERM");
      await nginx.status;
      await errors.cancel();
    }
  },
});
