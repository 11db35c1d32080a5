/**
 * The configuration file: from text to settings, or to all that is wrong, with line and path.
 */

import { z } from 'zod';
import { readConfigText } from '#daemon/config-file.ts';
import { ConfigDocument } from '#daemon/document.ts';
import { integer, leaf, mapping, oneOf, seconds, text } from '#daemon/leaves.ts';
import { ConfigError } from '#daemon/problem.ts';
import {
  type AddressPrefix,
  type AddressRange,
  contains,
  familyOf,
  formatPrefix,
  parseAddress,
  parsePrefix,
  rangeOf,
} from '#datastore/address.ts';
import { PROTOCOLS } from '#proto/ports.ts';
import { DEFAULT_CNI_SOCKET } from '../cni/listen.ts';
import { type DataplaneSettings, DEFAULT_FAILSAFE, type ProtocolPort } from '../dataplane/settings.ts';
import {
  DEFAULT_FELIX_SOCKET,
  DEFAULT_POLICY_ADDRESS,
  DEFAULT_POLICY_WAIT,
  DEFAULT_STATE_FOLDER,
  type FelixConfig,
  type PodSettings,
} from './model.ts';

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
    document.keys([]).filter((key) => !(key in SECTIONS)),
    Object.keys(SECTIONS),
  );
  const read = <T>(key: keyof typeof SECTIONS, schema: z.ZodType<T>): T | undefined =>
    document.valueAt([key]) === undefined ? undefined : document.read([key], schema);
  const node = read('node', SECTIONS.node) ?? surroundings.node;
  const policy = read('policy', SECTIONS.policy);
  const api = read('api', SECTIONS.api);
  const dataplane = read('dataplane', SECTIONS.dataplane);
  const pods = read('pods', SECTIONS.pods);
  const log = read('log', SECTIONS.log);
  if (node === undefined && document.problems.length === 0) {
    document.add(['node'], 'the name of the Node object, here or in NODE_NAME', 'nothing');
  }
  const address = policy?.address ?? DEFAULT_POLICY_ADDRESS;
  const tls = policy?.tls;
  if (!address.startsWith('unix:') && tls === undefined && document.problems.length === 0) {
    document.add(['policy', 'tls'], 'ca, certificate and key: TCP is only with mutual TLS', 'nothing');
  }
  if (pods !== undefined && document.problems.length === 0) checkCidrs(document, pods.cidrs);
  if (document.problems.length > 0) throw new ConfigError(file, document.problems);
  return {
    node: node!,
    policy: { address, tls },
    api: { socket: api?.socket ?? DEFAULT_FELIX_SOCKET },
    dataplane: dataplaneSettings(dataplane ?? {}),
    pods: pods && podSettings(pods),
    log: { level: log?.level ?? 'info' },
  };
}

type DataplaneSection = z.output<typeof dataplaneSection>;

function dataplaneSettings(section: DataplaneSection): DataplaneSettings {
  const pools = section.pools ?? [];
  const natOutgoing = pools.filter((pool) => pool.natOutgoing === true).map(({ cidr }) => cidr);
  return {
    podToHost: section.podToHost ?? 'accept',
    hostToPod: section.hostToPod ?? 'accept',
    failsafeInbound: section.failsafeInbound ?? DEFAULT_FAILSAFE.inbound,
    failsafeOutbound: section.failsafeOutbound ?? DEFAULT_FAILSAFE.outbound,
    serviceRanges: section.serviceRanges ?? [],
    natOutgoing,
    // Pods reach each other by their own addresses, whatever pools they are of.
    natExcluded:
      natOutgoing.length === 0 ? [] : [...pools.map(({ cidr }) => cidr), ...(section.natExcluded ?? [])],
  };
}

type PodSection = z.output<typeof podSection>;

function podSettings(section: PodSection): PodSettings {
  return {
    podCidrs: section.cidrs,
    reserved: section.reserved ?? [],
    mtu: section.mtu,
    stateFolder: section.stateFolder ?? DEFAULT_STATE_FOLDER,
    policyWait: (section.policyWait ?? DEFAULT_POLICY_WAIT) * 1000,
    cniSocket: section.cniSocket ?? DEFAULT_CNI_SOCKET,
  };
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

/** `10.1.0.7`, or `10.1.0.1-10.1.0.9`, or a CIDR. */
const addressRange = leaf(
  'an address, a CIDR, or two addresses such as 10.1.0.1-10.1.0.9',
  (value): AddressRange | undefined => {
    if (typeof value !== 'string') return undefined;
    if (value.includes('/')) {
      const read = parsePrefix(value);
      return read && rangeOf(read);
    }
    const [from = '', to = from, ...more] = value.split('-').map((part) => part.trim());
    const first = parseAddress(from);
    const last = parseAddress(to);
    if (first === undefined || last === undefined || more.length > 0) return undefined;
    return familyOf(first) === familyOf(last) && first <= last ? { first, last } : undefined;
  },
);

const prefix = leaf('a CIDR without host bits, such as 10.244.0.0/16', (value): AddressPrefix | undefined => {
  if (typeof value !== 'string') return undefined;
  const read = parsePrefix(value);
  return read && parseAddress(value.slice(0, value.indexOf('/'))) === read.address ? read : undefined;
});

const protocolPort = leaf('PROTOCOL/PORT, such as TCP/22', (value): ProtocolPort | undefined => {
  const [, word, number] = /^([A-Za-z]+)\/(\d{1,5})$/.exec(String(value)) ?? [];
  const protocol = PROTOCOLS.find((one) => one === word?.toUpperCase());
  const port = Number(number);
  return protocol !== undefined && port >= 1 && port <= 65535 ? { protocol, port } : undefined;
});

const verdict = oneOf('accept', 'drop');
const path = text('the path of a file', 4_095);

const dataplaneSection = mapping({
  podToHost: verdict.optional(),
  hostToPod: verdict.optional(),
  failsafeInbound: z.array(protocolPort).optional(),
  failsafeOutbound: z.array(protocolPort).optional(),
  serviceRanges: z.array(prefix).optional(),
  pools: z
    .array(mapping({ cidr: prefix, natOutgoing: leaf('true or false', asBoolean).optional() }))
    .optional(),
  natExcluded: z.array(prefix).optional(),
});

const podSection = mapping({
  cidrs: z.array(prefix),
  reserved: z.array(addressRange).optional(),
  mtu: integer(576, 65535, 'bytes').optional(),
  stateFolder: path.optional(),
  policyWait: seconds(1, 80).optional(),
  cniSocket: text('the path of a socket, of up to 107 bytes', 107).optional(),
});

function asBoolean(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}

/** The sections of the document. */
export const SECTIONS = {
  node: text('the name of a Node object', 253),
  policy: mapping({
    address: leaf('unix:/path of a socket, or host:port', (value) =>
      typeof value === 'string' && /^(unix:\/.{1,106}|[^/\s]+:\d{1,5})$/.test(value) ? value : undefined,
    ).optional(),
    tls: mapping({ ca: path, certificate: path, key: path }).optional(),
  }),
  api: mapping({ socket: text('the path of a socket, of up to 107 bytes', 107).optional() }),
  dataplane: dataplaneSection,
  pods: podSection,
  log: mapping({ level: oneOf('error', 'warn', 'info', 'debug').optional() }),
} as const;
