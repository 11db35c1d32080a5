/**
 * A RIB with neighbours around it that speak to it in messages and remember what they were told, as real ones do.
 */

import { ACCEPT_ALL } from '#bgp/filter/builtin.ts';
import type { NextHopTracker } from '#bgp/rib/next-hops.ts';
import { LOCAL_PEER, Rib, type RibOptions, type UpdateResult } from '#bgp/rib/rib.ts';
import type {
  DecisionSettings,
  MultipathSettings,
  PeerFamilySettings,
  PeerSettings,
} from '#bgp/rib/settings.ts';
import { formatPrefix, parsePrefix } from '#bgp/wire/address.ts';
import { formatAsPath } from '#bgp/wire/as-path.ts';
import {
  type Family,
  HEADER_LENGTH,
  IPV4_UNICAST,
  IPV6_UNICAST,
  MAX_MESSAGE,
  REFRESH_BEGIN,
  REFRESH_END,
  REFRESH_REQUEST,
} from '#bgp/wire/constants.ts';
import { decodeMessage, encodeUpdate, type Update } from '#bgp/wire/message.ts';
import type { CodecContext, PathAttributes } from '#bgp/wire/types.ts';
import { ipv4 } from './fixtures.ts';

export const OUR_AS = 65000;

export type SpeakerOptions = Partial<RibOptions> & {
  readonly decision?: Partial<DecisionSettings>;
  readonly multipath?: Partial<MultipathSettings>;
  /** Cost of the way to next hops, by address; 0 for others. */
  readonly metrics?: Readonly<Record<string, number>>;
};

export type NeighbourOptions = {
  /** Internal if it is ours. */
  readonly asn?: number;
  readonly address?: string;
  readonly routerId?: number;
  readonly settings?: Partial<PeerSettings>;
  /** For both families. */
  readonly family?: Partial<PeerFamilySettings>;
  readonly codec?: Partial<CodecContext>;
  readonly maxMessage?: number;
  readonly enhancedRefresh?: boolean;
  /** Subnets that we share with it. */
  readonly sharedSubnets?: readonly string[];
};

/** Our own side. */
export class Speaker {
  readonly rib: Rib;
  readonly neighbours: Neighbour[] = [];
  time = 1000;
  #lastAddress = 1;

  constructor(options: SpeakerOptions = {}) {
    const { decision, multipath, metrics = {}, ...rest } = options;
    const tracker: NextHopTracker = {
      added: (id, { bytes }) => {
        this.rib.nextHops.set(id, { reachable: true, metric: metrics[bytes.join('.')] ?? 0 });
      },
      removed: () => {},
    };
    this.rib = new Rib(
      {
        asn: OUR_AS,
        routerId: 0x0a0000fe,
        clusterId: 0x0a0000fd,
        defaultLocalPref: 100,
        decision: { alwaysCompareMed: false, missingMedIsWorst: false, preferOldest: false, ...decision },
        multipath: { maxPaths: 1, ebgp: false, ibgp: false, asPathRelax: false, ...multipath },
      },
      { seed: 5, now: () => this.time, tracker, ...rest },
    );
  }

  /** Adds a neighbour whose session is up, external unless said otherwise, with nothing filtered. */
  neighbour(options: NeighbourOptions = {}): Neighbour {
    const neighbour = new Neighbour(this, options, `10.0.0.${this.#lastAddress++}`);
    this.neighbours.push(neighbour);
    neighbour.up();
    return neighbour;
  }

  originate(text: string, attributes: PathAttributes): void {
    const { bytes, length } = parsePrefix(text);
    this.rib.originate(bytes.length === 4 ? IPV4_UNICAST : IPV6_UNICAST, bytes, length, attributes);
  }

  withdraw(text: string): boolean {
    const { bytes, length } = parsePrefix(text);
    return this.rib.withdraw(bytes.length === 4 ? IPV4_UNICAST : IPV6_UNICAST, bytes, length);
  }

  /** Until nothing is left to do and everybody has read everything. */
  settle(budget = 1000): void {
    for (let round = 0; round < 10_000; round++) {
      const more = this.rib.process(budget);
      let read = false;
      for (const each of this.neighbours) if (each.read()) read = true;
      if (!more && !read && !this.rib.runnable) return;
    }
    throw new Error('does not come to an end');
  }

