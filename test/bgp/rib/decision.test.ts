import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UNSPECIFIED4 } from '#bgp/rib/attribute-store.ts';
import {
  STEP_AS_PATH_LENGTH,
  STEP_CLUSTER_LIST,
  STEP_EBGP,
  STEP_IGP_METRIC,
  STEP_LOCAL_PREF,
  STEP_MED,
  STEP_OLDEST,
  STEP_ORIGIN,
  STEP_OWN,
  STEP_PEER_ADDRESS,
  STEP_ROUTER_ID,
  stepName,
} from '#bgp/rib/decision.ts';
import { PATH_MULTI, PATH_NEXT, PATH_PEER } from '#bgp/rib/paths.ts';
import { findRoute, listRoutes } from '#bgp/rib/queries.ts';
import { AS_SEQUENCE, AS_SET, IPV4_UNICAST, ORIGIN_EGP, ORIGIN_INCOMPLETE } from '#bgp/wire/constants.ts';
import type { PathAttributes } from '#bgp/wire/types.ts';
import { attributesOf, ipv4, sequence } from './fixtures.ts';
import { type NeighbourOptions, OUR_AS, Speaker, type SpeakerOptions } from './harness.ts';

const PREFIX = '20.0.0.0/8';

type Contender = NeighbourOptions & { readonly says?: Partial<PathAttributes> };

/** The contenders announce in the given order; `winner` is an index in that order. */
function compete(contenders: readonly Contender[], options: SpeakerOptions = {}) {
  const speaker = new Speaker(options);
  const neighbours = contenders.map((each, i) => speaker.neighbour({ address: `10.0.0.${i + 1}`, ...each }));
  for (const [i, { says }] of contenders.entries()) {
    const neighbour = neighbours[i]!;
    const start = neighbour.asn === OUR_AS ? [] : sequence(neighbour.asn);
    const internal = neighbour.asn === OUR_AS ? { localPref: 100 } : {};
    neighbour.announce(attributesOf({ asPath: start, ...internal, ...says }), PREFIX);
  }
  speaker.settle();
  const { bytes, length } = { bytes: ipv4('20.0.0.0'), length: 8 };
  const route = findRoute(speaker.rib, IPV4_UNICAST, bytes, length)!;
  const best = route.paths.find((path) => path.best)!;
  return {
    speaker,
    route,
    winner: neighbours.findIndex((each) => each.index === best?.peer),
    wonBy: best?.wonBy,
    verdicts: neighbours.map((each) => route.paths.find((path) => path.peer === each.index)!.verdict),
  };
}

const EXTERNAL = 65001;

