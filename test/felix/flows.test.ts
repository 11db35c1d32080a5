import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseAddress } from '#datastore/address.ts';
import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import type { Resource } from '#datastore/resource.ts';
import { DENIED_LABEL, MARKED_STATUS } from '#felix/dataplane/chains.ts';
import { FlowJudge } from '#felix/dataplane/flows.ts';
import { ChangeScope } from '#felix/policy/scope.ts';
import type { Conntrack } from '#kernel/conntrack/conntrack.ts';
import { FlowStatus } from '#kernel/conntrack/flow.ts';
import type { NetlinkError } from '#kernel/netlink/error.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { endpointOf, type Slot } from './fabric.ts';
import { allow, isolate, pod } from './objects.ts';
import { countPackets, tcpPair, udpPair } from './talk.ts';
import { World } from './world.ts';

/*
 * Connections that have begun, while policies change: those that are forbidden end, those that stay allowed lose nothing.
 */

let world: World;
let slots: readonly Slot[];
beforeAll(() => {
  world = new World();
  ({ slots } = world.fabric);
}, 240_000);
afterAll(() => world[Symbol.dispose]());

/** A client on the first node and a server on the second. */
const pods = (labels: Record<string, string> = {}): Resource[] => [
  pod('client', slots[0]!, { app: 'client', ...labels }),
  pod('server', slots[3]!, { app: 'server' }),
];
const placed = () =>
  new Map([
    ['shop/client', slots[0]!],
    ['shop/server', slots[3]!],
  ]);

beforeEach(async () => {
  await world.become(pods(), placed());
  for (const conntrack of world.conntracks) conntrack.deleteMatching({});
});

test.each([0, 1])(
  'a connection that policy forbids ends in both directions, and goes on when it is allowed again (%i)',
  async (family) => {
    await world.become([...pods(), allow('server', 'client', 5000)], placed());
    using pair = await tcpPair(slots[0]!, slots[3]!, family, 5000);
    await pair.exchange('before');
    await world.become([...pods(), isolate('server')], placed());
    await pair.expectSilence('client');
    await pair.expectSilence('server');
    expect(world.dataplanes[1]!.flows.counters.ended).toBeGreaterThan(0);
    await world.become([...pods(), allow('server', 'client', 5000)], placed());
    await pair.exchange('after');
  },
);

test('a connection ends when the labels of the other end change, on the node that forbids it alone', async () => {
  await world.become([...pods(), allow('server', 'client', 5000)], placed());
  using pair = await udpPair(slots[0]!, slots[3]!, 0, 5000);
  await pair.exchange('before');
  await world.become([...pods({ app: 'other' }), allow('server', 'client', 5000)], placed());
  await pair.expectSilence('client');
  await pair.expectSilence('server');
});

test('a connection by way of a service ends on the node that translates it', async () => {
  const [node] = world.fabric.nodes;
  const egress = (rules: NetworkPolicy['egress']): NetworkPolicy => ({
    ...isolate('client', 'egress'),
    policyTypes: ['Egress'],
    egress: rules,
  });
  const { ingress: rules } = allow('client', 'server', 5000);
  node.netns.exec('nft', ['-f', '-'], {
    input:
      'table ip service { chain prerouting { type nat hook prerouting priority dstnat; ip daddr 10.96.0.1 dnat to 10.0.0.4; }\n}\n',
  });
  await world.become([...pods(), egress(rules)], placed());
  using pair = await tcpPair(slots[0]!, slots[3]!, 0, 5000, '10.96.0.1');
  await pair.exchange('before');
  const { ended } = world.dataplanes[0]!.flows.counters;
  await world.become([...pods(), egress([])], placed());
  expect(world.dataplanes[0]!.flows.counters.ended).toBe(ended + 1);
  // (The client's own fence would be forbidden as well.)
  await pair.expectSilence('server');
  await world.become([...pods(), egress(rules)], placed());
  await pair.exchange('after');
  node.netns.exec('nft', ['delete', 'table', 'ip', 'service']);
});

test('a connection that other policies allow too is not ended', async () => {
  await world.become(
    [...pods(), allow('server', 'client', 5000, 'a'), allow('server', 'client', 5000, 'b')],
    placed(),
  );
  using pair = await tcpPair(slots[0]!, slots[3]!, 0, 5000);
  const before = world.dataplanes.map((dataplane) => dataplane.flows.counters.ended);
  await world.become([...pods(), allow('server', 'client', 5000, 'b')], placed());
  await pair.exchange('still');
  expect(world.dataplanes.map((dataplane) => dataplane.flows.counters.ended)).toEqual(before);
});

