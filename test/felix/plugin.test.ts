import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';

const PLUGIN = join(import.meta.dirname, '../../build/margay-cni');

let folder: string;
let socket: string;
const servers: net.Server[] = [];
beforeEach(() => {
  folder = newTempFolder();
  socket = join(folder, 'cni.sock');
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

interface Request {
  readonly variables: readonly string[];
  readonly input: Buffer;
}

/** A felix that hands each whole request to `answer`. */
async function felix(answer: (connection: net.Socket, request: Request) => void): Promise<void> {
  const server = net.createServer((connection) => {
    let bytes = Buffer.alloc(0);
    connection.on('error', () => {});
    connection.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      const request = parse(bytes);
      if (request !== undefined) answer(connection, request);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
}

function parse(bytes: Buffer): Request | undefined {
  const magic = 'margay-cni 1\n';
  if (bytes.length < magic.length + 4) return undefined;
  expect(bytes.subarray(0, magic.length).toString()).toBe(magic);
  const first = bytes.readUInt32BE(magic.length);
  const at = magic.length + 4 + first;
  if (bytes.length < at + 4 || bytes.length < at + 4 + bytes.readUInt32BE(at)) return undefined;
  const variables = bytes
    .subarray(magic.length + 4, at)
    .toString()
    .split('\0')
    .slice(0, -1);
  return { variables, input: bytes.subarray(at + 4) };
}

function framed(status: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(status, 0);
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

interface Outcome {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

function start(env: Record<string, string> = {}, stdio: 'pipe' | 'closed' = 'pipe'): ChildProcess {
  return spawn(stdio === 'closed' ? 'sh' : PLUGIN, stdio === 'closed' ? ['-c', `exec ${PLUGIN} <&-`] : [], {
    stdio: 'pipe',
    env: { CNI_COMMAND: 'ADD', MARGAY_CNI_SOCKET: socket, MARGAY_CNI_CONNECT_MS: '100', ...env },
  });
}

async function end(child: ChildProcess, input: string | Buffer | undefined = ''): Promise<Outcome> {
  let out = '';
  let error = '';
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    error += text;
  });
  child.stdin!.on('error', () => {});
  if (input !== undefined) child.stdin!.end(input);
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, out, error };
}

describe('the plugin', () => {
  test('hands over the CNI variables and standard input, and prints the answer', async () => {
    let seen: Request | undefined;
    await felix((connection, request) => {
      seen = request;
      connection.end(framed(0, '{"ips":[]}\n'));
    });
    const done = await end(
      start({ CNI_NETNS: '/run/netns/a b', CNI_ARGS: 'A=1;B=ü', OTHER: 'x' }),
      '{"name":"n"}',
    );
    expect(done).toEqual({ status: 0, out: '{"ips":[]}\n', error: '' });
    expect([...seen!.variables].sort()).toEqual([
      'CNI_ARGS=A=1;B=ü',
      'CNI_COMMAND=ADD',
      'CNI_NETNS=/run/netns/a b',
    ]);
    expect(seen!.input.toString()).toBe('{"name":"n"}');
  });

  test('ends with the status of the answer, which may be empty', async () => {
    await felix((connection) => connection.end(framed(7, '')));
    expect(await end(start())).toEqual({ status: 7, out: '', error: '' });
  });

  test('takes an input of megabytes and an answer in pieces, however slowly either is read', async () => {
    const input = Buffer.alloc(3 << 20, 'x');
    const answer = framed(0, 'y'.repeat(300_000));
    let length = 0;
    await felix((connection, request) => {
      length = request.input.length;
      let at = 0;
      const more = (): void => {
        if (at >= answer.length) return void connection.end();
        const size = at < 20 ? 1 : 40_000;
        connection.write(answer.subarray(at, at + size));
        at += size;
        setImmediate(more);
      };
      more();
    });
    const done = await end(start(), input);
    expect([done.status, done.out.length, length]).toEqual([0, 300_000, 3 << 20]);
  });

  test('refuses an input without end', async () => {
    await felix((connection) => connection.destroy());
    const done = await end(start(), Buffer.alloc(5 << 20, ' '));
    expect(JSON.parse(done.out)).toMatchObject({ code: 5, msg: 'the network configuration is too long' });
    expect(done.status).toBe(1);
  });

  test('refuses variables of megabytes, which felix would not take', async () => {
    await felix((connection) => connection.destroy());
    const many = Array.from({ length: 12 }, (_, i) => [`CNI_X${i}`, 'x'.repeat(100_000)]);
    const done = await end(start(Object.fromEntries(many)), '{}');
    expect(JSON.parse(done.out)).toMatchObject({ code: 4, msg: 'the CNI variables are too long' });
    expect(done.status).toBe(1);
  });

  test('answers with error 11 in the version asked for while felix is not there', async () => {
    const done = await end(start(), '{ "name": "x", "cniVersion" : "0.4.0" }');
    expect(done.status).toBe(1);
    expect(JSON.parse(done.out)).toEqual({
      cniVersion: '0.4.0',
      code: 11,
      msg: 'felix is not running on this node',
      details: `${socket}: No such file or directory for 100 ms. Is the margay pod of this node up?`,
    });
  });

  test.each([
    '',
    '{}',
    '{"cniVersion":',
    '{"cniVersion":"',
    '{"cniVersion":"1.0',
    '{"cniVersion":7}',
    '"cniVersion":"<>"',
  ])('says 1.0.0 where the version can not be read: %s', async (input) => {
    expect(JSON.parse((await end(start(), input)).out)).toMatchObject({ cniVersion: '1.0.0', code: 11 });
  });

  test('answers with error 11 for a socket that a killed felix left', async () => {
    const server = net.createServer().listen(socket);
    await new Promise((resolve) => server.once('listening', resolve));
    fs.renameSync(socket, `${socket}.kept`);
    await new Promise((resolve) => server.close(resolve));
    if (fs.existsSync(`${socket}.kept`)) fs.renameSync(`${socket}.kept`, socket);
    expect(JSON.parse((await end(start())).out)).toMatchObject({
      code: 11,
      details: expect.stringContaining('refused'),
    });
  });

  test('waits for a felix that is about to start', async () => {
    const child = start({ MARGAY_CNI_CONNECT_MS: '20000' });
    const done = end(child);
    await waitFor(() => fs.readFileSync(`/proc/${child.pid}/wchan`, 'utf8').includes('nanosleep'), {
      what: 'a try',
    });
    await felix((connection) => connection.end(framed(0, 'ok')));
    expect(await done).toMatchObject({ status: 0, out: 'ok' });
  });

  test.each([
    ['at once', () => Buffer.alloc(0)],
    ['in the header', () => framed(0, 'ok').subarray(0, 5)],
    ['in the answer', () => framed(0, 'something long').subarray(0, 14)],
  ])('answers with error 11 when felix is killed %s', async (_, sent) => {
    await felix((connection) => connection.end(sent()));
    const done = await end(start());
    expect(JSON.parse(done.out)).toMatchObject({ code: 11, msg: 'felix ended before it answered' });
    expect(done.status).toBe(1);
  });

  test('does not wait for an answer for ever', async () => {
    await felix(() => {});
    const done = await end(start({ MARGAY_CNI_ANSWER_MS: '50' }));
    expect(JSON.parse(done.out)).toMatchObject({ code: 11, msg: 'felix does not answer' });
  });

  test('does not take an answer that is not of felix', async () => {
    await felix((connection) => connection.end('HTTP/1.1 400 Bad Request\r\n'));
    expect(JSON.parse((await end(start())).out)).toMatchObject({
      code: 11,
      msg: 'the answer is not one of felix',
    });
  });

  test('goes on after it was stopped', async () => {
    let answer: (() => void) | undefined;
    await felix((connection) => {
      answer = () => connection.end(framed(0, 'ok'));
    });
    const child = start();
    const done = end(child);
    await waitFor(() => answer, { what: 'the request' });
    for (let i = 0; i < 20; i++) {
      child.kill('SIGSTOP');
      child.kill('SIGCONT');
    }
    answer!();
    expect(await done).toMatchObject({ status: 0, out: 'ok' });
  });

  test('ends when nobody reads what it prints', async () => {
    let answer: (() => void) | undefined;
    await felix((connection) => {
      answer = () => connection.end(framed(0, 'z'.repeat(1 << 20)));
    });
    const child = start();
    const done = end(child);
    await waitFor(() => answer, { what: 'the request' });
    child.stdout!.destroy();
    answer!();
    expect(await done).toMatchObject({ status: 1, error: expect.stringContaining('Broken pipe') });
  });

  test('takes a closed standard input for an empty one', async () => {
    await felix((connection, request) => connection.end(framed(0, String(request.input.length))));
    expect(await end(start({}, 'closed'))).toMatchObject({ status: 0, out: '0' });
  });

  test('says what it is when a person calls it', async () => {
    const done = await end(start({ CNI_COMMAND: '' }), undefined);
    expect(done).toMatchObject({
      status: 0,
      out: '',
      error: expect.stringContaining('The CNI plugin of Margay'),
    });
  });

  test('needs no library', () => {
    // The program headers (elf.h, Elf64_Phdr); PT_INTERP names the dynamic linker.
    const elf = fs.readFileSync(PLUGIN);
    const table = Number(elf.readBigUInt64LE(32));
    const types = Array.from({ length: elf.readUInt16LE(56) }, (_, i) =>
      elf.readUInt32LE(table + i * elf.readUInt16LE(54)),
    );
    expect(types).toContain(1);
    expect(types).not.toContain(3);
  });
});
