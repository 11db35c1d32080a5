/**
 * Any message, as one value that a person can look at: for tools, tests and logs. Sessions take OPEN and its kin
 * apart with the same functions; UPDATEs in bulk go through `update.ts`, `nlri.ts` and `pack.ts` instead, and what
 * they come to is what this file says.
 */

import type { Prefix } from './address.ts';
import { checkAttributes, decodeAttributes, encodeAttributes } from './attributes.ts';
import { getU32, putU32 } from './bytes.ts';
import {
  type Family,
  IPV4_UNICAST,
  IPV6_UNICAST,
  KEEPALIVE,
  MAX_EXTENDED_MESSAGE,
  MAX_MESSAGE,
  NOTIFICATION,
  OPEN,
  ROUTE_REFRESH,
  UPDATE,
} from './constants.ts';
import { errorNotification } from './errors.ts';
import { encodeKeepalive } from './header.ts';
import { nextHopSize, putNextHop } from './next-hop.ts';
import { Ipv4Batch, type Ipv4Columns, Ipv6Batch, type Ipv6Columns } from './nlri.ts';
import {
  decodeNotification,
  ERROR_HEADER,
  encodeNotification,
  type Fault,
  fault,
  HEADER_BAD_TYPE,
  type Notification,
} from './notification.ts';
import { decodeOpen, encodeOpen, type Open } from './open.ts';
import { encodeEndOfRib, UpdatePacker } from './pack.ts';
import { decodeRouteRefresh, encodeRouteRefresh, type RouteRefresh } from './refresh.ts';
import type { AttributeError, CodecContext, NextHop, PathAttributes } from './types.ts';
import { UpdateScanner } from './update.ts';

/** A prefix as a message carries it: with a path identifier where ADD-PATH is agreed on. */
export type WirePrefix = Prefix & { readonly pathId?: number | undefined };

export type Withdrawal = {
  readonly family: Family;
  readonly prefixes: readonly WirePrefix[];
};

export type Announcement = Withdrawal & { readonly attributes: PathAttributes };

/**
 * What an UPDATE comes to. Routes whose attributes are malformed are among the withdrawn ones, as RFC 7606 treats
 * them.
 */
export type Update = {
  readonly kind: 'update';
  readonly withdrawn: readonly Withdrawal[];
  readonly announced: readonly Announcement[];
  readonly endOfRib?: Family | undefined;
  /** What was wrong, and was got over by discarding attributes or withdrawing routes. */
  readonly errors: readonly AttributeError[];
};

/**
 * An UPDATE that can not be got over; the last of `errors` says whether to reset the session or to disable a family.
 */
export type UpdateFault = Fault & { readonly errors: readonly AttributeError[] };

export type Message =
  | Open
  | Update
  | RouteRefresh
  | { readonly kind: 'keepalive' }
  | { readonly kind: 'notification'; readonly notification: Notification };

/** The message of this type with this body, which the framer has passed. */
export function decodeMessage(
  type: number,
  body: Uint8Array,
  context: CodecContext,
): Message | Fault | UpdateFault {
  switch (type) {
    case OPEN:
      return decodeOpen(body);
    case UPDATE:
      return decodeUpdate(body, context);
    case NOTIFICATION:
      return { kind: 'notification', notification: decodeNotification(body) };
    case KEEPALIVE:
      return { kind: 'keepalive' };
    case ROUTE_REFRESH:
      return decodeRouteRefresh(body);
    default:
      return fault(`message type ${type}`, ERROR_HEADER, HEADER_BAD_TYPE, Uint8Array.of(type));
  }
}

/** The bytes of a message: of an UPDATE as many messages as it takes, of any other one. */
export function encodeMessage(
  message: Message,
  context: CodecContext,
  maxLength: number = MAX_MESSAGE,
): Uint8Array[] {
  switch (message.kind) {
    case 'open':
      return [encodeOpen(message)];
    case 'update':
      return encodeUpdate(message, context, maxLength);
    case 'notification':
      return [encodeNotification(message.notification, maxLength)];
    case 'keepalive':
      return [encodeKeepalive()];
    case 'route-refresh':
      return [encodeRouteRefresh(message.family, message.subtype)];
  }
}

