/**
 * One direction of one node: the atoms that its pods' rules know, the classes into which these part all addresses, and
 * what each class may do with each pod. Whatever changes is told to the node's sink.
 */

import { type AddressKey, type AddressRange, type Family, familyOf, findRange } from '#datastore/address.ts';
import type { PortVerdicts } from '#proto/ports.ts';
import type { ClassId, Direction } from '#proto/program.ts';
import type { BlockRange, ProgramSink } from '../program/program.ts';
import { AtomIndex } from './atom-index.ts';
import type { Atom, Facet } from './atoms.ts';
import { cutInPieces, type Piece } from './blocks.ts';
import type { ClassNames } from './class-names.ts';
import type { GroupRules } from './group-rules.ts';
import type { PodEntry, PodGroup } from './pods.ts';

/** What a view needs to know of the rest of the cluster. */
export interface ViewContext {
  readonly direction: Direction;
  readonly sink: ProgramSink;
  readonly names: ClassNames;
  /** Up to so many groups are looked at for each class. */
  readonly few: number;
  /** The node's own pods of a group. */
  localPods(group: PodGroup): Iterable<PodEntry>;
  /** There is something to do at the next flush. */
  changed(): void;
}

/** An address class as the view has it. */
class ClassState {
  readonly key: string;
  readonly id: ClassId;
  readonly facets: readonly Facet[];
  /** How many groups, addresses and ranges are of it. */
  users = 0;
  readonly entries = new Map<PodGroup, PortVerdicts>();
  /** What is noted for groups all of whose addresses are of it. */
  readonly peer: Peer = { kind: 'uniform', class: this };

  constructor(key: string, id: ClassId, facets: readonly Facet[]) {
    this.key = key;
    this.id = id;
    this.facets = facets;
  }
}

/** Classes of a group's addresses: one for all of them, or one for each where blocks tell them apart. */
type Peer =
  | { readonly kind: 'uniform'; readonly class: ClassState }
  | { readonly kind: 'split'; readonly classes: Map<AddressKey, ClassState> };

interface Facets {
  readonly always: readonly Facet[];
  readonly inRanges: readonly Facet[];
}

export class View {
  readonly #context: ViewContext;
  /** How many of the local groups know an atom. */
  readonly #atoms = new Map<Atom, number>();
  /** How many of the atoms depend on addresses. */
  #addressAtoms = 0;
  readonly #rules = new Map<PodGroup, GroupRules>();
  readonly #peers = new Map<PodGroup, Peer>();
  readonly #classes = new Map<string, ClassState>();
  readonly #unused = new Set<ClassState>();
  /** Once there are many groups. */
  #index: AtomIndex<PodGroup, ClassState> | undefined;
  /** What blocks make of all addresses. */
  readonly #pieces: Record<Family, readonly Piece<Facet>[]> = { 4: [], 6: [] };
  readonly #pieceClasses: Record<Family, readonly ClassState[]> = { 4: [], 6: [] };
  #blocksChanged = false;
  readonly #changedPeers = new Set<PodGroup>();
  /** Addresses that joined a group whose addresses blocks tell apart. */
  readonly #newAddresses = new Map<PodGroup, AddressKey[]>();

  constructor(context: ViewContext) {
    this.#context = context;
  }

  /**
   * The rules of a local group are these now, `undefined` if it is not local any more. Its pods are those that
   * `localPods` gives.
   */
  setRules(group: PodGroup, rules: GroupRules | undefined): void {
    const before = this.#rules.get(group);
    if (rules === undefined) this.#rules.delete(group);
    else this.#rules.set(group, rules);
    for (const atom of rules?.atoms ?? []) if (!before?.atoms.has(atom)) this.#useAtom(atom, 1);
    for (const atom of before?.atoms ?? []) if (!rules?.atoms.has(atom)) this.#useAtom(atom, -1);
    this.#indexGroup(group, before, rules);
    for (const state of this.#classesFor(before, rules)) {
      this.#setEntry(state, group, rules?.entry(state.facets));
    }
  }

