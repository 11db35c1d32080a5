import { type DataTypeName, dataType, fieldBytes } from './datatype.ts';
import { decrement, type Hex, increment } from './hex.ts';
import { type Interval, interval, touches } from './interval.ts';

/*
 * Concatenations of intervals: each key of a set is a box with a side for each field (`10.0.0.0/8 . tcp . 80-90`).
 * Pure arithmetic. The kernel refuses boxes that overlap in some ways and keeps others, of which a lookup then finds
 * any one; so boxes are cut until none overlaps another.
 */

/** A side of a box: the values from `from` to `to`, both included, without padding. */
export interface Side {
  readonly from: Hex;
  readonly to: Hex;
}

export type Box = readonly Side[];

/** The box that a key and its end stand for. */
export function boxOf(types: readonly DataTypeName[], { key, end = key }: Interval): Box {
  let at = 0;
  return types.map((name) => {
    const digits = dataType(name).bytes * 2;
    const side = { from: key.slice(at, at + digits), to: end.slice(at, at + digits) };
    if (side.from.length !== digits || side.to.length !== digits || side.to < side.from) {
      throw new RangeError(`interval of ${types.join(' . ')}: found ${key} to ${end}`);
    }
    at += fieldBytes(name) * 2;
    return side;
  });
}

/** The key and its end for a box. */
export function intervalOf(types: readonly DataTypeName[], box: Box): Interval {
  let key = '';
  let end = '';
  box.forEach((side, i) => {
    const digits = fieldBytes(types[i]!) * 2;
    key += side.from.padEnd(digits, '0');
    end += side.to.padEnd(digits, '0');
  });
  return interval(key, end);
}

/** Whether any key is in both. */
export function overlap(a: Box, b: Box): boolean {
  return a.every((side, i) => side.from <= b[i]!.to && b[i]!.from <= side.to);
}

/** What is in `a` and not in `b`, as boxes that do not overlap. */
export function subtract(a: Box, b: Box): Box[] {
  if (!overlap(a, b)) return [a];
  const pieces: Box[] = [];
  const rest = [...a];
  for (let i = 0; i < a.length; i++) {
    const side = rest[i]!;
    const cut = b[i]!;
    if (side.from < cut.from) pieces.push(rest.with(i, { from: side.from, to: decrement(cut.from)! }));
    if (cut.to < side.to) pieces.push(rest.with(i, { from: increment(cut.to)!, to: side.to }));
    rest[i] = {
      from: side.from > cut.from ? side.from : cut.from,
      to: side.to < cut.to ? side.to : cut.to,
    };
  }
  return pieces;
}

/** What is in any of `a` and in none of `b`. */
export function subtractAll(a: readonly Box[], b: readonly Box[]): Box[] {
  let pieces = [...a];
  for (const cut of b) pieces = pieces.flatMap((piece) => subtract(piece, cut));
  return pieces;
}

/**
 * Cuts boxes so that none overlaps another. Of two that overlap the one that comes first by its first side (then by
 * the others) stays whole. `onOverlap` is called before a cut, with what the boxes were given with.
 */
export function disjoint<T>(
  boxes: readonly (readonly [Box, T])[],
  onOverlap: (kept: T, cut: T) => void = () => {},
): [Box, T][] {
  const sorted = [...boxes].sort(([a], [b]) => compare(a, b));
  const result: [Box, T][] = [];
  // Only those whose first side reaches up to the next box can overlap it.
  let active: [Box, T][] = [];
  for (const [box, of] of sorted) {
    active = active.filter(([other]) => other[0]!.to >= box[0]!.from);
    let pieces: Box[] = [box];
    for (const [other, kept] of active) {
      if (!overlap(box, other)) continue;
      onOverlap(kept, of);
      pieces = pieces.flatMap((piece) => subtract(piece, other));
      if (pieces.length === 0) break;
    }
    for (const piece of pieces) {
      result.push([piece, of]);
      active.push([piece, of]);
    }
  }
  return result;
}

/** Joins boxes that are alike but for one side where they touch, until there are none left. They must not overlap. */
export function join(boxes: readonly Box[]): Box[] {
  let result = [...boxes];
  const sides = boxes[0]?.length ?? 0;
  for (let before = -1; before !== result.length; ) {
    before = result.length;
    // The last side first: ports of one address are what most often touch.
    for (let side = sides - 1; side >= 0; side--) result = joinAlong(result, side);
  }
  return result.sort(compare);
}

/** All that the boxes cover, as boxes that neither overlap nor are alike but for a side where they touch. */
export function normaliseBoxes(boxes: readonly Box[]): Box[] {
  return join(disjoint(boxes.map((box) => [box, undefined] as const)).map(([box]) => box));
}

/** The intervals of normalised boxes. */
export function intervalsOf(types: readonly DataTypeName[], boxes: readonly Box[]): Interval[] {
  return boxes.map((box) => intervalOf(types, box));
}

/** Whether any box holds a key. */
export function boxesContain(types: readonly DataTypeName[], boxes: readonly Box[], key: Hex): boolean {
  const point = boxOf(types, { key });
  return boxes.some((box) => overlap(box, point));
}

/** By `from` of the first side, then of the second, and so on. */
export function compare(a: Box, b: Box): number {
  for (let i = 0; i < a.length; i++) {
    const left = a[i]!;
    const right = b[i]!;
    if (left.from !== right.from) return left.from < right.from ? -1 : 1;
    if (left.to !== right.to) return left.to < right.to ? -1 : 1;
  }
  return 0;
}

function joinAlong(boxes: readonly Box[], side: number): Box[] {
  const alike = new Map<string, Box[]>();
  for (const box of boxes) {
    const key = box.map(({ from, to }, i) => (i === side ? '' : `${from}-${to}`)).join('.');
    const group = alike.get(key);
    if (group) group.push(box);
    else alike.set(key, [box]);
  }
  const result: Box[] = [];
  for (const group of alike.values()) {
    group.sort((a, b) => (a[side]!.from < b[side]!.from ? -1 : 1));
    let open = group[0]!;
    for (const box of group.slice(1)) {
      const { from, to } = open[side]!;
      if (touches(to, box[side]!.from))
        open = open.with(side, { from, to: to > box[side]!.to ? to : box[side]!.to });
      else {
        result.push(open);
        open = box;
      }
    }
    result.push(open);
  }
  return result;
}
