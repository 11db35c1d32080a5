/**
 * The tour through a lab: what happens, as it happens, and whether it is what should happen.
 */

import { loadPath } from '#datastore/directory/load.ts';
import type { Resource } from '#datastore/resource.ts';
import { applicationManifests, examplePolicies, INTENDED, TIERS } from '#lab/application.ts';
import type { Lab } from '#lab/lab.ts';
import type { PeerRoute } from '#lab/peers/description.ts';
import { isCutOff, isReached, type Probe, probeAll } from '#lab/probe.ts';
import type { NodePlace } from '#lab/topology.ts';
import { setUplink } from '#lab/world.ts';
import { paint, printTable, type Terminal } from '../output.ts';
import { type End, endsOf, OUTSIDE, pairsOf, readObjects } from './cluster.ts';
import { printMatrix } from './matrix.ts';
import { isEstablished, isInSync, kernelRoutes, neighborsOf } from './nodes.ts';
import { Script } from './script.ts';
import { during } from './steady.ts';
import { explainPair, type Pair, verdictsOf } from './why.ts';

export interface TourOptions {
  readonly pods: number;
  readonly out: Terminal;
  readonly signal: AbortSignal;
}

/** How long a connection that gets no answer is waited for, in ms. */
const PATIENCE = 1000;
/** What is killed to see that packets do not notice. */
const KILLED = ['felix', 'policy'] as const;

/** Runs the tour. What was expected and did not happen is in the script that is returned. */
export async function runTour(lab: Lab, options: TourOptions): Promise<Script> {
  const script = new Script(options.out, options.signal);
  const tour = new Tour(lab, script, options);
  await tour.sessions();
  await tour.torTable();
  await tour.pods();
  await tour.kernelRoutes();
  await tour.openNetwork();
  await tour.policies();
  await tour.killed();
  await tour.linkDown();
  return script;
}

class Tour {
  readonly #lab: Lab;
  readonly #script: Script;
  readonly #out: Terminal;
  readonly #pods: number;
  #ends: readonly End[] = [];
  #probes: readonly Probe[] = [];

  constructor(lab: Lab, script: Script, { out, pods }: TourOptions) {
    this.#lab = lab;
    this.#script = script;
    this.#out = out;
    this.#pods = pods;
  }

