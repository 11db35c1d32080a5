/**
 * The configuration of each daemon of a node, and of the router where that is Margay's speaker.
 */

import { join } from 'node:path';
import type { PeerDescription } from './peers/description.ts';
import type { NodePlace, Topology } from './topology.ts';

/** The daemons of a node, each by the word that follows `margay`. */
export type DaemonName = 'bgp' | 'policy' | 'felix';

/** Where the sockets and configuration of one node lie. */
export interface NodeFiles {
  readonly folder: string;
  readonly config: (daemon: DaemonName) => string;
  readonly socket: (daemon: DaemonName) => string;
  /** Where the CNI plugin finds the node's agent. */
  readonly cniSocket: string;
  /** What the agent keeps over restarts. */
  readonly state: string;
  readonly log: (daemon: DaemonName) => string;
}

/** The environment in which `margay` talks to the daemons of a node without being told where they are. */
export function nodeEnvironment(files: NodeFiles): Record<string, string> {
  return Object.fromEntries(
    (['bgp', 'policy', 'felix'] as const).map((daemon) => [
      `MARGAY_${daemon.toUpperCase()}_SOCKET`,
      files.socket(daemon),
    ]),
  );
}

export function nodeFiles(labFolder: string, node: string): NodeFiles {
  const folder = join(labFolder, node);
  return {
    folder,
    config: (daemon) => join(folder, `${daemon}.yaml`),
    socket: (daemon) => join(folder, `${daemon}.sock`),
    log: (daemon) => join(folder, `${daemon}.log`),
    cniSocket: join(folder, 'cni.sock'),
    state: join(folder, 'state'),
  };
}

/** The hold time of all sessions, in seconds: the least that RFC 4271 allows, so that a silent peer is found out soon. */
export const HOLD_TIME = 3;

/** Document of `margay bgp` on a node. */
export function bgpConfig(topology: Topology, node: NodePlace, files: NodeFiles): object {
  return {
    routerId: node.routerId,
    as: node.asn,
    listen: anyAddress(topology),
    originate: node.podCidrs.map((prefix) => ({ prefix })),
    peers: node.link.map(({ family, tor }) => ({
      address: tor,
      remoteAs: topology.tor.asn,
      description: family === 'ipv4' ? 'tor' : 'tor, IPv6',
      ttlSecurity: 1,
      families: {
        [`${family}-unicast`]: {
          import: 'routes',
          export: 'own-prefixes',
          maxPrefixes: { limit: 1000, restart: 30 },
        },
      },
      timers: { hold: HOLD_TIME, connectRetry: 1, idleHold: 1, idleHoldMax: 2 },
    })),
    filters: {
      routes: {
        statements: [
          {
            match: {
              prefixes: [
                ...topology.podNetworks.map(
                  (prefix) => `${prefix} ${prefix.includes(':') ? 'le 64' : 'le 26'}`,
                ),
                ...topology.tor.announces,
              ],
            },
            action: 'accept',
          },
        ],
        otherwise: 'reject',
      },
    },
    api: { socket: files.socket('bgp') },
    log: { level: 'info' },
  };
}

/** Document of `margay policy` on a node. */
export function policyConfig(datastore: string, files: NodeFiles): object {
  return {
    datastore: { directory: datastore },
    api: { socket: files.socket('policy') },
    log: { level: 'info' },
  };
}

/** Document of `margay felix` on a node. */
export function felixConfig(node: NodePlace, files: NodeFiles): object {
  return {
    node: node.name,
    policy: { address: `unix:${files.socket('policy')}` },
    api: { socket: files.socket('felix') },
    pods: { cidrs: node.podCidrs, stateFolder: files.state, cniSocket: files.cniSocket },
    log: { level: 'info' },
  };
}

/** Document of `margay bgp` as the router at the top. */
export function torConfig(topology: Topology, files: NodeFiles): object {
  const { tor, nodes } = topology;
  return {
    routerId: tor.routerId,
    as: tor.asn,
    listen: anyAddress(topology),
    originate: tor.announces.map((prefix) => ({ prefix })),
    peers: nodes.flatMap((node) =>
      node.link.map(({ family, node: address }) => ({
        address,
        remoteAs: node.asn,
        description: node.name,
        ttlSecurity: 1,
        families: { [`${family}-unicast`]: { import: 'accept', export: 'accept' } },
        timers: { hold: HOLD_TIME, connectRetry: 1, idleHold: 1, idleHoldMax: 2 },
      })),
    ),
    api: { socket: files.socket('bgp') },
    log: { level: 'info' },
  };
}

/** Of the families of the lab only: the kernel may not have the other one. */
function anyAddress({ families }: Topology): object[] {
  return families.map((family) => ({ address: family === 'ipv4' ? '0.0.0.0' : '::' }));
}

/** The router at the top as one of the other daemons is told of it. */
export function torDescription({ tor, nodes }: Topology): PeerDescription {
  return {
    asn: tor.asn,
    routerId: tor.routerId,
    announce: tor.announces.map((prefix) => ({ prefix })),
    ...(tor.kind === 'gobgpd' ? {} : { installRoutes: true }),
    neighbours: nodes.flatMap((node) =>
      node.link.map(({ node: address, family }) => ({
        address,
        asn: node.asn,
        families: [family],
        holdTime: HOLD_TIME,
        // Sends with TTL 255, which the nodes ask for.
        ttlSecurity: 1,
      })),
    ),
  };
}
