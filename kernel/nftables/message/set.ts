import { Attributes } from '../../netlink/reader.ts';
import type { Message } from '../../netlink/socket.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import { type DataTypeName, dataType, typeBytes, typeNumber, typesOf } from '../datatype.ts';
import { NFTA_LIST_ELEM } from '../expression/frame.ts';
import { objectKinds } from '../expression/objref.ts';
import { putStatefulList, takeStatefulList } from '../expression/stateful.ts';
import type { SetDefinition, SetShape, TableRef } from '../model.ts';
import { putSetData, takeSetData } from '../userdata.ts';
import { decode } from './header.ts';

// enum nft_set_attributes
const TABLE = 1;
const NAME = 2;
const FLAGS = 3;
const KEY_TYPE = 4;
const KEY_LEN = 5;
const DATA_TYPE = 6;
const DATA_LEN = 7;
const POLICY = 8;
const DESC = 9;
const ID = 10;
const TIMEOUT = 11;
const GC_INTERVAL = 12;
const USERDATA = 13;
const OBJ_TYPE = 15;
const HANDLE = 16;
const EXPR = 17;
const EXPRESSIONS = 18;
// enum nft_set_desc_attributes, nft_set_field_attributes
const DESC_SIZE = 1;
const DESC_CONCAT = 2;
const FIELD_LEN = 1;
// enum nft_set_flags
const F_ANONYMOUS = 0x1;
const F_CONSTANT = 0x2;
const F_INTERVAL = 0x4;
const F_MAP = 0x8;
const F_TIMEOUT = 0x10;
const F_EVAL = 0x20;
const F_OBJECT = 0x40;
const F_CONCAT = 0x80;
const F_EXPR = 0x100;
/** enum nft_data_types */
const NFT_DATA_VERDICT = 0xffffff00;
/** enum nft_set_policies */
const POLICY_MEMORY = 1;

/** How a set is called in the message that makes it. */
export interface SetName {
  readonly name: string;
  /** Number by which the rest of the transaction may call it. */
  readonly id: number;
  /** The kernel puts a number in the place of the `%d` in the name, and the set goes with its rule. */
  readonly anonymous?: boolean;
}

/** Writes the attributes of a new set or map. */
export function putSet(
  writer: MessageWriter,
  table: TableRef,
  set: SetShape & Partial<SetDefinition>,
  { name, id, anonymous = false }: SetName,
): void {
  const { key, value, object, interval = false } = set;
  const state = set.state ?? [];
  const concatenated = interval && key.length > 1;
  writer.string(TABLE, table.name);
  writer.string(NAME, name);
  writer.be32(
    FLAGS,
    (anonymous ? F_ANONYMOUS : 0) |
      (anonymous || set.constant ? F_CONSTANT : 0) |
      (interval ? F_INTERVAL : 0) |
      (value !== undefined ? F_MAP : 0) |
      (set.timeout !== undefined ? F_TIMEOUT : 0) |
      (set.dynamic ? F_EVAL : 0) |
      (object !== undefined ? F_OBJECT : 0) |
      (concatenated ? F_CONCAT : 0) |
      (state.length > 1 ? F_EXPR : 0),
  );
  writer.be32(KEY_TYPE, typeNumber(key));
  writer.be32(KEY_LEN, typeBytes(key));
  if (value !== undefined) {
    writer.be32(DATA_TYPE, value === 'verdict' ? NFT_DATA_VERDICT : typeNumber(value));
    writer.be32(DATA_LEN, value === 'verdict' ? 0 : typeBytes(value));
  }
  if (object !== undefined) writer.be32(OBJ_TYPE, objectKinds.number(object));
  writer.be32(ID, id);
  if (set.policy === 'memory') writer.be32(POLICY, POLICY_MEMORY);
  if (set.size !== undefined || concatenated) {
    const desc = writer.nest(DESC);
    if (set.size !== undefined) writer.be32(DESC_SIZE, set.size);
    if (concatenated) putFieldLengths(writer, key);
    writer.nestEnd(desc);
  }
  if (set.timeout) writer.be64(TIMEOUT, BigInt(set.timeout));
  if (set.gcInterval !== undefined) writer.be32(GC_INTERVAL, set.gcInterval);
  putSetData(writer, USERDATA, set);
  putStatefulList(writer, EXPR, EXPRESSIONS, state);
}

