import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';

// enum nft_meta_attributes
const DREG = 1;
const KEY = 2;
const SREG = 3;

/** enum nft_meta_keys, by the names of nft. */
const keys = [
  'length',
  'protocol',
  'priority',
  'mark',
  'iif',
  'oif',
  'iifname',
  'oifname',
  'iiftype',
  'oiftype',
  'skuid',
  'skgid',
  'nftrace',
  'rtclassid',
  'secmark',
  'nfproto',
  'l4proto',
  'ibrname',
  'obrname',
  'pkttype',
  'cpu',
  'iifgroup',
  'oifgroup',
  'cgroup',
  'random',
  'ipsec',
  'iifkind',
  'oifkind',
  'ibrpvid',
  'ibrvproto',
  'time',
  'day',
  'hour',
  'sdif',
  'sdifname',
] as const;

export type MetaKey = (typeof keys)[number];
export const metaKeys = new Enumeration<MetaKey>('meta', keys);

/** Loads what the kernel knows about the packet beside its bytes. */
export interface MetaExpression {
  readonly kind: 'meta';
  readonly key: MetaKey;
  readonly to: Register;
}

/** Changes it: `mark`, `priority`, `nftrace`, `pkttype`. */
export interface MetaSetExpression {
  readonly kind: 'meta set';
  readonly key: MetaKey;
  readonly from: Register;
}

export function encodeMeta(writer: MessageWriter, expression: MetaExpression | MetaSetExpression): void {
  writer.be32(KEY, metaKeys.number(expression.key));
  if (expression.kind === 'meta') writer.be32(DREG, registerNumber(expression.to));
  else writer.be32(SREG, registerNumber(expression.from));
}

export function decodeMeta(attributes: Attributes): MetaExpression | MetaSetExpression {
  const key = metaKeys.name(attributes.be32(KEY));
  if (attributes.has(SREG)) return { kind: 'meta set', key, from: registerFrom(attributes.be32(SREG)) };
  return { kind: 'meta', key, to: registerFrom(attributes.be32(DREG)) };
}
