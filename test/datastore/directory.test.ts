import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadPath } from '#datastore/directory/load.ts';
import { type DirectoryOptions, DirectorySource } from '#datastore/directory/source.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { requires } from '#test/helpers/requires.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { describeSource } from './contract.ts';
import { Follower } from './follower.ts';

/** No look but for the kernel's word, unless a test says otherwise. */
const ONLY_WORD: DirectoryOptions = { settle: 40, rescan: 60_000 };

function document(name: string, version: string): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name}, labels: { v: "${version}" } }\n`;
}

let root: string;

beforeEach(() => {
  root = join(newTempFolder(), 'manifests');
  mkdirSync(root);
});

function write(name: string, ...documents: string[]): void {
  writeFileSync(join(root, name), documents.join('---\n'));
}

let follower: Follower;

function follow(options: DirectoryOptions = ONLY_WORD): Follower {
  follower = new Follower(new DirectorySource(root, options));
  return follower;
}

afterEach(async () => {
  await follower?.[Symbol.asyncDispose]();
});

describeSource('a directory', () => {
  const folder = newTempFolder();
  const root = join(folder, 'manifests');
  mkdirSync(root);
  return {
    source: () => new DirectorySource(root, { settle: 20, rescan: 60_000 }),
    put: (name, version) => writeFileSync(join(root, `${name}.yaml`), document(name, version)),
    delete: (name) => rmSync(join(root, `${name}.yaml`)),
    goAway: () => renameSync(root, `${root}.away`),
    comeBack: () => renameSync(`${root}.away`, root),
  };
});

describe('following a directory', () => {
  test('first everything, then what changes', async () => {
    write('a.yaml', document('a', '1'), document('b', '1'));
    write(
      'c.json',
      JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'c', labels: { v: '1' } } }),
    );
    const seen = follow();
    await seen.sees({ a: '1', b: '1', c: '1' });
    expect(seen.updates).toHaveLength(1);
    write('a.yaml', document('a', '2'), document('b', '1'));
    await seen.sees({ a: '2', b: '1', c: '1' });
    expect(seen.updates[1]).toMatchObject({
      type: 'changes',
      changes: [{ type: 'put', resource: { name: 'a' } }],
    });
    rmSync(join(root, 'c.json'));
    await seen.sees({ a: '2', b: '1' });
    expect(seen.updates[2]).toMatchObject({
      type: 'changes',
      changes: [{ type: 'delete', key: 'Namespace//c' }],
    });
  });

  test('an empty directory is an empty snapshot', async () => {
    const seen = follow();
    await seen.sees({});
    write('a.yaml', document('a', '1'));
    await seen.sees({ a: '1' });
  });

  test('an atomic rename over a file', async () => {
    write('a.yaml', document('a', '1'));
    const seen = follow();
    await seen.sees({ a: '1' });
    write('.a.yaml.tmp', document('a', '2'));
    renameSync(join(root, '.a.yaml.tmp'), join(root, 'a.yaml'));
    await seen.sees({ a: '2' });
    expect(seen.updates).toHaveLength(2);
  });

  test('the swap of a link, as ConfigMaps are mounted', async () => {
    const version = (n: number) => {
      mkdirSync(join(root, `..v${n}`));
      for (const name of ['a', 'b']) write(join(`..v${n}`, `${name}.yaml`), document(name, `${n}`));
      symlinkSync(`..v${n}`, join(root, '..data_tmp'));
      renameSync(join(root, '..data_tmp'), join(root, '..data'));
    };
    version(1);
    for (const name of ['a', 'b']) symlinkSync(`..data/${name}.yaml`, join(root, `${name}.yaml`));
    const seen = follow();
    await seen.sees({ a: '1', b: '1' });
    version(2);
    rmSync(join(root, '..v1'), { recursive: true });
    await seen.sees({ a: '2', b: '2' });
    expect(seen.updates).toHaveLength(2);
  });

  test('a file deleted and written anew is not gone in between', async () => {
    write('a.yaml', document('a', '1'));
    const seen = follow({ settle: 300, rescan: 60_000 });
    await seen.sees({ a: '1' });
    rmSync(join(root, 'a.yaml'));
    write('a.yaml', document('a', '2'));
    await seen.sees({ a: '2' });
    expect(seen.updates).toHaveLength(2);
  });

  test('a directory deleted and made anew: what it had stays in force until it is back', async () => {
    write('a.yaml', document('a', '1'));
    write('b.yaml', document('b', '1'));
    const seen = follow();
    await seen.sees({ a: '1', b: '1' });
    rmSync(root, { recursive: true });
    await seen.reports('^nothing$');
    await seen.sees({ a: '1', b: '1' });
    mkdirSync(root);
    write('a.yaml', document('a', '2'));
    await seen.sees({ a: '2' });
    await seen.reports();
    write('a.yaml', document('a', '3'));
    await seen.sees({ a: '3' });
  });

  test('another directory put in its place', async () => {
    write('a.yaml', document('a', '1'));
    const seen = follow();
    await seen.sees({ a: '1' });
    cpSync(root, `${root}.new`, { recursive: true });
    writeFileSync(join(`${root}.new`, 'a.yaml'), document('a', '2'));
    renameSync(root, `${root}.old`);
    renameSync(`${root}.new`, root);
    await seen.sees({ a: '2' });
    write('a.yaml', document('a', '3'));
    await seen.sees({ a: '3' });
  });

  test('a directory that is not there yet: trouble first, the snapshot when it comes', async () => {
    rmSync(root, { recursive: true });
    const seen = follow();
    await seen.reports('^nothing$');
    expect(seen.inSync).toBe(false);
    mkdirSync(root);
    write('a.yaml', document('a', '1'));
    await seen.sees({ a: '1' });
    await seen.reports();
  });

  test('a file that is written in pieces is read when it is whole', async () => {
    write('a.yaml', document('a', '1'), document('b', '1'));
    const seen = follow({ settle: 250, rescan: 60_000 });
    await seen.sees({ a: '1', b: '1' });
    const file = openSync(join(root, 'a.yaml'), 'w');
    for (const piece of `${document('a', '2')}---\n${document('b', '2')}`.split(/(?<=\n)/)) {
      writeSync(file, piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await seen.sees({ a: '2', b: '2' });
    expect(seen.updates).toHaveLength(2);
    expect(seen.problems).toEqual([]);
  });

  test('a file that stays half written disturbs nothing, and is reported', async () => {
    write('a.yaml', document('a', '1'), document('b', '1'));
    write('c.yaml', document('c', '1'));
    const seen = follow();
    await seen.sees({ a: '1', b: '1', c: '1' });
    write('a.yaml', document('a', '2'), 'apiVersion: v1\nkind: Namespace\nmetadata: { name: b, lab');
    await seen.sees({ a: '2', b: '1', c: '1' });
    await seen.reports('a mistake in the YAML');
    write('c.yaml', document('c', '2'));
    await seen.sees({ a: '2', b: '1', c: '2' });
    write('a.yaml', document('a', '2'));
    await seen.sees({ a: '2', c: '2' });
    await seen.reports();
  });

  test('an invalid document keeps its last valid version, and a problem alone is told too', async () => {
    write('a.yaml', document('a', '1'));
    const seen = follow();
    await seen.sees({ a: '1' });
    write('a.yaml', document('a', 'not valid'));
    await seen.reports('"not valid"');
    expect(seen.updates.map(({ type }) => type)).toEqual(['snapshot', 'trouble']);
    expect(seen.problems).toMatchObject([
      { file: join(root, 'a.yaml'), document: 1, line: 3, object: 'Namespace a', path: 'metadata.labels.v' },
    ]);
    await seen.sees({ a: '1' });
  });

  test('changes while the consumer is busy come as one', async () => {
    write('a.yaml', document('a', '1'));
    const seen = follow();
    await seen.sees({ a: '1' });
    seen.paused = true;
    for (let i = 2; i < 20; i++) write('a.yaml', document('a', `${i}`));
    write('b.yaml', document('b', '1'));
    // The one that is on its way may have been on its way already.
    seen.paused = false;
    await seen.sees({ a: '19', b: '1' });
    expect(seen.updates.length).toBeLessThanOrEqual(4);
  });

  test('what the kernel does not tell is found by looking again', async () => {
    const outside = newTempFolder();
    writeFileSync(join(outside, 'target'), document('a', '1'));
    symlinkSync(join(outside, 'target'), join(root, 'a.yaml'));
    const seen = follow({ settle: 20, rescan: 50 });
    await seen.sees({ a: '1' });
    writeFileSync(join(outside, 'target'), document('a', '2'));
    await seen.sees({ a: '2' });
  });

  test('a file that can not be read is reported, and what it had stays in force', async () => {
    write('a.yaml', document('a', '1'));
    await using follower = new Follower(new DirectorySource(root, ONLY_WORD));
    await follower.sees({ a: '1' });
    rmSync(join(root, 'a.yaml'));
    symlinkSync('a.yaml', join(root, 'a.yaml'));
    write('b.yaml', document('b', '1'));
    await follower.reports('ELOOP');
    await follower.sees({ a: '1', b: '1' });
    rmSync(join(root, 'a.yaml'));
    await follower.sees({ b: '1' });
    await follower.reports();
  });

  test('thousands of files, and one of them that changes', async () => {
    const names = Array.from({ length: 2_000 }, (_, i) => `n${i}`);
    for (const name of names) write(`${name}.yaml`, document(name, '1'));
    const all = Object.fromEntries(names.map((name) => [name, '1']));
    await using follower = new Follower(new DirectorySource(root, ONLY_WORD));
    await follower.sees(all);
    write('n1234.yaml', document('n1234', '2'));
    await follower.sees({ ...all, n1234: '2' });
    expect(follower.updates.at(-1)).toMatchObject({ type: 'changes', changes: [{}] });
  });

  test('without a watch from the kernel, changes are found by looking, and the lack of it is told', async (ctx) => {
    requires(ctx, 'kernel:user-limits');
    write('a.yaml', document('a', '1'));
    const script = join(import.meta.dirname, 'follow.ts');
    // Of its own user namespace the limits are its own.
    const limited = 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$0" "$@"';
    const child = spawn('unshare', ['-U', '-r', 'sh', '-c', limited, process.execPath, script, root]);
    try {
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      await waitFor(() => said.includes('Namespace//a'), { what: 'a', details: () => said });
      await waitFor(() => said.includes('EMFILE'), { what: 'a warning', details: () => said });
      write('b.yaml', document('b', '1'));
      await waitFor(() => said.includes('Namespace//b'), { what: 'b', details: () => said });
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('leaves no watch behind, however often the directory was replaced', async () => {
    const watches = () =>
      process.getActiveResourcesInfo().filter((name) => name.startsWith('FSEvent')).length;
    write('a.yaml', document('a', '0'));
    const seen = follow();
    await seen.sees({ a: '0' });
    for (const version of ['1', '2', '3']) {
      cpSync(root, `${root}.new`, { recursive: true });
      writeFileSync(join(`${root}.new`, 'a.yaml'), document('a', version));
      renameSync(root, `${root}.old${version}`);
      renameSync(`${root}.new`, root);
      await seen.sees({ a: version });
    }
    await waitFor(() => watches() === 1, { what: 'one watch', details: () => `${watches()}` });
    await seen[Symbol.asyncDispose]();
    await waitFor(() => watches() === 0, { what: 'no watch', details: () => `${watches()}` });
  });

  test('stops when the signal says so, also when it was aborted before', async () => {
    const stop = new AbortController();
    const updates = new DirectorySource(root, ONLY_WORD).watch(stop.signal);
    expect((await updates.next()).value).toMatchObject({ type: 'snapshot' });
    const next = updates.next();
    stop.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(await new DirectorySource(root).watch(stop.signal).next()).toEqual({
      done: true,
      value: undefined,
    });
  });
});

describe('reading once', () => {
  test('a directory, and a single file of any name', async () => {
    write('b.yaml', document('b', '2'), document('a', '2'));
    write('a.yaml', document('a', '1'));
    write('notes', document('c', '1'));
    const all = await loadPath(root);
    expect(all.resources.map(({ name, labels }) => `${name}=${labels.v}`)).toEqual(['a=1', 'b=2']);
    expect(all.problems).toMatchObject([{ object: 'Namespace a', file: join(root, 'b.yaml') }]);
    expect((await loadPath(join(root, 'notes'))).resources.map(({ name }) => name)).toEqual(['c']);
  });

  test('what can not be read is told, and the rest is read', async () => {
    write('a.yaml', document('a', '1'));
    symlinkSync('b.yaml', join(root, 'b.yaml'));
    writeFileSync(join(root, 'c.yaml'), Buffer.of(0xff, 0xfe, 0xfd));
    const all = await loadPath(root);
    expect(all.resources.map(({ name }) => name)).toEqual(['a']);
    expect(all.problems).toMatchObject([
      { file: join(root, 'b.yaml'), found: 'what can not be read (ELOOP)' },
      { file: join(root, 'c.yaml'), found: 'bytes that are not UTF-8' },
    ]);
    expect(await loadPath(join(root, 'none'))).toMatchObject({ problems: [{ found: 'nothing' }] });
  });
});

test('an object that goes to a file that is still being written is never gone', async () => {
  const folder = newTempFolder();
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  write('a.yaml', `${document('x', '1')}---\n${document('y', '1')}`);
  await using follower = new Follower(new DirectorySource(folder, { settle: 100, rescan: 60_000 }));
  await follower.sees({ x: '1', y: '1' });
  write('a.yaml', document('y', '2'));
  for (let i = 0; follower.objects.get('y') !== '2'; i++) {
    write('b.yaml', `${document('x', '2')}# ${i}\n`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await follower.sees({ x: '2', y: '2' });
  const deletions = follower.updates.flatMap((update) =>
    update.type === 'changes' ? update.changes.filter(({ type }) => type === 'delete') : [],
  );
  expect(deletions).toEqual([]);
  // One that goes nowhere is gone, however long another file is written to.
  write('a.yaml', '');
  for (let i = 0; follower.objects.has('y'); i++) {
    write('b.yaml', `${document('x', '2')}# ${i}\n`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await follower.sees({ x: '2' });
});
