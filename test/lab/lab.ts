/**
 * A lab as people start it: the `margay` command as a process.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFailed } from 'vitest';
import { type CommandOptions, runCommand } from '#lab/command.ts';
import { entriesOf, NETNS_FOLDER } from '#lab/leftovers.ts';
import { waitFor } from '#test/helpers/wait.ts';

export const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

/** In front of a command line: it is ended when the process of the tests ends, however that happens (prctl(2)). */
const BOUND = ['--pdeathsig', 'TERM', '--', process.execPath, MAIN];

let count = 0;

/** A name that no other lab on this machine has. */
export function newLabName(): string {
  return `t${process.pid}-${++count}`;
}

/** Runs a command line of `margay` to its end. */
export function margay(args: readonly string[], options: CommandOptions = {}): Promise<string> {
  return runCommand('setpriv', [...BOUND, ...args], { timeout: 90_000, ...options });
}

/** A lab that runs. */
export class LabProcess implements AsyncDisposable {
  readonly name: string;
  readonly child: ChildProcess;
  #log = '';

  private constructor(name: string, args: readonly string[]) {
    this.name = name;
    this.child = spawn('setpriv', [...BOUND, 'lab', '--lab', name, 'up', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
    try {
      onTestFailed(() => console.log(`lab ${name}:\n${this.#log}`));
    } catch {
      // In a hook: what fails there tells the log itself.
    }
  }

  /** Starts one and waits until it stays up. */
  static async start(args: readonly string[] = [], name = newLabName()): Promise<LabProcess> {
    const lab = new LabProcess(name, args);
    try {
      await waitFor(() => lab.#log.includes('The lab stays up') || lab.child.exitCode !== null, {
        what: `lab ${name} is up`,
        timeout: 90_000,
        details: () => lab.#log,
      });
      if (lab.child.exitCode !== null) throw new Error(`the lab ended:\n${lab.#log}`);
      return lab;
    } catch (error) {
      await lab.end('SIGTERM');
      throw error;
    }
  }

  get log(): string {
    return this.#log;
  }

  /** Runs a command of `margay lab` on it. */
  run(...args: string[]): Promise<string> {
    return margay(['lab', '--lab', this.name, ...args]);
  }

  /** Pairs that are open, as `shop/api-1 data/database-1`. */
  async open(): Promise<Set<string>> {
    const probes = JSON.parse(await this.run('reach', '-o', 'json')) as {
      source: string;
      target: string;
      open: boolean;
    }[];
    return new Set(probes.filter(({ open }) => open).map(({ source, target }) => `${source} ${target}`));
  }

  /** Ends it by a signal and waits for the process. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill(signal);
    await once(this.child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM');
  }
}

/** Names of the namespaces of a lab. */
export function namespacesOf(lab: string): string[] {
  return entriesOf(NETNS_FOLDER).filter((name) => name.startsWith(`margay-${lab}.`));
}
