/**
 * Speakers that find each other by the Node objects of a directory, on one link, with the kernel's routes.
 */

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { missing, requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Margay } from '../interop/margay.ts';
import { Link } from './link.ts';

const NEEDS = ['kernel:bridge'] as const;

/** The directory of objects. */
class Objects {
  readonly folder = join(newTempFolder(), 'objects');

  constructor() {
    mkdirSync(this.folder);
  }

  put(k: number, { address = `10.0.0.${k}`, podCidr = `10.244.${k}.0/24` } = {}): void {
    const node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: `n${k}` },
      spec: { podCIDRs: [podCidr, `fd00:244:${k}::/64`] },
      status: {
        addresses: [
          { type: 'InternalIP', address },
          { type: 'InternalIP', address: `fd00::${k}` },
          { type: 'Hostname', address: `n${k}` },
        ],
      },
    };
    const file = join(this.folder, `n${k}.yaml`);
    writeFileSync(`${file}.new`, stringify(node));
    renameSync(`${file}.new`, file);
  }

  delete(k: number): void {
    rmSync(join(this.folder, `n${k}.yaml`));
  }
}

function configOf(margay: Margay, objects: Objects, k: number, cluster: object = {}): object {
  return {
    as: 64512,
    datastore: { directory: objects.folder },
    cluster: { node: `n${k}`, stateFolder: join(margay.folder, 'state'), group: 'nodes', ...cluster },
    peerGroups: { nodes: { timers: { hold: 9, connectRetry: 1, idleHold: 0.2, idleHoldMax: 1 } } },
  };
}

/** By whom a prefix goes in the kernel. */
function gateway(netns: Netns, prefix: string): string | undefined {
  const family = prefix.includes(':') ? '-6' : '-4';
  const [route] = netns.ip(family, 'route', 'show', prefix, 'proto', '109') as { gateway?: string }[];
  return route?.gateway?.startsWith('fe80:') ? 'link-local' : route?.gateway;
}

async function goesBy(netns: Netns, prefix: string, via: string | undefined): Promise<void> {
  await waitFor(() => gateway(netns, prefix) === via, {
    what: `${prefix} by ${via ?? 'nobody'}`,
    details: () => netns.exec('ip', ['route']) + netns.exec('ip', ['-6', 'route']),
    timeout: 20_000,
  });
}

