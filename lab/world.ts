/**
 * The machines of a lab as network namespaces, and the cables between them.
 */

import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { createNamespace } from '#kernel/sys/named-namespace.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { SysctlError, writeSysctl } from '#kernel/sys/sysctl.ts';
import type { NodePlace, Topology } from './topology.ts';

/** Makes the router. */
export function makeTor({ tor }: Topology): void {
  using namespace = makeMachine(tor.netns);
  makeRouter(namespace);
  using rt = Rtnetlink.open(namespace);
  const lo = rt.links.indexOf('lo');
  for (const address of tor.outside) {
    rt.addresses.add({ link: lo, address, length: address.includes(':') ? 128 : 32 });
  }
}

/** Makes a node and its cable to the router, both ends up and with their addresses. */
export function makeNode({ tor }: Topology, node: NodePlace): void {
  using namespace = makeMachine(node.netns);
  makeRouter(namespace);
  using router = NetworkNamespace.named(tor.netns);
  using above = Rtnetlink.open(router);
  using below = Rtnetlink.open(namespace);
  above.links.create({
    kind: 'veth',
    name: node.downlink,
    peer: { name: node.uplink, namespace },
  });
  for (const [rt, name, end] of [
    [above, node.downlink, 'tor'],
    [below, node.uplink, 'node'],
  ] as const) {
    const link = rt.links.indexOf(name);
    for (const addresses of node.link) {
      rt.addresses.add({ link, address: addresses[end], length: addresses.length });
    }
    rt.links.set(link, { up: true });
  }
}

/** Pulls or plugs in the cable of a node. What the kernel forgets with the cable, IPv6 addresses, is set again. */
export function setUplink(node: NodePlace, up: boolean): void {
  using namespace = NetworkNamespace.named(node.netns);
  using rt = Rtnetlink.open(namespace);
  const link = rt.links.indexOf(node.uplink);
  rt.links.set(link, { up });
  if (!up) return;
  for (const { node: address, length } of node.link) rt.addresses.replace({ link, address, length });
}

/** Whether the cable of a node is plugged in. */
export function isUplinkUp(node: NodePlace): boolean {
  using namespace = NetworkNamespace.named(node.netns);
  using rt = Rtnetlink.open(namespace);
  return rt.links.get(node.uplink)?.up === true;
}

/** A namespace with `lo` up, where an IPv6 address can be used at once. */
export function makeMachine(name: string): NetworkNamespace {
  const namespace = createNamespace(name);
  try {
    // Duplicate address detection would make each wait for a second or two.
    for (const scope of ['all', 'default']) setIpv6(`conf/${scope}/accept_dad`, 0, namespace);
    using rt = Rtnetlink.open(namespace);
    rt.links.set('lo', { up: true });
    return namespace;
  } catch (error) {
    namespace.close();
    throw error;
  }
}

function makeRouter(namespace: NetworkNamespace): void {
  writeSysctl('net/ipv4/ip_forward', 1, namespace);
  setIpv6('conf/all/forwarding', 1, namespace);
}

/** A kernel that was started without IPv6 has none of its parameters, and IPv4 needs none of them. */
function setIpv6(key: string, value: number, namespace: NetworkNamespace): void {
  try {
    writeSysctl(`net/ipv6/${key}`, value, namespace);
  } catch (error) {
    if (!(error instanceof SysctlError) || error.code !== 'ENOENT') throw error;
  }
}
