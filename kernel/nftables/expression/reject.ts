import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';

// enum nft_reject_attributes
const TYPE = 1;
const ICMP_CODE = 2;

/** enum nft_reject_types; `icmpx` is ICMP or ICMPv6, by the packet. */
const types = new Enumeration<'icmp' | 'tcp reset' | 'icmpx'>('reject type', ['icmp', 'tcp reset', 'icmpx']);

/** enum nft_reject_inet_code */
export const ICMPX = Object.freeze({
  noRoute: 0,
  portUnreachable: 1,
  hostUnreachable: 2,
  adminProhibited: 3,
});

/** Drops the packet and tells its sender. */
export interface RejectExpression {
  readonly kind: 'reject';
  /** `icmp` is ICMP in ip tables and ICMPv6 in ip6 tables. */
  readonly with: 'icmp' | 'tcp reset' | 'icmpx';
  /** The ICMP or ICMPv6 code of "destination unreachable", or one of {@link ICMPX}; 0 with a reset. */
  readonly code: number;
}

export function encodeReject(writer: MessageWriter, expression: RejectExpression): void {
  writer.be32(TYPE, types.number(expression.with));
  writer.u8(ICMP_CODE, expression.code);
}

export function decodeReject(attributes: Attributes): RejectExpression {
  return {
    kind: 'reject',
    with: types.name(attributes.be32(TYPE)),
    code: attributes.u8(ICMP_CODE, 0),
  };
}
