import type { Attributes } from '../netlink/reader.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import { dataType } from './datatype.ts';
import { bytesOf, type Hex, hexFrom, hexHostNumber } from './hex.ts';
import type { SetDefinition, SetShape } from './model.ts';
import { concatenationHex, tlv, tlvs, typeofFrom, typeofHex } from './typeof.ts';

/*
 * The user data of nft: bytes beside an object that the kernel stores and does not look at. nft keeps comments there,
 * and how to print the keys of a set (libnftnl/udata.h).
 */

/** NFTNL_UDATA_TABLE_COMMENT, _CHAIN_, _RULE_, _OBJ_ and _SET_ELEM_COMMENT */
const COMMENT = 0;
/** NFTNL_UDATA_COMMENT_MAXLEN, the terminating zero included */
const COMMENT_MAX = 128;
// enum nftnl_udata_set_elem_types
const ELEMENT_FLAGS = 1;
/** NFTNL_SET_ELEM_F_INTERVAL_OPEN: an interval up to the largest key, which has no end element. */
const INTERVAL_OPEN = 1;
// enum nftnl_udata_set_types
const KEY_BYTE_ORDER = 0;
const DATA_BYTE_ORDER = 1;
const MERGE_ELEMENTS = 2;
const KEY_TYPEOF = 3;
const DATA_TYPEOF = 4;
const DATA_INTERVAL = 6;
const SET_COMMENT = 7;
// enum byteorder of nft
const ORDER_NONE = 0;
const ORDER_HOST = 1;
const ORDER_NETWORK = 2;

/** Writes a comment, if there is one, as user data in attribute `type`. */
export function putComment(writer: MessageWriter, type: number, comment: string | undefined): void {
  if (comment !== undefined) writer.raw(type, bytesOf(tlv(COMMENT, text(comment))));
}

/** The comment in attribute `type`: `{ comment }`, or `{}` when there is none. */
export function takeComment(attributes: Attributes, type: number): { comment?: string } {
  return commentIn(attributes, type, COMMENT);
}

/** Writes the user data of an element, if it has any. */
export function putElementData(
  writer: MessageWriter,
  type: number,
  comment: string | undefined,
  open: boolean,
): void {
  if (comment === undefined && !open) return;
  const words = comment === undefined ? '' : tlv(COMMENT, text(comment));
  const flags = open ? tlv(ELEMENT_FLAGS, hexHostNumber(INTERVAL_OPEN, 4)) : '';
  writer.raw(type, bytesOf(words + flags));
}

/** Writes how nft prints the keys of a set, and its comment. */
export function putSetData(
  writer: MessageWriter,
  type: number,
  set: SetShape & Partial<SetDefinition>,
): void {
  const number = (field: number, value: number): Hex => tlv(field, hexHostNumber(value, 4));
  const isMap = set.value !== undefined || set.object !== undefined;
  let hex = number(KEY_BYTE_ORDER, byteOrder(set.key));
  const value = set.value === 'verdict' ? [] : set.value;
  if (value) hex += number(DATA_BYTE_ORDER, byteOrder(value));
  if (set.autoMerge) hex += number(MERGE_ELEMENTS, 1);
  if (set.typeof) {
    hex += tlv(KEY_TYPEOF, typeofHex(set.typeof.key));
    if (set.typeof.value) hex += tlv(DATA_TYPEOF, typeofHex(set.typeof.value));
  } else {
    if (set.key.length > 1) hex += tlv(KEY_TYPEOF, concatenationHex);
    if (value && value.length > 1) hex += tlv(DATA_TYPEOF, concatenationHex);
  }
  if (isMap) hex += number(DATA_INTERVAL, 0);
  if (set.comment !== undefined) hex += tlv(SET_COMMENT, text(set.comment));
  writer.raw(type, bytesOf(hex));
}

/** What {@link putSetData} wrote, as far as it is part of the set's value. */
export function takeSetData(
  attributes: Attributes,
  type: number,
): Pick<SetDefinition, 'autoMerge' | 'typeof' | 'comment'> {
  if (!attributes.has(type)) return {};
  const found = read(attributes, type);
  const key = typeofFrom(found.get(KEY_TYPEOF) ?? '');
  const value = typeofFrom(found.get(DATA_TYPEOF) ?? '');
  const merge = found.get(MERGE_ELEMENTS);
  return {
    ...(merge !== undefined && !/^0*$/.test(merge) ? { autoMerge: true } : {}),
    ...(key ? { typeof: value ? { key, value } : { key } } : {}),
    ...commentIn(attributes, type, SET_COMMENT),
  };
}

function commentIn(attributes: Attributes, type: number, field: number): { comment?: string } {
  if (!attributes.has(type)) return {};
  const value = read(attributes, type).get(field);
  return value === undefined ? {} : { comment: Buffer.from(value, 'hex').toString().replace(/\0.*$/s, '') };
}

function read(attributes: Attributes, type: number): Map<number, Hex> {
  const at = attributes.offset(type);
  return tlvs(hexFrom(attributes.bytes, at, at + attributes.size(type)));
}

function text(comment: string): Hex {
  const bytes = Buffer.from(`${comment}\0`);
  if (bytes.length > COMMENT_MAX || comment.includes('\0')) {
    throw new RangeError(`comment: found ${bytes.length - 1} bytes, expected at most ${COMMENT_MAX - 1}`);
  }
  return bytes.toString('hex');
}

function byteOrder(types: readonly Parameters<typeof dataType>[0][]): number {
  if (types.length !== 1) return ORDER_NONE;
  return dataType(types[0]!).order === 'host' ? ORDER_HOST : ORDER_NETWORK;
}
