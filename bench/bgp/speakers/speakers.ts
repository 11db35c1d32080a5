/**
 * The speakers that are compared: each with every neighbour in another AS, every route let in and out, no routes in the
 * kernel, and all else as it comes.
 */

import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { findTool } from '#lab/command.ts';
import type { Netns } from '#test/helpers/netns.ts';

export type Neighbour = { readonly address: string; readonly asn: number };

export const AS = 64500;
export const ROUTER_ID = '10.0.0.1';

export type SpeakerKind = {
  readonly name: string;
  /** Absent where the program is not installed. */
  readonly version: (run: (command: string, args: readonly string[]) => string) => string | undefined;
  /** Whether it can put routes into the kernel by itself. */
  readonly kernel: boolean;
  /** Writes its configuration into the folder and says what to run there. */
  readonly prepare: (
    folder: string,
    neighbours: readonly Neighbour[],
    kernel: boolean,
  ) => { readonly command: string; readonly args: readonly string[] };
};

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const BUNDLE = join(ROOT, 'build/bench-bgp');

export const SPEAKERS: readonly SpeakerKind[] = [
  {
    name: 'margay',
    kernel: true,
    version: () => `Node ${process.version}`,
    prepare: (folder, neighbours, kernel) => {
      const config = {
        routerId: ROUTER_ID,
        as: AS,
        kernel: { enabled: kernel },
        api: { socket: join(folder, 'bgp.sock') },
        log: { level: 'warn' },
        peers: neighbours.map(({ address, asn }) => ({
          address,
          remoteAs: asn,
          passive: true,
          import: 'accept',
          export: 'accept',
        })),
      };
      writeFileSync(join(folder, 'bgp.yaml'), stringify(config));
      return {
        command: process.execPath,
        args: [join(BUNDLE, 'margay.js'), 'bgp', '--config', join(folder, 'bgp.yaml')],
      };
    },
  },
  {
    name: 'bird',
    kernel: true,
    version: (run) => found('bird', () => run('bird', ['--version'])),
    prepare: (folder, neighbours, kernel) => {
      const lines = [
        `router id ${ROUTER_ID};`,
        'protocol device {}',
        kernel ? 'protocol kernel { ipv4 { import none; export all; }; }' : '',
        ...neighbours.map(
          ({ address, asn }, i) =>
            `protocol bgp n${i} { local as ${AS}; neighbor ${address} as ${asn}; direct; passive on; ipv4 { import all; export all; }; }`,
        ),
      ];
      writeFileSync(join(folder, 'bird.conf'), `${lines.join('\n')}\n`);
      const args = [
        '-f',
        '-c',
        join(folder, 'bird.conf'),
        '-s',
        join(folder, 'ctl'),
        '-P',
        join(folder, 'pid'),
      ];
      return { command: findTool('bird')!, args };
    },
  },
  {
    name: 'frr',
    kernel: false,
    version: (run) => found('bgpd', () => run(findTool('bgpd')!, ['--version'])),
    prepare: (folder, neighbours) => {
      const lines = [
        'frr defaults traditional',
        `router bgp ${AS}`,
        `bgp router-id ${ROUTER_ID}`,
        'no bgp ebgp-requires-policy',
        ...neighbours.flatMap(({ address, asn }) => [
          `neighbor ${address} remote-as ${asn}`,
          `neighbor ${address} passive`,
        ]),
        'exit',
      ];
      writeFileSync(join(folder, 'bgpd.conf'), `${lines.join('\n')}\n`);
      const files = ['-f', join(folder, 'bgpd.conf'), '-i', join(folder, 'pid'), '--vty_socket', folder];
      return {
        command: findTool('bgpd')!,
        args: [
          ...files,
          '--vty_port',
          '0',
          '--no_zebra',
          '--no_kernel',
          '--user',
          'root',
          '--group',
          'frrvty',
        ],
      };
    },
  },
  {
    name: 'gobgpd',
    kernel: false,
    version: (run) => found('gobgpd', () => run('gobgpd', ['--version'])),
    prepare: (folder, neighbours) => {
      const config = {
        global: { config: { as: AS, 'router-id': ROUTER_ID, port: 179 } },
        neighbors: neighbours.map(({ address, asn }) => ({
          config: { 'neighbor-address': address, 'peer-as': asn },
          transport: { config: { 'passive-mode': true } },
        })),
      };
      writeFileSync(join(folder, 'gobgpd.json'), JSON.stringify(config));
      const args = [
        '-t',
        'json',
        '-f',
        join(folder, 'gobgpd.json'),
        '--api-hosts',
        `unix://${join(folder, 'api')}`,
      ];
      return { command: 'gobgpd', args: [...args, '--pprof-disable', '--log-level', 'error'] };
    },
  },
];

/** A speaker that runs. */
export class Running {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #output = '';

  constructor(
    netns: Netns,
    folder: string,
    kind: SpeakerKind,
    neighbours: readonly Neighbour[],
    kernel: boolean,
  ) {
    const { command, args } = kind.prepare(folder, neighbours, kernel);
    this.#child = netns.spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-4000);
      });
    }
    this.#ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  /** What it printed last. */
  get output(): string {
    return this.#output;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Seconds of CPU so far, all threads. */
  get cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // utime and stime in ticks of 1/100 s (proc(5)).
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** The most memory that it had, in MB. */
  get peakMegabytes(): number {
    const status = `/proc/${this.#child.pid}/status`;
    if (!existsSync(status)) return 0;
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1] ?? 0) / 1024;
  }

  /** IPv4 routes in the main table of its namespace. */
  get kernelRoutes(): number {
    const text = readFileSync(`/proc/${this.#child.pid}/net/fib_triestat`, 'utf8');
    return Number(/Main:[\s\S]*?Prefixes:\s+(\d+)/.exec(text)?.[1] ?? 0);
  }

  async stop(): Promise<void> {
    if (this.isRunning) this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

function found(tool: string, ask: () => string): string | undefined {
  if (findTool(tool) === undefined) return undefined;
  return ask().trim().split('\n')[0];
}
