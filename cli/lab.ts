import { Argument, Command, Option } from 'commander';
import { DEFAULT_PODS, LEAST_PODS, MOST_PODS } from '#lab/application.ts';
import { DEFAULT_LAB, LAB_NAME, MOST_NODES, TOR_KINDS } from '#lab/topology.ts';
import type { Format } from './output.ts';
import { type Context, outputOption, textMatching, wholeNumber } from './program.ts';
import { watchOption } from './watch.ts';

/** `margay lab`: a routed cluster in network namespaces on this machine, and what one can do with it while it runs. */
export function labCommand(context: Context): Command {
  const lab = new Command('lab')
    .description(
      'A routed cluster on this machine, in network namespaces: up starts it, the others work on a running one.',
    )
    .addOption(
      new Option('--lab <name>', 'which lab, where several run')
        .env('MARGAY_LAB')
        .argParser(textMatching(LAB_NAME, 'up to 32 lower-case letters, digits and dashes')),
    )
    .addHelpText(
      'after',
      `
Examples:
  margay lab up                                     start it, with a tour; Ctrl-C ends it
  margay lab up --tor bird --nodes 5 --dual-stack   another router, more nodes, both families
  margay lab reach --watch                          who reaches whom, live
  margay lab apply -f my-policy.yaml                as with kubectl
  margay lab exec shop/api-1 -- ping -c1 10.244.1.2`,
    );
  const name = (): string | undefined => lab.opts<{ lab?: string }>().lab;
  const command = (nameAndArguments: string, description: string, example: string): Command =>
    lab
      .command(nameAndArguments)
      .description(description)
      .addHelpText('after', `\nExample:\n  margay lab ${example}`);

  command('up', 'Start a lab, show it round, and keep it until Ctrl-C.', 'up --nodes 5 --pods 20')
    .addOption(
      new Option('--tor <daemon>', 'what the top-of-rack router runs; the first that is installed').choices(
        TOR_KINDS,
      ),
    )
    .addOption(
      new Option('--nodes <count>', 'number of nodes').default(3).argParser(wholeNumber(1, MOST_NODES)),
    )
    .addOption(
      new Option('--pods <count>', 'number of pods, in all')
        .default(DEFAULT_PODS)
        .argParser(wholeNumber(LEAST_PODS, MOST_PODS)),
    )
    .addOption(new Option('--ipv6', 'IPv6 only').conflicts('dualStack'))
    .option('--dual-stack', 'both families')
    .option('--once', 'end after the tour, with exit status 1 if anything was not as expected')
    .option('--no-tour', 'start the machines and the pods, and show nothing')
    .action(async (options: UpOptions) => {
      const { labUp } = await import('./lab/up.ts');
      await labUp(context, { ...options, lab: name() ?? DEFAULT_LAB });
    });

  command('down', 'End a running lab.', 'down')
    .addOption(outputOption())
    .action(async ({ output }) => {
      const { labDown } = await import('./lab/operate.ts');
      await labDown(context, name(), output);
    });

  command('status', 'Machines, daemons and pods of the running lab.', 'status')
    .addOption(outputOption())
    .addOption(watchOption())
    .action(async ({ output }) => {
      const { labStatus } = await import('./lab/status.ts');
      await labStatus(context, name(), output);
    });

  for (const verb of ['apply', 'delete'] as const) {
    command(
      verb,
      verb === 'apply'
        ? 'Create or change the objects of a file: NetworkPolicies, Pods, Namespaces, Services.'
        : 'Delete the objects of a file.',
      `${verb} -f policy.yaml`,
    )
      .requiredOption('-f, --filename <file>', 'YAML or JSON; - for standard input')
      .addOption(outputOption())
      .action(async ({ filename, output }: { filename: string; output: Format }) => {
        const { applyFile } = await import('./lab/objects.ts');
        await applyFile(context, name(), { verb, file: filename, output });
      });
  }

  command('add-pod <name>', 'Add a pod, and wait for its address.', 'add-pod visitor -n shop -l app=frontend')
    .option('-n, --namespace <namespace>', 'its namespace', 'default')
    .option('-l, --label <key=value...>', 'its labels')
    .option('--node <node>', 'its node; the one with the fewest pods')
    .option('-p, --port <port...>', 'TCP ports it listens on, 80 unless told')
    .addOption(outputOption())
    .action(async (pod: string, options) => {
      const { addPod } = await import('./lab/objects.ts');
      await addPod(context, name(), pod, options);
    });

  command(
    'exec <place> [command...]',
    'Run a command in a pod, on a node or on tor.',
    'exec shop/api-1 -- ip route',
  ).action(async (place: string, words: string[]) => {
    const { execIn } = await import('./lab/operate.ts');
    await execIn(context, name(), place, words);
  });

  command('reach', 'Who reaches whom, by real connections.', 'reach --watch')
    .addOption(new Option('-w, --watch', 'again and again, with what has changed marked, until Ctrl-C'))
    .addOption(outputOption())
    .action(async ({ output, watch }) => {
      const { labReach } = await import('./lab/reach.ts');
      await labReach(context, name(), { output, watch: watch === true });
    });

  command('link', 'Pull out or plug in the cable of a node.', 'link down n2')
    .addArgument(new Argument('<state>', 'what it is to be').choices(['down', 'up']))
    .argument('<node>', 'whose cable')
    .addOption(outputOption())
    .action(async (state: 'down' | 'up', node: string, { output }) => {
      const { setLink } = await import('./lab/operate.ts');
      setLink(context, name(), { direction: state, node, output });
    });

  command('kill', 'Kill a daemon (SIGKILL). The lab starts it again.', 'kill n1 bgp')
    .argument('<node>', 'where it runs: a node, or tor')
    .addArgument(new Argument('<daemon>', 'which').choices(['bgp', 'policy', 'felix', 'tor']))
    .addOption(outputOption())
    .action(async (node: string, daemon: string, { output }) => {
      const { killDaemon } = await import('./lab/operate.ts');
      await killDaemon(context, name(), { node, daemon, output });
    });

  command('logs', 'What a daemon said.', 'logs n1 felix --follow')
    .argument('<node>', 'where it runs: a node, or tor')
    .addArgument(new Argument('<daemon>', 'which').choices(['bgp', 'policy', 'felix', 'tor']))
    .addOption(
      new Option('-n, --lines <count>', 'how many of the last lines')
        .default(20)
        .argParser(wholeNumber(0, 1_000_000)),
    )
    .option('-f, --follow', 'and what it says from here on, until Ctrl-C')
    .action(async (node: string, daemon: string, options: { lines: number; follow?: boolean }) => {
      const { showLog } = await import('./lab/operate.ts');
      await showLog(context, name(), node, daemon, { ...options, follow: options.follow === true });
    });
  return lab;
}

export interface UpOptions {
  readonly tor?: (typeof TOR_KINDS)[number];
  readonly nodes: number;
  readonly pods: number;
  readonly ipv6?: boolean;
  readonly dualStack?: boolean;
  readonly once?: boolean;
  readonly tour: boolean;
}
