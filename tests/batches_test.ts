/** Tests the formats of the messages in the stream of a room. */

import { assertEquals } from "@std/assert";
import {
  formatBatch,
  packState,
  parseHeader,
  type State,
  unpackState,
} from "../server/batches.ts";

const HEADER = { server: "123456789", number: 1, gone: ["987654321"] };

Deno.test("the header of a batch is its first line", () => {
  const [header, ...entries] = formatBatch(HEADER, ["{}", "[]"]).split("\n");
  assertEquals(parseHeader(header), HEADER);
  assertEquals(entries, ["{}", "[]"]);
});

for (
  const fields of [
    { server: 123456789 },
    { server: ["123456789"] },
    { server: "1" },
    { number: "1" },
    { number: -1 },
    { number: 1.5 },
    { gone: "987654321" },
    { format: 2 },
  ]
) {
  const text = JSON.stringify({ format: 1, ...HEADER, ...fields });
  Deno.test(`a header is malformed: ${text}`, () => {
    assertEquals(parseHeader(text), undefined);
  });
}

const STATE: State = {
  seq: 7,
  bytes: 100,
  servers: [["123456789", 3]],
  entries: ["{}"],
};

Deno.test("a state is unpacked as it was packed", async () => {
  assertEquals(await unpackState(await packState(STATE)), STATE);
  assertEquals(await unpackState(new Uint8Array(10)), undefined);
});

for (
  const fields of [
    { seq: -5 },
    { bytes: 1e30 },
    { servers: null },
    { servers: undefined },
    { servers: [[5, 1]] },
    { servers: [["123456789"]] },
    { servers: [["123456789", -1]] },
    { entries: undefined },
    { entries: [1] },
  ]
) {
  const state = { ...STATE, ...fields } as State;
  Deno.test(`a state is malformed: ${JSON.stringify(fields)}`, async () => {
    assertEquals(await unpackState(await packState(state)), undefined);
  });
}

Deno.test("a state that is too large when unpacked is malformed", async () => {
  const state = { ...STATE, entries: [" ".repeat(33 * 1024 * 1024)] };
  assertEquals(await unpackState(await packState(state)), undefined);
});
