/**
 * `npm run build`: what goes into the image, as a tree of files under build/image that a Dockerfile only has to copy. Nothing in it
 * depends on where it was built.
 *
 *     opt/margay/margay.js        the command, bundled, with its chunks and workers beside it
 *     opt/margay/margay-cni       the CNI plugin, static
 *     opt/margay/node_modules/    koffi with its library for this machine: native code can not be bundled
 *     opt/margay/licenses/        of all packages that are in the bundle
 *     usr/local/bin/margay        leads to the command
 */

import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Metafile } from 'esbuild';
import { compile, generate } from '../setup/build.js';
import { cPrograms, generatedFiles } from '../setup/tables.js';
import { bundle } from './bundle.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PLUGIN = 'build/margay-cni';

/** Parts of koffi that are used: the others are sources to build it from, and its documentation. */
const KOFFI = ['package.json', 'LICENSE.txt', 'index.js', 'src/koffi/index.js', 'src/koffi/src/static.js'];

/**
 * Builds the tree in place of the one before.
 *
 * @param output folder that becomes the top of the image
 */
export async function buildImage(output: string, say: (line: string) => void = () => {}): Promise<void> {
  for (const file of generatedFiles) if (!existsSync(join(ROOT, file.output))) generate(ROOT, file, say);
  const plugin = cPrograms.find((program) => program.output === PLUGIN)!;
  if (!existsSync(join(ROOT, PLUGIN))) compile(ROOT, plugin, say);

  const unfinished = `${output}.${process.pid}`;
  const folder = join(unfinished, 'opt/margay');
  mkdirSync(folder, { recursive: true });
  try {
    const { metafile } = await bundle(folder);
    copyLicenses(metafile, join(folder, 'licenses'));
    copyKoffi(join(folder, 'node_modules'));
    copyFileSync(join(ROOT, PLUGIN), join(folder, 'margay-cni'));
    copyFileSync(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
    writeFileSync(join(folder, 'package.json'), packageJson());
    for (const program of ['margay.js', 'margay-cni']) chmodSync(join(folder, program), 0o755);
    mkdirSync(join(unfinished, 'usr/local/bin'), { recursive: true });
    symlinkSync('../../../opt/margay/margay.js', join(unfinished, 'usr/local/bin/margay'));
    rmSync(output, { recursive: true, force: true });
    renameSync(unfinished, output);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/** Of each package that anything was taken from. */
function copyLicenses({ inputs }: Metafile, folder: string): void {
  const packages = new Set(
    Object.keys(inputs).flatMap((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []),
  );
  mkdirSync(folder, { recursive: true });
  for (const path of packages) {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length).replace('/', '+');
    const texts = readdirSync(join(ROOT, path)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
    const { license = 'not said' } = JSON.parse(readFileSync(join(ROOT, path, 'package.json'), 'utf8'));
    const parts = texts.map((file) => readFileSync(join(ROOT, path, file), 'utf8'));
    writeFileSync(join(folder, `${name}.txt`), [`License: ${license}\n`, ...parts].join('\n'));
  }
}

function copyKoffi(folder: string): void {
  for (const file of KOFFI) {
    const to = join(folder, 'koffi', file);
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(join(ROOT, 'node_modules/koffi', file), to);
  }
  for (const path of globSync('node_modules/@koromix/koffi-linux-*', { cwd: ROOT })) {
    cpSync(join(ROOT, path), join(folder, '@koromix', basename(path)), {
      recursive: true,
      // Debian has the GNU library.
      filter: (source) => !basename(source).startsWith('musl_'),
    });
  }
}

/** Version and kind of modules; nothing of how it was built. */
function packageJson(): string {
  const { name, version, license } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  return `${JSON.stringify({ name, version, license, private: true, type: 'module' }, undefined, 2)}\n`;
}

if (import.meta.main) {
  const output = join(ROOT, 'build/image');
  await buildImage(output, (line) => console.log(line));
  console.log(`${output} is what goes into the image; docker build . makes one`);
}
