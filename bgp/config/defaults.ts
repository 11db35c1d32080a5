/**
 * What holds where the file says nothing: the schema tells it to people, `resolve.ts` fills it in.
 */

import { BGP_PORT } from '#bgp/wire/constants.ts';

export const DEFAULTS = {
  listen: { port: BGP_PORT },
  gracefulShutdown: false,
  decision: { alwaysCompareMed: false, preferOldest: false },
  ecmp: { maxPaths: 16, ebgp: true, ibgp: true, asPathRelax: false },
  kernel: {
    enabled: true,
    /** RT_TABLE_MAIN. */
    table: 254,
    /** Not used by any other routing daemon that /etc/iproute2/rt_protos lists. */
    protocol: 109,
    metric: 32,
    families: ['ipv4-unicast', 'ipv6-unicast'],
  },
  cluster: { mesh: true, stateFolder: '/var/lib/margay/bgp' },
  api: { socket: '/run/margay/bgp.sock' },
  log: { level: 'info' },
  originate: { blackhole: true },
} as const;

export const PEER_DEFAULTS = {
  limit: 100,
  enabled: true,
  port: BGP_PORT,
  passive: false,
  /** In seconds. */
  timers: { hold: 90, connectRetry: 5, delayOpen: 0, idleHold: 1, idleHoldMax: 60, sendHold: 'auto' },
  extendedMessages: true,
  enhancedRefresh: true,
  connectedNextHop: true,
  routeReflectorClient: false,
  asOverride: false,
  gracefulShutdown: false,
} as const;

export const FAMILY_DEFAULTS = {
  maxPrefixes: { warnAt: 75, action: 'stop' },
  nextHop: 'auto',
  allowOwnAs: 0,
} as const;
