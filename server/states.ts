// Copyright 2026 the linechat authors. MIT license.

import { packState, type State, unpackState } from "./batches.ts";
import type { RoomStream } from "./nats.ts";

/** Number and size in bytes of messages after which the state is stored again. */
const STATE_AFTER = { messages: 1000, bytes: 8 * 1024 * 1024 };
/** Time after which the state is stored again, in milliseconds. NATS can expire it. */
const STATE_PERIOD = 600_000;

/** A place in the stream: a message, its time, and the size of all messages up to it. */
export interface Position {
  seq: number;
  time?: number;
  bytes: number;
}

/** The states of the room in the stream, from which new servers start. */
export class States {
  /** The last state that this server has stored. */
  #last = { seq: 0, bytes: 0, time: 0 };

  constructor(readonly log: (message: string) => void) {}

  /**
   * Returns the last state of a room with some messages. A room without a state is new,
   * and so is one whose messages have all expired.
   */
  async load(stream: RoomStream, first: number, last: number): Promise<State> {
    const data = await stream.last(stream.subjects.state);
    const state = data && await unpackState(data);
    if (state && first - 1 <= state.seq && state.seq <= last) return state;
    if (data) this.log("Skipped a malformed or old state of the room");
    if (first > 1 && first <= last) {
      throw new Error(
        "NATS has no state of the room that this version can read. " +
          "Delete its stream to begin a new room",
      );
    }
    return { seq: Math.max(0, first - 1), bytes: 0, servers: [], entries: [] };
  }

  /** Returns whether a state is due at a position. */
  isDue({ seq, bytes }: Position): boolean {
    return seq - this.#last.seq >= STATE_AFTER.messages ||
      bytes - this.#last.bytes >= STATE_AFTER.bytes ||
      Date.now() - this.#last.time >= STATE_PERIOD;
  }

  /** Stores a state. If that fails, a later one is stored. */
  async store(
    stream: RoomStream,
    position: Position,
    servers: Map<string, number>,
    entries: string[],
  ): Promise<void> {
    const { seq, bytes } = position;
    this.#last = { seq, bytes, time: Date.now() };
    const state = { seq, bytes, servers: [...servers], entries };
    try {
      await stream.publish(stream.subjects.state, await packState(state));
    } catch (error) {
      const reason = (error as Error).message;
      this.log(`Cannot store the state of the room: ${reason}`);
    }
  }
}