  async sessions(): Promise<void> {
    const { topology, folder, tor } = this.#lab;
    this.#script.chapter('Each node peers with the router');
    const waiting = new Map(topology.nodes.map((node) => [node.name, node]));
    const quiet = topology.nodes.length > 8;
    await this.#script.expect(
      `all ${topology.nodes.length} nodes are Established with the router`,
      async () => {
        for (const node of waiting.values()) {
          const neighbors = await neighborsOf(folder, node.name);
          if (neighbors.length < node.link.length || !neighbors.every(isEstablished)) continue;
          waiting.delete(node.name);
          const ends = node.link.map((link) => `${link.node} ─ ${link.tor}`).join(', ');
          if (!quiet)
            this.#script.happened(
              `${node.name} (AS ${node.asn}) ─ tor (AS ${topology.tor.asn})   ${ends}   Established`,
            );
          else this.#script.progress(topology.nodes.length - waiting.size, topology.nodes.length, 'sessions');
        }
        if (waiting.size > 0) return `${[...waiting.keys()].join(', ')} not`;
        const states = await tor.neighbours();
        const down = states.filter(({ state }) => state !== 'established');
        return down.length === 0
          ? true
          : `of the router's: ${down.map(({ address, state }) => `${address} ${state}`).join(', ')}`;
      },
    );
  }

  async torTable(): Promise<void> {
    const { topology, tor } = this.#lab;
    this.#script.chapter(
      `What ${topology.tor.kind} on the router has learnt: the pod addresses of each node`,
    );
    let routes: PeerRoute[] = [];
    await this.#script.expect('the router has the pod CIDRs of all nodes', async () => {
      routes = await tor.routes();
      return missing(topology.nodes, routes);
    });
    const nodeOf = new Map(topology.nodes.flatMap((node) => node.podCidrs.map((cidr) => [cidr, node.name])));
    printTable(
      this.#script.indented,
      [
        { title: 'PREFIX', text: ({ prefix }) => prefix, style: () => 'bold' },
        { title: 'NEXT HOP', text: ({ nextHop }) => nextHop ?? 'here' },
        { title: 'AS PATH', text: ({ asPath }) => asPath || '-' },
        { title: 'NODE', text: ({ prefix }) => nodeOf.get(prefix) ?? '' },
      ],
      some(routes, 12),
    );
    this.#more(routes.length, 12);
  }

  async pods(): Promise<void> {
    const { datastore, topology } = this.#lab;
    this.#script.chapter(`A shop in three tiers: ${this.#pods} pods, made through the CNI plugin`);
    datastore.apply(applicationManifests(topology, this.#pods), 'the example application');
    await this.#script.expect(`all ${this.#pods} pods have their addresses`, async () => {
      this.#ends = endsOf(topology, await readObjects(datastore.folder));
      const up = this.#ends.length - 1;
      if (this.#pods > 20) this.#script.progress(up, this.#pods, 'pods');
      return up === this.#pods || `${up} have`;
    });
    const pods = this.#ends.filter(({ name }) => name !== OUTSIDE);
    printTable(
      this.#script.indented,
      [
        { title: 'POD', text: ({ name }) => name, style: () => 'bold' },
        { title: 'NODE', text: ({ node }) => node },
        { title: 'ADDRESS', text: ({ targets }) => targets[0]?.addresses.join(', ') ?? '' },
        { title: 'LISTENS ON', text: ({ targets }) => targets.map(({ port }) => `TCP ${port}`).join(', ') },
      ],
      some(pods, 10),
    );
    this.#more(pods.length, 10);
  }

  async kernelRoutes(): Promise<void> {
    const { topology } = this.#lab;
    const node = topology.nodes[0]!;
    this.#script.chapter(`The kernel's routes on ${node.name}: plain routing, no tunnel`);
    const others = topology.nodes.slice(1).flatMap(({ podCidrs }) => podCidrs);
    await this.#script.expect(`${node.name} has routes to the pods of all other nodes`, () => {
      const there = new Set(kernelRoutes(node).map(({ destination }) => destination));
      const absent = others.filter((cidr) => !there.has(cidr));
      return absent.length === 0 || `not to ${absent.join(', ')}`;
    });
    const routes = kernelRoutes(node);
    printTable(
      this.#script.indented,
      [
        { title: 'DESTINATION', text: ({ destination }) => destination, style: () => 'bold' },
        { title: 'VIA', text: ({ via }) => via },
        { title: 'SET BY', text: ({ setBy }) => setBy },
      ],
      some(routes, 12),
    );
    this.#more(routes.length, 12);
  }

  async openNetwork(): Promise<void> {
    this.#script.chapter('Who reaches whom: no policy yet, so all pairs are open');
    await this.#expectReach('every pair is open', () => true);
    printMatrix(this.#out, this.#ends, this.#probes);
    const tries = this.#probes.length;
    this.#script.note(`${tries} real TCP connections, ${this.#probes.filter(isReached).length} answered`);
  }

  async policies(): Promise<void> {
    const policies = examplePolicies();
    const count = policies.split('\n---').length;
    this.#script.chapter(`${count} NetworkPolicies: world → frontend → api → database, and nothing else`);
    const before = this.#probes;
    this.#lab.datastore.apply(policies, 'three-tier.yaml');
    await this.#expectReach('what the policies allow is open, and the rest closed', isIntended);
    const { resources } = await loadPath(this.#lab.datastore.folder);
    await this.#script.expect('each pair is as the reference evaluator says', () => {
      const allowed = verdictsOf(resources, this.#ends, this.#probes);
      const wrong = this.#probes.filter((probe, i) => isReached(probe) !== allowed[i]);
      return wrong.length === 0 || wrong.map(({ source, target }) => `${source} to ${target}`).join(', ');
    });
    const marked = printMatrix(this.#out, this.#ends, this.#probes, before);
    const closed = before.filter((probe, i) => isReached(probe) && isCutOff(this.#probes[i]!)).length;
    this.#script.note(
      `${closed} of ${before.length} pairs are closed now${marked ? ' (*)' : ''}; what is left is what the policies allow`,
    );
    await this.#why(resources);
  }

  async #why(resources: readonly Resource[]): Promise<void> {
    this.#script.chapter('Which rule decided');
    for (const { from, to, port, allowed, because } of this.#examplePairs().map((pair) =>
      explainPair(resources, pair),
    )) {
      const sign = allowed ? paint(this.#out, 'green', '✓') : paint(this.#out, 'red', '✗');
      this.#script.line(`${sign} ${from} → ${to}, TCP ${port}`);
      for (const reason of because) this.#script.line(`    ${reason}`);
    }
    this.#script.note('margay policy explain says more: which rules came near, and what would be needed');
  }

  /** One pair that is open and two that are closed. */
  #examplePairs(): Pair[] {
    const first = (tier: string): End => this.#ends.find(({ group }) => group.endsWith(`/${tier}`))!;
    const [frontend, api, database] = TIERS.map(({ tier }) => first(tier));
    return [
      [api!, database!],
      [frontend!, database!],
      [database!, frontend!],
    ].map(([from, to]) => ({ from: from!.name, to: to!.name, port: to!.targets[0]!.port }));
  }

  async killed(): Promise<void> {
    const { folder } = this.#lab;
    const [api, database, frontend] = ['api', 'database', 'frontend'].map(
      (tier) => this.#ends.find(({ group }) => group.endsWith(`/${tier}`))!,
    );
    const node = database!.node;
    this.#script.chapter(`margay felix and margay policy of ${node} are killed (SIGKILL), with traffic`);
    const before = KILLED.map((name) => this.#lab.restarts(node, name));
    for (const name of KILLED) this.#lab.kill(node, name);
    const back = this.#script.expect(`felix and policy of ${node} are back and in sync`, async () => {
      if (KILLED.some((name, i) => this.#lab.restarts(node, name) === before[i]))
        return 'not started again yet';
      return (await isInSync(folder, node)) || 'not in sync yet';
    });
    const target = database!.targets[0]!;
    const [open, closed] = await Promise.all([
      during([api!.source, target], PATIENCE * 5, back),
      during([frontend!.source, target], PATIENCE, back),
    ]);
    await back;
    this.#script.happened('both run again and are in sync; meanwhile, a new connection every 20 ms:');
    this.#script.line(
      `  ${api!.name} → ${database!.name}, allowed:     ${open.reached} of ${open.tried} answered`,
    );
    this.#script.line(
      `  ${frontend!.name} → ${database!.name}, forbidden: ${closed.tried - closed.cutOff} of ${closed.tried} got through`,
    );
    await this.#script.expect(
      'no allowed connection was lost and no forbidden one got through',
      () =>
        (open.reached === open.tried && closed.cutOff === closed.tried) ||
        `${open.tried - open.reached} lost, ${closed.tried - closed.cutOff} got through`,
    );
  }

  async linkDown(): Promise<void> {
    const { topology, tor } = this.#lab;
    if (topology.nodes.length < 2) return;
    const node = topology.nodes.at(-1)!;
    const other = topology.nodes[0]!;
    this.#script.chapter(`The cable of ${node.name} is pulled`);
    this.#script.restart();
    setUplink(node, false);
    this.#script.happened(`${node.name}'s link is down`);
    await this.#script.expect(`the router takes back the routes to ${node.name}`, async () => {
      const there = (await tor.routes()).filter(({ prefix }) => node.podCidrs.includes(prefix));
      return there.length === 0 || 'it still has them';
    });
    this.#script.happened(`tor   ${node.podCidrs.join(', ')} withdrawn`);
    await this.#script.expect(
      `the kernel of ${other.name} has no route to ${node.name} any more`,
      () => routesTo(other, node) === 0 || 'it still has one',
    );
    this.#script.happened(`${other.name}    route gone from the kernel`);
    setUplink(node, true);
    this.#script.restart();
    this.#script.happened(`the cable is back`);
    await this.#script.expect(
      `the kernels of ${other.name} and ${node.name} have the routes to each other again`,
      () =>
        (routesTo(other, node) === node.podCidrs.length && routesTo(node, other) === other.podCidrs.length) ||
        'not all of them',
    );
    this.#script.happened(`${other.name}    ${node.podCidrs.join(', ')} is back in the kernel`);
    await this.#expectReach('everybody reaches whom they reached before', isIntended);
    this.#script.happened('all pairs as before');
  }

  /** Probes all pairs until each is as it should be, open or closed. */
  async #expectReach(what: string, isOpen: (from: End, to: End) => boolean): Promise<void> {
    const byName = new Map(this.#ends.map((end) => [end.name, end]));
    const pairs = samplePairs(this.#ends).map((pair) => {
      const [from, to] = pair.map(({ name }) => byName.get(name)!);
      return { pair, open: isOpen(from!, to!) };
    });
    if (pairs.length > 1000) this.#script.note(`${pairs.length} pairs are tried`);
    await this.#script.expect(what, async () => {
      this.#probes = await tryAll(pairs);
      const wrong = this.#probes.filter((probe) => {
        const open = isOpen(byName.get(probe.source)!, byName.get(probe.target)!);
        return open ? !isReached(probe) : !isCutOff(probe);
      });
      if (wrong.length === 0) return true;
      const examples = wrong.slice(0, 3).map(({ source, target }) => `${source} to ${target}`);
      return `${wrong.length} of ${this.#probes.length} pairs are not: ${examples.join(', ')}`;
    });
  }

  #more(count: number, shown: number): void {
    if (count > shown) this.#script.note(`and ${count - shown} more`);
  }
}

