/*
 * The node agent and its plugin beside Debian's `ptp` with `host-local`: ADD and DEL alone and thirty at once on a node with 250
 * pods, ours with 100 policies in force; memory; ready after a restart; pod to pod across two nodes beside plain routing.
 *
 *     npm run bench:cni
 */
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { bundle } from '#cli/image/bundle.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { Report } from '../kernel/frame.ts';
import { measureChurn } from './churn.ts';
import { measureTraffic } from './traffic.ts';
import { BUNDLE, Caller, type Container, Daemons, makeContainers, median, objects, PLUGIN } from './world.ts';

const PODS = 250;
const AT_ONCE = 30;
const ROUNDS = 3;

const only = process.argv[2];

/** Nothing else is to run meanwhile; where that is not so, this makes the scheduler prefer us. */
function hurry(): void {
  try {
    os.setPriority(-19);
  } catch {
    console.log('(not at the highest priority: not root)');
  }
}

async function latencies(
  caller: Caller,
  alone: readonly Container[],
  round: Record<string, number[]>,
): Promise<void> {
  for (const container of alone) {
    for (const command of ['ADD', 'DEL'] as const)
      round[`${command} alone`]!.push(...(await caller.call(command, [container])));
  }
  for (const command of ['ADD', 'DEL'] as const) {
    const ms = await caller.call(command, alone);
    round[`${command}, ${AT_ONCE} at once`]!.push(...ms);
    round[`${AT_ONCE} ${command}, the last`]!.push(Math.max(...ms));
  }
}

const emptyRound = (): Record<string, number[]> => ({
  'ADD alone': [],
  'DEL alone': [],
  [`ADD, ${AT_ONCE} at once`]: [],
  [`DEL, ${AT_ONCE} at once`]: [],
  [`${AT_ONCE} ADD, the last`]: [],
  [`${AT_ONCE} DEL, the last`]: [],
});

async function pods(): Promise<void> {
  const folder = newTempFolder();
  const ours = createNetns();
  const theirs = createNetns();
  for (const node of [ours, theirs])
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) node.sysctl(key, 1);
  const resident = [makeContainers('m', PODS), makeContainers('p', PODS)] as const;
  const fresh = [makeContainers('x', AT_ONCE), makeContainers('y', AT_ONCE)] as const;
  const daemons = new Daemons(ours, folder, ['10.1.0.0/22']);
  const margay = new Caller(ours, PLUGIN, { cniVersion: '1.0.0', name: 'pods', type: 'margay' }, folder, {
    MARGAY_CNI_SOCKET: daemons.socket,
  });
  const ptp = new Caller(
    theirs,
    '/usr/lib/cni/ptp',
    {
      cniVersion: '1.0.0',
      name: 'ptp',
      type: 'ptp',
      ipam: {
        type: 'host-local',
        ranges: [[{ subnet: '10.2.0.0/22' }]],
        routes: [{ dst: '0.0.0.0/0' }],
        dataDir: join(folder, 'ptp'),
      },
    },
    folder,
  );
  try {
    daemons.startPolicy(
      objects(
        [...resident[0], ...fresh[0]].map(({ id }) => id),
        100,
      ),
    );
    await daemons.startFelix();
    await daemons.inSync();
    const idle = daemons.memory();
    for (const [i, caller] of [margay, ptp].entries())
      for (let at = 0; at < PODS; at += 25) await caller.call('ADD', resident[i]!.slice(at, at + 25));
    const [a, b] = [emptyRound(), emptyRound()];
    for (let round = 0; round < ROUNDS; round++) {
      await latencies(margay, fresh[0], a);
      await latencies(ptp, fresh[1], b);
    }
    console.log(`\nmedian in ms, ${PODS} pods on the node   margay   ptp + host-local   ratio`);
    for (const name of Object.keys(a)) {
      const [x, y] = [median(a[name]!), median(b[name]!)];
      console.log(
        `${name.padEnd(38)}${x.toFixed(1).padStart(8)}${y.toFixed(1).padStart(19)}${(x / y).toFixed(2).padStart(8)}`,
      );
    }
    const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
    console.log(
      `memory of felix: ${mib(idle)} MiB without pods, ${mib(daemons.memory())} MiB with ${PODS}, after all of this`,
    );
    const ready: number[] = [];
    for (let i = 0; i < 5; i++) {
      await daemons.killFelix();
      ready.push(await daemons.startFelix());
    }
    console.log(
      `ready after kill -9, with ${PODS} pods: ${median(ready).toFixed(0)} ms from the start of the process`,
    );
    await daemons.inSync();
    console.log(`memory after the restart: ${mib(daemons.memory())} MiB`);
  } finally {
    margay.close();
    ptp.close();
    daemons.stop();
    for (const { netns } of [...resident.flat(), ...fresh.flat()]) netns.remove();
    ours.remove();
    theirs.remove();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

hurry();
await bundle(BUNDLE);
if (only === undefined || only === 'pods') await pods();
// Takes minutes, and is asked for by name.
if (only === 'churn') await measureChurn();
if (only === undefined || only === 'traffic') {
  const report = new Report();
  await measureTraffic(report);
  if (!report.finish()) process.exitCode = 1;
}
