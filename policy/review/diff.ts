/**
 * What a change of objects changes for connections: which pods may reach whom on which ports that could not before, and
 * the other way round. For reviews, by people and by pull-request checks.
 *
 * Nothing is probed: the ports that are accepted are read from the compiled programs, so that no port is missed. Pods
 * that behave alike, before and after, are looked at once.
 */

import { isDeepStrictEqual } from 'node:util';
import {
  type AddressKey,
  type AddressRange,
  type Family,
  formatAddress,
  nextAddress,
} from '#datastore/address.ts';
import type { NetworkPolicy } from '#datastore/kinds/network-policy.ts';
import { describeKey, keyOf, type Resource } from '#datastore/resource.ts';
import { type PortSet, without } from '#proto/ports.ts';
import type { PodKey } from '#proto/program.ts';
import { cutInPieces } from '../compiler/blocks.ts';
import { allOf, FAMILIES, type Place, Side, takenAddresses, withAddresses } from './side.ts';

/** Connections that a change opens or closes: from each of one end to each of the other, but none to itself. */
export interface Difference {
  readonly from: End;
  readonly to: End;
  readonly families: readonly Family[];
  /** Ports that are allowed now and were not. */
  readonly opened: PortSet;
  /** Ports that were allowed and are not any more. */
  readonly closed: PortSet;
}

/** Pods, as `namespace/name`, or addresses that no pod has. */
export type End = { readonly pods: readonly PodKey[] } | { readonly addresses: readonly AddressRange[] };

/** The whole difference. */
export interface Diff {
  /** Those that say the same are put together. */
  readonly differences: readonly Difference[];
  readonly policies: readonly PolicyChange[];
  /** Pods that were compared. */
  readonly compared: readonly PodKey[];
  /** Those of them that have no address yet: they were compared as if it were in no ipBlock. */
  readonly withoutAddress: readonly PodKey[];
  /** Pods that could not be compared: they are not on both sides, or have no address that is their own. */
  readonly skipped: readonly PodKey[];
}

export interface PolicyChange {
  /** `NetworkPolicy namespace/name`. */
  readonly policy: string;
  readonly change: 'added' | 'changed' | 'removed';
}

/**
 * Compares two states. The pods that both have are compared, with each other and with all addresses that are told apart.
 * What is between a pod and the node of the other end is left out: it depends on where the nodes' addresses are.
 */
export function diffPolicies(before: readonly Resource[], after: readonly Resource[]): Diff {
  const { states, given } = withAddresses([before, after]);
  const sides = states.map((state) => new Side(state)) as [Side, Side];
  const all = [...new Set(sides.flatMap((side) => [...side.pods.keys()]))].sort();
  const isCommon = (pod: PodKey) =>
    FAMILIES.some((family) => sides.every((side) => side.placeOf(pod, family) !== undefined));
  const compared = all.filter(isCommon);
  const found = FAMILIES.flatMap((family) => {
    const ends = [...podsOf(sides, compared, family), ...outside(sides, family, takenAddresses(states))];
    return compareAll(
      sides,
      ends.map((end, number) => ({ ...end, number })),
      family,
    );
  });
  return {
    differences: sorted(bothFamilies(found)),
    policies: policyChanges(before, after),
    compared,
    withoutAddress: compared.filter((pod) => given.has(pod)),
    skipped: all.filter((pod) => !isCommon(pod)),
  };
}

/** Ends that behave alike on each side. */
interface Candidate {
  readonly number: number;
  readonly end: End;
  /** On each side: one of them, and another one for what they do among themselves. */
  readonly places: readonly (readonly [Place, Place | undefined])[];
}

function podsOf(sides: readonly Side[], pods: readonly PodKey[], family: Family): Candidate[] {
  const places = new Map(
    pods.map((pod) => [pod, sides.flatMap((side) => side.placeOf(pod, family) ?? [])] as const),
  );
  const placesOf = (pod: PodKey) => places.get(pod)!;
  const present = pods.filter((pod) => placesOf(pod).length === sides.length);
  return alike(present, placesOf).map((members) => {
    const [one, two] = members.map(placesOf);
    return { number: 0, end: { pods: members }, places: sides.map((_, i) => [one![i]!, two?.[i]] as const) };
  });
}