  /** The name of the peer that a prefix's best path is from, `local`, or nothing. */
  best(text: string): string | undefined {
    const { bytes, length } = parsePrefix(text);
    const table = this.rib.families.get(bytes.length === 4 ? IPV4_UNICAST : IPV6_UNICAST)!;
    const net = table.table.findBytes(bytes, length);
    if (net === 0 || table.best(net) === 0) return undefined;
    return this.rib.peers[table.paths.peer(table.best(net))]!.settings.name;
  }
}

/** The other side of a session. */
export class Neighbour {
  readonly name: string;
  readonly index: number;
  readonly asn: number;
  readonly address: string;
  readonly routerId: number;
  readonly codec: CodecContext;
  settings: PeerSettings;
  isUp = false;
  /** What it was told and not told otherwise since: prefix -> attributes. */
  readonly routes = new Map<string, PathAttributes>();
  /** Markers that it got, such as `end-of-rib` and `refresh-begin`. */
  readonly markers: string[] = [];
  messages = 0;
  octets = 0;
  /** Announcements and withdrawals one by one, as they came. */
  readonly heard: string[] = [];
  /** What it would drop at the end of a refresh. */
  readonly #stale = new Map<Family, Set<string>>();
  readonly #speaker: Speaker;
  readonly #options: NeighbourOptions;

  constructor(speaker: Speaker, options: NeighbourOptions, address: string) {
    this.#speaker = speaker;
    this.#options = options;
    this.asn = options.asn ?? 65001 + speaker.neighbours.length;
    this.address = options.address ?? address;
    this.name = this.address;
    const bytes = ipv4(this.address);
    this.routerId = options.routerId ?? (0x0a000000 | bytes[3]!) >>> 0;
    this.codec = { as4: true, ebgp: this.asn !== OUR_AS, ...options.codec };
    const family: PeerFamilySettings = {
      import: [ACCEPT_ALL],
      export: [ACCEPT_ALL],
      nextHop: 'auto',
      allowOwnAs: 0,
      ...options.family,
    };
    this.settings = {
      name: this.name,
      address: bytes,
      localAs: OUR_AS,
      routeReflectorClient: false,
      asOverride: false,
      honourGracefulShutdown: false,
      connectedNextHop: false,
      gracefulShutdown: false,
      families: new Map([
        [IPV4_UNICAST, family],
        [IPV6_UNICAST, family],
      ]),
      ...options.settings,
    };
    this.index = speaker.rib.addPeer(this.settings);
  }

  get rib(): Rib {
    return this.#speaker.rib;
  }

  up(routerId = this.routerId): void {
    this.rib.peerUp(this.index, {
      remoteAs: this.asn,
      routerId,
      codec: this.codec,
      maxMessage: this.#options.maxMessage ?? MAX_MESSAGE,
      families: [IPV4_UNICAST, IPV6_UNICAST],
      enhancedRefresh: this.#options.enhancedRefresh ?? false,
      self4: { family: 4, bytes: ipv4('10.0.0.254'), linkLocal: undefined },
      self6: { family: 6, bytes: SELF6, linkLocal: undefined },
      sharedSubnets: this.#options.sharedSubnets?.map(parsePrefix),
    });
    this.isUp = true;
  }

  /** The session breaks: the neighbour forgets what it was told. */
  down(keep = false): void {
    this.rib.peerDown(this.index, keep);
    this.isUp = false;
    this.routes.clear();
    this.#stale.clear();
  }

  change(settings: Partial<PeerSettings>, family: Partial<PeerFamilySettings> = {}): void {
    const families = new Map(
      [...this.settings.families].map(([key, value]) => [key, { ...value, ...family }]),
    );
    this.settings = { ...this.settings, families, ...settings };
    this.rib.updatePeer(this.index, this.settings);
  }

