/**
 * Conditions on communities of all kinds, and changing them.
 */

import type { PathAttributes } from '#bgp/wire/types.ts';
import type { Actions, Community, CommunityMatch, CommunityPattern } from './types.ts';

export function matchesCommunities(match: CommunityMatch, attributes: PathAttributes): boolean {
  const present = (pattern: CommunityPattern) => hasCommunity(attributes, pattern);
  if (match.any !== undefined && !match.any.some(present)) return false;
  if (match.all !== undefined && !match.all.every(present)) return false;
  return match.none === undefined || !match.none.some(present);
}

/** The communities of a route after a change, the other attributes as they were. */
export function changeCommunities(
  attributes: PathAttributes,
  change: NonNullable<Actions['communities']>,
): PathAttributes {
  let standard = change.replace ? [] : [...attributes.communities];
  let large = change.replace ? [] : groups(attributes.largeCommunities, 3);
  let extended = change.replace ? [] : groups(attributes.extendedCommunities, 8);
  for (const pattern of change.remove ?? []) {
    if (pattern.kind === 'standard') standard = standard.filter((each) => !isStandard(pattern, each));
    else if (pattern.kind === 'large') large = large.filter((each) => !isLarge(pattern, each));
    else extended = extended.filter((each) => !isExtended(pattern, each));
  }
  for (const community of change.add ?? []) {
    if (community.kind === 'standard') {
      if (!standard.some((each) => isStandard(community, each))) standard.push(numberOf(community));
    } else if (community.kind === 'large') {
      const { global, local1, local2 } = community;
      if (!large.some((each) => isLarge(community, each))) large.push([global, local1, local2]);
    } else if (!extended.some((each) => isExtended(community, each))) {
      extended.push([...community.bytes]);
    }
  }
  return {
    ...attributes,
    communities: Uint32Array.from(standard),
    largeCommunities: Uint32Array.from(large.flat()),
    extendedCommunities: Uint8Array.from(extended.flat()),
  };
}

function hasCommunity(attributes: PathAttributes, pattern: CommunityPattern): boolean {
  switch (pattern.kind) {
    case 'standard':
      return attributes.communities.some((each) => isStandard(pattern, each));
    case 'large':
      return groups(attributes.largeCommunities, 3).some((each) => isLarge(pattern, each));
    case 'extended':
      return groups(attributes.extendedCommunities, 8).some((each) => isExtended(pattern, each));
  }
}

type Of<Kind extends CommunityPattern['kind']> = Extract<CommunityPattern, { readonly kind: Kind }>;

function isStandard({ as, value }: Of<'standard'>, community: number): boolean {
  return (
    (as === undefined || as === community >>> 16) && (value === undefined || value === (community & 0xffff))
  );
}

function isLarge({ global, local1, local2 }: Of<'large'>, community: readonly number[]): boolean {
  return (
    (global === undefined || global === community[0]) &&
    (local1 === undefined || local1 === community[1]) &&
    (local2 === undefined || local2 === community[2])
  );
}

function isExtended({ bytes, mask }: Of<'extended'>, community: readonly number[]): boolean {
  return community.every((byte, i) => ((byte ^ bytes[i]!) & (mask?.[i] ?? 0xff)) === 0);
}

function numberOf({ as, value }: Extract<Community, { readonly kind: 'standard' }>): number {
  return ((as << 16) | value) >>> 0;
}

function groups(numbers: ArrayLike<number>, size: number): number[][] {
  const result: number[][] = [];
  for (let i = 0; i < numbers.length; i += size) {
    result.push(Array.from({ length: size }, (_, j) => numbers[i + j]!));
  }
  return result;
}
