import type { Attributes } from '../../netlink/reader.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { Enumeration } from '../enumeration.ts';
import type { AnonymousSet, ObjectKind } from '../model.ts';
import { type Register, registerFrom, registerNumber } from '../register.ts';
import type { SetNames } from './expression.ts';

// enum nft_objref_attributes
const IMM_TYPE = 1;
const IMM_NAME = 2;
const SET_SREG = 3;
const SET_NAME = 4;
const SET_ID = 5;

/** NFT_OBJECT_* */
export const objectKinds = new Enumeration<ObjectKind>('object type', { counter: 1, quota: 2, limit: 4 });

// The names go without a terminating zero, as libnftnl writes them; the kernel takes both.

/** Counts on, or is held to, a named counter, quota or limit. */
export interface ObjrefExpression {
  readonly kind: 'objref';
  readonly type: ObjectKind;
  readonly name: string;
}

/** The same, with the object that a map leads to. */
export interface ObjrefMapExpression {
  readonly kind: 'objref map';
  readonly from: Register;
  readonly map: string | AnonymousSet;
}

export function encodeObjref(
  writer: MessageWriter,
  expression: ObjrefExpression | ObjrefMapExpression,
  names: SetNames,
): void {
  if (expression.kind === 'objref') {
    writer.be32(IMM_TYPE, objectKinds.number(expression.type));
    writer.raw(IMM_NAME, Buffer.from(expression.name));
  } else {
    const { name, id } = names.of(expression.map);
    writer.be32(SET_SREG, registerNumber(expression.from));
    writer.raw(SET_NAME, Buffer.from(name));
    if (id !== undefined) writer.be32(SET_ID, id);
  }
}

export function decodeObjref(attributes: Attributes): ObjrefExpression | ObjrefMapExpression {
  if (attributes.has(SET_NAME)) {
    return {
      kind: 'objref map',
      from: registerFrom(attributes.be32(SET_SREG)),
      map: attributes.string(SET_NAME),
    };
  }
  return {
    kind: 'objref',
    type: objectKinds.name(attributes.be32(IMM_TYPE)),
    name: attributes.string(IMM_NAME),
  };
}
