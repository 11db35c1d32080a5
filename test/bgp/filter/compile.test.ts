import { describe, expect, it } from 'vitest';
import { ACCEPT_ALL, OWN_PREFIXES, REJECT_ALL } from '#bgp/filter/builtin.ts';
import { CompiledFilter, filterKey, type RouteFacts } from '#bgp/filter/compile.ts';
import type { Actions, AsPathElement, Filter, Match, RouteSource, Statement } from '#bgp/filter/types.ts';
import { AS_SEQUENCE, AS_SET, ORIGIN_EGP, ORIGIN_IGP } from '#bgp/wire/constants.ts';
import type { PathAttributes } from '#bgp/wire/types.ts';
import { attributesOf, ipv4, sequence } from '../rib/fixtures.ts';
import { prefix } from './fixtures.ts';

type Route = {
  readonly attributes?: Partial<PathAttributes>;
  readonly source?: RouteSource;
  readonly peer?: string;
  readonly prefix?: string;
};

function filter(statements: readonly Statement[], otherwise: Filter['otherwise'] = 'reject'): Filter {
  return { name: 'test', statements, otherwise };
}

function ask(filters: readonly Filter[], route: Route): PathAttributes | 'reject' {
  const compiled = new CompiledFilter(filters);
  const facts: RouteFacts = {
    attributes: attributesOf(route.attributes ?? {}),
    source: route.source ?? 'ebgp',
    peer: route.peer === undefined ? undefined : ipv4(route.peer),
    defaultLocalPref: 100,
  };
  const profile = compiled.profile(facts);
  const { bytes, length } = prefix(route.prefix ?? '203.0.113.0/24');
  const outcome = compiled.outcome4(profile, new DataView(bytes.buffer).getInt32(0), length);
  if (!compiled.usesPrefix) expect(compiled.outcome(profile)).toBe(outcome);
  if (!compiled.accepts(outcome)) return 'reject';
  const context = {
    localAs: 64999,
    self: { family: 4 as const, bytes: ipv4('10.9.9.9'), linkLocal: undefined },
    peer: ipv4('10.8.8.8'),
  };
  const result = compiled.apply(outcome, facts.attributes, context);
  expect(compiled.changes(outcome)).toBe(result !== facts.attributes);
  return result;
}

function matches(match: Match, route: Route): boolean {
  return ask([filter([{ match, action: 'accept' }])], route) !== 'reject';
}

function set(actions: Actions, attributes: Partial<PathAttributes> = {}): PathAttributes {
  return ask([filter([{ set: actions, action: 'accept' }])], { attributes }) as PathAttributes;
}

