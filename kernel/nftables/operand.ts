import { dataType } from './datatype.ts';
import type { Field } from './field.ts';
import { type Hex, hexNumber, reverseBytes } from './hex.ts';
import { type Interval, interval, prefixOf } from './interval.ts';
import { parseInterval, swappable } from './key.ts';
import type { Value } from './value.ts';

/*
 * What stands on the right side of a comparison, by the field on its left.
 */

/** Bytes of a field. */
export function width(field: Field): number {
  return field.bytes ?? dataType(field.type).bytes;
}

/** Whether a field is a number in host order, which does not compare byte by byte. */
export function inHostOrder(field: Field): boolean {
  if (field.order !== undefined) return field.order === 'host' && width(field) > 1;
  return swappable(field.type);
}

/** The bytes of what a field is compared with or set to. */
export function operand(field: Field, value: Value, networkOrder = false): Interval {
  if (field.bytes === undefined) return parseInterval(field.type, value, networkOrder);
  const reversed = field.order === 'host' && !networkOrder;
  const own = (text: Value): Hex => {
    const hex = hexNumber(Number(text), width(field));
    return reversed ? reverseBytes(hex) : hex;
  };
  if (!isNumberRange(value)) return { key: own(value) };
  const [from = '', to = ''] = String(value).split('-');
  return interval(own(from), own(to));
}

/** Whether a text is a range of numbers: `80-90`. */
export function isNumberRange(value: Value): boolean {
  return typeof value === 'string' && /^(\d+|0x[\da-f]+)-(\d+|0x[\da-f]+)$/i.test(value);
}

/** The length of the prefix (of an address, of a name) that an interval is, if it is one. */
export function wholePrefix(field: Field, key: Hex, end: Hex): number | undefined {
  if (field.type !== 'ipv4_addr' && field.type !== 'ipv6_addr' && field.type !== 'ifname') return undefined;
  return prefixOf(key, end);
}
