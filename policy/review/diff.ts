/**
 * What a change of objects changes for connections: which pods may reach whom on which ports that could not before, and
 * the other way round. For reviews, by people and by pull-request checks.
 *
 * Nothing is probed: the ports that are accepted are read from the compiled programs, so that no port is missed. Pods
 * that nothing tells apart, before or after, are looked at once.
 */

import {
  type AddressKey,
  type AddressRange,
  type Family,
  familyOf,
  findRange,
  formatAddress,
  nextAddress,
  parseAddress,
} from '#datastore/address.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import { ALL_PORTS, intersectionOf, type PortSet, without } from '#proto/ports.ts';
import { cutInPieces, type Piece, rangesOf } from '../compiler/blocks.ts';
import { type Compiled, compileResources } from './compile.ts';

/** Connections that a change opens or closes: from each of one end to each of the other, but none to itself. */
export interface Difference {
  readonly from: End;
  readonly to: End;
  readonly families: readonly Family[];
  /** Ports that are allowed now and were not, as `TCP/80,443 UDP/all`; `none` if there are none. */
  readonly opened: string;
  /** Ports that were allowed and are not any more. */
  readonly closed: string;
}

/** Pods, as `namespace/name`, or addresses that no pod has, as `first-last`. */
export type End = { readonly pods: readonly string[] } | { readonly addresses: readonly string[] };

/** The whole difference. */
export interface Diff {
  readonly differences: readonly Difference[];
  /** Pods that could not be compared: they are not on both sides, or have no address. */
  readonly skipped: readonly string[];
}

/**
 * Compares two states. The pods that both have are compared, with each other and with all addresses that are told apart.
 * What is between a pod and the node of the other end is left out: it depends on where the nodes' addresses are.
 */
export function diffPolicies(before: readonly Resource[], after: readonly Resource[]): Diff {
  const sides = [new Side(before), new Side(after)] as const;
  const all = new Set(sides.flatMap((side) => [...side.pods.keys()]));
  const isCommon = (key: string) => sides.every((side) => side.pods.get(key)?.addresses.length);
  const common = [...all].filter(isCommon).sort();
  const pods = classify(common, (key) => sides.map((side) => side.kindOf(key)).join('\n'));
  const ends = [...pods.map((keys): Candidate => ({ pods: keys })), ...outside(sides)];
  const differences: Difference[] = [];
  for (const from of ends) {
    for (const to of ends) {
      if ('pods' in from || 'pods' in to) differences.push(...compare(sides, from, to));
    }
  }
  return { differences, skipped: [...all].filter((key) => !isCommon(key)).sort() };
}

/** One line for each difference: `shop/web, shop/api -> db/main: opens TCP/5432`. */
export function describeDifference({ from, to, families, opened, closed }: Difference): string {
  const family = families.length === 1 ? ` (IPv${families[0]})` : '';
  const what = [opened === 'none' ? '' : `opens ${opened}`, closed === 'none' ? '' : `closes ${closed}`];
  return `${describeEnd(from)} -> ${describeEnd(to)}${family}: ${what.filter(Boolean).join(', ')}`;
}

/** A kind of end: pods that are alike, or a piece of the addresses with one of them that nobody has. */
type Candidate =
  | { readonly pods: readonly string[] }
  | { readonly range: AddressRange; readonly sample: AddressKey };

/** A state, compiled. */
class Side {
  readonly pods: ReadonlyMap<string, Pod>;
  readonly pieces: Readonly<Record<Family, readonly Piece<string>[]>>;
  readonly #compiled: Compiled;

  constructor(resources: readonly Resource[]) {
    const pods = resources.filter(
      (one): one is Pod => one.kind === 'Pod' && !one.hostNetwork && !one.finished,
    );
    this.pods = new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
    this.#compiled = compileResources(resources);
    const blocks = resources.flatMap((one) =>
      one.kind === 'NetworkPolicy'
        ? [...one.ingress, ...one.egress].flatMap(({ peers }) =>
            peers.filter((peer) => peer.kind === 'block'),
          )
        : [],
    );
    const sets = blocks.map((block) => [`${block.cidr} ${block.except}`, rangesOf(block)] as const);
    this.pieces = { 4: cutInPieces(sets, 4), 6: cutInPieces(sets, 6) };
  }

  /** The same for pods that nothing tells apart. */
  kindOf(key: string): string {
    const { namespace, labels, ports, addresses } = this.pods.get(key)!;
    const blocks = addresses.map((text) => {
      const address = parseAddress(text)!;
      return [familyOf(address), findRange(this.pieces[familyOf(address)], address)?.first ?? ''];
    });
    return JSON.stringify([namespace, Object.entries(labels).sort(), ports, blocks.sort()]);
  }

