/**
 * Answers for people: may A talk to B, which rule says so, or what would be needed.
 */

import { type Family, familyOf, formatAddress, parseAddress } from '#datastore/address.ts';
import type { Labels, Protocol } from '#datastore/schema.ts';
import { type Cluster, hasOwnNetwork } from './cluster.ts';
import { evaluate } from './evaluate.ts';
import type {
  Direction,
  DirectionVerdict,
  Evaluator,
  Party,
  PolicyName,
  Traffic,
  Verdict,
} from './traffic.ts';

/** Thrown for a question that can not be answered because something in it does not exist or is not legible. */
export class QuestionError extends Error {
  override readonly name = 'QuestionError';
  readonly code:
    | 'UNKNOWN_POD'
    | 'UNKNOWN_NODE'
    | 'UNKNOWN_PORT'
    | 'BAD_PORT'
    | 'NO_COMMON_FAMILY'
    | 'NO_OWN_ADDRESS';
  readonly found: string;
  readonly expected: string;

  constructor(code: QuestionError['code'], found: string, expected: string) {
    super(`found ${found}, expected ${expected}`);
    this.code = code;
    this.found = found;
    this.expected = expected;
  }
}

/** One connection of those that a question is about: one for each family, and for each number of a named port. */
export interface Answer {
  readonly traffic: Traffic;
  readonly verdict: Verdict;
}

/**
 * Answers whether `from` may connect to `to`.
 *
 * @param from `NAMESPACE/POD`, `POD` in namespace default, `node/NAME` or `node:NAME`, or an address
 * @param port `TCP/80`, `UDP/dns` by the name of a port of the destination, `80` for TCP, or `other` for what has no ports
 * @throws QuestionError
 */
export function explain(
  cluster: Cluster,
  from: string,
  to: string,
  port: string,
  tiers?: readonly Evaluator[],
): Answer[] {
  const destinations = partiesOf(cluster, to);
  const pairs = pairUp(partiesOf(cluster, from), destinations);
  if (pairs.length === 0) {
    throw new QuestionError('NO_COMMON_FAMILY', `${from} and ${to}`, 'two ends with addresses of one family');
  }
  const ports = portsOf(port, destinations[0]!);
  return pairs.flatMap(([source, destination]) =>
    ports.map((what) => {
      const traffic = { source, destination, ...what };
      return { traffic, verdict: evaluate(cluster, traffic, tiers) };
    }),
  );
}

/** An answer as text of several lines. */
export function describeAnswer(cluster: Cluster, { traffic, verdict }: Answer): string {
  const { source, destination } = traffic;
  return [
    `${describeParty(source)} -> ${describeParty(destination)} ${describePort(traffic)}: ${verdict.allowed ? 'allowed' : 'denied'}`,
    ...describeDirection(cluster, traffic, 'egress', verdict.egress),
    ...describeDirection(cluster, traffic, 'ingress', verdict.ingress),
  ].join('\n');
}

function partiesOf(cluster: Cluster, text: string): Party[] {
  const address = parseAddress(text);
  if (address !== undefined) return [cluster.partyAt(address)];
  const [, node] = /^node[:/](.+)$/.exec(text) ?? [];
  if (node === undefined) return podParties(cluster, text);
  // A namespace may be called node too; then its pods are meant where no node has the name.
  const isPod = !cluster.nodes.some(({ name }) => name === node) && cluster.pod('node', node) !== undefined;
  return isPod && text.startsWith('node/') ? podParties(cluster, text) : nodeParties(cluster, node);
}

function nodeParties(cluster: Cluster, name: string): Party[] {
  const node = cluster.nodes.find((node) => node.name === name);
  const addresses = (node?.addresses ?? []).map(({ address }) => parseAddress(address)!);
  if (addresses.length === 0)
    throw new QuestionError('UNKNOWN_NODE', `node ${name}`, 'a node that has an address');
  return addresses.map((address) => ({ kind: 'node', node: name, address }));
}

function podParties(cluster: Cluster, text: string): Party[] {
  const [namespace, name] = text.includes('/') ? (text.split('/') as [string, string]) : ['default', text];
  const pod = cluster.pod(namespace, name);
  if (pod === undefined)
    throw new QuestionError('UNKNOWN_POD', `pod ${namespace}/${name}`, podsLike(cluster, namespace, name));
  if (pod.finished)
    throw new QuestionError('UNKNOWN_POD', `pod ${namespace}/${name}, finished`, 'a running pod');
  const addresses = pod.addresses.map((address) => parseAddress(address)!);
  if (!hasOwnNetwork(pod)) return addresses.map((address) => cluster.partyAt(address));
  if (addresses.length === 0) return [{ kind: 'pod', pod, address: undefined }];
  const parties = addresses.map((address) => cluster.partyAt(address));
  const own = parties.filter((party) => party.kind === 'pod' && party.pod === pod);
  if (own.length > 0) return own;
  const found = `pod ${namespace}/${name}, whose address is that of ${describeParty(parties[0]!)}`;
  throw new QuestionError('NO_OWN_ADDRESS', found, 'a pod with an address that no pod before it by name has');
}

/** What may have been meant. */
function podsLike(cluster: Cluster, namespace: string, name: string): string {
  const others = cluster.pods.filter((pod) => pod.name === name).map((pod) => pod.namespace);
  if (others.length > 0) return `a pod that there is, such as ${others[0]}/${name}`;
  const begun = cluster.pods.find((pod) => pod.namespace === namespace && pod.name.startsWith(`${name}-`));
  return begun === undefined
    ? 'a pod that there is'
    : `a pod that there is, such as ${namespace}/${begun.name}`;
}

