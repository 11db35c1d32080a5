/**
 * Objects of a running lab's datastore, as kubectl has them.
 */

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { podManifest } from '#lab/application.ts';
import { Datastore, ManifestError } from '#lab/datastore.ts';
import { waitFor } from '#lab/wait.ts';
import { type Format, printData } from '../output.ts';
import { CliError, type Context, EXIT } from '../program.ts';
import { find } from './find.ts';

export async function applyFile(
  { out, error }: Context,
  lab: string | undefined,
  { verb, file, output }: { verb: 'apply' | 'delete'; file: string; output: Format },
): Promise<void> {
  const { datastore } = find(lab);
  const text = await read(file);
  const outcomes = refusing(() =>
    new Datastore(datastore)[verb](text, file === '-' ? 'standard input' : file),
  );
  if (output !== 'table') printData(out, output, outcomes);
  else for (const { object, done } of outcomes) out.write(`${object}: ${done}\n`);
  if (verb === 'apply' && outcomes.some(({ object }) => object.startsWith('Service '))) {
    error.write(
      'The lab has no service proxy: addresses of Services lead nowhere. Policies do not ask for them.\n',
    );
  }
  if (verb === 'delete' && outcomes.some(({ done }) => done === 'not found'))
    throw new CliError('not all were there');
}

export interface AddPodOptions {
  readonly namespace: string;
  readonly label?: readonly string[];
  readonly node?: string;
  readonly port?: readonly string[];
  readonly output: Format;
}

export async function addPod(
  { out }: Context,
  lab: string | undefined,
  name: string,
  { namespace, label = [], node, port = ['80'], output }: AddPodOptions,
): Promise<void> {
  const { datastore, state } = find(lab);
  const store = new Datastore(datastore);
  const nodes = state.topology.nodes.map((place) => place.name);
  if (node !== undefined && !nodes.includes(node)) {
    throw new CliError(`--node ${node}: found no such node, expected one of ${nodes.join(', ')}`, EXIT.usage);
  }
  const key = `Pod/${namespace}/${name}`;
  if (store.get(key) !== undefined) throw new CliError(`pod ${namespace}/${name} is there already`);
  const manifest = podManifest({
    name,
    namespace,
    labels: Object.fromEntries(label.map(labelOf)),
    ...(node === undefined ? {} : { nodeName: node }),
    ports: port.map((text) => ({ containerPort: portOf(text) })),
  });
  refusing(() => store.apply(stringify(manifest), 'the new pod'));
  const pod = await waitFor(
    () => {
      const now = store.get(key);
      return now?.status?.podIPs === undefined ? undefined : now;
    },
    { what: `an address for pod ${namespace}/${name}; see what the lab itself says`, timeout: 15_000 },
  );
  const addresses = (pod.status!.podIPs as { ip: string }[]).map(({ ip }) => ip);
  const { nodeName } = pod.spec!;
  if (output !== 'table') printData(out, output, { namespace, name, node: nodeName, addresses });
  else out.write(`pod ${namespace}/${name} runs on ${nodeName} with ${addresses.join(', ')}\n`);
}

function labelOf(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CliError(`--label ${text}: expected key=value`, EXIT.usage);
  return [text.slice(0, at), text.slice(at + 1)];
}

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new CliError(`--port ${text}: expected a number from 1 to 65535`, EXIT.usage);
}

async function read(file: string): Promise<string> {
  if (file === '-') return readFileSync(0, 'utf8');
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = REASONS[code ?? ''] ?? message;
    throw new CliError(`${file}: ${why}, expected a file of YAML or JSON`, EXIT.failed, { cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'found a directory',
  EACCES: 'may not be read',
};

function refusing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error;
    throw new CliError(error.message, EXIT.failed, { cause: error });
  }
}
