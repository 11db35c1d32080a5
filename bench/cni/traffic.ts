import fs from 'node:fs';
import { join } from 'node:path';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import type { Report } from '../kernel/frame.ts';
import { gigabits, listen, thousandDatagrams } from '../path/iperf.ts';
import { timePackets, type Way } from '../path/rounds.ts';
import { inTurns, type Turns } from '../path/turns.ts';
import { startServiceProxy } from './service-proxy.ts';
import { Caller, Daemons, PLUGIN } from './world.ts';

const CLIENT = '10.1.1.1';
const SERVER = '10.1.2.1';
const PORT = 9000;
const ROUNDS = 200;
const BURST = 100;
const IPERF_ROUNDS = 25;

/** Two nodes with a pod each, and a link between the nodes. */
interface Pair extends Way {
  readonly name: string;
}

/** What is measured, and by how much it may differ from its baseline. */
interface Figure {
  readonly title: string;
  readonly digits: number;
  readonly turns: Turns;
  readonly limit?: { readonly atLeast?: number; readonly atMost?: number };
}

/**
 * Pod to pod across two nodes: by routes alone and by Margay with policies in force, each on nodes without a service proxy and on
 * nodes with one.
 */
export async function measureTraffic(report: Report): Promise<void> {
  const namespaces: Netns[] = [];
  const make = (): Netns => {
    const netns = createNetns();
    namespaces.push(netns);
    return netns;
  };
  const folder = newTempFolder();
  const daemons: Daemons[] = [];
  const callers: Caller[] = [];
  try {
    const pairs: Pair[] = [
      plain('routes alone', nodes()),
      plain('service proxy', nodes(startServiceProxy)),
      await withMargay('Margay', nodes()),
      await withMargay('both', nodes(startServiceProxy)),
    ];
    print(report, pairs, await measure(pairs));
  } finally {
    for (const caller of callers) caller.close();
    for (const each of daemons) each.stop();
    for (const netns of namespaces) netns.remove();
    fs.rmSync(folder, { recursive: true, force: true });
  }

  /** @param change what is to be done to each */
  function nodes(change?: (node: Netns) => void): [Netns, Netns] {
    const [a, b] = [make(), make()];
    for (const node of [a, b]) node.sysctl('net.ipv4.ip_forward', 1);
    connect(
      { netns: a, name: 'up0', addresses: ['192.0.2.1/24'] },
      { netns: b, name: 'up0', addresses: ['192.0.2.2/24'] },
    );
    a.exec('ip', ['route', 'add', '10.1.2.0/24', 'via', '192.0.2.2']);
    b.exec('ip', ['route', 'add', '10.1.1.0/24', 'via', '192.0.2.1']);
    for (const node of [a, b]) change?.(node);
    return [a, b];
  }

  async function withMargay(name: string, [a, b]: [Netns, Netns]): Promise<Pair> {
    const pods: Netns[] = [];
    for (const [i, node] of [a, b].entries()) {
      const each = new Daemons(node, join(folder, `${name}${i + 1}`), [`10.1.${i + 1}.0/24`]);
      daemons.push(each);
      each.startPolicy(policies(), `n${i + 1}`);
      await each.startFelix();
      await each.inSync();
      const caller = new Caller(node, PLUGIN, { cniVersion: '1.0.0', name: 'pods', type: 'margay' }, folder, {
        MARGAY_CNI_SOCKET: each.socket,
      });
      callers.push(caller);
      const pod = make();
      await caller.call('ADD', [{ id: `pod${i + 1}`, netns: pod }]);
      pods.push(pod);
    }
    return { name, client: pods[0]!, server: pods[1]! };
  }

  /** The same pairs and routes, by hand. */
  function plain(name: string, [a, b]: [Netns, Netns]): Pair {
    const pods = [a, b].map((node, i) => {
      const pod = make();
      const address = `10.1.${i + 1}.1`;
      connect({ netns: node, name: 'pod0' }, { netns: pod, name: 'eth0', addresses: [`${address}/32`] });
      node.exec('ip', ['route', 'add', `${address}/32`, 'dev', 'pod0']);
      node.sysctl('net.ipv4.conf.pod0.proxy_arp', 1);
      node.exec('ip', ['route', 'add', 'default', 'dev', 'up0']);
      pod.exec('ip', ['route', 'add', '169.254.1.1', 'dev', 'eth0']);
      pod.exec('ip', ['route', 'add', 'default', 'via', '169.254.1.1']);
      return pod;
    });
    return { name, client: pods[0]!, server: pods[1]! };
  }
}

