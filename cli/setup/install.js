import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupError } from './errors.js';
import { ENABLED_BEFORE } from './facts.js';
import { debianPackages } from './tables.js';

const LOCK = '/run/margay-setup.lock';

/**
 * Installs Debian packages without starting their services, and disables those at boot.
 *
 * @param {string} root top of the repository
 * @param {{ packages: string[], repair: boolean }} step
 * @param {(line: string) => void} say
 */
export function installPackages(root, step, say) {
  const before = new Set(daemons().map((daemon) => daemon.pid));
  // On disk, so that after a set-up that was cut off the next one knows too. A list that is there already is older.
  mkdirSync(dirname(ENABLED_BEFORE), { recursive: true });
  if (!existsSync(ENABLED_BEFORE)) {
    writeFileSync(ENABLED_BEFORE, `${startedAtBoot('/etc').join('\n')}\n`);
  }

  const policy = join(root, 'build', 'setup', 'policy-rc.d');
  mkdirSync(dirname(policy), { recursive: true });
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  /** @param {string} command @param {string[]} args */
  const guarded = (command, args) => runGuarded('/usr/sbin/policy-rc.d', policy, LOCK, [command, ...args]);

  if (guarded('true', []) !== 0) {
    throw new SetupError(
      'Services can not be kept from starting here: a mount namespace is refused (its message stands above).',
      `Use a machine or container that allows one, or install by hand: apt-get install ${step.packages.join(' ')}.`,
    );
  }
  if (step.repair) {
    say('dpkg --configure -a: an earlier installation was cut off');
    guarded('dpkg', ['--configure', '-a', '--force-confold']);
  }
  say('apt-get update');
  const updated = guarded('apt-get', [...APT_OPTIONS, 'update']);
  if (updated !== 0)
    say(`apt-get update failed (status ${updated}); going on with the package lists that are there`);

  say(`apt-get install ${step.packages.join(' ')}`);
  const installed = guarded('apt-get', [
    ...APT_OPTIONS,
    '--no-install-recommends',
    'install',
    ...step.packages,
  ]);
  if (installed !== 0) {
    const hint =
      updated === 0
        ? 'Its messages stand above.'
        : 'apt-get update failed as well: check the network and /etc/apt/sources.list.';
    throw new SetupError(
      `apt-get could not install ${step.packages.join(' ')} (status ${installed}).`,
      `${hint} Then run this command again.`,
    );
  }
  disableNewServices(say);

  const started = daemons().filter((daemon) => !before.has(daemon.pid));
  if (started.length > 0) {
    const names = started.map((daemon) => `${daemon.name} (process ${daemon.pid})`).join(', ');
    throw new SetupError(
      `The installation left running: ${names}.`,
      'Stop their services (systemctl stop NAME, or service NAME stop) and run this command again.',
    );
  }
}

/**
 * Takes out of what starts at boot all that was not there before packages were installed: services of the packages
 * that were asked for, and of those that came with them.
 *
 * @param {(line: string) => void} say
 */
export function disableNewServices(say) {
  disableAllBut(readFileSync(ENABLED_BEFORE, 'utf8').split('\n'), '/etc', say);
  if (existsSync('/run/systemd/system')) must('systemctl', ['daemon-reload']);
  rmSync(dirname(ENABLED_BEFORE), { recursive: true, force: true });
}

/**
 * The links by which systemd or sysvinit start services, as paths below `etc`.
 *
 * @param {string} etc
 * @returns {string[]}
 */
export function startedAtBoot(etc) {
  /** @param {string} folder @param {RegExp} pattern */
  const entries = (folder, pattern) =>
    !existsSync(join(etc, folder))
      ? []
      : readdirSync(join(etc, folder))
          .filter((name) => pattern.test(name))
          .map((name) => join(folder, name));
  const systemd = entries('systemd/system', /\.(wants|requires)$/).flatMap((folder) => entries(folder, /./));
  const sysv = entries('.', /^rc[S2-5]\.d$/).flatMap((folder) => entries(folder, /^S\d\d/));
  return [...systemd, ...sysv].sort();
}

