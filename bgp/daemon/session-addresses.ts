/**
 * Our own addresses on each session, from when it comes up until it ends. An interface that has just come up often gets its IPv6
 * addresses after an IPv4 session over it (duplicate address detection takes a second or two), and addresses come and go later on.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Address } from '#bgp/config/address.ts';
import type { Session } from '#bgp/session/handler.ts';
import type { Peer } from '#bgp/session/peer.ts';
import { type InterfaceAddress, type OwnAddresses, ownAddresses } from './own-addresses.ts';

export class SessionAddresses {
  readonly #list: () => readonly InterfaceAddress[];
  readonly #changed: (peer: Peer, own: OwnAddresses) => void;
  readonly #sessions = new Map<Peer, { readonly session: Session; own: OwnAddresses }>();

  /**
   * @param list addresses of this host
   * @param changed is told by `refresh` of sessions on which our addresses are others than before
   */
  constructor(list: () => readonly InterfaceAddress[], changed: (peer: Peer, own: OwnAddresses) => void) {
    this.#list = list;
    this.#changed = changed;
  }

  /** Those on a session that has just come up. @throws what `list` throws */
  up(peer: Peer, session: Session): OwnAddresses {
    const own = ownAddresses(this.#list(), localOf(session), peer.address);
    this.#sessions.set(peer, { session, own });
    return own;
  }

  down(peer: Peer): void {
    this.#sessions.delete(peer);
  }

  /** This host may have got or lost addresses. @throws what `list` throws */
  refresh(): void {
    if (this.#sessions.size === 0) return;
    const all = this.#list();
    for (const [peer, entry] of this.#sessions) {
      const own = ownAddresses(all, localOf(entry.session), peer.address);
      // The address of the session itself is gone: it will be back, or the session ends. Until then nothing is known.
      if (entry.own.scope !== 0 && own.scope === 0) continue;
      if (isDeepStrictEqual(own, entry.own)) continue;
      entry.own = own;
      this.#changed(peer, own);
    }
  }
}

/** Our end of a session. */
function localOf({ localAddress }: Session): Address {
  return localAddress ?? { family: 4, bytes: new Uint8Array(4) };
}
