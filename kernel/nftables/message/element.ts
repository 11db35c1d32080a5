import { Attributes, eachAttribute } from '../../netlink/reader.ts';
import type { Message } from '../../netlink/socket.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { byKey } from '../elements.ts';
import { putData, putValue, takeData, takeValue } from '../expression/data.ts';
import { putStatefulList, takeStatefulList } from '../expression/stateful.ts';
import { decrement, type Hex, increment } from '../hex.ts';
import type { Element, SetShape, TableRef } from '../model.ts';
import { putElementData, takeComment } from '../userdata.ts';
import { decode } from './header.ts';

// enum nft_set_elem_list_attributes
const LIST_TABLE = 1;
const LIST_SET = 2;
export const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const LIST_SET_ID = 4;
const LIST_ELEM = 1;
// enum nft_set_elem_attributes
const KEY = 1;
const DATA = 2;
const FLAGS = 3;
const TIMEOUT = 4;
const EXPIRATION = 5;
const USERDATA = 6;
const EXPR = 7;
const OBJREF = 9;
const KEY_END = 10;
const EXPRESSIONS = 11;
// enum nft_set_elem_flags
const INTERVAL_END = 1;
const CATCHALL = 2;

/** An attribute ends at 64 KiB; no element takes more than what is left above this. */
const LIST_BYTES = 0xffff - 2048;

/** How the elements of a list lie in relation to others. */
export interface ListOptions {
  /** The number by which the transaction that made the set calls it. */
  readonly id?: number | undefined;
  /** These are the set's first elements. */
  readonly first?: boolean;
  /** The list is all that the set will ever hold; it is sorted. */
  readonly whole?: boolean;
}

/**
 * Writes the attributes of a message that adds or deletes elements, as many from index `from` on as fit, and returns
 * the index of the first that did not.
 *
 * An interval of single keys goes as two elements, its first key and, marked as an end, the key after its last one;
 * an interval of concatenations goes as one element with both keys. Like nft this puts an end at key zero ahead of the
 * first interval of a new set, and no end between neighbours of a set without a name.
 */
export function putElements(
  writer: MessageWriter,
  table: TableRef,
  name: string,
  set: SetShape,
  elements: readonly Element[],
  from: number,
  { id, first = false, whole = false }: ListOptions,
): number {
  writer.string(LIST_TABLE, table.name);
  writer.string(LIST_SET, name);
  if (id !== undefined) writer.be32(LIST_SET_ID, id);
  const list = writer.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
  const limit = writer.length + LIST_BYTES;
  const shape = set.interval ? (set.key.length === 1 ? 'pair' : 'box') : 'single';
  const paired = shape === 'pair';
  let index = from;
  if (paired && first && !startsAtZero(elements)) putZeroEnd(writer, elements);
  for (; index < elements.length && writer.length < limit; index++) {
    const element = elements[index]!;
    if (!paired || element.key === '*') {
      putElement(writer, element, shape, false);
      continue;
    }
    const after = increment(element.end ?? element.key);
    putElement(writer, element, shape, after === undefined);
    if (after !== undefined && !(whole && elements[index + 1]?.key === after)) putEnd(writer, after);
  }
  writer.nestEnd(list);
  return index;
}

/** Whether sorted elements cover key zero, ahead of which there is nothing. */
export function startsAtZero(elements: readonly Element[]): boolean {
  return elements.length > 0 && /^0*$/.test(elements[0]!.key);
}

/** Names a set in a request for its elements. */
export function putElementsRef(writer: MessageWriter, table: TableRef, set: string): void {
  writer.string(LIST_TABLE, table.name);
  writer.string(LIST_SET, set);
}

/** The table and set that a message's elements are of. */
export function takeElementsOwner(message: Message): { table: TableRef; set: string } {
  return decode('elements', LIST_SET, message, (attributes, family) => ({
    table: { family, name: attributes.string(LIST_TABLE) },
    set: attributes.string(LIST_SET),
  }));
}

/** An element as it is on the wire: of a pair that makes an interval, either half. */
export type WireElement = Element & { readonly isEnd?: true };

const element = new Attributes(EXPRESSIONS);

/**
 * Appends the elements of one message of a dump.
 *
 * @throws DecodeError
 */