/**
 * Removes such links; that is what `systemctl disable` and `update-rc.d disable` do, which are not there in each
 * container (and deb-systemd-helper only speaks to maintainer scripts). Later upgrades of a package find its links
 * gone and do not make them anew.
 *
 * @param {readonly string[]} before what to leave as it is
 * @param {string} etc
 * @param {(line: string) => void} say
 */
export function disableAllBut(before, etc, say) {
  const added = startedAtBoot(etc).filter((path) => !before.includes(path));
  /** @type {Set<string>} */
  const names = new Set();
  for (const path of added) {
    const [folder, name] = [dirname(path), basename(path)];
    const sysv = /^S(\d\d.*)/.exec(name);
    // Of sysvinit a link that stops the service takes the place, or update-rc.d would take it for a new one.
    if (folder.startsWith('rc') && sysv !== null) {
      renameSync(join(etc, path), join(etc, folder, `K${sysv[1]}`));
      names.add(name.slice(3));
    } else {
      rmSync(join(etc, path));
      names.add(name.replace(/\.service$/, ''));
    }
  }
  if (names.size > 0) say(`not to be started at boot: ${[...names].sort().join(' ')}`);
}

/**
 * Runs a command under guard.sh.
 *
 * @param {string} target the policy-rc.d to cover
 * @param {string} policy what covers it
 * @param {string} lock
 * @param {readonly string[]} command
 * @returns {number} its exit status
 */
export function runGuarded(target, policy, lock, command) {
  const [program = '', ...args] = guardedCommand(target, policy, lock, command);
  const done = spawnSync(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, PATH: systemPath(), LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' },
  });
  if (done.error !== undefined) throw done.error;
  return done.status ?? 128;
}

/**
 * The command line for that. Only one such command runs at a time; what it starts holds the lock too, so that this
 * also holds when the first of them is killed.
 *
 * @param {string} target
 * @param {string} policy
 * @param {string} lock
 * @param {readonly string[]} command
 * @returns {string[]}
 */
export function guardedCommand(target, policy, lock, command) {
  const guard = fileURLToPath(new URL('./guard.sh', import.meta.url));
  return ['flock', lock, 'unshare', '--mount', 'sh', guard, target, policy, ...command];
}

const APT_OPTIONS = [
  '--yes',
  '--quiet',
  // A fresh machine often runs its unattended upgrades just now.
  '--option=DPkg::Lock::Timeout=300',
  '--option=Acquire::Retries=3',
  '--option=Dpkg::Options::=--force-confold',
  '--option=Dpkg::Use-Pty=0',
];

/**
 * The running daemons of our packages in this network namespace; those that tests run are in others.
 *
 * @returns {{ pid: number, name: string }[]}
 */
function daemons() {
  const names = new Set(debianPackages.flatMap((entry) => entry.daemons ?? []));
  const here = readlinkSync('/proc/self/ns/net');
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
        return names.has(name) && readlinkSync(`/proc/${pid}/ns/net`) === here
          ? [{ pid: Number(pid), name }]
          : [];
      } catch {
        return []; // It ended since the folder was read.
      }
    });
}

/** @param {string} command @param {string[]} args */
function must(command, args) {
  const done = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, PATH: systemPath() } });
  if (done.error !== undefined || done.status !== 0) {
    const said = done.error?.message ?? (done.stderr.trim() || `status ${done.status}`);
    throw new SetupError(
      `${command} ${args.join(' ')} failed: ${said}.`,
      'Run it by hand, then this command again.',
    );
  }
}

/** PATH with the sbin folders, which a root shell opened by plain `su` lacks, and without node_modules. */
function systemPath() {
  const path = (process.env.PATH ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
  return [...path, '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'].join(':');
}
