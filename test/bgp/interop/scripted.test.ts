/**
 * The speaker against a neighbour that sends prebuilt bytes: what no real daemon would send, and more than one would.
 */

import { expect, test } from 'vitest';
import { BenchPeer } from '#bench/bgp/speakers/peer.ts';
import { announcements, withdrawals } from '#bench/bgp/updates.ts';
import { parseAddress, parseIpv4 } from '#bgp/wire/address.ts';
import { fromHex } from '#bgp/wire/bytes.ts';
import { HEADER_LENGTH, UPDATE } from '#bgp/wire/constants.ts';
import { putHeader } from '#bgp/wire/header.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { A4, B4, twoNamespaces } from '#test/helpers/peers/topology.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { launchMargay } from './margay.ts';

const SECOND = '10.0.0.3';

test('a malformed attribute withdraws its routes, is logged with its bytes, and ends no session', async () => {
  using net = twoNamespaces();
  using namespace = NetworkNamespace.open(net.b.path);
  await using margay = await launchMargay(net.a, config([B4]));
  using peer = neighbour(namespace, B4, 65002);
  await peer.establish();
  const path = '4002060201' + '0000fdea';
  const nextHop = '400304' + '0a000002';
  const nlri = '18c63364';
  peer.send(update(`40010100${path}${nextHop}`, nlri));
  await margay.path('198.51.100.0/24', B4);
  // The same prefix with an ORIGIN of 9.
  peer.send(update(`40010109${path}${nextHop}`, nlri));
  await margay.gone('198.51.100.0/24', B4);
  const { state, received, flaps } = await margay.neighbor(B4);
  expect({ state, flaps, malformed: received!.treatAsWithdraw }).toEqual({
    state: 6,
    flaps: 0,
    malformed: 1,
  });
  // The log comes by another way than the answers.
  const line = await waitFor(
    () => margay.log.split('\n').find((each) => each.includes('malformed UPDATE') && each.endsWith('}')),
    { what: 'the line of the log', details: () => margay.log },
  );
  const entry = JSON.parse(line) as Record<string, unknown>;
  expect(entry).toMatchObject({ neighbor: B4, attribute: 1, action: 'withdraw', level: 'warn' });
  expect(entry.msg).toContain('40010109');
});

test('a next hop off the shared subnet is refused and logged, until the configuration says that any will do', async () => {
  using net = twoNamespaces();
  using namespace = NetworkNamespace.open(net.b.path);
  await using margay = await launchMargay(net.a, config([B4]));
  using peer = neighbour(namespace, B4, 65002);
  await peer.establish();
  const attributes = (nextHop: string) => `4001010040020602010000fdea400304${nextHop}`;
  peer.send(update(attributes('c0000201'), '18c63364'));
  // Somebody else on the subnet.
  peer.send(update(attributes('0a00004d'), '18cb0071'));
  await margay.path('203.0.113.0/24', B4, ({ best }) => best === true);
  expect(await margay.path('198.51.100.0/24', B4)).toMatchObject({
    rejectedByFilter: true,
    decision: 'the next hop is in no subnet shared with the neighbour',
  });
  await waitFor(() => margay.log.includes('"neighbors":["10.0.0.2"],"nextHop":"192.0.2.1"'), {
    what: 'the line of the log',
    details: () => margay.log,
  });
  const given = config([B4]);
  const peers = (given.peers as object[]).map((each) => ({ ...each, connectedNextHop: false }));
  margay.write({ ...given, peers });
  expect(await margay.api.reload({})).toMatchObject({ changed: 1, reset: [] });
  await margay.path('198.51.100.0/24', B4, ({ best }) => best === true);
});

test('a table of 300,000 prefixes, and its withdrawal, starve no keepalive and no request', async () => {
  using net = twoNamespaces();
  net.b.exec('ip', ['address', 'add', `${SECOND}/24`, 'dev', 'eth0']);
  using namespace = NetworkNamespace.open(net.b.path);
  await using margay = await launchMargay(net.a, config([B4, SECOND]));
  const prefixes = 300_000;
  // Made before there are neighbours: nothing is to keep them from sending their KEEPALIVEs.
  const table = announcements({ prefixes, perSet: 10, asn: 65002, nextHop: parseAddress(B4) });
  const end = withdrawals(prefixes);
  using feeder = neighbour(namespace, B4, 65002);
  // It gives the speaker up after three seconds of silence.
  using short = neighbour(namespace, SECOND, 65003, 3);
  await Promise.all([feeder.establish(), short.establish()]);
  let slowest = 0;
  // An answer takes as long as the speaker is at something else; when others have the cores, that says nothing about it.
  const ask = async (): Promise<void> => {
    const start = performance.now();
    const { ran } = margay.cpuTimes();
    await margay.api.getStatus({});
    const took = Math.min(performance.now() - start, margay.cpuTimes().ran - ran);
    slowest = Math.max(slowest, took);
  };
  feeder.send(table);
  const reaches = (count: number, what: string): Promise<boolean> =>
    waitFor(
      async () => {
        await ask();
        return short.prefixes === count;
      },
      { what, timeout: 110_000, interval: 10, details: () => margay.log.slice(-2000) },
    );
  await reaches(prefixes, 'all prefixes');
  feeder.send(end);
  await reaches(0, 'all withdrawals');
  short.check();
  expect(await margay.neighbor(SECOND)).toMatchObject({ flaps: 0, state: 6 });
  expect(slowest).toBeLessThan(2000);
}, 300_000);

function config(addresses: readonly string[]): Parameters<typeof launchMargay>[1] {
  return {
    routerId: '1.1.1.1',
    as: 65001,
    kernel: { enabled: false },
    peers: addresses.map((address) => ({
      address,
      remoteAs: 'external',
      passive: true,
      import: 'accept',
      export: 'accept',
    })),
  };
}

function neighbour(
  namespace: NetworkNamespace,
  address: string,
  asn: number,
  holdTime?: number,
): BenchPeer & Disposable {
  const peer = new BenchPeer({
    namespace,
    address,
    asn,
    identifier: parseIpv4(address),
    speaker: A4,
    ...(holdTime === undefined ? {} : { holdTime }),
  });
  return Object.assign(peer, { [Symbol.dispose]: () => peer.close() });
}

/** An UPDATE that announces, from attributes and NLRI in hexadecimal. */
function update(attributes: string, nlri: string): Uint8Array {
  const length = (attributes.length / 2).toString(16).padStart(4, '0');
  const body = fromHex(`0000${length}${attributes}${nlri}`);
  const bytes = new Uint8Array(HEADER_LENGTH + body.length);
  putHeader(bytes, 0, bytes.length, UPDATE);
  bytes.set(body, HEADER_LENGTH);
  return bytes;
}
