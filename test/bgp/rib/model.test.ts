import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACCEPT_ALL, REJECT_ALL } from '#bgp/filter/builtin.ts';
import type { Filter } from '#bgp/filter/types.ts';
import { UNSPECIFIED4, UNSPECIFIED6 } from '#bgp/rib/attribute-store.ts';
import { PATH_NEXT } from '#bgp/rib/paths.ts';
import { countersOf, listReceived, listRoutes, listSent, viewRoute } from '#bgp/rib/queries.ts';
import { formatPrefix, parsePrefix } from '#bgp/wire/address.ts';
import { NO_ADVERTISE, NO_EXPORT } from '#bgp/wire/communities.ts';
import { AS_SEQUENCE, AS_SET, HEADER_LENGTH, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { encodeEndOfRib } from '#bgp/wire/pack.ts';
import type { AsPath, NextHop, PathAttributes } from '#bgp/wire/types.ts';
import { attributesOf } from './fixtures.ts';
import { type Neighbour, OUR_AS, SELF6, Speaker } from './harness.ts';
import { type Kind, Model, type ModelNeighbour, type ModelPolicy, nextHopText, summary } from './model.ts';

const FAMILIES = [IPV4_UNICAST, IPV6_UNICAST];
const PREFIXES = [
  '0.0.0.0/0',
  '20.0.0.0/8',
  '20.1.0.0/16',
  '20.1.1.0/24',
  '30.0.0.0/8',
  '40.0.0.1/32',
  '2001:db8:1::/48',
  '::/0',
];

type Side = { readonly asn: number; readonly kind: Kind };
const SIDES: readonly Side[] = [
  { asn: 65001, kind: 'ebgp' },
  { asn: 65001, kind: 'ebgp' },
  { asn: 65002, kind: 'ebgp' },
  { asn: OUR_AS, kind: 'ibgp' },
  { asn: OUR_AS, kind: 'client' },
  { asn: OUR_AS, kind: 'client' },
];

/** Policies as filters and as functions. */
const POLICIES: readonly { readonly filters: readonly Filter[]; readonly model: ModelPolicy }[] = [
  { filters: [ACCEPT_ALL], model: ({ attributes }) => attributes },
  { filters: [REJECT_ALL], model: () => undefined },
  {
    filters: [
      {
        name: 'by prefix',
        statements: [
          {
            match: { prefixes: [{ prefix: parsePrefix('20.0.0.0/8'), ge: 9 }] },
            action: 'accept',
            set: { med: 77, communities: { add: [{ kind: 'standard', as: 1, value: 1 }] } },
          },
          { match: { prefixes: [{ prefix: parsePrefix('30.0.0.0/8') }] }, action: 'reject' },
        ],
        otherwise: 'accept',
      },
    ],
    model: ({ prefix, attributes }) => {
      if (prefix === '30.0.0.0/8') return undefined;
      if (!prefix.startsWith('20.1.')) return attributes;
      const communities = Uint32Array.of(...attributes.communities.filter((each) => each !== 0x10001));
      const had = attributes.communities.includes(0x10001);
      return {
        ...attributes,
        med: 77,
        medSet: true,
        communities: had ? attributes.communities : Uint32Array.of(...communities, 0x10001),
      };
    },
  },
  {
    filters: [
      {
        name: 'by source and neighbour',
        statements: [
          { match: { peers: [parsePrefix('10.0.0.1/32')] }, action: 'reject' },
          { match: { sources: ['ebgp'] }, action: 'accept', set: { localPref: 150 } },
        ],
        otherwise: 'next',
      },
      ACCEPT_ALL,
    ],
    model: ({ attributes, source, from }) => {
      if (from === '10.0.0.1') return undefined;
      return source === 'ebgp' ? { ...attributes, localPref: 150 } : attributes;
    },
  },
  {
    filters: [
      {
        name: 'by community',
        statements: [
          {
            match: { communities: { any: [{ kind: 'standard', as: 1, value: 2 }] } },
            action: 'accept',
            set: { prepend: { as: 64000, times: 2 }, communities: { replace: true } },
          },
        ],
        otherwise: 'accept',
      },
    ],
    model: ({ attributes }) =>
      attributes.communities.includes(0x10002)
        ? { ...attributes, asPath: prepended(attributes.asPath), communities: new Uint32Array(0) }
        : attributes,
  },
];

function prepended(path: AsPath): AsPath {
  const [first, ...rest] = path;
  return first?.type === AS_SEQUENCE
    ? [{ type: AS_SEQUENCE, asns: [64000, 64000, ...first.asns] }, ...rest]
    : [{ type: AS_SEQUENCE, asns: [64000, 64000] }, ...path];
}

/** What a neighbour says of some prefixes, before it is known which neighbour. */
type Words = {
  readonly path: readonly number[];
  readonly set: boolean;
  readonly origin: number;
  readonly med: number | undefined;
  readonly localPref: number | undefined;
  readonly communities: readonly number[];
  readonly nextHop: number;
  readonly originator: number | undefined;
  readonly clusters: readonly number[];
};

const words: fc.Arbitrary<Words> = fc.record({
  path: fc.array(fc.constantFrom(1, 2, 65002, OUR_AS), { maxLength: 2 }).map((path) => path.slice(0, 2)),
  set: fc.boolean().map((set) => set && Math.abs(0) === 0 && set),
  origin: fc.constantFrom(0, 0, 0, 2),
  med: fc.constantFrom(undefined, 0, 5, 10),
  localPref: fc.constantFrom(undefined, undefined, 100, 200),
  communities: fc.constantFrom([], [], [], [0x10002], [NO_EXPORT], [NO_ADVERTISE]),
  nextHop: fc.integer({ min: 0, max: 3 }),
  originator: fc.constantFrom(undefined, undefined, undefined, 7, 8, 0x0a0000fe),
  clusters: fc.constantFrom([], [], [], [1], [1, 2], [0x0a0000fd]),
});

const who = fc.integer({ min: 0, max: SIDES.length - 1 });
const some = fc.uniqueArray(fc.constantFrom(...PREFIXES), { minLength: 1, maxLength: PREFIXES.length });
const policy = fc.integer({ min: 0, max: POLICIES.length - 1 });

type Step =
  | { readonly do: 'announce'; readonly who: number; readonly what: readonly string[]; readonly words: Words }
  | { readonly do: 'withdraw'; readonly who: number; readonly what: readonly string[] }
  | {
      readonly do: 'replace';
      readonly who: number;
      readonly what: readonly string[];
      readonly gone: readonly string[];
      readonly words: Words;
    }
  | { readonly do: 'originate'; readonly what: readonly string[]; readonly words: Words }
  | { readonly do: 'unoriginate'; readonly what: readonly string[] }
  | { readonly do: 'down'; readonly who: number; readonly keep: boolean }
  | { readonly do: 'up'; readonly who: number }
  | {
      readonly do: 'endOfRib' | 'refreshes' | 'refreshRequested' | 'softReset' | 'resend';
      readonly who: number;
    }
  | { readonly do: 'import' | 'export'; readonly who: number; readonly policy: number }
  | { readonly do: 'nextHop'; readonly which: number; readonly reachable: boolean; readonly metric: number }
  | { readonly do: 'process'; readonly budget: number }
  | { readonly do: 'read'; readonly who: number; readonly octets: number }
  | { readonly do: 'check' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('announce' as const), who, what: some, words }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('withdraw' as const), who, what: some }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('replace' as const), who, what: some, gone: some, words }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('originate' as const), what: some, words }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unoriginate' as const), what: some }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('down' as const), who, keep: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('up' as const), who }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'endOfRib' as const,
        'refreshes' as const,
        'refreshRequested' as const,
        'softReset' as const,
        'resend' as const,
      ),
      who,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('import' as const, 'export' as const), who, policy }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('nextHop' as const),
      which: fc.integer({ min: 0, max: 3 }),
      reachable: fc.boolean(),
      metric: fc.constantFrom(0, 5),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('process' as const), budget: fc.constantFrom(1, 2, 5) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('read' as const), who, octets: fc.constantFrom(1, 60, 300) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('check' as const) }) },
);

