/** The source on the real API server. What can not be had of it on demand is in test/datastore/kubernetes. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { COLLECTIONS, collectionPath, objectPath } from '#datastore/kubernetes/api.ts';
import { type KubernetesOptions, KubernetesSource, ofNode } from '#datastore/kubernetes/source.ts';
import { describeProblem, type Problem } from '#datastore/problem.ts';
import { type Kind, keyOf, type Resource, readResource } from '#datastore/resource.ts';
import type { Update } from '#datastore/source.ts';
import { missing, requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { Gate } from './gate.ts';

const NEEDS = ['kubernetes:etcd', 'kubernetes:kube-apiserver'] as const;
const GATE_PORT = 7443;

let cluster: Cluster;
let gate: Gate;
const followers: Follower[] = [];

beforeEach((ctx) => requires(ctx, ...NEEDS));

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  cluster = await startCluster();
  gate = new Gate(cluster.address, GATE_PORT, 6443);
  await gate.open();
}, 150_000);

afterEach(async () => {
  for (const follower of followers.splice(0)) await follower[Symbol.asyncDispose]();
});

afterAll(async () => {
  await gate?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

/** All that a source says, added up. */
class Follower implements AsyncDisposable {
  readonly source: KubernetesSource;
  readonly updates: Update[] = [];
  readonly objects = new Map<string, Resource>();
  problems: readonly Problem[] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(options: KubernetesOptions) {
    const times = { shortestPause: 20, longestPause: 200, ...options.times };
    this.source = new KubernetesSource({ kubeconfig: throughGate(), ...options, times });
    this.#done = this.#follow();
    followers.push(this);
  }

  get inSync(): boolean {
    return this.updates.some(({ type }) => type === 'snapshot');
  }

  status(kind: Kind) {
    return this.source.status.find((one) => one.kind === kind)!;
  }

  /** Waits until it has what the server has. */
  async agrees(kinds: readonly Kind[] = ['Namespace', 'Node', 'Pod', 'Service']): Promise<void> {
    await waitFor(
      async () => {
        if (!this.inSync) return false;
        const wanted = (await Promise.all(kinds.map(objectsOf))).flat().map(toText).sort();
        const seen = [...this.objects.values()].filter(({ kind }) => kinds.includes(kind));
        return JSON.stringify(seen.map(toText).sort()) === JSON.stringify(wanted);
      },
      {
        what: 'the objects of the server',
        timeout: 60_000,
        details: () => JSON.stringify([[...this.objects.keys()], this.problems, this.source.status]),
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #follow(): Promise<void> {
    for await (const update of this.source.watch(this.#stop.signal)) {
      this.updates.push(update);
      this.problems = update.problems;
      const puts = update.type === 'snapshot' ? update.resources : [];
      for (const resource of puts) this.objects.set(keyOf(resource), resource);
      for (const change of update.type === 'changes' ? update.changes : []) {
        if (change.type === 'put') this.objects.set(keyOf(change.resource), change.resource);
        else expect(this.objects.delete(change.key)).toBe(true);
      }
    }
  }
}

function toText(resource: Resource): string {
  return JSON.stringify(resource);
}

function throughGate(user?: object): string {
  return cluster.kubeconfigOf(user ?? cluster.administrator, `https://${cluster.address}:${GATE_PORT}`);
}

async function objectsOf(kind: Kind): Promise<Resource[]> {
  const { body } = await cluster.request('GET', collectionPath(COLLECTIONS[kind]));
  return body.items.map((item: unknown) => {
    const reading = readResource(item, [], COLLECTIONS[kind]);
    if (reading.outcome !== 'resource') throw new Error(`not valid: ${JSON.stringify(reading)}`);
    return reading.resource;
  });
}

function podOf(name: string, node?: string) {
  const spec = {
    ...(node && { nodeName: node }),
    containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, name: 'http' }] }],
  };
  return { metadata: { name, namespace: 'default', labels: { app: name } }, spec };
}

const PODS = '/api/v1/namespaces/default/pods';

async function deletePod(name: string): Promise<void> {
  const { status } = await cluster.request('DELETE', `${PODS}/${name}`, { gracePeriodSeconds: 0 });
  expect(status).toBe(200);
}

async function patch(kind: Kind, name: string, body: object, sub = ''): Promise<void> {
  const path = `${objectPath(COLLECTIONS[kind], 'default', name)}${sub}`;
  const { status, body: answer } = await cluster.request('PATCH', path, body, 'application/merge-patch+json');
  expect(status, answer.message).toBe(200);
}

