import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';

// enum nft_last_attributes
const SET = 1;
const MSECS = 2;

/** Remembers when a packet last came by. nft 1.0.6 shows a rule without it: so RuleBuilder has no method for it. */
export interface LastExpression {
  readonly kind: 'last';
  /** Milliseconds since then; absent when none has come by. */
  readonly ago?: number;
}

export function encodeLast(writer: MessageWriter, expression: LastExpression): void {
  if (expression.ago === undefined) return;
  writer.be32(SET, 1);
  writer.be64(MSECS, BigInt(expression.ago));
}

export function decodeLast(attributes: Attributes): LastExpression {
  if (attributes.be32(SET, 0) === 0) return { kind: 'last' };
  return { kind: 'last', ago: Number(attributes.be64(MSECS, 0n)) };
}
