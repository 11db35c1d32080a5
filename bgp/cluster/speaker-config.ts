/**
 * From the nodes of a cluster to the configuration of the speaker on one of them. A function of its arguments alone; the speaker puts
 * the difference to what it has into force.
 */

import { createHash } from 'node:crypto';
import { type Address, parseAddress, parsePrefix } from '#bgp/config/address.ts';
import type {
  ClusterConfig,
  FileConfig,
  OriginateConfig,
  PeerConfig,
  SpeakerConfig,
} from '#bgp/config/model.ts';
import { resolvePeer } from '#bgp/config/resolve.ts';
import { OWN_PREFIXES, POD_CIDRS } from '#bgp/filter/builtin.ts';
import type { Filter } from '#bgp/filter/types.ts';
import { formatPrefix, type Prefix } from '#bgp/wire/address.ts';
import { getU32 } from '#bgp/wire/bytes.ts';
import {
  parseAddress as addressKey,
  familyOf,
  parsePrefix as prefixOf,
  rangeOf,
} from '#datastore/address.ts';
import { isSelected } from '#datastore/label-selector.ts';
import type { ClusterFacts, NodeFacts } from './facts.ts';

export type ClusterSpeaker = {
  readonly config: SpeakerConfig;
  /** What of the nodes is not as a mesh needs it, in words, each with the object and the field. */
  readonly problems: readonly string[];
};

/**
 * - The router id is the node's IPv4 InternalIP; without one, 32 bits of the hash of its name.
 * - Its pod CIDRs are originated, beside what the file has.
 * - With the mesh, all addresses of all other nodes are internal neighbours. Each is believed its own pod CIDRs and is told ours, unless the
 *   peer group of the mesh names other filters. An address that several nodes have is one neighbour, believed the pod CIDRs of each.
 * - Neighbours of the file stay as they are, where their selector selects this node. One that is a node too counts as the file has it.
 * - The filter `pod-cidrs` is that of all nodes' pod CIDRs, ours among them.
 */
export function speakerOf({ speaker, cluster }: FileConfig, facts: ClusterFacts): ClusterSpeaker {
  if (cluster === undefined) return { config: speaker, problems: [] };
  const { own, others } = facts;
  const problems = [...ownProblems(own), ...overlapProblems([own, ...others])];
  const routerId = cluster.fixedRouterId ? speaker.routerId : routerIdOf(own);
  if (!cluster.fixedRouterId) problems.push(...identifierProblems(routerId, own, others));
  const fromFile = speaker.peers.filter(({ key }) => {
    const selector = cluster.selectors.get(key);
    return selector === undefined || isSelected(selector, own.labels);
  });
  const mesh = meshOf(cluster, speaker, facts, new Set(fromFile.map(({ key }) => key)));
  problems.push(...mesh.problems);
  const config: SpeakerConfig = {
    ...speaker,
    routerId,
    clusterId: cluster.fixedClusterId ? speaker.clusterId : routerId,
    originate: originated(speaker, own),
    peers: [...fromFile, ...mesh.peers],
    filters: new Map([
      ...speaker.filters,
      [POD_CIDRS, exactly(POD_CIDRS, [own, ...others])] as const,
      ...mesh.filters.map((filter) => [filter.name, filter] as const),
    ]),
  };
  return { config, problems };
}

/** BGP Identifier, in host order. */
export function routerIdOf({ name, addresses }: Pick<NodeFacts, 'name' | 'addresses'>): number {
  for (const text of addresses) {
    const address = parseAddress(text);
    if (address?.family === 4 && isUsable(address)) return getU32(address.bytes, 0);
  }
  // 0 is no identifier (RFC 6286 section 2.1).
  return createHash('sha256').update(name).digest().readUInt32BE(0) || 1;
}

type Mesh = { readonly peers: PeerConfig[]; readonly filters: Filter[]; readonly problems: string[] };

function meshOf(
  { mesh }: ClusterConfig,
  { as }: SpeakerConfig,
  { own, others }: ClusterFacts,
  taken: ReadonlySet<string>,
): Mesh {
  const peers: PeerConfig[] = [];
  const filters: Filter[] = [];
  const problems: string[] = [];
  if (mesh === undefined) return { peers, filters, problems };
  const owners = new Map(own.addresses.map((address) => [address, own.name]));
  const sources = new Map(own.addresses.map((text) => [familyOf(addressKey(text)!), parseAddress(text)]));
  const claims = claimsOf(others);
  for (const node of others) {
    const filter = exactly(filterOf(node), [node]);
    let isNeighbour = false;
    for (const text of node.addresses) {
      const owner = owners.get(text);
      const address = parseAddress(text);
      if (owner !== undefined || address === undefined || !isUsable(address)) {
        const expected =
          owner === undefined
            ? 'an address that others can reach'
            : `an address of its own, as ${owner} has it`;
        problems.push(`Node ${node.name}: status.addresses: found InternalIP ${text}, expected ${expected}`);
        continue;
      }
      owners.set(text, node.name);
      // An address of ours in the family there has to be, to speak from and to be the next hop.
      const source = sources.get(address.family);
      if (taken.has(text) || source === undefined) continue;
      const claimants = claims.get(text)!;
      const shared = claimants.length > 1 ? exactly(`${POD_CIDRS}@${text}`, claimants) : undefined;
      if (shared === undefined) isNeighbour = true;
      else filters.push(shared);
      const { fields, password } = mesh;
      peers.push(
        resolvePeer(
          {
            description: `node ${node.name}`,
            import: [(shared ?? filter).name],
            export: [OWN_PREFIXES.name],
            sourceAddress: source,
            ...fields,
            address,
          },
          as,
          password,
        ),
      );
    }
    if (isNeighbour) filters.push(filter);
  }
  return { peers, filters, problems };
}