test('all kinds at first, then what changes, as the API has it', async () => {
  await cluster.create('/api/v1/nodes', { metadata: { name: 'n1' }, spec: { podCIDRs: ['10.1.0.0/24'] } });
  await cluster.create(PODS, podOf('web', 'n1'));
  const seen = new Follower({});
  await seen.agrees();
  expect(seen.updates).toHaveLength(1);
  await patch(
    'Pod',
    'web',
    { status: { phase: 'Running', podIP: '10.1.0.7', podIPs: [{ ip: '10.1.0.7' }] } },
    '/status',
  );
  await cluster.create('/api/v1/namespaces/default/services', {
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] },
  });
  await cluster.create('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.1.0.7'], targetRef: { kind: 'Pod', name: 'web' } }],
    ports: [{ port: 80 }],
  });
  await cluster.create('/apis/networking.k8s.io/v1/namespaces/default/networkpolicies', {
    metadata: { name: 'deny', namespace: 'default' },
    spec: {
      podSelector: {},
      ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [{ port: 80 }] }],
    },
  });
  await seen.agrees(['Namespace', 'Node', 'Pod', 'Service', 'EndpointSlice', 'NetworkPolicy']);
  expect(seen.objects.get('Pod/default/web')).toMatchObject({
    nodeName: 'n1',
    addresses: ['10.1.0.7'],
    labels: { app: 'web' },
  });
  await deletePod('web');
  await cluster.create(PODS, podOf('web', 'n1'));
  await seen.agrees();
  expect(seen.problems).toEqual([]);
  for (const { lists, restarts, stalls, state } of seen.source.status) {
    expect({ lists, restarts, stalls, state }).toEqual({
      lists: 1,
      restarts: 0,
      stalls: 0,
      state: 'watching',
    });
  }
  await deletePod('web');
});

test('pods and the object of one node', async () => {
  for (const node of ['m1', 'm2']) {
    await cluster.create('/api/v1/nodes', { metadata: { name: node } });
    await cluster.create(PODS, podOf(`on-${node}`, node));
  }
  const seen = new Follower({ kinds: ['Node', 'Pod'], fieldSelectors: ofNode('m1') });
  await waitFor(() => seen.inSync, { what: 'the snapshot', timeout: 30_000 });
  expect([...seen.objects.keys()]).toEqual(['Node//m1', 'Pod/default/on-m1']);
  await cluster.create(PODS, podOf('late'));
  await cluster.create(`${PODS}/late/binding`, {
    metadata: { name: 'late' },
    target: { kind: 'Node', name: 'm1' },
  });
  await waitFor(() => seen.objects.has('Pod/default/late'), { what: 'the pod that is scheduled' });
  for (const pod of ['on-m1', 'late']) await deletePod(pod);
  await waitFor(() => seen.objects.size === 1, { what: 'the end of its pods' });
  await deletePod('on-m2');
});

test('a connection that is cut is taken up where it was', async () => {
  const seen = new Follower({ kinds: ['Pod'] });
  await seen.agrees(['Pod']);
  for (let i = 0; i < 5; i++) {
    await cluster.create(PODS, podOf(`cut-${i}`));
    gate.cut();
    if (i > 0) await deletePod(`cut-${i - 1}`);
    await seen.agrees(['Pod']);
  }
  await deletePod('cut-4');
  await seen.agrees(['Pod']);
  expect(seen.status('Pod')).toMatchObject({ lists: 1, stalls: 0 });
  expect(seen.status('Pod').restarts).toBeGreaterThan(0);
});

test('a connection on which nothing passes any more is a stall', async () => {
  const seen = new Follower({ kinds: ['Pod'], times: { idle: 2_000 } });
  await seen.agrees(['Pod']);
  gate.block();
  await cluster.create(PODS, podOf('unheard'));
  await seen.agrees(['Pod']);
  expect(seen.status('Pod').stalls).toBeGreaterThan(0);
  await deletePod('unheard');
});

