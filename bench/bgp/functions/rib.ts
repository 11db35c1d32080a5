/**
 * The steps that a route takes through the RIB, each by itself.
 */

import { ACCEPT_ALL } from '#bgp/filter/builtin.ts';
import { NlriList } from '#bgp/rib/nlri-list.ts';
import type { PeerFamily } from '#bgp/rib/peer.ts';
import { PrefixTable4 } from '#bgp/rib/prefix-table.ts';
import { Rib } from '#bgp/rib/rib.ts';
import { HEADER_LENGTH, IPV4_UNICAST, MAX_MESSAGE } from '#bgp/wire/constants.ts';
import { UpdateScanner } from '#bgp/wire/update.ts';
import { announcements, withdrawals } from '../updates.ts';
import { type Figures, SIZES } from './figures.ts';

const PER_SET = 10;
const READ = 65536;

export function measureRib(figures: Figures): void {
  for (const size of SIZES) {
    const streams = [0, 1].map((i) => messagesOf(i, size));
    const lists = listsOf(size);
    const empty = (): Subject => new Subject();
    const full = (): Subject => {
      const subject = new Subject();
      subject.update(0, streams[0]!);
      return subject;
    };
    const decided = (): Subject => {
      const subject = full();
      subject.decide();
      return subject;
    };
    const contested = (): Subject => {
      const subject = decided();
      subject.update(1, streams[1]!);
      return subject;
    };

    figures.measure(
      'intern: a prefix that is new',
      size,
      () => new PrefixTable4(1),
      (table) => {
        for (const list of lists) list.intern(table);
      },
    );
    figures.measure('intern: attributes that are new (a set for ten)', size, empty, (subject) =>
      subject.internAttributes(streams[0]!),
    );
    figures.measure(
      'insert: a path for each prefix',
      size,
      () => {
        const subject = new Subject();
        for (const list of lists) list.intern(subject.table);
        return { subject, attributes: subject.internAttributes(streams[0]!) };
      },
      ({ subject, attributes }) => subject.insert(lists, attributes),
    );
    figures.measure('decode, intern and insert', size, empty, (subject) => subject.update(0, streams[0]!));
    figures.measure('decide: one path', size, full, (subject) => subject.decide());
    figures.measure('decide: two paths', size, contested, (subject) => subject.decide());
    figures.measure('encode: export policy and UPDATEs', size, decided, (subject) => subject.send(size));
    figures.measure('withdraw: remove and decide', size, decided, (subject) => subject.withdraw(lists));
  }
}

