/**
 * The way in: one UPDATE taken apart and put into the tables, or refused as a whole.
 */

import { checkAttributes } from '#bgp/wire/attributes.ts';
import { type Family, IPV4_UNICAST } from '#bgp/wire/constants.ts';
import { errorNotification } from '#bgp/wire/errors.ts';
import type { Notification } from '#bgp/wire/notification.ts';
import type { AttributeError } from '#bgp/wire/types.ts';
import { UpdateScanner } from '#bgp/wire/update.ts';
import type { AttributeStore } from './attribute-store.ts';
import type { FamilyRib } from './family-rib.ts';
import { NlriList } from './nlri-list.ts';
import { activeFamily, type PeerFamily, type RibPeer } from './peer.ts';

/** What an UPDATE led to besides routes; most lead to nothing. */
export type UpdateResult = {
  /** Everything that was wrong, for the log. */
  readonly errors: readonly AttributeError[];
  /** The session has to end with this. Nothing of the message has been taken. */
  readonly notification?: Notification | undefined;
  /** It was the End-of-RIB of this family. */
  readonly endOfRib?: Family | undefined;
  /** A limit on prefixes has been reached. Told once until the number is below it again. */
  readonly prefixes?: {
    readonly family: Family;
    readonly level: 'warning' | 'limit';
    readonly count: number;
  };
};

export class Inbound {
  readonly #families: ReadonlyMap<Family, FamilyRib>;
  readonly #attributes: AttributeStore;
  readonly #now: () => number;
  readonly #scanner = new UpdateScanner();
  readonly #withdrawn = new NlriList();
  readonly #unreach = new NlriList();
  readonly #nlri = new NlriList();
  readonly #reach = new NlriList();
  /** What was wrong with the running message and was got over. */
  #errors: readonly AttributeError[] = NO_ERRORS;

  constructor(families: ReadonlyMap<Family, FamilyRib>, attributes: AttributeStore, now: () => number) {
    this.#families = families;
    this.#attributes = attributes;
    this.#now = now;
  }

  /** Takes in the UPDATE whose body is `bytes` from `start` to `end`. The session of the peer is up. */
  update(peer: RibPeer, bytes: Uint8Array, start: number, end: number): UpdateResult | undefined {
    const { codec } = peer.session!;
    const scanner = this.#scanner;
    if (!scanner.scan(bytes, start, end, codec.extendedNextHop === true)) return reset(scanner.error!);
    const ipv4 = activeFamily(peer, IPV4_UNICAST);
    const unreach = scanner.unreachFamily === 0 ? undefined : activeFamily(peer, scanner.unreachFamily);
    const reach = scanner.reachFamily === 0 ? undefined : activeFamily(peer, scanner.reachFamily);

    // All lists are read before any is acted on (RFC 7606 section 3 (j)), and the attributes: what they say may end the session.
    const unreadable = this.#readLists(ipv4, unreach, reach);
    if (unreadable !== undefined) return reset(unreadable);
    this.#errors = NO_ERRORS;
    const hasNlri = ipv4 !== undefined && scanner.nlriStart < scanner.nlriEnd;
    const hasReach = reach !== undefined && scanner.reachStart < scanner.reachEnd;
    const nlriAttributes = hasNlri ? this.#intern(peer, 0, 0) : 0;
    if (nlriAttributes === RESET) return this.#fault();
    const { reachNextHopStart, reachNextHopEnd } = scanner;
    const reachAttributes = hasReach ? this.#intern(peer, reachNextHopStart, reachNextHopEnd) : 0;
    if (reachAttributes === RESET) {
      this.#release(nlriAttributes);
      return this.#fault();
    }
    if (!scanner.announces && scanner.keyStart < scanner.keyEnd) {
      const checked = checkAttributes(scanner.key(), codec);
      if (checked.notification !== undefined) return checked;
      this.#errors = checked.errors;
    }

    if (ipv4 !== undefined) this.#withdraw(ipv4, this.#withdrawn);
    if (unreach !== undefined) this.#withdraw(unreach, this.#unreach);
    let prefixes: UpdateResult['prefixes'];
    if (hasNlri) prefixes = this.#announce(ipv4, this.#nlri, nlriAttributes);
    if (hasReach) prefixes = this.#announce(reach, this.#reach, reachAttributes) ?? prefixes;
    this.#release(nlriAttributes);
    this.#release(reachAttributes);
    const endOfRib = scanner.endOfRib;
    if (endOfRib !== 0) this.#endOfRib(peer, endOfRib);
    if (this.#errors.length === 0 && prefixes === undefined && endOfRib === 0) return undefined;
    return {
      errors: this.#errors,
      ...(prefixes === undefined ? {} : { prefixes }),
      ...(endOfRib === 0 ? {} : { endOfRib }),
    };
  }

  /** Reads the lists of families that the session carries. */
  #readLists(
    ipv4: PeerFamily | undefined,
    unreach: PeerFamily | undefined,
    reach: PeerFamily | undefined,
  ): AttributeError | undefined {
    const { bytes, withdrawnStart, withdrawnEnd, nlriStart, nlriEnd } = this.#scanner;
    const { unreachStart, unreachEnd, reachStart, reachEnd } = this.#scanner;
    if (ipv4 !== undefined) {
      if (!this.#withdrawn.read(bytes, withdrawnStart, withdrawnEnd, IPV4_UNICAST, ipv4.addPath)) {
        return this.#scanner.networkError('withdrawn', this.#withdrawn.reason);
      }
      if (!this.#nlri.read(bytes, nlriStart, nlriEnd, IPV4_UNICAST, ipv4.addPath)) {
        return this.#scanner.networkError('nlri', this.#nlri.reason);
      }
    }
    if (unreach !== undefined) {
      if (!this.#unreach.read(bytes, unreachStart, unreachEnd, unreach.family, unreach.addPath)) {
        return this.#scanner.networkError('unreach', this.#unreach.reason);
      }
    }
    if (reach !== undefined) {
      if (!this.#reach.read(bytes, reachStart, reachEnd, reach.family, reach.addPath)) {
        return this.#scanner.networkError('reach', this.#reach.reason);
      }
    }
    return undefined;
  }

