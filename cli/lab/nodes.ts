/**
 * What the daemons of a lab's nodes say, asked over their sockets.
 */

import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { nodeFiles } from '#lab/node-config.ts';
import type { NodePlace } from '#lab/topology.ts';
import { bgpService } from '#proto/bgp.ts';
import { connect } from '#proto/client.ts';
import { felixService } from '#proto/felix.ts';
import { margay } from '#proto/generated/bgp.js';

export type Neighbor = margay.bgp.v1.INeighbor;

/** What a node's speaker says of its sessions; none while it does not answer. */
export async function neighborsOf(labFolder: string, node: string): Promise<readonly Neighbor[]> {
  const speaker = connect(bgpService, `unix:${nodeFiles(labFolder, node).socket('bgp')}`);
  try {
    return (await speaker.listNeighbors({}, { timeoutMs: 2000 })).neighbors;
  } catch {
    return [];
  } finally {
    speaker.close();
  }
}

/** Whether a node's agent is connected to the policy engine, and the kernel has what it was told. */
export async function isInSync(labFolder: string, node: string): Promise<boolean> {
  const agent = connect(felixService, `unix:${nodeFiles(labFolder, node).socket('felix')}`);
  try {
    const { policy, dataplane } = await agent.getStatus({}, { timeoutMs: 2000 });
    return policy?.connected === true && dataplane?.inSync === true;
  } catch {
    return false;
  } finally {
    agent.close();
  }
}

export function isEstablished({ state }: Neighbor): boolean {
  return state === margay.bgp.v1.SessionState.ESTABLISHED;
}

/** A route of a node's kernel as tables show it. */
export interface KernelRoute {
  readonly destination: string;
  readonly via: string;
  readonly setBy: string;
}

/** The routes of a node, without those that the kernel makes of its addresses. */
export function kernelRoutes(node: NodePlace): KernelRoute[] {
  using namespace = NetworkNamespace.named(node.netns);
  using rt = Rtnetlink.open(namespace);
  const names = new Map(rt.links.list().map(({ index, name }) => [index, name]));
  return rt.routes
    .list({ table: MAIN })
    .filter(({ protocol }) => protocol !== RTPROT_KERNEL)
    .map(({ destination, type, nextHops = [], protocol }) => ({
      destination,
      via:
        type === 'unicast'
          ? nextHops
              .map(({ gateway, link }) =>
                [gateway, `dev ${names.get(link ?? 0) ?? '?'}`].filter(Boolean).join(' '),
              )
              .join(', ')
          : type,
      setBy: SET_BY[protocol] ?? `protocol ${protocol}`,
    }))
    .sort((a, b) => a.destination.localeCompare(b.destination, 'en', { numeric: true }));
}

const MAIN = 254;
/** linux/rtnetlink.h */
const RTPROT_KERNEL = 2;

const SET_BY: Readonly<Record<number, string>> = { 109: 'margay bgp', 110: 'margay felix' };
