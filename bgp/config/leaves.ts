/**
 * Values of the configuration file that are written as one word: each says in one phrase what it expects.
 */

import { z } from 'zod';
import type { AsRange } from '#bgp/session/settings.ts';
import type { Prefix } from '#bgp/wire/address.ts';
import { getU32 } from '#bgp/wire/bytes.ts';
import { parseCommunity } from '#bgp/wire/communities.ts';
import { AS_TRANS, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { integer, leaf, oneOf } from '#daemon/leaves.ts';
import { type LabelSelector, labelSelector } from '#datastore/label-selector.ts';
import { read } from '#datastore/schema.ts';
import { type Address, parseAddress, parsePrefix } from './address.ts';

export const MAX_AS = 0xffffffff;

export const port = integer(1, 65535, 'a port');

export const address = leaf('an IPv4 or IPv6 address', (value): Address | undefined => {
  return typeof value === 'string' ? parseAddress(value) : undefined;
});

export const prefix = leaf(
  'a prefix such as 10.0.0.0/8, no bits set after its length',
  (value): Prefix | undefined => (typeof value === 'string' ? parsePrefix(value) : undefined),
);

/** A BGP Identifier or cluster id: written as an IPv4 address, not zero (RFC 6286 section 2.1). */
export const identifier = leaf(
  'an identifier written as an IPv4 address, not 0.0.0.0',
  (value): number | undefined => {
    const parsed = typeof value === 'string' ? parseAddress(value) : undefined;
    if (parsed?.family !== 4) return undefined;
    const number = getU32(parsed.bytes, 0);
    return number === 0 ? undefined : number;
  },
);

/** 0 (RFC 7607) and 23456 (RFC 6793) are no AS numbers that a speaker may have. */
function isUsableAs(value: unknown): value is number {
  return (
    Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_AS && value !== AS_TRANS
  );
}

export const asNumber = leaf(`an AS number from 1 to ${MAX_AS}, not ${AS_TRANS}`, (value) =>
  isUsableAs(value) ? value : undefined,
);

export type RemoteAs = 'internal' | 'external' | readonly AsRange[];

const REMOTE_AS = 'an AS number, internal, external, or a list of AS numbers and ranges such as 65000-65100';

/** `64512`, `internal`, `external`, or a list of numbers and ranges such as `[64512, 65000-65100]`. */
export const remoteAs = z
  .unknown()
  .transform((value, context): RemoteAs => {
    if (value === 'internal' || value === 'external') return value;
    const items: unknown[] = Array.isArray(value) ? value : isUsableAs(value) ? [value] : [];
    if (items.length === 0) {
      context.issues.push({ code: 'custom', input: value, params: { expected: REMOTE_AS } });
      return z.NEVER;
    }
    const ranges: AsRange[] = [];
    for (const [i, item] of items.entries()) {
      const range = readAsRange(item);
      if (range !== undefined && isUsableAs(range.first) && isUsableAs(range.last)) ranges.push(range);
      else {
        const expected = 'an AS number or a range such as 65000-65100';
        context.issues.push({ code: 'custom', input: item, path: [i], params: { expected } });
      }
    }
    return ranges;
  })
  .meta({ expected: REMOTE_AS });

/** A number, or text such as `65000-65100`. */
export function readAsRange(value: unknown): AsRange | undefined {
  if (Number.isInteger(value)) {
    const as = value as number;
    return as >= 0 && as <= MAX_AS ? { first: as, last: as } : undefined;
  }
  const match = typeof value === 'string' ? /^(\d{1,10})-(\d{1,10})$/.exec(value) : null;
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2]);
  return first <= last && last <= MAX_AS ? { first, last } : undefined;
}

export const familyNames = { 'ipv4-unicast': IPV4_UNICAST, 'ipv6-unicast': IPV6_UNICAST } as const;
export type FamilyName = keyof typeof familyNames;

export const familyName = oneOf('ipv4-unicast', 'ipv6-unicast');

/** `64512:100`, or a well-known name such as `no-export`. */
export const community = leaf(
  'a community such as 64512:100, or a well-known name such as no-export',
  (value): number | undefined => (typeof value === 'string' ? parseCommunity(value) : undefined),
);

/** A `LabelSelector` as in Kubernetes. */
export const nodeSelector = z
  .unknown()
  .transform((value, context): LabelSelector => {
    const result = read(labelSelector, value);
    if (result.ok) return result.value;
    for (const { parts, expected } of result.faults) {
      context.issues.push({ code: 'custom', input: value, path: [...parts], params: { expected } });
    }
    return z.NEVER;
  })
  .meta({ expected: 'a label selector: matchLabels, matchExpressions' });
