import { type Command, Option } from 'commander';
import { CliError, type Context, EXIT } from '../program.ts';

/** `margay policy --datastore DIR`, `--kubeconfig FILE` or `--config FILE`: the engine. */
export function runCommand(policy: Command, context: Context): void {
  policy
    .option('-c, --config <file>', 'run the engine with these settings; options go before them')
    .option('--datastore <dir>', 'run the engine on this directory of YAML files')
    .option('--kubeconfig <file>', 'run the engine on the Kubernetes API that this file names')
    .option('--listen <host:port>', 'serve nodes elsewhere too, by mutual TLS')
    .option('--tls-ca <file>', "authorities of the nodes' certificates")
    .option('--tls-cert <file>', 'certificate of the engine')
    .option('--tls-key <file>', 'its key')
    .addOption(new Option('--log-level <level>', 'error, warn, info or debug'))
    .action(async (options: RunFlags) => {
      const { config, datastore, kubeconfig } = options;
      if (config === undefined && datastore === undefined && kubeconfig === undefined) {
        throw new CliError(
          'margay policy: give --datastore DIR, --kubeconfig FILE or --config FILE to run the engine, or a command (see --help)',
          EXIT.usage,
        );
      }
      // What stands in the file counts where nobody said anything else.
      const socket = policy.getOptionValueSource('socket') === 'default' ? undefined : options.socket;
      // Only the daemon needs all of the engine.
      const { isOperatorFault, runPolicy } = await import('#policy/main.ts');
      try {
        await runPolicy({ flags: { ...options, socket }, signal: context.signal });
      } catch (error) {
        if (!isOperatorFault(error)) throw error;
        throw new CliError(error.message, EXIT.failed, { cause: error });
      }
    });
}

interface RunFlags {
  config?: string;
  datastore?: string;
  kubeconfig?: string;
  socket: string;
  listen?: string;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
  logLevel?: string;
}
