import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { formatAddress, parseAddress } from '#datastore/address.ts';
import { readFileContents } from '#datastore/directory/documents.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import { compileRuleset } from '#policy/review/compile.ts';
import { CommandError } from '#test/helpers/command.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';

/** A node with four pods, one of them outside of the cluster, and policies that use all parts of the ruleset. */
const CLUSTER = `
{ apiVersion: v1, kind: Namespace, metadata: { name: a } }
---
apiVersion: v1
kind: Pod
metadata: { namespace: a, name: server, labels: { app: server } }
spec: { nodeName: n, containers: [{ ports: [{ name: web, containerPort: 82 }] }] }
status: { podIPs: [{ ip: 10.0.1.2 }, { ip: "fd00:1::2" }] }
---
apiVersion: v1
kind: Pod
metadata: { namespace: a, name: client, labels: { app: client } }
spec: { nodeName: n }
status: { podIPs: [{ ip: 10.0.2.2 }, { ip: "fd00:2::2" }] }
---
apiVersion: v1
kind: Pod
metadata: { namespace: a, name: other, labels: { app: other } }
spec: { nodeName: n }
status: { podIPs: [{ ip: 10.0.3.2 }, { ip: "fd00:3::2" }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: a, name: server }
spec:
  podSelector: { matchLabels: { app: server } }
  ingress:
  - from: [{ podSelector: { matchLabels: { app: client } } }]
    ports: [{ port: 80, endPort: 81 }, { port: web }]
  - from: [{ ipBlock: { cidr: 10.0.4.0/24 } }]
  - from: [{ ipBlock: { cidr: "fd00::/16", except: ["fd00:2::/32", "fd00:3::/32"] } }]
    ports: [{ port: 85 }]
  - ports: [{ port: 90 }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: a, name: other }
spec:
  podSelector: { matchLabels: { app: other } }
  policyTypes: [Egress]
  egress:
  - to: [{ podSelector: { matchLabels: { app: server } } }]
    ports: [{ port: 90 }, { port: 91 }]
  - to: [{ ipBlock: { cidr: 10.0.2.0/24 } }]
`;

let resources: Resource[];
let router: Netns;
const pods = new Map<string, Netns>();

beforeEach((ctx) => requires(ctx, 'tool:nft', 'tool:ping', 'kernel:conntrack'));

beforeAll(() => {
  resources = readFileContents('cluster.yaml', CLUSTER).objects.map(({ resource }) => resource!);
  router = createNetns();
  router.sysctl('net.ipv4.ip_forward', 1);
  router.sysctl('net.ipv6.conf.all.forwarding', 1);
  const outside = { name: 'outside', addresses: ['10.0.4.2', 'fd00:4::2'] };
  for (const { name, addresses } of [...resources.filter((one): one is Pod => one.kind === 'Pod'), outside]) {
    const ns = createNetns();
    pods.set(name, ns);
    const [, own] = connect(
      {
        netns: router,
        addresses: addresses.map((one) => one.replace(/2$/, one.includes(':') ? '1/64' : '1/24')),
      },
      { netns: ns, addresses: addresses.map((one) => `${one}/${one.includes(':') ? 64 : 24}`) },
    );
    for (const one of addresses)
      ns.exec('ip', ['route', 'add', 'default', 'via', one.replace(/2$/, '1'), 'dev', own]);
  }
});

afterAll(() => {
  for (const ns of [...pods.values(), router]) ns?.remove();
});

/** Whether something comes back: a port on which nobody listens says so, and what is dropped is never answered. */
async function reaches(from: Netns, to: string, what: string): Promise<boolean> {
  try {
    if (what === 'other') await from.execAsync('ping', ['-c1', '-W1', to]);
    else await from.execAsync('timeout', ['1', 'bash', '-c', `exec 3<>/dev/tcp/${to}/${what}`]);
    return true;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.stderr.includes('refused');
  }
}

test('packets are let through and dropped as the reference evaluator says', async () => {
  router.exec('nft', ['-f', '-'], { input: compileRuleset(resources, 'n') });
  const cluster = new Cluster(resources);
  const names = [...pods.keys()];
  const probes = names.flatMap((from) =>
    names.filter((to) => to !== from).flatMap((to) => [4, 6].map((family) => ({ from, to, family }))),
  );
  const addressOf = (name: string, family: number) => {
    const place = names.indexOf(name) + 1;
    return parseAddress(family === 4 ? `10.0.${place}.2` : `fd00:${place}::2`)!;
  };
  const outcomes = await Promise.all(
    probes.flatMap(({ from, to, family }) =>
      ['80', '81', '82', '85', '90', '91', 'other'].map(async (what) => {
        const destination = addressOf(to, family);
        const traffic = {
          source: cluster.partyAt(addressOf(from, family)),
          destination: cluster.partyAt(destination),
          ...(what === 'other'
            ? { protocol: 'other' as const, port: 0 }
            : { protocol: 'TCP' as const, port: Number(what) }),
        };
        const expected = evaluate(cluster, traffic).allowed;
        const seen = await reaches(pods.get(from)!, formatAddress(destination), what);
        return { label: `${from} > ${to} IPv${family} ${what}`, expected, seen };
      }),
    ),
  );
  expect(outcomes.filter(({ expected, seen }) => expected !== seen)).toEqual([]);
  expect(new Set(outcomes.map(({ expected }) => expected)).size).toBe(2);
}, 60_000);

test('an isolated pod reaches itself by way of a service, and others do not reach it so', async () => {
  router.exec('nft', ['-f', '-'], { input: compileRuleset(resources, 'n') });
  router.exec('nft', ['-f', '-'], {
    input: `table ip service {
      chain prerouting { type nat hook prerouting priority dstnat; ip daddr 10.96.0.1 dnat to 10.0.1.2; }
      chain postrouting { type nat hook postrouting priority srcnat; ip saddr 10.0.1.2 ip daddr 10.0.1.2 masquerade; }
    }`,
  });
  expect(await reaches(pods.get('server')!, '10.96.0.1', '99')).toBe(true);
  expect(await reaches(pods.get('client')!, '10.96.0.1', '99')).toBe(false);
  expect(await reaches(pods.get('client')!, '10.96.0.1', '80')).toBe(true);
  router.exec('nft', ['delete', 'table', 'ip', 'service']);
}, 60_000);
