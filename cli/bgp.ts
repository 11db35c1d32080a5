import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { bgpService } from '#proto/bgp.ts';
import { connect, type RpcClient } from '#proto/client.ts';
import { margay } from '#proto/generated/bgp.js';
import {
  comparePaths,
  neighborFields,
  neighborTable,
  type PathRow,
  pathTable,
  prefixTable,
  routeLines,
  stateName,
  statusFields,
} from './bgp-view.ts';
import {
  type Format,
  ListPrinter,
  printAnswer,
  printData,
  printFields,
  printTable,
  TablePrinter,
} from './output.ts';
import { CliError, type Context, EXIT, outputOption, wholeNumber } from './program.ts';
import { watchOption } from './watch.ts';

const v1 = margay.bgp.v1;

/** Longest wait for the next part of a long answer, in ms. */
const PATIENCE = 10_000;

/** Where the speaker listens unless told otherwise. */
export const DEFAULT_BGP_SOCKET = '/run/margay/bgp.sock';

/** `margay bgp`: the speaker itself with --config, and the commands that talk to a running one. */
export function bgpCommand(context: Context): Command {
  const bgp = new Command('bgp')
    .description('The BGP speaker: with --config FILE it runs; its commands talk to a running one.')
    .option('-c, --config <file>', 'run the speaker with this configuration')
    .addOption(
      new Option('--socket <path>', 'unix socket of the speaker')
        .default(DEFAULT_BGP_SOCKET)
        .env('MARGAY_BGP_SOCKET'),
    )
    .addHelpText(
      'after',
      `
Examples:
  margay bgp --config /etc/margay/bgp.yaml    run the speaker
  margay bgp neighbors                        who is up, and who is not
  margay bgp route 10.1.2.3                   which route an address takes, and why
  margay bgp rib --in 192.0.2.1 -o json       what a neighbour sent`,
    )
    .action(async (options: { config?: string; socket: string }) => {
      if (options.config === undefined)
        throw new CliError(
          'margay bgp: give --config FILE to run the speaker, or a command (see --help)',
          EXIT.usage,
        );
      // Only the daemon needs all of the speaker.
      const { isOperatorFault, runSpeaker } = await import('#bgp/main.ts');
      try {
        await runSpeaker({ configFile: options.config, signal: context.signal });
      } catch (error) {
        if (!isOperatorFault(error)) throw error;
        throw new CliError(error.message, EXIT.failed, { cause: error });
      }
    });

  /** Adds a command that makes one call; `-o` is there, the client is closed. */
  const command = (nameAndArguments: string, description: string, example: string): Command =>
    bgp
      .command(nameAndArguments)
      .description(description)
      .addOption(outputOption())
      .addHelpText('after', `\nExample:\n  margay bgp ${example}`);

  const withSpeaker = async (
    work: (speaker: RpcClient<typeof bgpService>) => Promise<void>,
  ): Promise<void> => {
    const speaker = connect(bgpService, `unix:${bgp.opts<{ socket: string }>().socket}`);
    try {
      await work(speaker);
    } finally {
      speaker.close();
    }
  };
  const { out } = context;

  command('status', 'The speaker at a glance.', 'status')
    .addOption(watchOption())
    .action(({ output }: { output: Format }) =>
      withSpeaker(async (speaker) => {
        const status = await speaker.getStatus({});
        if (output !== 'table') printData(out, output, plain(v1.Status, status));
        else printFields(out, statusFields(status, context.now()));
      }),
    );

  command('neighbors', 'All neighbours, a line each.', 'neighbors --watch')
    .addOption(watchOption())
    .action(({ output }: { output: Format }) =>
      withSpeaker(async (speaker) => {
        const reply = await speaker.listNeighbors({});
        if (output !== 'table') {
          const { neighbors, prefixes } = plain(v1.ListNeighborsResponse, reply);
          printData(out, output, [...(neighbors as unknown[]), ...(prefixes as unknown[])]);
          return;
        }
        if (reply.neighbors.length > 0 || reply.prefixes.length === 0)
          printTable(out, neighborTable(context.now()), reply.neighbors);
        if (reply.neighbors.length > 0 && reply.prefixes.length > 0) out.write('\n');
        if (reply.prefixes.length > 0) printTable(out, prefixTable(), reply.prefixes);
      }),
    );

  command('neighbor <address>', 'One neighbour with all there is to know.', 'neighbor 192.0.2.1')
    .addOption(watchOption())
    .action((address: string, { output }: { output: Format }) =>
      withSpeaker(async (speaker) => {
        const [neighbor] = (await speaker.listNeighbors({ address })).neighbors;
        if (!neighbor) throw new CliError(`neighbour ${address}: found none`);
        if (output !== 'table') printData(out, output, plain(v1.Neighbor, neighbor));
        else printFields(out, neighborFields(neighbor, context.now()));
      }),
    );

  command(
    'rib [prefix]',
    'A table of routes: the Loc-RIB, or what a neighbour sent or was sent.',
    'rib --out 192.0.2.1',
  )
    .addOption(
      new Option('--in <neighbor>', 'what the neighbour sent, before the import filter').conflicts([
        'accepted',
        'out',
        'originated',
      ]),
    )
    .addOption(
      new Option('--accepted <neighbor>', 'what the import filter made of it').conflicts([
        'out',
        'originated',
      ]),
    )
    .addOption(new Option('--out <neighbor>', 'what the neighbour was sent').conflicts('originated'))
    .option('--originated', 'what this speaker originates')
    .option('-4, --ipv4', 'IPv4 only')
    .option('-6, --ipv6', 'IPv6 only')
    .option('-l, --longer', 'with a prefix: what lies within it too')
    .addOption(watchOption())
    .action((prefix: string | undefined, options: RibOptions) =>
      withSpeaker(async (speaker) => {
        if (prefix === undefined && options.longer) {
          throw new CliError('margay bgp rib: --longer goes with a prefix', EXIT.usage);
        }
        const routes = speaker.listRoutes(
          {
            ...ribRequest(options),
            ...(prefix === undefined ? {} : { prefix, longer: options.longer ?? false }),
          },
          { signal: context.signal, timeoutMs: PATIENCE },
        );
        // Little by little: there may be a million of them.
        if (options.output !== 'table') {
          const list = new ListPrinter(out, options.output);
          for await (const batch of routes) {
            for (const route of batch.routes) list.print(plain(v1.Route, route));
            await out.ready();
          }
          complete(context);
          list.end();
        } else {
          const table = new TablePrinter(out, pathTable(context.now()), comparePaths);
          for await (const batch of routes) {
            table.print(batch.routes.flatMap(pathsOf));
            await out.ready();
          }
          complete(context);
          table.end();
        }
      }),
    );

  command(
    'route <address>',
    'The longest match for an address or a prefix, with why each path won or lost.',
    'route 10.1.2.3 --watch',
  )
    .addOption(watchOption())
    .action((address: string, { output }: { output: Format }) =>
      withSpeaker(async (speaker) => {
        const { route } = await speaker.lookupRoute({ address });
        if (!route) throw new CliError(`${address}: no route`);
        if (output !== 'table') printData(out, output, plain(v1.Route, route));
        else for (const line of routeLines(route, out, context.now())) out.write(`${line}\n`);
      }),
    );

  command(
    'advertise <prefix...>',
    'Originate prefixes until the speaker stops.',
    'advertise 10.9.0.0/24 --community 65000:9',
  )
    .option('--next-hop <address>', 'next hop in place of our own address')
    .option('--med <value>', 'multi-exit discriminator', wholeNumber(0, 0xffffffff))
    .option('--local-pref <value>', 'local preference', wholeNumber(0, 0xffffffff))
    .option('--community <community...>', 'communities to attach')
    .option('--large-community <community...>', 'large communities to attach')
    .option('--blackhole', 'put a blackhole route behind it')
    .action((prefixes: string[], options: AdvertiseOptions) =>
      withSpeaker(async (speaker) => {
        const route = {
          nextHop: options.nextHop ?? '',
          ...(options.med === undefined ? {} : { med: options.med }),
          ...(options.localPref === undefined ? {} : { localPreference: options.localPref }),
          communities: options.community ?? [],
          largeCommunities: options.largeCommunity ?? [],
          blackhole: options.blackhole ?? false,
        };
        const reply = await speaker.advertise({ routes: prefixes.map((prefix) => ({ ...route, prefix })) });
        printAnswer(
          out,
          options.output,
          plain(v1.AdvertiseResponse, reply),
          `advertised: ${reply.added} new, ${reply.changed} changed`,
        );
      }),
    );

  command('withdraw <prefix...>', 'Take back what `advertise` added.', 'withdraw 10.9.0.0/24').action(
    (prefixes: string[], { output }: { output: Format }) =>
      withSpeaker(async (speaker) => {
        const reply = await speaker.withdraw({ prefixes });
        printAnswer(out, output, plain(v1.WithdrawResponse, reply), `withdrawn: ${reply.removed}`);
      }),
  );

  command('reset [address]', 'Reset a neighbour, or with --all every one.', 'reset 192.0.2.1 --soft-in')
    .option('--all', 'every neighbour')
    .addOption(
      new Option('--soft-in', 'run the import filter again over what was received').conflicts([
        'softOut',
        'refresh',
      ]),
    )
    .addOption(new Option('--soft-out', 'send everything again').conflicts('refresh'))
    .option('--refresh', 'ask the neighbour to send everything again')
    .option('-4, --ipv4', 'IPv4 only; not for a hard reset')
    .option('-6, --ipv6', 'IPv6 only; not for a hard reset')
    .option('-m, --message <text>', "for the neighbour's operator, with a hard reset")
    .action((address: string | undefined, options: ResetOptions) =>
      withSpeaker(async (speaker) => {
        if ((address === undefined) !== (options.all ?? false)) {
          throw new CliError('margay bgp reset: give the address of a neighbour, or --all', EXIT.usage);
        }
        const soft = options.softIn || options.softOut || options.refresh;
        if (soft && options.message !== undefined) {
          throw new CliError('margay bgp reset: a message goes with a hard reset only', EXIT.usage);
        }
        if (!soft && familyOf(options) !== v1.Family.FAMILY_UNSPECIFIED) {
          throw new CliError('margay bgp reset: a hard reset ends the session of all families', EXIT.usage);
        }
        const kind = options.softIn
          ? 'SOFT_IN'
          : options.softOut
            ? 'SOFT_OUT'
            : options.refresh
              ? 'REFRESH'
              : 'HARD';
        const reply = await speaker.resetNeighbor({
          address: address ?? '',
          kind: v1.ResetNeighborRequest.Kind[kind],
          message: options.message ?? '',
          family: familyOf(options),
        });
        printAnswer(out, options.output, plain(v1.ResetNeighborResponse, reply), `reset: ${reply.neighbors}`);
      }),
    );

  const setEnabled = (address: string, enabled: boolean, message: string, output: Format): Promise<void> =>
    withSpeaker(async (speaker) => {
      const reply = await speaker.setNeighborEnabled({ address, enabled, message });
      const text = `neighbour ${address}: ${enabled ? 'enabled' : 'disabled'}`;
      printAnswer(out, output, plain(v1.SetNeighborEnabledResponse, reply), text);
    });
  command('enable <address>', 'Let a disabled neighbour come up again.', 'enable 192.0.2.1').action(
    (address: string, { output }: { output: Format }) => setEnabled(address, true, '', output),
  );
  command(
    'disable <address>',
    'Shut a neighbour down until it is enabled or the speaker restarts.',
    "disable 192.0.2.1 -m 'line card swap until 14:00'",
  )
    .option('-m, --message <text>', "for the neighbour's operator (RFC 9003)", '')
    .action((address: string, { message, output }: { message: string; output: Format }) =>
      setEnabled(address, false, message, output),
    );

  command('reload', 'Read the configuration file again.', 'reload').action(({ output }: { output: Format }) =>
    withSpeaker(async (speaker) => {
      const reply = await speaker.reload({});
      const reset =
        reply.reset.length > 0
          ? `; sessions ended by it: ${reply.reset.join(', ')}`
          : '; no session was touched';
      printAnswer(
        out,
        output,
        plain(v1.ReloadResponse, reply),
        `neighbours: ${reply.added} added, ${reply.removed} removed, ${reply.changed} changed${reset}`,
      );
    }),
  );

  bgp
    .command('events')
    .description('Session events as they happen, until Ctrl-C.')
    .option('--routes', 'changes of best paths too')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  margay bgp events --routes -o json')
    .action(({ routes, output }: { routes?: boolean; output: Format }) =>
      withSpeaker(async (speaker) => {
        for await (const event of speaker.watchEvents(
          { routes: routes ?? false },
          { signal: context.signal },
        )) {
          // A line or a document for each, so that whoever reads has it at once.
          if (output === 'json') out.write(`${JSON.stringify(plain(v1.Event, event))}\n`);
          else if (output === 'yaml') out.write(`---\n${stringify(plain(v1.Event, event))}`);
          else out.write(`${eventLine(event)}\n`);
          await out.ready();
        }
      }),
    );
  return bgp;
}