/** Somebody far away, an external neighbour, somebody else on the link, and an internal neighbour. */
const NEXT_HOPS4 = [
  [192, 0, 2, 1],
  [10, 0, 0, 2],
  [10, 0, 0, 99],
  [10, 0, 0, 5],
].map((bytes) => ({ family: 4 as const, bytes: Uint8Array.from(bytes), linkLocal: undefined }));
const NEXT_HOPS6 = [1, 2, 3, 4].map((n) => ({
  family: 6 as const,
  bytes: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, n),
  linkLocal: undefined,
}));

function isIpv4(prefix: string): boolean {
  return !prefix.includes(':');
}

class World {
  readonly speaker: Speaker;
  readonly model: Model;
  /** What the feeds have told of: prefix -> next hops, the best path's first. */
  readonly kernel = new Map<string, string>();
  readonly #resolutions = new Map<string, { reachable: boolean; metric: number }>();
  readonly #feeds;

  constructor(options: {
    readonly alwaysCompareMed: boolean;
    readonly maxPaths: number;
    readonly asPathRelax: boolean;
    readonly sharedLink: boolean;
    readonly connectedNextHop: boolean;
  }) {
    const { alwaysCompareMed, maxPaths, asPathRelax, sharedLink, connectedNextHop } = options;
    this.speaker = new Speaker({
      decision: { alwaysCompareMed },
      multipath: { maxPaths, ebgp: true, ibgp: true, asPathRelax },
      // So small that readers fall behind and streams stop.
      limits: { ahead: 150, slow: 400, batch: 2 },
      tracker: {
        added: (id, { bytes }) => {
          const known = this.#resolutions.get(bytes.join('.'));
          if (known !== undefined) this.speaker.rib.nextHops.set(id, known);
        },
        removed: () => {},
      },
    });
    this.model = new Model({
      clusterId: 0x0a0000fd,
      routerId: 0x0a0000fe,
      alwaysCompareMed,
      maxPaths,
      asPathRelax,
      sharedLink,
      connectedNextHop,
    });
    this.#feeds = FAMILIES.map((family) => ({
      family,
      feed: this.speaker.rib.families.get(family)!.subscribe(),
    }));
    for (const [i, { asn, kind }] of SIDES.entries()) {
      const neighbour = this.speaker.neighbour({
        asn,
        settings: { routeReflectorClient: kind === 'client', connectedNextHop },
        ...(sharedLink ? { sharedSubnets: ['10.0.0.0/24'] } : {}),
        enhancedRefresh: i % 2 === 0,
        // Router ids out of the order of addresses.
        routerId: 100 - i,
        codec: i === 2 ? { as4: false } : {},
      });
      this.model.neighbours.push({
        asn,
        address: neighbour.address,
        routerId: neighbour.routerId,
        kind,
        up: true,
        routes: new Map(),
        import: POLICIES[0]!.model,
        export: POLICIES[0]!.model,
      });
    }
  }

  /** Import policy that a neighbour gets with its next session. */
  readonly #nextImport = new Map<number, ModelPolicy>();
  readonly #nextExport = new Map<number, ModelPolicy>();

  take(step: Step): void {
    const { rib } = this.speaker;
    switch (step.do) {
      case 'announce': {
        const { real, model } = this.side(step.who);
        if (!model.up) return;
        for (const ipv4 of [true, false]) {
          const what = step.what.filter((prefix) => isIpv4(prefix) === ipv4);
          if (what.length === 0) continue;
          const attributes = attributesFor(model, step.words, ipv4);
          real.announce(attributes, ...what);
          for (const prefix of what) model.routes.set(prefix, { attributes, stale: false });
        }
        return;
      }
      case 'withdraw': {
        const { real, model } = this.side(step.who);
        if (!model.up) return;
        real.withdraw(...step.what);
        for (const prefix of step.what) model.routes.delete(prefix);
        return;
      }
      case 'replace': {
        // Both in one message: only IPv4 prefixes have fields for that. What is announced wins.
        const { real, model } = this.side(step.who);
        const what = step.what.filter(isIpv4);
        const gone = step.gone.filter(isIpv4);
        if (!model.up || what.length === 0) return;
        const attributes = attributesFor(model, step.words, true);
        real.replace(attributes, what, gone);
        for (const prefix of gone) model.routes.delete(prefix);
        for (const prefix of what) model.routes.set(prefix, { attributes, stale: false });
        return;
      }
      case 'originate':
        for (const prefix of step.what) {
          const nextHop = isIpv4(prefix) ? UNSPECIFIED4 : UNSPECIFIED6;
          const { med, origin, communities } = step.words;
          const attributes = attributesOf({
            nextHop,
            med,
            origin,
            communities: Uint32Array.from(communities),
          });
          this.speaker.originate(prefix, attributes);
          this.model.local.set(prefix, attributes);
        }
        return;
      case 'unoriginate':
        for (const prefix of step.what) {
          expect(this.speaker.withdraw(prefix)).toBe(this.model.local.delete(prefix));
        }
        return;
      case 'down': {
        const { real, model } = this.side(step.who);
        if (!model.up) return;
        real.down(step.keep);
        model.up = false;
        if (step.keep) for (const route of model.routes.values()) route.stale = true;
        else model.routes.clear();
        return;
      }
      case 'up': {
        const { real, model } = this.side(step.who);
        if (model.up) return;
        real.up();
        model.up = true;
        model.import = this.#nextImport.get(step.who) ?? model.import;
        model.export = this.#nextExport.get(step.who) ?? model.export;
        return;
      }
      case 'endOfRib': {
        const { real, model } = this.side(step.who);
        if (!model.up) return;
        for (const family of FAMILIES) {
          const message = encodeEndOfRib(family);
          expect(rib.update(real.index, message, HEADER_LENGTH, message.length)).toEqual({
            errors: [],
            endOfRib: family,
          });
          // Inside of a refresh it ends nothing.
          rib.dropStale(real.index, family);
        }
        dropStale(model);
        return;
      }
      case 'refreshes': {
        const { real, model } = this.side(step.who);
        if (!model.up) return;
        for (const family of FAMILIES) rib.refreshBegins(real.index, family);
        for (const route of model.routes.values()) route.stale = true;
        return;
      }
      case 'refreshRequested':
      case 'softReset':
      case 'resend': {
        const { real, model } = this.side(step.who);
        if (!model.up) return;
        for (const family of FAMILIES) rib[step.do](real.index, family);
        return;
      }
      case 'import':
      case 'export': {
        const { real, model } = this.side(step.who);
        const { filters, model: function_ } = POLICIES[step.policy]!;
        real.change({}, { [step.do]: filters });
        (step.do === 'import' ? this.#nextImport : this.#nextExport).set(step.who, function_);
        if (model.up) model[step.do] = function_;
        return;
      }
      case 'nextHop': {
        const resolution = { reachable: step.reachable, metric: step.metric };
        for (const nextHop of [NEXT_HOPS4[step.which]!, NEXT_HOPS6[step.which]!]) {
          const id = rib.nextHops.find(nextHop, 0);
          if (id !== 0) rib.nextHops.set(id, resolution);
          this.#resolutions.set(nextHop.bytes.join('.'), resolution);
          this.model.nextHops.set(nextHop.bytes.join('.'), { resolved: step.reachable, metric: step.metric });
        }
        return;
      }
      case 'process':
        rib.process(step.budget);
        return;
      case 'read':
        this.side(step.who).real.read(step.octets);
        return;
      case 'check':
        this.check();
    }
  }

  check(): void {
    this.speaker.settle(3);
    const { rib } = this.speaker;
    // Loc-RIB
    const best: Record<string, string> = {};
    const expectedBest: Record<string, string> = {};
    for (const prefix of PREFIXES) {
      const found = this.speaker.best(prefix);
      if (found !== undefined) best[prefix] = found;
      const [wanted] = this.model.decide(prefix);
      if (wanted !== undefined) expectedBest[prefix] = wanted.neighbour?.address ?? 'local';
    }
    expect(best).toEqual(expectedBest);

    // What outside is told of.
    for (const { family, feed } of this.#feeds) {
      const table = rib.families.get(family)!;
      feed.take(1000, (net) => {
        const route = viewRoute(rib, table, net);
        const name = formatPrefix({
          family: route.address.length === 4 ? 4 : 6,
          bytes: route.address,
          length: route.length,
        });
        const ways = route.paths
          .filter((path) => path.best || path.multipath)
          .sort((a, b) => Number(b.best) - Number(a.best))
          .map((path) => `${nextHopText(path.accepted!)} metric ${path.resolution!.metric}`);
        if (ways.length === 0) this.kernel.delete(name);
        else this.kernel.set(name, [ways[0]!, ...ways.slice(1).sort()].join(', '));
      });
      expect(feed.size).toBe(0);
    }
    const kernel = new Map<string, string>();
    for (const prefix of PREFIXES) {
      const ways = this.model
        .decide(prefix)
        .map(({ attributes }) => `${nextHopText(attributes)} metric ${this.model.way(attributes).metric}`);
      if (ways.length > 0) kernel.set(prefix, [ways[0]!, ...ways.slice(1).sort()].join(', '));
    }
    expect(byName(this.kernel)).toEqual(byName(kernel));

    // What each neighbour was told, from its own point of view and from that of the API, and counters.
    for (const [i, model] of this.model.neighbours.entries()) {
      const { real } = this.side(i);
      const wanted = model.up
        ? this.model.sentTo(model, (prefix) => (isIpv4(prefix) ? '10.0.0.254' : SELF6.join('.')))
        : new Map();
      const told = new Map([...real.routes].map(([name, attributes]) => [name, summary(attributes)]));
      expect([i, byName(told)]).toEqual([i, byName(wanted)]);
      const counters = FAMILIES.map((family) => countersOf(rib, real.index, family));
      const sum = (key: 'received' | 'stale' | 'accepted' | 'advertised' | 'pending') =>
        counters.reduce((total, each) => total + each[key], 0);
      expect(sum('received') + sum('stale')).toBe(model.routes.size);
      expect(sum('stale')).toBe([...model.routes.values()].filter(({ stale }) => stale).length);
      expect(sum('advertised')).toBe(wanted.size);
      expect(sum('pending')).toBe(0);
      const sent = FAMILIES.flatMap((family) => listSent(rib, real.index, family, 0, 1000).entries).map(
        ({ address, length, attributes }): [string, unknown] => [
          formatPrefix({ family: address.length === 4 ? 4 : 6, bytes: address, length }),
          summary(attributes),
        ],
      );
      if (model.up && real.codec.as4) expect(byName(new Map(sent))).toEqual(byName(wanted));
      const received = FAMILIES.flatMap((family) => listReceived(rib, real.index, family, 0, 1000).entries);
      expect(received).toHaveLength(model.routes.size);
      const accepted = received.filter(({ paths }) => paths[0]!.accepted !== undefined).length;
      if (sum('stale') === 0) expect(sum('accepted')).toBe(accepted);
    }
    this.checkTables();
  }

  /** What must hold of the tables whatever went in. */
  checkTables(): void {
    const { rib } = this.speaker;
    const references = new Map<number, number>();
    const count = (id: number) => references.set(id, (references.get(id) ?? 0) + 1);
    let paths = 0;
    for (const table of rib.families.values()) {
      let routes = 0;
      for (let net = 1; net < table.table.limit; net++) {
        if (!table.table.inUse(net)) continue;
        if (table.best(net) !== 0) routes++;
        for (let row = table.firstPath(net); row !== 0; row = table.paths.get(row, PATH_NEXT)) {
          paths++;
          const raw = table.paths.get(row, 2);
          const post = table.paths.get(row, 3);
          expect(rib.attributes.inUse(raw)).toBe(true);
          count(raw);
          if (post !== 0) {
            expect(rib.attributes.inUse(post)).toBe(true);
            count(post);
          }
        }
      }
      expect(table.routes).toBe(routes);
    }
    expect([...rib.families.values()].reduce((sum, { paths: store }) => sum + store.size, 0)).toBe(paths);
    for (const [id, least] of references) expect(rib.attributes.references(id)).toBeGreaterThanOrEqual(least);
    const listed = FAMILIES.flatMap((family) => listRoutes(rib, family, 0, 1000).entries);
    expect(listed.reduce((sum, route) => sum + route.paths.length, 0)).toBe(paths);
  }

  /** Everything goes, and nothing may be left. */
  end(): void {
    const { rib } = this.speaker;
    for (const prefix of PREFIXES) this.speaker.withdraw(prefix);
    for (const each of this.speaker.neighbours) {
      if (!each.isUp) each.up();
      each.down();
    }
    this.speaker.settle();
    for (const { feed } of this.#feeds) feed.take(1000, () => {});
    for (const table of rib.families.values()) {
      expect([table.table.size, table.paths.size, table.routes, table.groups.length]).toEqual([0, 0, 0, 0]);
    }
    expect([rib.attributes.size, rib.attributes.bytesInUse, rib.out.size, rib.nextHops.size]).toEqual([
      0, 0, 0, 0,
    ]);
  }

  side(who: number): { real: Neighbour; model: ModelNeighbour } {
    return { real: this.speaker.neighbours[who]!, model: this.model.neighbours[who]! };
  }
}

function dropStale(model: ModelNeighbour): void {
  for (const [prefix, { stale }] of model.routes) if (stale) model.routes.delete(prefix);
}

function byName<T>(map: ReadonlyMap<string, T>): Record<string, T> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What this neighbour can say: external ones start the path with their AS and have no internal attributes. */
function attributesFor({ kind, asn }: ModelNeighbour, given: Words, ipv4: boolean): PathAttributes {
  const external = kind === 'ebgp';
  const nextHop: NextHop = (ipv4 ? NEXT_HOPS4 : NEXT_HOPS6)[given.nextHop]!;
  const asns = external ? [asn, ...given.path] : given.path;
  const asPath: AsPath = asns.length === 0 ? [] : [{ type: AS_SEQUENCE, asns }];
  return attributesOf({
    asPath: given.set ? [...asPath, { type: AS_SET, asns: [3, 4] }] : asPath,
    origin: given.origin,
    med: given.med,
    nextHop,
    communities: Uint32Array.from(given.communities),
    ...(external
      ? {}
      : {
          localPref: given.localPref ?? 100,
          originatorId: given.originator,
          clusterList: Uint32Array.from(given.clusters),
        }),
  });
}

describe('RIB against the model', () => {
  it('comes to what the model says, whatever is announced, withdrawn, filtered, resolved, and whoever reads slowly', () => {
    const options = fc.record({
      alwaysCompareMed: fc.boolean(),
      maxPaths: fc.constantFrom(1, 2, 8),
      asPathRelax: fc.boolean(),
      sharedLink: fc.boolean(),
      connectedNextHop: fc.boolean(),
    });
    fc.assert(
      fc.property(options, fc.array(step, { minLength: 1, maxLength: 150, size: 'max' }), (given, steps) => {
        const world = new World(given);
        for (const each of steps) world.take(each);
        world.check();
        world.end();
      }),
      { numRuns: Number(process.env.RIB_RUNS ?? 200) },
    );
  }, 600_000);
});
