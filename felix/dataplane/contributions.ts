import { createHash } from 'node:crypto';
import { type AddressPrefix, type Family, familyOf, rangeOf } from '#datastore/address.ts';
import { normaliseElements } from '#kernel/nftables/elements.ts';
import { type Element, goTo, RETURN, type SetDefinition } from '#kernel/nftables/model.ts';
import { type PortSet, type PortVerdicts, PROTOCOL_NUMBERS, unionOf } from '#proto/ports.ts';
import { type ClassId, DIRECTIONS, type Direction } from '#proto/program.ts';
import type { WorkloadEndpoint } from '../endpoint.ts';
import type { BlockRange, EndpointProgram } from '../policy/program.ts';
import {
  addressHex,
  commentOf,
  interfaceHex,
  PORT_TIERS,
  type PortTier,
  portElements,
  portHex,
} from './keys.ts';
import * as sets from './sets.ts';
import type { DataplaneSettings, ProtocolPort } from './settings.ts';

/*
 * What pods, address blocks and settings put into the sets of the table. Pure.
 */

export type Contribution = readonly [SetDefinition, Element];

/** Its addresses belong to its interface. */
export function addressElements({ pod, interface: name, addresses }: WorkloadEndpoint): Contribution[] {
  const comment = commentOf(pod);
  return addresses.map((address) => [
    sets.workloads(familyOf(address)),
    { key: interfaceHex(name) + addressHex(address), comment },
  ]);
}

/** What becomes of its connections, whoever the peer is. */
export function programElements(
  { pod, interface: of }: WorkloadEndpoint,
  program: EndpointProgram,
): Contribution[] {
  const name = interfaceHex(of);
  const comment = commentOf(pod);
  return DIRECTIONS.flatMap((direction): Contribution[] => {
    const { isolated, anyPeer, otherwise } = program[direction];
    const looked = isolated && anyPeer.text !== 'all';
    if (!looked) return [[sets.podMap(direction), { key: name, value: RETURN, comment }]];
    return [
      [sets.isolatedSet(direction), { key: name, comment }],
      ...portContributions(name, comment, anyPeer, (tier) => sets.ruleSet(direction, 'any', tier)),
      ...portContributions(name, comment, otherwise, (tier) => sets.ruleSet(direction, 'otherwise', tier)),
    ];
  });
}

/** What peers of a class may do with it, beyond or short of what any peer may. */
export function classElements(
  direction: Direction,
  id: ClassId,
  { pod, interface: of }: WorkloadEndpoint,
  { accept, drop }: PortVerdicts,
  anyPeer: PortSet,
): Contribution[] {
  const name = interfaceHex(of);
  const comment = commentOf(pod);
  // What any peer may do was accepted before: with it, "all but these ports" is "all", one exact element.
  const both = unionOf([accept, anyPeer]);
  return [
    ...portContributions(name, comment, both.text === 'all' ? both : accept, (tier) =>
      sets.classSet(direction, id, 'accept', tier),
    ),
    ...portContributions(name, comment, drop, (tier) => sets.classSet(direction, id, 'drop', tier)),
  ];
}

/** Ports of the node that lead to it. */
export function hostPortElements({ pod, addresses, hostPorts }: WorkloadEndpoint): Contribution[] {
  const comment = commentOf(pod);
  return hostPorts.flatMap(({ protocol, hostPort, containerPort, hostIp }) => {
    const number = PROTOCOL_NUMBERS[protocol];
    return addresses
      .filter((address) => hostIp === undefined || familyOf(hostIp) === familyOf(address))
      .map((address): Contribution => {
        const family = familyOf(address);
        const value = addressHex(address) + portHex(0, containerPort).slice(8);
        const port = portHex(number, hostPort);
        return hostIp === undefined
          ? [sets.hostPortMap(family), { key: port, value, comment }]
          : [sets.hostAddressPortMap(family), { key: addressHex(hostIp) + port, value, comment }];
      });
  });
}

/** The classes of addresses that are no pod's: a map that has nothing else in it. */
export function blockElements(
  direction: Direction,
  family: Family,
  ranges: readonly BlockRange[],
): { readonly map: SetDefinition; readonly elements: readonly Element[] } {
  const elements = normaliseElements(
    sets.blockMap(direction, family, ''),
    ranges.map(({ first, last, class: id }) => ({
      key: addressHex(first),
      end: addressHex(last),
      value: goTo(sets.classChain(direction, id)),
    })),
  );
  const digest = createHash('sha256');
  for (const { key, end, value } of elements) digest.update(`${key} ${end} ${JSON.stringify(value)}\n`);
  return { map: sets.blockMap(direction, family, digest.digest('hex').slice(0, DIGEST_DIGITS)), elements };
}

/** Of what may be in a map; two that differ are hardly ever there one after the other. */
const DIGEST_DIGITS = 12;

/** What does not come from policies or pods. */
export function settingElements({ podToHost, hostToPod, ...settings }: DataplaneSettings): Contribution[] {
  return [
    ...([4, 6] as const).flatMap((family) => [
      ...prefixElements(sets.serviceSet(family), family, settings.serviceRanges),
      ...prefixElements(sets.natSourceSet(family), family, settings.natOutgoing),
      ...prefixElements(sets.natExcludedSet(family), family, settings.natExcluded),
    ]),
    ...failsafeElements('inbound', podToHost === 'drop' ? settings.failsafeInbound : []),
    ...failsafeElements('outbound', hostToPod === 'drop' ? settings.failsafeOutbound : []),
  ];
}

function prefixElements(
  set: SetDefinition,
  family: Family,
  prefixes: readonly AddressPrefix[],
): Contribution[] {
  const elements = prefixes
    .filter(({ address }) => familyOf(address) === family)
    .map(rangeOf)
    .map(({ first, last }) => ({ key: addressHex(first), end: addressHex(last) }));
  return normaliseElements(set, elements).map((element) => [set, element]);
}

function failsafeElements(direction: 'inbound' | 'outbound', ports: readonly ProtocolPort[]): Contribution[] {
  const set = sets.failsafeSet(direction);
  return ports.map(({ protocol, port }) => [set, { key: portHex(PROTOCOL_NUMBERS[protocol], port) }]);
}

function portContributions(
  name: string,
  comment: string,
  ports: PortSet,
  setOf: (tier: PortTier) => SetDefinition,
): Contribution[] {
  const elements = portElements(name, ports, comment);
  return PORT_TIERS.flatMap((tier) => elements[tier].map((element): Contribution => [setOf(tier), element]));
}
