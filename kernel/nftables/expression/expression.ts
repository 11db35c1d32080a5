import { Attributes, eachAttribute } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { bytesOf } from '../hex.ts';
import type { AnonymousSet } from '../model.ts';
import { type BitwiseExpression, decodeBitwise, encodeBitwise, type ShiftExpression } from './bitwise.ts';
import { type ByteorderExpression, decodeByteorder, encodeByteorder } from './byteorder.ts';
import { type CmpExpression, decodeCmp, encodeCmp } from './cmp.ts';
import { type CtExpression, type CtSetExpression, decodeCt, encodeCt } from './ct.ts';
import { type DynsetExpression, decodeDynset, encodeDynset } from './dynset.ts';
import { decodeExthdr, type ExthdrExpression, type ExthdrSetExpression, encodeExthdr } from './exthdr.ts';
import { decodeFib, encodeFib, type FibExpression } from './fib.ts';
import { NFTA_EXPR_DATA, NFTA_EXPR_NAME, NFTA_LIST_ELEM } from './frame.ts';
import { decodeHash, encodeHash, type JhashExpression, type SymhashExpression } from './hash.ts';
import {
  decodeImmediate,
  encodeImmediate,
  type ImmediateExpression,
  type VerdictExpression,
} from './immediate.ts';
import { decodeLog, encodeLog, type LogExpression } from './log.ts';
import { decodeLookup, encodeLookup, type LookupExpression } from './lookup.ts';
import { decodeMasquerade, encodeMasquerade, type MasqueradeExpression } from './masquerade.ts';
import { decodeMeta, encodeMeta, type MetaExpression, type MetaSetExpression } from './meta.ts';
import { decodeNat, encodeNat, type NatExpression } from './nat.ts';
import type { NotrackExpression } from './notrack.ts';
import { decodeNumgen, encodeNumgen, type NumgenExpression } from './numgen.ts';
import { decodeObjref, encodeObjref, type ObjrefExpression, type ObjrefMapExpression } from './objref.ts';
import {
  decodePayload,
  encodePayload,
  type PayloadExpression,
  type PayloadSetExpression,
} from './payload.ts';
import { decodeRange, encodeRange, type RangeExpression } from './range.ts';
import { decodeRedirect, encodeRedirect, type RedirectExpression } from './redirect.ts';
import { decodeReject, encodeReject, type RejectExpression } from './reject.ts';
import { decodeRt, encodeRt, type RtExpression } from './rt.ts';
import { decodeSocket, encodeSocket, type SocketExpression } from './socket.ts';
import { encodeStateful, type StatefulExpression, statefulDecoders } from './stateful.ts';
import { type UnknownExpression, unknownExpression } from './unknown.ts';

/** One instruction of a rule. Each has a file of its own, with its encoding. */
export type Expression =
  | BitwiseExpression
  | ByteorderExpression
  | CmpExpression
  | CtExpression
  | CtSetExpression
  | DynsetExpression
  | ExthdrExpression
  | ExthdrSetExpression
  | FibExpression
  | ImmediateExpression
  | JhashExpression
  | LogExpression
  | LookupExpression
  | MasqueradeExpression
  | MetaExpression
  | MetaSetExpression
  | NatExpression
  | NotrackExpression
  | NumgenExpression
  | ObjrefExpression
  | ObjrefMapExpression
  | PayloadExpression
  | PayloadSetExpression
  | RangeExpression
  | RedirectExpression
  | RejectExpression
  | RtExpression
  | ShiftExpression
  | SocketExpression
  | StatefulExpression
  | SymhashExpression
  | UnknownExpression
  | VerdictExpression;

/** Tells what a set is called in the message that is being written, and its number if it was made just before. */
export interface SetNames {
  of(set: string | AnonymousSet): { readonly name: string; readonly id: number | undefined };
}

type Known = Exclude<Expression, UnknownExpression>;
type Encode<E> = (writer: MessageWriter, expression: E, sets: SetNames) => void;

