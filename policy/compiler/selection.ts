/**
 * Which pods are selected by which selectors, kept as pods, namespaces and selectors come and go.
 *
 * Pods are looked at by groups: all pods of a namespace that have the same labels are selected alike. Where there are many
 * groups or selectors, those that can not meet do not look at each other: selectors are filed under a label that has to be
 * there, groups under the labels that they have.
 */

import type { Labels } from '#datastore/schema.ts';
import { ALL, type LabelTest, type Selector, selects } from '../selector.ts';

/** Selects pods by their labels, in one namespace or in those with certain labels. */
export interface PodSelector {
  readonly namespaces: { readonly name: string } | Selector;
  readonly pods: Selector;
}

/** What the index knows of a group of pods. */
export interface Selectable {
  readonly namespace: string;
  readonly labels: Labels;
}

/** A selector that is in use, and the groups that it selects. Interned: one object for one meaning. */
export class PodSelection<G extends Selectable = Selectable> {
  readonly text: string;
  readonly selector: PodSelector;
  readonly groups = new Set<G>();
  /** How many use it. */
  users = 0;

  constructor(text: string, selector: PodSelector) {
    this.text = text;
    this.selector = selector;
  }
}

/** Canonical: two that select the same have the same text, but for what the labels of one namespace may be. */
export function textOf({ namespaces, pods }: PodSelector): string {
  const where = 'name' in namespaces ? `namespace ${namespaces.name}` : `namespaces ${namespaces.text}`;
  return `${where} pods ${pods.text}`;
}

export interface IndexListener<G extends Selectable> {
  selected(selection: PodSelection<G>, group: G): void;
  unselected(selection: PodSelection<G>, group: G): void;
}

/** The index. Labels of a namespace that nobody told are what `defaultLabels` makes of its name. */
export class SelectionIndex<G extends Selectable> {
  readonly #listener: IndexListener<G>;
  readonly #defaultLabels: (namespace: string) => Labels;
  readonly #namespaces = new Map<string, NamespaceEntry<G>>();
  readonly #selections = new Map<string, PodSelection<G>>();
  /** Selections that go by labels of namespaces, under one label that a pod or its namespace must have. */
  readonly #byLabel: Drawers<PodSelection<G>> = new Map();
  readonly #ofGroup = new Map<G, Set<PodSelection<G>>>();
  readonly #few: number;

  /** @param few selectors or groups of a namespace that are looked through as they are */
  constructor(listener: IndexListener<G>, defaultLabels: (namespace: string) => Labels, few: number) {
    this.#few = few;
    this.#listener = listener;
    this.#defaultLabels = defaultLabels;
  }

  /** How many selectors are in use. */
  get size(): number {
    return this.#selections.size;
  }

  /** The selection of a selector, for one user more. */
  acquire(selector: PodSelector): PodSelection<G> {
    const text = textOf(selector);
    let selection = this.#selections.get(text);
    if (selection === undefined) {
      selection = new PodSelection<G>(text, selector);
      this.#selections.set(text, selection);
      this.#file(selection);
      for (const entry of this.#namespacesFor(selector)) {
        for (const group of groupsFor(entry, selector.pods)) {
          if (selects(selector.pods, group.labels)) this.#select(selection, group);
        }
      }
    }
    selection.users++;
    return selection;
  }

  /** One user less. Without users a selection is forgotten, silently: nobody is there to be told. */
  release(selection: PodSelection<G>): void {
    if (--selection.users > 0) return;
    this.#selections.delete(selection.text);
    for (const drawer of this.#drawersOf(selection)) {
      drawer.selections.delete(selection);
      drawer.tidy();
    }
    for (const group of selection.groups) this.#ofGroup.get(group)!.delete(selection);
  }

