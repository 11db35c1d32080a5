import { describe, expect, it } from 'vitest';
import { REJECT_ALL } from '#bgp/filter/builtin.ts';
import { countersOf, findRoute, lookUp } from '#bgp/rib/queries.ts';
import { formatAddress, parseAddress, parsePrefix } from '#bgp/wire/address.ts';
import { encodeAttributes } from '#bgp/wire/attributes.ts';
import { putU16 } from '#bgp/wire/bytes.ts';
import { GRACEFUL_SHUTDOWN } from '#bgp/wire/communities.ts';
import { HEADER_LENGTH, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import { encodeEndOfRib } from '#bgp/wire/pack.ts';
import type { NextHop, PathAttributes } from '#bgp/wire/types.ts';
import { attributesOf, ipv4, sequence } from './fixtures.ts';
import { type Neighbour, type NeighbourOptions, OUR_AS, Speaker } from './harness.ts';

const PREFIX = '20.0.0.0/8';

function routeOf(speaker: Speaker, address = '20.0.0.0', length = 8) {
  return findRoute(speaker.rib, IPV4_UNICAST, ipv4(address), length);
}

function from(neighbour: Neighbour, given: Partial<PathAttributes> = {}): PathAttributes {
  return attributesOf({ asPath: sequence(neighbour.asn), ...given });
}

describe('loops', () => {
  it.each<[string, Partial<PathAttributes>, number, 'as-loop' | undefined]>([
    ['our AS in the path', { asPath: sequence(65001, OUR_AS) }, 0, 'as-loop'],
    ['our AS as often as allowed', { asPath: sequence(65001, OUR_AS, OUR_AS) }, 2, undefined],
    ['our AS more often than allowed', { asPath: sequence(65001, OUR_AS, OUR_AS) }, 1, 'as-loop'],
    ['our AS in a set', { asPath: [...sequence(65001), { type: 1, asns: [OUR_AS] }] }, 0, 'as-loop'],
  ])('%s', (_name, given, allowOwnAs, problem) => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour({ asn: 65001, family: { allowOwnAs } });
    neighbour.announce(attributesOf(given), PREFIX);
    speaker.settle();
    expect(routeOf(speaker)!.paths[0]!.problem).toBe(problem);
    expect(speaker.best(PREFIX)).toBe(problem === undefined ? neighbour.name : undefined);
  });

  it('the AS that we are in towards one neighbour counts as ours', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour({ asn: 65001, settings: { localAs: 64999 } });
    neighbour.announce(attributesOf({ asPath: sequence(65001, 64999) }), PREFIX);
    neighbour.announce(attributesOf({ asPath: sequence(65001, OUR_AS) }), '21.0.0.0/8');
    neighbour.announce(attributesOf({ asPath: sequence(65001, 64998) }), '22.0.0.0/8');
    speaker.settle();
    expect([PREFIX, '21.0.0.0/8', '22.0.0.0/8'].map((text) => speaker.best(text))).toEqual([
      undefined,
      undefined,
      neighbour.name,
    ]);
  });

  it.each([
    ['our router id as originator', { originatorId: 0x0a0000fe }, 'originator-loop'],
    ['our cluster in the cluster list', { clusterList: Uint32Array.of(1, 0x0a0000fd) }, 'cluster-loop'],
    ['another originator and cluster', { originatorId: 5, clusterList: Uint32Array.of(1) }, undefined],
    ['our address as next hop', { nextHop: { family: 4, bytes: ipv4('10.0.0.254') } }, 'own-next-hop'],
  ] as const)('%s', (_name, given, problem) => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour({ asn: OUR_AS });
    neighbour.announce(attributesOf({ localPref: 100, ...given }), PREFIX);
    speaker.settle();
    expect(routeOf(speaker)!.paths[0]!.problem).toBe(problem);
  });
});

