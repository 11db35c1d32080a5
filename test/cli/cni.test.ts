import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '#cli/program.ts';
import { newTempFolder } from '#test/helpers/owner.ts';

async function margay(...args: string[]): Promise<{ status: number; out: string; error: string }> {
  const texts = { out: '', error: '' };
  const terminal = (name: keyof typeof texts) => ({
    columns: undefined,
    colour: false,
    write: (text: string) => {
      texts[name] += text;
    },
    ready: () => Promise.resolve(),
  });
  const signal = new AbortController().signal;
  const status = await run(args, { out: terminal('out'), error: terminal('error'), now: Date.now, signal });
  return { status, ...texts };
}

test('the plugin is put where the runtime looks, a newer one in its place at an instant, and nothing else is left', async () => {
  const folder = join(newTempFolder(), 'bin');
  const path = join(folder, 'margay');
  const install = async () => JSON.parse((await margay('cni', 'install', '--bin', folder, '-o', 'json')).out);
  expect(await install()).toEqual({ files: [{ file: path, state: 'installed' }] });
  const { mode, ino } = fs.statSync(path);
  expect(mode & 0o777).toBe(0o755);
  expect(await install()).toEqual({ files: [{ file: path, state: 'already there' }] });
  expect(fs.statSync(path).ino).toBe(ino);
  fs.writeFileSync(path, 'an older one');
  using running = openFile(path);
  await install();
  // Whoever has the old one open goes on with it.
  expect(fs.readFileSync(running.fd, 'utf8')).toBe('an older one');
  expect(fs.readFileSync(path).subarray(1, 4).toString()).toBe('ELF');
  expect(fs.readdirSync(folder)).toEqual(['margay']);
});

test('the configuration list is written when it is asked for, and both go again', async () => {
  const folder = newTempFolder();
  const conflist = join(folder, 'net.d', '10-margay.conflist');
  const places = ['--bin', folder, '--conflist', conflist];
  await margay('cni', 'install', ...places);
  expect(fs.existsSync(conflist)).toBe(false);
  await margay('cni', 'install', '--configure', ...places);
  expect(JSON.parse(fs.readFileSync(conflist, 'utf8')).plugins[0].type).toBe('margay');
  const { status, out } = await margay('cni', 'uninstall', '-o', 'json', ...places);
  expect({ status, files: JSON.parse(out).files }).toEqual({
    status: 0,
    files: [
      { file: conflist, state: 'removed' },
      { file: join(folder, 'margay'), state: 'removed' },
    ],
  });
  expect(fs.readdirSync(join(folder, 'net.d'))).toEqual([]);
  expect((await margay('cni', 'uninstall', ...places)).out).toContain('not there');
});

test('what the system has against it is one line', async () => {
  const file = join(newTempFolder(), 'file');
  fs.writeFileSync(file, '');
  const { status, error } = await margay('cni', 'install', '--bin', join(file, 'bin'));
  expect(status).toBe(1);
  expect(error).toMatch(/^error: ENOTDIR.*\n$/);
});

function openFile(path: string): Disposable & { readonly fd: number } {
  const fd = fs.openSync(path, 'r');
  return { fd, [Symbol.dispose]: () => fs.closeSync(fd) };
}