describe('decision steps', () => {
  it.each<[string, number, Contender, Contender, SpeakerOptions?]>([
    [
      'higher local preference, however long the path',
      STEP_LOCAL_PREF,
      { asn: OUR_AS, says: { localPref: 200, asPath: sequence(1, 2, 3) } },
      { asn: OUR_AS, says: { localPref: 100 } },
    ],
    [
      'local preference is a number without sign',
      STEP_LOCAL_PREF,
      { asn: OUR_AS, says: { localPref: 4_000_000_000 } },
      { asn: OUR_AS, says: { localPref: 2_000_000_000 } },
    ],
    [
      'no local preference counts as the default',
      STEP_LOCAL_PREF,
      { asn: EXTERNAL },
      { asn: OUR_AS, says: { localPref: 99 } },
    ],
    [
      'shorter AS path, however good the origin',
      STEP_AS_PATH_LENGTH,
      { asn: EXTERNAL, says: { asPath: sequence(65001, 1), origin: ORIGIN_INCOMPLETE } },
      { asn: 65002, says: { asPath: sequence(65002, 1, 2) } },
    ],
    [
      'a set counts as one',
      STEP_AS_PATH_LENGTH,
      { asn: EXTERNAL, says: { asPath: [...sequence(65001), { type: AS_SET, asns: [1, 2, 3, 4] }] } },
      { asn: 65002, says: { asPath: sequence(65002, 1, 2) } },
    ],
    [
      'lower origin, however low the MED',
      STEP_ORIGIN,
      { asn: EXTERNAL, says: { med: 10 } },
      { asn: EXTERNAL, says: { origin: ORIGIN_EGP, med: 1 } },
    ],
    [
      'lower MED within a neighbouring AS',
      STEP_MED,
      { asn: EXTERNAL, says: { med: 1 }, routerId: 9 },
      { asn: EXTERNAL, says: { med: 2 }, routerId: 1 },
    ],
    [
      'no MED is the lowest',
      STEP_MED,
      { asn: EXTERNAL, routerId: 9 },
      { asn: EXTERNAL, says: { med: 1 }, routerId: 1 },
    ],
    [
      'no MED is the highest if so set',
      STEP_MED,
      { asn: EXTERNAL, says: { med: 4_294_967_294 }, routerId: 9 },
      { asn: EXTERNAL, routerId: 1 },
      { decision: { missingMedIsWorst: true } },
    ],
    [
      'MED between ASes if so set',
      STEP_MED,
      { asn: EXTERNAL, says: { med: 1 }, routerId: 9 },
      { asn: 65002, says: { med: 2 }, routerId: 1 },
      { decision: { alwaysCompareMed: true } },
    ],
    [
      'external over internal, however near the next hop',
      STEP_EBGP,
      { asn: EXTERNAL, routerId: 9, says: { nextHop: hop('10.0.7.7') } },
      { asn: OUR_AS, routerId: 1, says: { asPath: sequence(2), nextHop: hop('10.0.8.8') } },
      { metrics: { '10.0.7.7': 50, '10.0.8.8': 1 } },
    ],
    [
      'nearer next hop',
      STEP_IGP_METRIC,
      { asn: OUR_AS, routerId: 9, says: { nextHop: hop('10.0.7.7') } },
      { asn: OUR_AS, routerId: 1, says: { nextHop: hop('10.0.8.8') } },
      { metrics: { '10.0.7.7': 1, '10.0.8.8': 2 } },
    ],
    [
      'the older of external ones if so set',
      STEP_OLDEST,
      { asn: EXTERNAL, routerId: 9 },
      { asn: 65002, routerId: 1 },
      { decision: { preferOldest: true } },
    ],
    ['lower router id', STEP_ROUTER_ID, { asn: EXTERNAL, routerId: 8 }, { asn: 65002, routerId: 9 }],
    [
      'router ids are numbers without sign',
      STEP_ROUTER_ID,
      { asn: EXTERNAL, routerId: 0x01000000 },
      { asn: 65002, routerId: 0xff000000 },
    ],
    [
      'originator id takes the place of the router id',
      STEP_ROUTER_ID,
      { asn: OUR_AS, routerId: 9, says: { originatorId: 1 } },
      { asn: OUR_AS, routerId: 2, says: {} },
    ],
    [
      'shorter cluster list',
      STEP_CLUSTER_LIST,
      { asn: OUR_AS, address: '10.0.0.9', says: { originatorId: 1, clusterList: Uint32Array.of(5) } },
      { asn: OUR_AS, address: '10.0.0.1', says: { originatorId: 1, clusterList: Uint32Array.of(5, 6) } },
    ],
    [
      'lower address of the neighbour',
      STEP_PEER_ADDRESS,
      { asn: OUR_AS, address: '10.0.0.9', says: { originatorId: 1 } },
      { asn: OUR_AS, address: '10.0.0.10', says: { originatorId: 1 } },
    ],
  ])('%s', (_name, step, better, worse, options = {}) => {
    const first = compete([better, worse], options);
    expect([first.winner, stepName(first.wonBy!)]).toEqual([0, stepName(step)]);
    expect(first.verdicts).toEqual([{ kind: 'best' }, { kind: 'lost', step }]);
    // In the other order too, unless age is what counts; and with a third that is in every way worse.
    if (step === STEP_OLDEST) return;
    expect(compete([worse, better], options).winner).toBe(1);
    const third = { asn: 65009, says: { asPath: sequence(65009, 1, 2, 3, 4, 5, 6, 7, 8) } };
    expect(compete([worse, third, better], options).winner).toBe(2);
  });

  it('a route of our own before any that was learned', () => {
    const { speaker } = compete([{ asn: OUR_AS, says: { localPref: 500 } }]);
    speaker.originate(PREFIX, attributesOf({ nextHop: UNSPECIFIED4, localPref: 1 }));
    speaker.settle();
    expect(speaker.best(PREFIX)).toBe('local');
    const route = findRoute(speaker.rib, IPV4_UNICAST, ipv4('20.0.0.0'), 8)!;
    expect(route.paths.find((path) => path.best)?.wonBy).toBe(STEP_OWN);
    speaker.withdraw(PREFIX);
    speaker.settle();
    expect(speaker.best(PREFIX)).toBe('10.0.0.1');
  });

  it('MED does not count between neighbouring ASes', () => {
    const { winner, wonBy } = compete([
      { asn: EXTERNAL, routerId: 2, says: { med: 1 } },
      { asn: 65002, routerId: 1, says: { med: 2 } },
    ]);
    expect([winner, wonBy]).toEqual([1, STEP_ROUTER_ID]);
  });

  it('MED between paths that start in our own AS', () => {
    const { winner, wonBy } = compete([
      { asn: OUR_AS, routerId: 9, says: { med: 1 } },
      { asn: OUR_AS, routerId: 1, says: { med: 2 } },
    ]);
    expect([winner, wonBy]).toEqual([0, STEP_MED]);
  });

  it('a path that loses by MED takes no further part, in whatever order the paths came', () => {
    // b beats a (router id), c beats b (MED), a beats c (router id): only one order of elimination is right.
    const a = { asn: 65002, routerId: 2, address: '10.0.0.1' };
    const b = { asn: EXTERNAL, routerId: 1, address: '10.0.0.2', says: { med: 10 } };
    const c = { asn: EXTERNAL, routerId: 3, address: '10.0.0.3', says: { med: 5 } };
    for (const order of [
      [a, b, c],
      [a, c, b],
      [b, a, c],
      [b, c, a],
      [c, a, b],
      [c, b, a],
    ]) {
      const { speaker, verdicts } = compete(order);
      expect(speaker.best(PREFIX)).toBe('10.0.0.1');
      expect(verdicts[order.indexOf(b)]).toEqual({ kind: 'lost', step: STEP_MED });
      expect(verdicts[order.indexOf(c)]).toEqual({ kind: 'lost', step: STEP_ROUTER_ID });
    }
  });

  it('a path without a way to its next hop is none, and is one again when there is a way', () => {
    const { speaker } = compete([
      { asn: EXTERNAL, says: { nextHop: hop('10.0.7.7') } },
      { asn: 65002, says: { asPath: sequence(65002, 1, 2) } },
    ]);
    const id = speaker.rib.nextHops.find(hop('10.0.7.7'), 0);
    speaker.rib.nextHops.set(id, { reachable: false, metric: 0 });
    speaker.settle();
    expect(speaker.best(PREFIX)).toBe('10.0.0.2');
    const route = findRoute(speaker.rib, IPV4_UNICAST, ipv4('20.0.0.0'), 8)!;
    expect(route.paths.map(({ verdict }) => verdict.kind).sort()).toEqual(['best', 'unreachable']);
    speaker.rib.nextHops.set(id, { reachable: true, metric: 0 });
    speaker.settle();
    expect(speaker.best(PREFIX)).toBe('10.0.0.1');
  });

  it('only what depends on a next hop is decided again when it changes', () => {
    const speaker = new Speaker();
    const a = speaker.neighbour();
    a.announce(
      attributesOf({ asPath: sequence(a.asn), nextHop: hop('10.0.7.7') }),
      '20.0.0.0/8',
      '21.0.0.0/8',
    );
    a.announce(attributesOf({ asPath: sequence(a.asn), nextHop: hop('10.0.8.8') }), '30.0.0.0/8');
    speaker.settle();
    const feed = speaker.rib.families.get(IPV4_UNICAST)!.subscribe();
    const taken: number[] = [];
    speaker.rib.nextHops.set(speaker.rib.nextHops.find(hop('10.0.7.7'), 0), {
      reachable: true,
      metric: 3,
      gateway: 'x',
    });
    speaker.settle();
    feed.take(100, (net) => taken.push(net));
    expect(taken).toHaveLength(2);
  });
});

