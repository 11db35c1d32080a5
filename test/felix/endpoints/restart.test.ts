import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatAddress } from '#datastore/address.ts';
import { type Endpoint, hostInterfaceOf } from '#felix/endpoints/model.ts';
import { formatRecord, parseRecord } from '#felix/endpoints/records.ts';
import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import type { Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Node } from '../node.ts';

let node: Node;
let pods: Netns[];
beforeEach(async () => {
  node = await Node.start();
  pods = [node.pod(), node.pod(), node.pod()];
});
afterEach(async () => {
  for (const pod of pods) pod.remove();
  await node[Symbol.asyncDispose]();
});

const add = (i: number, extra: object = {}): Promise<Endpoint> =>
  node.network.add(
    {
      network: 'pods',
      containerId: `c${i}`,
      interfaceName: 'eth0',
      netns: pods[i]!.path,
      pod: `default/web-${i}`,
      podUid: `uid-${i}`,
      addresses: [],
      mac: undefined,
      hostPorts: [{ protocol: 'TCP', hostPort: 8000 + i, containerPort: 80, hostIp: undefined }],
      bandwidth: undefined,
      ...extra,
    },
    new AbortController().signal,
  );

/** All that `ip` shows of the node and of a pod, but for counters and ages. */
function shown(): string {
  const of = (netns: Netns): string =>
    netns.exec('sh', ['-c', 'ip -d link; ip addr; ip route; ip -6 route; ip neigh show nud permanent']);
  return of(node.netns) + of(pods[0]!);
}

const record = (endpoint: Endpoint): string =>
  join(node.folder, 'state', 'endpoints', `${endpoint.hostInterface}.endpoint`);

const told = (words: string): boolean => node.lines.some((line) => line.text.includes(words));

