import fs from 'node:fs';
import net from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemFiles } from '#felix/state/files.ts';
import type { Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { callPlugin, configuration, envOf, Node, type PluginOutcome } from '../node.ts';
import { addResultSchema, errorSchema } from './result-schema.ts';

let node: Node;
let pod: Netns;
let counter = 0;
let id = '';
beforeAll(async () => {
  node = await Node.start();
});
beforeEach(() => {
  pod = node.pod();
  id = `c${++counter}`;
});
afterEach(async () => {
  node.dataplane.gate = async () => {};
  await Promise.all(
    [...node.network.endpoints.all.keys()].map((owner) => node.network.endpoints.removeOwner(owner)),
  );
  pod.remove();
});
afterAll(() => node[Symbol.asyncDispose]());

const call = (
  command: string,
  input: unknown,
  extra: Record<string, string | undefined> = {},
): Promise<PluginOutcome> => {
  const env: Record<string, string | undefined> = {
    ...envOf(command, node.socket, {
      id,
      netns: pod.path,
      args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=5f3c',
    }),
    ...extra,
  };
  const set = Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  return callPlugin(set, input);
};

describe('ADD answers in the version that is asked for', () => {
  test.each(['0.3.1', '0.4.0', '1.0.0', '1.1.0'])('%s', async (cniVersion) => {
    const { status, result } = await call(
      'ADD',
      configuration({ cniVersion, dns: { nameservers: ['10.96.0.10'] } }),
    );
    const old = cniVersion.startsWith('0.');
    const mtu = cniVersion === '1.1.0' ? { mtu: 1500 } : {};
    const host = node.network.find(id, 'eth0')!.hostInterface;
    const [four, six] = ['4', '6'].map((version) => (old ? { version } : {}));
    expect(status).toBe(0);
    expect(addResultSchema(cniVersion).safeParse(result).error).toBeUndefined();
    expect(result).toEqual({
      cniVersion,
      interfaces: [
        { name: host, mac: 'ee:ee:ee:ee:ee:ee', ...mtu },
        {
          name: 'eth0',
          mac: expect.stringMatching(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/),
          ...mtu,
          sandbox: pod.path,
        },
      ],
      ips: [
        {
          ...four,
          address: expect.stringMatching(/^10\.1\.0\.\d+\/32$/),
          gateway: '169.254.1.1',
          interface: 1,
        },
        {
          ...six,
          address: expect.stringMatching(/^fd00:1::[0-9a-f]+\/128$/),
          gateway: 'fe80::1',
          interface: 1,
        },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: '169.254.1.1' },
        { dst: '::/0', gw: 'fe80::1' },
      ],
      dns: { nameservers: ['10.96.0.10'] },
    });
    expect(node.dataplane.endpoints.get('shop/web-0')).toMatchObject({ uid: '5f3c' });
    if (cniVersion !== '0.3.1') {
      expect(await call('CHECK', configuration({ cniVersion, prevResult: result }))).toEqual({
        status: 0,
        result: undefined,
      });
    }
    expect(await call('DEL', configuration({ cniVersion, prevResult: result }))).toEqual({
      status: 0,
      result: undefined,
    });
    expect(node.network.endpoints.all.size).toBe(0);
  });
});

