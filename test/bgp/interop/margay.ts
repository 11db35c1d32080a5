/**
 * The speaker as a process in a namespace, told what to do by a configuration file and asked over its socket.
 */

import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFailed } from 'vitest';
import { stringify } from 'yaml';
import { bgpService } from '#proto/bgp.ts';
import { connect, type RpcClient } from '#proto/client.ts';
import { margay } from '#proto/generated/bgp.js';
import type { Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';

const MAIN = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));
const v1 = margay.bgp.v1;

export type Neighbor = margay.bgp.v1.Neighbor;
export type Route = margay.bgp.v1.IRoute;
export type Path = margay.bgp.v1.IPath;

/** The configuration as it stands in the file; `api` and `log` are filled in. */
export type MargayConfig = Readonly<Record<string, unknown>>;

export class Margay implements AsyncDisposable {
  readonly netns: Netns;
  readonly folder: string;
  readonly socket: string;
  readonly api: RpcClient<typeof bgpService>;
  #child: ChildProcess | undefined;
  #ended: Promise<number | null> = Promise.resolve(null);
  #log = '';

  constructor(netns: Netns) {
    this.netns = netns;
    this.folder = newTempFolder();
    this.socket = join(this.folder, 'run', 'bgp.sock');
    this.api = connect(bgpService, `unix:${this.socket}`);
    try {
      onTestFailed(() => console.error(`margay's log:\n${this.#log.slice(-8000)}`));
    } catch {
      // Not inside a test: whoever started it has the log.
    }
  }

  /** Lines of JSON, the last 256 kB. */
  get log(): string {
    return this.#log;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** For how long its threads have run so far, and were ready to run and had no core, in ms (proc(5), sched-stats). */
  cpuTimes(): { ran: number; waited: number } {
    const times = { ran: 0, waited: 0 };
    for (const thread of readdirSync(`/proc/${this.pid}/task`)) {
      const [ran, waited] = readFileSync(`/proc/${this.pid}/task/${thread}/schedstat`, 'utf8').split(' ');
      times.ran += Number(ran) / 1e6;
      times.waited += Number(waited) / 1e6;
    }
    return times;
  }

  get configFile(): string {
    return join(this.folder, 'bgp.yaml');
  }

  write(config: MargayConfig): void {
    const document = { log: { level: 'debug' }, api: { socket: this.socket }, ...config };
    writeFileSync(this.configFile, stringify(document));
  }

  /** Starts it and waits until it answers. With `log`, that descriptor is its standard error. */
  async start(config?: MargayConfig, log?: number): Promise<void> {
    if (config !== undefined) this.write(config);
    const child = this.netns.spawn(process.execPath, [MAIN, 'bgp', '--config', this.configFile], {
      stdio: ['ignore', 'pipe', log ?? 'pipe'],
    });
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      child.once('exit', (code) => resolve(code));
      child.once('error', () => resolve(null));
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-256 * 1024);
      });
    }
    await waitFor(
      async () => {
        if (child.exitCode !== null) return true;
        return (await this.api.getStatus({})).routerId !== '';
      },
      { what: 'margay answers', timeout: 45_000, interval: 50, details: () => this.#log },
    );
    if (child.exitCode !== null) throw new Error(`margay ended with ${child.exitCode}:\n${this.#log}`);
  }

  /** Sends a signal and waits for the end. Returns the exit status. */
  async kill(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#child?.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    return this.#ended;
  }

  /** As long as it is stalled, nobody reads its log. */
  stallLog(stalled: boolean): void {
    const { stderr } = this.#child!;
    if (stalled) stderr!.pause();
    else stderr!.resume();
  }

  hangUp(): void {
    this.#child!.kill('SIGHUP');
  }

  /** Runs a command of the command line against it and returns what it printed. */
  cli(...args: string[]): Promise<string> {
    return this.netns.execAsync(process.execPath, [MAIN, 'bgp', '--socket', this.socket, ...args]);
  }

  async neighbor(address: string): Promise<Neighbor> {
    const [found] = (await this.api.listNeighbors({ address })).neighbors;
    return v1.Neighbor.fromObject(found!);
  }

  async state(address: string): Promise<string> {
    return v1.SessionState[(await this.neighbor(address)).state]!;
  }

  async established(...addresses: string[]): Promise<void> {
    await waitFor(
      async () => {
        const { neighbors } = await this.api.listNeighbors({});
        const wanted = neighbors.filter(
          ({ address }) => addresses.length === 0 || addresses.includes(address!),
        );
        return (
          wanted.length >= Math.max(1, addresses.length) &&
          wanted.every(({ state }) => state === v1.SessionState.ESTABLISHED)
        );
      },
      {
        what: `margay established with ${addresses.join(', ') || 'all neighbours'}`,
        timeout: 45_000,
        interval: 50,
        details: () => this.#log.slice(-3000),
      },
    );
  }

  /** All routes of a table. */
  async routes(
    table: keyof typeof margay.bgp.v1.ListRoutesRequest.Table,
    neighbor = '',
    prefix = '',
  ): Promise<Route[]> {
    const routes: Route[] = [];
    const request = { table: v1.ListRoutesRequest.Table[table], neighbor, prefix };
    for await (const batch of this.api.listRoutes(request)) routes.push(...batch.routes);
    return routes;
  }

  /** The paths of a prefix in the Loc-RIB. */
  async paths(prefix: string): Promise<Path[]> {
    return (await this.routes('LOC_RIB', '', prefix))[0]?.paths ?? [];
  }

  /** The path of a prefix from a neighbour, waited for. */
  path(prefix: string, neighbor: string, accept: (path: Path) => boolean = () => true): Promise<Path> {
    return waitFor(
      async () => (await this.paths(prefix)).find((path) => path.neighbor === neighbor && accept(path)),
      {
        what: `margay has ${prefix} from ${neighbor}`,
        interval: 30,
        details: () => this.#log.slice(-3000),
      },
    );
  }

  /** Waits until a prefix has no path from a neighbour. */
  async gone(prefix: string, neighbor: string): Promise<void> {
    await waitFor(async () => !(await this.paths(prefix)).some((path) => path.neighbor === neighbor), {
      what: `margay has ${prefix} from ${neighbor} no more`,
      interval: 30,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.api.close();
    if (this.#child !== undefined) {
      const force = setTimeout(() => this.#child!.kill('SIGKILL'), 6000);
      await this.kill('SIGTERM');
      clearTimeout(force);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function launchMargay(netns: Netns, config: MargayConfig, log?: number): Promise<Margay> {
  const speaker = new Margay(netns);
  try {
    await speaker.start(config, log);
  } catch (error) {
    await speaker[Symbol.asyncDispose]();
    throw error;
  }
  return speaker;
}

/** Segments that the kernel dropped for their MD5 signature. */
export function md5Failures(ns: Netns): number {
  const [names, values] = ns
    .exec('cat', ['/proc/net/netstat'])
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '));
  const at = (name: string) => Number(values![names!.indexOf(name)]);
  return at('TCPMD5Failure') + at('TCPMD5NotFound') + at('TCPMD5Unexpected');
}