  /**
   * The id of the message's attributes, with a reference for the time that the message takes: it may withdraw the last other
   * route that has them. 0: its routes are withdrawn instead. `RESET`: the session has to end.
   */
  #intern(peer: RibPeer, nextHopStart: number, nextHopEnd: number): number {
    const { bytes, keyBytes, keyStart, keyEnd } = this.#scanner;
    const store = this.#attributes;
    const id = store.intern(peer.context, keyBytes, keyStart, keyEnd, bytes, nextHopStart, nextHopEnd);
    if (store.problem !== undefined) {
      if (store.problem.kind === 'reset') return RESET;
      this.#errors = [...this.#errors, ...store.problem.errors];
    }
    if (id !== 0) store.addReferences(id, 1);
    return id;
  }

  #release(attributes: number): void {
    if (attributes > 0) this.#attributes.dropReferences(attributes, 1);
  }

  #fault(): UpdateResult {
    const { problem } = this.#attributes;
    if (problem?.kind !== 'reset') throw new Error('attribute store: no error to end the session with');
    return { errors: problem.errors, notification: problem.notification };
  }

  #announce(of: PeerFamily, list: NlriList, attributes: number): UpdateResult['prefixes'] {
    // RFC 7606 section 2: treated as withdrawn.
    if (attributes === 0) return this.#withdraw(of, list);
    const rib = this.#families.get(of.family)!;
    list.intern(rib.table);
    rib.announce(of, list, attributes, this.#now());
    return checkLimit(of);
  }

  #withdraw(of: PeerFamily, list: NlriList): undefined {
    if (list.count === 0) return;
    const rib = this.#families.get(of.family)!;
    list.find(rib.table);
    rib.withdraw(of, list);
  }

  #endOfRib(peer: RibPeer, family: Family): void {
    const of = activeFamily(peer, family);
    if (of === undefined) return;
    of.endOfRibReceived = true;
    if (!of.restarting) return;
    of.restarting = false;
    this.#families.get(family)!.sweepStale(of);
  }
}

const NO_ERRORS: readonly AttributeError[] = [];

/** In place of an attribute id: the session has to end. */
const RESET = -1;

function reset(error: AttributeError): UpdateResult {
  return { errors: [error], notification: errorNotification(error) };
}

function checkLimit(of: PeerFamily): UpdateResult['prefixes'] {
  const limits = of.peer.settings.families.get(of.family)?.maxPrefixes;
  if (limits === undefined) return undefined;
  const count = of.received;
  const level = count > limits.limit ? 2 : count * 100 >= limits.limit * limits.warnAt ? 1 : 0;
  const before = of.limitReached;
  of.limitReached = level;
  if (level <= before) return undefined;
  return { family: of.family, level: level === 2 ? 'limit' : 'warning', count };
}
