import { NLA_TYPE_MASK } from './constants.ts';

const textDecoder = new TextDecoder();

/**
 * The attributes of one level of a message, found by type: an index into the receive buffer, made to be used again and
 * again. Values are read on demand; nothing is copied unless a method says so. Of an attribute that stands twice the
 * last one counts, as in the kernel's own nla_parse; `each` walks lists that repeat a type.
 *
 * Asking for an attribute that is absent gives the method's `absent` argument where it has one and throws otherwise;
 * a value too short for its type throws too.
 */
export class Attributes {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  readonly #offset: Int32Array;
  readonly #size: Int32Array;
  readonly #seen: Int32Array;
  #seenCount = 0;

  /** @param maxType the largest attribute type that is of interest; larger ones are passed over */
  constructor(maxType: number) {
    this.#offset = new Int32Array(maxType + 1);
    this.#size = new Int32Array(maxType + 1).fill(-1);
    this.#seen = new Int32Array(maxType + 1);
  }

  /** Indexes the attributes in `bytes` from `start` to `end`. A header that does not fit ends the walk. */
  parse(bytes: Uint8Array, view: DataView, start: number, end: number): this {
    for (let i = 0; i < this.#seenCount; i++) this.#size[this.#seen[i]!] = -1;
    this.#seenCount = 0;
    this.bytes = bytes;
    this.view = view;
    let at = start;
    while (at + 4 <= end) {
      const length = view.getUint16(at, true);
      if (length < 4 || at + length > end) break;
      const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
      if (type < this.#offset.length) {
        if (this.#size[type] === -1) this.#seen[this.#seenCount++] = type;
        this.#offset[type] = at + 4;
        this.#size[type] = length - 4;
      }
      at += (length + 3) & ~3;
    }
    return this;
  }

  /** Indexes the attributes nested in this level's `type`; none when it is absent. */
  parseNested(outer: Attributes, type: number): this {
    const at = outer.has(type) ? outer.offset(type) : 0;
    return this.parse(outer.bytes, outer.view, at, outer.has(type) ? at + outer.size(type) : 0);
  }

  has(type: number): boolean {
    return this.#size[type]! >= 0;
  }

  /** Where the value starts in `bytes`. */
  offset(type: number): number {
    this.#need(type, 0);
    return this.#offset[type]!;
  }

  /** Bytes in the value. */
  size(type: number): number {
    this.#need(type, 0);
    return this.#size[type]!;
  }

  u8(type: number, absent?: number): number {
    if (absent !== undefined && !this.has(type)) return absent;
    return this.view.getUint8(this.#need(type, 1));
  }

  u16(type: number, absent?: number): number {
    if (absent !== undefined && !this.has(type)) return absent;
    return this.view.getUint16(this.#need(type, 2), true);
  }

  be16(type: number, absent?: number): number {
    if (absent !== undefined && !this.has(type)) return absent;
    return this.view.getUint16(this.#need(type, 2));
  }

  u32(type: number, absent?: number): number {
    if (absent !== undefined && !this.has(type)) return absent;
    return this.view.getUint32(this.#need(type, 4), true);
  }

  i32(type: number, absent?: number): number {
    if (absent !== undefined && !this.has(type)) return absent;
    return this.view.getInt32(this.#need(type, 4), true);
  }

  be32(type: number, absent?: number): number {
    if (absent !== undefined && !this.has(type)) return absent;
    return this.view.getUint32(this.#need(type, 4));
  }

  u64(type: number, absent?: bigint): bigint {
    if (absent !== undefined && !this.has(type)) return absent;
    return this.view.getBigUint64(this.#need(type, 8), true);
  }

  be64(type: number, absent?: bigint): bigint {
    if (absent !== undefined && !this.has(type)) return absent;
    return this.view.getBigUint64(this.#need(type, 8));
  }

  /** A copy of the value. */
  copy(type: number): Uint8Array {
    const at = this.offset(type);
    return this.bytes.slice(at, at + this.size(type));
  }

  /** A string without its terminating zero. */
  string(type: number, absent?: string): string {
    if (absent !== undefined && !this.has(type)) return absent;
    const at = this.offset(type);
    let end = at + this.size(type);
    const zero = this.bytes.indexOf(0, at);
    if (zero >= 0 && zero < end) end = zero;
    return textDecoder.decode(this.bytes.subarray(at, end));
  }

  #need(type: number, size: number): number {
    const found = this.#size[type] ?? -1;
    if (found < 0) throw new RangeError(`netlink attribute ${type}: found none, expected ${size} bytes`);
    if (found < size)
      throw new RangeError(`netlink attribute ${type}: found ${found} bytes, expected ${size}`);
    return this.#offset[type]!;
  }
}

/** Calls `visit(type, start, end)` for each attribute between `start` and `end`, in order, repeated types too. */
export function eachAttribute(
  view: DataView,
  start: number,
  end: number,
  visit: (type: number, valueStart: number, valueEnd: number) => void,
): void {
  let at = start;
  while (at + 4 <= end) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > end) return;
    visit(view.getUint16(at + 2, true) & NLA_TYPE_MASK, at + 4, at + length);
    at += (length + 3) & ~3;
  }
}
