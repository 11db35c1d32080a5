import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { SetupError } from './errors.js';
import { projectNode, stampPath } from './facts.js';
import { isNewEnough, OLDEST_NODE } from './plan.js';

/**
 * Makes node_modules from package-lock.json, without running any package's scripts, and checks that a Node new
 * enough for the project came with it.
 *
 * @param {string} root top of the repository
 * @param {string} wanted hash to remember node_modules by
 * @param {(line: string) => void} say
 */
export function installModules(root, wanted, say) {
  const [command, ...before] = npmCommand();
  // Settings of the user that would leave out what the project needs are overruled.
  const options = ['--ignore-scripts', '--include=dev', '--include=optional', '--engine-strict=false'];
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  say(`npm ci ${options.join(' ')}`);
  const done = spawnSync(command, [...before, 'ci', ...options, ...quiet], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (done.error !== undefined) {
    throw new SetupError(
      `npm could not be started: ${done.error.message}.`,
      'Install npm beside Node and run this command again.',
      {
        cause: done.error,
      },
    );
  }
  if (done.status !== 0) {
    throw new SetupError(
      `npm ci failed (${done.signal ?? `status ${done.status}`}).`,
      'Its messages stand above; most often the package registry could not be reached. Run this command again.',
    );
  }
  checkNode(root);
  writeFileSync(stampPath(root), `${wanted}\n`);
}

/** @param {string} root */
function checkNode(root) {
  const asked = spawnSync(projectNode(root), ['--version'], { encoding: 'utf8' });
  if (asked.status === 0 && isNewEnough(asked.stdout.trim())) return;
  const absent = /** @type {NodeJS.ErrnoException | undefined} */ (asked.error)?.code === 'ENOENT';
  if (absent && isNewEnough(process.version)) return;
  const oldest = OLDEST_NODE.join('.');
  throw new SetupError(
    absent
      ? `There is no packaged Node for ${process.platform} on ${process.arch}, and this one is ${process.version}.`
      : `The Node in node_modules does not run here: ${asked.error?.message ?? asked.stderr.trim()}.`,
    `Install Node ${oldest} or newer and run this command with it.`,
  );
}

/** The npm that runs this script, else the one in PATH. @returns {[string, ...string[]]} */
function npmCommand() {
  const running = process.env.npm_execpath;
  return running !== undefined && /npm-cli\.js$/.test(running) ? [process.execPath, running] : ['npm'];
}
