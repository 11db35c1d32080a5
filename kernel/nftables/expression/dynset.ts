import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import type { SetNames } from './expression.ts';
import { putStatefulList, type StatefulExpression, takeStatefulList } from './stateful.ts';

// enum nft_dynset_attributes
const SET_NAME = 1;
const SET_ID = 2;
const OP = 3;
const SREG_KEY = 4;
const SREG_DATA = 5;
const TIMEOUT = 6;
const EXPR = 7;
const FLAGS = 9;
const EXPRESSIONS = 10;
// enum nft_dynset_flags
const INVERTED = 1;
const HAS_EXPRESSIONS = 2;

export type DynsetOperation = 'add' | 'update' | 'delete';
/** enum nft_dynset_ops */
const operations = new Enumeration<DynsetOperation>('dynset operation', ['add', 'update', 'delete']);

/** Adds the packet's key to a set, or starts its timeout over (`update`). */
export interface DynsetExpression {
  readonly kind: 'dynset';
  readonly op: DynsetOperation;
  readonly set: string;
  readonly key: Register;
  /** Register of what the key leads to, for a map. */
  readonly value?: Register;
  /** In ms; the set's own when absent. */
  readonly timeout?: number;
  /** What the element gets, e.g. a limit: the rule goes on while that lets it. */
  readonly state?: readonly StatefulExpression[];
  readonly inverted?: boolean;
}

export function encodeDynset(writer: MessageWriter, e: DynsetExpression, names: SetNames): void {
  const { name, id } = names.of(e.set);
  const state = e.state ?? [];
  writer.be32(SREG_KEY, registerNumber(e.key));
  if (e.value !== undefined) writer.be32(SREG_DATA, registerNumber(e.value));
  writer.be32(OP, operations.number(e.op));
  if (e.timeout !== undefined) writer.be64(TIMEOUT, BigInt(e.timeout));
  writer.string(SET_NAME, name);
  if (id !== undefined) writer.be32(SET_ID, id);
  putStatefulList(writer, EXPR, EXPRESSIONS, state);
  const flags = (e.inverted ? INVERTED : 0) | (state.length > 1 ? HAS_EXPRESSIONS : 0);
  if (flags) writer.be32(FLAGS, flags);
}

export function decodeDynset(attributes: Attributes): DynsetExpression {
  const timeout = Number(attributes.be64(TIMEOUT, 0n));
  const e = {
    kind: 'dynset',
    op: operations.name(attributes.be32(OP)),
    set: attributes.string(SET_NAME),
    key: registerFrom(attributes.be32(SREG_KEY)),
    ...(attributes.has(SREG_DATA) ? { value: registerFrom(attributes.be32(SREG_DATA)) } : {}),
    ...(timeout > 0 ? { timeout } : {}),
    ...(attributes.be32(FLAGS, 0) & INVERTED ? { inverted: true } : {}),
  } as const;
  const state = takeStatefulList(attributes, EXPR, EXPRESSIONS);
  return { ...e, ...(state.length > 0 ? { state } : {}) };
}
