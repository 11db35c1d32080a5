/**
 * A state of all objects as it is compared with another one: who accepts what from whom. Ends that behave alike are told
 * by that they have the same behaviour, so that only one of them has to be looked at.
 */

import {
  type AddressKey,
  type AddressRange,
  type Family,
  familyOf,
  formatAddress,
  nextAddress,
} from '#datastore/address.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import type { Resource } from '#datastore/resource.ts';
import { ALL_PORTS, intersectionOf, type PortSet } from '#proto/ports.ts';
import { cutInPieces, rangesOf } from '../compiler/blocks.ts';
import type { NodeProgram } from '../program/node-program.ts';
import { type ClassId, DIRECTIONS, type Direction, type PodKey } from '../program/program.ts';
import { compileResources } from './compile.ts';

export const FAMILIES: readonly Family[] = [4, 6];

/** An end of a connection: a pod with its address in a family, or an address alone. */
export interface Place {
  readonly pod: PodKey | undefined;
  readonly address: AddressKey;
}

export class Side {
  /** Pods with a network of their own. */
  readonly pods: ReadonlyMap<PodKey, Pod>;
  readonly #program: NodeProgram;
  /** What each pod's rules come to, by pod; the same number for the same. */
  readonly #rules: Readonly<Record<Direction, ReadonlyMap<PodKey, number>>>;
  /** What peers of a class may do, by class; the same number for the same. */
  readonly #classes: Readonly<Record<Direction, ReadonlyMap<ClassId, number>>>;
  readonly #accepted = new Map<string, PortSet>();
  readonly #intersections = new Map<string, PortSet>();

