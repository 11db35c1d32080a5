/**
 * From changes to messages: packed, and in parts of a size that every gRPC reader takes (4 MiB unless it is told
 * otherwise).
 */

import type { AddressKey, Family } from '#datastore/address.ts';
import { margay } from '#proto/generated/policy.js';
import { type PortSet, type PortVerdicts, PROTOCOLS } from '#proto/ports.ts';
import { type ClassId, DIRECTIONS, type Direction, type EndpointRules, type PodKey } from '#proto/program.ts';
import type { BlockRange, EndpointProgram } from '../program/program.ts';
import type { Pending } from './pending.ts';

type Update = margay.policy.v1.IUpdate;

/** Changes that take effect together, ready to be told. */
export interface Batch {
  readonly changes: Pending;
  /** Of classes that the reader has not been told about. */
  readonly meanings: ReadonlyMap<ClassId, readonly string[]>;
  readonly number: number;
  /** Seconds since 1970. */
  readonly at: number;
}

/** Bytes that a part has at most, but for a single thing that is larger. */
export const PART_BYTES = 256 << 10;

/** All parts of a batch, one after the other, each made when it is asked for. The last one has the commit. */
export function* pack({ changes, meanings, number, at }: Batch, limit = PART_BYTES): Generator<Update> {
  let part: Part = changes.snapshot ? { snapshot: true } : {};
  let size = 0;
  for (const [field, item, bytes] of pieces(changes, meanings, limit)) {
    if (size > 0 && size + bytes > limit) {
      yield part;
      part = {};
      size = 0;
    }
    const items: unknown[] = part[field] ?? [];
    items.push(item);
    part[field] = items as never;
    size += bytes;
  }
  part.commit = { number, at };
  yield part;
}

type Field = 'endpoints' | 'removedEndpoints' | 'entries' | 'members' | 'blocks' | 'meanings';
type Part = { -readonly [K in keyof Update]: Update[K] };

/** A thing that goes into a field of a part as it is, and about how many bytes it takes there. */
type Piece = readonly [field: Field, item: unknown, bytes: number];

const v1 = margay.policy.v1;
const DIRECTION: Readonly<Record<Direction, margay.policy.v1.Direction>> = {
  ingress: v1.Direction.INGRESS,
  egress: v1.Direction.EGRESS,
};

/** A tag, a length and the like. */
const OVERHEAD = 8;
const CLASS_BYTES = 16;

function* pieces(changes: Pending, meanings: Batch['meanings'], limit: number): Generator<Piece> {
  for (const [id, texts] of meanings) {
    const text = [...texts];
    const bytes = text.reduce((sum, { length }) => sum + OVERHEAD + 3 * length, CLASS_BYTES + OVERHEAD);
    yield ['meanings', { class: classBytes(id), text }, bytes];
  }
  for (const [pod, program] of changes.endpoints) {
    if (program === undefined) yield ['removedEndpoints', pod, OVERHEAD + pod.length];
    else yield ['endpoints', endpoint(pod, program), endpointBytes(pod, program)];
  }
  for (const direction of DIRECTIONS) {
    const { entries, addresses, blocks } = changes[direction];
    for (const [id, pods] of entries) {
      for (const [pod, verdicts] of pods)
        yield ['entries', entry(direction, id, pod, verdicts), entryBytes(pod, verdicts)];
    }
    for (const [id, group] of byClass(addresses)) yield* membersOf(direction, id, group, limit);
    for (const [family, ranges] of blocks) yield* blocksOf(direction, family, ranges ?? [], limit);
  }
}

function endpoint(
  pod: PodKey,
  { uid, addresses, ingress, egress }: EndpointProgram,
): margay.policy.v1.IEndpoint {
  return {
    pod,
    uid,
    addresses: addresses.map((address) => addressBytes([address])),
    ingress: rules(ingress),
    egress: rules(egress),
  };
}

function rules({ isolated, anyPeer, otherwise }: EndpointRules): margay.policy.v1.IRules {
  return { isolated, anyPeer: ports(anyPeer), otherwise: ports(otherwise) };
}

