import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { formatAddress, parseAddress } from '#datastore/address.ts';
import type { Endpoint, EndpointRequest } from '#felix/endpoints/model.ts';
import { hostInterfaceOf } from '#felix/endpoints/model.ts';
import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { Node } from '../node.ts';

const never = new AbortController().signal;

let counter = 0;

function request(pod: Netns, extra: Partial<EndpointRequest> = {}): EndpointRequest {
  const id = `c${++counter}`;
  return {
    network: 'pods',
    containerId: id,
    interfaceName: 'eth0',
    netns: pod.path,
    pod: `default/${id}`,
    addresses: [],
    mac: undefined,
    hostPorts: [],
    bandwidth: undefined,
    ...extra,
  };
}

const add = (node: Node, pod: Netns, extra: Partial<EndpointRequest> = {}): Promise<Endpoint> =>
  node.network.add(request(pod, extra), never);

const texts = (endpoint: Endpoint): string[] => endpoint.addresses.map(formatAddress);

const ping = (from: Netns, to: string): Promise<string> => from.execAsync('ping', ['-c1', '-W5', to]);

/** All kernel parameters of a namespace's interfaces, but for those of ours. */
function otherSysctls(netns: Netns): string {
  return netns.exec('sh', [
    '-c',
    'grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/neigh | grep -v /mgy | grep -v stable_secret | sort',
  ]);
}

/** Nothing of ours is left in the kernel, on disk or in the dataplane. */
function expectNothing(node: Node): void {
  expect(node.netns.ip('link', 'show', 'type', 'veth') ?? []).toEqual([]);
  expect(node.netns.ip('route', 'show', 'proto', '110') ?? []).toEqual([]);
  expect(node.netns.ip('-6', 'route', 'show', 'proto', '110') ?? []).toEqual([]);
  expect(fs.readdirSync(join(node.folder, 'state', 'endpoints'))).toEqual([]);
  expect([...node.network.ipam.allocator.allocations]).toEqual([]);
  expect([...node.dataplane.endpoints]).toEqual([]);
  expect([...node.network.endpoints.all]).toEqual([]);
}