test('capabilities and arguments are honoured', async () => {
  const runtimeConfig = {
    ips: ['10.1.0.200/24', 'fd00:1::abc'],
    mac: '02:00:5E:00:53:AF',
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
      { hostPort: 53, containerPort: 5353, protocol: 'UDP', hostIP: '192.0.2.1' },
      { hostPort: 0, containerPort: 9 },
      { hostPort: 1, containerPort: 2, hostIP: '0.0.0.0' },
    ],
    dns: { servers: ['10.96.0.10'], searches: ['svc.cluster.local'], options: ['ndots:5'] },
    'io.kubernetes.cri.pod-annotations': { a: 'b' },
  };
  const { result } = await call('ADD', configuration({ capabilities: { ips: true }, runtimeConfig }));
  expect(result).toMatchObject({
    ips: [{ address: '10.1.0.200/32' }, { address: 'fd00:1::abc/128' }],
    interfaces: [{}, { mac: '02:00:5e:00:53:af' }],
    dns: { nameservers: ['10.96.0.10'], search: ['svc.cluster.local'], options: ['ndots:5'] },
  });
  expect(node.dataplane.endpoints.get('shop/web-0')!.hostPorts).toEqual([
    { protocol: 'TCP', hostPort: 8080, containerPort: 80, hostIp: undefined },
    { protocol: 'UDP', hostPort: 53, containerPort: 5353, hostIp: expect.any(String) },
    { protocol: 'TCP', hostPort: 1, containerPort: 2, hostIp: undefined },
  ]);
  await call('DEL', configuration());
  const args = 'IP=10.1.0.201;MAC=02:00:00:00:00:77';
  const second = await call('ADD', configuration(), { CNI_ARGS: args });
  expect(second.result).toMatchObject({
    ips: [{ address: '10.1.0.201/32' }, {}],
    interfaces: [{}, { mac: '02:00:00:00:00:77' }],
  });
  await call('DEL', configuration());
  const third = await call('ADD', configuration({ args: { cni: { ips: ['10.1.0.202'] } } }));
  expect(third.result.ips[0].address).toBe('10.1.0.202/32');
});

test('capabilities are read as containerd 1.6 writes them', async () => {
  const runtimeConfig = {
    portMappings: [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }],
    bandwidth: { IngressRate: 1_000_000, IngressBurst: 0xffffffff, EgressRate: 0, EgressBurst: 0 },
    dns: { Servers: ['10.96.0.10'], Searches: ['svc.cluster.local'], Options: null },
  };
  const { result } = await call('ADD', configuration({ runtimeConfig }));
  expect(result).toMatchObject({
    dns: { nameservers: ['10.96.0.10'], search: ['svc.cluster.local'], options: [] },
  });
  expect(node.dataplane.endpoints.get('shop/web-0')!.hostPorts).toEqual([
    { protocol: 'TCP', hostPort: 8080, containerPort: 80, hostIp: undefined },
  ]);
  expect(node.network.find(id, 'eth0')!.bandwidth).toEqual({
    ingress: { rate: 1_000_000, burst: 0xffffffff },
    egress: undefined,
  });
});