describe('the next hop of an external neighbour one hop away', () => {
  const IPV6 = '2001:db8::/32';
  const six = (text: string) => ({ family: 6 as const, bytes: parseAddress(text), linkLocal: undefined });
  const four = (text: string) => ({ family: 4 as const, bytes: ipv4(text), linkLocal: undefined });

  function problemOf(
    options: NeighbourOptions,
    nextHop: NextHop,
    sharedSubnets: readonly string[] | undefined = ['10.0.0.0/24', 'fd00::/64'],
  ) {
    const speaker = new Speaker();
    const told: unknown[] = [];
    speaker.rib.onForeignNextHop = (peers, { bytes }) => told.push(peers, formatAddress(bytes));
    const neighbour = speaker.neighbour({
      settings: { connectedNextHop: true },
      ...(sharedSubnets && { sharedSubnets }),
      ...options,
    });
    const prefix = nextHop.family === 4 ? PREFIX : IPV6;
    const asPath = sequence(neighbour.asn === OUR_AS ? 65009 : neighbour.asn);
    neighbour.announce(attributesOf({ asPath, nextHop }), prefix);
    neighbour.announce(
      attributesOf({ asPath, nextHop, med: 1 }),
      nextHop.family === 4 ? '21.0.0.0/8' : '::/0',
    );
    speaker.settle();
    const { bytes, length } = parsePrefix(prefix);
    const family = nextHop.family === 4 ? IPV4_UNICAST : IPV6_UNICAST;
    const problem = findRoute(speaker.rib, family, bytes, length)!.paths[0]!.problem;
    expect(told).toEqual(problem === undefined ? [] : [[neighbour.index], formatAddress(nextHop.bytes)]);
    return problem;
  }

  it.each([
    ['its own address', four('10.0.0.1')],
    ['an address of the subnet', four('10.0.0.77')],
    ['an address of the subnet of the other family', six('fd00::77')],
    ['a link-local address', six('fe80::1')],
    [
      'an address that a link-local one is given with',
      { ...six('2001:db8:9::1'), linkLocal: parseAddress('fe80::1') },
    ],
  ])('may be %s', (_, nextHop) => {
    expect(problemOf({}, nextHop)).toBeUndefined();
  });

  it.each([
    ['IPv4', four('10.0.1.1')],
    ['IPv6', six('fd00:0:0:1::1')],
  ])(
    'is nowhere else, in %s, unless that was asked for, or the neighbour is not of that kind',
    (_, nextHop) => {
      expect(problemOf({}, nextHop)).toBe('foreign-next-hop');
      expect(problemOf({ settings: { connectedNextHop: false } }, nextHop)).toBeUndefined();
      expect(problemOf({ asn: OUR_AS }, nextHop)).toBeUndefined();
    },
  );

  it('is its own address if it is on no subnet of ours', () => {
    expect(problemOf({}, four('10.0.0.1'), [])).toBeUndefined();
    expect(problemOf({}, four('10.0.0.2'), [])).toBe('foreign-next-hop');
  });

  it('is looked at again when our addresses are others', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour({
      settings: { connectedNextHop: true },
      sharedSubnets: ['10.0.0.0/24'],
    });
    neighbour.announce(from(neighbour, { nextHop: four('10.0.1.1') }), PREFIX);
    speaker.settle();
    expect(speaker.best(PREFIX)).toBeUndefined();
    speaker.rib.readdress(neighbour.index, {
      self4: four('10.0.0.254'),
      self6: undefined,
      sharedSubnets: ['10.0.0.0/24', '10.0.1.0/24'].map(parsePrefix),
    });
    speaker.settle();
    expect(speaker.best(PREFIX)).toBe(neighbour.name);
  });
});

describe('import policy', () => {
  it('lets nothing in from an external neighbour without a filter, and everything from an internal one', () => {
    const speaker = new Speaker();
    const external = speaker.neighbour({ family: { import: undefined } });
    const internal = speaker.neighbour({ asn: OUR_AS, family: { import: undefined } });
    external.announce(from(external), PREFIX);
    internal.announce(attributesOf({ localPref: 100 }), '21.0.0.0/8');
    speaker.settle();
    expect([speaker.best(PREFIX), speaker.best('21.0.0.0/8')]).toEqual([undefined, internal.name]);
    expect(routeOf(speaker)!.paths[0]).toMatchObject({ problem: 'filter', verdict: { kind: 'rejected' } });
    expect(countersOf(speaker.rib, external.index, IPV4_UNICAST)).toMatchObject({ received: 1, accepted: 0 });
  });

  it('keeps what was received beside what was made of it', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour({
      family: {
        import: [
          { name: 'x', statements: [{ action: 'accept', set: { localPref: 7 } }], otherwise: 'reject' },
        ],
      },
    });
    neighbour.announce(from(neighbour, { med: 3 }), PREFIX);
    speaker.settle();
    const [path] = routeOf(speaker)!.paths;
    expect([path!.received.localPref, path!.accepted?.localPref, path!.accepted?.med]).toEqual([
      undefined,
      7,
      3,
    ]);
  });

  it('is asked again for what is there when it changes, without the session being touched', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    const other = speaker.neighbour();
    neighbour.announce(from(neighbour), PREFIX);
    speaker.settle();
    neighbour.change({}, { import: [REJECT_ALL] });
    speaker.settle();
    expect([speaker.best(PREFIX), other.table()]).toEqual([undefined, []]);
    neighbour.change({}, { import: [{ name: 'x', statements: [], otherwise: 'accept' }] });
    speaker.settle();
    expect([speaker.best(PREFIX), other.table()]).toEqual([neighbour.name, [`${PREFIX} 65000 65001`]]);
    expect(neighbour.isUp).toBe(true);
  });

  it('gives routes with GRACEFUL_SHUTDOWN local preference 0 if so set', () => {
    const speaker = new Speaker();
    const communities = Uint32Array.of(GRACEFUL_SHUTDOWN);
    const leaving = speaker.neighbour({ settings: { honourGracefulShutdown: true } });
    const deaf = speaker.neighbour();
    leaving.announce(from(leaving, { communities }), PREFIX);
    deaf.announce(attributesOf({ asPath: sequence(deaf.asn, 1, 2, 3), communities }), PREFIX);
    speaker.settle();
    expect(speaker.best(PREFIX)).toBe(deaf.name);
    expect(routeOf(speaker)!.paths.find(({ best }) => !best)!.accepted!.localPref).toBe(0);
  });
});

