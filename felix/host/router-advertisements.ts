import { Rtnetlink } from '#kernel/rtnetlink/rtnetlink.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { readSysctl, writeSysctl } from '#kernel/sys/sysctl.ts';

/** `ra` of /etc/iproute2/rt_protos: a route that the kernel has from a router advertisement. */
const PROTOCOL_RA = 9;

/**
 * To be called before IPv6 forwarding is set: a host that forwards takes no more router advertisements unless `accept_ra` is 2,
 * and one that has its default route from them would lose it some minutes later.
 *
 * @returns the interfaces that were set so
 * @throws SysctlError NetlinkError
 */
export function keepRouterAdvertisements(namespace: NetworkNamespace | undefined): string[] {
  using rtnetlink = Rtnetlink.open(namespace);
  const routes = rtnetlink.routes.list({ family: 6, table: 254, protocol: PROTOCOL_RA });
  const indexes = new Set(routes.flatMap((route) => route.nextHops.map((hop) => hop.link)));
  const kept: string[] = [];
  for (const { index, name } of rtnetlink.links.list()) {
    const key = `net/ipv6/conf/${name}/accept_ra`;
    if (!indexes.has(index) || readSysctl(key, namespace) !== '1') continue;
    writeSysctl(key, '2', namespace);
    kept.push(name);
  }
  return kept;
}
