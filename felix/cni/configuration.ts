import { nearest } from '#daemon/problem.ts';
import { type AddressKey, formatAddress, parseAddress } from '#datastore/address.ts';
import type { HostPort } from '../endpoint.ts';
import type { Bandwidth, BandwidthLimit } from '../endpoints/model.ts';
import { CNI, CniError } from './error.ts';
import { Fields, unsupported, wrong } from './fields.ts';
import { type CniVersion, isSpoken, LATEST, VERSIONS } from './version.ts';

/** What the network configuration on standard input says (CNI specification, section 1 and 2). */
export interface NetworkConfiguration {
  readonly cniVersion: CniVersion;
  /** Of the network. */
  readonly name: string;
  readonly hostPorts: readonly HostPort[];
  readonly bandwidth: Bandwidth | undefined;
  /** Asked for by the capability `ips`, or by `args.cni.ips`. */
  readonly addresses: readonly AddressKey[];
  readonly mac: string | undefined;
  /** To be handed on in the result: that of the capability, or the configuration's own. */
  readonly dns: unknown;
  readonly prevResult: Fields | undefined;
  /** For GC; undefined when the key is not there. */
  readonly validAttachments: readonly Attachment[] | undefined;
}

/** An interface of a container. */
export interface Attachment {
  readonly containerId: string;
  readonly interfaceName: string;
}

/** Decodes standard input. @throws CniError with code 6, or 7 when it is not an object */
export function decodeConfiguration(input: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(input);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const details = input.trim() === '' ? 'standard input is empty, expected JSON' : error.message;
    throw new CniError(CNI.decodingFailure, 'the network configuration can not be decoded', details);
  }
  return Fields.of('', value);
}

/** The version that the answer has to have. @throws CniError with code 1 for one that is not spoken */
export function versionOf(fields: Fields): CniVersion {
  // Configurations older than the field are of version 0.1.0.
  const text = fields.text('cniVersion') ?? '0.1.0';
  if (isSpoken(text)) return text;
  const details = `found ${JSON.stringify(text)}, expected one of ${VERSIONS.join(', ')}`;
  throw new CniError(CNI.incompatibleVersion, 'incompatible CNI version', details);
}

/** @throws CniError with code 1, 2 or 7 */
export function readConfiguration(fields: Fields): NetworkConfiguration {
  const cniVersion = versionOf(fields);
  const name = fields.neededText('name');
  if (!/^[a-zA-Z0-9][\w.-]{0,127}$/.test(name))
    throw wrong('name', name, 'letters, digits, "_", "." and "-", the first a letter or digit');
  fields.neededText('type');
  refuseUnknown(fields);
  const runtime = fields.object('runtimeConfig');
  if (runtime !== undefined) refuseUnknownCapabilities(runtime);
  const asked = runtime?.raw('ips') !== undefined ? runtime : fields.object('args')?.object('cni');
  return {
    cniVersion,
    name,
    hostPorts: runtime?.objects('portMappings').flatMap(readHostPort) ?? [],
    bandwidth: readBandwidth(runtime?.object('bandwidth')),
    addresses: asked === undefined ? [] : readAddresses(asked),
    mac: readMac(runtime),
    dns: runtime?.object('dns') === undefined ? fields.raw('dns') : dnsOf(runtime.object('dns')!),
    prevResult: fields.object('prevResult'),
    validAttachments: readAttachments(fields),
  };
}

/** Reads an address that may have a prefix length, as the capability `ips` has it. */
export function readAddress(path: string, text: string): AddressKey {
  const [address, length, ...more] = text.split('/');
  const key = parseAddress(address ?? '');
  const fits =
    length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (key?.length ?? 0) * 16);
  if (key === undefined || !fits || more.length > 0)
    throw wrong(path, text, 'an address such as 10.1.0.5 or 10.1.0.5/32');
  return key;
}

/** Reads a hardware address, and gives it in lower case. */
export function readHardwareAddress(path: string, text: string): string {
  const mac = text.toLowerCase();
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac))
    throw wrong(path, text, 'six bytes such as 02:00:00:00:00:01');
  if (Number.parseInt(mac.slice(0, 2), 16) & 1 || mac === '00:00:00:00:00:00')
    throw wrong(path, text, 'an address of one interface: neither multicast nor zero');
  return mac;
}

const KNOWN = [
  'cniVersion',
  'name',
  'type',
  'args',
  'capabilities',
  'dns',
  'ipMasq',
  'ipam',
  'prevResult',
  'runtimeConfig',
  // Of a list. Some runtimes put them into each of its plugins.
  'cniVersions',
  'disableCheck',
  'disableGC',
];