  addGroup(group: G): void {
    fileGroup(this.#namespace(group.namespace), group, this.#few);
    this.#ofGroup.set(group, new Set());
    for (const selection of this.#candidates(group)) this.#select(selection, group);
  }

  removeGroup(group: G): void {
    for (const selection of this.#ofGroup.get(group)!) this.#unselect(selection, group);
    this.#ofGroup.delete(group);
    unfileGroup(this.#namespace(group.namespace), group, this.#few);
    this.#tidyNamespace(group.namespace);
  }

  /** Labels of a namespace; `undefined` when nobody tells them any more. */
  setNamespace(name: string, labels: Labels | undefined): void {
    const entry = this.#namespace(name);
    entry.told = labels !== undefined;
    entry.labels = labels ?? this.#defaultLabels(name);
    for (const group of entry.groups) {
      const before = this.#ofGroup.get(group)!;
      const after = new Set(this.#candidates(group));
      for (const selection of before) if (!after.has(selection)) this.#unselect(selection, group);
      for (const selection of after) if (!before.has(selection)) this.#select(selection, group);
    }
    this.#tidyNamespace(name);
  }

  selectionsOf(group: G): ReadonlySet<PodSelection<G>> {
    return this.#ofGroup.get(group) ?? new Set();
  }

  #select(selection: PodSelection<G>, group: G): void {
    selection.groups.add(group);
    this.#ofGroup.get(group)!.add(selection);
    this.#listener.selected(selection, group);
  }

  #unselect(selection: PodSelection<G>, group: G): void {
    selection.groups.delete(group);
    this.#ofGroup.get(group)!.delete(selection);
    this.#listener.unselected(selection, group);
  }

  /** All selections that select the group. */
  *#candidates(group: G): Iterable<PodSelection<G>> {
    const { labels, selections, selectionsByLabel } = this.#namespace(group.namespace);
    const ofPod = [ANYTHING, ...drawerNames('pod', group.labels)];
    const own =
      selections.size <= this.#few ? [selections] : ofPod.map((name) => selectionsByLabel.get(name) ?? []);
    for (const drawer of own) {
      for (const selection of drawer) if (selects(selection.selector.pods, group.labels)) yield selection;
    }
    for (const name of [...ofPod, ...drawerNames('namespace', labels)]) {
      for (const selection of this.#byLabel.get(name) ?? []) {
        const { namespaces, pods } = selection.selector;
        if (selects(namespaces as Selector, labels) && selects(pods, group.labels)) yield selection;
      }
    }
  }

  *#namespacesFor({ namespaces }: PodSelector): Iterable<NamespaceEntry<G>> {
    if ('name' in namespaces) {
      const entry = this.#namespaces.get(namespaces.name);
      if (entry !== undefined) yield entry;
      return;
    }
    for (const entry of this.#namespaces.values()) if (selects(namespaces, entry.labels)) yield entry;
  }

  #file(selection: PodSelection<G>): void {
    for (const { selections } of this.#drawersOf(selection)) selections.add(selection);
  }

  /** Where a selection is filed, so that groups that it can not select need not look at it. */
  *#drawersOf(selection: PodSelection<G>): Iterable<{ selections: Set<PodSelection<G>>; tidy(): void }> {
    const { namespaces, pods } = selection.selector;
    if ('name' in namespaces) {
      const { selections, selectionsByLabel } = this.#namespace(namespaces.name);
      yield* drawersNamed(selectionsByLabel, necessary('pod', pods) ?? [ANYTHING]);
      yield { selections, tidy: () => this.#tidyNamespace(namespaces.name) };
      return;
    }
    yield* drawersNamed(
      this.#byLabel,
      necessary('pod', pods) ?? necessary('namespace', namespaces) ?? [ANYTHING],
    );
  }

  #namespace(name: string): NamespaceEntry<G> {
    let entry = this.#namespaces.get(name);
    if (entry === undefined) {
      entry = {
        labels: this.#defaultLabels(name),
        told: false,
        groups: new Set(),
        groupsByLabel: undefined,
        selections: new Set(),
        selectionsByLabel: new Map(),
      };
      this.#namespaces.set(name, entry);
    }
    return entry;
  }

  #tidyNamespace(name: string): void {
    const entry = this.#namespaces.get(name)!;
    if (!entry.told && entry.groups.size === 0 && entry.selections.size === 0) this.#namespaces.delete(name);
  }
}

