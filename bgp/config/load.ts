/**
 * From the text of a configuration file to a `SpeakerConfig`, or to everything that is wrong with it at once.
 */

import type { z } from 'zod';
import { ACCEPT_ALL, OWN_PREFIXES, REJECT_ALL } from '#bgp/filter/builtin.ts';
import { formatPrefix } from '#bgp/wire/address.ts';
import { ConfigDocument } from '#daemon/document.ts';
import { ConfigError, nearest, type PathPart } from '#daemon/problem.ts';
import { formatAddress, isLinkLocal } from './address.ts';
import { resolveFilter } from './filter-schema.ts';
import type { ListenConfig, OriginateConfig, PeerConfig, SpeakerConfig } from './model.ts';
import type { PeerEntry, PeerFields } from './peer-schema.ts';
import { resolveGeneral, resolveListen, resolveOriginate, resolvePeer } from './resolve.ts';
import * as schema from './schema.ts';

export type LoadOptions = {
  /** Name of the file, for messages. */
  readonly file: string;
  /** Contents of a password file; throws what `fs.readFileSync` throws. */
  readonly readSecret: (path: string) => string;
};

/** Filters that exist without being written down. */
export const BUILT_IN_FILTERS: readonly string[] = [ACCEPT_ALL, REJECT_ALL, OWN_PREFIXES].map(
  ({ name }) => name,
);

/** @throws ConfigError with all problems of the document. */
export function loadConfig(source: string, options: LoadOptions): SpeakerConfig {
  const loader = new Loader(new ConfigDocument(source), options);
  return loader.load();
}

const KNOWN = [...Object.keys(schema.general), ...Object.keys(schema.lists), ...Object.keys(schema.named)];

class Loader {
  readonly #document: ConfigDocument;
  readonly #options: LoadOptions;

  constructor(document: ConfigDocument, options: LoadOptions) {
    this.#document = document;
    this.#options = options;
  }

