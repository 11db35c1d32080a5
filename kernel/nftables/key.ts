import { type DataTypeName, dataType, fieldBytes } from './datatype.ts';
import { type Hex, not, or, prefixMask, reverseBytes } from './hex.ts';
import { type Interval, interval, prefixInterval, prefixOf } from './interval.ts';
import type { Element, SetShape, Verdict } from './model.ts';
import { formatValue, parseValue, type Value } from './value.ts';

/*
 * Keys and elements of sets as people write them: `10.0.0.0/24 . tcp . 80-90`.
 */

/**
 * The bytes of a key, or of an interval of keys, from one text a field: `10.0.0.1`, `10.0.0.0/8`, `80-90`, `eth*`.
 *
 * @param set tells the fields, and whether there are intervals, whose fields in host order are kept in network order
 * @throws RangeError
 */
export function parseKey(set: SetShape, fields: readonly Value[]): Interval {
  if (fields.length !== set.key.length) {
    throw new RangeError(`key of ${set.key.join(' . ')}: found ${fields.length} fields`);
  }
  const whole = fields.length === 1 ? parseField(set, 0, fields[0]!) : parseFields(set, fields);
  if (whole.end !== undefined && !set.interval) {
    throw new RangeError(`key of ${set.key.join(' . ')}: found an interval, ${fields.join(' . ')}`);
  }
  return whole;
}

/**
 * An element from text: `10.0.0.0/24 . tcp . 80-90`, or `*`.
 *
 * @param value for a map, what it leads to: text of the value's data types, or a verdict
 */
export function parseElement(set: SetShape, text: string, value?: Value | Verdict): Element {
  const key = text === '*' ? { key: '*' } : parseKey(set, splitFields(text));
  if (value === undefined) return key;
  if (typeof value === 'object') return { ...key, value };
  return { ...key, value: parseData(set, value) };
}

/** The bytes of what a map leads to. */
export function parseData(set: SetShape, text: Value): Hex {
  if (set.value === undefined || set.value === 'verdict')
    throw new RangeError(`found '${text}', expected a verdict`);
  return parseKey({ key: set.value }, splitFields(String(text))).key;
}

/** A key or interval as nft prints it. */
export function formatKey(set: SetShape, { key, end = key }: Interval): string {
  if (key === '*') return '*';
  let at = 0;
  return set.key
    .map((name) => {
      const digits = dataType(name).bytes * 2;
      const first = key.slice(at, at + digits);
      const last = end.slice(at, at + digits);
      at += fieldBytes(name) * 2;
      return formatInterval(name, first, last, storesReversed(set, name));
    })
    .join(' . ');
}

/** What a map leads to, as nft prints it. */
export function formatData(set: SetShape, value: Hex | Verdict): string {
  if (typeof value !== 'string') return formatVerdict(value);
  return formatKey(
    { key: set.value === undefined || set.value === 'verdict' ? [] : set.value },
    { key: value },
  );
}

export function formatVerdict(verdict: Verdict): string {
  return 'chain' in verdict ? `${verdict.verdict} ${verdict.chain}` : verdict.verdict;
}

/** A value, a prefix or a range as nft prints it. */
export function formatInterval(name: DataTypeName, first: Hex, last: Hex, reversed = false): string {
  const own = (hex: Hex): Hex => (reversed ? reverseBytes(hex) : hex);
  if (first === last) return formatValue(name, own(first));
  const wildcard = name === 'ifname' ? interfacePrefix(first, last) : undefined;
  if (wildcard !== undefined) return `"${wildcard}*"`;
  const bits = name === 'ipv4_addr' || name === 'ipv6_addr' ? prefixOf(first, last) : undefined;
  if (bits !== undefined) return `${formatValue(name, first)}/${bits}`;
  return `${formatValue(name, own(first))}-${formatValue(name, own(last))}`;
}

/**
 * A value, a prefix (`10.0.0.0/8`), a range (`80-90`) or the beginning of an interface's name (`eth*`).
 *
 * @param reversed give a type in host order in network order, in which it can be compared
 */
export function parseInterval(name: DataTypeName, text: Value, reversed = false): Interval {
  const own = (value: Value): Hex =>
    reversed ? reverseBytes(parseValue(name, value)) : parseValue(name, value);
  if (typeof text === 'number') return { key: own(text) };
  if (name === 'ifname') {
    if (!text.endsWith('*')) return { key: own(text) };
    const start = parseValue(name, text.slice(0, -1));
    return interval(start, or(start, not(prefixMask((text.length - 1) * 8, start.length / 2))));
  }
  const slash = text.indexOf('/');
  if (slash > 0) {
    const key = own(text.slice(0, slash));
    const bits = text.slice(slash + 1);
    if (!/^(0|[1-9]\d*)$/.test(bits) || Number(bits) > key.length * 4) {
      throw new RangeError(`${name}: found '${text}', expected a prefix length of at most ${key.length * 4}`);
    }
    const prefix = prefixInterval(key, Number(bits));
    if (prefix.key !== key) throw new RangeError(`${name}: found '${text}', which has host bits`);
    return prefix;
  }
  if (!text.includes('-')) return { key: own(text) };
  // A name may have a hyphen in it; the bounds of a range begin with a digit.
  const range =
    /^([\da-f:.]+)-([\da-f][\da-fx:.]*)$/i.exec(text) ?? /^(0x[\da-f]+)-(0x[\da-f]+)$/i.exec(text);
  if (range) return interval(own(range[1]!), own(range[2]!));
  return { key: own(text) };
}

/** Whether a set keeps a field with its bytes turned round: the kernel compares intervals from the first byte on. */
export function storesReversed(set: SetShape, name: DataTypeName): boolean {
  return set.interval === true && swappable(name);
}

/** Whether values of the type are numbers in host order. */
export function swappable(name: DataTypeName): boolean {
  return (
    dataType(name).order === 'host' && dataType(name).bytes > 1 && name !== 'ifname' && name !== 'ct_label'
  );
}

function parseField(set: SetShape, i: number, text: Value): Interval {
  const name = set.key[i]!;
  return parseInterval(name, text, storesReversed(set, name));
}

function parseFields(set: SetShape, fields: readonly Value[]): Interval {
  let key = '';
  let end = '';
  for (let i = 0; i < fields.length; i++) {
    const side = parseField(set, i, fields[i]!);
    const digits = fieldBytes(set.key[i]!) * 2;
    key += side.key.padEnd(digits, '0');
    end += (side.end ?? side.key).padEnd(digits, '0');
  }
  return interval(key, end);
}

function splitFields(text: string): string[] {
  return text.includes(' ') ? text.split(' . ').map((part) => part.trim()) : [text];
}

function interfacePrefix(first: Hex, last: Hex): string | undefined {
  const bits = prefixOf(first, last);
  if (bits === undefined || bits % 8 !== 0) return undefined;
  return Buffer.from(first.slice(0, bits / 4), 'hex').toString();
}
