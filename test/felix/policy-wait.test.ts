/*
 * What becomes of an ADD while the policy of its pod is not known: `margay felix` and `margay policy` as they are.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Agent, type PodCall } from './daemons.ts';
import { knownIn } from './damages.ts';
import { configuration, envOf, PLUGIN } from './node.ts';

const LONG = { timeout: 120_000 };

const folder = newTempFolder();
const objects = join(folder, 'objects');
let agent: Agent;
let netns: Netns;

beforeAll(async () => {
  fs.mkdirSync(objects);
  write('namespace', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  agent = new Agent('n1', folder, objects, ['10.1.1.0/24'], { policyWait: 60 });
  await agent.start();
}, 120_000);
beforeEach(() => {
  netns = createNetns();
});
afterEach(() => netns.remove());
afterAll(() => {
  agent?.netns.remove();
  fs.rmSync(folder, { recursive: true, force: true });
});

function write(name: string, object: object): void {
  const next = join(objects, `.${name}`);
  fs.writeFileSync(next, JSON.stringify(object));
  fs.renameSync(next, join(objects, `${name}.yaml`));
}

/** A pod object, bound to the node and without an address: as the API has it when kubelet begins. */
function pod(name: string, uid: string, nodeName: string, annotations: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', uid, annotations },
    spec: { nodeName, containers: [{ name: 'c', image: 'i' }] },
  };
}

function bind(name: string, uid: string, annotations: object = {}): void {
  write(name, pod(name, uid, 'n1', annotations));
}

/** Interfaces of pods that what comes from and goes to them is let through of. */
function open(on: Agent = agent): string[] {
  const text = on.netns.exec('nft', ['list', 'table', 'inet', 'margay']);
  const known = knownIn(text, 'egress');
  expect(knownIn(text, 'ingress')).toEqual(known);
  return known;
}

/** Interfaces of pods on the node. */
function links(on: Agent = agent): string[] {
  return ((on.netns.ip('link', 'show', 'type', 'veth') ?? []) as { ifname: string }[])
    .map(({ ifname }) => ifname)
    .filter((name) => name.startsWith('mgy'));
}

async function come(pod: PodCall): Promise<void> {
  const { status, result } = await agent.call('ADD', pod);
  expect([status, result.code, result.msg, result.details]).toEqual([0, undefined, undefined, undefined]);
  expect(open()).toContain(result.interfaces[0].name);
}

describe('a pod that kubelet brings', () => {
  test(
    'after the policy engine has told of it comes at once, with its policy in the kernel',
    LONG,
    async () => {
      bind('before', 'u1');
      await come({ id: 'before', netns, uid: 'u1' });
      expect((await agent.call('DEL', { id: 'before', netns })).status).toBe(0);
      expect(open()).toEqual([]);
    },
  );

  test(
    'before the policy engine has heard of it waits, closed and without routes, until it has',
    LONG,
    async () => {
      const add = agent.call('ADD', { id: 'after', netns, uid: 'u1' });
      let answered = false;
      void add.then(() => {
        answered = true;
      });
      await waitFor(() => links().length === 1 && netns.ip('address', 'show', 'dev', 'eth0') !== undefined, {
        what: 'the interface',
        timeout: 30_000,
      });
      expect(agent.netns.ip('route', 'show', 'proto', '110') ?? []).toEqual([]);
      expect(netns.ip('link', 'show', 'dev', 'eth0')).toMatchObject([{ operstate: 'DOWN' }]);
      expect(open()).toEqual([]);
      // Others are not held up.
      bind('beside', 'u3');
      using other = createNetns();
      await come({ id: 'beside', netns: other, uid: 'u3' });
      expect(answered).toBe(false);
      bind('after', 'u1');
      const { status, result } = await add;
      expect(status).toBe(0);
      expect(open()).toContain(result.interfaces[0].name);
      expect(agent.netns.ip('route', 'show', 'proto', '110')).toHaveLength(2);
      for (const id of ['after', 'beside']) await agent.call('DEL', { id, netns });
    },
  );

  test(
    'while an earlier pod of its name is known is not let through by what that one may',
    LONG,
    async () => {
      bind('db-0', 'old');
      using old = createNetns();
      await come({ id: 'old', name: 'db-0', netns: old, uid: 'old' });
      const add = agent.call('ADD', { id: 'new', name: 'db-0', netns, uid: 'new' });
      await waitFor(() => links().length === 2, { what: 'the interface', timeout: 30_000 });
      // It is the newcomer that the pod is now.
      await waitFor(() => open().length === 0, { what: 'both to be closed', timeout: 30_000 });
      bind('db-0', 'new');
      const { status, result } = await add;
      expect(status).toBe(0);
      expect(open()).toEqual([result.interfaces[0].name]);
      for (const id of ['old', 'new']) await agent.call('DEL', { id, name: 'db-0', netns });
    },
  );

  test(
    'from a file of its own, which is in the API under another uid, is known by its own',
    LONG,
    async () => {
      bind('static-n1', 'of-the-api', { 'kubernetes.io/config.mirror': 'of-kubelet' });
      await come({ id: 'static', name: 'static-n1', netns, uid: 'of-kubelet' });
      await agent.call('DEL', { id: 'static', netns });
    },
  );

  test('of a runtime that does not tell the uid is known by its name', LONG, async () => {
    bind('plain', 'u1');
    await come({ id: 'plain', netns });
    await agent.call('DEL', { id: 'plain', netns });
  });

  test('that goes while its policy is waited for is forgotten', LONG, async () => {
    const env = envOf('ADD', agent.socket, {
      id: 'gone',
      netns: netns.path,
      args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=gone',
    });
    const plugin = spawn(PLUGIN, { env, stdio: ['pipe', 'ignore', 'ignore'] });
    plugin.stdin!.end(JSON.stringify(configuration()));
    await waitFor(() => links().length === 1, { what: 'the interface', timeout: 30_000 });
    // As a runtime does whose time is up.
    plugin.kill('SIGKILL');
    await waitFor(() => links().length === 0, { what: 'nothing to be left', timeout: 30_000 });
    expect(await agent.margay('ipam', 'check')).toBe('0 addresses, all right\n');
  });
});

