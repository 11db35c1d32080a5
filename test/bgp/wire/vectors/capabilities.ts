/**
 * An OPEN for each capability, written after the RFCs.
 */

import { AFI_IPV6, familyOf, IPV4_UNICAST, IPV6_UNICAST } from '#bgp/wire/constants.ts';
import type { Vector } from '../vector.ts';

export const VECTORS: readonly Vector[] = [
  {
    name: 'multiprotocol: RFC 4760',
    hex: `
      0025 01
      04 fde9 00b4 0a000001 08
      02 06
      01 04 0001 00 01`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'multiprotocol', family: IPV4_UNICAST }],
    },
  },
  {
    name: 'multiprotocol, several, some of families that are not ours',
    hex: `
      002b 01
      04 fde9 00b4 0a000001 0e
      02 0c
      01 04 0002 00 01  01 04 0019 00 46`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [
        { kind: 'multiprotocol', family: IPV6_UNICAST },
        { kind: 'multiprotocol', family: familyOf(25, 70) },
      ],
    },
  },
  {
    name: 'route refresh: RFC 2918',
    hex: `
      0021 01
      04 fde9 00b4 0a000001 04
      02 02
      02 00`,
    exact: true,
    open: { asn: 65001, holdTime: 180, identifier: 0x0a000001, capabilities: [{ kind: 'route-refresh' }] },
  },
  {
    name: 'extended next hop: RFC 8950',
    hex: `
      002d 01
      04 fde9 00b4 0a000001 10
      02 0e
      05 0c 0001 0001 0002  0001 0080 0002`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [
        {
          kind: 'extended-next-hop',
          entries: [
            { family: IPV4_UNICAST, nextHopAfi: AFI_IPV6 },
            { family: familyOf(1, 128), nextHopAfi: AFI_IPV6 },
          ],
        },
      ],
    },
  },
  {
    name: 'extended message: RFC 8654',
    hex: `
      0021 01
      04 fde9 00b4 0a000001 04
      02 02
      06 00`,
    exact: true,
    open: { asn: 65001, holdTime: 180, identifier: 0x0a000001, capabilities: [{ kind: 'extended-message' }] },
  },
  {
    name: 'graceful restart: RFC 4724',
    hex: `
      002b 01
      04 fde9 00b4 0a000001 0e
      02 0c
      40 0a 8078 0001 01 80 0002 01 00`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [
        {
          kind: 'graceful-restart',
          restarting: true,
          notification: false,
          restartTime: 120,
          families: [
            { family: IPV4_UNICAST, forwarding: true },
            { family: IPV6_UNICAST, forwarding: false },
          ],
        },
      ],
    },
  },
  {
    name: 'graceful restart that holds over notifications: RFC 8538',
    hex: `
      0023 01
      04 fde9 00b4 0a000001 06
      02 04
      40 02 4fff`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [
        { kind: 'graceful-restart', restarting: false, notification: true, restartTime: 4095, families: [] },
      ],
    },
  },
  {
    name: 'four-octet AS: RFC 6793',
    hex: `
      0025 01
      04 fde9 00b4 0a000001 08
      02 06
      41 04 0000fde9`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'four-octet-as', asn: 65001 }],
    },
  },
  {
    name: 'ADD-PATH: RFC 7911',
    hex: `
      002d 01
      04 fde9 00b4 0a000001 10
      02 0e
      45 0c 0001 01 01 0002 01 02 0001 02 03`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [
        {
          kind: 'add-path',
          families: [
            { family: IPV4_UNICAST, receive: true, send: false },
            { family: IPV6_UNICAST, receive: false, send: true },
            { family: familyOf(1, 2), receive: true, send: true },
          ],
        },
      ],
    },
  },
  {
    name: 'ADD-PATH with a value that means nothing: as if the family were not there',
    hex: `
      0029 01
      04 fde9 00b4 0a000001 0c
      02 0a
      45 08 0001 01 04 0002 01 00`,
    exact: false,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'add-path', families: [] }],
    },
  },
  {
    name: 'enhanced route refresh: RFC 7313',
    hex: `
      0021 01
      04 fde9 00b4 0a000001 04
      02 02
      46 00`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'enhanced-route-refresh' }],
    },
  },
  {
    name: 'FQDN',
    hex: `
      0031 01
      04 fde9 00b4 0a000001 14
      02 12
      49 10 06 6c6561662d31 08 7261636b2e6c616e`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'fqdn', host: 'leaf-1', domain: 'rack.lan' }],
    },
  },
  {
    name: 'FQDN that is not one is kept as it is',
    hex: `
      0024 01
      04 fde9 00b4 0a000001 07
      02 05
      49 03 09 61 62`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'unknown', code: 73, value: Uint8Array.of(9, 0x61, 0x62) }],
    },
  },
  {
    name: 'FQDN that is not UTF-8 is kept as it is',
    hex: `
      0024 01
      04 fde9 00b4 0a000001 07
      02 05
      49 03 01 ff 00`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'unknown', code: 73, value: Uint8Array.of(1, 0xff, 0) }],
    },
  },
  {
    name: 'unknown ones are kept',
    hex: `
      0024 01
      04 fde9 00b4 0a000001 07
      02 05
      09 01 03  80 00`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [
        { kind: 'unknown', code: 9, value: Uint8Array.of(3) },
        { kind: 'unknown', code: 128, value: new Uint8Array(0) },
      ],
    },
  },
  {
    name: 'one of them twice',
    hex: `
      0023 01
      04 fde9 00b4 0a000001 06
      02 04
      02 00 02 00`,
    exact: true,
    open: {
      asn: 65001,
      holdTime: 180,
      identifier: 0x0a000001,
      capabilities: [{ kind: 'route-refresh' }, { kind: 'route-refresh' }],
    },
  },
];
