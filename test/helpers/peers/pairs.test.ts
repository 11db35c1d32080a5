import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { startTime } from '#lab/leftovers.ts';
import type { Announcement, PeerKind } from '#lab/peers/description.ts';
import { requires } from '../requires.ts';
import { launchPeer, peerTools } from './launch.ts';
import { A4, A6, B4, B6, twoNamespaces } from './topology.ts';

/** Each kind with each other, and each as the one that is asked. */
const PAIRS: readonly (readonly [PeerKind, PeerKind])[] = [
  ['bird', 'frr'],
  ['frr', 'gobgpd'],
  ['gobgpd', 'bird'],
];

/** What FRR's daemons have there, by name and process: `bgpd.4711`. */
function crashFolders(): Set<string> {
  return new Set(existsSync('/var/tmp/frr') ? readdirSync('/var/tmp/frr') : []);
}

describe('two real peers', () => {
  for (const [kindA, kindB] of PAIRS) {
    test(`${kindA} and ${kindB} exchange IPv4 and IPv6 routes with their attributes, and leave nothing behind`, async (ctx) => {
      requires(ctx, ...peerTools(kindA, kindB));
      const seen: { pids: number[]; folders: string[]; namespaces: string[] } = {
        pids: [],
        folders: [],
        namespaces: [],
      };
      // Of processes that were killed, by whose numbers others go now.
      const before = crashFolders();
      {
        using net = twoNamespaces();
        const routesOfA: Announcement[] = [
          {
            prefix: '192.0.2.0/24',
            med: 5,
            communities: ['65001:7', '65535:65284', '65001:3'],
            largeCommunities: ['65001:1:2'],
          },
          { prefix: '2001:db8:a::/48', asPath: [65010, 65011] },
        ];
        await using a = await launchPeer(kindA, net.a, {
          asn: 65001,
          routerId: '1.1.1.1',
          neighbours: [
            { address: B4, asn: 65002, holdTime: 30 },
            { address: B6, asn: 65002 },
          ],
          announce: routesOfA,
        });
        await using b = await launchPeer(kindB, net.b, {
          asn: 65002,
          routerId: '2.2.2.2',
          neighbours: [
            { address: A4, asn: 65001 },
            { address: A6, asn: 65001 },
          ],
          announce: [{ prefix: '198.51.100.0/24' }, { prefix: '2001:db8:b::/48' }],
        });
        await Promise.all([a.established(), b.established()]);
        expect(await a.neighbour(B4)).toMatchObject({ asn: 65002, routerId: '2.2.2.2', holdTime: 30 });
        expect(await b.neighbour(A6)).toMatchObject({ asn: 65001, routerId: '1.1.1.1', holdTime: 90 });

        expect(await b.receives(A4, '192.0.2.0/24')).toMatchObject({
          best: true,
          nextHop: A4,
          asPath: '65001',
          origin: 'igp',
          med: 5,
          communities: ['65001:3', '65001:7', '65535:65284'],
          largeCommunities: ['65001:1:2'],
        });
        expect(await b.receives(A6, '2001:db8:a::/48')).toMatchObject({
          nextHop: A6,
          asPath: '65001 65010 65011',
          communities: [],
        });
        expect(await a.receives(B4, '198.51.100.0/24')).toMatchObject({ nextHop: B4, asPath: '65002' });
        expect(await a.receives(B6, '2001:db8:b::/48')).toMatchObject({ nextHop: B6, asPath: '65002' });
        expect(await a.advertised(B4, 'ipv4')).toContain('192.0.2.0/24');
        expect(await a.advertised(B6, 'ipv6')).toContain('2001:db8:a::/48');

        for (const peer of [a, b]) {
          seen.pids.push(...peer.pids, ...peer.netns.processes());
          seen.folders.push(peer.folder);
          seen.namespaces.push(peer.netns.path);
        }
      }
      expect(seen.pids.length).toBeGreaterThanOrEqual(4);
      for (const pid of seen.pids) expect(startTime(pid), `process ${pid}`).toBeUndefined();
      for (const path of [...seen.folders, ...seen.namespaces]) expect(existsSync(path), path).toBe(false);
      const left = [...crashFolders()].filter((name) => !before.has(name));
      expect(left.filter((name) => seen.pids.includes(Number(name.split('.')[1])))).toEqual([]);
    });
  }
});
