/**
 * What went one way, counted.
 */

import { ROUTE_REFRESH } from '#bgp/wire/constants.ts';

/** Bytes, and messages by kind. */
export type Counters = {
  bytes: number;
  open: number;
  update: number;
  notification: number;
  keepalive: number;
  routeRefresh: number;
};

export function noCounters(): Counters {
  return { bytes: 0, open: 0, update: 0, notification: 0, keepalive: 0, routeRefresh: 0 };
}

/** Counts the messages in bytes of the RIB, which hold whole UPDATEs and marks of a refresh. */
export function countMessages(counters: Counters, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at + 18] === ROUTE_REFRESH) counters.routeRefresh++;
    else counters.update++;
    at += (bytes[at + 16]! << 8) | bytes[at + 17]!;
  }
}