/** The pieces into which the blocks of all sides cut the addresses, as far as they have some that no pod has. */
function outside(sides: readonly Side[], family: Family, taken: ReadonlySet<string>): Candidate[] {
  const sets = sides.flatMap((side) => side.ranges(family)).map((range, i) => [i, [range]] as const);
  const samples = new Map<AddressRange, AddressKey>();
  for (const { first, last } of cutInPieces([...sets, [-1, [allOf(family)]] as const], family)) {
    const sample = sampleOf({ first, last }, taken);
    if (sample !== undefined) samples.set({ first, last }, sample);
  }
  const placesOf = (range: AddressRange) => sides.map((side) => side.outside(samples.get(range)!));
  return alike([...samples.keys()], placesOf).map((members) => {
    const places = placesOf(members[0]!).map((place) => [place, undefined] as const);
    return { number: 0, end: { addresses: joined(members) }, places };
  });
}

/** Puts together what behaves alike on every side. */
function alike<T>(items: readonly T[], placesOf: (item: T) => readonly Place[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = placesOf(item)
      .map(({ behaviour }) => behaviour)
      .join(' ');
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [item]);
    else known.push(item);
  }
  return [...groups.values()];
}

/** An address of the range that is not taken. */
function sampleOf({ first, last }: AddressRange, taken: ReadonlySet<string>): AddressKey | undefined {
  let address: AddressKey | undefined = first;
  while (address !== undefined && address <= last) {
    if (!taken.has(formatAddress(address))) return address;
    address = nextAddress(address);
  }
  return undefined;
}

/** Ranges that follow on each other made one. */
function joined(ranges: readonly AddressRange[]): AddressRange[] {
  const all: AddressRange[] = [];
  for (const range of ranges) {
    const before = all.at(-1);
    if (before !== undefined && nextAddress(before.last) === range.first)
      all[all.length - 1] = { first: before.first, last: range.last };
    else all.push(range);
  }
  return all;
}

interface Outcome {
  readonly opened: PortSet;
  readonly closed: PortSet;
}

/** What differs between all ends of a family, those put together that have it with the same others. */
function compareAll(sides: readonly [Side, Side], ends: readonly Candidate[], family: Family): Difference[] {
  const lists = ends.flatMap((from) => reachedFrom(sides, from, ends));
  // An end does not reach itself in a way that could change, so to have it among those reached says nothing: it may
  // stand there, if the list is then the same as more of others.
  const users = new Map<string, number>();
  for (const key of lists.flatMap(keysOf)) users.set(key, (users.get(key) ?? 0) + 1);
  const rows = new Map<string, { outcome: Outcome; from: Candidate[]; to: Candidate[] }>();
  for (const list of lists) {
    const [plain, withSelf] = keysOf(list) as [string, string?];
    const isBetter = withSelf !== undefined && users.get(withSelf)! > users.get(plain)!;
    const key = isBetter ? withSelf : plain;
    const known = rows.get(key);
    if (known !== undefined) known.from.push(list.from);
    else rows.set(key, { outcome: list.outcome, from: [list.from], to: isBetter ? plusSelf(list) : list.to });
  }
  return [...rows.values()].flatMap(({ outcome, from, to }) =>
    gather(from).flatMap((source) =>
      gather(to).map((destination) => ({ from: source, to: destination, families: [family], ...outcome })),
    ),
  );
}

/** Ends for which the outcome is the same, coming from one end. In the order of all ends. */
interface ReachedList {
  readonly from: Candidate;
  readonly outcome: Outcome;
  readonly to: Candidate[];
}

function reachedFrom(
  sides: readonly [Side, Side],
  from: Candidate,
  ends: readonly Candidate[],
): ReachedList[] {
  const lists = new Map<string, ReachedList>();
  for (const to of ends) {
    if (!('pods' in from.end || 'pods' in to.end)) continue;
    const outcome = compare(sides, from, to);
    if (outcome === undefined) continue;
    const text = textOf(outcome);
    const known = lists.get(text);
    if (known === undefined) lists.set(text, { from, outcome, to: [to] });
    else known.to.push(to);
  }
  return [...lists.values()];
}

