import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { margay } from '#proto/generated/policy.js';
import { runCommand } from '#test/helpers/command.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { EngineProcess, expectedPrograms } from './engine-process.ts';
import { pod, policy } from './objects.ts';

const near = pod('near', 'n1', '10.0.0.1');
const far = pod('far', 'n2', '10.0.0.2');
const web = policy('web');

async function told(
  reader: { readonly program: unknown },
  manifests: Parameters<typeof expectedPrograms>[0],
) {
  const expected = expectedPrograms(manifests, 'n1');
  await waitFor(() => JSON.stringify(reader.program) === JSON.stringify(expected), {
    what: 'the node has the programs of these objects',
    details: () => JSON.stringify([reader.program, expected], null, 1),
  });
}

async function problem(engine: EngineProcess, text: string | RegExp): Promise<void> {
  await waitFor(async () => (await engine.status()).problems.some((one) => one.match(text)), {
    what: `the status says ${text}`,
  });
  await waitFor(() => engine.log.match(text) !== null, { what: `the log says ${text}` });
}

test('a node is told all programs, then what changes; the status says who listens', async () => {
  await using engine = new EngineProcess();
  engine.write(near, far, web);
  await engine.start();
  const reader = engine.read('n1');
  await told(reader, [near, far, web]);
  const more = pod('more', 'n2', '10.0.0.3');
  engine.write(more);
  await told(reader, [near, far, web, more]);
  engine.remove(far);
  await told(reader, [near, web, more]);
  expect(reader.receiver).toMatchObject({ snapshots: 1 });
  // That the last of it was taken is known a little after it was read.
  const status = await waitFor(
    async () => {
      const now = await engine.status();
      return now.subscribers.every(({ behindSince }) => behindSince === 0) && now;
    },
    { what: 'the reader has all' },
  );
  expect(status).toMatchObject({ problemCount: 0, source: `directory ${engine.objects}` });
  expect(status.objects).toContainEqual({ kind: 'Pod', count: 2 });
  expect(status.subscribers).toMatchObject([
    { node: 'n1', peer: '', snapshots: 1, pending: 0, behindSince: 0 },
  ]);
});

test('a daemon that is killed and started again tells what changed meanwhile, and never less than all', async () => {
  await using engine = new EngineProcess();
  const pods = Array.from({ length: 200 }, (_, i) => pod(`p${i}`, i % 2 === 0 ? 'n1' : 'n2', `10.0.1.${i}`));
  engine.write(...pods, web);
  await engine.start();
  const reader = engine.read('n1');
  await told(reader, [...pods, web]);
  expect(await engine.kill('SIGKILL')).toBeNull();
  expect(existsSync(engine.socket)).toBe(true);
  const { length } = reader.states;
  engine.remove(pods[0]!, pods[1]!);
  engine.write(near);
  await engine.start();
  const now = [...pods.slice(2), web, near];
  await told(reader, now);
  // There was no state in between: nothing was taken away that is there.
  expect(reader.states.slice(length)).toEqual([expectedPrograms(now, 'n1')]);
  expect(reader.receiver.snapshots).toBe(2);
});

test('before the directory can be read nothing is told, and it says why', async () => {
  await using engine = new EngineProcess();
  engine.write(near, web);
  renameSync(engine.objects, `${engine.objects}-away`);
  await engine.start();
  const reader = engine.read('n1');
  await problem(engine, /objects: found nothing, expected/);
  await waitFor(async () => (await engine.status()).subscribers.length === 1, {
    what: 'the reader is there',
  });
  expect((await engine.status()).inSyncSince).toBe(0);
  await expect(
    engine.client().explain({ source: 'near', destination: 'near', port: '80' }),
  ).rejects.toMatchObject({
    code: 'FAILED_PRECONDITION',
  });
  expect(reader.states).toEqual([]);
  renameSync(`${engine.objects}-away`, engine.objects);
  await told(reader, [near, web]);
  expect((await engine.status()).inSyncSince).toBeGreaterThan(0);
});