describe('conditions', () => {
  it('on prefixes', () => {
    const match: Match = {
      prefixes: [{ prefix: prefix('10.0.0.0/8'), le: 24 }],
      notPrefixes: [{ prefix: prefix('10.1.0.0/16'), le: 32 }],
    };
    expect(matches(match, { prefix: '10.2.0.0/16' })).toBe(true);
    expect(matches(match, { prefix: '10.1.2.0/24' })).toBe(false);
    expect(matches(match, { prefix: '11.0.0.0/24' })).toBe(false);
  });

  it('on the next hop', () => {
    const match: Match = { nextHops: [prefix('192.0.2.0/24')] };
    expect(matches(match, {})).toBe(true);
    const nextHop = { family: 4 as const, bytes: ipv4('192.0.3.1'), linkLocal: undefined };
    expect(matches(match, { attributes: { nextHop } })).toBe(false);
  });

  it('on source, neighbour and origin', () => {
    expect(matches({ sources: ['local', 'kernel'] }, { source: 'kernel' })).toBe(true);
    expect(matches({ sources: ['local', 'kernel'] }, { source: 'ibgp' })).toBe(false);
    expect(matches({ peers: [prefix('10.0.0.0/24')] }, { peer: '10.0.0.7' })).toBe(true);
    expect(matches({ peers: [prefix('10.0.0.0/24')] }, { peer: '10.0.1.7' })).toBe(false);
    expect(matches({ peers: [prefix('0.0.0.0/0')] }, { source: 'local' })).toBe(false);
    expect(matches({ notPeers: [prefix('10.0.0.0/24')] }, { source: 'local' })).toBe(true);
    expect(matches({ notPeers: [prefix('10.0.0.0/24')] }, { peer: '10.0.0.7' })).toBe(false);
    expect(matches({ origins: [ORIGIN_IGP] }, {})).toBe(true);
    expect(matches({ origins: [ORIGIN_EGP] }, {})).toBe(false);
  });

  it('on local preference and MED, with what holds for routes without', () => {
    expect(matches({ localPref: { min: 100, max: 100 } }, {})).toBe(true);
    expect(matches({ localPref: { min: 101 } }, { attributes: { localPref: 200 } })).toBe(true);
    expect(matches({ localPref: { max: 100 } }, { attributes: { localPref: 200 } })).toBe(false);
    expect(matches({ med: { max: 0 } }, {})).toBe(true);
    expect(matches({ med: { min: 1 } }, {})).toBe(false);
  });

  it('on the AS path', () => {
    const asPath = [
      { type: AS_SEQUENCE, asns: [65001, 65002] },
      { type: AS_SET, asns: [7, 8] },
      { type: AS_SEQUENCE, asns: [65003] },
    ];
    const path = (match: Match['asPath']) => matches({ asPath: match! }, { attributes: { asPath } });
    const one = (asn: number) => [{ first: asn, last: asn }];
    expect(path({ contains: one(8) })).toBe(true);
    expect(path({ contains: one(9) })).toBe(false);
    expect(path({ excludes: one(8) })).toBe(false);
    expect(path({ excludes: one(9) })).toBe(true);
    expect(path({ first: [{ first: 65000, last: 65001 }] })).toBe(true);
    expect(path({ first: one(65002) })).toBe(false);
    expect(path({ last: one(65003) })).toBe(true);
    expect(path({ last: one(65001) })).toBe(false);
    expect(path({ length: { min: 4, max: 4 } })).toBe(true);
    expect(path({ length: { max: 3 } })).toBe(false);
  });

  it.each<[string, readonly number[], readonly AsPathElement[], boolean]>([
    ['nothing is like nothing', [], [], true],
    ['nothing is not one', [], [any()], false],
    ['a rest may be nothing', [], [rest()], true],
    ['one', [1], [one(1)], true],
    ['not another', [2], [one(1)], false],
    ['not more', [1, 1], [one(1)], false],
    ['a prepended one', [1, 1, 1], [some(1)], true],
    ['some is at least one', [2], [some(1), one(2)], false],
    ['start', [1, 2, 3], [one(1), rest()], true],
    ['end', [1, 2, 3], [rest(), one(3)], true],
    ['not the end', [1, 2, 3], [rest(), one(2)], false],
    ['middle', [1, 2, 3], [rest(), one(2), rest()], true],
    ['what a first guess gets wrong', [1, 2, 1, 3], [rest(), some(1), one(3)], true],
    ['three of any kind', [1, 2, 3], [any(), any(), any()], true],
    [
      'long ones do not take for ever',
      new Array<number>(2000).fill(1),
      [...new Array(20).fill(rest()), one(2)],
      false,
    ],
  ])('AS path pattern: %s', (_name, asns, pattern, expected) => {
    expect(matches({ asPath: { patterns: [pattern] } }, { attributes: { asPath: sequence(...asns) } })).toBe(
      expected,
    );
  });

  it('a set in the path is one place with all of its members', () => {
    const attributes = { asPath: [{ type: AS_SET, asns: [1, 2] }] };
    expect(matches({ asPath: { patterns: [[one(2)]] } }, { attributes })).toBe(true);
    expect(matches({ asPath: { patterns: [[one(1), one(2)]] } }, { attributes })).toBe(false);
  });

  it('on communities of all kinds, in whole and in part', () => {
    const attributes = {
      communities: Uint32Array.of((65001 << 16) | 7, 0xffffff01),
      largeCommunities: Uint32Array.of(4_200_000_000, 1, 2),
      extendedCommunities: Uint8Array.of(0, 2, 0xfd, 0xe9, 0, 0, 0, 5),
    };
    const has = (communities: Match['communities']) => matches({ communities: communities! }, { attributes });
    const standard = (as?: number, value?: number) =>
      ({
        kind: 'standard',
        ...(as === undefined ? {} : { as }),
        ...(value === undefined ? {} : { value }),
      }) as const;
    expect(has({ any: [standard(65001, 8), standard(65001, 7)] })).toBe(true);
    expect(has({ all: [standard(65001, 8), standard(65001, 7)] })).toBe(false);
    expect(has({ all: [standard(65001), standard(0xffff, 0xff01)] })).toBe(true);
    expect(has({ none: [standard(undefined, 7)] })).toBe(false);
    expect(has({ none: [standard(undefined, 8)] })).toBe(true);
    expect(has({ any: [{ kind: 'large', global: 4_200_000_000, local2: 2 }] })).toBe(true);
    expect(has({ any: [{ kind: 'large', global: 4_200_000_000, local1: 2 }] })).toBe(false);
    const target = Uint8Array.of(0, 2, 0xfd, 0xe9, 0, 0, 0, 0);
    expect(has({ any: [{ kind: 'extended', bytes: target }] })).toBe(false);
    const mask = Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0);
    expect(has({ any: [{ kind: 'extended', bytes: target, mask }] })).toBe(true);
  });
});

