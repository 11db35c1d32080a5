/**
 * Nodes and configurations of small clusters.
 */

import type { ClusterFacts, NodeFacts } from '#bgp/cluster/facts.ts';
import { type ClusterSpeaker, speakerOf } from '#bgp/cluster/speaker-config.ts';
import type { FileConfig } from '#bgp/config/model.ts';
import { loadFile } from '../config/config.ts';

/** A configuration file that is the same on all nodes; `NODE_NAME` says which one this is. */
export function clusterFile(node: string, more = '', cluster = ''): FileConfig {
  return loadFile(`as: 64512\ndatastore: {directory: /objects}\ncluster: {${cluster}}\n${more}`, {}, node);
}

/** Node number `k`, with both families. */
export function nodeFacts(k: number): NodeFacts {
  return {
    name: `n${k}`,
    addresses: [`10.0.0.${k}`, `fd00::${k.toString(16)}`],
    podCidrs: [`10.244.${k}.0/24`, `fd00:244:${k.toString(16)}::/64`],
  };
}

/** What a node knows of a cluster that it is in. */
export function factsFor(name: string, nodes: readonly NodeFacts[], labels = {}): ClusterFacts {
  const own = nodes.find((node) => node.name === name)!;
  return { own: { ...own, labels }, others: nodes.filter((node) => node !== own) };
}

export function speakerFor(
  name: string,
  nodes: readonly NodeFacts[],
  { more = '', cluster = '', labels = {} } = {},
): ClusterSpeaker {
  return speakerOf(clusterFile(name, more, cluster), factsFor(name, nodes, labels));
}