  /** The address of an end in a family, if it has one. */
  addressOf(end: Candidate, pod: string | undefined, family: Family): AddressKey | undefined {
    if ('sample' in end) return familyOf(end.sample) === family ? end.sample : undefined;
    const addresses = this.pods.get(pod!)!.addresses.map((text) => parseAddress(text)!);
    return addresses.find((address) => familyOf(address) === family);
  }

  accepts(
    from: string | undefined,
    to: string | undefined,
    source: AddressKey,
    destination: AddressKey,
  ): PortSet {
    const program = (key: string) => this.#compiled.programs.get(this.pods.get(key)!.nodeName)!;
    const egress = from === undefined ? ALL_PORTS : program(from).acceptedPorts('egress', from, destination);
    const ingress = to === undefined ? ALL_PORTS : program(to).acceptedPorts('ingress', to, source);
    return intersectionOf(egress, ingress);
  }
}

/** The differences between two kinds of ends, at most one for each family. */
function compare([before, after]: readonly [Side, Side], from: Candidate, to: Candidate): Difference[] {
  const source = 'pods' in from ? from.pods[0] : undefined;
  // A pod always reaches itself: of one kind, two have to be compared.
  const others = 'pods' in to ? to.pods.filter((pod) => pod !== source) : [];
  const destination = others[0];
  if ('pods' in to && destination === undefined) return [];
  const found = ([4, 6] as const).flatMap((family) => {
    const accepted = [before, after].map((side) => {
      const ends = [side.addressOf(from, source, family), side.addressOf(to, destination, family)] as const;
      if (ends[0] === undefined || ends[1] === undefined) return undefined;
      return side.accepts(source, destination, ends[0], ends[1]);
    });
    const [was, is] = accepted;
    if (was === undefined || is === undefined || was.text === is.text) return [];
    return [{ family, opened: without(is, was).text, closed: without(was, is).text }];
  });
  return merge(found).map((difference) => ({ from: endOf(from), to: endOf(to), ...difference }));
}

/** One for both families where these do not differ. */
function merge(
  found: readonly { family: Family; opened: string; closed: string }[],
): Pick<Difference, 'families' | 'opened' | 'closed'>[] {
  const [one, two] = found;
  if (one !== undefined && two !== undefined && one.opened === two.opened && one.closed === two.closed) {
    return [{ families: [4, 6], opened: one.opened, closed: one.closed }];
  }
  return found.map(({ family, ...ports }) => ({ families: [family], ...ports }));
}

/** The pieces into which the blocks of both sides cut all addresses, as far as they have some that no pod has. */
function outside(sides: readonly Side[]): Candidate[] {
  const taken = new Set(
    sides.flatMap((side) => [...side.pods.values()].flatMap(({ addresses }) => addresses)),
  );
  return ([4, 6] as const).flatMap((family) => {
    const sets = sides.flatMap((side, i) =>
      side.pieces[family].map((piece, j) => [`${i} ${j}`, [piece]] as const),
    );
    const everything = ['everything', [allOf(family)]] as const;
    return cutInPieces<string>([...sets, everything], family).flatMap((range) => {
      const sample = sampleOf(range, taken);
      return sample === undefined ? [] : [{ range, sample }];
    });
  });
}

/** An address of the range that is not taken. */
function sampleOf({ first, last }: AddressRange, taken: ReadonlySet<string>): AddressKey | undefined {
  for (
    let address: AddressKey | undefined = first;
    address !== undefined && address <= last;
    address = nextAddress(address)
  ) {
    if (!taken.has(formatAddress(address))) return address;
  }
  return undefined;
}

function allOf(family: Family): AddressRange {
  const length = family === 4 ? 2 : 8;
  return { first: '\0'.repeat(length) as AddressKey, last: '\uffff'.repeat(length) as AddressKey };
}

function classify(keys: readonly string[], kindOf: (key: string) => string): string[][] {
  const kinds = new Map<string, string[]>();
  for (const key of keys) {
    const kind = kindOf(key);
    const known = kinds.get(kind);
    if (known === undefined) kinds.set(kind, [key]);
    else known.push(key);
  }
  return [...kinds.values()];
}

function endOf(end: Candidate): End {
  if ('pods' in end) return { pods: end.pods };
  return { addresses: [`${formatAddress(end.range.first)}-${formatAddress(end.range.last)}`] };
}

function describeEnd(end: End): string {
  return ('pods' in end ? end.pods : end.addresses).join(', ');
}
