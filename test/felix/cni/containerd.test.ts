/*
 * Pods that containerd makes, asked as kubelet asks it: real sandboxes, with felix and the policy engine as they are.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newTempFolder } from '#test/helpers/owner.ts';
import { missing, requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Agent, Cave } from '../daemons.ts';
import { Containerd } from './cri.ts';

const TOOLS = ['tool:containerd', 'tool:ctr', 'tool:runc'] as const;
const LONG = { timeout: 180_000 };

const folder = newTempFolder();
const objects = join(folder, 'o');
let cave: Cave;
let agent: Agent;
let containerd: Containerd;

beforeAll(async () => {
  if (missing(...TOOLS) !== undefined) return;
  fs.mkdirSync(objects);
  write('namespace', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  cave = await Cave.open();
  cave.netns.exec('ip', ['address', 'add', '192.0.2.1/32', 'dev', 'lo']);
  agent = new Agent('n', folder, objects, ['10.1.1.0/24', 'fd00:1:1::/64'], { policyWait: 2 }, cave);
  containerd = new Containerd(cave, join(folder, 'c'), agent.socket);
  await Promise.all([agent.start(), containerd.start()]);
}, 180_000);
beforeEach((ctx) => requires(ctx, ...TOOLS));
afterAll(() => {
  containerd?.close();
  cave?.[Symbol.dispose]();
  fs.rmSync(folder, { recursive: true, force: true });
});

function write(name: string, object: object): void {
  const next = join(objects, `.${name}`);
  fs.writeFileSync(next, JSON.stringify(object));
  fs.renameSync(next, join(objects, `${name}.yaml`));
}

function bind(name: string, uid: string): void {
  write(name, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', uid, labels: { app: name } },
    spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] },
  });
}

/** Interfaces of pods on the node. */
function links(): string[] {
  return ((cave.netns.ip('link', 'show', 'type', 'veth') ?? []) as { ifname: string }[]).map(
    ({ ifname }) => ifname,
  );
}

const shownInPod = (pid: number, ...command: string[]): Promise<string> =>
  cave.exec('nsenter', ['--net', `--target=${pid}`, '--', ...command]);

describe('containerd', () => {
  test('waits for a network, and takes ours', LONG, async () => {
    await containerd.networkReady(false);
    // The list of docs/cni.md.
    const page = fs.readFileSync(join(import.meta.dirname, '../../../docs/cni.md'), 'utf8');
    containerd.configure(JSON.parse(/```json\n(.*?)```/s.exec(page)![1]!));
    await containerd.networkReady(true);
  });

  test(
    'runs pods with host ports and limits, which reach each other, and takes them away',
    LONG,
    async () => {
      for (const name of ['web', 'client']) bind(name, `uid-${name}`);
      const web = await containerd.run({
        name: 'web',
        uid: 'uid-web',
        ports: [{ containerPort: 80, hostPort: 8080 }],
        annotations: { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '20M' },
      });
      const client = await containerd.run({ name: 'client', uid: 'uid-client' });
      const { addresses, pid } = await containerd.state(web);
      expect(addresses).toEqual(['10.1.1.1', 'fd00:1:1::1']);
      expect((await containerd.state(client)).addresses).toEqual(['10.1.1.2', 'fd00:1:1::2']);

      const { endpoints } = JSON.parse(await agent.margay('felix', 'endpoints', '-o', 'json'));
      const told = endpoints.find((each: { pod: string }) => each.pod === 'shop/web');
      expect(told).toMatchObject({
        addresses,
        known: true,
        hostPorts: [{ hostPort: 8080, containerPort: 80 }],
      });
      expect(cave.netns.exec('nft', ['list', 'map', 'inet', 'margay', 'hostports4'])).toMatch(
        /tcp \. 8080 comment "shop\/web" : 10\.1\.1\.1 \. 80/,
      );
      expect(cave.netns.exec('tc', ['qdisc', 'show', 'dev', told.interface])).toMatch(/tbf .* rate 10Mbit/);
      // Both interfaces of the pod are up, the loopback by Debian's plugin.
      const shown = await shownInPod(pid, 'ip', '-br', 'address');
      expect(shown).toMatch(/lo +\S+ +127\.0\.0\.1\/8/);
      expect(shown).toMatch(/eth0\S* +UP +10\.1\.1\.1\/32 fd00:1:1::1\/128/);
      const { pid: from } = await containerd.state(client);
      for (const address of addresses) {
        await shownInPod(from, 'ping', '-c1', '-W5', address);
        if (address.includes('.')) await cave.netns.execAsync('ping', ['-c1', '-W5', address]);
      }

      for (const each of [web, client]) {
        await containerd.stop(each);
        await containerd.stop(each);
        await containerd.remove(each);
      }
      expect(links()).toEqual([]);
      expect(await agent.margay('ipam', 'check')).toBe('0 addresses, all right\n');
    },
  );

  test('tells why a pod can not come, and has it when it is known', LONG, async () => {
    await expect(containerd.run({ name: 'late', uid: 'uid-late' })).rejects.toThrow(
      /plugin type="margay" failed \(add\): the policy of shop\/late is not known; the policy engine knows no pod shop\/late/,
    );
    expect(links()).toEqual([]);
    // kubelet asks once more, for another sandbox of the same pod.
    const again = waitFor(() => containerd.run({ name: 'late', uid: 'uid-late', attempt: 1 }), {
      what: 'the pod',
      timeout: 60_000,
      details: () => agent.log.slice(-2000),
    });
    bind('late', 'uid-late');
    const late = await again;
    expect((await containerd.state(late)).addresses).toHaveLength(2);
    await containerd.stop(late);
    await containerd.remove(late);
    expect(links()).toEqual([]);
  });

  test('that is killed, and felix beside it, come back to the pods that they had', LONG, async () => {
    bind('web', 'uid-web');
    const web = await containerd.run({ name: 'web', uid: 'uid-web', attempt: 7 });
    const before = await containerd.state(web);
    await Promise.all([containerd.kill(), agent.kill()]);
    await Promise.all([agent.start(), containerd.start()]);
    expect(await containerd.state(web)).toEqual(before);
    await cave.netns.execAsync('ping', ['-c1', '-W5', before.addresses[0]!]);
    await containerd.stop(web);
    await containerd.remove(web);
    expect(links()).toEqual([]);
    expect(await agent.margay('ipam', 'check')).toBe('0 addresses, all right\n');
  });
});
