// generate.mjs NAME: makes proto/generated/NAME.js and NAME.d.ts of proto/NAME.proto (a protobufjs static module). The
// set-up calls it when the .proto file is newer than what was made of it. Written elsewhere and renamed, so that a
// generated file is whole or not there.
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const require = createRequire(import.meta.url);
const pbjs = promisify(require('protobufjs-cli/pbjs').main);
const pbts = promisify(require('protobufjs-cli/pbts').main);
const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, 'generated');

const name = process.argv[2];
if (!name) throw new Error('usage: generate.mjs NAME');

const making = join(target, `${name}.${process.pid}`);
mkdirSync(making, { recursive: true });
try {
  const script = `${name}.js`;
  const types = `${name}.d.ts`;
  // A root of its own for each file: what one defines must not leak into another.
  const kind = ['-t', 'static-module', '-w', 'esm', '-r', name];
  const leaveOut = ['--force-number', '--no-delimited', '--no-verify', '--no-service'];
  await pbjs([...kind, ...leaveOut, '-o', join(making, script), join(here, `${name}.proto`)]);
  await pbts(['-o', join(making, types), join(making, script)]);
  renameSync(join(making, types), join(target, types));
  renameSync(join(making, script), join(target, script));
} finally {
  rmSync(making, { recursive: true });
}
