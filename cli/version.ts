import { release } from 'node:os';
import { Command } from 'commander';
import { readVersion } from '#daemon/version.ts';
import { type Format, printData, printFields } from './output.ts';
import { type Context, outputOption } from './program.ts';

/** `margay version`: what somebody who reports a fault is asked for first. */
export function versionCommand({ out }: Context): Command {
  return new Command('version')
    .description('The version of Margay, of Node and of the kernel.')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  margay version -o json')
    .action(({ output }: { output: Format }) => {
      const versions = {
        margay: readVersion(),
        node: process.version,
        kernel: release(),
        platform: `${process.platform}-${process.arch}`,
      };
      if (output === 'table') printFields(out, Object.entries(versions));
      else printData(out, output, versions);
    });
}
