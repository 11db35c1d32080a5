import { describe, expect, test } from 'vitest';
import type { Terminal } from '#cli/output.ts';
import { EXIT, run } from '#cli/program.ts';
import { type NodeStatus, printStatus } from '#cli/status-view.ts';
import { margay as bgp } from '#proto/generated/bgp.js';
import { margay as felix } from '#proto/generated/felix.js';
import { margay as policy } from '#proto/generated/policy.js';

const NOW = 1_000_000;

class Page implements Terminal {
  text = '';
  colour = false;
  columns: number | undefined;
  onWrite: () => void = () => {};

  constructor(columns?: number) {
    this.columns = columns;
  }

  write(text: string): void {
    this.text += text;
    this.onWrite();
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }
}

const healthy: NodeStatus = {
  bgp: {
    answer: {
      status: bgp.bgp.v1.Status.fromObject({
        routerId: '10.0.1.2',
        localAs: 65001,
        version: '1.2.3',
        startedAt: NOW - 200,
        neighbors: 1,
        neighborsEstablished: 1,
        memoryBytes: 100 << 20,
        kernel: { enabled: true, routes: 4 },
        families: [{ family: 1, prefixes: 4, paths: 5, originated: 1 }],
      }),
      neighbors: [
        bgp.bgp.v1.Neighbor.fromObject({ address: '10.0.1.1', remoteAs: 65000, state: 6, enabled: true }),
      ],
    },
  },
  policy: {
    answer: policy.policy.v1.Status.fromObject({
      version: '1.2.3',
      startedAt: NOW - 60,
      objects: [{ kind: 'Pod', count: 5 }],
    }),
  },
  felix: {
    answer: {
      status: felix.felix.v1.Status.fromObject({
        version: '1.2.3',
        node: 'n1',
        startedAt: NOW - 30,
        policy: { connected: true, inSyncSince: NOW - 25 },
        dataplane: { inSync: true, chains: 11, rules: 23, elements: 6 },
      }),
      endpoints: [
        felix.felix.v1.Endpoint.fromObject({ pod: 'a/b', known: true, ingressIsolated: true }),
        felix.felix.v1.Endpoint.fromObject({ pod: 'a/c', known: true }),
      ],
    },
  },
};

function show(status: NodeStatus, columns = 80): string {
  const page = new Page(columns);
  printStatus(page, status, NOW * 1000);
  return page.text;
}

describe('the status of a node', () => {
  test('is one screen of a terminal', () => {
    const text = show(healthy);
    expect(text.split('\n').length).toBeLessThanOrEqual(24);
    for (const line of text.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
    expect(text).toContain('node: n1\n');
    expect(text).toContain('  bgp     up 3m20s, version 1.2.3, 100 MiB\n');
    expect(text).toContain('Sessions  1 of 1 established\n');
    expect(text).toContain('Routes  4 in the kernel, 0 put back, 0 refused\n');
    expect(text).toContain('Pods  2 on this node, 1 isolated by policies, 0 closed for want of policy\n');
    expect(text).toContain('Policy  in sync for 25s\n');
    expect(text).toMatch(/Errors\n {2}none\n$/);
  });

  test('fits a narrow terminal too', () => {
    for (const columns of [50, 60, 70]) {
      for (const line of show(healthy, columns).split('\n')) {
        expect([...line].length, line).toBeLessThanOrEqual(columns);
      }
    }
  });

  test('says of each daemon that is not there so in one line, and goes on with the others', () => {
    const text = show({ ...healthy, policy: { missing: '/run/p.sock: nobody listens' } });
    expect(text).toContain('  policy  not there: /run/p.sock: nobody listens\n');
    expect(text).toMatch(/Errors\n {2}policy: does not answer\n$/);
    expect(text).toContain('Sessions  1 of 1 established\n');
    const { answer } = healthy.felix;
    const without = show({ ...healthy, felix: { missing: 'x: no such socket' } });
    expect(without).toContain('Policy  what is in the kernel stays in force, and nothing new comes\n');
    const apart = felix.felix.v1.Status.fromObject({
      ...answer!.status,
      policy: { connected: false, lastError: 'refused' },
    });
    const text2 = show({ ...healthy, felix: { answer: { ...answer!, status: apart } } });
    expect(text2).toContain('Policy  not in sync: what was in the kernel stays in force\n');
    expect(text2).toContain('  felix, policy engine: refused\n');
  });

  test('gathers what the daemons complain of', () => {
    const down = bgp.bgp.v1.Neighbor.fromObject({
      address: '10.0.1.1',
      state: 3,
      enabled: true,
      lastError: 'hold timer expired',
    });
    const { answer } = healthy.bgp;
    const status = bgp.bgp.v1.Status.fromObject({ ...answer!.status, configError: 'bgp.yaml:3: no' });
    const text = show({ ...healthy, bgp: { answer: { status, neighbors: [down] } } });
    expect(text).toContain('  bgp, configuration: bgp.yaml:3: no\n');
    expect(text).toContain('  bgp, neighbour 10.0.1.1: hold timer expired\n');
  });

  test('where nothing runs ends with 3, and says where each was looked for', async () => {
    const out = new Page();
    const error = new Page();
    const argv = [
      'status',
      '--bgp-socket',
      '/nowhere/b',
      '--policy-socket',
      '/nowhere/p',
      '--felix-socket',
      '/nowhere/f',
    ];
    const signal = new AbortController().signal;
    expect(await run(argv, { out, error, now: () => 0, signal })).toBe(EXIT.unreachable);
    expect(out.text).toContain('  bgp     not there: /nowhere/b: no such socket\n');
    expect(out.text).toContain('  felix   not there: /nowhere/f: no such socket\n');
    expect(error.text).toBe('');
  });

  test('with --watch is shown again and again, a page at a time, until Ctrl-C', async () => {
    const out = new Page(80);
    const stop = new AbortController();
    out.onWrite = () => {
      if (out.text.split('\x1b[2J').length > 2) stop.abort();
    };
    const argv = ['status', '--watch', '--bgp-socket', '/nowhere/b'];
    await run(argv, { out, error: new Page(80), now: () => 0, signal: stop.signal });
    const pages = out.text.split('\x1b[H\x1b[2J').slice(1);
    expect(pages).toHaveLength(2);
    for (const page of pages) expect(page).toContain('/nowhere/b: no such socket');
  });

  // What one looks at while something is being put right.
  test.each([
    ['bgp', 'route', '10.0.0.1'],
    ['bgp', 'neighbors'],
    ['bgp', 'rib'],
    ['ipam', 'show'],
    ['ipam', 'check'],
    ['policy', 'explain', 'a', 'b', '80'],
    ['felix', 'endpoints'],
  ])('and so is margay %s %s', async (...words) => {
    const out = new Page(80);
    const stop = new AbortController();
    out.onWrite = () => stop.abort();
    const argv = [words[0]!, '--socket', '/nowhere/s', ...words.slice(1), '--watch'];
    const error = new Page(80);
    expect(await run(argv, { out, error, now: () => 0, signal: stop.signal })).toBe(EXIT.unreachable);
    const [before, page] = out.text.split('\x1b[H\x1b[2J');
    expect(before).toBe('');
    expect(page).toMatch(/^error: .*\/nowhere\/s.*start/);
    expect(error.text).toBe('');
  });
});
