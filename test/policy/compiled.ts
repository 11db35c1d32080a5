/**
 * A cluster of compiled nodes: what packets would meet, to be held against the reference evaluator.
 */

import { type AddressKey, formatAddress } from '#datastore/address.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import { keyOf, type Resource } from '#datastore/resource.ts';
import type { Change } from '#datastore/source.ts';
import { Compiler, type CompilerOptions } from '#policy/compiler/compiler.ts';
import { type Cluster, hasOwnNetwork } from '#policy/evaluator/cluster.ts';
import type { Party, Traffic } from '#policy/evaluator/traffic.ts';
import { NodeProgram } from '#policy/program/node-program.ts';
import { DIRECTIONS, type Direction } from '#proto/program.ts';

/** Compiles for all nodes and keeps what they are told. */
export class CompiledCluster {
  readonly compiler: Compiler;
  readonly programs = new Map<string, NodeProgram>();

  constructor(nodes: Iterable<string>, options: CompilerOptions = {}) {
    this.compiler = new Compiler(options);
    for (const node of nodes) this.open(node);
  }

  open(node: string): () => void {
    const program = new NodeProgram();
    this.programs.set(node, program);
    return this.compiler.open(node, program);
  }

  apply(changes: Iterable<Change>): void {
    this.compiler.apply(changes);
    this.compiler.flush();
  }

  /** What becomes of a connection: each end's node looks it up. */
  allows({ source, destination, protocol, port }: Traffic): boolean {
    const side = (subject: Party, peer: Party, direction: Direction) => {
      // Nodes look at what they forward: not at what is their own, nor at what a pod sends to itself.
      if (subject.kind !== 'pod' || isOwnNode(subject.pod, peer) || isSelf(subject.pod, peer)) return true;
      const { namespace, name, nodeName } = subject.pod;
      const program = this.programs.get(nodeName);
      return program?.lookUp(direction, `${namespace}/${name}`, peer.address!, protocol, port) === 'accept';
    };
    return side(source, destination, 'egress') && side(destination, source, 'ingress');
  }
}

function isOwnNode(pod: Pod, peer: Party): boolean {
  return peer.kind === 'node' && peer.node === pod.nodeName;
}

function isSelf(pod: Pod, peer: Party): boolean {
  return peer.kind === 'pod' && peer.pod === pod;
}

/** Everything that programs say, in an order of its own. */
export function describePrograms(programs: ReadonlyMap<string, NodeProgram>): unknown {
  return sorted([...programs], ([node, program]) => [node, describeProgram(program)]);
}

export function describeProgram(program: NodeProgram): unknown {
  const endpoints = sorted([...program.endpoints], ([pod, { uid, addresses, ingress, egress }]) => [
    pod,
    uid,
    addresses.map(formatAddress),
    ...[ingress, egress].map(({ isolated, anyPeer, otherwise }) => [isolated, anyPeer.text, otherwise.text]),
  ]);
  const directions = DIRECTIONS.map((direction) => {
    const { classes, addresses, blocks } = program[direction];
    return {
      direction,
      classes: sorted([...classes], ([id, entries]) => [
        id,
        sorted([...entries], ([pod, verdicts]) => [pod, verdicts.text]),
      ]),
      addresses: sorted([...addresses], ([address, id]) => [formatAddress(address), id]),
      blocks: [4, 6].map((family) =>
        blocks[family as 4 | 6].map(({ first, last, class: id }) => [
          formatAddress(first),
          formatAddress(last),
          id,
        ]),
      ),
    };
  });
  return { endpoints, directions };
}

function sorted<T>(items: readonly T[], describe: (item: T) => unknown[]): unknown[] {
  return items.map(describe).sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1));
}

/** Nodes that some pod runs on. */
export function nodesOf(resources: readonly Resource[]): string[] {
  const pods = resources.filter((resource) => resource.kind === 'Pod' && hasOwnNetwork(resource));
  return [...new Set(pods.map((pod) => (pod.kind === 'Pod' ? pod.nodeName : '')))];
}

export function puts(resources: readonly Resource[]): Change[] {
  return resources.map((resource) => ({ type: 'put', resource }));
}

/** What leads from one state to another. */
export function changesBetween(before: readonly Resource[], after: readonly Resource[]): Change[] {
  const keys = new Set(after.map(keyOf));
  const gone = before.map(keyOf).filter((key) => !keys.has(key));
  return [...gone.map((key): Change => ({ type: 'delete', key })), ...puts(after)];
}

export function trafficAt(
  cluster: Cluster,
  from: AddressKey,
  to: AddressKey,
  { protocol, port }: Pick<Traffic, 'protocol' | 'port'>,
): Traffic {
  return { source: cluster.partyAt(from), destination: cluster.partyAt(to), protocol, port };
}
