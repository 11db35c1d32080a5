import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { Credentials } from '#datastore/kubernetes/credentials.ts';
import { AccessError } from '#datastore/kubernetes/errors.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Authority } from '#test/policy/daemon/certificates.ts';

const ENVIRONMENT = { ...process.env };

afterEach(() => {
  process.env = { ...ENVIRONMENT };
});

function config(user: object, cluster: object = {}, more: object = {}): object {
  return {
    clusters: [{ name: 'c', cluster: { server: 'https://192.0.2.1:6443', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
    ...more,
  };
}

function kubeconfig(content: unknown): string {
  const file = join(newTempFolder(), 'kubeconfig');
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

test.each([
  ['a mistake in the text', 'users:\n- name: u\n  user:\n    token: hush-hush\n    x: "y\n  z: [\n'],
  ['a mistake that one parser knows', 'users: [{ name: u, user: { token: hush-hush } }]\nx: &a *a\n'],
  ['a key that is there twice', 'users: [{ name: u, user: { token: hush-hush, token: hush-hush } }]\n'],
  ['two documents', 'token: hush-hush\n---\ntoken: hush-hush\n'],
])('nothing of a kubeconfig with %s is told, as there are tokens in it', async (_, text) => {
  const error = await new Credentials({ kubeconfig: kubeconfig(text) })
    .get()
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AccessError);
  expect(inspect(error, { depth: 9 })).not.toContain('hush-hush');
});

test('a plugin that hangs is not started again and again', async () => {
  const started = join(newTempFolder(), 'started');
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'sh',
    args: ['-c', `echo $$ >> ${started}; exec sleep 60`],
    interactiveMode: 'Never',
  };
  const credentials = new Credentials({ kubeconfig: kubeconfig(config({ exec })) });
  const all = Promise.allSettled(Array.from({ length: 20 }, () => credentials.get()));
  const pids = () =>
    existsSync(started) ? readFileSync(started, 'utf8').trim().split('\n').map(Number) : [];
  await waitFor(() => pids().length >= 8, { what: 'plugins' });
  for (const pid of pids()) process.kill(pid);
  // All that waited are told, and there is nobody whom another plugin answers.
  for (const { status } of await all) expect(status).toBe('rejected');
  expect(pids()).toHaveLength(8);
});

describe('what is said of a place that does not lead to an API server', () => {
  const context = { name: 'x', context: { cluster: 'c', user: 'u' } };
  const cases: readonly (readonly [string, unknown, RegExp])[] = [
    ['no YAML', '{', /^FILE: found no YAML \(line 1: [^)]+\), expected a kubeconfig$/],
    ['nothing', '', /^FILE: found /],
    [
      'no context',
      config({}, {}, { 'current-context': '' }),
      /^FILE: found context "", expected one of its contexts: x$/,
    ],
    [
      'another context',
      config({}, {}, { 'current-context': 'y' }),
      /^FILE: found context "y", expected one of its contexts: x$/,
    ],
    [
      'no such cluster',
      config({}, {}, { clusters: [] }),
      /^FILE: found context x of cluster "c", expected a cluster that is in it$/,
    ],
    [
      'no such user',
      config({}, {}, { users: [] }),
      /^FILE: found context x of user "u", expected a user who is in it$/,
    ],
    [
      'a cluster without server',
      config({}, {}, { clusters: [{ name: 'c', cluster: {} }], contexts: [context] }),
      /clusters\[0\]\.cluster\.server is missing/,
    ],
    [
      'a certificate that is not there',
      config({ 'client-certificate': 'no.crt' }),
      /^FILE: found no credentials \(ENOENT.*no\.crt/,
    ],
    [
      'a token that is not there',
      config({ tokenFile: 'no-token' }),
      /^FILE: found no credentials \(ENOENT.*no-token/,
    ],
  ];
  test.each(cases)('%s', async (_, content, expected) => {
    const file = kubeconfig(content);
    const error = await new Credentials({ kubeconfig: file }).get().catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'ACCESS' });
    expect((error as Error).message.replaceAll(file, 'FILE')).toMatch(expected);
  });

  test('no file', async () => {
    await expect(new Credentials({ kubeconfig: '/no/such/file' }).get()).rejects.toThrow(
      '/no/such/file: found nothing, expected a kubeconfig',
    );
  });

  test('no kubeconfig, and no pod', async () => {
    delete process.env.KUBERNETES_SERVICE_HOST;
    await expect(new Credentials({}).get()).rejects.toThrow(
      'KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: found nothing, expected the address that a cluster gives its pods; elsewhere, name a kubeconfig',
    );
  });
});

describe('what a request takes', () => {
  test('a context that is named goes before the current one', async () => {
    const file = kubeconfig({
      ...config({ token: 'of-u' }),
      users: [
        { name: 'u', user: { token: 'of-u' } },
        { name: 'v', user: { token: 'of-v' } },
      ],
      contexts: [
        { name: 'x', context: { cluster: 'c', user: 'u' } },
        { name: 'y', context: { cluster: 'c', user: 'v' } },
      ],
    });
    const { server, options } = await new Credentials({ kubeconfig: file, context: 'y' }).get();
    expect(server).toBe('https://192.0.2.1:6443');
    expect(options.headers).toEqual({ Authorization: 'Bearer of-v' });
  });

  test('files beside the kubeconfig, looked at each time: the same connections until one of them changes', async () => {
    const folder = newTempFolder();
    const authority = new Authority(folder, 'ca');
    const copy = (subject: string) => {
      const { certificate, key } = authority.issue({ subject });
      return { 'client-certificate': certificate, 'client-key': key };
    };
    const file = join(folder, 'kubeconfig');
    const write = (user: object) =>
      writeFileSync(file, JSON.stringify(config(user, { 'certificate-authority': 'ca.crt' })));
    write({ ...copy('/CN=a'), tokenFile: 'token' });
    writeFileSync(join(folder, 'token'), 'one\n');
    const credentials = new Credentials({ kubeconfig: file });
    const first = await credentials.get();
    expect(first.options).toMatchObject({
      ca: expect.any(Buffer),
      cert: expect.any(Buffer),
      key: expect.any(Buffer),
    });
    expect(first.options.headers).toEqual({ Authorization: 'Bearer one' });
    writeFileSync(join(folder, 'token'), 'two');
    const second = await credentials.get();
    expect(second.options.headers).toEqual({ Authorization: 'Bearer two' });
    expect(second.options.agent).toBe(first.options.agent);
    write({ ...copy('/CN=b'), tokenFile: 'token' });
    const third = await credentials.get();
    expect(third.options.agent).not.toBe(first.options.agent);
    expect(third.options.cert).not.toEqual(first.options.cert);
    credentials.close();
  });
});
