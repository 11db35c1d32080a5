/**
 * Filters as they are written in the configuration file. What they mean is said in `bgp/filter/types.ts`.
 */

import { z } from 'zod';
import type {
  AsPathElement,
  AsPathPattern,
  AsRange,
  Community,
  CommunityPattern,
  Filter,
  PrefixRange,
} from '#bgp/filter/types.ts';
import type { Prefix } from '#bgp/wire/address.ts';
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity } from '#bgp/wire/communities.ts';
import { ORIGIN_EGP, ORIGIN_IGP, ORIGIN_INCOMPLETE } from '#bgp/wire/constants.ts';
import { boolean, integer, leaf, mapping, oneOf } from '#daemon/leaves.ts';
import { parseAddress, parsePrefix } from './address.ts';
import { readAsRange } from './leaves.ts';

const MAX_U32 = 0xffffffff;
const DEFAULT_OTHERWISE = 'reject';

function ofText<T>(expected: string, read: (text: string) => T | undefined) {
  return leaf(expected, (value) => (typeof value === 'string' ? read(value.trim()) : undefined));
}

/** `10.0.0.0/8` alone, or with ` ge 16`, ` le 24` or both after it. */
const prefixRange = ofText(
  'a prefix such as 10.0.0.0/8, perhaps with lengths as in 10.0.0.0/8 ge 16 le 24',
  (text): PrefixRange | undefined => {
    const match = /^(\S+?)(?:\s+ge\s+(\d{1,3}))?(?:\s+le\s+(\d{1,3}))?$/.exec(text);
    const prefix = match === null ? undefined : parsePrefix(match[1]!);
    if (match === null || prefix === undefined) return undefined;
    const ge = match[2] === undefined ? undefined : Number(match[2]);
    const le = match[3] === undefined ? undefined : Number(match[3]);
    const low = ge ?? prefix.length;
    const high = le ?? 8 * prefix.bytes.length;
    if (low < prefix.length || high < low || high > 8 * prefix.bytes.length) return undefined;
    return { prefix, ...(ge !== undefined && { ge }), ...(le !== undefined && { le }) };
  },
);

/** A prefix, or an address, which is the prefix of its full length. */
const addressOrPrefix = ofText('an address or a prefix', (text): Prefix | undefined => {
  const address = text.includes('/') ? undefined : parseAddress(text);
  if (address === undefined || address.zone !== undefined) return parsePrefix(text);
  return { family: address.family, bytes: address.bytes, length: 8 * address.bytes.length };
});

const asRange = leaf('an AS number, or a range such as 65000-65100', readAsRange);

/**
 * Elements with blanks between them: an AS, a range or several in brackets, with `+` behind it for one or more in a row; `?` for any
 * one AS, `*` for any number of them.
 */
const asPathPattern = ofText(
  'an AS path such as "64512+ ? [65000-65100 65200] *"',
  (text): AsPathPattern | undefined => {
    const elements: AsPathElement[] = [];
    for (const [word] of text.matchAll(/\[[^\]]*\]\+?|\S+/g)) {
      const element = readElement(word);
      if (element === undefined) return undefined;
      elements.push(element);
    }
    return elements.length === 0 ? undefined : elements;
  },
);

function readElement(word: string): AsPathElement | undefined {
  if (word === '?') return { kind: 'any' };
  if (word === '*') return { kind: 'rest' };
  const kind = word.endsWith('+') ? 'some' : 'one';
  const bare = kind === 'some' ? word.slice(0, -1) : word;
  const list = bare.startsWith('[') ? bare.slice(1, -1).trim().split(/\s+/) : [bare];
  const asns = list.map((item) => readAsRange(/^\d+$/.test(item) ? Number(item) : item));
  return asns.includes(undefined) ? undefined : { kind, asns: asns as AsRange[] };
}

