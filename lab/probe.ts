/**
 * Who reaches whom: real connections between real namespaces.
 */

import type { Socket } from 'node:net';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { openConnecting } from '#kernel/sys/tcp.ts';
import type { Family } from './peers/description.ts';

/** Where a connection starts. */
export interface Source {
  readonly name: string;
  /** Name of its namespace. */
  readonly netns: string;
  /** Own addresses, where the system's choice would be another. */
  readonly addresses?: readonly string[];
}

/** Where it goes. */
export interface Target {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly port: number;
}

/** What became of it, in the families that the target has. */
export interface Probe {
  readonly source: string;
  readonly target: string;
  readonly port: number;
  readonly reached: Readonly<Partial<Record<Family, boolean>>>;
}

export interface ProbeOptions {
  /** How long to wait for an answer, in ms. What is dropped says nothing, so this is what a denied one takes. */
  readonly patience: number;
  readonly signal?: AbortSignal;
  /** Told after each pair how many are done. */
  readonly onDone?: (done: number) => void;
}

/** How many connections are tried at once. */
const AT_ONCE = 400;

/** Tries each pair once in each family of the target. In the order of the pairs. */
export async function probeAll(
  pairs: readonly (readonly [Source, Target])[],
  { patience, signal, onDone }: ProbeOptions,
): Promise<Probe[]> {
  using open = new OpenNamespaces();
  const results: Probe[] = [];
  let next = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (next < pairs.length && signal?.aborted !== true) {
      const index = next++;
      const [source, target] = pairs[index]!;
      const reached: Partial<Record<Family, boolean>> = {};
      await Promise.all(
        target.addresses.map(async (address) => {
          const namespace = open.get(source.netns);
          const from = source.addresses?.find((own) => own.includes(':') === address.includes(':'));
          const answer =
            namespace === undefined ? undefined : await ask(namespace, address, target.port, from, patience);
          reached[address.includes(':') ? 'ipv6' : 'ipv4'] =
            answer?.includes(`\n${target.name} on `) === true;
        }),
      );
      results[index] = { source: source.name, target: target.name, port: target.port, reached };
      onDone?.(++done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, pairs.length) }, worker));
  return results;
}

/** Whether it was reached in every family that the target has. */
export function isReached({ reached }: Probe): boolean {
  const all = Object.values(reached);
  return all.length > 0 && all.every(Boolean);
}

/** Whether it was reached in none. */
export function isCutOff({ reached }: Probe): boolean {
  return !Object.values(reached).some(Boolean);
}

/** Connects and asks; undefined when no answer came in time. */
function ask(
  namespace: NetworkNamespace,
  address: string,
  port: number,
  from: string | undefined,
  patience: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    let socket: Socket;
    let text = '';
    try {
      const source = from === undefined ? {} : { source: { address: from, port: 0 } };
      socket = openConnecting({ address, port, namespace, ...source });
    } catch {
      // No descriptor, or no such address: not reached.
      resolve(undefined);
      return;
    }
    const finish = (answer: string | undefined): void => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(answer);
    };
    const deadline = setTimeout(() => finish(undefined), patience);
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write('GET / HTTP/1.0\r\n\r\n'));
    socket.on('data', (more: string) => {
      text += more;
    });
    socket.on('end', () => finish(text));
    socket.on('error', () => finish(undefined));
    socket.on('close', () => finish(text === '' ? undefined : text));
  });
}

/** Namespaces that were opened, each once. One that is gone is undefined. */
class OpenNamespaces implements Disposable {
  readonly #open = new Map<string, NetworkNamespace | undefined>();

  get(name: string): NetworkNamespace | undefined {
    if (!this.#open.has(name)) {
      let namespace: NetworkNamespace | undefined;
      try {
        namespace = NetworkNamespace.named(name);
      } catch {
        namespace = undefined;
      }
      this.#open.set(name, namespace);
    }
    return this.#open.get(name);
  }

  [Symbol.dispose](): void {
    for (const namespace of this.#open.values()) namespace?.close();
  }
}
