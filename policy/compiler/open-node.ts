/**
 * A node whose programs somebody wants to have: its own pods, and a view of the rest for each direction.
 */

import type { AddressKey } from '#datastore/address.ts';
import { DIRECTIONS, type Direction, type EndpointRules } from '#proto/program.ts';
import type { EndpointProgram, ProgramSink } from '../program/program.ts';
import type { GroupRules } from './group-rules.ts';
import type { PodEntry, PodGroup } from './pods.ts';
import { View, type ViewContext } from './view.ts';

/** What a node needs to know of the rest of the cluster. */
export interface NodeContext extends Pick<ViewContext, 'names' | 'few'> {
  rulesOf(group: PodGroup): Readonly<Record<Direction, GroupRules>>;
  addressesOf(pod: PodEntry): AddressKey[];
  /** There is something to do at the next flush. */
  changed(node: OpenNode): void;
}

/** A group that has pods on the node. */
interface LocalGroup {
  readonly pods: Set<PodEntry>;
  /** What endpoints were told of their rules, in short. */
  told: string;
}

export class OpenNode {
  readonly views: Readonly<Record<Direction, View>>;
  readonly #context: NodeContext;
  readonly #sink: ProgramSink;
  /** One that has lost its last pod stays until all that happened is known: another pod may have joined. */
  readonly #locals = new Map<PodGroup, LocalGroup>();
  /** Groups whose rules have to be looked at. */
  readonly #changedGroups = new Set<PodGroup>();
  /** Pods that joined a group that was there. */
  readonly #joined = new Set<PodEntry>();
  readonly #changedEndpoints = new Set<PodEntry>();

  constructor(context: NodeContext, sink: ProgramSink) {
    this.#context = context;
    this.#sink = sink;
    this.views = { ingress: this.#view('ingress'), egress: this.#view('egress') };
  }

  hasGroup(group: PodGroup): boolean {
    return this.#locals.has(group);
  }

  /** A pod is on the node that was not, or not in that group. */
  addPod(pod: PodEntry): void {
    this.#context.changed(this);
    const local = this.#locals.get(pod.group);
    if (local !== undefined) {
      local.pods.add(pod);
      this.#joined.add(pod);
    } else {
      this.#locals.set(pod.group, { pods: new Set([pod]), told: '' });
      this.#changedGroups.add(pod.group);
    }
    this.#changedEndpoints.add(pod);
  }

  /** The opposite of `addPod`. `stays`: a pod of its name is still on the node, in another group. */
  removePod(pod: PodEntry, stays: boolean): void {
    this.#context.changed(this);
    const { pods } = this.#locals.get(pod.group)!;
    pods.delete(pod);
    for (const direction of DIRECTIONS) this.views[direction].removePod(pod.group, pod);
    if (!stays) this.#sink.endpoint(pod.key, undefined);
    if (pods.size === 0) this.#changedGroups.add(pod.group);
  }

  /** A pod became another one of its name, on the node and in the group as before. */
  replacePod(before: PodEntry, after: PodEntry): void {
    this.#context.changed(this);
    const { pods } = this.#locals.get(before.group)!;
    pods.delete(before);
    pods.add(after);
    this.#changedEndpoints.add(after);
  }

  /** The rules of a group may be others. */
  rulesChanged(group: PodGroup): void {
    this.#context.changed(this);
    this.#changedGroups.add(group);
  }

  /** Addresses of a pod of the node are others. */
  addressesChanged(pod: PodEntry): void {
    if (!this.#locals.get(pod.group)?.pods.has(pod)) return;
    this.#changedEndpoints.add(pod);
    this.#context.changed(this);
  }

  flush(): void {
    for (const group of this.#changedGroups) this.#setRules(group, this.#locals.get(group)!);
    for (const pod of this.#joined) {
      for (const direction of DIRECTIONS) this.views[direction].addPod(pod.group, pod);
    }
    for (const pod of this.#changedEndpoints) this.#sink.endpoint(pod.key, this.#endpoint(pod));
    this.#changedGroups.clear();
    this.#joined.clear();
    this.#changedEndpoints.clear();
    for (const direction of DIRECTIONS) this.views[direction].flush();
    this.#sink.commit();
  }

  #setRules(group: PodGroup, local: LocalGroup): void {
    if (local.pods.size === 0) {
      this.#locals.delete(group);
      for (const direction of DIRECTIONS) this.views[direction].setRules(group, undefined);
      return;
    }
    const rules = this.#context.rulesOf(group);
    for (const direction of DIRECTIONS) this.views[direction].setRules(group, rules[direction]);
    const told = DIRECTIONS.map((direction) => describeRules(rules[direction])).join();
    if (told === local.told) return;
    local.told = told;
    for (const pod of local.pods) this.#changedEndpoints.add(pod);
  }

  close(): void {
    for (const direction of DIRECTIONS) this.views[direction].close();
  }

  #endpoint(pod: PodEntry): EndpointProgram {
    const { ingress, egress } = this.#context.rulesOf(pod.group);
    return {
      uid: pod.uid,
      addresses: this.#context.addressesOf(pod),
      ingress: endpointRules(ingress),
      egress: endpointRules(egress),
    };
  }

  #view(direction: Direction): View {
    return new View({
      direction,
      sink: this.#sink,
      names: this.#context.names,
      few: this.#context.few,
      localPods: (group) => this.#locals.get(group)?.pods ?? [],
      changed: () => this.#context.changed(this),
    });
  }
}

function describeRules({ isolated, anyPeer, otherwise }: GroupRules): string {
  return `${isolated} ${anyPeer.text} ${otherwise.text}`;
}

function endpointRules({ isolated, anyPeer, otherwise }: GroupRules): EndpointRules {
  return { isolated, anyPeer, otherwise };
}