test('a missing permission is named, disturbs no other kind, and is seen when it is given', async () => {
  const rule = (resources: string[]) => ({ apiGroups: [''], resources, verbs: ['list', 'watch'] });
  const token = await cluster.account('reader', [rule(['pods', 'namespaces'])]);
  const seen = new Follower({ kinds: ['Namespace', 'Pod', 'Service'], kubeconfig: throughGate({ token }) });
  await waitFor(() => seen.problems.length === 1, { what: 'a problem', timeout: 30_000 });
  expect(describeProblem(seen.problems[0]!)).toMatch(
    /^https:\S+\/api\/v1\/services: found status 403 Forbidden for list and watch of services: services is forbidden: User "system:serviceaccount:default:reader" cannot watch resource "services".*, expected a ClusterRole, bound to this account, with the rule \{apiGroups: \[""\], resources: \["services"\], verbs: \["list", "watch"\]\}; nothing is known of it yet$/,
  );
  await waitFor(
    () => seen.status('Pod').state === 'watching' && seen.status('Namespace').state === 'watching',
    { what: 'the others' },
  );
  expect(seen.inSync).toBe(false);
  await cluster.grant('reader', [rule(['pods', 'namespaces', 'services'])]);
  await seen.agrees(['Namespace', 'Pod', 'Service']);
  expect(seen.problems).toEqual([]);
  // And taken away: what is known stays in force.
  await cluster.grant('reader', [rule(['pods', 'namespaces'])]);
  gate.cut();
  await waitFor(() => seen.problems.some(({ found }) => /403/.test(found)), {
    what: 'a problem',
    timeout: 30_000,
  });
  await cluster.create(PODS, podOf('still'));
  await seen.agrees(['Pod', 'Service']);
  await deletePod('still');
});

test('a token file that is written anew', async () => {
  const file = join(cluster.folder, 'token');
  writeFileSync(file, 'of yesterday\n');
  const seen = new Follower({ kinds: ['Pod'], kubeconfig: throughGate({ tokenFile: file }) });
  await waitFor(() => seen.problems.some(({ found }) => /^status 401 Unauthorized/.test(found)), {
    what: 'a refusal',
    timeout: 20_000,
    details: () => JSON.stringify(seen.problems),
  });
  const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] }];
  writeFileSync(file, `${await cluster.account('rotated', rules)}\n`);
  await seen.agrees(['Pod']);
  expect(seen.problems).toEqual([]);
});

describe('an API server that is killed', () => {
  test('and what was known of it before is too old when it is back: the difference is told', async () => {
    await cluster.create('/api/v1/nodes', { metadata: { name: 'k1' } });
    for (const name of ['stays', 'goes', 'again']) await cluster.create(PODS, podOf(name));
    const seen = new Follower({ kinds: ['Namespace', 'Node', 'Pod'] });
    await seen.agrees(['Namespace', 'Node', 'Pod']);
    const told = seen.updates.length;
    const uid = () => seen.objects.get('Pod/default/again')!.uid;
    const before = uid();
    await gate.close();
    await cluster.killApiServer();
    await waitFor(() => seen.problems.length === 3, { what: 'three problems' });
    expect(seen.objects.has('Pod/default/goes')).toBe(true);
    await cluster.startApiServer();
    await deletePod('goes');
    await deletePod('again');
    await cluster.create(PODS, podOf('again'));
    await cluster.compact();
    // A watch cache begins with what there is when it begins.
    await cluster.killApiServer();
    await cluster.startApiServer();
    await gate.open();
    await seen.agrees(['Namespace', 'Node', 'Pod']);
    expect(uid()).not.toBe(before);
    expect(seen.status('Pod')).toMatchObject({
      lists: 2,
      state: 'watching',
      lastError: expect.stringMatching('410 Expired'),
    });
    const changes = seen.updates
      .slice(told)
      .flatMap((update) => (update.type === 'changes' ? update.changes : []));
    expect(
      changes.map((change) => (change.type === 'put' ? keyOf(change.resource) : change.key)).sort(),
    ).toEqual(['Pod/default/again', 'Pod/default/goes']);
    for (const name of ['stays', 'again']) await deletePod(name);
  }, 120_000);

  test('and can not stream lists when it is back: they are taken in pages', async () => {
    for (let i = 0; i < 5; i++) await cluster.create(PODS, podOf(`page-${i}`));
    await cluster.killApiServer();
    await cluster.startApiServer(['--feature-gates=WatchList=false']);
    try {
      const seen = new Follower({ kinds: ['Pod'], pageSize: 2 });
      await seen.agrees(['Pod']);
      expect(seen.problems).toEqual([]);
      await deletePod('page-0');
      await seen.agrees(['Pod']);
      expect(seen.status('Pod')).toMatchObject({ restarts: 0, lastError: '' });
    } finally {
      await cluster.killApiServer();
      await cluster.startApiServer();
    }
    for (let i = 1; i < 5; i++) await deletePod(`page-${i}`);
  }, 120_000);
});
