import { getSystemErrorMessage } from 'node:util';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { nearest } from '#daemon/problem.ts';
import { readVersion } from '#daemon/version.ts';
import { RpcError } from '#proto/error.ts';
import { bgpCommand } from './bgp.ts';
import { cniCommand } from './cni.ts';
import { completionCommand } from './completion.ts';
import { felixCommand } from './felix.ts';
import { ipamCommand } from './ipam.ts';
import { labCommand } from './lab.ts';
import type { Format, Terminal } from './output.ts';
import { paint, wrap } from './output.ts';
import { policyCommand } from './policy.ts';
import { readyCommand } from './ready.ts';
import { statusCommand } from './status.ts';
import { versionCommand } from './version.ts';
import { isWatched, pause, Screen } from './watch.ts';

/** Exit statuses, the same for every command. */
export const EXIT = {
  ok: 0,
  /** The command was understood and the answer is no: refused, not found, failed. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The daemon that it is for does not answer. */
  unreachable: 3,
  /** Ctrl-C before the answer was complete: 128 and the number of SIGINT (signal(7)). */
  broken: 130,
} as const;

/** What a command may touch of the world. */
export interface Context {
  readonly out: Terminal;
  readonly error: Terminal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Thrown by a command for what the user can put right; printed as one line. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exit: number;

  constructor(message: string, exit: number = EXIT.failed, options?: ErrorOptions) {
    super(message, options);
    this.exit = exit;
  }
}

/** Runs one command line (without `node` and the script) and returns the exit status. */
export async function run(argv: readonly string[], context: Context): Promise<number> {
  const screen = new Screen(context.out);
  const error = new Screen(context.error);
  const inner: Context = { ...context, out: screen, error };
  for (;;) {
    let watched = false;
    const program = buildProgram(inner);
    program.hook('preAction', (_, command) => {
      watched = isWatched(command);
      if (watched) for (const each of [screen, error]) each.hold();
    });
    const status = await once(program, argv, inner);
    if (!watched) return status;
    // Whatever went wrong may be right the next time.
    screen.write(error.take());
    screen.show();
    await pause(context.signal);
    if (context.signal.aborted) return status;
  }
}

/** The tree of all commands. */
export function buildProgram(context: Context): Command {
  const program = new Command('margay')
    .description('A Kubernetes network without overlay: BGP routes, NetworkPolicy compiled to nftables.')
    .version(readVersion(), '-V, --version', 'print the version')
    .addHelpText(
      'after',
      `
Exit status: 0 done, 1 refused or failed, 2 wrong command line, 3 the daemon does not answer.

Examples:
  margay lab up      a whole routed cluster on this machine, in a minute
  margay status      this node at a glance`,
    );
  program.addCommand(statusCommand(context));
  program.addCommand(bgpCommand(context));
  program.addCommand(policyCommand(context));
  program.addCommand(felixCommand(context));
  program.addCommand(ipamCommand(context));
  program.addCommand(cniCommand(context));
  program.addCommand(readyCommand(context));
  program.addCommand(labCommand(context));
  program.addCommand(versionCommand(context));
  program.addCommand(completionCommand(context));
  prepare(program, context);
  return program;
}

async function once(program: Command, argv: readonly string[], context: Context): Promise<number> {
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return report(error, context);
  }
}

/** The option that every command with an answer has. */
export function outputOption(
  usual: Format = 'table',
  choices: readonly Format[] = ['table', 'json', 'yaml'],
): Option {
  return new Option('-o, --output <format>', 'how to print the answer').choices(choices).default(usual);
}

/** Reads a whole number from `least` to `most`. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
  };
}

/** Reads a text of a certain form. */
export function textMatching(form: RegExp, expected: string): (text: string) => string {
  return (text) => {
    if (form.test(text)) return text;
    throw new InvalidArgumentError(`Expected ${expected}.`);
  };
}

