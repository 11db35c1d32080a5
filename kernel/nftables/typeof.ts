import { ctKeys } from './expression/ct.ts';
import { metaKeys } from './expression/meta.ts';
import type { Hex } from './hex.ts';
import { hexHostNumber, numberOf } from './hex.ts';

/*
 * How nft writes down that a set's key is a field of the packet (`typeof ip daddr`) rather than a data type
 * (`type ipv4_addr`). It keeps this in the set's user data; the kernel does not look at it.
 */

/**
 * Fields that a set's key or value may be declared by. `ct label` is not one of them: nft 1.0.6 leaves such a set out
 * when it lists a table.
 */
export type TypeofField = keyof typeof FIELDS;

// enum expr_types of nft
const EXPR_PAYLOAD = 7;
const EXPR_META = 9;
const EXPR_CT = 12;
const EXPR_CONCAT = 13;
const NO_DIRECTION = 0xffffffff;

// enum nftnl_udata_set_typeof_types
const TYPEOF_EXPR = 0;
const TYPEOF_DATA = 1;

const number = (type: number, value: number): Hex => tlv(type, hexHostNumber(value, 4));
const field = (expression: number, data: Hex): Hex =>
  number(TYPEOF_EXPR, expression) + tlv(TYPEOF_DATA, data);
/** `header`: enum proto_desc_id of nft; `index`: the field's place in nft's list of that header's. */
const payload = (header: number, index: number): Hex =>
  field(EXPR_PAYLOAD, number(0, header) + number(1, index));
const meta = (key: Parameters<typeof metaKeys.number>[0]): Hex =>
  field(EXPR_META, number(0, metaKeys.number(key)));
const ct = (key: Parameters<typeof ctKeys.number>[0]): Hex =>
  field(EXPR_CT, number(0, ctKeys.number(key)) + number(1, NO_DIRECTION));

const FIELDS = {
  'udp sport': payload(6, 1),
  'udp dport': payload(6, 2),
  'tcp sport': payload(8, 1),
  'tcp dport': payload(8, 2),
  'th sport': payload(11, 1),
  'th dport': payload(11, 2),
  'ip protocol': payload(12, 9),
  'ip saddr': payload(12, 11),
  'ip daddr': payload(12, 12),
  'ip6 nexthdr': payload(13, 6),
  'ip6 saddr': payload(13, 8),
  'ip6 daddr': payload(13, 9),
  'meta mark': meta('mark'),
  'meta l4proto': meta('l4proto'),
  'meta nfproto': meta('nfproto'),
  'meta iifname': meta('iifname'),
  'meta oifname': meta('oifname'),
  'ct mark': ct('mark'),
  'ct state': ct('state'),
} as const;

const byEncoding = new Map(Object.entries(FIELDS).map(([name, hex]) => [hex as Hex, name as TypeofField]));

/** One element of nft's user data: type, length, value. */
export function tlv(type: number, value: Hex): Hex {
  const size = value.length >> 1;
  if (size > 255) throw new RangeError(`user data: found ${size} bytes, expected at most 255`);
  return hexHostNumber(type, 1) + hexHostNumber(size, 1) + value;
}

/** The elements of user data by type; what is cut short ends it. */
export function tlvs(hex: Hex): Map<number, Hex> {
  const found = new Map<number, Hex>();
  for (let at = 0; at + 4 <= hex.length; ) {
    const end = at + 4 + numberOf(hex.slice(at + 2, at + 4)) * 2;
    if (end > hex.length) break;
    found.set(numberOf(hex.slice(at, at + 2)), hex.slice(at + 4, end));
    at = end;
  }
  return found;
}

/** What nft keeps for a key or value of these fields. */
export function typeofHex(fields: readonly TypeofField[]): Hex {
  if (fields.length === 1) return fieldHex(fields[0]!);
  return field(EXPR_CONCAT, fields.map((name, i) => tlv(i, fieldHex(name))).join(''));
}

/** What nft keeps for a concatenation that is declared by data types. */
export const concatenationHex: Hex = field(EXPR_CONCAT, '');

/** The fields, or undefined when there are none, or some that are not in the table. */
export function typeofFrom(hex: Hex): TypeofField[] | undefined {
  const single = byEncoding.get(hex);
  if (single) return [single];
  const outer = tlvs(hex);
  if (outer.get(TYPEOF_EXPR) !== hexHostNumber(EXPR_CONCAT, 4)) return undefined;
  const fields: TypeofField[] = [];
  for (const part of tlvs(outer.get(TYPEOF_DATA) ?? '').values()) {
    const name = byEncoding.get(part);
    if (!name) return undefined;
    fields.push(name);
  }
  return fields.length > 0 ? fields : undefined;
}

function fieldHex(name: TypeofField): Hex {
  const hex = FIELDS[name];
  if (hex === undefined) {
    throw new RangeError(`typeof: found '${name}', expected one of ${Object.keys(FIELDS).join(', ')}`);
  }
  return hex;
}
