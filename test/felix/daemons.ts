/*
 * A node with `margay felix` and `margay policy` as they are: processes of their own, in its namespace.
 */
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { callPlugin, configuration, envOf, type PluginOutcome } from './node.ts';

const MARGAY = join(import.meta.dirname, '../../cli/main.ts');

/** A pod as kubelet knows it. */
export interface PodCall {
  readonly id: string;
  readonly netns: Netns;
  /** The name of the pod, in the namespace `shop`; the id when undefined. */
  readonly name?: string;
  readonly uid?: string;
}

/**
 * A node whose processes see mounts and processes of their own, which go with it: for container runtimes, that make both.
 */
export class Cave implements Disposable {
  readonly netns = createNetns();
  #within: readonly string[] = [];

  static async open(): Promise<Cave> {
    const cave = new Cave();
    const options = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const child = cave.netns.spawn('unshare', [...options, 'sleep', 'infinity'], { stdio: 'ignore' });
    const first = await waitFor(
      () => {
        const [found] = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ');
        return found !== '' && fs.readFileSync(`/proc/${found}/comm`, 'utf8') === 'sleep\n' && found;
      },
      { what: 'the first process', timeout: 30_000 },
    );
    // Where runtimes keep what is not to outlive the machine.
    const mounted = ['--mount', '--pid', `--target=${first}`, '--', 'mount', '-t', 'tmpfs', 'none', '/run'];
    cave.netns.exec('nsenter', mounted);
    cave.#within = ['nsenter', '--mount', '--pid', `--target=${first}`, '--'];
    return cave;
  }

  /** What a command is to be put behind, in the namespace of the network. */
  get within(): readonly string[] {
    return this.#within;
  }

  exec(command: string, args: readonly string[] = [], timeout = 60_000): Promise<string> {
    const [first, ...more] = [...this.#within, command, ...args];
    return this.netns.execAsync(first!, more, { timeout });
  }

  [Symbol.dispose](): void {
    this.netns.remove();
  }
}

export class Agent {
  readonly netns: Netns;
  readonly name: string;
  readonly folder: string;
  /** Of the plugin. */
  readonly socket: string;
  readonly #cidrs: readonly string[] | undefined;
  readonly #objects: string;
  readonly #settings: object;
  /** What a command is to be put behind, to run where felix does. */
  readonly #within: readonly string[];
  readonly #sections: object;
  #felix: ChildProcess | undefined;
  #policy: ChildProcess | undefined;
  log = '';

  /**
   * @param folder in which it makes one of its own
   * @param objects folder of manifests
   * @param cidrs undefined: those of the Node object among the objects
   * @param settings further ones of the section `pods`
   * @param cave other namespaces than the test's own, of mounts and processes
   * @param sections further ones of the file
   */
  constructor(
    name: string,
    folder: string,
    objects: string,
    cidrs: readonly string[] | undefined,
    settings: object = {},
    cave?: Cave,
    sections: object = {},
  ) {
    this.netns = cave?.netns ?? createNetns();
    this.#within = cave?.within ?? [];
    this.name = name;
    this.folder = join(folder, name);
    this.#objects = objects;
    this.#cidrs = cidrs;
    this.#settings = settings;
    this.#sections = sections;
    this.socket = join(this.folder, 'cni.sock');
    fs.mkdirSync(this.folder, { recursive: true });
  }

  /** Starts both; resolves when policies are in force. */
  async start(): Promise<void> {
    if (this.#policy === undefined) this.startEngine();
    await this.startFelix();
    await this.inSync();
  }

  /** Until policies have been told and are in force. */
  async inSync(): Promise<void> {
    await waitFor(
      async () => (await this.margay('felix', 'status', '-o', 'json')).includes('"inSync": true'),
      { what: `felix on ${this.name}`, timeout: 60_000, details: () => this.log },
    );
  }

  startEngine(): void {
    this.#policy = this.#run(
      'policy',
      '--socket',
      join(this.folder, 'policy.sock'),
      '--datastore',
      this.#objects,
    );
  }

  /** Resolves when the plugin is answered. */
  async startFelix(): Promise<void> {
    this.launchFelix();
    const answers = async (): Promise<boolean> => {
      const { result } = await callPlugin(
        envOf('STATUS', this.socket, { id: '' }),
        configuration({ cniVersion: '1.1.0' }),
      );
      return result?.code !== 11;
    };
    await waitFor(answers, { what: `felix on ${this.name}`, timeout: 60_000, details: () => this.log });
  }

  /** Starts it and waits for nothing. */
  launchFelix(): void {
    const config = join(this.folder, 'felix.yaml');
    const settings = {
      node: this.name,
      policy: { address: `unix:${join(this.folder, 'policy.sock')}` },
      api: { socket: join(this.folder, 'felix.sock') },
      dataplane: { pools: ['10.1.0.0/16', 'fd00:1::/32'].map((cidr) => ({ cidr, natOutgoing: true })) },
      pods: {
        ...(this.#cidrs && { cidrs: this.#cidrs }),
        stateFolder: join(this.folder, 'state'),
        cniSocket: this.socket,
        ...this.#settings,
      },
      ...this.#sections,
    };
    fs.writeFileSync(config, JSON.stringify(settings));
    this.#felix = this.#run('felix', '--config', config);
  }

  /** Starts another agent with the same state; resolves to how it ended and what it said. */
  async startSecond(): Promise<{ code: number | null; log: string }> {
    const config = JSON.parse(fs.readFileSync(join(this.folder, 'felix.yaml'), 'utf8'));
    config.api.socket = join(this.folder, 'second.sock');
    config.pods.cniSocket = join(this.folder, 'second-cni.sock');
    const path = join(this.folder, 'second.yaml');
    fs.writeFileSync(path, JSON.stringify(config));
    const before = this.log.length;
    const second = this.#run('felix', '--config', path);
    const code = await new Promise<number | null>((resolve) => second.once('close', resolve));
    return { code, log: this.log.slice(before) };
  }

  /** A command of this node's agent. */
  margay(...args: string[]): Promise<string> {
    return this.netns.execAsync(process.execPath, [MARGAY, ...args], {
      env: { MARGAY_FELIX_SOCKET: join(this.folder, 'felix.sock') },
      timeout: 60_000,
    });
  }

  /** Kills felix. */
  kill(): Promise<void> {
    return killed(this.#felix!);
  }

  async killEngine(): Promise<void> {
    await killed(this.#policy!);
    this.#policy = undefined;
  }

  /** Of felix. */
  get pid(): number {
    return this.#felix!.pid!;
  }

  /** Calls the plugin for a pod of the namespace `shop`. */
  call(command: string, { id, netns, name = id, uid }: PodCall, extra: object = {}): Promise<PluginOutcome> {
    const args = [
      'IgnoreUnknown=1',
      'K8S_POD_NAMESPACE=shop',
      `K8S_POD_NAME=${name}`,
      ...(uid === undefined ? [] : [`K8S_POD_UID=${uid}`]),
    ];
    return callPlugin(
      envOf(command, this.socket, { id, netns: netns.path, args: args.join(';') }),
      configuration(extra),
    );
  }

  #run(...args: string[]): ChildProcess {
    const [command, ...more] = [...this.#within, process.execPath, MARGAY, ...args];
    const child = this.netns.spawn(command!, more, {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      this.log += text;
    });
    return child;
  }
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}
