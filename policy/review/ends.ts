/**
 * Ends of connections and ports in few words, for people: exact where that is short.
 */

import {
  type AddressRange,
  familyOf,
  formatAddress,
  formatPrefix,
  parsePrefix,
  rangeOf,
} from '#datastore/address.ts';
import { ALL_PORTS, type PortSet, without } from '#proto/ports.ts';
import type { PodKey } from '#proto/program.ts';
import type { End } from './diff.ts';

/** A range as a prefix if it is one, else `first-last`. */
export function describeRange({ first, last }: AddressRange): string {
  const bits = familyOf(first) === 4 ? 32 : 128;
  for (let length = bits; length >= 0; length--) {
    const prefix = parsePrefix(`${formatAddress(first)}/${length}`)!;
    if (prefix.address !== first) break;
    if (rangeOf(prefix).last === last) return length === bits ? formatAddress(first) : formatPrefix(prefix);
  }
  return `${formatAddress(first)}-${formatAddress(last)}`;
}

/** `TCP/80`, or `all but TCP/80` where that is shorter. */
export function describePorts(ports: PortSet): string {
  const rest = `all but ${without(ALL_PORTS, ports).text}`;
  return ports.text !== ALL_PORTS.text && rest.length < ports.text.length ? rest : ports.text;
}

/** Puts ends in words. `all` are the pods that there are: a namespace of which all are meant is `shop/*`. */
export class EndNames {
  readonly #namespaces: ReadonlyMap<string, number>;
  readonly #all: number;
  readonly #most: number;

  /**
   * @param most how many names stand for the pods of a namespace before the rest is counted
   */
  constructor(all: readonly PodKey[], most: number) {
    this.#all = all.length;
    this.#namespaces = new Map([...byNamespace(all)].map(([namespace, pods]) => [namespace, pods.length]));
    this.#most = most;
  }

  describe(end: End): string {
    if ('pods' in end) return this.#describePods(end.pods);
    return `outside ${shortened(end.addresses.map(describeRange), 2 * this.#most).join(', ')}`;
  }

  #describePods(pods: readonly PodKey[]): string {
    if (pods.length > 1 && pods.length === this.#all) return 'all pods';
    const parts = [...byNamespace(pods)].flatMap(([namespace, members]) => {
      if (members.length > 1 && members.length === this.#namespaces.get(namespace)) return [`${namespace}/*`];
      return shortened(members, this.#most, ` of ${namespace}`);
    });
    return shortened(parts, 2 * this.#most).join(', ');
  }
}

function shortened(names: readonly string[], most: number, of = ''): string[] {
  if (names.length <= most) return [...names];
  return [...names.slice(0, most - 1), `${names.length - most + 1} more${of}`];
}

function byNamespace(pods: readonly PodKey[]): Map<string, PodKey[]> {
  const namespaces = new Map<string, PodKey[]>();
  for (const pod of pods) {
    const namespace = pod.slice(0, pod.indexOf('/'));
    const known = namespaces.get(namespace);
    if (known === undefined) namespaces.set(namespace, [pod]);
    else known.push(pod);
  }
  return namespaces;
}