test('the address of a pod is judged by its pod, whoever had it before', async () => {
  await world.become([...pods(), isolate('server')], placed());
  const dataplane = world.dataplanes[1]!;
  dataplane.removeEndpoint('shop/server');
  dataplane.setEndpoint(endpointOf(slots[3]!, 'shop/another'));
  await world.applied();
  expect(dataplane.ruleset.podOf(slots[3]!.interface)).toBe('shop/another');
  expect(dataplane.programs.lookUp('ingress', 'shop/another', parseAddress('10.0.0.1')!, 'TCP', 1)).toBe(
    'drop',
  );
  dataplane.removeEndpoint('shop/another');
  dataplane.setEndpoint(endpointOf(slots[3]!, 'shop/server'));
  await world.applied();
});

test('what a pod and its node have begun with each other is not for policies to end', async () => {
  const [a] = slots as readonly [Slot];
  const { node } = a;
  const self = { ...a, netns: node.netns, addresses: node.addresses };
  const { ended } = world.dataplanes[0]!.flows.counters;
  using toPod = await tcpPair(self, a, 0, 5000);
  using toNode = await tcpPair(a, self, 1, 5000);
  await world.become([...pods(), { ...isolate('client'), policyTypes: ['Ingress', 'Egress'] }], placed());
  await toPod.exchange('still');
  await toNode.exchange('still');
  expect(world.dataplanes[0]!.flows.counters.ended).toBe(ended);
  expect(world.conntracks[0]!.list().filter(({ labels }) => labels.length > 0)).toEqual([]);
});

test('what is asked for is answered when it is in force, also where each judgement meets with a change that forbids more', async () => {
  const dataplane = world.dataplanes[1]!;
  const judge = dataplane.flows.judge.bind(dataplane.flows);
  let changes = 0;
  const judging = vi.spyOn(dataplane.flows, 'judge').mockImplementation(async (scope) => {
    await world.change([...pods(), allow('server', 'client', 6000 + changes++)]);
    await judge(scope);
    return 200;
  });
  try {
    await world.change([...pods(), isolate('server')]);
    await waitFor(() => changes > 1, { what: 'a judgement that meets with a change' });
    await dataplane.applied([], AbortSignal.timeout(10_000));
  } finally {
    judging.mockRestore();
  }
});

describe.each([
  ['there is no table, and has no room for labels,', 'delete table inet margay'],
  ['all passes', 'insert rule inet margay forward accept'],
])('a connection that began while %s', (_what, damage) => {
  test.each([0, 1])('ends with the repair, in both directions (%i)', async (family) => {
    const { netns } = world.fabric.nodes[1];
    const dataplane = world.dataplanes[1]!;
    const judge = vi.spyOn(dataplane.flows, 'judge');
    await world.become([...pods(), isolate('server')], placed());
    // Until connections are judged for it for the second and last time.
    await waitFor(() => judge.mock.calls.filter(([scope]) => scope.pods.has('shop/server')).length > 1, {
      what: 'the last judgement',
    });
    await Promise.all(judge.mock.results.map(({ value }) => value));
    judge.mockRestore();
    // As with a service proxy: connections are tracked without our table too.
    const tracking = 'chain c { type filter hook forward priority 0; ct state established accept; }';
    netns.exec('nft', ['-f', '-'], { input: `table inet tracking {\n${tracking}\n}\n` });
    dataplane.unwatch();
    netns.exec('nft', damage.split(' '));
    using pair = await tcpPair(slots[0]!, slots[3]!, family, 5000);
    await pair.exchange('meanwhile');
    dataplane.start();
    dataplane.driver.doubt();
    await world.applied();
    // What the server says might be taken for the beginning of a connection that nobody forbids.
    await pair.expectSilence('server');
    await pair.expectSilence('client');
    await pair.expectSilence('server');
    netns.exec('nft', ['delete', 'table', 'inet', 'tracking']);
  });
});

