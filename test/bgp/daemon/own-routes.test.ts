import { expect, test } from 'vitest';
import { parsePrefix } from '#bgp/config/address.ts';
import { type OwnRoute, OwnRoutes } from '#bgp/daemon/own-routes.ts';
import { findRoute } from '#bgp/rib/queries.ts';
import { Rib } from '#bgp/rib/rib.ts';
import { formatPrefix, type Prefix } from '#bgp/wire/address.ts';
import { IPV4_UNICAST } from '#bgp/wire/constants.ts';

const PREFIX = parsePrefix('10.1.0.0/16')!;

function setUp(): { own: OwnRoutes; med: () => number | undefined | 'none'; changes: string[][] } {
  const rib = new Rib(
    {
      asn: 64512,
      routerId: 1,
      clusterId: 1,
      defaultLocalPref: 100,
      decision: { alwaysCompareMed: false, missingMedIsWorst: false, preferOldest: false },
      multipath: { maxPaths: 1, ebgp: true, ibgp: true, asPathRelax: false },
    },
    { seed: 1, now: () => 0 },
  );
  const changes: string[][] = [];
  const own = new OwnRoutes(rib, (prefixes) => void changes.push(prefixes.map(formatPrefix)));
  const med = (): number | undefined | 'none' => {
    while (rib.process(100));
    const route = findRoute(rib, IPV4_UNICAST, PREFIX.bytes, PREFIX.length);
    return route === undefined ? 'none' : route.paths[0]!.received.med;
  };
  return { own, med, changes };
}

function route(prefix: Prefix, med?: number): OwnRoute {
  return { prefix, med, communities: [], blackhole: false };
}

test('a route that is asked for covers the one of the configuration, which is in force again after it', () => {
  const { own, med } = setUp();
  own.configure([route(PREFIX, 1)]);
  expect(med()).toBe(1);
  expect(own.advertise([route(PREFIX, 2)])).toEqual({ added: 0, changed: 1 });
  expect(med()).toBe(2);
  own.configure([route(PREFIX, 3)]);
  expect(med()).toBe(2);
  own.withdraw([PREFIX]);
  expect(med()).toBe(3);
  own.configure([]);
  expect(med()).toBe('none');
});

test('who follows the prefixes is told of those that changed, once for all of a call', () => {
  const { own, changes } = setUp();
  const other = parsePrefix('10.2.0.0/16')!;
  own.advertise([route(PREFIX), route(other)]);
  own.withdraw([other]);
  own.configure([]);
  expect(changes).toEqual([['10.1.0.0/16', '10.2.0.0/16'], ['10.2.0.0/16']]);
  expect(own.routes.map(({ prefix }) => formatPrefix(prefix))).toEqual(['10.1.0.0/16']);
});