/** Names a set in a request about it. */
export function putSetRef(writer: MessageWriter, table: TableRef, set: string): void {
  writer.string(TABLE, table.name);
  writer.string(NAME, set);
}

/** A set as the kernel has it. */
export interface TakenSet {
  readonly table: TableRef;
  readonly name: string;
  readonly handle: number;
  /** The kernel named it, and it belongs to one rule. */
  readonly anonymous: boolean;
  /** Absent for a set whose keys have a type that this layer does not know. */
  readonly definition?: SetDefinition;
}

/** @throws DecodeError */
export function takeSet(message: Message): TakenSet {
  return decode('set', EXPRESSIONS, message, (attributes, family) => {
    const definition = takeDefinition(attributes);
    return {
      table: { family, name: attributes.string(TABLE) },
      name: attributes.string(NAME),
      handle: Number(attributes.be64(HANDLE, 0n)),
      anonymous: (attributes.be32(FLAGS, 0) & F_ANONYMOUS) !== 0,
      ...(definition ? { definition } : {}),
    };
  });
}

function takeDefinition(attributes: Attributes): SetDefinition | undefined {
  const flags = attributes.be32(FLAGS, 0);
  const key = knownTypes(attributes.be32(KEY_TYPE, 0));
  const value = flags & F_MAP ? takeValueType(attributes) : undefined;
  const object = flags & F_OBJECT ? objectKinds.find(attributes.be32(OBJ_TYPE, 0)) : undefined;
  // A set of other keys is not one that this layer made.
  if (!key || key.length === 0 || typeBytes(key) !== attributes.be32(KEY_LEN, 0)) return undefined;
  if ((flags & F_MAP && !value) || (flags & F_OBJECT && !object)) return undefined;
  const desc = attributes.has(DESC) ? new Attributes(DESC_CONCAT).parseNested(attributes, DESC) : undefined;
  const state = takeStatefulList(attributes, EXPR, EXPRESSIONS);
  return {
    name: attributes.string(NAME),
    key,
    ...(value ? { value } : {}),
    ...(object ? { object } : {}),
    ...(flags & F_INTERVAL ? { interval: true } : {}),
    ...(flags & F_CONSTANT ? { constant: true } : {}),
    ...(flags & F_EVAL ? { dynamic: true } : {}),
    ...(flags & F_TIMEOUT ? { timeout: Number(attributes.be64(TIMEOUT, 0n)) } : {}),
    ...(attributes.has(GC_INTERVAL) ? { gcInterval: attributes.be32(GC_INTERVAL) } : {}),
    ...(desc?.has(DESC_SIZE) ? { size: desc.be32(DESC_SIZE) } : {}),
    ...(attributes.be32(POLICY, 0) === POLICY_MEMORY ? { policy: 'memory' as const } : {}),
    ...(state.length > 0 ? { state } : {}),
    ...takeSetData(attributes, USERDATA),
  };
}

function takeValueType(attributes: Attributes): 'verdict' | DataTypeName[] | undefined {
  const type = attributes.be32(DATA_TYPE, 0);
  if (type === NFT_DATA_VERDICT) return 'verdict';
  const types = knownTypes(type);
  return types && types.length > 0 && typeBytes(types) === attributes.be32(DATA_LEN, 0) ? types : undefined;
}

function knownTypes(number: number): DataTypeName[] | undefined {
  try {
    return typesOf(number);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Tells the kernel where the fields of a concatenation end (bytes). */
function putFieldLengths(writer: MessageWriter, key: readonly DataTypeName[]): void {
  const list = writer.nest(DESC_CONCAT);
  for (const name of key) {
    const element = writer.nest(NFTA_LIST_ELEM);
    writer.be32(FIELD_LEN, dataType(name).bytes);
    writer.nestEnd(element);
  }
  writer.nestEnd(list);
}
