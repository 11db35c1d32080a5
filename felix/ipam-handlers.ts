/**
 * The service of ipam.proto.
 */

import { type AddressKey, formatAddress, parseAddress } from '#datastore/address.ts';
import { RpcError } from '#proto/error.ts';
import type { margay } from '#proto/generated/ipam.js';
import type { ipamService } from '#proto/ipam.ts';
import type { Handlers } from '#proto/server.ts';
import type { PodNetwork } from './endpoints/pod-network.ts';

/** @param pods undefined where the agent does not wire pods, or as long as the network is not there */
export function ipamHandlers(
  pods: (() => { readonly network: PodNetwork | undefined; readonly waitsFor: string }) | undefined,
): Handlers<typeof ipamService> {
  const network = (): PodNetwork => {
    const found = pods?.();
    if (found?.network !== undefined) return found.network;
    if (found !== undefined) throw new RpcError('FAILED_PRECONDITION', `no addresses yet: ${found.waitsFor}`);
    throw new RpcError('FAILED_PRECONDITION', 'this agent gives no addresses: its configuration has no pods');
  };
  return {
    show: () => show(network()),
    check: () => check(network()),
    release: (request) => release(network(), request.address, request.force),
  };
}

function show({ ipam, endpoints }: PodNetwork): margay.ipam.v1.IShowResponse {
  const allocations: [AddressKey, margay.ipam.v1.IAllocation][] = [];
  for (const [owner, addresses] of ipam.allocator.allocations) {
    const endpoint = endpoints.all.get(owner);
    for (const address of addresses) {
      const about = { interface: owner, pod: endpoint?.pod ?? '', containerId: endpoint?.containerId ?? '' };
      allocations.push([address, { address: formatAddress(address), ...about }]);
    }
  }
  // IPv4 in front; among those of a family the keys sort as the addresses do.
  allocations.sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1));
  return {
    pools: ipam.allocator.pools.map((pool) => ({
      cidr: pool.text,
      size: Number(pool.size),
      used: pool.used,
      reserved: pool.reserved.map(({ first, last }) =>
        first === last ? formatAddress(first) : `${formatAddress(first)}-${formatAddress(last)}`,
      ),
    })),
    allocations: allocations.map(([, allocation]) => allocation),
  };
}

function check(network: PodNetwork): margay.ipam.v1.ICheckResponse {
  const { ipam, endpoints } = network;
  const findings: margay.ipam.v1.IFinding[] = [];
  let count = 0;
  for (const [owner, addresses] of ipam.allocator.allocations) {
    count += addresses.length;
    if (endpoints.all.has(owner)) continue;
    for (const address of addresses)
      findings.push({
        object: formatAddress(address),
        text: `it is ${owner}'s, and there is no such endpoint`,
        leak: true,
      });
  }
  for (const endpoint of endpoints.all.values()) {
    const gone = network.isGone(endpoint);
    const texts = gone
      ? ['its interface and its namespace are gone, and nobody has removed it']
      : network.check(endpoint);
    for (const address of endpoint.addresses) {
      if (ipam.allocator.ownerOf(address) !== endpoint.hostInterface)
        texts.push(`${formatAddress(address)} is given to ${ipam.allocator.ownerOf(address) ?? 'nobody'}`);
    }
    for (const text of texts) findings.push({ object: endpoint.hostInterface, text, leak: gone });
  }
  return { addresses: count, findings };
}

async function release(
  network: PodNetwork,
  text: string,
  force: boolean,
): Promise<margay.ipam.v1.IReleaseResponse> {
  const { ipam, endpoints } = network;
  const address = parseAddress(text);
  if (address === undefined)
    throw new RpcError(
      'INVALID_ARGUMENT',
      `address: found ${JSON.stringify(text)}, expected an IPv4 or IPv6 address`,
    );
  const owner = ipam.allocator.ownerOf(address);
  if (owner === undefined) throw new RpcError('NOT_FOUND', `${formatAddress(address)} is not in use`);
  const endpoint = endpoints.all.get(owner);
  if (endpoint !== undefined && !force && !network.isGone(endpoint)) {
    const whose = endpoint.pod ?? `container ${endpoint.containerId}`;
    throw new RpcError(
      'FAILED_PRECONDITION',
      `${formatAddress(address)} is in use by ${whose} (${owner}); --force cuts it off`,
    );
  }
  const released = (ipam.allocator.allocations.get(owner) ?? []).map(formatAddress);
  await endpoints.removeOwner(owner);
  return { released };
}