describe('UPDATEs', () => {
  it('replace what the neighbour said before, and withdraw it', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    const other = speaker.neighbour();
    neighbour.announce(from(neighbour, { med: 1 }), PREFIX, '21.0.0.0/8');
    neighbour.announce(from(neighbour, { asPath: sequence(neighbour.asn, 9) }), PREFIX);
    speaker.settle();
    expect(other.table()).toEqual([`${PREFIX} 65000 65001 9`, '21.0.0.0/8 65000 65001']);
    expect(neighbour.withdraw(PREFIX, '99.0.0.0/8')).toBeUndefined();
    speaker.settle();
    expect(other.table()).toEqual(['21.0.0.0/8 65000 65001']);
  });

  it('may withdraw the last route with the attributes that they announce another with', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    const other = speaker.neighbour();
    neighbour.announce(from(neighbour, { med: 1 }), PREFIX);
    speaker.settle();
    neighbour.replace(from(neighbour, { med: 1 }), ['21.0.0.0/8'], [PREFIX]);
    neighbour.announce(from(neighbour, { med: 2, asPath: sequence(neighbour.asn, 9) }), '22.0.0.0/8');
    speaker.settle();
    expect(other.table()).toEqual(['21.0.0.0/8 65000 65001', '22.0.0.0/8 65000 65001 9']);
  });

  it('carry both families', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    const other = speaker.neighbour();
    const nextHop = {
      family: 6 as const,
      bytes: Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 9),
    };
    neighbour.announce(from(neighbour, { nextHop }), '2001:db8:1::/48', '2001:db8:2::1/128');
    speaker.settle();
    expect(other.table()).toEqual(['2001:db8:1::/48 65000 65001', '2001:db8:2::1/128 65000 65001']);
    neighbour.withdraw('2001:db8:1::/48');
    speaker.settle();
    expect(other.table()).toEqual(['2001:db8:2::1/128 65000 65001']);
    expect(speaker.rib.families.get(IPV6_UNICAST)!.table.size).toBe(1);
  });

  it('with a malformed attribute withdraw their routes, and say so', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    const good = from(neighbour);
    neighbour.announce(good, PREFIX, '21.0.0.0/8');
    const body = bodyOf(good, [8, 20]);
    body[4 + 3] = 9; // ORIGIN
    const result = neighbour.send(body);
    expect(result?.notification).toBeUndefined();
    expect(result?.errors.map(({ action }) => action)).toEqual(['withdraw']);
    speaker.settle();
    expect([speaker.best(PREFIX), speaker.best('21.0.0.0/8')]).toEqual([undefined, neighbour.name]);
    expect(speaker.rib.attributes.size).toBe(1);
  });

  it('with prefixes that can not be read end the session and change nothing', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    neighbour.announce(from(neighbour), '21.0.0.0/8');
    const result = neighbour.send(bodyOf(from(neighbour), [8, 20, 33, 1, 2, 3, 4, 5]));
    expect(result?.notification).toMatchObject({ code: 3, subcode: 10 });
    const short = neighbour.send(Uint8Array.of(0, 9, 0, 0));
    expect(short?.notification).toMatchObject({ code: 3, subcode: 1 });
    speaker.settle();
    expect([speaker.best(PREFIX), speaker.best('21.0.0.0/8')]).toEqual([undefined, neighbour.name]);
    expect(speaker.rib.families.get(IPV4_UNICAST)!.table.size).toBe(1);
  });

  it('of a family that was not agreed on are passed over', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    neighbour.down();
    speaker.rib.peerUp(neighbour.index, {
      remoteAs: neighbour.asn,
      routerId: 1,
      codec: neighbour.codec,
      maxMessage: 4096,
      families: [IPV6_UNICAST],
      enhancedRefresh: false,
    });
    expect(neighbour.announce(from(neighbour), PREFIX)).toBeUndefined();
    expect(speaker.rib.families.get(IPV4_UNICAST)!.table.size).toBe(0);
    expect(speaker.rib.attributes.size).toBe(0);
  });

  it('with path identifiers make a path each', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour({ codec: { addPathReceive: [IPV4_UNICAST] } });
    const body = (id: number, asn: number) =>
      bodyOf(attributesOf({ asPath: sequence(65001, asn) }), [0, 0, 0, id, 8, 20]);
    neighbour.send(body(1, 5));
    neighbour.send(body(2, 6));
    speaker.settle();
    expect(
      routeOf(speaker)!
        .paths.map(({ pathId }) => pathId)
        .sort(),
    ).toEqual([1, 2]);
    neighbour.send(Uint8Array.of(0, 6, 0, 0, 0, 1, 8, 20, 0, 0));
    speaker.settle();
    expect(routeOf(speaker)!.paths.map(({ pathId }) => pathId)).toEqual([2]);
  });
});

