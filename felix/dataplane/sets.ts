import type { Family } from '#datastore/address.ts';
import type { SetDefinition } from '#kernel/nftables/model.ts';
import type { ClassId, Direction } from '#proto/program.ts';
import { PORT_SHAPES, type PortTier } from './keys.ts';

/*
 * The sets and maps of the table, by name and type.
 */

const ADDRESS = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;

/** Which address belongs to which interface. */
export const workloads = (family: Family): SetDefinition => WORKLOADS[family];

const WORKLOADS: Readonly<Record<Family, SetDefinition>> = {
  4: {
    name: 'workloads4',
    key: ['ifname', 'ipv4_addr'],
    comment: "the node's pods: interface and address belong together",
  },
  6: {
    name: 'workloads6',
    key: ['ifname', 'ipv6_addr'],
    comment: "the node's pods: interface and address belong together",
  },
};

/** What becomes of the first packet from (egress) or to (ingress) a pod that no policy isolates. */
export const podMap = (direction: Direction): SetDefinition => POD_MAPS[direction];

const POD_MAPS: Readonly<Record<Direction, SetDefinition>> = {
  egress: {
    name: 'from-pods',
    key: ['ifname'],
    value: 'verdict',
    comment: 'what pods begin, where no policy is about egress',
  },
  ingress: {
    name: 'to-pods',
    key: ['ifname'],
    value: 'verdict',
    comment: 'what is begun with pods, where no policy is about ingress',
  },
};

/**
 * Pods that policies isolate. A set, and no verdicts of the map above: whenever a chain is led to anew, the kernel follows all
 * ways through the table, and until 2026 it went from each element that leads to a chain through all of that chain again.
 */
export const isolatedSet = (direction: Direction): SetDefinition => ISOLATED_SETS[direction];

const ISOLATED_SETS: Readonly<Record<Direction, SetDefinition>> = {
  egress: { name: 'egress-isolated', key: ['ifname'], comment: 'pods that policies isolate for egress' },
  ingress: { name: 'ingress-isolated', key: ['ifname'], comment: 'pods that policies isolate for ingress' },
};

/** Ports that a pod may use whoever the peer is, or whose class says nothing. */
export function ruleSet(direction: Direction, what: 'any' | 'otherwise', tier: PortTier): SetDefinition {
  return RULE_SETS.get(`${direction}-${what}${SUFFIX[tier]}`)!;
}

const SUFFIX: Readonly<Record<PortTier, string>> = { all: '-all', ports: '', ranges: '-ranges' };
const COMMENTS = { any: 'whoever the peer is', otherwise: 'where the class of the peer says nothing' };

const RULE_SETS = new Map(
  (['ingress', 'egress'] as const).flatMap((direction) =>
    (['any', 'otherwise'] as const).flatMap((what) =>
      (['all', 'ports', 'ranges'] as const).map((tier): [string, SetDefinition] => {
        const name = `${direction}-${what}${SUFFIX[tier]}`;
        return [name, { name, ...PORT_SHAPES[tier], comment: `accepted ${COMMENTS[what]}` }];
      }),
    ),
  ),
);

/** The classes of pods' addresses: exact, so that any number of them costs one lookup and one element each. */
export const peerMap = (direction: Direction, family: Family): SetDefinition =>
  PEER_MAPS[`${direction}-peers${family}`]!;

const PEER_MAPS: Readonly<Record<string, SetDefinition>> = Object.fromEntries(
  (['ingress', 'egress'] as const).flatMap((direction) =>
    ([4, 6] as const).map((family): [string, SetDefinition] => {
      const name = `${direction}-peers${family}`;
      return [name, { ...addressMap(name, family), comment: 'pods of the cluster, by class' }];
    }),
  ),
);

/**
 * The classes of all other addresses, in the one map of its name that there will ever be. A look-up among intervals may miss one
 * that is there before and afterwards while a transaction that changes others beside it is on its way (nft_set_rbtree.c of Linux
 * until 2026). So a map that is in force is not changed: another one is made, and takes its place. That it is named after what is in
 * it makes it the same for a new agent.
 *
 * @param digest of its elements
 */
export const blockMap = (direction: Direction, family: Family, digest: string): SetDefinition => ({
  ...addressMap(`${direction}-blocks${family}-${digest}`, family),
  interval: true,
  comment: 'all other addresses, by class',
});

function addressMap(name: string, family: Family): SetDefinition {
  return { name, key: [ADDRESS[family]], value: 'verdict' };
}

/** The chain of a class. */
export const classChain = (direction: Direction, id: ClassId): string => `${direction}-${id}`;

/** What peers of a class may do with a pod, or may not. */
export function classSet(
  direction: Direction,
  id: ClassId,
  verdict: 'accept' | 'drop',
  tier: PortTier,
): SetDefinition {
  const drop = verdict === 'drop' ? '-drop' : '';
  return { name: `${direction}-${id}${drop}${SUFFIX[tier]}`, ...PORT_SHAPES[tier] };
}

/** Ports of the node that lead to pods. */
export const hostPortMap = (family: Family): SetDefinition => HOST_PORTS[family];
/** The same, of one address of the node. */
export const hostAddressPortMap = (family: Family): SetDefinition => HOST_ADDRESS_PORTS[family];

const HOST_PORTS: Readonly<Record<Family, SetDefinition>> = { 4: hostPorts(4), 6: hostPorts(6) };
const HOST_ADDRESS_PORTS: Readonly<Record<Family, SetDefinition>> = {
  4: addressPorts(4),
  6: addressPorts(6),
};

function hostPorts(family: Family): SetDefinition {
  return {
    name: `hostports${family}`,
    key: ['inet_proto', 'inet_service'],
    value: [ADDRESS[family], 'inet_service'],
    comment: 'ports of the node that lead to pods',
  };
}

function addressPorts(family: Family): SetDefinition {
  return {
    name: `hostports-of-address${family}`,
    key: [ADDRESS[family], 'inet_proto', 'inet_service'],
    value: [ADDRESS[family], 'inet_service'],
    comment: 'ports of one address of the node that lead to pods',
  };
}

const prefixes = (name: string, comment: string) => (family: Family) => ({
  name: `${name}${family}`,
  key: [ADDRESS[family]],
  interval: true,
  comment,
});

/** Service addresses. */
export const serviceSet: (family: Family) => SetDefinition = prefixes(
  'services',
  'addresses of services: what still bears one is served by nobody',
);
/** Sources of pods that leave by the node's address, and destinations that are exempt. */
export const natSourceSet: (family: Family) => SetDefinition = prefixes(
  'nat-sources',
  'pods that leave the cluster by the address of the node',
);
export const natExcludedSet: (family: Family) => SetDefinition = prefixes(
  'nat-excluded',
  'what they reach by their own address all the same',
);

export const failsafeSet = (direction: 'inbound' | 'outbound'): SetDefinition => ({
  name: `failsafe-${direction}`,
  key: ['inet_proto', 'inet_service'],
  comment:
    direction === 'inbound'
      ? 'ports of the node that are never closed'
      : 'ports that the node always reaches',
});
