import { type AddressKey, type Family, familyOf } from '#datastore/address.ts';
import { type Element, goTo, type SetDefinition, type Table } from '#kernel/nftables/model.ts';
import type { PortVerdicts } from '#proto/ports.ts';
import { type ClassId, DIRECTIONS, type Direction, type PodKey } from '#proto/program.ts';
import type { WorkloadEndpoint } from '../endpoint.ts';
import type { BlockRange, EndpointProgram, ProgramSink } from '../policy/program.ts';
import { type BlockMapOf, classChain, closedDirectionChain, commonChains, isNatChain } from './chains.ts';
import {
  addressElements,
  blockElements,
  type Contribution,
  classElements,
  hostPortElements,
  programElements,
  settingElements,
} from './contributions.ts';
import { DesiredTable } from './desired.ts';
import { addressHex } from './keys.ts';
import { type Part, partKey } from './part.ts';
import * as sets from './sets.ts';
import { type DataplaneSettings, DEFAULT_SETTINGS } from './settings.ts';

interface ClassState {
  readonly id: ClassId;
  /** How many addresses and ranges are of it. */
  named: number;
  /** What its chain was made of. */
  shape: string;
  readonly entries: Map<PodKey, { verdicts: PortVerdicts; elements: readonly Contribution[] }>;
}

interface DirectionState {
  readonly classes: Map<ClassId, ClassState>;
  readonly addresses: Map<AddressKey, { readonly class: ClassId; readonly element: Element }>;
  readonly blocks: Record<
    Family,
    { readonly map: SetDefinition | undefined; readonly elements: readonly Element[] }
  >;
  readonly ranges: Record<Family, readonly BlockRange[]>;
  /** Chains of classes that are to be looked at. */
  readonly touched: Set<ClassId>;
}

interface PodState {
  workload?: WorkloadEndpoint;
  program?: EndpointProgram;
  elements: readonly Contribution[];
  readonly classes: Record<Direction, Set<ClassId>>;
}

export const MARGAY_TABLE: Table = {
  family: 'inet',
  name: 'margay',
  comment: 'made by margay felix, which undoes what others change',
};

/**
 * Pods and programs as one table. Each change of a pod, a program or a setting changes what it is about, in
 * {@link desired}; `prepare` brings the chains up to date before that is sent. No clock, no socket.
 */