/** Standard, large and extended communities in full; by what they look like it is clear which. */
const community = ofText(
  'a community such as 64512:100, no-export, 64512:1:2 or rt:64512:100',
  (text): Community | undefined => {
    const standard = parseCommunity(text);
    if (standard !== undefined) return { kind: 'standard', as: standard >>> 16, value: standard & 0xffff };
    const large = parseLargeCommunity(text);
    if (large !== undefined) {
      return { kind: 'large', global: large[0], local1: large[1], local2: large[2] };
    }
    const bytes = parseExtendedCommunity(text);
    return bytes && { kind: 'extended', bytes };
  },
);

/** The same with `*` for parts that may be anything. */
const communityPattern = ofText(
  'a community such as 64512:100, 64512:*, no-export, 64512:*:* or rt:64512:*',
  readCommunityPattern,
);

function readCommunityPattern(text: string): CommunityPattern | undefined {
  if (!text.includes('*')) {
    const full = community.safeParse(text);
    return full.success ? full.data : undefined;
  }
  const parts = text.split(':');
  const zeroed = parts.map((part) => (part === '*' ? '0' : part)).join(':');
  const [first, second, third] = parts.map((part) => part === '*');
  if (/^[a-z]+:/.test(text)) {
    // Only the part behind the administrator may be open.
    const bytes = second || !third ? undefined : parseExtendedCommunity(zeroed);
    if (bytes === undefined) return undefined;
    const mask = new Uint8Array(8).fill(0xff, 0, bytes[0] === 0 ? 4 : 6);
    return { kind: 'extended', bytes, mask };
  }
  const standard = parseCommunity(zeroed);
  if (standard !== undefined) {
    return {
      kind: 'standard',
      ...(!first && { as: standard >>> 16 }),
      ...(!second && { value: standard & 0xffff }),
    };
  }
  const large = parseLargeCommunity(zeroed);
  if (large === undefined) return undefined;
  return {
    kind: 'large',
    ...(!first && { global: large[0] }),
    ...(!second && { local1: large[1] }),
    ...(!third && { local2: large[2] }),
  };
}

const ORIGINS: Readonly<Record<string, number>> = {
  igp: ORIGIN_IGP,
  egp: ORIGIN_EGP,
  incomplete: ORIGIN_INCOMPLETE,
};
const origin = leaf('igp, egp or incomplete', (value) =>
  typeof value === 'string' && Object.hasOwn(ORIGINS, value) ? ORIGINS[value] : undefined,
);

const number = integer(0, MAX_U32);

function range(description: string, min: number, max: number) {
  return mapping({
    min: number.optional().meta({ description: `${description}: at least`, example: min }),
    max: number.optional().meta({ description: `${description}: at most`, example: max }),
  }).optional();
}

const prefixRanges = z.array(prefixRange).optional();
const addressesOrPrefixes = z.array(addressOrPrefix).optional();
const asRanges = z.array(asRange).optional();
const communityPatterns = z.array(communityPattern).optional();

export const matchFields = {
  prefixes: prefixRanges.meta({
    description: 'the prefix of the route: exactly this one, or one inside it whose length is in the range',
    example: ['10.0.0.0/8', '10.0.0.0/8 ge 16', 'fd00::/32 ge 64 le 64'],
  }),
  notPrefixes: prefixRanges.meta({
    description: 'the same, and none of them may be it',
    example: ['10.0.0.0/8 le 32'],
  }),
  nextHops: addressesOrPrefixes.meta({
    description: 'next hop of the route',
    example: ['10.0.0.1', '192.0.2.0/24'],
  }),
  peers: addressesOrPrefixes.meta({
    description: 'address of the neighbour that the route was learned from; routes of our own are from none',
    example: ['10.0.0.1', '10.1.0.0/24'],
  }),
  notPeers: addressesOrPrefixes.meta({
    description: 'the same, and none of them may be it',
    example: ['10.0.0.2'],
  }),
  sources: z
    .array(oneOf('local', 'kernel', 'ebgp', 'ibgp'))
    .optional()
    .meta({ description: 'where the speaker has the route from', example: ['local', 'ebgp'] }),
  origins: z
    .array(origin)
    .optional()
    .meta({ description: 'its ORIGIN', example: ['igp'] }),
  asPath: mapping({
    contains: asRanges.meta({
      description: 'one of them is in the AS path',
      example: [64512, '65000-65100'],
    }),
    excludes: asRanges.meta({ description: 'none of them is in the AS path', example: [64512] }),
    first: asRanges.meta({ description: 'the neighbouring AS, the first of the path', example: [65001] }),
    last: asRanges.meta({
      description: 'the AS where the route starts, the last of the path',
      example: [65001],
    }),
    length: range('length of the AS path', 1, 5),
    patterns: z
      .array(asPathPattern)
      .optional()
      .meta({
        description:
          'the whole AS path: `+` is one or more of it in a row, `?` any one AS, `*` any number of them',
        example: ['64512+ ? [65000-65100 65200] *'],
      }),
  }).optional(),
  communities: mapping({
    any: communityPatterns.meta({
      description: 'it has one of these communities; `*` stands for any value',
      example: ['64512:*', 'no-export', '64512:1:*', 'rt:64512:100', '0x4300000000000000'],
    }),
    all: communityPatterns.meta({ description: 'it has all of them', example: ['64512:1', '64512:2'] }),
    none: communityPatterns.meta({ description: 'it has none of them', example: ['graceful-shutdown'] }),
  }).optional(),
  localPref: range('its local preference', 100, 200),
  med: range('its MED, 0 if it has none', 0, 50),
};

