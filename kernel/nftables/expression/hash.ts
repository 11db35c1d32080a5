import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_hash_attributes
const SREG = 1;
const DREG = 2;
const LEN = 3;
const MODULUS = 4;
const SEED = 5;
const OFFSET = 6;
const TYPE = 7;
// enum nft_hash_types
const JENKINS = 0;
const SYMMETRIC = 1;

/** Loads a number from `offset` to `offset` + `modulus` - 1 that depends on a register's bytes alone. */
export interface JhashExpression {
  readonly kind: 'jhash';
  readonly from: Register;
  /** Bytes of the register. */
  readonly length: number;
  readonly modulus: number;
  /** The kernel makes one up when absent. */
  readonly seed?: number;
  readonly offset?: number;
  readonly to: Register;
}

/** Loads a number that depends on the packet's flow and is the same in both directions. */
export interface SymhashExpression {
  readonly kind: 'symhash';
  readonly modulus: number;
  readonly offset?: number;
  readonly to: Register;
}

export function encodeHash(writer: MessageWriter, e: JhashExpression | SymhashExpression): void {
  if (e.kind === 'jhash') writer.be32(SREG, registerNumber(e.from));
  writer.be32(DREG, registerNumber(e.to));
  if (e.kind === 'jhash') writer.be32(LEN, e.length);
  writer.be32(MODULUS, e.modulus);
  if (e.kind === 'jhash' && e.seed !== undefined) writer.be32(SEED, e.seed);
  writer.be32(OFFSET, e.offset ?? 0);
  writer.be32(TYPE, e.kind === 'jhash' ? JENKINS : SYMMETRIC);
}

export function decodeHash(attributes: Attributes): JhashExpression | SymhashExpression {
  const offset = attributes.be32(OFFSET, 0);
  const rest = {
    modulus: attributes.be32(MODULUS),
    ...(offset ? { offset } : {}),
    to: registerFrom(attributes.be32(DREG)),
  };
  if (attributes.be32(TYPE, JENKINS) === SYMMETRIC) return { kind: 'symhash', ...rest };
  return {
    kind: 'jhash',
    from: registerFrom(attributes.be32(SREG)),
    length: attributes.be32(LEN),
    ...(attributes.has(SEED) ? { seed: attributes.be32(SEED) } : {}),
    ...rest,
  };
}
