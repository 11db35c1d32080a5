/**
 * What gobgpd 3.10 of Debian sent; see README.md.
 */

import { fromHex } from '#bgp/wire/bytes.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { Vector } from '../vector.ts';

export const VECTORS: readonly Vector[] = [
  {
    session: 'as4',
    hex: `
      004f0104fde8005a0a6300013202300200490402766d0001040001000101040002000141040000fde8400a4078000101
      000002010047000506000100010002`,
    exact: true,
    open: {
      asn: 65000,
      holdTime: 90,
      identifier: 174260225,
      capabilities: [
        { kind: 'route-refresh' },
        { kind: 'fqdn', host: 'vm', domain: '' },
        { kind: 'multiprotocol', family: IPV4_UNICAST },
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'four-octet-as', asn: 65000 },
        {
          kind: 'graceful-restart',
          restarting: false,
          notification: true,
          restartTime: 120,
          families: [
            { family: IPV4_UNICAST, forwarding: false },
            { family: IPV6_UNICAST, forwarding: false },
          ],
        },
        { kind: 'unknown', code: 71, value: fromHex('') },
        { kind: 'extended-next-hop', entries: [{ family: IPV4_UNICAST, nextHopAfi: 2 }] },
      ],
    },
  },
  {
    session: 'rich',
    hex: `
      00590104fde8005a0a6300013c023a0200490402766d0001040001000101040002000141040000fde8400a4078000101
      00000201004700050600010001000245080001010300020103`,
    exact: true,
    open: {
      asn: 65000,
      holdTime: 90,
      identifier: 174260225,
      capabilities: [
        { kind: 'route-refresh' },
        { kind: 'fqdn', host: 'vm', domain: '' },
        { kind: 'multiprotocol', family: IPV4_UNICAST },
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'four-octet-as', asn: 65000 },
        {
          kind: 'graceful-restart',
          restarting: false,
          notification: true,
          restartTime: 120,
          families: [
            { family: IPV4_UNICAST, forwarding: false },
            { family: IPV6_UNICAST, forwarding: false },
          ],
        },
        { kind: 'unknown', code: 71, value: fromHex('') },
        { kind: 'extended-next-hop', entries: [{ family: IPV4_UNICAST, nextHopAfi: 2 }] },
        {
          kind: 'add-path',
          families: [
            { family: IPV4_UNICAST, receive: true, send: true },
            { family: IPV6_UNICAST, receive: true, send: true },
          ],
        },
      ],
    },
  },
  {
    session: 'as4',
    hex: `
      006902000000404001010040020a02020000fde8fa56ea7b8004040000002ac00804fde80064c010080002fde8000000
      64c0200c0000fde800000001000000024003040a630001100a01180a0203190a02048000200a090909`,
    exact: false,
    update: {
      announce: ['10.1.0.0/16', '10.2.3.0/24', '10.2.4.128/25', '0.0.0.0/0', '10.9.9.9/32'],
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
      0051020000003a4001010240020602010000fde88004040000002bc00804fde80065800e1c00020110fd990000000000
      000000000000000001003020010db8000a`,
    exact: false,
    update: {
      announce: ['2001:db8:a::/48'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'as4',
    hex: `
      004b02000000344001010240020602010000fde88004040000002bc00804fde80065800e1600020110fd990000000000
      0000000000000000010000`,
    exact: false,
    update: {
      announce: ['::/0'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'as4',
    hex: `
      005b02000000444001010240020602010000fde88004040000002bc00804fde80065800e2600020110fd990000000000
      000000000000000001008020010db8000b00000000000000000001`,
    exact: false,
    update: {
      announce: ['2001:db8:b::1/128'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'as2',
    hex: `
      00720200000049400101004002060202fde85ba08004040000002ac00804fde80064c010080002fde800000064c0200c
      0000fde800000001000000024003040a630001c0110a02020000fde8fa56ea7b100a01180a0203190a02048000200a09
      0909`,
    exact: false,
    update: {
      announce: ['10.1.0.0/16', '10.2.3.0/24', '10.2.4.128/25', '0.0.0.0/0', '10.9.9.9/32'],
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
      00b80200000098400101014002100204fde85ba0fdf25ba00102fdfc5ba04003040a630001400600c007065ba0c00002
      09c0080cfde80001fde80002ffff029ac010100002fde8000000640202fa56ea020007c02018fa56ea02000000010000
      0002fa56ea020000000300000004e0630401020304c0111c02040000fde8fa56ea020000fdf2fa56ea0b01020000fdfc
      fa56ea15c01208fa56ea0bc000020918c6336419cb007180`,
    exact: false,
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
      00590200000042400101024002040201fde88004040000002bc00804fde80065800e2600020110fd9900000000000000
      00000000000001008020010db8000b00000000000000000001`,
    exact: false,
    update: {
      announce: ['2001:db8:b::1/128'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'as2',
    hex: `
      00c702000000b0400101014002100204fde85ba0fdf25ba00102fdfc5ba0400600c007065ba0c0000209c0080cfde800
      01fde80002ffff029ac010100002fde8000000640202fa56ea020007c02018fa56ea020000000100000002fa56ea0200
      00000300000004e0630401020304800e1c0002011000000000000000000000ffff0a630001003020010db80001c0111c
      02040000fde8fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea15c01208fa56ea0bc0000209`,
    exact: false,
    update: {
      announce: ['2001:db8:1::/48'],
      attributes: {
        origin: 'egp',
        path: '65000 4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '::ffff:10.99.0.1',
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
      00c902000000b2400101014002100204fde85ba0fdf25ba00102fdfc5ba0400600c007065ba0c0000209c0080cfde800
      01fde80002ffff029ac010100002fde8000000640202fa56ea020007c02018fa56ea020000000100000002fa56ea0200
      00000300000004e0630401020304800e1e0002011000000000000000000000ffff0a630001004020010db800020003c0
      111c02040000fde8fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea15c01208fa56ea0bc0000209`,
    exact: false,
    update: {
      announce: ['2001:db8:2:3::/64'],
      attributes: {
        origin: 'egp',
        path: '65000 4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '::ffff:10.99.0.1',
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
      004f0200000038400101024002040201fde88004040000002bc00804fde80065800e1c00020110fd9900000000000000
      00000000000001003020010db8000a`,
    exact: false,
    update: {
      announce: ['2001:db8:a::/48'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'as2',
    hex: `
      00490200000032400101024002040201fde88004040000002bc00804fde80065800e1600020110fd9900000000000000
      000000000000010000`,
    exact: false,
    update: {
      announce: ['::/0'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      0055020000003e4001010240020602010000fde88004040000002bc00804fde80065800e2000020110fd990000000000
      00000000000000000100000000013020010db8000a`,
    exact: false,
    update: {
      announce: ['2001:db8:a::/48 #1'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      004f02000000384001010240020602010000fde88004040000002bc00804fde80065800e1a00020110fd990000000000
      000000000000000001000000000100`,
    exact: false,
    update: {
      announce: ['::/0 #1'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      005f02000000484001010240020602010000fde88004040000002bc00804fde80065800e2a00020110fd990000000000
      00000000000000000100000000018020010db8000b00000000000000000001`,
    exact: false,
    update: {
      announce: ['2001:db8:b::1/128 #1'],
      attributes: {
        origin: 'incomplete',
        path: '65000',
        nextHop: 'fd99::1',
        med: 43,
        communities: '65000:101',
      },
    },
  },
  {
    session: 'rich',
    hex: `
      00af02000000984001010140021c02040000fde8fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea15400600c00708
      fa56ea0bc0000209c0080cfde80001fde80002ffff029ac010100002fde8000000640202fa56ea020007c02018fa56ea
      020000000100000002fa56ea020000000300000004e0630401020304800e200002011000000000000000000000ffff0a
      63000100000000013020010db80001`,
    exact: false,
    update: {
      announce: ['2001:db8:1::/48 #1'],
      attributes: {
        origin: 'egp',
        path: '65000 4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '::ffff:10.99.0.1',
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
      00b1020000009a4001010140021c02040000fde8fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea15400600c00708
      fa56ea0bc0000209c0080cfde80001fde80002ffff029ac010100002fde8000000640202fa56ea020007c02018fa56ea
      020000000100000002fa56ea020000000300000004e0630401020304800e220002011000000000000000000000ffff0a
      63000100000000014020010db800020003`,
    exact: false,
    update: {
      announce: ['2001:db8:2:3::/64 #1'],
      attributes: {
        origin: 'egp',
        path: '65000 4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: '::ffff:10.99.0.1',
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
    session: 'rich',
    hex: `
      007d02000000404001010040020a02020000fde8fa56ea7b8004040000002ac00804fde80064c010080002fde8000000
      64c0200c0000fde800000001000000024003040a63000100000001190a020480000000010000000001200a0909090000
      0001100a0100000001180a0203`,
    exact: false,
    update: {
      announce: ['10.2.4.128/25 #1', '0.0.0.0/0 #1', '10.9.9.9/32 #1', '10.1.0.0/16 #1', '10.2.3.0/24 #1'],
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
      00a4020000007c4001010140021c02040000fde8fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea154003040a6300
      01400600c00708fa56ea0bc0000209c0080cfde80001fde80002ffff029ac010100002fde8000000640202fa56ea0200
      07c02018fa56ea020000000100000002fa56ea020000000300000004e06304010203040000000118c633640000000119
      cb007180`,
    exact: true,
    update: {
      announce: ['198.51.100.0/24 #1', '203.0.113.128/25 #1'],
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
      00170200000000`,
    exact: true,
    update: { endOfRib: 'ipv4-unicast' },
  },
  {
    session: 'rich',
    hex: `
      003402000000144001010040020602010000fde84003040a630001000000011ac0000200`,
    exact: true,
    update: {
      announce: ['192.0.2.0/26 #1'],
      attributes: { origin: 'igp', path: '65000', nextHop: '10.99.0.1' },
    },
  },
  {
    session: 'ibgp',
    hex: `
      007a0200000051400101004002060201fa56ea7b4003040a6300018004040000002a40050400000064c00804fde80064
      8009040a630001800a0409090909c010080002fde800000064c0200c0000fde80000000100000002200a090909100a01
      180a0203190a02048000`,
    exact: true,
    update: {
      announce: ['10.9.9.9/32', '10.1.0.0/16', '10.2.3.0/24', '10.2.4.128/25', '0.0.0.0/0'],
      attributes: {
        origin: 'igp',
        path: '4200000123',
        nextHop: '10.99.0.1',
        med: 42,
        localPref: 100,
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
        originator: '10.99.0.1',
        clusters: '9.9.9.9',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      00b40200000094400101014002180203fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea154003040a630002800404
      0000004d40050400000064400600c00708fa56ea0bc0000209c0080cfde80001fde80002ffff029a8009040a63000280
      0a0409090909c010100002fde8000000640202fa56ea020007c02018fa56ea020000000100000002fa56ea0200000003
      00000004e063040102030418c6336419cb007180`,
    exact: true,
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
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        originator: '10.99.0.2',
        clusters: '9.9.9.9',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      00c502000000ae400101014002180203fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea158004040000004d400504
      00000064400600c00708fa56ea0bc0000209c0080cfde80001fde80002ffff029a8009040a630002800a040909090980
      0e1e00020110fd990000000000000000000000000002004020010db800020003c010100002fde8000000640202fa56ea
      020007c02018fa56ea020000000100000002fa56ea020000000300000004e0630401020304`,
    exact: false,
    update: {
      announce: ['2001:db8:2:3::/64'],
      attributes: {
        origin: 'egp',
        path: '4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: 'fd99::2',
        med: 77,
        localPref: 100,
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        originator: '10.99.0.2',
        clusters: '9.9.9.9',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      00600200000049400101024002008004040000002b40050400000064c00804fde800658009040a630001800a04090909
      09800e1c00020110fd990000000000000000000000000001003020010db8000a`,
    exact: false,
    update: {
      announce: ['2001:db8:a::/48'],
      attributes: {
        origin: 'incomplete',
        path: '',
        nextHop: 'fd99::1',
        med: 43,
        localPref: 100,
        communities: '65000:101',
        originator: '10.99.0.1',
        clusters: '9.9.9.9',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      005a0200000043400101024002008004040000002b40050400000064c00804fde800658009040a630001800a04090909
      09800e1600020110fd9900000000000000000000000000010000`,
    exact: false,
    update: {
      announce: ['::/0'],
      attributes: {
        origin: 'incomplete',
        path: '',
        nextHop: 'fd99::1',
        med: 43,
        localPref: 100,
        communities: '65000:101',
        originator: '10.99.0.1',
        clusters: '9.9.9.9',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      006a0200000053400101024002008004040000002b40050400000064c00804fde800658009040a630001800a04090909
      09800e2600020110fd990000000000000000000000000001008020010db8000b00000000000000000001`,
    exact: false,
    update: {
      announce: ['2001:db8:b::1/128'],
      attributes: {
        origin: 'incomplete',
        path: '',
        nextHop: 'fd99::1',
        med: 43,
        localPref: 100,
        communities: '65000:101',
        originator: '10.99.0.1',
        clusters: '9.9.9.9',
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      00c302000000ac400101014002180203fa56ea020000fdf2fa56ea0b01020000fdfcfa56ea158004040000004d400504
      00000064400600c00708fa56ea0bc0000209c0080cfde80001fde80002ffff029a8009040a630002800a040909090980
      0e1c00020110fd990000000000000000000000000002003020010db80001c010100002fde8000000640202fa56ea0200
      07c02018fa56ea020000000100000002fa56ea020000000300000004e0630401020304`,
    exact: false,
    update: {
      announce: ['2001:db8:1::/48'],
      attributes: {
        origin: 'egp',
        path: '4200000002 65010 4200000011 {65020 4200000021}',
        nextHop: 'fd99::2',
        med: 77,
        localPref: 100,
        atomicAggregate: true,
        aggregator: '4200000011 192.0.2.9',
        communities: '65000:1 65000:2 blackhole',
        extended: 'rt:65000:100 rt:4200000002:7',
        large: '4200000002:1:2 4200000002:3:4',
        originator: '10.99.0.2',
        clusters: '9.9.9.9',
        unknown: ['99 e0 01020304'],
      },
    },
  },
  {
    session: 'ibgp',
    hex: `
      007a0200000051400101004002060201fa56ea7b4003040a6300018004040000002a40050400000064c00804fde80064
      8009040a630001800a0409090909c010080002fde800000064c0200c0000fde80000000100000002180a0203190a0204
      8000200a090909100a01`,
    exact: true,
    update: {
      announce: ['10.2.3.0/24', '10.2.4.128/25', '0.0.0.0/0', '10.9.9.9/32', '10.1.0.0/16'],
      attributes: {
        origin: 'igp',
        path: '4200000123',
        nextHop: '10.99.0.1',
        med: 42,
        localPref: 100,
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
        originator: '10.99.0.1',
        clusters: '9.9.9.9',
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
    session: 'ibgp',
    hex: `
      0046020000002a400101004002004003040a63000680040400000005400504000000fa8009040a630006800a04090909
      091ac0000200`,
    exact: true,
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
      007d02000000404001010040020a02020000fde8fa56ea7b8004040000002ac00804fde80064c010080002fde8000000
      64c0200c0000fde800000001000000024003040a63000100000001100a0100000001180a020300000001190a02048000
      0000010000000001200a090909`,
    exact: false,
    update: {
      announce: ['10.1.0.0/16 #1', '10.2.3.0/24 #1', '10.2.4.128/25 #1', '0.0.0.0/0 #1', '10.9.9.9/32 #1'],
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
    session: 'ibgp',
    hex: `
      007a0200000051400101004002060201fa56ea7b4003040a6300018004040000002a40050400000064c00804fde80064
      8009040a630001800a0409090909c010080002fde800000064c0200c0000fde80000000100000002100a01180a020319
      0a02048000200a090909`,
    exact: true,
    update: {
      announce: ['10.1.0.0/16', '10.2.3.0/24', '10.2.4.128/25', '0.0.0.0/0', '10.9.9.9/32'],
      attributes: {
        origin: 'igp',
        path: '4200000123',
        nextHop: '10.99.0.1',
        med: 42,
        localPref: 100,
        communities: '65000:100',
        extended: 'rt:65000:100',
        large: '65000:1:2',
        originator: '10.99.0.1',
        clusters: '9.9.9.9',
      },
    },
  },
  {
    session: 'as4',
    hex: `
      0015030602`,
    exact: true,
    notification: { code: 6, subcode: 2, data: fromHex('') },
  },
  {
    session: 'ibgp',
    hex: `
      001b02000418c633640000`,
    exact: true,
    update: { withdraw: ['198.51.100.0/24'] },
  },
  {
    session: 'ibgp',
    hex: `
      001c02000519cb0071800000`,
    exact: true,
    update: { withdraw: ['203.0.113.128/25'] },
  },
  {
    session: 'as2',
    hex: `
      0026020000000f800f0c0002014020010db800020003`,
    exact: false,
    update: { withdraw: ['2001:db8:2:3::/64'] },
  },
  {
    session: 'as2',
    hex: `
      0024020000000d800f0a0002013020010db80001`,
    exact: false,
    update: { withdraw: ['2001:db8:1::/48'] },
  },
  {
    session: 'rich',
    hex: `
      001f0200080000000118c633640000`,
    exact: true,
    update: { withdraw: ['198.51.100.0/24 #1'] },
  },
  {
    session: 'rich',
    hex: `
      00200200090000000119cb0071800000`,
    exact: true,
    update: { withdraw: ['203.0.113.128/25 #1'] },
  },
  {
    session: 'rich',
    hex: `
      002a0200000013800f10000201000000014020010db800020003`,
    exact: false,
    update: { withdraw: ['2001:db8:2:3::/64 #1'] },
  },
  {
    session: 'rich',
    hex: `
      00280200000011800f0e000201000000013020010db80001`,
    exact: false,
    update: { withdraw: ['2001:db8:1::/48 #1'] },
  },
  {
    session: 'as2',
    hex: `
      0015030604`,
    exact: true,
    notification: { code: 6, subcode: 4, data: fromHex('') },
  },
];