export function takeElements(message: Message, found: WireElement[]): void {
  decode('elements', LIST_SET_ID, message, (attributes) => {
    if (!attributes.has(NFTA_SET_ELEM_LIST_ELEMENTS)) return;
    const start = attributes.offset(NFTA_SET_ELEM_LIST_ELEMENTS);
    const end = start + attributes.size(NFTA_SET_ELEM_LIST_ELEMENTS);
    eachAttribute(message.view, start, end, (type, from, to) => {
      if (type === LIST_ELEM) found.push(takeElement(element.parse(message.bytes, message.view, from, to)));
    });
  });
}

/** Puts the halves of intervals together and sorts by key. `found` holds a whole set's elements, in any order. */
export function pairElements(set: SetShape, found: readonly WireElement[]): Element[] {
  const sorted = [...found].sort((a, b) => byKey(a, b) || endFirst(a, b));
  if (!set.interval || set.key.length > 1) return sorted;
  const elements: Element[] = [];
  let open: WireElement | undefined;
  const close = (after: Hex | undefined): void => {
    if (!open) return;
    const { key, ...rest } = open;
    const end = after === undefined ? 'f'.repeat(key.length) : decrement(after);
    elements.push(end === undefined || end === key ? open : { key, end, ...rest });
    open = undefined;
  };
  for (const half of sorted) {
    // An end, and in a set without a name also the next start, ends the interval that is open.
    if (half.key !== '*') close(half.key);
    if (half.key === '*') {
      close(undefined);
      elements.push(half);
    } else if (!half.isEnd) open = half;
  }
  close(undefined);
  return elements;
}

/** @param open the interval reaches up to the largest key, so that no element ends it */
function putElement(
  writer: MessageWriter,
  e: Element,
  shape: 'single' | 'pair' | 'box',
  open: boolean,
): void {
  const outer = writer.nest(LIST_ELEM);
  if (e.key === '*') writer.be32(FLAGS, CATCHALL);
  if (e.timeout !== undefined) writer.be64(TIMEOUT, BigInt(e.timeout));
  if (e.expires !== undefined) writer.be64(EXPIRATION, BigInt(e.expires));
  if (e.key !== '*') putValue(writer, KEY, e.key);
  if (shape === 'box' && e.key !== '*') putValue(writer, KEY_END, e.end ?? e.key);
  if (e.value !== undefined) putData(writer, DATA, e.value);
  putElementData(writer, USERDATA, e.comment, open);
  if (e.object !== undefined) writer.string(OBJREF, e.object);
  if (e.state !== undefined) putStatefulList(writer, EXPR, EXPRESSIONS, e.state);
  writer.nestEnd(outer);
}

function putEnd(writer: MessageWriter, key: Hex): void {
  const outer = writer.nest(LIST_ELEM);
  writer.be32(FLAGS, INTERVAL_END);
  putValue(writer, KEY, key);
  writer.nestEnd(outer);
}

function putZeroEnd(writer: MessageWriter, elements: readonly Element[]): void {
  const key = elements[0]?.key;
  if (key !== undefined && key !== '*') putEnd(writer, '0'.repeat(key.length));
}

function takeElement(attributes: Attributes): WireElement {
  const flags = attributes.be32(FLAGS, 0);
  const key = flags & CATCHALL ? '*' : takeValue(attributes, KEY);
  if (flags & INTERVAL_END) return { key, isEnd: true };
  const end = attributes.has(KEY_END) ? takeValue(attributes, KEY_END) : key;
  const state = takeStatefulList(attributes, EXPR, EXPRESSIONS);
  return {
    key,
    ...(end === key ? {} : { end }),
    ...(attributes.has(DATA) ? { value: takeData(attributes, DATA) } : {}),
    ...(attributes.has(OBJREF) ? { object: attributes.string(OBJREF) } : {}),
    ...takeComment(attributes, USERDATA),
    ...(attributes.has(TIMEOUT) ? { timeout: Number(attributes.be64(TIMEOUT)) } : {}),
    ...(attributes.has(EXPIRATION) ? { expires: Number(attributes.be64(EXPIRATION)) } : {}),
    ...(state.length > 0 ? { state } : {}),
  };
}

/** Where one interval ends and the next begins at the same key, the end is the first of the two. */
function endFirst(a: WireElement, b: WireElement): number {
  return Number(b.isEnd ?? false) - Number(a.isEnd ?? false);
}
