/**
 * What goes into the image, and that it runs without anything of the working copy. The image itself takes a registry to get its base
 * from: here its files are put into a folder with what `debian:12-slim` has of them.
 */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildImage } from '#cli/image/build.ts';
import { callPlugin, configuration, envOf } from '#test/felix/node.ts';
import { createNetns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';

const ROOT = join(import.meta.dirname, '../..');
const top = join(newTempFolder(), 'image');
const margay = join(top, 'usr/local/bin/margay');

beforeAll(() => buildImage(top), 60_000);

function filesOf(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe('the files of the image', () => {
  test('say nothing of where they were built', () => {
    const telling = filesOf(top).filter((file) => fs.readFileSync(file).includes(ROOT));
    expect(telling).toEqual([]);
  });

  test('have the licence of every package that is in them', () => {
    const names = fs.readdirSync(join(top, 'opt/margay/licenses'));
    expect(names).toEqual(expect.arrayContaining(['@grpc+grpc-js.txt', 'pino.txt', 'yaml.txt', 'zod.txt']));
    for (const name of names) {
      const text = fs.readFileSync(join(top, 'opt/margay/licenses', name), 'utf8');
      expect(text, name).toMatch(
        /^License: (\(?(MIT|Apache-2.0|ISC|BSD-[23]-Clause|0BSD|BlueOak-1.0.0|Unlicense)\b)/,
      );
    }
  });

  test('run in a root where there is only Node and the libraries that it needs', () => {
    const root = join(newTempFolder(), 'root');
    fs.cpSync(top, root, { recursive: true, verbatimSymlinks: true });
    const node = fs.realpathSync(process.execPath);
    for (const program of ['/usr/bin/env', node]) {
      const to = program === node ? '/usr/local/bin/node' : program;
      copyInto(root, program, to);
      for (const [library] of execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/\/\S+/g))
        copyInto(root, library, library);
    }
    const said = (...args: string[]) =>
      execFileSync('/usr/sbin/chroot', [root, '/usr/local/bin/margay', ...args], {
        encoding: 'utf8',
        env: { PATH: '/usr/local/bin:/usr/bin' },
      });
    const { version } = JSON.parse(fs.readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(said('version')).toMatch(new RegExp(`margay: +${version}\n`));
    expect(said('cni', 'install', '--configure')).toMatch(/^\/opt\/cni\/bin\/margay +installed/m);
    expect(fs.existsSync(join(root, 'etc/cni/net.d/10-margay.conflist'))).toBe(true);
  });
});

test('the Dockerfile copies what there is, and its context leaves out what the image is not made of', () => {
  const read = (name: string) => fs.readFileSync(join(ROOT, name), 'utf8');
  const copies = [...read('Dockerfile').matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, from]) =>
    from!.split(' '),
  );
  expect(copies.length).toBeGreaterThan(2);
  for (const path of copies) expect(fs.existsSync(join(ROOT, path)), path).toBe(true);
  const ignored = read('.dockerignore').split('\n');
  expect(ignored).toEqual(expect.arrayContaining(['.git', 'build', 'node_modules', 'proto/generated']));
  // All that the bundle is made of has to be in the context.
  for (const folder of ['bgp', 'cli', 'daemon', 'datastore', 'felix', 'kernel', 'lab', 'policy', 'proto'])
    expect(ignored).not.toContain(folder);
});

test('the daemons of the image make a pod and let the traffic of the policies through', async () => {
  const folder = newTempFolder();
  using node = createNetns();
  using pod = createNetns();
  node.exec('ip', ['address', 'add', '10.0.0.1/32', 'dev', 'lo']);
  const at = (name: string) => join(folder, name);
  fs.mkdirSync(at('objects'));
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1' },
      spec: { podCIDRs: ['10.1.1.0/24'] },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    },
    { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'shop' }, spec: { nodeName: 'n1' } },
  ];
  fs.writeFileSync(at('objects/all.yaml'), objects.map((each) => JSON.stringify(each)).join('\n---\n'));
  const socket = (daemon: string) => at(`${daemon}.sock`);
  const datastore = { directory: at('objects') };
  const configs = {
    bgp: { as: 64512, datastore, cluster: { stateFolder: at('bgp') }, api: { socket: socket('bgp') } },
    policy: { datastore, api: { socket: socket('policy') } },
    felix: {
      datastore,
      policy: { address: `unix:${socket('policy')}` },
      api: { socket: socket('felix') },
      pods: { stateFolder: at('felix'), cniSocket: at('cni.sock') },
    },
  };
  let log = '';
  const env = {
    NODE_NAME: 'n1',
    MARGAY_BGP_SOCKET: socket('bgp'),
    MARGAY_POLICY_SOCKET: socket('policy'),
    MARGAY_FELIX_SOCKET: socket('felix'),
  };
  const daemons = Object.entries(configs).map(([daemon, config]) => {
    fs.writeFileSync(at(`${daemon}.yaml`), JSON.stringify(config));
    const child = node.spawn(process.execPath, [margay, daemon, '--config', at(`${daemon}.yaml`)], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env,
    });
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
    return child;
  });
  const ask = (...args: string[]) => node.execAsync(process.execPath, [margay, ...args], { env });
  try {
    for (const daemon of ['policy', 'bgp', 'felix']) {
      const isReady = () =>
        ask('ready', daemon).then(
          (text) => text === 'ready\n',
          () => false,
        );
      await waitFor(isReady, {
        what: `${daemon} is ready`,
        timeout: 60_000,
        interval: 200,
        details: () => log,
      });
    }
    const { status, result } = await callPlugin(
      envOf('ADD', at('cni.sock'), {
        id: 'web',
        netns: pod.path,
        args: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web',
      }),
      configuration({}),
      join(top, 'opt/margay/margay-cni'),
    );
    expect({ status, address: result.ips?.[0].address }, log).toEqual({ status: 0, address: '10.1.1.1/32' });
    await node.execAsync('ping', ['-c1', '-W5', '10.1.1.1']);
    expect(await ask('bgp', 'status')).toContain('10.0.0.1');
    // What somebody else takes away is seen by the thread of the monitor, and put back.
    node.exec('ip', ['route', 'del', '10.1.1.1']);
    await waitFor(() => node.exec('ip', ['route']).includes('10.1.1.1 dev'), { what: 'the route is back' });
    for (const daemon of ['bgp', 'policy', 'felix']) expect(await ask('ready', daemon)).toBe('ready\n');
  } finally {
    for (const child of daemons) child.kill('SIGKILL');
  }
});

function copyInto(root: string, from: string, to: string): void {
  fs.mkdirSync(dirname(join(root, to)), { recursive: true });
  fs.copyFileSync(fs.realpathSync(from), join(root, to));
}
