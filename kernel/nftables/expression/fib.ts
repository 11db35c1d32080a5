import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_fib_attributes
const DREG = 1;
const RESULT = 2;
const FLAGS = 3;
/** NFTA_FIB_F_PRESENT */
const PRESENT = 1 << 5;

export type FibResult = 'oif' | 'oifname' | 'type';
/** enum nft_fib_result */
const results = new Enumeration<FibResult>('fib result', { oif: 1, oifname: 2, type: 3 });

export type FibInput = 'saddr' | 'daddr' | 'mark' | 'iif' | 'oif';
/** enum nft_fib_flags, by bit number */
const inputs: readonly FibInput[] = ['saddr', 'daddr', 'mark', 'iif', 'oif'];

/** Looks the packet up in the routing table. */
export interface FibExpression {
  readonly kind: 'fib';
  /** What of the packet is looked up, in the order of {@link FibInput}. */
  readonly by: readonly FibInput[];
  readonly result: FibResult;
  /** Load only whether there is a route: a byte of 0 or 1. */
  readonly present?: boolean;
  readonly to: Register;
}

export function encodeFib(writer: MessageWriter, expression: FibExpression): void {
  let flags = expression.present ? PRESENT : 0;
  for (const input of expression.by) flags |= 1 << inputs.indexOf(input);
  writer.be32(FLAGS, flags);
  writer.be32(RESULT, results.number(expression.result));
  writer.be32(DREG, registerNumber(expression.to));
}

export function decodeFib(attributes: Attributes): FibExpression {
  const flags = attributes.be32(FLAGS);
  return {
    kind: 'fib',
    by: inputs.filter((_, bit) => flags & (1 << bit)),
    result: results.name(attributes.be32(RESULT)),
    ...(flags & PRESENT ? { present: true } : {}),
    to: registerFrom(attributes.be32(DREG)),
  };
}
