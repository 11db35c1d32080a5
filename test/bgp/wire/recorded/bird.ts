/**
 * What bird 2.0.12 of Debian sent; see README.md.
 */

import { fromHex } from '#bgp/wire/bytes.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { Vector } from '../vector.ts';

export const VECTORS: readonly Vector[] = [
  {
    session: 'as4',
    hex: `
      00530104fde800f00a63000136023401040001000101040002000102000600400a0078000101000002010041040000fd
      e84600470e00010100000e1000020100000e10`,
    exact: true,
    open: {
      asn: 65000,
      holdTime: 240,
      identifier: 174260225,
      capabilities: [
        { kind: 'multiprotocol', family: IPV4_UNICAST },
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'route-refresh' },
        { kind: 'extended-message' },
        {
          kind: 'graceful-restart',
          restarting: false,
          notification: false,
          restartTime: 120,
          families: [
            { family: IPV4_UNICAST, forwarding: false },
            { family: IPV6_UNICAST, forwarding: false },
          ],
        },
        { kind: 'four-octet-as', asn: 65000 },
        { kind: 'enhanced-route-refresh' },
        { kind: 'unknown', code: 71, value: fromHex('00010100000e1000020100000e10') },
      ],
    },
  },
  {
    session: 'rich',
    hex: `
      00650104fde800f00a630001480246010400010001010400020001020005060001000100020600400a00780001010000
      02010041040000fde8450800010102000201024600470e00010100000e1000020100000e10`,
    exact: true,
    open: {
      asn: 65000,
      holdTime: 240,
      identifier: 174260225,
      capabilities: [
        { kind: 'multiprotocol', family: IPV4_UNICAST },
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'route-refresh' },
        { kind: 'extended-next-hop', entries: [{ family: IPV4_UNICAST, nextHopAfi: 2 }] },
        { kind: 'extended-message' },
        {
          kind: 'graceful-restart',
          restarting: false,
          notification: false,
          restartTime: 120,
          families: [
            { family: IPV4_UNICAST, forwarding: false },
            { family: IPV6_UNICAST, forwarding: false },
          ],
        },
        { kind: 'four-octet-as', asn: 65000 },
        {
          kind: 'add-path',
          families: [
            { family: IPV4_UNICAST, receive: false, send: true },
            { family: IPV6_UNICAST, receive: false, send: true },
          ],
        },
        { kind: 'enhanced-route-refresh' },
        { kind: 'unknown', code: 71, value: fromHex('00010100000e1000020100000e10') },
      ],
    },
  },
  {
    session: 'as4',
    hex: `
      006202000000394001010040020a02020000fde8fa56ea7b4003040a630001c00804fde80064c010080002fde8000000
      64c0200c0000fde8000000010000000200200a090909190a020480100a01180a0203`,
    exact: true,
    update: {
      announce: ['0.0.0.0/0', '10.9.9.9/32', '10.2.4.128/25', '10.1.0.0/16', '10.2.3.0/24'],
      attributes: {
        origin: 'igp',
        path: '65000 4200000123',
        nextHop: '10.99.0.1',
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
      },
    },
  },
  {
    session: 'as4',
    hex: `
      00170200000000`,
    exact: true,
    update: { endOfRib: 'ipv4-unicast' },
  },
  {
    session: 'as2',
    hex: `
      006b0200000042400101004002060202fde85ba04003040a630001c00804fde80064c010080002fde800000064c0110a
      02020000fde8fa56ea7bc0200c0000fde8000000010000000200200a090909190a020480100a01180a0203`,
    exact: true,
    update: {
      announce: ['0.0.0.0/0', '10.9.9.9/32', '10.2.4.128/25', '10.1.0.0/16', '10.2.3.0/24'],
      attributes: {
        origin: 'igp',
        path: '65000 4200000123',
        nextHop: '10.99.0.1',
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      00700200000047400101004002060201fa56ea7b4003040a6300018004040000002a40050400000064c00808fde80064
      ffffff01c010080002fde800000064c0200c0000fde8000000010000000200200a090909190a020480100a01180a0203`,
    exact: true,
    update: {
      announce: ['0.0.0.0/0', '10.9.9.9/32', '10.2.4.128/25', '10.1.0.0/16', '10.2.3.0/24'],
      attributes: {
        origin: 'igp',
        path: '4200000123',
        nextHop: '10.99.0.1',
        med: 42,
        localPref: 100,
        communities: '65000:100 no-export',
        extended: 'rt:65000:100',
        large: '65000:1:2',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      007c0200000065900e002f000101040a63000100000000020000000002200a09090900000002190a0204800000000210
      0a0100000002180a02034001010040020a02020000fde8fa56ea7bc00804fde80064c010080002fde800000064c0200c
      0000fde80000000100000002`,
    exact: false,
    update: {
      announce: ['0.0.0.0/0 #2', '10.9.9.9/32 #2', '10.2.4.128/25 #2', '10.1.0.0/16 #2', '10.2.3.0/24 #2'],
      attributes: {
        origin: 'igp',
        path: '65000 4200000123',
        nextHop: '10.99.0.1',
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      00aa0200000093900e001a000101040a630001000000000418c633640000000419cb0071804001010140021c02040000
      fde8fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea15400600c00708fa56ea0bc0000209c0080cfde80001fde800
      02ffff029ac010100002fde8000000640202fa56ea020007c02018fa56ea020000000100000002fa56ea020000000300
      000004e0630401020304`,
    exact: false,
    update: {
      announce: ['198.51.100.0/24 #4', '203.0.113.128/25 #4'],
      attributes: {
        origin: 'egp',
        path: '65000 4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '10.99.0.1',
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'rich',
    hex: `
      00790200000062900e004a00020120fd990000000000000000000000000001fe80000000000000e85a4ffffe641a8e00
      0000000300000000033020010db8000a000000038020010db8000b000000000000000000014001010040020602010000
      fde8c00804fde80065`,
    exact: true,
    update: {
      announce: ['::/0 #3', '2001:db8:a::/48 #3', '2001:db8:b::1/128 #3'],
      attributes: {
        origin: 'igp',
        path: '65000',
        nextHop: 'fd99::1 fe80::e85a:4fff:fe64:1a8e',
        communities: '65000:101',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      00cd02000000b6900e003d00020120fd990000000000000000000000000001fe80000000000000e85a4ffffe641a8e00
      000000043020010db80001000000044020010db8000200034001010140021c02040000fde8fa56ea020000fdf2fa56ea
      0b01020000fdfcfa56ea15400600c00708fa56ea0bc0000209c0080cfde80001fde80002ffff029ac010100002fde800
      0000640202fa56ea020007c02018fa56ea020000000100000002fa56ea020000000300000004e0630401020304`,
    exact: true,
    update: {
      announce: ['2001:db8:1::/48 #4', '2001:db8:2:3::/64 #4'],
      attributes: {
        origin: 'egp',
        path: '65000 4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: 'fd99::1 fe80::e85a:4fff:fe64:1a8e',
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        unknown: ['99 e0 01020304'],
      },
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
    session: 'ibgp',
    hex: `
      00a60200000086400101014002180203fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea154003040a630001800404
      0000004d40050400000064400600c00708fa56ea0bc0000209c0080cfde80001fde80002ffff029ac010100002fde800
      0000640202fa56ea020007c02018fa56ea020000000100000002fa56ea020000000300000004e063040102030418c633
      6419cb007180`,
    exact: true,
    update: {
      announce: ['198.51.100.0/24', '203.0.113.128/25'],
      attributes: {
        origin: 'egp',
        path: '4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '10.99.0.1',
        med: 77,
        localPref: 100,
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      0065020000004e900e002e00020110fd99000000000000000000000000000100003020010db8000a8020010db8000b00
      000000000000000001400101004002008004040000002b40050400000064c00804fde80065`,
    exact: true,
    update: {
      announce: ['::/0', '2001:db8:a::/48', '2001:db8:b::1/128'],
      attributes: {
        origin: 'igp',
        path: '',
        nextHop: 'fd99::1',
        med: 43,
        localPref: 100,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      00bf02000000a8900e002500020110fd990000000000000000000000000001003020010db800014020010db800020003
      400101014002180203fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea158004040000004d40050400000064400600
      c00708fa56ea0bc0000209c0080cfde80001fde80002ffff029ac010100002fde8000000640202fa56ea020007c02018
      fa56ea020000000100000002fa56ea020000000300000004e0630401020304`,
    exact: true,
    update: {
      announce: ['2001:db8:1::/48', '2001:db8:2:3::/64'],
      attributes: {
        origin: 'egp',
        path: '4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: 'fd99::1',
        med: 77,
        localPref: 100,
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      0046020000002a400101004002004003040a63000180040400000005400504000000fa8009040a630006800a04090909
      091ac0000200`,
    exact: true,
    update: {
      announce: ['192.0.2.0/26'],
      attributes: {
        origin: 'igp',
        path: '',
        nextHop: '10.99.0.1',
        med: 5,
        localPref: 250,
        originator: '10.99.0.6',
        clusters: '9.9.9.9',
      },
    },
  },
  {
    session: 'as2',
    hex: `
      00b80200000098400101014002100204fde85ba0fdf25ba00102fdfc5ba04003040a630001400600c007065ba0c00002
      09c0080cfde80001fde80002ffff029ac010100002fde8000000640202fa56ea020007c0111c02040000fde8fa56ea02
      0000fdf2fa56ea0b01020000fdfcfa56ea15c01208fa56ea0bc0000209c02018fa56ea020000000100000002fa56ea02
      0000000300000004e063040102030418c6336419cb007180`,
    exact: true,
    update: {
      announce: ['198.51.100.0/24', '203.0.113.128/25'],
      attributes: {
        origin: 'egp',
        path: '65000 4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '10.99.0.1',
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'as2',
    hex: `
      006b0200000054900e003e00020120fd990000000000000000000000000001fe80000000000000e85a4ffffe641a8e00
      003020010db8000a8020010db8000b00000000000000000001400101004002040201fde8c00804fde80065`,
    exact: true,
    update: {
      announce: ['::/0', '2001:db8:a::/48', '2001:db8:b::1/128'],
      attributes: {
        origin: 'igp',
        path: '65000',
        nextHop: 'fd99::1 fe80::e85a:4fff:fe64:1a8e',
        communities: '65000:101',
      },
    },
  },
  {
    session: 'as2',
    hex: `
      00e102000000ca900e003500020120fd990000000000000000000000000001fe80000000000000e85a4ffffe641a8e00
      3020010db800014020010db800020003400101014002100204fde85ba0fdf25ba00102fdfc5ba0400600c007065ba0c0
      000209c0080cfde80001fde80002ffff029ac010100002fde8000000640202fa56ea020007c0111c02040000fde8fa56
      ea020000fdf2fa56ea0b01020000fdfcfa56ea15c01208fa56ea0bc0000209c02018fa56ea020000000100000002fa56
      ea020000000300000004e0630401020304`,
    exact: true,
    update: {
      announce: ['2001:db8:1::/48', '2001:db8:2:3::/64'],
      attributes: {
        origin: 'egp',
        path: '65000 4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: 'fd99::1 fe80::e85a:4fff:fe64:1a8e',
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'as2',
    hex: `
      002e0200000012400101004002040201fde84003040a6300011ac0000200`,
    exact: true,
    update: {
      announce: ['192.0.2.0/26'],
      attributes: { origin: 'igp', path: '65000', nextHop: '10.99.0.1' },
    },
  },
  {
    session: 'as4',
    hex: `
      006d0200000056900e003e00020120fd990000000000000000000000000001fe80000000000000e85a4ffffe641a8e00
      003020010db8000a8020010db8000b000000000000000000014001010040020602010000fde8c00804fde80065`,
    exact: true,
    update: {
      announce: ['::/0', '2001:db8:a::/48', '2001:db8:b::1/128'],
      attributes: {
        origin: 'igp',
        path: '65000',
        nextHop: 'fd99::1 fe80::e85a:4fff:fe64:1a8e',
        communities: '65000:101',
      },
    },
  },
  {
    session: 'as4',
    hex: `
      003002000000144001010040020602010000fde84003040a6300011ac0000200`,
    exact: true,
    update: {
      announce: ['192.0.2.0/26'],
      attributes: { origin: 'igp', path: '65000', nextHop: '10.99.0.1' },
    },
  },
  {
    session: 'rich',
    hex: `
      003a0200000023900e0012000101040a63000100000000081ac00002004001010040020602010000fde8`,
    exact: false,
    update: {
      announce: ['192.0.2.0/26 #8'],
      attributes: { origin: 'igp', path: '65000', nextHop: '10.99.0.1' },
    },
  },
  {
    session: 'as4',
    hex: `
      00170500010101`,
    exact: true,
    refresh: { family: IPV4_UNICAST, subtype: 1 },
  },
  {
    session: 'ibgp',
    hex: `
      00170500010201`,
    exact: true,
    refresh: { family: IPV4_UNICAST, subtype: 2 },
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
    session: 'as4',
    hex: `
      0026030602106d6f76696e6720746f207261636b2037`,
    exact: true,
    notification: { code: 6, subcode: 2, data: fromHex('106d6f76696e6720746f207261636b2037') },
  },
  {
    session: 'as2',
    hex: `
      002002000918c6336419cb0071800000`,
    exact: true,
    update: { withdraw: ['198.51.100.0/24', '203.0.113.128/25'] },
  },
  {
    session: 'as2',
    hex: `
      002e0200000017900f00130002013020010db800014020010db800020003`,
    exact: true,
    update: { withdraw: ['2001:db8:1::/48', '2001:db8:2:3::/64'] },
  },
  {
    session: 'rich',
    hex: `
      002f0200000018900f00140001010000000418c633640000000419cb007180`,
    exact: false,
    update: { withdraw: ['198.51.100.0/24 #4', '203.0.113.128/25 #4'] },
  },
  {
    session: 'rich',
    hex: `
      0036020000001f900f001b000201000000043020010db80001000000044020010db800020003`,
    exact: true,
    update: { withdraw: ['2001:db8:1::/48 #4', '2001:db8:2:3::/64 #4'] },
  },
  {
    session: 'as2',
    hex: `
      0015030604`,
    exact: true,
    notification: { code: 6, subcode: 4, data: fromHex('') },
  },
  {
    session: 'v6',
    hex: `
      00430104fde800f00a630001260224010400010001010400020001020005060001000100024002007841040000fde846
      004700`,
    exact: true,
    open: {
      asn: 65000,
      holdTime: 240,
      identifier: 174260225,
      capabilities: [
        { kind: 'multiprotocol', family: IPV4_UNICAST },
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'route-refresh' },
        { kind: 'extended-next-hop', entries: [{ family: IPV4_UNICAST, nextHopAfi: 2 }] },
        { kind: 'graceful-restart', restarting: false, notification: false, restartTime: 120, families: [] },
        { kind: 'four-octet-as', asn: 65000 },
        { kind: 'enhanced-route-refresh' },
        { kind: 'unknown', code: 71, value: fromHex('') },
      ],
    },
  },
  {
    session: 'v6',
    hex: `
      0055020000003e900e002d00010120fd990000000000000000000000000001fe80000000000000e85a4ffffe641a8e00
      190a020480100a014001010040020602010000fde8`,
    exact: true,
    update: {
      announce: ['10.2.4.128/25', '10.1.0.0/16'],
      attributes: { origin: 'igp', path: '65000', nextHop: 'fd99::1 fe80::e85a:4fff:fe64:1a8e' },
    },
  },
  {
    session: 'v6',
    hex: `
      0054020000003d900e002c00020120fd990000000000000000000000000001fe80000000000000e85a4ffffe641a8e00
      3020010db8000a4001010040020602010000fde8`,
    exact: true,
    update: {
      announce: ['2001:db8:a::/48'],
      attributes: { origin: 'igp', path: '65000', nextHop: 'fd99::1 fe80::e85a:4fff:fe64:1a8e' },
    },
  },
];
