/**
 * Each kind of message, written after the RFCs.
 */

import { fromHex } from '#bgp/wire/bytes.ts';
import {
  IPV4_UNICAST,
  IPV6_UNICAST,
  REFRESH_BEGIN,
  REFRESH_END,
  REFRESH_REQUEST,
} from '#bgp/wire/constants.ts';
import type { Vector } from '../vector.ts';

export const VECTORS: readonly Vector[] = [
  {
    name: 'KEEPALIVE',
    hex: `
      0013 04`,
    exact: true,
    keepalive: true,
  },
  {
    name: 'UPDATE that announces IPv4 prefixes of every number of octets',
    hex: `
      003a 02
      0000
      0014
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      00
      08 0a
      0d 0a08
      18 0a0102
      20 c0000201`,
    exact: true,
    update: {
      announce: ['0.0.0.0/0', '10.0.0.0/8', '10.8.0.0/13', '10.1.2.0/24', '192.0.2.1/32'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'UPDATE with bits set behind the length of its prefixes, which mean nothing',
    hex: `
      0033 02
      0000
      0014
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      0d 0aff
      19 c00002ff`,
    exact: false,
    update: {
      announce: ['10.248.0.0/13', '192.0.2.128/25'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'UPDATE that withdraws IPv4 prefixes',
    hex: `
      001e 02
      0007
      08 0a
      20 c0000201
      0000`,
    exact: true,
    update: { withdraw: ['10.0.0.0/8', '192.0.2.1/32'] },
  },
  {
    name: 'UPDATE with path identifiers',
    session: 'rich',
    hex: `
      0036 02
      0000
      0014
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      00000001 08 0a
      ffffffff 00`,
    exact: true,
    update: {
      announce: ['10.0.0.0/8 #1', '0.0.0.0/0 #4294967295'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'UPDATE that withdraws with path identifiers',
    session: 'rich',
    hex: `
      001d 02
      0006
      00000001 08 0a
      0000`,
    exact: true,
    update: { withdraw: ['10.0.0.0/8 #1'] },
  },
  {
    name: 'UPDATE with IPv6 prefixes of many lengths',
    hex: `
      0071 02
      0000
      005a
      90 0e 0049
      0002 01 10 20010db8 00000000 00000000 00000001
      00 01 80 20 20010db8 23 20010db8e0 3d 20010db800000008 5f 20010db80000000000000002 80 20010db8 00000000 00000000 00000001
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: true,
    update: {
      announce: [
        '8000::/1',
        '2001:db8::/32',
        '2001:db8:e000::/35',
        '2001:db8:0:8::/61',
        '2001:db8::2:0:0/95',
        '2001:db8::1/128',
      ],
      attributes: { origin: 'igp', path: '65001', nextHop: '2001:db8::1' },
    },
  },
  {
    name: 'End-of-RIB for IPv4 unicast',
    hex: `
      0017 02
      0000
      0000`,
    exact: true,
    update: { endOfRib: 'ipv4-unicast' },
  },
  {
    name: 'End-of-RIB for IPv6 unicast',
    hex: `
      001d 02
      0000
      0006
      80 0f 03 0002 01`,
    exact: true,
    update: { endOfRib: 'ipv6-unicast' },
  },
  {
    name: 'End-of-RIB for IPv4 unicast in MP_UNREACH_NLRI',
    hex: `
      001d 02
      0000
      0006
      80 0f 03 0001 01`,
    exact: false,
    update: { endOfRib: 'ipv4-unicast' },
  },
  {
    name: 'ROUTE-REFRESH',
    hex: `
      0017 05
      0001 00 01`,
    exact: true,
    refresh: { family: IPV4_UNICAST, subtype: REFRESH_REQUEST },
  },
  {
    name: 'ROUTE-REFRESH that begins a repetition',
    hex: `
      0017 05
      0002 01 01`,
    exact: true,
    refresh: { family: IPV6_UNICAST, subtype: REFRESH_BEGIN },
  },
  {
    name: 'ROUTE-REFRESH that ends it',
    hex: `
      0017 05
      0002 02 01`,
    exact: true,
    refresh: { family: IPV6_UNICAST, subtype: REFRESH_END },
  },
  {
    name: 'NOTIFICATION: bad message length, with the length',
    hex: `
      0017 03
      01 02
      1001`,
    exact: true,
    notification: { code: 1, subcode: 2, data: fromHex('1001') },
  },
  {
    name: 'NOTIFICATION: unsupported version, with the version that is',
    hex: `
      0017 03
      02 01
      0004`,
    exact: true,
    notification: { code: 2, subcode: 1, data: fromHex('0004') },
  },
  {
    name: 'NOTIFICATION: hold timer expired',
    hex: `
      0015 03
      04 00`,
    exact: true,
    notification: { code: 4, subcode: 0, data: fromHex('') },
  },
  {
    name: 'NOTIFICATION: administrative shutdown with a message',
    hex: `
      001b 03
      06 02
      05 68656c6c6f`,
    exact: true,
    notification: { code: 6, subcode: 2, data: fromHex('0568656c6c6f') },
  },
  {
    name: 'NOTIFICATION: hard reset around an administrative reset',
    hex: `
      0017 03
      06 09
      06 04`,
    exact: true,
    notification: { code: 6, subcode: 9, data: fromHex('0604') },
  },
  {
    name: 'NOTIFICATION: unrecognized well-known attribute, with the attribute',
    hex: `
      0019 03
      03 02
      40 63 01 00`,
    exact: true,
    notification: { code: 3, subcode: 2, data: fromHex('40630100') },
  },
  {
    name: 'NOTIFICATION: send hold timer expired',
    hex: `
      0015 03
      08 00`,
    exact: true,
    notification: { code: 8, subcode: 0, data: fromHex('') },
  },
  {
    name: 'OPEN without optional parameters',
    hex: `
      001d 01
      04 fde9 00b4 0a000001 00`,
    exact: true,
    open: { asn: 65001, holdTime: 180, identifier: 0x0a000001, capabilities: [] },
  },
  {
    name: 'OPEN of a four-octet AS',
    hex: `
      0025 01
      04 5ba0 0000 0a000001 08
      02 06 41 04 fa56ea01`,
    exact: true,
    open: {
      asn: 4200000001,
      holdTime: 0,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'four-octet-as', asn: 4200000001 }],
    },
  },
  {
    name: 'OPEN with a parameter for each capability',
    hex: `
      002b 01
      04 fde9 005a 0a000001 0e
      02 06 01 04 0001 00 01
      02 02 02 00
      02 00`,
    exact: false,
    open: {
      asn: 65001,
      holdTime: 90,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'multiprotocol', family: IPV4_UNICAST }, { kind: 'route-refresh' }],
    },
  },
  {
    name: 'OPEN with extended optional parameters that would have fitted',
    hex: `
      0025 01
      04 fde9 005a 0a000001 ff ff 0005
      02 0002 02 00`,
    exact: false,
    open: { asn: 65001, holdTime: 90, identifier: 0x0a000001, capabilities: [{ kind: 'route-refresh' }] },
  },
  {
    name: 'OPEN with extended optional parameters and another short length',
    hex: `
      0025 01
      04 fde9 005a 0a000001 08 ff 0005
      02 0002 02 00`,
    exact: false,
    open: { asn: 65001, holdTime: 90, identifier: 0x0a000001, capabilities: [{ kind: 'route-refresh' }] },
  },
  {
    name: 'OPEN with more capabilities than 255 bytes hold',
    hex: `
      0121 01
      04 fde9 005a 0a000001 ff ff 0101
      02 00fe
      02 00
      c8 fa
      abababababababababababababababababababababababababababababababababababababababab
      abababababababababababababababababababababababababababababababababababababababab
      abababababababababababababababababababababababababababababababababababababababab
      abababababababababababababababababababababababababababababababababababababababab
      abababababababababababababababababababababababababababababababababababababababab
      abababababababababababababababababababababababababababababababababababababababab
      abababababababababab`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 90,
      identifier: 0x0a000001,
      capabilities: [
        { kind: 'route-refresh' },
        { kind: 'unknown', code: 200, value: new Uint8Array(250).fill(0xab) },
      ],
    },
  },
];
