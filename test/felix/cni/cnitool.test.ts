/*
 * Called by libcni, CNI's own library that container runtimes have built in: by its `cnitool`, alone and with Debian's plugins around
 * it. What libcni makes of a result it prints again, so that what it did not understand would be missing.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CommandError } from '#test/helpers/command.ts';
import { goProgram } from '#test/helpers/go.ts';
import type { Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { Node, PLUGIN } from '../node.ts';
import { addResultSchema } from './result-schema.ts';

const DEBIAN = '/usr/lib/cni';
const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];

let node: Node;
let pod: Netns;
let folder: string;
let cnitool: string;
beforeAll(async () => {
  node = await Node.start();
  folder = join(node.folder, 'cni');
  for (const each of ['bin', 'conf', 'lib']) fs.mkdirSync(join(folder, each), { recursive: true });
  fs.copyFileSync(PLUGIN, join(folder, 'bin/margay'));
  fs.chmodSync(join(folder, 'bin/margay'), 0o755);
});
beforeEach((ctx) => {
  cnitool = goProgram(ctx, 'github.com/containernetworking/cni/cnitool', 'v1.3.0');
  pod = node.pod();
}, 180_000);
afterEach(() => pod?.remove());
afterAll(() => node?.[Symbol.asyncDispose]());

/** The list that operators write, with others of Debian's around ours. */
function list(
  cniVersion: string,
  { before = [], after = [] }: { before?: object[]; after?: object[] } = {},
): void {
  const capabilities = { portMappings: true, bandwidth: true, ips: true, mac: true, dns: true };
  const plugins = [...before, { type: 'margay', capabilities }, ...after];
  fs.writeFileSync(
    join(folder, 'conf/10-margay.conflist'),
    JSON.stringify({ cniVersion, name: 'margay', plugins }),
  );
}

/** Runs cnitool in the node's namespace. Its cache, which is always in /var/lib, is one of ours. */
async function tool(
  command: string,
  capabilities: object = {},
  path = pod.path,
): Promise<{ status: number; out: string }> {
  const script = `mount --bind ${join(folder, 'lib')} /var/lib && exec ${cnitool} ${command} margay ${path}`;
  try {
    const out = await node.netns.execAsync('unshare', ['-m', 'sh', '-c', script], {
      env: {
        CNI_PATH: `${join(folder, 'bin')}:${DEBIAN}`,
        NETCONFPATH: join(folder, 'conf'),
        CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=5f3c',
        CAP_ARGS: JSON.stringify(capabilities),
        MARGAY_CNI_SOCKET: node.socket,
      },
      timeout: 60_000,
    });
    return { status: 0, out };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { status: 1, out: `${error.stdout}${error.stderr}` };
  }
}

