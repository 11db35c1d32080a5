/**
 * A node whose daemons run with the configuration and the rights that the manifests give them, and read the API server.
 */

import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { callPlugin, configuration, envOf, type PluginOutcome } from '#test/felix/node.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { readManifests } from '#test/manifests/manifests.ts';

const MARGAY = join(import.meta.dirname, '../../cli/main.ts');

export type Daemon = 'bgp' | 'policy' | 'felix';
export const DAEMONS: readonly Daemon[] = ['policy', 'bgp', 'felix'];

/** What its container leaves of root's capabilities; felix is privileged. */
const RIGHTS: Readonly<Record<Daemon, readonly string[]>> = {
  bgp: ['setpriv', '--bounding-set', '-all,+net_admin,+net_bind_service'],
  policy: ['setpriv', '--bounding-set', '-all'],
  felix: [],
};

export class KubeNode {
  readonly name: string;
  readonly netns: Netns;
  readonly folder: string;
  log = '';
  readonly #kubeconfig: string;
  readonly #daemons = new Map<Daemon, ChildProcess>();

  constructor(name: string, netns: Netns, folder: string, kubeconfig: string) {
    this.name = name;
    this.netns = netns;
    this.folder = join(folder, name);
    this.#kubeconfig = kubeconfig;
    fs.mkdirSync(this.folder);
  }

  /** The configuration list of the plugin. */
  get conflist(): string {
    return join(this.folder, 'net.d/10-margay.conflist');
  }

  start(daemon: Daemon): void {
    const file = join(this.folder, `${daemon}.yaml`);
    fs.writeFileSync(file, JSON.stringify(this.#config(daemon)));
    const [command = '', ...args] = [...RIGHTS[daemon], process.execPath, MARGAY, daemon, '--config', file];
    const child = this.netns.spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { NODE_NAME: this.name },
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.log = (this.log + text).slice(-200_000);
    });
    this.#daemons.set(daemon, child);
  }

  async kill(daemon: Daemon): Promise<void> {
    const child = this.#daemons.get(daemon)!;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** A command of this node. */
  margay(...args: string[]): Promise<string> {
    const env = Object.fromEntries(
      DAEMONS.map((daemon) => [`MARGAY_${daemon.toUpperCase()}_SOCKET`, this.#socket(daemon)]),
    );
    return this.netns.execAsync(process.execPath, [MARGAY, ...args], { env, timeout: 60_000 });
  }

  /** As the probe of its container has it. */
  async ready(daemon: Daemon): Promise<void> {
    const isReady = () =>
      this.margay('ready', daemon).then(
        () => true,
        () => false,
      );
    await waitFor(isReady, {
      what: `${daemon} on ${this.name}`,
      timeout: 120_000,
      interval: 300,
      details: () => this.log.slice(-4_000),
    });
  }

  /** A pod's network as kubelet asks for it. */
  async add(pod: string): Promise<{ netns: Netns; address: string }> {
    const netns = createNetns();
    const call = (): Promise<PluginOutcome> =>
      callPlugin(
        envOf('ADD', join(this.folder, 'cni.sock'), {
          id: pod,
          netns: netns.path,
          args: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod}`,
        }),
        configuration({}),
      );
    const { status, result } = await call();
    if (status !== 0) throw new Error(`ADD of ${pod}: ${JSON.stringify(result)}\n${this.log.slice(-4_000)}`);
    return { netns, address: result.ips[0].address.split('/')[0] };
  }

  #socket(daemon: Daemon): string {
    return join(this.folder, `${daemon}.sock`);
  }

  /** That of the manifests, with the places of this node. */
  #config(daemon: Daemon): object {
    const [document] = readManifests(`base/config/${daemon}.yaml`);
    const datastore = { kubernetes: { kubeconfig: this.#kubeconfig } };
    const api = { socket: this.#socket(daemon) };
    switch (daemon) {
      case 'bgp':
        return {
          ...document,
          datastore,
          api,
          cluster: { ...document.cluster, stateFolder: join(this.folder, 'bgp') },
        };
      case 'policy':
        return { ...document, datastore, api };
      case 'felix':
        return {
          ...document,
          datastore,
          api,
          policy: { address: `unix:${this.#socket('policy')}` },
          pods: {
            ...document.pods,
            cniConfig: this.conflist,
            stateFolder: join(this.folder, 'felix'),
            cniSocket: join(this.folder, 'cni.sock'),
          },
        };
    }
  }
}
