import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeFacts } from '#bgp/cluster/facts.ts';
import { routerIdOf } from '#bgp/cluster/speaker-config.ts';
import { formatAddress } from '#bgp/config/address.ts';
import { compareConfigs } from '#bgp/config/difference.ts';
import type { SpeakerConfig } from '#bgp/config/model.ts';
import { formatIpv4, formatPrefix } from '#bgp/wire/address.ts';
import { runs } from '#test/helpers/runs.ts';
import { nodeFacts, speakerFor } from './nodes.ts';

const THREE = [1, 2, 3].map(nodeFacts);

/** The prefixes that a filter accepts. */
function accepted({ filters }: SpeakerConfig, name: string): string[] {
  const filter = filters.get(name)!;
  expect(filter.otherwise).toBe('reject');
  return filter.statements
    .flatMap(({ match }) => match?.prefixes ?? [])
    .map((range) => {
      expect(range).not.toHaveProperty('ge');
      expect(range).not.toHaveProperty('le');
      return formatPrefix(range.prefix);
    });
}

describe('a node of three', () => {
  const { config, problems } = speakerFor('n2', THREE);

  test('has all addresses of the others as internal neighbours, from its own address of the family', () => {
    expect(problems).toEqual([]);
    expect(config.peers.map(({ key }) => key)).toEqual(['10.0.0.1', 'fd00::1', '10.0.0.3', 'fd00::3']);
    for (const peer of config.peers) {
      expect(peer.remoteAs).toEqual([{ first: 64512, last: 64512 }]);
      expect(peer.families).toHaveLength(1);
      expect(formatAddress(peer.sourceAddress!)).toBe(peer.key.includes(':') ? 'fd00::2' : '10.0.0.2');
    }
  });

  test('announces its pod CIDRs and nothing that it has learned', () => {
    expect(config.originate.map(({ prefix }) => formatPrefix(prefix))).toEqual([
      '10.244.2.0/24',
      'fd00:244:2::/64',
    ]);
    expect(config.originate.every(({ blackhole }) => blackhole)).toBe(true);
    for (const { families } of config.peers) expect(families[0]!.export).toEqual(['own-prefixes']);
  });

  test('believes each neighbour its own pod CIDRs and no others', () => {
    for (const [i, key] of [
      [1, '10.0.0.1'],
      [3, 'fd00::3'],
    ] as const) {
      const [family] = config.peers.find((peer) => peer.key === key)!.families;
      expect(family!.import).toEqual([`pod-cidrs/n${i}`]);
      expect(accepted(config, `pod-cidrs/n${i}`)).toEqual(nodeFacts(i).podCidrs);
    }
    expect(accepted(config, 'pod-cidrs').sort()).toEqual(THREE.flatMap(({ podCidrs }) => podCidrs).sort());
  });

  test('has its IPv4 address as router id, and as cluster id', () => {
    expect(formatIpv4(config.routerId)).toBe('10.0.0.2');
    expect(formatIpv4(config.clusterId)).toBe('10.0.0.2');
  });
});

test('without IPv4 the router id is of the name, the same at each start and another for each node', () => {
  const six = (name: string) => routerIdOf({ name, addresses: ['fd00::1'] });
  expect(six('n1')).toBe(six('n1'));
  expect(six('n1')).not.toBe(six('n2'));
  expect(six('n1')).toBeGreaterThan(0);
});

test('what the file says goes before what the node would', () => {
  const { config } = speakerFor('n1', THREE, {
    more: 'routerId: 192.0.2.9\noriginate: [{prefix: 10.244.1.0/24, blackhole: false}]\n',
  });
  expect(formatIpv4(config.routerId)).toBe('192.0.2.9');
  expect(config.originate.map(({ prefix, blackhole }) => [formatPrefix(prefix), blackhole])).toEqual([
    ['10.244.1.0/24', false],
    ['fd00:244:1::/64', true],
  ]);
});

test('without the mesh there are the neighbours of the file alone, and the filter of all pod CIDRs for them', () => {
  const more = 'peers: [{address: 10.0.0.254, remoteAs: 65000, import: pod-cidrs, export: own-prefixes}]\n';
  const { config } = speakerFor('n1', THREE, { more, cluster: 'mesh: false' });
  expect(config.peers.map(({ key }) => key)).toEqual(['10.0.0.254']);
  expect(accepted(config, 'pod-cidrs')).toHaveLength(6);
  expect(config.originate).toHaveLength(2);
});

