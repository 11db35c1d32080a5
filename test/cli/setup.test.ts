import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createNetns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { compile, generate } from '../../cli/setup/build.js';
import { gatherFacts, isStale, packageStates, projectNode, stampPath } from '../../cli/setup/facts.js';
import { disableAllBut, startedAtBoot } from '../../cli/setup/install.js';
import { installModules } from '../../cli/setup/npm.js';

const main = join(import.meta.dirname, '../../cli/setup/main.js');
const silent = () => {};

let root: string;
beforeEach(() => {
  root = newTempFolder();
});

describe('the set-up', () => {
  test('without root says in one sentence what is needed, and exits with 2', () => {
    // The capability lets another user read the program wherever it lies.
    const user = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    const read = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
    const done = spawnSync('setpriv', [...user, ...read, process.execPath, main], { encoding: 'utf8' });
    expect(done.stdout).toBe('');
    expect(done.stderr).toMatch(/^set-up: Margay needs root [^\n.]*run this command as root[^\n.]*\.\n$/);
    expect(done.status).toBe(2);
  });

  test('has nothing to do once it was done: in under a second and without a network', (ctx) => {
    using ns = createNetns();
    const run = () => {
      const start = performance.now();
      const done = spawnSync('nsenter', [`--net=${ns.path}`, process.execPath, main, '--check'], {
        encoding: 'utf8',
      });
      return { ...done, time: performance.now() - start };
    };
    // The best of some, as other tests run at the same time.
    const runs = [run()];
    while (runs.length < 12 && Math.min(...runs.map(({ time }) => time)) >= 1000) runs.push(run());
    const done = runs[0]!;
    if (done.status === 3)
      ctx.skip(`the set-up is not done in this working copy (npm run setup): ${done.stdout.trim()}`);
    expect(done.stderr).toBe('');
    expect(done.stdout).toMatch(/^set-up: nothing to do .*\n$/);
    expect(Math.min(...runs.map(({ time }) => time))).toBeLessThan(1000);
  });
});

describe('the facts', () => {
  test('tell an installed package from one that does not exist', () => {
    const states = packageStates(['dpkg', 'margay-no-such-package']);
    expect(states?.get('dpkg')).toBe('installed');
    expect(states?.get('margay-no-such-package')).not.toBe('installed');
  });

  test('change with the lock file', () => {
    writeFileSync(join(root, 'package-lock.json'), '{"a":1}');
    const first = gatherFacts(root);
    expect(first).toMatchObject({ present: undefined, hasProjectNode: false });
    mkdirSync(join(root, 'node_modules'));
    writeFileSync(stampPath(root), `${first.wanted}\n`);
    expect(gatherFacts(root)).toMatchObject({ present: first.wanted, wanted: first.wanted });
    writeFileSync(join(root, 'package-lock.json'), '{"a":2}');
    expect(gatherFacts(root).wanted).not.toBe(first.wanted);
  });

  test('call an output stale that is missing or older than a source', () => {
    const entry = { output: 'out', sources: ['in.c', 'in.h'] };
    for (const path of entry.sources) writeFileSync(join(root, path), '');
    expect(isStale(root, entry)).toBe(true);
    writeFileSync(join(root, 'out'), '');
    const later = new Date(Date.now() + 10_000);
    utimesSync(join(root, 'out'), later, later);
    expect(isStale(root, entry)).toBe(false);
    const latest = new Date(Date.now() + 20_000);
    utimesSync(join(root, 'in.h'), latest, latest);
    expect(isStale(root, entry)).toBe(true);
  });
});

describe('a C program', () => {
  const program = { output: 'build/deep/hello', sources: ['hello.c', 'hello.h'] };

  test('is built static, and runs', () => {
    writeFileSync(join(root, 'hello.h'), '#define GREETING "hello"\n');
    const source = '#include <stdio.h>\n#include "hello.h"\nint main(void) { puts(GREETING); return 0; }\n';
    writeFileSync(join(root, 'hello.c'), source);
    compile(root, program, silent);
    expect(spawnSync(join(root, program.output), { encoding: 'utf8' }).stdout).toBe('hello\n');
    expect(readFileSync(join(root, program.output)).includes('/lib64/ld-linux')).toBe(false);
  });

  test('with a warning is an error, and leaves no output', () => {
    writeFileSync(join(root, 'hello.c'), 'int main(void) { int unused; return 0; }\n');
    const build = join(import.meta.dirname, '../../cli/setup/build.js');
    const source = `import { compile } from '${build}'; compile('${root}', ${JSON.stringify(program)}, () => {});`;
    const done = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' });
    expect(done.status).not.toBe(0);
    expect(done.stderr).toMatch(/hello\.c:1:.*unused variable/);
    expect(done.stderr).toContain('build/deep/hello could not be built: gcc failed (status 1). Its messages');
    expect(readdirSync(join(root, 'build/deep'))).toEqual([]);
  });
});

