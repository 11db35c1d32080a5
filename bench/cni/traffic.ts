import fs from 'node:fs';
import { join } from 'node:path';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Caller, Daemons, median, PLUGIN } from './world.ts';

const ROUNDS = 5;
const SECONDS = 2;

/** Two nodes with a pod each, and a link between the nodes. */
interface Pair {
  readonly name: string;
  readonly from: Netns;
  readonly to: Netns;
  readonly address: string;
}

/** Pod to pod across two nodes: by Margay with policies in force, and by routes alone. In turns; medians. */
export async function measureTraffic(): Promise<void> {
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
    const pairs: Pair[] = [await withMargay(), plain()];
    const results = pairs.map(() => ({ tcp: [] as number[], udp: [] as number[], rtt: [] as number[] }));
    for (const { from, to, address } of pairs) {
      to.spawn('iperf3', ['-s'], { stdio: 'ignore' });
      await waitFor(() => to.execAsync('sh', ['-c', 'ss -tln | grep -q :5201']).then(() => true), {
        what: 'iperf3',
      });
      await from.execAsync('ping', ['-c1', '-W5', address]);
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, { from, address }] of pairs.entries()) {
        const iperf = async (...args: string[]) =>
          JSON.parse(await from.execAsync('iperf3', ['-J', '-c', address, '-t', String(SECONDS), ...args]))
            .end;
        results[i]!.tcp.push((await iperf()).sum_received.bits_per_second / 1e9);
        const udp = (await iperf('-u', '-b', '0', '-l', '64')).sum;
        results[i]!.udp.push((udp.packets - udp.lost_packets) / udp.seconds / 1000);
        const ping = await from.execAsync('ping', ['-q', '-i', '0.001', '-c', '1000', address]);
        results[i]!.rtt.push(1000 * Number(/= [\d.]+\/([\d.]+)\//.exec(ping)![1]));
      }
    }
    console.log(
      `\npod to pod across two nodes   ${pairs.map(({ name }) => name.padStart(14)).join('')}   ratio`,
    );
    for (const [key, title, digits] of [
      ['tcp', 'TCP, Gbit/s', 1],
      ['udp', 'UDP of 64 bytes, thousand/s', 0],
      ['rtt', 'round trip, microseconds', 0],
    ] as const) {
      const values = results.map((each) => median(each[key]));
      const shown = values.map((value) => value.toFixed(digits).padStart(14)).join('');
      console.log(`${title.padEnd(30)}${shown}${(values[0]! / values[1]!).toFixed(2).padStart(8)}`);
    }
  } finally {
    for (const caller of callers) caller.close();
    for (const each of daemons) each.stop();
    for (const netns of namespaces) netns.remove();
    fs.rmSync(folder, { recursive: true, force: true });
  }

  function nodes(): [Netns, Netns] {
    const [a, b] = [make(), make()];
    for (const node of [a, b]) node.sysctl('net.ipv4.ip_forward', 1);
    connect(
      { netns: a, name: 'up0', addresses: ['192.0.2.1/24'] },
      { netns: b, name: 'up0', addresses: ['192.0.2.2/24'] },
    );
    a.exec('ip', ['route', 'add', '10.1.2.0/24', 'via', '192.0.2.2']);
    b.exec('ip', ['route', 'add', '10.1.1.0/24', 'via', '192.0.2.1']);
    return [a, b];
  }

  async function withMargay(): Promise<Pair> {
    const pods: Netns[] = [];
    for (const [i, node] of nodes().entries()) {
      const each = new Daemons(node, join(folder, `n${i + 1}`), [`10.1.${i + 1}.0/24`]);
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
    return { name: 'with policies', from: pods[0]!, to: pods[1]!, address: '10.1.2.1' };
  }

  /** The same pairs and routes, by hand. */
  function plain(): Pair {
    const pods = nodes().map((node, i) => {
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
    return { name: 'routes alone', from: pods[0]!, to: pods[1]!, address: '10.1.2.1' };
  }
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
