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
  /** The last state that was read or stored. */
  #last = { seq: 0, bytes: 0, time: 0 };

  constructor(readonly log: (message: string) => void) {}

  /** Returns the last state, if there is one of this format. */
  async load(stream: RoomStream): Promise<State | undefined> {
    const data = await stream.last(stream.subjects.state);
    const state = data && await unpackState(data);
    if (state) this.note(state);
    else if (data) this.log("Skipped a malformed state of the room");
    return state;
  }

  /** Notes that there is a state at a position. */
  note({ seq, bytes, time = Date.now() }: Position): void {
    this.#last = { seq, bytes, time };
  }

  /** Returns whether a state is due at a position. */
  isDueAt({ seq, bytes, time = 0 }: Position): boolean {
    return seq - this.#last.seq >= STATE_AFTER.messages ||
      bytes - this.#last.bytes >= STATE_AFTER.bytes ||
      time - this.#last.time >= STATE_PERIOD;
  }

  /** Whether a state is due although there are no messages. */
  get isExpiring(): boolean {
    return Date.now() - this.#last.time > STATE_PERIOD;
  }

  /** Stores a state. If that fails, a later one is stored. */
  async store(
    stream: RoomStream,
    position: Position,
    servers: Map<string, number>,
    entries: string[],
  ): Promise<void> {
    this.note(position);
    const { seq, bytes } = position;
    const state = { seq, bytes, servers: [...servers], entries };
    try {
      await stream.publish(stream.subjects.state, await packState(state));
    } catch (error) {
      const reason = (error as Error).message;
      this.log(`Cannot store the state of the room: ${reason}`);
    }
  }
}
