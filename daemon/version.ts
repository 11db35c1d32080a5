/**
 * Which version of Margay this is: what the nearest package.json above this file says, in the source tree as in a bundle.
 */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** `''` where there is none. */
export function readVersion(): string {
  let folder = import.meta.dirname;
  for (;;) {
    const file = join(folder, 'package.json');
    if (existsSync(file)) {
      const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: string };
      if (version !== undefined) return version;
    }
    const above = dirname(folder);
    if (above === folder) return '';
    folder = above;
  }
}