interface RibOptions {
  output: Format;
  in?: string;
  accepted?: string;
  out?: string;
  originated?: boolean;
  ipv4?: boolean;
  ipv6?: boolean;
  longer?: boolean;
}

interface AdvertiseOptions {
  output: Format;
  nextHop?: string;
  med?: number;
  localPref?: number;
  community?: string[];
  largeCommunity?: string[];
  blackhole?: boolean;
}

interface ResetOptions {
  output: Format;
  all?: boolean;
  softIn?: boolean;
  softOut?: boolean;
  refresh?: boolean;
  message?: string;
  ipv4?: boolean;
  ipv6?: boolean;
}

function ribRequest(options: RibOptions): { table: number; neighbor: string; family: number } {
  const Table = v1.ListRoutesRequest.Table;
  const neighbor = options.in ?? options.accepted ?? options.out ?? '';
  const table =
    options.in !== undefined
      ? Table.ADJ_RIB_IN_PRE
      : options.accepted !== undefined
        ? Table.ADJ_RIB_IN_POST
        : options.out !== undefined
          ? Table.ADJ_RIB_OUT
          : options.originated
            ? Table.ORIGINATED
            : Table.LOC_RIB;
  return { table, neighbor, family: familyOf(options) };
}

function familyOf(options: { ipv4?: boolean; ipv6?: boolean }): margay.bgp.v1.Family {
  if ((options.ipv4 ?? false) === (options.ipv6 ?? false)) return v1.Family.FAMILY_UNSPECIFIED;
  return options.ipv4 ? v1.Family.IPV4_UNICAST : v1.Family.IPV6_UNICAST;
}

