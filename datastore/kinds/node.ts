import { formatAddress, parseAddress } from '../address.ts';
import { clusterScoped, type Metadata } from '../metadata.ts';
import { cidr, lenient, listOf, text } from '../schema.ts';

/** A machine of the cluster (`v1`). */
export interface Node extends Metadata {
  readonly kind: 'Node';
  /** Canonical prefixes. */
  readonly podCidrs: readonly string[];
  /** Its IP addresses in canonical text, in the order of `status.addresses`; host names are left out. */
  readonly addresses: readonly NodeAddress[];
}

export interface NodeAddress {
  readonly type: string;
  readonly address: string;
}

const spec = lenient({ podCIDR: cidr.nullish(), podCIDRs: listOf(cidr) }).nullish();

const status = lenient({ addresses: listOf(lenient({ type: text, address: text })) }).nullish();

export const node = lenient({ metadata: clusterScoped, spec, status }).transform(
  ({ metadata, spec, status }): Node => ({
    kind: 'Node',
    ...metadata,
    podCidrs: spec?.podCIDRs.length ? spec.podCIDRs : spec?.podCIDR ? [spec.podCIDR] : [],
    addresses: (status?.addresses ?? []).flatMap(({ type, address }) => {
      const parsed = parseAddress(address);
      return parsed === undefined ? [] : { type, address: formatAddress(parsed) };
    }),
  }),
);
