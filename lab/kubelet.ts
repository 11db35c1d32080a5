/**
 * What kubelet and scheduler are in a cluster: pods of the datastore get a node, a network namespace, a network, their
 * programs, and in the end their addresses in the status. Pods that leave the datastore are taken down.
 */

import { DirectorySource } from '#datastore/directory/source.ts';
import type { Pod } from '#datastore/kinds/pod.ts';
import { describeKey, keyOf, type ResourceKey } from '#datastore/resource.ts';
import type { Datastore } from './datastore.ts';
import { removeNetns } from './leftovers.ts';
import { Listeners } from './listeners.ts';
import type { PodNetwork, PodSandbox } from './pod-network.ts';
import { podNamespace, type Topology } from './topology.ts';
import { makeMachine } from './world.ts';

/** Pods that are worked on at once. */
const AT_ONCE = 4;
/** Pause before a pod that could not be set up is tried again, in ms. */
const RETRY = 1000;

interface Running {
  readonly sandbox: PodSandbox;
  readonly listeners: Listeners;
}

export class Kubelet {
  readonly #topology: Topology;
  readonly #datastore: Datastore;
  readonly #network: PodNetwork;
  readonly #onProblem: (text: string) => void;
  readonly #stop = new AbortController();
  readonly #pods = new Map<ResourceKey, Pod>();
  readonly #running = new Map<ResourceKey, Running>();
  readonly #busy = new Set<ResourceKey>();
  readonly #waiting = new Set<ResourceKey>();
  #followed: Promise<void> = Promise.resolve();

  /** @param onProblem is told of pods that can not be set up, which is tried again */
  constructor(
    topology: Topology,
    datastore: Datastore,
    network: PodNetwork,
    onProblem: (text: string) => void,
  ) {
    this.#topology = topology;
    this.#datastore = datastore;
    this.#network = network;
    this.#onProblem = onProblem;
  }

  start(): void {
    this.#followed = this.#follow();
  }

  /** Ends its programs. Networks stay: they go with their namespaces. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#network.close();
    await this.#followed;
    for (const { listeners } of this.#running.values()) listeners.close();
  }

  async #follow(): Promise<void> {
    const source = new DirectorySource(this.#datastore.folder, { settle: 20 });
    for await (const update of source.watch(this.#stop.signal)) {
      if (update.type === 'trouble') continue;
      const changes =
        update.type === 'snapshot'
          ? update.resources.map((resource) => ({ type: 'put' as const, resource }))
          : update.changes;
      for (const change of changes) {
        const key = change.type === 'put' ? keyOf(change.resource) : change.key;
        if (change.type === 'put' && change.resource.kind === 'Pod') this.#pods.set(key, change.resource);
        else if (change.type === 'delete' && this.#pods.delete(key)) this.#look(key);
      }
      for (const key of this.#pods.keys()) this.#look(key);
    }
  }

  /** Brings one pod nearer to what it should be, as soon as there is time for it. */
  #look(key: ResourceKey): void {
    if (this.#stop.signal.aborted) return;
    const pod = this.#pods.get(key);
    const running = this.#running.get(key);
    const wanted = pod !== undefined && !pod.hostNetwork && !pod.finished;
    const stale = running !== undefined && (!wanted || pod.uid !== running.sandbox.uid);
    if (stale ? false : wanted === (running !== undefined)) return;
    if (this.#busy.has(key) || this.#busy.size >= AT_ONCE) {
      this.#waiting.add(key);
      return;
    }
    this.#busy.add(key);
    this.#waiting.delete(key);
    void this.#work(key, pod, stale ? running : undefined).finally(() => {
      this.#busy.delete(key);
      const next = [...this.#waiting, key];
      this.#waiting.clear();
      for (const other of next) this.#look(other);
    });
  }

  async #work(key: ResourceKey, pod: Pod | undefined, old: Running | undefined): Promise<void> {
    try {
      if (old !== undefined) {
        old.listeners.close();
        await this.#network.remove(old.sandbox);
        removeNetns(old.sandbox.netns);
        // Not before: what could not be taken down is tried again.
        this.#running.delete(key);
      } else if (pod?.nodeName === '') this.#bind(key, pod);
      else if (pod !== undefined) await this.#setUp(key, pod);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#onProblem(`${describeKey(key)}: ${error instanceof Error ? error.message : String(error)}`);
      await new Promise((resolve) => setTimeout(resolve, RETRY).unref());
    }
  }

  /** Gives a pod its node, as a scheduler does: only then the policy engine can tell the node about it. */
  #bind(key: ResourceKey, pod: Pod): void {
    const manifest = this.#datastore.get(key);
    if (manifest === undefined) {
      if (!this.#pods.has(key)) return;
      throw new Error(
        'spec.nodeName: not set in a file that was not made by margay lab apply, which would choose a node',
      );
    }
    const bound = manifest.spec?.nodeName;
    const nodeName = typeof bound === 'string' && bound !== '' ? bound : this.#choose();
    if (bound !== nodeName) this.#datastore.put({ ...manifest, spec: { ...manifest.spec, nodeName } });
    this.#pods.set(key, { ...pod, nodeName });
  }

  async #setUp(key: ResourceKey, { namespace, name, uid, ports, nodeName: node }: Pod): Promise<void> {
    if (!this.#topology.nodes.some((place) => place.name === node)) {
      throw new Error(`spec.nodeName: found ${node}, expected one of the lab's nodes`);
    }
    const netns = podNamespace(this.#topology.name, namespace, name);
    const sandbox: PodSandbox = { namespace, name, uid, netns, node };
    // What an attempt that failed has left.
    removeNetns(netns);
    makeMachine(netns).close();
    let addresses: readonly string[];
    try {
      const listeners = new Listeners(
        netns,
        ports.filter(({ protocol }) => protocol === 'TCP').map(({ port }) => port),
        this.#topology.families,
        `${namespace}/${name} on ${node}\n`,
      );
      this.#running.set(key, { sandbox, listeners });
      addresses = await this.#network.add(sandbox);
    } catch (error) {
      this.#running.get(key)?.listeners.close();
      this.#running.delete(key);
      await this.#network.remove(sandbox);
      throw error;
    }
    const manifest = this.#datastore.get(key);
    if (manifest === undefined) {
      if (!this.#pods.has(key)) return;
      throw new Error(
        'it is in a file that was not made by margay lab apply, so its address can not be written',
      );
    }
    // Deleted and made again meanwhile: this address goes with the pod that is gone.
    if ((manifest.metadata.uid ?? uid) !== uid) return;
    this.#datastore.put({
      ...manifest,
      status: { phase: 'Running', podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) },
    });
  }

  /** The node with the fewest pods. */
  #choose(): string {
    const count = new Map(this.#topology.nodes.map(({ name }) => [name, 0]));
    for (const { nodeName } of this.#pods.values())
      if (count.has(nodeName)) count.set(nodeName, count.get(nodeName)! + 1);
    return [...count].sort(([, a], [, b]) => a - b)[0]![0];
  }
}