describe('pods of a node', () => {
  let node: Node;
  let pods: Netns[];
  beforeAll(async () => {
    node = await Node.start();
  });
  beforeEach(() => {
    pods = [node.pod(), node.pod()];
  });
  afterEach(async () => {
    node.dataplane.gate = async () => {};
    await Promise.all(
      [...node.network.endpoints.all.keys()].map((owner) => node.network.endpoints.removeOwner(owner)),
    );
    for (const pod of pods) pod.remove();
  });
  afterAll(() => node[Symbol.asyncDispose]());

  test('are in the kernel as they should be, and nothing else is changed', async () => {
    const before = otherSysctls(node.netns);
    const endpoint = await add(node, pods[0]!);
    const { hostInterface, mac } = endpoint;
    expect(node.netns.ip('link', 'show', hostInterface)).toMatchObject([
      {
        address: 'ee:ee:ee:ee:ee:ee',
        flags: expect.arrayContaining(['UP', 'LOWER_UP']),
        mtu: 1500,
        ifalias: endpoint.pod,
        inet6_addr_gen_mode: 'none',
      },
    ]);
    const [v4, v6] = texts(endpoint);
    expect(node.netns.ip('route', 'show', 'proto', '110')).toMatchObject([
      { dst: v4, dev: hostInterface, scope: 'link' },
    ]);
    expect(node.netns.ip('-6', 'route', 'show', 'proto', '110')).toMatchObject([
      { dst: v6, dev: hostInterface },
    ]);
    for (const [key, value] of [
      ['ipv4/conf/X/rp_filter', '1'],
      ['ipv4/conf/X/forwarding', '1'],
      ['ipv4/conf/X/proxy_arp', '1'],
      ['ipv4/neigh/X/proxy_delay', '0'],
      ['ipv6/conf/X/forwarding', '1'],
      ['ipv6/conf/X/proxy_ndp', '1'],
      ['ipv6/conf/X/accept_ra', '0'],
    ] as const) {
      const found = node.netns.exec('cat', [`/proc/sys/net/${key.replace('X', hostInterface)}`]).trim();
      expect([key, found]).toEqual([key, value]);
    }
    expect(otherSysctls(node.netns)).toBe(before);
    const [inside] = pods[0]!.ip('address', 'show', 'eth0') as [{ address: string; addr_info: object[] }];
    expect(inside.address).toBe(mac);
    expect(inside.addr_info).toMatchObject([
      { local: v4, prefixlen: 32 },
      { local: v6, prefixlen: 128, nodad: true },
      { scope: 'link' },
    ]);
    expect(pods[0]!.ip('route', 'show')).toMatchObject([
      { dst: 'default', gateway: '169.254.1.1', dev: 'eth0' },
      { dst: '169.254.1.1', dev: 'eth0', scope: 'link' },
    ]);
    expect(pods[0]!.ip('-6', 'route', 'show', 'default')).toMatchObject([
      { gateway: 'fe80::1', dev: 'eth0' },
    ]);
    expect(pods[0]!.ip('neighbour', 'show', 'nud', 'permanent')).toMatchObject([
      { dst: '169.254.1.1', lladdr: 'ee:ee:ee:ee:ee:ee' },
      { dst: 'fe80::1', lladdr: 'ee:ee:ee:ee:ee:ee' },
    ]);
    expect(node.dataplane.endpoints.get(endpoint.pod!)).toEqual({
      pod: endpoint.pod,
      interface: hostInterface,
      addresses: endpoint.addresses,
      hostPorts: [],
    });
    expect(node.network.check(endpoint)).toEqual([]);
    await node.network.remove(endpoint.containerId, 'eth0');
    expect(pods[0]!.ip('link', 'show')).toHaveLength(1);
    expectNothing(node);
  });

  test('reach each other and the node, and the node reaches them, with the first packet', async () => {
    const [a, b] = [await add(node, pods[0]!), await add(node, pods[1]!)];
    node.netns.exec('ip', ['address', 'add', '192.0.2.1/32', 'dev', 'lo']);
    node.netns.exec('ip', ['address', 'add', '2001:db8::1/128', 'dev', 'lo']);
    for (const [i, outside] of ['192.0.2.1', '2001:db8::1'].entries()) {
      await ping(pods[0]!, texts(b)[i]!);
      await ping(pods[1]!, texts(a)[i]!);
      await ping(pods[0]!, outside);
      await ping(node.netns, texts(a)[i]!);
    }
    await node.network.remove(a.containerId, 'eth0');
    await node.network.remove(b.containerId, 'eth0');
    expectNothing(node);
  });

  test('find their gateway again after their neighbour table was emptied', async () => {
    await add(node, pods[0]!);
    // The node answers for what it has a route to by another interface: the gateway lies behind its default route.
    using outside = createNetns();
    connect(
      { netns: node.netns, name: 'up0', addresses: ['192.0.2.9/24'] },
      { netns: outside, name: 'up0', addresses: ['192.0.2.10/24'] },
    );
    node.netns.exec('ip', ['route', 'add', 'default', 'via', '192.0.2.10']);
    // Who repairs is not to be the quicker one.
    await node.network.repair.close();
    pods[0]!.exec('ip', ['neighbour', 'flush', 'dev', 'eth0', 'nud', 'permanent']);
    await ping(pods[0]!, '192.0.2.9');
    await ping(pods[0]!, 'fe80::1%eth0');
    const neighbours = pods[0]!.ip('neighbour', 'show') as { dst: string; lladdr?: string }[];
    for (const gateway of ['169.254.1.1', 'fe80::1'])
      expect(neighbours.find(({ dst }) => dst === gateway)).toMatchObject({ lladdr: 'ee:ee:ee:ee:ee:ee' });
    await node.stop();
    await node.start();
  });

  test('can not send from addresses of others', async () => {
    const [a, b] = [await add(node, pods[0]!), await add(node, pods[1]!)];
    const stolen = texts(b)[0]!;
    node.netns.exec('ip', ['address', 'add', '192.0.2.3/32', 'dev', 'lo']);
    pods[0]!.exec('ip', ['address', 'add', `${stolen}/32`, 'dev', 'lo']);
    const before = node.netns.exec('sh', ['-c', 'awk "/^TcpExt/ {print}" /proc/net/netstat']);
    await expect(pods[0]!.execAsync('ping', ['-c1', '-W1', '-I', stolen, '192.0.2.3'])).rejects.toThrow();
    const after = node.netns.exec('sh', ['-c', 'awk "/^TcpExt/ {print}" /proc/net/netstat']);
    expect(counterOf(after, 'IPReversePathFilter')).toBe(counterOf(before, 'IPReversePathFilter') + 1);
    pods[0]!.exec('ip', ['address', 'del', `${stolen}/32`, 'dev', 'lo']);
    await node.network.remove(a.containerId, 'eth0');
    await node.network.remove(b.containerId, 'eth0');
  });

  test('get addresses and hardware address that they ask for', async () => {
    const endpoint = await add(node, pods[0]!, {
      addresses: [parseAddress('10.1.0.77')!],
      mac: '02:00:5e:00:53:01',
      interfaceName: 'net1',
    });
    expect(texts(endpoint)).toEqual(['10.1.0.77', expect.stringMatching(/^fd00:1::/)]);
    expect(pods[0]!.ip('link', 'show', 'net1')).toMatchObject([{ address: '02:00:5e:00:53:01' }]);
    await node.network.remove(endpoint.containerId, 'net1');
    expectNothing(node);
  });

  test('asked for twice are the same, also at the same time', async () => {
    const wanted = request(pods[0]!);
    const [first, second] = await Promise.all([
      node.network.add(wanted, never),
      node.network.add(wanted, never),
    ]);
    const third = await node.network.add(
      { ...wanted, hostPorts: [{ protocol: 'TCP', hostPort: 80, containerPort: 8080, hostIp: undefined }] },
      never,
    );
    expect(second.addresses).toEqual(first.addresses);
    expect(third.addresses).toEqual(first.addresses);
    expect(node.dataplane.endpoints.get(wanted.pod!)!.hostPorts).toHaveLength(1);
    expect(node.netns.ip('link', 'show', 'type', 'veth')).toHaveLength(1);
    await node.network.remove(wanted.containerId, 'eth0');
    expectNothing(node);
  });

  test('of a container that was made anew in another namespace are wired there', async () => {
    const wanted = request(pods[0]!);
    await node.network.add(wanted, never);
    const again = await node.network.add({ ...wanted, netns: pods[1]!.path }, never);
    await ping(pods[1]!, '169.254.1.1').catch(() => {});
    expect(pods[0]!.ip('link', 'show')).toHaveLength(1);
    expect(pods[1]!.ip('link', 'show')).toHaveLength(2);
    expect(node.network.check(again)).toEqual([]);
    await node.network.remove(wanted.containerId, 'eth0');
    expectNothing(node);
  });

  test('keep their policy when the old sandbox of theirs goes after the new one came', async () => {
    const old = await add(node, pods[0]!, { pod: 'default/web' });
    const fresh = await add(node, pods[1]!, { pod: 'default/web' });
    expect(node.dataplane.endpoints.get('default/web')!.interface).toBe(fresh.hostInterface);
    await node.network.remove(old.containerId, 'eth0');
    expect(node.dataplane.endpoints.get('default/web')!.interface).toBe(fresh.hostInterface);
    const older = await add(node, pods[0]!, { pod: 'default/web' });
    await node.network.remove(older.containerId, 'eth0');
    expect(node.dataplane.endpoints.get('default/web')!.interface).toBe(fresh.hostInterface);
    await node.network.remove(fresh.containerId, 'eth0');
    expectNothing(node);
  });

  test('go when their namespace has gone before, and when they never were', async () => {
    const doomed = node.pod();
    const endpoint = await add(node, doomed);
    doomed.remove();
    await node.network.remove(endpoint.containerId, 'eth0');
    await node.network.remove(endpoint.containerId, 'eth0');
    await node.network.remove('never', 'eth0');
    expectNothing(node);
  });

  test('take their connections along, and leave those of others', async (ctx) => {
    requires(ctx, 'kernel:conntrack');
    node.netns.exec('nft', ['-f', '-'], {
      input: 'table inet t { chain c { type filter hook prerouting priority 0; ct state new accept; }; }\n',
    });
    const [a, b] = [await add(node, pods[0]!), await add(node, pods[1]!)];
    for (const i of [0, 1]) {
      await ping(pods[0]!, texts(b)[i]!);
      await ping(pods[1]!, ['192.0.2.1', '2001:db8::1'][i]!);
    }
    using conntrack = Conntrack.open(node.namespace);
    const count = (): number[] =>
      [a, b].map((each) =>
        each.addresses.reduce(
          (sum, address) => sum + conntrack.list({ address: formatAddress(address) }).length,
          0,
        ),
      );
    expect(count()).toEqual([2, 4]);
    await node.network.remove(a.containerId, 'eth0');
    expect(count()).toEqual([0, 2]);
    await node.network.remove(b.containerId, 'eth0');
    expect(count()).toEqual([0, 0]);
    node.netns.exec('nft', ['delete', 'table', 'inet', 't']);
  });

  describe('that can not be made leave nothing', () => {
    test('when there is no such namespace', async () => {
      await expect(
        node.network.add({ ...request(pods[0]!), netns: '/run/netns/none' }, never),
      ).rejects.toThrow('ENOENT');
      expectNothing(node);
    });

    test('when the file is no namespace', async () => {
      await expect(node.network.add({ ...request(pods[0]!), netns: '/etc/passwd' }, never)).rejects.toThrow(
        'not a network namespace',
      );
      expectNothing(node);
    });

    test('when it is a pipe that nobody writes into', async () => {
      const path = join(node.folder, 'pipe');
      node.netns.exec('mkfifo', [path]);
      await expect(node.network.add({ ...request(pods[0]!), netns: path }, never)).rejects.toThrow(
        'not a network namespace',
      );
      expectNothing(node);
    });

    test('when it is the namespace of the node', async () => {
      await expect(add(node, node.netns)).rejects.toMatchObject({ code: 'NETNS_OF_HOST' });
      expectNothing(node);
    });

    test('when the pod has an interface of that name', async () => {
      pods[0]!.exec('ip', ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1']);
      await expect(add(node, pods[0]!)).rejects.toMatchObject({ code: 'NAME_TAKEN' });
      expect(pods[0]!.ip('link', 'show')).toHaveLength(3);
      pods[0]!.exec('ip', ['link', 'del', 'eth0']);
      expectNothing(node);
    });

    test('at once, and not when the policy is known that nobody needs any more', async () => {
      pods[0]!.exec('ip', ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1']);
      node.dataplane.unknown = 'nobody tells of it';
      const known = vi.spyOn(node.dataplane, 'known');
      try {
        await expect(add(node, pods[0]!)).rejects.toMatchObject({ code: 'NAME_TAKEN' });
        const [, signal] = known.mock.calls[0]!;
        expect(signal).toMatchObject({ aborted: true, reason: { name: 'AbortError' } });
      } finally {
        known.mockRestore();
        node.dataplane.tell();
      }
      pods[0]!.exec('ip', ['link', 'del', 'eth0']);
      expectNothing(node);
    });

    test('when an address can not be had', async () => {
      await expect(add(node, pods[0]!, { addresses: [parseAddress('10.9.0.1')!] })).rejects.toMatchObject({
        code: 'OUTSIDE',
      });
      expectNothing(node);
    });

    test('when the container has another interface', async () => {
      const endpoint = await add(node, pods[0]!);
      await expect(
        node.network.add(
          { ...request(pods[0]!), containerId: endpoint.containerId, interfaceName: 'eth1' },
          never,
        ),
      ).rejects.toMatchObject({ code: 'OTHER_INTERFACE' });
      await node.network.remove(endpoint.containerId, 'eth0');
      expectNothing(node);
    });

    test.each([
      [
        'the kernel refuses the policy',
        'POLICY_REFUSED',
        () => Promise.reject(new Error('pod default/x: refused')),
      ],
      [
        'the dataplane does not come to it in time',
        'NOT_IN_TIME',
        (_: unknown, signal: AbortSignal) =>
          new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      ],
    ])('when %s', async (_, code, gate) => {
      await using slow = await Node.start(['10.1.0.0/24'], { policyWait: 50 });
      slow.dataplane.gate = gate;
      await expect(add(slow, pods[0]!)).rejects.toMatchObject({ code });
      slow.dataplane.gate = async () => {};
      expect(pods[0]!.ip('link', 'show')).toHaveLength(1);
      expectNothing(slow);
    });

    test('when who asked goes away meanwhile', async () => {
      const asking = new AbortController();
      node.dataplane.gate = (pods, signal) =>
        pods.length === 0
          ? Promise.resolve()
          : new Promise((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason));
              asking.abort();
            });
      await expect(node.network.add(request(pods[0]!), asking.signal)).rejects.toMatchObject({
        code: 'STOPPING',
      });
      node.dataplane.gate = async () => {};
      expectNothing(node);
    });

    test('when the disk is full', async () => {
      node.files.refusal = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      await expect(add(node, pods[0]!)).rejects.toThrow('can not be written: ENOSPC');
      node.files.refusal = undefined;
      expectNothing(node);
    });

    test('when the disk has room for a part of the record', async () => {
      const { write } = node.files;
      node.files.write = (path, text) => {
        write.call(node.files, path, text.slice(0, 10));
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      };
      await expect(add(node, pods[0]!)).rejects.toThrow('can not be written: ENOSPC');
      node.files.write = write;
      expectNothing(node);
    });
  });

  test('have no packet sent before their policy is in force', async () => {
    let seen = '';
    node.dataplane.gate = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      seen = pods[0]!.exec('ip', ['-br', 'link', 'show', 'eth0']);
    };
    const endpoint = await add(node, pods[0]!);
    node.dataplane.gate = async () => {};
    expect(seen).toMatch(/^eth0@\S+\s+DOWN/);
    await node.network.remove(endpoint.containerId, 'eth0');
  });
});