test('what becomes unreadable, invalid or is taken away as a whole stays in force as it was', async () => {
  await using engine = new EngineProcess();
  engine.write(near, far, web);
  await engine.start();
  const reader = engine.read('n1');
  await told(reader, [near, far, web]);
  const { length } = reader.states;
  engine.writeText('NetworkPolicy_default_web.yaml', JSON.stringify({ ...web, spec: { podSelectors: {} } }));
  await problem(engine, /NetworkPolicy_default_web.yaml.*spec\.podSelectors: found an unknown field/);
  engine.writeText('Pod_default_far.yaml', Buffer.from([0xff, 0xfe, 0x00]));
  await problem(engine, /Pod_default_far.yaml: found bytes that are not UTF-8/);
  renameSync(engine.objects, `${engine.objects}-away`);
  await problem(engine, /objects: found nothing, expected/);
  expect(reader.states).toHaveLength(length);
  renameSync(`${engine.objects}-away`, engine.objects);
  const other = policy('web', 'db');
  engine.write(other, far);
  await told(reader, [near, far, other]);
  await waitFor(async () => (await engine.status()).problemCount === 0, { what: 'no problem is left' });
  // What is told is what became valid again, and nothing before.
  const allowed = [
    [near, far, web],
    [near, far, other],
  ].map((state) => expectedPrograms(state, 'n1'));
  for (const state of reader.states) expect(allowed).toContainEqual(state);
});

test('on one socket there is one daemon; the second one says so', async () => {
  await using engine = new EngineProcess();
  await engine.start();
  await using second = new EngineProcess();
  second.spawn('--socket', engine.socket);
  expect(await second.ended).toBe(1);
  expect(second.log).toContain(`${engine.socket}: another process is listening there`);
  expect((await engine.status()).version).not.toBe('');
});

test('garbage on the socket disturbs nobody', async () => {
  await using engine = new EngineProcess();
  engine.write(near, web);
  await engine.start();
  const reader = engine.read('n1');
  await told(reader, [near, web]);
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const garbage = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(100_000, 0xa5),
    Buffer.concat([preface, Buffer.alloc(64, 0xff)]),
    // SETTINGS, then HEADERS of a length that never comes.
    Buffer.concat([
      preface,
      Buffer.from('000000040000000000', 'hex'),
      Buffer.from('00ffff010400000001', 'hex'),
    ]),
    preface.subarray(0, 10),
    Buffer.alloc(0),
  ];
  await Promise.all(
    Array.from({ length: 30 }, (_, i) => {
      const socket = createConnection(engine.socket);
      socket.on('error', () => {});
      socket.resume();
      socket.write(garbage[i % garbage.length]!);
      return new Promise<void>((resolve) => {
        socket.once('close', () => resolve());
        // Some say nothing more and stay for a while.
        socket.once('connect', () => setTimeout(() => socket.destroy(), 300));
      });
    }),
  );
  engine.write(far);
  await told(reader, [near, far, web]);
  expect(reader.ends).toEqual([]);
});

