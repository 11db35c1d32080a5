/**
 * The router at the top of the rack: a real BGP daemon, kept running, and what it says of its sessions and routes.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findTool } from '../command.ts';
import { Daemon, type DaemonStatus } from '../daemon.ts';
import { type NodeFiles, nodeFiles, torDescription } from '../node-config.ts';
import { BirdDriver } from '../peers/bird.ts';
import type { Family, NeighbourState, PeerRoute } from '../peers/description.ts';
import type { Driver } from '../peers/driver.ts';
import { FrrDriver } from '../peers/frr.ts';
import { GobgpdDriver } from '../peers/gobgpd.ts';
import type { Margay } from '../program.ts';
import { TOR_KINDS, type Topology, type TorKind } from '../topology.ts';
import { waitFor } from '../wait.ts';
import { GobgpRoutes } from './gobgp-routes.ts';
import { MargayTorDriver } from './margay.ts';

/** The part of a driver that the router needs. */
export type TorDriver = Pick<Driver, 'configure' | 'processes' | 'neighbours' | 'routes'>;

const TOOLS: Readonly<Record<TorKind, readonly string[]>> = {
  gobgpd: ['gobgpd', 'gobgp'],
  bird: ['bird', 'birdc'],
  frr: ['bgpd', 'zebra', 'vtysh'],
  margay: [],
};

/** What of a kind's programs this machine has not. */
export function missingTools(kind: TorKind): string[] {
  return TOOLS[kind].filter((tool) => findTool(tool) === undefined);
}

/** The first kind that this machine has. */
export function firstTor(): TorKind {
  return TOR_KINDS.find((kind) => missingTools(kind).length === 0) ?? 'margay';
}

/** Who is told of what. */
export interface TorEvents {
  /** {@link Tor.status} has changed. */
  readonly onChange: () => void;
  /** A process that was started again does not answer. */
  readonly onTrouble: (error: unknown) => void;
}

export class Tor {
  readonly #topology: Topology;
  readonly #driver: TorDriver;
  readonly #daemons: Daemon[];
  readonly #follower: GobgpRoutes | undefined;
  #stopped = false;

  constructor(topology: Topology, labFolder: string, margay: Margay, { onChange, onTrouble }: TorEvents) {
    this.#topology = topology;
    const { kind, netns } = topology.tor;
    const files = nodeFiles(labFolder, 'tor');
    mkdirSync(files.folder, { mode: 0o700 });
    this.#driver = makeDriver(topology, files, margay);
    this.#follower = kind === 'gobgpd' ? new GobgpRoutes(netns, files.folder, this.#driver) : undefined;
    this.#daemons = this.#driver.processes.map(
      ({ command, args, prepare, ready }, index) =>
        new Daemon({
          title: `${kind} of the router`,
          netns,
          command,
          args,
          ...(prepare === undefined ? {} : { prepare }),
          cwd: files.folder,
          log: join(files.folder, index === 0 ? `${kind}.log` : `${kind}-${index}.log`),
          onChange,
          // Of gobgpd, readiness is also when it is told what to announce, after each start.
          onStart: () => {
            if (index < this.#started) this.#ready(ready).catch(onTrouble);
          },
        }),
    );
  }

  /** How many of the processes were started by {@link start}. */
  #started = 0;

  /** Starts its processes one after the other, each once the one before answers. */
  async start(): Promise<void> {
    this.#driver.configure();
    for (const [index, daemon] of this.#daemons.entries()) {
      daemon.start();
      this.#started = index + 1;
      await this.#ready(this.#driver.processes[index]!.ready);
    }
    this.#follower?.start();
  }

  /** Of its last process: with FRR that is bgpd, whose work the sessions are. */
  get status(): DaemonStatus {
    return this.#daemons.at(-1)!.status;
  }

  /** The file of its log. */
  get log(): string {
    return this.#daemons.at(-1)!.spec.log;
  }

  neighbours(): Promise<NeighbourState[]> {
    return this.#driver.neighbours();
  }

  /** The routes that it uses, of all families of the lab, in the order of their prefixes. */
  async routes(): Promise<PeerRoute[]> {
    const all = await Promise.all(
      this.#topology.families.map((family: Family) => this.#driver.routes(family)),
    );
    return all.flatMap((routes) => routes.filter(({ best }) => best).sort(byPrefix));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#follower?.stop();
    await Promise.all(this.#daemons.map((daemon) => daemon.stop()));
  }

  async #ready(look: () => Promise<boolean>): Promise<void> {
    await waitFor(async () => this.#stopped || (await look()), {
      what: `${this.#topology.tor.kind} answers`,
      // On a machine that has much else to do, programs start slowly.
      timeout: 60_000,
      interval: 50,
      details: () => this.#daemons.flatMap((daemon) => daemon.lastLines(5)).join('\n'),
    });
  }
}

function makeDriver(topology: Topology, files: NodeFiles, margay: Margay): TorDriver {
  switch (topology.tor.kind) {
    case 'gobgpd':
      return new GobgpdDriver(torDescription(topology), files.folder);
    case 'bird':
      return new BirdDriver(torDescription(topology), files.folder);
    case 'frr':
      return new FrrDriver(torDescription(topology), files.folder);
    case 'margay':
      return new MargayTorDriver(topology, files, margay);
  }
}

function byPrefix(a: PeerRoute, b: PeerRoute): number {
  return a.prefix.localeCompare(b.prefix, 'en', { numeric: true });
}
