import type { Command } from 'commander';
import { margay } from '#proto/generated/policy.js';
import {
  bytes,
  type Column,
  duration,
  type Format,
  paint,
  printData,
  printFields,
  printTable,
  type Terminal,
} from '../output.ts';
import { type Context, outputOption } from '../program.ts';
import { watchOption } from '../watch.ts';
import { withEngine } from './engine.ts';

type Status = margay.policy.v1.Status;
type FollowedKind = margay.policy.v1.IFollowedKind;
type Subscriber = margay.policy.v1.ISubscriber;

/** `margay policy status`. */
export function statusCommand(policy: Command, { out, now }: Context): void {
  policy
    .command('status')
    .description('The engine at a glance: what it knows, what is wrong with it, and who listens.')
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText('after', '\nExample:\n  margay policy status -o json')
    .action(({ output }: { output: Format }) =>
      withEngine(policy, async (engine) => {
        const status = await engine.getStatus({});
        if (output === 'table') printStatus(out, status, now() / 1_000);
        else printData(out, output, toData(status));
      }),
    );
}

function toData(status: Status): unknown {
  return margay.policy.v1.Status.toObject(status, { defaults: true, arrays: true });
}

function printStatus(out: Terminal, status: Status, now: number): void {
  const { kinds, listener, objects, problems, problemCount, subscribers } = status;
  printFields(out, [
    ['version', status.version],
    ['up', duration(now - status.startedAt)],
    ['source', status.source],
    [
      'in sync',
      status.inSyncSince === 0
        ? 'not yet: nodes are told nothing'
        : `for ${duration(now - status.inSyncSince)}`,
    ],
    ['last change', status.changedAt === 0 ? undefined : `${duration(now - status.changedAt)} ago`],
    ['objects', objects.map(({ kind, count }) => `${kind} ${count}`).join(', ')],
    ['listens on', listener?.address ?? undefined],
    ['certificate', listener ? describeCertificate(listener, now) : undefined],
    ['memory', bytes(status.memory)],
    ['problems', `${problemCount}`],
    ['nodes', `${new Set(subscribers.map(({ node }) => node)).size}`],
  ]);
  for (const problem of problems) out.write(`  ${paint(out, 'red', problem)}\n`);
  if (problemCount > problems.length) out.write(`  and ${problemCount - problems.length} more\n`);
  if (kinds.length > 0) {
    out.write('\n');
    printTable(out, kindTable(now), kinds);
  }
  if (subscribers.length > 0) {
    out.write('\n');
    printTable(out, subscriberTable(now), subscribers);
  }
}

function describeCertificate(listener: margay.policy.v1.ITlsListener, now: number): string {
  const endsAt = listener.certificateEndsAt ?? 0;
  const until = endsAt > now ? `ends in ${duration(endsAt - now)}` : `ended ${duration(now - endsAt)} ago`;
  return listener.error ? `${until}; not changed: ${listener.error}` : until;
}

function kindTable(now: number): Column<FollowedKind>[] {
  const since = (time: number | null | undefined) => (time ? duration(now - time) : '-');
  const yellow = (isBad: boolean) => (isBad ? 'yellow' : undefined);
  return [
    { title: 'KIND', text: ({ kind }) => kind ?? '' },
    { title: 'STATE', text: ({ state }) => state ?? '', style: ({ state }) => yellow(state === 'waiting') },
    { title: 'OBJECTS', text: ({ objects }) => `${objects ?? 0}`, align: 'right' },
    { title: 'SYNCED', text: ({ syncedSince }) => since(syncedSince), align: 'right' },
    { title: 'LAST EVENT', text: ({ lastEvent }) => since(lastEvent), align: 'right' },
    { title: 'LISTS', text: ({ lists }) => `${lists ?? 0}`, align: 'right' },
    { title: 'RESTARTS', text: ({ restarts }) => `${restarts ?? 0}`, align: 'right' },
    { title: 'STALLS', text: ({ stalls }) => `${stalls ?? 0}`, align: 'right' },
    {
      title: 'LAST ERROR',
      text: ({ lastError, lastErrorAt }) => (lastErrorAt ? `${since(lastErrorAt)} ago: ${lastError}` : '-'),
    },
  ];
}

function subscriberTable(now: number): Column<Subscriber>[] {
  const isBehind = ({ behindSince }: Subscriber) => (behindSince ?? 0) > 0;
  return [
    { title: 'NODE', text: ({ node }) => node ?? '' },
    { title: 'FROM', text: ({ peer }) => peer || 'socket' },
    { title: 'SINCE', text: ({ since }) => duration(now - (since ?? 0)), align: 'right' },
    { title: 'COMMITS', text: ({ commits }) => `${commits ?? 0}`, align: 'right' },
    { title: 'SNAPSHOTS', text: ({ snapshots }) => `${snapshots ?? 0}`, align: 'right' },
    { title: 'WAITING', text: ({ pending }) => `${pending ?? 0}`, align: 'right' },
    {
      title: 'BEHIND',
      text: (reader) => (isBehind(reader) ? duration(now - reader.behindSince!) : '-'),
      align: 'right',
      style: (reader) => (isBehind(reader) && now - reader.behindSince! > 10 ? 'yellow' : undefined),
    },
  ];
}
