/**
 * What may be said of a neighbour, and of each of its address families.
 */

import { z } from 'zod';
import { boolean, integer, leaf, mapping, name, oneOf, seconds, text } from '#daemon/leaves.ts';
import { FAMILY_DEFAULTS, PEER_DEFAULTS } from './defaults.ts';
import { address, asNumber, nodeSelector, port, prefix, remoteAs } from './leaves.ts';

const DAY = 86_400;

const filterNames = leaf(
  'the name of a filter, or a list of them',
  (value): readonly string[] | undefined => {
    const names: unknown[] = Array.isArray(value) ? value : [value];
    return names.every((item) => typeof item === 'string' && item !== '') ? (names as string[]) : undefined;
  },
);

const maxPrefixes = mapping({
  limit: integer(1, 0xffffffff).meta({
    description: 'most prefixes to take',
    otherwise: 'required in `maxPrefixes`; without it there is no limit',
    example: 1000,
  }),
  warnAt: integer(1, 100, 'per cent').optional().meta({
    description: 'warn from this share of the limit on',
    default: FAMILY_DEFAULTS.maxPrefixes.warnAt,
    example: 90,
  }),
  action: oneOf('warn', 'stop').optional().meta({
    description: 'what to do above it: end the session, or only say so',
    default: FAMILY_DEFAULTS.maxPrefixes.action,
    example: 'warn',
  }),
  restart: seconds(1, 7 * DAY)
    .optional()
    .meta({
      description: 'time until a session that was stopped starts again',
      otherwise: 'only when told to',
      example: 300,
    }),
});

/** What may be said of a neighbour for all its families and again for each of them. */
export const familyFields = {
  import: filterNames.optional().meta({
    description: 'filters that routes from the neighbour go through, in this order',
    otherwise: 'all pass from internal neighbours, none from external ones (RFC 8212)',
    example: 'pods',
    change: 'runs import again',
  }),
  export: filterNames.optional().meta({
    description: 'filters that routes to the neighbour go through, in this order',
    otherwise: 'all pass to internal neighbours, none to external ones (RFC 8212)',
    example: ['own-prefixes', 'pods'],
    change: 'runs export again',
  }),
  maxPrefixes: maxPrefixes.optional(),
  nextHop: oneOf('auto', 'self', 'keep').optional().meta({
    description:
      'next hop of what is sent: as RFC 4271 section 5.1.3 says, this speaker, or that of the route; a link-local one is never passed on to another link',
    default: FAMILY_DEFAULTS.nextHop,
    example: 'self',
    change: 'runs export again',
  }),
  allowOwnAs: integer(0, 10, 'a number of times').optional().meta({
    description: 'how often our own AS may be in a path that is taken',
    default: FAMILY_DEFAULTS.allowOwnAs,
    example: 1,
    change: 'runs import again',
  }),
};

const family = mapping(familyFields);

/** Either names only, or a mapping from names to what differs for them. */
const families = z.preprocess(
  (value) => (Array.isArray(value) ? namesToMapping(value) : value),
  mapping({ 'ipv4-unicast': family.nullish(), 'ipv6-unicast': family.nullish() }),
);

function namesToMapping(names: readonly unknown[]): unknown {
  return names.every((item) => typeof item === 'string')
    ? Object.fromEntries(names.map((item) => [item, {}]))
    : names;
}

const timers = mapping({
  hold: leaf('0, or seconds from 3 to 65535', (value) => {
    return Number.isInteger(value) && (value === 0 || ((value as number) >= 3 && (value as number) <= 65535))
      ? (value as number)
      : undefined;
  })
    .optional()
    .meta({
      description:
        'hold time to propose; the shorter one of both sides holds, and 0 is for no keepalives and no hold time',
      default: PEER_DEFAULTS.timers.hold,
      example: 9,
      change: 'resets',
    }),
  keepalive: integer(1, 21845, 'seconds').optional().meta({
    description: 'time between two KEEPALIVEs',
    otherwise: 'a third of the agreed hold time',
    example: 3,
    change: 'resets',
  }),
  connectRetry: seconds(1, DAY).optional().meta({
    description: 'time between two attempts to connect',
    default: PEER_DEFAULTS.timers.connectRetry,
    example: 30,
  }),
  delayOpen: seconds(0, 240).optional().meta({
    description: "time to wait for the neighbour's OPEN before ours is sent",
    default: PEER_DEFAULTS.timers.delayOpen,
    example: 2,
  }),
  idleHold: seconds(0.1, DAY).optional().meta({
    description: 'time to wait after a failure; doubled with each one that follows',
    default: PEER_DEFAULTS.timers.idleHold,
    example: 5,
  }),
  idleHoldMax: seconds(0.1, DAY).optional().meta({
    description: 'what it is doubled up to; at least `timers.idleHold`',
    default: PEER_DEFAULTS.timers.idleHoldMax,
    example: 120,
  }),
  sendHold: leaf('auto, 0, or seconds up to 86400', (value): number | 'auto' | undefined => {
    return value === 'auto' || (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= DAY)
      ? (value as number | 'auto')
      : undefined;
  })
    .optional()
    .meta({
      description:
        'a neighbour that takes no data for so long is dropped (RFC 9687); `auto` is 480 s, or twice the hold time if that is more; 0 is never',
      default: PEER_DEFAULTS.timers.sendHold,
      example: 240,
    }),
});

