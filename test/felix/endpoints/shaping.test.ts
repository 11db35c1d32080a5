import { describe, expect, test } from 'vitest';
import { formatAddress } from '#datastore/address.ts';
import { bucketOf } from '#felix/endpoints/shaping.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { callPlugin, configuration, envOf, Node } from '../node.ts';

const RATE = 40e6;

describe('limits of a traffic of a pod', () => {
  test('hold in both directions, are put right, survive a restart and go with the pod', async (ctx) => {
    requires(ctx, 'tool:iperf3');
    await using node = await Node.start(['10.1.0.0/24']);
    using limited = node.pod();
    using free = node.pod();
    const runtimeConfig = {
      bandwidth: { ingressRate: RATE, ingressBurst: 0, egressRate: RATE, egressBurst: 4e6 },
    };
    const env = (command: string, id: string, netns: string) => envOf(command, node.socket, { id, netns });
    expect((await callPlugin(env('ADD', 'a', limited.path), configuration({ runtimeConfig }))).status).toBe(
      0,
    );
    expect((await callPlugin(env('ADD', 'b', free.path), configuration())).status).toBe(0);
    const endpoint = node.network.find('a', 'eth0')!;
    const name = endpoint.hostInterface;
    expect(node.network.check(endpoint)).toEqual([]);

    const [address] = node.network.find('b', 'eth0')!.addresses.map(formatAddress);
    free.spawn('iperf3', ['-s'], { stdio: 'ignore' });
    await waitFor(() => free.execAsync('sh', ['-c', 'ss -tln | grep -q :5201']).then(() => true), {
      what: 'iperf3',
    });
    for (const direction of [[], ['-R']]) {
      const told = await limited.execAsync('iperf3', ['-J', '-c', address!, '-t', '1', ...direction]);
      // What may go at once comes on top; without limits it would be hundreds of times as much.
      expect(JSON.parse(told).end.sum_received.bits_per_second).toBeLessThan(2 * RATE);
    }

    node.netns.exec('tc', ['qdisc', 'del', 'dev', name, 'root']);
    node.netns.exec('ip', ['link', 'del', name.replace('mgy', 'mgb')]);
    // Nobody is told of limits that change; the next look at the interface finds it.
    node.netns.exec('ip', ['link', 'set', name, 'mtu', '1400']);
    await waitFor(() => node.network.check(endpoint).length === 0, {
      what: 'the repair',
      details: () => node.network.check(endpoint).join('\n'),
    });
    await node.stop();
    await node.start();
    await node.settled();
    expect(node.network.repair.repaired).toBe(0);
    expect((await callPlugin(env('DEL', 'a', limited.path), configuration())).status).toBe(0);
    expect(node.netns.exec('ip', ['link'])).not.toMatch(/mgb/);
  });

  test.each(['del', 'set down'])('are put right when others do this to the block: %s', async (how) => {
    await using node = await Node.start(['10.1.0.0/24']);
    using pod = node.pod();
    node.netns.exec('ip', ['address', 'add', '192.0.2.1/32', 'dev', 'lo']);
    const runtimeConfig = { bandwidth: { egressRate: RATE, egressBurst: 4e6 } };
    const env = envOf('ADD', node.socket, { id: 'a', netns: pod.path });
    expect((await callPlugin(env, configuration({ runtimeConfig }))).status).toBe(0);
    const endpoint = node.network.find('a', 'eth0')!;
    // Its making is looked at a moment later anyway.
    const { endpoints, repair } = node.network;
    await waitFor(() => endpoints.ageOf(endpoint.hostInterface) > 600 && repair.idle, {
      what: 'it to be old',
    });
    const [word, ...more] = how.split(' ');
    node.netns.exec('ip', ['link', word!, endpoint.hostInterface.replace('mgy', 'mgb'), ...more]);
    await waitFor(() => node.network.check(endpoint).length === 0, { what: 'the repair' });
    await node.netns.execAsync('ping', ['-c1', '-W5', formatAddress(endpoint.addresses[0]!)]);
  });

  test.each([
    ['the bucket of the interface deleted', 'qdisc del dev IF root'],
    [
      'the bucket of the interface changed',
      'qdisc replace dev IF root tbf rate 900mbit burst 1mb latency 50ms',
    ],
    ['the bucket of the block deleted', 'qdisc del dev BLOCK root'],
    ['what leads to the block deleted', 'filter del dev IF ingress'],
    ['all of that deleted', 'qdisc del dev IF ingress'],
  ])('are put right when others change nothing else: %s', async (_, line) => {
    await using node = await Node.start(['10.1.0.0/24']);
    using pod = node.pod();
    const bandwidth = { ingressRate: RATE, ingressBurst: 4e6, egressRate: RATE, egressBurst: 4e6 };
    const env = envOf('ADD', node.socket, { id: 'a', netns: pod.path });
    expect((await callPlugin(env, configuration({ runtimeConfig: { bandwidth } }))).status).toBe(0);
    const endpoint = node.network.find('a', 'eth0')!;
    const { endpoints, repair } = node.network;
    const { hostInterface } = endpoint;
    await waitFor(() => endpoints.ageOf(hostInterface) > 600 && repair.idle, { what: 'it to be old' });
    await node.settled();
    expect(node.network.check(endpoint)).toEqual([]);
    node.netns.exec(
      'tc',
      line.replace('IF', hostInterface).replace('BLOCK', hostInterface.replace('mgy', 'mgb')).split(' '),
    );
    expect(node.network.check(endpoint)).toEqual([expect.stringContaining('found other limits of traffic')]);
    await waitFor(() => node.network.check(endpoint).length === 0, { what: 'the repair' });
  });

  test('of blocks whose endpoint is gone are removed at start', async () => {
    await using node = await Node.start(['10.1.0.0/24']);
    await node.stop();
    node.netns.exec('ip', ['link', 'add', 'mgb123456789abc', 'type', 'ifb']);
    await node.start();
    expect(node.netns.exec('ip', ['link'])).not.toMatch(/mgb/);
  });

  test.each([
    [
      { rate: 8e6, burst: 0 },
      { rate: 1e6, burst: 131_072, limit: 181_072 },
    ],
    [
      { rate: 8e9, burst: 0 },
      { rate: 1e9, burst: 1e8, limit: 1.5e8 },
    ],
    [
      { rate: 8e6, burst: 8e5 },
      { rate: 1e6, burst: 1e5, limit: 1.5e5 },
    ],
    [
      { rate: 8e6, burst: 8 },
      { rate: 1e6, burst: 2048, limit: 52_048 },
    ],
    [
      { rate: 8e6, burst: 0x7fffffff },
      { rate: 1e6, burst: 131_072, limit: 181_072 },
    ],
    [
      { rate: 8e6, burst: 0xffffffff },
      { rate: 1e6, burst: 131_072, limit: 181_072 },
    ],
  ])('are bytes for the kernel: %o', (limit, bucket) => {
    expect(bucketOf(limit)).toEqual(bucket);
  });
});