  load(): SpeakerConfig {
    const document = this.#document;
    if (document.problems.length > 0) throw this.#error();
    const keys = document.keys([]);
    if (keys.length === 0) {
      if (document.problems.length === 0) document.add([], 'a configuration');
      throw this.#error();
    }
    document.addUnknown(
      [],
      keys.filter((key) => !KNOWN.includes(key)),
      KNOWN,
    );

    const general = this.#general();
    const hasListen = document.valueAt(['listen']) !== undefined;
    const listen = this.#list('listen', schema.lists.listen);
    const originate = this.#list('originate', schema.lists.originate);
    const filters = this.#named('filters', schema.named.filters);
    const groups = this.#named('peerGroups', schema.named.peerGroups);
    for (const name of filters.keys()) {
      if (BUILT_IN_FILTERS.includes(name)) {
        document.add(['filters', name], `another name, ${name} is built in`, 'a filter');
      }
    }
    const peers = this.#peers(groups, general.as);
    const listening = resolveListen(hasListen ? listen.map(({ value }) => value) : undefined);
    this.#noneTwice('listen', listen, hasListen ? listening : [], (at: ListenConfig) => {
      return `${formatAddress(at.address)} port ${at.port}`;
    });
    const origins = originate.map(({ value }) => resolveOriginate(value));
    this.#noneTwice('originate', originate, origins, (origin: OriginateConfig) =>
      formatPrefix(origin.prefix),
    );

    if (document.problems.length > 0) throw this.#error();
    return {
      ...resolveGeneral(general as schema.GeneralFields),
      listen: listening,
      originate: origins,
      peers,
      filters: new Map([...filters].map(([name, fields]) => [name, resolveFilter(name, fields)])),
    };
  }

  #error(): ConfigError {
    return new ConfigError(this.#options.file, this.#document.problems);
  }

  /** Each field by itself, so that one that is wrong does not hide what is wrong with another. */
  #general(): Partial<schema.GeneralFields> {
    const fields: Record<string, unknown> = {};
    for (const [key, type] of Object.entries(schema.general)) {
      const value = this.#document.read<unknown>([key], type);
      if (value !== undefined) fields[key] = value;
    }
    return fields;
  }

  #list<T>(key: string, type: z.ZodType<T>): Entry<T>[] {
    const entries: Entry<T>[] = [];
    for (const index of this.#document.indexes([key])) {
      const value = this.#document.read([key, index], type);
      if (value !== undefined) entries.push({ path: [key, index], value });
    }
    return entries;
  }

  #named<T>(key: string, type: z.ZodType<T>): Map<string, T> {
    const entries = new Map<string, T>();
    for (const name of this.#document.keys([key])) {
      const value = this.#document.read([key, name], type);
      if (value !== undefined) entries.set(name, value);
    }
    return entries;
  }

  #peers(groups: ReadonlyMap<string, PeerFields>, as: number | undefined): PeerConfig[] {
    const groupNames = this.#document.keys(['peerGroups']);
    const filterNames = [...BUILT_IN_FILTERS, ...this.#document.keys(['filters'])];
    for (const [name, group] of groups) this.#checkFilters(['peerGroups', name], group, filterNames);

    const peers: PeerConfig[] = [];
    const kept: Entry<PeerEntry>[] = [];
    for (const entry of this.#list('peers', schema.lists.peers)) {
      const { path, value } = entry;
      this.#checkFilters(path, value, filterNames);
      const group = value.group === undefined ? undefined : groups.get(value.group);
      if (value.group !== undefined && !groupNames.includes(value.group)) {
        this.#document.add(
          [...path, 'group'],
          'the name of a peer group',
          undefined,
          nearest(value.group, groupNames),
        );
      }
      // A group that is itself wrong has been reported; what is missing because of that is not.
      if (value.group !== undefined && group === undefined) continue;
      // Without an AS of our own, internal and external can not be told apart.
      if (as === undefined) continue;
      const merged = { ...group, ...value, timers: { ...group?.timers, ...value.timers } };
      if (!this.#checkPeer(path, merged)) continue;
      const password = this.#password(path, merged);
      const peer = resolvePeer(merged, as, password);
      this.#checkResolved(path, merged, peer);
      peers.push(peer);
      kept.push(entry);
    }
    this.#noneTwice('peers', kept, peers, (peer) => peer.key);
    return peers;
  }

  /** What has to hold between fields before the peer can be made. */
  #checkPeer(path: Path, peer: PeerEntry): boolean {
    const document = this.#document;
    const before = document.problems.length;
    const { address, prefix } = peer;
    if (address === undefined && prefix === undefined)
      document.add(path, 'an address or a prefix', 'neither');
    if (address !== undefined && prefix !== undefined)
      document.add([...path, 'prefix'], 'an address or a prefix, not both');
    if (peer.remoteAs === undefined)
      document.add([...path, 'remoteAs'], 'an AS number, internal, external or a list', 'nothing');
    return document.problems.length === before;
  }

  #checkResolved(path: Path, fields: PeerEntry, peer: PeerConfig): void {
    const add = (field: string, expected: string, found?: string) => {
      this.#document.add([...path, ...field.split('.')], expected, found);
    };
    const { match, timers } = peer;
    const family = match.kind === 'address' ? match.address.family : match.prefix.family;
    if (fields.multihop !== undefined && fields.ttlSecurity !== undefined) {
      add('ttlSecurity', 'multihop or ttlSecurity, not both');
    }
    if (fields.password !== undefined && fields.passwordFile !== undefined) {
      add('passwordFile', 'password or passwordFile, not both');
    }
    if (peer.sourceAddress !== undefined && peer.sourceAddress.family !== family) {
      add('sourceAddress', `an IPv${family} address, as the neighbour's is`);
    }
    if (match.kind === 'address') {
      const { address } = match;
      if (isLinkLocal(address.bytes) && address.zone === undefined && peer.interface === undefined) {
        add('interface', 'an interface, since the address is link-local', 'nothing');
      }
      if (address.zone !== undefined && peer.interface !== undefined && address.zone !== peer.interface) {
        add('interface', `${address.zone}, as after the address`);
      }
      if (fields.limit !== undefined) add('limit', 'nothing: it is for neighbours given by a prefix');
    } else if (fields.passive === false) {
      add('passive', 'true: who connects from a prefix can not be known before');
    }
    if (timers.keepalive !== undefined && timers.hold > 0 && timers.keepalive >= timers.hold) {
      add('timers.keepalive', `less than the hold time of ${timers.hold} s`);
    }
    if (timers.keepalive !== undefined && timers.hold === 0) {
      add('timers.keepalive', 'nothing: a hold time of 0 means no keepalives');
    }
    if (timers.sendHold !== 'auto' && timers.sendHold > 0 && timers.sendHold <= timers.hold) {
      add('timers.sendHold', `more than the hold time of ${timers.hold} s`);
    }
    if (timers.idleHoldMax < timers.idleHold)
      add('timers.idleHoldMax', `at least the idle hold time of ${timers.idleHold} s`);
    if (peer.families.length === 0) add('families', 'at least one family');
    const internal = peer.remoteAs.every(
      ({ first, last }) => first === peer.localAs && last === peer.localAs,
    );
    const external = peer.remoteAs.every(({ first, last }) => peer.localAs < first || peer.localAs > last);
    if (peer.routeReflectorClient && external)
      add('routeReflectorClient', 'false: the neighbour is in another AS');
    if (peer.asOverride && internal) add('asOverride', 'false: the neighbour is in our own AS');
    for (const { maxPrefixes } of peer.families) {
      if (maxPrefixes?.action === 'warn' && maxPrefixes.restart !== undefined) {
        add('maxPrefixes.restart', 'nothing: with the action warn the session is not stopped');
        break;
      }
    }
  }

  #checkFilters(path: Path, fields: PeerFields, known: readonly string[]): void {
    const families = Object.entries(fields.families ?? {}).map(
      ([name, family]) => [[...path, 'families', name], family] as const,
    );
    for (const [at, block] of [[path, fields] as const, ...families]) {
      for (const direction of ['import', 'export'] as const) {
        for (const name of block?.[direction] ?? []) {
          if (known.includes(name)) continue;
          this.#document.add(
            [...at, direction],
            'the name of a filter',
            JSON.stringify(name),
            nearest(name, known),
          );
        }
      }
    }
  }

  #password(path: Path, peer: PeerFields): string | undefined {
    if (peer.passwordFile === undefined) return peer.password;
    const at = [...path, 'passwordFile'];
    try {
      const password = this.#options.readSecret(peer.passwordFile).replace(/\r?\n$/, '');
      const bytes = new TextEncoder().encode(password).length;
      if (bytes >= 1 && bytes <= 80) return password;
      this.#document.add(at, 'a file with a password of 1 to 80 bytes', `a file with ${bytes} bytes`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#document.add(at, 'a file that can be read', `${JSON.stringify(peer.passwordFile)} (${reason})`);
    }
    return undefined;
  }

  #noneTwice<T, R>(
    key: string,
    entries: readonly Entry<T>[],
    values: readonly R[],
    nameOf: (value: R) => string,
  ): void {
    const seen = new Map<string, string>();
    for (const [i, value] of values.entries()) {
      const index = entries[i]!.path[1];
      const name = nameOf(value);
      const first = seen.get(name);
      if (first !== undefined)
        this.#document.add(
          [key, index!],
          'every neighbour, prefix and address only once',
          `${name}, which is ${first} too`,
        );
      else seen.set(name, `${key}[${index}]`);
    }
  }
}

type Path = readonly PathPart[];
type Entry<T> = { readonly path: Path; readonly value: T };
