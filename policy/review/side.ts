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
import { type ClassId, DIRECTIONS, type Direction, type PodKey } from '#proto/program.ts';
import { cutInPieces, rangesOf } from '../compiler/blocks.ts';
import type { NodeProgram } from '../program/node-program.ts';
import { compileResources } from './compile.ts';

export const FAMILIES: readonly Family[] = [4, 6];

/** An end of a connection in one family: a pod with its address, or an address alone. */
export interface Place {
  readonly pod: PodKey | undefined;
  readonly address: AddressKey;
  /** The same text for those that behave alike, as source and as destination. */
  readonly behaviour: string;
  /** What the pod's rules come to; 0 for what is no pod. */
  readonly rules: Numbers;
  /** What the rules of others say of it as a peer; 0 for nothing. */
  readonly peer: Numbers;
}

/** The same number for the same, of one side. */
type Numbers = Readonly<Record<Direction, number>>;

export class Side {
  /** Pods with a network of their own. */
  readonly pods: ReadonlyMap<PodKey, Pod>;
  readonly #program: NodeProgram;
  readonly #summaries: Readonly<Record<Direction, Summary>>;
  readonly #accepted: Readonly<Record<Direction, Map<number, Numbered>>> = {
    ingress: new Map(),
    egress: new Map(),
  };
  readonly #portSets = new Map<string, Numbered>();
  readonly #intersections = new Map<number, PortSet>();

  constructor(resources: readonly Resource[]) {
    this.pods = new Map(ownPods(resources).map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
    // As if all ran on one node: then whatever tells pods apart does so there.
    const together = resources.map((one) => (one.kind === 'Pod' ? { ...one, nodeName: '' } : one));
    this.#program = compileResources(together, ['']).programs.get('')!;
    this.#summaries = {
      ingress: summarize(this.#program, 'ingress'),
      egress: summarize(this.#program, 'egress'),
    };
  }

  /** A pod at the address that it has in a family, if it has one, and no other pod has it. */
  placeOf(pod: PodKey, family: Family): Place | undefined {
    const own = this.#program.endpoints.get(pod)?.addresses;
    const address = own?.find((address) => familyOf(address) === family);
    return address && this.#place(pod, address);
  }

  /** An address that no pod has. */
  outside(address: AddressKey): Place {
    return this.#place(undefined, address);
  }

  /** Where the addresses of a family are told apart, pods aside. */
  ranges(family: Family): AddressRange[] {
    return DIRECTIONS.flatMap((direction) => [...this.#program[direction].blocks[family]]);
  }

  /** Ports on which one reaches the other. Both are places of this side and of one family, and not the same pod. */
  accepted(source: Place, destination: Place): PortSet {
    const egress = this.#acceptedBy('egress', source, destination);
    const ingress = this.#acceptedBy('ingress', destination, source);
    const key = egress.number * MOST_NUMBERS + ingress.number;
    let both = this.#intersections.get(key);
    if (both === undefined) {
      both = intersectionOf(egress.ports, ingress.ports);
      this.#intersections.set(key, both);
    }
    return both;
  }

  #acceptedBy(direction: Direction, { pod, rules }: Place, { address, peer }: Place): Numbered {
    const key = rules[direction] * MOST_NUMBERS + peer[direction];
    let accepted = this.#accepted[direction].get(key);
    if (accepted === undefined) {
      const ports = pod === undefined ? ALL_PORTS : this.#program.acceptedPorts(direction, pod, address);
      accepted = this.#portSets.get(ports.text) ?? { ports, number: this.#portSets.size };
      this.#portSets.set(ports.text, accepted);
      this.#accepted[direction].set(key, accepted);
    }
    return accepted;
  }

  #place(pod: PodKey | undefined, address: AddressKey): Place {
    const rules = (direction: Direction) =>
      pod === undefined ? 0 : this.#summaries[direction].rules.get(pod)!;
    const peer = (direction: Direction) => {
      const id = this.#program[direction].classOf(address);
      return (id === undefined ? undefined : this.#summaries[direction].classes.get(id)) ?? 0;
    };
    const numbers = (of: (direction: Direction) => number) => ({
      ingress: of('ingress'),
      egress: of('egress'),
    });
    const [own, others] = [numbers(rules), numbers(peer)];
    const behaviour = [own.ingress, own.egress, others.ingress, others.egress].join();
    return { pod, address, behaviour, rules: own, peer: others };
  }
}

interface Numbered {
  readonly ports: PortSet;
  readonly number: number;
}

/** Two numbers below it make one that is exact. */
const MOST_NUMBERS = 2 ** 26;

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
