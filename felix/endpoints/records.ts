import { type AddressKey, formatAddress, parseAddress } from '#datastore/address.ts';
import type { HostPort } from '../endpoint.ts';
import { StateError, unfinished } from '../state/commits.ts';
import { type Files, refusalOf } from '../state/files.ts';
import { seal, unseal } from '../state/sealed.ts';
import type { Endpoint } from './model.ts';

const TITLE = 'margay endpoint 1';
const SUFFIX = '.endpoint';

/** A record that can not be read. */
export interface Damage {
  /** The node's end of the veth pair that it was about. */
  readonly hostInterface: string;
  readonly what: string;
}

/**
 * The endpoints of the node, a file each, named after the node's end of the pair. A file is written beside its place and
 * renamed, so that a process that is killed leaves the old one or the new one. They are not synced: what they tell of, the
 * interfaces, does not outlive the kernel either, and a loss of power leaves at worst a file that the checksum tells from a
 * whole one.
 */
export class EndpointRecords {
  readonly #files: Files;
  readonly #folder: string;

  constructor(files: Files, folder: string) {
    this.#files = files;
    this.#folder = folder;
  }

  /** All that are there. Files that are not whole are removed, as their process was killed; what can not be is damage. */
  load(): { endpoints: Endpoint[]; damaged: Damage[] } {
    const endpoints: Endpoint[] = [];
    const damaged: Damage[] = [];
    for (const name of this.#files.list(this.#folder)) {
      const suffix = [SUFFIX, unfinished(SUFFIX)].find((each) => name.endsWith(each));
      if (suffix === undefined) continue;
      const hostInterface = name.slice(0, -suffix.length);
      const endpoint = this.#load(name);
      if (endpoint === undefined) continue;
      if ('damage' in endpoint)
        damaged.push({ hostInterface, what: `${this.#folder}/${name}: ${endpoint.damage}` });
      else if (endpoint.hostInterface !== hostInterface)
        damaged.push({
          hostInterface,
          what: `${this.#folder}/${name}: it is about ${endpoint.hostInterface}`,
        });
      else endpoints.push(endpoint);
    }
    return { endpoints, damaged };
  }

  /** What a file says; undefined for one that was not whole, or is gone by now. */
  #load(name: string): Endpoint | { readonly damage: string } | undefined {
    const path = `${this.#folder}/${name}`;
    try {
      if (name.endsWith(SUFFIX)) return parseRecord(this.#files.read(path) ?? '');
      this.#files.remove(path);
      return undefined;
    } catch (error) {
      // One bad block of the disk must not keep the agent from all other pods.
      const damage = refusalOf(error);
      if (damage === undefined) throw error;
      return { damage };
    }
  }

  /** @throws StateError */
  write(endpoint: Endpoint): void {
    const path = this.#path(endpoint.hostInterface);
    try {
      this.#files.write(unfinished(path), formatRecord(endpoint));
      this.#files.rename(unfinished(path), path);
    } catch (error) {
      throw new StateError(path, error);
    }
  }

  /** With what a writing that failed has left beside it. @throws StateError */
  remove(hostInterface: string): void {
    const path = this.#path(hostInterface);
    try {
      this.#files.remove(unfinished(path));
      this.#files.remove(path);
    } catch (error) {
      throw new StateError(path, error);
    }
  }

  #path(hostInterface: string): string {
    return `${this.#folder}/${hostInterface}${SUFFIX}`;
  }
}

export function formatRecord(endpoint: Endpoint): string {
  const value = {
    ...endpoint,
    addresses: endpoint.addresses.map(formatAddress),
    hostPorts: endpoint.hostPorts.map((port) => ({
      ...port,
      hostIp: port.hostIp === undefined ? undefined : formatAddress(port.hostIp),
    })),
  };
  return seal(TITLE, [JSON.stringify(value)]);
}

export function parseRecord(text: string): Endpoint | { readonly damage: string } {
  const unsealed = unseal(TITLE, text);
  if ('damage' in unsealed) return unsealed;
  // What has our title and a checksum that is right was written by formatRecord.
  const value = JSON.parse(unsealed.lines[0] ?? '{}') as Record<string, unknown> & Endpoint;
  const addresses = (value.addresses ?? []).map((address) => parseAddress(address));
  if (!addresses.every((address): address is AddressKey => address !== undefined))
    return { damage: 'its addresses can not be read' };
  const hostPorts = (value.hostPorts ?? []).map(
    (port): HostPort => ({
      ...port,
      hostIp: port.hostIp === undefined ? undefined : parseAddress(port.hostIp),
    }),
  );
  return {
    ...value,
    pod: value.pod ?? undefined,
    bandwidth: value.bandwidth ?? undefined,
    addresses,
    hostPorts,
  };
}
