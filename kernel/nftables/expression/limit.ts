import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';

// enum nft_limit_attributes
const RATE = 1;
const UNIT = 2;
const BURST = 3;
const TYPE = 4;
const FLAGS = 5;
/** NFT_LIMIT_F_INV */
const OVER = 1;

/** enum nft_limit_type */
const types = new Enumeration<'packets' | 'bytes'>('limit type', ['packets', 'bytes']);

export type TimeUnit = 'second' | 'minute' | 'hour' | 'day' | 'week';
/** In seconds. */
const units = new Enumeration<TimeUnit>('limit unit', {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
});

/** A token bucket: the rule goes on while there are tokens, or with `over` when there are none. */
export interface LimitExpression {
  readonly kind: 'limit';
  /** Packets or bytes in each `per`. */
  readonly rate: number;
  readonly per: TimeUnit;
  readonly of: 'packets' | 'bytes';
  /** Tokens that may pile up beside the rate; nft's own default is 5 packets, 0 bytes. */
  readonly burst: number;
  readonly over?: boolean;
}

export function encodeLimit(writer: MessageWriter, expression: LimitExpression): void {
  writer.be64(RATE, BigInt(expression.rate));
  writer.be64(UNIT, BigInt(units.number(expression.per)));
  if (expression.burst > 0) writer.be32(BURST, expression.burst);
  writer.be32(TYPE, types.number(expression.of));
  writer.be32(FLAGS, expression.over ? OVER : 0);
}

export function decodeLimit(attributes: Attributes): LimitExpression {
  return {
    kind: 'limit',
    rate: Number(attributes.be64(RATE)),
    per: units.name(Number(attributes.be64(UNIT))),
    of: types.name(attributes.be32(TYPE, 0)),
    burst: attributes.be32(BURST, 0),
    ...(attributes.be32(FLAGS, 0) & OVER ? { over: true } : {}),
  };
}
