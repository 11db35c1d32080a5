/**
 * Generated clusters, as manifests: small, and with names, labels, addresses and ports from such small stocks that their
 * parts often have to do with each other. A failing one is shrunk and printed as YAML that can be loaded.
 */

import fc from 'fast-check';
import { stringify } from 'yaml';
import { type AddressKey, familyOf, parseAddress } from '#datastore/address.ts';
import { type Resource, readResource } from '#datastore/resource.ts';
import type { Traffic } from '#policy/evaluator/traffic.ts';
import { anyLabels, anySelector } from './generate.ts';

/** An object as `kubectl apply` would take it. */
export type Manifest = Readonly<Record<string, unknown>>;

const namespaceName = fc.constantFrom('n0', 'n0', 'n0', 'n1', 'n2');
const nodeName = fc.constantFrom('node-0', 'node-0', 'node-1', 'node-2');
const portName = fc.constantFrom('web', 'dns');
const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP');
/** Mostly TCP, so that rules meet. */
const likelyProtocol = fc.constantFrom('TCP', 'TCP', 'TCP', 'UDP', 'SCTP');
const portNumber = fc.constantFrom(1, 2, 3, 4, 65535);
const ipv4 = fc.nat(15).map((n) => `10.0.0.${n}`);
const ipv6 = fc.nat(15).map((n) => `fd00::${n.toString(16)}`);

const namespace = fc
  .record({ name: namespaceName, labels: anyLabels })
  .map((metadata): Manifest => ({ apiVersion: 'v1', kind: 'Namespace', metadata }));

const node = fc.record({ name: nodeName, addresses: fc.array(fc.oneof(ipv4, ipv6), { maxLength: 2 }) }).map(
  ({ name, addresses }): Manifest => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  }),
);

const container = fc.record({
  ports: fc.array(fc.record({ name: portName, containerPort: portNumber, protocol: likelyProtocol }), {
    maxLength: 2,
  }),
});

const containers = fc.oneof(
  { weight: 2, arbitrary: fc.constant([{ ports: [{ name: 'web', containerPort: 1, protocol: 'TCP' }] }]) },
  { weight: 1, arbitrary: fc.constant([]) },
  { weight: 3, arbitrary: fc.array(container, { maxLength: 2 }) },
);

/** Some of them run beside the containers, and their ports count. */
const initContainers = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  {
    weight: 1,
    arbitrary: fc.array(
      fc
        .tuple(container, fc.constantFrom('Always', 'Always', ''))
        .map(([container, restartPolicy]) => ({ ...container, restartPolicy })),
      { minLength: 1, maxLength: 2 },
    ),
  },
);

const podAddresses = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(ipv4, ipv6) },
  { weight: 2, arbitrary: fc.tuple(ipv4) },
  { weight: 1, arbitrary: fc.tuple(ipv6) },
  { weight: 1, arbitrary: fc.constant([]) },
);

const pod = fc
  .record({
    metadata: fc.record({
      namespace: namespaceName,
      name: fc.constantFrom('p0', 'p1', 'p2', 'p3', 'p4'),
      labels: anyLabels,
      uid: fc.constantFrom('u0', 'u0', 'u1'),
    }),
    nodeName,
    hostNetwork: fc.constantFrom(false, false, false, false, true),
    phase: fc.constantFrom('Running', 'Running', 'Running', 'Running', 'Pending', 'Succeeded'),
    containers,
    initContainers,
    addresses: podAddresses,
  })
  .map(
    ({ metadata, phase, addresses, ...spec }): Manifest => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec,
      status: { phase, podIPs: addresses.map((ip) => ({ ip })) },
    }),
  );