test.each([
  [['10.1.0.0/24'], 'IPv4'],
  [['fd00:1::/64'], 'IPv6'],
])('pods of one family have nothing of the other: %s', async (cidrs) => {
  await using node = await Node.start(cidrs);
  using a = node.pod();
  using b = node.pod();
  const first = await add(node, a);
  const second = await add(node, b);
  expect(first.addresses).toHaveLength(1);
  await ping(a, texts(second)[0]!);
  expect(node.network.check(first)).toEqual([]);
  const four = a.ip('route', 'show', 'default') ?? [];
  const six = a.ip('-6', 'route', 'show', 'default') ?? [];
  expect([four, six].map((list) => (list as object[]).length)).toEqual(
    cidrs[0]!.includes(':') ? [0, 1] : [1, 0],
  );
});

describe('the MTU of pods', () => {
  test('is that of the uplink', async () => {
    await using node = await Node.start();
    using outside = createNetns();
    using pod = node.pod();
    connect(
      { netns: node.netns, name: 'up0', addresses: ['192.0.2.1/24'] },
      { netns: outside, name: 'up0', addresses: ['192.0.2.2/24'] },
    );
    node.netns.exec('ip', ['link', 'set', 'up0', 'mtu', '1400']);
    node.netns.exec('ip', ['route', 'add', 'default', 'via', '192.0.2.2']);
    const endpoint = await add(node, pod);
    expect(endpoint.mtu).toBe(1400);
    expect(pod.ip('link', 'show', 'eth0')).toMatchObject([{ mtu: 1400 }]);
    expect(node.netns.ip('link', 'show', endpoint.hostInterface)).toMatchObject([{ mtu: 1400 }]);
  });

  test('is the one that was set', async () => {
    await using node = await Node.start(['10.1.0.0/24'], { mtu: 8950 });
    using pod = node.pod();
    expect((await add(node, pod)).mtu).toBe(8950);
    expect(pod.ip('link', 'show', 'eth0')).toMatchObject([{ mtu: 8950 }]);
  });
});