describe('a new felix', () => {
  test('takes over endpoints without touching them', async () => {
    const before = [await add(0), await add(1)];
    const kernel = shown();
    const told = new Map(node.dataplane.endpoints);
    expect([...told.values()].map(({ uid }) => uid)).toEqual(['uid-0', 'uid-1']);
    await node.stop();
    node.dataplane.endpoints.clear();
    await node.start();
    await node.settled();
    expect(shown()).toBe(kernel);
    expect(node.network.repair.repaired).toBe(0);
    expect(node.network.taken).toEqual({ endpoints: 2, rebuilt: 0, leaks: 0 });
    expect([...node.network.endpoints.all.values()]).toEqual(expect.arrayContaining(before));
    expect(node.dataplane.endpoints).toEqual(told);
    const third = await add(2);
    expect(third.addresses.map(formatAddress)).toEqual(['10.1.0.3', 'fd00:1::3']);
    await node.network.remove('c0', 'eth0');
    expect(pods[0]!.ip('link', 'show')).toHaveLength(1);
  });

  test('releases what pods had that are gone with their namespace', async () => {
    const endpoint = await add(0);
    await add(1);
    await node.stop();
    node.dataplane.endpoints.clear();
    pods[0]!.remove();
    await waitFor(() => !node.netns.exec('ip', ['link']).includes(endpoint.hostInterface), {
      what: 'the pair to go',
    });
    await node.start();
    expect(node.network.taken).toEqual({ endpoints: 1, rebuilt: 0, leaks: 1 });
    expect(told('the pod of an endpoint is gone')).toBe(true);
    expect(fs.existsSync(record(endpoint))).toBe(false);
    expect([...node.dataplane.endpoints.keys()]).toEqual(['default/web-1']);
    await node.network.remove('c0', 'eth0');
  });

  test('makes an interface anew that was removed meanwhile', async () => {
    const endpoint = await add(0);
    await node.stop();
    node.netns.exec('ip', ['link', 'del', endpoint.hostInterface]);
    await node.start();
    await waitFor(() => node.network.check(endpoint).length === 0, { what: 'the interface' });
    // The kernel takes packets for the gateway itself once it has noticed that both ends are up, some time after.
    await waitFor(
      async () => {
        await pods[0]!.execAsync('ping', ['-c1', '-W1', 'fe80::1%eth0']);
        return true;
      },
      { what: 'an answer of the gateway' },
    );
  });

  test.each([
    ['cut short', (text: string) => text.slice(0, 40)],
    ['changed', (text: string) => text.replace('web-0', 'web-9')],
    ['empty', () => ''],
  ])('puts an endpoint together from the kernel when its record is %s', async (_, damage) => {
    const endpoint = await add(0);
    await add(1);
    await node.stop();
    node.dataplane.endpoints.clear();
    fs.writeFileSync(record(endpoint), damage(fs.readFileSync(record(endpoint), 'utf8')));
    await node.start();
    expect(node.network.taken).toEqual({ endpoints: 2, rebuilt: 1, leaks: 0 });
    expect(told('the record of an endpoint is damaged')).toBe(true);
    expect(node.dataplane.endpoints.get('default/web-0')).toEqual({
      pod: 'default/web-0',
      interface: endpoint.hostInterface,
      addresses: endpoint.addresses,
      hostPorts: [],
    });
    const third = await add(2);
    expect(third.addresses).not.toContain(endpoint.addresses[0]);
    await node.network.remove('c0', 'eth0');
    expect(pods[0]!.ip('link', 'show')).toHaveLength(1);
    expect(node.network.ipam.allocator.ownerOf(endpoint.addresses[0]!)).toBeUndefined();
  });

  test('keeps pods although all of its state is lost', async () => {
    const before = [await add(0), await add(1)];
    const kernel = shown();
    await node.stop();
    fs.rmSync(join(node.folder, 'state'), { recursive: true });
    await node.start();
    await node.settled();
    expect(node.network.taken).toEqual({ endpoints: 2, rebuilt: 2, leaks: 0 });
    expect(shown()).toBe(kernel);
    expect((await add(2)).addresses.map(formatAddress)).toEqual(['10.1.0.3', 'fd00:1::3']);
    for (const each of before) {
      expect(node.network.ipam.allocator.allocations.get(each.hostInterface)).toEqual(each.addresses);
      await node.network.remove(each.containerId, 'eth0');
    }
    expect(pods[1]!.ip('link', 'show')).toHaveLength(1);
  });

  test('takes the addresses from the records when their file is damaged', async () => {
    const before = await add(0);
    await node.stop();
    fs.truncateSync(join(node.folder, 'state', 'ipam'), 30);
    await node.start();
    expect(told('the addresses on disk are damaged')).toBe(true);
    expect(node.network.ipam.allocator.allocations.get(before.hostInterface)).toEqual(before.addresses);
    expect((await add(1)).addresses).not.toContain(before.addresses[0]);
  });

  test('finishes an ADD that was cut off, and a DEL of it leaves nothing', async () => {
    node.dataplane.gate = (pods) => (pods.length === 0 ? Promise.resolve() : new Promise(() => {}));
    void add(0).catch(() => {});
    await waitFor(() => pods[0]!.exec('ip', ['link']).includes('eth0'), { what: 'the pair' });
    // As after a kill: nothing of the old one is waited for.
    await node.abandon();
    node.dataplane.gate = async () => {};
    await node.start();
    const endpoint = node.network.find('c0', 'eth0')!;
    await waitFor(() => node.network.check(endpoint).length === 0, { what: 'the rest of it' });
    await node.network.remove('c0', 'eth0');
    expect(pods[0]!.ip('link', 'show')).toHaveLength(1);
    expect(fs.readdirSync(join(node.folder, 'state', 'endpoints'))).toEqual([]);
  });

  test('takes over pods although the disk takes nothing and a record can not be read', async () => {
    const endpoint = await add(0);
    await add(1);
    await node.stop();
    node.dataplane.endpoints.clear();
    pods[1]!.remove();
    const full = (): never => {
      throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
    };
    const { read } = node.files;
    node.files.write = full;
    node.files.remove = full;
    node.files.read = (path) => (path.endsWith('.endpoint') ? full() : read(path));
    await node.start();
    expect(told('the record of an endpoint is damaged')).toBe(true);
    expect(node.dataplane.endpoints.get('default/web-0')?.addresses).toEqual(endpoint.addresses);
    // Nor is it a reason to let new ones in that nobody would know of after a kill.
    await expect(add(2)).rejects.toMatchObject({ code: 'STATE_NOT_WRITTEN' });
  });

  test('takes the later one of two sandboxes of a pod for the pod', async () => {
    const made: Endpoint[] = [];
    for (const i of [0, 1, 2]) made.push(await add(i, { pod: 'default/web', hostPorts: [] }));
    await node.stop();
    node.dataplane.endpoints.clear();
    const { list } = node.files;
    for (const order of [(names: string[]) => names.sort(), (names: string[]) => names.sort().reverse()]) {
      node.files.list = (folder) => order(list(folder));
      await node.start();
      expect(node.dataplane.endpoints.get('default/web')?.interface).toBe(made[2]!.hostInterface);
      await node.stop();
    }
  });

  test('ends the connections of pods that went meanwhile', async (ctx) => {
    requires(ctx, 'kernel:conntrack');
    const rule =
      'table inet t { chain c { type filter hook prerouting priority 0; ct state new accept; }; }\n';
    node.netns.exec('nft', ['-f', '-'], { input: rule });
    node.netns.exec('ip', ['address', 'add', '192.0.2.1/32', 'dev', 'lo']);
    const [gone, stays] = [await add(0), await add(1)];
    for (const each of [gone, stays])
      await node.netns.execAsync('ping', ['-c1', '-W5', formatAddress(each.addresses[0]!)]);
    await node.stop();
    pods[0]!.remove();
    await waitFor(() => !node.netns.exec('ip', ['link']).includes(gone.hostInterface), {
      what: 'the pair to go',
    });
    await node.start();
    using conntrack = Conntrack.open(node.namespace);
    const flows = (each: Endpoint): number =>
      conntrack.list({ address: formatAddress(each.addresses[0]!) }).length;
    await waitFor(() => flows(gone) === 0, { what: 'the connections to go' });
    expect(flows(stays)).toBe(1);
  });

  test('releases addresses of nobody', async () => {
    await node.stop();
    await node.start();
    node.network.ipam.allocate('mgy000000000000');
    await node.network.ipam.commit();
    await node.stop();
    await node.start();
    expect(node.network.taken.leaks).toBe(1);
    expect(told('addresses of no endpoint are released')).toBe(true);
    expect((await add(0)).addresses.map(formatAddress)).toEqual(['10.1.0.2', 'fd00:1::2']);
  });

  test('does not take another namespace at the same path for the pod', async () => {
    const endpoint = await add(0);
    await node.stop();
    const { path, name } = pods[0]!;
    node.netns.exec('ip', ['link', 'del', endpoint.hostInterface]);
    // Made while the old one is there: the kernel uses the numbers of namespaces again at once.
    const next = node.pod();
    pods[0]!.remove();
    pods[0] = next;
    fs.rmSync(path, { force: true });
    fs.symlinkSync(pods[0].path, path);
    try {
      await node.start();
      expect(node.network.taken).toEqual({ endpoints: 0, rebuilt: 0, leaks: 1 });
      expect(pods[0].ip('link', 'show')).toHaveLength(1);
      expect(name).not.toBe(pods[0].name);
    } finally {
      fs.rmSync(path, { force: true });
    }
  });
});

test('a record reads back as what was written', async () => {
  const endpoint = await add(0, { bandwidth: { ingress: { rate: 1e6, burst: 0 }, egress: undefined } });
  expect(parseRecord(formatRecord(endpoint))).toEqual(endpoint);
  expect(hostInterfaceOf('c0', 'eth0')).toBe(endpoint.hostInterface);
});