const port = fc.oneof(
  { weight: 1, arbitrary: fc.record({ protocol }) },
  { weight: 3, arbitrary: fc.record({ protocol: likelyProtocol, port: portNumber }) },
  { weight: 2, arbitrary: fc.record({ protocol: likelyProtocol, port: portName }) },
  { weight: 2, arbitrary: fc.constant({ port: 'web' }) },
  {
    weight: 2,
    arbitrary: fc
      .record({ protocol: likelyProtocol, port: portNumber, length: fc.nat(3) })
      .map(({ protocol, port, length }) => ({ protocol, port, endPort: Math.min(port + length, 65535) })),
  },
);

const block = fc.oneof(ofFamily('10.0.0.', 32, 10), ofFamily('fd00::', 128, 16));

/** A block of the last four bits, or all addresses of the family, with exceptions that lie in it. */
function ofFamily(head: string, bits: number, radix: number) {
  const sub = fc.record({ number: fc.nat(15), free: fc.nat(4) });
  return fc
    .record({
      all: fc.constantFrom(false, false, true),
      block: sub,
      except: fc.array(sub, { maxLength: 3 }),
    })
    .map(({ all, block, except }) => {
      const first = block.number & ~((1 << block.free) - 1);
      const inside = ({ number, free }: typeof block) =>
        all || (free < block.free && (number & ~((1 << block.free) - 1)) === first);
      const text = ({ number, free }: typeof block) => `${head}${number.toString(radix)}/${bits - free}`;
      return {
        ipBlock: {
          cidr: all ? (bits === 32 ? '0.0.0.0/0' : '::/0') : text(block),
          except: except.filter(inside).map(text),
        },
      };
    });
}

const peer = fc.oneof(
  fc.record({ podSelector: anySelector }),
  fc.record({ namespaceSelector: anySelector }),
  fc.record({ podSelector: anySelector, namespaceSelector: anySelector }),
  block,
);

const peers = fc.array(peer, { maxLength: 2 });
const ports = fc.array(port, { maxLength: 2 });

const policy = fc
  .record({
    metadata: fc.record({ namespace: namespaceName, name: fc.constantFrom('a', 'b', 'c', 'd') }),
    spec: fc.record(
      {
        podSelector: fc.oneof(fc.constant({}), anySelector),
        policyTypes: fc.constantFrom(
          [],
          ['Ingress'],
          ['Egress'],
          ['Ingress', 'Egress'],
          ['Ingress', 'Egress'],
        ),
        ingress: fc.array(fc.record({ from: peers, ports }), { maxLength: 2 }),
        egress: fc.array(fc.record({ to: peers, ports }), { maxLength: 2 }),
      },
      { requiredKeys: ['podSelector', 'policyTypes'] },
    ),
  })
  .map(
    ({ metadata, spec }): Manifest => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata,
      spec,
    }),
  );

/** A pod that differs from another one in few things or in none. */
const twin = fc
  .record({
    name: fc.constantFrom('p0', 'p1'),
    uid: fc.constantFrom('u0', 'u1'),
    nodeName: fc.constantFrom('node-0', 'node-1'),
    ip: fc.constantFrom('10.0.0.1', '10.0.0.2'),
  })
  .map(
    ({ name, uid, nodeName, ip }): Manifest => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'n0', name, uid, labels: { a: 'x' } },
      spec: { nodeName },
      status: { podIPs: [{ ip }] },
    }),
  );

/** One of a crowd that only addresses tell apart. */
export const oneOfMany = fc
  .record({
    number: fc.nat(7),
    nodeName,
    ip: fc.oneof(ipv4, ipv4, ipv6),
    namespace: fc.constantFrom('n0', 'n1'),
  })
  .map(
    ({ number, nodeName, ip, namespace }): Manifest => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: `m${number}`, labels: { a: 'x' } },
      spec: { nodeName, containers: [{ ports: [{ name: 'web', containerPort: 1 }] }] },
      status: { podIPs: [{ ip }] },
    }),
  );