describe('limits on prefixes', () => {
  it('are told of when they are reached, and again when they are reached again', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour({ family: { maxPrefixes: { limit: 4, warnAt: 50 } } });
    const say = (...prefixes: string[]) => neighbour.announce(from(neighbour), ...prefixes)?.prefixes;
    expect(say('1.0.0.0/8')).toBeUndefined();
    expect(say('2.0.0.0/8')).toEqual({ family: IPV4_UNICAST, level: 'warning', count: 2 });
    expect(say('2.0.0.0/8', '3.0.0.0/8')).toBeUndefined();
    expect(say('4.0.0.0/8')).toBeUndefined();
    expect(say('5.0.0.0/8')).toEqual({ family: IPV4_UNICAST, level: 'limit', count: 5 });
    expect(say('6.0.0.0/8')).toBeUndefined();
    neighbour.withdraw('3.0.0.0/8', '4.0.0.0/8', '5.0.0.0/8', '6.0.0.0/8');
    expect(say('3.0.0.0/8')).toBeUndefined();
    expect(say('4.0.0.0/8', '5.0.0.0/8')).toEqual({ family: IPV4_UNICAST, level: 'limit', count: 5 });
  });

  it('begin anew with a new session', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour({ family: { maxPrefixes: { limit: 1, warnAt: 100 } } });
    expect(neighbour.announce(from(neighbour), '1.0.0.0/8', '2.0.0.0/8')?.prefixes?.level).toBe('limit');
    neighbour.down();
    neighbour.up(); // before the old routes are swept away
    expect(neighbour.announce(from(neighbour), '1.0.0.0/8')?.prefixes?.level).toBe('warning');
    expect(countersOf(speaker.rib, neighbour.index, IPV4_UNICAST)).toMatchObject({ received: 1, stale: 1 });
    speaker.settle();
    expect(countersOf(speaker.rib, neighbour.index, IPV4_UNICAST)).toMatchObject({ received: 1, stale: 0 });
  });
});

