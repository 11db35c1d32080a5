import type { NodeCheck } from '#felix/host/check.ts';
import { type Column, type Format, printData, printTable } from './output.ts';
import { CliError, type Context } from './program.ts';

/** `margay felix --check`: what this kernel and node lack for pods. Ends with 1 when they can not run here. */
export async function checkCommand(
  context: Context,
  config: string | undefined,
  format: Format,
): Promise<void> {
  const { checkNode } = await import('#felix/host/check.ts');
  const { readConfig } = await import('#felix/config/load.ts');
  const { isOperatorFault } = await import('#felix/main.ts');
  const { out } = context;
  if (process.getuid?.() !== 0)
    throw new CliError('margay felix --check: it tries the kernel out: run it as root');
  let check: NodeCheck;
  try {
    check = checkNode(config === undefined ? undefined : readConfig(config, { node: process.env.NODE_NAME }));
  } catch (error) {
    if (!isOperatorFault(error)) throw error;
    throw new CliError(error.message, undefined, { cause: error });
  }
  if (format !== 'table') printData(out, format, check);
  else {
    printTable(out, FEATURES, check.features);
    out.write('\n');
    printTable(out, SETTINGS, check.settings);
    const commands = check.settings.filter(({ state }) => state !== 'right').map(({ command }) => command);
    if (commands.length > 0)
      out.write(`\nTo put them right:\n${commands.map((line) => `  ${line}\n`).join('')}`);
  }
  if (!check.fit) {
    const missing = check.features.filter(({ needed, status }) => needed && status === 'missing');
    throw new CliError(`this kernel lacks what pods need: ${missing.map(({ option }) => option).join(', ')}`);
  }
}

const FEATURES: Column<NodeCheck['features'][number]>[] = [
  { title: 'KERNEL', text: ({ name }) => name },
  {
    title: 'STATE',
    text: ({ status, needed, reason }) =>
      status === 'present'
        ? 'there'
        : `${status === 'missing' ? (needed ? 'MISSING' : 'missing') : 'unknown'} (${reason})`,
    style: ({ status, needed }) => (status === 'present' ? 'green' : needed ? 'red' : 'yellow'),
  },
  { title: 'FOR', text: ({ purpose }) => purpose },
  { title: 'OPTION', text: ({ option }) => option, spare: true },
];

const SETTINGS: Column<NodeCheck['settings'][number]>[] = [
  { title: 'PARAMETER', text: ({ key }) => key.replaceAll('/', '.') },
  { title: 'FOUND', text: ({ found }) => found ?? '-' },
  {
    title: 'STATE',
    text: ({ state, expected }) => (state === 'right' ? 'right' : `expected ${expected}`),
    style: ({ state }) => (state === 'right' ? 'green' : 'yellow'),
  },
  { title: 'FOR', text: ({ why }) => why, shrink: true, spare: true },
];