/** The kernel's name of each kind (NFTA_EXPR_NAME), and what writes its attributes. */
const kinds: { readonly [K in Known['kind']]: readonly [string, Encode<Extract<Known, { kind: K }>>] } = {
  bitwise: ['bitwise', encodeBitwise],
  byteorder: ['byteorder', encodeByteorder],
  cmp: ['cmp', encodeCmp],
  counter: ['counter', putStateful],
  ct: ['ct', encodeCt],
  'ct set': ['ct', encodeCt],
  dynset: ['dynset', encodeDynset],
  exthdr: ['exthdr', encodeExthdr],
  'exthdr set': ['exthdr', encodeExthdr],
  fib: ['fib', encodeFib],
  immediate: ['immediate', encodeImmediate],
  jhash: ['hash', encodeHash],
  last: ['last', putStateful],
  limit: ['limit', putStateful],
  log: ['log', encodeLog],
  lookup: ['lookup', encodeLookup],
  masquerade: ['masq', encodeMasquerade],
  meta: ['meta', encodeMeta],
  'meta set': ['meta', encodeMeta],
  nat: ['nat', encodeNat],
  notrack: ['notrack', () => {}],
  numgen: ['numgen', encodeNumgen],
  objref: ['objref', encodeObjref],
  'objref map': ['objref', encodeObjref],
  payload: ['payload', encodePayload],
  'payload set': ['payload', encodePayload],
  quota: ['quota', putStateful],
  range: ['range', encodeRange],
  redirect: ['redir', encodeRedirect],
  reject: ['reject', encodeReject],
  rt: ['rt', encodeRt],
  shift: ['bitwise', encodeBitwise],
  socket: ['socket', encodeSocket],
  symhash: ['hash', encodeHash],
  verdict: ['immediate', encodeImmediate],
};

const decoders = new Map<string, (attributes: Attributes) => Expression>([
  ...statefulDecoders,
  ['bitwise', decodeBitwise],
  ['byteorder', decodeByteorder],
  ['cmp', decodeCmp],
  ['ct', decodeCt],
  ['dynset', decodeDynset],
  ['exthdr', decodeExthdr],
  ['fib', decodeFib],
  ['hash', decodeHash],
  ['immediate', decodeImmediate],
  ['lookup', decodeLookup],
  ['log', decodeLog],
  ['masq', decodeMasquerade],
  ['meta', decodeMeta],
  ['nat', decodeNat],
  ['notrack', () => ({ kind: 'notrack' })],
  ['numgen', decodeNumgen],
  ['objref', decodeObjref],
  ['payload', decodePayload],
  ['range', decodeRange],
  ['redir', decodeRedirect],
  ['reject', decodeReject],
  ['rt', decodeRt],
  ['socket', decodeSocket],
]);

/** No expression has an attribute beyond this number (enum nft_*_attributes). */
const MAX_ATTRIBUTE = 16;

// Read to the end before the next expression is begun; what is nested in a dynset has its own (stateful.ts).
const frame = new Attributes(NFTA_EXPR_DATA);
const attributes = new Attributes(MAX_ATTRIBUTE);

/** Sets that are all known by name. */
export const byName: SetNames = {
  of(set) {
    if (typeof set === 'string') return { name: set, id: undefined };
    throw new RangeError('found a set without a name, expected one in a rule that is added');
  },
};

/** Writes one expression as an attribute of `type` (NFTA_LIST_ELEM, NFTA_SET_ELEM_EXPR...). */
export function putExpression(writer: MessageWriter, type: number, e: Expression, sets: SetNames): void {
  const outer = writer.nest(type);
  if (e.kind === 'unknown') {
    writer.string(NFTA_EXPR_NAME, e.name);
    writer.raw(NFTA_EXPR_DATA, bytesOf(e.data));
  } else {
    const [name, encode] = kinds[e.kind] as readonly [string, Encode<Known>];
    writer.string(NFTA_EXPR_NAME, name);
    const inner = writer.nest(NFTA_EXPR_DATA);
    encode(writer, e, sets);
    writer.nestEnd(inner);
  }
  writer.nestEnd(outer);
}

/** Reads the list of expressions in attribute `type` of `outer`. */
export function takeExpressions(outer: Attributes, type: number): Expression[] {
  const found: Expression[] = [];
  if (!outer.has(type)) return found;
  const { bytes, view } = outer;
  const start = outer.offset(type);
  eachAttribute(view, start, start + outer.size(type), (element, from, to) => {
    if (element !== NFTA_LIST_ELEM) return;
    frame.parse(bytes, view, from, to);
    found.push(decodeExpression());
  });
  return found;
}

function decodeExpression(): Expression {
  const name = frame.string(NFTA_EXPR_NAME);
  const decoder = decoders.get(name);
  const present = frame.has(NFTA_EXPR_DATA);
  const start = present ? frame.offset(NFTA_EXPR_DATA) : 0;
  const end = present ? start + frame.size(NFTA_EXPR_DATA) : 0;
  if (decoder) {
    try {
      return decoder(attributes.parse(frame.bytes, frame.view, start, end));
    } catch (error) {
      // A newer kernel's values, or a message that was cut: kept as it came.
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return unknownExpression(name, frame.bytes, start, end);
}

function putStateful(writer: MessageWriter, e: StatefulExpression): void {
  encodeStateful(writer, e);
}
