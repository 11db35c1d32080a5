import type { AddressPrefix } from '#datastore/address.ts';
import type { Protocol } from '#proto/ports.ts';

export interface ProtocolPort {
  readonly protocol: Protocol;
  readonly port: number;
}

/** What of the ruleset does not come from policies or pods. */
export interface DataplaneSettings {
  /** Whether a pod may begin a connection to the node that it runs on. */
  readonly podToHost: 'accept' | 'drop';
  /** Whether the node may begin a connection to a pod of its own. */
  readonly hostToPod: 'accept' | 'drop';
  /** Ports of the node that pods reach whatever `podToHost` says, so that nobody is locked out. */
  readonly failsafeInbound: readonly ProtocolPort[];
  /** Ports of pods that the node reaches whatever `hostToPod` says. */
  readonly failsafeOutbound: readonly ProtocolPort[];
  /** Addresses of services. A packet that still bears one after the service proxy would go round in circles. */
  readonly serviceRanges: readonly AddressPrefix[];
  /** Ranges whose pods leave the cluster by the node's address. */
  readonly natOutgoing: readonly AddressPrefix[];
  /** Destinations that are reached by the pod's own address all the same. */
  readonly natExcluded: readonly AddressPrefix[];
}

export const DEFAULT_SETTINGS: DataplaneSettings = {
  podToHost: 'accept',
  hostToPod: 'accept',
  failsafeInbound: [],
  failsafeOutbound: [],
  serviceRanges: [],
  natOutgoing: [],
  natExcluded: [],
};

/** What Calico keeps open: SSH, DHCP, BGP, etcd and the API server, and what the node itself needs to get at them. */
export const DEFAULT_FAILSAFE: Readonly<Record<'inbound' | 'outbound', readonly ProtocolPort[]>> = {
  inbound: [
    { protocol: 'TCP', port: 22 },
    { protocol: 'UDP', port: 68 },
    ...tcp(179, 2379, 2380, 5473, 6443, 6666, 6667),
  ],
  outbound: [
    { protocol: 'UDP', port: 53 },
    { protocol: 'UDP', port: 67 },
    ...tcp(179, 2379, 2380, 5473, 6443, 6666, 6667),
  ],
};

function tcp(...ports: readonly number[]): ProtocolPort[] {
  return ports.map((port) => ({ protocol: 'TCP', port }));
}