/**
 * Tries pairs, in their order. An answer that is to come is waited for: a machine that has much to do is slow. One that must not come
 * would be waited for in vain.
 */
async function tryAll(
  pairs: readonly { readonly pair: ReturnType<typeof pairsOf>[number]; readonly open: boolean }[],
): Promise<Probe[]> {
  const of = (wanted: boolean) => pairs.filter(({ open }) => open === wanted).map(({ pair }) => pair);
  const [open, closed] = await Promise.all([
    probeAll(of(true), { patience: PATIENCE * 5 }),
    probeAll(of(false), { patience: PATIENCE }),
  ]);
  const next = { open: 0, closed: 0 };
  return pairs.map((each) => (each.open ? open[next.open++]! : closed[next.closed++]!));
}

/** Most pairs that one look tries. */
const MOST_PAIRS = 1200;

/** All pairs, or of very many an even choice. */
function samplePairs(ends: readonly End[]): ReturnType<typeof pairsOf> {
  const all = pairsOf(ends);
  const step = Math.max(1, all.length / MOST_PAIRS);
  return Array.from({ length: Math.min(all.length, MOST_PAIRS) }, (_, i) => all[Math.floor(i * step)]!);
}

function isIntended(from: End, to: End): boolean {
  const tier = (end: End): string => (end.name === OUTSIDE ? OUTSIDE : (end.group.split('/')[1] ?? ''));
  return INTENDED.some(([a, b]) => a === tier(from) && b === tier(to));
}

/** Whether routes hold the pod CIDRs of all nodes, or which are missing. */
function missing(nodes: readonly NodePlace[], routes: readonly PeerRoute[]): true | string {
  const there = new Set(routes.map(({ prefix }) => prefix));
  const absent = nodes.flatMap(({ podCidrs }) => podCidrs).filter((cidr) => !there.has(cidr));
  return absent.length === 0 || `not ${some(absent, 5).join(', ')}`;
}

function routesTo(on: NodePlace, to: NodePlace): number {
  return kernelRoutes(on).filter(({ destination }) => to.podCidrs.includes(destination)).length;
}

function some<T>(list: readonly T[], most: number): readonly T[] {
  return list.slice(0, most);
}