export const setFields = {
  communities: mapping({
    replace: boolean.optional().meta({
      description: 'drop all communities that are there, before others are added',
      default: false,
      example: true,
    }),
    remove: communityPatterns.meta({ description: 'communities to take away', example: ['64512:*'] }),
    add: z
      .array(community)
      .optional()
      .meta({ description: 'communities to add', example: ['64512:100', 'no-export'] }),
  }).optional(),
  localPref: number.optional().meta({ description: 'local preference', example: 200 }),
  med: number.optional().meta({ description: 'MED', example: 50 }),
  origin: origin.optional().meta({ description: 'ORIGIN', example: 'incomplete' }),
  prepend: mapping({
    as: integer(1, MAX_U32, 'an AS number').optional().meta({
      description: 'AS to put in front of the path',
      otherwise: 'our own',
      example: 64512,
    }),
    times: integer(1, 32, 'a number of times').meta({
      description: 'how often',
      otherwise: 'required in `prepend`',
      example: 2,
    }),
  }).optional(),
  nextHop: leaf('an address, self or peer', (value): Uint8Array | 'self' | 'peer' | undefined => {
    if (value === 'self' || value === 'peer') return value;
    const address = typeof value === 'string' ? parseAddress(value) : undefined;
    return address?.zone === undefined ? address?.bytes : undefined;
  })
    .optional()
    .meta({
      description:
        'next hop: an address, which is for routes of its own family; `self`, this speaker; `peer`, the neighbour',
      example: 'self',
    }),
};

const statement = mapping({
  match: mapping(matchFields)
    .optional()
    .meta({
      description: 'conditions that the route has to meet, all of them',
      expected: 'a mapping, see "Conditions"',
      otherwise: 'every route',
      example: { sources: ['local'] },
      apart: true,
    }),
  set: mapping(setFields)
    .optional()
    .meta({
      description: 'what to change, if the route is accepted in the end',
      expected: 'a mapping, see "Actions"',
      example: { localPref: 200 },
      apart: true,
    }),
  action: oneOf('accept', 'reject', 'next').meta({
    description: 'what becomes of the route; `next` goes on with the next statement',
    otherwise: 'required in a statement',
    example: 'accept',
  }),
});

export const filter = mapping({
  statements: z.array(statement).optional(),
  otherwise: oneOf('accept', 'reject', 'next').optional().meta({
    description: 'what becomes of a route that no statement decides; `next` leaves it to the next filter',
    default: DEFAULT_OTHERWISE,
    example: 'next',
  }),
});

/** The filter of that name. What it does not decide is rejected unless it says otherwise. */
export function resolveFilter(name: string, fields: z.output<typeof filter>): Filter {
  return {
    name,
    // An absent key and one that is undefined are the same to whoever reads a filter.
    statements: (fields.statements ?? []) as Filter['statements'],
    otherwise: fields.otherwise ?? DEFAULT_OTHERWISE,
  };
}
