/**
 * A small file that is kept over restarts.
 */

import fs from 'node:fs';
import { dirname } from 'node:path';

/**
 * The text of the file; `undefined` when there is no such file.
 *
 * @throws Node's errors, with `code` and `path`
 */
export function readKept(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Replaces the file as a whole, and makes its folder should it not be there. At any instant there is the old text or the new one, also
 * after a loss of power.
 *
 * @throws Node's errors, with `code` and `path`
 */
export async function writeKept(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  const unfinished = `${path}.new`;
  await fs.promises.mkdir(folder, { recursive: true, mode: 0o700 });
  await fs.promises.writeFile(unfinished, text, { mode: 0o600, flush: true });
  await fs.promises.rename(unfinished, path);
  const handle = await fs.promises.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
