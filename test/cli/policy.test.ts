import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { run } from '#cli/program.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';

const EXAMPLES = join(import.meta.dirname, '../../docs/examples/policy');
const CLUSTER = join(EXAMPLES, 'cluster.yaml');
const BASE = join(EXAMPLES, 'base');
const HEAD = join(EXAMPLES, 'head');

interface Said {
  readonly exit: number;
  readonly out: string;
  readonly error: string;
}

/** Runs `margay policy`. */
async function policy(args: readonly string[], { colour = false, columns = 0 } = {}): Promise<Said> {
  const said = { out: '', error: '' };
  const terminal = (name: 'out' | 'error') => ({
    write: (text: string) => {
      said[name] += text;
    },
    ready: () => Promise.resolve(),
    columns: columns || undefined,
    colour,
  });
  const exit = await run(['policy', ...args], {
    out: terminal('out'),
    error: terminal('error'),
    now: Date.now,
    signal: new AbortController().signal,
  });
  return { exit, ...said };
}

let folder: string;

beforeEach(() => {
  folder = newTempFolder();
});

/** A file with this text. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const DENY_ALL = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: deny-all }
spec: { podSelector: {}, policyTypes: [Ingress, Egress] }
`;

describe('explain', () => {
  const explain = (...args: string[]) => policy(['explain', '-f', CLUSTER, '-f', BASE, ...args]);

  test('what is allowed: status 0; what is denied: status 1, in words and for programs', async () => {
    expect(await explain('shop/web-0', 'shop/db-0', 'TCP/5432')).toMatchObject({ exit: 0, error: '' });
    const denied = await explain('monitoring/prometheus-0', 'shop/db-0', 'TCP/postgres');
    expect(denied).toMatchObject({ exit: 1, error: '' });
    expect(denied.out).toContain('isolated by NetworkPolicy shop/db');
    const data = await explain('monitoring/prometheus-0', 'shop/db-0', '5432', '-o', 'json');
    expect(data.exit).toBe(1);
    expect(JSON.parse(data.out)).toEqual({
      allowed: false,
      answers: [
        {
          source: { kind: 'pod', name: 'monitoring/prometheus-0', address: '10.244.2.3' },
          destination: { kind: 'pod', name: 'shop/db-0', address: '10.244.1.3' },
          protocol: 'TCP',
          port: 5432,
          allowed: false,
          egress: { allowed: true, reason: 'NOT_ISOLATED' },
          ingress: {
            allowed: false,
            reason: 'ISOLATED',
            isolatedBy: ['NetworkPolicy shop/db'],
            near: [{ policy: 'NetworkPolicy shop/db', rule: 0, lacks: 'peer' }],
          },
          text: expect.stringContaining('denied'),
        },
      ],
    });
    const yaml = await explain('shop/web-0', 'shop/db-0', '5432', '-o', 'yaml');
    expect(parse(yaml.out)).toMatchObject({
      allowed: true,
      answers: [
        {
          ingress: {
            allowed: true,
            reason: 'RULE',
            rule: { policy: 'NetworkPolicy shop/db', rule: 0, peer: 0, port: 0 },
          },
        },
      ],
    });
  });

  test('ends by name, node and address', async () => {
    for (const [from, to, exit] of [
      ['node/n1', 'shop/db-0', 0],
      ['node:n1', 'shop/db-0', 0],
      ['node/n2', 'shop/db-0', 1],
      ['10.244.1.2', '10.244.1.3', 0],
      ['198.51.100.1', 'shop/db-0', 1],
      ['shop/db-0', '198.51.100.1', 0],
    ] as const)
      expect([from, to, (await explain(from, to, '5432')).exit]).toEqual([from, to, exit]);
  });

  test('colour on a terminal only', async () => {
    const args = ['explain', '-f', CLUSTER, '-f', BASE, 'node/n2', 'shop/db-0', '1'];
    expect((await policy(args)).out).not.toContain('\u001b');
    expect((await policy(args, { colour: true })).out).toContain('\u001b[31mdenied\u001b');
  });

  test.each([
    [
      ['web-0', 'shop/db-0', '1'],
      'found pod default/web-0, expected a pod that there is, such as shop/web-0',
    ],
    [['shop/web', 'shop/db-0', '1'], 'found pod shop/web, expected a pod that there is, such as shop/web-0'],
    [['node/n9', 'shop/db-0', '1'], 'found node n9, expected a node that has an address'],
    [
      ['shop/web-0', 'shop/db-0', 'TCP/http'],
      'found TCP/http, expected a port of shop/db-0 (10.244.1.3), such as TCP/postgres, a number, or other for what has no ports',
    ],
    [['shop/web-0', 'shop/db-0', 'ICMP/8'], 'found "ICMP/8", expected such as TCP/80, UDP/dns, 80, other'],
  ])('a mistake in the question is a line, and status 2: %j', async (args, line) => {
    expect(await explain(...args)).toEqual({ exit: 2, out: '', error: `error: ${line}\n` });
  });

  test('without the engine, and without files: status 3, and what to do', async () => {
    const socket = join(folder, 'none.sock');
    const said = await policy(['--socket', socket, 'explain', 'a', 'b', '1']);
    expect(said).toMatchObject({ exit: 3, out: '' });
    expect(said.error).toContain(`the policy engine does not answer on ${socket}: start one with`);
  });
});

describe('files', () => {
  const compile = (...files: string[]) =>
    policy(['compile', ...files.flatMap((path) => ['-f', path]), '--node', 'n1']);

  test('one that is not valid: each mistake with its place, status 2, and no answer', async () => {
    const broken = file(
      'broken.yaml',
      `${DENY_ALL}---${DENY_ALL.replace('podSelector', 'podSelektor').replace('deny-all', 'other')}`,
    );
    const said = await compile(CLUSTER, broken);
    expect(said).toMatchObject({ exit: 2, out: '' });
    expect(said.error.trim().split('\n')).toEqual([
      expect.stringMatching(
        /broken\.yaml:10:9 \(document 2, NetworkPolicy shop\/other\): spec\.podSelektor: found an unknown field, expected one of /,
      ),
    ]);
  });

  test('one that is not there, or no UTF-8', async () => {
    expect(await compile(join(folder, 'none'))).toMatchObject({
      exit: 2,
      error: expect.stringContaining('none: found nothing, expected'),
    });
    writeFileSync(join(folder, 'bytes.yaml'), Buffer.of(0xff, 0xff));
    expect((await compile(folder)).error).toContain('bytes that are not UTF-8');
  });

  test('the last of several counts, and what is of no concern is noted', async () => {
    const open = file(
      'open.yaml',
      DENY_ALL.replace('{ podSelector', '{ ingress: [{}], egress: [{}], podSelector'),
    );
    const deny = file(
      'deny.yaml',
      `${DENY_ALL}---\n{ apiVersion: apps/v1, kind: Deployment, metadata: { name: x } }\n`,
    );
    expect((await compile(CLUSTER, deny, open)).out).not.toContain('@egress-isolated goto egress');
    const said = await compile(CLUSTER, open, deny);
    expect(said.out).toContain('@egress-isolated goto egress');
    expect(said.error).toBe('note: 1 objects that policies do not depend on: Deployment of apps/v1\n');
  });

  test('many mistakes are not all printed', async () => {
    const bad = (n: number) => `{ apiVersion: v1, kind: Pod, metadata: { name: UPPER${n} } }\n---\n`;
    const text = Array.from({ length: 50 }, (_, i) => bad(i)).join('');
    const said = await compile(file('bad.yaml', text));
    expect(said.error.split('\n').at(-2)).toBe('error: and 30 more of the kind');
  });
});

describe('compile', () => {
  test('prints what nft loads', async (ctx) => {
    requires(ctx, 'tool:nft', 'kernel:conntrack');
    const said = await policy(['compile', '-f', CLUSTER, '-f', HEAD, '--node', 'n1', '--table', 'review']);
    expect(said).toMatchObject({ exit: 0, error: '' });
    using ns = createNetns();
    ns.exec('nft', ['-f', '-'], { input: said.out });
    expect(ns.exec('nft', ['list', 'table', 'inet', 'review'])).toMatch(
      /"mgy\w{12}" \. tcp \. 5432 comment "shop\/db-0"/,
    );
  });

  test('a node that there is not, and a table that can not be: status 2', async () => {
    expect(await policy(['compile', '-f', CLUSTER, '--node', 'n3'])).toEqual({
      exit: 2,
      out: '',
      error: 'error: --node: found n3, expected one of n1, n2\n',
    });
    const table = await policy(['compile', '-f', CLUSTER, '--node', 'n1', '--table', 'a; flush ruleset']);
    expect(table).toMatchObject({
      exit: 2,
      out: '',
      error: expect.stringContaining('--table: found "a; flush'),
    });
    expect((await policy(['compile', '-f', CLUSTER])).exit).toBe(2);
  });
});

describe('diff', () => {
  const old = ['--old', CLUSTER, '--old', BASE];

  test('nothing: status 0; something: status 1; both for programs', async () => {
    expect(await policy(['diff', ...old, '-f', BASE])).toEqual({
      exit: 0,
      out: 'No connection opens or closes; 4 pods compared.\n',
      error: '',
    });
    const said = await policy(['diff', ...old, '-f', HEAD, '-o', 'json']);
    expect(said).toMatchObject({ exit: 1, error: '' });
    const data = JSON.parse(said.out) as { differences: unknown[] };
    expect(data).toMatchObject({
      changed: true,
      policies: [
        { policy: 'NetworkPolicy shop/db', change: 'changed' },
        { policy: 'NetworkPolicy shop/web', change: 'added' },
      ],
      pods: { compared: 4, withoutAddress: [], skipped: [] },
    });
    expect(data.differences).toHaveLength(4);
    expect(data.differences[0]).toEqual({
      from: { pods: ['monitoring/prometheus-0'] },
      to: { pods: ['shop/db-0'] },
      families: [4],
      opened: 'TCP/5432,9187',
      closed: 'none',
    });
    const none = await policy(['diff', ...old, '-f', BASE, '-o', 'yaml']);
    expect([none.exit, parse(none.out)]).toMatchObject([0, { changed: false, differences: [] }]);
  });

  test('policies that are not there any more count with --prune', async () => {
    const web = file('web.yaml', readFileSync(join(HEAD, 'web.yaml'), 'utf8'));
    expect((await policy(['diff', ...old, '-f', web])).out).not.toContain('removed');
    const pruned = await policy(['diff', ...old, '-f', web, '--prune']);
    expect(pruned.out).toContain('removed: NetworkPolicy shop/db');
    expect(pruned.out).toMatch(/^\+ {2}outside 0\.0\.0\.0\/0 +shop\/db-0 +4 +all$/m);
  });

  test('lines are limited, and fit a terminal', async () => {
    const said = await policy(['diff', ...old, '-f', HEAD, '--limit', '2']);
    expect(said.out).toContain('and 2 more; --limit 0 and -o json have all');
    expect(said.out).toContain('2 opened, 2 closed');
    expect((await policy(['diff', ...old, '-f', HEAD, '--limit', '0'])).out).not.toContain(' more;');
    const narrow = await policy(['diff', ...old, '-f', HEAD], { columns: 60 });
    const lines = narrow.out.split('\n').filter((line) => /^[+-]/.test(line));
    expect(lines).toHaveLength(4);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
  });

  test('pods without an address, and pods on one side only', async () => {
    const pods = file(
      'pods.yaml',
      '{ apiVersion: v1, kind: Pod, metadata: { namespace: shop, name: web-2, labels: { app: web } }, spec: { containers: [{ ports: [{ name: http, containerPort: 8080 }] }] } }\n',
    );
    const fresh = file('fresh.yaml', '{ apiVersion: v1, kind: Pod, metadata: { name: fresh } }\n');
    const said = await policy(['diff', ...old, '--old', pods, '-f', fresh, '-f', HEAD]);
    expect(said.out).toMatch(/all pods +shop\/web-0, shop\/web-1, shop\/web-2 +4 +all but TCP\/8080/);
    expect(said.out).toContain('Compared as if in no ipBlock, for want of an address: shop/web-2');
    expect(said.out).toContain(
      'Not compared, being on one side only or without an address of their own: default/fresh',
    );
  });

  test('a policy that is not valid: status 2, which no check takes for a difference', async () => {
    const broken = file('broken.yaml', DENY_ALL.replace('Egress', 'Outgress'));
    const said = await policy(['diff', ...old, '-f', broken]);
    expect(said).toMatchObject({
      exit: 2,
      out: '',
      error: expect.stringContaining('expected Ingress or Egress'),
    });
  });
});

describe('with an engine', () => {
  let engine: ChildProcess;
  let socket: string;
  let objects: string;

  beforeAll(async () => {
    const home = newTempFolder();
    objects = join(home, 'objects');
    socket = join(home, 'policy.sock');
    mkdirSync(objects);
    for (const path of [CLUSTER, join(BASE, 'db.yaml')])
      writeFileSync(join(objects, path.replaceAll('/', '_')), readFileSync(path));
    const main = join(import.meta.dirname, '../../cli/main.ts');
    engine = spawn(process.execPath, [main, 'policy', '--datastore', objects, '--socket', socket], {
      stdio: 'ignore',
    });
    await waitFor(async () => (await ask('objects')).exit === 0, { what: 'the engine', timeout: 45_000 });
  });

  afterAll(async () => {
    engine.kill('SIGTERM');
    await waitFor(() => engine.exitCode === 0, { what: 'the end of the engine', timeout: 45_000 });
  });

  const ask = (...args: string[]) => policy(['--socket', socket, ...args]);

  test('explain says what it says of files', async () => {
    for (const port of ['5432', '80', 'other']) {
      const args = ['monitoring/prometheus-0', 'shop/db-0', port, '-o', 'json'];
      expect(await ask('explain', ...args)).toEqual(
        await policy(['explain', '-f', CLUSTER, '-f', BASE, ...args]),
      );
    }
    expect(await ask('explain', 'shop/web', 'shop/db-0', '1')).toMatchObject({
      exit: 2,
      error: expect.stringContaining('such as shop/web-0'),
    });
  });

  test('diff compares with what it has', async () => {
    expect(await ask('diff', '-f', HEAD)).toEqual(
      await policy(['diff', '--old', CLUSTER, '--old', BASE, '-f', HEAD]),
    );
    expect(await ask('diff', '-f', BASE, '--prune')).toMatchObject({ exit: 0 });
  });

  test('compile prints what it prints for files', async () => {
    expect(await ask('compile', '--node', 'n2')).toEqual(
      await policy(['compile', '-f', CLUSTER, '-f', BASE, '--node', 'n2']),
    );
  });

  test('objects prints what -f reads', async () => {
    const all = file('all.yaml', (await ask('objects')).out);
    const diff = await policy(['diff', '--old', all, '-f', CLUSTER, '-f', BASE, '--prune']);
    expect(diff).toMatchObject({ exit: 0, out: expect.stringContaining('4 pods compared') });
    const list = file('list.json', (await ask('objects', '--kind', 'Pod,NetworkPolicy', '-o', 'json')).out);
    const kinds = (parse(readFileSync(list, 'utf8')) as { items: { kind: string }[] }).items.map(
      ({ kind }) => kind,
    );
    expect([...new Set(kinds)].sort()).toEqual(['NetworkPolicy', 'Pod']);
    expect(parseAllDocuments(readFileSync(all, 'utf8'))).toHaveLength(9);
  });
});

test('help of each command has an example and its exit statuses', async () => {
  for (const name of ['explain', 'compile', 'diff']) {
    const { exit, out } = await policy([name, '--help']);
    expect(exit).toBe(0);
    expect(out).toContain(`  margay policy ${name} `);
    expect(out).toContain('Exit status: 0 ');
  }
});
