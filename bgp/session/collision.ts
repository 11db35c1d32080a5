/**
 * Which of two connections between the same two speakers survives.
 */

import type { Side } from './events.ts';

/** What two speakers compare: the BGP Identifier as a number in host order, and the AS number. */
export type Speaker = { readonly identifier: number; readonly as: number };

/**
 * The side to keep when two connections collide: the one that the speaker with the higher BGP Identifier started
 * (RFC 4271 section 6.8), or with equal identifiers, which are allowed between different ASes, the one with
 * the higher AS number (RFC 6286 section 2.3). Both speakers come to the same connection.
 */
export function survivor(local: Speaker, remote: Speaker): Side {
  const localWins =
    local.identifier === remote.identifier ? local.as > remote.as : local.identifier > remote.identifier;
  return localWins ? 'outgoing' : 'incoming';
}
