/*
 * `margay felix` and `margay policy` as they are, on two nodes and a machine outside, with pods that come by the plugin.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Agent } from './daemons.ts';

/** Listens where it is told, and says nothing to who connects. */
const LISTEN = `const [, host, port] = process.argv; require('net').createServer((c) => c.end('here')).listen(+port, host, () => console.log('up'))`;

const pods = ['a', 'b', 'c'] as const;
const ADDRESSES = {
  a: ['10.1.1.1', 'fd00:1:1::1'],
  b: ['10.1.1.2', 'fd00:1:1::2'],
  c: ['10.1.2.1', 'fd00:1:2::1'],
} as const;

function objects(): object[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
    ...pods.map((name) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'shop', labels: { app: name } },
      spec: { nodeName: name === 'c' ? 'n2' : 'n1', containers: [{ name: 'c', image: 'i' }] },
      status: { phase: 'Running', podIP: ADDRESSES[name][0], podIPs: ADDRESSES[name].map((ip) => ({ ip })) },
    })),
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'b-only-from-c', namespace: 'shop' },
      spec: {
        podSelector: { matchLabels: { app: 'b' } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'c' } } }] }],
      },
    },
  ];
}

describe('pods of real nodes', { timeout: 120_000 }, () => {
  const folder = newTempFolder();
  let one: Agent;
  let two: Agent;
  let outside: Netns;
  const netns = {} as Record<(typeof pods)[number], Netns>;

  beforeAll(async () => {
    const directory = join(folder, 'objects');
    fs.mkdirSync(directory);
    fs.writeFileSync(
      join(directory, 'all.yaml'),
      objects()
        .map((each) => JSON.stringify(each))
        .join('\n---\n'),
    );
    one = new Agent('n1', folder, directory, ['10.1.1.0/24', 'fd00:1:1::/64']);
    two = new Agent('n2', folder, directory, ['10.1.2.0/24', 'fd00:1:2::/64']);
    outside = createNetns();
    connect(
      { netns: one.netns, name: 'up0', addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
      { netns: two.netns, name: 'up0', addresses: ['192.0.2.2/24', '2001:db8::2/64'] },
    );
    connect(
      { netns: one.netns, name: 'out0', addresses: ['198.51.100.1/24', '2001:db8:1::1/64'] },
      { netns: outside, name: 'eth0', addresses: ['198.51.100.9/24', '2001:db8:1::9/64'] },
    );
    for (const node of [one.netns, two.netns]) node.exec('ip', ['link', 'set', 'up0', 'mtu', '1400']);
    for (const [node, lines] of [
      [
        one.netns,
        [
          'route add 10.1.2.0/24 via 192.0.2.2',
          '-6 route add fd00:1:2::/64 via 2001:db8::2',
          'route add default via 198.51.100.9',
          '-6 route add default via 2001:db8:1::9',
        ],
      ],
      [two.netns, ['route add default via 192.0.2.1', '-6 route add default via 2001:db8::1']],
    ] as const)
      for (const line of lines) node.exec('ip', line.split(' '));
    await Promise.all([one.start(), two.start()]);
    for (const id of pods) {
      netns[id] = createNetns();
      const extra =
        id === 'a'
          ? { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } }
          : {};
      const { status, result } = await (id === 'c' ? two : one).call('ADD', { id, netns: netns[id] }, extra);
      expect([status, result?.ips?.map((ip: { address: string }) => ip.address.split('/')[0])]).toEqual([
        0,
        ADDRESSES[id],
      ]);
    }
  }, 240_000);

  afterAll(() => {
    for (const each of [...Object.values(netns), one?.netns, two?.netns, outside]) each?.remove();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  /** A listener in a namespace, and what a connection to it from another says the client is. */
  async function clientAs(
    server: Netns,
    port: number,
    client: Netns,
    address: string,
    at = port,
    patience = 20_000,
  ): Promise<string> {
    const script = `require('net').createServer((c) => c.end(c.remoteAddress.replace('::ffff:', ''))).listen(${port}, '::', () => console.log('up'))`;
    const listener = server.spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => listener.stdout!.once('data', resolve));
    try {
      const ask = `const c = require('net').connect(${at}, '${address}'); c.setTimeout(${patience}, () => process.exit(9)); c.pipe(process.stdout); c.on('error', () => process.exit(8))`;
      return (await client.execAsync(process.execPath, ['-e', ask], { timeout: 60_000 })).trim();
    } finally {
      const ended = new Promise((resolve) => listener.once('exit', resolve));
      listener.kill('SIGKILL');
      await ended;
    }
  }

  test.each([0, 1])('reach each other on a node and across nodes, as policy has it: family %i', async (i) => {
    await netns.b.execAsync('ping', ['-c1', '-W20', ADDRESSES.a[i]!]);
    await netns.a.execAsync('ping', ['-c1', '-W20', ADDRESSES.c[i]!]);
    await netns.c.execAsync('ping', ['-c1', '-W20', ADDRESSES.b[i]!]);
    await expect(netns.a.execAsync('ping', ['-c1', '-W1', ADDRESSES.b[i]!])).rejects.toThrow(
      '100% packet loss',
    );
    await one.netns.execAsync('ping', ['-c1', '-W20', ADDRESSES.a[i]!]);
    await netns.c.execAsync('ping', ['-c1', '-W20', ['192.0.2.2', '2001:db8::2'][i]!]);
  });

  test('keep their address among each other, and have that of the node outside', async () => {
    expect(await clientAs(netns.c, 7001, netns.a, '10.1.2.1')).toBe('10.1.1.1');
    expect(await clientAs(netns.c, 7001, netns.a, 'fd00:1:2::1')).toBe('fd00:1:1::1');
    expect(await clientAs(outside, 7002, netns.a, '198.51.100.9')).toBe('198.51.100.1');
    expect(await clientAs(outside, 7002, netns.a, '2001:db8:1::9')).toBe('2001:db8:1::1');
  });

  test('answer on a port of their node, from outside, from a pod elsewhere and from one beside', async () => {
    expect(await clientAs(netns.a, 80, outside, '198.51.100.1', 8080)).toBe('198.51.100.9');
    expect(await clientAs(netns.a, 80, outside, '2001:db8:1::1', 8080)).toBe('2001:db8:1::9');
    expect(await clientAs(netns.a, 80, netns.c, '192.0.2.1', 8080)).toMatch(/^(10\.1\.2\.1|192\.0\.2\.2)$/);
    expect(await clientAs(netns.a, 80, netns.b, '198.51.100.1', 8080)).toBe('10.1.1.2');
  });

  test('answer on it from the node itself too, by its addresses and by localhost', async () => {
    const node = one.netns;
    expect(await clientAs(netns.a, 80, node, '198.51.100.1', 8080)).toBe('198.51.100.1');
    expect(await clientAs(netns.a, 80, node, '192.0.2.1', 8080)).toBe('192.0.2.1');
    expect(await clientAs(netns.a, 80, node, '2001:db8:1::1', 8080)).toBe('2001:db8:1::1');
    // Nobody outside could answer to 127.0.0.1.
    expect(await clientAs(netns.a, 80, node, '127.0.0.1', 8080)).toMatch(/^(192\.0\.2\.1|198\.51\.100\.1)$/);
    expect(await clientAs(netns.a, 80, node, '127.9.9.9', 8080)).toMatch(/^(192\.0\.2\.1|198\.51\.100\.1)$/);
    // The kernel sends nothing from ::1 to elsewhere. It is refused at once, so that clients of `localhost` go on to 127.0.0.1.
    await expect(clientAs(netns.a, 80, node, '::1', 8080)).rejects.toThrow('exit status 8');
    // A pod does not get at what listens on the node's localhost by it.
    const listener = node.spawn(process.execPath, ['-e', LISTEN, '127.0.0.1', '9090'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => listener.stdout!.once('data', resolve));
    netns.a.exec('ip', ['route', 'del', 'local', '127.0.0.0/8', 'dev', 'lo', 'table', 'local']);
    netns.a.exec('ip', ['route', 'del', 'local', '127.0.0.1', 'dev', 'lo', 'table', 'local']);
    netns.a.exec('sysctl', ['-qw', 'net.ipv4.conf.eth0.route_localnet=1']);
    await expect(clientAs(outside, 7003, netns.a, '127.0.0.1', 9090, 3000)).rejects.toThrow('exit status 9');
  });

  test('send packets as large as the way takes, and megabytes of them', async () => {
    await netns.c.execAsync('ping', ['-c1', '-W20', '-M', 'do', '-s', String(1400 - 28), '10.1.1.1']);
    await expect(
      netns.c.execAsync('ping', ['-c1', '-W1', '-M', 'do', '-s', String(1400 - 27), '10.1.1.1']),
    ).rejects.toThrow();
    netns.a.spawn('iperf3', ['-s'], { stdio: 'ignore' });
    await waitFor(() => netns.a.execAsync('sh', ['-c', 'ss -tln | grep -q :5201']).then(() => true), {
      what: 'iperf3',
      timeout: 60_000,
    });
    for (const address of ADDRESSES.a) {
      const told = JSON.parse(
        await netns.c.execAsync('iperf3', ['-J', '-c', address, '-n', '200M', '-P', '4'], {
          timeout: 60_000,
        }),
      );
      expect(told.end.sum_received.bytes).toBeGreaterThan(150e6);
    }
  });

  test('are of one agent: a second one with the same state does not start, and touches nothing', async () => {
    const shown = (): string =>
      one.netns.exec('sh', ['-c', 'nft list ruleset; ip address; ip route; ip -6 route']);
    const before = shown();
    const { code, log } = await one.startSecond();
    expect(code).toBe(1);
    expect(log).toContain('another agent is running with this folder');
    expect(shown()).toBe(before);
  });

  test('and their addresses are shown, checked, kept over a kill, and given back', async () => {
    const shown = JSON.parse(await one.margay('ipam', 'show', '-o', 'json'));
    expect(shown.pools).toMatchObject([
      { cidr: '10.1.1.0/24', used: 2, size: 254 },
      { cidr: 'fd00:1:1::/64', used: 2 },
    ]);
    expect(
      shown.allocations.map((each: { address: string; pod: string }) => [each.address, each.pod]),
    ).toEqual([
      ['10.1.1.1', 'shop/a'],
      ['10.1.1.2', 'shop/b'],
      ['fd00:1:1::1', 'shop/a'],
      ['fd00:1:1::2', 'shop/b'],
    ]);
    expect(await one.margay('ipam', 'show')).toMatch(/fd00:1:1::\/64 +2 +2\^64/);
    expect(await one.margay('ipam', 'check')).toBe('4 addresses, all right\n');
    await one.kill();
    await one.start();
    expect(await one.margay('ipam', 'check')).toBe('4 addresses, all right\n');
    expect(JSON.parse(await one.margay('felix', 'endpoints', '-o', 'json'))).toBeDefined();
    await netns.c.execAsync('ping', ['-c1', '-W20', '10.1.1.1']);
    await expect(one.margay('ipam', 'release', '10.1.1.1')).rejects.toThrow('10.1.1.1 is in use by shop/a');
    await expect(one.margay('ipam', 'release', '10.1.1.77')).rejects.toThrow('10.1.1.77 is not in use');
    await expect(one.margay('ipam', 'release', 'ten')).rejects.toThrow('expected an IPv4 or IPv6 address');
    netns.b.remove();
    await waitFor(
      () =>
        one.margay('ipam', 'check').then(
          () => false,
          (error) => String(error.stdout).includes('a leak'),
        ),
      { what: 'the leak', timeout: 60_000 },
    );
    expect(await one.margay('ipam', 'release', '10.1.1.2')).toBe('released 10.1.1.2, fd00:1:1::2\n');
    expect(await one.margay('ipam', 'release', '--force', 'fd00:1:1::1')).toBe(
      'released 10.1.1.1, fd00:1:1::1\n',
    );
    expect(netns.a.ip('link', 'show')).toHaveLength(1);
    expect(await one.margay('ipam', 'check')).toBe('0 addresses, all right\n');
  });
});
