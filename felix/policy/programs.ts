import { type AddressKey, type Family, familyOf, findRange } from '#datastore/address.ts';
import { includes, type PortVerdict, type PortVerdicts, type Protocol, verdictOn } from '#proto/ports.ts';
import {
  type BlockRange,
  type ClassId,
  DIRECTIONS,
  type Direction,
  type EndpointProgram,
  type PodKey,
  type ProgramSink,
} from './program.ts';

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

  constructor(next: ProgramSink) {
    this.#next = next;
  }

  endpoint(pod: PodKey, program: EndpointProgram | undefined): void {
    if (program) this.endpoints.set(pod, program);
    else if (!this.endpoints.delete(pod)) return;
    this.#next.endpoint(pod, program);
  }

  entry(direction: Direction, id: ClassId, pod: PodKey, verdicts: PortVerdicts | undefined): void {
    const { classes } = this[direction];
    const entries = classes.get(id);
    if (entries?.get(pod)?.text === verdicts?.text) return;
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
    if (addresses.get(address) === id) return;
    if (id === undefined) addresses.delete(address);
    else addresses.set(address, id);
    this.#next.address(direction, address, id);
  }

  blocks(direction: Direction, family: Family, ranges: readonly BlockRange[]): void {
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