/** A RIB with two neighbours that feed it. */
class Subject {
  readonly #rib = new Rib(
    {
      asn: 65000,
      routerId: 0x0a000001,
      clusterId: 0x0a000001,
      defaultLocalPref: 100,
      decision: { alwaysCompareMed: false, missingMedIsWorst: false, preferOldest: false },
      multipath: { maxPaths: 1, ebgp: false, ibgp: false, asPathRelax: false },
    },
    { seed: 1, now: () => 0 },
  );
  readonly #feeders = [this.#peer(2), this.#peer(3)];
  readonly #scanner = new UpdateScanner();

  constructor() {
    this.#settle();
  }

  get table(): PrefixTable4 {
    return this.#family.table as PrefixTable4;
  }

  get #family() {
    return this.#rib.families.get(IPV4_UNICAST)!;
  }

  update(feeder: number, messages: Messages): void {
    const index = this.#feeders[feeder]!;
    const { bytes, ends } = messages;
    let start = 0;
    for (const end of ends) {
      if (this.#rib.update(index, bytes, start + HEADER_LENGTH, end) !== undefined) throw new Error('update');
      start = end;
    }
  }

  /** The ids of the attribute sets of messages, one for each. */
  internAttributes({ bytes, ends }: Messages): number[] {
    const { attributes, peers } = this.#rib;
    const { context } = peers[this.#feeders[0]!]!;
    const scanner = this.#scanner;
    const ids: number[] = [];
    let start = 0;
    for (const end of ends) {
      if (!scanner.scan(bytes, start + HEADER_LENGTH, end, false)) throw new Error('scan');
      ids.push(attributes.intern(context, scanner.keyBytes, scanner.keyStart, scanner.keyEnd, bytes, 0, 0));
      start = end;
    }
    return ids;
  }

  insert(lists: readonly NlriList[], attributes: readonly number[]): void {
    const from = this.#from;
    for (const [i, list] of lists.entries()) this.#family.announce(from, list, attributes[i]!, 0);
  }

  decide(): void {
    const { undecided } = this.#family;
    while (undecided.size > 0) this.#rib.process(4096);
  }

  /** Has a new neighbour come, and takes all that is sent to it. */
  send(prefixes: number): void {
    const index = this.#peer(100);
    let sent = 0;
    do {
      for (
        let bytes = this.#rib.take(index, READ);
        bytes !== undefined;
        bytes = this.#rib.take(index, READ)
      ) {
        sent += bytes.length;
      }
    } while (this.#rib.process(4096));
    if (sent < 4 * prefixes) throw new Error(`${sent} octets for ${prefixes} prefixes`);
  }

  withdraw(lists: readonly NlriList[]): void {
    for (const list of lists) {
      list.find(this.table);
      this.#family.withdraw(this.#from, list);
    }
    this.decide();
    if (this.#family.routes !== 0) throw new Error('routes are left');
  }

  get #from(): PeerFamily {
    return this.#rib.peers[this.#feeders[0]!]!.families.get(IPV4_UNICAST)!;
  }

  #peer(n: number): number {
    const rib = this.#rib;
    const index = rib.addPeer({
      name: `peer ${n}`,
      address: Uint8Array.of(10, 0, 0, n),
      localAs: 65000,
      routeReflectorClient: false,
      asOverride: false,
      honourGracefulShutdown: true,
      connectedNextHop: true,
      gracefulShutdown: false,
      families: new Map([
        // Feeders are sent nothing.
        [
          IPV4_UNICAST,
          {
            import: [ACCEPT_ALL],
            export: n < 100 ? undefined : [ACCEPT_ALL],
            nextHop: 'auto',
            allowOwnAs: 0,
          },
        ],
      ]),
    });
    rib.peerUp(index, {
      remoteAs: 65000 + n,
      routerId: 0x0a000000 + n,
      codec: { as4: true, ebgp: true, firstAs: 65000 + n },
      maxMessage: MAX_MESSAGE,
      families: [IPV4_UNICAST],
      enhancedRefresh: true,
      self4: { family: 4, bytes: Uint8Array.of(10, 0, 255, 1), linkLocal: undefined },
    });
    return index;
  }

  #settle(): void {
    do for (const index of this.#feeders) while (this.#rib.take(index, READ) !== undefined);
    while (this.#rib.process(4096));
  }
}

type Messages = { readonly bytes: Uint8Array; readonly ends: readonly number[] };

function messagesOf(feeder: number, prefixes: number): Messages {
  const nextHop = Uint8Array.of(10, 0, 0, 2 + feeder);
  const bytes = announcements({ prefixes, perSet: PER_SET, asn: 65002 + feeder, nextHop });
  const ends: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    at += (bytes[at + 16]! << 8) | bytes[at + 17]!;
    ends.push(at);
  }
  return { bytes, ends };
}

/** The prefixes of the table, about a thousand to a list: a list is made for a message and takes room for a large one. */
function listsOf(prefixes: number): NlriList[] {
  const bytes = withdrawals(prefixes);
  const lists: NlriList[] = [];
  for (let at = 0; at < bytes.length; at += (bytes[at + 16]! << 8) | bytes[at + 17]!) {
    const start = at + HEADER_LENGTH + 2;
    const end = start + ((bytes[start - 2]! << 8) | bytes[start - 1]!);
    const list = new NlriList();
    if (!list.read(bytes, start, end, IPV4_UNICAST, false)) throw new Error(list.reason);
    lists.push(list);
  }
  return lists;
}
