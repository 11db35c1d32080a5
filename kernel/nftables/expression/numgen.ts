import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_ng_attributes
const DREG = 1;
const MODULUS = 2;
const TYPE = 3;
const OFFSET = 4;

/** enum nft_ng_types */
const types = new Enumeration<'inc' | 'random'>('numgen type', ['inc', 'random']);

/** Loads a number from `offset` to `offset` + `modulus` - 1: each in turn, or any. */
export interface NumgenExpression {
  readonly kind: 'numgen';
  readonly type: 'inc' | 'random';
  readonly modulus: number;
  readonly offset?: number;
  readonly to: Register;
}

export function encodeNumgen(writer: MessageWriter, expression: NumgenExpression): void {
  writer.be32(DREG, registerNumber(expression.to));
  writer.be32(MODULUS, expression.modulus);
  writer.be32(TYPE, types.number(expression.type));
  writer.be32(OFFSET, expression.offset ?? 0);
}

export function decodeNumgen(attributes: Attributes): NumgenExpression {
  const offset = attributes.be32(OFFSET, 0);
  return {
    kind: 'numgen',
    type: types.name(attributes.be32(TYPE)),
    modulus: attributes.be32(MODULUS),
    ...(offset ? { offset } : {}),
    to: registerFrom(attributes.be32(DREG)),
  };
}