test('a generated file is up to date after its command, also when that left it unchanged', () => {
  const file = {
    output: 'out',
    sources: ['in'],
    command: ['sh', '-c', 'echo made > out; touch -d 2001-01-01 out'],
  };
  writeFileSync(join(root, 'in'), '');
  generate(root, file, silent);
  expect(isStale(root, file)).toBe(false);
  expect(readFileSync(join(root, 'out'), 'utf8')).toBe('made\n');
  expect(() => generate(root, { ...file, command: ['false'] }, silent)).toThrow(
    /out could not be generated: false/,
  );
});

describe('npm ci', () => {
  test('runs no scripts of packages and includes what the project needs', () => {
    withNpm(`console.log = () => {}; process.exitCode = 0; require('fs').writeFileSync('args', process.argv.slice(2).join(' '));
      require('fs').mkdirSync('node_modules/.bin', { recursive: true });`);
    installModules(root, 'hash', silent);
    const args = readFileSync(join(root, 'args'), 'utf8').split(' ');
    expect(args[0]).toBe('ci');
    expect(args).toEqual(expect.arrayContaining(['--ignore-scripts', '--include=dev', '--include=optional']));
    expect(readFileSync(stampPath(root), 'utf8')).toBe('hash\n');
  });

  test('that fails leaves the set-up undone and says what to do', () => {
    withNpm(`require('fs').mkdirSync('node_modules'); process.exitCode = 7;`);
    expect(() => installModules(root, 'hash', silent)).toThrow(
      /npm ci failed \(status 7\).*Run this command again/,
    );
    expect(existsSync(stampPath(root))).toBe(false);
  });

  test('gets the link to its Node that npm 9 does not make', () => {
    const folder = `node_modules/node-${process.platform}-${process.arch}/bin`;
    withNpm(`require('fs').mkdirSync('${folder}', { recursive: true });
      require('fs').writeFileSync('${folder}/node', '#!/bin/sh\\necho v24.0.0\\n', { mode: 0o755 });`);
    installModules(root, 'hash', silent);
    expect(spawnSync(projectNode(root), { encoding: 'utf8' }).stdout).toBe('v24.0.0\n');
  });

  test('that brings a Node which does not run here is an error', () => {
    withNpm(`require('fs').mkdirSync('node_modules/.bin', { recursive: true });`);
    mkdirSync(join(root, 'node_modules/.bin'), { recursive: true });
    writeFileSync(projectNode(root), '#!/bin/sh\necho no such libc >&2; exit 1\n');
    chmodSync(projectNode(root), 0o755);
    expect(() => installModules(root, 'hash', silent)).toThrow(/does not run here: no such libc.*22\.19/);
    expect(existsSync(stampPath(root))).toBe(false);
  });

  afterEach(() => vi.unstubAllEnvs());

  function withNpm(source: string): void {
    const path = join(root, 'npm-cli.js');
    writeFileSync(path, source);
    vi.stubEnv('npm_execpath', path);
  }
});

describe('services that an installation adds', () => {
  const before = ['rc2.d/S01ssh', 'systemd/system/multi-user.target.wants/ssh.service'];
  const added = [
    'rc2.d/S01bird',
    'systemd/system/multi-user.target.wants/bird.service',
    'systemd/system/timers.target.wants/logrotate.timer',
  ];
  const others = ['rc2.d/K01cron', 'rc6.d/K01bird', 'systemd/system/bird.service', 'systemd/network/a.link'];

  beforeEach(() => {
    for (const path of [...before, ...added, ...others]) {
      mkdirSync(join(root, dirname(path)), { recursive: true });
      symlinkSync('/dev/null', join(root, path));
    }
  });

  test('are told from those that do not start at boot', () => {
    expect(startedAtBoot(root)).toEqual([...before, ...added].sort());
    expect(startedAtBoot(join(root, 'no-such-folder'))).toEqual([]);
  });

  test('are disabled, the others are left as they are', () => {
    const said: string[] = [];
    disableAllBut(before, root, (line) => said.push(line));
    expect(said).toEqual(['not to be started at boot: bird logrotate.timer']);
    expect(startedAtBoot(root)).toEqual(before);
    for (const path of [...before, ...others])
      expect(lstatSync(join(root, path)).isSymbolicLink(), path).toBe(true);
    // update-rc.d takes a service with a stop link for one that the administrator disabled.
    expect(lstatSync(join(root, 'rc2.d/K01bird')).isSymbolicLink()).toBe(true);
  });
});
