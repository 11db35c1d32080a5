import { Attributes } from '../../netlink/reader.ts';
import type { Message } from '../../netlink/socket.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { objectKinds } from '../expression/objref.ts';
import { encodeStateful, statefulDecoders } from '../expression/stateful.ts';
import type { ObjectKind, StatefulObject, TableRef } from '../model.ts';
import { putComment, takeComment } from '../userdata.ts';
import { decode } from './header.ts';

// enum nft_object_attributes
const TABLE = 1;
const NAME = 2;
const TYPE = 3;
const DATA = 4;
const HANDLE = 6;
const USERDATA = 8;

/** Writes the attributes of a new or changed counter, quota or limit. */
export function putObject(writer: MessageWriter, table: TableRef, object: StatefulObject): void {
  putObjectRef(writer, table, object.kind, object.name);
  putComment(writer, USERDATA, object.comment);
  const data = writer.nest(DATA);
  encodeStateful(writer, object, true);
  writer.nestEnd(data);
}

/** Names an object in a request about it. */
export function putObjectRef(writer: MessageWriter, table: TableRef, kind: ObjectKind, name: string): void {
  writer.string(TABLE, table.name);
  writer.string(NAME, name);
  writer.be32(TYPE, objectKinds.number(kind));
}

/** An object as the kernel has it. */
export interface TakenObject {
  readonly table: TableRef;
  readonly name: string;
  readonly handle: number;
  /** Absent for one of a kind that this layer does not know. */
  readonly object?: StatefulObject;
}

/** @throws DecodeError */
export function takeObject(message: Message): TakenObject {
  return decode('object', USERDATA, message, (attributes, family) => {
    const name = attributes.string(NAME);
    const kind = objectKinds.find(attributes.be32(TYPE));
    const taken = {
      table: { family, name: attributes.string(TABLE) },
      name,
      handle: Number(attributes.be64(HANDLE, 0n)),
    };
    // An event about a deleted object may come without its data.
    if (!kind || !attributes.has(DATA)) return taken;
    const state = statefulDecoders.get(kind)!(new Attributes(8).parseNested(attributes, DATA));
    return { ...taken, object: { ...state, name, ...takeComment(attributes, USERDATA) } as StatefulObject };
  });
}
