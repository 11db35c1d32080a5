import type { SetDump, TableDump } from '#kernel/nftables/dump.ts';
import { setIdentity, tableIdentity } from '#kernel/nftables/identity.ts';
import type { Element, SetDefinition, Table } from '#kernel/nftables/model.ts';
import type { Operation, Transaction } from '#kernel/nftables/operation.ts';
import {
  baseFirst,
  byText,
  type ChainContents,
  elementKey,
  sameChain,
  sameElement,
  sameRules,
  UNKNOWN,
} from './same.ts';
import { Steps } from './steps.ts';

interface TrackedChain {
  wanted: ChainContents | undefined;
  /** What the kernel has, as far as is known. */
  there: ChainContents | undefined;
}

interface TrackedSet {
  definition: SetDefinition;
  /** Whether it is wanted with nothing in it too. */
  kept: boolean;
  readonly wanted: Map<string, Element>;
  /** What the kernel has; undefined when it has no such set. */
  there: Map<string, Element> | undefined;
  /** Keys of elements that may differ. */
  readonly dirty: Set<string>;
}

/**
 * What one table should be, and what it is in the kernel as far as is known: two states and what may differ between
 * them, so that the difference costs what changed and not what there is. Pure; {@link changes} says what to send, and
 * {@link Changes.done} that it is in force.
 *
 * A set is there while it has elements (or is kept); chains must be set so that they name only sets that are.
 */
export class DesiredTable {
  readonly table: Table;
  readonly #chains = new Map<string, TrackedChain>();
  readonly #sets = new Map<string, TrackedSet>();
  readonly #dirtyChains = new Set<string>();
  readonly #dirtySets = new Set<string>();
  #isThere = false;
  /** What the kernel has can not be changed into what should be there: it is replaced as a whole. */
  #replace = false;

  constructor(table: Table) {
    this.table = table;
  }

  /** Wants a set, also when it is empty. */
  keepSet(definition: SetDefinition): void {
    this.#trackedSet(definition).kept = true;
    this.#dirtySets.add(definition.name);
  }

  /** Wants an element; takes the place of the one with its key. Intervals must be normalised and apart. */
  put(definition: SetDefinition, element: Element): void {
    const set = this.#trackedSet(definition);
    const key = elementKey(element);
    if (set.wanted.get(key) === element) return;
    set.wanted.set(key, element);
    this.#touch(set, key);
  }

  /** Wants an element no more, unless another was put in its place since. */
  remove(name: string, element: Element): void {
    const set = this.#sets.get(name);
    const key = elementKey(element);
    if (set?.wanted.get(key) !== element) return;
    set.wanted.delete(key);
    this.#touch(set, key);
  }

  /** Whether a set is wanted. */
  has(name: string): boolean {
    const set = this.#sets.get(name);
    return set !== undefined && isWanted(set);
  }

  setChain(contents: ChainContents): void {
    const { name } = contents.chain;
    const tracked = this.#chains.get(name);
    if (tracked) tracked.wanted = contents;
    else this.#chains.set(name, { wanted: contents, there: undefined });
    this.#dirtyChains.add(name);
  }

  removeChain(name: string): void {
    const tracked = this.#chains.get(name);
    if (!tracked) return;
    tracked.wanted = undefined;
    this.#dirtyChains.add(name);
  }

