import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupError } from './errors.js';
import { projectNode, stampPath } from './facts.js';
import { isNewEnough, OLDEST_NODE } from './plan.js';

const NODE_PACKAGE = `node-${process.platform}-${process.arch}`;

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
    env: { ...process.env, ...judgeByProjectNode(root) },
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
  linkNode(root);
  checkNode(root);
  writeFileSync(stampPath(root), `${wanted}\n`);
}

/**
 * Environment for npm in which it chooses packages for the project's Node, see project-node.cjs.
 *
 * @param {string} root
 * @returns {Record<string, string>}
 */
function judgeByProjectNode(root) {
  if (isNewEnough(process.version)) return {};
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const version = lock.packages?.[`node_modules/${NODE_PACKAGE}`]?.version;
  if (version === undefined) return {};
  const shim = fileURLToPath(new URL('./project-node.cjs', import.meta.url));
  const require = `--require ${JSON.stringify(shim)}`;
  return {
    MARGAY_PROJECT_NODE: `v${version}`,
    NODE_OPTIONS: [process.env.NODE_OPTIONS, require].filter(Boolean).join(' '),
  };
}

/**
 * npm 9 makes no link for the program of this package.
 *
 * @param {string} root
 */
function linkNode(root) {
  const link = projectNode(root);
  const program = join('..', NODE_PACKAGE, 'bin', 'node');
  if (existsSync(link) || !existsSync(join(dirname(link), program))) return;
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(program, link);
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
