import { describe, expect, it } from 'vitest';
import { OWN_PREFIXES } from '#bgp/filter/builtin.ts';
import type { Filter } from '#bgp/filter/types.ts';
import { UNSPECIFIED4, UNSPECIFIED6 } from '#bgp/rib/attribute-store.ts';
import { countersOf, listSent } from '#bgp/rib/queries.ts';
import { parsePrefix } from '#bgp/wire/address.ts';
import {
  GRACEFUL_SHUTDOWN,
  NO_ADVERTISE,
  NO_EXPORT,
  NO_EXPORT_SUBCONFED,
  NO_PEER,
} from '#bgp/wire/communities.ts';
import {
  AS_SEQUENCE,
  AS_SET,
  FLAG_OPTIONAL,
  FLAG_PARTIAL,
  FLAG_TRANSITIVE,
  IPV4_UNICAST,
} from '#bgp/wire/constants.ts';
import type { NextHop, PathAttributes } from '#bgp/wire/types.ts';
import { attributesOf, ipv4, sequence } from './fixtures.ts';
import { type Neighbour, type NeighbourOptions, OUR_AS, SELF6, Speaker } from './harness.ts';

const PREFIX = '20.0.0.0/8';
const SELF = '10.0.0.254';

/** What `to` is told of a route that `from` announces. */
function relay(
  from: NeighbourOptions,
  to: NeighbourOptions,
  given: Partial<PathAttributes> = {},
  prefix = PREFIX,
): PathAttributes | undefined {
  const speaker = new Speaker();
  const source = speaker.neighbour({ routerId: 77, ...from });
  const target = speaker.neighbour(to);
  const asPath = source.asn === OUR_AS ? [] : sequence(source.asn);
  const internal = source.asn === OUR_AS ? { localPref: 100 } : {};
  source.announce(attributesOf({ asPath, ...internal, ...given }), prefix);
  speaker.settle();
  return target.routes.get(prefix);
}

function originated(to: NeighbourOptions, given: Partial<PathAttributes> = {}, prefix = PREFIX) {
  const speaker = new Speaker();
  const target = speaker.neighbour(to);
  speaker.originate(prefix, attributesOf({ nextHop: UNSPECIFIED4, ...given }));
  speaker.settle();
  return target.routes.get(prefix);
}

const EXTERNAL = { asn: 65001 };
const OTHER_EXTERNAL = { asn: 65002 };
const INTERNAL = { asn: OUR_AS };
const CLIENT = { asn: OUR_AS, settings: { routeReflectorClient: true } };

function address(nextHop: NextHop | undefined): string | undefined {
  return nextHop?.bytes.join('.');
}

function hop(text: string): NextHop {
  return { family: 4, bytes: ipv4(text) };
}

describe('who gets a route', () => {
  it.each<[string, NeighbourOptions, NeighbourOptions, boolean]>([
    ['external to external', EXTERNAL, OTHER_EXTERNAL, true],
    ['external to internal', EXTERNAL, INTERNAL, true],
    ['external to client', EXTERNAL, CLIENT, true],
    ['internal to external', INTERNAL, EXTERNAL, true],
    ['internal to internal: not', INTERNAL, INTERNAL, false],
    ['internal to client', INTERNAL, CLIENT, true],
    ['client to internal', CLIENT, INTERNAL, true],
    ['client to client', CLIENT, CLIENT, true],
    ['client to external', CLIENT, EXTERNAL, true],
  ])('%s', (_name, from, to, expected) => {
    expect(relay(from, to) !== undefined).toBe(expected);
  });

  it.each<[string, number, boolean, boolean]>([
    ['NO_EXPORT', NO_EXPORT, false, true],
    ['NO_EXPORT_SUBCONFED', NO_EXPORT_SUBCONFED, false, true],
    ['NO_ADVERTISE', NO_ADVERTISE, false, false],
    ['NOPEER', NO_PEER, true, true],
  ])('%s', (_name, community, external, internal) => {
    const communities = Uint32Array.of(7, community);
    expect(relay(EXTERNAL, OTHER_EXTERNAL, { communities }) !== undefined).toBe(external);
    expect(relay(EXTERNAL, INTERNAL, { communities }) !== undefined).toBe(internal);
    expect(originated(EXTERNAL, { communities }) !== undefined).toBe(external);
  });

  it('an external neighbour without a filter gets nothing (RFC 8212), an internal one everything', () => {
    const none = { family: { export: undefined } };
    expect(relay(EXTERNAL, { ...OTHER_EXTERNAL, ...none })).toBeUndefined();
    expect(originated({ ...OTHER_EXTERNAL, ...none })).toBeUndefined();
    expect(relay(EXTERNAL, { ...INTERNAL, ...none })).toBeDefined();
  });

  it('with the filter for own prefixes: these and no others', () => {
    const own = { family: { export: [OWN_PREFIXES] } };
    expect(relay(EXTERNAL, { ...OTHER_EXTERNAL, ...own })).toBeUndefined();
    expect(originated({ ...OTHER_EXTERNAL, ...own })).toMatchObject({ asPath: sequence(OUR_AS) });
  });
});

