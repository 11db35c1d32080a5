import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_rt_attributes
const DREG = 1;
const KEY = 2;

export type RtKey = 'classid' | 'ip nexthop' | 'ip6 nexthop' | 'mtu' | 'ipsec';
/** enum nft_rt_keys; `mtu` is the largest TCP segment that the path takes. */
export const rtKeys = new Enumeration<RtKey>('rt', ['classid', 'ip nexthop', 'ip6 nexthop', 'mtu', 'ipsec']);

/** Loads what the kernel knows of the packet's route. */
export interface RtExpression {
  readonly kind: 'rt';
  readonly key: RtKey;
  readonly to: Register;
}

export function encodeRt(writer: MessageWriter, expression: RtExpression): void {
  writer.be32(KEY, rtKeys.number(expression.key));
  writer.be32(DREG, registerNumber(expression.to));
}

export function decodeRt(attributes: Attributes): RtExpression {
  return {
    kind: 'rt',
    key: rtKeys.name(attributes.be32(KEY)),
    to: registerFrom(attributes.be32(DREG)),
  };
}
