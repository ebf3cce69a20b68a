// Copyright 2026 the linechat authors. MIT license.

/**
 * The frames of the WebSocket protocol (RFC 6455), without extensions.
 *
 * @module
 */

/** The close codes that the server sends. */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  invalidText: 1007,
} as const;

/** The types of frames. */
export const Opcode = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

const FINAL = 0x80;
const RESERVED_BITS = 0x70;
const MASKED = 0x80;
/** Maximum size of the payload of a control frame, in bytes. */
const MAX_CONTROL = 125;
const LF = 0x0a;

// --- Frames of the server --------------------------------------------------------

/**
 * Encodes text as one frame. The text must be complete UTF-8.
 *
 * @param text The bytes of the text.
 * @returns The bytes of the frame.
 */
export function textFrame(text: Uint8Array): Uint8Array {
  return encodeFrame(Opcode.text, text);
}

/** Encodes a frame of the server. */
export function encodeFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const lengthSize = length <= MAX_CONTROL ? 0 : length <= 0xffff ? 2 : 8;
  const frame = new Uint8Array(2 + lengthSize + length);
  const header = new DataView(frame.buffer);
  header.setUint8(0, FINAL | opcode);
  if (lengthSize === 0) header.setUint8(1, length);
  else if (lengthSize === 2) {
    header.setUint8(1, 126);
    header.setUint16(2, length);
  } else {
    header.setUint8(1, 127);
    header.setBigUint64(2, BigInt(length));
  }
  frame.set(payload, 2 + lengthSize);
  return frame;
}

/** Encodes a close frame, with or without a code. */
export function closeFrame(code: number | undefined): Uint8Array {
  return encodeFrame(
    Opcode.close,
    code === undefined
      ? new Uint8Array(0)
      : new Uint8Array([code >> 8, code & 0xff]),
  );
}

// --- Frames of the client --------------------------------------------------------

/** A violation of the protocol, and the code to close the connection with. */
export class ProtocolError extends Error {
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

/** A frame that is being decoded. */
interface Frame {
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly mask: readonly number[];
  /** The number of bytes of the payload that were decoded. */
  decoded: number;
  /** The number of bytes of the payload that are still to come. */
  left: number;
  /** The payload of a control frame. */
  readonly control?: Uint8Array;
}

/**
 * Decodes the frames of a client to the text of its messages, with a line feed after
 * each message. It holds no text, so it needs the same memory for a message of any
 * length.
 */
export class FrameDecoder {
  #input = new Uint8Array(0);
  #position = 0;
  /** The bytes of an incomplete header. */
  #header: number[] = [];
  #frame?: Frame;
  /** Whether a fragmented message is not complete. */
  #isInMessage = false;
  readonly #validator = new Utf8Validator();
  /** The payload of the last ping. The reader of this field resets it. */
  ping?: Uint8Array;
  /** The close frame. Nothing is decoded after it. */
  close?: { readonly code?: number };
  /** The violation of the protocol. Nothing is decoded after it. */
  failure?: ProtocolError;

  /** Sets the bytes to decode. The bytes before them must have been decoded. */
  push(bytes: Uint8Array<ArrayBuffer>): void {
    this.#input = bytes;
    this.#position = 0;
  }

  /**
   * Decodes text into a buffer, until the buffer is full or all bytes are decoded.
   *
   * @returns The size of the text.
   */
  decode(target: Uint8Array): number {
    let size = 0;
    try {
      while (size < target.length && !this.close && !this.failure) {
        const frame = this.#frame ??= this.#readHeader();
        if (frame === undefined) break;
        size += this.#readPayload(frame, target.subarray(size));
        if (frame.left > 0) break;
        if (frame.control) this.#handleControl(frame.opcode, frame.control);
        else if (frame.isFinal) {
          if (size === target.length) break; // There is no space for the line feed.
          this.#validator.end();
          target[size++] = LF;
          this.#isInMessage = false;
        }
        this.#frame = undefined;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.failure = error;
    }
    return size;
  }

  /** Reads a header. Returns nothing if it is incomplete. */
  #readHeader(): Frame | undefined {
    while (this.#position < this.#input.length) {
      this.#header.push(this.#input[this.#position++]);
      if (this.#header.length === headerSize(this.#header)) {
        const frame = parseHeader(this.#header, this.#isInMessage);
        this.#header = [];
        if (!frame.control) this.#isInMessage = true;
        return frame;
      }
    }
  }

  /** Removes the mask from some payload. Returns the size of the text among it. */
  #readPayload(frame: Frame, target: Uint8Array): number {
    const output = frame.control?.subarray(frame.decoded) ?? target;
    const input = this.#input.subarray(this.#position);
    const size = Math.min(frame.left, input.length, output.length);
    const { mask, decoded } = frame;
    let bits = 0;
    for (let i = 0; i < size; i++) {
      const byte = input[i] ^ mask[(decoded + i) & 3];
      output[i] = byte;
      bits |= byte;
    }
    this.#position += size;
    frame.decoded += size;
    frame.left -= size;
    if (frame.control) return 0;
    this.#validator.push(output.subarray(0, size), bits < 0x80);
    return size;
  }

