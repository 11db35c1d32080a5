import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { agentSink } from '#cli/policy/ruleset.ts';
import { parseAddress } from '#datastore/address.ts';
import type { Resource } from '#datastore/resource.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import type { RulesetKernel } from '#felix/dataplane/driver.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import type { NewFlow } from '#kernel/conntrack/flow.ts';
import { NetlinkError } from '#kernel/netlink/error.ts';
import type { Nftables } from '#kernel/nftables/connection.ts';
import { TransactionError } from '#kernel/nftables/error.ts';
import type { Operation } from '#kernel/nftables/operation.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { knownIn } from './damages.ts';
import type { Slot } from './fabric.ts';
import { allow, pod } from './objects.ts';
import { SILENT } from './world.ts';

/*
 * A kernel that takes some things and refuses others: the part at fault is closed, the rest goes in. Behind the faults is the
 * real kernel.
 */

/** Which operations are refused, and which element of one that adds elements; ENOMEM is as good as any. */
type Fault = (operation: Operation) => boolean | string;

let netns: Netns;
let namespace: NetworkNamespace;
let dataplane: NftablesDataplane;
let compiler: Compiler;
let fault: Fault | undefined;
let lost = 0;

beforeAll(() => {
  netns = createNetns();
  namespace = NetworkNamespace.open(netns.path);
});
afterAll(() => {
  dataplane?.close();
  namespace.close();
  netns.remove();
});

const slot = (number: number): Slot =>
  ({ node: { name: 'n1' }, addresses: [`10.0.0.${number}`] }) as unknown as Slot;
const RESOURCES: Resource[] = [
  pod('web', slot(1), { app: 'web' }),
  pod('db', slot(2), { app: 'db' }),
  pod('client', { ...slot(3), node: { ...slot(3).node, name: 'n2' } }, { app: 'client' }),
  pod('web-client', { ...slot(4), node: { ...slot(4).node, name: 'n2' } }, { app: 'other' }),
  allow('web', 'client', 80, 'web'),
  allow('db', 'client', 5432, 'db'),
  allow('web', 'other', 81, 'web-other'),
];

function wrap(kernel: Nftables): RulesetKernel {
  return {
    dump: (table) => kernel.dump(table),
    elements: (table, set) => kernel.elements(table, set),
    tables: () => kernel.tables(),
    commit: (transaction, options) => {
      if (lost > 0) {
        lost--;
        kernel.commit(transaction, options);
        throw new NetlinkError('transaction', { errno: 105, text: 'answers were lost' });
      }
      const failures = transaction.flatMap((operation, index) => {
        const found = fault?.(operation) ?? false;
        if (found === false) return [];
        const error = new NetlinkError(operation.op, { errno: 12, text: '' });
        return [{ index, operation, error, ...(typeof found === 'string' ? { key: found } : {}) }];
      });
      if (failures.length > 0) throw new TransactionError(failures[0]!.error, failures);
      return kernel.commit(transaction, options);
    },
  };
}

beforeEach(() => {
  dataplane?.close();
  netns.exec('nft', ['flush', 'ruleset']);
  fault = undefined;
  dataplane = new NftablesDataplane({ settings: DEFAULT_SETTINGS, log: SILENT, namespace, wrap });
  for (const [i, name] of ['web', 'db'].entries()) {
    dataplane.setEndpoint({
      pod: `shop/${name}`,
      interface: `mgy-${name}`,
      addresses: [parseAddress(`10.0.0.${i + 1}`)!],
      hostPorts:
        name === 'db' ? [{ protocol: 'TCP', hostPort: 8080, containerPort: 80, hostIp: undefined }] : [],
    });
  }
  compiler = new Compiler();
  compiler.apply(RESOURCES.map((resource) => ({ type: 'put', resource })));
  compiler.flush();
});

const begin = async (pods: readonly string[] = []): Promise<void> => {
  compiler.open('n1', agentSink(dataplane.programs, compiler));
  await dataplane.applied(pods, AbortSignal.timeout(5000));
};
const listed = (): string => netns.exec('nft', ['list', 'ruleset']);
const problems = (): unknown[] => dataplane.problems.map(({ part }) => part);

/** A set's key that begins with an interface's name. */
const ofInterface = (name: string) => Buffer.from(name).toString('hex').padEnd(32, '0');