/** The same text for lists that may stand in one row: as it is, and where that is possible with the end itself in it. */
function keysOf(list: ReachedList): string[] {
  const key = (to: readonly Candidate[]) =>
    `${textOf(list.outcome)} ${to.map(({ number }) => number).join()}`;
  return isAlone(list.from) ? [key(list.to), key(plusSelf(list))] : [key(list.to)];
}

function plusSelf({ from, to }: ReachedList): Candidate[] {
  return [...to, from].sort((a, b) => a.number - b.number);
}

function textOf({ opened, closed }: Outcome): string {
  return `${opened.text}|${closed.text}`;
}

function isAlone({ end }: Candidate): boolean {
  return 'pods' in end && end.pods.length === 1;
}

function compare(
  [before, after]: readonly [Side, Side],
  from: Candidate,
  to: Candidate,
): Outcome | undefined {
  const which = from === to ? 1 : 0;
  const [was, is] = [acceptedOn(before, 0, from, to, which), acceptedOn(after, 1, from, to, which)];
  if (was === undefined || is === undefined || was.text === is.text) return undefined;
  return { opened: without(is, was), closed: without(was, is) };
}

function acceptedOn(
  side: Side,
  i: number,
  from: Candidate,
  to: Candidate,
  which: 0 | 1,
): PortSet | undefined {
  const destination = to.places[i]![which];
  return destination && side.accepted(from.places[i]![0], destination);
}

/** All pods as one end, and all addresses as another. */
function gather(candidates: readonly Candidate[]): End[] {
  const pods = candidates.flatMap(({ end }) => ('pods' in end ? end.pods : [])).sort();
  const addresses = candidates.flatMap(({ end }) => ('pods' in end ? [] : end.addresses));
  addresses.sort((a, b) => (a.first < b.first ? -1 : 1));
  return [
    ...(pods.length > 0 ? [{ pods }] : []),
    ...(addresses.length > 0 ? [{ addresses: joined(addresses) }] : []),
  ];
}

/** One difference where those of both families are the same but for the addresses that are theirs. */
function bothFamilies(differences: readonly Difference[]): Difference[] {
  const byText = new Map<string, Difference>();
  for (const one of differences) {
    const pods = (end: End) => ('pods' in end ? end.pods.join() : 'addresses');
    const key = [pods(one.from), pods(one.to), one.opened.text, one.closed.text].join('|');
    const other = byText.get(key);
    const both = (a: End, b: End): End =>
      'addresses' in a && 'addresses' in b ? { addresses: [...a.addresses, ...b.addresses] } : a;
    byText.set(
      key,
      other === undefined
        ? one
        : {
            ...one,
            from: both(other.from, one.from),
            to: both(other.to, one.to),
            families: [...new Set([...other.families, ...one.families])],
          },
    );
  }
  return [...byText.values()];
}

function policyChanges(before: readonly Resource[], after: readonly Resource[]): PolicyChange[] {
  const policies = (resources: readonly Resource[]) =>
    new Map(
      resources
        .filter((one): one is NetworkPolicy => one.kind === 'NetworkPolicy')
        .map(({ uid: _, labels: __, ...policy }) => [keyOf(policy), policy]),
    );
  const [old, now] = [policies(before), policies(after)];
  const keys = [...new Set([...old.keys(), ...now.keys()])].sort();
  return keys.flatMap((key): PolicyChange[] => {
    const [was, is] = [old.get(key), now.get(key)];
    if (isDeepStrictEqual(was, is)) return [];
    const change = was === undefined ? 'added' : is === undefined ? 'removed' : 'changed';
    return [{ policy: describeKey(key), change }];
  });
}

/** Sorted by where they lead, then by where they come from. */
function sorted(differences: readonly Difference[]): Difference[] {
  const texts = differences.map((one): [string, Difference] => {
    const { from, to, families, opened, closed } = one;
    return [[sortText(to), sortText(from), families, opened.text, closed.text].join('\n'), one];
  });
  return texts.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, one]) => one);
}

/** Pods by name, then addresses. */
function sortText(end: End): string {
  return 'pods' in end ? `0 ${end.pods.join()}` : `1 ${end.addresses.map(({ first }) => first).join()}`;
}
