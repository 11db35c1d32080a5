import { describe, expect, test } from 'vitest';
import { parsePrefix } from '#datastore/address.ts';
import { loadConfig } from '#felix/config/load.ts';
import { prepareHost } from '#felix/host/prepare.ts';
import { keepRouterAdvertisements } from '#felix/host/router-advertisements.ts';
import { checkHost, hostSettings } from '#felix/host/settings.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { readSysctl } from '#kernel/sys/sysctl.ts';
import { connect, createNetns } from '#test/helpers/netns.ts';
import { notedLog } from './node.ts';

const both = hostSettings({ ipv4: true, ipv6: true });

describe('parameters of the node', () => {
  test('are told and left when nothing is to be changed', () => {
    using netns = createNetns();
    using namespace = NetworkNamespace.open(netns.path);
    netns.sysctl('net.ipv4.ip_forward', 0);
    const found = checkHost(both, false, namespace);
    expect(found.find(({ key }) => key === 'net/ipv4/ip_forward')).toMatchObject({
      found: '0',
      expected: '1',
      state: 'wrong',
      command: 'sysctl -w net.ipv4.ip_forward=1',
    });
    expect(readSysctl('net/ipv4/ip_forward', namespace)).toBe('0');
  });

  test('are set where they are ours, and told with the command where not', () => {
    using netns = createNetns();
    using namespace = NetworkNamespace.open(netns.path);
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) netns.sysctl(key, 0);
    netns.sysctl('net.ipv4.conf.all.rp_filter', 2);
    const { lines, log } = notedLog();
    const cidrs = ['10.1.0.0/24', 'fd00::/64'].map((cidr) => parsePrefix(cidr)!);
    prepareHost({ podCidrs: cidrs }, log, namespace);
    expect(readSysctl('net/ipv4/ip_forward', namespace)).toBe('1');
    expect(readSysctl('net/ipv6/conf/all/forwarding', namespace)).toBe('1');
    expect(readSysctl('net/ipv4/conf/all/rp_filter', namespace)).toBe('2');
    expect(lines.filter(({ level }) => level === 'info').map(({ facts }) => facts.key)).toEqual([
      'net/ipv4/ip_forward',
      'net/ipv6/conf/all/forwarding',
    ]);
    expect(lines.filter(({ level }) => level === 'warn').map(({ facts }) => facts.command)).toContain(
      'sysctl -w net.ipv4.conf.all.rp_filter=0',
    );
    expect(
      checkHost(both, false, namespace)
        .filter(({ state }) => state !== 'right')
        .map(({ key }) => key),
    ).toEqual(['net/ipv4/conf/all/rp_filter']);
  });

  test('that the kernel does not let be set are told with its words', () => {
    using netns = createNetns();
    using namespace = NetworkNamespace.open(netns.path);
    const settings = [
      { key: 'net/ipv4/ip_forward', why: 'x', fits: (value: string) => value === 'word', value: 'word' },
    ];
    expect(checkHost(settings, true, namespace)).toMatchObject([
      { state: 'wrong', problem: expect.stringContaining('EINVAL') },
    ]);
  });

  test('are none of IPv6 for pods without it', () => {
    expect(hostSettings({ ipv4: true, ipv6: false }).map(({ key }) => key)).not.toContain(
      'net/ipv6/conf/all/forwarding',
    );
  });

  test('keep a default route that came from a router when forwarding begins', () => {
    using netns = createNetns();
    using router = createNetns();
    using namespace = NetworkNamespace.open(netns.path);
    connect(
      { netns, name: 'up0', addresses: ['2001:db8::2/64'] },
      { netns: router, name: 'up0', addresses: ['2001:db8::1/64'] },
    );
    connect({ netns, name: 'up1' }, { netns: router, name: 'up1' });
    netns.exec('ip', ['-6', 'route', 'add', 'default', 'via', '2001:db8::1', 'proto', 'ra']);
    expect(keepRouterAdvertisements(namespace)).toEqual(['up0']);
    expect(readSysctl('net/ipv6/conf/up0/accept_ra', namespace)).toBe('2');
    expect(readSysctl('net/ipv6/conf/up1/accept_ra', namespace)).toBe('1');
    expect(keepRouterAdvertisements(namespace)).toEqual([]);
  });
});

describe('pods in the configuration', () => {
  const load = (pods: object) => loadConfig(JSON.stringify({ node: 'n1', pods }), 'felix.yaml');

  test('have defaults', () => {
    expect(load({ cidrs: ['10.1.0.0/24'] }).pods).toMatchObject({
      reserved: [],
      mtu: undefined,
      stateFolder: '/var/lib/margay/felix',
      policyWait: 30_000,
      cniSocket: '/run/margay/cni.sock',
    });
    expect(loadConfig('node: n1', 'felix.yaml').pods).toBeUndefined();
  });

  test('may reserve an address, a range and a CIDR', () => {
    const { pods } = load({
      cidrs: ['10.1.0.0/24'],
      reserved: ['10.1.0.1', '10.1.0.8-10.1.0.9', '10.1.0.16/30'],
    });
    expect(pods!.reserved).toHaveLength(3);
  });

  test.each([
    [{ cidrs: [] }, 'pods.cidrs: found an empty list, expected at least one pod CIDR of this node'],
    [
      { cidrs: ['10.1.0.0/24', '10.1.0.128/25'] },
      'pods.cidrs[1]: found 10.1.0.128/25, expected a CIDR apart from 10.1.0.0/24',
    ],
    [{ cidrs: ['10.1.0.1/24'] }, 'pods.cidrs[0]'],
    [{ cidrs: ['10.1.0.0/24'], mtu: 100 }, 'pods.mtu: found 100, expected bytes from 576 to 65535'],
    [{ cidrs: ['10.1.0.0/24'], reserved: ['10.1.0.9-10.1.0.8'] }, 'pods.reserved[0]'],
    [
      { cidrs: ['10.1.0.0/24'], policyWait: 300 },
      'pods.policyWait: found 300, expected seconds from 1 to 80',
    ],
    [{ cidrs: ['10.1.0.0/24'], cidr: 1 }, 'pods.cidr'],
  ])('that can not be are told: %o', (pods, words) => {
    expect(() => load(pods)).toThrow(words);
  });
});
