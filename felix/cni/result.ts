import { familyOf, formatAddress } from '#datastore/address.ts';
import { type Endpoint, GATEWAY4, GATEWAY6, HOST_MAC } from '../endpoints/model.ts';
import type { CniError } from './error.ts';
import { type Fields, wrong } from './fields.ts';
import { type CniVersion, isSince, VERSIONS } from './version.ts';

/** A JSON object. */
type Json = Readonly<Record<string, unknown>>;

/**
 * The result of an ADD (CNI specification, section 5), in the version that was asked for. What plugins before ours in the
 * chain have made stays in front.
 */
export function addResult(
  version: CniVersion,
  endpoint: Endpoint,
  netns: string,
  dns: unknown,
  prevResult: Fields | undefined,
): Json {
  const before = prevResult?.objects('interfaces').map(plain) ?? [];
  const mtu = isSince(version, '1.1.0') ? { mtu: endpoint.mtu } : {};
  const interfaces = [
    { name: endpoint.hostInterface, mac: HOST_MAC, ...mtu },
    { name: endpoint.interfaceName, mac: endpoint.mac, ...mtu, sandbox: netns },
  ];
  const ips = endpoint.addresses.map((address) => ({
    ...(isSince(version, '1.0.0') ? {} : { version: String(familyOf(address)) }),
    address: `${formatAddress(address)}/${familyOf(address) === 4 ? 32 : 128}`,
    gateway: familyOf(address) === 4 ? GATEWAY4 : GATEWAY6,
    interface: before.length + 1,
  }));
  const routes = endpoint.addresses.map((address) =>
    familyOf(address) === 4 ? { dst: '0.0.0.0/0', gw: GATEWAY4 } : { dst: '::/0', gw: GATEWAY6 },
  );
  return {
    cniVersion: version,
    interfaces: [...before, ...interfaces],
    ips: [...(prevResult?.objects('ips').map((ip) => converted(ip, version)) ?? []), ...ips],
    routes: [...(prevResult?.objects('routes').map(plain) ?? []), ...routes],
    dns: dns ?? prevResult?.raw('dns') ?? {},
  };
}

/** An error result. */
export function errorResult(version: CniVersion, error: CniError): Json {
  const details = error.details === '' ? {} : { details: error.details };
  return { cniVersion: version, code: error.code, msg: error.message, ...details };
}

/** The result of VERSION. */
export function versionResult(version: string): Json {
  return { cniVersion: version, supportedVersions: VERSIONS };
}

/** Where a previous result is not what ADD has made of the endpoint; for CHECK. */
export function differencesTo(endpoint: Endpoint, netns: string, prevResult: Fields): string[] {
  const interfaces = prevResult.objects('interfaces');
  const index = interfaces.findIndex(
    (each) => each.text('name') === endpoint.interfaceName && each.text('sandbox') === netns,
  );
  const own = interfaces[index];
  if (own === undefined) return [`prevResult.interfaces: found no ${endpoint.interfaceName} in ${netns}`];
  const found: string[] = [];
  const mac = own.text('mac')?.toLowerCase();
  if (mac !== undefined && mac !== endpoint.mac)
    found.push(`${own.at('mac')}: found ${mac}, expected ${endpoint.mac}`);
  const texts = prevResult
    .objects('ips')
    .filter((ip) => ip.integer('interface', -1, interfaces.length - 1) === index)
    .map((ip) => ip.neededText('address').split('/')[0]!);
  const expected = endpoint.addresses.map(formatAddress);
  if (JSON.stringify(texts.sort()) !== JSON.stringify([...expected].sort()))
    found.push(
      `prevResult.ips of ${endpoint.interfaceName}: found ${texts.join(', ') || 'none'}, expected ${expected.join(', ')}`,
    );
  return found;
}

/** An address of a previous result, which may be of another version than the one asked for. */
function converted(ip: Fields, version: CniVersion): Json {
  const { version: _, ...rest } = plain(ip);
  const address = ip.neededText('address');
  if (!/^[0-9a-f:.]+\/\d+$/i.test(address))
    throw wrong(ip.at('address'), address, 'an address with its prefix length');
  return isSince(version, '1.0.0') ? rest : { version: address.includes(':') ? '6' : '4', ...rest };
}

function plain(fields: Fields): Json {
  return Object.fromEntries(fields.names.map((name) => [name, fields.raw(name)]));
}
