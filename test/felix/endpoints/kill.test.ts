import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createNetns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { callPlugin, configuration, envOf } from '../node.ts';
import { churn, makeContainers } from './churn.ts';

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

describe('a felix that is killed', () => {
  test('in the middle of 500 ADD and DEL, 30 at once, gives no address twice and leaves nothing behind', {
    timeout: 300_000,
  }, async () => {
    await using node = new KillableNode();
    await node.start();
    const containers = makeContainers(40);
    try {
      const { held, kills, refused, remove } = await churn({
        calls: 500,
        containers,
        call: (command, { id, netns }) =>
          callPlugin(
            { ...envOf(command, node.socket, { id, netns: netns.path }), MARGAY_CNI_CONNECT_MS: '20000' },
            configuration(),
          ),
        restart: async () => {
          await node.kill();
          await node.start();
        },
      });
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
