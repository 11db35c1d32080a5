/**
 * A folder of small scripts beside the lab, for commands that are run inside of it: `margay`, and the router's own command line
 * told where its daemon is.
 */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findTool } from './command.ts';
import type { Margay } from './program.ts';
import type { TorKind } from './topology.ts';

/** Where the scripts of a lab lie. */
export function toolsOf(labFolder: string): string {
  return join(labFolder, 'bin');
}

export function writeTools(labFolder: string, margay: Margay, tor: TorKind): void {
  const folder = toolsOf(labFolder);
  mkdirSync(folder, { mode: 0o700 });
  const write = (name: string, words: readonly string[]): void => {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\nexec ${words.map(quote).join(' ')} "$@"\n`);
    chmodSync(path, 0o700);
  };
  write('margay', [margay.command, ...margay.args]);
  const [name, ...options] = TOR_TOOLS[tor](join(labFolder, 'tor'));
  const tool = name && findTool(name);
  if (tool) write(name, [tool, ...options]);
}

const TOR_TOOLS: Readonly<Record<TorKind, (folder: string) => readonly string[]>> = {
  gobgpd: (folder) => ['gobgp', '--target', `unix://${join(folder, 'api')}`],
  bird: (folder) => ['birdc', '-s', join(folder, 'ctl')],
  frr: (folder) => ['vtysh', '--vty_socket', folder],
  margay: () => [],
};

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