describe('what can not be is told with code and name', () => {
  test.each([
    ['an unknown operation', 'FROB', {}, configuration(), 4, /invalid CNI_COMMAND/],
    ['no container', 'ADD', { CNI_CONTAINERID: '' }, configuration(), 4, /not set: CNI_CONTAINERID/],
    [
      'neither namespace nor interface',
      'ADD',
      { CNI_NETNS: undefined, CNI_IFNAME: '' },
      configuration(),
      4,
      /not set: CNI_NETNS, CNI_IFNAME/,
    ],
    [
      'a container of a path',
      'ADD',
      { CNI_CONTAINERID: '../x' },
      configuration(),
      4,
      /invalid CNI_CONTAINERID/,
    ],
    [
      'an interface name that is too long',
      'ADD',
      { CNI_IFNAME: 'a234567890123456' },
      configuration(),
      4,
      /invalid CNI_IFNAME/,
    ],
    [
      'an interface name of a folder of parameters: all',
      'ADD',
      { CNI_IFNAME: 'all' },
      configuration(),
      4,
      /invalid CNI_IFNAME/,
    ],
    [
      'an interface name of a folder of parameters: default',
      'ADD',
      { CNI_IFNAME: 'default' },
      configuration(),
      4,
      /invalid CNI_IFNAME/,
    ],
    [
      'an interface name with a slash',
      'ADD',
      { CNI_IFNAME: 'a/b' },
      configuration(),
      4,
      /invalid CNI_IFNAME/,
    ],
    ['the loopback', 'ADD', { CNI_IFNAME: 'lo' }, configuration(), 4, /invalid CNI_IFNAME/],
    ['a relative namespace', 'ADD', { CNI_NETNS: 'x' }, configuration(), 4, /invalid CNI_NETNS/],
    [
      'a namespace that is not there',
      'ADD',
      { CNI_NETNS: '/run/netns/none' },
      configuration(),
      4,
      /invalid CNI_NETNS/,
    ],
    [
      'arguments without a name',
      'ADD',
      { CNI_ARGS: 'IgnoreUnknown' },
      configuration(),
      4,
      /invalid CNI_ARGS/,
    ],
    [
      'a pod without namespace',
      'ADD',
      { CNI_ARGS: 'K8S_POD_NAME=x' },
      configuration(),
      4,
      /invalid CNI_ARGS/,
    ],
    [
      'a pod with a slash',
      'ADD',
      { CNI_ARGS: 'K8S_POD_NAME=x;K8S_POD_NAMESPACE=a/b' },
      configuration(),
      4,
      /invalid CNI_ARGS/,
    ],
    ['no configuration', 'ADD', {}, '', 6, /can not be decoded/],
    ['a torn configuration', 'ADD', {}, '{"cniVersion":"1.0.0","na', 6, /can not be decoded/],
    ['a list', 'ADD', {}, [], 7, /invalid network configuration/],
    ['no version', 'ADD', {}, { name: 'n', type: 'margay' }, 1, /incompatible CNI version/],
    [
      'a version of the future',
      'ADD',
      {},
      configuration({ cniVersion: '2.0.0' }),
      1,
      /incompatible CNI version/,
    ],
    ['a version that is no text', 'ADD', {}, configuration({ cniVersion: 1 }), 7, /cniVersion/],
    ['no name', 'ADD', {}, configuration({ name: undefined }), 7, /: name/],
    ['a name that can not be', 'ADD', {}, configuration({ name: 'a b' }), 7, /: name/],
    ['an unknown field', 'ADD', {}, configuration({ ipMask: true }), 2, /unsupported field ipMask: true/],
    [
      'another IPAM',
      'ADD',
      {},
      configuration({ ipam: { type: 'host-local' } }),
      2,
      /unsupported field ipam\.type: "host-local"/,
    ],
    ['masquerading', 'ADD', {}, configuration({ ipMasq: true }), 2, /unsupported field ipMasq: true/],
    [
      'an unknown capability',
      'ADD',
      {},
      configuration({ runtimeConfig: { ipRanges: [] } }),
      2,
      /runtimeConfig\.ipRanges/,
    ],
    [
      'a port of text',
      'ADD',
      {},
      configuration({ runtimeConfig: { portMappings: [{ hostPort: '80', containerPort: 80 }] } }),
      7,
      /portMappings\[0\]\.hostPort/,
    ],
    [
      'a port too high',
      'ADD',
      {},
      configuration({ runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 65536 }] } }),
      7,
      /portMappings\[0\]\.containerPort/,
    ],
    [
      'a protocol unknown',
      'ADD',
      {},
      configuration({
        runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'icmp' }] },
      }),
      7,
      /portMappings\[0\]\.protocol/,
    ],
    [
      'a burst without a rate',
      'ADD',
      {},
      configuration({ runtimeConfig: { bandwidth: { ingressBurst: 1000 } } }),
      7,
      /bandwidth\.ingressRate/,
    ],
    [
      'a negative rate',
      'ADD',
      {},
      configuration({ runtimeConfig: { bandwidth: { egressRate: -1 } } }),
      7,
      /bandwidth\.egressRate/,
    ],
    ['an address of words', 'ADD', {}, configuration({ runtimeConfig: { ips: ['ten'] } }), 7, /ips\[0\]/],
    [
      'an address with a length too long',
      'ADD',
      {},
      configuration({ runtimeConfig: { ips: ['10.1.0.4/33'] } }),
      7,
      /ips\[0\]/,
    ],
    [
      'a multicast hardware address',
      'ADD',
      {},
      configuration({ runtimeConfig: { mac: '01:00:00:00:00:01' } }),
      7,
      /runtimeConfig\.mac/,
    ],
    [
      'an address of elsewhere',
      'ADD',
      {},
      configuration({ runtimeConfig: { ips: ['10.2.0.4'] } }),
      101,
      /can not be had/,
    ],
    ['CHECK of what is not there', 'CHECK', {}, configuration({ prevResult: {} }), 104, /not connected/],
    ['CHECK without a previous result', 'CHECK', {}, configuration(), 7, /prevResult is missing/],
    [
      'CHECK in a version without it',
      'CHECK',
      {},
      configuration({ cniVersion: '0.3.1', prevResult: {} }),
      1,
      /CHECK is not part/,
    ],
    ['STATUS in a version without it', 'STATUS', {}, configuration(), 1, /STATUS is not part/],
    ['GC in a version without it', 'GC', {}, configuration(), 1, /GC is not part/],
    [
      'GC without a list',
      'GC',
      {},
      configuration({ cniVersion: '1.1.0' }),
      7,
      /cni\.dev\/valid-attachments is missing/,
    ],
    [
      'GC with a list of words',
      'GC',
      {},
      configuration({ cniVersion: '1.1.0', 'cni.dev/valid-attachments': ['x'] }),
      7,
      /valid-attachments\[0\]/,
    ],
  ])('%s', async (_, command, env, input, code, message) => {
    const { status, result } = await call(command, input, env);
    expect(status).toBe(1);
    expect(errorSchema.safeParse(result).error).toBeUndefined();
    expect(result).toEqual({
      cniVersion: expect.any(String),
      code,
      msg: expect.stringMatching(message),
      details: expect.any(String),
    });
    expect(node.network.endpoints.all.size).toBe(0);
    expect([...node.network.ipam.allocator.allocations]).toEqual([]);
  });

  test('a full range', async () => {
    await using small = await Node.start(['10.1.0.0/32']);
    using other = small.pod();
    const env = (netns: string, container: string) => envOf('ADD', small.socket, { id: container, netns });
    expect((await callPlugin(env(pod.path, 'a'), configuration())).status).toBe(0);
    const { result } = await callPlugin(env(other.path, 'b'), configuration());
    expect(result).toMatchObject({
      code: 100,
      msg: 'no address is left',
      details: expect.stringContaining('10.1.0.0/32: 1 in use'),
    });
  });

  test('a felix that stops while it works', async () => {
    await using other = await Node.start();
    other.dataplane.gate = async (_, signal) => {
      signal.throwIfAborted();
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    const asked = callPlugin(envOf('ADD', other.socket, { id, netns: pod.path }), configuration());
    await new Promise((resolve) => {
      other.dataplane.setEndpoint = resolve as () => void;
    });
    await other.stop();
    expect((await asked).result).toMatchObject({ code: 11 });
    expect(pod.ip('link', 'show')).toHaveLength(1);
  });
});

