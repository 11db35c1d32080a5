/**
 * What an operator wants to know of a node before felix runs there: `margay felix --check`. Changes nothing.
 */
import { type Feature, type FeatureStatus, probeFeatures } from '#kernel/features.ts';
import type { FelixConfig } from '../config/model.ts';
import { podFamilies } from './prepare.ts';
import { checkHost, type HostFinding, hostSettings } from './settings.ts';

/** A feature of the kernel and how much pods need it. */
export interface CheckedFeature extends FeatureStatus {
  /** Without it there are no pods; without the others something is left out. */
  readonly needed: boolean;
}

export interface NodeCheck {
  readonly features: readonly CheckedFeature[];
  readonly settings: readonly HostFinding[];
  /** Whether pods can run here. */
  readonly fit: boolean;
}

const NEEDED: readonly Feature[] = [
  'veth',
  'nftables',
  'nft-ct',
  'nft-fib',
  'nft-nat',
  'nft-masq',
  'conntrack',
];
const WANTED: readonly Feature[] = ['nft-log', 'nft-limit', 'nflog', 'sch-tbf', 'sch-ingress', 'ifb'];

/**
 * Looks at the kernel and the node.
 *
 * @param config which families are asked for; both without one
 * @throws NamespaceError when features can not be tried out
 */
export function checkNode(config: FelixConfig | undefined): NodeCheck {
  const families =
    config?.pods?.podCidrs === undefined
      ? { ipv4: true, ipv6: true }
      : podFamilies({ podCidrs: config.pods.podCidrs });
  const needed = [...NEEDED, ...(families.ipv6 ? (['ipv6'] as const) : [])];
  const features = probeFeatures([...needed, ...WANTED]).map((feature) => ({
    ...feature,
    needed: needed.includes(feature.name),
  }));
  const settings = checkHost(hostSettings(families), false);
  return { features, settings, fit: features.every(({ needed, status }) => !needed || status !== 'missing') };
}