describe('what goes to an external neighbour', () => {
  it('has our AS in front of the path, also before a set', () => {
    expect(relay(EXTERNAL, OTHER_EXTERNAL)!.asPath).toEqual(sequence(OUR_AS, 65001));
    expect(relay(INTERNAL, EXTERNAL, { asPath: [{ type: AS_SET, asns: [5, 6] }] })!.asPath).toEqual([
      { type: AS_SEQUENCE, asns: [OUR_AS] },
      { type: AS_SET, asns: [5, 6] },
    ]);
  });

  it('has the AS in front that we are in towards this neighbour', () => {
    expect(relay(EXTERNAL, { ...OTHER_EXTERNAL, settings: { localAs: 64999 } })!.asPath).toEqual(
      sequence(64999, 65001),
    );
  });

  it('has our AS in place of its own where that is asked for', () => {
    const asPath = sequence(65001, 65002, 9, 65002);
    expect(
      relay(EXTERNAL, { ...OTHER_EXTERNAL, settings: { asOverride: true } }, { asPath })!.asPath,
    ).toEqual(sequence(OUR_AS, 65001, OUR_AS, 9, OUR_AS));
    expect(relay(EXTERNAL, OTHER_EXTERNAL, { asPath })!.asPath).toEqual(
      sequence(OUR_AS, 65001, 65002, 9, 65002),
    );
  });

  it('has neither local preference nor the MED of others nor attributes of reflection', () => {
    const given = { localPref: 300, med: 5, originatorId: 9, clusterList: Uint32Array.of(1) };
    const out = relay(INTERNAL, EXTERNAL, given)!;
    expect([out.localPref, out.med, out.originatorId, out.clusterList.length]).toEqual([
      undefined,
      undefined,
      undefined,
      0,
    ]);
    expect(relay(EXTERNAL, OTHER_EXTERNAL, { med: 5 })!.med).toBeUndefined();
  });

  it('has the MED of our own routes, and one that the export filter sets', () => {
    expect(originated(EXTERNAL, { med: 5 })!.med).toBe(5);
    const filter: Filter = {
      name: 'x',
      statements: [{ action: 'accept', set: { med: 6 } }],
      otherwise: 'reject',
    };
    expect(relay(EXTERNAL, { ...OTHER_EXTERNAL, family: { export: [filter] } }, { med: 5 })!.med).toBe(6);
  });

  it('has no extended communities that are not transitive', () => {
    const inside = [0x40, 4, 0, 1, 0, 0, 0, 9];
    const outside = [0, 2, 0, 1, 0, 0, 0, 9];
    const extendedCommunities = Uint8Array.of(...inside, ...outside);
    expect([...relay(INTERNAL, EXTERNAL, { extendedCommunities })!.extendedCommunities]).toEqual(outside);
    expect([...relay(EXTERNAL, INTERNAL, { extendedCommunities })!.extendedCommunities]).toEqual([
      ...inside,
      ...outside,
    ]);
  });

  it('has attributes that we do not know only if they are transitive, and marked as partial', () => {
    const unknown = [
      { flags: FLAG_OPTIONAL | FLAG_TRANSITIVE, code: 200, value: Uint8Array.of(1, 2) },
      { flags: FLAG_OPTIONAL, code: 201, value: Uint8Array.of(3) },
    ];
    expect(relay(EXTERNAL, OTHER_EXTERNAL, { unknown })!.unknown).toEqual([
      { flags: FLAG_OPTIONAL | FLAG_TRANSITIVE | FLAG_PARTIAL, code: 200, value: Uint8Array.of(1, 2) },
    ]);
  });

  it('carries large AS numbers in two octets where the neighbour knows no more', () => {
    const out = relay({ asn: 4_200_000_000 }, { ...OTHER_EXTERNAL, codec: { as4: false } })!;
    expect(out.asPath).toEqual(sequence(OUR_AS, 4_200_000_000)); // put together again from AS4_PATH
  });

  it('asks it to move its traffic away while we shut down', () => {
    const settings = { gracefulShutdown: true };
    const communities = Uint32Array.of(7);
    expect([...relay(EXTERNAL, { ...OTHER_EXTERNAL, settings }, { communities })!.communities]).toEqual([
      7,
      GRACEFUL_SHUTDOWN,
    ]);
    expect(relay(EXTERNAL, { ...INTERNAL, settings })!.localPref).toBe(0);
  });
});