  /** One pod more of a group whose rules are known. */
  addPod(group: PodGroup, pod: PodEntry): void {
    for (const { id, entries } of this.#classesFor(this.#rules.get(group))) {
      const verdicts = entries.get(group);
      if (verdicts !== undefined) this.#context.sink.entry(this.#context.direction, id, pod.key, verdicts);
    }
  }

  /** A pod that was of the group is not on the node any more, or not of that group. */
  removePod(group: PodGroup, pod: PodEntry): void {
    for (const { id, entries } of this.#classesFor(this.#rules.get(group))) {
      if (entries.has(group)) this.#context.sink.entry(this.#context.direction, id, pod.key, undefined);
    }
  }

  /** A group's pods fulfil other atoms than before, or it has addresses now and had none, or the other way round. */
  peerChanged(group: PodGroup): void {
    this.#changedPeers.add(group);
    this.#context.changed();
  }

  /**
   * An address went from a pod of one group to one of another. Groups that the view has no class for do not matter here:
   * when they get one, all their addresses do.
   */
  addressMoved(address: AddressKey, from: PodGroup | undefined, to: PodGroup | undefined): void {
    const left = from && this.#peers.get(from);
    const joined = to && this.#peers.get(to);
    let told = false;
    if (left?.kind === 'split') {
      const state = left.classes.get(address);
      if (state !== undefined) {
        left.classes.delete(address);
        this.#release(state);
        told = true;
      }
    } else if (left !== undefined) {
      told = true;
    }
    const now = joined?.kind === 'uniform' ? joined.class : undefined;
    if (now !== undefined || told) this.#tell(address, now);
    if (joined?.kind === 'split') {
      const known = this.#newAddresses.get(to!);
      if (known === undefined) this.#newAddresses.set(to!, [address]);
      else known.push(address);
    } else if (joined !== undefined && !this.#isOutsideOfRanges(to!, address)) {
      this.#changedPeers.add(to!);
    }
    this.#context.changed();
  }

