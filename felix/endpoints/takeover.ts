import type { Log } from '#daemon/log.ts';
import { type AddressKey, formatAddress, parseAddress } from '#datastore/address.ts';
import type { Link } from '#kernel/rtnetlink/link.ts';
import { INTERFACE_PREFIX } from '../endpoint.ts';
import type { Ipam } from '../ipam/ipam.ts';
import { StateError } from '../state/commits.ts';
import type { Endpoints } from './endpoints.ts';
import { openPodNamespace } from './endpoints.ts';
import type { Endpoint } from './model.ts';
import type { EndpointRecords } from './records.ts';
import { blockOf, isBlock } from './shaping.ts';
import type { NodeView, Wires } from './wires.ts';

/** What a starting felix found. */
export interface Takeover {
  readonly endpoints: number;
  /** Of them those whose record was damaged or lost, so that they were put together from what the kernel tells. */
  readonly rebuilt: number;
  /** Endpoints whose pod was gone, and addresses that belonged to nobody: released. */
  readonly leaks: number;
}

/**
 * Takes over what an earlier felix left: records, addresses, and interfaces in the kernel, each checked against the others.
 * An interface is there only if its record was written before, so one without a record is that of a pod whose record was
 * lost: it is kept, with what the kernel knows of it.
 */
export function takeOver(
  parts: { readonly ipam: Ipam; readonly records: EndpointRecords; readonly wires: Wires; readonly log: Log },
  endpoints: Endpoints,
): Takeover {
  const { ipam, records, wires, log } = parts;
  if (ipam.damage !== undefined)
    log.error(
      { damage: ipam.damage },
      'the addresses on disk are damaged; they are taken from the endpoints and the kernel',
    );
  const { endpoints: recorded, damaged } = records.load();
  for (const { what } of damaged) log.error({ damage: what }, 'the record of an endpoint is damaged');
  const view = wires.view();
  let leaks = 0;
  let rebuilt = 0;
  // Of two sandboxes of a pod the one that was made later counts, and the kernel numbers interfaces as they come.
  const indexOf = (endpoint: Endpoint): number => view.links.get(endpoint.hostInterface)?.index ?? 0;
  recorded.sort((a, b) => indexOf(a) - indexOf(b));
  const [alive, gone] = [true, false].map((is) =>
    recorded.filter((endpoint) => isAlive(endpoint, view) === is),
  );
  for (const endpoint of gone!) {
    leaks++;
    log.warn(about(endpoint), 'the pod of an endpoint is gone; its addresses are released');
    onDisk(() => records.remove(endpoint.hostInterface));
    ipam.release(endpoint.hostInterface);
    endpoints.forgetFlows(endpoint.addresses);
  }
  // Before the records are read: one that is newer than the file may have an address that the file gives to another.
  const known = new Set(alive!.map((endpoint) => endpoint.hostInterface));
  for (const [owner, addresses] of [...ipam.allocator.allocations]) {
    if (known.has(owner) || view.links.has(owner)) continue;
    leaks++;
    log.warn({ owner, addresses: addresses.map(formatAddress) }, 'addresses of no endpoint are released');
    ipam.release(owner);
    endpoints.forgetFlows(addresses);
  }
  for (const endpoint of alive!) adopt(endpoint);
  for (const link of view.links.values()) {
    if (!isOurs(link) || endpoints.all.has(link.name)) continue;
    const endpoint = rebuild(link, view, ipam);
    if (endpoint === undefined) {
      log.warn({ interface: link.name }, 'an interface without record and addresses is removed');
      wires.remove(link.name);
      continue;
    }
    rebuilt++;
    log.error(
      about(endpoint),
      'an endpoint without record is taken over as the kernel has it; it has no host ports now',
    );
    adopt(endpoint);
    onDisk(() => records.write(endpoint));
  }
  const blocks = new Set(
    [...endpoints.all.values()]
      .filter((each) => each.bandwidth?.egress)
      .map((each) => blockOf(each.hostInterface)),
  );
  for (const { name, kind } of view.links.values())
    if (kind === 'ifb' && isBlock(name) && !blocks.has(name)) wires.rtnetlink.links.delete(name);
  for (const { hostInterface } of damaged)
    if (!endpoints.all.has(hostInterface)) onDisk(() => records.remove(hostInterface));
  for (const owner of [...ipam.allocator.allocations.keys()])
    if (!endpoints.all.has(owner)) ipam.release(owner);
  return { endpoints: endpoints.all.size, rebuilt, leaks };

  /** Pods that run are taken over whatever the disk says: the next start finds the same again. */
  function onDisk(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      log.error({ error: error.message }, 'the record of an endpoint can not be changed');
    }
  }

  function adopt(endpoint: Endpoint): void {
    const refused = ipam.allocator.adopt(endpoint.hostInterface, endpoint.addresses);
    for (const address of refused) {
      const facts = {
        ...about(endpoint),
        address: formatAddress(address),
        owner: ipam.allocator.ownerOf(address),
      };
      log.error(facts, 'two endpoints have the same address');
    }
    endpoints.adopt(endpoint);
  }
}

/** A pair goes with the pod's namespace. Where the interface is gone and the namespace is there, it can be made anew. */
function isAlive(endpoint: Endpoint, view: NodeView): boolean {
  if (view.links.has(endpoint.hostInterface)) return true;
  using pod = openPodNamespace(endpoint);
  return pod !== undefined;
}

function isOurs(link: Link): boolean {
  return link.kind === 'veth' && link.name.startsWith(INTERFACE_PREFIX);
}

function rebuild(link: Link, view: NodeView, ipam: Ipam): Endpoint | undefined {
  const routed = (view.routes.get(link.index) ?? [])
    .map(({ destination }) => parseAddress(destination.split('/')[0]!))
    .filter((address): address is AddressKey => address !== undefined);
  const addresses = routed.length > 0 ? routed : (ipam.allocator.allocations.get(link.name) ?? []);
  if (addresses.length === 0) return undefined;
  const [, namespace = '', name = ''] = /^([^/]*)\/(.+)$/.exec(link.alias ?? '') ?? [];
  return {
    network: '',
    containerId: namespace === '' ? name : '',
    interfaceName: '',
    netns: '',
    netnsInode: 0,
    pod: namespace === '' ? undefined : `${namespace}/${name}`,
    hostInterface: link.name,
    mac: '',
    mtu: link.mtu,
    addresses,
    hostPorts: [],
    bandwidth: undefined,
  };
}

function about(endpoint: Endpoint): object {
  const { pod, containerId, hostInterface, addresses } = endpoint;
  return { pod, containerId, interface: hostInterface, addresses: addresses.map(formatAddress) };
}