describe('what the kernel refuses', () => {
  test('an element of a pod: the pod is closed, others are not', async () => {
    fault = (operation) =>
      operation.op === 'add elements' &&
      (operation.elements.find(
        ({ key }) => key.startsWith(ofInterface('mgy-web')) && operation.set.name.startsWith('ingress'),
      )?.key ??
        false);
    await expect(begin(['shop/web'])).rejects.toThrow(/pod shop\/web: add elements: ENOMEM/);
    expect(problems()).toEqual([{ kind: 'pod', pod: 'shop/web' }]);
    const text = listed();
    for (const direction of ['ingress', 'egress'] as const)
      expect(knownIn(text, direction)).toEqual(['mgy-db']);
    expect(text).toContain('"mgy-db" . tcp . 5432');
    await expect(dataplane.applied(['shop/db'], AbortSignal.timeout(5000))).resolves.toBeUndefined();
  });

  test('a chain of a class: the class lets nothing through', async () => {
    let first = '';
    fault = (operation) => {
      if (operation.op !== 'add set' || !/^ingress-[0-9a-f]{32}$/.test(operation.set.name)) return false;
      first ||= operation.set.name;
      return operation.set.name === first;
    };
    await begin();
    expect(problems()).toEqual([{ kind: 'class', direction: 'ingress', id: first.slice('ingress-'.length) }]);
    const text = listed();
    expect(new RegExp(`chain ${first} \\{[^}]*\\}`).exec(text)![0]).toMatch(/goto deny comment "closed/);
    expect(text.match(/set ingress-[0-9a-f]{32} /g)).toHaveLength(1);
  });

  test('the map of peers: the direction lets only through what is open to all', async () => {
    fault = (operation) => operation.op === 'add elements' && operation.set.name === 'ingress-peers4';
    await begin();
    expect(problems()).toEqual([{ kind: 'peers', direction: 'ingress' }]);
    const text = listed();
    expect(text).not.toContain('ingress-peers4');
    expect(/chain ingress \{[^}]*\}/.exec(text)![0]).toContain('goto deny');
  });

  test('translation of addresses: it is left out, policy is in force', async () => {
    fault = (operation) => operation.op === 'add chain' && operation.chain.base?.type === 'nat';
    await begin();
    expect(problems()).toEqual([{ kind: 'nat' }]);
    const text = listed();
    expect(text).not.toContain('type nat');
    expect(text).toContain('"mgy-web" . tcp . 80');
  });

  test('everything: what was in force stays, and it is said', async () => {
    await begin();
    const before = listed();
    fault = () => true;
    compiler.apply([{ type: 'put', resource: allow('web', 'client', 90, 'more') }]);
    compiler.flush();
    await expect(dataplane.applied([], AbortSignal.timeout(5000))).rejects.toThrow(/ENOMEM/);
    expect(listed()).toBe(before);
    expect(dataplane.problems.some(({ part }) => part === undefined)).toBe(true);
    fault = undefined;
    dataplane.driver.retry();
    expect(listed()).toContain('"mgy-web" . tcp . 90');
    expect(dataplane.problems).toEqual([]);
  });

  test('what passes is taken up again', async () => {
    fault = (operation) => operation.op === 'add elements' && operation.set.name === 'ingress-peers4';
    await begin();
    expect(dataplane.problems).toHaveLength(1);
    fault = undefined;
    dataplane.driver.retry();
    expect(dataplane.problems).toEqual([]);
    expect(listed()).toContain('ingress-peers4');
  });

  test('answers that are lost: the table is read, and what is missing goes in', async () => {
    lost = 1;
    await begin();
    expect(dataplane.problems).toEqual([]);
    expect(listed()).toContain('"mgy-web" . tcp . 80');
  });
});

test('a kernel that refuses the same over and over is told of once', async () => {
  const errors: unknown[] = [];
  dataplane.close();
  const log = { ...SILENT, error: (about: unknown) => errors.push(about), warn() {}, info() {}, debug() {} };
  dataplane = new NftablesDataplane({
    settings: DEFAULT_SETTINGS,
    log: log as typeof SILENT,
    namespace,
    wrap,
  });
  fault = (operation) => operation.op === 'add elements' && operation.set.name === 'ingress-peers4';
  await begin();
  const since = dataplane.problems[0]!.since;
  for (let i = 0; i < 5; i++) dataplane.driver.retry();
  expect(errors).toHaveLength(1);
  expect(dataplane.problems).toMatchObject([{ since }]);
});

test('connections from before the table have no room for a label: others with it take the place of those that are forbidden', async () => {
  using conntrack = Conntrack.open(namespace);
  const flow = (source: string, port: number): NewFlow => ({
    family: 4,
    original: { source, destination: '10.0.0.1', protocol: 6, sourcePort: 1000, destinationPort: port },
    timeout: 100,
    state: 'ESTABLISHED',
  });
  conntrack.create(flow('10.0.0.3', 80));
  conntrack.create(flow('10.0.0.3', 22));
  conntrack.create(flow('192.0.2.1', 80));
  // Of nobody here.
  conntrack.create({
    ...flow('192.0.2.1', 80),
    original: { ...flow('192.0.2.1', 80).original, destination: '192.0.2.2' },
  });
  await begin();
  const flows = conntrack
    .list()
    .map(
      ({ original: { source, destination, destinationPort }, labels, state }) =>
        `${source} ${destination} ${destinationPort} ${state} ${labels}`,
    );
  expect(flows.sort()).toEqual([
    '10.0.0.3 10.0.0.1 22 ESTABLISHED 127',
    '10.0.0.3 10.0.0.1 80 ESTABLISHED ',
    '192.0.2.1 10.0.0.1 80 ESTABLISHED 127',
    '192.0.2.1 192.0.2.2 80 ESTABLISHED ',
  ]);
  expect(dataplane.flows.counters).toEqual({ ended: 2, revived: 0 });
});
