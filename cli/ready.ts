import { Argument, Command } from 'commander';
import { bgpService } from '#proto/bgp.ts';
import { connect } from '#proto/client.ts';
import { felixService } from '#proto/felix.ts';
import { policyService } from '#proto/policy.ts';
import { type Format, printData } from './output.ts';
import { CliError, type Context, outputOption } from './program.ts';
import { DAEMONS, type DaemonName } from './status-view.ts';
import { watchOption } from './watch.ts';

/** How long a daemon may take to answer, in ms. */
const PATIENCE = 3000;

/** `margay ready DAEMON`: for probes. */
export function readyCommand({ out }: Context): Command {
  return new Command('ready')
    .description('Whether a daemon of this node does its work: for the probes of a cluster.')
    .addArgument(new Argument('<daemon>', 'which one').choices(DAEMONS))
    .option('--socket <path>', 'its unix socket; MARGAY_BGP_SOCKET and the like say it too')
    .option('--alive', 'only whether it answers, ready or not')
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText(
      'after',
      `
The speaker is ready when it has its configuration; the node
agent when pods can come with their policy in force; the
policy engine when it knows all objects.

Exit status: 0 ready, 1 not ready, 3 it does not answer.

Example:
  margay ready felix`,
    )
    .action(async (daemon: DaemonName, { socket, alive = false, output }: Options) => {
      const given = socket ?? process.env[`MARGAY_${daemon.toUpperCase()}_SOCKET`];
      const lack = await ASK[daemon](`unix:${given ?? `/run/margay/${daemon}.sock`}`);
      const ready = lack === undefined;
      if (output !== 'table') printData(out, output, { daemon, ready, lack: lack ?? '' });
      else if (ready || alive) out.write(ready ? 'ready\n' : `alive, and not ready: ${lack}\n`);
      if (ready || alive) return;
      throw new CliError(output === 'table' ? `margay ${daemon} is not ready: ${lack}` : '');
    });
}

interface Options {
  readonly socket?: string;
  readonly alive?: boolean;
  readonly output: Format;
}

/** What a daemon lacks, in words. */
const ASK: Readonly<Record<DaemonName, (address: string) => Promise<string | undefined>>> = {
  bgp: async (address) => {
    const speaker = connect(bgpService, address);
    try {
      const { cluster } = await speaker.getStatus({}, { timeoutMs: PATIENCE });
      return cluster?.waitsFor || undefined;
    } finally {
      speaker.close();
    }
  },
  felix: async (address) => {
    const agent = connect(felixService, address);
    try {
      const { waitsFor, dataplane, policy } = await agent.getStatus({}, { timeoutMs: PATIENCE });
      if (waitsFor !== '') return waitsFor;
      return dataplane?.inSync
        ? undefined
        : `no policies have been told yet ${policy?.lastError ?? ''}`.trim();
    } finally {
      agent.close();
    }
  },
  policy: async (address) => {
    const engine = connect(policyService, address);
    try {
      const { inSyncSince, problems } = await engine.getStatus({}, { timeoutMs: PATIENCE });
      return inSyncSince ? undefined : `the objects are not known yet ${problems[0] ?? ''}`.trim();
    } finally {
      engine.close();
    }
  },
};