describe('the mark of a connection that ends', () => {
  const flow = (sourcePort: number) => ({
    family: 4 as const,
    original: { source: '10.9.0.1', destination: '10.9.0.2', protocol: 6, sourcePort, destinationPort: 80 },
    timeout: 100,
    state: 'ESTABLISHED',
  });
  const everything = Object.assign(new ChangeScope(), { all: true });
  /** A judge that forbids all, and what happens while it looks at a connection. */
  const judge = (conntrack: Conntrack, meanwhile: () => void = () => {}): FlowJudge =>
    new FlowJudge({
      conntrack,
      lookUp: () => 'drop',
      podAt: (address) => {
        meanwhile();
        return address === parseAddress('10.9.0.1') ? 'shop/a' : undefined;
      },
      nodeAddresses: () => new Set(),
    });
  const ended = { labels: [DENIED_LABEL], marked: true };
  const seen = (conntrack: Conntrack, port: number) => {
    const { labels, status } = conntrack.get(flow(port))!;
    return { labels, marked: (status & MARKED_STATUS) !== 0 };
  };

  test('is there whatever packets make of its status while it is judged', async () => {
    const conntrack = world.conntracks[1]!;
    conntrack.create(flow(1));
    const { confirmed, seenReply, assured } = FlowStatus;
    await judge(conntrack, () =>
      conntrack.update(flow(1), { status: confirmed | seenReply | assured }),
    ).judge(everything);
    expect(seen(conntrack, 1)).toEqual(ended);
  });

  test('is there for the others where the kernel refuses it for one', async () => {
    const conntrack = world.conntracks[1]!;
    for (const port of [3, 4, 5]) conntrack.create(flow(port));
    const { confirmed, seenReply, assured } = FlowStatus;
    const refusal = Object.assign(new Error('not permitted'), { code: 'EPERM' });
    const refusing: Conntrack = Object.create(conntrack, {
      visitSteps: { value: conntrack.visitSteps.bind(conntrack) },
      changes: {
        value: () => {
          const changes = conntrack.changes();
          const finish = changes.finish.bind(changes);
          // The kernel's own refusals, of which the first is of another kind.
          changes.finish = () =>
            finish().map((failure, i) =>
              i === 0 ? { ...failure, error: refusal as NetlinkError } : failure,
            );
          refusing.changes = () => conntrack.changes();
          return changes;
        },
        configurable: true,
        writable: true,
      },
    });
    const packets = () => {
      for (const port of [3, 4, 5]) conntrack.update(flow(port), { status: confirmed | seenReply | assured });
    };
    await expect(judge(refusing, packets).judge(everything)).rejects.toThrow('not permitted');
    expect([3, 4, 5].filter((port) => seen(conntrack, port).marked)).toHaveLength(2);
  });

  test('is missed where the kernel takes a connection away, and has no room for the one that bears it', async () => {
    const conntrack = world.conntracks[1]!;
    conntrack.create(flow(6));
    const codes = [['ENOSPC'], [undefined, 'ENOMEM', 'ENOENT']];
    const refusing: Conntrack = Object.create(conntrack, {
      visitSteps: { value: conntrack.visitSteps.bind(conntrack) },
      changes: {
        value: () => {
          const changes = conntrack.changes();
          changes.finish = () =>
            codes
              .shift()!
              .map((code, index) => ({
                index,
                error: Object.assign(new Error(code), { code }) as NetlinkError,
              }))
              .filter(({ error }) => error.code !== undefined);
          return changes;
        },
      },
    });
    await expect(judge(refusing).judge(everything)).rejects.toThrow('ENOMEM');
  });

  test('is there where one has the label alone, and is not set a second time', async () => {
    const conntrack = world.conntracks[1]!;
    conntrack.create({ ...flow(2), labels: [DENIED_LABEL] });
    const all = judge(conntrack);
    await all.judge(everything);
    expect(seen(conntrack, 2)).toEqual(ended);
    expect(all.counters.ended).toBe(1);
    await all.judge(everything);
    expect(all.counters.ended).toBe(1);
  });
});

test('a connection with a helper of its own is let through', async () => {
  await world.become([...pods(), allow('server', 'client', 5000)], placed());
  using pair = await tcpPair(slots[0]!, slots[3]!, 0, 5000);
  await pair.exchange('before');
  const conntrack = world.conntracks[1]!;
  const [flow] = conntrack.list().filter(({ original }) => original.destinationPort === 5000);
  conntrack.update(flow!, { status: flow!.status | FlowStatus.helper });
  await pair.exchange('after');
  await world.become([...pods(), isolate('server')], placed());
  await pair.expectSilence('client');
  await pair.expectSilence('server');
});

test('a long transfer loses nothing during 1,000 policy updates, and stops at the one that forbids it', async () => {
  const base = [...pods(), allow('server', 'client', 5000)];
  await world.become(base, placed());
  using pair = await tcpPair(slots[0]!, slots[3]!, 0, 5000);
  const counters = world.fabric.nodes.map(({ netns }) => countPackets(netns, pair.clientPort, 5000));
  const transfer = pair.stream();
  for (let i = 0; i < 500; i++) {
    // Each comes and goes: rules of the pods that talk, of their peers, and of ports beside theirs.
    await world.change([...base, allow('server', 'client', 5001 + (i % 7), `more-${i}`)]);
    await world.change(base);
  }
  expect(transfer.failed()).toBeUndefined();
  expect(transfer.received()).toBeGreaterThan(1 << 20);
  const at = transfer.received();
  await transfer.pause();
  // What comes to our chains leaves them. (That TCP sends something again only says that it was late.)
  for (const counter of counters) {
    const [before, after, beforeForward, afterForward] = counter.read();
    expect(before).toBeGreaterThan(100);
    expect(after).toBe(before);
    expect(afterForward).toBe(beforeForward);
    counter.remove();
  }
  transfer.resume();
  await world.become(base, placed());
  await transfer.moves();
  expect(transfer.received()).toBeGreaterThan(at);
  await world.become([...pods(), isolate('server')], placed());
  await transfer.stands();
}, 240_000);