describe('a mesh of nodes', () => {
  const stack = new AsyncDisposableStack();
  const nodes: Netns[] = [];
  const speakers: Margay[] = [];
  let objects: Objects;

  beforeEach((ctx) => requires(ctx, ...NEEDS));

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    const link = stack.use(new Link());
    objects = new Objects();
    for (const k of [1, 2, 3, 4]) {
      const netns = stack.use(link.node(k));
      const margay = stack.use(new Margay(netns));
      margay.write(configOf(margay, objects, k) as Record<string, unknown>);
      nodes.push(netns);
      speakers.push(margay);
    }
    for (const k of [1, 2, 3]) objects.put(k);
    await Promise.all(speakers.slice(0, 3).map((margay) => margay.start()));
    await Promise.all(speakers.slice(0, 3).map((margay) => margay.established()));
  }, 60_000);

  afterAll(() => stack.disposeAsync());

  const changedAt = async (k: number, address: string) =>
    (await speakers[k - 1]!.neighbor(address)).changedAt;

  test('comes up from the objects alone: all pod CIDRs are in every kernel, in both families', async () => {
    for (const [i, netns] of nodes.slice(0, 3).entries()) {
      for (const k of [1, 2, 3]) {
        if (k === i + 1) continue;
        await goesBy(netns, `10.244.${k}.0/24`, `10.0.0.${k}`);
        await goesBy(netns, `fd00:244:${k}::/64`, 'link-local');
      }
    }
    const { routerId, neighbors, cluster } = await speakers[1]!.api.getStatus({});
    expect({ routerId, neighbors }).toEqual({ routerId: '10.0.0.2', neighbors: 4 });
    expect(cluster).toMatchObject({ node: 'n2', nodes: 3, waitsFor: '', problems: [] });
    expect(cluster!.inSyncSince).toBeGreaterThan(0);
    expect(await speakers[1]!.cli('status')).toContain('nodes: ');
  });

  test('a node that joins gets all and is known to all; the other sessions are not touched', async () => {
    const before = await changedAt(1, '10.0.0.2');
    objects.put(4);
    await speakers[3]!.start();
    await speakers[3]!.established('10.0.0.1', 'fd00::1', '10.0.0.2', '10.0.0.3');
    await goesBy(nodes[0]!, '10.244.4.0/24', '10.0.0.4');
    await goesBy(nodes[3]!, '10.244.1.0/24', '10.0.0.1');
    expect(await changedAt(1, '10.0.0.2')).toBe(before);
  });

  test('a node with other pod CIDRs is believed those, without a new session', async () => {
    const before = await changedAt(1, '10.0.0.4');
    objects.put(4, { podCidr: '10.244.44.0/24' });
    await goesBy(nodes[0]!, '10.244.44.0/24', '10.0.0.4');
    await goesBy(nodes[0]!, '10.244.4.0/24', undefined);
    expect(await changedAt(1, '10.0.0.4')).toBe(before);
  });

  test('what a node announces besides its pod CIDRs is not believed', async () => {
    await speakers[3]!.api.advertise({
      routes: [{ prefix: '203.0.113.0/24' }, { prefix: '10.244.1.128/25' }],
    });
    await waitFor(async () => (await speakers[0]!.neighbor('10.0.0.4')).families?.[0]?.received === 3, {
      what: 'the announcements',
    });
    expect(gateway(nodes[0]!, '203.0.113.0/24')).toBeUndefined();
    expect(await speakers[0]!.paths('203.0.113.0/24')).toMatchObject([{ rejectedByFilter: true }]);
    await speakers[3]!.api.withdraw({ prefixes: ['203.0.113.0/24', '10.244.1.128/25'] });
  });

  test('a node with another address is found there', async () => {
    const before = await changedAt(1, '10.0.0.2');
    nodes[3]!.exec('ip', ['address', 'del', '10.0.0.4/24', 'dev', 'eth0']);
    nodes[3]!.exec('ip', ['address', 'add', '10.0.0.14/24', 'dev', 'eth0']);
    objects.put(4, { address: '10.0.0.14', podCidr: '10.244.44.0/24' });
    await goesBy(nodes[0]!, '10.244.44.0/24', '10.0.0.14');
    const names = (await speakers[0]!.api.listNeighbors({})).neighbors.map(({ address }) => address);
    expect(names).not.toContain('10.0.0.4');
    expect(await changedAt(1, '10.0.0.2')).toBe(before);
  });

  test('a node that is deleted is no neighbour any more, and its routes go', async () => {
    const before = await changedAt(1, '10.0.0.2');
    objects.delete(4);
    await goesBy(nodes[0]!, '10.244.44.0/24', undefined);
    await goesBy(nodes[0]!, 'fd00:244:4::/64', undefined);
    expect((await speakers[0]!.api.listNeighbors({})).neighbors).toHaveLength(4);
    expect(await changedAt(1, '10.0.0.2')).toBe(before);
    // And it itself keeps what it knew, rather than take a list without itself for the truth.
    await waitFor(async () => ((await speakers[3]!.api.getStatus({})).cluster?.problems ?? []).length > 0, {
      what: 'the lack is told',
    });
    const { cluster, neighbors } = await speakers[3]!.api.getStatus({});
    expect(cluster!.problems).toEqual([
      "Node n4: found no such object, expected this node's own; what was last known stays in force",
    ]);
    expect(cluster!.inSyncSince).toBe(0);
    expect(neighbors).toBe(6);
  });

  test('killed and started while the datastore is gone, it is what it was, and no route goes for a moment', async () => {
    const gone = `${objects.folder}.gone`;
    let seen = '';
    const monitor = nodes[0]!.spawn('ip', ['monitor', 'route'], { stdio: ['ignore', 'pipe', 'ignore'] });
    monitor.stdout!.setEncoding('utf8').on('data', (text: string) => {
      seen += text;
    });
    renameSync(objects.folder, gone);
    await speakers[0]!.kill('SIGKILL');
    await speakers[0]!.start();
    await speakers[0]!.established();
    const { cluster, neighbors } = await speakers[0]!.api.getStatus({});
    expect({ neighbors, nodes: cluster!.nodes, inSyncSince: cluster!.inSyncSince }).toEqual({
      neighbors: 4,
      nodes: 3,
      inSyncSince: 0,
    });
    expect(cluster?.problems?.join()).toContain(objects.folder);
    await waitFor(() => speakers[0]!.log.includes('tables have converged'), { what: 'convergence' });
    await goesBy(nodes[0]!, '10.244.2.0/24', '10.0.0.2');
    // The other end has it back too.
    await goesBy(nodes[1]!, '10.244.1.0/24', '10.0.0.1');
    // What has happened by now has been told once this is told.
    nodes[0]!.exec('ip', ['route', 'add', 'blackhole', '198.18.0.0/15']);
    await waitFor(() => seen.includes('198.18.0.0/15'), { what: 'the monitor' });
    monitor.kill();
    expect(seen.split('\n').filter((line) => line.startsWith('Deleted 10.244.'))).toEqual([]);
    renameSync(gone, objects.folder);
    await waitFor(async () => ((await speakers[0]!.api.getStatus({})).cluster?.inSyncSince ?? 0) > 0, {
      what: 'in sync again',
    });
    expect((await speakers[0]!.api.getStatus({})).neighbors).toBe(4);
  });

  test('the mesh can be given up by a reload; another node name can not be had that way', async () => {
    const margay = speakers[2]!;
    margay.write(configOf(margay, objects, 3, { mesh: false, group: undefined }) as Record<string, unknown>);
    await margay.api.reload({});
    expect((await margay.api.listNeighbors({})).neighbors).toEqual([]);
    await goesBy(nodes[0]!, '10.244.3.0/24', undefined);
    margay.write(configOf(margay, objects, 2) as Record<string, unknown>);
    await expect(margay.api.reload({})).rejects.toThrow(
      'cluster.node: found another value than at the start',
    );
    margay.write(configOf(margay, objects, 3) as Record<string, unknown>);
    await margay.api.reload({});
    await goesBy(nodes[0]!, '10.244.3.0/24', '10.0.0.3');
  });
});

