import os from 'node:os';
import { NLA_F_NESTED, NLM_F_ACK, NLMSG_HEADER } from './constants.ts';

if (os.endianness() !== 'LE')
  throw new Error('kernel/netlink: found a big-endian machine, expected x86-64 or arm64');

const textEncoder = new TextEncoder();

/**
 * Writes netlink messages one behind another into one growing buffer (linux/netlink.h: 16-byte header, then the
 * family's fixed header, then attributes, each padded to 4 bytes).
 *
 * Numbers are in host order unless the method's name says `be`, and one that does not fit is a RangeError; with 32 bits
 * both those with and those without a sign do. A message is opened by `begin`, filled, and closed by
 * `end`; `reset` starts over in the same memory.
 */
export class MessageWriter {
  /** Backing memory; the first `length` bytes are written. Replaced when it grows. */
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView;
  /** The same memory as 32-bit words in host order; messages and attributes start at whole words. */
  words: Uint32Array<ArrayBuffer>;
  /** Bytes written so far, up to the end of the last attribute. */
  length = 0;
  /** Where the open (or last) message starts. */
  start = 0;

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array((capacity + 3) & ~3);
    this.view = new DataView(this.bytes.buffer);
    this.words = new Uint32Array(this.bytes.buffer);
  }

  /** Forgets all messages; the memory stays. */
  reset(): void {
    this.length = 0;
    this.start = 0;
  }

  /** Opens a message. `end` fills in its length. */
  begin(type: number, flags: number, sequence: number): void {
    this.ensure(NLMSG_HEADER);
    const at = this.length;
    this.start = at;
    this.view.setUint32(at, 0, true);
    this.view.setUint16(at + 4, type, true);
    this.view.setUint16(at + 6, flags, true);
    this.view.setUint32(at + 8, sequence, true);
    this.view.setUint32(at + 12, 0, true);
    this.length = at + NLMSG_HEADER;
  }

  /** Closes the open message. */
  end(): void {
    this.view.setUint32(this.start, this.length - this.start, true);
  }

  /** Takes the open message back, as if `begin` had not been called. */
  abandon(): void {
    this.length = this.start;
  }

  /** Asks the kernel to acknowledge the last message. */
  acknowledgeLast(): void {
    this.view.setUint16(this.start + 6, this.view.getUint16(this.start + 6, true) | NLM_F_ACK, true);
  }

  /** Room for a fixed header of `size` bytes, zeroed. Returns where it starts. */
  fixed(size: number): number {
    const padded = (size + 3) & ~3;
    this.ensure(padded);
    const at = this.length;
    this.bytes.fill(0, at, at + padded);
    this.length = at + padded;
    return at;
  }

  u8(type: number, value: number): void {
    if (!(value >= 0 && value <= 0xff)) throw misfit(type, value, '0 to 255');
    const at = this.#header(type, 1);
    this.view.setUint32(at, value & 0xff, true);
  }

  u16(type: number, value: number): void {
    if (!(value >= 0 && value <= 0xffff)) throw misfit(type, value, '0 to 65535');
    const at = this.#header(type, 2);
    this.view.setUint32(at, value & 0xffff, true);
  }

  be16(type: number, value: number): void {
    if (!(value >= 0 && value <= 0xffff)) throw misfit(type, value, '0 to 65535');
    const at = this.#header(type, 2);
    this.view.setUint32(at, 0, true);
    this.view.setUint16(at, value);
  }

  u32(type: number, value: number): void {
    if (!(value >= -0x80000000 && value <= 0xffffffff)) throw misfit(type, value, '32 bits');
    const at = this.#header(type, 4);
    this.view.setUint32(at, value, true);
  }

  be32(type: number, value: number): void {
    if (!(value >= -0x80000000 && value <= 0xffffffff)) throw misfit(type, value, '32 bits');
    const at = this.#header(type, 4);
    this.view.setUint32(at, value);
  }

  u64(type: number, value: bigint): void {
    if (value < 0n || value > 0xffffffffffffffffn) throw misfit(type, value, '0 to 2^64-1');
    const at = this.#header(type, 8);
    this.view.setBigUint64(at, value, true);
  }

  be64(type: number, value: bigint): void {
    if (value < 0n || value > 0xffffffffffffffffn) throw misfit(type, value, '0 to 2^64-1');
    const at = this.#header(type, 8);
    this.view.setBigUint64(at, value);
  }

  /** An attribute without a value. */
  flag(type: number): void {
    this.#header(type, 0);
  }

  /** An attribute that holds `size` bytes of `value` from `from` on. */
  raw(type: number, value: Uint8Array, from = 0, size = value.length - from): void {
    const at = this.#header(type, size);
    const to = this.bytes;
    if (size <= 16) for (let i = 0; i < size; i++) to[at + i] = value[from + i]!;
    else to.set(from === 0 && size === value.length ? value : value.subarray(from, from + size), at);
    for (let i = at + size; i < this.length; i++) to[i] = 0;
  }

  /** A string with its terminating zero. @throws RangeError for one with a zero inside: the kernel would stop there */
  string(type: number, value: string): void {
    if (value.includes('\0')) throw misfit(type, JSON.stringify(value), 'a text without a zero');
    const start = this.length;
    const size = value.length;
    const at = this.#header(type, size + 1);
    const to = this.bytes;
    for (let i = 0; i < size; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) {
        this.length = start;
        this.#encoded(type, textEncoder.encode(value));
        return;
      }
      to[at + i] = code;
    }
    for (let i = at + size; i < this.length; i++) to[i] = 0;
  }

  /** Opens a nested attribute; give what it returns to `nestEnd`. */
  nest(type: number): number {
    const at = this.length;
    this.#header(type | NLA_F_NESTED, 0);
    return at;
  }

  /** Closes a nested attribute. */
  nestEnd(at: number): void {
    const size = this.length - at;
    if (size > 0xffff) throw new RangeError(`netlink attribute of ${size} bytes: at most 65535 fit`);
    this.view.setUint16(at, size, true);
  }

  /** Makes room for `size` more bytes. */
  ensure(size: number): void {
    const needed = this.length + size;
    if (needed <= this.bytes.length) return;
    const bytes = new Uint8Array((Math.max(needed, this.bytes.length * 2) + 3) & ~3);
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
    this.words = new Uint32Array(bytes.buffer);
  }

  /** A string that is not ASCII, with its terminating zero. */
  #encoded(type: number, text: Uint8Array): void {
    const at = this.#header(type, text.length + 1);
    this.bytes.set(text, at);
    for (let i = at + text.length; i < this.length; i++) this.bytes[i] = 0;
  }

  /** Writes an attribute's header, reserves its padded value, and returns where the value starts. */
  #header(type: number, size: number): number {
    const padded = (size + 3) & ~3;
    this.ensure(4 + padded);
    if (size > 0xffff - 4) throw new RangeError(`netlink attribute of ${size} bytes: at most 65531 fit`);
    const at = this.length;
    this.view.setUint16(at, size + 4, true);
    this.view.setUint16(at + 2, type, true);
    this.length = at + 4 + padded;
    return at + 4;
  }
}

function misfit(type: number, value: unknown, expected: string): RangeError {
  return new RangeError(`netlink attribute ${type}: found ${value}, expected ${expected}`);
}