  constructor(resources: readonly Resource[]) {
    this.pods = new Map(ownPods(resources).map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
    // As if all ran on one node: then whatever tells pods apart does so there.
    const together = resources.map((one) => (one.kind === 'Pod' ? { ...one, nodeName: '' } : one));
    this.#program = compileResources(together, ['']).programs.get('')!;
    const summaries = DIRECTIONS.map((direction) => summarize(this.#program, direction));
    const [ingress, egress] = summaries as [Summary, Summary];
    this.#rules = { ingress: ingress.rules, egress: egress.rules };
    this.#classes = { ingress: ingress.classes, egress: egress.classes };
  }

  /** The address that a pod has in a family, if it has one, and no other pod has it. */
  addressOf(pod: PodKey, family: Family): AddressKey | undefined {
    return this.#program.endpoints.get(pod)?.addresses.find((address) => familyOf(address) === family);
  }

  /** Where the addresses of a family are told apart, pods aside. */
  ranges(family: Family): AddressRange[] {
    return DIRECTIONS.flatMap((direction) => [...this.#program[direction].blocks[family]]);
  }

  /** The same text for those that behave alike, as source and as destination. */
  behaviourOf(place: Place): string {
    const { pod } = place;
    const own = pod === undefined ? [] : DIRECTIONS.map((direction) => this.#rules[direction].get(pod)!);
    return [...own, ...DIRECTIONS.map((direction) => this.#classOf(direction, place))].join();
  }

  /** Ports on which one reaches the other. Both are of one family, and not the same pod. */
  accepted(source: Place, destination: Place): PortSet {
    const egress = this.#acceptedBy('egress', source, destination);
    const ingress = this.#acceptedBy('ingress', destination, source);
    const key = `${egress.text}|${ingress.text}`;
    let both = this.#intersections.get(key);
    if (both === undefined) {
      both = intersectionOf(egress, ingress);
      this.#intersections.set(key, both);
    }
    return both;
  }

  #acceptedBy(direction: Direction, { pod }: Place, peer: Place): PortSet {
    if (pod === undefined) return ALL_PORTS;
    const key = `${direction} ${this.#rules[direction].get(pod)} ${this.#classOf(direction, peer)}`;
    let ports = this.#accepted.get(key);
    if (ports === undefined) {
      ports = this.#program.acceptedPorts(direction, pod, peer.address);
      this.#accepted.set(key, ports);
    }
    return ports;
  }

  /** 0 for peers of which no rule says anything. */
  #classOf(direction: Direction, { address }: Place): number {
    const id = this.#program[direction].classOf(address);
    return (id === undefined ? undefined : this.#classes[direction].get(id)) ?? 0;
  }
}

/** Pods that policies can be about. */
export function ownPods(resources: readonly Resource[]): Pod[] {
  return resources.filter((one): one is Pod => one.kind === 'Pod' && !one.hostNetwork && !one.finished);
}

/**
 * Gives pods without an address one that no ipBlock of any state has: for connections among pods it does not matter
 * which. A family all of whose addresses are in blocks has none to give.
 *
 * @returns the states so changed, and the pods that were given addresses
 */
export function withAddresses(states: readonly (readonly Resource[])[]): {
  readonly states: readonly (readonly Resource[])[];
  readonly given: ReadonlySet<PodKey>;
} {
  const all = states.flat();
  const blocks = all.flatMap((one) =>
    one.kind === 'NetworkPolicy'
      ? [...one.ingress, ...one.egress].flatMap(({ peers }) => peers.filter(({ kind }) => kind === 'block'))
      : [],
  );
  const sets = blocks.map((block) => ['block', block.kind === 'block' ? rangesOf(block) : []] as const);
  const taken = takenAddresses(states);
  const free = FAMILIES.map((family) => freeAddresses(sets, family, taken));
  const given = new Map<PodKey, readonly string[]>();
  const give = (pod: Pod): Pod => {
    const key = `${pod.namespace}/${pod.name}`;
    const addresses = given.get(key) ?? free.flatMap((next) => next.next().value ?? []);
    if (addresses.length === 0) return pod;
    given.set(key, addresses);
    return { ...pod, addresses };
  };
  const isWithout = (one: Resource) => one.kind === 'Pod' && one.addresses.length === 0;
  return {
    states: states.map((resources) =>
      resources.map((one) => (isWithout(one) && !(one as Pod).hostNetwork ? give(one as Pod) : one)),
    ),
    given: new Set(given.keys()),
  };
}

/** Addresses that such pods have, as text. */
export function takenAddresses(states: readonly (readonly Resource[])[]): Set<string> {
  return new Set(states.flatMap((resources) => ownPods(resources).flatMap(({ addresses }) => addresses)));
}

/** All addresses of a family, as a range. */
export function allOf(family: Family): AddressRange {
  const length = family === 4 ? 2 : 8;
  return { first: '\0'.repeat(length) as AddressKey, last: '\uffff'.repeat(length) as AddressKey };
}

function* freeAddresses(
  sets: readonly (readonly [string, readonly AddressRange[]])[],
  family: Family,
  taken: ReadonlySet<string>,
): Generator<string, undefined> {
  const pieces = cutInPieces([...sets, ['everything', [allOf(family)]] as const], family);
  for (const { first, last } of pieces.filter(({ members }) => !members.includes('block'))) {
    // One of each piece is left over, to stand for what is outside of the cluster.
    let left: string | undefined;
    for (let at: AddressKey | undefined = first; at !== undefined && at <= last; at = nextAddress(at)) {
      const text = formatAddress(at);
      if (taken.has(text)) continue;
      if (left !== undefined) yield left;
      left = text;
    }
  }
}

interface Summary {
  readonly rules: ReadonlyMap<PodKey, number>;
  readonly classes: ReadonlyMap<ClassId, number>;
}

function summarize(program: NodeProgram, direction: Direction): Summary {
  const numbers = new Map<string, number>();
  const numberOf = (text: string) => {
    const known = numbers.get(text);
    if (known !== undefined) return known;
    numbers.set(text, numbers.size + 1);
    return numbers.size;
  };
  const byPod = new Map<PodKey, string[]>();
  const classes = new Map<ClassId, number>();
  for (const [id, entries] of program[direction].classes) {
    const texts = [...entries].map(([pod, verdicts]) => `${pod} ${verdicts.text}`);
    const number = numberOf(`class ${texts.sort().join('\n')}`);
    classes.set(id, number);
    for (const [pod, verdicts] of entries) {
      const known = byPod.get(pod);
      const text = `${number} ${verdicts.text}`;
      if (known === undefined) byPod.set(pod, [text]);
      else known.push(text);
    }
  }
  const rules = new Map<PodKey, number>();
  for (const [pod, endpoint] of program.endpoints) {
    const { isolated, anyPeer, otherwise } = endpoint[direction];
    const entries = [...new Set(byPod.get(pod) ?? [])].sort();
    const parts = isolated ? [anyPeer.text, otherwise.text, ...entries] : ['open'];
    rules.set(pod, numberOf(`rules ${parts.join('\n')}`));
  }
  return { rules, classes };
}