export class NodeRuleset implements ProgramSink {
  readonly desired: DesiredTable;
  readonly #settings: DataplaneSettings;
  readonly #pods = new Map<PodKey, PodState>();
  readonly #interfaces = new Map<string, PodKey>();
  readonly #meanings = new Map<ClassId, readonly string[]>();
  readonly #directions: Readonly<Record<Direction, DirectionState>> = {
    ingress: newDirection(),
    egress: newDirection(),
  };
  readonly #closed = new Map<string, Part>();
  /** What the common chains were made of, so that they are made anew only when a set came or went; and their names. */
  #common: {
    readonly state: string;
    readonly answers: ReadonlyMap<string, boolean>;
    readonly chains: ReadonlySet<string>;
  } = { state: '', answers: new Map(), chains: new Set() };

  constructor(settings: DataplaneSettings = DEFAULT_SETTINGS, table: Table = MARGAY_TABLE) {
    this.#settings = settings;
    this.desired = new DesiredTable(table);
    for (const family of [4, 6] as const) this.desired.keepSet(sets.workloads(family));
    for (const direction of DIRECTIONS) this.desired.keepSet(sets.podMap(direction));
    for (const [set, element] of settingElements(settings)) this.desired.put(set, element);
  }

  setWorkload(workload: WorkloadEndpoint): void {
    const before = this.#interfaces.get(workload.interface);
    // The kernel has one interface of the name: it is the newcomer's.
    if (before !== undefined && before !== workload.pod) this.removeWorkload(before);
    const state = this.#pod(workload.pod);
    if (state.workload) this.#interfaces.delete(state.workload.interface);
    this.#interfaces.set(workload.interface, workload.pod);
    state.workload = workload;
    this.#renew(workload.pod, state);
  }

  removeWorkload(pod: PodKey): void {
    const state = this.#pods.get(pod);
    if (!state?.workload) return;
    this.#interfaces.delete(state.workload.interface);
    delete state.workload;
    this.#renew(pod, state);
  }

  workload(pod: PodKey): WorkloadEndpoint | undefined {
    return this.#pods.get(pod)?.workload;
  }

  /**
   * Whether the program of a pod that is here is known. That of an earlier or a later pod of the same name is not: each has
   * labels of its own.
   */
  knows(pod: PodKey): boolean {
    const state = this.#pods.get(pod);
    return state !== undefined && programOf(state) !== undefined;
  }

  /** The pod that an interface is of. */
  podOf(name: string): PodKey | undefined {
    return this.#interfaces.get(name);
  }

  workloads(): WorkloadEndpoint[] {
    return [...this.#pods.values()].flatMap(({ workload }) => workload ?? []);
  }

  endpoint(pod: PodKey, program: EndpointProgram | undefined): void {
    const state = this.#pod(pod);
    if (program) state.program = program;
    else delete state.program;
    this.#renew(pod, state);
  }

  entry(direction: Direction, id: ClassId, pod: PodKey, verdicts: PortVerdicts | undefined): void {
    const of = this.#class(direction, id);
    const state = this.#pod(pod);
    const before = of.entries.get(pod);
    this.#replace(before?.elements ?? [], []);
    if (verdicts === undefined) {
      of.entries.delete(pod);
      state.classes[direction].delete(id);
      this.#forgetPod(pod, state);
    } else {
      state.classes[direction].add(id);
      const elements = this.#entryElements(direction, id, pod, state, verdicts);
      this.#replace([], elements);
      of.entries.set(pod, { verdicts, elements });
    }
    this.#directions[direction].touched.add(id);
  }

  address(direction: Direction, address: AddressKey, id: ClassId | undefined): void {
    const { addresses } = this.#directions[direction];
    const before = addresses.get(address);
    if (before?.class === id) return;
    const map = sets.peerMap(direction, familyOf(address));
    if (before) this.#unname(direction, before.class);
    if (id === undefined) {
      addresses.delete(address);
      if (before) this.desired.remove(map.name, before.element);
      return;
    }
    this.#name(direction, id);
    const element: Element = { key: addressHex(address), value: goTo(sets.classChain(direction, id)) };
    addresses.set(address, { class: id, element });
    if (!this.#isClosed({ kind: 'peers', direction })) this.desired.put(map, element);
  }

  blocks(direction: Direction, family: Family, ranges: readonly BlockRange[]): void {
    const state = this.#directions[direction];
    for (const range of ranges) this.#name(direction, range.class);
    for (const range of state.ranges[family]) this.#unname(direction, range.class);
    state.ranges[family] = ranges;
    this.#renewBlocks(direction, family);
  }

  meaning(id: ClassId, text: readonly string[]): void {
    this.#meanings.set(id, text);
  }

  commit(): void {}

  /** Closes a part, or opens it again: what the kernel refused of it is left out, and nothing passes in its place. */
  close(part: Part): void {
    this.#closed.set(partKey(part), part);
    this.#renewPart(part);
  }

  reopen(part: Part): void {
    if (this.#closed.delete(partKey(part))) this.#renewPart(part);
  }

  get closed(): readonly Part[] {
    return [...this.#closed.values()];
  }

  /** Makes the chains fit the sets that there are. */
  prepare(): void {
    const { desired } = this;
    const has = (name: string): boolean => desired.has(name);
    for (const direction of DIRECTIONS) {
      const state = this.#directions[direction];
      for (const id of state.touched) this.#renewClass(direction, id, has);
      state.touched.clear();
    }
    const closed = DIRECTIONS.filter((direction) => this.#isClosed({ kind: 'peers', direction }));
    const isNatClosed = this.#isClosed({ kind: 'nat' });
    const blockMapOf: BlockMapOf = (direction, family) => this.#directions[direction].blocks[family].map;
    const maps = DIRECTIONS.flatMap((direction) =>
      ([4, 6] as const).map((family) => blockMapOf(direction, family)?.name),
    );
    const state = `${closed.join(' ')} ${isNatClosed} ${maps.join(' ')}`;
    const { answers } = this.#common;
    if (state === this.#common.state && [...answers].every(([name, there]) => has(name) === there)) return;
    const asked = new Map<string, boolean>();
    const remember = (name: string): boolean => {
      const there = has(name);
      asked.set(name, there);
      return there;
    };
    const chains = commonChains(this.#settings, remember, blockMapOf).filter(
      ({ chain }) => !isNatClosed || !isNatChain(chain.name),
    );
    const wanted = new Set(chains.map(({ chain }) => chain.name));
    for (const name of this.#common.chains) if (!wanted.has(name)) desired.removeChain(name);
    for (const contents of chains) {
      const direction = closed.find((name) => name === contents.chain.name);
      desired.setChain(direction ? closedDirectionChain(direction, has) : contents);
    }
    this.#common = { state, answers: asked, chains: wanted };
  }

  #renewClass(direction: Direction, id: ClassId, has: (name: string) => boolean): void {
    const { classes } = this.#directions[direction];
    const of = classes.get(id);
    if (of !== undefined && of.named > 0) {
      const closed = this.#isClosed({ kind: 'class', direction, id });
      const asked: string[] = [closed ? 'closed' : 'open'];
      const remember = (name: string): boolean => {
        const there = has(name);
        if (there) asked.push(name);
        return there;
      };
      const contents = classChain(direction, id, this.#meanings.get(id) ?? [], remember, closed);
      const shape = asked.join(' ');
      if (shape !== of.shape) this.desired.setChain(contents);
      of.shape = shape;
      return;
    }
    if (of !== undefined) of.shape = '';
    this.desired.removeChain(sets.classChain(direction, id));
    if (of !== undefined && of.entries.size === 0) classes.delete(id);
    const elsewhere = DIRECTIONS.some((other) => this.#directions[other].classes.has(id));
    if (!elsewhere) this.#meanings.delete(id);
  }

  /** All that is about a pod. */
  #renew(pod: PodKey, state: PodState): void {
    this.#renewBase(pod, state);
    for (const direction of DIRECTIONS) {
      for (const id of state.classes[direction]) {
        const of = this.#class(direction, id);
        const { verdicts, elements } = of.entries.get(pod)!;
        const renewed = this.#entryElements(direction, id, pod, state, verdicts);
        this.#replace(elements, renewed);
        of.entries.set(pod, { verdicts, elements: renewed });
        this.#directions[direction].touched.add(id);
      }
    }
    this.#forgetPod(pod, state);
  }

  #renewBase(pod: PodKey, state: PodState): void {
    const elements = this.#baseElements(pod, state);
    this.#replace(state.elements, elements);
    state.elements = elements;
  }

  #baseElements(pod: PodKey, state: PodState): Contribution[] {
    const { workload } = state;
    if (workload === undefined) return [];
    const program = programOf(state);
    const isClosed = program === undefined || this.#isClosed({ kind: 'pod', pod });
    return [
      ...addressElements(workload),
      ...(isClosed ? [] : programElements(workload, program)),
      ...(isClosed || this.#isClosed({ kind: 'nat' }) ? [] : hostPortElements(workload)),
    ];
  }

  #entryElements(
    direction: Direction,
    id: ClassId,
    pod: PodKey,
    state: PodState,
    verdicts: PortVerdicts,
  ): Contribution[] {
    const { workload } = state;
    const program = programOf(state);
    const isClosed = this.#isClosed({ kind: 'pod', pod }) || this.#isClosed({ kind: 'class', direction, id });
    if (workload === undefined || program === undefined || isClosed) return [];
    return classElements(direction, id, workload, verdicts, program[direction].anyPeer);
  }

  #renewBlocks(direction: Direction, family: Family): void {
    const state = this.#directions[direction];
    const isClosed = this.#isClosed({ kind: 'peers', direction });
    const before = state.blocks[family];
    const after = blockElements(direction, family, isClosed ? [] : state.ranges[family]);
    const map = after.elements.length > 0 ? after.map : undefined;
    if (map?.name === before.map?.name) return;
    for (const element of before.elements) this.desired.remove(before.map!.name, element);
    for (const element of after.elements) this.desired.put(after.map, element);
    state.blocks[family] = { map, elements: after.elements };
  }

  #renewPart(part: Part): void {
    if (part.kind === 'nat') {
      for (const [pod, state] of this.#pods) this.#renewBase(pod, state);
      return;
    }
    if (part.kind === 'pod') {
      const state = this.#pods.get(part.pod);
      if (state) this.#renew(part.pod, state);
      return;
    }
    const { direction } = part;
    const state = this.#directions[direction];
    if (part.kind === 'class') {
      const of = state.classes.get(part.id);
      for (const [pod, { verdicts, elements }] of of?.entries ?? []) {
        const renewed = this.#entryElements(direction, part.id, pod, this.#pods.get(pod)!, verdicts);
        this.#replace(elements, renewed);
        of!.entries.set(pod, { verdicts, elements: renewed });
      }
      state.touched.add(part.id);
      return;
    }
    const isClosed = this.#isClosed(part);
    for (const [address, { element }] of state.addresses) {
      const map = sets.peerMap(direction, familyOf(address));
      if (isClosed) this.desired.remove(map.name, element);
      else this.desired.put(map, element);
    }
    for (const family of [4, 6] as const) this.#renewBlocks(direction, family);
  }

  #isClosed(part: Part): boolean {
    return this.#closed.size > 0 && this.#closed.has(partKey(part));
  }

  #replace(before: readonly Contribution[], after: readonly Contribution[]): void {
    for (const [set, element] of before) this.desired.remove(set.name, element);
    for (const [set, element] of after) this.desired.put(set, element);
  }

  #name(direction: Direction, id: ClassId): void {
    const of = this.#class(direction, id);
    if (of.named++ === 0) this.#directions[direction].touched.add(id);
  }

  #unname(direction: Direction, id: ClassId): void {
    const of = this.#class(direction, id);
    if (--of.named === 0) this.#directions[direction].touched.add(id);
  }

  #class(direction: Direction, id: ClassId): ClassState {
    const { classes } = this.#directions[direction];
    const found = classes.get(id);
    if (found) return found;
    const made: ClassState = { id, named: 0, shape: '', entries: new Map() };
    classes.set(id, made);
    return made;
  }

  #pod(pod: PodKey): PodState {
    const found = this.#pods.get(pod);
    if (found) return found;
    const made: PodState = { elements: [], classes: { ingress: new Set(), egress: new Set() } };
    this.#pods.set(pod, made);
    return made;
  }

  #forgetPod(pod: PodKey, { workload, program, classes }: PodState): void {
    if (workload || program || classes.ingress.size > 0 || classes.egress.size > 0) return;
    this.#pods.delete(pod);
  }
}

/** What is in force for the pod that is here. */
function programOf({ workload, program }: PodState): EndpointProgram | undefined {
  const isAnother = workload?.uid && program?.uid && workload.uid !== program.uid;
  return workload === undefined || isAnother ? undefined : program;
}

const NO_BLOCKS = { map: undefined, elements: [] };

function newDirection(): DirectionState {
  return {
    classes: new Map(),
    addresses: new Map(),
    blocks: { 4: NO_BLOCKS, 6: NO_BLOCKS },
    ranges: { 4: [], 6: [] },
    touched: new Set(),
  };
}
