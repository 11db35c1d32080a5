import { type Program, whyMissing } from '../kubernetes/binaries.ts';
import { CommandError, findTool } from './command.ts';
import { createNetns, type Netns } from './netns.ts';

/**
 * Something a test needs that a machine may lack: a program, a feature of the running kernel, or what only
 * `npm run setup:kubernetes` brings.
 */
export type Need = `tool:${string}` | `kernel:${KernelFeature}` | `kubernetes:${Program}`;

/** Kernel features that {@link requires} can look for; each is tried out in a namespace of its own. */
export type KernelFeature = keyof typeof KERNEL_PROBES;

/** The part of vitest's test context that {@link requires} uses. */
export interface Skippable {
  skip(note: string): never;
}

/**
 * Skips the test, with the reason shown at the end of the run, unless the machine has all that it needs. At the
 * top of a test, or for all tests of a file: `beforeEach((ctx) => requires(ctx, 'tool:bird'))`.
 */
export function requires(ctx: Skippable, ...needs: readonly Need[]): void {
  const reason = missing(...needs);
  if (reason !== undefined) ctx.skip(reason);
}

/** Why this machine can not serve all these needs; undefined when it can. */
export function missing(...needs: readonly Need[]): string | undefined {
  const reasons = needs.map(probe).filter((reason) => reason !== undefined);
  return reasons.length === 0 ? undefined : [...new Set(reasons)].join('; ');
}

const KERNEL_PROBES = {
  dummy: link('dummy'),
  vrf: link('vrf', 'table', '100'),
  wireguard: link('wireguard'),
  ipip: link('ipip', 'local', '127.0.0.1', 'remote', '127.0.0.2'),
  vxlan: link('vxlan', 'id', '7', 'dstport', '4789'),
  bridge: link('bridge'),
  netem: (ns: Netns) => ns.exec('tc', ['qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms']),
  conntrack: nft(
    'add table inet t { chain c { type filter hook output priority 0; ct state new accept; }; }',
  ),
  'conntrack-labels': nft('add table inet t { chain c { ct label set 1; }; }'),
  nflog: nft('add table inet t { chain c { log group 7; }; }'),
  flowtable: nft('add table inet t { flowtable f { hook ingress priority 0; devices = { lo }; }; }'),
  'nft-nat': nft(
    'add table ip t { chain c { type nat hook prerouting priority -100; dnat to 192.0.2.1; }; }',
  ),
  'user-limits': (ns: Netns) =>
    ns.exec('unshare', ['-U', '-r', 'sh', '-c', 'echo 1 >/proc/sys/user/max_inotify_instances']),
  'nft-fib': nft('add table inet t { chain c { fib daddr type local accept; }; }'),
} as const satisfies Readonly<Record<string, (ns: Netns) => unknown>>;

const known = new Map<Need, string | undefined>();

function probe(need: Need): string | undefined {
  if (!known.has(need)) known.set(need, look(need));
  return known.get(need);
}

function look(need: Need): string | undefined {
  const [kind, name = ''] = need.split(':');
  if (kind === 'tool') return findTool(name) === undefined ? `no program ${name} here` : undefined;
  if (kind === 'kubernetes') return whyMissing(name as Program);
  using ns = createNetns();
  try {
    KERNEL_PROBES[name as KernelFeature](ns);
    return undefined;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const said = (error.stderr.trim().split('\n')[0] ?? '').replace(/^.*(RTNETLINK answers|Error): /, '');
    return `this kernel has no ${name} (${said})`;
  }
}

function link(type: string, ...options: readonly string[]): (ns: Netns) => unknown {
  return (ns) => ns.exec('ip', ['link', 'add', 'probe0', 'type', type, ...options]);
}

function nft(commands: string): (ns: Netns) => unknown {
  return (ns) => ns.exec('nft', ['-f', '-'], { input: `${commands}\n` });
}