/** What the UPDATE with this body comes to. Families other than IPv4 and IPv6 unicast are passed over. */
export function decodeUpdate(body: Uint8Array, context: CodecContext): Update | UpdateFault {
  const scanner = new UpdateScanner();
  if (!scanner.scan(body, 0, body.length, context.extendedNextHop === true))
    return updateFault([scanner.error!]);

  const addPath = (family: Family): boolean => context.addPathReceive?.includes(family) === true;
  const classic = addPath(IPV4_UNICAST);
  const withdrawn = readPrefixes(IPV4_UNICAST, body, scanner.withdrawnStart, scanner.withdrawnEnd, classic);
  if (typeof withdrawn === 'string') return updateFault([scanner.networkError('withdrawn', withdrawn)]);
  const nlri = readPrefixes(IPV4_UNICAST, body, scanner.nlriStart, scanner.nlriEnd, classic);
  if (typeof nlri === 'string') return updateFault([scanner.networkError('nlri', nlri)]);
  const { reachFamily, unreachFamily } = scanner;
  const unreach = readPrefixes(
    unreachFamily,
    body,
    scanner.unreachStart,
    scanner.unreachEnd,
    addPath(unreachFamily),
  );
  if (typeof unreach === 'string') return updateFault([scanner.networkError('unreach', unreach)]);
  const reach = readPrefixes(reachFamily, body, scanner.reachStart, scanner.reachEnd, addPath(reachFamily));
  if (typeof reach === 'string') return updateFault([scanner.networkError('reach', reach)]);

  const update = {
    kind: 'update' as const,
    withdrawn: [] as Withdrawal[],
    announced: [] as Announcement[],
    endOfRib: scanner.endOfRib === 0 ? undefined : scanner.endOfRib,
    errors: [] as AttributeError[],
  };
  if (withdrawn.length > 0) update.withdrawn.push({ family: IPV4_UNICAST, prefixes: withdrawn });
  if (unreach.length > 0) update.withdrawn.push({ family: unreachFamily, prefixes: unreach });

  const key = scanner.key();
  if (!scanner.announces) {
    const { notification, errors } = checkAttributes(key, context);
    if (notification !== undefined) return updateFault(errors);
    update.errors.push(...errors);
    return update;
  }
  const lists: [Family, WirePrefix[], NextHop | undefined][] = [];
  if (nlri.length > 0) lists.push([IPV4_UNICAST, nlri, undefined]);
  if (reach.length > 0) lists.push([reachFamily, reach, scanner.reachNextHop()]);
  for (const [family, prefixes, nextHop] of lists) {
    const decoded = decodeAttributes(key, context, nextHop);
    if (decoded.kind === 'reset') return updateFault(decoded.errors);
    if (decoded.kind === 'attributes')
      update.announced.push({ family, prefixes, attributes: decoded.attributes });
    else update.withdrawn.push({ family, prefixes });
    update.errors.push(...decoded.errors);
  }
  return update;
}

/**
 * The messages that say what an UPDATE does, each of them with one list of prefixes (RFC 7606 section 5.1).
 *
 * @throws RangeError if attributes leave no room for a prefix.
 */
