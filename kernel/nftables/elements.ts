import { type Box, boxOf, disjoint, intervalOf, join } from './box.ts';
import { IntervalConflictError } from './error.ts';
import { type Hex, increment } from './hex.ts';
import { interval, lastOf, touches } from './interval.ts';
import type { Element, SetShape, Verdict } from './model.ts';

/*
 * Elements as a whole: brought into a form that the kernel takes, and compared. Pure functions.
 */

/**
 * Elements that cover what the given ones do, sorted by key, with no overlap, and with neighbours that say the same
 * joined into one: the kernel refuses none of them. Elements of a set without intervals come back as they are.
 *
 * Where elements that lead to the same thing but have different comments or timeouts overlap, the one that starts
 * first keeps the keys.
 *
 * @throws IntervalConflictError when elements overlap that lead to different things
 */
export function normaliseElements(set: SetShape, elements: readonly Element[]): readonly Element[] {
  if (!set.interval) return elements;
  if (set.key.length > 1) return normaliseConcatenated(set, elements);
  return inOrder(elements) ? elements : normaliseSingle(elements);
}

/** What to delete from a set, and what to add to it, so that it holds `want`; both lists are normalised. */
export interface ElementDelta {
  readonly remove: Element[];
  readonly add: Element[];
}

/**
 * The difference from the elements that the kernel has to those that it should have. An element that stays is in
 * neither list; one that says something else is in both, for the kernel changes none in place. Counters and what is
 * left of a timeout are passed over.
 */
export function elementDelta(
  set: SetShape,
  have: readonly Element[],
  want: readonly Element[],
): ElementDelta {
  const rest = new Map<string, Element>();
  for (const element of normaliseElements(set, have)) rest.set(identity(element), element);
  const add: Element[] = [];
  for (const element of normaliseElements(set, want)) {
    const id = identity(element);
    const present = rest.get(id);
    if (present !== undefined && label(present) === label(element)) rest.delete(id);
    else add.push(element);
  }
  return { remove: [...rest.values()], add };
}

/** Sorts by key, as a dump does; `*` comes last. */
export function byKey(a: Element, b: Element): number {
  if (a.key === '*' || b.key === '*') return a.key === b.key ? 0 : a.key === '*' ? 1 : -1;
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

/** The key and end as one text. */
function identity(element: Element): string {
  return element.end === undefined ? element.key : `${element.key}-${element.end}`;
}

function target(element: Element): string {
  return element.object ?? verdictText(element.value);
}

function verdictText(value: Hex | Verdict | undefined): string {
  if (value === undefined || typeof value === 'string') return value ?? '';
  return 'chain' in value ? `${value.verdict} ${value.chain}` : value.verdict;
}

/** All that two elements must have in common to be joined. */
function label(element: Element): string {
  const { comment, timeout } = element;
  const rest = comment === undefined && timeout === undefined ? '' : `\0${comment ?? ''}\0${timeout ?? ''}`;
  return target(element) + rest;
}

function inOrder(elements: readonly Element[]): boolean {
  for (let i = 0; i < elements.length; i++) {
    const element = elements[i]!;
    if (element.key === '*' || element.end === element.key) return false;
    if (i === 0) continue;
    const previous = elements[i - 1]!;
    const end = previous.end ?? previous.key;
    if (element.key <= end) return false;
    if (touches(end, element.key) && label(previous) === label(element)) return false;
  }
  return true;
}

function normaliseSingle(elements: readonly Element[]): Element[] {
  const result: Element[] = [];
  let open: Element | undefined;
  for (let next of elements.toSorted(byKey)) {
    if (next.key === '*') {
      if (open) result.push(open);
      open = undefined;
      result.push(next);
      continue;
    }
    if (open) {
      const end = lastOf(open);
      if (touches(end, next.key) && label(open) === label(next)) {
        open = withInterval(open, open.key, lastOf(next) > end ? lastOf(next) : end);
        continue;
      }
      if (next.key <= end) {
        if (target(open) !== target(next)) throw conflict(open, next);
        if (lastOf(next) <= end) continue;
        // There is a key after `end`, because `next` reaches beyond it.
        next = withInterval(next, increment(end)!, lastOf(next));
      }
      result.push(open);
    }
    open = withInterval(next, next.key, lastOf(next));
  }
  if (open) result.push(open);
  return result;
}

function normaliseConcatenated(set: SetShape, elements: readonly Element[]): Element[] {
  const whole: Element[] = [];
  const boxes: (readonly [Box, Element])[] = [];
  for (const element of elements) {
    if (element.key === '*') whole.push(element);
    else
      boxes.push([
        boxOf(set.key, { key: element.key, ...(element.end ? { end: element.end } : {}) }),
        element,
      ]);
  }
  const pieces = disjoint(boxes, (kept, cut) => {
    if (target(kept) !== target(cut)) throw conflict(kept, cut);
  });
  const alike = new Map<string, { element: Element; boxes: Box[] }>();
  for (const [box, element] of pieces) {
    const group = alike.get(label(element));
    if (group) group.boxes.push(box);
    else alike.set(label(element), { element, boxes: [box] });
  }
  const result: Element[] = [];
  for (const group of alike.values()) {
    for (const box of join(group.boxes)) {
      const { key, end } = intervalOf(set.key, box);
      result.push(withInterval(group.element, key, end ?? key));
    }
  }
  return [...result.sort(byKey), ...whole];
}

/** The element with another interval, in its one right form. */
function withInterval(element: Element, key: Hex, end: Hex): Element {
  if (element.key === key && (element.end ?? element.key) === end && element.end !== element.key)
    return element;
  const { key: _key, end: _end, ...rest } = element;
  return { ...interval(key, end), ...rest };
}

function conflict(first: Element, second: Element): IntervalConflictError {
  const text = (element: Element): string => `${identity(element)} (${target(element)})`;
  return new IntervalConflictError(text(first), text(second));
}
