import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { agentSink } from '#cli/policy/ruleset.ts';
import { parseAddress } from '#datastore/address.ts';
import { readFileContents } from '#datastore/directory/documents.ts';
import type { Resource } from '#datastore/resource.ts';
import { loadConfig } from '#felix/config/load.ts';
import { printRuleset } from '#felix/dataplane/print.ts';
import { NodeRuleset } from '#felix/dataplane/ruleset.ts';
import type { HostPort } from '#felix/endpoint.ts';
import { Programs } from '#felix/policy/programs.ts';
import { Nftables } from '#kernel/nftables/connection.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';

/*
 * Rulesets of small clusters, as text to be read: NAME.yaml is the cluster, NAME.nft what node n1 has in the kernel.
 * `UPDATE=1 npx vitest run test/felix/golden.test.ts` writes them anew; read the difference before it goes in.
 */

const FOLDER = join(import.meta.dirname, 'golden');
const NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => name.slice(0, -5));

/** What is not in the objects: `dataplane` of the configuration, ports of the node, pods that the engine does not know. */
const MORE: Readonly<Record<string, { dataplane?: string; hostPorts?: readonly HostPort[]; known?: false }>> =
  {
    'host-ports': {
      dataplane: `{
      pools: [{ cidr: 10.0.0.0/16, natOutgoing: true }, { cidr: "fd00::/64", natOutgoing: true }],
      natExcluded: [192.168.0.0/16], serviceRanges: [10.96.0.0/12, "fd01::/112"] }`,
      hostPorts: [
        { protocol: 'TCP', hostPort: 8080, containerPort: 80, hostIp: undefined },
        { protocol: 'UDP', hostPort: 53, containerPort: 5353, hostIp: parseAddress('192.0.2.1') },
      ],
    },
    'closed-host': { dataplane: '{ podToHost: drop, hostToPod: drop }' },
    'not-known': { known: false },
  };

function rulesetOf(name: string): NodeRuleset {
  const { dataplane = '{}', hostPorts = [], known = true } = MORE[name] ?? {};
  const source = readFileSync(join(FOLDER, `${name}.yaml`), 'utf8');
  const { objects, problems } = readFileContents(`${name}.yaml`, source);
  expect(problems).toEqual([]);
  const resources = objects.map(({ resource }): Resource => resource!);
  const config = loadConfig(`{ node: n1, dataplane: ${dataplane} }`, 'felix.yaml');
  const ruleset = new NodeRuleset(config.dataplane);
  for (const pod of resources) {
    if (pod.kind !== 'Pod' || pod.nodeName !== 'n1') continue;
    ruleset.setWorkload({
      pod: `${pod.namespace}/${pod.name}`,
      interface: `mgy-${pod.name}`,
      addresses: pod.addresses.map((address) => parseAddress(address)!),
      hostPorts,
    });
  }
  const compiler = new Compiler();
  compiler.apply(resources.map((resource) => ({ type: 'put', resource })));
  compiler.flush();
  if (known) compiler.open('n1', agentSink(new Programs(ruleset), compiler));
  return ruleset;
}

/** Tables, sets and chains as nft lists them, in any order. */
function sections(netns: Netns): string[] {
  const text = netns.exec('nft', ['list', 'ruleset']).replace(/\n}\n$/, '\n\n');
  return text
    .split(/\n(?=\t(?:set|map|chain) )/)
    .map((section) => section.trim())
    .sort();
}

describe('the ruleset of a cluster', () => {
  let text: Netns;
  let driven: Netns;
  beforeAll(() => {
    text = createNetns();
    driven = createNetns();
  });
  afterAll(() => {
    text.remove();
    driven.remove();
  });

  test('there are a dozen', () => expect(NAMES.length).toBeGreaterThanOrEqual(12));

  test.each(NAMES)('%s', (name) => {
    const file = join(FOLDER, `${name}.nft`);
    const printed = printRuleset(rulesetOf(name));
    if (process.env.UPDATE || !existsSync(file)) writeFileSync(file, printed);
    expect(printed).toBe(readFileSync(file, 'utf8'));
  });

  test.each(NAMES)('%s: nft reads it, and then lists what the driver would have put there', (name) => {
    const ruleset = rulesetOf(name);
    text.exec('nft', ['-f', '-'], { input: printRuleset(ruleset) });
    using namespace = NetworkNamespace.open(driven.path);
    using nftables = Nftables.open(namespace);
    ruleset.desired.adopt(nftables.dump(ruleset.desired.table));
    for (;;) {
      const changes = ruleset.desired.changes();
      if (changes.transaction.length === 0) break;
      nftables.commit(changes.transaction);
      changes.done();
    }
    // What was there before stands first: one cluster follows on another.
    expect(sections(text)).toEqual(sections(driven));
    // And nothing of it differs from what should be there.
    ruleset.desired.adopt(nftables.dump(ruleset.desired.table));
    expect(ruleset.desired.changes().transaction).toEqual([]);
  });

  // docs/dataplane.md says since when the kernel has each. What is added here is to be looked up first.
  test('is made of what Linux 6.1 has', () => {
    const expressions = new Set<string>();
    const keys = new Set<string>();
    const operations = new Set<string>();
    for (const name of NAMES) {
      const ruleset = rulesetOf(name);
      ruleset.prepare();
      ruleset.desired.adopt(undefined);
      for (const operation of ruleset.desired.changes().transaction) {
        operations.add(operation.op);
        if (operation.op === 'add rule')
          for (const { kind } of operation.rule.expressions) expressions.add(kind);
        if (operation.op === 'add set') for (const key of Object.keys(operation.set)) keys.add(key);
        if (operation.op === 'add elements')
          for (const element of operation.elements)
            for (const key of Object.keys(element)) keys.add(`element ${key}`);
      }
    }
    expect([...expressions].sort()).toEqual(EXPRESSIONS);
    expect([...keys].sort()).toEqual(KEYS);
    expect([...operations].sort()).toEqual(OPERATIONS);
  });
});

const EXPRESSIONS = [
  'bitwise',
  'cmp',
  'ct',
  'ct set',
  'fib',
  'immediate',
  'lookup',
  'masquerade',
  'meta',
  'nat',
  'payload',
  'verdict',
];
const KEYS = [
  'comment',
  'element comment',
  'element end',
  'element key',
  'element value',
  'interval',
  'key',
  'name',
  'value',
];
const OPERATIONS = ['add chain', 'add elements', 'add rule', 'add set', 'add table'];