test('a neighbour of the file that is a node counts as the file has it', () => {
  const more = 'peers: [{address: 10.0.0.3, remoteAs: internal, import: accept, export: reject}]\n';
  const { config, problems } = speakerFor('n1', THREE, { more });
  const found = config.peers.filter(({ key }) => key === '10.0.0.3');
  expect(found.map(({ families }) => families[0]!.export)).toEqual([['reject']]);
  expect(problems).toEqual([]);
});

test('neighbours of the file are those of the nodes that they select', () => {
  const more = `peers:
  - {address: 10.1.0.1, remoteAs: 65001, import: pod-cidrs, export: own-prefixes, nodeSelector: {matchLabels: {rack: a}}}
  - {address: 10.2.0.1, remoteAs: 65002, import: pod-cidrs, export: own-prefixes, nodeSelector: {matchExpressions: [{key: rack, operator: NotIn, values: [a]}]}}
`;
  const of = (labels: object) =>
    speakerFor('n1', THREE, { more, labels })
      .config.peers.map(({ key }) => key)
      .filter((key) => key.endsWith('.0.1') && key !== '10.0.0.1');
  expect(of({ rack: 'a' })).toEqual(['10.1.0.1']);
  expect(of({ rack: 'b' })).toEqual(['10.2.0.1']);
  expect(of({})).toEqual(['10.2.0.1']);
});

test('the group of the mesh gives its neighbours what it says, filters too', () => {
  const more = 'peerGroups: {nodes: {timers: {hold: 9}, password: secret, import: accept}}\n';
  const { config } = speakerFor('n1', THREE, { more, cluster: 'group: nodes' });
  for (const { timers, password, group, families } of config.peers) {
    expect({ hold: timers.hold, password, group }).toEqual({ hold: 9, password: 'secret', group: 'nodes' });
    expect(families[0]).toMatchObject({ import: ['accept'], export: ['own-prefixes'] });
  }
});

describe('what is not as a mesh needs it is told and left out', () => {
  const problemsOf = (...nodes: readonly NodeFacts[]) => speakerFor(nodes[0]!.name, nodes).problems;
  const plain = (name: string, address: string, podCidr: string): NodeFacts => ({
    name,
    addresses: [address],
    podCidrs: [podCidr],
  });

  test('two nodes with one address are one neighbour, as one of them is the old name of the other', () => {
    const nodes = [
      plain('n1', '10.0.0.1', '10.244.1.0/24'),
      plain('n2', '10.0.0.2', '10.244.2.0/24'),
      plain('n3', '10.0.0.2', '10.244.3.0/24'),
    ];
    const { config, problems } = speakerFor('n1', nodes);
    expect(config.peers.map(({ description }) => description)).toEqual(['node n2']);
    expect(config.peers[0]!.families[0]!.import).toEqual(['pod-cidrs@10.0.0.2']);
    expect(accepted(config, 'pod-cidrs@10.0.0.2')).toEqual(['10.244.2.0/24', '10.244.3.0/24']);
    expect(problems).toEqual([
      'Node n3: status.addresses: found InternalIP 10.0.0.2, expected an address of its own, as n2 has it',
    ]);
  });

  test('a node that says it has an address of another too is not believed what that one has', () => {
    const nodes = [
      plain('n1', '10.0.0.1', '10.244.1.0/24'),
      { ...plain('n2', '10.0.0.2', '10.244.2.0/24'), addresses: ['10.0.0.2', 'fd00::3'] },
      { ...plain('n3', '10.0.0.3', '10.244.3.0/24'), addresses: ['10.0.0.3', 'fd00::3'] },
    ];
    nodes[0] = { ...nodes[0]!, addresses: ['10.0.0.1', 'fd00::1'] };
    const { config } = speakerFor('n1', nodes);
    const believed = config.peers.map(({ key, families }) => [
      key,
      families.flatMap(({ import: names }) => (names ?? []).flatMap((name) => accepted(config, name))),
    ]);
    expect(Object.fromEntries(believed)).toEqual({
      '10.0.0.2': ['10.244.2.0/24'],
      '10.0.0.3': ['10.244.3.0/24'],
      'fd00::3': ['10.244.2.0/24', '10.244.3.0/24'],
    });
  });

  test.each(['127.0.0.1', '169.254.0.1', '0.0.0.0', '224.0.0.5', '::1', 'fe80::1', 'ff02::1', '::'])(
    'an address that nobody can reach: %s',
    (address) => {
      const { config, problems } = speakerFor('n1', [nodeFacts(1), plain('n2', address, '10.244.2.0/24')]);
      expect(config.peers).toEqual([]);
      expect(problems).toEqual([
        `Node n2: status.addresses: found InternalIP ${address}, expected an address that others can reach`,
      ]);
    },
  );

  test('pod CIDRs that overlap, whichever is the larger', () => {
    const found = problemsOf(
      plain('n1', '10.0.0.1', '10.244.0.0/16'),
      plain('n2', '10.0.0.2', '10.244.2.0/24'),
      plain('n3', '10.0.0.3', '10.245.3.0/24'),
      plain('n4', '10.0.0.4', '10.244.9.0/24'),
    );
    expect(found).toEqual([
      'Node n2: spec.podCIDRs: found 10.244.2.0/24, expected one apart from 10.244.0.0/16 of n1',
      'Node n4: spec.podCIDRs: found 10.244.9.0/24, expected one apart from 10.244.0.0/16 of n1',
    ]);
  });

  test('a node without pod CIDRs or addresses of its own', () => {
    expect(problemsOf({ name: 'n1', addresses: [], podCidrs: [] })).toEqual([
      'Node n1: spec.podCIDRs: found nothing, expected the pod CIDRs of this node; none is announced',
      'Node n1: status.addresses: found no InternalIP, expected one; there are no sessions with nodes',
    ]);
    expect(problemsOf({ name: 'n1', addresses: ['10.0.0.1'], podCidrs: ['fd00::/64'] })[0]).toContain(
      'no IPv6 InternalIP',
    );
  });
});

