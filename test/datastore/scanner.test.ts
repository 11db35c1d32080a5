import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { Scanner } from '#datastore/directory/scanner.ts';
import { MOST_BYTES_FOLLOWED as MOST_BYTES } from '#datastore/directory/text.ts';
import { newTempFolder } from '#test/helpers/owner.ts';

const SETTLE = 1_000;

let root: string;
/** The clock of the scanner and of the files, in ms since the epoch. */
let time: number;
let scanner: Scanner;

beforeEach(() => {
  root = join(newTempFolder(), 'manifests');
  mkdirSync(root);
  time = Date.now();
  scanner = new Scanner(root, { settle: SETTLE, now: () => time });
});

function write(name: string, text: string): void {
  writeFileSync(join(root, name), text);
  utimesSync(join(root, name), time / 1_000, time / 1_000);
}

async function look(): Promise<Record<string, string | undefined>> {
  const { files } = await scanner.scan();
  return Object.fromEntries([...files].map(([path, text]) => [basename(path), text]));
}

describe('looking at a directory', () => {
  test('files that have long been at rest are read at once, each once', async () => {
    write('b.yaml', 'B');
    write('a.json', 'A');
    write('c.yml', 'C');
    time += 10_000;
    const scan = await scanner.scan();
    expect([...scan.files]).toEqual([
      [join(root, 'a.json'), 'A'],
      [join(root, 'b.yaml'), 'B'],
      [join(root, 'c.yml'), 'C'],
    ]);
    expect(scan).toMatchObject({ unsettled: false, problems: [] });
    expect(await look()).toEqual({});
  });

  test('what editors and mounts leave beside the files is not read', async () => {
    for (const name of [
      '.a.yaml',
      '.a.yaml.swp',
      'a.yaml~',
      '#a.yaml#',
      '4913',
      'a.yaml.tmp',
      'notes.txt',
      'yaml',
    ])
      write(name, 'x');
    mkdirSync(join(root, 'folder.yaml'));
    mkdirSync(join(root, '..2024_01_01'));
    time += 10_000;
    expect(await scanner.scan()).toMatchObject({ files: new Map(), problems: [], unsettled: false });
  });

  test('a file is read when it has been at rest for a while', async () => {
    write('a.yaml', 'half');
    expect(await look()).toEqual({});
    time += 900;
    write('a.yaml', 'half and half');
    expect(await scanner.scan()).toMatchObject({ unsettled: true });
    time += 900;
    expect(await look()).toEqual({});
    time += 100;
    expect(await look()).toEqual({ 'a.yaml': 'half and half' });
  });

  test('a file that is always being written is read as it is after a while', async () => {
    let reads = 0;
    for (let i = 0; i < 50 && reads === 0; i++) {
      write('a.yaml', `${i}`);
      if (Object.keys(await look()).length > 0) reads = i;
      time += SETTLE / 2;
    }
    expect(reads).toBeGreaterThan(30);
  });

  test('a file with a time in the future is read all the same', async () => {
    write('a.yaml', 'A');
    time -= 100_000;
    expect(await look()).toEqual({});
    time += SETTLE;
    expect(await look()).toEqual({ 'a.yaml': 'A' });
  });

  test('a change is noticed though name and size stay', async () => {
    write('a.yaml', 'A');
    time += 10_000;
    await look();
    write('a.yaml', 'B');
    time += 10_000;
    expect(await look()).toEqual({ 'a.yaml': 'B' });
  });

  test('a replaced file is noticed though it is older', async () => {
    write('old.tmp', 'B');
    write('a.yaml', 'A');
    time += 10_000;
    await look();
    renameSync(join(root, 'old.tmp'), join(root, 'a.yaml'));
    time += 10_000;
    expect(await look()).toEqual({ 'a.yaml': 'B' });
  });

  test('a file that is deleted and soon written again was never gone', async () => {
    write('a.yaml', 'A');
    time += 10_000;
    await look();
    rmSync(join(root, 'a.yaml'));
    expect(await scanner.scan()).toMatchObject({ files: new Map(), unsettled: true });
    time += 900;
    expect(await look()).toEqual({});
    write('a.yaml', 'B');
    await look();
    time += 10_000;
    expect(await look()).toEqual({ 'a.yaml': 'B' });
  });

  test('a file that stays away is gone, and may come back', async () => {
    write('a.yaml', 'A');
    time += 10_000;
    await look();
    rmSync(join(root, 'a.yaml'));
    await look();
    time += 1_000;
    expect(await look()).toEqual({ 'a.yaml': undefined });
    expect(await look()).toEqual({});
    write('a.yaml', 'A');
    time += 10_000;
    expect(await look()).toEqual({ 'a.yaml': 'A' });
  });

  test('a link is followed, and one that leads nowhere is no file', async () => {
    write('v1', 'A');
    symlinkSync('v1', join(root, 'a.yaml'));
    symlinkSync('nowhere', join(root, 'b.yaml'));
    time += 10_000;
    expect(await scanner.scan()).toMatchObject({
      files: new Map([[join(root, 'a.yaml'), 'A']]),
      problems: [],
    });
  });

  test('bytes that are not UTF-8 are reported, and what was read before is not withdrawn', async () => {
    write('a.yaml', 'A');
    time += 10_000;
    await look();
    writeFileSync(join(root, 'a.yaml'), Uint8Array.of(0xff, 0xfe, 0x41));
    time += 10_000;
    for (let i = 0; i < 2; i++) {
      const scan = await scanner.scan();
      expect(scan.files.size).toBe(0);
      expect(scan.problems).toMatchObject([
        { file: join(root, 'a.yaml'), found: 'bytes that are not UTF-8' },
      ]);
    }
  });

  test('a file that is too large is not read, and nothing of it is taken away', async () => {
    write('a.yaml', 'A');
    time += 10_000;
    await scanner.scan();
    // Sparse: it takes no room.
    truncateSync(join(root, 'a.yaml'), MOST_BYTES + 1);
    write('b.yaml', 'B');
    time += 10_000;
    const { files, problems } = await scanner.scan();
    expect([...files.values()]).toEqual(['B']);
    expect(problems).toMatchObject([
      {
        file: join(root, 'a.yaml'),
        found: `a file of ${MOST_BYTES + 1} bytes`,
        expected: expect.stringContaining('at most'),
      },
    ]);
  });

  test('a directory that goes away takes nothing with it, and its return is a new identity', async () => {
    write('a.yaml', 'A');
    write('b.yaml', 'B');
    time += 10_000;
    const before = await scanner.scan();
    renameSync(root, `${root}.away`);
    time += 10_000;
    const away = await scanner.scan();
    expect(away).toMatchObject({ files: new Map(), identity: undefined });
    expect(away.problems).toMatchObject([{ severity: 'error', file: root, found: 'nothing' }]);
    mkdirSync(root);
    write('a.yaml', 'A2');
    await scanner.scan();
    time += 10_000;
    const after = await scanner.scan();
    expect(after.identity).not.toBe(before.identity);
    expect(Object.fromEntries(after.files)).toEqual({
      [join(root, 'a.yaml')]: 'A2',
      [join(root, 'b.yaml')]: undefined,
    });
  });

  test('something else than a directory is reported', async () => {
    rmSync(root, { recursive: true });
    writeFileSync(root, '');
    expect((await scanner.scan()).problems).toMatchObject([{ found: 'what can not be read (ENOTDIR)' }]);
  });
});

test('an empty directory in the place of the one before does not count, until something is in it', async () => {
  write('a.yaml', 'A');
  time += 10_000;
  expect(await look()).toEqual({ 'a.yaml': 'A' });
  renameSync(root, `${root}.before`);
  mkdirSync(root);
  for (let i = 0; i < 3; i++) {
    time += 10_000;
    const scan = await scanner.scan();
    expect(scan).toMatchObject({ files: new Map(), unsettled: false, identity: undefined });
    expect(scan.problems.map(({ found }) => found)).toEqual([
      'another directory in the place of the one before, and no manifest in it',
    ]);
  }
  write('b.yaml', 'B');
  await look();
  time += 10_000;
  expect(await look()).toEqual({ 'a.yaml': undefined, 'b.yaml': 'B' });
  // Whoever takes the last one away means it.
  rmSync(join(root, 'b.yaml'));
  await look();
  time += 10_000;
  expect(await look()).toEqual({ 'b.yaml': undefined });
});