describe('routes of a session that is gone', () => {
  it('go, unless the next session has said them again meanwhile', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    const other = speaker.neighbour();
    neighbour.announce(from(neighbour), PREFIX, '21.0.0.0/8');
    speaker.settle();
    neighbour.down();
    neighbour.up();
    neighbour.announce(from(neighbour), PREFIX);
    speaker.settle();
    expect(other.table()).toEqual([`${PREFIX} 65000 65001`]);
    expect(other.heard.filter((each) => each.endsWith(PREFIX))).toEqual([`+${PREFIX}`]);
  });

  it('stay as stale ones for a restart, until the End-of-RIB of the next session', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    const other = speaker.neighbour();
    neighbour.announce(from(neighbour), PREFIX, '21.0.0.0/8');
    speaker.settle();
    neighbour.down(true);
    speaker.settle();
    expect(other.table()).toHaveLength(2);
    expect(routeOf(speaker)!.paths[0]!.stale).toBe(true);
    neighbour.up();
    neighbour.announce(from(neighbour), PREFIX);
    speaker.settle();
    expect([other.table().length, routeOf(speaker)!.paths[0]!.stale]).toEqual([2, false]);
    const message = encodeEndOfRib(IPV4_UNICAST);
    speaker.rib.update(neighbour.index, message, HEADER_LENGTH, message.length);
    speaker.settle();
    expect(other.table()).toEqual([`${PREFIX} 65000 65001`]);
  });

  it('go with a refresh that does not repeat them', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    neighbour.announce(from(neighbour), PREFIX, '21.0.0.0/8');
    speaker.rib.refreshBegins(neighbour.index, IPV4_UNICAST);
    neighbour.announce(from(neighbour), PREFIX);
    speaker.settle();
    expect(speaker.best('21.0.0.0/8')).toBe(neighbour.name);
    // An End-of-RIB is none of a refresh's business.
    const message = encodeEndOfRib(IPV4_UNICAST);
    speaker.rib.update(neighbour.index, message, HEADER_LENGTH, message.length);
    speaker.settle();
    expect(speaker.best('21.0.0.0/8')).toBe(neighbour.name);
    speaker.rib.refreshEnds(neighbour.index, IPV4_UNICAST);
    speaker.settle();
    expect([speaker.best(PREFIX), speaker.best('21.0.0.0/8')]).toEqual([neighbour.name, undefined]);
  });

  it('survive a refresh that begins while an older session is still swept away', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    neighbour.announce(from(neighbour), '21.0.0.0/8', '22.0.0.0/8');
    neighbour.down();
    neighbour.up();
    neighbour.announce(from(neighbour), PREFIX);
    speaker.rib.refreshBegins(neighbour.index, IPV4_UNICAST);
    speaker.settle();
    expect([speaker.best(PREFIX), speaker.best('21.0.0.0/8')]).toEqual([neighbour.name, undefined]);
    expect(countersOf(speaker.rib, neighbour.index, IPV4_UNICAST)).toMatchObject({ received: 0, stale: 1 });
  });

  it('stay countable however often a refresh begins without an end', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    neighbour.announce(from(neighbour), '21.0.0.0/8');
    for (let i = 0; i < 600; i++) {
      speaker.rib.refreshBegins(neighbour.index, IPV4_UNICAST);
      neighbour.announce(from(neighbour), PREFIX);
    }
    speaker.settle();
    const { received, stale } = countersOf(speaker.rib, neighbour.index, IPV4_UNICAST);
    expect([received, stale]).toEqual([1, 0]);
    expect(speaker.best(PREFIX)).toBe(neighbour.name);
  });
});

describe('neighbours', () => {
  it('that are removed leave nothing, and their index is given out again', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    const other = speaker.neighbour();
    neighbour.announce(from(neighbour), PREFIX);
    speaker.settle();
    speaker.rib.removePeer(neighbour.index);
    neighbour.isUp = false;
    const early = speaker.neighbour();
    expect(early.index).not.toBe(neighbour.index);
    speaker.settle();
    expect([speaker.best(PREFIX), other.table()]).toEqual([undefined, []]);
    const late = speaker.neighbour();
    expect(late.index).toBe(neighbour.index);
    late.announce(from(late), PREFIX);
    speaker.settle();
    expect(speaker.best(PREFIX)).toBe(late.name);
  });

  it('that are not there can not be spoken of', () => {
    expect(() => new Speaker().rib.peerDown(77)).toThrow(RangeError);
  });
});

describe('look-up', () => {
  it('takes the longest prefix that has a best path', () => {
    const speaker = new Speaker();
    const neighbour = speaker.neighbour();
    neighbour.announce(from(neighbour), '0.0.0.0/0', PREFIX);
    neighbour.announce(attributesOf({ asPath: sequence(neighbour.asn, OUR_AS) }), '20.1.0.0/16');
    speaker.settle();
    const found = (text: string) => lookUp(speaker.rib, IPV4_UNICAST, ipv4(text))?.length;
    expect([found('20.1.2.3'), found('20.2.0.0'), found('21.0.0.0')]).toEqual([8, 8, 0]);
    neighbour.withdraw('0.0.0.0/0');
    speaker.settle();
    expect(found('21.0.0.0')).toBeUndefined();
  });
});

/** The body of an UPDATE with these attributes and these octets as NLRI. */
function bodyOf(attributes: PathAttributes, nlri: readonly number[]): Uint8Array {
  const out = new Uint8Array(4096);
  const end = encodeAttributes(attributes, { as4: true, ebgp: true }, out, 4);
  putU16(out, 2, end - 4);
  out.set(nlri, end);
  return out.slice(0, end + nlri.length);
}