function endpointBytes(pod: PodKey, { uid, addresses, ingress, egress }: EndpointProgram): number {
  const sets = [ingress.anyPeer, ingress.otherwise, egress.anyPeer, egress.otherwise];
  const text = OVERHEAD + 3 * (pod.length + uid.length);
  return sets.reduce((sum, set) => sum + portBytes(set), text + 24 * addresses.length);
}

function entry(
  direction: Direction,
  id: ClassId,
  pod: PodKey,
  verdicts: PortVerdicts | undefined,
): margay.policy.v1.IEntry {
  const key = { direction: DIRECTION[direction], class: classBytes(id), pod };
  if (verdicts === undefined) return key;
  return { ...key, accept: ports(verdicts.accept), drop: ports(verdicts.drop) };
}

function entryBytes(pod: PodKey, verdicts: PortVerdicts | undefined): number {
  const key = CLASS_BYTES + 2 * OVERHEAD + pod.length;
  return verdicts === undefined ? key : key + portBytes(verdicts.accept) + portBytes(verdicts.drop);
}

/** Addresses that are of no class any more are under ''. */
function byClass(addresses: ReadonlyMap<AddressKey, ClassId | undefined>): Map<ClassId, AddressKey[]> {
  const classes = new Map<ClassId, AddressKey[]>();
  for (const [address, id = ''] of addresses) {
    const group = classes.get(id);
    if (group === undefined) classes.set(id, [address]);
    else group.push(address);
  }
  return classes;
}

function* membersOf(
  direction: Direction,
  id: ClassId,
  addresses: readonly AddressKey[],
  limit: number,
): Generator<Piece> {
  const most = Math.max(1, Math.floor(limit / 16));
  for (let from = 0; from < addresses.length; from += most) {
    const some = addresses.slice(from, from + most);
    const item = {
      direction: DIRECTION[direction],
      class: classBytes(id),
      ipv4: addressBytes(some.filter(({ length }) => length === 2)),
      ipv6: addressBytes(some.filter(({ length }) => length !== 2)),
    };
    yield ['members', item, CLASS_BYTES + 3 * OVERHEAD + item.ipv4.length + item.ipv6.length];
  }
}

/** A list that is longer than a part goes on in the next one. */
function* blocksOf(
  direction: Direction,
  family: Family,
  ranges: readonly BlockRange[],
  limit: number,
): Generator<Piece> {
  const each = 2 * (family === 4 ? 4 : 16) + CLASS_BYTES;
  const most = Math.max(1, Math.floor(limit / each));
  let from = 0;
  do {
    const some = ranges.slice(from, from + most);
    const item = {
      direction: DIRECTION[direction],
      family,
      ranges: addressBytes(some.flatMap(({ first, last }) => [first, last])),
      classes: Buffer.from(some.map((range) => range.class).join(''), 'hex'),
      continued: from > 0,
    };
    yield ['blocks', item, 2 * OVERHEAD + each * some.length];
    from += most;
  } while (from < ranges.length);
}

/** Most pods share their port sets with others. */
const known = new WeakMap<PortSet, margay.policy.v1.IPorts | null>();

/** `null`, which is left out, for none. */
function ports(set: PortSet): margay.policy.v1.IPorts | null {
  let message = known.get(set);
  if (message === undefined) {
    const [tcp, udp, sctp] = PROTOCOLS.map((protocol) =>
      set.lanes[protocol].flatMap(({ first, last }) => [first, last]),
    ) as [number[], number[], number[]];
    const isEmpty = !set.other && tcp.length + udp.length + sctp.length === 0;
    message = isEmpty ? null : { tcp, udp, sctp, other: set.other };
    known.set(set, message);
  }
  return message;
}

function portBytes({ lanes }: PortSet): number {
  return PROTOCOLS.reduce((sum, protocol) => sum + 2 + 6 * lanes[protocol].length, OVERHEAD);
}

function classBytes(id: ClassId): Buffer {
  return Buffer.from(id, 'hex');
}

/** In network order, one after the other. */
function addressBytes(addresses: readonly AddressKey[]): Buffer {
  // A unit of a key is 16 bits of an address.
  return Buffer.from(addresses.join(''), 'utf16le').swap16();
}
