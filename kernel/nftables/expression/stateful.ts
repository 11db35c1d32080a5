import { Attributes, eachAttribute } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { type CounterExpression, decodeCounter, encodeCounter } from './counter.ts';
import { NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_LIST_ELEM } from './frame.ts';
import { decodeLast, encodeLast, type LastExpression } from './last.ts';
import { decodeLimit, encodeLimit, type LimitExpression } from './limit.ts';
import { decodeQuota, encodeQuota, type QuotaExpression } from './quota.ts';

/** What the kernel keeps for an element or an object and changes as packets come by. */
export type StatefulExpression = CounterExpression | LimitExpression | QuotaExpression | LastExpression;

export const statefulDecoders = new Map<string, (attributes: Attributes) => StatefulExpression>([
  ['counter', decodeCounter],
  ['limit', decodeLimit],
  ['quota', decodeQuota],
  ['last', decodeLast],
]);

const frame = new Attributes(NFTA_EXPR_DATA);
const attributes = new Attributes(8);

/** Writes the attributes of an expression, without what is around it. Its kind is also its name in the kernel. */
export function encodeStateful(writer: MessageWriter, e: StatefulExpression, isObject = false): void {
  switch (e.kind) {
    case 'counter':
      encodeCounter(writer, e, isObject);
      break;
    case 'limit':
      encodeLimit(writer, e);
      break;
    case 'quota':
      encodeQuota(writer, e);
      break;
    case 'last':
      encodeLast(writer, e);
      break;
  }
}

/** Writes what an element gets: one expression in attribute `single`, several as a list in `several`. */
export function putStatefulList(
  writer: MessageWriter,
  single: number,
  several: number,
  list: readonly StatefulExpression[],
): void {
  if (list.length === 1) put(writer, single, list[0]!);
  if (list.length < 2) return;
  const outer = writer.nest(several);
  for (const e of list) put(writer, NFTA_LIST_ELEM, e);
  writer.nestEnd(outer);
}

/** Reads what {@link putStatefulList} writes. An expression that is not known (`connlimit`) is left out. */
export function takeStatefulList(outer: Attributes, single: number, several: number): StatefulExpression[] {
  const found: StatefulExpression[] = [];
  if (!outer.has(several)) {
    if (outer.has(single)) take(frame.parseNested(outer, single), found);
    return found;
  }
  const { bytes, view } = outer;
  const start = outer.offset(several);
  eachAttribute(view, start, start + outer.size(several), (type, from, to) => {
    if (type === NFTA_LIST_ELEM) take(frame.parse(bytes, view, from, to), found);
  });
  return found;
}

function put(writer: MessageWriter, type: number, e: StatefulExpression): void {
  const outer = writer.nest(type);
  writer.string(NFTA_EXPR_NAME, e.kind);
  const inner = writer.nest(NFTA_EXPR_DATA);
  encodeStateful(writer, e);
  writer.nestEnd(inner);
  writer.nestEnd(outer);
}

function take(from: Attributes, found: StatefulExpression[]): void {
  const decoder = statefulDecoders.get(from.string(NFTA_EXPR_NAME));
  if (decoder) found.push(decoder(attributes.parseNested(from, NFTA_EXPR_DATA)));
}
