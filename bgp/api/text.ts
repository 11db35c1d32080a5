/**
 * Attributes, families and states as the API shows them.
 */

import type { State } from '#bgp/session/events.ts';
import { formatAddress, formatIpv4 } from '#bgp/wire/address.ts';
import { formatAsPath } from '#bgp/wire/as-path.ts';
import { type Capability, capabilityCode, capabilityName } from '#bgp/wire/capabilities.ts';
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from '#bgp/wire/communities.ts';
import { type Family, familyName, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { PathAttributes } from '#bgp/wire/types.ts';
import { margay } from '#proto/generated/bgp.js';

const v1 = margay.bgp.v1;

export function toFamily(family: Family): margay.bgp.v1.Family {
  return family === IPV6_UNICAST ? v1.Family.IPV6_UNICAST : v1.Family.IPV4_UNICAST;
}

/** Families that a request is about: both if it does not say. */
export function familiesOf(family: margay.bgp.v1.Family): Family[] {
  if (family === v1.Family.IPV4_UNICAST) return [IPV4_UNICAST];
  if (family === v1.Family.IPV6_UNICAST) return [IPV6_UNICAST];
  return [IPV4_UNICAST, IPV6_UNICAST];
}

export function toState(state: State): margay.bgp.v1.SessionState {
  return STATES[state];
}

const STATES: Readonly<Record<State, margay.bgp.v1.SessionState>> = {
  Idle: v1.SessionState.IDLE,
  Connect: v1.SessionState.CONNECT,
  Active: v1.SessionState.ACTIVE,
  OpenSent: v1.SessionState.OPEN_SENT,
  OpenConfirm: v1.SessionState.OPEN_CONFIRM,
  Established: v1.SessionState.ESTABLISHED,
};

const ORIGINS = ['igp', 'egp', 'incomplete'];

export function toAttributes(attributes: PathAttributes): margay.bgp.v1.IAttributes {
  const { nextHop, med, localPref, aggregator, originatorId } = attributes;
  const own = nextHop.bytes.every((byte) => byte === 0);
  return {
    origin: ORIGINS[attributes.origin] ?? '',
    asPath: formatAsPath(attributes.asPath),
    nextHop: own ? '' : formatAddress(nextHop.bytes),
    ...(med === undefined ? {} : { med }),
    ...(localPref === undefined ? {} : { localPreference: localPref }),
    atomicAggregate: attributes.atomicAggregate,
    aggregator: aggregator === undefined ? '' : `${aggregator.asn} ${formatIpv4(aggregator.address)}`,
    communities: [...attributes.communities].map(formatCommunity),
    extendedCommunities: every(8, attributes.extendedCommunities, formatExtendedCommunity),
    largeCommunities: every(3, attributes.largeCommunities, formatLargeCommunity),
    originatorId: originatorId === undefined ? '' : formatIpv4(originatorId),
    clusterList: [...attributes.clusterList].map(formatIpv4),
    unknown: [...attributes.unknown],
  };
}

function every<T extends { readonly length: number }>(
  size: number,
  values: T,
  format: (values: T, at: number) => string,
): string[] {
  return Array.from({ length: values.length / size }, (_, i) => format(values, i * size));
}

/** `multiprotocol ipv4-unicast`, `four-octet-as 65001`. */
export function capabilityText(capability: Capability): string {
  const name = capabilityName(capabilityCode(capability));
  switch (capability.kind) {
    case 'multiprotocol':
      return `${name} ${familyName(capability.family)}`;
    case 'four-octet-as':
      return `${name} ${capability.asn}`;
    case 'graceful-restart':
      return `${name} ${capability.restartTime} s`;
    case 'fqdn':
      return `${name} ${[capability.host, capability.domain].filter(Boolean).join('.')}`;
    default:
      return name;
  }
}