export function encodeUpdate(
  update: Update,
  context: CodecContext,
  maxLength: number = MAX_MESSAGE,
): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const packer = new UpdatePacker(maxLength);
  const out = new Uint8Array(maxLength);
  const drain = (count: number, write: (from: number) => number): void => {
    for (let row = 0; row < count; row = packer.next) {
      const end = write(row);
      if (end === 0) throw new RangeError('attributes leave no room for a prefix');
      messages.push(out.slice(0, end));
    }
  };
  for (const { family, prefixes } of update.withdrawn) {
    const rows = Uint32Array.from(prefixes.keys());
    const addPath = context.addPathSend?.includes(family) === true;
    if (family === IPV4_UNICAST) {
      const columns = columns4(prefixes, addPath);
      drain(prefixes.length, (from) => packer.withdraw4(out, 0, columns, rows, from, rows.length));
    } else {
      const columns = columns6(prefixes, addPath);
      drain(prefixes.length, (from) => packer.withdraw6(out, 0, columns, rows, from, rows.length));
    }
  }
  for (const { family, prefixes, attributes } of update.announced) {
    const rows = Uint32Array.from(prefixes.keys());
    const addPath = context.addPathSend?.includes(family) === true;
    const block = new Uint8Array(MAX_EXTENDED_MESSAGE);
    const encoded = block.subarray(0, Math.max(0, encodeAttributes(attributes, context, block, 0)));
    const nextHop = new Uint8Array(nextHopSize(attributes.nextHop));
    putNextHop(attributes.nextHop, nextHop, 0);
    if (family !== IPV4_UNICAST) {
      const columns = columns6(prefixes, addPath);
      drain(prefixes.length, (from) =>
        packer.announce6(out, 0, nextHop, encoded, columns, rows, from, rows.length),
      );
      continue;
    }
    const columns = columns4(prefixes, addPath);
    if (attributes.nextHop.family === 4) {
      drain(prefixes.length, (from) => packer.announce4(out, 0, encoded, columns, rows, from, rows.length));
    } else {
      drain(prefixes.length, (from) =>
        packer.announceMp4(out, 0, nextHop, encoded, columns, rows, from, rows.length),
      );
    }
  }
  if (update.endOfRib !== undefined) messages.push(encodeEndOfRib(update.endOfRib));
  return messages;
}

function columns4(prefixes: readonly WirePrefix[], addPath: boolean): Ipv4Columns {
  return {
    addresses: Uint32Array.from(prefixes, ({ bytes }) => getU32(bytes, 0)),
    lengths: Uint8Array.from(prefixes, ({ length }) => length),
    pathIds: addPath ? Uint32Array.from(prefixes, ({ pathId }) => pathId ?? 0) : undefined,
  };
}

function columns6(prefixes: readonly WirePrefix[], addPath: boolean): Ipv6Columns {
  return {
    words: Uint32Array.from(prefixes.flatMap(({ bytes }) => [0, 4, 8, 12].map((at) => getU32(bytes, at)))),
    lengths: Uint8Array.from(prefixes, ({ length }) => length),
    pathIds: addPath ? Uint32Array.from(prefixes, ({ pathId }) => pathId ?? 0) : undefined,
  };
}

/**
 * The prefixes of a list; none for a family that this speaker does not carry; text if the list is not well formed.
 */
function readPrefixes(
  family: Family,
  bytes: Uint8Array,
  start: number,
  end: number,
  addPath: boolean,
): WirePrefix[] | string {
  if (start === end) return [];
  if (family === IPV4_UNICAST) {
    const batch = new Ipv4Batch(end - start);
    if (!batch.read(bytes, start, end, addPath)) return batch.reason;
    return Array.from({ length: batch.count }, (_, row) => {
      const address = new Uint8Array(4);
      putU32(address, 0, batch.addresses[row]!);
      return wirePrefix(4, address, batch.lengths[row]!, addPath ? batch.pathIds[row] : undefined);
    });
  }
  if (family === IPV6_UNICAST) {
    const batch = new Ipv6Batch(end - start);
    if (!batch.read(bytes, start, end, addPath)) return batch.reason;
    return Array.from({ length: batch.count }, (_, row) => {
      const address = new Uint8Array(16);
      for (let i = 0; i < 4; i++) putU32(address, 4 * i, batch.words[4 * row + i]!);
      return wirePrefix(6, address, batch.lengths[row]!, addPath ? batch.pathIds[row] : undefined);
    });
  }
  return [];
}

function wirePrefix(
  family: 4 | 6,
  bytes: Uint8Array,
  length: number,
  pathId: number | undefined,
): WirePrefix {
  return pathId === undefined ? { family, bytes, length } : { family, bytes, length, pathId };
}

function updateFault(errors: readonly AttributeError[]): UpdateFault {
  const severe = errors.find(({ action }) => action === 'reset' || action === 'disable');
  const error = severe ?? errors.find(({ action }) => action === 'withdraw') ?? errors[0]!;
  return { kind: 'fault', notification: errorNotification(error), reason: error.reason, errors };
}
