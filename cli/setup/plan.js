import { SetupError } from './errors.js';
import { debianPackages } from './tables.js';

/**
 * One thing to do. Steps are done in order; the first that fails ends the set-up.
 *
 * @typedef {{ kind: 'install', packages: string[], repair: boolean }
 *   | { kind: 'disable' }
 *   | { kind: 'npm', why: string }
 *   | { kind: 'generate', file: import('./tables.js').GeneratedFile }
 *   | { kind: 'compile', program: import('./tables.js').CProgram }} Step
 */

/** The oldest Node that runs the project itself (type stripping without a flag); the set-up needs less. */
export const OLDEST_NODE = [22, 19];

/**
 * What to do so that nothing is missing. A function of the facts alone.
 *
 * @param {import('./facts.js').Facts} facts
 * @returns {Step[]}
 * @throws {SetupError} when the set-up can not be done here at all
 */
export function plan(facts) {
  if (facts.uid !== 0) {
    throw new SetupError(
      'Margay needs root to make network namespaces and to speak to the kernel:',
      'run this command as root, for example with sudo.',
      { exitCode: 2 },
    );
  }
  const { packages } = facts;
  if (packages === undefined) {
    const names = debianPackages.map((entry) => entry.name).join(' ');
    throw new SetupError(
      'There is no dpkg-query here, so this is not Debian.',
      `Use Debian 12 or newer, where the set-up installs: ${names}.`,
    );
  }
  const missing = debianPackages.filter(
    (entry) => ![entry.name, ...(entry.unless ?? [])].some((name) => packages.get(name) === 'installed'),
  );

  /** @type {Step[]} */
  const steps = [];
  if (missing.length > 0) {
    steps.push({
      kind: 'install',
      packages: missing.map((entry) => entry.name),
      // Neither installed nor absent: an earlier installation was cut off in the middle.
      repair: missing.some(
        (entry) => !['not-installed', 'config-files'].includes(packages.get(entry.name) ?? 'not-installed'),
      ),
    });
  } else if (facts.wasCutOff) {
    steps.push({ kind: 'disable' });
  }
  const npm = whyNpm(facts);
  if (npm !== undefined) steps.push({ kind: 'npm', why: npm });
  for (const file of facts.staleFiles) steps.push({ kind: 'generate', file });
  for (const program of facts.stalePrograms) steps.push({ kind: 'compile', program });
  return steps;
}

/**
 * Whether this Node runs the project.
 *
 * @param {string} version such as `v20.19.2`
 */
export function isNewEnough(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_NODE;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/** @param {import('./facts.js').Facts} facts */
function whyNpm(facts) {
  if (facts.present === undefined) return 'node_modules is missing or not complete';
  if (facts.present !== facts.wanted) return 'node_modules is not what package-lock.json says';
  if (!facts.hasProjectNode && !isNewEnough(facts.nodeVersion)) return 'node_modules brings no Node';
  return undefined;
}