/** commander's defaults for every command below: no process.exit, our streams, a mistake told in one line. */
function prepare(command: Command, context: Context, above: readonly string[] = []): void {
  const path = [...above, command.name()];
  const { out, error } = context;
  command.exitOverride();
  command.configureOutput({
    writeOut: (text) => out.write(fitted(text, out.columns)),
    writeErr: (text) => error.write(fitted(text, error.columns)),
    getOutHelpWidth: () => out.columns ?? 100,
    getErrHelpWidth: () => error.columns ?? 100,
    outputError: (text) => {
      error.write(`${paint(error, 'red', 'error:')} ${slipText(command, path.join(' '), text)}\n`);
    },
  });
  // Also beside long names of commands what they do is broken between words.
  command.configureHelp({ minWidthToWrap: 24, subcommandTerm: (below) => below.name() });
  for (const below of command.commands) prepare(below as Command, context, path);
}

/** What commander says of a mistake, and what to do about it. */
function slipText(command: Command, path: string, text: string): string {
  const said = text
    .trim()
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ');
  const [, unknown] =
    /^unknown command '(.*?)'/.exec(said) ??
    ((command.commands.length > 0 && /^too many arguments for .* got \d+: (.*?)[,.]/.exec(said)) || []);
  if (unknown === undefined) return `${said.replace(/\.$/, '')} (${path} --help says more)`;
  const names = command.commands.map((each) => each.name());
  const near = nearest(unknown, names);
  return `${path}: unknown command ${unknown}, expected one of ${names.join(', ')}${near === undefined ? '' : ` (did you mean ${near}?)`}`;
}

/** Lines of a help that are too long go on further in than they began. */
function fitted(text: string, columns: number | undefined): string {
  return text
    .split('\n')
    .flatMap((line) => wrap(line, columns, /^ */.exec(line)![0].length + 2))
    .join('\n');
}

function report(error: unknown, context: Context): number {
  if (error instanceof CommanderError) {
    // commander has printed it; asking for help is not a mistake.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  if (!(error instanceof Error)) throw error;
  const say = (text: string): void =>
    context.error.write(`${paint(context.error, 'red', 'error:')} ${text}\n`);
  if (error instanceof CliError) {
    // One without words has been told already.
    for (const line of error.message.split('\n').filter(Boolean)) say(line);
    return error.exit;
  }
  if (error instanceof RpcError) {
    if (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED') {
      say(`the daemon does not answer: ${error.message}${remedyOf(error)}`);
      return EXIT.unreachable;
    }
    say(error.message);
    return EXIT.failed;
  }
  // What a person can put right is told in a line; anything else is a fault of ours, and its stack is wanted.
  const { code } = error as { readonly code?: unknown };
  const text = systemText(error) ?? error.message;
  if (code === 'EACCES' || code === 'EPERM') {
    const isRoot = process.getuid?.() === 0;
    say(`${text}; ${isRoot ? 'it needs CAP_SYS_ADMIN and CAP_NET_ADMIN' : 'run it as root'}`);
    return EXIT.failed;
  }
  if (systemText(error) !== undefined || OF_THE_KERNEL.has(error.name) || PLAIN.has(String(code))) {
    for (const line of text.split('\n').filter(Boolean)) say(line);
    return EXIT.failed;
  }
  throw error;
}

/** What the system said of a file: `/run/margay-lab: no space left on device`. */
function systemText(error: Error): string | undefined {
  const { errno, path, syscall } = error as NodeJS.ErrnoException;
  const what = path ?? syscall;
  return errno === undefined || what === undefined ? undefined : `${what}: ${getSystemErrorMessage(errno)}`;
}

/** Errors of calls of the kernel; their messages say what was to be done to what. */
const OF_THE_KERNEL: ReadonlySet<string> = new Set([
  'NamespaceError',
  'NetlinkError',
  'SyscallError',
  'SysctlError',
]);

/** What to do about a daemon that does not answer. */
export function remedyOf({ code, message }: RpcError): string {
  if (code === 'DEADLINE_EXCEEDED') return '; it is stopped or very busy: its log may say why';
  if (/ENOENT|ECONNREFUSED/.test(message)) return '; start it, or say with --socket where it listens';
  return message.includes('EACCES') ? '; run it as root' : '';
}

/** Codes of errors whose message says all. */
const PLAIN: ReadonlySet<string> = new Set(['DEADLINE_PASSED', 'COMMAND_FAILED', 'LAB_FAILED']);
