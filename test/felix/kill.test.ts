import type { ChildProcess } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { createFabric, type Fabric, type Slot } from './fabric.ts';
import type { ProbeProtocol } from './prober.ts';
import { Sender, type Stream } from './sender.ts';
import { countPackets, tcpPair } from './talk.ts';

/*
 * The agent and the policy engine are killed at random points of updates, restarts and upgrades, while packets are sent all
 * the time: none that is forbidden ever passes, none that is allowed is lost.
 */

const ROOT = join(import.meta.dirname, '../..');
const ROUNDS = 12;
const CLIENT = '{ podSelector: { matchLabels: { app: client } } }';

let fabric: Fabric;
/** Where the processes are; they go with it. */
let home: Netns;
let folder: string;
beforeAll(() => {
  fabric = createFabric(2);
  home = createNetns();
  folder = newTempFolder();
  mkdirSync(join(folder, 'objects'));
}, 60_000);
afterAll(() => {
  home.remove();
  fabric[Symbol.dispose]();
});

/** Written elsewhere and renamed: the engine never reads a half. */
function put(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
  renameSync(join(folder, name), join(folder, 'objects', name));
}

const podYaml = (name: string, slot: Slot, labels: string): string => `
apiVersion: v1
kind: Pod
metadata: { namespace: shop, name: ${name}, uid: uid-${name}, labels: ${labels} }
spec: { nodeName: ${slot.node.name} }
status: { phase: Running, podIPs: [${slot.addresses.map((address) => `{ ip: "${address}" }`).join(', ')}] }
`;
const policyYaml = (name: string, select: string, rules: string): string => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { namespace: shop, name: ${name} }
spec: { podSelector: { matchLabels: ${select} }, policyTypes: [Ingress], ingress: [${rules}] }
`;

function start(script: readonly string[], ready: string): Promise<ChildProcess> {
  const child = home.spawn(process.execPath, script, { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout!.on('data', (text) => {
    output += text;
  });
  return waitFor(() => output.includes(ready) && child, {
    what: `${script[0]} to say ${ready}`,
    timeout: 40_000,
  });
}

test('nothing that is forbidden passes, and nothing that is allowed is lost', async () => {
  const [client, intruder, server, beside] = fabric.slots as readonly [Slot, Slot, Slot, Slot];
  put(
    'pods.yaml',
    [
      podYaml('client', client, '{ app: client }'),
      podYaml('intruder', intruder, '{ app: intruder }'),
      podYaml('server', server, '{ app: server }'),
      podYaml('beside', beside, '{ app: beside }'),
    ].join('---'),
  );
  put(
    'server.yaml',
    policyYaml(
      'server',
      '{ app: server }',
      `{ from: [${CLIENT}, { podSelector: { matchLabels: { app: beside } } }], ports: [{ protocol: UDP, port: 5000 }, { port: 5000 }] }`,
    ),
  );
  put('beside.yaml', policyYaml('beside', '{ app: beside }', ''));
  put(
    'long.yaml',
    policyYaml('long', '{ app: server }', `{ from: [${CLIENT}], ports: [{ port: 5002 }, { port: 5003 }] }`),
  );
  const socket = join(folder, 'policy.sock');
  const engine = () =>
    start(
      [
        join(ROOT, 'cli/main.ts'),
        'policy',
        '--datastore',
        join(folder, 'objects'),
        '--socket',
        socket,
        '--log-level',
        'error',
      ],
      '',
    );
  const endpoints = JSON.stringify([
    { pod: 'shop/server', name: server.interface, addresses: server.addresses },
    { pod: 'shop/beside', name: beside.interface, addresses: beside.addresses },
  ]);
  const node = fabric.nodes[1];
  const script = [join(ROOT, 'test/felix/agent-process.ts'), node.netns.path, node.name, socket, endpoints];
  let policy = await engine();
  let agent = await start(script, 'applied');

  const stream =
    (protocol: ProbeProtocol, family: number) =>
    (from: Slot, to: Slot, port: number, expected: boolean): Stream => ({
      from: from.netns.path,
      to: to.netns.path,
      source: from.addresses[family]!,
      destination: to.addresses[family]!,
      protocol,
      port,
      expected,
    });
  const streams = [0, 1].flatMap((family) => [
    ...(['UDP', 'TCP'] as const).flatMap((protocol) => {
      const of = stream(protocol, family);
      return [
        of(client, server, 5000, true),
        of(beside, server, 5000, true),
        of(server, client, 7, true),
        of(client, server, 5001, false),
        of(intruder, server, 5000, false),
        of(client, beside, 5000, false),
        of(server, beside, 5000, false),
      ];
    }),
    // No rule is about echo requests, and so they reach only whom no policy isolates.
    stream('other', family)(server, client, 0, true),
    stream('other', family)(client, server, 0, false),
    stream('other', family)(server, beside, 0, false),
  ]);
  using sender = new Sender();
  await sender.begin(streams, 4);
  // Two that have begun: one that may go on, and one that is forbidden before anything else happens.
  using lasting = await tcpPair(client, server, 0, 5002);
  using ended = await tcpPair(client, server, 1, 5003);
  await lasting.exchange('allowed');
  await ended.exchange('allowed');
  put('long.yaml', policyYaml('long', '{ app: server }', `{ from: [${CLIENT}], ports: [{ port: 5002 }] }`));
  await waitFor(
    () =>
      ended.expectSilence('client').then(
        () => true,
        () => false,
      ),
    { what: 'the end of what is forbidden now' },
  );
  const counter = countPackets(node.netns, lasting.clientPort, 5002);
  // Not as much as goes: those who count packets see these too.
  const transfer = lasting.stream(5);

  for (let round = 0; round < ROUNDS; round++) {
    // Changes all around what is probed: other ports, other peers, other pods of the same kind.
    for (let i = 0; i < 8; i++) {
      put(
        `more-${i}.yaml`,
        policyYaml(
          `more-${i}`,
          i % 2 === 0 ? '{ app: server }' : '{ app: beside }',
          `{ from: [{ podSelector: { matchLabels: { app: x${round}${i} } } }, { ipBlock: { cidr: 192.0.${round}.0/24 } }], ports: [{ protocol: UDP, port: ${6000 + round + i} }] }`,
        ),
      );
      put(
        `pod-${i}.yaml`,
        podYaml(
          `far-${i}`,
          { ...client, addresses: [`10.0.1.${i}`, `fd00:1::${i}`] },
          `{ app: x${round}${i} }`,
        ),
      );
      if ((round + i) % 5 === 0) rmSync(join(folder, 'objects', `more-${i}.yaml`));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    }
    const killed = round % 3 === 1 ? policy : agent;
    const gone = new Promise((resolve) => killed.once('exit', resolve));
    killed.kill('SIGKILL');
    await gone;
    if (killed === policy) {
      policy = await engine();
      continue;
    }
    // What an earlier version may have left: sets and hooks that are not ours any more.
    if (round % 4 === 0) {
      node.netns.exec('nft', ['-f', '-'], {
        input:
          'add set inet margay old { type ipv4_addr; }\nadd chain inet margay old { type filter hook forward priority 5; }\nadd rule inet margay old ip saddr @old counter\n',
      });
    }
    agent = await start(script, 'applied');
    // Again, at once: while it begins.
    if (round % 4 === 2) {
      agent.kill('SIGKILL');
      agent = await start(script, '');
      agent.kill('SIGKILL');
      agent = await start(script, 'applied');
    }
  }
  expect(node.netns.exec('nft', ['list', 'table', 'inet', 'margay'])).not.toContain('old');
  for (const [i, { sent, arrived, answered }] of (await sender.end()).entries()) {
    const { expected, protocol, ...of } = streams[i]!;
    expect(sent).toBeGreaterThan(500);
    const all = expected ? sent : 0;
    expect({ protocol, ...of, arrived }).toEqual({ protocol, ...of, arrived: all });
    // Nobody listens, which is said by what belongs to the connection.
    if (protocol === 'TCP') expect({ ...of, answered }).toEqual({ ...of, answered: all });
  }
  // What has begun and may go on has lost nothing at our hooks, and what may not has not come back.
  expect(transfer.failed()).toBeUndefined();
  await transfer.moves();
  await transfer.pause();
  const [before, after, beforeForward, afterForward] = counter.read();
  expect(before).toBeGreaterThan(1000);
  expect({ after, afterForward }).toEqual({ after: before, afterForward: beforeForward });
  await ended.expectSilence('server');
  await ended.expectSilence('client');
}, 240_000);
