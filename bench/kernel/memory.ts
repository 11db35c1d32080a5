import type { Section } from './frame.ts';
import { COUNT, RouteSet } from './route-set.ts';

/** Memory of the routes that should be there, for as long as a daemon runs. */
export const memory: Section = {
  name: 'memory',
  run(report) {
    report.heading(`${COUNT.toLocaleString('en')} routes held as desired state, MB`);
    const rows = ([4, 6] as const).map((family) => {
      const before = inUse();
      const set = new RouteSet(family, 2);
      set.fill(0);
      const held = (inUse() - before) / 1e6;
      const arrays = set.table.bytes / 1e6;
      const cell = report.bar(`IPv${family} routes, MB`, held, { atMost: 15 });
      if (set.table.size !== COUNT) throw new Error(`found ${set.table.size} routes, expected ${COUNT}`);
      return [`IPv${family}`, cell, arrays.toFixed(2)];
    });
    report.table(['', 'heap and arrays', 'arrays alone'], rows);
    report.note('\n  bar: under 15');
  },
};

/** Bytes of live objects and typed arrays, after garbage is gone. */
function inUse(): number {
  if (globalThis.gc === undefined) throw new Error('bench:kernel memory: run node with --expose-gc');
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
