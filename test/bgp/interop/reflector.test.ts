/**
 * The speaker as route reflector between internal clients of all three kinds, and as a client of one.
 */

import { expect, test } from 'vitest';
import { PEER_KINDS } from '#lab/peers/description.ts';
import { connect, createNetns } from '#test/helpers/netns.ts';
import { launchPeer, peerTools } from '#test/helpers/peers/launch.ts';
import type { Peer } from '#test/helpers/peers/peer.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { launchMargay } from './margay.ts';

const AS = 64512;

test('reflects routes between its clients, whoever they are, with originator, cluster list and next hop', async (ctx) => {
  requires(ctx, ...peerTools(...PEER_KINDS));
  await using stack = new AsyncDisposableStack();
  const hub = stack.use(createNetns());
  hub.sysctl('net.ipv4.ip_forward', 1);
  const clients: { peer: Peer; us: string; address: string; prefix: string; routerId: string }[] = [];
  for (const [i, kind] of PEER_KINDS.entries()) {
    const ns = stack.use(createNetns());
    const us = `10.0.${i}.1`;
    const address = `10.0.${i}.2`;
    connect({ netns: hub, addresses: [`${us}/24`] }, { netns: ns, addresses: [`${address}/24`] });
    ns.exec('ip', ['route', 'add', '10.0.0.0/16', 'via', us]);
    const prefix = `198.51.${i}.0/24`;
    const routerId = `2.2.2.${i + 1}`;
    const peer = stack.use(
      await launchPeer(kind, ns, {
        asn: AS,
        routerId,
        neighbours: [{ address: us, asn: AS }],
        announce: [{ prefix, localPreference: 200 + i, communities: [`64512:${i}`] }],
      }),
    );
    clients.push({ peer, us, address, prefix, routerId });
  }
  const margay = stack.use(
    await launchMargay(hub, {
      routerId: '1.1.1.1',
      clusterId: '9.9.9.9',
      as: AS,
      peers: clients.map(({ address }) => ({ address, remoteAs: 'internal', routeReflectorClient: true })),
    }),
  );
  await margay.established();
  for (const { peer, us } of clients) {
    for (const from of clients) {
      if (from.peer === peer) continue;
      const i = clients.indexOf(from);
      expect(await peer.receives(us, from.prefix)).toMatchObject({
        nextHop: from.address,
        asPath: '',
        localPreference: 200 + i,
        communities: [`64512:${i}`],
        originatorId: from.routerId,
        clusterList: ['9.9.9.9'],
      });
    }
  }
  // Its own route is not sent back to a client.
  for (const { address, prefix } of clients) {
    const sent = await margay.routes('ADJ_RIB_OUT', address);
    expect(sent.map((route) => route.prefix)).not.toContain(prefix);
    expect(sent).toHaveLength(2);
  }
  await clients[0]!.peer.withdraw(clients[0]!.prefix);
  for (const { peer, us } of clients.slice(1)) {
    await waitFor(
      async () => !(await peer.received(us, 'ipv4')).some(({ prefix }) => prefix === clients[0]!.prefix),
      { what: 'the withdrawal is reflected' },
    );
  }
});

test('as a client takes what a reflector passes on, and refuses its own routes that come back', async (ctx) => {
  requires(ctx, ...peerTools('frr', 'bird'));
  await using stack = new AsyncDisposableStack();
  const [a, rr, c] = [createNetns(), createNetns(), createNetns()].map((ns) => stack.use(ns));
  connect({ netns: a!, addresses: ['10.0.0.1/24'] }, { netns: rr!, addresses: ['10.0.0.2/24'] });
  connect({ netns: c!, addresses: ['10.0.1.1/24'] }, { netns: rr!, addresses: ['10.0.1.2/24'] });
  a!.exec('ip', ['route', 'add', '10.0.1.0/24', 'via', '10.0.0.2']);
  c!.exec('ip', ['route', 'add', '10.0.0.0/24', 'via', '10.0.1.2']);
  const client = (address: string) => ({ address, asn: AS, routeReflectorClient: true });
  stack.use(
    await launchPeer('frr', rr!, {
      asn: AS,
      routerId: '2.2.2.2',
      clusterId: '8.8.8.8',
      neighbours: [client('10.0.0.1'), client('10.0.1.1')],
    }),
  );
  const far = stack.use(
    await launchPeer('bird', c!, {
      asn: AS,
      routerId: '3.3.3.3',
      neighbours: [{ address: '10.0.1.2', asn: AS, nextHopSelf: true }],
      announce: [{ prefix: '198.51.100.0/24' }],
    }),
  );
  const margay = stack.use(
    await launchMargay(a!, {
      routerId: '1.1.1.1',
      as: AS,
      originate: [{ prefix: '192.0.2.0/24' }],
      peers: [{ address: '10.0.0.2', remoteAs: 'internal' }],
    }),
  );
  const path = await margay.path('198.51.100.0/24', '10.0.0.2', ({ best }) => best === true);
  expect(path).toMatchObject({
    source: 'ibgp',
    attributes: { originatorId: '3.3.3.3', clusterList: ['8.8.8.8'], nextHop: '10.0.1.1' },
  });
  // Behind the reflector: the gateway is that of the route to the next hop.
  const [route] = await waitFor(
    () => {
      const routes = a!.ip('route', 'show', '198.51.100.0/24') as { gateway?: string }[];
      return routes.length > 0 && routes;
    },
    { what: 'the route in the kernel' },
  );
  expect(route).toMatchObject({ gateway: '10.0.0.2', protocol: '109' });
  await far.receives('10.0.1.2', '192.0.2.0/24');
});
