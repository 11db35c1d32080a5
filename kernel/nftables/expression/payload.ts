import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_payload_attributes
const DREG = 1;
const BASE = 2;
const OFFSET = 3;
const LEN = 4;
const SREG = 5;
const CSUM_TYPE = 6;
const CSUM_OFFSET = 7;
const CSUM_FLAGS = 8;
/** NFT_PAYLOAD_L4CSUM_PSEUDOHDR */
const PSEUDO_HEADER = 1;

export type PayloadBase = 'link' | 'network' | 'transport' | 'inner';
/** enum nft_payload_bases */
export const payloadBases = new Enumeration<PayloadBase>('payload base', [
  'link',
  'network',
  'transport',
  'inner',
]);
const checksums = new Enumeration<'none' | 'internet' | 'sctp'>('payload checksum', [
  'none',
  'internet',
  'sctp',
]);

/** Loads bytes of the packet; the rule ends when the packet is too short. */
export interface PayloadExpression {
  readonly kind: 'payload';
  /** The header that `offset` counts from. */
  readonly base: PayloadBase;
  /** Bytes. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  readonly to: Register;
}

/** Writes bytes of the packet and sets its checksums right. */
export interface PayloadSetExpression {
  readonly kind: 'payload set';
  readonly base: PayloadBase;
  readonly offset: number;
  readonly length: number;
  readonly from: Register;
  /** The checksum of the same header, and where it stands. */
  readonly checksum?: { readonly type: 'internet' | 'sctp'; readonly offset: number };
  /** The bytes are part of the pseudo header that the transport's checksum covers. */
  readonly pseudoHeader?: boolean;
}

export function encodePayload(writer: MessageWriter, e: PayloadExpression | PayloadSetExpression): void {
  if (e.kind === 'payload') writer.be32(DREG, registerNumber(e.to));
  else writer.be32(SREG, registerNumber(e.from));
  writer.be32(BASE, payloadBases.number(e.base));
  writer.be32(OFFSET, e.offset);
  writer.be32(LEN, e.length);
  if (e.kind === 'payload') return;
  if (e.checksum) {
    writer.be32(CSUM_TYPE, checksums.number(e.checksum.type));
    writer.be32(CSUM_OFFSET, e.checksum.offset);
  }
  if (e.pseudoHeader) writer.be32(CSUM_FLAGS, PSEUDO_HEADER);
}

export function decodePayload(attributes: Attributes): PayloadExpression | PayloadSetExpression {
  const place = {
    base: payloadBases.name(attributes.be32(BASE)),
    offset: attributes.be32(OFFSET),
    length: attributes.be32(LEN),
  };
  if (attributes.has(DREG)) return { kind: 'payload', ...place, to: registerFrom(attributes.be32(DREG)) };
  const type = checksums.name(attributes.be32(CSUM_TYPE, 0));
  return {
    kind: 'payload set',
    ...place,
    from: registerFrom(attributes.be32(SREG)),
    ...(type === 'none' ? {} : { checksum: { type, offset: attributes.be32(CSUM_OFFSET, 0) } }),
    ...(attributes.be32(CSUM_FLAGS, 0) & PSEUDO_HEADER ? { pseudoHeader: true } : {}),
  };
}
