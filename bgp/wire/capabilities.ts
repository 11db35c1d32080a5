/**
 * Capabilities: what each side of a session can do, said in its OPEN (RFC 5492).
 */

import { getU16, getU32, NO_BYTES, putU16, putU32 } from './bytes.ts';
import {
  CAP_ADD_PATH,
  CAP_ENHANCED_ROUTE_REFRESH,
  CAP_EXTENDED_MESSAGE,
  CAP_EXTENDED_NEXT_HOP,
  CAP_FOUR_OCTET_AS,
  CAP_FQDN,
  CAP_GRACEFUL_RESTART,
  CAP_MULTIPROTOCOL,
  CAP_ROUTE_REFRESH,
  type Family,
} from './constants.ts';

export type Capability =
  /** RFC 4760 section 8. */
  | { readonly kind: 'multiprotocol'; readonly family: Family }
  /** RFC 2918 section 2. */
  | { readonly kind: 'route-refresh' }
  /** RFC 8950 section 4: prefixes of these families may have a next hop of that AFI. */
  | {
      readonly kind: 'extended-next-hop';
      readonly entries: readonly { readonly family: Family; readonly nextHopAfi: number }[];
    }
  /** RFC 8654 section 3. */
  | { readonly kind: 'extended-message' }
  /**
   * RFC 4724 section 3. `restarting`: the R bit; `notification`: the N bit of RFC 8538 section 2; `restartTime` in
   * seconds, up to 4,095; `forwarding`: the F bit, forwarding state was kept.
   */
  | {
      readonly kind: 'graceful-restart';
      readonly restarting: boolean;
      readonly notification: boolean;
      readonly restartTime: number;
      readonly families: readonly { readonly family: Family; readonly forwarding: boolean }[];
    }
  /** RFC 6793 section 3. */
  | { readonly kind: 'four-octet-as'; readonly asn: number }
  /** RFC 7911 section 4: can it receive, can it send several paths of a prefix? */
  | {
      readonly kind: 'add-path';
      readonly families: readonly {
        readonly family: Family;
        readonly receive: boolean;
        readonly send: boolean;
      }[];
    }
  /** RFC 7313 section 3.1. */
  | { readonly kind: 'enhanced-route-refresh' }
  /**
   * The speaker's host and domain name, for people to read; up to 255 bytes each
   * (draft-walton-bgp-hostname-capability).
   */
  | { readonly kind: 'fqdn'; readonly host: string; readonly domain: string }
  /** Any other, kept to be shown. */
  | { readonly kind: 'unknown'; readonly code: number; readonly value: Uint8Array };

/** Of these a session has at most one: the first of the kind. */
export type CapabilityOf<K extends Capability['kind']> = Extract<Capability, { kind: K }>;

/** The first capability of a kind. */
export function findCapability<K extends Capability['kind']>(
  capabilities: readonly Capability[],
  kind: K,
): CapabilityOf<K> | undefined {
  return capabilities.find((each): each is CapabilityOf<K> => each.kind === kind);
}

/**
 * One capability's value. `undefined` if it is malformed, which makes the OPEN so (RFC 4271 section 6.2: subcode 0).
 */
export function decodeCapability(code: number, value: Uint8Array): Capability | undefined {
  const length = value.length;
  switch (code) {
    case CAP_MULTIPROTOCOL:
      // AFI, a reserved octet, SAFI.
      return length === 4 ? { kind: 'multiprotocol', family: getFamily4(value, 0) } : undefined;
    case CAP_ROUTE_REFRESH:
      return length === 0 ? { kind: 'route-refresh' } : undefined;
    case CAP_EXTENDED_NEXT_HOP:
      return decodeExtendedNextHop(value);
    case CAP_EXTENDED_MESSAGE:
      return length === 0 ? { kind: 'extended-message' } : undefined;
    case CAP_GRACEFUL_RESTART:
      return decodeGracefulRestart(value);
    case CAP_FOUR_OCTET_AS:
      return length === 4 ? { kind: 'four-octet-as', asn: getU32(value, 0) } : undefined;
    case CAP_ADD_PATH:
      return decodeAddPath(value);
    case CAP_ENHANCED_ROUTE_REFRESH:
      return length === 0 ? { kind: 'enhanced-route-refresh' } : undefined;
    case CAP_FQDN:
      // For people only, and from a draft: not worth a session.
      return decodeFqdn(value) ?? { kind: 'unknown', code, value: value.slice() };
    default:
      return { kind: 'unknown', code, value: value.slice() };
  }
}

/**
 * One capability with its code and length, as OPEN carries it.
 *
 * @throws RangeError if its value takes more than 255 bytes.
 */
export function encodeCapability(capability: Capability): Uint8Array {
  const code = capabilityCode(capability);
  const value = encodeValue(capability);
  if (value.length > 255) throw new RangeError(`capability ${capabilityName(code)} of ${value.length} bytes`);
  const out = new Uint8Array(2 + value.length);
  out[0] = code;
  out[1] = value.length;
  out.set(value, 2);
  return out;
}

export function capabilityCode(capability: Capability): number {
  return capability.kind === 'unknown' ? capability.code : CODES[capability.kind];
}

/** `route-refresh`; `capability 9` where this table has no name. */
export function capabilityName(code: number): string {
  return NAMES[code] ?? `capability ${code}`;
}

