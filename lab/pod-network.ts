/**
 * How a pod gets its network: as kubelet and a container runtime do it, by calling the CNI plugin.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CommandError, runCommand } from './command.ts';
import { LabError } from './error.ts';
import { NETNS_FOLDER } from './leftovers.ts';

/** A pod that is to be connected. Its namespace has been made. */
export interface PodSandbox {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Name of its network namespace. */
  readonly netns: string;
  readonly node: string;
}

/** Thrown when the plugin refuses, in its own words. */
export class CniError extends Error {
  override readonly name = 'CniError';
  /** Of the CNI specification; undefined when the plugin gave none. */
  readonly code: number | undefined;

  constructor(what: string, answer: CniFailure, cause: unknown) {
    super(`${what}: ${[answer.msg, answer.details].filter(Boolean).join(': ')}`, { cause });
    this.code = answer.code;
  }
}

interface CniFailure {
  readonly code?: number;
  readonly msg?: string;
  readonly details?: string;
}

const PLUGIN = fileURLToPath(new URL('../build/margay-cni', import.meta.url));
/** The plugin waits for the agent by itself; this is when it is not to be trusted any more, in ms. */
const DEADLINE = 100_000;

export class PodNetwork {
  readonly #socketOf: (node: string) => string;
  readonly #stop = new AbortController();

  /** @param socketOf the socket of a node's agent for the plugin */
  constructor(socketOf: (node: string) => string) {
    if (!existsSync(PLUGIN)) throw new LabError(`${PLUGIN}: not there; npm run setup builds it`);
    this.#socketOf = socketOf;
  }

  /** Connects a pod. Returns its addresses once they, their routes and their policy are in the kernel. */
  async add(pod: PodSandbox): Promise<readonly string[]> {
    const answer = JSON.parse(await this.#call('ADD', pod)) as {
      readonly ips?: readonly { address: string }[];
    };
    return (answer.ips ?? []).map(({ address }) => address.split('/')[0]!);
  }

  /** Undoes it, also half of it, also twice. */
  async remove(pod: PodSandbox): Promise<void> {
    await this.#call('DEL', pod);
  }

  /** Ends the calls that are going on. */
  close(): void {
    this.#stop.abort();
  }

  async #call(command: 'ADD' | 'DEL', { namespace, name, uid, netns, node }: PodSandbox): Promise<string> {
    const args = [
      'IgnoreUnknown=1',
      `K8S_POD_NAMESPACE=${namespace}`,
      `K8S_POD_NAME=${name}`,
      `K8S_POD_INFRA_CONTAINER_ID=${uid}`,
      `K8S_POD_UID=${uid}`,
    ];
    try {
      return await runCommand(PLUGIN, [], {
        input: JSON.stringify({ cniVersion: '1.0.0', name: 'margay', type: 'margay' }),
        timeout: DEADLINE,
        signal: this.#stop.signal,
        env: {
          CNI_COMMAND: command,
          CNI_CONTAINERID: uid,
          CNI_NETNS: `${NETNS_FOLDER}/${netns}`,
          CNI_IFNAME: 'eth0',
          CNI_ARGS: args.join(';'),
          CNI_PATH: '/opt/cni/bin',
          MARGAY_CNI_SOCKET: this.#socketOf(node),
        },
      });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      throw new CniError(`CNI ${command} of pod ${namespace}/${name} on ${node}`, failureOf(error), error);
    }
  }
}

/** A plugin that fails says why on standard output, as JSON. */
function failureOf({ stdout, message }: CommandError): CniFailure {
  try {
    return JSON.parse(stdout) as CniFailure;
  } catch {
    return { msg: message };
  }
}
