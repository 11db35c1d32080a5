import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readFileContents } from '#datastore/directory/documents.ts';
import type { Resource } from '#datastore/resource.ts';
import { compileResources, compileRuleset } from '#policy/review/compile.ts';
import { renderRuleset } from '#policy/review/ruleset.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { runs } from '#test/helpers/runs.ts';
import { anyCluster, resourcesOf, withYaml } from './clusters.ts';

function resources(yaml: string): Resource[] {
  const { objects, problems } = readFileContents('cluster.yaml', yaml);
  expect(problems).toEqual([]);
  return objects.map(({ resource }) => resource!);
}

const SHOP = resources(`
{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }
---
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: web-0, labels: { app: web } }
spec: { nodeName: n1 }
status: { podIPs: [{ ip: 10.0.0.1 }, { ip: "fd00::1" }] }
---
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: client, labels: { app: client } }
spec: { nodeName: n2 }
status: { podIPs: [{ ip: 10.0.0.2 }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
  - from: [{ podSelector: { matchLabels: { app: client } } }]
    ports: [{ port: 8080, endPort: 8090 }, { port: 53, protocol: UDP }]
  - from: [{ ipBlock: { cidr: 192.0.2.0/24, except: [192.0.2.128/25, 192.0.2.5/32] } }]
  - ports: [{ port: 443 }]
`);

/** The lines that stand in a part of the ruleset, without indentation. */
function part(ruleset: string, head: string): string[] {
  const lines = ruleset.split('\n').map((line) => line.trim());
  const from = lines.indexOf(`${head} {`);
  expect(from).toBeGreaterThan(0);
  let depth = 0;
  const to = lines.findIndex((line, i) => {
    if (i < from) return false;
    depth += (line.match(/{/g)?.length ?? 0) - (line.match(/}/g)?.length ?? 0);
    return depth === 0;
  });
  return lines.slice(from + 1, to).filter((line) => line !== 'elements = {' && line !== '}');
}

describe('the ruleset of a node', () => {
  const ruleset = compileRuleset(SHOP, 'n1');

  test('replaces the table in one transaction', () => {
    expect(ruleset.split('\n').slice(0, 3)).toEqual([
      'table inet margay {}',
      'delete table inet margay',
      'table inet margay {',
    ]);
    expect(compileRuleset(SHOP, 'n1', 'other')).toContain('table inet other {');
  });

  test('asks who the pod is, then what any peer may do, then what the class of the peer may do', () => {
    expect(part(ruleset, 'chain ingress4')).toEqual([
      'ip daddr != @ingress4-isolated return',
      'ip daddr . meta l4proto . th dport vmap @ingress4-any',
      'ip saddr vmap @ingress4-peers',
      'ip saddr vmap @ingress4-blocks',
      'goto ingress4-rest',
    ]);
    expect(part(ruleset, 'set ingress4-isolated')).toEqual(['type ipv4_addr', '# shop/web-0', '10.0.0.1,']);
    expect(part(ruleset, 'set ingress6-isolated')).toEqual(['type ipv6_addr', '# shop/web-0', 'fd00::1,']);
    expect(part(ruleset, 'map ingress6-any')).toContain('fd00::1 . tcp . 443 : return,');
    expect(part(ruleset, 'set egress4-isolated')).toEqual(['type ipv4_addr']);
    expect(part(ruleset, 'set self4')).toContain('10.0.0.1 . 10.0.0.1,');
  });

  test('says of each class what it is and what it may do', () => {
    const [, id] = /^10\.0\.0\.2 : goto ingress4-([0-9a-f]{32}),$/.exec(
      part(ruleset, 'map ingress4-peers')[1]!,
    )!;
    expect(part(ruleset, `map ingress4-${id}`).slice(2)).toEqual([
      '# shop/web-0',
      '10.0.0.1 . tcp . 8080-8090 : return,',
      '10.0.0.1 . udp . 53 : return,',
    ]);
    expect(part(ruleset, `chain ingress4-${id}`)).toEqual([
      `ip daddr . meta l4proto . th dport vmap @ingress4-${id}`,
      'goto ingress4-rest',
    ]);
    expect(ruleset).toContain('# namespace shop pods app=client');
    expect(ruleset).toContain('# addresses 192.0.2.0-192.0.2.4,192.0.2.6-192.0.2.127');
    const blocks = part(ruleset, 'map ingress4-blocks')
      .slice(2)
      .map((line) => line.split(' ')[0]);
    expect(blocks).toEqual(['192.0.2.0-192.0.2.4', '192.0.2.6-192.0.2.127']);
  });

  test('is empty but for the frame on a node without isolated pods', () => {
    expect(compileRuleset(SHOP, 'n2')).not.toContain('elements');
  });
});

describe('nft', () => {
  let ns: Netns;
  beforeAll(() => {
    ns = createNetns();
  });
  afterAll(() => ns[Symbol.dispose]());
  beforeEach((ctx) => requires(ctx, 'tool:nft', 'kernel:conntrack'));

  test('loads the ruleset, again over itself, and prints what was loaded', () => {
    const ruleset = compileRuleset(SHOP, 'n1');
    ns.exec('nft', ['-f', '-'], { input: ruleset });
    ns.exec('nft', ['-f', '-'], { input: ruleset });
    const listed = ns.exec('nft', ['list', 'table', 'inet', 'margay']);
    expect(listed).toContain('10.0.0.1 . tcp . 8080-8090 : return');
    expect(listed).toContain('type filter hook forward priority filter; policy accept;');
    ns.exec('nft', ['-j', 'list', 'ruleset']);
    ns.exec('nft', ['delete', 'table', 'inet', 'margay']);
  });

  test('accepts a class that says nothing beyond what any peer may do', () => {
    const ruleset = compileRuleset(
      resources(`
apiVersion: v1
kind: Pod
metadata: { namespace: n0, name: p0 }
spec:
  nodeName: n1
  containers: [{ ports: [{ name: web, containerPort: 1, protocol: TCP }] }]
status: { phase: Running, podIPs: [{ ip: 10.0.0.1 }, { ip: "fd00::1" }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: n0, name: a }
spec:
  podSelector: {}
  egress: [{ to: [], ports: [{ protocol: TCP, port: 1 }, { port: web }] }]
  policyTypes: [Egress]
`),
      'n1',
    );
    ns.exec('nft', ['-c', '-f', '-'], { input: ruleset });
  });

  test('accepts the rulesets of generated clusters', () => {
    // Many in one transaction: starting nft costs more than what it then does.
    const clusters = fc.array(withYaml(anyCluster), { minLength: 40, maxLength: 40, size: 'max' });
    fc.assert(
      fc.property(clusters, (clusters) => {
        const rulesets = clusters.flatMap((manifests, i) => {
          const { programs, compiler } = compileResources(resourcesOf(manifests));
          const describeClass = (id: string) => compiler.describeClass(id);
          return [...programs].map(([, program], j) =>
            renderRuleset(program, { table: `cluster${i}-node${j}`, describeClass }),
          );
        });
        ns.exec('nft', ['-c', '-f', '-'], { input: rulesets.join('\n') });
      }),
      { numRuns: runs(25) },
    );
  }, 120_000);
});