const CODES: Readonly<Record<Exclude<Capability['kind'], 'unknown'>, number>> = {
  multiprotocol: CAP_MULTIPROTOCOL,
  'route-refresh': CAP_ROUTE_REFRESH,
  'extended-next-hop': CAP_EXTENDED_NEXT_HOP,
  'extended-message': CAP_EXTENDED_MESSAGE,
  'graceful-restart': CAP_GRACEFUL_RESTART,
  'four-octet-as': CAP_FOUR_OCTET_AS,
  'add-path': CAP_ADD_PATH,
  'enhanced-route-refresh': CAP_ENHANCED_ROUTE_REFRESH,
  fqdn: CAP_FQDN,
};

const NAMES: Readonly<Record<number, string>> = {
  ...Object.fromEntries(Object.entries(CODES).map(([name, code]) => [code, name])),
  3: 'outbound-route-filtering',
  7: 'bgpsec',
  8: 'multiple-labels',
  9: 'role',
  67: 'dynamic-capability',
  68: 'multisession',
  71: 'long-lived-graceful-restart',
  72: 'routing-policy-distribution',
  75: 'software-version',
  128: 'route-refresh-prestandard',
};

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** AFI (2), SAFI (1). */
function getFamily3(bytes: Uint8Array, at: number): Family {
  return (getU16(bytes, at) << 8) | bytes[at + 2]!;
}

/** AFI (2), a zero, SAFI (1); also AFI and a SAFI of two octets. */
function getFamily4(bytes: Uint8Array, at: number): Family {
  return (getU16(bytes, at) << 8) | bytes[at + 3]!;
}

function decodeExtendedNextHop(value: Uint8Array): Capability | undefined {
  if (value.length % 6 !== 0) return undefined;
  const entries = [];
  for (let at = 0; at < value.length; at += 6) {
    if (value[at + 2] !== 0) continue; // no SAFI is over 255
    entries.push({ family: getFamily4(value, at), nextHopAfi: getU16(value, at + 4) });
  }
  return { kind: 'extended-next-hop', entries };
}

function decodeGracefulRestart(value: Uint8Array): Capability | undefined {
  if (value.length < 2 || (value.length - 2) % 4 !== 0) return undefined;
  const families = [];
  for (let at = 2; at < value.length; at += 4) {
    families.push({ family: getFamily3(value, at), forwarding: (value[at + 3]! & 0x80) !== 0 });
  }
  const head = getU16(value, 0);
  return {
    kind: 'graceful-restart',
    restarting: (head & 0x8000) !== 0,
    notification: (head & 0x4000) !== 0,
    restartTime: head & 0x0fff,
    families,
  };
}

function decodeAddPath(value: Uint8Array): Capability | undefined {
  if (value.length % 4 !== 0) return undefined;
  const families = [];
  for (let at = 0; at < value.length; at += 4) {
    const mode = value[at + 3]!;
    // RFC 7911 section 4: a value that is not defined is as if the family were not there.
    if (mode < 1 || mode > 3) continue;
    families.push({ family: getFamily3(value, at), receive: (mode & 1) !== 0, send: (mode & 2) !== 0 });
  }
  return { kind: 'add-path', families };
}

function decodeFqdn(value: Uint8Array): Capability | undefined {
  const hostLength = value[0];
  if (hostLength === undefined || value.length < 2 + hostLength) return undefined;
  const domainLength = value[1 + hostLength]!;
  if (value.length !== 2 + hostLength + domainLength) return undefined;
  try {
    return {
      kind: 'fqdn',
      host: strictDecoder.decode(value.subarray(1, 1 + hostLength)),
      domain: strictDecoder.decode(value.subarray(2 + hostLength)),
    };
  } catch {
    return undefined; // not UTF-8
  }
}

function encodeValue(capability: Capability): Uint8Array {
  switch (capability.kind) {
    case 'multiprotocol': {
      const value = new Uint8Array(4);
      putU16(value, 0, capability.family >>> 8);
      value[3] = capability.family;
      return value;
    }
    case 'extended-next-hop': {
      const value = new Uint8Array(6 * capability.entries.length);
      capability.entries.forEach(({ family, nextHopAfi }, i) => {
        putU16(value, 6 * i, family >>> 8);
        putU16(value, 6 * i + 2, family & 0xff);
        putU16(value, 6 * i + 4, nextHopAfi);
      });
      return value;
    }
    case 'graceful-restart': {
      const value = new Uint8Array(2 + 4 * capability.families.length);
      const bits = (capability.restarting ? 0x8000 : 0) | (capability.notification ? 0x4000 : 0);
      putU16(value, 0, bits | (capability.restartTime & 0x0fff));
      capability.families.forEach(({ family, forwarding }, i) => {
        putU16(value, 2 + 4 * i, family >>> 8);
        value[4 + 4 * i] = family;
        value[5 + 4 * i] = forwarding ? 0x80 : 0;
      });
      return value;
    }
    case 'four-octet-as': {
      const value = new Uint8Array(4);
      putU32(value, 0, capability.asn);
      return value;
    }
    case 'add-path': {
      const value = new Uint8Array(4 * capability.families.length);
      capability.families.forEach(({ family, receive, send }, i) => {
        putU16(value, 4 * i, family >>> 8);
        value[4 * i + 2] = family;
        value[4 * i + 3] = (receive ? 1 : 0) | (send ? 2 : 0);
      });
      return value;
    }
    case 'fqdn': {
      const host = encoder.encode(capability.host);
      const domain = encoder.encode(capability.domain);
      const value = new Uint8Array(2 + host.length + domain.length);
      value[0] = host.length;
      value.set(host, 1);
      value[1 + host.length] = domain.length;
      value.set(domain, 2 + host.length);
      return value;
    }
    case 'unknown':
      return capability.value;
    case 'route-refresh':
    case 'extended-message':
    case 'enhanced-route-refresh':
      return NO_BYTES;
  }
}
