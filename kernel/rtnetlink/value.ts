/** What the value types share: names for numbers, addresses in attributes, and the error for a value that can not be. */

import { AddressError, formatAddress, type Prefix, parseAddress, parsePrefix } from '../ip.ts';
import type { Attributes } from '../netlink/reader.ts';
import { AF_INET, AF_INET6 } from './constants.ts';

/** An IP family by its version number. */
export type IpFamily = 4 | 6;

/** Thrown for a value that the kernel would refuse, or worse, would take for something else. Nothing was sent. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
  readonly code = 'BAD_VALUE';
  /** What the request was about, e.g. `route 10.0.0.0/24`. */
  readonly object: string;
  readonly field: string;
  readonly found: unknown;
  readonly expected: string;

  constructor(object: string, field: string, found: unknown, expected: string, cause?: unknown) {
    super(`${object}: ${field}: found ${show(found)}, expected ${expected}`, { cause });
    this.object = object;
    this.field = field;
    this.found = found;
    this.expected = expected;
  }
}

/** A table of names for the numbers of a header file. */
export class Names<N extends string> {
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #names: ReadonlyMap<number, N>;
  readonly names: readonly N[];

  constructor(numbers: Readonly<Record<N, number>>) {
    this.names = Object.keys(numbers) as N[];
    this.#numbers = new Map(Object.entries(numbers));
    this.#names = new Map(this.names.map((name) => [numbers[name], name]));
  }

  /** The name of `number`, or undefined when the header file that was read has none. */
  name(number: number): N | undefined {
    return this.#names.get(number);
  }

  /** @throws ValueError for a name that is not in the table */
  number(object: string, field: string, name: string): number {
    const number = this.#numbers.get(name);
    if (number === undefined) throw new ValueError(object, field, name, `one of ${this.names.join(', ')}`);
    return number;
  }

  /** The names of the bits that are set, in the table's order. */
  bits(value: number): N[] {
    return this.names.filter((name) => (value & this.#numbers.get(name)!) !== 0);
  }
}

/** @throws ValueError unless `value` is a whole number from `least` to `most` */
export function checkInteger(
  object: string,
  field: string,
  value: number,
  least: number,
  most: number,
): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ValueError(object, field, value, `a whole number from ${least} to ${most}`);
}

/** Reads an address of a value, of `family` when that is given. @throws ValueError */
export function addressOf(
  object: string,
  field: string,
  text: string,
  family?: IpFamily,
): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = parseAddress(text);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw new ValueError(object, field, text, error.expected, error);
  }
  if (family !== undefined && familyOf(bytes) !== family) {
    throw new ValueError(object, field, text, `an IPv${family} address`);
  }
  return bytes;
}

/** Reads a prefix of a value. @throws ValueError */
export function prefixOf(object: string, field: string, text: string, family?: IpFamily): Prefix {
  let prefix: Prefix;
  try {
    prefix = parsePrefix(text);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw new ValueError(object, field, text, error.expected, error);
  }
  if (family !== undefined && familyOf(prefix.address) !== family) {
    throw new ValueError(object, field, text, `an IPv${family} prefix`);
  }
  return prefix;
}

/** @throws ValueError unless `text` is six bytes of two hexadecimal digits with colons */
export function hardwareAddress(object: string, field: string, text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new ValueError(object, field, text, 'six bytes such as 02:00:00:00:00:01');
  }
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}

/** A link-layer address of any length, in lower case with colons. */
export function formatHardwareAddress(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/**
 * @throws ValueError unless the kernel would take `name` for a new interface as it is (net/core/dev.c, dev_valid_name;
 *   with a percent sign it would make up a name)
 */
export function interfaceName(object: string, field: string, name: string): string {
  const valid = /^[^/:%\s\0]+$/.test(name) && name !== '.' && name !== '..' && Buffer.byteLength(name) < 16;
  if (valid) return name;
  throw new ValueError(object, field, name, '1 to 15 bytes without blanks, "/", ":" and "%"');
}

/** The family of an address by its size. */
export function familyOf(address: Uint8Array): IpFamily {
  return address.length === 4 ? 4 : 6;
}

/** AF_INET or AF_INET6. */
export function addressFamily(family: IpFamily): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** The version number of an address family, or undefined for one that is not IP. */
export function ipFamily(addressFamily: number): IpFamily | undefined {
  return addressFamily === AF_INET ? 4 : addressFamily === AF_INET6 ? 6 : undefined;
}

/** The text of the address that an attribute holds. @throws RangeError when it has another size than the family's */
export function addressText(attributes: Attributes, type: number, family: IpFamily): string {
  return formatAddress(attributes.bytes, addressStart(attributes, type, family), family === 4 ? 4 : 16);
}

/** Where the address that an attribute holds starts. @throws RangeError when it has another size than the family's */
export function addressStart(attributes: Attributes, type: number, family: IpFamily): number {
  const size = family === 4 ? 4 : 16;
  const found = attributes.size(type);
  if (found !== size)
    throw new RangeError(`netlink attribute ${type}: found ${found} bytes, expected ${size}`);
  return attributes.offset(type);
}

/** @throws RangeError unless a message has room for the fixed header of its kind */
export function needHeader(what: string, found: number, expected: number): void {
  if (found < expected) throw new RangeError(`${what} message: found ${found} bytes, expected ${expected}`);
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
