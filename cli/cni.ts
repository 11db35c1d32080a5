import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { DEFAULT_CONFLIST, writeConflist } from '#felix/cni/conflist.ts';
import { type Column, type Format, printData, printTable, type Terminal } from './output.ts';
import { CliError, type Context, outputOption } from './program.ts';

interface Places {
  readonly bin: string;
  readonly conflist: string;
  readonly output: Format;
}

/** What was done with a file. */
interface Done {
  readonly file: string;
  readonly state: string;
}

/** `margay cni`: the files by which a container runtime finds the plugin. */
export function cniCommand(context: Context): Command {
  const cni = new Command('cni')
    .description('The files by which the container runtime finds the CNI plugin.')
    .addHelpText(
      'after',
      `
Examples:
  margay cni install                 in an init container: felix writes the configuration list (pods.cniConfig)
  margay cni install --configure     on a plain host: both files
  margay cni uninstall               both files`,
    );
  install(cni, context);
  uninstall(cni, context);
  return cni;
}

function install(cni: Command, { out }: Context): void {
  cni
    .command('install')
    .description('Copy the plugin to where the runtime looks for it; an older one is replaced at an instant.')
    .option('--bin <folder>', "the runtime's folder of plugins", DEFAULT_BIN)
    .option('--plugin <file>', 'the program, if another than that of this version')
    .option('--configure', 'write the configuration list too, whether felix is ready or not')
    .addOption(conflistOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  margay cni install --bin /opt/cni/bin')
    .action(
      ({ bin, plugin, configure, conflist, output }: Places & { plugin?: string; configure?: boolean }) =>
        plainly(() => {
          const copied = copyPlugin(plugin ?? findPlugin(), bin) ? 'installed' : 'already there';
          const done = [{ file: join(bin, 'margay'), state: copied }];
          if (configure === true)
            done.push({ file: conflist, state: writeConflist(conflist) ? 'written' : 'already there' });
          print(out, output, done);
        }),
    );
}

function uninstall(cni: Command, { out }: Context): void {
  cni
    .command('uninstall')
    .description('Remove the configuration list and the plugin; the runtime then knows no network.')
    .option('--bin <folder>', "the runtime's folder of plugins", DEFAULT_BIN)
    .addOption(conflistOption())
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  margay cni uninstall')
    .action(({ bin, conflist, output }: Places) =>
      plainly(() => {
        // The list first: a runtime that finds it and no plugin fails on every pod.
        const done = [conflist, join(bin, 'margay')].map((file) => {
          const state = existsSync(file) ? 'removed' : 'not there';
          rmSync(file, { force: true });
          return { file, state };
        });
        print(out, output, done);
      }),
    );
}

function print(out: Terminal, output: Format, done: readonly Done[]): void {
  if (output === 'table') printTable(out, FILES, done);
  else printData(out, output, { files: done });
}

const FILES: Column<Done>[] = [
  { title: 'FILE', text: ({ file }) => file },
  { title: 'STATE', text: ({ state }) => state },
];

const DEFAULT_BIN = '/opt/cni/bin';

function conflistOption(): Option {
  return new Option('--conflist <file>', 'the configuration list').default(
    DEFAULT_CONFLIST,
    '10-margay.conflist in /etc/cni/net.d',
  );
}

/** A runtime that starts the plugin meanwhile gets the old one or the new one. Returns whether it was another. */
function copyPlugin(from: string, folder: string): boolean {
  const to = join(folder, 'margay');
  if (existsSync(to) && readFileSync(to).equals(readFileSync(from))) return false;
  mkdirSync(folder, { recursive: true });
  const unfinished = join(folder, `.margay.${process.pid}`);
  try {
    copyFileSync(from, unfinished);
    chmodSync(unfinished, 0o755);
    renameSync(unfinished, to);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return true;
}

/** Beside the bundle, or in a working copy. */
function findPlugin(): string {
  const places = ['margay-cni', '../build/margay-cni'].map((path) => join(import.meta.dirname, path));
  const found = places.find((path) => existsSync(path));
  if (found === undefined)
    throw new CliError('the plugin is not built; run npm run setup, or say with --plugin where it is');
  return found;
}

/** What the system has against it is told in a line. */
function plainly(work: () => void): void {
  try {
    work();
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (!(error instanceof Error) || error instanceof CliError || typeof code !== 'string') throw error;
    throw new CliError(error.message, undefined, { cause: error });
  }
}