/** Nodes with addresses and pod CIDRs of one or both families, all apart. */
const clusters = fc
  .uniqueArray(
    fc.record({ k: fc.integer({ min: 1, max: 250 }), families: fc.constantFrom([4], [6], [4, 6], [6, 4]) }),
    {
      selector: ({ k }) => k,
      minLength: 2,
      maxLength: 8,
    },
  )
  .map((list) =>
    list.map(({ k, families }): NodeFacts => {
      const { name, addresses, podCidrs } = nodeFacts(k);
      const pick = (texts: readonly string[]) => families.map((family) => texts[family === 4 ? 0 : 1]!);
      return { name, addresses: pick(addresses), podCidrs: pick(podCidrs) };
    }),
  );

test('both ends of a session want it, and one believes what the other announces', () => {
  fc.assert(
    fc.property(clusters, (nodes) => {
      const configs = new Map(nodes.map(({ name }) => [name, speakerFor(name, nodes).config]));
      for (const a of nodes) {
        for (const b of nodes) {
          if (a === b) continue;
          for (const address of b.addresses) {
            const family = address.includes(':');
            const back = a.addresses.find((each) => each.includes(':') === family);
            const peer = configs.get(a.name)!.peers.find(({ key }) => key === address);
            expect(peer !== undefined).toBe(back !== undefined);
            if (peer === undefined) continue;
            const reverse = configs.get(b.name)!.peers.find(({ key }) => key === back)!;
            expect(formatAddress(reverse.sourceAddress!)).toBe(address);
            const announced = configs.get(b.name)!.originate.map(({ prefix }) => formatPrefix(prefix));
            expect(accepted(configs.get(a.name)!, peer.families[0]!.import![0]!)).toEqual(announced);
          }
        }
      }
    }),
    { numRuns: runs(50) },
  );
});

test('a node that comes, goes or changes touches no other session of the mesh', () => {
  fc.assert(
    fc.property(clusters, fc.integer({ min: 251, max: 255 }), fc.nat(), (nodes, k, pick) => {
      const own = nodes[0]!;
      const other = nodes[1 + (pick % (nodes.length - 1))]!;
      const before = speakerFor(own.name, nodes).config;
      const come = compareConfigs(before, speakerFor(own.name, [...nodes, nodeFacts(k)]).config);
      expect(come).toMatchObject({
        removed: [],
        changed: [],
        parts: [],
        originate: { added: [], removed: [] },
      });
      expect(come.added).toHaveLength(own.addresses.length);
      const gone = compareConfigs(
        before,
        speakerFor(
          own.name,
          nodes.filter((node) => node !== other),
        ).config,
      );
      expect(gone).toMatchObject({ added: [], changed: [], parts: [] });
      const moved = { ...other, podCidrs: nodeFacts(k).podCidrs };
      const changed = compareConfigs(
        before,
        speakerFor(
          own.name,
          nodes.map((node) => (node === other ? moved : node)),
        ).config,
      );
      expect(changed).toMatchObject({ added: [], removed: [], parts: [] });
      for (const { reset, after } of changed.changed) {
        expect(reset).toBe(false);
        expect(after.description).toBe(`node ${other.name}`);
      }
    }),
    { numRuns: runs(50) },
  );
});
