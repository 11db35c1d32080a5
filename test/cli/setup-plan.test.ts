import { describe, expect, test } from 'vitest';
import { SetupError } from '../../cli/setup/errors.js';
import type { Facts } from '../../cli/setup/facts.js';
import { isNewEnough, plan } from '../../cli/setup/plan.js';
import { debianPackages } from '../../cli/setup/tables.js';

/** A machine and working copy where nothing is missing. */
function complete(): Facts {
  return {
    uid: 0,
    nodeVersion: 'v20.19.2',
    packages: new Map(debianPackages.map(({ name }) => [name, 'installed'])),
    wasCutOff: false,
    wanted: 'hash',
    present: 'hash',
    hasProjectNode: true,
    stalePrograms: [],
    staleFiles: [],
  };
}

function refusal(facts: Facts): SetupError {
  try {
    plan(facts);
  } catch (error) {
    if (error instanceof SetupError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('the plan of the set-up', () => {
  test('is empty when nothing is missing', () => {
    expect(plan(complete())).toEqual([]);
  });

  test('installs the packages that are missing, and only those', () => {
    const facts = complete();
    facts.packages!.delete('tcpdump');
    facts.packages!.set('bird2', 'config-files');
    expect(plan(facts)).toEqual([{ kind: 'install', packages: ['tcpdump', 'bird2'], repair: false }]);
  });

  test('leaves in its place what others have installed and can not be beside ours', () => {
    const facts = complete();
    facts.packages!.delete('containerd');
    expect(plan(facts)).toEqual([{ kind: 'install', packages: ['containerd'], repair: false }]);
    facts.packages!.set('containerd.io', 'config-files');
    expect(plan(facts)).toHaveLength(1);
    facts.packages!.set('containerd.io', 'installed');
    expect(plan(facts)).toEqual([]);
  });

  test('repairs first when an installation was cut off', () => {
    for (const state of ['half-installed', 'unpacked', 'half-configured', 'triggers-pending']) {
      const facts = complete();
      facts.packages!.set('frr', state);
      expect(plan(facts), state).toEqual([{ kind: 'install', packages: ['frr'], repair: true }]);
    }
  });

  test('disables the services that an earlier run had installed when it was cut off', () => {
    const facts = { ...complete(), wasCutOff: true };
    expect(plan(facts)).toEqual([{ kind: 'disable' }]);
    // An installation ends with the same.
    facts.packages!.delete('frr');
    expect(plan(facts).map(({ kind }) => kind)).toEqual(['install']);
  });

  test('runs npm when node_modules is missing, of another lock file, or without the Node that is needed', () => {
    for (const change of [{ present: undefined }, { present: 'other' }, { hasProjectNode: false }]) {
      expect(plan({ ...complete(), ...change }), JSON.stringify(change)).toMatchObject([{ kind: 'npm' }]);
    }
    expect(plan({ ...complete(), hasProjectNode: false, nodeVersion: 'v24.1.0' })).toEqual([]);
  });

  test('brings packages first, then modules, then generated files, then C programs', () => {
    const facts: Facts = {
      ...complete(),
      packages: new Map(),
      present: undefined,
      stalePrograms: [{ output: 'build/a', sources: ['a.c'] }],
      staleFiles: [{ output: 'proto/b.js', sources: ['b.proto'], command: ['true'] }],
    };
    expect(plan(facts).map(({ kind }) => kind)).toEqual(['install', 'npm', 'generate', 'compile']);
  });

  test('refuses without root, with exit status 2', () => {
    expect(refusal({ ...complete(), uid: 1000 })).toMatchObject({ exitCode: 2 });
  });

  test('refuses where there is no dpkg, and lists what it would have installed', () => {
    const error = refusal({ ...complete(), packages: undefined });
    expect(error.exitCode).toBe(1);
    for (const { name } of debianPackages) expect(error.message).toContain(name);
  });
});

test('the project runs on Node 22.19 and newer', () => {
  expect(['v18.20.4', 'v20.19.2', 'v22.18.0'].map(isNewEnough)).toEqual([false, false, false]);
  expect(['v22.19.0', 'v23.0.0', 'v24.21.0'].map(isNewEnough)).toEqual([true, true, true]);
});

test('each package of the table is named once and says what it is for', () => {
  expect(new Set(debianPackages.map(({ name }) => name)).size).toBe(debianPackages.length);
  for (const entry of debianPackages) {
    expect(entry.why.length, entry.name).toBeGreaterThan(5);
    // /proc/PID/comm holds 15 bytes at most.
    for (const daemon of entry.daemons ?? []) expect(daemon.length, daemon).toBeLessThan(16);
  }
});
