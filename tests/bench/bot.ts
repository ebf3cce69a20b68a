/**
 * A bot that reads the events of its room in a loop, like the one in the README:
 *
 *     deno run -NR tests/bench/bot.ts DIRECTORY
 *
 * DIRECTORY is the checkout of linechat to use.
 */

const [directory] = Deno.args;
const { Chat } = await import(
  `file://${directory}/mod.ts`
) as typeof import("../../mod.ts");

await using chat = new Chat();
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
chat.serve(listener);
console.log(`Listening on 127.0.0.1:${listener.addr.port}`);
for await (const event of chat.events()) {
  if (event.type === "message" && event.text === "!time") {
    await chat.say("clock", event.time.toISOString());
  }
}
