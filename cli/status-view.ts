/**
 * How `margay status` looks: a screen for people.
 */

import type { margay as bgp } from '#proto/generated/bgp.js';
import type { margay as felix } from '#proto/generated/felix.js';
import type { margay as policy } from '#proto/generated/policy.js';
import { neighborTable } from './bgp-view.ts';
import {
  bytes,
  duration,
  paint,
  printFields,
  printTable,
  type Style,
  type Terminal,
  wrap,
} from './output.ts';

export const DAEMONS = ['bgp', 'policy', 'felix'] as const;

export type DaemonName = (typeof DAEMONS)[number];

/** What the daemons of a node say; of each, either its answer or why there is none. */
export interface NodeStatus {
  readonly bgp: Answer<{
    readonly status: bgp.bgp.v1.IStatus;
    readonly neighbors: readonly bgp.bgp.v1.INeighbor[];
  }>;
  readonly policy: Answer<policy.policy.v1.IStatus>;
  readonly felix: Answer<{
    readonly status: felix.felix.v1.IStatus;
    readonly endpoints: readonly felix.felix.v1.IEndpoint[];
  }>;
}

export interface Answer<T> {
  readonly answer?: T;
  readonly missing?: string;
}

/** Sessions and errors that are shown at most. */
const MOST_SESSIONS = 10;
const MOST_ERRORS = 10;

/** @param now ms since 1970 */
export function printStatus(out: Terminal, node: NodeStatus, now: number): void {
  const { bgp, policy, felix } = node;
  const name = felix.answer?.status.node || bgp.answer?.status.cluster?.node || '';
  const speaker = bgp.answer?.status;
  const ago = (at: number | null | undefined): string => duration(now / 1000 - (at ?? 0));
  printFields(out, [
    ['node', name],
    ['BGP', speaker && `AS ${speaker.localAs}, router id ${speaker.routerId}`],
  ]);
  if (name !== '' || speaker !== undefined) out.write('\n');

  out.write(`${paint(out, 'bold', 'Daemons')}\n`);
  const lines: readonly (readonly [DaemonName, Alive | undefined])[] = [
    ['bgp', speaker && { ...pick(speaker), memory: speaker.memoryBytes }],
    ['policy', policy.answer && { ...pick(policy.answer), memory: policy.answer.memory }],
    ['felix', felix.answer && { ...pick(felix.answer.status), memory: felix.answer.status.memory }],
  ];
  for (const [daemon, alive] of lines) {
    const text =
      alive === undefined
        ? paint(out, 'red', `not there: ${node[daemon].missing}`)
        : `up ${ago(alive.startedAt)}, version ${alive.version}, ${bytes(alive.memory ?? 0)}`;
    line(out, `  ${daemon.padEnd(6)}  ${text}`, 10);
  }

  if (bgp.answer !== undefined) printBgp(out, bgp.answer, now);
  if (felix.answer !== undefined) printPods(out, felix.answer);
  if (felix.answer !== undefined || policy.answer !== undefined) printPolicy(out, node, ago);

  if (lines.every(([, alive]) => alive === undefined)) {
    out.write('\n');
    line(
      out,
      'This is no node of Margay. A node of the lab shows itself by: margay lab exec n1 -- margay status',
      2,
    );
    return;
  }
  const errors = errorsOf(node);
  head(out, 'Errors');
  if (errors.length === 0) out.write(`  ${paint(out, 'green', 'none')}\n`);
  for (const error of errors.slice(0, MOST_ERRORS)) line(out, `  ${error}`, 4, 'red');
  more(out, errors.length, MOST_ERRORS);
}

interface Alive {
  readonly version?: string | null | undefined;
  readonly startedAt?: number | null | undefined;
  readonly memory?: number | null | undefined;
}

function pick({ version, startedAt }: Alive): Alive {
  return { version, startedAt };
}

function printBgp(out: Terminal, answer: NonNullable<NodeStatus['bgp']['answer']>, now: number): void {
  const { status, neighbors } = answer;
  const up = status.neighborsEstablished ?? 0;
  const all = status.neighbors ?? 0;
  head(out, 'Sessions', `${up} of ${all} established`, up === all ? 'green' : 'red');
  printTable(indented(out), neighborTable(now), neighbors.slice(0, MOST_SESSIONS));
  more(out, neighbors.length, MOST_SESSIONS);
  const { kernel } = status;
  head(
    out,
    'Routes',
    kernel?.enabled
      ? `${kernel.routes ?? 0} in the kernel, ${kernel.repaired ?? 0} put back, ${kernel.refused ?? 0} refused`
      : 'not put into the kernel',
  );
  for (const { family, prefixes, paths, originated } of status.families ?? []) {
    out.write(
      `  ${family === 2 ? 'IPv6' : 'IPv4'}  ${prefixes ?? 0} prefixes, ${paths ?? 0} paths, ${originated ?? 0} of our own\n`,
    );
  }
}