test('an error about the environment is in the version of the configuration, too', async () => {
  const { result } = await call('ADD', configuration({ cniVersion: '0.4.0' }), { CNI_IFNAME: 'a/b' });
  expect(result).toMatchObject({ cniVersion: '0.4.0', code: 4 });
});

test('VERSION tells all versions, with and without a configuration', async () => {
  const supportedVersions = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];
  expect((await call('VERSION', { cniVersion: '1.0.0' })).result).toEqual({
    cniVersion: '1.0.0',
    supportedVersions,
  });
  expect((await call('VERSION', '')).result).toEqual({ cniVersion: '1.1.0', supportedVersions });
});

test('STATUS is silent while pods can come, and told to be 50 when not', async () => {
  const input = configuration({ cniVersion: '1.1.0' });
  expect(await call('STATUS', input)).toEqual({ status: 0, result: undefined });
  Object.defineProperty(node.network, 'notReady', { value: 'for a reason', configurable: true });
  expect((await call('STATUS', input)).result).toMatchObject({ code: 50, details: 'for a reason' });
  expect((await call('ADD', input)).result).toMatchObject({ code: 11, details: 'for a reason' });
  Reflect.deleteProperty(node.network, 'notReady');
});

test('STATUS is 50 while the kernel refuses policies, and pods can go then', async () => {
  const input = configuration({ cniVersion: '1.1.0' });
  expect((await call('ADD', input)).status).toBe(0);
  node.dataplane.refusal = 'ENOMEM';
  expect((await call('STATUS', input)).result).toMatchObject({
    code: 50,
    details: expect.stringMatching(/ENOMEM/),
  });
  expect((await call('DEL', input)).status).toBe(0);
  node.dataplane.refusal = undefined;
  expect((await call('STATUS', input)).status).toBe(0);
});

