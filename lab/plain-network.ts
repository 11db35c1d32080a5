/**
 * Pods on plain veth pairs, connected by the lab itself: routed, with an address of the node's pod CIDR, and without policy.
 */

import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import type { PodNetwork, PodSandbox } from './pod-network.ts';
import type { NodePlace, Topology } from './topology.ts';

/** RTPROT_STATIC of linux/rtnetlink.h. */
const PROTOCOL = 4;
const GATEWAY4 = '169.254.1.1';
const GATEWAY6 = 'fe80::1';

export class PlainNetwork implements PodNetwork {
  readonly title = 'plain veth pairs';
  readonly #nodes: ReadonlyMap<string, NodePlace>;
  readonly #links = new Map<string, string>();
  #count = 0;

  constructor({ nodes }: Topology) {
    this.#nodes = new Map(nodes.map((node) => [node.name, node]));
  }

  async add(pod: PodSandbox): Promise<readonly string[]> {
    const node = this.#nodes.get(pod.node)!;
    const number = ++this.#count;
    const name = `pod${number}`;
    const addresses = node.podCidrs.map((cidr) => addressIn(cidr, number + 1));
    using below = NetworkNamespace.named(pod.netns);
    using above = NetworkNamespace.named(node.netns);
    using host = Rtnetlink.open(above);
    using inside = Rtnetlink.open(below);
    host.links.create({ kind: 'veth', name, peer: { name: 'eth0', namespace: below } });
    this.#links.set(pod.uid, name);
    host.links.set(name, { up: true });
    const link = host.links.indexOf(name);
    host.addresses.add({ link, address: GATEWAY4, length: 32, scope: 'link' });
    host.addresses.add({ link, address: GATEWAY6, length: 64 });
    const eth0 = inside.links.indexOf('eth0');
    inside.links.set(eth0, { up: true });
    for (const address of addresses) {
      const isIpv6 = address.includes(':');
      const length = isIpv6 ? 128 : 32;
      const gateway = isIpv6 ? GATEWAY6 : GATEWAY4;
      inside.addresses.add({ link: eth0, address, length });
      if (!isIpv6) {
        inside.routes.add({ destination: `${gateway}/32`, protocol: PROTOCOL, nextHops: [{ link: eth0 }] });
      }
      inside.routes.add({
        destination: isIpv6 ? '::/0' : '0.0.0.0/0',
        protocol: PROTOCOL,
        nextHops: [{ gateway, link: eth0 }],
      });
      host.routes.add({ destination: `${address}/${length}`, protocol: PROTOCOL, nextHops: [{ link }] });
    }
    return addresses;
  }

  async remove({ uid, node }: PodSandbox): Promise<void> {
    const name = this.#links.get(uid);
    if (name === undefined) return;
    this.#links.delete(uid);
    using above = NetworkNamespace.named(this.#nodes.get(node)!.netns);
    using host = Rtnetlink.open(above);
    if (host.links.get(name) !== undefined) host.links.delete(name);
  }
}

/** The address of this number in a prefix whose host part is at least 8 bits, `10.244.1.0/24` or `fd00:244:1::/64`. */
function addressIn(cidr: string, number: number): string {
  const base = cidr.split('/')[0]!;
  return base.includes(':') ? `${base}${number.toString(16)}` : base.replace(/0$/, String(number));
}
