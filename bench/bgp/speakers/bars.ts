/**
 * What Margay's figures are measured against.
 */

import type { Result } from './run.ts';

/** By case and speaker. */
export type Results = ReadonlyMap<string, ReadonlyMap<string, Result>>;

/** The cases that the bars are for, full tables between sessions; kernel routes are only compared. */
const SESSIONS = ['1-to-1', '10-to-1', '1-to-20'];

/** Faster than FRR and gobgpd, within 2 times of bird, and under a third of FRR's memory with a full table. */
const FACTORS: Readonly<Record<string, number>> = { bird: 2, frr: 1, gobgpd: 1 };
const MEMORY_FACTOR = 1 / 3;

const FIELDS = ['announce', 'withdraw', 'cpu', 'peak'] as const;

/**
 * Prints Margay's figures divided by those of the others, and with `judge` which bars they meet.
 *
 * @returns whether none is missed.
 */
export function printRatios(results: Results, judge: boolean): boolean {
  let good = true;
  console.log('\nmargay divided by        announce       withdraw            CPU       peak MB');
  for (const [name, speakers] of results) {
    const margay = speakers.get('margay');
    if (margay === undefined) continue;
    for (const [other, result] of speakers) {
      if (other === 'margay') continue;
      const columns = FIELDS.map((field) => {
        const ratio = margay[field] / result[field];
        const below = judge ? belowOf(name, other, field) : undefined;
        good &&= below === undefined || ratio < below;
        const verdict = below === undefined ? '' : ratio < below ? 'met' : 'MISSED';
        return `${ratio.toFixed(2).padStart(7)} ${verdict.padEnd(6)}`;
      });
      console.log(`${name.padEnd(10)} ${other.padEnd(8)} ${columns.join(' ')}`.trimEnd());
    }
  }
  return good;
}

function belowOf(name: string, other: string, field: keyof Result): number | undefined {
  if (field === 'peak') return name === '1-to-1' && other === 'frr' ? MEMORY_FACTOR : undefined;
  if (field === 'cpu' || !SESSIONS.includes(name)) return undefined;
  return FACTORS[other];
}
