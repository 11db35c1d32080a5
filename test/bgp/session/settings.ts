/**
 * A plain neighbour and OPENs of it, for tests of sessions.
 */

import type { SessionSettings } from '#bgp/session/settings.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { Open } from '#bgp/wire/open.ts';

export const LOCAL_ID = 0x0a000001;
export const PEER_ID = 0x0a000002;

export function settings(changes: Partial<SessionSettings> = {}): SessionSettings {
  return {
    localAs: 64512,
    identifier: LOCAL_ID,
    peerAs: [{ first: 64513, last: 64513 }],
    families: [IPV4_UNICAST, IPV6_UNICAST],
    extendedMessages: true,
    enhancedRefresh: true,
    holdTime: 90,
    keepalive: undefined,
    sendHold: 'auto',
    connectRetryMs: 5000,
    delayOpenMs: 0,
    idleHoldMs: 1000,
    idleHoldMaxMs: 60_000,
    damp: true,
    stableMs: 30_000,
    passive: false,
    collisionDetectEstablished: false,
    ...changes,
  };
}

export function peerOpen(changes: Partial<Open> = {}): Open {
  const asn = changes.asn ?? 64513;
  return {
    kind: 'open',
    asn,
    holdTime: 180,
    identifier: PEER_ID,
    capabilities: [
      { kind: 'multiprotocol', family: IPV4_UNICAST },
      { kind: 'route-refresh' },
      { kind: 'four-octet-as', asn },
    ],
    ...changes,
  };
}
