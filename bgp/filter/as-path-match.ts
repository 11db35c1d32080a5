/**
 * Conditions on AS paths.
 */

import { asPathLength, neighbourAs, originAs } from '#bgp/wire/as-path.ts';
import { AS_CONFED_SET, AS_SET } from '#bgp/wire/constants.ts';
import type { AsPath } from '#bgp/wire/types.ts';
import type { AsPathElement, AsPathMatch, AsPathPattern, AsRange, NumberRange } from './types.ts';

export function matchesAsPath(match: AsPathMatch, path: AsPath): boolean {
  if (match.contains !== undefined && !contains(path, match.contains)) return false;
  if (match.excludes !== undefined && contains(path, match.excludes)) return false;
  if (match.first !== undefined && !inRanges(match.first, neighbourAs(path))) return false;
  if (match.last !== undefined && !inRanges(match.last, originAs(path))) return false;
  if (match.length !== undefined && !inNumberRange(match.length, asPathLength(path))) return false;
  if (match.patterns !== undefined) {
    const positions = positionsOf(path);
    if (!match.patterns.some((pattern) => matchesPattern(pattern, positions))) return false;
  }
  return true;
}

export function inNumberRange({ min, max }: NumberRange, value: number): boolean {
  return (min === undefined || value >= min) && (max === undefined || value <= max);
}

/** The ASes that stand at one place of a path: one in a sequence, all members of a set. */
type Position = readonly number[];

function positionsOf(path: AsPath): Position[] {
  const positions: Position[] = [];
  for (const { type, asns } of path) {
    if (type === AS_SET || type === AS_CONFED_SET) positions.push(asns);
    else for (const asn of asns) positions.push([asn]);
  }
  return positions;
}

/**
 * Goes along the path with the set of pattern places that are possible so far, so that the time is the product of both
 * lengths at worst, whatever the pattern.
 */
function matchesPattern(pattern: AsPathPattern, positions: readonly Position[]): boolean {
  let possible = withSkips(pattern, new Set([0]));
  for (const position of positions) {
    const after = new Set<number>();
    for (const place of possible) {
      const element = pattern[place];
      if (element === undefined || !fits(element, position)) continue;
      if (element.kind === 'rest') after.add(place);
      else {
        after.add(place + 1);
        if (element.kind === 'some') after.add(place);
      }
    }
    possible = withSkips(pattern, after);
    if (possible.size === 0) return false;
  }
  return possible.has(pattern.length);
}

/** A `rest` may also stand for nothing. */
function withSkips(pattern: AsPathPattern, places: Set<number>): Set<number> {
  // A set that grows while it is walked is walked to its new end.
  for (const place of places) if (pattern[place]?.kind === 'rest') places.add(place + 1);
  return places;
}

function fits(element: AsPathElement, position: Position): boolean {
  if (element.kind === 'any' || element.kind === 'rest') return true;
  return position.some((asn) => inRanges(element.asns, asn));
}

function contains(path: AsPath, ranges: readonly AsRange[]): boolean {
  return path.some(({ asns }) => asns.some((asn) => inRanges(ranges, asn)));
}

function inRanges(ranges: readonly AsRange[], asn: number): boolean {
  return ranges.some(({ first, last }) => asn >= first && asn <= last);
}
