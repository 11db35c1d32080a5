import { writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { bgpService } from '#proto/bgp.ts';
import { connect, type RpcClient } from '#proto/client.ts';
import { margay } from '#proto/generated/bgp.js';
import { type NodeFiles, torConfig } from '../node-config.ts';
import { type Family, type NeighbourState, type PeerRoute, sortCommunities } from '../peers/description.ts';
import type { DaemonProcess } from '../peers/driver.ts';
import type { Margay } from '../program.ts';
import type { Topology } from '../topology.ts';
import type { TorDriver } from './tor.ts';

const v1 = margay.bgp.v1;

/** Margay's own speaker as the router, asked over its socket. */
export class MargayTorDriver implements TorDriver {
  readonly processes: readonly DaemonProcess[];
  readonly #topology: Topology;
  readonly #files: NodeFiles;
  readonly #api: RpcClient<typeof bgpService>;

  constructor(topology: Topology, files: NodeFiles, margay: Margay) {
    this.#topology = topology;
    this.#files = files;
    this.#api = connect(bgpService, `unix:${files.socket('bgp')}`);
    this.processes = [
      {
        command: margay.command,
        args: [...margay.args, 'bgp', '--config', files.config('bgp')],
        ready: async () => (await this.#api.getStatus({}, { timeoutMs: 2000 })).routerId !== '',
      },
    ];
  }

  configure(): void {
    writeFileSync(this.#files.config('bgp'), stringify(torConfig(this.#topology, this.#files)));
  }

  async neighbours(): Promise<NeighbourState[]> {
    const { neighbors } = await this.#api.listNeighbors({});
    return neighbors.map((raw) => ({
      address: raw.address ?? '',
      asn: raw.remoteAs ?? 0,
      state: (v1.SessionState[raw.state ?? 0] ?? 'IDLE').toLowerCase() as NeighbourState['state'],
      routerId: raw.remoteRouterId || undefined,
      holdTime: raw.timers?.holdNegotiated ?? undefined,
      raw,
    }));
  }

  async routes(family: Family): Promise<PeerRoute[]> {
    const found: PeerRoute[] = [];
    const request = {
      table: v1.ListRoutesRequest.Table.LOC_RIB,
      family: family === 'ipv4' ? v1.Family.IPV4_UNICAST : v1.Family.IPV6_UNICAST,
    };
    for await (const batch of this.#api.listRoutes(request)) {
      for (const { prefix, paths } of batch.routes) {
        for (const path of paths ?? []) found.push(toRoute(prefix ?? '', path));
      }
    }
    return found;
  }
}

function toRoute(prefix: string, path: margay.bgp.v1.IPath): PeerRoute {
  const attributes = path.attributes;
  const from = path.neighbor || undefined;
  return {
    prefix,
    from,
    best: path.best === true,
    nextHop: from === undefined ? undefined : attributes?.nextHop || undefined,
    asPath: attributes?.asPath ?? '',
    origin: attributes?.origin as PeerRoute['origin'],
    med: attributes?.med ?? undefined,
    localPreference: attributes?.localPreference ?? undefined,
    communities: sortCommunities(attributes?.communities ?? []),
    largeCommunities: sortCommunities(attributes?.largeCommunities ?? []),
    originatorId: undefined,
    clusterList: [],
  };
}
