import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import type { Hex } from '../hex.ts';
import type { Verdict } from '../model.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import { putValue, putVerdict, takeData } from './data.ts';

// enum nft_immediate_attributes
const DREG = 1;
const DATA = 2;

const NFT_REG_VERDICT = 0;

/** Puts a value into a register. */
export interface ImmediateExpression {
  readonly kind: 'immediate';
  readonly to: Register;
  readonly value: Hex;
}

/** Ends the rule with a verdict. */
export interface VerdictExpression {
  readonly kind: 'verdict';
  readonly verdict: Verdict;
}

export function encodeImmediate(
  writer: MessageWriter,
  expression: ImmediateExpression | VerdictExpression,
): void {
  if (expression.kind === 'verdict') {
    writer.be32(DREG, NFT_REG_VERDICT);
    putVerdict(writer, DATA, expression.verdict);
  } else {
    writer.be32(DREG, registerNumber(expression.to));
    putValue(writer, DATA, expression.value);
  }
}

export function decodeImmediate(attributes: Attributes): ImmediateExpression | VerdictExpression {
  const value = takeData(attributes, DATA);
  if (typeof value !== 'string') return { kind: 'verdict', verdict: value };
  return { kind: 'immediate', to: registerFrom(attributes.be32(DREG)), value };
}
