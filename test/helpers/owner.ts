/**
 * Who owns a namespace or temporary folder that tests made, and who cleans up after an owner that is gone.
 *
 * An owner is a process, written `margay-test-PID-START`: START is the process's start time in clock ticks since
 * boot (proc(5), /proc/PID/stat field 22), so that a process number used again is not taken for the old owner.
 * Everything an owner makes carries that text at the front of its name. Three things remove it:
 *
 * 1. the test itself, by `using`;
 * 2. the reaper, a process that waits for the end of the owner, however it ends (lab/leftovers.ts);
 * 3. {@link sweep}, at the start of a later run, for what is left when the reaper was killed too.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { entriesOf, NETNS_FOLDER, removeNetns, startReaper, startTime } from '#lab/leftovers.ts';

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
    startReaper('margay-test-reaper', { namespaces: `${own}-`, files: join(tmpdir(), `${own}-`) });
    sweep();
  }
  return own;
}

/** Removes the namespaces, their processes and the temporary folders whose owner no longer runs. */
export function sweep(): void {
  for (const name of entriesOf(NETNS_FOLDER)) if (isOrphan(name)) removeNetns(name);
  for (const name of entriesOf(tmpdir())) {
    if (isOrphan(name)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isOrphan(name: string): boolean {
  const match = NAME.exec(name);
  return match !== null && startTime(Number(match[1])) !== match[2];
}
