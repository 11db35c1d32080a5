import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatAddress } from '#datastore/address.ts';
import type { HostPort } from '#felix/endpoint.ts';
import type { Endpoint } from '#felix/endpoints/model.ts';
import type { Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Node } from '../node.ts';

let node: Node;
let pod: Netns;
let other: Netns;
let endpoint: Endpoint;
let withoutPorts: Endpoint;

beforeAll(async () => {
  node = await Node.start();
  pod = node.pod();
  other = node.pod();
  const add = (containerId: string, netns: string, hostPorts: HostPort[]): Promise<Endpoint> =>
    node.network.add(
      {
        network: 'pods',
        containerId,
        interfaceName: 'eth0',
        netns,
        pod: `default/${containerId}`,
        addresses: [],
        mac: undefined,
        hostPorts,
        bandwidth: undefined,
      },
      new AbortController().signal,
    );
  for (const address of ['192.0.2.1/32', '2001:db8::1/128'])
    node.netns.exec('ip', ['address', 'add', address, 'dev', 'lo']);
  endpoint = await add('c1', pod.path, [
    { protocol: 'TCP', hostPort: 8080, containerPort: 80, hostIp: undefined },
  ]);
  withoutPorts = await add('c2', other.path, []);
});
afterAll(async () => {
  pod.remove();
  other.remove();
  await node[Symbol.asyncDispose]();
});

const sysctl = (key: string, value: string) => (name: string) =>
  node.netns.exec('sh', ['-c', `printf ${value} > /proc/sys/net/${key.replace('X', name)}`]);
const ip =
  (line: string) =>
  (name: string, [v4, v6]: readonly string[]) =>
    node.netns.exec('ip', line.replace('X', name).replace('V4', v4!).replace('V6', v6!).split(' '));

