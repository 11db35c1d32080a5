/**
 * Who owns a namespace or temporary folder that tests made, and who cleans up after an owner that is gone.
 *
 * An owner is a process, written `margay-test-PID-START`: START is the process's start time in clock ticks since
 * boot (proc(5), /proc/PID/stat field 22), so that a process number used again is not taken for the old owner.
 * Everything an owner makes carries that text at the front of its name. Three things remove it:
 *
 * 1. the test itself, by `using`;
 * 2. the reaper, a shell in its own session that waits for the end of its standard input: the kernel closes the
 *    owner's end when the owner ends in any way, Ctrl-C, SIGTERM and SIGKILL included;
 * 3. {@link sweep}, at the start of a later run, for what is left when the reaper was killed too.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, runCommandSync, toolEnvironment } from './command.ts';

/** Where `ip netns` keeps its namespaces (ip-netns(8)). */
export const NETNS_FOLDER = '/run/netns';

const NAME = /^margay-test-(\d+)-(\d+)(?:-|$)/;

let own: string | undefined;
let count = 0;

/**
 * A new name that belongs to this process, unique on this machine. The first call sweeps what dead owners left
 * and starts this process's reaper.
 */
export function newName(): string {
  count += 1;
  return `${owner()}-${count}`;
}

/** A new empty folder that belongs to this process. Short, since unix socket paths end at 107 bytes. */
export function newTempFolder(): string {
  const path = join(tmpdir(), newName());
  mkdirSync(path, { mode: 0o755 });
  return path;
}

/** This process's owner name. */
export function owner(): string {
  if (own === undefined) {
    const start = startTime(process.pid);
    if (start === undefined) throw new Error(`/proc/${process.pid}/stat can not be read: is /proc mounted?`);
    own = `margay-test-${process.pid}-${start}`;
    startReaper(own);
    sweep();
  }
  return own;
}

/** Removes the namespaces, their processes and the temporary folders whose owner no longer runs. */
export function sweep(): void {
  for (const name of entries(NETNS_FOLDER)) if (isOrphan(name)) removeNetns(name);
  for (const name of entries(tmpdir())) {
    if (isOrphan(name)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** Kills what runs in the namespace, this process excepted, and removes it. One that is gone already is no error. */
export function removeNetns(name: string): void {
  killAllIn(name);
  try {
    runCommandSync('ip', ['netns', 'delete', name]);
  } catch (error) {
    if (error instanceof CommandError && /No such file or directory/.test(error.stderr)) return;
    throw error;
  }
}

/** Numbers of the processes whose main thread is in the namespace. */
export function processesIn(name: string): number[] {
  const inode = statSync(join(NETNS_FOLDER, name), { throwIfNoEntry: false })?.ino;
  if (inode === undefined) return [];
  const wanted = `net:[${inode}]`;
  return entries('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`) === wanted;
      } catch {
        return false; // It ended since the folder was read.
      }
    })
    .map(Number);
}

/** Start time of a process in clock ticks since boot; undefined when there is no such process or it is a zombie. */
export function startTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field is the program's name in parentheses and may hold blanks and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? undefined : fields[19];
}

function isOrphan(name: string): boolean {
  const match = NAME.exec(name);
  return match !== null && startTime(Number(match[1])) !== match[2];
}

function killAllIn(name: string): void {
  // Again until none is left: a process may have forked between the listing and the kill.
  for (let round = 0; round < 100; round++) {
    const pids = processesIn(name).filter((pid) => pid !== process.pid);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

const REAPER = `
cat > /dev/null
for path in ${NETNS_FOLDER}/"$1"-*; do
  [ -e "$path" ] || continue
  name=\${path##*/}
  for round in 1 2 3; do
    pids=$(ip netns pids "$name") || break
    [ -n "$pids" ] || break
    kill -KILL $pids
  done
  ip netns delete "$name"
done
rm -rf "$2"/"$1"-*
`;

function startReaper(name: string): void {
  const reaper = spawn('/bin/sh', ['-c', REAPER, 'margay-test-reaper', name, tmpdir()], {
    // Its own session: Ctrl-C in the terminal does not reach it.
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    env: toolEnvironment(),
  });
  reaper.unref();
  // The pipe must stay open as long as this process lives, and must not keep it alive.
  (reaper.stdin as unknown as { unref(): void }).unref();
}
