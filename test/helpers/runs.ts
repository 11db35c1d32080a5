/**
 * How many examples a property is tried on: `usual`, or more for a search that may take its time, by
 * `MARGAY_PROPERTY_FACTOR`. Every run has examples of its own; a failure prints the seed that brings them back.
 */
export function runs(usual: number): number {
  const factor = Number(process.env.MARGAY_PROPERTY_FACTOR ?? 1);
  if (!(factor > 0)) throw new Error('MARGAY_PROPERTY_FACTOR: expected a number above 0');
  return Math.ceil(usual * factor);
}
