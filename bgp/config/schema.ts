/**
 * The shape of the configuration file, field by field. Defaults are filled in by `resolve.ts`.
 */

import { z } from 'zod';
import { boolean, integer, leaf, mapping, name, oneOf, seconds, text } from '#daemon/leaves.ts';
import { filter } from './filter-schema.ts';
import { address, asNumber, community, familyName, identifier, prefix, remoteAs } from './leaves.ts';

const DAY = 86_400;
const port = integer(1, 65535, 'a port');
const filterNames = leaf(
  'the name of a filter, or a list of them',
  (value): readonly string[] | undefined => {
    const names: unknown[] = Array.isArray(value) ? value : [value];
    return names.every((item) => typeof item === 'string' && item !== '') ? (names as string[]) : undefined;
  },
);

const maxPrefixes = mapping({
  limit: integer(1, 0xffffffff),
  warnAt: integer(1, 100, 'per cent').optional(),
  action: oneOf('warn', 'stop').optional(),
  restart: seconds(1, 7 * DAY).optional(),
});

/** What may be said of a neighbour for all its families and again for each of them. */
const familyFields = {
  import: filterNames.optional(),
  export: filterNames.optional(),
  maxPrefixes: maxPrefixes.optional(),
  nextHop: oneOf('auto', 'self', 'keep').optional(),
  allowOwnAs: integer(0, 10, 'a number of times').optional(),
};

const family = mapping(familyFields);

/** Either names only, or a mapping from names to what differs for them. */
const families = z.preprocess(
  (value) => (Array.isArray(value) ? namesToMapping(value) : value),
  mapping({ 'ipv4-unicast': family.nullish(), 'ipv6-unicast': family.nullish() }),
);

const peerFields = {
  description: text('text of up to 255 bytes').optional(),
  enabled: boolean.optional(),
  shutdownMessage: text('text of up to 255 bytes').optional(),
  remoteAs: remoteAs.optional(),
  localAs: asNumber.optional(),
  port: port.optional(),
  // The kernel takes keys of up to TCP_MD5SIG_MAXKEYLEN bytes.
  password: text('text of 1 to 80 bytes', 80).optional(),
  passwordFile: text('the name of a file').optional(),
  passive: boolean.optional(),
  multihop: integer(1, 255, 'a number of hops').optional(),
  ttlSecurity: integer(1, 254, 'a number of hops').optional(),
  sourceAddress: address.optional(),
  interface: leaf('the name of a network interface', (value) => {
    return typeof value === 'string' && /^[^\s/]{1,15}$/.test(value) ? value : undefined;
  }).optional(),
  timers: mapping({
    hold: leaf('0, or seconds from 3 to 65535', (value) => {
      return Number.isInteger(value) &&
        (value === 0 || ((value as number) >= 3 && (value as number) <= 65535))
        ? (value as number)
        : undefined;
    }).optional(),
    keepalive: integer(1, 21845, 'seconds').optional(),
    connectRetry: seconds(1, DAY).optional(),
    delayOpen: seconds(0, 240).optional(),
    idleHold: seconds(0.1, DAY).optional(),
    idleHoldMax: seconds(0.1, DAY).optional(),
    sendHold: leaf('auto, 0, or seconds up to 86400', (value): number | 'auto' | undefined => {
      return value === 'auto' ||
        (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= DAY)
        ? (value as number | 'auto')
        : undefined;
    }).optional(),
  }).optional(),
  extendedMessages: boolean.optional(),
  enhancedRefresh: boolean.optional(),
  families: families.optional(),
  ...familyFields,
  routeReflectorClient: boolean.optional(),
  asOverride: boolean.optional(),
  gracefulShutdown: boolean.optional(),
};

export const peerGroup = mapping(peerFields);

export const peer = mapping({
  address: address.optional(),
  prefix: prefix.optional(),
  limit: integer(1, 100_000, 'a number of neighbours').optional(),
  group: name.optional(),
  ...peerFields,
});

export const listen = mapping({ address, port: port.optional() });

export const originate = mapping({
  prefix,
  blackhole: boolean.optional(),
  communities: z.array(community).optional(),
});

/** The fields of the document that are neither lists nor named things. */
export const general = {
  routerId: identifier,
  as: asNumber,
  clusterId: identifier.optional(),
  gracefulShutdown: boolean.optional(),
  decision: mapping({ alwaysCompareMed: boolean.optional(), preferOldest: boolean.optional() }).optional(),
  ecmp: mapping({
    maxPaths: integer(1, 256, 'a number of paths').optional(),
    ebgp: boolean.optional(),
    ibgp: boolean.optional(),
    asPathRelax: boolean.optional(),
  }).optional(),
  kernel: mapping({
    enabled: boolean.optional(),
    table: integer(1, 0xffffffff, 'a routing table').optional(),
    // 0 to 4 are the kernel's own (RTPROT_UNSPEC to RTPROT_STATIC).
    protocol: integer(5, 255, 'a routing protocol number').optional(),
    // 0 is the kernel's own: for IPv6 it makes 1024 of it.
    metric: integer(1, 0xffffffff, 'a metric').optional(),
    families: z.array(familyName).optional(),
  }).optional(),
  api: mapping({ socket: text('the path of a socket', 107).optional() }).optional(),
  log: mapping({ level: oneOf('error', 'warn', 'info', 'debug').optional() }).optional(),
};

export { filter };

export type GeneralFields = z.output<z.ZodObject<typeof general>>;
export type PeerFields = z.output<typeof peerGroup>;
export type PeerEntry = z.output<typeof peer>;
export type ListenEntry = z.output<typeof listen>;
export type OriginateEntry = z.output<typeof originate>;

function namesToMapping(names: readonly unknown[]): unknown {
  return names.every((item) => typeof item === 'string')
    ? Object.fromEntries(names.map((item) => [item, {}]))
    : names;
}