describe('multipath', () => {
  const both = { maxPaths: 4, ebgp: true, ibgp: true };
  const paths = (result: ReturnType<typeof compete>) =>
    result.verdicts.map(({ kind }) => (kind === 'best' ? 'B' : kind === 'multipath' ? 'm' : '-')).join('');

  const a: Contender = { asn: EXTERNAL, routerId: 1, says: { nextHop: hop('10.0.1.1') } };
  const b: Contender = { asn: EXTERNAL, routerId: 2, says: { nextHop: hop('10.0.1.2') } };
  const c: Contender = { asn: 65002, routerId: 3, says: { nextHop: hop('10.0.1.3') } };
  const i: Contender = {
    asn: OUR_AS,
    routerId: 4,
    says: { asPath: sequence(EXTERNAL), nextHop: hop('10.0.1.4') },
  };

  it.each<[string, readonly Contender[], SpeakerOptions['multipath'], string]>([
    ['external paths with the same AS path', [a, b], both, 'Bm'],
    ['not with another AS path', [a, c], both, 'B-'],
    ['with another AS path of the same length if so set', [a, c], { ...both, asPathRelax: true }, 'Bm'],
    ['not external and internal ones together', [a, i], both, 'B-'],
    ['not external ones unless set', [a, b], { maxPaths: 4, ibgp: true }, 'B-'],
    ['internal ones', [i, { ...i, routerId: 5, says: { ...i.says, nextHop: hop('10.0.1.5') } }], both, 'Bm'],
    [
      'not internal ones unless set',
      [i, { ...i, routerId: 5, says: { ...i.says, nextHop: hop('10.0.1.5') } }],
      { maxPaths: 4, ebgp: true },
      'B-',
    ],
    [
      'not more than allowed, and those that would be next best',
      [c, b, a].map((x, n) => ({ ...x, asn: EXTERNAL, routerId: 3 - n })),
      { ...both, maxPaths: 2 },
      '-mB',
    ],
    ['one path is one path', [a, b], { ...both, maxPaths: 1 }, 'B-'],
    ['two over one next hop are one', [a, { ...b, says: a.says! }], both, 'B-'],
    ['not one with a higher MED', [a, { ...b, says: { ...b.says, med: 5 } }], both, 'B-'],
  ])('%s', (_name, contenders, multipath, expected) => {
    expect(paths(compete(contenders, { multipath: multipath! }))).toBe(expected);
  });

  it('tells of a change beside the best path', () => {
    const { speaker } = compete([a, b], { multipath: both });
    const table = speaker.rib.families.get(IPV4_UNICAST)!;
    const feed = table.subscribe();
    const taken = () => feed.take(10, () => {});
    speaker.neighbours[1]!.withdraw(PREFIX);
    speaker.settle();
    expect([taken(), speaker.best(PREFIX)]).toEqual([1, '10.0.0.1']);
    speaker.neighbours[1]!.announce(attributesOf({ asPath: sequence(EXTERNAL), ...b.says }), PREFIX);
    speaker.settle();
    expect(taken()).toBe(1);
    speaker.neighbours[1]!.announce(attributesOf({ asPath: sequence(EXTERNAL), ...b.says }), PREFIX);
    speaker.settle();
    expect(taken()).toBe(0);
    speaker.neighbours[1]!.announce(
      attributesOf({ asPath: sequence(EXTERNAL), nextHop: hop('10.0.1.9') }),
      PREFIX,
    );
    speaker.settle();
    expect(taken()).toBe(1);
  });

  it('tells of one of three ways that goes, and of one that turns worse', () => {
    const third = { ...b, routerId: 3, says: { nextHop: hop('10.0.1.7') } };
    const { speaker } = compete([a, b, third], { multipath: both });
    const feed = speaker.rib.families.get(IPV4_UNICAST)!.subscribe();
    const taken = () => {
      speaker.settle();
      return feed.take(10, () => {});
    };
    const [, second, last] = speaker.neighbours;
    second!.announce(attributesOf({ asPath: sequence(EXTERNAL, 9), ...b.says }), PREFIX);
    expect(taken()).toBe(1);
    second!.announce(attributesOf({ asPath: sequence(EXTERNAL), ...b.says }), PREFIX);
    expect(taken()).toBe(1);
    last!.withdraw(PREFIX);
    expect(taken()).toBe(1);
  });

  it('is not told of between two decisions', () => {
    const { speaker } = compete([a, b], { multipath: both });
    const feed = speaker.rib.families.get(IPV4_UNICAST)!.subscribe();
    const [first, second] = speaker.neighbours;
    second!.withdraw(PREFIX);
    speaker.settle();
    first!.withdraw(PREFIX);
    expect([feed.size, feed.take(10, () => {})]).toEqual([1, 0]);
    first!.announce(attributesOf({ asPath: sequence(EXTERNAL), ...a.says }), PREFIX);
    speaker.settle();
    expect(
      feed.take(10, (net) => expect(speaker.rib.families.get(IPV4_UNICAST)!.best(net)).not.toBe(0)),
    ).toBe(1);
  });

  it('follows a change of the settings', () => {
    const { speaker } = compete([a, b], { multipath: both });
    const { decision } = speaker.rib.settings;
    const multi = () =>
      findRoute(speaker.rib, IPV4_UNICAST, ipv4('20.0.0.0'), 8)!.paths.filter(({ multipath }) => multipath)
        .length;
    expect(multi()).toBe(2);
    speaker.rib.configure({
      ...speaker.rib.settings,
      decision,
      multipath: { maxPaths: 1, ebgp: true, ibgp: true, asPathRelax: false },
    });
    speaker.settle();
    expect(multi()).toBe(0);
  });
});