/**
 * The nodes that have an address. Where there are several it can not be told which of them is there: a machine that was given another
 * name leaves an object of its old one behind. So the neighbour at that address, and at no other of theirs, is believed what each has.
 */
function claimsOf(nodes: readonly NodeFacts[]): Map<string, NodeFacts[]> {
  const claims = new Map<string, NodeFacts[]>();
  for (const node of nodes)
    for (const text of node.addresses) claims.set(text, [...(claims.get(text) ?? []), node]);
  return claims;
}

function filterOf({ name }: NodeFacts): string {
  return `${POD_CIDRS}/${name}`;
}

/** The pod CIDRs of these nodes, and nothing within them. */
function exactly(name: string, nodes: readonly NodeFacts[]): Filter {
  const prefixes = nodes.flatMap(({ podCidrs }) => prefixesOf(podCidrs)).map((prefix) => ({ prefix }));
  return { name, statements: [{ match: { prefixes }, action: 'accept' }], otherwise: 'reject' };
}

function originated({ originate }: SpeakerConfig, { podCidrs }: NodeFacts): OriginateConfig[] {
  const given = new Set(originate.map(({ prefix }) => formatPrefix(prefix)));
  const pods = prefixesOf(podCidrs).filter((prefix) => !given.has(formatPrefix(prefix)));
  return [...originate, ...pods.map((prefix) => ({ prefix, blackhole: true, communities: [] }))];
}

function prefixesOf(texts: readonly string[]): Prefix[] {
  return texts.flatMap((text) => parsePrefix(text) ?? []);
}

function ownProblems({ name, addresses, podCidrs }: NodeFacts): string[] {
  const problems: string[] = [];
  if (podCidrs.length === 0)
    problems.push(
      `Node ${name}: spec.podCIDRs: found nothing, expected the pod CIDRs of this node; none is announced`,
    );
  if (addresses.length === 0)
    problems.push(
      `Node ${name}: status.addresses: found no InternalIP, expected one; there are no sessions with nodes`,
    );
  for (const family of [4, 6] as const) {
    const has = (texts: readonly string[]) => texts.some((text) => (text.includes(':') ? 6 : 4) === family);
    if (addresses.length > 0 && has(podCidrs) && !has(addresses))
      problems.push(
        `Node ${name}: status.addresses: found no IPv${family} InternalIP, expected one, as spec.podCIDRs has IPv${family}`,
      );
  }
  return problems;
}

function identifierProblems(routerId: number, own: NodeFacts, others: readonly NodeFacts[]): string[] {
  return others
    .filter(
      (node) => routerIdOf(node) === routerId && !own.addresses.some((each) => node.addresses.includes(each)),
    )
    .map(
      ({ name }) =>
        `Node ${own.name}: found the same router id as of ${name}, expected another; give one of them a routerId`,
    );
}

/** Of pod CIDRs that overlap, one name each. */
function overlapProblems(nodes: readonly NodeFacts[]): string[] {
  const ranges = nodes.flatMap(({ name, podCidrs }) =>
    podCidrs.map((text) => ({ name, text, ...rangeOf(prefixOf(text)!) })),
  );
  ranges.sort(
    (a, b) => a.first.length - b.first.length || (a.first < b.first ? -1 : a.first > b.first ? 1 : 0),
  );
  const problems: string[] = [];
  let widest: (typeof ranges)[number] | undefined;
  for (const range of ranges) {
    if (widest !== undefined && widest.first.length === range.first.length && range.first <= widest.last) {
      if (widest.name !== range.name)
        problems.push(
          `Node ${range.name}: spec.podCIDRs: found ${range.text}, expected one apart from ${widest.text} of ${widest.name}`,
        );
      if (range.last <= widest.last) continue;
    }
    widest = range;
  }
  return problems;
}

/** Neither unspecified nor loopback, link-local or multicast. */
function isUsable({ family, bytes }: Address): boolean {
  const [first = 0, second = 0] = bytes;
  if (family === 4) return first !== 0 && first !== 127 && first < 224 && !(first === 169 && second === 254);
  return (
    first !== 0xff &&
    !(first === 0xfe && (second & 0xc0) === 0x80) &&
    bytes.slice(0, 15).some((byte) => byte !== 0)
  );
}
