/**
 * What one does with a running lab from another terminal, and how it ends.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { POLICY_FILE } from '#lab/application.ts';
import { folderOf } from '#lab/claim.ts';
import { startTime } from '#lab/leftovers.ts';
import { findLab } from '#lab/state.ts';
import { peerTools } from '#test/helpers/peers/launch.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { LabProcess, margay, namespacesOf, newLabName } from './lab.ts';

const SMALL = ['--tor', 'margay', '--nodes', '2', '--pods', '3', '--no-tour'];

describe('a running lab', { timeout: 150_000 }, () => {
  let lab: LabProcess;

  beforeAll(async () => {
    lab = await LabProcess.start(SMALL);
    await waitFor(async () => (await lab.open()).size === 9, {
      what: 'three pods and the world reach each other',
      timeout: 45_000,
    });
  }, 90_000);

  afterAll(() => lab[Symbol.asyncDispose]());

  test('tells its machines, daemons and pods', async () => {
    const status = JSON.parse(await lab.run('status', '-o', 'json'));
    expect(status).toMatchObject({
      lab: lab.name,
      nodes: [
        { name: 'n1', link: 'up', sessions: 1 },
        { name: 'n2', link: 'up', sessions: 1 },
      ],
      pods: [
        { name: 'shop/frontend-1', ports: [8080] },
        { name: 'shop/api-1', ports: [9090] },
        { name: 'data/database-1', ports: [5432] },
      ],
    });
    const table = await lab.run('status');
    expect(table).toMatch(/^n1 bgp +\d+ /m);
    expect(table).toMatch(/^data\/database-1 +n1 +10\.244\.1\.\d+ +TCP 5432$/m);
  });

  test('runs commands in pods, on nodes and on the router, and hands on how they ended', async () => {
    expect(await lab.run('exec', 'shop/api-1', '--', 'ip', 'route')).toContain('default via 169.254.1.1');
    expect(await lab.run('exec', 'n2', '--', 'ip', 'route')).toContain('10.244.1.0/24 via 10.0.2.1');
    expect(await lab.run('exec', 'tor', '--', 'ip', 'route')).toContain('10.244.1.0/24 via 10.0.1.2');
    expect(await lab.run('exec', 'n1', '--', 'margay', 'status')).toMatch(/Policy {2}in sync for/);
    await expect(lab.run('exec', 'n1', '--', 'sh', '-c', 'exit 7')).rejects.toMatchObject({ status: 7 });
    await expect(lab.run('exec', 'shop/api-9', '--', 'true')).rejects.toThrow(
      /no pod shop\/api-9.*lab status/,
    );
    await expect(lab.run('exec', 'api-1', '--', 'true')).rejects.toThrow(
      'no pod default/api-1; expected one of shop/api-1',
    );
  });

  test('takes pods that are added, and lets go of them', async () => {
    const said = await lab.run(
      'add-pod',
      'visitor',
      '-n',
      'shop',
      '-l',
      'app=visitor',
      '--node',
      'n2',
      '-p',
      '81',
    );
    expect(said).toMatch(/^pod shop\/visitor runs on n2 with 10\.244\.2\.\d+\n$/);
    await waitFor(async () => (await lab.open()).has('data/database-1 shop/visitor'), {
      what: 'the pod can be reached',
      timeout: 45_000,
    });
    await expect(lab.run('add-pod', 'visitor', '-n', 'shop')).rejects.toThrow('is there already');
    await expect(lab.run('add-pod', 'x', '--node', 'n9')).rejects.toThrow('expected one of n1, n2');
    await expect(lab.run('add-pod', 'x', '-p', 'http')).rejects.toThrow(
      '--port http: expected a number from 1 to 65535',
    );
    const pod = 'apiVersion: v1\nkind: Pod\nmetadata: { name: visitor, namespace: shop }\n';
    expect(await margay(['lab', '--lab', lab.name, 'delete', '-f', '-'], { input: pod })).toBe(
      'Pod shop/visitor: deleted\n',
    );
    await waitFor(() => !namespacesOf(lab.name).some((name) => name.endsWith('visitor')), {
      what: 'the namespace is gone',
    });
    expect(await lab.run('exec', 'n2', '--', 'margay', 'ipam', 'check')).not.toBe('');
  });

  test('refuses manifests as a whole, with the place of what is wrong', async () => {
    const apply = (input: string) => margay(['lab', '--lab', lab.name, 'apply', '-f', '-'], { input });
    const good = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: extra }\n';
    await expect(
      apply(
        `${good}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: p }\nspec: { podSelektor: {} }\n`,
      ),
    ).rejects.toThrow(/standard input:\d+:\d+ .*NetworkPolicy default\/p.*podSelektor/);
    await expect(apply('apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }\n')).rejects.toThrow(
      /Deployment of apps\/v1/,
    );
    await expect(
      apply('apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: nowhere }\n'),
    ).rejects.toThrow('there is no namespace nowhere');
    await expect(lab.run('apply', '-f', '/nowhere.yaml')).rejects.toThrow(
      'error: /nowhere.yaml: no such file, expected a file of YAML or JSON',
    );
    expect(await apply(good)).toBe('Namespace extra: created\n');
    expect(await apply(good)).toBe('Namespace extra: unchanged\n');
    const again = await margay(['lab', '--lab', lab.name, 'apply', '-f', '-', '-o', 'json'], { input: good });
    expect(JSON.parse(again)).toEqual([{ object: 'Namespace extra', done: 'unchanged' }]);
  });

  test('has policies in force as they are applied and deleted', async () => {
    // On a machine that is busy an answer may be late.
    const before = await waitFor(
      async () => {
        const open = await lab.open();
        return open.size === 9 && open;
      },
      { what: 'all is open', timeout: 45_000 },
    );
    expect(await lab.run('apply', '-f', POLICY_FILE)).toMatch(
      /^NetworkPolicy shop\/frontend-to-api: created$/m,
    );
    const intended = new Set([
      'outside shop/frontend-1',
      'shop/frontend-1 shop/api-1',
      'shop/api-1 data/database-1',
    ]);
    await waitFor(async () => isDeepStrictEqual(await lab.open(), intended), {
      what: 'the policies are in force',
      timeout: 45_000,
    });
    // With everything that enforces them killed and started again.
    for (const daemon of ['policy', 'felix']) {
      await lab.run('kill', 'n1', daemon);
      expect([...(await lab.open())].filter((pair) => !intended.has(pair))).toEqual([]);
    }
    await waitFor(async () => isDeepStrictEqual(await lab.open(), intended), {
      what: 'what is allowed, still is',
      timeout: 45_000,
    });
    expect(await lab.run('delete', '-f', POLICY_FILE)).toMatch(
      /^NetworkPolicy shop\/frontend-to-api: deleted$/m,
    );
    await waitFor(async () => isDeepStrictEqual(await lab.open(), before), {
      what: 'all is open again',
      timeout: 45_000,
    });
  });

  test('starts a killed daemon again, and the routes stay', async () => {
    const route = () => lab.run('exec', 'n1', '--', 'ip', 'route', 'show', '10.244.2.0/24');
    expect(await route()).not.toBe('');
    expect(await lab.run('kill', 'n1', 'bgp')).toMatch(
      /^killed bgp of n1, process \d+; it runs again as process \d+\n$/,
    );
    expect(await route()).not.toBe('');
    await expect(lab.run('kill', 'n1', 'tor')).rejects.toThrow('n1 has no tor; it has policy, felix, bgp');
    await expect(lab.run('kill', 'n7', 'bgp')).rejects.toThrow('no node n7; there are tor, n1, n2');
    const starts = async () =>
      (await lab.run('logs', 'n1', 'bgp', '-n', '1000'))
        .split('\n')
        .filter((line) => line.includes('speaker started'));
    await waitFor(async () => (await starts()).length === 2, {
      what: 'the second start in the log',
      timeout: 45_000,
    });
    await waitFor(async () => JSON.parse(await lab.run('status', '-o', 'json')).nodes[0].sessions === 1, {
      what: 'the session is back',
      timeout: 45_000,
    });
  });

  test('cuts a node off and connects it again', async () => {
    const sees = () => lab.run('exec', 'n1', '--', 'ip', 'route', 'show', '10.244.2.0/24');
    expect(await lab.run('link', 'down', 'n2')).toBe('link of n2 is down\n');
    await waitFor(async () => (await sees()) === '', { what: 'the route is gone', timeout: 45_000 });
    expect(await lab.run('reach')).toContain('outside → shop/api-1:9090 is closed, and policies allow it');
    const link = await lab.run('link', 'up', 'n2', '-o', 'json');
    expect(JSON.parse(link)).toEqual({ node: 'n2', link: 'up', changed: true });
    expect(await lab.run('link', 'up', 'n2')).toBe('link of n2 is up already\n');
    await waitFor(async () => (await sees()) !== '', { what: 'the route is back', timeout: 45_000 });
    await expect(lab.run('link', 'sideways', 'n2')).rejects.toMatchObject({ status: 2 });
  });

  test('is not there twice', async () => {
    await expect(margay(['lab', '--lab', lab.name, 'up', ...SMALL])).rejects.toThrow(
      new RegExp(`lab ${lab.name} runs already, as process ${lab.child.pid}; end it with`),
    );
  });
});

describe('a router of another make', () => {
  test('that is killed is started again, and has what it announces', { timeout: 90_000 }, async (ctx) => {
    requires(ctx, ...peerTools('gobgpd'));
    await using lab = await LabProcess.start(['--tor', 'gobgpd', '--nodes', '2', '--pods', '3', '--no-tour']);
    const allOpen = { what: 'all reach each other', timeout: 45_000 };
    await waitFor(async () => (await lab.open()).size === 9, allOpen);
    await lab.run('kill', 'tor', 'tor');
    await waitFor(
      async () => (await lab.run('exec', 'tor', '--', 'gobgp', 'global', 'rib')).includes('192.0.2.0/24'),
      {
        what: 'gobgpd announces the world again',
        timeout: 45_000,
      },
    );
    await waitFor(async () => (await lab.open()).size === 9, allOpen);
  });
});

describe('two labs', () => {
  test('that start at once by one name are one lab and one refusal', { timeout: 90_000 }, async () => {
    const name = newLabName();
    const started = await Promise.allSettled([LabProcess.start(SMALL, name), LabProcess.start(SMALL, name)]);
    const labs = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const refusals = started.flatMap((result) =>
      result.status === 'rejected' ? [String(result.reason)] : [],
    );
    try {
      expect(labs).toHaveLength(1);
      expect(refusals[0]).toContain(`lab ${name} runs already, as process ${labs[0]!.child.pid}`);
      // The one that was refused has taken nothing from the other.
      expect(await labs[0]!.run('exec', 'n1', '--', 'true')).toBe('');
    } finally {
      for (const lab of labs) await lab.end('SIGTERM');
    }
    expectNothingOf(name, []);
  });

  test('of different names do not meet', { timeout: 90_000 }, async () => {
    await using one = await LabProcess.start(SMALL);
    await using other = await LabProcess.start(SMALL);
    await one.end('SIGTERM');
    expectNothingOf(one.name, []);
    await waitFor(async () => (await other.open()).size === 9, {
      what: 'the other goes on',
      timeout: 45_000,
    });
  });
});

describe('a lab that ends', { timeout: 90_000 }, () => {
  test('by Ctrl-C leaves nothing', async () => {
    await using lab = await LabProcess.start(SMALL);
    const daemons = daemonsOf(lab.name);
    await lab.end('SIGINT');
    expect(lab.child.exitCode).toBe(0);
    expectNothingOf(lab.name, daemons);
  });

  test('by SIGKILL leaves nothing, and its name is free at once', async () => {
    await using lab = await LabProcess.start(SMALL);
    const daemons = daemonsOf(lab.name);
    await lab.end('SIGKILL');
    await using next = await LabProcess.start(SMALL, lab.name);
    await waitFor(() => !daemons.some(isRunning), { what: 'the end of its daemons', timeout: 45_000 });
    expect(await next.run('exec', 'tor', '--', 'true')).toBe('');
  });

  test('by SIGKILL in the middle of writing a file leaves nothing, without a next one', async () => {
    await using lab = await LabProcess.start(SMALL);
    const daemons = daemonsOf(lab.name);
    writeFileSync(join(folderOf(lab.name), '.state.json'), '{"topo');
    await lab.end('SIGKILL');
    await waitFor(() => !existsSync(`${folderOf(lab.name)}.lock`), { what: 'the reaper is done' });
    // Killed they are; how long they take to be gone is the kernel's affair.
    await waitFor(() => !daemons.some(isRunning), { what: 'the end of its daemons', timeout: 45_000 });
    expectNothingOf(lab.name, daemons);
  });

  test('by SIGKILL, and its reaper too, is swept up by the next lab of whatever name', async () => {
    await using lab = await LabProcess.start(SMALL);
    const daemons = daemonsOf(lab.name);
    for (const pid of reapersOf(lab.child.pid!)) process.kill(pid, 'SIGKILL');
    await lab.end('SIGKILL');
    await using _next = await LabProcess.start(SMALL);
    // Another lab of a test that runs beside this one may have been first, and be at it.
    await waitFor(() => namespacesOf(lab.name).length === 0 && !existsSync(folderOf(lab.name)), {
      what: 'all of it is gone',
    });
    await waitFor(() => !daemons.some(isRunning), { what: 'the end of its daemons', timeout: 45_000 });
    expectNothingOf(lab.name, daemons);
  });

  test('without being there says how to start one', async () => {
    await expect(margay(['lab', '--lab', newLabName(), 'reach'])).rejects.toMatchObject({ status: 3 });
  });
});

/** A process by its number and when it started: numbers are given again. */
interface Started {
  readonly pid: number;
  readonly at: string | undefined;
}

function daemonsOf(lab: string): Started[] {
  return findLab(lab).state.daemons.map(({ pid }) => ({ pid: pid!, at: startTime(pid!) }));
}

function isRunning({ pid, at }: Started): boolean {
  return at !== undefined && startTime(pid) === at;
}

function expectNothingOf(lab: string, daemons: readonly Started[]): void {
  expect(namespacesOf(lab)).toEqual([]);
  expect(existsSync(folderOf(lab))).toBe(false);
  expect(daemons.filter(isRunning)).toEqual([]);
}

function reapersOf(parent: number): number[] {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ');
  return children
    .map(Number)
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('margay-lab-reaper'));
}
