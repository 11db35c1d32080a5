import type { Command } from 'commander';
import type { Resource } from '#datastore/resource.ts';
import { CliError, type Context, EXIT } from '../program.ts';
import { filesOption, loadObjects } from './files.ts';
import { currentObjects } from './objects.ts';

/** `margay policy compile`. */
export function compileCommand(policy: Command, context: Context): void {
  policy
    .command('compile')
    .description(
      'The ruleset of a node, as its agent has it in the kernel and `nft -f` reads it: to be reviewed.',
    )
    .addOption(
      filesOption(
        '-f, --file <path>',
        'file or directory with the objects of the cluster, - for standard input, in the place of those that the engine has; may be repeated',
      ),
    )
    .requiredOption('-n, --node <name>', 'the node whose pods it is about')
    .option('--table <name>', 'name of the table, of family inet', 'margay')
    .addHelpText(
      'after',
      `
Examples:
  margay policy compile --node n1                              what the engine has for a node
  margay policy compile -f cluster/ --node n1 | nft -c -f -    from files; have nft check it

Only the node knows the names of its interfaces: those printed are made up, and comments say whose they are.

Exit status: 0 printed, 2 the command line or the objects are wrong, 3 the engine does not answer.`,
    )
    .action(async ({ file, node, table }: { file?: string[]; node: string; table: string }) => {
      if (!/^[A-Za-z_][A-Za-z0-9_-]{0,30}$/.test(table)) {
        throw new CliError(
          `--table: found ${JSON.stringify(table)}, expected a letter, then letters, digits, _ and -`,
          EXIT.usage,
        );
      }
      const resources = file === undefined ? await currentObjects(policy) : await loadObjects(file, context);
      checkNode(resources, node);
      const { compileRuleset } = await import('./ruleset.ts');
      context.out.write(compileRuleset(resources, node, table));
    });
}

/** A name that is nowhere to be found is a slip, and its ruleset would be one that lets everything through. */
function checkNode(resources: readonly Resource[], node: string): void {
  const names = new Set(
    resources.flatMap((one) =>
      one.kind === 'Node' ? [one.name] : one.kind === 'Pod' && one.nodeName !== '' ? [one.nodeName] : [],
    ),
  );
  if (names.has(node)) return;
  const known = [...names].sort();
  const some = known.length > 10 ? [...known.slice(0, 10), `${known.length - 10} more`] : known;
  throw new CliError(
    `--node: found ${node}, expected ${known.length === 0 ? 'the name of a node that pods are on; no object names one' : `one of ${some.join(', ')}`}`,
    EXIT.usage,
  );
}
