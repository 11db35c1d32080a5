import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_byteorder_attributes
const SREG = 1;
const DREG = 2;
const OP = 3;
const LEN = 4;
const SIZE = 5;

/** enum nft_byteorder_ops */
const operators = new Enumeration<'ntoh' | 'hton'>('byteorder operator', ['ntoh', 'hton']);

/** Turns the numbers in a register from network to host order or back. */
export interface ByteorderExpression {
  readonly kind: 'byteorder';
  readonly from: Register;
  readonly to: Register;
  readonly op: 'ntoh' | 'hton';
  /** Bytes in all. */
  readonly length: number;
  /** Bytes of each number: 2, 4 or 8. */
  readonly size: number;
}

export function encodeByteorder(writer: MessageWriter, expression: ByteorderExpression): void {
  writer.be32(SREG, registerNumber(expression.from));
  writer.be32(DREG, registerNumber(expression.to));
  writer.be32(OP, operators.number(expression.op));
  writer.be32(LEN, expression.length);
  writer.be32(SIZE, expression.size);
}

export function decodeByteorder(attributes: Attributes): ByteorderExpression {
  return {
    kind: 'byteorder',
    from: registerFrom(attributes.be32(SREG)),
    to: registerFrom(attributes.be32(DREG)),
    op: operators.name(attributes.be32(OP)),
    length: attributes.be32(LEN),
    size: attributes.be32(SIZE),
  };
}