/** What a neighbour or a peer group says, but for the families. */
export const sessionFields = {
  remoteAs: remoteAs.optional().meta({
    description: 'AS of the neighbour; a list where it may be one of several',
    otherwise: 'required, here or in the group',
    example: [64512, '65000-65100'],
    change: 'resets',
  }),
  localAs: asNumber.optional().meta({
    description: 'own AS towards this neighbour',
    otherwise: '`as` of the speaker',
    example: 64999,
    change: 'resets',
  }),
  description: text('text of up to 255 bytes').optional().meta({
    description: 'for people; shown in `margay bgp neighbors`',
    example: 'tor-1',
  }),
  enabled: boolean.optional().meta({
    description: 'with false the session is shut down',
    default: PEER_DEFAULTS.enabled,
    example: false,
    change: 'starts, stops',
  }),
  shutdownMessage: text('text of up to 255 bytes').optional().meta({
    description: 'told to the neighbour when it is shut down (RFC 9003)',
    example: 'new cable, back at 9:00',
  }),
  port: port.optional().meta({
    description: 'TCP port to connect to',
    default: PEER_DEFAULTS.port,
    example: 1790,
    change: 'resets',
  }),
  passive: boolean.optional().meta({
    description: 'wait for the neighbour to connect; always so with a `prefix`',
    default: PEER_DEFAULTS.passive,
    example: true,
  }),
  // The kernel takes keys of up to TCP_MD5SIG_MAXKEYLEN bytes.
  password: text('text of 1 to 80 bytes', 80).optional().meta({
    description: 'TCP MD5 key of the session (RFC 2385)',
    example: 'not-this-one',
    change: 'resets',
  }),
  passwordFile: text('the name of a file').optional().meta({
    description: 'file that has the key, in place of `password`; a line break at its end does not count',
    example: '/etc/margay/bgp-password',
    change: 'resets',
  }),
  sourceAddress: address.optional().meta({
    description: 'own address of the session',
    otherwise: "the system's choice",
    example: '10.0.0.11',
    change: 'resets',
  }),
  interface: leaf('the name of a network interface', (value) => {
    return typeof value === 'string' && /^[^\s/]{1,15}$/.test(value) ? value : undefined;
  })
    .optional()
    .meta({
      description:
        'interface of the session; required with a link-local address that does not name it itself',
      otherwise: "the system's choice",
      example: 'eth0',
      change: 'resets',
    }),
  multihop: integer(1, 255, 'a number of hops').optional().meta({
    description: 'TTL of what is sent, for a neighbour that is not on the link',
    otherwise: "1 to external neighbours, else the system's",
    example: 4,
    change: 'resets',
  }),
  ttlSecurity: integer(1, 254, 'a number of hops').optional().meta({
    description: 'take nothing that came over more hops (RFC 5082); not together with `multihop`',
    otherwise: 'off',
    example: 1,
    change: 'resets',
  }),
  timers: timers.optional(),
  extendedMessages: boolean.optional().meta({
    description: 'offer messages of up to 65,535 bytes (RFC 8654)',
    default: PEER_DEFAULTS.extendedMessages,
    example: false,
    change: 'resets',
  }),
  enhancedRefresh: boolean.optional().meta({
    description: 'offer to mark begin and end of a refresh (RFC 7313)',
    default: PEER_DEFAULTS.enhancedRefresh,
    example: false,
    change: 'resets',
  }),
  connectedNextHop: boolean.optional().meta({
    description:
      'refuse routes of an external neighbour one hop away whose next hop is neither its own address nor in a subnet that we share (RFC 4271 section 6.3), as BIRD and FRR do; with false, any route of the kernel to it will do',
    default: PEER_DEFAULTS.connectedNextHop,
    example: false,
    change: 'runs import again',
  }),
  families: families.optional().meta({
    description: 'address families to exchange routes of, and what differs for each of them',
    expected:
      'a list of `ipv4-unicast` and `ipv6-unicast`, or a mapping from them to the fields of the next table',
    otherwise: "that of the neighbour's address",
    example: ['ipv4-unicast', 'ipv6-unicast'],
    change: 'resets',
    apart: true,
  }),
  routeReflectorClient: boolean.optional().meta({
    description: 'reflect routes to and from this internal neighbour (RFC 4456)',
    default: PEER_DEFAULTS.routeReflectorClient,
    example: true,
    change: 'runs import and export again',
  }),
  asOverride: boolean.optional().meta({
    description: "put our AS in place of the neighbour's in paths that are sent to it",
    default: PEER_DEFAULTS.asOverride,
    example: true,
    change: 'runs export again',
  }),
  gracefulShutdown: boolean.optional().meta({
    description: 'ask this neighbour to move its traffic away (RFC 8326)',
    default: PEER_DEFAULTS.gracefulShutdown,
    example: true,
    change: 'runs import and export again',
  }),
};

/** Which neighbour it is. */
export const whoFields = {
  address: address.optional().meta({
    description: 'the neighbour; a link-local address is followed by its interface, or has it in `interface`',
    otherwise: 'required, or `prefix`',
    example: 'fe80::1%eth0',
  }),
  prefix: prefix.optional().meta({
    description: 'anybody who connects from it is a neighbour',
    otherwise: 'required, or `address`',
    example: '10.0.0.0/24',
  }),
  limit: integer(1, 100_000, 'a number of neighbours').optional().meta({
    description: 'most neighbours of the `prefix` at a time',
    default: PEER_DEFAULTS.limit,
    example: 500,
  }),
  group: name.optional().meta({
    description: 'entry of `peerGroups` that says what is not said here',
    example: 'tors',
  }),
  nodeSelector: nodeSelector.optional().meta({
    description: 'with `cluster`: a neighbour only on nodes with such labels',
    otherwise: 'on all nodes',
    example: { matchLabels: { rack: 'a' } },
    change: 'adds, removes the neighbour',
  }),
};

export const peerGroup = mapping({ ...sessionFields, ...familyFields });

export const peer = mapping({ ...whoFields, ...sessionFields, ...familyFields });

export type PeerFields = z.output<typeof peerGroup>;
export type PeerEntry = z.output<typeof peer>;
