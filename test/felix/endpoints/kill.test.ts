import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { callPlugin, configuration, envOf } from '../node.ts';

/** A node whose felix is a process of its own, to be killed. */
class KillableNode implements AsyncDisposable {
  readonly netns = createNetns();
  readonly folder = newTempFolder();
  readonly socket = join(this.folder, 'cni.sock');
  #felix: ChildProcess | undefined;
  log = '';

  constructor() {
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) this.netns.sysctl(key, 1);
  }

  /** Resolves to what it found when pods can come. */
  async start(): Promise<{ endpoints: number; rebuilt: number; leaks: number }> {
    const options = JSON.stringify({ folder: this.folder, podCidrs: ['10.1.0.0/24', 'fd00:1::/64'] });
    const felix = this.netns.spawn(process.execPath, [join(import.meta.dirname, '../agent.ts'), options], {
      stdio: 'pipe',
    });
    this.#felix = felix;
    let out = '';
    felix.stdout!.setEncoding('utf8').on('data', (text) => {
      out += text;
    });
    felix.stderr!.setEncoding('utf8').on('data', (text) => {
      this.log += text;
    });
    await waitFor(() => out.includes('\n'), { what: 'felix', timeout: 60_000, details: () => this.log });
    return JSON.parse(out);
  }

  async kill(): Promise<void> {
    const felix = this.#felix!;
    const ended = new Promise((resolve) => felix.once('exit', resolve));
    felix.kill('SIGKILL');
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#felix !== undefined) await this.kill();
    this.netns.remove();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

interface Container {
  readonly id: string;
  readonly netns: Netns;
  addresses: string[] | undefined;
}

describe('a felix that is killed', () => {
  test('in the middle of 500 ADD and DEL, 30 at once, gives no address twice and leaves nothing behind', {
    timeout: 120_000,
  }, async () => {
    await using node = new KillableNode();
    await node.start();
    const random = generator(20261126);
    const containers: Container[] = Array.from({ length: 40 }, (_, i) => ({
      id: `c${i}`,
      netns: createNetns(),
      addresses: undefined,
    }));
    const held = new Map<string, string>();
    let calls = 0;
    let refused = 0;

    const call = async (command: string, { id, netns }: Container) => {
      calls++;
      return callPlugin(
        { ...envOf(command, node.socket, { id, netns: netns.path }), MARGAY_CNI_CONNECT_MS: '20000' },
        configuration(),
      );
    };
    /** As a runtime does: an ADD that failed is followed by a DEL, a DEL that failed by another. */
    const remove = async (container: Container): Promise<void> => {
      for (const address of container.addresses ?? []) held.delete(address);
      container.addresses = undefined;
      for (;;) {
        const done = await call('DEL', container);
        if (done.status === 0) return;
        refused++;
        expect(done.result.code).toBe(11);
      }
    };
    const step = async (container: Container): Promise<void> => {
      if (container.addresses !== undefined) return remove(container);
      const done = await call('ADD', container);
      if (done.status !== 0) {
        refused++;
        expect(done.result).toMatchObject({ code: 11 });
        return remove(container);
      }
      const addresses: string[] = done.result.ips.map((ip: { address: string }) => ip.address);
      for (const address of addresses) {
        expect([address, held.get(address)]).toEqual([address, undefined]);
        held.set(address, container.id);
      }
      container.addresses = addresses;
    };

    try {
      const busy = new Set<Container>();
      const worker = async (): Promise<void> => {
        while (calls < 500) {
          const free = containers.filter((each) => !busy.has(each));
          const container = free[Math.floor(random() * free.length)]!;
          busy.add(container);
          try {
            await step(container);
          } finally {
            busy.delete(container);
          }
        }
      };
      const workers = Promise.all(Array.from({ length: 30 }, worker));
      let kills = 0;
      let next = 25;
      const killer = (async () => {
        while (calls < 480) {
          if (calls >= next) {
            await node.kill();
            await node.start();
            kills++;
            next = calls + 20 + Math.floor(random() * 60);
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      await Promise.all([workers, killer]);
      expect(kills).toBeGreaterThanOrEqual(3);
      expect(refused).toBeGreaterThan(0);

      // What is there is what was told, to the letter.
      const routes = [
        ...(node.netns.ip('route', 'show', 'proto', '110') as { dst: string }[]),
        ...(node.netns.ip('-6', 'route', 'show', 'proto', '110') as { dst: string }[]),
      ];
      expect(new Set(routes.map(({ dst }) => dst))).toEqual(
        new Set([...held.keys()].map((address) => address.split('/')[0])),
      );
      expect(node.netns.ip('link', 'show', 'type', 'veth') ?? []).toHaveLength(held.size / 2);
      for (const { addresses, netns } of containers) {
        const links = netns.ip('link', 'show') as object[];
        expect(links).toHaveLength(addresses === undefined ? 1 : 2);
      }
      await Promise.all(containers.map(remove));
      // What a DEL frees is written after its answer: a kill in between costs a leak, which the next start finds.
      await node.kill();
      expect(await node.start()).toMatchObject({ endpoints: 0, rebuilt: 0 });
      const addresses = join(node.folder, 'state', 'ipam');
      await waitFor(() => !fs.readFileSync(addresses, 'utf8').includes('"owner"'), {
        what: 'leaks to be released',
      });
      await node.kill();
      expect(await node.start()).toMatchObject({ endpoints: 0, rebuilt: 0, leaks: 0 });
      expect(node.netns.ip('link', 'show', 'type', 'veth') ?? []).toEqual([]);
      expect(fs.readdirSync(join(node.folder, 'state', 'endpoints'))).toEqual([]);
    } finally {
      for (const { netns } of containers) netns.remove();
    }
  });

  test('and started again loses no packet of a flood between pods', { timeout: 120_000 }, async () => {
    await using node = new KillableNode();
    await node.start();
    using a = createNetns();
    using b = createNetns();
    for (const [id, pod] of [
      ['a', a],
      ['b', b],
    ] as const) {
      const { status } = await callPlugin(
        envOf('ADD', node.socket, { id, netns: pod.path }),
        configuration(),
      );
      expect(status).toBe(0);
    }
    const flood = a.execAsync('ping', ['-i', '0.002', '-c', '1000', '-q', '-W', '5', '10.1.0.2'], {
      timeout: 60_000,
    });
    const flood6 = a.execAsync('ping', ['-i', '0.002', '-c', '1000', '-q', '-W', '5', 'fd00:1::2'], {
      timeout: 60_000,
    });
    for (let i = 0; i < 2; i++) {
      await node.kill();
      expect(await node.start()).toMatchObject({ endpoints: 2, rebuilt: 0, leaks: 0 });
    }
    expect(await flood).toContain('1000 packets transmitted, 1000 received, 0% packet loss');
    expect(await flood6).toContain('1000 packets transmitted, 1000 received, 0% packet loss');
    expect(node.log).not.toContain('put right');
  });
});

/** A sequence of numbers from 0 to 1 that is the same each time (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
