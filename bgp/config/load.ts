/**
 * From the text of a configuration file to a `SpeakerConfig`, or to everything that is wrong with it at once.
 */

import type { z } from 'zod';
import { ACCEPT_ALL, OWN_PREFIXES, POD_CIDRS, REJECT_ALL } from '#bgp/filter/builtin.ts';
import { formatPrefix } from '#bgp/wire/address.ts';
import { readDatastore } from '#daemon/datastore-section.ts';
import { ConfigDocument } from '#daemon/document.ts';
import { ConfigError, nearest, type PathPart } from '#daemon/problem.ts';
import type { LabelSelector } from '#datastore/label-selector.ts';
import { formatAddress, isLinkLocal, parseAddress } from './address.ts';
import { DEFAULTS } from './defaults.ts';
import { resolveFilter } from './filter-schema.ts';
import { identifier } from './leaves.ts';
import type {
  ClusterConfig,
  FileConfig,
  ListenConfig,
  MeshConfig,
  OriginateConfig,
  PeerConfig,
} from './model.ts';
import type { PeerEntry, PeerFields } from './peer-schema.ts';
import { resolveGeneral, resolveListen, resolveOriginate, resolvePeer } from './resolve.ts';
import * as schema from './schema.ts';

export type LoadOptions = {
  /** Name of the file, for messages. */
  readonly file: string;
  /** Contents of a password file; throws what `fs.readFileSync` throws. */
  readonly readSecret: (path: string) => string;
  /** Name of the node where the file does not say it: `NODE_NAME`, for a file that is the same on all nodes. */
  readonly node?: string | undefined;
};

/** Filters that exist without being written down. */
export const BUILT_IN_FILTERS: readonly string[] = [ACCEPT_ALL, REJECT_ALL, OWN_PREFIXES].map(
  ({ name }) => name,
);

/** @throws ConfigError with all problems of the document. */
export function loadConfig(source: string, options: LoadOptions): FileConfig {
  const loader = new Loader(new ConfigDocument(source), options);
  return loader.load();
}

const KNOWN = [...Object.keys(schema.general), ...Object.keys(schema.lists), ...Object.keys(schema.named)];

class Loader {
  readonly #document: ConfigDocument;
  readonly #options: LoadOptions;
  readonly #selectors = new Map<string, LabelSelector>();

  constructor(document: ConfigDocument, options: LoadOptions) {
    this.#document = document;
    this.#options = options;
  }

  load(): FileConfig {
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
      if ([...BUILT_IN_FILTERS, POD_CIDRS].includes(name) || name.startsWith(`${POD_CIDRS}/`)) {
        document.add(['filters', name], `another name, ${name} is built in`, 'a filter');
      }
    }
    if (document.valueAt(['cluster']) === undefined && document.valueAt(['routerId']) === undefined) {
      document.read(['routerId'], identifier);
    }
    const peers = this.#peers(groups, general.as);
    const cluster = this.#cluster(general, groups);
    const listening = resolveListen(hasListen ? listen.map(({ value }) => value) : undefined);
    this.#noneTwice('listen', listen, hasListen ? listening : [], (at: ListenConfig) => {
      return `${formatAddress(at.address)} port ${at.port}`;
    });
    const origins = originate.map(({ value }) => resolveOriginate(value));
    this.#noneTwice('originate', originate, origins, (origin: OriginateConfig) =>
      formatPrefix(origin.prefix),
    );

    if (document.problems.length > 0) throw this.#error();
    const speaker = {
      ...resolveGeneral(general as schema.GeneralFields),
      listen: listening,
      originate: origins,
      peers,
      filters: new Map([...filters].map(([name, fields]) => [name, resolveFilter(name, fields)])),
    };
    return { speaker, cluster };
  }

  #cluster(
    general: Partial<schema.GeneralFields>,
    groups: ReadonlyMap<string, PeerFields>,
  ): ClusterConfig | undefined {
    const document = this.#document;
    const { cluster, datastore: section, as } = general;
    if (document.valueAt(['cluster']) === undefined) {
      if (section !== undefined)
        document.add(['datastore'], 'nothing without cluster: the rest of the file needs no objects');
      for (const i of document.indexes(['peers'])) {
        const path = ['peers', i, 'nodeSelector'];
        if (document.valueAt(path) !== undefined) document.add(path, 'nothing without cluster');
      }
      return undefined;
    }
    const node = cluster?.node ?? this.#options.node;
    if (cluster !== undefined && node === undefined)
      document.add(['cluster', 'node'], 'the name of the Node object, here or in NODE_NAME', 'nothing');
    if (document.valueAt(['datastore']) === undefined)
      document.add(['datastore'], 'directory: DIR, or kubernetes: {}, to read Node objects from', 'nothing');
    const datastore = section && readDatastore(document, section);
    if (cluster === undefined || node === undefined || datastore === undefined || as === undefined)
      return undefined;
    const isMesh = cluster.mesh ?? DEFAULTS.cluster.mesh;
    if (!isMesh && cluster.group !== undefined)
      document.add(['cluster', 'group'], 'nothing without mesh: it is for the neighbours of the mesh');
    return {
      node,
      datastore,
      fixedRouterId: general.routerId !== undefined,
      fixedClusterId: general.clusterId !== undefined,
      mesh: isMesh ? this.#mesh(cluster.group, groups, as) : undefined,
      selectors: this.#selectors,
      stateFolder: cluster.stateFolder ?? DEFAULTS.cluster.stateFolder,
    };
  }

  /** What the peer group of the mesh says has to be right for neighbours of either family. */
  #mesh(
    name: string | undefined,
    groups: ReadonlyMap<string, PeerFields>,
    as: number,
  ): MeshConfig | undefined {
    const document = this.#document;
    if (name === undefined) return { fields: { remoteAs: 'internal' }, password: undefined };
    const names = document.keys(['peerGroups']);
    if (!names.includes(name)) {
      document.add(['cluster', 'group'], 'the name of a peer group', undefined, nearest(name, names));
    }
    const group = groups.get(name);
    if (group === undefined) return undefined;
    const path = ['peerGroups', name];
    const fields: PeerEntry = { remoteAs: 'internal', ...group, group: name };
    const password = this.#password(path, group);
    for (const address of ['192.0.2.1', '2001:db8::1']) {
      const sample = { ...fields, address: parseAddress(address)! };
      const peer = resolvePeer(sample, as, password);
      this.#checkResolved(path, sample, peer);
      if (peer.remoteAs.some(({ first, last }) => first !== peer.localAs || last !== peer.localAs))
        document.add([...path, 'remoteAs'], 'internal: it is the group of the mesh');
    }
    return { fields, password };
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
    const isCluster = this.#document.valueAt(['cluster']) !== undefined;
    const filterNames = [
      ...BUILT_IN_FILTERS,
      ...(isCluster ? [POD_CIDRS] : []),
      ...this.#document.keys(['filters']),
    ];
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
      if (value.nodeSelector !== undefined) this.#selectors.set(peer.key, value.nodeSelector);
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
