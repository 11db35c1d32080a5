/**
 * UPDATEs as text, both ways: so that vectors can be read by people and compared as plain objects.
 */

import {
  formatAddress,
  formatIpv4,
  formatPrefix,
  parseAddress,
  parseIpv4,
  parsePrefix,
} from '#bgp/wire/address.ts';
import { formatAsPath, parseAsPath } from '#bgp/wire/as-path.ts';
import { fromHex, toHex } from '#bgp/wire/bytes.ts';
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  parseCommunity,
  parseExtendedCommunity,
  parseLargeCommunity,
} from '#bgp/wire/communities.ts';
import { type Family, familyName, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { Update, WirePrefix, Withdrawal } from '#bgp/wire/message.ts';
import type { AttributeError, NextHop, PathAttributes } from '#bgp/wire/types.ts';

export type ReadableUpdate = {
  /** `10.0.0.0/8`, with a path identifier `10.0.0.0/8 #7`. */
  readonly withdraw?: readonly string[];
  readonly announce?: readonly string[];
  readonly attributes?: ReadableAttributes;
  readonly endOfRib?: string;
  /** `discard RFC 7606 7.7`. */
  readonly errors?: readonly string[];
};

/** What is not there is left out. */
export type ReadableAttributes = {
  readonly origin: 'igp' | 'egp' | 'incomplete';
  readonly path: string;
  /** With a link-local address beside it: both, with a space between. */
  readonly nextHop: string;
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: true;
  /** `65000 192.0.2.9`. */
  readonly aggregator?: string;
  readonly communities?: string;
  readonly extended?: string;
  readonly large?: string;
  readonly originator?: string;
  readonly clusters?: string;
  /** Code, flags, value: `99 c0 01020304`. */
  readonly unknown?: readonly string[];
  readonly partial?: readonly number[];
};

/** All of the same UPDATE: one announcement at most. */
export function toReadable(update: Update): ReadableUpdate {
  const [announcement] = update.announced;
  return {
    ...(update.withdrawn.length > 0 && {
      withdraw: update.withdrawn.flatMap(({ prefixes }) => prefixes.map(prefixText)),
    }),
    ...(announcement !== undefined && {
      announce: announcement.prefixes.map(prefixText),
      attributes: attributesText(announcement.attributes),
    }),
    ...(update.endOfRib !== undefined && { endOfRib: familyName(update.endOfRib) }),
    ...(update.errors.length > 0 && { errors: update.errors.map(errorText) }),
  };
}

export function fromReadable(readable: ReadableUpdate): Update {
  const { withdraw, announce, attributes, endOfRib } = readable;
  return {
    kind: 'update',
    withdrawn: byFamily(withdraw ?? []),
    announced: byFamily(announce ?? []).map((list) => ({
      ...list,
      attributes: attributesValue(attributes!),
    })),
    endOfRib: endOfRib === undefined ? undefined : endOfRib === 'ipv4-unicast' ? IPV4_UNICAST : IPV6_UNICAST,
    errors: [],
  };
}

export function errorText({ action, rule }: AttributeError): string {
  return `${action} ${rule}`;
}

export function attributesText(attributes: PathAttributes): ReadableAttributes {
  const { aggregator, communities, extendedCommunities, largeCommunities, clusterList, unknown } = attributes;
  const every = (length: number, step: number, text: (at: number) => string): string =>
    Array.from({ length: length / step }, (_, i) => text(i * step)).join(' ');
  return {
    origin: (['igp', 'egp', 'incomplete'] as const)[attributes.origin]!,
    path: formatAsPath(attributes.asPath),
    nextHop: nextHopText(attributes.nextHop),
    ...(attributes.med !== undefined && { med: attributes.med }),
    ...(attributes.localPref !== undefined && { localPref: attributes.localPref }),
    ...(attributes.atomicAggregate && { atomicAggregate: true }),
    ...(aggregator !== undefined && { aggregator: `${aggregator.asn} ${formatIpv4(aggregator.address)}` }),
    ...(communities.length > 0 && { communities: [...communities].map(formatCommunity).join(' ') }),
    ...(extendedCommunities.length > 0 && {
      extended: every(extendedCommunities.length, 8, (at) =>
        formatExtendedCommunity(extendedCommunities, at),
      ),
    }),
    ...(largeCommunities.length > 0 && {
      large: every(largeCommunities.length, 3, (at) => formatLargeCommunity(largeCommunities, at)),
    }),
    ...(attributes.originatorId !== undefined && { originator: formatIpv4(attributes.originatorId) }),
    ...(clusterList.length > 0 && { clusters: [...clusterList].map(formatIpv4).join(' ') }),
    ...(unknown.length > 0 && {
      unknown: unknown.map(({ code, flags, value }) => `${code} ${flags.toString(16)} ${toHex(value)}`),
    }),
    ...(attributes.partial !== undefined && { partial: attributes.partial }),
  };
}

export function attributesValue(text: ReadableAttributes): PathAttributes {
  const words = (list: string | undefined): string[] => (list === undefined ? [] : list.split(' '));
  const [aggregatorAs, aggregatorAddress] = words(text.aggregator);
  return {
    origin: ['igp', 'egp', 'incomplete'].indexOf(text.origin),
    asPath: parseAsPath(text.path)!,
    nextHop: nextHopValue(text.nextHop),
    med: text.med,
    localPref: text.localPref,
    atomicAggregate: text.atomicAggregate === true,
    aggregator:
      aggregatorAs === undefined
        ? undefined
        : { asn: Number(aggregatorAs), address: parseIpv4(aggregatorAddress!) },
    communities: Uint32Array.from(words(text.communities), (each) => parseCommunity(each)!),
    extendedCommunities: Uint8Array.from(
      words(text.extended).flatMap((each) => [...parseExtendedCommunity(each)!]),
    ),
    largeCommunities: Uint32Array.from(words(text.large).flatMap((each) => parseLargeCommunity(each)!)),
    originatorId: text.originator === undefined ? undefined : parseIpv4(text.originator),
    clusterList: Uint32Array.from(words(text.clusters), parseIpv4),
    unknown: (text.unknown ?? []).map((each) => {
      const [code, flags, value] = each.split(' ');
      return { code: Number(code), flags: Number.parseInt(flags!, 16), value: fromHex(value ?? '') };
    }),
    partial: text.partial,
  };
}

function nextHopText({ bytes, linkLocal }: NextHop): string {
  return linkLocal === undefined
    ? formatAddress(bytes)
    : `${formatAddress(bytes)} ${formatAddress(linkLocal)}`;
}

function nextHopValue(text: string): NextHop {
  const [first, second] = text.split(' ');
  const bytes = parseAddress(first!);
  return {
    family: bytes.length === 4 ? 4 : 6,
    bytes,
    linkLocal: second === undefined ? undefined : parseAddress(second),
  };
}

function prefixText(prefix: WirePrefix): string {
  return prefix.pathId === undefined ? formatPrefix(prefix) : `${formatPrefix(prefix)} #${prefix.pathId}`;
}

function byFamily(texts: readonly string[]): Withdrawal[] {
  const lists: { family: Family; prefixes: WirePrefix[] }[] = [];
  for (const text of texts) {
    const [prefix, id] = text.split(' #');
    const value = parsePrefix(prefix!);
    const family = value.family === 4 ? IPV4_UNICAST : IPV6_UNICAST;
    if (lists.at(-1)?.family !== family) lists.push({ family, prefixes: [] });
    lists.at(-1)!.prefixes.push(id === undefined ? value : { ...value, pathId: Number(id) });
  }
  return lists;
}