async function measure(pairs: readonly Pair[]): Promise<Figure[]> {
  for (const { client, server } of pairs) {
    await listen(server);
    await client.execAsync('ping', ['-c1', '-W5', SERVER]);
  }
  const packets = { source: CLIENT, destination: SERVER, port: PORT, rounds: ROUNDS, count: () => BURST };
  return [
    {
      title: 'TCP, Gbit/s',
      digits: 1,
      turns: await inTurns(pairs, IPERF_ROUNDS, (pair) => gigabits(pair, SERVER)),
      limit: { atLeast: 0.95 },
    },
    {
      title: 'UDP of 64 bytes, thousand/s',
      digits: 0,
      turns: await inTurns(pairs, IPERF_ROUNDS, (pair) => thousandDatagrams(pair, SERVER, 64)),
      limit: { atLeast: 0.95 },
    },
    {
      title: 'round trip between two processes, ns',
      digits: 0,
      turns: await timePackets('talk', pairs, packets),
      limit: { atMost: 1.05 },
    },
    {
      title: 'round trip without waking anybody, ns',
      digits: 0,
      turns: await timePackets('echo', pairs, packets),
    },
  ];
}

function print(report: Report, pairs: readonly Pair[], figures: readonly Figure[]): void {
  report.heading('Pod to pod across two nodes, 101 policies in force with Margay');
  const at = (name: string): number => pairs.findIndex((pair) => pair.name === name);
  const ratio = ({ title, turns, limit }: Figure, name: string, to: string): string => {
    const figure = turns.ratio(at(name), at(to));
    return limit ? report.bar(`${title}: ${name} to ${to}`, figure, limit) : figure.toFixed(2);
  };
  report.table(
    ['', ...pairs.map(({ name }) => name), 'Margay to routes alone', 'both to service proxy'],
    figures.map((figure) => [
      figure.title,
      ...pairs.map((_, i) => figure.turns.median(i).toFixed(figure.digits)),
      ratio(figure, 'Margay', 'routes alone'),
      ratio(figure, 'both', 'service proxy'),
    ]),
  );
}

/** Both pods isolated in both directions, allowed to talk to each other by their labels, among 100 other policies. */
function policies(): object[] {
  const pod = (i: number) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `pod${i}`, namespace: 'bench', labels: { app: 'talks' } },
    spec: { nodeName: `n${i}`, containers: [{ name: 'c', image: 'i' }] },
    status: { phase: 'Running', podIP: `10.1.${i}.1`, podIPs: [{ ip: `10.1.${i}.1` }] },
  });
  const peers = [{ podSelector: { matchLabels: { app: 'talks' } } }];
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bench' } },
    pod(1),
    pod(2),
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'talk', namespace: 'bench' },
      spec: {
        podSelector: { matchLabels: { app: 'talks' } },
        policyTypes: ['Ingress', 'Egress'],
        ingress: [{ from: peers }],
        egress: [{ to: peers }],
      },
    },
    ...Array.from({ length: 100 }, (_, i) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `p${i}`, namespace: 'bench' },
      spec: {
        podSelector: {},
        policyTypes: ['Ingress'],
        ingress: [
          { from: [{ ipBlock: { cidr: `198.51.${i}.0/24` } }], ports: [{ protocol: 'TCP', port: 8000 + i }] },
        ],
      },
    })),
  ];
}
