/**
 * ROUTE-REFRESH: "send me your routes again" (RFC 2918), and where such a repetition begins and ends (RFC 7313).
 */

import { putU16 } from './bytes.ts';
import {
  type Family,
  familyOf,
  HEADER_LENGTH,
  REFRESH_END,
  REFRESH_REQUEST,
  ROUTE_REFRESH,
  ROUTE_REFRESH_LENGTH,
} from './constants.ts';
import { putHeader } from './header.ts';
import { ERROR_ROUTE_REFRESH, type Fault, fault, REFRESH_INVALID_LENGTH } from './notification.ts';

export type RouteRefresh = {
  readonly kind: 'route-refresh';
  readonly family: Family;
  /** REFRESH_REQUEST, REFRESH_BEGIN or REFRESH_END; a message of any other is to be ignored (RFC 7313 section 5). */
  readonly subtype: number;
};

/**
 * The ROUTE-REFRESH in a message body of 4 bytes or more. A longer one is an error (RFC 7313 section 5), except where
 * its subtype is not known; nobody may send filters (RFC 5291) in it, as this speaker does not offer to take them.
 */
export function decodeRouteRefresh(body: Uint8Array): RouteRefresh | Fault {
  const subtype = body[2]!;
  if (body.length !== ROUTE_REFRESH_LENGTH - HEADER_LENGTH && subtype <= REFRESH_END) {
    const message = new Uint8Array(HEADER_LENGTH + body.length);
    putHeader(message, 0, message.length, ROUTE_REFRESH);
    message.set(body, HEADER_LENGTH);
    return fault(
      `ROUTE-REFRESH of ${body.length} bytes, expected 4`,
      ERROR_ROUTE_REFRESH,
      REFRESH_INVALID_LENGTH,
      message,
    );
  }
  return { kind: 'route-refresh', family: familyOf((body[0]! << 8) | body[1]!, body[3]!), subtype };
}

/** The whole message. */
export function encodeRouteRefresh(family: Family, subtype: number = REFRESH_REQUEST): Uint8Array {
  const out = new Uint8Array(ROUTE_REFRESH_LENGTH);
  putHeader(out, 0, ROUTE_REFRESH_LENGTH, ROUTE_REFRESH);
  putU16(out, HEADER_LENGTH, family >>> 8);
  out[HEADER_LENGTH + 2] = subtype;
  out[HEADER_LENGTH + 3] = family;
  return out;
}
