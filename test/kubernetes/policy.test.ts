/** The policy engine on the real API server, from an object that is made to the verdict that it makes. */

import { beforeEach, expect, test } from 'vitest';
import { run } from '#cli/program.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { EngineProcess } from '../policy/daemon/engine-process.ts';
import { startCluster } from './cluster.ts';

beforeEach((ctx) => requires(ctx, 'kubernetes:etcd', 'kubernetes:kube-apiserver'));

const PODS = '/api/v1/namespaces/default/pods';
const POLICIES = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies';
/** The least that the engine needs. */
const RULES = [
  { apiGroups: [''], resources: ['nodes', 'namespaces', 'pods'], verbs: ['list', 'watch'] },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['list', 'watch'] },
];

async function policy(...args: string[]): Promise<string> {
  let said = '';
  const terminal = {
    write: (text: string) => {
      said += text;
    },
    ready: () => Promise.resolve(),
    columns: undefined,
    colour: false,
  };
  const { signal } = new AbortController();
  await run(['policy', ...args], { out: terminal, error: terminal, now: Date.now, signal });
  return said;
}

test('a policy of the API decides, outlives the API server, and the status says how each kind is followed', async () => {
  await using cluster = await startCluster();
  await using engine = new EngineProcess();
  const token = await cluster.account('margay-policy', RULES);
  for (const [name, ip] of [
    ['a', '10.1.0.1'],
    ['b', '10.1.0.2'],
  ] as const) {
    const spec = { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] };
    await cluster.create(PODS, { metadata: { name, labels: { app: name } }, spec });
    const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }] };
    await cluster.request('PATCH', `${PODS}/${name}/status`, { status }, 'application/merge-patch+json');
  }
  await engine.start('--kubeconfig', cluster.kubeconfigOf({ token }));
  const explains = (answer: RegExp) =>
    waitFor(async () => answer.test(await policy('explain', 'a', 'b', '80', '--socket', engine.socket)), {
      what: `the answer ${answer}`,
      timeout: 30_000,
      details: () => engine.log,
    });
  await explains(/allow/i);
  await cluster.create(POLICIES, {
    metadata: { name: 'deny' },
    spec: { podSelector: { matchLabels: { app: 'b' } } },
  });
  await explains(/den/i);
  const { kinds, source, problems } = await engine.status();
  expect(source).toMatch('Kubernetes API, kubeconfig /');
  expect(problems).toEqual([]);
  expect(kinds.map(({ kind, state, objects }) => [kind, state, objects])).toEqual([
    ['Node', 'watching', 0],
    ['Namespace', 'watching', 4],
    ['Pod', 'watching', 2],
    ['NetworkPolicy', 'watching', 1],
  ]);
  await cluster.killApiServer();
  await waitFor(async () => (await engine.status()).problems.length === 4, { what: 'four problems' });
  await explains(/den/i);
  const table = await waitFor(
    async () => {
      const said = await policy('status', '--socket', engine.socket);
      return /NetworkPolicy +waiting +1 +- .* ago: no connection \(connect ECONNREFUSED/.test(said) && said;
    },
    { what: 'a status that says so', timeout: 20_000 },
  );
  expect(table).toMatch(/KIND +STATE +OBJECTS +SYNCED +LAST EVENT +LISTS +RESTARTS +STALLS +LAST ERROR/);
  await cluster.startApiServer();
  await cluster.request('DELETE', `${POLICIES}/deny`);
  await explains(/allow/i);
  await waitFor(async () => (await engine.status()).problems.length === 0, {
    what: 'no problem',
    timeout: 40_000,
  });
}, 240_000);
