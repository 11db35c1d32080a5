import { pino } from 'pino';
import { agentSink } from '#cli/policy/ruleset.ts';
import { parseAddress } from '#datastore/address.ts';
import type { Resource } from '#datastore/resource.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { median, type Report, type Section } from '../kernel/frame.ts';
import { CLIENT, CLIENT_INTERFACE, Lane, SERVER, SERVER_INTERFACE } from './lane.ts';
import { labelledPod, policyFor } from './objects.ts';

const COUNTS = [0, 1, 10, 100, 1_000, 10_000];
const PORT = 9000;
const PACKETS = 40_000;
/** A rule each takes so long with many that fewer packets have to do. */
const FEW_PACKETS = 2_000;
const ROUNDS = 7;

interface Contender {
  readonly name: string;
  readonly policies: number;
  readonly lane: Lane;
  readonly close: () => void;
}

/** Time for each packet with so many policies on the pod, beside a rule for each policy, and beside nothing. */
export const packets: Section = {
  name: 'packets',
  async run(report: Report): Promise<void> {
    const contenders: Contender[] = [];
    try {
      contenders.push(await nothing());
      for (const count of COUNTS) {
        contenders.push(await compiled(count));
        if (count > 0) contenders.push(await rulePerPolicy(count));
      }
      const taken = new Map(contenders.map((one) => [one, { same: [] as number[], new: [] as number[] }]));
      for (let round = 0; round < ROUNDS; round++) {
        for (let turn = 0; turn < contenders.length; turn++) {
          const one = contenders[(round + turn) % contenders.length]!;
          for (const mode of ['same', 'new'] as const) {
            taken
              .get(one)!
              [mode].push(
                await one.lane.send(
                  PORT,
                  one.name === 'rules' && one.policies >= 1_000 ? FEW_PACKETS : PACKETS,
                  mode,
                ),
              );
          }
        }
      }
      print(report, contenders, (one, mode) => median(taken.get(one)![mode]));
    } finally {
      for (const { close, lane } of contenders) {
        close();
        lane[Symbol.dispose]();
      }
    }
  },
};

function print(
  report: Report,
  contenders: Contender[],
  figure: (one: Contender, mode: 'same' | 'new') => number,
): void {
  report.heading('Time for each packet, µs: of an established connection, and of one that begins');
  const of = (name: string, policies: number) =>
    contenders.find((one) => one.name === name && one.policies === policies);
  const us = (one: Contender | undefined, mode: 'same' | 'new'): string =>
    one ? (figure(one, mode) / 1000).toFixed(2) : '';
  const empty = of('nothing', 0)!;
  const none = of('margay', 0)!;
  const single = of('margay', 1)!;
  const rows = COUNTS.map((count) => {
    const ours = of('margay', count)!;
    const rules = of('rules', count);
    const established = us(ours, 'same');
    if (count > 0) {
      report.bar(
        `established, ${count} policies, against none`,
        figure(ours, 'same') / figure(none, 'same'),
        { atMost: 1.1 },
      );
    }
    if (count > 1) {
      report.bar(`new, ${count} policies, against one`, figure(ours, 'new') / figure(single, 'new'), {
        atMost: 1.1,
      });
    }
    return [String(count), established, us(ours, 'new'), us(rules, 'same'), us(rules, 'new')];
  });
  report.table(['policies on the pod', 'established', 'new', 'rule each: established', 'new'], rows);
  report.note(`  no ruleset at all: ${us(empty, 'same')}, ${us(empty, 'new')} (nothing is tracked)`);
}

async function nothing(): Promise<Contender> {
  const lane = new Lane();
  await lane.listen(PORT);
  return { name: 'nothing', policies: 0, lane, close: () => {} };
}

async function compiled(count: number): Promise<Contender> {
  const lane = new Lane();
  await lane.listen(PORT);
  const dataplane = new NftablesDataplane({
    settings: DEFAULT_SETTINGS,
    log: pino({ level: 'silent' }),
    namespace: lane.namespace,
  });
  const resources: Resource[] = [
    labelledPod('client', 'n1', CLIENT, { peer: `peer-${count - 1}` }),
    labelledPod('server', 'n1', SERVER, { app: 'server' }),
    // Each policy is about a peer of its own; a class without addresses would not exist.
    ...Array.from({ length: Math.max(0, count - 1) }, (_, i) =>
      labelledPod(`peer-${i}`, 'n2', `10.1.${i >> 8}.${i & 255}`, { peer: `peer-${i}` }),
    ),
    ...Array.from({ length: count }, (_, i) => policyFor(i, PORT)),
  ];
  const compiler = new Compiler();
  compiler.apply(resources.map((resource) => ({ type: 'put', resource })));
  compiler.flush();
  dataplane.setEndpoint({
    pod: 'shop/client',
    interface: CLIENT_INTERFACE,
    addresses: [parseAddress(CLIENT)!],
    hostPorts: [],
  });
  dataplane.setEndpoint({
    pod: 'shop/server',
    interface: SERVER_INTERFACE,
    addresses: [parseAddress(SERVER)!],
    hostPorts: [],
  });
  compiler.open('n1', agentSink(dataplane.programs, compiler));
  await dataplane.applied([], AbortSignal.timeout(60_000));
  return { name: 'margay', policies: count, lane, close: () => dataplane.close() };
}

/** The same by a chain for the pod with a set and a rule for each policy, as a translation one to one would have it. */
async function rulePerPolicy(count: number): Promise<Contender> {
  const lane = new Lane();
  await lane.listen(PORT);
  const peer = (i: number) => (i === count - 1 ? CLIENT : `10.1.${i >> 8}.${i & 255}`);
  const policies = Array.from({ length: count }, (_, i) => i);
  lane.router.exec('nft', ['-f', '-'], {
    input: `table inet rules {
${policies.map((i) => `set peer${i} { type ipv4_addr; elements = { ${peer(i)} } }`).join('\n')}
chain pod {
${policies.map((i) => `ip saddr @peer${i} udp dport ${PORT} accept`).join('\n')}
drop
}
chain source { iifname . ip saddr { ${CLIENT_INTERFACE} . ${CLIENT}, ${SERVER_INTERFACE} . ${SERVER} } accept; drop; }
chain raw { type filter hook prerouting priority raw; iifname "mgy*" goto source; }
chain forward {
type filter hook forward priority 10;
ct state vmap { established : accept, related : accept, invalid : drop }
oifname "${SERVER_INTERFACE}" jump pod
}
}`,
  });
  return { name: 'rules', policies: count, lane, close: () => {} };
}
