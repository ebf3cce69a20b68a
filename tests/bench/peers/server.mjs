/** The chat server of the usual Node tutorial: one write a client for each line. */

import { createServer } from "node:net";
import { createInterface } from "node:readline";

const clients = new Set();

function broadcast(line) {
  for (const client of clients) client.write(line + "\n");
}

const server = createServer((socket) => {
  const who = `${socket.remoteAddress}:${socket.remotePort}`;
  socket.setNoDelay(true);
  socket.write(`Welcome ${who}\n`);
  broadcast(`${who} is online`);
  clients.add(socket);
  createInterface({ input: socket, crlfDelay: Infinity })
    .on("line", (line) => broadcast(`${who}: ${line}`))
    .on("error", () => {});
  socket.on("error", () => {});
  socket.on("close", () => {
    clients.delete(socket);
    broadcast(`${who} is offline`);
  });
});

server.listen(0, "127.0.0.1", () => {
  console.log(`Listening on 127.0.0.1:${server.address().port}`);
});
