import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import type { AnonymousSet } from '../model.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import type { SetNames } from './expression.ts';

// enum nft_lookup_attributes
const SET = 1;
const SREG = 2;
const DREG = 3;
const SET_ID = 4;
const FLAGS = 5;
/** NFT_LOOKUP_F_INV */
const INVERTED = 1;
const NFT_REG_VERDICT = 0;

/** Looks a register up in a set or map; the rule goes on when the key is there. */
export interface LookupExpression {
  readonly kind: 'lookup';
  /** The name of a set of the same table, or a set of the rule's own. */
  readonly set: string | AnonymousSet;
  readonly from: Register;
  /** Where a map's value goes: a register, or the verdict. Absent for a set. */
  readonly to?: Register | 'verdict';
  /** The rule goes on when the key is not there. */
  readonly inverted?: boolean;
}

export function encodeLookup(writer: MessageWriter, expression: LookupExpression, names: SetNames): void {
  const { to } = expression;
  const { name, id } = names.of(expression.set);
  writer.be32(SREG, registerNumber(expression.from));
  if (to !== undefined) writer.be32(DREG, to === 'verdict' ? NFT_REG_VERDICT : registerNumber(to));
  writer.string(SET, name);
  if (id !== undefined) writer.be32(SET_ID, id);
  if (expression.inverted) writer.be32(FLAGS, INVERTED);
}

export function decodeLookup(attributes: Attributes): LookupExpression {
  const to = attributes.has(DREG) ? attributes.be32(DREG) : undefined;
  return {
    kind: 'lookup',
    set: attributes.string(SET),
    from: registerFrom(attributes.be32(SREG)),
    ...(to === undefined ? {} : { to: to === NFT_REG_VERDICT ? 'verdict' : registerFrom(to) }),
    ...(attributes.be32(FLAGS, 0) & INVERTED ? { inverted: true } : {}),
  };
}
