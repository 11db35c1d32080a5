import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import type { Hex } from '../hex.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import { putValue, takeValue } from './data.ts';

// enum nft_cmp_attributes
const SREG = 1;
const OP = 2;
const DATA = 3;

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=';
/** enum nft_cmp_ops */
const operators = new Enumeration<Comparison>('cmp operator', ['==', '!=', '<', '<=', '>', '>=']);

/** The rule goes on when a register compares so with a value, byte by byte from the first (memcmp). */
export interface CmpExpression {
  readonly kind: 'cmp';
  readonly from: Register;
  readonly op: Comparison;
  /** As many bytes as are compared: fewer than the register holds compare its beginning. */
  readonly value: Hex;
}

export function encodeCmp(writer: MessageWriter, expression: CmpExpression): void {
  writer.be32(SREG, registerNumber(expression.from));
  writer.be32(OP, operators.number(expression.op));
  putValue(writer, DATA, expression.value);
}

export function decodeCmp(attributes: Attributes): CmpExpression {
  return {
    kind: 'cmp',
    from: registerFrom(attributes.be32(SREG)),
    op: operators.name(attributes.be32(OP)),
    value: takeValue(attributes, DATA),
  };
}