describe('what others change is put right', () => {
  test.each([
    ['an interface set down', ip('link set X down')],
    ['its MTU', ip('link set X mtu 1300')],
    ['its hardware address', ip('link set X address 02:00:00:00:00:09')],
    ['an interface removed', ip('link del X')],
    ['the link-local gateway removed', ip('address del fe80::1/64 dev X')],
    ['all addresses removed', ip('address flush dev X')],
    ['a route removed', ip('route del V4')],
    ['an IPv6 route removed', ip('-6 route del V6')],
    ['a route replaced by one that drops', ip('route replace blackhole V4')],
    ['a route to elsewhere by its interface', ip('route add 198.51.100.7/32 dev X proto 110')],
    ['an IPv6 route beside ours that comes first', ip('-6 route add V6 dev lo metric 1')],
    [
      'several of them',
      (_: string, [, v6]: readonly string[]) => {
        for (const metric of ['1', '2', '3'])
          node.netns.exec('ip', ['-6', 'route', 'add', 'blackhole', v6!, 'metric', metric]);
      },
    ],
    ['an IPv4 route before ours', ip('route prepend V4 dev lo')],
    ['route_localnet of a pod with host ports', sysctl('ipv4/conf/X/route_localnet', '0')],
    ['all routes of ours removed', ip('route flush proto 110')],
    ['rp_filter', sysctl('ipv4/conf/X/rp_filter', '0')],
    ['forwarding', sysctl('ipv4/conf/X/forwarding', '0')],
    ['proxy_arp', sysctl('ipv4/conf/X/proxy_arp', '0')],
    ['proxy_delay', sysctl('ipv4/neigh/X/proxy_delay', '80')],
    ['IPv6 forwarding', sysctl('ipv6/conf/X/forwarding', '0')],
    ['proxy_ndp', sysctl('ipv6/conf/X/proxy_ndp', '0')],
    ['accept_ra', sysctl('ipv6/conf/X/accept_ra', '2')],
    ['IPv6 switched off on an interface', sysctl('ipv6/conf/X/disable_ipv6', '1')],
    [
      'an interface made a port of a bridge',
      (name: string) => {
        node.netns.exec('ip', ['link', 'add', 'br0', 'type', 'bridge']);
        node.netns.exec('ip', ['link', 'set', name, 'master', 'br0']);
      },
    ],
    [
      'an interface renamed',
      (name: string) => {
        node.netns.exec('ip', ['link', 'set', name, 'down']);
        node.netns.exec('ip', ['link', 'set', name, 'name', 'other0']);
      },
    ],
    ['the end of the pod set down', () => pod.exec('ip', ['link', 'set', 'eth0', 'down'])],
    ['the end of the pod removed', () => pod.exec('ip', ['link', 'del', 'eth0'])],
  ] as const)('%s', async (_, change) => {
    await node.settled();
    expect(node.network.check(endpoint)).toEqual([]);
    const addresses = endpoint.addresses.map(formatAddress);
    const before = node.network.repair.repaired;
    change(endpoint.hostInterface, addresses);
    await waitFor(() => node.network.repair.repaired > before && node.network.check(endpoint).length === 0, {
      timeout: 20_000,
      what: 'the repair',
      details: () => `${node.network.check(endpoint).join('\n')}\n${node.netns.exec('ip', ['address'])}`,
    });
    for (const address of addresses) await node.netns.execAsync('ping', ['-c1', '-W5', address]);
    for (const gateway of ['169.254.1.1', 'fe80::1'])
      expect(pod.exec('ip', ['neighbour', 'show', gateway])).toContain('PERMANENT');
  });

  test('but for routes of a routing daemon, which would set them again: those are told until they are gone', async () => {
    await node.settled();
    const [, v6] = endpoint.addresses.map(formatAddress);
    const route = [`${v6}/128`, 'dev', 'lo', 'metric', '7', 'proto', 'bird'];
    node.netns.exec('ip', ['-6', 'route', 'add', ...route]);
    await waitFor(() => node.network.repair.foreign.length === 1, { what: 'it to be told' });
    expect(node.network.repair.foreign).toMatchObject([
      {
        pod: 'default/c1',
        text: `${endpoint.hostInterface}: found ${v6} to be led elsewhere: ${v6}/128 dev lo proto 12 metric 7 table 254`,
      },
    ]);
    expect(node.network.check(endpoint)).toEqual([node.network.repair.foreign[0]!.text]);
    await node.settled();
    expect(node.netns.exec('ip', ['-6', 'route', 'show', 'proto', 'bird'])).toContain(v6);
    node.netns.exec('ip', ['-6', 'route', 'del', ...route]);
    await waitFor(() => node.network.repair.foreign.length === 0, { what: 'it to be told no more' });
    expect(node.network.check(endpoint)).toEqual([]);
  });

  test.each(['4', '6'])(
    'and a route that drops what nobody has is no more than that (IPv%s)',
    async (family) => {
      await node.settled();
      const address = endpoint.addresses.map(formatAddress)[family === '4' ? 0 : 1]!;
      // As the BGP speaker sets behind the pod CIDRs that it tells of.
      const route = family === '4' ? `${address}/25` : `${address}/112`;
      const network = `${address.replace(/[^.:]*$/, '0')}/${route.split('/')[1]}`;
      node.netns.exec('ip', [
        `-${family}`,
        'route',
        'add',
        'blackhole',
        network,
        'metric',
        '4096',
        'proto',
        '109',
      ]);
      await node.settled();
      const before = node.network.repair.repaired;
      node.netns.exec('ip', [`-${family}`, 'route', 'del', address]);
      await waitFor(() => node.network.repair.repaired > before, { what: 'the repair' });
      expect(node.network.repair.foreign).toEqual([]);
      await node.settled();
      expect(node.network.check(endpoint)).toEqual([]);
      expect(node.network.repair.foreign).toEqual([]);
      node.netns.exec('ip', [
        `-${family}`,
        'route',
        'del',
        'blackhole',
        network,
        'metric',
        '4096',
        'proto',
        '109',
      ]);
    },
  );

  test('but for route_localnet where we need none, which a plugin behind ours sets for its ports', () => {
    const set = sysctl('ipv4/conf/X/route_localnet', '1');
    set(withoutPorts.hostInterface);
    expect(node.network.check(withoutPorts)).toEqual([]);
  });

  test('as soon as what stood in the way has gone', async () => {
    await node.settled();
    pod.exec('ip', ['link', 'del', 'eth0']);
    pod.exec('ip', ['link', 'add', 'eth0', 'type', 'bridge']);
    await waitFor(() => node.lines.some((line) => line.text.includes('can not be put right')), {
      what: 'the repair to fail',
    });
    // Nobody tells the node of it.
    pod.exec('ip', ['link', 'del', 'eth0']);
    await waitFor(() => node.network.check(endpoint).length === 0, { what: 'the repair' });
    await node.netns.execAsync('ping', ['-c1', '-W5', formatAddress(endpoint.addresses[0]!)]);
  });

  test('and told once for each interface, not for each of a thousand times', async () => {
    const lines = (): number => node.lines.filter((line) => line.text.startsWith('put right')).length;
    const before = lines();
    const repaired = node.network.repair.repaired;
    for (let i = 0; i < 40; i++) {
      node.netns.exec('ip', ['link', 'set', endpoint.hostInterface, 'mtu', '1300']);
      await waitFor(
        () => node.netns.exec('ip', ['link', 'show', endpoint.hostInterface]).includes('mtu 1500'),
        { what: 'the MTU' },
      );
    }
    expect(node.network.repair.repaired - repaired).toBeGreaterThanOrEqual(40);
    expect(lines() - before).toBeLessThan(40);
  });
});
