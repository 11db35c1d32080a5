import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_exthdr_attributes
const DREG = 1;
const TYPE = 2;
const OFFSET = 3;
const LEN = 4;
const FLAGS = 5;
const OP = 6;
const SREG = 7;
/** NFT_EXTHDR_F_PRESENT */
const PRESENT = 1;

export type ExthdrOf = 'ipv6' | 'tcp' | 'ipv4';
/** enum nft_exthdr_op */
const operations = new Enumeration<ExthdrOf>('exthdr', ['ipv6', 'tcp', 'ipv4']);

interface Place {
  /** An IPv6 extension header, a TCP option or an IPv4 option. */
  readonly of: ExthdrOf;
  /** Its number (IANA), 0 to 255. */
  readonly type: number;
  /** Bytes from its start. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** Loads bytes of an extension header or option; the rule ends when the packet has none. */
export interface ExthdrExpression extends Place {
  readonly kind: 'exthdr';
  /** Load only whether there is one: a byte of 0 or 1. */
  readonly present?: boolean;
  readonly to: Register;
}

/** Writes bytes of a TCP option that the packet has. */
export interface ExthdrSetExpression extends Place {
  readonly kind: 'exthdr set';
  readonly from: Register;
}

export function encodeExthdr(writer: MessageWriter, e: ExthdrExpression | ExthdrSetExpression): void {
  if (e.kind === 'exthdr') writer.be32(DREG, registerNumber(e.to));
  else writer.be32(SREG, registerNumber(e.from));
  writer.u8(TYPE, e.type);
  writer.be32(OFFSET, e.offset);
  writer.be32(LEN, e.length);
  writer.be32(OP, operations.number(e.of));
  if (e.kind === 'exthdr') writer.be32(FLAGS, e.present ? PRESENT : 0);
}

export function decodeExthdr(attributes: Attributes): ExthdrExpression | ExthdrSetExpression {
  const place: Place = {
    of: operations.name(attributes.be32(OP, 0)),
    type: attributes.u8(TYPE),
    offset: attributes.be32(OFFSET),
    length: attributes.be32(LEN),
  };
  if (attributes.has(SREG))
    return { kind: 'exthdr set', ...place, from: registerFrom(attributes.be32(SREG)) };
  return {
    kind: 'exthdr',
    ...place,
    ...(attributes.be32(FLAGS, 0) & PRESENT ? { present: true } : {}),
    to: registerFrom(attributes.be32(DREG)),
  };
}
