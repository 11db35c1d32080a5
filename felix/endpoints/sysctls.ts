import fs from 'node:fs';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { readSysctl, SysctlError, writeSysctl } from '#kernel/sys/sysctl.ts';

/** Kernel parameters with the values that they are to have. */
export type Sysctls = Readonly<Record<string, string>>;

/** Which families an interface carries. */
export interface Families {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** Whether ports of the node lead to it. */
  readonly hostPorts?: boolean;
}

/** Whether this kernel has IPv6 at all. */
export function hasIpv6(): boolean {
  return fs.existsSync('/proc/sys/net/ipv6');
}

/**
 * Of the node's end of a pair.
 *
 * - `rp_filter` 1: a pod can not send from an address that is not routed to it (RFC 3704, strict).
 * - `route_localnet`, where ports of the node lead to the pod: the node reaches them by 127.0.0.1, and takes the answers. What a pod
 *   sends to 127.0.0.0/8 itself is dropped before (chain `raw-prerouting` of the dataplane). Elsewhere it is not ours: a plugin
 *   behind ours that maps ports, like portmap, sets it for them.
 * - `forwarding`: between this interface and others.
 * - `proxy_arp`, `proxy_ndp`: answer for the gateway should a pod have lost the entry that we put into its neighbour table;
 *   without `proxy_delay` at once.
 * - `accept_ra` 0: nobody in a pod is a router of this node.
 * - `disable_ipv6` 0, where a pod has an IPv6 address.
 */
export function hostSysctls(name: string, { ipv4, ipv6, hostPorts = false }: Families): Sysctls {
  return {
    ...(ipv4 && {
      [`net/ipv4/conf/${name}/rp_filter`]: '1',
      [`net/ipv4/conf/${name}/forwarding`]: '1',
      [`net/ipv4/conf/${name}/proxy_arp`]: '1',
      [`net/ipv4/neigh/${name}/proxy_delay`]: '0',
      ...(hostPorts && { [`net/ipv4/conf/${name}/route_localnet`]: '1' }),
    }),
    ...(ipv6 && {
      [`net/ipv6/conf/${name}/disable_ipv6`]: '0',
      [`net/ipv6/conf/${name}/forwarding`]: '1',
      [`net/ipv6/conf/${name}/proxy_ndp`]: '1',
    }),
    // Also for pods without IPv6: who is root in one could announce a router all the same.
    ...(hasIpv6() && { [`net/ipv6/conf/${name}/accept_ra`]: '0' }),
  };
}

/**
 * Of the pod's end.
 *
 * - `accept_ra` 0: its only router is the node.
 * - `accept_dad` 0: nobody else is on the link, so the link-local address can be used at once.
 * - `disable_ipv6` 0: some runtimes make namespaces without IPv6.
 */
export function podSysctls(name: string, { ipv6 }: Families): Sysctls {
  if (!ipv6) return {};
  return {
    [`net/ipv6/conf/${name}/disable_ipv6`]: '0',
    [`net/ipv6/conf/${name}/accept_ra`]: '0',
    [`net/ipv6/conf/${name}/accept_dad`]: '0',
  };
}

/** @throws SysctlError */
export function setSysctls(sysctls: Sysctls, namespace: NetworkNamespace | undefined): void {
  for (const [key, value] of Object.entries(sysctls)) writeSysctl(key, value, namespace);
}

/** Those that have another value, with what was found. @throws SysctlError; not for an interface that is gone */
export function differingSysctls(
  sysctls: Sysctls,
  namespace: NetworkNamespace | undefined,
): { key: string; found: string; expected: string }[] {
  const differing: { key: string; found: string; expected: string }[] = [];
  for (const [key, expected] of Object.entries(sysctls)) {
    let found: string;
    try {
      found = readSysctl(key, namespace);
    } catch (error) {
      if (error instanceof SysctlError && error.code === 'ENOENT') continue;
      throw error;
    }
    if (found !== expected) differing.push({ key, found, expected });
  }
  return differing;
}
