import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { readSysctl, SysctlError, writeSysctl } from '#kernel/sys/sysctl.ts';
import { keepRouterAdvertisements } from './router-advertisements.ts';

/** A kernel parameter of the node that pods depend on. */
export interface HostSetting {
  /** With slashes, as under /proc/sys. */
  readonly key: string;
  readonly why: string;
  /** Whether a value will do. */
  readonly fits: (value: string) => boolean;
  /** What to set it to. */
  readonly value: string;
  /** Not ours to change: who uses the node for something else may need it as it is. */
  readonly leave?: boolean;
}

/** How a setting was found, and left. */
export interface HostFinding {
  readonly key: string;
  readonly why: string;
  /** Undefined where the kernel has no such parameter (yet). */
  readonly found: string | undefined;
  readonly expected: string;
  readonly state: 'right' | 'set' | 'wrong';
  /** For what is wrong: why it could not be set. */
  readonly problem: string;
  /** What sets it. */
  readonly command: string;
}

export interface Families {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** As many connections as kube-proxy asks for on a node with four cores. */
const LEAST_CONNECTIONS = 131_072;

/** What pods of these families depend on. */
export function hostSettings({ ipv4, ipv6 }: Families): HostSetting[] {
  const on = (value: string): boolean => value === '1';
  return [
    ...(ipv4
      ? [
          { key: 'net/ipv4/ip_forward', why: 'IPv4 between pods and the network', fits: on, value: '1' },
          {
            key: 'net/ipv4/conf/all/rp_filter',
            why: 'with 2 the kernel takes what a pod sends from addresses of others, whatever its interface says',
            fits: (value: string) => value !== '2',
            value: '0',
            leave: true,
          },
        ]
      : []),
    ...(ipv6
      ? [
          {
            key: 'net/ipv6/conf/all/forwarding',
            why: 'IPv6 between pods and the network',
            fits: on,
            value: '1',
          },
          {
            key: 'net/ipv6/conf/all/disable_ipv6',
            why: 'IPv6 on new interfaces',
            fits: (value: string) => value === '0',
            value: '0',
            leave: true,
          },
        ]
      : []),
    {
      key: 'net/netfilter/nf_conntrack_max',
      why: 'connections that the node can keep track of; more are dropped',
      fits: (value: string) => Number(value) >= LEAST_CONNECTIONS,
      value: String(LEAST_CONNECTIONS),
    },
  ];
}

/**
 * Looks at settings of the node, and sets those that are wrong and ours to change.
 *
 * @param change whether to set anything
 */
export function checkHost(
  settings: readonly HostSetting[],
  change: boolean,
  namespace?: NetworkNamespace,
): HostFinding[] {
  return settings.map((setting) => {
    const { key, why, value, fits } = setting;
    const about = {
      key,
      why,
      expected: value,
      command: `sysctl -w ${key.replaceAll('/', '.')}=${value}`,
      problem: '',
    };
    let found: string;
    try {
      found = readSysctl(key, namespace);
    } catch (error) {
      if (!(error instanceof SysctlError)) throw error;
      // Connection tracking is there once a rule asks for it.
      const later = error.code === 'ENOENT' && key.startsWith('net/netfilter/');
      return {
        ...about,
        found: undefined,
        state: later ? 'right' : 'wrong',
        problem: later ? '' : error.message,
      };
    }
    if (fits(found)) return { ...about, found, state: 'right' };
    if (!change || setting.leave) return { ...about, found, state: 'wrong' };
    try {
      if (key === 'net/ipv6/conf/all/forwarding') keepRouterAdvertisements(namespace);
      writeSysctl(key, value, namespace);
      if (fits(readSysctl(key, namespace))) return { ...about, found, state: 'set' };
      return { ...about, found, state: 'wrong', problem: 'it was set and has another value again' };
    } catch (error) {
      if (!(error instanceof SysctlError)) throw error;
      return { ...about, found, state: 'wrong', problem: error.message };
    }
  });
}
