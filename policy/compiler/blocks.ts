/**
 * Sets of addresses as sorted ranges, and the pieces into which several such sets cut the space of addresses.
 */

import {
  type AddressKey,
  type AddressRange,
  type Family,
  familyOf,
  nextAddress,
  parsePrefix,
  previousAddress,
  rangeOf,
} from '#datastore/address.ts';
import type { BlockPeer } from '#datastore/kinds/network-policy.ts';

/** The addresses of an ipBlock: its cidr without its exceptions, as ranges that are sorted, apart and not touching. */
export function rangesOf(block: BlockPeer): AddressRange[] {
  const whole = rangeOf(parsePrefix(block.cidr)!);
  const holes = block.except.map((except) => rangeOf(parsePrefix(except)!));
  holes.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const ranges: AddressRange[] = [];
  let first: AddressKey | undefined = whole.first;
  for (const hole of holes) {
    // A hole inside an earlier one changes nothing.
    if (first === undefined || hole.last < first) continue;
    if (first < hole.first) ranges.push({ first, last: previousAddress(hole.first)! });
    first = hole.last < whole.last ? nextAddress(hole.last) : undefined;
  }
  if (first !== undefined) ranges.push({ first, last: whole.last });
  return ranges;
}

/** Addresses that the same sets have. */
export interface Piece<T> extends AddressRange {
  readonly members: readonly T[];
}

/** Cuts the addresses of a family into pieces by the sets that have them; sorted, apart, none for addresses in no set. */
export function cutInPieces<T>(
  sets: Iterable<readonly [T, readonly AddressRange[]]>,
  family: Family,
): Piece<T>[] {
  const cuts = new Map<AddressKey, { begin: T[]; end: T[] }>();
  const cutAt = (address: AddressKey) => {
    const known = cuts.get(address);
    if (known !== undefined) return known;
    const made = { begin: [], end: [] };
    cuts.set(address, made);
    return made;
  };
  const open = new Set<T>();
  for (const [set, ranges] of sets) {
    for (const { first, last } of ranges) {
      if (familyOf(first) !== family) continue;
      cutAt(first).begin.push(set);
      const after = nextAddress(last);
      if (after !== undefined) cutAt(after).end.push(set);
    }
  }
  const pieces: Piece<T>[] = [];
  const sorted = [...cuts].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [i, [first, { begin, end }]] of sorted.entries()) {
    for (const set of end) open.delete(set);
    for (const set of begin) open.add(set);
    if (open.size === 0) continue;
    const next = sorted[i + 1]?.[0];
    const last = next === undefined ? lastOf(family) : previousAddress(next)!;
    pieces.push({ first, last, members: [...open] });
  }
  return pieces;
}

function lastOf(family: Family): AddressKey {
  return '\uffff'.repeat(family === 4 ? 2 : 8) as AddressKey;
}
