/**
 * `margay lab status`: the machines, daemons and pods of a running lab.
 */

import type { DaemonState } from '#lab/state.ts';
import { isUplinkUp } from '#lab/world.ts';
import { duration, type Format, paint, printData, printFields, printTable } from '../output.ts';
import type { Context } from '../program.ts';
import { endsOf, OUTSIDE, readObjects } from './cluster.ts';
import { find } from './find.ts';
import { isEstablished, neighborsOf } from './nodes.ts';

export async function labStatus(context: Context, lab: string | undefined, output: Format): Promise<void> {
  const { out } = context;
  const { state, folder, datastore } = find(lab);
  const { topology } = state;
  const nodes = await Promise.all(
    topology.nodes.map(async (node) => ({
      name: node.name,
      as: node.asn,
      addresses: node.link.map((link) => link.node),
      podCidrs: node.podCidrs,
      link: isUplinkUp(node) ? 'up' : 'down',
      sessions: (await neighborsOf(folder, node.name)).filter(isEstablished).length,
      sessionsExpected: node.link.length,
    })),
  );
  const pods = endsOf(topology, await readObjects(datastore))
    .filter(({ name }) => name !== OUTSIDE)
    .map(({ name, node, targets }) => ({
      name,
      node,
      addresses: targets[0]?.addresses ?? [],
      ports: targets.map(({ port }) => port),
    }));
  if (output !== 'table') {
    printData(out, output, {
      lab: topology.name,
      pid: state.pid,
      startedAt: new Date(state.startedAt).toISOString(),
      tor: topology.tor,
      nodes,
      daemons: state.daemons,
      pods,
    });
    return;
  }
  const now = context.now();
  printFields(out, [
    ['lab', `${topology.name}, process ${state.pid}, up ${duration((now - state.startedAt) / 1000)}`],
    ['router', `${topology.tor.kind}, AS ${topology.tor.asn}`],
    ['datastore', datastore],
  ]);
  out.write('\n');
  printTable(
    out,
    [
      { title: 'NODE', text: ({ name }) => name, style: () => 'bold' },
      { title: 'AS', text: ({ as }) => String(as), align: 'right' },
      { title: 'ADDRESS', text: ({ addresses }) => addresses.join(', ') },
      { title: 'PODS', text: ({ podCidrs }) => podCidrs.join(', '), shrink: true },
      { title: 'LINK', text: ({ link }) => link, style: ({ link }) => (link === 'up' ? 'green' : 'red') },
      {
        title: 'SESSIONS',
        text: ({ sessions, sessionsExpected }) => `${sessions} of ${sessionsExpected}`,
        style: ({ sessions, sessionsExpected }) => (sessions === sessionsExpected ? 'green' : 'red'),
      },
    ],
    nodes,
  );
  out.write('\n');
  printTable(
    out,
    [
      {
        title: 'DAEMON',
        text: ({ node, daemon }) => (node === 'tor' ? 'tor' : `${node} ${daemon}`),
        style: () => 'bold',
      },
      { title: 'PID', text: ({ pid }) => String(pid ?? '-'), align: 'right' },
      {
        title: 'UP',
        text: (d) => (d.pid === undefined ? 'down' : duration((now - d.since) / 1000)),
        align: 'right',
      },
      { title: 'RESTARTS', text: ({ restarts }) => String(restarts), align: 'right' },
      { title: 'LAST END', text: ({ lastEnd }) => lastEnd ?? '', shrink: true },
    ] satisfies Parameters<typeof printTable<DaemonState>>[1],
    state.daemons,
  );
  out.write('\n');
  if (pods.length === 0) {
    out.write(`${paint(out, 'dim', 'no pods')}\n`);
    return;
  }
  printTable(
    out,
    [
      { title: 'POD', text: ({ name }) => name, style: () => 'bold' },
      { title: 'NODE', text: ({ node }) => node },
      { title: 'ADDRESS', text: ({ addresses }) => addresses.join(', ') },
      {
        title: 'LISTENS ON',
        text: ({ ports }) => ports.map((port) => `TCP ${port}`).join(', '),
        shrink: true,
      },
    ],
    pods,
  );
}