  #handleControl(opcode: number, payload: Uint8Array): void {
    if (opcode === Opcode.ping) this.ping = payload;
    else if (opcode === Opcode.close) this.close = parseClose(payload);
  }
}

/** Returns the size of a header, of which the beginning is known. */
function headerSize([, second]: number[]): number {
  if (second === undefined || !(second & MASKED)) return 2;
  const length = second & 0x7f;
  return 6 + (length === 127 ? 8 : length === 126 ? 2 : 0);
}

function parseHeader(header: number[], isInMessage: boolean): Frame {
  const [first, second] = header;
  const opcode = first & 0x0f;
  const isFinal = (first & FINAL) !== 0;
  const isControl = opcode >= Opcode.close;
  if (first & RESERVED_BITS) throw violation("a reserved bit is set");
  if (!(second & MASKED)) throw violation("a frame is not masked");
  if (opcode === Opcode.binary) {
    throw new ProtocolError(
      CloseCode.unsupportedData,
      "binary messages are not supported",
    );
  }
  if (opcode > (isControl ? Opcode.pong : Opcode.binary)) {
    throw violation("unknown opcode");
  }
  if (!isControl && isInMessage !== (opcode === Opcode.continuation)) {
    throw violation("a fragment is out of order");
  }
  const mask = header.slice(-4);
  const extended = header.slice(2, -4);
  if (extended.length === 8 && extended[0] >= 0x80) {
    throw violation("a length is negative");
  }
  const left = extended.length === 0
    ? second & 0x7f
    : extended.reduce((length, byte) => 256 * length + byte, 0);
  if (!isControl) return { opcode, isFinal, mask, decoded: 0, left };
  if (!isFinal || left > MAX_CONTROL) {
    throw violation("a control frame is fragmented or too long");
  }
  const control = new Uint8Array(left);
  return { opcode, isFinal, mask, decoded: 0, left, control };
}

function parseClose(payload: Uint8Array): { code?: number } {
  if (payload.length === 0) return {};
  const code = payload.length === 1 ? 0 : 256 * payload[0] + payload[1];
  if (!isCloseCode(code)) throw violation("invalid close code");
  const validator = new Utf8Validator();
  validator.push(payload.subarray(2), false);
  validator.end();
  return { code };
}

/** Returns whether an endpoint can send a close code. Some are for local use only. */
function isCloseCode(code: number): boolean {
  return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 ||
    code >= 3000 && code <= 4999;
}

function violation(message: string): ProtocolError {
  return new ProtocolError(CloseCode.protocolError, message);
}

/** Checks that a message is valid UTF-8. */
class Utf8Validator {
  /** The decoder of a message that is not only ASCII. */
  #decoder?: TextDecoder;

  /** Checks the next bytes of a message. */
  push(bytes: Uint8Array, isAscii: boolean): void {
    if (isAscii && this.#decoder === undefined) return;
    this.#decoder ??= new TextDecoder("utf-8", { fatal: true });
    this.#decode(bytes, true);
  }

  /** Checks the end of a message. */
  end(): void {
    if (this.#decoder) this.#decode(new Uint8Array(0), false);
    this.#decoder = undefined;
  }

  #decode(bytes: Uint8Array, stream: boolean): void {
    try {
      this.#decoder!.decode(bytes, { stream });
    } catch {
      throw new ProtocolError(CloseCode.invalidText, "text is not UTF-8");
    }
  }
}
