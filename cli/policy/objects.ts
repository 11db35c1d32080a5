import type { Command } from 'commander';
import { stringify } from 'yaml';
import { type Resource, readResource } from '#datastore/resource.ts';
import type { Format } from '../output.ts';
import { printData } from '../output.ts';
import { CliError, type Context, EXIT, outputOption } from '../program.ts';
import { withEngine } from './engine.ts';

/** Longest wait for the next part of the answer, in ms. */
const PATIENCE = 10_000;

/** `margay policy objects`. */
export function objectsCommand(policy: Command, { out }: Context): void {
  policy
    .command('objects')
    .description('The objects that the engine has, as manifests: for -f, and to see what it sees.')
    .option('--kind <kinds>', 'only these, such as Pod,Namespace', (text) => text.split(','))
    .addOption(outputOption('yaml', ['yaml', 'json']))
    .addHelpText(
      'after',
      `
Examples:
  margay policy objects > cluster.yaml                      for explain, compile and diff elsewhere
  margay policy objects --kind NetworkPolicy -o json        the policies in force`,
    )
    .action(async ({ kind, output }: { kind?: string[]; output: Format }) => {
      await checkKinds(kind ?? []);
      const manifests = await listManifests(policy, kind ?? []);
      if (output === 'json') printData(out, 'json', { apiVersion: 'v1', kind: 'List', items: manifests });
      else {
        for (const manifest of manifests) {
          out.write(`---\n${stringify(manifest)}`);
          await out.ready();
        }
      }
    });
}

/** A slip would get the same answer as a kind of which there is nothing. @throws CliError */
async function checkKinds(kinds: readonly string[]): Promise<void> {
  const { ALL_KINDS } = await import('#datastore/kubernetes/api.ts');
  const known: readonly string[] = ALL_KINDS;
  const unknown = kinds.find((kind) => !known.includes(kind));
  if (unknown === undefined) return;
  throw new CliError(`--kind: found ${unknown}, expected some of ${known.join(', ')}`, EXIT.usage);
}

/** All objects that the engine has. */
export async function currentObjects(policy: Command): Promise<Resource[]> {
  return (await listManifests(policy, [])).map((manifest) => {
    const reading = readResource(manifest);
    if (reading.outcome === 'resource') return reading.resource;
    // An engine of another version may know what this program does not.
    const [fault] = reading.faults;
    throw new CliError(
      `object of the engine: ${fault?.path}: found ${fault?.found}, expected ${fault?.expected}`,
    );
  });
}

async function listManifests(policy: Command, kinds: readonly string[]): Promise<unknown[]> {
  const manifests: unknown[] = [];
  await withEngine(policy, async (engine) => {
    for await (const batch of engine.listObjects({ kinds: [...kinds] }, { timeoutMs: PATIENCE })) {
      manifests.push(...batch.manifests.map((text) => JSON.parse(text) as unknown));
    }
  });
  return manifests;
}
