/**
 * A lab while it runs: makes the machines, starts the daemons, keeps them running, and in the end takes all of it away.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { clusterObjects } from './application.ts';
import { Claim } from './claim.ts';
import { Daemon } from './daemon.ts';
import { Datastore } from './datastore.ts';
import { LabError } from './error.ts';
import { Kubelet } from './kubelet.ts';
import { bgpConfig, type DaemonName, felixConfig, nodeFiles, policyConfig } from './node-config.ts';
import { PodNetwork } from './pod-network.ts';
import type { Margay } from './program.ts';
import { datastoreOf, type LabState, writeState } from './state.ts';
import { writeTools } from './tools.ts';
import { type LabOptions, type NodePlace, planLab, type Topology } from './topology.ts';
import { Tor } from './tor/tor.ts';
import { makeNode, makeTor } from './world.ts';

/** What happens while a lab starts and runs, for whoever shows it. */
export type LabEvent =
  | { readonly kind: 'swept'; readonly namespaces: readonly string[] }
  | { readonly kind: 'machines'; readonly done: number; readonly of: number }
  /** Something does not work as it should, and is tried again. */
  | { readonly kind: 'trouble'; readonly text: string };

export interface LabSurroundings {
  readonly margay: Margay;
  readonly onEvent: (event: LabEvent) => void;
  /** Breaks the start off. A lab that is up is ended by {@link Lab.stop}. */
  readonly signal?: AbortSignal;
}

/** Daemons that a node has, in the order of starting. */
export const NODE_DAEMONS: readonly DaemonName[] = ['policy', 'felix', 'bgp'];

export class Lab {
  readonly topology: Topology;
  readonly folder: string;
  readonly datastore: Datastore;
  readonly tor: Tor;
  readonly #claim: Claim;
  readonly #surroundings: LabSurroundings;
  readonly #daemons: { readonly node: string; readonly name: DaemonName; readonly daemon: Daemon }[] = [];
  readonly #kubelet: Kubelet;
  readonly #startedAt = Date.now();
  #stopping = false;

  /** @throws LabRunsError when one of this name runs already; LabError when it is broken off, and nothing is left then */
  static async start(options: LabOptions, surroundings: LabSurroundings): Promise<Lab> {
    const { signal } = surroundings;
    const claim = await Claim.take(options.name);
    let lab: Lab | undefined;
    // What is waited for ends with the router.
    const breakOff = (): void => void lab?.tor.stop();
    try {
      if (claim.swept.length > 0) surroundings.onEvent({ kind: 'swept', namespaces: claim.swept });
      lab = new Lab(planLab(options), claim, surroundings);
      signal?.addEventListener('abort', breakOff, { once: true });
      await lab.#start();
      if (signal?.aborted) throw new LabError('broken off while it started');
      signal?.removeEventListener('abort', breakOff);
      return lab;
    } catch (error) {
      if (lab === undefined) claim.release();
      else await lab.stop();
      throw error;
    }
  }

  private constructor(topology: Topology, claim: Claim, surroundings: LabSurroundings) {
    this.topology = topology;
    this.folder = claim.folder;
    this.#claim = claim;
    this.#surroundings = surroundings;
    const store = datastoreOf(this.folder);
    mkdirSync(store, { mode: 0o700 });
    this.datastore = new Datastore(store);
    this.tor = new Tor(topology, this.folder, surroundings.margay, {
      onChange: () => this.#publish(),
      onTrouble: (error) => this.#trouble('the router', error),
    });
    const network = new PodNetwork((node) => nodeFiles(this.folder, node).cniSocket);
    this.#kubelet = new Kubelet(topology, this.datastore, network, (text) =>
      surroundings.onEvent({ kind: 'trouble', text }),
    );
  }

  /** Kills a daemon of a node (SIGKILL). It is started again. */
  kill(node: string, name: DaemonName): void {
    const found = this.#daemons.find((each) => each.node === node && each.name === name);
    const pid = found?.daemon.status.pid;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }

  /** How often a daemon of a node was started again. */
  restarts(node: string, name: DaemonName): number {
    return (
      this.#daemons.find((each) => each.node === node && each.name === name)?.daemon.status.restarts ?? 0
    );
  }

  /** Takes everything away. Twice is no error. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    await Promise.all([
      this.#kubelet.stop(),
      this.tor.stop(),
      ...this.#daemons.map(({ daemon }) => daemon.stop()),
    ]);
    this.#claim.release();
  }

  async #start(): Promise<void> {
    const { topology } = this;
    writeTools(this.folder, this.#surroundings.margay, topology.tor.kind);
    for (const object of clusterObjects(topology)) this.datastore.put(object);
    makeTor(topology);
    // All cables before the first daemon: FRR misses interfaces that come while it starts.
    for (const [index, node] of topology.nodes.entries()) {
      makeNode(topology, node);
      this.#surroundings.onEvent({ kind: 'machines', done: index + 1, of: topology.nodes.length });
      // Lets the signal of Ctrl-C and the ends of children through.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#surroundings.signal?.aborted) return;
    }
    const torAnswers = this.tor.start();
    for (const node of topology.nodes) this.#startNode(node);
    this.#kubelet.start();
    await torAnswers;
    this.#publish();
  }

  #startNode(node: NodePlace): void {
    const { margay } = this.#surroundings;
    const files = nodeFiles(this.folder, node.name);
    mkdirSync(files.folder, { mode: 0o700 });
    const documents: Record<DaemonName, object> = {
      bgp: bgpConfig(this.topology, node, files),
      policy: policyConfig(this.datastore.folder, files),
      felix: felixConfig(node, files),
    };
    for (const name of NODE_DAEMONS) {
      writeFileSync(files.config(name), stringify(documents[name]));
      const daemon = new Daemon({
        title: `margay ${name} of ${node.name}`,
        netns: node.netns,
        command: margay.command,
        args: [...margay.args, name, '--config', files.config(name)],
        log: files.log(name),
        onChange: () => this.#publish(),
      });
      this.#daemons.push({ node: node.name, name, daemon });
      daemon.start();
    }
  }

  #publish(): void {
    if (this.#stopping) return;
    const state: LabState = {
      topology: this.topology,
      pid: process.pid,
      startedAt: this.#startedAt,
      daemons: [
        { node: 'tor', daemon: 'tor', log: this.tor.log, ...this.tor.status },
        ...this.#daemons.map(({ node, name, daemon }) => ({
          node,
          daemon: name,
          log: daemon.spec.log,
          ...daemon.status,
        })),
      ],
    };
    try {
      writeState(this.folder, state);
    } catch (error) {
      // A full disk is no reason to fall over: the next change is written again.
      this.#trouble('state.json', error);
    }
  }

  #trouble(what: string, error: unknown): void {
    const text = `${what}: ${error instanceof Error ? error.message : String(error)}`;
    this.#surroundings.onEvent({ kind: 'trouble', text });
  }
}
