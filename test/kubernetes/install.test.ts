/**
 * The manifests on the real API server, and three nodes that run as they say: all daemons read the API, with the account's rights.
 */

import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Link } from '#test/bgp/cluster/link.ts';
import { runCommand } from '#test/helpers/command.ts';
import type { Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { missing, requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { clusterRules, MANIFESTS } from '#test/manifests/manifests.ts';
import { programPath } from './binaries.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { DAEMONS, KubeNode } from './kube-node.ts';
import { Tunnel } from './tunnel.ts';

const NEEDS = [
  'kubernetes:etcd',
  'kubernetes:kube-apiserver',
  'kubernetes:kubectl',
  'kernel:bridge',
] as const;

let cluster: Cluster;
const stack = new AsyncDisposableStack();

beforeEach((ctx) => requires(ctx, ...NEEDS));

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  cluster = stack.use(await startCluster());
}, 150_000);

afterAll(() => stack.disposeAsync());

test.each(['base', 'kind', 'rack', 'uninstall'])('the API server would take all of %s', async (folder) => {
  const args = [
    'apply',
    '--server-side',
    '--dry-run=server',
    '--validate=strict',
    '-k',
    `${MANIFESTS}/${folder}`,
  ];
  const said = await runCommand(programPath('kubectl'), ['--kubeconfig', cluster.kubeconfig, ...args]);
  expect(said).toMatch(/^daemonset.apps\/margay(-uninstall)? serverside-applied \(server dry run\)$/m);
  if (folder === 'uninstall') return;
  for (const kind of ['serviceaccount', 'clusterrole', 'clusterrolebinding', 'configmap'])
    expect(said).toMatch(new RegExp(`^${kind}`, 'm'));
});