/** Pairs of one family; an end without an address goes with each. */
function pairUp(sources: readonly Party[], destinations: readonly Party[]): [Party, Party][] {
  const family = ({ address }: Party): Family | undefined => address && familyOf(address);
  return sources.flatMap((source) =>
    destinations
      .filter(
        (to) => family(source) === undefined || family(to) === undefined || family(source) === family(to),
      )
      .map((destination): [Party, Party] => [source, destination]),
  );
}

function portsOf(text: string, destination: Party): Pick<Traffic, 'protocol' | 'port'>[] {
  if (text === 'other') return [{ protocol: 'other', port: 0 }];
  const [, written, which] = /^(?:(tcp|udp|sctp)\/)?([a-z0-9-]+)$/i.exec(text) ?? [];
  if (which === undefined)
    throw new QuestionError('BAD_PORT', JSON.stringify(text), 'such as TCP/80, UDP/dns, 80, other');
  const protocol = (written ?? 'TCP').toUpperCase() as Protocol;
  if (!/^\d+$/.test(which)) return namedPorts(protocol, which, destination);
  const port = Number(which);
  if (port > 65535) throw new QuestionError('BAD_PORT', which, 'a port from 0 to 65535');
  return [{ protocol, port }];
}

function namedPorts(
  protocol: Protocol,
  name: string,
  destination: Party,
): Pick<Traffic, 'protocol' | 'port'>[] {
  const ports = destination.kind === 'pod' ? destination.pod.ports : [];
  const numbers = ports
    .filter((port) => port.protocol === protocol && port.name === name)
    .map(({ port }) => port);
  if (numbers.length > 0) return [...new Set(numbers)].map((port) => ({ protocol, port }));
  const named = ports.filter((port) => port.name !== '').map((port) => `${port.protocol}/${port.name}`);
  const names = named.length === 0 ? 'which names none' : `such as ${someOf(named).join(', ')}`;
  const expected = `a port of ${describeParty(destination)}, ${names}, a number, or other for what has no ports`;
  throw new QuestionError('UNKNOWN_PORT', `${protocol}/${name}`, expected);
}

function describeDirection(
  cluster: Cluster,
  traffic: Traffic,
  direction: Direction,
  { allowed, by }: DirectionVerdict,
): string[] {
  const [subject, other] =
    direction === 'egress' ? [traffic.source, traffic.destination] : [traffic.destination, traffic.source];
  const head = `  ${direction} ${direction === 'egress' ? 'from' : 'to'} ${nameOf(subject)}: ${allowed ? 'allowed' : 'denied'}`;
  switch (by.kind) {
    case 'self':
      return [`${head}, a pod always reaches itself`];
    case 'own-node':
      return [`${head}, a pod and its node always reach each other`];
    case 'no-subject':
      return [`${head}, policies are only about pods with a network of their own`];
    case 'not-isolated':
      return [`${head}, no policy isolates it for ${direction}`];
    case 'rule': {
      const list = direction === 'egress' ? 'to' : 'from';
      const where = [
        by.peer === undefined ? `any ${list}` : `${list}[${by.peer}]`,
        by.port === undefined ? 'any port' : `ports[${by.port}]`,
      ];
      return [`${head} by ${describePolicy(by.policy)} ${direction}[${by.rule}] (${where.join(', ')})`];
    }
    case 'isolated':
      return [
        `${head}, isolated by ${someOf(by.policies.map(describePolicy)).join(', ')}, and no rule of theirs allows it`,
        ...someOf(
          by.near.map(({ policy, rule, lacks }) => {
            const has = lacks === 'peer' ? 'port, but not the peer' : 'peer, but not the port';
            return `near: ${describePolicy(policy)} ${direction}[${rule}] has the ${has}`;
          }),
        ).map((line) => `    ${line}`),
        `    needed: ${describeNeed(cluster, traffic, direction, subject, other)}`,
      ];
  }
}

/** The rule that would allow it. */
function describeNeed(
  cluster: Cluster,
  traffic: Traffic,
  direction: Direction,
  subject: Party,
  other: Party,
): string {
  const namespace = subject.kind === 'pod' ? subject.pod.namespace : '';
  const labels = subject.kind === 'pod' ? subject.pod.labels : {};
  const peer =
    other.kind === 'pod'
      ? `pods labelled ${describeLabels(other.pod.labels)}, namespace ${other.pod.namespace} labelled ${describeLabels(cluster.namespaceLabels(other.pod.namespace))}`
      : `ipBlock with ${formatAddress(other.address)}`;
  const ports = traffic.protocol === 'other' ? 'all ports' : describePort(traffic);
  return `a NetworkPolicy of namespace ${namespace} that selects ${describeLabels(labels)}, with an ${direction} rule for ${ports} ${direction === 'egress' ? 'to' : 'from'} ${peer}`;
}

/** The first of many, and how many more there are. */
function someOf(lines: readonly string[]): readonly string[] {
  return lines.length <= MOST ? lines : [...lines.slice(0, MOST - 1), `${lines.length - MOST + 1} more`];
}

const MOST = 10;

function describeParty(party: Party): string {
  const address = party.address === undefined ? 'no address yet' : formatAddress(party.address);
  return party.kind === 'outside' ? address : `${nameOf(party)} (${address})`;
}

function nameOf(party: Party): string {
  if (party.kind === 'pod') return `${party.pod.namespace}/${party.pod.name}`;
  return party.kind === 'node' ? `node ${party.node}` : formatAddress(party.address);
}

function describePort({ protocol, port }: Pick<Traffic, 'protocol' | 'port'>): string {
  return protocol === 'other' ? 'other protocols' : `${protocol}/${port}`;
}

function describePolicy({ kind, namespace, name }: PolicyName): string {
  return namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

function describeLabels(labels: Labels): string {
  const entries = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return entries.length === 0 ? '(nothing)' : entries.sort().join(',');
}
