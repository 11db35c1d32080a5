/**
 * Addresses of the node that come after the session: at boot, IPv6 addresses are there a second or two after IPv4 ones.
 */

import { describe, expect, test } from 'vitest';
import { connect, createNetns } from '#test/helpers/netns.ts';
import { launchPeer, peerTools } from '#test/helpers/peers/launch.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { launchMargay } from './margay.ts';

describe.each([
  ['with routes in the kernel', {}],
  ['with none', { kernel: { enabled: false } }],
])('an IPv6 address that comes after the session, %s', (_, kernel) => {
  test('is the next hop of IPv6 routes from then on', { timeout: 150_000 }, async (ctx) => {
    requires(ctx, ...peerTools('bird'));
    await using stack = new AsyncDisposableStack();
    const a = stack.use(createNetns());
    const b = stack.use(createNetns());
    a.sysctl('net.ipv6.conf.all.disable_ipv6', 1);
    a.sysctl('net.ipv6.conf.default.disable_ipv6', 1);
    connect({ netns: a, addresses: ['10.0.0.1/24'] }, { netns: b, addresses: ['10.0.0.2/24', 'fd00::2/64'] });
    const families = ['ipv4', 'ipv6'] as const;
    const bird = stack.use(
      await launchPeer('bird', b, {
        asn: 65002,
        routerId: '2.2.2.2',
        neighbours: [{ address: '10.0.0.1', asn: 65001, families }],
        announce: [{ prefix: '198.51.100.0/24' }],
      }),
    );
    const margay = stack.use(
      await launchMargay(a, {
        routerId: '1.1.1.1',
        as: 65001,
        originate: [{ prefix: '192.0.2.0/24' }, { prefix: '2001:db8:a::/48' }],
        peers: [
          {
            address: '10.0.0.2',
            remoteAs: 65002,
            families: ['ipv4-unicast', 'ipv6-unicast'],
            import: 'accept',
            export: 'own-prefixes',
          },
        ],
        ...kernel,
      }),
    );
    await bird.receives('10.0.0.1', '192.0.2.0/24');
    expect((await bird.received('10.0.0.1', 'ipv6')).map(({ prefix }) => prefix)).toEqual([]);
    await waitFor(() => margay.log.includes('no address of ours to be the next hop'), { what: 'a warning' });

    for (const each of ['all', 'default', 'eth0']) a.sysctl(`net.ipv6.conf.${each}.disable_ipv6`, 0);
    // With duplicate address detection, as at boot.
    a.exec('ip', ['address', 'add', 'fd00::1/64', 'dev', 'eth0']);
    // The link-local address, which is there first, is no next hop by itself.
    expect((await bird.receives('10.0.0.1', '2001:db8:a::/48')).nextHop).toBe('fd00::1');
    expect((await margay.neighbor('10.0.0.2')).flaps).toBe(0);
  });
});