describe('a pod of which the policy engine never tells', () => {
  const make = (policyUnknown: string): Agent =>
    new Agent(policyUnknown, folder, objects, ['10.1.2.0/24'], { policyWait: 1, policyUnknown });

  test('is refused, to be tried again, with what is missing; nothing of it is left', LONG, async () => {
    const node = make('refuse');
    using _ = node.netns;
    const refused = async (pod: Omit<PodCall, 'netns'>): Promise<string> => {
      const { status, result } = await node.call('ADD', { netns, ...pod });
      expect([status, result.code]).toEqual([1, 11]);
      expect(links(node)).toEqual([]);
      expect(netns.ip('link', 'show')).toHaveLength(1);
      expect(fs.readdirSync(join(node.folder, 'state/endpoints'))).toEqual([]);
      return `${result.msg}: ${result.details}`;
    };
    const status = async (): Promise<unknown[]> => {
      const { status: code, result } = await node.call(
        'STATUS',
        { id: 'none', netns },
        { cniVersion: '1.1.0' },
      );
      return [code, result?.code, result?.details];
    };

    await node.startFelix();
    expect(await status()).toEqual([1, 50, expect.stringContaining('no policies have been told yet')]);
    expect(await refused({ id: 'first' })).toMatch(
      /^the policy of shop\/first is not known: no policies have been told since felix started; the policy engine can not be asked: .*policy\.sock.*; waited for 1 s$/,
    );
    write('here', pod('here', 'u1', 'refuse'));
    node.startEngine();
    await node.inSync();
    expect(await status()).toEqual([0, undefined, undefined]);
    expect(await refused({ id: 'never' })).toBe(
      'the policy of shop/never is not known: the policy engine knows no pod shop/never of this node; waited for 1 s',
    );
    expect(await refused({ id: 'here', uid: 'u2' })).toBe(
      'the policy of shop/here is not known: the policy engine knows another pod shop/here: found uid u1, expected u2; waited for 1 s',
    );

    // What was told before is known while nobody tells anything new.
    await node.killEngine();
    const come = await node.call('ADD', { id: 'here', netns, uid: 'u1' });
    expect(come.status).toBe(0);
    expect(open(node)).toEqual([come.result.interfaces[0].name]);
    expect(await status()).toEqual([0, undefined, undefined]);
    using other = createNetns();
    const late = await node.call('ADD', { id: 'late', netns: other });
    expect([late.status, late.result.code]).toEqual([1, 11]);
    expect(late.result.details).toMatch(
      /knows no pod shop\/late of this node; the policy engine can not be asked: /,
    );

    // A new felix without an engine leaves in force what is, and the node its pods.
    await node.kill();
    await node.startFelix();
    expect(open(node)).toEqual([come.result.interfaces[0].name]);
    expect(await status()).toEqual([0, undefined, undefined]);

    // And kubelet tries again.
    write('late', pod('late', 'u1', 'refuse'));
    node.startEngine();
    await waitFor(async () => (await node.call('ADD', { id: 'late', netns: other })).status === 0, {
      what: 'the pod that was refused',
      timeout: 60_000,
    });
  });

  test('comes closed where the operator wants that, and is opened when it is told of', LONG, async () => {
    const node = make('close');
    using _ = node.netns;
    await node.startFelix();
    const { status } = await node.call('STATUS', { id: 'none', netns }, { cniVersion: '1.1.0' });
    expect(status).toBe(0);
    const { result } = await node.call('ADD', { id: 'static', netns });
    expect(result.interfaces[0].name).toMatch(/^mgy/);
    expect(open(node)).toEqual([]);
    expect(node.log).toContain('a pod comes whose policy is not known; it is closed until it is');
    // The node itself reaches it, as probes of kubelet do.
    node.netns.exec('ip', ['address', 'add', '192.0.2.1/32', 'dev', 'lo']);
    await node.netns.execAsync('ping', ['-c1', '-W5', result.ips[0].address.split('/')[0]]);
    write('static', pod('static', 'u1', 'close'));
    node.startEngine();
    await waitFor(() => open(node).length === 1, { what: 'the pod to be opened', timeout: 60_000 });
  });
});
