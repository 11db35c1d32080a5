import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { basename, join } from 'node:path';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';

const ROOT = join(import.meta.dirname, '../..');
export const PLUGIN = join(ROOT, 'build/margay-cni');
const LAUNCH = join(ROOT, 'build/bench-launch');

export const BUNDLE = join(ROOT, 'build/bench-cni');

/** A container as the plugins see it. */
export interface Container {
  readonly id: string;
  readonly netns: Netns;
}

/** A plugin with its configuration, called in the node's namespace. */
export class Caller {
  readonly #namespace: NetworkNamespace;
  readonly #program: string;
  readonly #input: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(
    node: Netns,
    program: string,
    configuration: object,
    folder: string,
    env: Readonly<Record<string, string>> = {},
  ) {
    this.#namespace = NetworkNamespace.open(node.path);
    this.#program = program;
    this.#input = join(folder, `${basename(program)}-${basename(node.path)}.json`);
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(this.#input, JSON.stringify(configuration));
    this.#env = env;
  }

  /** Calls it for all of these at once. Resolves to ms of each call, from the start of its process to its end. */
  async call(command: 'ADD' | 'DEL', containers: readonly Container[]): Promise<number[]> {
    const args = [
      this.#program,
      this.#input,
      command,
      ...containers.map(({ id, netns }) => `${id}=${netns.path}`),
    ];
    // A process begins in the network namespace of the thread that makes it.
    const child = this.#namespace.run(() =>
      spawn(LAUNCH, args, {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: process.env.PATH, ...this.#env },
      }),
    );
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    const status = await new Promise((resolve) => child.once('close', resolve));
    if (status !== 0) throw new Error(`${this.#program} ${command} failed`);
    return output
      .trim()
      .split('\n')
      .map((line) => Number(line) / 1000);
  }

  close(): void {
    this.#namespace.close();
  }
}

/** The daemons of a node: the policy engine over a folder of YAML, and the agent. */
export class Daemons {
  readonly folder: string;
  readonly #node: Netns;
  readonly #cidrs: readonly string[];
  #name = 'n1';
  #policy: ChildProcess | undefined;
  #felix: ChildProcess | undefined;

  constructor(node: Netns, folder: string, cidrs: readonly string[]) {
    this.#node = node;
    this.folder = folder;
    this.#cidrs = cidrs;
    fs.mkdirSync(join(folder, 'objects'), { recursive: true });
  }

  get socket(): string {
    return join(this.folder, 'cni.sock');
  }

  /** @param node the name under which the agent asks for its programs */
  startPolicy(objects: readonly object[], node = 'n1'): void {
    this.#name = node;
    fs.writeFileSync(
      join(this.folder, 'objects/all.yaml'),
      objects.map((each) => JSON.stringify(each)).join('\n---\n'),
    );
    this.#policy = this.#start(
      'policy',
      '--socket',
      join(this.folder, 'policy.sock'),
      '--datastore',
      join(this.folder, 'objects'),
    );
  }

  /** Resolves when a pod could come; to ms since the start. */
  async startFelix(): Promise<number> {
    const config = join(this.folder, 'felix.yaml');
    fs.writeFileSync(
      config,
      JSON.stringify({
        node: this.#name,
        policy: { address: `unix:${join(this.folder, 'policy.sock')}` },
        api: { socket: join(this.folder, 'felix.sock') },
        pods: { cidrs: this.#cidrs, stateFolder: join(this.folder, 'state'), cniSocket: this.socket },
        log: { level: 'warn' },
      }),
    );
    const started = performance.now();
    this.#felix = this.#start('felix', '--config', config);
    await waitFor(() => answers(this.socket), { what: 'felix', timeout: 120_000, interval: 2 });
    return performance.now() - started;
  }

  /** Until the engine has told felix everything. */
  async inSync(): Promise<void> {
    const ask = ['felix', '--socket', join(this.folder, 'felix.sock'), 'status', '-o', 'json'];
    await waitFor(
      async () => {
        const status = JSON.parse(
          await this.#node.execAsync(process.execPath, [join(BUNDLE, 'margay.js'), ...ask]),
        );
        return status.dataplane.inSync === true;
      },
      { what: 'policies', timeout: 120_000 },
    );
  }

  get pid(): number {
    return this.#felix!.pid!;
  }

  /** Resident bytes of the agent. */
  memory(): number {
    // The child is nsenter, which has become the command itself.
    const text = fs.readFileSync(`/proc/${this.#felix!.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(text)![1]) * 1024;
  }

  async killFelix(): Promise<void> {
    const ended = new Promise((resolve) => this.#felix!.once('exit', resolve));
    this.#felix!.kill('SIGKILL');
    await ended;
  }

  stop(): void {
    this.#felix?.kill('SIGKILL');
    this.#policy?.kill('SIGKILL');
  }

  #start(...args: string[]): ChildProcess {
    return this.#node.spawn(process.execPath, [join(BUNDLE, 'margay.js'), ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createConnection(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });
}

/** Pods of the node n1 and policies that isolate all of them, with a rule for each application. */
export function objects(pods: readonly string[], policies: number): object[] {
  const labels = (i: number) => ({ app: `a${i % 25}` });
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bench', labels: { team: 'bench' } } },
    ...pods.map((name, i) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'bench', labels: labels(i) },
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
      status: {
        phase: 'Running',
        podIP: `10.9.${i >> 8}.${i & 255}`,
        podIPs: [{ ip: `10.9.${i >> 8}.${i & 255}` }],
      },
    })),
    ...Array.from({ length: policies }, (_, i) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `p${i}`, namespace: 'bench' },
      spec: {
        podSelector: { matchLabels: labels(i) },
        policyTypes: ['Ingress'],
        ingress: [
          {
            from: [{ podSelector: { matchLabels: labels(i + 1) } }],
            ports: [{ protocol: 'TCP', port: 8000 + i }],
          },
        ],
      },
    })),
  ];
}

/** Namespaces for containers, named c0, c1... */
export function makeContainers(prefix: string, count: number): Container[] {
  return Array.from({ length: count }, (_, i) => ({ id: `${prefix}${i}`, netns: createNetns() }));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
