import { Command, Option } from 'commander';
import { compileCommand } from './policy/compile.ts';
import { diffCommand } from './policy/diff.ts';
import { explainCommand } from './policy/explain.ts';
import { objectsCommand } from './policy/objects.ts';
import { runCommand } from './policy/run.ts';
import { statusCommand } from './policy/status.ts';
import type { Context } from './program.ts';

/** Where the engine listens unless told otherwise. */
export const DEFAULT_POLICY_SOCKET = '/run/margay/policy.sock';

/** `margay policy`: the engine itself with --datastore or --config, and the commands on policies. */
export function policyCommand(context: Context): Command {
  const policy = new Command('policy')
    .description(
      'The policy engine: with --datastore DIR or --config FILE it runs; its commands ask a running one.',
    )
    .addOption(
      new Option('--socket <path>', 'unix socket of the engine')
        .default(DEFAULT_POLICY_SOCKET)
        .env('MARGAY_POLICY_SOCKET'),
    )
    .addHelpText(
      'after',
      `
Examples:
  margay policy --datastore /etc/margay/objects    run the engine
  margay policy --config /etc/margay/policy.yaml   run it with all settings from a file
  margay policy status                             what it knows, what is wrong, who listens
  margay policy explain shop/web shop/db TCP/5432  may it connect, and which rule says so
  margay policy diff -f policies/                  which connections a change would open or close`,
    );
  runCommand(policy, context);
  statusCommand(policy, context);
  explainCommand(policy, context);
  diffCommand(policy, context);
  compileCommand(policy, context);
  objectsCommand(policy, context);
  return policy;
}
