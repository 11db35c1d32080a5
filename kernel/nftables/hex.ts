/*
 * Binary values (set keys, comparison values, masks) are written as lower-case hexadecimal text, two digits a byte:
 * plain data that compares with ===, sorts as the kernel's memcmp does, serves as a key of a Map, reads well in a
 * test's output, and takes less memory than a typed array.
 */

/** Bytes as lower-case hexadecimal digits, in network order unless the data type is in host order. */
export type Hex = string;

const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

const NIBBLE = new Int8Array(128).fill(-1);
for (let value = 0; value < 16; value++) NIBBLE[value.toString(16).charCodeAt(0)] = value;

/** The bytes from `start` to `end` as hexadecimal digits. */
export function hexFrom(bytes: Uint8Array, start = 0, end = bytes.length): Hex {
  let text = '';
  for (let i = start; i < end; i++) text += DIGITS[bytes[i]!];
  return text;
}

/**
 * Writes the bytes of `hex` to `target` and returns how many they are.
 *
 * @throws RangeError when `hex` is not an even number of lower-case digits or does not fit
 */
export function writeHex(hex: Hex, target: Uint8Array, at = 0): number {
  const size = hex.length >> 1;
  if (hex.length & 1 || at + size > target.length) throw notHex(hex, target.length - at);
  for (let i = 0; i < size; i++) {
    const high = NIBBLE[hex.charCodeAt(i * 2)] ?? -1;
    const low = NIBBLE[hex.charCodeAt(i * 2 + 1)] ?? -1;
    if ((high | low) < 0) throw notHex(hex, target.length - at);
    target[at + i] = (high << 4) | low;
  }
  return size;
}

/** The bytes of `hex`. */
export function bytesOf(hex: Hex): Uint8Array {
  const bytes = new Uint8Array(hex.length >> 1);
  writeHex(hex, bytes);
  return bytes;
}

/** An unsigned number of `size` bytes (at most 6) in network order. */
export function hexNumber(value: number, size: number): Hex {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (size * 8)) {
    throw new RangeError(`found ${value}, expected a whole number of ${size} bytes`);
  }
  return value.toString(16).padStart(size * 2, '0');
}

/** An unsigned number of `size` bytes (at most 6) in host order, which is little-endian on all that we run on. */
export function hexHostNumber(value: number, size: number): Hex {
  return reverseBytes(hexNumber(value, size));
}

/** The unsigned number that `hex` stands for in network order; exact up to 6 bytes. */
export function numberOf(hex: Hex): number {
  return Number.parseInt(hex, 16);
}

/** The same bytes in the opposite order. */
export function reverseBytes(hex: Hex): Hex {
  let text = '';
  for (let i = hex.length - 2; i >= 0; i -= 2) text += hex.slice(i, i + 2);
  return text;
}

/** The next larger value of the same length, or undefined after the largest. */
export function increment(hex: Hex): Hex | undefined {
  let at = hex.length - 1;
  while (at >= 0 && hex.charCodeAt(at) === 102) at--; // 'f'
  if (at < 0) return undefined;
  const digit = (NIBBLE[hex.charCodeAt(at)]! + 1).toString(16);
  return hex.slice(0, at) + digit + '0'.repeat(hex.length - at - 1);
}

/** The next smaller value of the same length, or undefined before zero. */
export function decrement(hex: Hex): Hex | undefined {
  let at = hex.length - 1;
  while (at >= 0 && hex.charCodeAt(at) === 48) at--; // '0'
  if (at < 0) return undefined;
  const digit = (NIBBLE[hex.charCodeAt(at)]! - 1).toString(16);
  return hex.slice(0, at) + digit + 'f'.repeat(hex.length - at - 1);
}

/** Bit by bit: `a & b`, both of one length. */
export function and(a: Hex, b: Hex): Hex {
  return combine(a, b, (x, y) => x & y);
}

/** Bit by bit: `a | b`, both of one length. */
export function or(a: Hex, b: Hex): Hex {
  return combine(a, b, (x, y) => x | y);
}

/** All bits turned over. */
export function not(hex: Hex): Hex {
  return combine(hex, hex, (x) => 15 - x);
}

/** `size` bytes of which the first `bits` bits are one. */
export function prefixMask(bits: number, size: number): Hex {
  let text = '';
  for (let i = 0; i < size * 2; i++) {
    const set = Math.min(4, Math.max(0, bits - i * 4));
    text += ((0xf << (4 - set)) & 0xf).toString(16);
  }
  return text;
}

/** `n` when `mask` is `n` ones and then only zeros, otherwise undefined. */
export function prefixLength(mask: Hex): number | undefined {
  const ones = /^f*/.exec(mask)![0].length;
  const digit = ones < mask.length ? NIBBLE[mask.charCodeAt(ones)]! : 0;
  const bits = ones * 4 + [0, 0x8, 0xc, 0xe].indexOf(digit);
  return prefixMask(bits, mask.length >> 1) === mask ? bits : undefined;
}

function combine(a: Hex, b: Hex, digit: (x: number, y: number) => number): Hex {
  if (a.length !== b.length) throw new RangeError(`found ${a} and ${b}, expected values of one length`);
  let text = '';
  for (let i = 0; i < a.length; i++) {
    text += digit(NIBBLE[a.charCodeAt(i)]!, NIBBLE[b.charCodeAt(i)]!).toString(16);
  }
  return text;
}

function notHex(hex: Hex, room: number): RangeError {
  return new RangeError(`found '${hex}', expected an even number of hexadecimal digits, at most ${room * 2}`);
}
