import { Command, Option } from 'commander';
import { connect, type RpcClient } from '#proto/client.ts';
import { margay } from '#proto/generated/ipam.js';
import { ipamService } from '#proto/ipam.ts';
import { type Column, type Format, paint, printData, printTable } from './output.ts';
import { CliError, type Context, outputOption } from './program.ts';
import { watchOption } from './watch.ts';

/** Where the agent listens unless told otherwise. */
const DEFAULT_FELIX_SOCKET = '/run/margay/felix.sock';

const v1 = margay.ipam.v1;
const PLAIN = { defaults: true, arrays: true } as const;

/** `margay ipam`: the addresses of this node's pods, as its agent keeps them. */
export function ipamCommand(context: Context): Command {
  const { out } = context;
  const ipam = new Command('ipam')
    .description('The addresses of the pods of this node: who has which, what is left over, giving back.')
    .addOption(
      new Option('--socket <path>', 'unix socket of the agent')
        .default(DEFAULT_FELIX_SOCKET)
        .env('MARGAY_FELIX_SOCKET'),
    )
    .addHelpText(
      'after',
      `
Examples:
  margay ipam show                  pod CIDRs, how full they are, and every address
  margay ipam check                 addresses that nobody has any more, pods that are not as they should be
  margay ipam release 10.244.1.7    give back an address whose pod is gone`,
    );

  ipam
    .command('show')
    .description('The pod CIDRs of the node, and who has which address.')
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText('after', '\nExample:\n  margay ipam show -o json')
    .action(({ output }: { output: Format }) =>
      withAgent(ipam, async (agent) => {
        const shown = await agent.show({});
        if (output !== 'table') {
          printData(out, output, v1.ShowResponse.toObject(shown, PLAIN));
          return;
        }
        printTable(out, POOLS, shown.pools);
        if (shown.allocations.length === 0) return;
        out.write('\n');
        printTable(out, ALLOCATIONS, shown.allocations);
      }),
    );

  ipam
    .command('check')
    .description(
      'Compares addresses, records, interfaces and namespaces. Ends with 1 when something is wrong.',
    )
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText('after', '\nExample:\n  margay ipam check')
    .action(({ output }: { output: Format }) =>
      withAgent(ipam, async (agent) => {
        const checked = await agent.check({});
        const { addresses, findings } = checked;
        if (output !== 'table') {
          printData(out, output, v1.CheckResponse.toObject(checked, PLAIN));
        } else {
          for (const { object, text, leak } of findings)
            out.write(
              `${paint(out, 'red', `${object}:`)} ${text}${leak ? ' (a leak: margay ipam release)' : ''}\n`,
            );
        }
        if (findings.length > 0)
          throw new CliError(`${findings.length} of ${addresses} addresses or their pods are not right`);
        if (output === 'table') out.write(`${addresses} addresses, all right\n`);
      }),
    );

  ipam
    .command('release <address>')
    .description(
      'Gives an address back, with all that its pod had. Of a pod that is there only with --force.',
    )
    .option('--force', 'also from a pod that is there: it is cut off')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  margay ipam release 10.244.1.7')
    .action((address: string, { force, output }: { force?: boolean; output: Format }) =>
      withAgent(ipam, async (agent) => {
        const { released } = await agent.release({ address, force: force === true });
        if (output !== 'table') printData(out, output, { released });
        else out.write(`released ${released.join(', ')}\n`);
      }),
    );
  return ipam;
}

const POOLS: Column<margay.ipam.v1.IPool>[] = [
  { title: 'POD CIDR', text: ({ cidr }) => cidr ?? '' },
  { title: 'USED', text: ({ used }) => String(used ?? 0), align: 'right' },
  { title: 'OF', text: ({ size }) => sizeText(size ?? 0), align: 'right' },
  { title: 'RESERVED', text: ({ reserved }) => (reserved ?? []).join(' ') },
];

const ALLOCATIONS: Column<margay.ipam.v1.IAllocation>[] = [
  { title: 'ADDRESS', text: ({ address }) => address ?? '' },
  { title: 'POD', text: ({ pod, containerId }) => pod || (containerId ? '(no pod)' : '(nobody)') },
  { title: 'INTERFACE', text: (allocation) => allocation.interface ?? '', spare: true },
  { title: 'CONTAINER', text: ({ containerId }) => containerId ?? '', shrink: true, spare: true },
];

/** Sizes of IPv6 CIDRs are beyond what people read. */
function sizeText(size: number): string {
  return size < 1e7 ? String(size) : `2^${Math.round(Math.log2(size))}`;
}

async function withAgent(
  ipam: Command,
  work: (agent: RpcClient<typeof ipamService>) => Promise<void>,
): Promise<void> {
  const agent = connect(ipamService, `unix:${ipam.opts<{ socket: string }>().socket}`);
  try {
    await work(agent);
  } finally {
    agent.close();
  }
}
