/**
 * Two nodes with pods in namespaces of their own, and a host outside; what Margay's endpoints do, done by hand.
 */

import { parseAddress } from '#datastore/address.ts';
import type { WorkloadEndpoint } from '#felix/endpoint.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { Prober } from './prober.ts';

export interface FabricNode {
  readonly name: string;
  readonly netns: Netns;
  readonly namespace: NetworkNamespace;
  readonly addresses: readonly [string, string];
  readonly prober: Prober;
}

/** A pod's place: interface and addresses are the place's, the pod's name is what it is given. */
export interface Slot {
  readonly node: FabricNode;
  readonly netns: Netns;
  readonly interface: string;
  readonly addresses: readonly [string, string];
  readonly prober: Prober;
}

export interface Fabric extends Disposable {
  readonly nodes: readonly [FabricNode, FabricNode];
  readonly slots: readonly Slot[];
  /** A host that is reached by way of the first node. */
  readonly outside: {
    readonly netns: Netns;
    readonly addresses: readonly [string, string];
    readonly prober: Prober;
  };
}

/** Addresses 10.0.0.N and fd00::N; nodes have 10.0.0.14 and .15, the host outside 10.0.0.13. */
export function createFabric(slotsPerNode = 3): Fabric {
  const opened: Disposable[] = [];
  const keep = <T extends Disposable>(value: T): T => {
    opened.push(value);
    return value;
  };
  const prober = (netns: Netns): [NetworkNamespace, Prober] => {
    const namespace = keep(NetworkNamespace.open(netns.path));
    return [namespace, keep(new Prober(netns.path, namespace))];
  };
  const nodes = [0, 1].map((i): FabricNode => {
    const netns = keep(createNetns());
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) netns.sysctl(key, 1);
    for (const scope of ['all', 'default']) netns.sysctl(`net.ipv4.conf.${scope}.rp_filter`, 0);
    const addresses = [`10.0.0.${14 + i}`, `fd00::${(14 + i).toString(16)}`] as const;
    batch(
      netns,
      addresses.map((address) => `addr add ${address} dev lo`),
    );
    const [namespace, probing] = prober(netns);
    return { name: `node-${i}`, netns, namespace, addresses, prober: probing };
  }) as unknown as [FabricNode, FabricNode];
  link(nodes[0].netns, 'up0', '02:00:00:00:01:00', nodes[1].netns, 'up0', '02:00:00:00:01:01');
  const outsideNetns = keep(createNetns());
  link(nodes[0].netns, 'out0', '02:00:00:00:02:00', outsideNetns, 'eth0', '02:00:00:00:02:01');
  const outside = {
    netns: outsideNetns,
    addresses: ['10.0.0.13', 'fd00::d'] as const,
    prober: prober(outsideNetns)[1],
  };
  host(outsideNetns, 'eth0', outside.addresses, '02:00:00:00:02:00');
  const slots = nodes.flatMap((node, n) =>
    Array.from({ length: slotsPerNode }, (_, s): Slot => {
      const number = n * slotsPerNode + s + 1;
      const netns = keep(createNetns());
      const name = `mgyslot${number}`;
      const addresses = [`10.0.0.${number}`, `fd00::${number.toString(16)}`] as const;
      const mac = (side: number): string => `02:00:00:00:1${side}:${number.toString(16).padStart(2, '0')}`;
      link(node.netns, name, mac(0), netns, 'eth0', mac(1));
      host(netns, 'eth0', addresses, mac(0));
      batch(node.netns, routes(addresses, name, mac(1)));
      return { node, netns, interface: name, addresses, prober: prober(netns)[1] };
    }),
  );
  batch(nodes[0].netns, routes(outside.addresses, 'out0', '02:00:00:00:02:01'));
  for (const [i, node] of nodes.entries()) {
    const other = nodes[1 - i]!;
    const mac = `02:00:00:00:01:0${1 - i}`;
    const far = slots.filter((slot) => slot.node === other).flatMap((slot) => slot.addresses);
    const beyond = i === 1 ? outside.addresses : [];
    batch(node.netns, [
      'neigh replace 169.254.1.1 lladdr '.concat(mac, ' dev up0 nud permanent'),
      `neigh replace fe80::1 lladdr ${mac} dev up0 nud permanent`,
      ...[...other.addresses, ...far, ...beyond].map(
        (address) =>
          `route add ${address} via ${address.includes(':') ? 'fe80::1' : '169.254.1.1'} dev up0 onlink ` +
          `src ${node.addresses[address.includes(':') ? 1 : 0]}`,
      ),
    ]);
  }
  return {
    nodes: nodes as unknown as readonly [FabricNode, FabricNode],
    slots,
    outside,
    [Symbol.dispose]: () => {
      for (const one of opened.reverse()) one[Symbol.dispose]();
    },
  };
}

/** The endpoint of a pod in its place. */
export function endpointOf(slot: Slot, pod: string): WorkloadEndpoint {
  return {
    pod,
    interface: slot.interface,
    addresses: slot.addresses.map((address) => parseAddress(address)!),
    hostPorts: [],
  };
}

function link(a: Netns, nameA: string, macA: string, b: Netns, nameB: string, macB: string): void {
  batch(a, [
    `link add ${nameA} address ${macA} type veth peer name ${nameB} address ${macB} netns ${b.name}`,
    `link set ${nameA} up`,
  ]);
  batch(b, [`link set ${nameB} up`]);
}

function host(netns: Netns, device: string, addresses: readonly string[], gateway: string): void {
  batch(netns, [
    ...addresses.map((address) => `addr add ${address} dev ${device}`),
    `route add 169.254.1.1 dev ${device}`,
    'route add default via 169.254.1.1',
    `route add default via fe80::1 dev ${device} onlink`,
    `neigh replace 169.254.1.1 lladdr ${gateway} dev ${device} nud permanent`,
    `neigh replace fe80::1 lladdr ${gateway} dev ${device} nud permanent`,
  ]);
}

function routes(addresses: readonly string[], device: string, mac: string): string[] {
  return addresses.flatMap((address) => [
    `route add ${address} dev ${device}`,
    `neigh replace ${address} lladdr ${mac} dev ${device} nud permanent`,
  ]);
}

function batch(netns: Netns, lines: readonly string[]): void {
  // `ip` takes the family of a route from its addresses, but for the default.
  const v6 = lines.filter((line) => /route add default via fe80/.test(line));
  const rest = lines.filter((line) => !v6.includes(line));
  netns.exec('ip', ['-batch', '-'], { input: `${rest.join('\n')}\n` });
  if (v6.length > 0) netns.exec('ip', ['-6', '-batch', '-'], { input: `${v6.join('\n')}\n` });
}
