/**
 * One UPDATE for each path attribute and each form of it, written after the RFCs.
 */

import type { Vector } from '../vector.ts';

export const VECTORS: readonly Vector[] = [
  {
    name: 'ORIGIN IGP',
    hex: `
      002f 02
      0000
      0014
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      18 0a0102`,
    exact: true,
    update: { announce: ['10.1.2.0/24'], attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1' } },
  },
  {
    name: 'ORIGIN EGP',
    hex: `
      002f 02
      0000
      0014
      40 01 01 01
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      18 0a0102`,
    exact: true,
    update: { announce: ['10.1.2.0/24'], attributes: { origin: 'egp', path: '65001', nextHop: '192.0.2.1' } },
  },
  {
    name: 'ORIGIN INCOMPLETE',
    hex: `
      002f 02
      0000
      0014
      40 01 01 02
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'incomplete', path: '65001', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS_PATH, empty, from an internal neighbour',
    session: 'ibgp',
    hex: `
      0029 02
      0000
      000e
      40 01 01 00
      40 02 00
      40 03 04 c0000201
      18 0a0102`,
    exact: true,
    update: { announce: ['10.1.2.0/24'], attributes: { origin: 'igp', path: '', nextHop: '192.0.2.1' } },
  },
  {
    name: 'AS_PATH with a sequence of four-octet numbers',
    hex: `
      0033 02
      0000
      0018
      40 01 01 00
      40 02 0a 02 02 fa56ea01 0000fde9
      40 03 04 c0000201
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '4200000001 65001', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS_PATH with a sequence of two-octet numbers',
    session: 'as2',
    hex: `
      002f 02
      0000
      0014
      40 01 01 00
      40 02 06 02 02 fc00 fde9
      40 03 04 c0000201
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '64512 65001', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS_PATH with a set',
    hex: `
      0039 02
      0000
      001e
      40 01 01 00
      40 02 10 02 01 0000fde9 01 02 0000fdea 0000fdeb
      40 03 04 c0000201
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001 {65002 65003}', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS_PATH with a confederation sequence and set',
    session: 'confederation',
    hex: `
      003f 02
      0000
      0024
      40 01 01 00
      40 02 16 03 02 0000fe4d 0000fe4e 04 01 0000fe4f 02 01 0000fde9
      40 03 04 c0000201
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '(65101 65102) [65103] 65001', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS_PATH in two segments that are one path',
    hex: `
      0035 02
      0000
      001a
      40 01 01 00
      40 02 0c 02 01 0000fde9 02 01 0000fdea
      40 03 04 c0000201
      18 0a0102`,
    exact: false,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001 65002', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS_PATH with an extended length that it does not need',
    hex: `
      0030 02
      0000
      0015
      40 01 01 00
      50 02 0006 02 01 0000fde9
      40 03 04 c0000201
      18 0a0102`,
    exact: false,
    update: { announce: ['10.1.2.0/24'], attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1' } },
  },
  {
    name: 'attributes in another order',
    hex: `
      002f 02
      0000
      0014
      40 03 04 c0000201
      40 02 06 02 01 0000fde9
      40 01 01 00
      18 0a0102`,
    exact: false,
    update: { announce: ['10.1.2.0/24'], attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1' } },
  },
  {
    name: 'MULTI_EXIT_DISC',
    hex: `
      0036 02
      0000
      001b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      80 04 04 00000000
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', med: 0 },
    },
  },
  {
    name: 'MULTI_EXIT_DISC, the largest',
    hex: `
      0036 02
      0000
      001b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      80 04 04 ffffffff
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', med: 4294967295 },
    },
  },
  {
    name: 'LOCAL_PREF',
    session: 'ibgp',
    hex: `
      0036 02
      0000
      001b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      40 05 04 00000064
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', localPref: 100 },
    },
  },
  {
    name: 'ATOMIC_AGGREGATE',
    hex: `
      0032 02
      0000
      0017
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      40 06 00
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', atomicAggregate: true },
    },
  },
  {
    name: 'AGGREGATOR with a four-octet number',
    hex: `
      003a 02
      0000
      001f
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      c0 07 08 fa56ea01 c0000209
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', aggregator: '4200000001 192.0.2.9' },
    },
  },
  {
    name: 'AGGREGATOR with a two-octet number',
    session: 'as2',
    hex: `
      0036 02
      0000
      001b
      40 01 01 00
      40 02 04 02 01 fde9
      40 03 04 c0000201
      c0 07 06 fde9 c0000209
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', aggregator: '65001 192.0.2.9' },
    },
  },
  {
    name: 'COMMUNITIES',
    hex: `
      003a 02
      0000
      001f
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      c0 08 08 fde90001 00000000
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', communities: '65001:1 0:0' },
    },
  },
  {
    name: 'COMMUNITIES, the well-known ones',
    hex: `
      0056 02
      0000
      003b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      c0 08 24 ffffff01 ffffff02 ffffff03 ffffff04 ffff029a ffff0000 ffff0001 ffff0006 ffff0007
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: {
        origin: 'igp',
        path: '65001',
        nextHop: '192.0.2.1',
        communities:
          'no-export no-advertise no-export-subconfed no-peer blackhole graceful-shutdown accept-own llgr-stale no-llgr',
      },
    },
  },
  {
    name: 'COMMUNITIES that came with the Partial bit',
    hex: `
      0036 02
      0000
      001b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      e0 08 04 fde90001
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: {
        origin: 'igp',
        path: '65001',
        nextHop: '192.0.2.1',
        communities: '65001:1',
        partial: [8],
      },
    },
  },
  {
    name: 'ORIGINATOR_ID',
    session: 'ibgp',
    hex: `
      0036 02
      0000
      001b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      80 09 04 0a000001
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', originator: '10.0.0.1' },
    },
  },
  {
    name: 'CLUSTER_LIST',
    session: 'ibgp',
    hex: `
      003a 02
      0000
      001f
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      80 0a 08 0a000002 0a000003
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', clusters: '10.0.0.2 10.0.0.3' },
    },
  },
  {
    name: 'EXTENDED COMMUNITIES: route targets of each type, site of origin, one of another type',
    hex: `
      005a 02
      0000
      003f
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      c0 10 28
      0002 fde9 00000064
      0102 c0000201 0005
      0202 fa56ea01 0007
      0003 fde9 00000001
      430c 000000000001
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: {
        origin: 'igp',
        path: '65001',
        nextHop: '192.0.2.1',
        extended: 'rt:65001:100 rt:192.0.2.1:5 rt:4200000001:7 soo:65001:1 0x430c000000000001',
      },
    },
  },
  {
    name: 'LARGE_COMMUNITY',
    hex: `
      004a 02
      0000
      002f
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      c0 20 18
      fa56ea01 00000001 00000002
      00000000 ffffffff 00000000
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: {
        origin: 'igp',
        path: '65001',
        nextHop: '192.0.2.1',
        large: '4200000001:1:2 0:4294967295:0',
      },
    },
  },
  {
    name: 'LARGE_COMMUNITY with a repetition, which is left out',
    hex: `
      0056 02
      0000
      003b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      c0 20 24
      0000fde9 00000001 00000002
      0000fde9 00000001 00000003
      0000fde9 00000001 00000002
      18 0a0102`,
    exact: false,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', large: '65001:1:2 65001:1:3' },
    },
  },
  {
    name: 'AS4_PATH puts back what AS_TRANS stands for',
    session: 'as2',
    hex: `
      0042 02
      0000
      0027
      40 01 01 00
      40 02 08 02 03 fde9 5ba0 5ba0
      40 03 04 c0000201
      c0 11 0e 02 03 0000fde9 fa56ea01 fa56ea02
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001 4200000001 4200000002', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS4_PATH shorter than AS_PATH: the head is from AS_PATH',
    session: 'as2',
    hex: `
      0040 02
      0000
      0025
      40 01 01 00
      40 02 0a 02 04 fdf1 fde9 5ba0 5ba0
      40 03 04 c0000201
      c0 11 0a 02 02 fa56ea01 fa56ea02
      18 0a0102`,
    exact: false,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65009 65001 4200000001 4200000002', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS4_PATH longer than AS_PATH is ignored',
    session: 'as2',
    hex: `
      0040 02
      0000
      0025
      40 01 01 00
      40 02 06 02 02 fde9 5ba0
      40 03 04 c0000201
      c0 11 0e 02 03 0000fde9 fa56ea01 fa56ea02
      18 0a0102`,
    exact: false,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001 23456', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS4_PATH with a set',
    session: 'as2',
    hex: `
      0046 02
      0000
      002b
      40 01 01 00
      40 02 0a 02 01 fde9 01 02 5ba0 5ba0
      40 03 04 c0000201
      c0 11 10 02 01 0000fde9 01 02 fa56ea01 fa56ea02
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001 {4200000001 4200000002}', nextHop: '192.0.2.1' },
    },
  },
  {
    name: 'AS4_AGGREGATOR beside AS_TRANS',
    session: 'as2',
    hex: `
      0041 02
      0000
      0026
      40 01 01 00
      40 02 04 02 01 fde9
      40 03 04 c0000201
      c0 07 06 5ba0 c0000209
      c0 12 08 fa56ea01 c0000209
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', aggregator: '4200000001 192.0.2.9' },
    },
  },
  {
    name: 'AS4_AGGREGATOR beside another AS is ignored, and AS4_PATH with it',
    session: 'as2',
    hex: `
      0050 02
      0000
      0035
      40 01 01 00
      40 02 06 02 02 fde9 5ba0
      40 03 04 c0000201
      c0 07 06 fdf1 c0000205
      c0 11 0a 02 02 0000fde9 fa56ea01
      c0 12 08 fa56ea01 c0000209
      18 0a0102`,
    exact: false,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001 23456', nextHop: '192.0.2.1', aggregator: '65009 192.0.2.5' },
    },
  },
  {
    name: 'an unknown optional transitive attribute is kept',
    hex: `
      0036 02
      0000
      001b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      e0 63 04 01020304
      18 0a0102`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1', unknown: ['99 e0 01020304'] },
    },
  },
  {
    name: 'an unknown optional non-transitive attribute is dropped',
    hex: `
      0036 02
      0000
      001b
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201
      80 63 04 01020304
      18 0a0102`,
    exact: false,
    update: { announce: ['10.1.2.0/24'], attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1' } },
  },
  {
    name: 'MP_REACH_NLRI for IPv6, next hop of 16 bytes',
    hex: `
      004d 02
      0000
      0036
      90 0e 0025
      0002 01 10 20010db8 00000000 00000000 00000001
      00 30 20010db8000a 40 20010db8000b0000
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: true,
    update: {
      announce: ['2001:db8:a::/48', '2001:db8:b::/64'],
      attributes: { origin: 'igp', path: '65001', nextHop: '2001:db8::1' },
    },
  },
  {
    name: 'MP_REACH_NLRI for IPv6, next hop of 32 bytes, global and link-local',
    hex: `
      005d 02
      0000
      0046
      90 0e 0035
      0002 01 20 20010db8 00000000 00000000 00000001 fe800000 00000000 00000000 00000001
      00 30 20010db8000a 40 20010db8000b0000
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: true,
    update: {
      announce: ['2001:db8:a::/48', '2001:db8:b::/64'],
      attributes: { origin: 'igp', path: '65001', nextHop: '2001:db8::1 fe80::1' },
    },
  },
  {
    name: 'MP_REACH_NLRI, only a link-local next hop',
    hex: `
      003e 02
      0000
      0027
      90 0e 0016
      0002 01 10 fe800000 00000000 00000000 00000001
      00 00
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: true,
    update: { announce: ['::/0'], attributes: { origin: 'igp', path: '65001', nextHop: 'fe80::1' } },
  },
  {
    name: 'MP_REACH_NLRI, next hop of 32 bytes with an empty global one',
    hex: `
      004e 02
      0000
      0037
      90 0e 0026
      0002 01 20 00000000 00000000 00000000 00000000 fe800000 00000000 00000000 00000001
      00 00
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: false,
    update: { announce: ['::/0'], attributes: { origin: 'igp', path: '65001', nextHop: 'fe80::1' } },
  },
  {
    name: 'MP_REACH_NLRI, next hop of 32 bytes, link-local twice',
    hex: `
      004e 02
      0000
      0037
      90 0e 0026
      0002 01 20 fe800000 00000000 00000000 00000001 fe800000 00000000 00000000 00000001
      00 00
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: false,
    update: { announce: ['::/0'], attributes: { origin: 'igp', path: '65001', nextHop: 'fe80::1' } },
  },
  {
    name: 'MP_REACH_NLRI, next hop of 32 bytes, global twice',
    hex: `
      004e 02
      0000
      0037
      90 0e 0026
      0002 01 20 20010db8 00000000 00000000 00000001 20010db8 00000000 00000000 00000001
      00 00
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: false,
    update: { announce: ['::/0'], attributes: { origin: 'igp', path: '65001', nextHop: '2001:db8::1' } },
  },
  {
    name: 'MP_REACH_NLRI for IPv4 with an IPv4 next hop',
    hex: `
      0035 02
      0000
      001e
      90 0e 000d
      0001 01 04 c0000201
      00 18 0a0102
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: false,
    update: { announce: ['10.1.2.0/24'], attributes: { origin: 'igp', path: '65001', nextHop: '192.0.2.1' } },
  },
  {
    name: 'MP_REACH_NLRI for IPv4 with an IPv6 next hop',
    session: 'v6',
    hex: `
      0041 02
      0000
      002a
      90 0e 0019
      0001 01 10 20010db8 00000000 00000000 00000001
      00 18 0a0102
      40 01 01 00
      40 02 06 02 01 0000fde9`,
    exact: true,
    update: {
      announce: ['10.1.2.0/24'],
      attributes: { origin: 'igp', path: '65001', nextHop: '2001:db8::1' },
    },
  },
  {
    name: 'MP_REACH_NLRI behind the others, where older speakers put it',
    hex: `
      0045 02
      0000
      002e
      40 01 01 00
      40 02 06 02 01 0000fde9
      90 0e 0016
      0002 01 10 20010db8 00000000 00000000 00000001
      00 00
      80 04 04 00000007`,
    exact: false,
    update: {
      announce: ['::/0'],
      attributes: { origin: 'igp', path: '65001', nextHop: '2001:db8::1', med: 7 },
    },
  },
  {
    name: 'MP_REACH_NLRI with a NEXT_HOP beside it, which is ignored',
    hex: `
      0045 02
      0000
      002e
      90 0e 0016
      0002 01 10 20010db8 00000000 00000000 00000001
      00 00
      40 01 01 00
      40 02 06 02 01 0000fde9
      40 03 04 c0000201`,
    exact: false,
    update: { announce: ['::/0'], attributes: { origin: 'igp', path: '65001', nextHop: '2001:db8::1' } },
  },
  {
    name: 'MP_UNREACH_NLRI for IPv6',
    hex: `
      002e 02
      0000
      0017
      90 0f 0013
      0002 01
      30 20010db8000a 40 20010db8000b0000`,
    exact: true,
    update: { withdraw: ['2001:db8:a::/48', '2001:db8:b::/64'] },
  },
];
