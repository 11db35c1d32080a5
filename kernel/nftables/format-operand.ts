import { dataType } from './datatype.ts';
import type { CmpExpression } from './expression/cmp.ts';
import type { Field } from './field.ts';
import { type Hex, numberOf, prefixLength, reverseBytes } from './hex.ts';
import { formatInterval } from './key.ts';
import { formatValue } from './value.ts';

/*
 * What a rule has in a register, and how nft prints what it is compared with.
 */

/** What a register holds. */
export interface Operand {
  readonly text: string;
  /** Undefined for a value that has no type: it is printed as it is. */
  readonly field?: Field;
  readonly bytes: number;
  /** The bytes were turned round: host order became network order. */
  readonly swapped?: boolean;
  readonly mask?: Hex;
  readonly xor?: Hex;
  /** Bits that it was shifted by. */
  readonly shift?: { readonly op: '<<' | '>>'; readonly bits: number };
  /** A constant. */
  readonly value?: Hex;
}

/** A field as it comes into a register. */
export function operandOf(field: Field): Operand {
  return { text: field.name, field, bytes: field.bytes ?? dataType(field.type).bytes };
}

/** A value, or the values from one to another, that an operand is compared with. */
export function valueText(operand: Operand, first: Hex, last: Hex): string {
  const { field } = operand;
  if (!field || field.bytes !== undefined) {
    const from = formatNumber(first, operand);
    if (field?.type === 'boolean') return from === '0' ? 'missing' : 'exists';
    return first === last ? from : `${from}-${formatNumber(last, operand)}`;
  }
  return formatInterval(field.type, first, last, operand.swapped === true);
}

export function comparedText(operand: Operand, value: Hex): string {
  const size = operand.field ? dataType(operand.field.type).bytes * 2 : value.length;
  // A short value compares the beginning: a prefix, or the beginning of a name.
  if (operand.field && operand.field.bytes === undefined && value.length < size) {
    const full = value.padEnd(size, '0');
    if (operand.field.type === 'ifname') return `"${formatValue('ifname', full).slice(1, -1)}*"`;
    return `${formatValue(operand.field.type, full)}/${value.length * 4}`;
  }
  return valueText(operand, value, value);
}

/** A match of some bits; undefined when all are compared. */
export function maskedText(operand: Operand, e: CmpExpression): string | undefined {
  const { mask, field } = operand;
  if (mask === undefined) return undefined;
  const zero = /^0*$/.test(e.value);
  const flags = field !== undefined && (dataType(field.type).flags === true || field.type === 'ct_label');
  if (flags && zero && e.op === '!=') return `${operand.text} ${valueText(operand, mask, mask)}`;
  const op = e.op === '==' ? '' : `${e.op} `;
  const bits = prefixLength(mask);
  if (bits !== undefined && (field?.type === 'ipv4_addr' || field?.type === 'ipv6_addr')) {
    return `${operand.text} ${op}${formatValue(field.type, e.value)}/${bits}`;
  }
  if (field?.type === 'tcp_flag') {
    return `${operand.text} ${op}${valueText(operand, e.value, e.value)} / ${valueText(operand, mask, mask)}`;
  }
  const value = (hex: Hex): string => valueText(operand, hex, hex);
  return `${operand.text} & ${value(mask)} ${e.op} ${value(e.value)}`;
}

export function constantText(target: string, value: Hex): string {
  if (/mark$/.test(target)) return formatValue('mark', value);
  if (target === 'ct label') return formatValue('ct_label', value);
  return String(numberOf(reverseBytes(value)));
}

export function formatNumber(hex: Hex, operand: Operand): string {
  const host =
    operand.field?.order === 'host' ||
    (operand.field?.order === undefined && operand.field?.type === 'integer');
  if (hex === '') throw new RangeError('number: found no bytes');
  const number = BigInt(`0x${host && !operand.swapped ? reverseBytes(hex) : hex}`);
  return operand.text.startsWith('@') ? `0x${number.toString(16)}` : number.toString();
}
