/**
 * The dataplane, measured with packets:
 *
 *     npm run bench:dataplane                everything
 *     npm run bench:dataplane -- packets     one section
 *
 * Needs root. All happens in network namespaces of its own. Exits with 1 when a bar is missed.
 */

import os from 'node:os';
import { Report, type Section } from '../kernel/frame.ts';
import { changes } from './changes.ts';
import { packets } from './packets.ts';
import { throughput } from './throughput.ts';

const SECTIONS: readonly Section[] = [packets, throughput, changes];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !SECTIONS.some((section) => section.name === name));
if (unknown.length > 0) {
  const names = SECTIONS.map((section) => section.name).join(', ');
  console.error(`bench:dataplane: found ${unknown.join(', ')}, expected some of ${names}`);
  process.exit(2);
}

// Children have it too: what else runs on the machine disturbs all alike, and little.
os.setPriority(os.constants.priority.PRIORITY_HIGHEST);
const report = new Report();
report.note(
  `load ${os.loadavg()[0]!.toFixed(1)}, ${os.cpus().length} CPUs ${os.cpus()[0]?.model ?? ''}, Linux ${os.release()}, Node ${process.version}`,
);
for (const section of SECTIONS) {
  if (wanted.length === 0 || wanted.includes(section.name)) await section.run(report);
}
process.exitCode = report.finish() ? 0 : 1;
