/**
 * Loading small configurations in tests.
 */

import { loadConfig } from '#bgp/config/load.ts';
import type { FileConfig, PeerConfig, SpeakerConfig } from '#bgp/config/model.ts';
import { ConfigError } from '#daemon/problem.ts';

export const HEAD = 'routerId: 10.0.0.1\nas: 64512\n';

export function load(source: string, secrets: Readonly<Record<string, string>> = {}): SpeakerConfig {
  return loadFile(source, secrets).speaker;
}

export function loadFile(
  source: string,
  secrets: Readonly<Record<string, string>> = {},
  node?: string,
): FileConfig {
  return loadConfig(source, {
    file: 'test.yaml',
    node,
    readSecret: (path) => {
      if (path in secrets) return secrets[path]!;
      throw new Error(`ENOENT: no such file or directory, open '${path}'`);
    },
  });
}

/** The configuration with this one neighbour, whose fields are given as those of a flow mapping. */
export function loadPeer(fields: string, rest = ''): PeerConfig {
  return load(`${HEAD}${rest}\npeers:\n  - {${fields}}\n`).peers[0]!;
}

/** The lines that loading complains with. */
export function problems(source: string, secrets: Readonly<Record<string, string>> = {}): string[] {
  try {
    load(source, secrets);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}