/** A policy that knows a crowd by its labels, and its addresses by blocks that go through the middle of it. */
export const policyOnMany = fc
  .record({
    name: fc.constantFrom('a', 'b'),
    direction: fc.constantFrom('ingress', 'egress'),
    blocks: fc.array(fc.record({ ...crowdPorts(), block }), { minLength: 1, maxLength: 2 }),
    pods: fc.record(crowdPorts()),
  })
  .map(({ name, direction, blocks, pods }): Manifest => {
    const list = direction === 'ingress' ? 'from' : 'to';
    const rules = [
      ...blocks.map(({ block, ports }) => ({ [list]: [block], ports })),
      { [list]: [{ podSelector: { matchLabels: { a: 'x' } } }], ports: pods.ports },
    ];
    return {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: 'n0', name },
      spec: { policyTypes: [direction === 'ingress' ? 'Ingress' : 'Egress'], [direction]: rules },
    };
  });

function crowdPorts() {
  return { ports: fc.constantFrom([{ port: 1 }], [{ port: 2 }], [{ port: 'web' }], []) };
}

/** One object of any kind. */
export const anyManifest: fc.Arbitrary<Manifest> = fc.oneof(
  { weight: 1, arbitrary: namespace },
  { weight: 1, arbitrary: node },
  { weight: 3, arbitrary: pod },
  { weight: 2, arbitrary: twin },
  { weight: 2, arbitrary: oneOfMany },
  { weight: 4, arbitrary: policy },
);

/** Objects with different names, in any order. */
export const anyCluster: fc.Arbitrary<Manifest[]> = fc.uniqueArray(anyManifest, {
  selector: nameOf,
  maxLength: 16,
});

export function nameOf(manifest: Manifest): string {
  const { namespace = '', name } = manifest.metadata as { namespace?: string; name: string };
  return `${manifest.kind}/${namespace}/${name}`;
}

export function resourcesOf(manifests: readonly Manifest[]): Resource[] {
  return manifests.map((manifest) => {
    const reading = readResource(manifest);
    if (reading.outcome !== 'resource') throw new Error(JSON.stringify(reading.faults));
    return reading.resource;
  });
}

/** All documents as they can be put into a file. */
export function toYaml(manifests: readonly Manifest[]): string {
  return manifests.map((manifest) => stringify(manifest)).join('---\n');
}

/** For fast-check: how to show a failing cluster. */
export function withYaml<T extends readonly Manifest[]>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return arbitrary.map((manifests) => {
    Object.defineProperty(manifests, fc.toStringMethod, {
      value: () => `\n${toYaml(manifests)}`,
      configurable: true,
    });
    return manifests;
  });
}

/** Addresses worth asking about: those of all objects, and some that nobody has. */
export function addressesOf(resources: readonly Resource[]): AddressKey[] {
  const texts = ['10.0.0.6', '10.0.0.13', '192.0.2.1', 'fd00::6', 'fd00::d', '2001:db8::1'];
  for (const resource of resources) {
    if (resource.kind === 'Pod') texts.push(...resource.addresses);
    if (resource.kind === 'Node') texts.push(...resource.addresses.map(({ address }) => address));
  }
  return [...new Set(texts)].map((text) => parseAddress(text)!);
}

/** All pairs of the addresses that are of one family. */
export function pairsOf(addresses: readonly AddressKey[]): [AddressKey, AddressKey][] {
  return addresses.flatMap((a) =>
    addresses.filter((b) => familyOf(a) === familyOf(b)).map((b): [AddressKey, AddressKey] => [a, b]),
  );
}

/** Traffic of every protocol to ports in, beside and between those that rules name. */
export const TRAFFIC: readonly Pick<Traffic, 'protocol' | 'port'>[] = [
  ...(['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) =>
    (protocol === 'TCP' ? [1, 2, 3, 4, 5, 8, 65535] : [1, 3, 9]).map((port) => ({ protocol, port })),
  ),
  { protocol: 'other', port: 0 },
];