/** Names with a slash are of the protocol (`cni.dev/valid-attachments`) or of the runtime. */
function refuseUnknown(fields: Fields): void {
  for (const name of fields.names) {
    if (KNOWN.includes(name) || name.includes('/')) continue;
    const like = nearest(name, KNOWN);
    throw unsupported(
      name,
      fields.raw(name),
      `known are ${KNOWN.join(', ')}${like ? `; did you mean ${like}?` : ''}`,
    );
  }
  if (fields.raw('ipMasq') === true)
    throw unsupported(
      'ipMasq',
      true,
      'whether pods reach the outside by NAT is set in the configuration of felix',
    );
  const ipam = fields.object('ipam');
  if (ipam !== undefined && ipam.names.length > 0 && ipam.text('type') !== 'margay')
    throw unsupported(
      'ipam.type',
      ipam.raw('type'),
      'addresses are given by felix, from the pod CIDRs of the node',
    );
}

const CAPABILITIES = ['portMappings', 'bandwidth', 'ips', 'mac', 'dns'];

/** What the runtime hands over to those who say that they can do with it; some of it to everybody. */
function refuseUnknownCapabilities(runtime: Fields): void {
  for (const name of runtime.names) {
    if (CAPABILITIES.includes(name) || name.includes('.') || name.includes('/')) continue;
    throw unsupported(runtime.at(name), runtime.raw(name), `capabilities are ${CAPABILITIES.join(', ')}`);
  }
}

/** A port of 0 means none (as portmap has it). */
function readHostPort(entry: Fields): HostPort[] {
  const hostPort = entry.neededInteger('hostPort', 0, 65535);
  const containerPort = entry.neededInteger('containerPort', 1, 65535);
  const text = entry.text('protocol') ?? 'tcp';
  const protocol = (['TCP', 'UDP', 'SCTP'] as const).find((each) => each === text.toUpperCase());
  if (protocol === undefined) throw wrong(entry.at('protocol'), text, 'tcp, udp or sctp');
  const hostIp = entry.text('hostIP') ?? '';
  const address = hostIp === '' ? undefined : readAddress(entry.at('hostIP'), hostIp);
  if (hostPort === 0) return [];
  // 0.0.0.0 and :: stand for every address of the node.
  const everywhere = address === undefined || ['0.0.0.0', '::'].includes(formatAddress(address));
  return [{ protocol, hostPort, containerPort, hostIp: everywhere ? undefined : address }];
}

/** Bits a second, and bits; a rate of 0 means no limit. */
function readBandwidth(fields: Fields | undefined): Bandwidth | undefined {
  if (fields === undefined) return undefined;
  const limit = (rateName: string, burstName: string): BandwidthLimit | undefined => {
    const rate = fields.integer(rateName, 0, Number.MAX_SAFE_INTEGER) ?? 0;
    const burst = fields.integer(burstName, 0, Number.MAX_SAFE_INTEGER) ?? 0;
    if (rate === 0 && burst !== 0)
      throw wrong(fields.at(rateName), fields.raw(rateName), `a rate beside ${burstName}`);
    if (rate === 0) return undefined;
    if (rate < 1000) throw wrong(fields.at(rateName), rate, 'at least 1000 bits a second');
    return { rate, burst };
  };
  const ingress = limit('ingressRate', 'ingressBurst');
  const egress = limit('egressRate', 'egressBurst');
  return ingress === undefined && egress === undefined ? undefined : { ingress, egress };
}

function readAddresses(fields: Fields): AddressKey[] {
  return fields.texts('ips').map((text, i) => readAddress(`${fields.at('ips')}[${i}]`, text));
}

function readMac(runtime: Fields | undefined): string | undefined {
  const mac = runtime?.text('mac') ?? '';
  return mac === '' ? undefined : readHardwareAddress(runtime!.at('mac'), mac);
}

/** The capability names them in another way than the configuration and results do. */
function dnsOf(runtime: Fields): unknown {
  return {
    nameservers: runtime.texts('servers'),
    search: runtime.texts('searches'),
    options: runtime.texts('options'),
  };
}

/** Runtimes hand it over under two names; the second is older. Those written in Go have `null` for an empty list. */
function readAttachments(fields: Fields): Attachment[] | undefined {
  const name = ['cni.dev/valid-attachments', 'cni.dev/attachments'].find((each) =>
    fields.names.includes(each),
  );
  if (name === undefined) return undefined;
  return fields.objects(name).map((entry) => ({
    containerId: entry.neededText('containerID'),
    interfaceName: entry.neededText('ifname'),
  }));
}

/** The version for an error about whatever: that of the configuration, if it can be read so far. */
export function versionForError(input: string): CniVersion {
  try {
    const text = decodeConfiguration(input).raw('cniVersion');
    return typeof text === 'string' && isSpoken(text) ? text : LATEST;
  } catch (error) {
    if (error instanceof CniError) return LATEST;
    throw error;
  }
}
