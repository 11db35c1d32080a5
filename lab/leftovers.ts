/**
 * What is left of processes that are gone: how it is found, and how it is removed.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { removeNamespace } from '#kernel/sys/named-namespace.ts';
import { toolEnvironment } from './command.ts';

/** Where `ip netns` keeps its namespaces (ip-netns(8)). */
export const NETNS_FOLDER = '/run/netns';

/** Kills what runs in the namespace, this process excepted, and removes it. One that is gone already is no error. */
export function removeNetns(name: string): void {
  killAllIn(name);
  removeNamespace(name);
}

/**
 * Kills what runs in the namespaces whose names start so, this process excepted, and removes them.
 *
 * @returns their names
 */
export function removeNamespaces(front: string): string[] {
  const names = entriesOf(NETNS_FOLDER).filter((name) => name.startsWith(front));
  const isInside = (pid: number): boolean => inside.has(namespaceOfProcess(pid) ?? '');
  const inside = new Set(names.map(linkOf));
  // Again until none is left: a process may have forked between the listing and the kill.
  for (let round = 0; round < 100; round++) {
    const pids = processNumbers().filter((pid) => pid !== process.pid && isInside(pid));
    if (pids.length === 0) break;
    for (const pid of pids) kill(pid);
  }
  for (const name of names) removeNamespace(name);
  return names;
}

/** Numbers of the processes whose main thread is in the namespace. */
export function processesIn(name: string): number[] {
  const wanted = linkOf(name);
  if (wanted === undefined) return [];
  return processNumbers().filter((pid) => namespaceOfProcess(pid) === wanted);
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

/** What a reaper removes. */
export interface Estate {
  /** Front of the names of namespaces, with what ends it: `margay-lab.`. What runs in them is killed. */
  readonly namespaces: string;
  /** Front of the paths of files and folders: `/run/margay/lab/`. */
  readonly files: string;
  /** Files and empty folders that go last. */
  readonly last?: readonly string[];
  /** A descriptor that it holds until it is done, such as one with a lock. */
  readonly hold?: number;
}

/**
 * Starts a shell in its own session that waits for the end of its standard input and removes the estate then: the kernel
 * closes this process's end when it ends in any way, Ctrl-C, SIGTERM and SIGKILL included.
 *
 * @param title what it is called in a list of processes
 * @returns a way to end it: nothing is left to remove
 */
export function startReaper(title: string, estate: Estate): () => void {
  const args = ['-c', REAPER, title, estate.namespaces, estate.files, ...(estate.last ?? [])];
  const reaper = spawn('/bin/sh', args, {
    // Its own session: Ctrl-C in the terminal does not reach it.
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore', ...(estate.hold === undefined ? [] : [estate.hold])],
    env: toolEnvironment(),
  });
  reaper.unref();
  // The pipe must stay open as long as this process lives, and must not keep it alive.
  (reaper.stdin as unknown as { unref(): void }).unref();
  return () => void reaper.kill('SIGKILL');
}

/** Names in a folder; none if there is no such folder. */
export function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function killAllIn(name: string): void {
  // Again until none is left: a process may have forked between the listing and the kill.
  for (let round = 0; round < 100; round++) {
    const pids = processesIn(name).filter((pid) => pid !== process.pid);
    if (pids.length === 0) return;
    for (const pid of pids) kill(pid);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** What /proc shows for processes in the namespace; undefined if there is none of this name. */
function linkOf(name: string): string | undefined {
  const inode = statSync(join(NETNS_FOLDER, name), { throwIfNoEntry: false })?.ino;
  return inode === undefined ? undefined : `net:[${inode}]`;
}

function namespaceOfProcess(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined; // It ended since the folder was read.
  }
}

function processNumbers(): number[] {
  return entriesOf('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

const REAPER = `
cat > /dev/null
for path in ${NETNS_FOLDER}/"$1"*; do
  [ -e "$path" ] || continue
  name=\${path##*/}
  for round in 1 2 3; do
    pids=$(ip netns pids "$name") || break
    [ -n "$pids" ] || break
    kill -KILL $pids
  done
  ip netns delete "$name"
done
rm -rf "$2"* "$2".[!.]*
shift 2
for path; do
  if [ -d "$path" ]; then rmdir "$path"; else rm -f "$path"; fi
done
`;
