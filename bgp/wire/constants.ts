/**
 * Numbers of the BGP-4 protocol, as IANA and the RFCs assign them.
 */

/** Marker (16), length (2) and type (1): RFC 4271 section 4.1. */
export const HEADER_LENGTH = 19;
/** The largest message without the extended message capability: RFC 4271 section 4.1. */
export const MAX_MESSAGE = 4096;
/** The largest message with it: RFC 8654. OPEN and KEEPALIVE stay within `MAX_MESSAGE`. */
export const MAX_EXTENDED_MESSAGE = 65535;

/** Message types: RFC 4271 section 4.1; ROUTE-REFRESH: RFC 2918. */
export const OPEN = 1;
export const UPDATE = 2;
export const NOTIFICATION = 3;
export const KEEPALIVE = 4;
export const ROUTE_REFRESH = 5;

/**
 * The shortest OPEN, UPDATE and NOTIFICATION, header included (RFC 4271 section 6.1), and the length that every
 * ROUTE-REFRESH has (RFC 2918 section 3).
 */
export const MIN_OPEN = 29;
export const MIN_UPDATE = 23;
export const MIN_NOTIFICATION = 21;
export const ROUTE_REFRESH_LENGTH = 23;

export const BGP_VERSION = 4;
export const BGP_PORT = 179;

/** Stands in two octets for an AS number that needs four: RFC 6793. */
export const AS_TRANS = 23456;

export const AFI_IPV4 = 1;
export const AFI_IPV6 = 2;
export const SAFI_UNICAST = 1;

/**
 * An address family as one number: AFI * 256 + SAFI. Comparing and switching on it costs one integer; use
 * `familyOf`, `afiOf` and `safiOf` to cross between the two forms.
 */
export type Family = number;
export const IPV4_UNICAST: Family = 0x0101;
export const IPV6_UNICAST: Family = 0x0201;

export function familyOf(afi: number, safi: number): Family {
  return (afi << 8) | safi;
}

export function afiOf(family: Family): number {
  return family >>> 8;
}

export function safiOf(family: Family): number {
  return family & 0xff;
}

/** `ipv4-unicast`, `ipv6-unicast`, or `afi 25 safi 70` for what this speaker does not carry. */
export function familyName(family: Family): string {
  if (family === IPV4_UNICAST) return 'ipv4-unicast';
  if (family === IPV6_UNICAST) return 'ipv6-unicast';
  return `afi ${afiOf(family)} safi ${safiOf(family)}`;
}

/** Bits of the Attribute Flags octet: RFC 4271 section 4.3. */
export const FLAG_OPTIONAL = 0x80;
export const FLAG_TRANSITIVE = 0x40;
export const FLAG_PARTIAL = 0x20;
export const FLAG_EXTENDED_LENGTH = 0x10;

/** Path attribute type codes. */
export const ATTR_ORIGIN = 1;
export const ATTR_AS_PATH = 2;
export const ATTR_NEXT_HOP = 3;
export const ATTR_MED = 4;
export const ATTR_LOCAL_PREF = 5;
export const ATTR_ATOMIC_AGGREGATE = 6;
export const ATTR_AGGREGATOR = 7;
export const ATTR_COMMUNITIES = 8;
export const ATTR_ORIGINATOR_ID = 9;
export const ATTR_CLUSTER_LIST = 10;
export const ATTR_MP_REACH = 14;
export const ATTR_MP_UNREACH = 15;
export const ATTR_EXTENDED_COMMUNITIES = 16;
export const ATTR_AS4_PATH = 17;
export const ATTR_AS4_AGGREGATOR = 18;
export const ATTR_LARGE_COMMUNITIES = 32;

/** Values of ORIGIN: RFC 4271 section 5.1.1. */
export const ORIGIN_IGP = 0;
export const ORIGIN_EGP = 1;
export const ORIGIN_INCOMPLETE = 2;

/** AS_PATH segment types: RFC 4271 section 4.3, RFC 5065 section 3. */
export const AS_SET = 1;
export const AS_SEQUENCE = 2;
export const AS_CONFED_SEQUENCE = 3;
export const AS_CONFED_SET = 4;

/** OPEN optional parameter types: RFC 5492 section 4; RFC 9072 section 2. */
export const PARAMETER_CAPABILITIES = 2;
export const PARAMETER_EXTENDED_LENGTH = 255;

/** Capability codes. */
export const CAP_MULTIPROTOCOL = 1;
export const CAP_ROUTE_REFRESH = 2;
export const CAP_EXTENDED_NEXT_HOP = 5;
export const CAP_EXTENDED_MESSAGE = 6;
export const CAP_GRACEFUL_RESTART = 64;
export const CAP_FOUR_OCTET_AS = 65;
export const CAP_ADD_PATH = 69;
export const CAP_ENHANCED_ROUTE_REFRESH = 70;
export const CAP_FQDN = 73;

/** Subtypes of ROUTE-REFRESH: RFC 7313 section 3.2. */
export const REFRESH_REQUEST = 0;
export const REFRESH_BEGIN = 1;
export const REFRESH_END = 2;
