/** A chat server of the usual Node kind: one write for each line and client. */

import { createServer } from "node:net";
import { createInterface } from "node:readline";

const clients = new Set();

function broadcast(line) {
  for (const client of clients) client.write(line + "\n");
}

const server = createServer((socket) => {
  const name = `${socket.remoteAddress}:${socket.remotePort}`;
  socket.setNoDelay(true);
  socket.write(`Welcome ${name}\n`);
  broadcast(`${name} is online`);
  clients.add(socket);
  createInterface({ input: socket, crlfDelay: Infinity })
    .on("line", (line) => broadcast(`${name}: ${line}`))
    .on("error", () => {});
  socket.on("error", () => {});
  socket.on("close", () => {
    clients.delete(socket);
    broadcast(`${name} is offline`);
  });
});

server.listen(0, "127.0.0.1", () => {
  console.log(`Listening on 127.0.0.1:${server.address().port}`);
});