test('no pod gets an address that the node or another plugin has', async () => {
  await using node = await Node.start(['10.1.0.0/24', 'fd00:1::/64']);
  using pod = node.pod();
  using other = node.pod();
  // As bridges and pods of the network that was here before leave them.
  node.netns.exec('ip', ['link', 'add', 'cni0', 'up', 'type', 'bridge']);
  for (const address of ['10.1.0.1/24', 'fd00:1::1/64'])
    node.netns.exec('ip', ['address', 'add', address, 'dev', 'cni0']);
  for (const to of ['10.1.0.2/32', 'fd00:1::3/128'])
    node.netns.exec('ip', ['route', 'add', to, 'dev', 'cni0']);
  expect(texts(await add(node, pod))).toEqual(['10.1.0.3', 'fd00:1::2']);
  expect(texts(await add(node, other))).toEqual(['10.1.0.4', 'fd00:1::4']);
  for (const [asked, holder] of [
    ['10.1.0.1', 'the node itself'],
    ['10.1.0.2', 'a route by cni0'],
  ] as const) {
    const request = { addresses: [parseAddress(asked)!] };
    using third = node.pod();
    await expect(add(node, third, request)).rejects.toThrow(
      `${asked} was asked for and is in use by ${holder}`,
    );
  }
});

test('a full range is told, and has room again when a pod goes', async () => {
  await using node = await Node.start(['10.1.0.0/30']);
  const pods = [node.pod(), node.pod(), node.pod()];
  try {
    const first = await add(node, pods[0]!);
    await add(node, pods[1]!);
    await expect(add(node, pods[2]!)).rejects.toMatchObject({ code: 'FULL' });
    await node.network.remove(first.containerId, 'eth0');
    expect((await add(node, pods[2]!)).addresses).toEqual(first.addresses);
  } finally {
    for (const pod of pods) pod.remove();
  }
});

test('the name of the node end follows from the container and its interface', () => {
  const names = new Set(Array.from({ length: 1000 }, (_, i) => hostInterfaceOf(`c${i}`, 'eth0')));
  expect(names.size).toBe(1000);
  for (const name of names) expect(name).toMatch(/^mgy[0-9a-f]{12}$/);
  expect(hostInterfaceOf('c1', 'eth0')).not.toBe(hostInterfaceOf('c1', 'eth1'));
});

function counterOf(netstat: string, name: string): number {
  const [names, values] = netstat
    .trim()
    .split('\n')
    .map((line) => line.split(' '));
  return Number(values![names!.indexOf(name)]);
}
