/**
 * From a stream of bytes, cut anywhere, to whole messages.
 *
 * A message that lies whole in one chunk is not copied. One that is cut is put together in a buffer of the framer's
 * own.
 */

import { getU16, NO_BYTES } from './bytes.ts';
import {
  HEADER_LENGTH,
  KEEPALIVE,
  MAX_EXTENDED_MESSAGE,
  MAX_MESSAGE,
  MIN_NOTIFICATION,
  MIN_OPEN,
  MIN_UPDATE,
  NOTIFICATION,
  OPEN,
  ROUTE_REFRESH,
  ROUTE_REFRESH_LENGTH,
  UPDATE,
} from './constants.ts';
import {
  ERROR_HEADER,
  type Fault,
  fault,
  HEADER_BAD_LENGTH,
  HEADER_BAD_TYPE,
  HEADER_NOT_SYNCHRONIZED,
  u16Data,
} from './notification.ts';

/**
 * ```
 * framer.push(chunk);
 * while (framer.next()) handle(framer.type, framer.bytes, framer.start, framer.end);
 * if (framer.fault) send(framer.fault.notification);
 * ```
 *
 * After `next()` returned true, `type` is the message's type and `bytes` from `start` to `end` its body, without the
 * header. These bytes stay as they are until the next `push`, and as long as the chunk itself does.
 */
export class Framer {
  type = 0;
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  /** Set once the stream can not be followed any further; from then on `next()` returns false for good. */
  fault: Fault | undefined = undefined;

  #maxLength: number;
  #chunk: Uint8Array = NO_BYTES;
  #at = 0;
  /** The beginning of a message whose rest has not arrived, and how much of it is there. */
  #partial: Uint8Array = NO_BYTES;
  #held = 0;
  /** The buffer that `#partial` changes places with, so that a message handed out is not overwritten at once. */
  #spare: Uint8Array = NO_BYTES;

  /**
   * `maxLength`: `MAX_MESSAGE`, or `MAX_EXTENDED_MESSAGE` once this side has sent that capability (RFC 8654 section
   * 4).
   */
  constructor(maxLength: number = MAX_MESSAGE) {
    this.#maxLength = maxLength;
  }

  /** From the next message on, accept up to 65,535 bytes. */
  allowExtendedMessages(): void {
    this.#maxLength = MAX_EXTENDED_MESSAGE;
  }

  /**
   * Adds what arrived. The chunk is read in place: it must not change until `next()` has returned false.
   *
   * @throws Error when messages of the chunk before are still to be taken.
   */
  push(chunk: Uint8Array): void {
    if (this.#at < this.#chunk.length && this.fault === undefined) {
      throw new Error('framer: push before next() returned false');
    }
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Moves to the next whole message; false when there is none yet, or when `fault` is set. */
  next(): boolean {
    if (this.fault !== undefined) return false;
    if (this.#held > 0) return this.#nextSplit();

    const left = this.#chunk.length - this.#at;
    if (left < HEADER_LENGTH) return this.#keepRest();
    const length = this.#check(this.#chunk, this.#at);
    if (length === 0) return false;
    if (left < length) return this.#keepRest();
    this.type = this.#chunk[this.#at + 18]!;
    this.bytes = this.#chunk;
    this.start = this.#at + HEADER_LENGTH;
    this.end = this.#at + length;
    this.#at += length;
    return true;
  }

  /** Completes the message whose beginning came in earlier chunks. */
  #nextSplit(): boolean {
    if (this.#held < HEADER_LENGTH && !this.#fill(HEADER_LENGTH)) return false;
    const length = this.#check(this.#partial, 0);
    if (length === 0 || !this.#fill(length)) return false;
    this.type = this.#partial[18]!;
    this.bytes = this.#partial;
    this.start = HEADER_LENGTH;
    this.end = length;
    this.#held = 0;
    const handedOut = this.#partial;
    this.#partial = this.#spare;
    this.#spare = handedOut;
    return true;
  }

  /** Takes bytes of the chunk until `#partial` holds `length`; false if the chunk ends before. */
  #fill(length: number): boolean {
    const taken = Math.min(length - this.#held, this.#chunk.length - this.#at);
    this.#reserve(length);
    this.#partial.set(this.#chunk.subarray(this.#at, this.#at + taken), this.#held);
    this.#held += taken;
    this.#at += taken;
    return this.#held === length;
  }

  #keepRest(): false {
    const left = this.#chunk.length - this.#at;
    if (left > 0) {
      this.#reserve(left);
      this.#partial.set(this.#chunk.subarray(this.#at), 0);
      this.#held = left;
      this.#at = this.#chunk.length;
    }
    return false;
  }

  #reserve(length: number): void {
    if (length <= this.#partial.length) return;
    const bigger = new Uint8Array(length <= MAX_MESSAGE ? MAX_MESSAGE : MAX_EXTENDED_MESSAGE);
    bigger.set(this.#partial.subarray(0, this.#held));
    this.#partial = bigger;
  }

  /** The length of the message whose header is at `at`, or 0 with `fault` set: RFC 4271 section 6.1. */
  #check(bytes: Uint8Array, at: number): number {
    for (let i = at; i < at + 16; i++) {
      if (bytes[i] !== 0xff) {
        this.fault = fault('the marker is not all ones', ERROR_HEADER, HEADER_NOT_SYNCHRONIZED);
        return 0;
      }
    }
    const length = getU16(bytes, at + 16);
    const type = bytes[at + 18]!;
    let min = HEADER_LENGTH;
    let max = this.#maxLength;
    switch (type) {
      case UPDATE:
        min = MIN_UPDATE;
        break;
      case KEEPALIVE:
        max = HEADER_LENGTH;
        break;
      case OPEN:
        min = MIN_OPEN;
        max = MAX_MESSAGE; // RFC 8654 section 4: never extended
        break;
      case NOTIFICATION:
        min = MIN_NOTIFICATION;
        break;
      case ROUTE_REFRESH:
        min = ROUTE_REFRESH_LENGTH;
        break;
      default:
        // A length that can not be is reported before a type that nobody knows.
        if (length >= min && length <= max) {
          this.fault = fault(`message type ${type}`, ERROR_HEADER, HEADER_BAD_TYPE, Uint8Array.of(type));
          return 0;
        }
    }
    if (length < min || length > max) {
      const expected = min === max ? `${min}` : `${min} to ${max}`;
      this.fault = fault(
        `message type ${type} of ${length} bytes, expected ${expected}`,
        ERROR_HEADER,
        HEADER_BAD_LENGTH,
        u16Data(length),
      );
      return 0;
    }
    return length;
  }
}