  /** Everything that is wanted, in a fixed order: to be printed, or to be compared with a dump. */
  contents(): { chains: ChainContents[]; sets: SetDump[] } {
    const sets = [...this.#sets.values()].filter(isWanted).map(({ definition, wanted }) => ({
      set: definition,
      elements: [...wanted.values()].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)),
    }));
    const chains = [...this.#chains.values()].flatMap(({ wanted }) => (wanted ? [wanted] : []));
    return {
      chains: chains.sort((a, b) => baseFirst(a.chain, b.chain)),
      sets: sets.sort((a, b) => byText(a.set.name, b.set.name)),
    };
  }

  /** How many of each are wanted. */
  count(): { sets: number; elements: number; chains: number; rules: number } {
    const count = { sets: 0, elements: 0, chains: 0, rules: 0 };
    for (const set of this.#sets.values()) {
      if (!isWanted(set)) continue;
      count.sets++;
      count.elements += set.wanted.size;
    }
    for (const { wanted } of this.#chains.values()) {
      if (!wanted) continue;
      count.chains++;
      count.rules += wanted.rules.length;
    }
    return count;
  }

  /** Takes over what the kernel has; undefined: no such table. */
  adopt(dump: TableDump | undefined): void {
    this.#forget();
    if (dump === undefined) return;
    this.#isThere = true;
    this.#replace = dump.unknown.length > 0 || dump.objects.length > 0;
    if (tableIdentity(dump.table) !== tableIdentity(this.table)) this.#replace = true;
    for (const { chain, rules } of dump.chains) {
      this.#trackedChain(chain.name).there = { chain, rules: rules.map(({ rule }) => rule) };
      this.#dirtyChains.add(chain.name);
    }
    for (const dumped of dump.sets) {
      const tracked = this.#sets.get(dumped.set.name);
      if (tracked && setIdentity(tracked.definition) !== setIdentity(dumped.set)) {
        this.#replace = true;
        continue;
      }
      this.#adoptElements(this.#trackedSet(dumped.set), dumped.elements);
    }
  }

  /** Takes over the elements that the kernel has in one set. */
  adoptElements(name: string, elements: readonly Element[]): void {
    const set = this.#sets.get(name);
    if (set) this.#adoptElements(set, elements);
  }

  /** The rules of a chain are not known to be as they should be. */
  doubtChain(name: string): void {
    const tracked = this.#chains.get(name);
    if (tracked === undefined || tracked.there === undefined) return;
    tracked.there = { chain: tracked.there.chain, rules: UNKNOWN };
    this.#dirtyChains.add(name);
  }

  /** The definition of a wanted set, to read its elements by. */
  definition(name: string): SetDefinition | undefined {
    const set = this.#sets.get(name);
    return set?.there === undefined ? undefined : set.definition;
  }

  /**
   * What is to be sent next: a difference may take several transactions, of which one is about what packets meet (steps.ts).
   * Nothing is left when it is empty. Later changes are not in it, and are not lost by its `done`.
   */
  changes(): Changes {
    for (const name of this.#dirtyChains) {
      const tracked = this.#chains.get(name)!;
      const { wanted, there } = tracked;
      if (wanted === undefined || there === undefined || wanted === there) continue;
      // A chain's hook and comment are what they were when it was made.
      if (!sameChain(wanted, there)) this.#replace = true;
      else if (sameRules(wanted.rules, there.rules)) {
        tracked.there = wanted;
      }
    }
    return this.#replace || !this.#isThere ? this.#whole() : this.#difference();
  }

  #whole(): Changes {
    const { table } = this;
    const hooks = [...this.#chains.values()].flatMap(({ there }) =>
      there?.chain.base ? [there.chain.name] : [],
    );
    const transaction: Operation[] = [{ op: 'add table', table }];
    if (this.#replace) transaction.push({ op: 'delete table', table }, { op: 'add table', table });
    const { chains, sets } = this.contents();
    for (const { chain } of chains) transaction.push({ op: 'add chain', table, chain });
    for (const { set } of sets) transaction.push({ op: 'add set', table, set });
    for (const { set, elements } of sets) {
      if (elements.length > 0) transaction.push({ op: 'add elements', table, set, elements });
    }
    for (const { rules } of chains) {
      for (const rule of rules) transaction.push({ op: 'add rule', table, rule });
    }
    return new Changes(
      transaction,
      () => {
        this.#forget();
        this.#isThere = true;
        for (const contents of chains) this.#trackedChain(contents.chain.name).there = contents;
        for (const { set, elements } of sets) this.#adoptElements(this.#trackedSet(set), elements);
        this.#settle();
      },
      this.#replace ? hooks : undefined,
    );
  }

  #difference(): Changes {
    const { table } = this;
    const steps = new Steps();
    for (const name of this.#dirtyChains) {
      const tracked = this.#chains.get(name)!;
      const { wanted, there } = tracked;
      if (wanted === there) continue;
      const rules = (wanted?.rules ?? []).map((rule) => ({ op: 'add rule', table, rule }) as const);
      // What has a hook is in the way of packets from the beginning.
      const isApart = there === undefined && wanted!.chain.base === undefined;
      const step = wanted === undefined ? 'clear' : isApart ? 'build' : 'switch';
      if (there === undefined) steps.add(step, { op: 'add chain', table, chain: wanted!.chain });
      else steps.add(step, { op: 'flush chain', table, chain: name });
      if (wanted === undefined) steps.add(step, { op: 'delete chain', table, chain: name });
      steps.add(step, ...rules);
      steps.afterwards(step, () => {
        tracked.there = wanted;
      });
    }
    for (const name of this.#dirtySets) {
      const set = this.#sets.get(name)!;
      const { definition } = set;
      if (!isWanted(set)) {
        if (set.there === undefined) continue;
        // Elements first: they hold the chains that they lead to.
        steps.add('clear', { op: 'flush set', table, set: name }, { op: 'delete set', table, set: name });
        steps.afterwards('clear', () => {
          set.there = undefined;
        });
        continue;
      }
      const { remove, add } = difference(set);
      const step = set.there === undefined ? 'build' : 'switch';
      if (set.there === undefined) steps.add(step, { op: 'add set', table, set: definition });
      if (remove.length > 0)
        steps.add(step, { op: 'delete elements', table, set: definition, elements: remove });
      if (add.length > 0) steps.add(step, { op: 'add elements', table, set: definition, elements: add });
      steps.afterwards(step, () => {
        const there = set.there ?? new Map<string, Element>();
        for (const element of remove) there.delete(elementKey(element));
        for (const element of add) there.set(elementKey(element), element);
        set.there = there;
      });
    }
    const { transaction, done } = steps.first();
    return new Changes(transaction, () => {
      for (const run of done) run();
      this.#settle();
    });
  }

  /** What is as it should be is not looked at again; what nobody wants and is not there is forgotten. */
  #settle(): void {
    for (const name of this.#dirtyChains) {
      const { wanted, there } = this.#chains.get(name)!;
      if (wanted !== there) continue;
      this.#dirtyChains.delete(name);
      if (wanted === undefined) this.#chains.delete(name);
    }
    for (const name of this.#dirtySets) {
      const set = this.#sets.get(name)!;
      if (!isWanted(set)) {
        if (set.there !== undefined) continue;
        this.#sets.delete(name);
      } else {
        if (set.there === undefined) continue;
        for (const key of set.dirty) {
          if (sameElement(set.wanted.get(key), set.there.get(key))) set.dirty.delete(key);
        }
        if (set.dirty.size > 0) continue;
      }
      this.#dirtySets.delete(name);
    }
  }

  /** As if the kernel had nothing. */
  #forget(): void {
    this.#isThere = false;
    this.#replace = false;
    for (const [name, tracked] of this.#chains) {
      tracked.there = undefined;
      if (tracked.wanted === undefined) this.#chains.delete(name);
      else this.#dirtyChains.add(name);
    }
    for (const [name, set] of this.#sets) {
      set.there = undefined;
      if (!isWanted(set)) {
        this.#sets.delete(name);
        continue;
      }
      this.#dirtySets.add(name);
      for (const key of set.wanted.keys()) set.dirty.add(key);
    }
    for (const name of this.#dirtyChains) if (!this.#chains.has(name)) this.#dirtyChains.delete(name);
    for (const name of this.#dirtySets) if (!this.#sets.has(name)) this.#dirtySets.delete(name);
  }

  #adoptElements(set: TrackedSet, elements: readonly Element[]): void {
    set.there = new Map(elements.map((element) => [elementKey(element), element]));
    set.dirty.clear();
    for (const [key, element] of set.there) {
      if (!sameElement(set.wanted.get(key), element)) set.dirty.add(key);
    }
    for (const key of set.wanted.keys()) if (!set.there.has(key)) set.dirty.add(key);
    this.#dirtySets.add(set.definition.name);
  }

  #touch(set: TrackedSet, key: string): void {
    set.dirty.add(key);
    this.#dirtySets.add(set.definition.name);
  }

  #trackedSet(definition: SetDefinition): TrackedSet {
    const found = this.#sets.get(definition.name);
    if (found) return found;
    const set = { definition, kept: false, wanted: new Map(), there: undefined, dirty: new Set<string>() };
    this.#sets.set(definition.name, set);
    return set;
  }

  #trackedChain(name: string): TrackedChain {
    const found = this.#chains.get(name);
    if (found) return found;
    const chain = { wanted: undefined, there: undefined };
    this.#chains.set(name, chain);
    this.#dirtyChains.add(name);
    return chain;
  }
}

/** What makes the kernel's state the desired one. */
export class Changes {
  readonly transaction: Transaction;
  /** Where the whole table is replaced: the chains of the old one that packets come in by. */
  readonly replaced: readonly string[] | undefined;
  readonly #done: () => void;

  constructor(transaction: Transaction, done: () => void, replaced?: readonly string[]) {
    this.transaction = transaction;
    this.replaced = replaced;
    this.#done = done;
  }

  /** The transaction is in force. */
  done(): void {
    this.#done();
  }
}

function isWanted(set: TrackedSet): boolean {
  return set.kept || set.wanted.size > 0;
}

function difference(set: TrackedSet): { remove: Element[]; add: Element[] } {
  const remove: Element[] = [];
  const add: Element[] = [];
  for (const key of set.dirty) {
    const wanted = set.wanted.get(key);
    const there = set.there?.get(key);
    if (sameElement(wanted, there)) continue;
    if (there) remove.push(there);
    if (wanted) add.push(wanted);
  }
  return { remove, add };
}