test('GC removes what is not in its list, of its network', async () => {
  using second = node.pod();
  using third = node.pod();
  const version = { cniVersion: '1.1.0' };
  await call('ADD', configuration(version));
  await call('ADD', configuration(version), { CNI_CONTAINERID: 'other', CNI_NETNS: second.path });
  await call('ADD', configuration({ ...version, name: 'elsewhere' }), {
    CNI_CONTAINERID: 'third',
    CNI_NETNS: third.path,
  });
  const kept = [{ containerID: id, ifname: 'eth0' }];
  expect(await call('GC', configuration({ ...version, 'cni.dev/valid-attachments': kept }))).toEqual({
    status: 0,
    result: undefined,
  });
  expect([...node.network.endpoints.all.values()].map((endpoint) => endpoint.containerId).sort()).toEqual(
    [id, 'third'].sort(),
  );
  expect(second.ip('link', 'show')).toHaveLength(1);
});

test('GC takes null for an empty list, and removes what a DEL that failed has left', async () => {
  await call('ADD', configuration());
  const { hostInterface } = node.network.find(id, 'eth0')!;
  node.files.remove = () => {
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  };
  expect((await call('DEL', configuration())).result).toMatchObject({ code: 11 });
  node.files.remove = systemFiles.remove;
  expect([...node.network.ipam.allocator.allocations.keys()]).toEqual([hostInterface]);
  const nothing = configuration({ cniVersion: '1.1.0', 'cni.dev/valid-attachments': null });
  expect(await call('GC', nothing)).toEqual({ status: 0, result: undefined });
  expect([...node.network.ipam.allocator.allocations]).toEqual([]);
  expect(fs.readdirSync(`${node.folder}/state/endpoints`)).toEqual([]);
});

