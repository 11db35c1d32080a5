/**
 * The fabric with dataplanes on its nodes and a compiler that feeds them: objects in, packets out.
 */

import { pino } from 'pino';
import { agentSink } from '#cli/policy/ruleset.ts';
import type { Log } from '#daemon/log.ts';
import { formatAddress, parseAddress } from '#datastore/address.ts';
import type { Resource } from '#datastore/resource.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { type DataplaneSettings, DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import type { Verdict } from '#policy/evaluator/traffic.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { changesBetween } from '#test/policy/compiled.ts';
import { createFabric, endpointOf, type Fabric, type Slot } from './fabric.ts';
import { type Probe, type ProbeProtocol, type Prober, probe } from './prober.ts';

export const SILENT = pino({ level: 'silent' });

/** An end of traffic: a pod in its slot, a node, or the host outside. */
export interface End {
  readonly label: string;
  readonly prober: Prober;
  readonly addresses: readonly string[];
}

export interface Disagreement {
  readonly traffic: string;
  readonly expected: boolean;
  readonly arrived: boolean;
  readonly answered: boolean;
}

/** What the evaluator says of packets. */
export function verdictsOf(resources: readonly Resource[], probes: readonly Probe[]): Verdict[] {
  const cluster = new Cluster(resources);
  return probes.map(({ source, destination, protocol, port }) =>
    evaluate(cluster, {
      source: cluster.partyAt(parseAddress(source)!),
      destination: cluster.partyAt(parseAddress(destination)!),
      protocol,
      port,
    }),
  );
}

export class World implements Disposable {
  readonly fabric: Fabric;
  readonly dataplanes: readonly NftablesDataplane[];
  readonly conntracks: readonly Conntrack[];
  readonly compiler = new Compiler();
  #resources: readonly Resource[] = [];
  #placed = new Map<string, Slot>();

  constructor(settings: DataplaneSettings = DEFAULT_SETTINGS, slotsPerNode = 3, log: Log = SILENT) {
    this.fabric = createFabric(slotsPerNode);
    this.dataplanes = this.fabric.nodes.map(
      ({ namespace }) => new NftablesDataplane({ settings, log, namespace }),
    );
    this.conntracks = this.fabric.nodes.map(({ namespace }) => Conntrack.open(namespace));
    this.fabric.nodes.forEach(({ name }, i) => {
      this.dataplanes[i]!.start();
      this.compiler.open(name, agentSink(this.dataplanes[i]!.programs, this.compiler));
    });
  }

  get placed(): ReadonlyMap<string, Slot> {
    return this.#placed;
  }

  get resources(): readonly Resource[] {
    return this.#resources;
  }

  /** Objects, and the pods of them that stand in slots; resolves when all of it is in the kernels. */
  async become(resources: readonly Resource[], placed: ReadonlyMap<string, Slot>): Promise<void> {
    const of = (slot: Slot) => this.dataplanes[this.fabric.nodes.indexOf(slot.node)]!;
    for (const [pod, slot] of this.#placed) if (placed.get(pod) !== slot) of(slot).removeEndpoint(pod);
    for (const [pod, slot] of placed)
      if (this.#placed.get(pod) !== slot) of(slot).setEndpoint(endpointOf(slot, pod));
    this.#placed = new Map(placed);
    this.compiler.apply(changesBetween(this.#resources, resources));
    this.compiler.flush();
    this.#resources = resources;
    await this.applied();
  }

  /** Objects in place of those before; resolves when the rulesets are in the kernels, whatever has begun before. */
  async change(resources: readonly Resource[]): Promise<void> {
    const before = this.dataplanes.map(({ driver }) => driver.counters.transactions);
    this.compiler.apply(changesBetween(this.#resources, resources));
    this.compiler.flush();
    this.#resources = resources;
    await waitFor(() => this.dataplanes.some(({ driver }, i) => driver.counters.transactions > before[i]!), {
      what: 'the transaction',
      interval: 0,
    });
  }

  async applied(): Promise<void> {
    const signal = AbortSignal.timeout(10_000);
    await Promise.all(this.dataplanes.map((dataplane) => dataplane.applied([], signal)));
  }

  get ends(): End[] {
    const { nodes, outside } = this.fabric;
    return [
      ...[...this.#placed].map(([pod, { prober, addresses }]) => ({ label: pod, prober, addresses })),
      ...nodes.map(({ name, prober, addresses }) => ({ label: name, prober, addresses })),
      { label: 'outside', ...outside },
    ];
  }

  /** A packet of each kind between all pairs of ends that a policy may be about. */
  probes(traffic: (pair: number) => readonly (readonly [ProbeProtocol, number])[]): Probe[] {
    const { ends } = this;
    const probes: Probe[] = [];
    let pair = 0;
    for (const from of ends) {
      for (const to of ends) {
        if (from === to || !(this.#placed.has(from.label) || this.#placed.has(to.label))) continue;
        for (const family of [0, 1]) {
          const source = from.addresses[family];
          const destination = to.addresses[family];
          if (source === undefined || destination === undefined) continue;
          for (const [protocol, port] of traffic(pair))
            probes.push({ from: from.prober, to: to.prober, source, destination, protocol, port });
          pair++;
        }
      }
    }
    return probes;
  }

  /** Sends these packets, and asks the evaluator. */
  async disagreements(traffic: (pair: number) => readonly (readonly [ProbeProtocol, number])[]): Promise<{
    found: Disagreement[];
    allowed: number;
    denied: number;
  }> {
    const probes = this.probes(traffic);
    const expected = verdictsOf(this.#resources, probes).map(({ allowed }) => allowed);
    const results = await probe(probes, expected);
    const found = results.flatMap(({ arrived, answered }, i): Disagreement[] => {
      // Echo answers of a kernel are limited in number; those of TCP are not.
      const wantsAnswer = expected[i]! && probes[i]!.protocol === 'TCP';
      if (arrived === expected[i] && (!wantsAnswer || answered)) return [];
      return [{ traffic: this.describe(probes[i]!), expected: expected[i]!, arrived, answered }];
    });
    this.forgetFlows();
    const allowed = expected.filter((value) => value).length;
    return { found, allowed, denied: expected.length - allowed };
  }

  describe({ source, destination, protocol, port }: Probe): string {
    return `${this.#labelOf(source)} > ${this.#labelOf(destination)} ${protocol}/${port}`;
  }

  forgetFlows(): void {
    for (const conntrack of this.conntracks) conntrack.deleteMatching({});
  }

  [Symbol.dispose](): void {
    for (const dataplane of this.dataplanes) dataplane.close();
    for (const conntrack of this.conntracks) conntrack.close();
    this.fabric[Symbol.dispose]();
  }

  #labelOf(address: string): string {
    const key = parseAddress(address)!;
    const end = this.ends.find(({ addresses }) => addresses.some((one) => parseAddress(one) === key));
    return `${end?.label ?? '?'} (${formatAddress(key)})`;
  }
}
