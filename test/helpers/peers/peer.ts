import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { onTestFailed } from 'vitest';
import type {
  Announcement,
  Family,
  NeighbourState,
  PeerDescription,
  PeerKind,
  PeerRoute,
} from '#lab/peers/description.ts';
import type { DaemonProcess, Driver } from '#lab/peers/driver.ts';
import type { Netns } from '../netns.ts';
import { newTempFolder } from '../owner.ts';
import { waitFor } from '../wait.ts';

/**
 * A real BGP daemon that runs in a namespace. `await using` stops it at the end of the block; it also goes with its
 * namespace. When the test fails, its log is shown.
 */
export class Peer implements AsyncDisposable {
  readonly kind: PeerKind;
  readonly netns: Netns;
  readonly description: PeerDescription;
  /** Its configuration, sockets and process number files. */
  readonly folder: string;
  readonly #driver: Driver;
  readonly #running: { child: ChildProcess; ended: Promise<unknown> }[] = [];
  #log = '';

  private constructor(netns: Netns, description: PeerDescription, folder: string, driver: Driver) {
    this.kind = driver.kind;
    this.netns = netns;
    this.description = description;
    this.folder = folder;
    this.#driver = driver;
  }

  /** For {@link launchPeer}. */
  static async launch(
    netns: Netns,
    description: PeerDescription,
    makeDriver: (folder: string) => Driver,
  ): Promise<Peer> {
    const folder = newTempFolder();
    const peer = new Peer(netns, description, folder, makeDriver(folder));
    peer.#showLogOnFailure();
    await peer.#start();
    return peer;
  }

  /** What its processes printed so far, the last 256 kB. */
  get log(): string {
    return this.#log;
  }

  /** Numbers of its processes. */
  get pids(): number[] {
    return this.#running.map(({ child }) => child.pid!);
  }

  /** The state of its sessions, in the order of the description. */
  async neighbours(): Promise<NeighbourState[]> {
    const states = await this.#driver.neighbours();
    return this.description.neighbours.map(({ address }) => {
      const state = states.find((candidate) => candidate.address === address);
      if (state === undefined) throw new Error(`${this.kind} does not know its neighbour ${address}`);
      return state;
    });
  }

  /** The state of one session. */
  async neighbour(address: string): Promise<NeighbourState> {
    const state = (await this.neighbours()).find((candidate) => candidate.address === address);
    if (state === undefined) throw new Error(`the description has no neighbour ${address}`);
    return state;
  }

  /** Waits until the session, or without an address every session, is established. Timeout in ms, default 20,000. */
  async established(address?: string, timeout = 45_000): Promise<void> {
    await waitFor(
      async () => {
        const states = address === undefined ? await this.neighbours() : [await this.neighbour(address)];
        return states.every(({ state }) => state === 'established');
      },
      {
        what: `${this.kind} (AS ${this.description.asn}) established with ${address ?? 'all neighbours'}`,
        timeout,
        interval: 50,
        details: () => this.#log.slice(-2000),
      },
    );
  }

  /** Every path in its table of the family, its own included. */
  routes(family: Family): Promise<PeerRoute[]> {
    return this.#driver.routes(family);
  }

  /** The paths it holds from a neighbour, after its import rules. */
  async received(neighbour: string, family: Family): Promise<PeerRoute[]> {
    return (await this.routes(family)).filter(({ from }) => from === neighbour);
  }

  /** The path it holds for a prefix from a neighbour, waited for. Timeout in ms, default 10,000. */
  receives(neighbour: string, prefix: string, timeout?: number): Promise<PeerRoute> {
    return waitFor(
      async () => {
        const routes = await this.received(neighbour, prefix.includes(':') ? 'ipv6' : 'ipv4');
        return routes.find((route) => route.prefix === prefix);
      },
      {
        what: `${this.kind} (AS ${this.description.asn}) has ${prefix} from ${neighbour}`,
        interval: 50,
        ...(timeout === undefined ? {} : { timeout }),
        details: () => this.#log.slice(-2000),
      },
    );
  }

  /** The prefixes it announces to a neighbour. */
  async advertised(neighbour: string, family: Family): Promise<string[]> {
    return (await this.#driver.advertised(neighbour, family)).sort();
  }

  /** Originates routes; one that was announced before gets the new attributes. */
  announce(...routes: readonly Announcement[]): Promise<void> {
    return this.#driver.announce(routes);
  }

  /** Stops originating the prefixes. */
  withdraw(...prefixes: readonly string[]): Promise<void> {
    return this.#driver.withdraw(prefixes);
  }

  /** Administrative shutdown of a session, with a reason that the neighbour is told (RFC 9003), or its end. */
  setEnabled(neighbour: string, enabled: boolean, reason?: string): Promise<void> {
    return this.#driver.setEnabled(neighbour, enabled, reason);
  }

  /** Asks a neighbour to send its routes again (RFC 2918). */
  refresh(neighbour: string): Promise<void> {
    return this.#driver.refresh(neighbour);
  }

  /** Sends a signal to its processes, SIGKILL by default, and waits for their end. The temporary folder stays. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    for (const { child } of this.#running) if (isRunning(child)) child.kill(signal);
    await Promise.all(this.#running.map(({ ended }) => ended));
  }

  /** Ends its processes, by SIGKILL when SIGTERM is not enough, and removes what they left. Twice is no error. */
  async stop(): Promise<void> {
    for (const { child, ended } of this.#running.splice(0).reverse()) {
      if (isRunning(child)) child.kill('SIGTERM');
      const deadline = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(deadline);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #start(): Promise<void> {
    try {
      this.#driver.configure();
      for (const process of this.#driver.processes) await this.#startProcess(process);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #startProcess(process: DaemonProcess): Promise<void> {
    process.prepare?.();
    const child = this.netns.spawn(process.command, process.args, {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
      child.once('error', () => resolve());
    });
    this.#running.push({ child, ended });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-256 * 1024);
      });
    }
    let gone = false;
    await waitFor(
      async () => {
        gone = !isRunning(child);
        return gone || (await process.ready());
      },
      { what: `${this.kind} ready`, timeout: 45_000, details: () => this.#log },
    );
    if (gone) await ended;
    if (gone || process.refusal?.(this.#log) !== undefined) {
      throw new Error(`${this.kind} does not start:\n${this.#log}`);
    }
  }

  #showLogOnFailure(): void {
    try {
      onTestFailed(() => {
        console.log(`log of ${this.kind}, AS ${this.description.asn}, ${this.netns.name}:\n${this.#log}`);
      });
    } catch {
      // Not inside a test, but in a hook or a script: the log is for the caller to show.
    }
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}