function printPods(out: Terminal, { endpoints }: NonNullable<NodeStatus['felix']['answer']>): void {
  const closed = endpoints.filter(({ known, problem }) => !known || problem).length;
  const isolated = endpoints.filter((each) => each.ingressIsolated || each.egressIsolated).length;
  head(
    out,
    'Pods',
    `${endpoints.length} on this node, ${isolated} isolated by policies, ${closed} closed for want of policy`,
    closed > 0 ? 'red' : undefined,
  );
}

function printPolicy(
  out: Terminal,
  { policy, felix }: NodeStatus,
  ago: (at: number | null | undefined) => string,
): void {
  const { policy: link, dataplane } = felix.answer?.status ?? {};
  const inSync = dataplane?.inSync === true && link?.connected === true;
  head(
    out,
    'Policy',
    felix.answer === undefined
      ? 'what is in the kernel stays in force, and nothing new comes'
      : inSync
        ? `in sync for ${ago(link?.inSyncSince)}`
        : 'not in sync: what was in the kernel stays in force',
    inSync ? 'green' : 'red',
  );
  if (policy.answer !== undefined) {
    const objects = (policy.answer.objects ?? []).map(({ kind, count }) => `${kind} ${count}`).join(', ');
    line(out, `  ${objects || 'no objects'}`, 4);
  }
  if (dataplane) {
    const { chains, rules, elements, repairs } = dataplane;
    line(
      out,
      `  ${chains ?? 0} chains, ${rules ?? 0} rules, ${elements ?? 0} elements in the kernel; put right ${repairs ?? 0} times`,
      4,
    );
  }
}

/** All that the daemons complain of, the gravest first. */
function errorsOf(node: NodeStatus): string[] {
  const { bgp, policy, felix } = node;
  const speaker = bgp.answer?.status;
  const agent = felix.answer?.status;
  const text = (from: string, what: string | null | undefined): string[] =>
    what ? [`${from}: ${what}`] : [];
  return [
    ...DAEMONS.filter((name) => node[name].answer === undefined).map((name) => `${name}: does not answer`),
    ...text('felix waits', agent?.waitsFor),
    ...(agent?.problems ?? []).map(({ object, text }) => `felix: ${object}: ${text}`),
    ...(agent?.policy?.connected ? [] : text('felix, policy engine', agent?.policy?.lastError)),
    ...(policy.answer?.problems ?? []).map((problem) => `policy: ${problem}`),
    ...text('bgp', speaker?.cluster?.waitsFor),
    ...(speaker?.cluster?.problems ?? []).map((problem) => `bgp: ${problem}`),
    ...text('bgp, configuration', speaker?.configError),
    ...text('bgp, kernel', speaker?.kernel?.lastError),
    ...(bgp.answer?.neighbors ?? [])
      .filter(({ state, enabled }) => state !== ESTABLISHED && enabled !== false)
      .flatMap(({ address, lastError }) => text(`bgp, neighbour ${address}`, lastError)),
  ];
}

/** SessionState of bgp.proto. */
const ESTABLISHED = 6;

function head(out: Terminal, title: string, text = '', style?: Style): void {
  out.write('\n');
  const [first, ...more] = wrap(`${title}  ${text}`, out.columns, 2);
  out.write(`${paint(out, 'bold', title)}${paint(out, style, first!.slice(title.length).trimEnd())}\n`);
  for (const rest of more) out.write(`${paint(out, style, rest)}\n`);
}

function line(out: Terminal, text: string, hang: number, style?: Style): void {
  for (const part of wrap(text, out.columns, hang)) out.write(`${paint(out, style, part)}\n`);
}

function more(out: Terminal, count: number, shown: number): void {
  if (count > shown) out.write(`  ${paint(out, 'dim', `and ${count - shown} more`)}\n`);
}

function indented(out: Terminal): Terminal {
  return {
    write: (text) => out.write(text.replace(/^(?=.)/gm, '  ')),
    ready: () => out.ready(),
    columns: out.columns === undefined ? undefined : out.columns - 2,
    colour: out.colour,
  };
}