describe('a path set of many', () => {
  it('is decided as fast as it is large', () => {
    const contenders = Array.from({ length: 200 }, (_, n) => ({
      asn: 65100 + (n % 7),
      address: `10.0.1.${n}`,
      routerId: 1000 - n,
      says: { med: n % 5, asPath: [{ type: AS_SEQUENCE, asns: [65100 + (n % 7)] }] },
    }));
    const { winner } = compete(contenders);
    // MED 0 in its AS, lowest router id of those: n a multiple of 5, the last such.
    expect(winner).toBe(195);
  });

  it('is decided anew only for a path that may change something, and comes to the same', () => {
    const change = fc.record({
      who: fc.nat(11),
      // Withdrawn, or announced with these.
      as: fc.constantFrom(undefined, 65100, 65101, 65102),
      med: fc.constantFrom(undefined, 0, 1, 2),
      length: fc.constantFrom(1, 1, 1, 2),
      nextHop: fc.constantFrom('192.0.2.1', '192.0.2.2', '192.0.2.3'),
    });
    const settings = fc.record({
      alwaysCompareMed: fc.boolean(),
      preferOldest: fc.boolean(),
      maxPaths: fc.constantFrom(1, 3),
      asPathRelax: fc.boolean(),
    });
    let spared = 0;
    fc.assert(
      fc.property(settings, fc.array(change, { minLength: 20, maxLength: 80 }), (given, changes) => {
        const { alwaysCompareMed, preferOldest, maxPaths, asPathRelax } = given;
        const speaker = new Speaker({
          decision: { alwaysCompareMed, preferOldest },
          multipath: { maxPaths, ebgp: true, ibgp: true, asPathRelax },
          metrics: { '192.0.2.2': 5 },
        });
        const neighbours = Array.from({ length: 12 }, (_, n) =>
          speaker.neighbour({ asn: n < 9 ? 65001 + n : OUR_AS, routerId: 100 - (n % 5) }),
        );
        const table = speaker.rib.families.get(IPV4_UNICAST)!;
        for (const { who, as, med, length, nextHop } of changes) {
          const neighbour = neighbours[who]!;
          if (as === undefined) neighbour.withdraw(PREFIX);
          else {
            const asPath = sequence(as, ...Array<number>(length).fill(1));
            const internal = neighbour.asn === OUR_AS ? { localPref: 100 } : {};
            neighbour.announce(attributesOf({ asPath, med, nextHop: hop(nextHop), ...internal }), PREFIX);
          }
          if (table.undecided.size === 0) spared++;
          speaker.settle();
          const net = table.table.findBytes(ipv4('20.0.0.0'), 8);
          if (net === 0) continue;
          const multi = [];
          for (let row = table.firstPath(net); row !== 0; row = table.paths.get(row, PATH_NEXT)) {
            if ((table.paths.get(row, PATH_PEER) & PATH_MULTI) !== 0) multi.push(row);
          }
          const found = table.best(net);
          expect(table.decision.select(table.firstPath(net))).toBe(found);
          const { chosen } = table.decision;
          expect(multi.sort()).toEqual(chosen.length > 1 ? chosen.toSorted() : []);
        }
      }),
      { numRuns: 150 },
    );
    expect(spared).toBeGreaterThan(1000);
  }, 600_000);
});

it('a page of a listing ends with the path that makes it full', () => {
  const speaker = new Speaker();
  const neighbours = [1, 2, 3].map(() => speaker.neighbour());
  for (const each of neighbours) {
    each.announce(attributesOf({ asPath: sequence(each.asn) }), '20.0.0.0/8', '21.0.0.0/8', '22.0.0.0/8');
  }
  speaker.settle();
  const first = listRoutes(speaker.rib, IPV4_UNICAST, 0, 4);
  expect(first.entries.map(({ paths }) => paths.length)).toEqual([3, 3]);
  expect(listRoutes(speaker.rib, IPV4_UNICAST, first.next, 4).entries).toHaveLength(1);
});

function hop(text: string) {
  return { family: 4 as const, bytes: ipv4(text), linkLocal: undefined };
}
