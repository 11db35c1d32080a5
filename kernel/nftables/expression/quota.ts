import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';

// enum nft_quota_attributes
const BYTES = 1;
const FLAGS = 2;
const CONSUMED = 4;
/** NFT_QUOTA_F_INV */
const OVER = 1;

/** The rule goes on until so many bytes have passed, or with `over` after that. */
export interface QuotaExpression {
  readonly kind: 'quota';
  readonly bytes: number;
  readonly over?: boolean;
  /** Bytes that have passed; 0 when absent. */
  readonly consumed?: number;
}

export function encodeQuota(writer: MessageWriter, expression: QuotaExpression): void {
  writer.be64(BYTES, BigInt(expression.bytes));
  writer.be64(CONSUMED, BigInt(expression.consumed ?? 0));
  writer.be32(FLAGS, expression.over ? OVER : 0);
}

export function decodeQuota(attributes: Attributes): QuotaExpression {
  const consumed = Number(attributes.be64(CONSUMED, 0n));
  return {
    kind: 'quota',
    bytes: Number(attributes.be64(BYTES)),
    ...(attributes.be32(FLAGS, 0) & OVER ? { over: true } : {}),
    ...(consumed > 0 ? { consumed } : {}),
  };
}
