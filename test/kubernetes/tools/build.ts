/**
 * Builds what is missing of the real API server, etcd and kubectl, into a folder that all clones share. Takes Go, some 10
 * minutes of one core and 3 GB of disk.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import {
  cacheFolder,
  KUBERNETES_VERSION,
  PROGRAMS,
  type Program,
  programPath,
  TOOLS,
  whyMissing,
} from '../binaries.ts';

const [, major, minor] = /^v(\d+)\.(\d+)/.exec(KUBERNETES_VERSION)!;
const VERSION_PACKAGE = 'k8s.io/component-base/version';
const versions = { gitVersion: KUBERNETES_VERSION, gitMajor: major, gitMinor: minor };
const flags = Object.entries(versions).map(([name, value]) => `-X ${VERSION_PACKAGE}.${name}=${value}`);

mkdirSync(cacheFolder(), { recursive: true });
for (const program of Object.keys(PROGRAMS) as Program[]) {
  if (whyMissing(program) === undefined) continue;
  // Of its own name, so that two builds at once do no harm and half a program is never found.
  const output = `${programPath(program)}.${process.pid}`;
  const args = [
    'build',
    '-trimpath',
    '-ldflags',
    `-s -w ${flags.join(' ')}`,
    '-o',
    output,
    PROGRAMS[program],
  ];
  console.log(`go ${args.join(' ')}`);
  const { status, error } = spawnSync('go', args, {
    cwd: TOOLS,
    stdio: 'inherit',
    env: { ...process.env, CGO_ENABLED: '0' },
  });
  if (status !== 0) {
    rmSync(output, { force: true });
    console.error(error === undefined ? `${program} could not be built` : `go: ${error.message}`);
    process.exit(1);
  }
  renameSync(output, programPath(program));
}
console.log(`Kubernetes ${KUBERNETES_VERSION} is in ${cacheFolder()}`);
