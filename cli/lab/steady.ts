/**
 * New connections of one pair, one after the other at a steady pace, for as long as something else happens.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { isCutOff, isReached, type Probe, probeAll, type Source, type Target } from '#lab/probe.ts';

/** What became of the connections. */
export interface Tally {
  readonly tried: number;
  /** In every family of the target. */
  readonly reached: number;
  /** In none. */
  readonly cutOff: number;
}

/** Pause between two connections, in ms. */
const PACE = 20;

/**
 * Tries the pair over and over until `work` is done.
 *
 * @param patience how long to wait for an answer, in ms
 */
export async function during(
  pair: readonly [Source, Target],
  patience: number,
  work: Promise<unknown>,
): Promise<Tally> {
  let done = false;
  const finish = (): void => {
    done = true;
  };
  work.then(finish, finish);
  const going: Promise<Probe[]>[] = [];
  while (!done) {
    going.push(probeAll([pair], { patience }));
    await sleep(PACE);
  }
  const probes = (await Promise.all(going)).flat();
  return {
    tried: probes.length,
    reached: probes.filter(isReached).length,
    cutOff: probes.filter(isCutOff).length,
  };
}
