import { expect, test } from 'vitest';
import { attributesOf, sequence } from './fixtures.ts';
import { OUR_AS, Speaker } from './harness.ts';

const PREFIX = '20.0.0.0/8';

test('with another AS, paths that have it in them are no longer used, and those with the old one are', () => {
  const speaker = new Speaker();
  const left = speaker.neighbour();
  const right = speaker.neighbour();
  left.announce(attributesOf({ asPath: sequence(left.asn, 64999) }), PREFIX);
  left.announce(attributesOf({ asPath: sequence(left.asn, OUR_AS) }), '30.0.0.0/8');
  speaker.settle();
  expect(right.table()).toEqual([`20.0.0.0/8 ${OUR_AS} ${left.asn} 64999`]);
  for (const each of [left, right]) each.settings = { ...each.settings, localAs: 64999 };
  speaker.rib.configure({ ...speaker.rib.settings, asn: 64999 });
  for (const each of [left, right]) each.change({});
  speaker.settle();
  expect(right.table()).toEqual([`30.0.0.0/8 64999 ${left.asn} ${OUR_AS}`]);
});

test('another cluster id is in what is reflected from then on, and paths that went through it are not used', () => {
  const speaker = new Speaker();
  const settings = { routeReflectorClient: true };
  const left = speaker.neighbour({ asn: OUR_AS, settings });
  const right = speaker.neighbour({ asn: OUR_AS, settings });
  const internal = { localPref: 100, originatorId: 7 };
  left.announce(attributesOf({ ...internal, clusterList: Uint32Array.of(5) }), PREFIX);
  left.announce(attributesOf({ ...internal, clusterList: Uint32Array.of(6) }), '30.0.0.0/8');
  speaker.settle();
  const clusters = () =>
    [...right.routes].map(([name, { clusterList }]) => `${name} ${[...clusterList]}`).sort();
  const { clusterId } = speaker.rib.settings;
  expect(clusters()).toEqual([`20.0.0.0/8 ${clusterId},5`, `30.0.0.0/8 ${clusterId},6`]);
  speaker.rib.configure({ ...speaker.rib.settings, clusterId: 6 });
  speaker.settle();
  expect(clusters()).toEqual(['20.0.0.0/8 6,5']);
});

test('with another router id, paths that this router is the originator of are not used', () => {
  const speaker = new Speaker();
  const left = speaker.neighbour({ asn: OUR_AS });
  left.announce(attributesOf({ localPref: 100, originatorId: 7 }), PREFIX);
  speaker.settle();
  expect(speaker.best(PREFIX)).toBe(left.name);
  speaker.rib.configure({ ...speaker.rib.settings, routerId: 7 });
  speaker.settle();
  expect(speaker.best(PREFIX)).toBeUndefined();
  speaker.rib.configure({ ...speaker.rib.settings, routerId: 8 });
  speaker.settle();
  expect(speaker.best(PREFIX)).toBe(left.name);
});
