import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { processesIn, startTime } from '#lab/leftovers.ts';
import { CommandError, runCommandSync } from './command.ts';
import { connect, createNetns } from './netns.ts';
import { sweep } from './owner.ts';
import { waitFor } from './wait.ts';

describe('a namespace', () => {
  test('is not the one of the host, and its loopback is up', () => {
    using ns = createNetns();
    expect(ns.exec('readlink', ['/proc/self/ns/net']).trim()).not.toBe(readlinkSync('/proc/self/ns/net'));
    expect(ns.exec('ping', ['-c1', '-W1', '127.0.0.1'])).toContain(' 0% packet loss');
  });

  test('has a name of its own', () => {
    using a = createNetns();
    using b = createNetns();
    expect(a.name).not.toBe(b.name);
    expect(a.name).toContain(`-${process.pid}-${startTime(process.pid)}-`);
  });

  test('is gone with its processes when the block ends by an error', async () => {
    let name = '';
    let child: ChildProcess | undefined;
    expect(() => {
      using ns = createNetns();
      name = ns.name;
      child = ns.spawn('sleep', ['1000'], { stdio: 'ignore' });
      expect(existsSync(`/run/netns/${name}`)).toBe(true);
      throw new Error('on purpose');
    }).toThrow('on purpose');
    expect(existsSync(`/run/netns/${name}`)).toBe(false);
    expect((await once(child!, 'exit'))[1]).toBe('SIGKILL');
  });

  test('can be removed by the test before the block ends', () => {
    using ns = createNetns();
    ns.remove();
    expect(existsSync(ns.path)).toBe(false);
  });

  test('passes input to a command and reports a failure with what the command said', async () => {
    using ns = createNetns();
    expect(ns.exec('cat', [], { input: 'abc' })).toBe('abc');
    expect(await ns.execAsync('cat', [], { input: 'abc' })).toBe('abc');
    const failure = (error: unknown) => {
      expect(error).toBeInstanceOf(CommandError);
      expect((error as CommandError).status).toBe(3);
      expect((error as CommandError).message).toMatch(/sh -c .*exit status 3: no good$/);
    };
    const args = ['-c', 'echo no good >&2; exit 3'];
    try {
      ns.exec('sh', args);
      expect.unreachable();
    } catch (error) {
      failure(error);
    }
    await ns.execAsync('sh', args).then(() => expect.unreachable(), failure);
  });

  test('ends a command that runs too long', async () => {
    using ns = createNetns();
    expect(() => ns.exec('sleep', ['1000'], { timeout: 50 })).toThrow(/sleep 1000/);
    await expect(ns.execAsync('sleep', ['1000'], { timeout: 50 })).rejects.toThrow(
      'not finished after 50 ms',
    );
  });

  test('says that a command does not exist', async () => {
    using ns = createNetns();
    expect(() => ns.exec('margay-no-such-tool')).toThrow(/margay-no-such-tool.*No such file/);
    await expect(ns.execAsync('margay-no-such-tool')).rejects.toThrow(/margay-no-such-tool.*No such file/);
  });

  test('answers ip and nft as JSON', () => {
    using ns = createNetns();
    ns.exec('nft', ['add', 'table', 'inet', 'margay-test']);
    expect(ns.ip('link', 'show')).toMatchObject([{ ifname: 'lo' }]);
    expect(ns.nft('list', 'tables')).toContainEqual({
      table: expect.objectContaining({ family: 'inet', name: 'margay-test' }),
    });
    expect(runCommandSync('nft', ['list', 'tables'])).not.toContain('margay-test');
  });

  test('keeps its kernel parameters to itself', () => {
    using a = createNetns();
    using b = createNetns();
    a.sysctl('net.ipv4.ip_default_ttl', 77);
    expect(a.exec('cat', ['/proc/sys/net/ipv4/ip_default_ttl']).trim()).toBe('77');
    expect(b.exec('cat', ['/proc/sys/net/ipv4/ip_default_ttl']).trim()).not.toBe('77');
  });
});

describe('two connected namespaces', () => {
  test('reach each other over IPv4 and IPv6 at once', () => {
    using a = createNetns();
    using b = createNetns();
    const names = connect(
      { netns: a, addresses: ['10.9.0.1/24', 'fd09::1/64'] },
      { netns: b, addresses: ['10.9.0.2/24', 'fd09::2/64'] },
    );
    expect(names).toEqual(['eth0', 'eth0']);
    expect(a.exec('ping', ['-c1', '-W5', '10.9.0.2'])).toContain(' 0% packet loss');
    expect(b.exec('ping', ['-c1', '-W5', 'fd09::1'])).toContain(' 0% packet loss');
  });

  test('have as many links as wanted, named in order or as told', () => {
    using a = createNetns();
    using b = createNetns();
    connect({ netns: a }, { netns: b });
    expect(connect({ netns: a, name: 'to-b' }, { netns: b })).toEqual(['to-b', 'eth1']);
    expect(connect({ netns: a }, { netns: b })).toEqual(['eth1', 'eth2']);
  });
});

describe('when the owner ends without cleaning up', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    test(`by ${signal}, its namespaces, processes and folders go`, async () => {
      const owner = await startOwner();
      expect(existsSync(owner.path)).toBe(true);
      owner.process.kill(signal);
      await waitFor(() => !existsSync(owner.path) && !existsSync(owner.folder), { what: 'removal' });
      await waitFor(() => startTime(owner.inside) === undefined, { what: 'end of the process inside' });
    });
  }

  test('and its reaper was killed too, the next sweep removes them', async () => {
    const owner = await startOwner();
    process.kill(owner.reaper, 'SIGKILL');
    await waitFor(() => startTime(owner.reaper) === undefined, { what: 'end of the reaper' });
    owner.process.kill('SIGKILL');
    await once(owner.process, 'exit');
    expect(existsSync(owner.path)).toBe(true);
    expect(processesIn(owner.path.split('/').at(-1)!)).toEqual([owner.inside]);
    sweep();
    expect(existsSync(owner.path)).toBe(false);
    expect(existsSync(owner.folder)).toBe(false);
    await waitFor(() => startTime(owner.inside) === undefined, { what: 'end of the process inside' });
  });

  test('a sweep leaves alone what belongs to a living owner', async () => {
    const owner = await startOwner();
    sweep();
    expect(existsSync(owner.path)).toBe(true);
    expect(existsSync(owner.folder)).toBe(true);
    owner.process.kill();
    await waitFor(() => !existsSync(owner.path) && !existsSync(owner.folder), { what: 'removal' });
  });
});

interface Owner {
  readonly process: ChildProcess;
  readonly path: string;
  readonly folder: string;
  /** The process it started in the namespace. */
  readonly inside: number;
  readonly reaper: number;
}

/** Starts a process that makes a namespace, a process in it and a folder, and then waits. */
async function startOwner(): Promise<Owner> {
  const source = `
    import { createNetns } from '${import.meta.dirname}/netns.ts';
    import { newTempFolder } from '${import.meta.dirname}/owner.ts';
    import { readFileSync } from 'node:fs';
    const netns = createNetns();
    const folder = newTempFolder();
    const inside = netns.spawn('sleep', ['1000'], { stdio: 'ignore' }).pid;
    while (!netns.processes().includes(inside));
    const children = readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim().split(' ');
    const reaper = children.map(Number).find((pid) => pid !== inside);
    console.log(JSON.stringify({ path: netns.path, folder, inside, reaper }));
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { process: child, ...JSON.parse(line.toString()) };
}