describe('cnitool', () => {
  test.each(VERSIONS)('adds, checks and removes in version %s', async (version) => {
    list(version);
    const added = await tool('add');
    expect(added).toMatchObject({ status: 0 });
    const result = JSON.parse(added.out);
    // libcni prints what it has understood.
    expect(addResultSchema(version).safeParse(result).error).toBeUndefined();
    const [endpoint] = [...node.network.endpoints.all.values()];
    expect(endpoint).toMatchObject({ pod: 'shop/web-0', podUid: '5f3c', network: 'margay' });
    expect(result.interfaces).toMatchObject([
      { name: endpoint!.hostInterface },
      { name: 'eth0', sandbox: pod.path },
    ]);
    expect(result.ips).toMatchObject([
      { gateway: '169.254.1.1', interface: 1 },
      { gateway: 'fe80::1', interface: 1 },
    ]);
    expect(result.routes).toEqual([
      { dst: '0.0.0.0/0', gw: '169.254.1.1' },
      { dst: '::/0', gw: 'fe80::1' },
    ]);
    if (version === '1.1.0') expect(result.interfaces[1].mtu).toBe(1500);
    if (version !== '0.3.1') {
      expect(await tool('check')).toEqual({ status: 0, out: '' });
      await node.network.remove(endpoint!.containerId, 'eth0');
      expect(await tool('check')).toMatchObject({
        status: 1,
        out: expect.stringMatching(/the container is not connected.*felix knows no eth0/),
      });
    }
    expect(await tool('del')).toEqual({ status: 0, out: '' });
    expect(node.network.endpoints.all.size).toBe(0);
    expect(await tool('del')).toEqual({ status: 0, out: '' });
  });

  test('asks for the state, and collects; without a list of what is in use only what it knows itself goes', async () => {
    using other = node.pod();
    list('1.1.0');
    expect(await tool('status')).toEqual({ status: 0, out: '' });
    node.dataplane.refusal = 'ENOMEM';
    expect(await tool('status')).toMatchObject({
      status: 1,
      out: expect.stringContaining('policies can not be put into the kernel: ENOMEM'),
    });
    node.dataplane.refusal = undefined;
    expect((await tool('add')).status).toBe(0);
    const unknown = await node.network.add(
      {
        network: 'margay',
        containerId: 'unknown',
        interfaceName: 'eth0',
        netns: other.path,
        pod: 'shop/unknown',
        addresses: [],
        mac: undefined,
        hostPorts: [],
        bandwidth: undefined,
      },
      new AbortController().signal,
    );
    expect(await tool('gc')).toMatchObject({
      status: 1,
      out: expect.stringContaining('cni.dev/valid-attachments is missing'),
    });
    expect([...node.network.endpoints.all.keys()]).toEqual([unknown.hostInterface]);
    await node.network.remove('unknown', 'eth0');
  });

  test('hands over capabilities', async () => {
    list('1.0.0');
    const { status, out } = await tool('add', {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
      bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000 },
      ips: ['10.1.0.200/24'],
      mac: '02:00:5e:00:53:01',
    });
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      interfaces: [{}, { mac: '02:00:5e:00:53:01' }],
      ips: [{ address: '10.1.0.200/32' }, {}],
    });
    expect(node.dataplane.endpoints.get('shop/web-0')!.hostPorts).toMatchObject([
      { hostPort: 8080, containerPort: 80 },
    ]);
    expect((await tool('del')).status).toBe(0);
  });

  test('tells what is wrong in our words', async () => {
    list('1.0.0');
    const full = await tool('add', { ips: ['192.0.2.7/32'] });
    expect(full).toMatchObject({
      status: 1,
      out: expect.stringMatching(/the address can not be had.*192\.0\.2\.7/),
    });
    const none = await tool('add', {}, '/run/netns/there-is-none');
    expect(none.status).toBe(1);
  });

  test.for(['0.4.0', '1.0.0'])(
    "chains it before Debian's portmap, bandwidth and tuning, in version %s",
    async (version, ctx) => {
      requires(ctx, 'tool:iptables');
      if (!fs.existsSync(join(DEBIAN, 'portmap'))) ctx.skip('no containernetworking-plugins here');
      const portmap = { type: 'portmap', capabilities: { portMappings: true }, snat: true };
      const others = [
        { type: 'bandwidth', ingressRate: 8_000_000, ingressBurst: 800_000 },
        { type: 'tuning', sysctl: { 'net.core.somaxconn': '512' } },
      ];
      const ports = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] };
      list(version, { after: [portmap, ...others] });
      const added = await tool('add', ports);
      expect(added).toMatchObject({ status: 0 });
      expect(addResultSchema(version).safeParse(JSON.parse(added.out)).error).toBeUndefined();
      const { hostInterface } = [...node.network.endpoints.all.values()][0]!;
      expect(node.netns.exec('tc', ['qdisc', 'show', 'dev', hostInterface])).toContain('tbf');
      expect(pod.exec('sysctl', ['-n', 'net.core.somaxconn'])).toBe('512\n');
      // portmap looks for the rules of each family in the tables of both, and never finds them.
      list(version, { after: others });
      expect(await tool('check', ports)).toEqual({ status: 0, out: '' });
      list(version, { after: [portmap, ...others] });
      expect(await tool('del', ports)).toEqual({ status: 0, out: '' });
      expect(node.network.endpoints.all.size).toBe(0);
      expect(pod.ip('link', 'show')).toHaveLength(1);
    },
  );
});
