import { type AddressKey, type Family, familyOf, findRange } from '#datastore/address.ts';
import { includes, type PortVerdict, type PortVerdicts, type Protocol, verdictOn } from '#proto/ports.ts';
import { type ClassId, DIRECTIONS, type Direction, type PodKey } from '#proto/program.ts';
import type { BlockRange, EndpointProgram, ProgramSink } from './program.ts';
import { ChangeScope } from './scope.ts';

interface DirectionPrograms {
  readonly classes: Map<ClassId, Map<PodKey, PortVerdicts>>;
  readonly addresses: Map<AddressKey, ClassId>;
  readonly blocks: Record<Family, readonly BlockRange[]>;
}

/** The programs in force, put together from their changes, which go on to another sink. */
export class Programs implements ProgramSink {
  readonly endpoints = new Map<PodKey, EndpointProgram>();
  readonly ingress: DirectionPrograms = newDirection();
  readonly egress: DirectionPrograms = newDirection();
  readonly #next: ProgramSink;
  /** Classes that drop something of some pod, by direction. */
  readonly #dropping = { ingress: new Map<ClassId, number>(), egress: new Map<ClassId, number>() };
  #scope = new ChangeScope();

  constructor(next: ProgramSink) {
    this.#next = next;
  }

  /** Which connections the changes since the last call may be about. */
  takeScope(): ChangeScope {
    const scope = this.#scope;
    this.#scope = new ChangeScope();
    return scope;
  }

  endpoint(pod: PodKey, program: EndpointProgram | undefined): void {
    this.#scope.endpoint(pod, this.endpoints.get(pod), program);
    if (program) this.endpoints.set(pod, program);
    else if (!this.endpoints.delete(pod)) return;
    this.#next.endpoint(pod, program);
  }

  entry(direction: Direction, id: ClassId, pod: PodKey, verdicts: PortVerdicts | undefined): void {
    const { classes } = this[direction];
    const entries = classes.get(id);
    const before = entries?.get(pod);
    if (before?.text === verdicts?.text) return;
    this.#scope.entry(pod, before, verdicts);
    this.#countDrops(direction, id, before, verdicts);
    if (verdicts === undefined) {
      entries?.delete(pod);
      if (entries?.size === 0) classes.delete(id);
    } else if (entries) {
      entries.set(pod, verdicts);
    } else {
      classes.set(id, new Map([[pod, verdicts]]));
    }
    this.#next.entry(direction, id, pod, verdicts);
  }

  address(direction: Direction, address: AddressKey, id: ClassId | undefined): void {
    const { addresses } = this[direction];
    const before = addresses.get(address);
    if (before === id) return;
    // Of classes that a pod's address may have, none says less than a block that it lies in, unless it drops something.
    const opens = before === undefined && !this.#dropping[direction].has(id!);
    this.#scope.address(address, !opens);
    if (id === undefined) addresses.delete(address);
    else addresses.set(address, id);
    this.#next.address(direction, address, id);
  }

  blocks(direction: Direction, family: Family, ranges: readonly BlockRange[]): void {
    if (!sameRanges(this[direction].blocks[family], ranges)) this.#scope.all = true;
    this[direction].blocks[family] = ranges;
    this.#next.blocks(direction, family, ranges);
  }

  meaning(id: ClassId, text: readonly string[]): void {
    this.#next.meaning?.(id, text);
  }

  commit(): void {
    this.#next.commit();
  }

  /**
   * Takes away whatever a snapshot did not tell: `told` are the keys that it did, as {@link SnapshotKeys} wrote them down.
   */
  sweep(told: SnapshotKeys): void {
    for (const pod of [...this.endpoints.keys()]) if (!told.endpoints.has(pod)) this.endpoint(pod, undefined);
    for (const direction of DIRECTIONS) {
      const keys = told[direction];
      const { classes, addresses, blocks } = this[direction];
      for (const [id, entries] of classes) {
        const pods = keys.entries.get(id);
        for (const pod of [...entries.keys()]) if (!pods?.has(pod)) this.entry(direction, id, pod, undefined);
      }
      for (const address of [...addresses.keys()]) {
        if (!keys.addresses.has(address)) this.address(direction, address, undefined);
      }
      for (const family of [4, 6] as const) {
        if (!keys.families.has(family) && blocks[family].length > 0) this.blocks(direction, family, []);
      }
    }
  }

  /**
   * What the programs say of a connection, as a packet meets them; `drop` for a pod that they do not know.
   *
   * @param peer the address of the other end
   */
  lookUp(
    direction: Direction,
    pod: PodKey,
    peer: AddressKey,
    protocol: Protocol | 'other',
    port: number,
  ): PortVerdict {
    const rules = this.endpoints.get(pod)?.[direction];
    if (rules === undefined) return 'drop';
    if (!rules.isolated || includes(rules.anyPeer, protocol, port)) return 'accept';
    const { classes, addresses, blocks } = this[direction];
    const id = addresses.get(peer) ?? findRange(blocks[familyOf(peer)], peer)?.class;
    const verdicts = id === undefined ? undefined : classes.get(id)?.get(pod);
    const verdict = verdicts && verdictOn(verdicts, protocol, port);
    return verdict ?? (includes(rules.otherwise, protocol, port) ? 'accept' : 'drop');
  }

  #countDrops(
    direction: Direction,
    id: ClassId,
    before: PortVerdicts | undefined,
    after: PortVerdicts | undefined,
  ): void {
    const drops = (verdicts: PortVerdicts | undefined): number =>
      Number((verdicts?.drop.text ?? 'none') !== 'none');
    const change = drops(after) - drops(before);
    if (change === 0) return;
    const count = (this.#dropping[direction].get(id) ?? 0) + change;
    if (count === 0) this.#dropping[direction].delete(id);
    else this.#dropping[direction].set(id, count);
  }
}

function sameRanges(a: readonly BlockRange[], b: readonly BlockRange[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ first, last, class: id }, i) => {
      const other = b[i]!;
      return first === other.first && last === other.last && id === other.class;
    })
  );
}

/** The keys that a snapshot told of. */
export class SnapshotKeys {
  readonly endpoints = new Set<PodKey>();
  readonly ingress = newKeys();
  readonly egress = newKeys();
}

function newKeys() {
  return {
    entries: new Map<ClassId, Set<PodKey>>(),
    addresses: new Set<AddressKey>(),
    families: new Set<Family>(),
  };
}

function newDirection(): DirectionPrograms {
  return { classes: new Map(), addresses: new Map(), blocks: { 4: [], 6: [] } };
}
