/**
 * What each hot function costs per prefix at three sizes of table:
 *
 *     node --expose-gc bench/bgp/functions/main.ts
 *
 * Ends with status 1 if the cost of one grows with the table.
 */

import { Figures } from './figures.ts';
import { measureRib } from './rib.ts';
import { measureWire } from './wire.ts';

const figures = new Figures();
measureWire(figures);
measureRib(figures);
figures.print();
for (const name of figures.growing) console.log(`grows with the table: ${name}`);
if (figures.growing.length > 0) process.exitCode = 1;
