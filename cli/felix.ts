import { Command, Option } from 'commander';
import { connect, type RpcClient } from '#proto/client.ts';
import { felixService } from '#proto/felix.ts';
import { margay } from '#proto/generated/felix.js';
import { checkCommand } from './felix-check.ts';
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
} from './output.ts';
import { CliError, type Context, EXIT, outputOption } from './program.ts';
import { watchOption } from './watch.ts';

/** Where the agent listens unless told otherwise. */
const DEFAULT_FELIX_SOCKET = '/run/margay/felix.sock';

type Status = margay.felix.v1.Status;
type Endpoint = margay.felix.v1.IEndpoint;

/** `margay felix`: the node agent itself with --config, and the commands that ask a running one. */
export function felixCommand(context: Context): Command {
  const felix = new Command('felix')
    .description('The node agent: with --config FILE it runs; its commands ask a running one.')
    .addOption(
      new Option('--socket <path>', 'unix socket of the agent')
        .default(DEFAULT_FELIX_SOCKET)
        .env('MARGAY_FELIX_SOCKET'),
    )
    .option('-c, --config <file>', 'run the agent with these settings')
    .addOption(
      new Option('--check [format]', 'say what this kernel and node lack for pods, and run nothing')
        .choices(['table', 'json', 'yaml'])
        .preset('table'),
    )
    .addHelpText(
      'after',
      `
Examples:
  margay felix --config /etc/margay/felix.yaml   run the agent
  margay felix --check                           what this kernel lacks for pods
  margay felix status                            is policy in force, and what is wrong
  margay felix endpoints                         the pods of this node`,
    )
    .action(async ({ config, check }: { config?: string; check?: Format }) => {
      if (check !== undefined) {
        await checkCommand(context, config, check);
        return;
      }
      if (config === undefined) {
        throw new CliError(
          'margay felix: give --config FILE to run the agent, or a command (see --help)',
          EXIT.usage,
        );
      }
      // Only the daemon needs all of the agent.
      const { isOperatorFault, runFelix } = await import('#felix/main.ts');
      try {
        await runFelix({ config, signal: context.signal });
      } catch (error) {
        if (!isOperatorFault(error)) throw error;
        throw new CliError(error.message, EXIT.failed, { cause: error });
      }
    });
  statusCommand(felix, context);
  endpointsCommand(felix, context);
  return felix;
}

function statusCommand(felix: Command, { out, now }: Context): void {
  felix
    .command('status')
    .description('The agent at a glance: policy in sync since, what the kernel has, what is wrong.')
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText('after', '\nExample:\n  margay felix status -o json')
    .action(({ output }: { output: Format }) =>
      withAgent(felix, async (agent) => {
        const status = await agent.getStatus({});
        if (output === 'table') printStatus(out, status, now() / 1_000);
        else
          printData(out, output, margay.felix.v1.Status.toObject(status, { defaults: true, arrays: true }));
      }),
    );
}

function endpointsCommand(felix: Command, { out }: Context): void {
  felix
    .command('endpoints')
    .description('The pods of this node: interface, addresses, and whether policies isolate them.')
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText('after', '\nExample:\n  margay felix endpoints')
    .action(({ output }: { output: Format }) =>
      withAgent(felix, async (agent) => {
        const response = await agent.listEndpoints({});
        const list = margay.felix.v1.ListEndpointsResponse;
        if (output !== 'table')
          printData(out, output, list.toObject(response, { defaults: true, arrays: true }));
        else printTable(out, ENDPOINT_TABLE, response.endpoints);
      }),
    );
}

async function withAgent(
  felix: Command,
  work: (agent: RpcClient<typeof felixService>) => Promise<void>,
): Promise<void> {
  const agent = connect(felixService, `unix:${felix.opts<{ socket: string }>().socket}`);
  try {
    await work(agent);
  } finally {
    agent.close();
  }
}

function printStatus(out: Terminal, status: Status, now: number): void {
  const { policy, dataplane, problems } = status;
  const ago = (at: number | null | undefined): string => `${duration(now - (at ?? 0))} ago`;
  printFields(out, [
    ['version', status.version],
    ['node', status.node],
    ['up', duration(now - status.startedAt)],
    ['policy engine', `${policy?.address ?? ''}, ${policy?.connected ? 'connected' : 'not connected'}`],
    [
      'in sync',
      policy?.inSyncSince
        ? `for ${duration(now - policy.inSyncSince)}`
        : 'not yet: what was there stays in force',
    ],
    ['last error', policy?.connected ? undefined : policy?.lastError || undefined],
    ['waiting', status.waitsFor],
    ['pod CIDRs', status.podCidrs.join(' ')],
    ['commits', `${policy?.commits ?? 0}`],
    ['endpoints', `${status.endpoints}`],
    [
      'ruleset',
      `${dataplane?.chains ?? 0} chains, ${dataplane?.rules ?? 0} rules, ${dataplane?.sets ?? 0} sets, ${dataplane?.elements ?? 0} elements`,
    ],
    ['transactions', `${dataplane?.transactions ?? 0}, ${dataplane?.refused ?? 0} refused`],
    [
      'put right',
      dataplane?.repairs ? `${dataplane.repairs} times, last ${ago(dataplane.repairedAt)}` : 'never',
    ],
    [
      'connections',
      `${dataplane?.flowsEnded ?? 0} ended by policy, ${dataplane?.flowsRevived ?? 0} allowed again`,
    ],
    ['memory', bytes(status.memory)],
    ['problems', `${problems.length}`],
  ]);
  for (const { object, text } of problems) out.write(`  ${paint(out, 'red', `${object}: ${text}`)}\n`);
}

const ENDPOINT_TABLE: Column<Endpoint>[] = [
  { title: 'POD', text: ({ pod }) => pod ?? '' },
  { title: 'INTERFACE', text: (endpoint) => endpoint.interface ?? '', spare: true },
  { title: 'ADDRESSES', text: ({ addresses }) => (addresses ?? []).join(' ') },
  { title: 'INGRESS', text: (endpoint) => verdictOf(endpoint, endpoint.ingressIsolated), style: styleOf },
  { title: 'EGRESS', text: (endpoint) => verdictOf(endpoint, endpoint.egressIsolated), style: styleOf },
  {
    title: 'HOST PORTS',
    text: ({ hostPorts }) =>
      (hostPorts ?? [])
        .map(({ protocol, hostPort, containerPort }) => `${hostPort}>${containerPort}/${protocol}`)
        .join(' '),
    spare: true,
    optional: true,
  },
];

function verdictOf({ known, problem }: Endpoint, isolated: boolean | null | undefined): string {
  if (problem) return 'closed: refused';
  if (!known) return 'closed: not known';
  return isolated ? 'by policy' : 'open';
}

function styleOf({ known, problem }: Endpoint): 'red' | undefined {
  return known && !problem ? undefined : 'red';
}
