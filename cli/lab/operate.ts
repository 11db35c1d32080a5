/**
 * What one does to the machines of a running lab.
 */

import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownerOf } from '#lab/claim.ts';
import { toolEnvironment } from '#lab/command.ts';
import { lastLines } from '#lab/daemon.ts';
import { entriesOf, NETNS_FOLDER, startTime } from '#lab/leftovers.ts';
import { nodeEnvironment, nodeFiles } from '#lab/node-config.ts';
import type { DaemonState, LabState, RunningLab } from '#lab/state.ts';
import { toolsOf } from '#lab/tools.ts';
import { type NodePlace, namespacePrefix, podNamespace } from '#lab/topology.ts';
import { waitFor } from '#lab/wait.ts';
import { isUplinkUp, setUplink } from '#lab/world.ts';
import { type Format, printAnswer } from '../output.ts';
import { CliError, type Context } from '../program.ts';
import { choose, find } from './find.ts';

/** Ends a lab, also one that is just starting. */
export async function labDown({ out }: Context, lab: string | undefined, output: Format): Promise<void> {
  const name = choose(lab);
  const pid = ownerOf(name);
  if (pid !== undefined) process.kill(pid, 'SIGTERM');
  await waitFor(() => ownerOf(name) === undefined, {
    what: `the end of lab ${name}, process ${pid}`,
    timeout: 60_000,
  });
  printAnswer(out, output, { lab: name, done: 'gone' }, `lab ${name} is gone`);
}

/** Runs a command in a pod, on a node or on the router, with this terminal. Its exit status is ours. */
export async function execIn(
  { signal }: Context,
  lab: string | undefined,
  place: string,
  words: readonly string[],
): Promise<void> {
  const { state, folder } = find(lab);
  const netns = namespaceFor(state, place);
  const isMachine = place === 'tor' || state.topology.nodes.some(({ name }) => name === place);
  const [command, ...args] = words.length > 0 ? words : [process.env.SHELL ?? '/bin/sh'];
  const child = spawn('nsenter', [`--net=${NETNS_FOLDER}/${netns}`, '--', command!, ...args], {
    stdio: 'inherit',
    // The language is that of whoever looks at it.
    env: {
      ...process.env,
      MARGAY_LAB: state.topology.name,
      PATH: `${toolsOf(folder)}:${toolEnvironment().PATH}`,
      ...(isMachine ? nodeEnvironment(nodeFiles(folder, place)) : {}),
    },
  });
  // Ctrl-C is for the command, which has it from the terminal already; of the end of this process it must be told.
  const end = (): void => void child.kill('SIGTERM');
  process.on('SIGTERM', end);
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, name) => resolve(code ?? 128 + constants.signals[name!]));
  }).finally(() => process.off('SIGTERM', end));
  if (status !== 0 && !signal.aborted) throw new CliError('', status);
}

export function setLink(
  { out }: Context,
  lab: string | undefined,
  { direction, node, output }: { direction: 'down' | 'up'; node: string; output: Format },
): void {
  const place = nodeOf(find(lab), node);
  const changed = isUplinkUp(place) !== (direction === 'up');
  setUplink(place, direction === 'up');
  const text = `link of ${node} is ${direction}${changed ? '' : ' already'}`;
  printAnswer(out, output, { node, link: direction, changed }, text);
}

/** Kills a daemon and waits until the lab has started it again. */
export async function killDaemon(
  { out }: Context,
  lab: string | undefined,
  { node, daemon, output }: { node: string; daemon: string; output: Format },
): Promise<void> {
  const { pid, start } = daemonOf(find(lab).state, node, daemon);
  if (pid === undefined || startTime(pid) !== start)
    throw new CliError(`${daemon} of ${node} is down just now`);
  process.kill(pid, 'SIGKILL');
  const next = await waitFor(
    () =>
      find(lab).state.daemons.find(
        (candidate) =>
          candidate.node === node &&
          candidate.daemon === daemon &&
          candidate.pid !== undefined &&
          candidate.pid !== pid,
      ),
    { what: `a new ${daemon} on ${node}`, timeout: 60_000 },
  );
  const text = `killed ${daemon} of ${node}, process ${pid}; it runs again as process ${next.pid}`;
  printAnswer(out, output, { node, daemon, killed: pid, pid: next.pid }, text);
}

/** Prints the end of a daemon's log, and what comes after it. */
export async function showLog(
  { out, signal }: Context,
  lab: string | undefined,
  node: string,
  daemon: string,
  { lines, follow }: { readonly lines: number; readonly follow: boolean },
): Promise<void> {
  const { state } = find(lab);
  const { log } = daemonOf(state, node, daemon);
  let seen = 0;
  let size = -1;
  const more = (): string[] => {
    const before = size;
    size = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    if (size === before) return [];
    const all = lastLines(log, Number.POSITIVE_INFINITY);
    // It starts anew when it has become too long.
    const fresh = all.slice(all.length < seen ? 0 : seen);
    seen = all.length;
    return fresh;
  };
  for (const line of more().slice(lines === 0 ? Number.POSITIVE_INFINITY : -lines)) out.write(`${line}\n`);
  while (follow && !signal.aborted) {
    await sleep(200, undefined, { signal }).catch(() => {});
    for (const line of more()) out.write(`${line}\n`);
  }
}

/** @throws CliError when there is none */
function daemonOf({ daemons }: LabState, node: string, daemon: string): DaemonState {
  const at = daemons.filter((candidate) => candidate.node === node);
  if (at.length === 0) {
    const nodes = [...new Set(daemons.map((candidate) => candidate.node))];
    throw new CliError(`no node ${node}; there are ${nodes.join(', ')}`);
  }
  const found = at.find((candidate) => candidate.daemon === daemon);
  if (found !== undefined) return found;
  const there = at.map((candidate) => candidate.daemon).join(', ');
  throw new CliError(`${node} has no ${daemon}; it has ${there}`);
}

/** The namespace of `tor`, a node, `NAMESPACE/POD`, or `POD` in namespace default. */
function namespaceFor(state: LabState, place: string): string {
  const { topology } = state;
  if (place === 'tor') return topology.tor.netns;
  const node = topology.nodes.find(({ name }) => name === place);
  if (node !== undefined) return node.netns;
  const [namespace, pod] = place.includes('/') ? place.split('/') : ['default', place];
  const netns = podNamespace(topology.name, namespace!, pod!);
  if (existsSync(`${NETNS_FOLDER}/${netns}`)) return netns;
  const namesakes = place.includes('/') ? [] : podsCalled(topology.name, pod!);
  throw new CliError(
    namesakes.length > 0
      ? `no pod ${namespace}/${pod}; expected one of ${namesakes.join(', ')}`
      : `no pod ${namespace}/${pod}, and no node of this name; margay lab status lists what there is`,
  );
}

/** Pods of this name, in whatever namespace, as `NAMESPACE/POD`. */
function podsCalled(lab: string, pod: string): string[] {
  const front = `${namespacePrefix(lab)}pod.`;
  return entriesOf(NETNS_FOLDER)
    .filter((name) => name.startsWith(front))
    .map((name) => name.slice(front.length).replace('.', '/'))
    .filter((name) => name.endsWith(`/${pod}`))
    .sort();
}

function nodeOf({ state }: RunningLab, name: string): NodePlace {
  const { nodes } = state.topology;
  const node = nodes.find((candidate) => candidate.name === name);
  if (node !== undefined) return node;
  throw new CliError(`no node ${name}; there are ${nodes.map((candidate) => candidate.name).join(', ')}`);
}
