import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cPrograms, debianPackages, generatedFiles } from './tables.js';

/**
 * What the set-up needs to know of the machine and the working copy to decide what to do.
 *
 * @typedef {object} Facts
 * @property {number} uid
 * @property {string} nodeVersion of the Node that runs the set-up, for example `v20.19.2`
 * @property {Map<string, string> | undefined} packages state by name of those that dpkg knows, for example
 *   `installed` (dpkg-query(1), db:Status-Status); undefined when there is no dpkg
 * @property {boolean} wasCutOff whether an earlier set-up ended before it had disabled what it installed
 * @property {string} wanted hash of what node_modules should be made from
 * @property {string | undefined} present the same hash as of when node_modules was made
 * @property {boolean} hasProjectNode whether node_modules brings a Node
 * @property {import('./tables.js').CProgram[]} stalePrograms
 * @property {import('./tables.js').GeneratedFile[]} staleFiles
 */

/** What was started at boot before packages were installed; there only until their services are disabled. */
export const ENABLED_BEFORE = '/var/lib/margay-setup/enabled-before';

/**
 * @param {string} root top of the repository
 * @returns {Facts}
 */
export function gatherFacts(root) {
  return {
    uid: process.getuid?.() ?? -1,
    nodeVersion: process.version,
    packages: packageStates(debianPackages.flatMap((entry) => [entry.name, ...(entry.unless ?? [])])),
    wasCutOff: existsSync(ENABLED_BEFORE),
    wanted: wantedHash(root),
    present: readText(stampPath(root))?.trim(),
    hasProjectNode: isExecutable(projectNode(root)),
    stalePrograms: cPrograms.filter((entry) => isStale(root, entry)),
    staleFiles: generatedFiles.filter((entry) => isStale(root, entry)),
  };
}

/** @param {string} root */
export function projectNode(root) {
  return join(root, 'node_modules', '.bin', 'node');
}

/**
 * Where the hash of what node_modules was made from is kept; `npm ci` removes it with the folder.
 *
 * @param {string} root
 */
export function stampPath(root) {
  return join(root, 'node_modules', '.margay-setup');
}

/**
 * @param {readonly string[]} names
 * @returns {Map<string, string> | undefined}
 */
export function packageStates(names) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholders are dpkg-query's
  const format = '${Package} ${db:Status-Status}\\n';
  const asked = spawnSync('dpkg-query', ['-W', '-f', format, ...names], { encoding: 'utf8' });
  // It exits 1 when it does not know one of the packages; that one is then not in the output.
  if (asked.error !== undefined) return undefined;
  /** @type {Map<string, string>} */
  const states = new Map();
  for (const line of asked.stdout.split('\n').filter(Boolean)) {
    const [name = '', state = ''] = line.split(' ');
    states.set(name, state);
  }
  return states;
}

/**
 * Whether the output is missing or older than one of its sources. A table of another date than before makes all
 * outputs stale, since it holds the flags.
 *
 * @param {string} root
 * @param {{ output: string, sources: string[] }} entry
 */
export function isStale(root, entry) {
  const made = modified(join(root, entry.output));
  const table = new URL('./tables.js', import.meta.url).pathname;
  return (
    made === undefined ||
    [table, ...entry.sources.map((path) => join(root, path))].some(
      (path) => (modified(path) ?? Infinity) > made,
    )
  );
}

/** @param {string} root */
function wantedHash(root) {
  const lock = readFileSync(join(root, 'package-lock.json'));
  return createHash('sha256').update(lock).update(process.arch).digest('hex');
}

/** @param {string} path */
function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} path */
function readText(path) {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : readFileSync(path, 'utf8');
}