function pathsOf(route: margay.bgp.v1.IRoute): PathRow[] {
  return (route.paths ?? []).map((path, rank) => ({ prefix: route.prefix ?? '', path, rank }));
}

function eventLine(event: margay.bgp.v1.Event): string {
  const at = new Date(event.at * 1000).toISOString();
  if (event.session) {
    const { neighbor, from, to, reason } = event.session;
    return `${at}  session  ${neighbor}  ${stateName(from)} -> ${stateName(to)}${reason ? `  ${reason}` : ''}`;
  }
  if (event.route) {
    const { prefix, best } = event.route;
    if (!best) return `${at}  route    ${prefix}  gone`;
    return `${at}  route    ${prefix}  via ${best.attributes?.nextHop || '-'} from ${best.neighbor || 'here'}`;
  }
  return `${at}  ${event.lost ?? 0} events missed: the reader was too slow`;
}

/** An answer that Ctrl-C cut short must not look like a whole one. */
function complete({ signal }: Context): void {
  if (signal.aborted) throw new CliError('', EXIT.broken);
}

/** A message as plain data: enums by name, absent fields as their defaults. */
function plain(type: unknown, message: object): Record<string, unknown> {
  const { toObject } = type as { toObject(message: object, options: object): Record<string, unknown> };
  return toObject(message, { enums: String, defaults: true, arrays: true, bytes: String });
}
