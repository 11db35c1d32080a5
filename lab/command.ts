import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Settings shared by {@link runCommand} and {@link runCommandSync}. */
export interface CommandOptions {
  /** Text written to the command's standard input; without it standard input is empty. */
  readonly input?: string;
  /** Longest run time in ms; then the command gets SIGKILL and the call throws. Default 20,000. */
  readonly timeout?: number;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** {@link runCommand}: ends the command by SIGKILL when it aborts; the call throws then. */
  readonly signal?: AbortSignal;
}

/** Thrown when a command could not be started, ended with a non-zero status, or ran out of time. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code = 'COMMAND_FAILED';
  readonly command: string;
  /** Exit status; undefined when a signal ended the command or it never started. */
  readonly status: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;

  constructor(command: string, outcome: Outcome) {
    const ending =
      outcome.error !== undefined
        ? outcome.error.message
        : outcome.signal !== undefined
          ? `ended by ${outcome.signal}`
          : `exit status ${outcome.status}`;
    const said = outcome.stderr.trim() || outcome.stdout.trim();
    super(`${command}: ${ending}${said === '' ? '' : `: ${said}`}`, { cause: outcome.error });
    this.command = command;
    this.status = outcome.status;
    this.signal = outcome.signal;
    this.stdout = outcome.stdout;
    this.stderr = outcome.stderr;
  }
}

interface Outcome {
  readonly status: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly error: Error | undefined;
}

/**
 * The environment for tools: untranslated messages, and a PATH that has the sbin folders, which a root shell that
 * was opened by plain `su` lacks.
 */
export function toolEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LC_ALL: 'C',
    PATH: `${process.env.PATH ?? '/usr/bin:/bin'}:/usr/local/sbin:/usr/sbin:/sbin`,
    ...extra,
  };
}

/**
 * Runs a command and returns what it printed. Blocks the event loop: right for short tools such as `ip`, wrong
 * when something under test in this process has to go on meanwhile (then {@link runCommand}).
 *
 * @throws CommandError when the command fails
 */
export function runCommandSync(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): string {
  const done = spawnSync(command, args, {
    input: options.input ?? '',
    encoding: 'utf8',
    timeout: options.timeout ?? 20_000,
    killSignal: 'SIGKILL',
    maxBuffer: 256 * 1024 * 1024,
    env: toolEnvironment(options.env),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const outcome: Outcome = {
    status: done.status ?? undefined,
    signal: done.signal ?? undefined,
    stdout: done.stdout ?? '',
    stderr: done.stderr ?? '',
    error: done.error,
  };
  if (outcome.error !== undefined || outcome.status !== 0) {
    throw new CommandError([command, ...args].join(' '), outcome);
  }
  return outcome.stdout;
}

/**
 * Runs a command without blocking the event loop and resolves to what it printed.
 *
 * @throws CommandError when the command fails
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const timeout = options.timeout ?? 20_000;
  const outcome = await new Promise<Outcome>((resolve) => {
    let stdout = '';
    let stderr = '';
    let error: Error | undefined;
    const child = spawn(command, args, {
      stdio: 'pipe',
      env: toolEnvironment(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const giveUp = (why: string) => {
      error = new Error(why);
      child.kill('SIGKILL');
    };
    const deadline = setTimeout(() => giveUp(`not finished after ${timeout} ms`), timeout);
    const onAbort = () => giveUp('broken off');
    if (options.signal?.aborted) onAbort();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // A command that does not read its input closes the pipe early; its exit status says whether that was an error.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.on('error', (cause) => {
      error = cause;
      if (child.pid === undefined) finish(undefined, undefined);
    });
    child.on('close', (status, signal) => finish(status ?? undefined, signal ?? undefined));
    const finish = (status: number | undefined, signal: string | undefined) => {
      clearTimeout(deadline);
      options.signal?.removeEventListener('abort', onAbort);
      resolve({ status, signal, stdout, stderr, error });
    };
  });
  if (outcome.error !== undefined || outcome.status !== 0) {
    throw new CommandError([command, ...args].join(' '), outcome);
  }
  return outcome.stdout;
}

/** Whole path of a program, looked up in PATH, the sbin folders and FRR's own; undefined when there is none. */
export function findTool(name: string): string | undefined {
  const folders = (toolEnvironment().PATH ?? '').split(':');
  return [...folders, '/usr/lib/frr'].map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
