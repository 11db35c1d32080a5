/**
 * What bgpd of FRR 8.4 of Debian sent; see README.md.
 */

import { fromHex } from '#bgp/wire/bytes.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { Vector } from '../vector.ts';

export const VECTORS: readonly Vector[] = [
  {
    session: 'as4',
    hex: `
      008c0104fde800b40a6300016f02060104000100010206010400020001020280000202020002024600020641040000fd
      e802020600020a45080001010100020101021949170a6672722d726f757465720b6578616d706c652e6e6574020c400a
      c07800010100000201000210470e0001018000000000020180000000`,
    exact: false,
    open: {
      asn: 65000,
      holdTime: 180,
      identifier: 174260225,
      capabilities: [
        { kind: 'multiprotocol', family: IPV4_UNICAST },
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'unknown', code: 128, value: fromHex('') },
        { kind: 'route-refresh' },
        { kind: 'enhanced-route-refresh' },
        { kind: 'four-octet-as', asn: 65000 },
        { kind: 'extended-message' },
        {
          kind: 'add-path',
          families: [
            { family: IPV4_UNICAST, receive: true, send: false },
            { family: IPV6_UNICAST, receive: true, send: false },
          ],
        },
        { kind: 'fqdn', host: 'frr-router', domain: 'example.net' },
        {
          kind: 'graceful-restart',
          restarting: true,
          notification: true,
          restartTime: 120,
          families: [
            { family: IPV4_UNICAST, forwarding: false },
            { family: IPV6_UNICAST, forwarding: false },
          ],
        },
        { kind: 'unknown', code: 71, value: fromHex('0001018000000000020180000000') },
      ],
    },
  },
  {
    session: 'rich',
    hex: `
      008c0104fde800b40a6300016f02060104000100010206010400020001020280000202020002024600020641040000fd
      e802020600020a45080001010300020103021949170a6672722d726f757465720b6578616d706c652e6e6574020c400a
      c07800010100000201000210470e0001018000000000020180000000`,
    exact: false,
    open: {
      asn: 65000,
      holdTime: 180,
      identifier: 174260225,
      capabilities: [
        { kind: 'multiprotocol', family: IPV4_UNICAST },
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'unknown', code: 128, value: fromHex('') },
        { kind: 'route-refresh' },
        { kind: 'enhanced-route-refresh' },
        { kind: 'four-octet-as', asn: 65000 },
        { kind: 'extended-message' },
        {
          kind: 'add-path',
          families: [
            { family: IPV4_UNICAST, receive: true, send: true },
            { family: IPV6_UNICAST, receive: true, send: true },
          ],
        },
        { kind: 'fqdn', host: 'frr-router', domain: 'example.net' },
        {
          kind: 'graceful-restart',
          restarting: true,
          notification: true,
          restartTime: 120,
          families: [
            { family: IPV4_UNICAST, forwarding: false },
            { family: IPV6_UNICAST, forwarding: false },
          ],
        },
        { kind: 'unknown', code: 71, value: fromHex('0001018000000000020180000000') },
      ],
    },
  },
  {
    session: 'as4',
    hex: `
      00310200000015400101005002000602010000fde84003040a6300011ac0000200`,
    exact: false,
    update: {
      announce: ['192.0.2.0/26'],
      attributes: { origin: 'igp', path: '65000', nextHop: '10.99.0.1' },
    },
  },
  {
    session: 'as2',
    hex: `
      002f020000001340010100500200040201fde84003040a6300011ac0000200`,
    exact: false,
    update: {
      announce: ['192.0.2.0/26'],
      attributes: { origin: 'igp', path: '65000', nextHop: '10.99.0.1' },
    },
  },
  {
    session: 'ibgp',
    hex: `
      0047020000002b40010100500200004003040a63000680040400000005400504000000fa8009040a630006800a040909
      09091ac0000200`,
    exact: false,
    update: {
      announce: ['192.0.2.0/26'],
      attributes: {
        origin: 'igp',
        path: '',
        nextHop: '10.99.0.6',
        med: 5,
        localPref: 250,
        originator: '10.99.0.6',
        clusters: '9.9.9.9',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      00c402000000ad900e002500020110fd990000000000000000000000000002003020010db800014020010db800020003
      40010101500200180203fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea158004040000004d400504000000644006
      00c00708fa56ea0bc0000209c00810fde80001fde80002ffff029affffff01c02018fa56ea020000000100000002fa56
      ea020000000300000004c010100002fde8000000640202fa56ea020007e0630401020304`,
    exact: false,
    update: {
      announce: ['2001:db8:1::/48', '2001:db8:2:3::/64'],
      attributes: {
        origin: 'egp',
        path: '4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: 'fd99::2',
        med: 77,
        localPref: 100,
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole no-export',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      009b020000008140010101500200180203fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea154003040a6300018004
      040000000040050400000064c007080000fde80a630001c00810fde80001fde80002ffff029affffff01c02018fa56ea
      020000000100000002fa56ea020000000300000004c010100002fde8000000640202fa56ea02000710c633`,
    exact: false,
    update: {
      announce: ['198.51.0.0/16'],
      attributes: {
        origin: 'egp',
        path: '4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '10.99.0.1',
        med: 0,
        localPref: 100,
        aggregator: '65000 10.99.0.1',
        communities: '65000:1 65000:2 blackhole no-export',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      00ab020000008b40010101500200180203fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea154003040a6300028004
      040000004d40050400000064400600c00708fa56ea0bc0000209c00810fde80001fde80002ffff029affffff01c02018
      fa56ea020000000100000002fa56ea020000000300000004c010100002fde8000000640202fa56ea020007e063040102
      030418c6336419cb007180`,
    exact: false,
    update: {
      announce: ['198.51.100.0/24', '203.0.113.128/25'],
      attributes: {
        origin: 'egp',
        path: '4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '10.99.0.2',
        med: 77,
        localPref: 100,
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole no-export',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'rich',
    hex: `
      00350200000015400101005002000602010000fde84003040a630001000000051ac0000200`,
    exact: false,
    update: {
      announce: ['192.0.2.0/26 #5'],
      attributes: { origin: 'igp', path: '65000', nextHop: '10.99.0.1' },
    },
  },
  {
    session: 'rich',
    hex: `
      001d0200000006800f03000201`,
    exact: true,
    update: { endOfRib: 'ipv6-unicast' },
  },
  {
    session: 'rich',
    hex: `
      00170200000000`,
    exact: true,
    update: { endOfRib: 'ipv4-unicast' },
  },
  {
    session: 'rich',
    hex: `
      007e0200000041400101005002000a02020000fde8fa56ea7b4003040a6300018004040000002ac00804fde80064c020
      0c0000fde80000000100000002c010080002fde80000006400000006000000000a200a09090900000009190a02048000
      000008180a020300000007100a01`,
    exact: false,
    update: {
      announce: ['0.0.0.0/0 #6', '10.9.9.9/32 #10', '10.2.4.128/25 #9', '10.2.3.0/24 #8', '10.1.0.0/16 #7'],
      attributes: {
        origin: 'igp',
        path: '65000 4200000123',
        nextHop: '10.99.0.1',
        med: 42,
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      0075020000005e900e003a0002011000000000000000000000ffff0a630001000000000400000000068020010db8000b
      00000000000000000001000000053020010db8000a400101005002000602010000fde88004040000002bc00808fde800
      65ffff0000`,
    exact: false,
    update: {
      announce: ['::/0 #4', '2001:db8:b::1/128 #6', '2001:db8:a::/48 #5'],
      attributes: {
        origin: 'igp',
        path: '65000',
        nextHop: '::ffff:10.99.0.1',
        med: 43,
        communities: '65000:101 graceful-shutdown',
      },
    },
  },
  {
    session: 'as4',
    hex: `
      006a0200000041400101005002000a02020000fde8fa56ea7b4003040a6300018004040000002ac00804fde80064c020
      0c0000fde80000000100000002c010080002fde80000006400200a090909190a020480180a0203100a01`,
    exact: false,
    update: {
      announce: ['0.0.0.0/0', '10.9.9.9/32', '10.2.4.128/25', '10.2.3.0/24', '10.1.0.0/16'],
      attributes: {
        origin: 'igp',
        path: '65000 4200000123',
        nextHop: '10.99.0.1',
        med: 42,
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
      },
    },
  },
  {
    session: 'as4',
    hex: `
      00690200000052900e002e0002011000000000000000000000ffff0a63000100008020010db8000b0000000000000000
      00013020010db8000a400101005002000602010000fde88004040000002bc00808fde80065ffff0000`,
    exact: false,
    update: {
      announce: ['::/0', '2001:db8:b::1/128', '2001:db8:a::/48'],
      attributes: {
        origin: 'igp',
        path: '65000',
        nextHop: '::ffff:10.99.0.1',
        med: 43,
        communities: '65000:101 graceful-shutdown',
      },
    },
  },
  {
    session: 'as2',
    hex: `
      0074020000004b40010100500200060202fde85ba04003040a6300018004040000002ac00804fde80064c0200c0000fd
      e80000000100000002c010080002fde800000064d011000a02020000fde8fa56ea7b00200a090909190a020480180a02
      03100a01`,
    exact: false,
    update: {
      announce: ['0.0.0.0/0', '10.9.9.9/32', '10.2.4.128/25', '10.2.3.0/24', '10.1.0.0/16'],
      attributes: {
        origin: 'igp',
        path: '65000 4200000123',
        nextHop: '10.99.0.1',
        med: 42,
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
      },
    },
  },
  {
    session: 'as2',
    hex: `
      00670200000050900e002e0002011000000000000000000000ffff0a63000100008020010db8000b0000000000000000
      00013020010db8000a40010100500200040201fde88004040000002bc00808fde80065ffff0000`,
    exact: false,
    update: {
      announce: ['::/0', '2001:db8:b::1/128', '2001:db8:a::/48'],
      attributes: {
        origin: 'igp',
        path: '65000',
        nextHop: '::ffff:10.99.0.1',
        med: 43,
        communities: '65000:101 graceful-shutdown',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      006d020000004440010100500200060201fa56ea7b4003040a6300018004040000002a40050400000064c00804fde800
      64c0200c0000fde80000000100000002c010080002fde80000006400200a090909190a020480180a0203100a01`,
    exact: false,
    update: {
      announce: ['0.0.0.0/0', '10.9.9.9/32', '10.2.4.128/25', '10.2.3.0/24', '10.1.0.0/16'],
      attributes: {
        origin: 'igp',
        path: '4200000123',
        nextHop: '10.99.0.1',
        med: 42,
        localPref: 100,
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      006a0200000053900e002e0002011000000000000000000000ffff0a63000100008020010db8000b0000000000000000
      00013020010db8000a40010100500200008004040000002b40050400000064c00808fde80065ffff0000`,
    exact: false,
    update: {
      announce: ['::/0', '2001:db8:b::1/128', '2001:db8:a::/48'],
      attributes: {
        origin: 'igp',
        path: '',
        nextHop: '::ffff:10.99.0.1',
        med: 43,
        localPref: 100,
        communities: '65000:101 graceful-shutdown',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      00170500010101`,
    exact: true,
    refresh: { family: IPV4_UNICAST, subtype: 1 },
  },
  {
    session: 'rich',
    hex: `
      00170500020101`,
    exact: true,
    refresh: { family: IPV6_UNICAST, subtype: 1 },
  },
  {
    session: 'rich',
    hex: `
      00170500020201`,
    exact: true,
    refresh: { family: IPV6_UNICAST, subtype: 2 },
  },
  {
    session: 'rich',
    hex: `
      00170500010201`,
    exact: true,
    refresh: { family: IPV4_UNICAST, subtype: 2 },
  },
  {
    session: 'as4',
    hex: `
      0026030602106d6f76696e6720746f207261636b2037`,
    exact: true,
    notification: { code: 6, subcode: 2, data: fromHex('106d6f76696e6720746f207261636b2037') },
  },
  {
    session: 'as2',
    hex: `
      0015030604`,
    exact: true,
    notification: { code: 6, subcode: 4, data: fromHex('') },
  },
  {
    session: 'ibgp',
    hex: `
      002302000c10c63318c6336419cb0071800000`,
    exact: true,
    update: { withdraw: ['198.51.0.0/16', '198.51.100.0/24', '203.0.113.128/25'] },
  },
  {
    session: 'ibgp',
    hex: `
      002e0200000017900f00130002013020010db800014020010db800020003`,
    exact: true,
    update: { withdraw: ['2001:db8:1::/48', '2001:db8:2:3::/64'] },
  },
  {
    session: 'v6',
    hex: `
      00920104fde800b40a630001ffff00720200060104000100010200080506000100010002020006010400020001020002
      80000200020200020002460002000641040000fde8020002060002000a4508000101010002010102000e490c0a667272
      2d726f75746572000200044002c078020010470e0001018000000000020180000000`,
    exact: false,
    open: {
      asn: 65000,
      holdTime: 180,
      identifier: 174260225,
      capabilities: [
        { kind: 'multiprotocol', family: IPV4_UNICAST },
        { kind: 'extended-next-hop', entries: [{ family: IPV4_UNICAST, nextHopAfi: 2 }] },
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'unknown', code: 128, value: fromHex('') },
        { kind: 'route-refresh' },
        { kind: 'enhanced-route-refresh' },
        { kind: 'four-octet-as', asn: 65000 },
        { kind: 'extended-message' },
        {
          kind: 'add-path',
          families: [
            { family: IPV4_UNICAST, receive: true, send: false },
            { family: IPV6_UNICAST, receive: true, send: false },
          ],
        },
        { kind: 'fqdn', host: 'frr-router', domain: '' },
        { kind: 'graceful-restart', restarting: true, notification: true, restartTime: 120, families: [] },
        { kind: 'unknown', code: 71, value: fromHex('0001018000000000020180000000') },
      ],
    },
  },
  {
    session: 'v6',
    hex: `
      004d0200000036900e001d00010110fd99000000000000000000000000000100100a01190a0204804001010050020006
      02010000fde880040400000000`,
    exact: false,
    update: {
      announce: ['10.1.0.0/16', '10.2.4.128/25'],
      attributes: { origin: 'igp', path: '65000', nextHop: 'fd99::1', med: 0 },
    },
  },
  {
    session: 'v6',
    hex: `
      004c0200000035900e001c00020110fd990000000000000000000000000001003020010db8000a400101005002000602
      010000fde880040400000000`,
    exact: false,
    update: {
      announce: ['2001:db8:a::/48'],
      attributes: { origin: 'igp', path: '65000', nextHop: 'fd99::1', med: 0 },
    },
  },
];