describe('what goes to an internal neighbour', () => {
  it('has path and MED as they were, and a local preference', () => {
    const out = relay(EXTERNAL, INTERNAL, { med: 5 })!;
    expect([out.asPath, out.med, out.localPref]).toEqual([sequence(65001), 5, 100]);
    expect(relay(CLIENT, INTERNAL, { localPref: 300 })!.localPref).toBe(300);
    expect(originated(INTERNAL)!.asPath).toEqual([]);
  });

  it('has originator and cluster list if it is reflected, and not if it is from outside', () => {
    const out = relay(CLIENT, INTERNAL)!;
    expect([out.originatorId, [...out.clusterList]]).toEqual([77, [0x0a0000fd]]);
    const again = relay(CLIENT, INTERNAL, { originatorId: 5, clusterList: Uint32Array.of(3, 4) })!;
    expect([again.originatorId, [...again.clusterList]]).toEqual([5, [0x0a0000fd, 3, 4]]);
    const outside = relay(EXTERNAL, INTERNAL)!;
    expect([outside.originatorId, outside.clusterList.length]).toEqual([undefined, 0]);
  });

  it('has the originator of its own source where two clients say the same', () => {
    const speaker = new Speaker();
    const a = speaker.neighbour({ ...CLIENT, routerId: 1 });
    const b = speaker.neighbour({ ...CLIENT, routerId: 2 });
    const target = speaker.neighbour(INTERNAL);
    a.announce(attributesOf({ localPref: 100 }), PREFIX);
    b.announce(attributesOf({ localPref: 100 }), '21.0.0.0/8');
    speaker.settle();
    expect([PREFIX, '21.0.0.0/8'].map((name) => target.routes.get(name)!.originatorId)).toEqual([1, 2]);
    // A restart with another router id is another originator.
    a.down(true);
    a.up(9);
    speaker.settle();
    expect(target.routes.get(PREFIX)!.originatorId).toBe(9);
    for (const each of [a, b]) each.down();
    speaker.settle();
    expect([speaker.rib.attributes.size, speaker.rib.out.size]).toEqual([0, 0]);
  });
});

