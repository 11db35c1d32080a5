/**
 * Encoded messages that several neighbours read, each at its own pace, without a copy for each.
 *
 * Messages are appended to chunks that are never written twice, so what a reader was handed stays as it is for as long as
 * somebody holds it. Runs of messages for the same readers form segments in a chain; a reader holds on to the segment that it
 * stands in, and what all readers have left behind is garbage.
 */

import { getU16 } from '#bgp/wire/bytes.ts';

/** Who a message is for: everybody, all but one or two (`forAllBut`), or one (`forOnly`). */
export type Audience = number;
export const FOR_ALL: Audience = 0;

/** Up to two readers who are left out, as one number: peer indexes of 16 bits (not 0), the second one above the first. */
export type LeftOut = number;

/** Both of two peer indexes, either of which may be 0: nobody. */
export function leaveOut(one: number, other: number): LeftOut {
  if (other === 0 || other === one) return one;
  return one === 0 ? other : one + other * 0x10000;
}

export function isLeftOut(left: LeftOut, peer: number): boolean {
  return (left & 0xffff) === peer || left >>> 16 === peer;
}

/** For all readers but these. */
export function forAllBut(left: LeftOut): Audience {
  return left;
}

/** For the reader of this peer index (not 0) and no other. */
export function forOnly(peer: number): Audience {
  return -peer;
}

export class OutLog {
  /** Octets appended since the log was made. */
  length = 0;
  /** Where `reserve` wants the message. */
  bytes: Uint8Array = NOTHING;
  at = 0;
  /** @internal For readers. */
  tail: Segment = { bytes: NOTHING, start: 0, end: 0, audience: FOR_ALL, position: 0, next: undefined };

  /** Finds a place for a message of up to `size` octets: to be written to `bytes` from `at` on, and then appended. */
  reserve(size: number): void {
    if (this.at + size <= this.bytes.length) return;
    // Chunks start small, for the many neighbours that get a few routes, and grow with what goes through.
    this.bytes = new Uint8Array(Math.max(size, Math.min(CHUNK, 2 * this.bytes.length)));
    this.at = 0;
  }

  /** Appends a message that was written elsewhere. */
  appendCopy(message: Uint8Array, audience: Audience): void {
    this.reserve(message.length);
    this.bytes.set(message, this.at);
    this.append(message.length, audience);
  }

  /** Takes the message of `size` octets that was written where `reserve` said. */
  append(size: number, audience: Audience): void {
    const tail = this.tail;
    if (tail.bytes === this.bytes && tail.end === this.at && tail.audience === audience) {
      tail.end += size;
    } else {
      const segment: Segment = {
        bytes: this.bytes,
        start: this.at,
        end: this.at + size,
        audience,
        position: this.length,
        next: undefined,
      };
      tail.next = segment;
      this.tail = segment;
    }
    this.at += size;
    this.length += size;
  }
}

/** A place in a log. Starts at its end. */
export class OutReader {
  readonly #log: OutLog;
  readonly #peer: number;
  #segment: Segment;
  /** In the bytes of the segment. */
  #offset: number;

  constructor(log: OutLog, peer: number) {
    this.#log = log;
    this.#peer = peer;
    this.#segment = log.tail;
    this.#offset = log.tail.end;
  }

  /** Octets between here and the end of the log, those for others included. */
  get behind(): number {
    this.#skip();
    return this.#log.length - (this.#segment.position + this.#offset - this.#segment.start);
  }

  /** Whether there is nothing to read. */
  get empty(): boolean {
    this.#skip();
    return this.#offset === this.#segment.end;
  }

  /**
   * The next messages, as a view: whole ones, no more than `maxBytes` unless the first alone is longer, and not necessarily all
   * that there are. `undefined` if there are none.
   */
  take(maxBytes: number): Uint8Array | undefined {
    this.#skip();
    const { bytes, end } = this.#segment;
    const start = this.#offset;
    if (start === end) return undefined;
    let stop = end;
    if (stop - start > maxBytes) {
      stop = start + getU16(bytes, start + LENGTH_OFFSET);
      while (stop < end) {
        const next = stop + getU16(bytes, stop + LENGTH_OFFSET);
        if (next - start > maxBytes) break;
        stop = next;
      }
    }
    this.#offset = stop;
    return bytes.subarray(start, stop);
  }

  /** Goes past what is for others and what has been read. */
  #skip(): void {
    for (;;) {
      const { audience, end, next } = this.#segment;
      const mine =
        audience === FOR_ALL || (audience > 0 ? !isLeftOut(audience, this.#peer) : audience === -this.#peer);
      if (mine && this.#offset < end) return;
      this.#offset = end;
      if (next === undefined) return;
      this.#segment = next;
      this.#offset = next.start;
    }
  }
}

type Segment = {
  readonly bytes: Uint8Array;
  readonly start: number;
  end: number;
  readonly audience: Audience;
  /** Octets in the log before this segment. */
  readonly position: number;
  next: Segment | undefined;
};

const NOTHING = new Uint8Array(0);
/** Where in a message its length stands: RFC 4271 section 4.1. */
const LENGTH_OFFSET = 16;
const CHUNK = 65536;
