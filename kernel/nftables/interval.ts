import { and, decrement, type Hex, increment, not, or, prefixMask } from './hex.ts';

/*
 * Sets of keys as sorted lists of intervals. Pure arithmetic over keys of one length (4 bytes of IPv4, 16 of IPv6,
 * 2 of a port): hexadecimal text of one length sorts as the numbers do.
 */

/** The keys from `key` to `end`, both included; only `key` when there is no `end`. */
export interface Interval {
  readonly key: Hex;
  readonly end?: Hex;
}

/** The last key of an interval. */
export function lastOf(interval: Interval): Hex {
  return interval.end ?? interval.key;
}

/** The interval from `key` to `end` in its one right form: no `end` when it is the same key. */
export function interval(key: Hex, end: Hex): Interval {
  if (end.length !== key.length || end < key) {
    throw new RangeError(
      `interval: found ${key} to ${end}, expected an end of the same length that is not before`,
    );
  }
  return end === key ? { key } : { key, end };
}

/** The keys that begin with the first `bits` bits of `key`, e.g. an address prefix. */
export function prefixInterval(key: Hex, bits: number): Interval {
  const mask = prefixMask(bits, key.length >> 1);
  return interval(and(key, mask), or(key, not(mask)));
}

/** The number of bits that all keys from `first` to `last`, and no others, begin with; undefined if there is none. */
export function prefixOf(first: Hex, last: Hex): number | undefined {
  const size = first.length / 2;
  for (let bits = size * 8 - 1; bits >= 0; bits--) {
    const mask = prefixMask(bits, size);
    if (and(first, mask) !== first) return undefined;
    if (or(first, not(mask)) === last) return bits;
  }
  return undefined;
}

/** All that `intervals` cover: sorted, none touching or overlapping another. */
export function normalise(intervals: Iterable<Interval>): Interval[] {
  const sorted = [...intervals].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const result: Interval[] = [];
  let open: { key: Hex; end: Hex } | undefined;
  for (const next of sorted) {
    const end = lastOf(next);
    if (open && touches(open.end, next.key)) {
      if (end > open.end) open.end = end;
      continue;
    }
    if (open) result.push(interval(open.key, open.end));
    open = { key: next.key, end };
  }
  if (open) result.push(interval(open.key, open.end));
  return result;
}

/** What either covers. */
export function union(a: Iterable<Interval>, b: Iterable<Interval>): Interval[] {
  return normalise([...a, ...b]);
}

/** What `a` covers and `b` does not. */
export function difference(a: Iterable<Interval>, b: Iterable<Interval>): Interval[] {
  const holes = normalise(b);
  const result: Interval[] = [];
  let hole = 0;
  for (const piece of normalise(a)) {
    const end = lastOf(piece);
    let from: Hex | undefined = piece.key;
    while (hole < holes.length && lastOf(holes[hole]!) < from) hole++;
    // A hole may reach into the next piece too: look again from the same one.
    for (let i = hole; from !== undefined && i < holes.length && holes[i]!.key <= end; i++) {
      const cut = holes[i]!;
      if (cut.key > from) result.push(interval(from, decrement(cut.key)!));
      from = lastOf(cut) >= end ? undefined : increment(lastOf(cut));
    }
    if (from !== undefined) result.push(interval(from, end));
  }
  return result;
}

/** What both cover. */
export function intersection(a: Iterable<Interval>, b: Iterable<Interval>): Interval[] {
  const left = normalise(a);
  const right = normalise(b);
  const result: Interval[] = [];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const key = left[i]!.key > right[j]!.key ? left[i]!.key : right[j]!.key;
    const endLeft = lastOf(left[i]!);
    const endRight = lastOf(right[j]!);
    const end = endLeft < endRight ? endLeft : endRight;
    if (key <= end) result.push(interval(key, end));
    if (endLeft < endRight) i++;
    else j++;
  }
  return result;
}

/** Whether normalised intervals cover a key. */
export function contains(intervals: readonly Interval[], key: Hex): boolean {
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lastOf(intervals[middle]!) < key) low = middle + 1;
    else high = middle;
  }
  return low < intervals.length && intervals[low]!.key <= key;
}

/** Whether an interval that ends at `end` overlaps one that starts at `key` (not before the former), or adjoins it. */
export function touches(end: Hex, key: Hex): boolean {
  return key <= end || key === increment(end);
}
