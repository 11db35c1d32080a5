/**
 * `margay lab reach`: who reaches whom just now.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { isReached, type Probe, probeAll } from '#lab/probe.ts';
import { type Format, printData } from '../output.ts';
import type { Context } from '../program.ts';
import { endsOf, pairsOf, readObjects } from './cluster.ts';
import { find } from './find.ts';
import { printMatrix } from './matrix.ts';

/** How long a connection that gets no answer is waited for, and the pause between two tables, in ms. */
const PATIENCE = 1000;
const PAUSE = 500;

export async function labReach(
  context: Context,
  lab: string | undefined,
  { output, watch }: { readonly output: Format; readonly watch: boolean },
): Promise<void> {
  const { out, signal } = context;
  let before: readonly Probe[] = [];
  do {
    const { datastore, state } = find(lab);
    const ends = endsOf(state.topology, await readObjects(datastore));
    const probes = await probeAll(pairsOf(ends), { patience: PATIENCE, signal });
    if (signal.aborted) return;
    if (output !== 'table') {
      printData(
        out,
        output,
        probes.map((probe) => ({ ...probe, open: isReached(probe) })),
      );
    } else {
      // The whole screen anew, from its top.
      if (watch && out.columns !== undefined) out.write('\x1b[H\x1b[2J');
      printMatrix(out, ends, probes, before);
      const open = probes.filter(isReached).length;
      out.write(
        `\n${open} of ${probes.length} pairs are open${watch ? `, at ${new Date(context.now()).toLocaleTimeString()}` : ''}\n`,
      );
    }
    before = probes;
    if (watch) await sleep(PAUSE, undefined, { signal }).catch(() => {});
  } while (watch && !signal.aborted);
}
