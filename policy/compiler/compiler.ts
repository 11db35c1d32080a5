/**
 * The compiler: takes changes of pods, namespaces and policies, and keeps the programs of nodes up to date. An event
 * costs what it changes.
 *
 *     Pod       -> Pods            groups of pods that policies can not tell apart, and who has which address
 *     Namespace -> SelectionIndex  which groups are selected by which selectors
 *     policy    -> Policies        rules, and the atoms of peers that they share
 *     group     -> GroupRules      all its policies resolved
 *     node      -> OpenNode, View  classes, what they may do, and which addresses are of them
 */

import type { AddressKey } from '#datastore/address.ts';
import { NAMESPACE_NAME_LABEL } from '#datastore/kinds/namespace.ts';
import type { Resource, ResourceKey } from '#datastore/resource.ts';
import type { Change } from '#datastore/source.ts';
import type { ClassId, Direction, PodKey } from '#proto/program.ts';
import type { ProgramSink } from '../program/program.ts';
import type { Atom } from './atoms.ts';
import { ClassNames } from './class-names.ts';
import { GroupRules } from './group-rules.ts';
import { OpenNode } from './open-node.ts';
import { type PodEntry, type PodGroup, Pods } from './pods.ts';
import { addTo, Policies, removeFrom } from './policies.ts';
import { generalPolicy } from './rules.ts';
import { type PodSelection, SelectionIndex } from './selection.ts';
import type { View } from './view.ts';

export interface CompilerOptions {
  /** Selectors, and an eighth of the groups, that are looked through as they are; what is more is indexed. */
  readonly few?: number;
}

/** More groups are not on most nodes, and more selectors not in most namespaces. */
const FEW = 16;

export class Compiler {
  readonly #few: number;
  readonly #names = new ClassNames();
  readonly #index: SelectionIndex<PodGroup>;
  readonly #pods: Pods;
  readonly #policies: Policies;
  readonly #rules = new WeakMap<PodGroup, Record<Direction, GroupRules>>();
  readonly #nodes = new Map<string, OpenNode>();
  readonly #podsOfNode = new Map<string, Set<PodEntry>>();
  /** What happened since the last flush. */
  readonly #changedPods = new Map<
    PodKey,
    { readonly before: PodEntry | undefined; after: PodEntry | undefined }
  >();
  readonly #movedAddresses = new Map<
    AddressKey,
    { readonly from: PodEntry | undefined; to: PodEntry | undefined }
  >();
  readonly #changedRules = new Set<PodGroup>();
  readonly #changedNodes = new Set<OpenNode>();
  /** Atoms that groups had at the last flush and do not have any more: views may still go by them. */
  readonly #lostAtoms = new Map<PodGroup, Set<Atom>>();

