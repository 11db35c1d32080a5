import { expect, test } from 'vitest';
import { launchPeer, peerTools } from '#test/helpers/peers/launch.ts';
import { A4, A6, B4, B6, twoNamespaces } from '#test/helpers/peers/topology.ts';
import { requires } from '#test/helpers/requires.ts';
import { launchMargay } from './margay.ts';

test('exchanges routes with bird, both families, both directions, and withdraws them', async (ctx) => {
  requires(ctx, ...peerTools('bird'));
  using net = twoNamespaces();
  await using bird = await launchPeer('bird', net.b, {
    asn: 65002,
    routerId: '2.2.2.2',
    neighbours: [
      { address: A4, asn: 65001 },
      { address: A6, asn: 65001 },
    ],
    announce: [{ prefix: '198.51.100.0/24', communities: ['65002:7'] }, { prefix: '2001:db8:b::/48' }],
  });
  await using margay = await launchMargay(net.a, {
    routerId: '1.1.1.1',
    as: 65001,
    originate: [{ prefix: '192.0.2.0/24' }, { prefix: '2001:db8:a::/48' }],
    peers: [B4, B6].map((address) => ({
      address,
      remoteAs: 65002,
      import: 'accept',
      export: 'own-prefixes',
    })),
  });
  await margay.established();
  expect(await bird.receives(A4, '192.0.2.0/24')).toMatchObject({ asPath: '65001', nextHop: A4 });
  expect(await bird.receives(A6, '2001:db8:a::/48')).toMatchObject({ asPath: '65001', nextHop: A6 });
  const path = await margay.path('198.51.100.0/24', B4);
  expect(path).toMatchObject({ best: true, attributes: { asPath: '65002', communities: ['65002:7'] } });
  await margay.path('2001:db8:b::/48', B6);
  console.log(await margay.cli('neighbors'));
  console.log(await margay.cli('rib'));
  console.log(await margay.cli('status'));
  console.log(await margay.cli('neighbor', B6));
  console.log(net.a.exec('ip', ['route', 'show']), net.a.exec('ip', ['-6', 'route', 'show']));
});
