import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { join } from 'node:path';
import { NETNS_FOLDER, processesIn, removeNetns } from '#lab/leftovers.ts';
import { type CommandOptions, runCommand, runCommandSync, toolEnvironment } from './command.ts';
import { newName } from './owner.ts';

/** One end of a veth pair: the namespace it lies in, its name there, and its addresses with prefix length. */
export interface LinkEnd {
  readonly netns: Netns;
  /** Name of the interface, at most 15 bytes. Default `eth0`, `eth1`... in the order of connecting. */
  readonly name?: string;
  /** For example `['10.0.0.1/24', 'fd00::1/64']`. */
  readonly addresses?: readonly string[];
}

/**
 * A network namespace of its own with `lo` up, kept under /run/netns like those of `ip netns`. Made by
 * {@link createNetns}; `using` removes it at the end of the block.
 */
export class Netns implements Disposable {
  /** As `ip netns list` shows it. */
  readonly name: string;
  /** The file that stands for the namespace, to be opened for setns(2). */
  readonly path: string;
  readonly #children = new Set<ChildProcess>();
  #links = 0;
  #removed = false;

  constructor(name: string) {
    this.name = name;
    this.path = join(NETNS_FOLDER, name);
  }

  /**
   * Runs a command inside and returns what it printed. Blocks the event loop.
   *
   * @throws CommandError when the command fails
   */
  exec(command: string, args: readonly string[] = [], options: CommandOptions = {}): string {
    return runCommandSync('nsenter', [`--net=${this.path}`, '--', command, ...args], options);
  }

  /**
   * Runs a command inside without blocking the event loop, for when what is under test lives in this process.
   *
   * @throws CommandError when the command fails
   */
  execAsync(command: string, args: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
    return runCommand('nsenter', [`--net=${this.path}`, '--', command, ...args], options);
  }

  /** Starts a command inside. The returned process's number is the command's own; it is killed with the namespace. */
  spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    const child = spawn('nsenter', [`--net=${this.path}`, '--', command, ...args], {
      ...options,
      env: toolEnvironment(options.env as Record<string, string> | undefined),
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs `ip` and returns its JSON: `ns.ip('route', 'show')`. `undefined` when it printed nothing. */
  ip(...args: string[]): unknown {
    const text = runCommandSync('ip', ['-n', this.name, '-j', '-d', ...args]).trim();
    return text === '' ? undefined : JSON.parse(text);
  }

  /** Runs `nft -j` and returns the list under its `nftables` key: `ns.nft('list', 'ruleset')`. */
  nft(...args: string[]): unknown[] {
    const text = this.exec('nft', ['-j', ...args]).trim();
    return text === '' ? [] : (JSON.parse(text) as { nftables: unknown[] }).nftables;
  }

  /** Sets a kernel parameter of this namespace: `ns.sysctl('net.ipv4.ip_forward', 1)`. */
  sysctl(key: string, value: string | number): void {
    // /proc/sys/net shows the namespace of the process that looks, hence the shell inside.
    const file = `/proc/sys/${key.replaceAll('.', '/')}`;
    this.exec('sh', ['-c', 'printf %s "$1" > "$0"', file, String(value)]);
  }

  /** Numbers of the processes that run inside. */
  processes(): number[] {
    return processesIn(this.name);
  }

  /** The next free interface name for {@link connect}. */
  nextLinkName(): string {
    return `eth${this.#links++}`;
  }

  /** Kills what runs inside and removes the namespace. Doing it twice is no error. */
  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    // One that has just been started may not have entered the namespace yet, and would not be found there.
    for (const child of this.#children) child.kill('SIGKILL');
    removeNetns(this.name);
  }

  [Symbol.dispose](): void {
    this.remove();
  }
}

/**
 * Makes a network namespace: `using ns = createNetns()`. Needs root. It is removed at the end of the block, and
 * also when this process ends in any other way (see owner.ts).
 */
export function createNetns(): Netns {
  const netns = new Netns(newName());
  runCommandSync('ip', ['netns', 'add', netns.name]);
  try {
    // Without duplicate address detection an IPv6 address can be used at once.
    for (const scope of ['all', 'default']) netns.sysctl(`net.ipv6.conf.${scope}.accept_dad`, 0);
    runCommandSync('ip', ['-n', netns.name, 'link', 'set', 'lo', 'up']);
  } catch (error) {
    netns.remove();
    throw error;
  }
  return netns;
}

/**
 * Connects two namespaces by a veth pair, with both ends up and their addresses set.
 *
 * @returns the names of the two interfaces
 */
export function connect(a: LinkEnd, b: LinkEnd): [string, string] {
  const nameA = a.name ?? a.netns.nextLinkName();
  const nameB = b.name ?? b.netns.nextLinkName();
  const peer = ['peer', 'name', nameB, 'netns', b.netns.name];
  runCommandSync('ip', ['-n', a.netns.name, 'link', 'add', nameA, 'type', 'veth', ...peer]);
  for (const [end, name] of [
    [a, nameA],
    [b, nameB],
  ] as const) {
    const lines = (end.addresses ?? []).map(
      (address) => `address add ${address} dev ${name}${address.includes(':') ? ' nodad' : ''}`,
    );
    lines.push(`link set ${name} up`);
    runCommandSync('ip', ['-n', end.netns.name, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }
  return [nameA, nameB];
}
