/** Helpers of the tests with WebSockets: frames of clients, and connections in memory. */

import { Buffer } from "node:buffer";
import type { Transport } from "../server/transport.ts";

export const Opcode = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
};

/** Encodes a frame of a client. */
export function clientFrame(
  opcode: number,
  payload: string | Uint8Array,
  { isFinal = true, mask = [0x12, 0x34, 0x56, 0x78] } = {},
): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(payload);
  const header = [
    opcode | (isFinal ? 0x80 : 0),
    ...bytes.length < 126
      ? [0x80 | bytes.length]
      : bytes.length < 65_536
      ? [0x80 | 126, bytes.length >> 8, bytes.length & 0xff]
      : [0x80 | 127, ...Buffer.from(bigEndian(bytes.length))],
    ...mask,
  ];
  const masked = bytes.map((byte, i) => byte ^ mask[i % 4]);
  return Uint8Array.from([...header, ...masked]);
}

function bigEndian(length: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length));
  return bytes;
}

/** A frame of the server. */
export interface ServerFrame {
  opcode: number;
  text: string;
  /** The code of a close frame. */
  code?: number;
}

/** Decodes the frames of a server that are complete. Returns the rest of the bytes. */
export function serverFrames(
  bytes: Uint8Array<ArrayBuffer>,
): { frames: ServerFrame[]; rest: Uint8Array<ArrayBuffer> } {
  const frames: ServerFrame[] = [];
  for (let frame; (frame = firstFrame(bytes)) !== undefined;) {
    frames.push(frame.frame);
    bytes = bytes.subarray(frame.size);
  }
  return { frames, rest: bytes };
}

function firstFrame(
  bytes: Uint8Array<ArrayBuffer>,
): { frame: ServerFrame; size: number } | undefined {
  if (bytes.length < 2) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const short = view.getUint8(1);
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return;
  const length = short < 126
    ? short
    : short === 126
    ? view.getUint16(2)
    : Number(view.getBigUint64(2));
  if (bytes.length < start + length) return;
  const payload = bytes.subarray(start, start + length);
  const opcode = bytes[0] & 0x0f;
  const isClose = opcode === Opcode.close;
  const frame = {
    opcode,
    text: new TextDecoder().decode(isClose ? payload.subarray(2) : payload),
    ...isClose && length >= 2 && { code: 256 * payload[0] + payload[1] },
  };
  return { frame, size: start + length };
}

/** A connection in memory, of which the test is the client. */
export class MemoryTransport implements Transport {
  readonly remoteAddr = {
    transport: "tcp",
    hostname: "192.0.2.1",
    port: 50_000,
  } as const;
  #input: Uint8Array<ArrayBuffer>[] = [];
  #hasEnded = false;
  #output: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #changed = Promise.withResolvers<void>();
  /** Whether the client takes no bytes. */
  isStuck = false;
  /** The most bytes that one write takes. */
  writeSize = Infinity;
  isHalfClosed = false;
  isClosed = false;

  /** Sends bytes as the client. */
  send(...chunks: Uint8Array<ArrayBuffer>[]): void {
    this.#input.push(...chunks);
    this.changed();
  }

  /** Ends the input. */
  end(): void {
    this.#hasEnded = true;
    this.changed();
  }

  /** Lets pending calls look at the state again. */
  changed(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Waits for the next frame of the server. */
  async nextFrame(): Promise<ServerFrame> {
    while (true) {
      const found = firstFrame(this.#output);
      if (found) {
        this.#output = this.#output.slice(found.size);
        return found.frame;
      }
      await this.#changed.promise;
    }
  }

  /** Returns the bytes of the server that no frame was taken from. */
  takeOutput(): Uint8Array<ArrayBuffer> {
    const output = this.#output;
    this.#output = new Uint8Array(0);
    return output;
  }

  /** The number of chunks that the server has not read. */
  get unread(): number {
    return this.#input.length;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (!this.isClosed && !this.#hasEnded && this.#input.length === 0) {
      await this.#changed.promise;
    }
    if (this.isClosed) throw new Deno.errors.BadResource("closed");
    const chunk = this.#input.shift();
    if (chunk === undefined) return null;
    const part = chunk.subarray(0, buffer.length);
    buffer.set(part);
    if (part.length < chunk.length) {
      this.#input.unshift(chunk.subarray(part.length));
    }
    return part.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    while (this.isStuck && !this.isClosed) await this.#changed.promise;
    if (this.isClosed) throw new Deno.errors.BadResource("closed");
    const part = bytes.subarray(0, this.writeSize);
    this.#output = new Uint8Array([...this.#output, ...part]);
    this.changed();
    return part.length;
  }

  closeWrite(): Promise<void> {
    this.isHalfClosed = true;
    this.changed();
    return Promise.resolve();
  }

  close(): void {
    this.isClosed = true;
    this.changed();
  }
}