describe('next hop', () => {
  const via = { nextHop: hop('192.0.2.9') };
  it.each<[string, NeighbourOptions, NeighbourOptions, string]>([
    ['external: ours', EXTERNAL, OTHER_EXTERNAL, SELF],
    ['internal: as it was', EXTERNAL, INTERNAL, '192.0.2.9'],
    ['internal, self', EXTERNAL, { ...INTERNAL, family: { nextHop: 'self' } }, SELF],
    ['reflected: as it was', CLIENT, CLIENT, '192.0.2.9'],
    ['external, keep', EXTERNAL, { ...OTHER_EXTERNAL, family: { nextHop: 'keep' } }, '192.0.2.9'],
  ])('%s', (_name, from, to, expected) => {
    expect(address(relay(from, to, via)!.nextHop)).toBe(expected);
  });

  it('of routes of our own is ours, whatever is set', () => {
    for (const nextHop of ['auto', 'self', 'keep'] as const) {
      expect(address(originated({ ...EXTERNAL, family: { nextHop } })!.nextHop)).toBe(SELF);
    }
    expect(address(originated(INTERNAL)!.nextHop)).toBe(SELF);
    const six = originated(EXTERNAL, { nextHop: UNSPECIFIED6 }, '2001:db8::/32')!;
    expect([...six.nextHop.bytes]).toEqual([...SELF6]);
  });

  it('of a third party stays if it is on a subnet shared with the neighbour', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour(EXTERNAL);
    const target = speaker.neighbour(OTHER_EXTERNAL);
    target.down();
    speaker.rib.peerUp(target.index, {
      remoteAs: target.asn,
      routerId: 5,
      codec: target.codec,
      maxMessage: 4096,
      families: [IPV4_UNICAST],
      enhancedRefresh: false,
      self4: hop(SELF),
      sharedSubnets: [parsePrefix('192.0.2.0/24')],
    });
    target.isUp = true;
    source.announce(attributesOf({ asPath: sequence(65001), ...via }), PREFIX);
    source.announce(attributesOf({ asPath: sequence(65001), nextHop: hop('192.0.3.9') }), '21.0.0.0/8');
    speaker.originate('22.0.0.0/8', attributesOf({ nextHop: UNSPECIFIED4 }));
    speaker.settle();
    expect(
      [PREFIX, '21.0.0.0/8', '22.0.0.0/8'].map((name) => address(target.routes.get(name)!.nextHop)),
    ).toEqual(['192.0.2.9', SELF, SELF]);
  });

  describe('that is the address of a neighbour', () => {
    const shared = { sharedSubnets: ['10.0.0.0/24'] };
    const nextHops = ({ routes }: Neighbour) =>
      [...routes].map(([name, { nextHop }]) => `${name} ${address(nextHop)}`).sort();

    it('is passed on to all but that one, and to that one as soon as it is another', () => {
      const speaker = new Speaker();
      const [source, owner, other] = [1, 2, 3].map(() => speaker.neighbour(shared)) as [
        Neighbour,
        Neighbour,
        Neighbour,
      ];
      const path = sequence(source.asn);
      source.announce(attributesOf({ asPath: path, nextHop: hop(owner.address) }), PREFIX);
      speaker.settle();
      expect([source, owner, other].map(nextHops)).toEqual([[], [], [`${PREFIX} ${owner.address}`]]);
      expect(countersOf(speaker.rib, owner.index, IPV4_UNICAST)).toMatchObject({ advertised: 0 });
      source.announce(attributesOf({ asPath: path, nextHop: hop(source.address) }), PREFIX);
      speaker.settle();
      expect([source, owner, other].map(nextHops)).toEqual([
        [],
        [`${PREFIX} ${source.address}`],
        [`${PREFIX} ${source.address}`],
      ]);
      source.announce(attributesOf({ asPath: path, nextHop: hop(owner.address) }), PREFIX);
      speaker.settle();
      expect([source, owner, other].map(nextHops)).toEqual([[], [], [`${PREFIX} ${owner.address}`]]);
      expect(owner.heard).toEqual([`+${PREFIX}`, `-${PREFIX}`]);
    });

    it('is not passed on to one that comes later, and to anybody once it is nobody of ours any more', () => {
      const speaker = new Speaker();
      const source = speaker.neighbour(shared);
      source.announce(attributesOf({ asPath: sequence(source.asn), nextHop: hop('10.0.0.9') }), PREFIX);
      const other = speaker.neighbour(shared);
      speaker.settle();
      const owner = speaker.neighbour({ ...shared, address: '10.0.0.9' });
      speaker.settle();
      expect([other, owner].map(nextHops)).toEqual([[`${PREFIX} 10.0.0.9`], []]);
      owner.down();
      speaker.rib.removePeer(owner.index);
      speaker.neighbours.pop();
      speaker.settle();
      // It may get the number of the one that is gone.
      const last = speaker.neighbour({ ...shared, address: '10.0.0.10' });
      speaker.settle();
      expect(nextHops(last)).toEqual([`${PREFIX} 10.0.0.9`]);
    });

    it('is ours where we put ourselves in its place', () => {
      const speaker = new Speaker();
      const source = speaker.neighbour();
      const owner = speaker.neighbour();
      source.announce(attributesOf({ asPath: sequence(source.asn), nextHop: hop(owner.address) }), PREFIX);
      speaker.settle();
      expect(nextHops(owner)).toEqual([`${PREFIX} ${SELF}`]);
    });
  });

  it('of IPv6 loses its link-local address, and is ours if it is only that, for those who do not share the link', () => {
    const six = '2001:db8::/32';
    const global = Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 7);
    const linkLocal = Uint8Array.of(0xfe, 0x80, ...new Array<number>(13).fill(0), 9);
    const both = { nextHop: { family: 6 as const, bytes: global, linkLocal } };
    const only = { nextHop: { family: 6 as const, bytes: linkLocal } };
    const keep = { ...OTHER_EXTERNAL, family: { nextHop: 'keep' as const } };
    for (const [from, to] of [
      [EXTERNAL, INTERNAL],
      [CLIENT, CLIENT],
      [EXTERNAL, keep],
    ] as const) {
      const sent = relay(from, to, both, six)!.nextHop;
      expect([address(sent), sent.linkLocal]).toEqual([global.join('.'), undefined]);
      expect(address(relay(from, to, only, six)!.nextHop)).toBe(SELF6.join('.'));
    }
  });

  it('is what we have on the session now, for those who know the old one too', () => {
    const speaker = new Speaker();
    const target = speaker.neighbour(EXTERNAL);
    const other = speaker.neighbour(OTHER_EXTERNAL);
    const six = '2001:db8::/32';
    speaker.rib.readdress(target.index, { self4: hop(SELF), self6: undefined, sharedSubnets: [] });
    speaker.originate(PREFIX, attributesOf({ nextHop: UNSPECIFIED4 }));
    speaker.originate(six, attributesOf({ nextHop: UNSPECIFIED6 }));
    speaker.settle();
    expect([...target.routes.keys()]).toEqual([PREFIX]);
    const messages = other.messages;
    const self6: NextHop = { family: 6, bytes: Uint8Array.of(...SELF6.subarray(0, 15), 99) };
    speaker.rib.readdress(target.index, { self4: hop('10.0.0.253'), self6, sharedSubnets: [] });
    speaker.settle();
    expect([PREFIX, six].map((name) => address(target.routes.get(name)?.nextHop))).toEqual([
      '10.0.0.253',
      self6.bytes.join('.'),
    ]);
    expect(other.messages).toBe(messages);
  });

  it('that an export filter sets is the one', () => {
    const filter = (nextHop: 'self' | 'peer' | Uint8Array): NeighbourOptions => ({
      family: {
        export: [{ name: 'x', statements: [{ action: 'accept', set: { nextHop } }], otherwise: 'reject' }],
      },
    });
    expect(address(relay(EXTERNAL, { ...OTHER_EXTERNAL, ...filter(ipv4('9.9.9.9')) }, via)!.nextHop)).toBe(
      '9.9.9.9',
    );
    expect(address(relay(EXTERNAL, { ...INTERNAL, ...filter('self') }, via)!.nextHop)).toBe(SELF);
    const to = { ...OTHER_EXTERNAL, address: '10.0.0.77', ...filter('peer') };
    expect(address(relay(EXTERNAL, to, via)!.nextHop)).toBe('10.0.0.77');
  });

  it('that a filter sets is for routes of its family: the others have the one that they have without it', () => {
    const six = '2001:db8::/32';
    const global = Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 7);
    const filter = (nextHop: 'peer' | Uint8Array) => [
      {
        name: 'x',
        statements: [{ action: 'accept' as const, set: { nextHop } }],
        otherwise: 'reject' as const,
      },
    ];
    const route = { nextHop: { family: 6 as const, bytes: global } };
    for (const set of [ipv4('9.9.9.9'), 'peer'] as const) {
      const to = { ...OTHER_EXTERNAL, family: { export: filter(set) } };
      expect(address(relay(EXTERNAL, to, route, six)!.nextHop)).toBe(SELF6.join('.'));
    }
    const from = { ...EXTERNAL, family: { import: filter(ipv4('9.9.9.9')) } };
    expect(address(relay(from, INTERNAL, route, six)!.nextHop)).toBe(global.join('.'));
    const to = { ...OTHER_EXTERNAL, family: { export: filter(global) } };
    expect(address(relay(EXTERNAL, to, via)!.nextHop)).toBe(SELF);
  });

  it('that is an IPv6 address goes out with IPv4 prefixes only to those who take it (RFC 8950)', () => {
    const six: NextHop = {
      family: 6,
      bytes: Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 7),
    };
    const codec = { extendedNextHop: true };
    const out = (to: NeighbourOptions) => {
      const speaker = new Speaker();
      const target = speaker.neighbour(to);
      speaker.originate(PREFIX, attributesOf({ nextHop: six }));
      speaker.settle();
      return address(target.routes.get(PREFIX)?.nextHop);
    };
    expect(out({ ...INTERNAL, codec })).toBe(six.bytes.join('.'));
    expect(out(INTERNAL)).toBe(SELF);
  });
});

