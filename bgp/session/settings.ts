/**
 * What a session needs to know of the configuration of its neighbour and of this speaker.
 */

import type { PeerConfig } from '#bgp/config/model.ts';
import type { Family } from '#bgp/wire/constants.ts';

/** AS numbers from `first` to `last`, both included. */
export type AsRange = { readonly first: number; readonly last: number };

export type SessionSettings = {
  /** The AS that this speaker is in towards this neighbour. */
  readonly localAs: number;
  /** BGP Identifier of this speaker, as a number in host order. */
  readonly identifier: number;
  /** What the AS of the neighbour may be. */
  readonly peerAs: readonly AsRange[];
  /** Families to carry, at least one. */
  readonly families: readonly Family[];
  /** Offer messages of up to 65,535 bytes (RFC 8654). */
  readonly extendedMessages: boolean;
  /** Offer to mark begin and end of a refresh (RFC 7313). */
  readonly enhancedRefresh: boolean;

  /** Hold time to propose, in seconds: 0 (no keepalives at all), or 3 and more. */
  readonly holdTime: number;
  /** Seconds between KEEPALIVEs; a third of the agreed hold time if that is less, or if not given. */
  readonly keepalive: number | undefined;
  /** Time after which a neighbour that takes no data is dropped (RFC 9687): seconds, 0 for never, or what the RFC suggests. */
  readonly sendHold: number | 'auto';
  /** Time between attempts to connect, and for each of them, in ms. */
  readonly connectRetryMs: number;
  /** How long to wait for the OPEN of the neighbour before sending ours, in ms; 0: send at once. */
  readonly delayOpenMs: number;
  /** Wait in Idle after a failure, in ms; doubled with each further one up to the maximum if `damp` is set. */
  readonly idleHoldMs: number;
  readonly idleHoldMaxMs: number;
  readonly damp: boolean;
  /** A session that lasted so long was a good one: after its end there is no wait. */
  readonly stableMs: number;

  /** Wait for the neighbour to connect, never connect. */
  readonly passive: boolean;
  /** Let a new connection of the neighbour take the place of an Established one: RFC 4271 section 8.1.1. */
  readonly collisionDetectEstablished: boolean;
};

/** A session that lasted so long was a good one, in ms. */
const STABLE_MS = 30_000;

/** What the session of a neighbour is to be like. */
export function settingsOf(peer: PeerConfig, routerId: number): SessionSettings {
  const { timers } = peer;
  return {
    localAs: peer.localAs,
    identifier: routerId,
    peerAs: peer.remoteAs,
    families: peer.families.map(({ family }) => family),
    extendedMessages: peer.extendedMessages,
    enhancedRefresh: peer.enhancedRefresh,
    holdTime: timers.hold,
    keepalive: timers.keepalive,
    sendHold: timers.sendHold,
    connectRetryMs: timers.connectRetry * 1000,
    delayOpenMs: timers.delayOpen * 1000,
    idleHoldMs: timers.idleHold * 1000,
    idleHoldMaxMs: timers.idleHoldMax * 1000,
    damp: true,
    stableMs: STABLE_MS,
    passive: peer.passive,
    collisionDetectEstablished: false,
  };
}

/** Whether `as` is in one of the ranges. */
export function containsAs(ranges: readonly AsRange[], as: number): boolean {
  return ranges.some((range) => as >= range.first && as <= range.last);
}

/** `64512`, or `64512, 65000-65100`. */
export function formatAsRanges(ranges: readonly AsRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');
}