  announce(attributes: PathAttributes, ...prefixes: readonly string[]): UpdateResult | undefined {
    return this.#send({
      kind: 'update',
      withdrawn: [],
      announced: byFamily(prefixes, attributes),
      errors: [],
    });
  }

  withdraw(...prefixes: readonly string[]): UpdateResult | undefined {
    return this.#send({ kind: 'update', withdrawn: byFamily(prefixes), announced: [], errors: [] });
  }

  /** Withdraws and announces IPv4 prefixes in one message. */
  replace(
    attributes: PathAttributes,
    prefixes: readonly string[],
    gone: readonly string[],
  ): UpdateResult | undefined {
    const context = this.codec;
    const body = (update: Update) => encodeUpdate(update, context)[0]!.subarray(HEADER_LENGTH);
    const announced = byFamily(prefixes, attributes);
    const second = body({ kind: 'update', withdrawn: [], announced, errors: [] });
    if (gone.length === 0) return this.send(second);
    const first = body({ kind: 'update', withdrawn: byFamily(gone), announced: [], errors: [] });
    // Withdrawn routes of the one, attributes and NLRI of the other.
    return this.send(Uint8Array.of(...first.subarray(0, first.length - 2), ...second.subarray(2)));
  }

  /** An UPDATE with this body. */
  send(body: Uint8Array): UpdateResult | undefined {
    return this.rib.update(this.index, body, 0, body.length);
  }

  /** Reads what there is, up to so many octets. @returns whether there was anything. */
  read(maxOctets = Number.POSITIVE_INFINITY): boolean {
    let octets = 0;
    while (octets < maxOctets && this.isUp) {
      const bytes = this.rib.take(this.index, Math.min(65536, maxOctets - octets));
      if (bytes === undefined) break;
      octets += bytes.length;
      this.#hear(bytes);
    }
    this.octets += octets;
    return octets > 0;
  }

  /** `10.1.0.0/16 65001 65002` for each route that it knows, in order. */
  table(): string[] {
    return [...this.routes].map(([name, { asPath }]) => `${name} ${formatAsPath(asPath)}`.trim()).sort();
  }

  #send(update: Update): UpdateResult | undefined {
    let result: UpdateResult | undefined;
    // What an internal neighbour would say is said by whoever is tested with internal attributes.
    for (const message of encodeUpdate(update, {
      ...this.codec,
      addPathSend: this.codec.addPathReceive ?? [],
    })) {
      result = this.rib.update(this.index, message, HEADER_LENGTH, message.length) ?? result;
    }
    return result;
  }

  #hear(bytes: Uint8Array): void {
    const context: CodecContext = { as4: this.codec.as4, ebgp: this.codec.ebgp, extendedNextHop: true };
    for (let at = 0; at < bytes.length; ) {
      const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
      if (length > (this.#options.maxMessage ?? MAX_MESSAGE)) throw new Error(`message of ${length} octets`);
      const body = bytes.subarray(at + HEADER_LENGTH, at + length);
      if (body.length !== length - HEADER_LENGTH) throw new Error('half a message');
      const message = decodeMessage(bytes[at + 18]!, body, context);
      at += length;
      this.messages++;
      if (message.kind === 'update') this.#learn(message);
      else if (message.kind === 'route-refresh') this.#refresh(message.family, message.subtype);
      else throw new Error(`unexpected ${message.kind}: ${JSON.stringify(message)}`);
    }
  }

  #learn(update: Update): void {
    if (update.errors.length > 0) throw new Error(`malformed: ${update.errors[0]!.reason}`);
    if (update.endOfRib !== undefined) this.markers.push(`end-of-rib ${familyText(update.endOfRib)}`);
    for (const { prefixes } of update.withdrawn) {
      for (const each of prefixes) {
        this.heard.push(`-${formatPrefix(each)}`);
        this.routes.delete(formatPrefix(each));
      }
    }
    for (const { prefixes, attributes } of update.announced) {
      for (const each of prefixes) {
        this.heard.push(`+${formatPrefix(each)}`);
        this.routes.set(formatPrefix(each), attributes);
        for (const stale of this.#stale.values()) stale.delete(formatPrefix(each));
      }
    }
  }

  #refresh(family: Family, subtype: number): void {
    if (subtype === REFRESH_BEGIN) {
      this.markers.push(`refresh-begin ${familyText(family)}`);
      const names = [...this.routes.keys()].filter(
        (name) => name.includes(':') === (family === IPV6_UNICAST),
      );
      this.#stale.set(family, new Set(names));
    } else if (subtype === REFRESH_END) {
      this.markers.push(`refresh-end ${familyText(family)}`);
      for (const name of this.#stale.get(family) ?? []) this.routes.delete(name);
      this.#stale.delete(family);
    } else if (subtype === REFRESH_REQUEST) {
      this.markers.push(`refresh-request ${familyText(family)}`);
    }
  }
}

export const SELF6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe);

export { LOCAL_PEER };

function familyText(family: Family): string {
  return family === IPV4_UNICAST ? 'ipv4' : 'ipv6';
}

function byFamily<T extends PathAttributes | undefined>(names: readonly string[], attributes?: T) {
  const prefixes = names.map(parsePrefix);
  return [IPV4_UNICAST, IPV6_UNICAST]
    .map((family) => ({
      family,
      prefixes: prefixes.filter(({ bytes }) => (bytes.length === 4) === (family === IPV4_UNICAST)),
      attributes: attributes!,
    }))
    .filter((each) => each.prefixes.length > 0);
}