describe('a speaker that knows nothing of its node', () => {
  test('waits and says so, lets the routes in the kernel be, and starts when there is the object', async (ctx) => {
    requires(ctx, ...NEEDS);
    using link = new Link();
    using netns = link.node(1);
    const objects = new Objects();
    objects.put(2);
    netns.exec('ip', ['route', 'add', '10.244.9.0/24', 'via', '10.0.0.9', 'proto', '109', 'metric', '32']);
    await using margay = new Margay(netns);
    margay.write(configOf(margay, objects, 1) as Record<string, unknown>);
    const child = netns.spawn(process.execPath, ['cli/main.ts', 'bgp', '--config', margay.configFile], {
      stdio: 'ignore',
    });
    try {
      await waitFor(async () => (await margay.api.getStatus({})).cluster?.waitsFor !== '', {
        what: 'it answers',
        timeout: 20_000,
        interval: 50,
      });
      await waitFor(async () => (await margay.api.getStatus({})).cluster?.problems?.length === 1, {
        what: 'the list without it',
      });
      const { cluster, routerId } = await margay.api.getStatus({});
      expect(routerId).toBe('');
      expect(cluster).toMatchObject({
        waitsFor: `it waits for Node n1 (directory ${objects.folder})`,
        problems: ["Node n1: found no such object, expected this node's own; the speaker waits for it"],
      });
      expect((await margay.api.listNeighbors({})).neighbors).toEqual([]);
      await expect(margay.cli('rib')).rejects.toThrow('there is no speaker yet: it waits for Node n1');
      expect(await margay.cli('status')).toContain('it waits for Node n1');
      expect(gateway(netns, '10.244.9.0/24')).toBe('10.0.0.9');
      objects.put(1);
      await waitFor(async () => (await margay.api.getStatus({})).routerId === '10.0.0.1', {
        what: 'the speaker',
      });
      expect((await margay.api.getStatus({})).cluster).toMatchObject({
        waitsFor: '',
        problems: [],
        nodes: 2,
      });
      const kept = () => readFileSync(join(margay.folder, 'state', 'nodes.json'), 'utf8');
      await waitFor(() => JSON.parse(kept()).others.length === 1, { what: 'it is kept' });
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('works on where the state can not be kept, and says so', async (ctx) => {
    requires(ctx, ...NEEDS);
    using link = new Link();
    using netns = link.node(1);
    const objects = new Objects();
    objects.put(1);
    await using margay = new Margay(netns);
    writeFileSync(join(margay.folder, 'state'), 'a file in the place of the folder');
    await margay.start(configOf(margay, objects, 1) as Record<string, unknown>);
    await waitFor(async () => (await margay.api.getStatus({})).cluster?.problems?.length === 1, {
      what: 'the problem',
    });
    const { cluster } = await margay.api.getStatus({});
    expect(cluster!.problems![0]).toMatch(/nodes\.json can not be written: E(EXIST|NOTDIR)/);
  });
});
