/**
 * Writes a number of lines to each client, in chunks as large as those of the chat,
 * with `conn.write` and nothing else. This is the most that a Deno program can
 * write. It starts when a client sends, and reads all that clients send.
 *
 *     deno run -N tests/bench/peers/bare.ts LINES SIZE
 */

/** The size of the chunks that the chat writes in a saturated room. */
const CHUNK = 256 * 1024;

const [lines, size] = Deno.args.map(Number);
const line = `127.0.0.1:50000: @${"x".repeat(size - 1)}\n`;
const most = Math.floor(CHUNK / line.length);
const chunk = new TextEncoder().encode(line.repeat(most));
const begun = Promise.withResolvers<void>();

async function write(conn: Deno.Conn): Promise<void> {
  // The load generator counts a client as connected after its first bytes.
  await conn.write(new TextEncoder().encode("Welcome\n"));
  await begun.promise;
  for (let left = lines; left > 0; left -= most) {
    let rest = chunk.subarray(0, Math.min(left, most) * line.length);
    while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
  }
}

async function read(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(16 * 1024);
  while (await conn.read(buffer) !== null) begun.resolve();
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(`Listening on 127.0.0.1:${listener.addr.port}`);
for await (const conn of listener) {
  Promise.all([read(conn), write(conn)]).catch(() => {});
}
