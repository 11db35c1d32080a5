import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { flock, socket } from '#kernel/sys/libc.ts';
import { createNamespace, namespaceNames, removeNamespace } from '#kernel/sys/named-namespace.ts';
import { NamespaceError, NetworkNamespace } from '#kernel/sys/namespace.ts';
import { removeNetns } from '#lab/leftovers.ts';
import { runCommand, runCommandSync } from '#test/helpers/command.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { newName } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';

const CURRENT = '/proc/thread-self/ns/net';
const here = (): string => fs.readlinkSync(CURRENT);
const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;

const made: string[] = [];
/** A name that is removed after the test, and by the watcher if the test dies. */
function freshName(): string {
  const name = newName();
  made.push(name);
  return name;
}
afterEach(() => {
  for (const name of made.splice(0)) removeNetns(name);
});

describe('a network namespace', () => {
  let home: string;
  beforeEach(() => {
    home = here();
  });
  afterEach(() => expect(here()).toBe(home));

  test('made here is one for `ip netns`, and made by `ip netns` is one here', () => {
    const name = freshName();
    using ours = createNamespace(name);
    expect(namespaceNames()).toContain(name);
    expect(runCommandSync('ip', ['netns', 'list'])).toContain(name);
    const inside = runCommandSync('ip', ['netns', 'exec', name, 'readlink', '/proc/self/ns/net']).trim();
    expect(inside).toBe(`net:[${ours.inode}]`);
    expect(ours.run(here)).toBe(inside);
    expect(inside).not.toBe(home);
    runCommandSync('ip', ['netns', 'delete', name]);
    expect(namespaceNames()).not.toContain(name);

    const other = freshName();
    runCommandSync('ip', ['netns', 'add', other]);
    using theirs = NetworkNamespace.named(other);
    expect(theirs.run(() => fs.readdirSync('/proc/thread-self/net').includes('netfilter'))).toBe(true);
    expect(removeNamespace(other)).toBe(true);
    expect(runCommandSync('ip', ['netns', 'list'])).not.toContain(other);
    expect(removeNamespace(other)).toBe(false);
  });

  test('a name that is taken stays what it was', () => {
    const name = freshName();
    using first = createNamespace(name);
    expect(() => createNamespace(name)).toThrow(NamespaceError);
    expect(() => createNamespace(name)).toThrow(`make network namespace ${name}: EEXIST`);
    using again = NetworkNamespace.named(name);
    expect(again.inode).toBe(first.inode);
  });

  test('names that could reach another folder are refused', () => {
    for (const name of ['', '.', '..', '../x', 'a/b', 'a\0b']) {
      expect(() => createNamespace(name)).toThrow(NamespaceError);
      expect(() => removeNamespace(name)).toThrow(NamespaceError);
    }
  });

  test('errors name the namespace and what was wrong with it', () => {
    expect(() => NetworkNamespace.named('margay-no-such')).toThrow(
      expect.objectContaining({ code: 'ENOENT', namespace: '/run/netns/margay-no-such' }),
    );
    expect(() => NetworkNamespace.open('/etc/hostname')).toThrow('the file is not a network namespace');
    expect(() => NetworkNamespace.open('/proc/self/ns/uts')).toThrow(
      expect.objectContaining({ code: 'ENOTNS' }),
    );
    const name = freshName();
    fs.writeFileSync(`/run/netns/${name}`, '');
    expect(() => NetworkNamespace.named(name)).toThrow(expect.objectContaining({ code: 'ENOTNS' }));
    // What a maker that was killed half-way leaves behind can be removed.
    expect(removeNamespace(name)).toBe(true);
  });

  test('many made and removed while `ip netns` does the same: none is lost, none hidden', async () => {
    const theirs = Array.from({ length: 20 }, freshName);
    const ours = Array.from({ length: 20 }, freshName);
    const running = Promise.all([
      runCommand('sh', ['-c', 'for n; do ip netns add "$n" || exit 1; done', 'sh', ...theirs.slice(0, 10)]),
      runCommand('sh', ['-c', 'for n; do ip netns add "$n" || exit 1; done', 'sh', ...theirs.slice(10)]),
    ]);
    for (const name of ours) {
      createNamespace(name).close();
      await new Promise(setImmediate);
    }
    await running;
    const names = new Set(namespaceNames());
    for (const name of [...ours, ...theirs]) {
      expect(names.has(name)).toBe(true);
      NetworkNamespace.named(name).close();
    }
    for (const name of [...ours, ...theirs]) removeNamespace(name);
    expect(namespaceNames().filter((name) => ours.includes(name) || theirs.includes(name))).toEqual([]);
  });

  test('made first of all, together with `ip netns`: the folder becomes one shared mount, not two', async () => {
    const script = `
      mount --make-rprivate / && mount -t tmpfs none /run/netns || exit 1
      for i in 1 2 3 4 5; do ip netns add theirs$i & done
      "$0" --input-type=module -e "
        import { createNamespace } from '$1';
        for (let i = 1; i <= 5; i++) createNamespace('ours' + i).close();
      " &
      wait
      ip netns list | cut -d' ' -f1 | sort | tr '\\n' ' '
      grep -c ' /run/netns .* shared:' /proc/self/mountinfo`;
    const module = new URL('../../../kernel/sys/named-namespace.ts', import.meta.url).href;
    const out = await runCommand('unshare', ['-m', 'sh', '-c', script, process.execPath, module]);
    const names = ['ours', 'theirs'].flatMap((who) => [1, 2, 3, 4, 5].map((i) => `${who}${i}`));
    expect(out.split(/\s+/).slice(0, 10)).toEqual(names);
    expect(out.trim().split(/\s+/).at(-1)).toBe('1');
  });

  test('is made under the lock that `ip netns add` takes', async () => {
    const name = freshName();
    const module = new URL('../../../kernel/sys/named-namespace.ts', import.meta.url);
    const code = `import { createNamespace } from '${module}'; createNamespace('${name}').close();`;
    const folder = fs.openSync('/run/netns', 'r');
    flock(folder, 2);
    try {
      const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
      const ended = once(child, 'close');
      await waitFor(
        () => fs.readFileSync('/proc/locks', 'utf8').match(`-> FLOCK .* ${child.pid} `) !== null,
        { what: 'the child to wait for the lock' },
      );
      expect(namespaceNames()).not.toContain(name);
      flock(folder, 8);
      expect((await ended)[0]).toBe(0);
      expect(namespaceNames()).toContain(name);
    } finally {
      fs.closeSync(folder);
    }
  });

  test('starts no thread of the pool inside', async () => {
    const script = `
      const fs = require('node:fs');
      const { NetworkNamespace } = require('${new URL('../../../kernel/sys/namespace.ts', import.meta.url).pathname}');
      NetworkNamespace.anonymous().run(() => fs.readFile('/etc/hostname', () => {
        const spaces = fs.readdirSync('/proc/self/task').map((id) => fs.readlinkSync('/proc/self/task/' + id + '/ns/net'));
        console.log(new Set(spaces).size);
      }));`;
    expect(await runCommand(process.execPath, ['-e', script])).toBe('1\n');
  });

  test('without a name lasts as long as it is held open', () => {
    const before = descriptors();
    const held = NetworkNamespace.anonymous();
    expect(held.run(here)).toBe(`net:[${held.inode}]`);
    expect(held.run(() => fs.readFileSync('/proc/thread-self/net/dev', 'utf8')).split('\n')).toHaveLength(4);
    held.close();
    held.close();
    expect(() => held.run(here)).toThrow('is closed');
    expect(descriptors()).toBeLessThanOrEqual(before);
  });

  test('of a process, and of this thread', async () => {
    using ns = createNetns();
    const child = ns.spawn('sleep', ['60']);
    using named = NetworkNamespace.named(ns.name);
    await once(child, 'spawn');
    // nsenter is in the namespace once it has become sleep.
    await expect.poll(() => NetworkNamespace.ofProcess(child.pid!).inode).toBe(named.inode);
    named.run(() => {
      using current = NetworkNamespace.current();
      expect(current.inode).toBe(named.inode);
    });
  });

  test('is left again when the work throws, moves on by itself, or nests', () => {
    using a = NetworkNamespace.anonymous();
    using b = NetworkNamespace.anonymous();
    const before = descriptors();
    expect(() =>
      a.run(() => {
        throw new Error('work failed');
      }),
    ).toThrow('work failed');
    expect(here()).toBe(home);
    a.run(() => {
      expect(b.run(here)).toBe(`net:[${b.inode}]`);
      expect(here()).toBe(`net:[${a.inode}]`);
      expect(() =>
        b.run(() => {
          throw new Error('inner');
        }),
      ).toThrow('inner');
      expect(here()).toBe(`net:[${a.inode}]`);
    });
    expect(descriptors()).toBeLessThanOrEqual(before);
  });

  test('refuses work that is not synchronous', () => {
    using ns = NetworkNamespace.anonymous();
    expect(() => ns.run(() => Promise.resolve())).toThrow('must be synchronous');
    // biome-ignore lint/suspicious/noThenProperty: a foreign promise is what is tried
    expect(() => ns.run(() => ({ then: () => {} }))).toThrow('must be synchronous');
  });

  test('moves no thread but the one that calls, and a worker made inside begins inside', async () => {
    using ns = NetworkNamespace.anonymous();
    using other = NetworkNamespace.anonymous();
    const code = `
      const fs = require('node:fs');
      const { parentPort } = require('node:worker_threads');
      const here = () => fs.readlinkSync('${CURRENT}');
      parentPort.postMessage(here());
      parentPort.on('message', async (path) => {
        const { NetworkNamespace } = await import('${new URL('../../../kernel/sys/namespace.ts', import.meta.url)}');
        const ns = NetworkNamespace.open(path);
        parentPort.postMessage([here(), ns.run(here), here()]);
        ns.close();
        parentPort.close();
      });`;
    const worker = ns.run(() => new Worker(code, { eval: true }));
    expect(here()).toBe(home);
    const inside = `net:[${ns.inode}]`;
    expect((await once(worker, 'message'))[0]).toBe(inside);
    other.run(() => worker.postMessage(`/proc/self/fd/${other.fd}`));
    expect((await once(worker, 'message'))[0]).toEqual([inside, `net:[${other.inode}]`, inside]);
    await once(worker, 'exit');
  });

  test('sockets made inside stay there', () => {
    using ns = NetworkNamespace.anonymous();
    const fd = ns.run(() => socket(16, 3, 0));
    fs.closeSync(fd);
    expect(here()).toBe(home);
  });

  test('that may not be made is an error, and not the end: who may not leave home has not left it', async () => {
    const url = new URL('../../../kernel/sys/namespace.ts', import.meta.url);
    const script = `
      const { NetworkNamespace } = await import(${JSON.stringify(url.href)});
      try { NetworkNamespace.anonymous() } catch (error) { console.log(error.code) }`;
    const node = [process.execPath, '--input-type=module', '-e', script];
    expect(await runCommand('setpriv', ['--bounding-set=-sys_admin', '--', ...node])).toBe('EPERM\n');
  });

  test('that can not be left ends the process also when nobody reads its standard error', async () => {
    const child = spawn(process.execPath, [new URL('./stranded.ts', import.meta.url).pathname, 'main'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 10_000,
      killSignal: 'SIGKILL',
    });
    child.stderr.destroy();
    let out = '';
    child.stdout.on('data', (text) => {
      out += text;
    });
    expect(await once(child, 'close')).toEqual([null, 'SIGABRT']);
    expect(out).toBe('inside\n');
  });

  for (const where of ['main', 'worker'] as const) {
    test(`that can not be left ends the process loudly (${where} thread)`, async () => {
      const child = spawn(process.execPath, [new URL('./stranded.ts', import.meta.url).pathname, where], {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 10_000,
        killSignal: 'SIGKILL',
      });
      let out = '';
      let err = '';
      child.stdout.on('data', (text) => {
        out += text;
      });
      child.stderr.on('data', (text) => {
        err += text;
      });
      const [status, signal] = await once(child, 'close');
      expect({ status, signal }).toEqual({ status: null, signal: 'SIGABRT' });
      expect(err).toContain('can not leave network namespace without a name: SyscallError: setns: EBADF');
      expect(out).toBe('inside\n');
    });
  }
});