  /** Brings everything up to date. */
  flush(): void {
    if (this.#blocksChanged) this.#cutBlocks();
    for (const group of this.#changedPeers) this.#setPeer(group);
    for (const [group, addresses] of this.#newAddresses) {
      if (!this.#changedPeers.has(group)) this.#addAddresses(group, addresses);
    }
    this.#changedPeers.clear();
    this.#newAddresses.clear();
    for (const state of this.#unused) this.#forget(state);
    this.#unused.clear();
  }

  /** Ceases to care about anything, without a word to the sink. */
  close(): void {
    for (const atom of this.#atoms.keys()) atom.views.delete(this);
    for (const { key } of this.#classes.values()) this.#context.names.release(key);
  }

  #useAtom(atom: Atom, more: number): void {
    const before = this.#atoms.get(atom) ?? 0;
    const users = before + more;
    if (users === 0) this.#atoms.delete(atom);
    else this.#atoms.set(atom, users);
    if (before > 0 && users > 0) return;
    if (users > 0) atom.views.add(this);
    else atom.views.delete(this);
    for (const group of atom.pods?.groups ?? []) this.#changedPeers.add(group);
    if (atom.ranges === undefined) return;
    this.#addressAtoms += more;
    this.#blocksChanged = true;
  }

  /** Parts all addresses by the blocks that there are now. */
  #cutBlocks(): void {
    this.#blocksChanged = false;
    const blocks = [...this.#atoms.keys()].filter(({ pods }) => pods === undefined);
    const sets = blocks.map((atom): [Facet, readonly AddressRange[]] => [atom.facet(), atom.ranges!]);
    const moved: Record<Family, readonly AddressRange[]> = { 4: [], 6: [] };
    for (const family of [4, 6] as const) {
      const pieces = cutInPieces(sets, family);
      const classes = pieces.map(({ members }) => this.#acquire(members));
      moved[family] = differences(this.#pieces[family], this.#pieceClasses[family], pieces, classes, family);
      for (const state of this.#pieceClasses[family]) this.#release(state);
      const told = this.#blockRanges(family);
      this.#pieces[family] = pieces;
      this.#pieceClasses[family] = classes;
      const ranges = this.#blockRanges(family);
      if (!sameRanges(told, ranges)) this.#context.sink.blocks(this.#context.direction, family, ranges);
    }
    // What blocks say of an address is part of the class of its group.
    if (moved[4].length + moved[6].length === 0) return;
    for (const group of this.#peers.keys()) {
      for (const address of group.addresses) {
        if (findRange(moved[familyOf(address)], address) === undefined) continue;
        this.#changedPeers.add(group);
        break;
      }
    }
  }

  #blockRanges(family: Family): BlockRange[] {
    const classes = this.#pieceClasses[family];
    return this.#pieces[family].map(({ first, last }, i) => ({ first, last, class: classes[i]!.id }));
  }

  /** Finds out the classes of a group's addresses, and tells those that changed. */
  #setPeer(group: PodGroup): void {
    const before = this.#peers.get(group);
    const after = this.#peerOf(group);
    if (after === undefined) this.#peers.delete(group);
    else this.#peers.set(group, after);
    if (before?.kind === 'uniform' && after?.kind === 'uniform' && before.class === after.class) {
      this.#release(before.class);
      return;
    }
    const classOf = (peer: Peer | undefined, address: AddressKey) =>
      peer?.kind === 'split' ? peer.classes.get(address) : peer?.class;
    for (const address of group.addresses) {
      const now = classOf(after, address);
      if (now !== classOf(before, address)) this.#tell(address, now);
    }
    if (before?.kind === 'uniform') this.#release(before.class);
    else for (const state of before?.classes.values() ?? []) this.#release(state);
  }

  /** Finds out the classes of addresses that are new in a group and not told yet; those of the others stay. */
  #addAddresses(group: PodGroup, addresses: readonly AddressKey[]): void {
    const peer = this.#peers.get(group)!;
    const facets = this.#facetsOf(group);
    if (peer.kind === 'uniform' || facets === undefined) throw new Error(`group ${group.key} has changed`);
    for (const address of addresses) {
      const state = this.#classAt(address, facets);
      if (state === undefined) continue;
      peer.classes.set(address, state);
      this.#tell(address, state);
    }
  }

  #peerOf(group: PodGroup): Peer | undefined {
    if (group.addresses.size === 0) return undefined;
    const facets = this.#facetsOf(group);
    if (facets === undefined) return undefined;
    if (this.#addressAtoms === 0) return this.#acquire(facets.always).peer;
    const classes = new Map<AddressKey, ClassState>();
    for (const address of group.addresses) {
      const state = this.#classAt(address, facets);
      if (state !== undefined) classes.set(address, state);
    }
    return this.#simplify(classes, group.addresses.size);
  }

  /** What the view knows a group's pods by: at all of their addresses, and at those in certain ranges. */
  #facetsOf(group: PodGroup): Facets | undefined {
    const always: Facet[] = [];
    const inRanges: Facet[] = [];
    for (const atom of group.atoms) {
      if (!this.#atoms.has(atom)) continue;
      for (const facet of atom.facetsOf(group)) (atom.ranges === undefined ? always : inRanges).push(facet);
    }
    return always.length === 0 && inRanges.length === 0 ? undefined : { always, inRanges };
  }

  /** The class of an address of a group, for one user more; `undefined` if it needs none of its own. */
  #classAt(address: AddressKey, { always, inRanges }: Facets): ClassState | undefined {
    const own = [...always, ...inRanges.filter(({ atom }) => findRange(atom.ranges!, address) !== undefined)];
    // One that is nothing but in blocks is found among all addresses.
    if (own.length === 0) return undefined;
    const members = findRange(this.#pieces[familyOf(address)], address)?.members ?? [];
    return this.#acquire([...own, ...members]);
  }

  /** Ranges seldom have to do with the addresses of pods: then one class, without any, is enough for all. */
  #simplify(classes: Map<AddressKey, ClassState>, addresses: number): Peer {
    const [first] = classes.values();
    const split: Peer = { kind: 'split', classes };
    if (first === undefined || classes.size < addresses) return split;
    if (first.facets.some(({ atom }) => atom.ranges !== undefined)) return split;
    for (const state of classes.values()) if (state !== first) return split;
    first.users -= classes.size - 1;
    return first.peer;
  }

  /** Whether no range that the view knows makes a difference for an address of the group. */
  #isOutsideOfRanges(group: PodGroup, address: AddressKey): boolean {
    if (this.#addressAtoms === 0) return true;
    if (findRange(this.#pieces[familyOf(address)], address) !== undefined) return false;
    for (const atom of group.atoms) if (atom.ranges !== undefined && this.#atoms.has(atom)) return false;
    return true;
  }

  #tell(address: AddressKey, state: ClassState | undefined): void {
    this.#context.sink.address(this.#context.direction, address, state?.id);
  }

  /** The class of addresses with these facets, for one user more. */
  #acquire(facets: readonly Facet[]): ClassState {
    const sorted = facets.length < 2 ? facets : [...facets].sort((a, b) => a.number - b.number);
    const key = sorted.length === 1 ? `${sorted[0]!.number}` : sorted.map(({ number }) => number).join();
    const state = this.#classes.get(key) ?? this.#newClass(key, sorted);
    state.users++;
    this.#unused.delete(state);
    return state;
  }

  #newClass(key: string, facets: readonly Facet[]): ClassState {
    const state = new ClassState(key, this.#context.names.acquire(key, facets), facets);
    this.#classes.set(key, state);
    this.#index?.addClass(state, facets);
    for (const group of this.#index?.groupsOf(facets) ?? this.#rules.keys()) {
      this.#setEntry(state, group, this.#rules.get(group)!.entry(facets));
    }
    return state;
  }

  /** Classes that groups with these rules may have entries for. */
  #classesFor(...rules: readonly (GroupRules | undefined)[]): Iterable<ClassState> {
    const index = this.#index;
    if (index === undefined) return this.#classes.values();
    return index.classesOf(rules.flatMap((each) => (each === undefined ? [] : [...each.atoms])));
  }

  #indexGroup(group: PodGroup, before: GroupRules | undefined, after: GroupRules | undefined): void {
    if (this.#index === undefined) {
      if (this.#rules.size <= this.#context.few) return;
      this.#index = new AtomIndex();
      for (const [each, { atoms }] of this.#rules) this.#index.addGroup(each, atoms);
      for (const state of this.#classes.values()) this.#index.addClass(state, state.facets);
      return;
    }
    if (this.#rules.size < this.#context.few / 2) {
      this.#index = undefined;
      return;
    }
    this.#index.deleteGroup(group, before?.atoms ?? []);
    this.#index.addGroup(group, after?.atoms ?? []);
  }

  #release(state: ClassState): void {
    if (--state.users === 0) this.#unused.add(state);
  }

  #forget(state: ClassState): void {
    for (const group of [...state.entries.keys()]) this.#setEntry(state, group, undefined);
    this.#classes.delete(state.key);
    this.#index?.deleteClass(state, state.facets);
    this.#context.names.release(state.key);
    this.#context.sink.classGone(state.id);
  }

  #setEntry(state: ClassState, group: PodGroup, verdicts: PortVerdicts | undefined): void {
    const before = state.entries.get(group);
    const after = verdicts?.text === 'none' ? undefined : verdicts;
    if (before?.text === after?.text) return;
    if (after === undefined) state.entries.delete(group);
    else state.entries.set(group, after);
    const { sink, direction } = this.#context;
    for (const pod of this.#context.localPods(group)) sink.entry(direction, state.id, pod.key, after);
  }
}

function sameRanges(a: readonly BlockRange[], b: readonly BlockRange[]): boolean {
  const same = (one: BlockRange, two: BlockRange) =>
    one.first === two.first && one.last === two.last && one.class === two.class;
  return a.length === b.length && a.every((range, i) => same(range, b[i]!));
}

/** The addresses that two lists of pieces have in different classes. */
function differences(
  before: readonly AddressRange[],
  classesBefore: readonly ClassState[],
  after: readonly AddressRange[],
  classesAfter: readonly ClassState[],
  family: Family,
): AddressRange[] {
  const sets = [
    ...before.map((range, i) => [{ state: classesBefore[i]! }, [range]] as const),
    ...after.map((range, i) => [{ state: classesAfter[i]! }, [range]] as const),
  ];
  return cutInPieces(sets, family).filter(({ members: [one, two] }) => one!.state !== two?.state);
}
