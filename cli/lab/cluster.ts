/**
 * The pods of a lab as ends of connections.
 */

import { loadPath } from '#datastore/directory/load.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import { TIERS } from '#lab/application.ts';
import type { Source, Target } from '#lab/probe.ts';
import { podNamespace, type Topology } from '#lab/topology.ts';

/** An end of connections, with what tables say of it. */
export interface End {
  /** `shop/api-1`, or `outside`. */
  readonly name: string;
  /** What ends that are alike have in common: `shop/api`. */
  readonly group: string;
  /** Where it runs; empty for the outside. */
  readonly node: string;
  readonly source: Source;
  /** What it listens on. */
  readonly targets: readonly Target[];
}

/** The name of the row that stands for the world outside of the cluster. */
export const OUTSIDE = 'outside';

export async function readObjects(datastore: string): Promise<readonly Resource[]> {
  return (await loadPath(datastore)).resources;
}

/** The world, and the pods that have their addresses, tier by tier. */
export function endsOf(topology: Topology, resources: readonly Resource[]): End[] {
  const pods = resources.filter((resource) => resource.kind === 'Pod').filter(isUp);
  const outside: End = {
    name: OUTSIDE,
    group: OUTSIDE,
    node: '',
    source: { name: OUTSIDE, netns: topology.tor.netns, addresses: topology.tor.outside },
    targets: [],
  };
  return [outside, ...pods.sort(inOrder).map((pod) => endOf(topology, pod))];
}

/** Each source with each target that is not itself. */
export function pairsOf(ends: readonly End[]): [Source, Target][] {
  return ends.flatMap(({ source }) =>
    ends
      .filter(({ name }) => name !== source.name)
      .flatMap(({ targets }) => targets.map((target): [Source, Target] => [source, target])),
  );
}

function isUp(pod: Pod): boolean {
  return pod.addresses.length > 0 && !pod.hostNetwork && !pod.finished;
}

function endOf(topology: Topology, pod: Pod): End {
  const name = `${pod.namespace}/${pod.name}`;
  const ports = pod.ports.filter(({ protocol }) => protocol === 'TCP').map(({ port }) => port);
  return {
    name,
    group: `${pod.namespace}/${pod.labels.app ?? pod.name}`,
    node: pod.nodeName,
    source: { name, netns: podNamespace(topology.name, pod.namespace, pod.name) },
    targets: [...new Set(ports)].map((port) => ({ name, addresses: pod.addresses, port })),
  };
}

/** The tiers of the example in their order, and after them what else is in their namespaces; then all others by name. */
function inOrder(a: Pod, b: Pod): number {
  const rank = (isIt: (plan: (typeof TIERS)[number]) => boolean): number => {
    const index = TIERS.findIndex(isIt);
    return index < 0 ? TIERS.length : index;
  };
  const rankOfNamespace = ({ namespace }: Pod): number => rank((plan) => plan.namespace === namespace);
  const rankOfTier = ({ namespace, labels }: Pod): number =>
    rank((plan) => plan.namespace === namespace && plan.tier === labels.app);
  return (
    rankOfNamespace(a) - rankOfNamespace(b) ||
    a.namespace.localeCompare(b.namespace) ||
    rankOfTier(a) - rankOfTier(b) ||
    a.name.localeCompare(b.name, 'en', { numeric: true })
  );
}
