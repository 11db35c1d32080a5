/**
 * `margay lab up`: starts a lab, shows it round, and ends it in good order.
 */

import { existsSync } from 'node:fs';
import { freemem } from 'node:os';
import { applicationManifests } from '#lab/application.ts';
import { LABS_FOLDER, LabRunsError } from '#lab/claim.ts';
import { Lab, type LabEvent } from '#lab/lab.ts';
import type { Family } from '#lab/peers/description.ts';
import { thisMargay } from '#lab/program.ts';
import type { TorKind } from '#lab/topology.ts';
import { firstTor, missingTools } from '#lab/tor/tor.ts';
import type { UpOptions } from '../lab.ts';
import { bytes, paint } from '../output.ts';
import { CliError, type Context, EXIT } from '../program.ts';
import { drawLab } from './picture.ts';
import { BrokenOffError, type Script } from './script.ts';
import { runTour } from './tour.ts';

/** What the daemons of a node take. */
const BYTES_PER_NODE = 450 * 1024 * 1024;

export async function labUp(context: Context, options: UpOptions & { readonly lab: string }): Promise<void> {
  const { out, error, signal } = context;
  if (process.getuid?.() !== 0)
    throw new CliError('margay lab up: it makes network namespaces: run it as root');
  const families: readonly Family[] = options.dualStack
    ? ['ipv4', 'ipv6']
    : options.ipv6
      ? ['ipv6']
      : ['ipv4'];
  if (families.includes('ipv6') && !existsSync('/proc/sys/net/ipv6')) {
    throw new CliError(`${options.ipv6 ? '--ipv6' : '--dual-stack'}: this kernel has no IPv6`);
  }
  const tor = chooseTor(options.tor);
  const needed = options.nodes * BYTES_PER_NODE;
  if (needed > freemem()) {
    error.write(
      `${options.nodes} nodes take about ${bytes(needed)} of memory, and ${bytes(freemem())} are free: it may become slow.\n`,
    );
  }
  const began = performance.now();
  const lab = await start(context, {
    margay: thisMargay(),
    options: { name: options.lab, nodes: options.nodes, families, tor },
  });
  // Whoever reads the output may go away, and the lab has to be taken down all the same.
  let script: Script | undefined;
  try {
    out.write(`${drawLab(lab.topology, out.columns ?? 80).join('\n')}\n`);
    if (options.tour) {
      script = await runTour(lab, { pods: options.pods, out, signal });
      sumUp(context, script, performance.now() - began);
    } else {
      lab.datastore.apply(applicationManifests(lab.topology, options.pods), 'the example application');
    }
    if (!options.once && !signal.aborted) {
      tellWhatNext(context, options.lab);
      await aborted(signal);
    }
  } catch (thrown) {
    if (!(thrown instanceof BrokenOffError)) throw inWords(thrown);
  } finally {
    const start = performance.now();
    await lab.stop();
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    error.write(`\nThe lab is gone, and nothing of it is left (${seconds} s).\n`);
  }
  if (options.once && (script === undefined || script.failures.length > 0)) {
    throw new CliError(
      script === undefined
        ? 'the tour was broken off'
        : `${script.failures.length} things were not as expected`,
      EXIT.failed,
    );
  }
}

async function start(
  { error, signal }: Context,
  { margay, options }: { margay: ReturnType<typeof thisMargay>; options: Parameters<typeof Lab.start>[0] },
): Promise<Lab> {
  const onEvent = (event: LabEvent): void => {
    switch (event.kind) {
      case 'swept':
        error.write(
          `A lab that was killed had left ${event.namespaces.length} namespaces; they are gone now.\n`,
        );
        break;
      case 'machines':
        if (event.of > 8 && error.columns !== undefined) {
          error.write(`\r${event.done} of ${event.of} nodes${event.done === event.of ? '\n' : ''}`);
        }
        break;
      case 'trouble':
        error.write(`${paint(error, 'yellow', 'trouble:')} ${event.text}\n`);
    }
  };
  try {
    return await Lab.start(options, { margay, onEvent, signal });
  } catch (thrown) {
    if (!(thrown instanceof LabRunsError)) throw inWords(thrown);
    throw new CliError(
      `${thrown.message}; end it with: margay lab --lab ${thrown.lab} down, or give this one another name with --lab`,
      EXIT.failed,
      { cause: thrown },
    );
  }
}

/** What is full is not said by the system. */
function inWords(thrown: unknown): unknown {
  if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') return thrown;
  return new CliError(`no space left in ${LABS_FOLDER}, where a lab keeps its files`, EXIT.failed, {
    cause: thrown,
  });
}

function chooseTor(wanted: TorKind | undefined): TorKind {
  if (wanted === undefined) return firstTor();
  const missing = missingTools(wanted);
  if (missing.length === 0) return wanted;
  throw new CliError(
    `--tor ${wanted}: ${missing.join(', ')} not found; npm run setup installs what is missing, or use --tor ${firstTor()}`,
  );
}

function sumUp({ out }: Context, script: Script, ms: number): void {
  const { expectations, failures } = script;
  const text =
    failures.length === 0
      ? paint(out, 'green', `All ${expectations.length} expectations were met`)
      : paint(out, 'red', `${failures.length} of ${expectations.length} expectations were not met`);
  out.write(`\n${text}, ${(ms / 1000).toFixed(1)} s from the start to here.\n`);
  for (const { what, failure } of failures) out.write(`  ✗ ${what}: ${failure}\n`);
}

function tellWhatNext({ out }: Context, lab: string): void {
  const margay = lab === 'lab' ? 'npx margay lab' : `npx margay lab --lab ${lab}`;
  const lines: readonly (readonly [string, string])[] = [
    [`${margay} reach --watch`, 'who reaches whom, live'],
    [`${margay} apply -f POLICY.yaml`, 'your own NetworkPolicies'],
    [`${margay} exec n1 -- margay status`, 'run it on a node, tor, in a pod'],
    [`${margay} link down n2`, 'pull a cable; link up n2 ends that'],
    [`${margay} kill n1 felix`, 'kill a daemon: nobody notices'],
    [`${margay} status`, 'machines, daemons, pods'],
  ];
  const wide = Math.max(...lines.map(([command]) => command.length));
  out.write('\nThe lab stays up until Ctrl-C. From another terminal, in this folder:\n');
  for (const [command, what] of lines) {
    out.write(`  ${paint(out, 'bold', command.padEnd(wide))}  ${paint(out, 'dim', what)}\n`);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    // A timer keeps the process alive whatever else there is.
    const alive = setInterval(() => {}, 60_000);
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(alive);
        resolve();
      },
      { once: true },
    );
  });
}