describe('three nodes that read the API', () => {
  const nodes: KubeNode[] = [];
  const pods = new Map<string, { netns: Netns; address: string }>();
  const PODS = '/api/v1/namespaces/default/pods';
  const POLICIES = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies';

  const patchStatus = async (path: string, status: object) => {
    const answer = await cluster.request(
      'PATCH',
      `${path}/status`,
      { status },
      'application/merge-patch+json',
    );
    expect(answer.status).toBe(200);
  };

  async function reaches(from: string, to: string): Promise<boolean> {
    const { address } = pods.get(to)!;
    const once = () => pods.get(from)!.netns.execAsync('ping', ['-c1', '-W1', address]);
    return once().then(
      () => true,
      () => false,
    );
  }

  /** Until all of them are so. */
  async function reach(expected: Readonly<Record<string, boolean>>): Promise<void> {
    const seen = async () =>
      Object.fromEntries(
        await Promise.all(
          Object.keys(expected).map(async (pair) => {
            const [from = '', to = ''] = pair.split('>');
            return [pair, await reaches(from, to)] as const;
          }),
        ),
      );
    await waitFor(async () => JSON.stringify(await seen()) === JSON.stringify(expected), {
      what: JSON.stringify(expected),
      timeout: 60_000,
      details: () => nodes.map(({ name, log }) => `${name}:\n${log.slice(-1_500)}`).join('\n'),
    });
  }

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    const link = stack.use(new Link());
    const tunnel = stack.use(new Tunnel(cluster));
    await tunnel.open();
    const folder = newTempFolder();
    const kubeconfig = cluster.kubeconfigOf({ token: await cluster.account('margay', clusterRules()) });
    for (const k of [1, 2, 3]) {
      const node = new KubeNode(`n${k}`, stack.use(link.node(k)), folder, kubeconfig);
      nodes.push(node);
      await tunnel.into(node.netns);
      for (const daemon of DAEMONS) node.start(daemon);
    }
  }, 150_000);

  afterAll(() => {
    for (const { netns } of pods.values()) netns.remove();
  });

  test('wait for their Node objects, and have no pods till then', async () => {
    await nodes[0]!.ready('policy');
    await expect(nodes[0]!.margay('ready', 'bgp')).rejects.toThrow('it waits for Node n1');
    await expect(nodes[0]!.margay('ready', 'felix')).rejects.toThrow(
      'spec.podCIDRs of Node n1 are not known yet',
    );
    expect(existsSync(nodes[0]!.conflist)).toBe(false);
  });

  test('are ready and know each other once there are the objects', async () => {
    for (const k of [1, 2, 3]) {
      const name = `n${k}`;
      await cluster.create('/api/v1/nodes', {
        metadata: { name },
        spec: { podCIDR: `10.244.${k}.0/24`, podCIDRs: [`10.244.${k}.0/24`] },
      });
      await patchStatus(`/api/v1/nodes/${name}`, {
        addresses: [{ type: 'InternalIP', address: `10.0.0.${k}` }],
      });
    }
    await Promise.all(nodes.flatMap((node) => DAEMONS.map((daemon) => node.ready(daemon))));
    for (const { netns } of nodes) {
      await waitFor(() => netns.exec('ip', ['route']).match(/10\.244\.\d\.0\/24 via/g)?.length === 2, {
        what: 'the routes to the others',
        timeout: 60_000,
        details: () => netns.exec('ip', ['route']),
      });
    }
    await waitFor(() => nodes.every(({ conflist }) => existsSync(conflist)), { what: 'the runtime is told' });
  });

  test('give pods addresses of the node, that reach each other across nodes', async () => {
    for (const [i, name] of ['a', 'b', 'c'].entries()) {
      const node = nodes[i]!;
      const spec = { nodeName: node.name, containers: [{ name: 'c', image: 'i' }] };
      await cluster.create(PODS, { metadata: { name, labels: { app: name } }, spec });
      const made = await node.add(name);
      pods.set(name, made);
      expect(made.address).toMatch(new RegExp(`^10\\.244\\.${i + 1}\\.`));
      await patchStatus(`${PODS}/${name}`, {
        phase: 'Running',
        podIP: made.address,
        podIPs: [{ ip: made.address }],
      });
    }
    await reach({ 'a>b': true, 'c>b': true, 'b>a': true });
  });

  test('put a policy of the API into force', async () => {
    await cluster.create(POLICIES, {
      metadata: { name: 'b-from-a' },
      spec: {
        podSelector: { matchLabels: { app: 'b' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'a' } } }] }],
      },
    });
    await reach({ 'a>b': true, 'c>b': false, 'b>c': true });
  });

  test('go on without the API server, also those that are killed meanwhile', async () => {
    await cluster.killApiServer();
    await reach({ 'a>b': true, 'c>b': false });
    const node = nodes[1]!;
    await node.kill('felix');
    expect(await reaches('a', 'b')).toBe(true);
    expect(await reaches('c', 'b')).toBe(false);
    // Without it the others take back their routes to the node, until it has its sessions again.
    await node.kill('bgp');
    for (const daemon of ['bgp', 'felix'] as const) node.start(daemon);
    await Promise.all((['bgp', 'felix'] as const).map((daemon) => node.ready(daemon)));
    await waitFor(async () => (await node.margay('bgp', 'status')).includes('2 of 2 established'), {
      what: 'its sessions',
      timeout: 60_000,
      interval: 300,
      details: () => node.log.slice(-3_000),
    });
    await reach({ 'a>b': true, 'c>b': false, 'b>c': true });
  });

  test('hear of changes once it is back', async () => {
    await cluster.startApiServer();
    await cluster.request('DELETE', `${POLICIES}/b-from-a`);
    await reach({ 'a>b': true, 'c>b': true });
    await cluster.request('DELETE', '/api/v1/nodes/n3');
    const { netns } = nodes[0]!;
    await waitFor(() => !netns.exec('ip', ['route']).includes('10.244.3.0/24'), {
      what: 'the node is gone',
      timeout: 60_000,
    });
  });
});