interface NamespaceEntry<G extends Selectable> {
  labels: Labels;
  told: boolean;
  readonly groups: Set<G>;
  /** Under each of their labels, once there are many. */
  groupsByLabel: Drawers<G> | undefined;
  /** Selections that go by the name of this namespace. */
  readonly selections: Set<PodSelection<G>>;
  /** The same under one label that a pod must have. */
  readonly selectionsByLabel: Drawers<PodSelection<G>>;
}

type Drawers<T> = Map<string, Set<T>>;

const ANYTHING = '';

function* drawersNamed<T>(
  drawers: Drawers<T>,
  names: readonly string[],
): Iterable<{ selections: Set<T>; tidy(): void }> {
  for (const name of names) {
    const drawer = drawerOf(drawers, name);
    yield { selections: drawer, tidy: () => drawer.size === 0 && drawers.delete(name) };
  }
}

function drawerOf<T>(drawers: Drawers<T>, name: string): Set<T> {
  let drawer = drawers.get(name);
  if (drawer === undefined) {
    drawer = new Set();
    drawers.set(name, drawer);
  }
  return drawer;
}

function fileGroup<G extends Selectable>(entry: NamespaceEntry<G>, group: G, few: number): void {
  entry.groups.add(group);
  if (entry.groupsByLabel === undefined) {
    if (entry.groups.size <= 4 * few) return;
    entry.groupsByLabel = new Map();
    for (const each of entry.groups) fileByLabels(entry.groupsByLabel, each);
  } else {
    fileByLabels(entry.groupsByLabel, group);
  }
}

function fileByLabels<G extends Selectable>(drawers: Drawers<G>, group: G): void {
  for (const name of drawerNames('pod', group.labels)) drawerOf(drawers, name).add(group);
}

function unfileGroup<G extends Selectable>(entry: NamespaceEntry<G>, group: G, few: number): void {
  entry.groups.delete(group);
  const drawers = entry.groupsByLabel;
  if (drawers === undefined) return;
  if (entry.groups.size <= few) {
    entry.groupsByLabel = undefined;
    return;
  }
  for (const name of drawerNames('pod', group.labels)) {
    const drawer = drawers.get(name)!;
    drawer.delete(group);
    if (drawer.size === 0) drawers.delete(name);
  }
}

/** Groups of a namespace among which are all that a selector selects. */
function* groupsFor<G extends Selectable>(entry: NamespaceEntry<G>, pods: Selector): Iterable<G> {
  const names = entry.groupsByLabel === undefined ? undefined : necessary('pod', pods);
  if (names === undefined) yield* entry.groups;
  else for (const name of names) yield* entry.groupsByLabel!.get(name) ?? [];
}

/** One of these labels, or a label with one of these keys, must be there; `undefined` if none has to. */
function necessary(of: string, selector: Selector): string[] | undefined {
  if (selector === ALL || selector.tests === undefined) return undefined;
  const test =
    selector.tests.find(({ mayBeAbsent, among }) => !mayBeAbsent && among) ??
    selector.tests.find(({ mayBeAbsent }) => !mayBeAbsent);
  return test && drawersOfTest(of, test);
}

function drawersOfTest(of: string, { key, among, values }: LabelTest): string[] {
  return among ? values.map((value) => `${of} ${key}=${value}`) : [`${of} ${key}`];
}

function drawerNames(of: string, labels: Labels): string[] {
  return Object.entries(labels).flatMap(([key, value]) => [`${of} ${key}=${value}`, `${of} ${key}`]);
}
