/**
 * A vector: the bytes of one message and what they mean.
 */

import { fromHex } from '#bgp/wire/bytes.ts';
import { type Family, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { Message } from '#bgp/wire/message.ts';
import type { Notification } from '#bgp/wire/notification.ts';
import type { Open } from '#bgp/wire/open.ts';
import type { CodecContext } from '#bgp/wire/types.ts';
import { fromReadable, type ReadableUpdate } from './readable.ts';

export type Vector = {
  readonly name?: string;
  readonly session?: keyof typeof SESSIONS;
  /** The message behind its marker, so the first two bytes are its length. */
  readonly hex: string;
  /**
   * Whether our encoder writes these very bytes for the value. Others write some things differently: attributes in
   * another order, long length fields where short ones do.
   */
  readonly exact: boolean;
  readonly open?: Omit<Open, 'kind'>;
  readonly update?: ReadableUpdate;
  readonly notification?: Notification;
  readonly refresh?: { readonly family: Family; readonly subtype: number };
  readonly keepalive?: true;
};

const BOTH: readonly Family[] = [IPV4_UNICAST, IPV6_UNICAST];

/** What the ends of the sessions in the vectors are to each other. */
export const SESSIONS = {
  /** External, both with four-octet AS numbers. */
  as4: { as4: true, ebgp: true },
  /** External, one end without them. */
  as2: { as4: false, ebgp: true },
  /** Internal. */
  ibgp: { as4: true, ebgp: false },
  /** Internal, one end without four-octet AS numbers. */
  ibgp2: { as4: false, ebgp: false },
  /** External, with path identifiers. */
  rich: { as4: true, ebgp: true, addPathReceive: BOTH, addPathSend: BOTH },
  /** External over IPv6, with IPv6 next hops for IPv4. */
  v6: { as4: true, ebgp: true, extendedNextHop: true },
  /** External to us, but in our confederation. */
  confederation: { as4: true, ebgp: false, confederation: 'other-member' },
} as const satisfies Record<string, CodecContext>;

/** The whole message, marker included. */
export function messageBytes({ hex }: Vector): Uint8Array {
  return fromHex('ff'.repeat(16) + hex);
}

export function contextOf({ session }: Vector): CodecContext {
  return SESSIONS[session ?? 'as4'];
}

/** The value as the decoder gives it; an UPDATE may have `errors` beside it. */
export function messageOf(vector: Vector): Message {
  const { open, update, notification, refresh } = vector;
  if (open !== undefined) return { kind: 'open', ...open };
  if (update !== undefined) return fromReadable(update);
  if (notification !== undefined) return { kind: 'notification', notification };
  if (refresh !== undefined) return { kind: 'route-refresh', ...refresh };
  return { kind: 'keepalive' };
}