describe('Adj-RIB-Out', () => {
  it('lists what the neighbour was sent', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour(EXTERNAL);
    const target = speaker.neighbour(OTHER_EXTERNAL);
    source.announce(attributesOf({ asPath: sequence(65001), med: 1 }), PREFIX, '21.0.0.0/8');
    speaker.settle();
    const { entries, next } = listSent(speaker.rib, target.index, IPV4_UNICAST, 0, 1);
    expect(entries).toHaveLength(1);
    const more = listSent(speaker.rib, target.index, IPV4_UNICAST, next, 10);
    expect([more.entries.length, more.next]).toEqual([1, 0]);
    expect(entries[0]!.attributes).toEqual(target.routes.get(PREFIX));
    expect(listSent(speaker.rib, source.index, IPV4_UNICAST, 0, 10).entries).toEqual([]);
  });

  it('leaves out what does not fit into a message, and counts it', () => {
    const speaker = new Speaker();
    const source = speaker.neighbour({ ...EXTERNAL, maxMessage: 65535 });
    const small = speaker.neighbour(OTHER_EXTERNAL);
    const large = speaker.neighbour({ asn: 65003, maxMessage: 65535 });
    const communities = Uint32Array.from({ length: 1010 }, (_, i) => i);
    sayLong(speaker, source, communities);
    speaker.settle();
    expect([small.routes.has(PREFIX), large.routes.has(PREFIX)]).toEqual([false, true]);
    const { groups } = speaker.rib.families.get(IPV4_UNICAST)!;
    expect(groups.map(({ policy }) => policy.tooLong).sort()).toEqual([0, 1]);
  });
});

/** 4,040 octets of communities fit into what comes in, but not with our AS in front into what goes out. */
function sayLong(speaker: Speaker, source: Neighbour, communities: Uint32Array): void {
  speaker.originate(PREFIX, attributesOf({ asPath: sequence(source.asn), communities }));
}
