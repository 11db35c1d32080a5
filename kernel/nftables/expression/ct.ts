import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_ct_attributes
const DREG = 1;
const KEY = 2;
const DIRECTION = 3;
const SREG = 4;

/** enum nft_ct_keys. `saddr` and `daddr` are of either family; the kernel wants them told apart in inet tables. */
const keys = [
  'state',
  'direction',
  'status',
  'mark',
  'secmark',
  'expiration',
  'helper',
  'l3proto',
  'saddr',
  'daddr',
  'protocol',
  'proto-src',
  'proto-dst',
  'label',
  'packets',
  'bytes',
  'avgpkt',
  'zone',
  'event',
  'ip saddr',
  'ip daddr',
  'ip6 saddr',
  'ip6 daddr',
  'id',
] as const;

export type CtKey = (typeof keys)[number];
export const ctKeys = new Enumeration<CtKey>('ct', keys);

export type CtDirection = 'original' | 'reply';
/** enum ip_conntrack_dir */
const directions = new Enumeration<CtDirection>('ct direction', ['original', 'reply']);

/** Loads what connection tracking knows of the packet's connection. */
export interface CtExpression {
  readonly kind: 'ct';
  readonly key: CtKey;
  /** Which of the two tuples or counters, for the keys that have both. */
  readonly direction?: CtDirection;
  readonly to: Register;
}

/** Changes the connection: `mark`, `label`, `zone`, `event`, `secmark`. */
export interface CtSetExpression {
  readonly kind: 'ct set';
  readonly key: CtKey;
  readonly direction?: CtDirection;
  readonly from: Register;
}

export function encodeCt(writer: MessageWriter, expression: CtExpression | CtSetExpression): void {
  writer.be32(KEY, ctKeys.number(expression.key));
  if (expression.kind === 'ct') writer.be32(DREG, registerNumber(expression.to));
  if (expression.direction) writer.u8(DIRECTION, directions.number(expression.direction));
  if (expression.kind === 'ct set') writer.be32(SREG, registerNumber(expression.from));
}

export function decodeCt(attributes: Attributes): CtExpression | CtSetExpression {
  const key = ctKeys.name(attributes.be32(KEY));
  const direction = attributes.has(DIRECTION) ? { direction: directions.name(attributes.u8(DIRECTION)) } : {};
  if (attributes.has(SREG)) {
    return { kind: 'ct set', key, ...direction, from: registerFrom(attributes.be32(SREG)) };
  }
  return { kind: 'ct', key, ...direction, to: registerFrom(attributes.be32(DREG)) };
}