  constructor({ few = FEW }: CompilerOptions = {}) {
    this.#few = few;
    this.#index = new SelectionIndex<PodGroup>(
      {
        selected: (selection, group) => this.#selectionChanged(selection, group, true),
        unselected: (selection, group) => this.#selectionChanged(selection, group, false),
      },
      (name) => ({ [NAMESPACE_NAME_LABEL]: name }),
      few,
    );
    this.#policies = new Policies(this.#index);
    this.#pods = new Pods({
      groupAdded: (group) => this.#index.addGroup(group),
      groupRemoved: (group) => this.#index.removeGroup(group),
      podChanged: (before, after) => this.#podChanged(before, after),
      addressMoved: (address, from, to) => this.#addressMoved(address, from, to),
    });
  }

  /** Takes over changes. Nothing is told before `flush`, so that changes that belong together stay so. */
  apply(changes: Iterable<Change>): void {
    for (const change of changes) {
      if (change.type === 'put') this.#put(change.resource);
      else this.#delete(change.key);
    }
  }

  /** Brings all open nodes up to date. */
  flush(): void {
    for (const { before, after } of this.#changedPods.values()) this.#movePod(before, after);
    for (const group of this.#changedRules) this.#renewRules(group);
    this.#moveAddresses();
    this.#changedPods.clear();
    this.#changedRules.clear();
    this.#movedAddresses.clear();
    this.#lostAtoms.clear();
    for (const node of this.#changedNodes) node.flush();
    this.#changedNodes.clear();
    this.#policies.sweep();
  }

  /**
   * Opens a node: its whole programs are told to the sink at once, and from then on what changes.
   *
   * @returns closes it
   */
  open(name: string, sink: ProgramSink): () => void {
    if (this.#nodes.has(name)) throw new Error(`node ${name} is open already`);
    this.flush();
    const node = new OpenNode(
      {
        names: this.#names,
        few: 8 * this.#few,
        rulesOf: (group) => this.#rulesOf(group),
        addressesOf: (pod) => this.#pods.addressesOf(pod),
        changed: (node) => this.#changedNodes.add(node),
      },
      sink,
    );
    this.#nodes.set(name, node);
    for (const pod of this.#podsOfNode.get(name) ?? []) node.addPod(pod);
    node.flush();
    this.#changedNodes.delete(node);
    return () => {
      if (this.#nodes.get(name) !== node) return;
      this.#nodes.delete(name);
      this.#changedNodes.delete(node);
      node.close();
    };
  }

  /** What the addresses of a class have in common, in words. */
  describeClass(id: ClassId): string[] {
    return this.#names.describe(id);
  }

  /** How many of what there are: for metrics, and to see that nothing is left behind. */
  get counts(): Readonly<
    Record<'pods' | 'groups' | 'policies' | 'atoms' | 'selections' | 'classes', number>
  > {
    return {
      pods: this.#pods.size,
      groups: this.#pods.groups,
      policies: this.#policies.size,
      atoms: this.#policies.atoms,
      selections: this.#index.size,
      classes: this.#names.size,
    };
  }

  #put(resource: Resource): void {
    if (resource.kind === 'Pod') this.#pods.put(resource);
    else if (resource.kind === 'Namespace') this.#index.setNamespace(resource.name, resource.labels);
    else if (resource.kind === 'NetworkPolicy') {
      const general = generalPolicy(resource);
      this.#rulesMayDiffer(this.#policies.replace(general.key, general));
    }
  }

  #delete(key: ResourceKey): void {
    const [kind, namespace, name] = key.split('/') as [string, string, string];
    if (kind === 'Pod') this.#pods.delete(`${namespace}/${name}`);
    else if (kind === 'Namespace') this.#index.setNamespace(name, undefined);
    else if (kind === 'NetworkPolicy')
      this.#rulesMayDiffer(this.#policies.replace(`${namespace}/${name}`, undefined));
  }

  #rulesMayDiffer(groups: Iterable<PodGroup>): void {
    for (const group of groups) this.#changedRules.add(group);
  }

  #selectionChanged(selection: PodSelection<PodGroup>, group: PodGroup, selected: boolean): void {
    if (this.#policies.isSubject(selection)) this.#changedRules.add(group);
    for (const atom of this.#policies.atomsOf(selection)) {
      if (selected) group.atoms.add(atom);
      else {
        group.atoms.delete(atom);
        addTo(this.#lostAtoms, group, atom);
      }
      for (const view of atom.views) view.peerChanged(group);
    }
  }

  #podChanged(before: PodEntry | undefined, after: PodEntry | undefined): void {
    if (before !== undefined) removeFrom(this.#podsOfNode, before.node, before);
    if (after !== undefined) addTo(this.#podsOfNode, after.node, after);
    const { key } = (before ?? after)!;
    const known = this.#changedPods.get(key);
    if (known === undefined) this.#changedPods.set(key, { before, after });
    else known.after = after;
  }

  #addressMoved(address: AddressKey, from: PodEntry | undefined, to: PodEntry | undefined): void {
    const known = this.#movedAddresses.get(address);
    if (known === undefined) this.#movedAddresses.set(address, { from, to });
    else known.to = to;
    // Views have no class for a group without addresses.
    if (to?.group.addresses.size === 1) this.#peerChanged(to.group);
    if (from?.group.addresses.size === 0) this.#peerChanged(from.group);
  }

  #peerChanged(group: PodGroup): void {
    for (const view of this.#viewsOf(group)) view.peerChanged(group);
  }

  #movePod(before: PodEntry | undefined, after: PodEntry | undefined): void {
    if (before === after) return;
    const left = before && this.#nodes.get(before.node);
    const joined = after && this.#nodes.get(after.node);
    if (left !== undefined && left === joined && before!.group === after!.group) {
      left.replacePod(before!, after!);
      return;
    }
    left?.removePod(before!, left === joined);
    joined?.addPod(after!);
  }

  #renewRules(group: PodGroup): void {
    const before = this.#rules.get(group);
    if (before === undefined) return;
    const after = this.#resolve(group);
    // Those that say the same as before stay the same.
    if (before.ingress.text === after.ingress.text && before.egress.text === after.egress.text) return;
    this.#rules.set(group, after);
    for (const pod of group.pods) {
      const node = this.#nodes.get(pod.node);
      if (node?.hasGroup(group)) node.rulesChanged(group);
    }
  }

  #moveAddresses(): void {
    let last: { from: PodGroup | undefined; to: PodGroup | undefined; views: Set<View> } | undefined;
    for (const [address, { from, to }] of this.#movedAddresses) {
      for (const pod of [from, to]) if (pod !== undefined) this.#nodes.get(pod.node)?.addressesChanged(pod);
      const [left, joined] = [from?.group, to?.group];
      if (left === joined) continue;
      // The addresses of a pod move together.
      if (last === undefined || last.from !== left || last.to !== joined) {
        const views = this.#viewsOf(left);
        for (const view of this.#viewsOf(joined)) views.add(view);
        last = { from: left, to: joined, views };
      }
      for (const view of last.views) view.addressMoved(address, left, joined);
    }
  }

  /** Views that may have a class for a group. */
  #viewsOf(group: PodGroup | undefined): Set<View> {
    const views = new Set<View>();
    for (const atom of group?.atoms ?? []) for (const view of atom.views) views.add(view);
    for (const atom of (group && this.#lostAtoms.get(group)) ?? []) {
      for (const view of atom.views) views.add(view);
    }
    return views;
  }

  #rulesOf(group: PodGroup): Record<Direction, GroupRules> {
    let rules = this.#rules.get(group);
    if (rules === undefined) {
      rules = this.#resolve(group);
      this.#rules.set(group, rules);
    }
    return rules;
  }

  #resolve(group: PodGroup): Record<Direction, GroupRules> {
    return {
      ingress: new GroupRules(group, this.#policies.rulesOf(group, 'ingress')),
      egress: new GroupRules(group, this.#policies.rulesOf(group, 'egress')),
    };
  }
}