test('a node without a name is refused', async () => {
  await using engine = new EngineProcess();
  await engine.start();
  const ask = async (node: string) => {
    for await (const _ of engine.client().watch({ node }));
  };
  await expect(ask('')).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringMatching(/node: found nothing/),
  });
  await expect(ask('x'.repeat(300))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

test('it explains, from what it knows now', async () => {
  await using engine = new EngineProcess();
  engine.write(near, far, web);
  await engine.start();
  const client = engine.client();
  const ask = async (port: string, destination = 'near') => {
    const { answers } = await client.explain({ source: 'default/far', destination, port });
    return answers[0]!;
  };
  await waitFor(async () => (await engine.status()).inSyncSince > 0, { what: 'in sync' });
  expect(await ask('TCP/http')).toMatchObject({
    source: { kind: 'pod', name: 'default/far', address: '10.0.0.2' },
    protocol: 'TCP',
    port: 80,
    allowed: true,
    ingress: {
      allowed: true,
      reason: margay.policy.v1.Reason.RULE,
      rule: { policy: 'NetworkPolicy default/web', rule: 0, peer: 0, port: 0 },
    },
  });
  expect(await ask('81')).toMatchObject({
    allowed: false,
    ingress: {
      allowed: false,
      isolatedBy: ['NetworkPolicy default/web'],
      near: [{ policy: 'NetworkPolicy default/web', rule: 0, lacks: 'port' }],
    },
    text: expect.stringContaining('denied'),
  });
  expect(await ask('80', '192.0.2.1')).toMatchObject({ destination: { kind: 'outside', name: '' } });
  await expect(ask('80', 'nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(ask('80/80')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  engine.write(policy('web', 'web', 81));
  await waitFor(async () => (await ask('81')).allowed === true, { what: 'the new policy counts' });
});

test('the status is printed as a table and as JSON; without a daemon that is said', async () => {
  await using engine = new EngineProcess();
  engine.write(near, web);
  await engine.start();
  const reader = engine.read('n1');
  await told(reader, [near, web]);
  const status = (...args: string[]) =>
    runCommand(process.execPath, ['cli/main.ts', 'policy', '--socket', engine.socket, 'status', ...args]);
  const text = await status();
  expect(text).toMatch(/in sync: +for /);
  expect(text).toMatch(/objects: +(Pod 1, NetworkPolicy 1|NetworkPolicy 1, Pod 1)/);
  expect(text).toMatch(/n1 +socket/);
  expect(JSON.parse(await status('-o', 'json'))).toMatchObject({
    problemCount: 0,
    subscribers: [{ node: 'n1' }],
  });
  await engine.kill('SIGTERM');
  await expect(status()).rejects.toMatchObject({
    status: 3,
    stderr: expect.stringMatching(/does not answer/),
  });
});

test('SIGHUP has the level of the log read again; what is wrong then changes nothing', async () => {
  await using engine = new EngineProcess();
  engine.write(near, web);
  const file = join(engine.folder, 'engine.yaml');
  const settings = (level: string, directory = engine.objects) =>
    writeFileSync(file, `datastore: {directory: ${directory}}\nlog: {level: ${level}}\n`);
  settings('info');
  await engine.start('--config', file);
  const reader = engine.read('n1');
  await told(reader, [near, web]);
  const hangUp = async (line: string) => {
    engine.signal('SIGHUP');
    await waitFor(() => engine.log.includes(line), { what: line });
  };
  settings('debug');
  await hangUp('configuration read');
  engine.write(far);
  await told(reader, [near, web, far]);
  await waitFor(() => engine.log.includes('objects changed'), { what: 'a line of the level debug' });
  settings('loud');
  await hangUp('log.level: found \\"loud\\", expected error, warn, info or debug');
  expect(reader.ends).toEqual([]);
});

test.each<[string, (engine: EngineProcess) => Promise<void>]>([
  [
    'as soon as it listens',
    async (engine) => {
      engine.spawn();
      await waitFor(() => existsSync(engine.socket), { what: 'the socket' });
    },
  ],
  [
    'while it waits for its directory',
    async (engine) => {
      renameSync(engine.objects, `${engine.objects}-away`);
      await engine.start();
      engine.read('n1');
    },
  ],
  [
    'while a node listens',
    async (engine) => {
      await engine.start();
      await told(engine.read('n1'), [near, far, web]);
    },
  ],
  [
    'while a reader does not read',
    async (engine) => {
      await engine.start();
      readNothing(engine);
      await waitFor(async () => (await engine.status()).subscribers.length === 1, {
        what: 'the reader is there',
      });
    },
  ],
])('SIGTERM %s ends it in good order', async (_, prepare) => {
  await using engine = new EngineProcess();
  engine.write(near, far, web);
  await prepare(engine);
  expect(await engine.kill('SIGTERM')).toBe(0);
  expect(existsSync(engine.socket)).toBe(false);
});

/** Asks and never takes what comes. */
function readNothing(engine: EngineProcess): void {
  const updates = engine.client().watch({ node: 'n1' })[Symbol.asyncIterator]();
  void updates.next().catch(() => {});
}
