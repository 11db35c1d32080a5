import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { familyOf, formatAddress } from '#datastore/address.ts';
import { bind, close, ifNametoindex, send, socket } from '#kernel/sys/libc.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { Cluster } from '#policy/evaluator/cluster.ts';
import { evaluate } from '#policy/evaluator/evaluate.ts';
import type { Traffic } from '#policy/evaluator/traffic.ts';
import { compileResources } from '#policy/review/compile.ts';
import { renderRuleset } from '#policy/review/ruleset.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';
import { requires } from '#test/helpers/requires.ts';
import { runs } from '#test/helpers/runs.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { addressesOf, anyCluster, pairsOf, resourcesOf, TRAFFIC, withYaml } from './clusters.ts';
import { trafficAt } from './compiled.ts';
import { frameOf, type Packet } from './packets.ts';

/*
 * One namespace forwards for all nodes of a generated cluster, with the printed rulesets of all of them; another one
 * sends the first packets of all connections, under the addresses of all pods. What comes into the forward hook is noted
 * before the rulesets, and again after them, where it ends.
 */

const RECORDER = `
table inet recorder {
  set came4 { typeof ip id; size 65535; flags dynamic; }
  set came6 { typeof ip6 flowlabel; size 65535; flags dynamic; }
  set passed4 { typeof ip id; size 65535; flags dynamic; }
  set passed6 { typeof ip6 flowlabel; size 65535; flags dynamic; }
  chain before {
    type filter hook forward priority filter - 10;
    meta protocol ip add @came4 { ip id }
    meta protocol ip6 add @came6 { ip6 flowlabel }
  }
  chain after {
    type filter hook forward priority filter + 10; policy drop;
    meta protocol ip add @passed4 { ip id }
    meta protocol ip6 add @passed6 { ip6 flowlabel }
  }
}
`;

let router: Netns;
let world: Netns;
let fd: number;
let macs: readonly [Uint8Array, Uint8Array];

beforeEach((ctx) => requires(ctx, 'tool:nft', 'kernel:conntrack'));

beforeAll(() => {
  router = createNetns();
  world = createNetns();
  const [inside, outside] = connect(
    { netns: router, addresses: ['192.168.255.1/24', 'fdff::1/64'] },
    { netns: world },
  );
  for (const key of ['ipv4.ip_forward', 'ipv6.conf.all.forwarding']) router.sysctl(`net.${key}`, 1);
  // Packets come without checksums of their own.
  router.sysctl('net.netfilter.nf_conntrack_checksum', 0);
  for (const scope of ['all', inside]) {
    router.sysctl(`net.ipv4.conf.${scope}.rp_filter`, 0);
    router.sysctl(`net.ipv4.conf.${scope}.send_redirects`, 0);
  }
  router.exec('ip', ['route', 'add', 'default', 'via', '192.168.255.2', 'dev', inside]);
  router.exec('ip', ['route', 'add', 'default', 'via', 'fdff::2', 'dev', inside]);
  const macOf = (netns: Netns, link: string) => {
    const [{ address }] = netns.ip('link', 'show', link) as [{ address: string }];
    return Uint8Array.from(address.split(':'), (part) => Number.parseInt(part, 16));
  };
  macs = [macOf(router, inside), macOf(world, outside)];
  using namespace = NetworkNamespace.open(world.path);
  fd = namespace.run(() => {
    const made = socket(AF_PACKET, SOCK_RAW, 0);
    const address = new Uint8Array(20); // struct sockaddr_ll
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setInt32(4, ifNametoindex(outside), true);
    bind(made, address);
    return made;
  });
});

const AF_PACKET = 17;
const SOCK_RAW = 3;

afterAll(() => {
  if (fd !== undefined) close(fd);
  for (const ns of [router, world]) ns?.remove();
});

/** Numbers of the packets that a set of the recorder has. */
function noted(set: string): Set<number> {
  const items = router.nft('list', 'set', 'inet', 'recorder', set) as { set?: { elem?: number[] } }[];
  return new Set(items.flatMap((item) => item.set?.elem ?? []));
}

async function passing(packets: readonly Packet[]): Promise<Set<number>> {
  router.exec('nft', ['-f', '-'], {
    input: `table inet recorder {}\ndelete table inet recorder\n${RECORDER}`,
  });
  await waitFor(
    () => {
      const came = { 4: noted('came4'), 6: noted('came6') };
      const missing = packets.filter(({ source, number }) => !came[familyOf(source)].has(number));
      for (const packet of missing) {
        const frame = frameOf(packet, ...macs);
        send(fd, frame, frame.length, 0);
      }
      return missing.length === 0;
    },
    { what: 'all packets to come through', timeout: 60_000 },
  );
  const passed = { 4: noted('passed4'), 6: noted('passed6') };
  return new Set(
    packets.filter(({ source, number }) => passed[familyOf(source)].has(number)).map(({ number }) => number),
  );
}

/** What a node looks at: what it forwards, and not what is between it and its own pods. */
function isForwarded({ source, destination }: Traffic): boolean {
  const isOwn = (one: typeof source, two: typeof source) =>
    one.kind === 'node' && two.kind === 'pod' && two.pod.nodeName === one.node;
  return !isOwn(source, destination) && !isOwn(destination, source);
}

test('for generated clusters, packets pass the printed rulesets as the reference evaluator says', async () => {
  await fc.assert(
    fc.asyncProperty(withYaml(anyCluster), async (manifests) => {
      const resources = resourcesOf(manifests);
      const { programs } = compileResources(resources);
      const rulesets = [...programs.values()].map((program, i) =>
        renderRuleset(program, { table: `node${i}` }),
      );
      router.exec('nft', ['-f', '-'], { input: rulesets.join('\n') });
      const cluster = new Cluster(resources);
      const probes = pairsOf(addressesOf(resources))
        .flatMap(([from, to]) => TRAFFIC.map((what) => trafficAt(cluster, from, to, what)))
        .filter(isForwarded)
        .map((traffic, number) => {
          const { protocol, port, source, destination } = traffic;
          const ends = { source: source.address!, destination: destination.address! };
          return { packet: { protocol, port, number, ...ends }, allowed: evaluate(cluster, traffic).allowed };
        });
      const passed = await passing(probes.map(({ packet }) => packet));
      const wrong = probes
        .filter(({ packet, allowed }) => passed.has(packet.number) !== allowed)
        .map(
          ({ packet: { source, destination, protocol, port }, allowed }) =>
            `${formatAddress(source)} > ${formatAddress(destination)} ${protocol}/${port} should be ${allowed}`,
        );
      router.exec('nft', ['-f', '-'], {
        input: rulesets.map((_, i) => `delete table inet node${i}`).join('\n'),
      });
      expect(wrong).toEqual([]);
    }),
    { numRuns: runs(15) },
  );
}, 120_000);
