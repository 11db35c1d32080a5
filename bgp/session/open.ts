/**
 * The OPEN that this speaker sends, what it thinks of that of the neighbour, and what the two agree on.
 */

import { type Capability, encodeCapability, findCapability } from '#bgp/wire/capabilities.ts';
import {
  AS_TRANS,
  type Family,
  familyName,
  IPV4_UNICAST,
  MAX_EXTENDED_MESSAGE,
  MAX_MESSAGE,
} from '#bgp/wire/constants.ts';
import {
  ERROR_OPEN,
  type Fault,
  fault,
  OPEN_BAD_IDENTIFIER,
  OPEN_BAD_PEER_AS,
  OPEN_UNSUPPORTED_CAPABILITY,
} from '#bgp/wire/notification.ts';
import type { Open } from '#bgp/wire/open.ts';
import { containsAs, formatAsRanges, type SessionSettings } from './settings.ts';

/** What a session has agreed on. */
export type Negotiated = {
  readonly kind: 'negotiated';
  readonly localAs: number;
  readonly peerAs: number;
  /** Router id of the neighbour, as a number. */
  readonly peerIdentifier: number;
  /** The neighbour is in another AS. */
  readonly external: boolean;
  /** The smaller of the two hold times, in seconds; 0: neither side sends KEEPALIVEs. */
  readonly holdTime: number;
  /** Seconds between KEEPALIVEs before jitter; 0 with a hold time of 0. */
  readonly keepalive: number;
  /** Families that both sides carry, in our order. */
  readonly families: readonly Family[];
  /** AS numbers have four octets in AS_PATH and AGGREGATOR: RFC 6793. */
  readonly as4: boolean;
  /** The neighbour answers ROUTE-REFRESH: RFC 2918. */
  readonly routeRefresh: boolean;
  /** Begin and end of a refresh are marked: RFC 7313. */
  readonly enhancedRefresh: boolean;
  /** Longest message that we may send, and that the neighbour may: RFC 8654 section 4. */
  readonly maxSend: number;
  readonly maxReceive: number;
  /** All that the neighbour said it can do, and all that we did, for people. */
  readonly received: readonly Capability[];
  readonly offered: readonly Capability[];
};

/** The OPEN to send. Without capabilities for a neighbour that can not read them: RFC 5492 section 3. */
export function localOpen(settings: SessionSettings, withCapabilities: boolean): Open {
  return {
    kind: 'open',
    asn: settings.localAs,
    holdTime: settings.holdTime,
    identifier: settings.identifier,
    capabilities: withCapabilities ? localCapabilities(settings) : [],
  };
}

/** Whether a session without capabilities could carry anything: only IPv4 unicast needs none. */
export function mayOmitCapabilities(settings: SessionSettings): boolean {
  return settings.families.includes(IPV4_UNICAST);
}

/**
 * Judges an OPEN that is well formed by what is configured: RFC 4271 section 6.2. `withCapabilities` says whether ours
 * carried them.
 */
export function judgeOpen(
  open: Open,
  settings: SessionSettings,
  withCapabilities: boolean,
): Negotiated | Fault {
  // RFC 6793 section 9: nobody has AS_TRANS for a number of its own.
  if (open.asn === AS_TRANS || !containsAs(settings.peerAs, open.asn)) {
    const expected = formatAsRanges(settings.peerAs);
    return fault(`the neighbour is in AS ${open.asn}, expected ${expected}`, ERROR_OPEN, OPEN_BAD_PEER_AS);
  }
  const external = open.asn !== settings.localAs;
  if (!external && open.identifier === settings.identifier) {
    // RFC 6286 section 2.2. Most often a speaker that was made to talk to itself.
    return fault('the neighbour has our own router id', ERROR_OPEN, OPEN_BAD_IDENTIFIER);
  }
  const families = commonFamilies(open, settings, withCapabilities);
  if (families.length === 0) {
    const ours = settings.families.map((family) => encodeCapability({ kind: 'multiprotocol', family }));
    return fault(
      `no common family, ours: ${settings.families.map(familyName).join(', ')}`,
      ERROR_OPEN,
      OPEN_UNSUPPORTED_CAPABILITY,
      Buffer.concat(ours),
    );
  }
  const holdTime = Math.min(settings.holdTime, open.holdTime);
  const theirs = (kind: Capability['kind']) => findCapability(open.capabilities, kind) !== undefined;
  return {
    kind: 'negotiated',
    localAs: settings.localAs,
    peerAs: open.asn,
    peerIdentifier: open.identifier,
    external,
    holdTime,
    keepalive: Math.min(settings.keepalive ?? holdTime, holdTime / 3),
    families,
    as4: withCapabilities && theirs('four-octet-as'),
    routeRefresh: theirs('route-refresh'),
    enhancedRefresh: withCapabilities && settings.enhancedRefresh && theirs('enhanced-route-refresh'),
    maxSend: theirs('extended-message') ? MAX_EXTENDED_MESSAGE : MAX_MESSAGE,
    maxReceive: withCapabilities && settings.extendedMessages ? MAX_EXTENDED_MESSAGE : MAX_MESSAGE,
    received: open.capabilities,
    offered: withCapabilities ? localCapabilities(settings) : [],
  };
}

function localCapabilities(settings: SessionSettings): Capability[] {
  return [
    ...settings.families.map((family): Capability => ({ kind: 'multiprotocol', family })),
    { kind: 'route-refresh' },
    ...(settings.enhancedRefresh ? [{ kind: 'enhanced-route-refresh' } as const] : []),
    ...(settings.extendedMessages ? [{ kind: 'extended-message' } as const] : []),
    { kind: 'four-octet-as', asn: settings.localAs },
  ];
}

/** A speaker that does not say a word about families carries IPv4 unicast: RFC 4760 section 8. */
function commonFamilies(open: Open, settings: SessionSettings, withCapabilities: boolean): Family[] {
  const said = open.capabilities.flatMap((each) => (each.kind === 'multiprotocol' ? [each.family] : []));
  const theirs = said.length === 0 ? [IPV4_UNICAST] : said;
  return settings.families.filter(
    (family) => theirs.includes(family) && (withCapabilities || family === IPV4_UNICAST),
  );
}