describe('actions', () => {
  it('communities: replace, then remove, then add, none twice', () => {
    const attributes = { communities: Uint32Array.of(0x10001, 0x10002, 0x20001) };
    const result = set(
      {
        communities: {
          remove: [{ kind: 'standard', as: 1 }],
          add: [
            { kind: 'standard', as: 2, value: 1 },
            { kind: 'standard', as: 0xffff, value: 0 },
            { kind: 'large', global: 1, local1: 2, local2: 3 },
            { kind: 'extended', bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
          ],
        },
      },
      attributes,
    );
    expect([...result.communities]).toEqual([0x20001, 0xffff0000]);
    expect([...result.largeCommunities]).toEqual([1, 2, 3]);
    expect([...result.extendedCommunities]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const replaced = set(
      { communities: { replace: true, add: [{ kind: 'standard', as: 1, value: 2 }] } },
      { ...attributes, largeCommunities: Uint32Array.of(1, 2, 3) },
    );
    expect([[...replaced.communities], replaced.largeCommunities.length]).toEqual([[0x10002], 0]);
  });

  it('numbers, origin, prepends and next hop', () => {
    const result = set(
      { localPref: 7, med: 0, origin: ORIGIN_EGP, prepend: { times: 2 } },
      { asPath: sequence(1) },
    );
    expect(result).toMatchObject({
      localPref: 7,
      med: 0,
      origin: ORIGIN_EGP,
      asPath: sequence(64999, 64999, 1),
    });
    expect(set({ prepend: { as: 5, times: 1 } }).asPath).toEqual(sequence(5));
    expect([...set({ nextHop: 'self' }).nextHop.bytes]).toEqual([10, 9, 9, 9]);
    expect([...set({ nextHop: 'peer' }).nextHop.bytes]).toEqual([10, 8, 8, 8]);
    expect([...set({ nextHop: ipv4('1.2.3.4') }).nextHop.bytes]).toEqual([1, 2, 3, 4]);
  });
});

describe('statements', () => {
  it('are asked in order, and the first that decides does', () => {
    const filters = [
      filter([
        { match: { origins: [ORIGIN_EGP] }, action: 'reject' },
        { match: { sources: ['ebgp'] }, action: 'accept', set: { med: 1 } },
        { action: 'accept', set: { med: 2 } },
      ]),
    ];
    expect(ask(filters, { attributes: { origin: ORIGIN_EGP } })).toBe('reject');
    expect(ask(filters, {})).toMatchObject({ med: 1 });
    expect(ask(filters, { source: 'ibgp' })).toMatchObject({ med: 2 });
  });

  it('see the route as it came, and set in order what they set', () => {
    const filters = [
      filter([
        { action: 'next', set: { localPref: 50, med: 1 } },
        { match: { localPref: { max: 50 } }, action: 'reject' },
        { action: 'accept', set: { med: 2 } },
      ]),
    ];
    expect(ask(filters, {})).toMatchObject({ localPref: 50, med: 2 });
  });

  it('of the next filter are asked when one leaves it open, and nothing decided is rejected', () => {
    const first = filter([{ match: { origins: [ORIGIN_EGP] }, action: 'accept' }], 'next');
    const second = filter([{ match: { sources: ['ibgp'] }, action: 'accept' }], 'next');
    expect(ask([first, second], { attributes: { origin: ORIGIN_EGP } })).not.toBe('reject');
    expect(ask([first, second], { source: 'ibgp' })).not.toBe('reject');
    expect(ask([first, second], {})).toBe('reject');
    expect(ask([first, second, ACCEPT_ALL], {})).not.toBe('reject');
  });

  it('with prefixes take effect for some prefixes of the same attributes only', () => {
    const filters = [
      filter([
        { match: { prefixes: [{ prefix: prefix('10.0.0.0/8'), le: 32 }] }, action: 'next', set: { med: 1 } },
        { match: { prefixes: [{ prefix: prefix('10.1.0.0/16'), le: 32 }] }, action: 'reject' },
        { action: 'accept', set: { localPref: 9 } },
      ]),
    ];
    expect(ask(filters, { prefix: '10.1.1.0/24' })).toBe('reject');
    expect(ask(filters, { prefix: '10.2.1.0/24' })).toMatchObject({ med: 1, localPref: 9 });
    expect(ask(filters, { prefix: '11.2.1.0/24' })).toMatchObject({ med: undefined, localPref: 9 });
  });

  it('that decide alike have one outcome, so that what follows from it is kept once', () => {
    const compiled = new CompiledFilter([
      filter([
        { match: { origins: [ORIGIN_EGP] }, action: 'accept' },
        { match: { sources: ['ebgp'] }, action: 'accept' },
      ]),
    ]);
    const facts = (origin: number): RouteFacts => ({
      attributes: attributesOf({ origin }),
      source: 'ebgp',
      defaultLocalPref: 100,
    });
    const outcomes = [ORIGIN_EGP, ORIGIN_IGP].map((origin) =>
      compiled.outcome(compiled.profile(facts(origin))),
    );
    expect(outcomes[0]).toBe(outcomes[1]);
  });
});

describe('built-in filters', () => {
  it('accept, reject, and let out what is ours', () => {
    expect(ask([ACCEPT_ALL], {})).not.toBe('reject');
    expect(ask([REJECT_ALL], {})).toBe('reject');
    expect(ask([OWN_PREFIXES], { source: 'local' })).not.toBe('reject');
    expect(ask([OWN_PREFIXES], { source: 'ebgp' })).toBe('reject');
  });
});

describe('filter key', () => {
  it('is the same for filters that say the same', () => {
    const make = (length: number) =>
      filter([{ match: { nextHops: [prefix(`10.0.0.0/${length}`)] }, action: 'accept' }]);
    expect(filterKey([make(8)])).toBe(filterKey([make(8)]));
    expect(filterKey([make(8)])).not.toBe(filterKey([make(9)]));
  });
});

function one(asn: number): AsPathElement {
  return { kind: 'one', asns: [{ first: asn, last: asn }] };
}
function some(asn: number): AsPathElement {
  return { kind: 'some', asns: [{ first: asn, last: asn }] };
}
function any(): AsPathElement {
  return { kind: 'any' };
}
function rest(): AsPathElement {
  return { kind: 'rest' };
}
