/**
 * What is left of processes that are gone: how it is found, and how it is removed.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, runCommandSync, toolEnvironment } from './command.ts';

/** Where `ip netns` keeps its namespaces (ip-netns(8)). */
export const NETNS_FOLDER = '/run/netns';

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
  return entriesOf('/proc')
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
 */
export function startReaper(title: string, estate: Estate): void {
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
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }
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
rm -rf "$2"*
shift 2
for path; do
  if [ -d "$path" ]; then rmdir "$path"; else rm -f "$path"; fi
done
`;