test('a host port leads to one pod, which is named to the next', async () => {
  using second = node.pod();
  const port = (hostPort: number) =>
    configuration({ runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] } });
  const other = {
    CNI_CONTAINERID: 'other',
    CNI_NETNS: second.path,
    CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1',
  };
  expect((await call('ADD', port(8080))).status).toBe(0);
  expect((await call('ADD', port(8080), other)).result).toMatchObject({
    code: 105,
    details: expect.stringMatching(/TCP 8080 to lead to shop\/web-0/),
  });
  expect(second.ip('link', 'show')).toHaveLength(1);
  // The same pod in a new sandbox, while the old one is there still.
  expect(
    (await call('ADD', port(8080), { ...other, CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0' }))
      .status,
  ).toBe(0);
  await call('DEL', configuration(), other);
  expect((await call('ADD', port(8081), other)).status).toBe(0);
});

describe('CHECK finds', () => {
  test.each([
    ['an interface that is down', () => pod.exec('ip', ['link', 'set', 'eth0', 'down']), /found it down/],
    [
      'an address that is gone',
      () => pod.exec('ip', ['-4', 'address', 'flush', 'dev', 'eth0']),
      /found no address 10\.1/,
    ],
    [
      'a default route that is gone',
      () => pod.exec('ip', ['route', 'del', 'default']),
      /found no route to 0\.0\.0\.0/,
    ],
  ])('%s', async (_, harm, words) => {
    const { result } = await call('ADD', configuration());
    await node.settled();
    // Whoever repairs is not to be the quicker one.
    await node.network.repair.close();
    harm();
    const checked = await call('CHECK', configuration({ prevResult: result }));
    expect(checked.result).toMatchObject({ code: 104, details: expect.stringMatching(words) });
    await call('DEL', configuration());
    await node.stop();
    await node.start();
  });

  test('a previous result that is of something else', async () => {
    const { result } = await call('ADD', configuration());
    const ips = [{ ...result.ips[0], address: '10.1.0.99/32' }];
    const checked = await call('CHECK', configuration({ prevResult: { ...result, ips } }));
    expect(checked.result).toMatchObject({
      code: 104,
      details: expect.stringContaining('found 10.1.0.99, expected'),
    });
    const none = await call('CHECK', configuration({ prevResult: { ...result, interfaces: [] } }));
    expect(none.result).toMatchObject({ code: 104, details: expect.stringContaining('found no eth0') });
  });
});

describe('in a chain with the plugins of others', () => {
  const plugin = (name: string) => `/usr/lib/cni/${name}`;
  const inNode = (name: string, env: Record<string, string>, input: object): Promise<PluginOutcome> =>
    callPlugin({ ...env, PATH: process.env.PATH ?? '' }, input, '/usr/bin/nsenter', [
      `--net=${node.netns.path}`,
      plugin(name),
    ]);

  test('loopback before, portmap and bandwidth behind', async (ctx) => {
    requires(ctx, 'tool:iptables');
    if (!fs.existsSync(plugin('portmap'))) ctx.skip('no containernetworking-plugins here');
    const env = (command: string) => envOf(command, node.socket, { id, netns: pod.path });
    const lo = await inNode(
      'loopback',
      { ...env('ADD'), CNI_IFNAME: 'lo' },
      configuration({ type: 'loopback' }),
    );
    expect(lo.status).toBe(0);
    const ours = await call('ADD', configuration({ prevResult: lo.result }));
    expect(ours.status).toBe(0);
    expect(ours.result.interfaces.map((each: { name: string }) => each.name)).toEqual([
      'lo',
      node.network.find(id, 'eth0')!.hostInterface,
      'eth0',
    ]);
    for (const ip of ours.result.ips.slice(-2))
      expect(ours.result.interfaces[ip.interface].name).toBe('eth0');
    const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] };
    const ports = { type: 'portmap', capabilities: { portMappings: true }, runtimeConfig };
    const mapped = await inNode('portmap', env('ADD'), configuration({ ...ports, prevResult: ours.result }));
    expect(mapped).toMatchObject({ status: 0, result: { ips: ours.result.ips } });
    const limits = {
      type: 'bandwidth',
      runtimeConfig: { bandwidth: { ingressRate: 8e6, ingressBurst: 8e5 } },
    };
    const limited = await inNode(
      'bandwidth',
      env('ADD'),
      configuration({ ...limits, prevResult: mapped.result }),
    );
    expect(limited.status).toBe(0);
    expect(
      node.netns.exec('tc', ['qdisc', 'show', 'dev', node.network.find(id, 'eth0')!.hostInterface]),
    ).toContain('tbf');
    expect(await call('CHECK', configuration({ prevResult: limited.result }))).toEqual({
      status: 0,
      result: undefined,
    });
    for (const [name, input] of [
      ['bandwidth', limits],
      ['portmap', ports],
    ] as const)
      expect(
        (await inNode(name, env('DEL'), configuration({ ...input, prevResult: ours.result }))).status,
      ).toBe(0);
    expect((await call('DEL', configuration({ prevResult: ours.result }))).status).toBe(0);
  });

  test('of which one before has made the interface already', async () => {
    const prevResult = {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: pod.path }],
      ips: [],
    };
    expect((await call('ADD', configuration({ prevResult }))).result).toMatchObject({ code: 103 });
  });

  test('whose result is of an older version', async () => {
    const prevResult = {
      cniVersion: '0.4.0',
      ips: [{ version: '4', address: '127.0.0.1/8' }],
      interfaces: [{ name: 'lo' }],
    };
    const newer = await call('ADD', configuration({ prevResult }));
    expect(newer.result.ips[0]).toEqual({ address: '127.0.0.1/8' });
    await call('DEL', configuration());
    const older = await call(
      'ADD',
      configuration({ cniVersion: '0.4.0', prevResult: { ...prevResult, ips: [{ address: '::1/128' }] } }),
    );
    expect(older.result.ips[0]).toEqual({ version: '6', address: '::1/128' });
  });
});

describe('the socket', () => {
  test('is for root alone', () => {
    expect(fs.statSync(node.socket).mode & 0o777).toBe(0o600);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['half a request', Buffer.from('margay-cni 1\n\0\0\0')],
    [
      'variables without end',
      Buffer.concat([Buffer.from('margay-cni 1\n'), Buffer.from([0xff, 0xff, 0xff, 0xff])]),
    ],
    [
      'an input without end',
      Buffer.concat([Buffer.from('margay-cni 1\n'), Buffer.from([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])]),
    ],
  ])('closes on %s, and goes on', async (_, bytes) => {
    const lines = node.lines.length;
    const connection = net.createConnection(node.socket);
    connection.on('error', () => {});
    connection.end(bytes);
    connection.resume();
    await new Promise((resolve) => connection.once('close', resolve));
    expect(node.lines.slice(lines)).toMatchObject([
      { text: 'a request on the CNI socket is not one of the plugin' },
    ]);
    expect((await call('VERSION', '')).status).toBe(0);
  });

  test('is not taken from a felix that runs', async () => {
    await expect(node.listenAgain()).rejects.toThrow('another process is listening there');
  });
});
