import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import type { Log } from '#daemon/log.ts';
import { parsePrefix } from '#datastore/address.ts';
import { listenForCni } from '#felix/cni/listen.ts';
import type { CniServer } from '#felix/cni/server.ts';
import type { Dataplane, WorkloadEndpoint } from '#felix/endpoint.ts';
import { PodNetwork } from '#felix/endpoints/pod-network.ts';
import type { EndpointSettings } from '#felix/endpoints/settings.ts';
import { type Files, systemFiles } from '#felix/state/files.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';

export const PLUGIN = join(import.meta.dirname, '../../build/margay-cni');

/** A dataplane that notes what it is told, and has no policies. */
export class NotedDataplane implements Dataplane {
  readonly endpoints = new Map<string, WorkloadEndpoint>();
  refusal: string | undefined;
  inSync = true;
  /** Why the policy of a pod is not known. */
  unknown: string | undefined;
  readonly #waiting = new Set<() => void>();
  /** What `applied` waits for. */
  gate: (pods: readonly string[], signal: AbortSignal) => Promise<void> = async () => {};

  setEndpoint(endpoint: WorkloadEndpoint): void {
    this.endpoints.set(endpoint.pod, endpoint);
  }

  removeEndpoint(pod: string): void {
    this.endpoints.delete(pod);
  }

  whyUnknown(): string | undefined {
    return this.unknown;
  }

  async known(_pod: string, signal: AbortSignal): Promise<void> {
    while (this.unknown !== undefined)
      await new Promise<void>((resolve, reject) => {
        this.#waiting.add(resolve);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
  }

  /** From now on all policies are known. */
  tell(): void {
    this.unknown = undefined;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  applied(pods: readonly string[], signal: AbortSignal): Promise<void> {
    return this.gate(pods, signal);
  }
}

/** A line of the log. */
export interface Line {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly text: string;
  readonly facts: Record<string, unknown>;
}

export function notedLog(): { lines: Line[]; log: Log } {
  const lines: Line[] = [];
  const at =
    (level: Line['level']) =>
    (facts: unknown, text?: string): void =>
      void (typeof facts === 'string'
        ? lines.push({ level, text: facts, facts: {} })
        : lines.push({ level, text: text ?? '', facts: facts as Record<string, unknown> }));
  return {
    lines,
    log: { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') } as Log,
  };
}

/** The system's files, until they are told to refuse. */
export class RefusingFiles implements Files {
  /** Thrown by each write while it is set. */
  refusal: Error | undefined;
  read = systemFiles.read;
  list = systemFiles.list;
  makeFolder = systemFiles.makeFolder;
  sync = systemFiles.sync;
  rename = systemFiles.rename;
  remove = systemFiles.remove;

  write(path: string, text: string): void {
    if (this.refusal !== undefined) throw this.refusal;
    systemFiles.write(path, text);
  }
}

/** A node in a namespace, with felix's endpoints in this process and the real plugin. */
export class Node implements AsyncDisposable {
  readonly netns: Netns;
  readonly namespace: NetworkNamespace;
  readonly folder = newTempFolder();
  readonly socket = join(this.folder, 'cni.sock');
  readonly dataplane = new NotedDataplane();
  readonly files = new RefusingFiles();
  readonly lines: Line[];
  readonly #log: Log;
  readonly #settings: EndpointSettings;
  network!: PodNetwork;
  #server: CniServer | undefined;

  private constructor(settings: Partial<EndpointSettings>, cidrs: readonly string[]) {
    this.netns = createNetns();
    this.namespace = NetworkNamespace.open(this.netns.path);
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) this.netns.sysctl(key, 1);
    const { lines, log } = notedLog();
    this.lines = lines;
    this.#log = log;
    this.#settings = {
      podCidrs: cidrs.map((cidr) => parsePrefix(cidr)!),
      reserved: [],
      mtu: undefined,
      stateFolder: join(this.folder, 'state'),
      policyWait: 5000,
      policyUnknown: 'refuse',
      ...settings,
    };
  }

  static async start(
    cidrs: readonly string[] = ['10.1.0.0/24', 'fd00:1::/64'],
    settings: Partial<EndpointSettings> = {},
  ): Promise<Node> {
    const node = new Node(settings, cidrs);
    try {
      await node.start();
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  async start(settings: Partial<EndpointSettings> = {}): Promise<void> {
    this.network = PodNetwork.open({
      settings: { ...this.#settings, ...settings },
      dataplane: this.dataplane,
      log: this.#log,
      namespace: this.namespace,
      files: this.files,
    });
    this.#server = await listenForCni(this.socket, this.network, this.#log);
  }

  /** As a killed felix leaves it, but for what was under way: that is finished. */
  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
    await this.network?.close();
  }

  /** As a second felix would. */
  async listenAgain(): Promise<void> {
    await (await listenForCni(this.socket, this.network, this.#log)).stop();
  }

  /** Until what the kernel told has been looked at. */
  async settled(): Promise<void> {
    const { repair, endpoints } = this.network;
    await waitFor(() => repair.idle, { what: 'repairs to be done' });
    for (const owner of endpoints.all.keys()) await endpoints.exclusively(owner, () => {});
  }

  /** As a killed felix leaves it: what is under way is not waited for. */
  async abandon(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await this.network.repair.close();
    await server?.stop();
  }

  /** A pod's namespace, as a runtime makes it. */
  pod(): Netns {
    return createNetns();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.namespace.close();
    this.netns.remove();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What the plugin printed, decoded, and how it ended. */
export interface PluginOutcome {
  readonly status: number | null;
  // biome-ignore lint/suspicious/noExplicitAny: results of all operations and versions
  readonly result: any;
}

/** Calls a CNI plugin as runtimes do: environment and standard input. */
export async function callPlugin(
  env: Readonly<Record<string, string>>,
  input: unknown,
  plugin = PLUGIN,
  args: readonly string[] = [],
): Promise<PluginOutcome> {
  const child = spawn(plugin, args, { stdio: 'pipe', env: { PATH: process.env.PATH, ...env } });
  let out = '';
  let error = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    error += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(typeof input === 'string' ? input : JSON.stringify(input));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (error !== '') throw new Error(`${plugin}: ${error}`);
  return { status, result: out.trim() === '' ? undefined : JSON.parse(out) };
}

/** The environment of a call about a container. */
export function envOf(
  command: string,
  socket: string,
  container: {
    readonly id: string;
    readonly netns?: string;
    readonly interfaceName?: string;
    readonly args?: string;
  },
): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: container.id,
    CNI_NETNS: container.netns ?? '',
    CNI_IFNAME: container.interfaceName ?? 'eth0',
    CNI_ARGS: container.args ?? '',
    CNI_PATH: '/usr/lib/cni',
    MARGAY_CNI_SOCKET: socket,
    MARGAY_CNI_CONNECT_MS: '2000',
  };
}

export const configuration = (extra: object = {}): Record<string, unknown> => ({
  cniVersion: '1.0.0',
  name: 'pods',
  type: 'margay',
  ...extra,
});
