import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Hex, hexHostNumber, numberOf, reverseBytes } from '../hex.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import { putValue, takeValue } from './data.ts';

// enum nft_bitwise_attributes
const SREG = 1;
const DREG = 2;
const LEN = 3;
const MASK = 4;
const XOR = 5;
const OP = 6;
const DATA = 7;

/** enum nft_bitwise_ops */
const operators = new Enumeration<'mask' | '<<' | '>>'>('bitwise operator', ['mask', '<<', '>>']);

/** to = (from & mask) ^ xor */
export interface BitwiseExpression {
  readonly kind: 'bitwise';
  readonly from: Register;
  readonly to: Register;
  readonly mask: Hex;
  readonly xor: Hex;
}

/** to = from shifted; each 4-byte word is taken as a number in host order. */
export interface ShiftExpression {
  readonly kind: 'shift';
  readonly from: Register;
  readonly to: Register;
  /** Bytes. */
  readonly length: number;
  readonly op: '<<' | '>>';
  /** Bits, 1 to 31. */
  readonly bits: number;
}

export function encodeBitwise(writer: MessageWriter, expression: BitwiseExpression | ShiftExpression): void {
  writer.be32(SREG, registerNumber(expression.from));
  writer.be32(DREG, registerNumber(expression.to));
  if (expression.kind === 'bitwise') {
    writer.be32(LEN, expression.mask.length >> 1);
    putValue(writer, MASK, expression.mask);
    putValue(writer, XOR, expression.xor);
  } else {
    writer.be32(OP, operators.number(expression.op));
    writer.be32(LEN, expression.length);
    putValue(writer, DATA, hexHostNumber(expression.bits, 4));
  }
}

export function decodeBitwise(attributes: Attributes): BitwiseExpression | ShiftExpression {
  const from = registerFrom(attributes.be32(SREG));
  const to = registerFrom(attributes.be32(DREG));
  const op = operators.name(attributes.be32(OP, 0));
  if (op === 'mask') {
    return { kind: 'bitwise', from, to, mask: takeValue(attributes, MASK), xor: takeValue(attributes, XOR) };
  }
  const bits = numberOf(reverseBytes(takeValue(attributes, DATA)));
  return { kind: 'shift', from, to, length: attributes.be32(LEN), op, bits };
}
