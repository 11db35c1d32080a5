/**
 * What a running lab tells other processes: a file that is replaced as a whole whenever something changes.
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { folderOf, ownerOf, runningLabs } from './claim.ts';
import type { DaemonStatus } from './daemon.ts';
import type { DaemonName } from './node-config.ts';
import { DEFAULT_LAB, type Topology } from './topology.ts';

export interface LabState {
  readonly topology: Topology;
  /** Process of the lab. */
  readonly pid: number;
  /** In ms since 1970. */
  readonly startedAt: number;
  readonly daemons: readonly DaemonState[];
}

export interface DaemonState extends DaemonStatus {
  /** A node, or `tor`. */
  readonly node: string;
  readonly daemon: DaemonName | 'tor';
  /** The file of its log. */
  readonly log: string;
}

/** Thrown when it can not be told which lab is meant, or there is none. */
export class NoLabError extends Error {
  override readonly name = 'NoLabError';
  readonly code = 'NO_LAB';
}

export function writeState(folder: string, state: LabState): void {
  const next = join(folder, '.state.json');
  writeFileSync(next, JSON.stringify(state), { mode: 0o600 });
  renameSync(next, join(folder, 'state.json'));
}

/** A lab that runs, as others see it. */
export interface RunningLab {
  readonly folder: string;
  readonly datastore: string;
  readonly state: LabState;
}

/**
 * The lab of this name; without a name, the only one that runs.
 *
 * @throws NoLabError
 */
export function findLab(name?: string): RunningLab {
  const lab = chooseLab(name);
  const folder = folderOf(lab);
  return { folder, datastore: datastoreOf(folder), state: readState(folder, lab) };
}

/** The name of that lab. @throws NoLabError */
export function chooseLab(name?: string): string {
  const running = runningLabs();
  const lab = name ?? (running.includes(DEFAULT_LAB) ? DEFAULT_LAB : running[0]);
  if (lab === undefined) throw new NoLabError('no lab runs here; start one with: margay lab up');
  if (name === undefined && running.length > 1 && lab !== DEFAULT_LAB) {
    throw new NoLabError(`several labs run: ${running.join(', ')}; say which with --lab NAME`);
  }
  if (ownerOf(lab) === undefined) {
    const others = running.length === 0 ? 'none runs' : `there is ${running.join(', ')}`;
    throw new NoLabError(`no lab ${lab} runs; ${others}`);
  }
  return lab;
}

/** Where the manifests of a lab lie. */
export function datastoreOf(folder: string): string {
  return join(folder, 'datastore');
}

function readState(folder: string, lab: string): LabState {
  const file = join(folder, 'state.json');
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as LabState;
  } catch (error) {
    // The lab writes it as a whole: what can not be read is somebody else's doing.
    if (error instanceof SyntaxError)
      throw new NoLabError(`${file}: found no JSON; end the lab with margay lab --lab ${lab} down`);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new NoLabError(`lab ${lab} is just starting; try again in a moment`);
  }
}
