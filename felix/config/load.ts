/**
 * The configuration file: from text to settings, or to all that is wrong, with line and path.
 */

import { readConfigText } from '#daemon/config-file.ts';
import { readDatastore } from '#daemon/datastore-section.ts';
import { ConfigDocument } from '#daemon/document.ts';
import { ConfigError } from '#daemon/problem.ts';
import { type AddressPrefix, contains, formatPrefix, rangeOf } from '#datastore/address.ts';
import { DEFAULT_CNI_SOCKET } from '../cni/listen.ts';
import { type DataplaneSettings, DEFAULT_FAILSAFE, DEFAULT_SETTINGS } from '../dataplane/settings.ts';
import {
  DEFAULT_FELIX_SOCKET,
  DEFAULT_LOG_LEVEL,
  DEFAULT_POLICY_ADDRESS,
  DEFAULT_POLICY_UNKNOWN,
  DEFAULT_POLICY_WAIT,
  DEFAULT_STATE_FOLDER,
  type FelixConfig,
  type PodSettings,
} from './model.ts';
import { type DataplaneSection, type PodSection, SECTIONS } from './schema.ts';

/** What else says something: the environment, for a file that is the same on all nodes. */
export interface Surroundings {
  /** `NODE_NAME`, as the downward API gives it. */
  readonly node?: string | undefined;
}

/** @throws ConfigError with all that is wrong, ConfigFileError */
export function readConfig(file: string, surroundings: Surroundings = {}): FelixConfig {
  const source = readConfigText(file);
  return loadConfig(source, file, surroundings);
}

/** @throws ConfigError */
export function loadConfig(source: string, file: string, surroundings: Surroundings = {}): FelixConfig {
  const document = new ConfigDocument(source);
  if (document.problems.length > 0) throw new ConfigError(file, document.problems);
  document.addUnknown(
    [],
    document.keys([]).filter((key) => !Object.hasOwn(SECTIONS, key)),
    Object.keys(SECTIONS),
  );
  const node = document.read(['node'], SECTIONS.node) ?? surroundings.node;
  const policy = document.read(['policy'], SECTIONS.policy);
  const section = document.read(['datastore'], SECTIONS.datastore);
  const api = document.read(['api'], SECTIONS.api);
  const dataplane = document.read(['dataplane'], SECTIONS.dataplane);
  const pods = document.read(['pods'], SECTIONS.pods);
  const log = document.read(['log'], SECTIONS.log);
  if (node === undefined && document.problems.length === 0) {
    document.add(['node'], 'the name of the Node object, here or in NODE_NAME', 'nothing');
  }
  const address = policy?.address ?? DEFAULT_POLICY_ADDRESS;
  const tls = policy?.tls;
  if (!address.startsWith('unix:') && tls === undefined && document.problems.length === 0) {
    document.add(['policy', 'tls'], 'ca, certificate and key: TCP is only with mutual TLS', 'nothing');
  }
  const datastore = section && readDatastore(document, section);
  if (document.problems.length === 0) checkSource(document, pods, section !== undefined);
  if (document.problems.length > 0) throw new ConfigError(file, document.problems);
  return {
    node: node!,
    policy: { address, tls },
    datastore,
    api: { socket: api?.socket ?? DEFAULT_FELIX_SOCKET },
    dataplane: dataplaneSettings(dataplane ?? {}),
    pods: pods && podSettings(pods),
    log: { level: log?.level ?? DEFAULT_LOG_LEVEL },
  };
}

function dataplaneSettings(section: DataplaneSection): DataplaneSettings {
  const pools = section.pools ?? [];
  const natOutgoing = pools.filter((pool) => pool.natOutgoing === true).map(({ cidr }) => cidr);
  return {
    podToHost: section.podToHost ?? DEFAULT_SETTINGS.podToHost,
    hostToPod: section.hostToPod ?? DEFAULT_SETTINGS.hostToPod,
    failsafeInbound: section.failsafeInbound ?? DEFAULT_FAILSAFE.inbound,
    failsafeOutbound: section.failsafeOutbound ?? DEFAULT_FAILSAFE.outbound,
    serviceRanges: section.serviceRanges ?? [],
    natOutgoing,
    // Pods reach each other by their own addresses, whatever pools they are of.
    natExcluded:
      natOutgoing.length === 0 ? [] : [...pools.map(({ cidr }) => cidr), ...(section.natExcluded ?? [])],
  };
}

function podSettings(section: PodSection): PodSettings {
  return {
    podCidrs: section.cidrs,
    reserved: section.reserved ?? [],
    mtu: section.mtu,
    stateFolder: section.stateFolder ?? DEFAULT_STATE_FOLDER,
    policyWait: (section.policyWait ?? DEFAULT_POLICY_WAIT) * 1000,
    policyUnknown: section.policyUnknown ?? DEFAULT_POLICY_UNKNOWN,
    cniSocket: section.cniSocket ?? DEFAULT_CNI_SOCKET,
    cniConfig: section.cniConfig,
  };
}

/** The pod CIDRs are in the file, or in the Node object. */
function checkSource(document: ConfigDocument, pods: PodSection | undefined, hasDatastore: boolean): void {
  if (pods?.cidrs !== undefined) {
    checkCidrs(document, pods.cidrs);
    if (hasDatastore) document.add(['datastore'], 'nothing beside pods.cidrs: only pod CIDRs are read there');
  } else if (pods === undefined) {
    if (hasDatastore) document.add(['datastore'], 'nothing without pods: only pod CIDRs are read there');
  } else if (!hasDatastore) {
    const expected = 'the pod CIDRs of this node, or a datastore with its Node object';
    document.add(['pods', 'cidrs'], expected, 'nothing');
  }
}

function checkCidrs(document: ConfigDocument, cidrs: readonly AddressPrefix[]): void {
  if (cidrs.length === 0)
    document.add(['pods', 'cidrs'], 'at least one pod CIDR of this node', 'an empty list');
  for (const [i, cidr] of cidrs.entries()) {
    const other = cidrs.slice(0, i).find((each) => overlap(each, cidr));
    if (other !== undefined)
      document.add(['pods', 'cidrs', i], `a CIDR apart from ${formatPrefix(other)}`, formatPrefix(cidr));
  }
}

function overlap(a: AddressPrefix, b: AddressPrefix): boolean {
  return contains(rangeOf(a), b.address) || contains(rangeOf(b), a.address);
}
