import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import type { Hex } from '../hex.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import { putValue, takeValue } from './data.ts';

// enum nft_range_attributes
const SREG = 1;
const OP = 2;
const FROM_DATA = 3;
const TO_DATA = 4;

/** enum nft_range_ops */
const operators = new Enumeration<'==' | '!='>('range operator', ['==', '!=']);

/** The rule goes on when a register lies (`==`) or does not lie (`!=`) between two values, themselves included. */
export interface RangeExpression {
  readonly kind: 'range';
  readonly from: Register;
  readonly op: '==' | '!=';
  readonly first: Hex;
  readonly last: Hex;
}

export function encodeRange(writer: MessageWriter, expression: RangeExpression): void {
  writer.be32(SREG, registerNumber(expression.from));
  writer.be32(OP, operators.number(expression.op));
  putValue(writer, FROM_DATA, expression.first);
  putValue(writer, TO_DATA, expression.last);
}

export function decodeRange(attributes: Attributes): RangeExpression {
  return {
    kind: 'range',
    from: registerFrom(attributes.be32(SREG)),
    op: operators.name(attributes.be32(OP)),
    first: takeValue(attributes, FROM_DATA),
    last: takeValue(attributes, TO_DATA),
  };
}
