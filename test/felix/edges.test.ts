import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseAddress, parsePrefix } from '#datastore/address.ts';
import { type DataplaneSettings, DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { openUdp } from '#kernel/sys/datagram.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { openConnecting, openListener } from '#kernel/sys/tcp.ts';
import type { Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { endpointOf, type Slot } from './fabric.ts';
import { allow, isolate, nodeObject, pod } from './objects.ts';
import { type Probe, type ProbeProtocol, probe } from './prober.ts';
import { tcpPair, udpPair } from './talk.ts';
import { World } from './world.ts';

/*
 * What is not policy: addresses that are not one's own, interfaces of nobody, messages that have to pass, the node itself,
 * translation of addresses.
 */

const FAMILIES = [0, 1] as const;

function placedWorld(settings: Partial<DataplaneSettings> = {}) {
  const world = new World({ ...DEFAULT_SETTINGS, ...settings });
  const { slots, nodes } = world.fabric;
  const placed = new Map([
    ['shop/a', slots[0]!],
    ['shop/b', slots[1]!],
    ['shop/far', slots[3]!],
  ]);
  const objects = [
    ...nodes.map(nodeObject),
    pod('a', slots[0]!, { app: 'a' }),
    pod('b', slots[1]!, { app: 'b' }),
    pod('far', slots[3]!, { app: 'far' }),
  ];
  return { world, slots, nodes, placed, objects };
}

async function arrivals(probes: readonly Probe[], expected: boolean): Promise<string[]> {
  const results = await probe(
    probes,
    probes.map(() => expected),
  );
  return results.flatMap(({ arrived }, i) => {
    const { source, destination, protocol, port } = probes[i]!;
    return arrived === expected ? [] : [`${source} > ${destination} ${protocol}/${port}: ${arrived}`];
  });
}

const KINDS: readonly (readonly [ProbeProtocol, number])[] = [
  ['TCP', 80],
  ['UDP', 53],
  ['SCTP', 7],
  ['other', 0],
];
type From = { readonly prober: Slot['prober']; readonly addresses: readonly string[] };
const between = (from: From, to: From, sources = from.addresses, destinations = to.addresses): Probe[] =>
  FAMILIES.flatMap((family) =>
    KINDS.map(([protocol, port]) => ({
      from: from.prober,
      to: to.prober,
      source: sources[family]!,
      destination: destinations[family]!,
      protocol,
      port,
    })),
  );

describe('with the settings that there are unless told', () => {
  let { world, slots, nodes, placed, objects } = {} as ReturnType<typeof placedWorld>;
  beforeAll(() => {
    ({ world, slots, nodes, placed, objects } = placedWorld());
  }, 60_000);
  afterAll(() => world[Symbol.dispose]());
  beforeEach(() => world.become(objects, placed));

  test('a pod speaks under its own addresses alone, to other pods, elsewhere, and to its node', async () => {
    const [a, b, , far] = slots as readonly [Slot, Slot, Slot, Slot];
    const { outside } = world.fabric;
    for (const to of [b, far, nodes[0]!, outside]) {
      expect(await arrivals(between(a, to), true)).toEqual([]);
      for (const other of [b.addresses, far.addresses, outside.addresses, nodes[0]!.addresses]) {
        if (other === to.addresses) continue;
        expect(await arrivals(between(a, to, other), false)).toEqual([]);
      }
    }
  });

  test('nor does it take over a connection of another', async () => {
    using pair = await udpPair(slots[0]!, slots[3]!, 0, 5000);
    await pair.exchange('established');
    // The same addresses and ports, from the interface of another pod: what answers would come to the first one.
    const stolen = world.conntracks[0]!.list({ original: { destinationPort: 5000 } });
    expect(stolen).toHaveLength(1);
    expect(await arrivals(between(slots[1]!, slots[3]!, slots[0]!.addresses), false)).toEqual([]);
  });

  test("an interface that looks like a pod's and is none is closed, in both directions and to the node", async () => {
    const [a, , unknown] = slots as readonly [Slot, Slot, Slot];
    expect(await arrivals(between(unknown, a), false)).toEqual([]);
    expect(await arrivals(between(unknown, nodes[0]!), false)).toEqual([]);
    expect(await arrivals(between(a, unknown), false)).toEqual([]);
    expect(await arrivals(between(slots[3]!, unknown), false)).toEqual([]);
    await world.become([...objects, pod('c', unknown, {})], new Map([...placed, ['shop/c', unknown]]));
    expect(await arrivals([...between(unknown, a), ...between(a, unknown)], true)).toEqual([]);
  });

  test('a pod that the engine does not know yet is closed, and open as soon as it does', async () => {
    const [a, , late] = slots as readonly [Slot, Slot, Slot];
    world.dataplanes[0]!.setEndpoint(endpointOf(late, 'shop/late'));
    await world.applied();
    expect(await arrivals([...between(late, a), ...between(a, late)], false)).toEqual([]);
    await world.become([...objects, pod('late', late, {})], new Map([...placed, ['shop/late', late]]));
    expect(await arrivals([...between(late, a), ...between(a, late)], true)).toEqual([]);
  });

  test('an isolated pod reaches itself by way of a service, others do not reach it so, and a served service is reached', async () => {
    const [a, b, , far] = slots as readonly [Slot, Slot, Slot, Slot];
    const [node] = nodes;
    node.netns.exec('nft', ['-f', '-'], {
      input: `table ip service {
        chain prerouting {
          type nat hook prerouting priority dstnat;
          ip daddr 10.96.0.1 dnat to 10.0.0.1
          ip daddr 10.96.0.2 dnat to 10.0.0.4
        }
        chain postrouting { type nat hook postrouting priority srcnat; ip saddr . ip daddr { 10.0.0.1 . 10.0.0.1 } masquerade; }
      }\n`,
    });
    await world.become([...objects, { ...isolate('a'), policyTypes: ['Ingress', 'Egress'] }], placed);
    using own = await listener(a.netns, a.addresses[0], 6001);
    expect(await own.seenFrom(a.netns, '10.96.0.1', 6001)).toBe(node.addresses[0]);
    const service = (to: Slot, address: string) => ({ prober: to.prober, addresses: [address, address] });
    const tcp = (from: Slot, to: Slot, address: string) =>
      between(from, service(to, address)).filter(
        ({ source, protocol }) => protocol === 'TCP' && !source.includes(':'),
      );
    expect(await arrivals([...tcp(b, a, '10.96.0.1'), ...tcp(a, far, '10.96.0.2')], false)).toEqual([]);
    expect(await arrivals(tcp(b, far, '10.96.0.2'), true)).toEqual([]);
    node.netns.exec('nft', ['delete', 'table', 'ip', 'service']);
  });

  test('neighbours are found out: an isolated pod with an empty table reaches its node', async () => {
    const [a] = slots as readonly [Slot];
    await world.become([...objects, { ...isolate('a'), policyTypes: ['Ingress', 'Egress'] }], placed);
    a.node.netns.exec('ip', ['addr', 'add', 'fe80::1/64', 'dev', a.interface, 'nodad']);
    a.netns.exec('ip', ['neigh', 'del', 'fe80::1', 'dev', 'eth0']);
    a.node.netns.exec('ip', ['neigh', 'del', a.addresses[1], 'dev', a.interface]);
    await a.netns.execAsync('ping', ['-c1', '-W2', nodes[0]!.addresses[1]]);
    const found = a.netns.ip('-6', 'neigh', 'show', 'fe80::1') as { state: string[] }[];
    expect(found[0]!.state).not.toContain('PERMANENT');
  });

  test.each(FAMILIES)(
    'the MTU of the path is found out by a pod that nobody may reach (%i)',
    async (family) => {
      const [a, , , far] = slots as readonly [Slot, Slot, Slot, Slot];
      await world.become([...objects, isolate('a')], placed);
      // The second node tells the first pod, by way of the first node.
      far.node.netns.exec('ip', ['link', 'set', far.interface, 'mtu', '1300']);
      using pair = await tcpPair(a, far, family, 5000);
      await pair.exchange('x'.repeat(100_000));
      const [route] = a.netns.ip(family === 0 ? '-4' : '-6', 'route', 'get', far.addresses[family]) as {
        metrics?: { mtu: number }[];
      }[];
      expect(route!.metrics?.[0]?.mtu).toBe(1300);
      far.node.netns.exec('ip', ['link', 'set', far.interface, 'mtu', '1500']);
    },
  );

  test.each(FAMILIES)('what comes in pieces is judged as a whole (%i)', async (family) => {
    const [a, , , far] = slots as readonly [Slot, Slot, Slot, Slot];
    await world.become([...objects, allow('far', 'a', 0x1414)], placed);
    // All pieces but the first have no header: these begin as if they had one of the port that is allowed.
    const text = '\x14'.repeat(4000);
    {
      using may = await udpPair(a, far, family, 0x1414);
      await may.exchange(text);
    }
    using mayNot = await udpPair(a, far, family, 5000);
    const seen = far.netns.exec('nft', ['-f', '-'], {
      input:
        'table inet seen {\nchain c { type filter hook prerouting priority -450; ip saddr 10.0.0.1 counter; ip6 saddr fd00::1 counter; }\n}\n',
    });
    expect(seen).toBe('');
    await mayNot.expectSilence('client', text);
    expect(far.netns.exec('nft', ['list', 'table', 'inet', 'seen']).match(/packets \d+/g)).toEqual([
      'packets 0',
      'packets 0',
    ]);
    far.netns.exec('nft', ['delete', 'table', 'inet', 'seen']);
  });

  test.each(FAMILIES)('a pod that nobody may reach hears that nobody listens (%i)', async (family) => {
    const [a, , , far] = slots as readonly [Slot, Slot, Slot, Slot];
    await world.become([...objects, isolate('a')], placed);
    using namespace = NetworkNamespace.open(a.netns.path);
    const socket = createSocket(family === 0 ? 'udp4' : 'udp6');
    socket.bind({ fd: openUdp({ address: a.addresses[family], port: 0, namespace }) });
    socket.connect(5999, far.addresses[family]);
    await once(socket, 'connect');
    let refused = '';
    socket.on('error', (error) => {
      refused = String(error);
    });
    // A kernel sends such messages a few times a second at most.
    await waitFor(
      () => {
        socket.send('anybody?', () => {});
        return refused.includes('ECONNREFUSED');
      },
      { what: 'the refusal', interval: 100 },
    );
    socket.close();
  });
});

describe('with everything set', () => {
  const prefix = (text: string) => parsePrefix(text)!;
  let { world, slots, nodes, placed, objects } = {} as ReturnType<typeof placedWorld>;
  beforeAll(async () => {
    ({ world, slots, nodes, placed, objects } = placedWorld({
      podToHost: 'drop',
      hostToPod: 'drop',
      failsafeInbound: [{ protocol: 'TCP', port: 22 }],
      failsafeOutbound: [{ protocol: 'UDP', port: 53 }],
      serviceRanges: [prefix('10.96.0.0/16'), prefix('fd96::/112')],
      natOutgoing: [prefix('10.0.0.0/29'), prefix('fd00::/125')],
      natExcluded: [prefix('10.0.0.0/29'), prefix('fd00::/125'), prefix('10.5.0.0/16')],
    }));
    await world.become(objects, placed);
    const { outside } = world.fabric;
    for (const address of ['10.96.0.1', 'fd96::1', '10.5.0.1', '10.6.0.1']) {
      outside.netns.exec('ip', ['addr', 'add', address, 'dev', 'lo']);
      const [v, via, dev] = address.includes(':') ? ['-6', 'fd00::d', 'out0'] : ['-4', '10.0.0.13', 'out0'];
      nodes[0]!.netns.exec('ip', [v!, 'route', 'add', address, 'via', via!, 'dev', dev!, 'onlink']);
    }
  }, 60_000);
  afterAll(() => world[Symbol.dispose]());

  const one = (from: From, to: From, protocol: ProbeProtocol, port: number): Probe[] =>
    FAMILIES.map((family) => ({
      from: from.prober,
      to: to.prober,
      source: from.addresses[family]!,
      destination: to.addresses[family]!,
      protocol,
      port,
    }));

  test('pods do not begin anything with their node, nor the node with them, but for failsafe ports', async () => {
    const [a] = slots as readonly [Slot];
    const [node, other] = nodes;
    expect(
      await arrivals(
        [...one(a, node, 'TCP', 80), ...one(a, node, 'UDP', 22), ...one(a, node, 'other', 0)],
        false,
      ),
    ).toEqual([]);
    expect(await arrivals(one(a, node, 'TCP', 22), true)).toEqual([]);
    expect(await arrivals([...one(node, a, 'TCP', 80), ...one(node, a, 'TCP', 53)], false)).toEqual([]);
    expect(await arrivals(one(node, a, 'UDP', 53), true)).toEqual([]);
    // Another node is somebody else.
    expect(await arrivals([...one(a, other, 'TCP', 80), ...one(other, a, 'TCP', 80)], true)).toEqual([]);
  });

  test('a packet to a service that nobody serves goes nowhere', async () => {
    const [a] = slots as readonly [Slot];
    const { outside } = world.fabric;
    expect(await arrivals(between(a, outside, a.addresses, ['10.96.0.1', 'fd96::1']), false)).toEqual([]);
    expect(await arrivals(between(outside, a, ['10.96.0.1', 'fd96::1']), true)).toEqual([]);
  });

  test.each([
    ['outside', '10.0.0.13', '10.0.0.14'],
    ['outside', 'fd00::d', 'fd00::e'],
    ['a destination that is exempt', '10.5.0.1', '10.0.0.1'],
    ['one beside it', '10.6.0.1', '10.0.0.14'],
  ])('%s (%s) sees %s', async (_what, address, seen) => {
    using listening = await listener(world.fabric.outside.netns, address, 6000);
    expect(await listening.seenFrom(slots[0]!.netns, address, 6000)).toBe(seen);
  });

  test.each(FAMILIES)('other pods see the pod itself (%i)', async (family) => {
    for (const to of [slots[1]!, slots[3]!]) {
      using listening = await listener(to.netns, to.addresses[family], 6000);
      expect(await listening.seenFrom(slots[0]!.netns, to.addresses[family], 6000)).toBe(
        slots[0]!.addresses[family],
      );
    }
  });

  describe('a port of the node', () => {
    beforeAll(async () => {
      world.dataplanes[0]!.setEndpoint({
        ...endpointOf(slots[0]!, 'shop/a'),
        hostPorts: [
          { protocol: 'TCP', hostPort: 8080, containerPort: 80, hostIp: undefined },
          { protocol: 'TCP', hostPort: 8081, containerPort: 80, hostIp: parseAddress('10.0.0.14') },
          { protocol: 'TCP', hostPort: 8082, containerPort: 80, hostIp: parseAddress('192.0.2.1') },
        ],
      });
      await world.applied();
    });

    test.each(FAMILIES)(
      'leads to the pod from outside, from pods here and elsewhere, and from itself (%i)',
      async (family) => {
        const [a, b, , far] = slots as readonly [Slot, Slot, Slot, Slot];
        const address = nodes[0]!.addresses[family]!;
        using listening = await listener(a.netns, a.addresses[family], 80);
        const { outside } = world.fabric;
        expect(await listening.seenFrom(outside.netns, address, 8080)).toBe(outside.addresses[family]);
        expect(await listening.seenFrom(b.netns, address, 8080)).toBe(b.addresses[family]);
        // The address of a node is not of the pool: the other node translates.
        expect(await listening.seenFrom(far.netns, address, 8080)).toBe(nodes[1]!.addresses[family]);
        expect(await listening.seenFrom(a.netns, address, 8080)).toBe(nodes[0]!.addresses[family]);
      },
    );

    test('of one address leads there by that address alone', async () => {
      const [a] = slots as readonly [Slot];
      const { outside } = world.fabric;
      using listening = await listener(a.netns, a.addresses[0], 80);
      expect(await listening.seenFrom(outside.netns, '10.0.0.14', 8081)).toBe('10.0.0.13');
      await expect(listening.seenFrom(outside.netns, '10.0.0.14', 8082)).rejects.toThrow(/ECONNREFUSED/);
    });

    test('is subject to policy', async () => {
      await world.become([...objects, isolate('a')], placed);
      const { outside } = world.fabric;
      const to = { prober: slots[0]!.prober, addresses: nodes[0]!.addresses };
      expect(await arrivals(one(outside, to, 'TCP', 8080), false)).toEqual([]);
      await world.become(objects, placed);
      expect(await arrivals(one(outside, to, 'TCP', 8080), true)).toEqual([]);
    });
  });
});

/** A TCP server that tells who it sees. */
async function listener(
  netns: Netns,
  address: string,
  port: number,
): Promise<Disposable & { seenFrom(from: Netns, address: string, port: number): Promise<string> }> {
  using namespace = NetworkNamespace.open(netns.path);
  const server = createServer((socket) => socket.end(`${socket.remoteAddress}\n`));
  server.listen({ fd: openListener({ address, port, namespace }), backlog: 16 });
  await once(server, 'listening');
  return {
    async seenFrom(from, to, toPort) {
      using own = NetworkNamespace.open(from.path);
      const socket = openConnecting({ address: to, port: toPort, namespace: own });
      let said = '';
      let failure: Error | undefined;
      socket.on('data', (bytes) => {
        said += bytes;
      });
      socket.on('error', (error) => {
        failure = error;
      });
      try {
        return await waitFor(
          () => {
            if (failure) return failure;
            return said.includes('\n') && said.trim();
          },
          { what: `an answer of ${to}:${toPort}` },
        ).then((result) => {
          if (result instanceof Error) throw result;
          return result;
        });
      } finally {
        socket.destroy();
      }
    },
    [Symbol.dispose]: () => void server.close(),
  };
}
