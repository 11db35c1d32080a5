/**
 * `margay lab reach`: who reaches whom just now.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { isReached, type Probe, probeAll } from '#lab/probe.ts';
import { type Format, paint, printData } from '../output.ts';
import type { Context } from '../program.ts';
import { endsOf, pairsOf, readObjects } from './cluster.ts';
import { find } from './find.ts';
import { printMatrix } from './matrix.ts';
import { verdictsOf } from './why.ts';

/** How long a connection that gets no answer is waited for, and the pause between two tables, in ms. */
const PATIENCE = 1000;
const PAUSE = 500;
/** So many take a while. */
const MANY_PAIRS = 2000;
/** Pairs that are not as policies say, shown at most. */
const MOST_ODD = 5;

export async function labReach(
  context: Context,
  lab: string | undefined,
  { output, watch }: { readonly output: Format; readonly watch: boolean },
): Promise<void> {
  const { out, signal } = context;
  let before: readonly Probe[] = [];
  do {
    const { datastore, state } = find(lab);
    const objects = await readObjects(datastore);
    const ends = endsOf(state.topology, objects);
    const pairs = pairsOf(ends);
    const onDone = progress(context, pairs.length);
    const probes = await probeAll(pairs, { patience: PATIENCE, signal, onDone });
    if (signal.aborted) return;
    const allowed = verdictsOf(objects, ends, probes);
    if (output !== 'table') {
      printData(
        out,
        output,
        probes.map((probe, i) => ({ ...probe, open: isReached(probe), allowed: allowed[i] })),
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
    if (output === 'table') {
      // A moment after a change, or where a link or a daemon is down.
      const odd = probes.filter((probe, i) => isReached(probe) !== allowed[i]);
      for (const probe of odd.slice(0, MOST_ODD)) {
        const what = isReached(probe)
          ? 'is open, and policies forbid it'
          : 'is closed, and policies allow it';
        out.write(`${paint(out, 'yellow', `${probe.source} → ${probe.target}:${probe.port} ${what}`)}\n`);
      }
      if (odd.length > MOST_ODD) out.write(`and ${odd.length - MOST_ODD} more\n`);
    }
    before = probes;
    if (watch) await sleep(PAUSE, undefined, { signal }).catch(() => {});
  } while (watch && !signal.aborted);
}

/** Of very many pairs, how many are done: on a terminal, in a line that goes again. */
function progress({ error }: Context, pairs: number): (done: number) => void {
  if (pairs < MANY_PAIRS || error.columns === undefined) return () => {};
  const step = Math.ceil(pairs / 100);
  return (done) => {
    if (done === pairs) error.write('\r\x1b[K');
    else if (done % step === 0) error.write(`\r${done} of ${pairs} pairs tried`);
  };
}
