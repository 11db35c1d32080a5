import type { Command } from 'commander';
import { keyOf, type Resource } from '#datastore/resource.ts';
import type { Diff, Difference, End } from '#policy/review/diff.ts';
import { describePorts, describeRange, EndNames } from '#policy/review/ends.ts';
import { type Column, type Format, paint, printData, printTable, type Terminal } from '../output.ts';
import { CliError, type Context, EXIT, outputOption, wholeNumber } from '../program.ts';
import { filesOption, loadObjects } from './files.ts';
import { currentObjects } from './objects.ts';

interface Flags {
  readonly file: string[];
  readonly old?: string[];
  readonly prune?: true;
  readonly limit: number;
  readonly output: Format;
}

/** `margay policy diff`. */
export function diffCommand(policy: Command, context: Context): void {
  policy
    .command('diff')
    .description(
      'Which connections a change would open or close: every pair of pods, every address, every port.',
    )
    .addOption(
      filesOption(
        '-f, --file <path>',
        'file or directory with the new objects, - for standard input; may be repeated',
      ).makeOptionMandatory(),
    )
    .addOption(
      filesOption(
        '--old <path>',
        'file or directory with the present objects, in the place of those that the engine has; may be repeated',
      ),
    )
    .option('--prune', 'policies that the new objects do not have are deleted')
    .option(
      '--limit <number>',
      'how many lines are printed at most; 0 for all',
      wholeNumber(0, 1_000_000),
      100,
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
The new objects are put over the present ones, as with kubectl apply; with --prune, what policies they do not have is
gone. Pods and namespaces that only the present objects have stay what they are, so that a directory of policies is
enough. Lines with + are opened, lines with - closed. A pod and its node always reach each other and are left out.

Examples:
  margay policy diff -f web-policy.yaml                     what would this policy do to the cluster?
  margay policy diff -f policies/ --prune                   and if these were all policies?
  margay policy diff --old base/ --old cluster.yaml -f head/ --prune -o json   a check of a pull request

Exit status: 0 nothing changes, 1 some connection opens or closes, 2 the command line or the objects are wrong,
3 the engine does not answer.`,
    )
    .action(async (flags: Flags) => {
      const changed = await loadObjects(flags.file, context);
      const before =
        flags.old === undefined ? await currentObjects(policy) : await loadObjects(flags.old, context);
      const { diffPolicies } = await import('#policy/review/diff.ts');
      const diff = diffPolicies(before, applied(before, changed, flags.prune === true));
      if (flags.output === 'table') printDiff(context.out, diff, flags.limit);
      else printData(context.out, flags.output, toData(diff));
      if (diff.differences.length > 0) throw new CliError('', EXIT.failed);
    });
}

/** The present objects with the new ones put over them. */
function applied(before: readonly Resource[], changed: readonly Resource[], prune: boolean): Resource[] {
  const resources = new Map(
    before
      .filter(({ kind }) => !(prune && kind === 'NetworkPolicy'))
      .map((resource) => [keyOf(resource), resource]),
  );
  for (const resource of changed) resources.set(keyOf(resource), resource);
  return [...resources.values()];
}

function toData({ differences, policies, compared, withoutAddress, skipped }: Diff): unknown {
  const end = (end: End) => ('pods' in end ? end : { addresses: end.addresses.map(describeRange) });
  return {
    changed: differences.length > 0,
    policies,
    differences: differences.map(({ from, to, families, opened, closed }) => ({
      from: end(from),
      to: end(to),
      families,
      opened: opened.text,
      closed: closed.text,
    })),
    pods: { compared: compared.length, withoutAddress, skipped },
  };
}

/** How many names of a namespace's pods are printed before the rest is counted. */
const MOST_NAMES = 3;

interface Line {
  readonly sign: '+' | '-';
  readonly from: string;
  readonly to: string;
  readonly families: string;
  readonly ports: string;
}

const COLUMNS: Column<Line>[] = [
  { title: '', text: ({ sign }) => sign, style: styleOf },
  { title: 'FROM', text: ({ from }) => from, shrink: true },
  { title: 'TO', text: ({ to }) => to, shrink: true },
  { title: 'IP', text: ({ families }) => families },
  { title: 'PORTS', text: ({ ports }) => ports, style: styleOf, shrink: true },
];

function styleOf({ sign }: Line): 'green' | 'red' {
  return sign === '+' ? 'green' : 'red';
}

function printDiff(out: Terminal, diff: Diff, limit: number): void {
  const { differences, policies, compared, withoutAddress, skipped } = diff;
  for (const { policy, change } of policies) out.write(`${paint(out, 'dim', `${change}:`)} ${policy}\n`);
  const names = new EndNames(compared, MOST_NAMES);
  const lines = differences.flatMap((one) => linesOf(one, names));
  const shown = limit === 0 ? lines : lines.slice(0, limit);
  if (shown.length > 0) {
    if (policies.length > 0) out.write('\n');
    printTable(out, COLUMNS, shown);
    out.write('\n');
  }
  if (shown.length < lines.length) {
    out.write(`and ${lines.length - shown.length} more; --limit 0 and -o json have all\n`);
  }
  const count = (sign: Line['sign']) => lines.filter((line) => line.sign === sign).length;
  const found =
    lines.length === 0 ? 'No connection opens or closes' : `${count('+')} opened, ${count('-')} closed`;
  out.write(`${found}; ${compared.length} pods compared.\n`);
  const note = (pods: readonly string[], what: string): void => {
    if (pods.length > 0) out.write(`${what}: ${names.describe({ pods })}\n`);
  };
  note(withoutAddress, 'Compared as if in no ipBlock, for want of an address');
  note(skipped, 'Not compared, being on one side only or without an address of their own');
}

function linesOf({ from, to, families, opened, closed }: Difference, names: EndNames): Line[] {
  const line = { from: names.describe(from), to: names.describe(to), families: families.join(' ') };
  const lines: Line[] = [];
  if (opened.text !== 'none') lines.push({ sign: '+', ports: describePorts(opened), ...line });
  if (closed.text !== 'none') lines.push({ sign: '-', ports: describePorts(closed), ...line });
  return lines;
}
