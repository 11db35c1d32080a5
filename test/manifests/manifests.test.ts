/**
 * What can be said of the manifests without a cluster.
 */

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig as loadBgp } from '#bgp/config/load.ts';
import { buildProgram } from '#cli/program.ts';
import { COLLECTIONS } from '#datastore/kubernetes/api.ts';
import { loadConfig as loadFelix } from '#felix/config/load.ts';
import { resolveConfig as loadPolicy } from '#policy/daemon/config.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { clusterRules, MANIFESTS, type Manifest, readManifests, yamlFiles } from './manifests.ts';

const [daemonSet] = readManifests('base/daemonset.yaml');
const [uninstall] = readManifests('uninstall/daemonset.yaml');
const pod = daemonSet.spec.template.spec;
const all = [daemonSet, uninstall].flatMap(({ spec }: Manifest) => [
  ...spec.template.spec.initContainers,
  ...spec.template.spec.containers,
]);
const container = (name: string): Manifest => pod.containers.find((each: Manifest) => each.name === name);

test('every file is YAML', () => {
  expect(yamlFiles().length).toBeGreaterThan(12);
  for (const file of yamlFiles()) expect(readManifests(file).length, file).toBeGreaterThan(0);
});

describe('the configurations', () => {
  const files = yamlFiles().filter((file) => file.includes('/config/'));
  const load: Record<string, (source: string) => unknown> = {
    'bgp.yaml': (source) => loadBgp(source, { file: 'bgp.yaml', readSecret: () => '', node: 'n1' }),
    'felix.yaml': (source) => loadFelix(source, 'felix.yaml', { node: 'n1' }),
    'policy.yaml': (source) => loadPolicy(source, { config: 'policy.yaml' }),
  };

  test.each(files)(
    '%s is one that its daemon takes, and reads objects from the API with the account of the pod',
    (file) => {
      const [document] = readManifests(file);
      const config = load[file.slice(file.lastIndexOf('/') + 1)]!(stringify(document)) as Manifest;
      const datastore = config.datastore ?? config.cluster?.datastore;
      expect(datastore).toEqual({ kubernetes: { kubeconfig: undefined } });
    },
  );

  test('of policy engine and node agent meet at one socket, that commands are told of', () => {
    for (const folder of ['base', 'kind', 'rack']) {
      const felix = folder === 'base' ? 'base/config/felix.yaml' : `${folder}/config/felix.yaml`;
      const [{ policy }] = readManifests(felix);
      const [{ api }] = readManifests('base/config/policy.yaml');
      expect(policy.address).toBe(`unix:${api.socket}`);
      for (const { env } of pod.containers)
        expect(env).toContainEqual({ name: 'MARGAY_POLICY_SOCKET', value: api.socket });
    }
  });

  test('of kind are those of the cluster that kind.yaml makes', () => {
    const [{ networking }] = readManifests('kind/kind.yaml');
    const [{ dataplane }] = readManifests('kind/config/felix.yaml');
    expect(networking.disableDefaultCNI).toBe(true);
    expect(dataplane.pools.map(({ cidr }: Manifest) => cidr)).toEqual([networking.podSubnet]);
    expect(dataplane.serviceRanges).toEqual([networking.serviceSubnet]);
  });
});

describe('the containers', () => {
  const page = { columns: 100, colour: false, write: () => {}, ready: () => Promise.resolve() };
  const program = buildProgram({
    out: page,
    error: page,
    now: () => 0,
    signal: new AbortController().signal,
  });

  /** Whether a command line is one of the program's: words lead to a command, options are known. */
  function check(args: readonly string[]): void {
    let command: Command = program;
    for (const arg of args) {
      const below = command.commands.find((each) => each.name() === arg);
      if (below !== undefined) command = below;
      else if (arg.startsWith('-'))
        expect(
          command.options.map(({ long }) => long),
          args.join(' '),
        ).toContain(arg);
    }
    expect(command, args.join(' ')).not.toBe(program);
  }

  test('run commands that there are, and so do their probes', () => {
    for (const { args, command } of all) if (command === undefined) check(args);
    for (const { startupProbe, livenessProbe, readinessProbe } of pod.containers) {
      for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
        const [name, ...args] = probe.exec.command;
        expect(name).toBe('margay');
        check(args);
      }
    }
  });

  test('have a configuration each, that is in the ConfigMap', () => {
    const [{ configMapGenerator }] = readManifests('base/kustomization.yaml');
    const files = configMapGenerator[0].files.map((file: string) => file.split('=')[0]);
    const named = pod.containers.map(({ args }: Manifest) => args.at(-1).replace('/etc/margay/', ''));
    expect(named.sort()).toEqual(files.sort());
    expect(pod.volumes).toContainEqual({ name: 'config', configMap: { name: configMapGenerator[0].name } });
  });

  test('may do what they need and no more', () => {
    const contexts = Object.fromEntries(
      pod.containers.map(({ name, securityContext }: Manifest) => [name, securityContext]),
    );
    expect(contexts.bgp.capabilities).toEqual({ drop: ['ALL'], add: ['NET_ADMIN', 'NET_BIND_SERVICE'] });
    expect(contexts.policy).toMatchObject({ runAsNonRoot: true, capabilities: { drop: ['ALL'] } });
    expect(contexts.policy.capabilities.add).toBeUndefined();
    for (const { initContainers } of [pod, uninstall.spec.template.spec])
      expect(initContainers[0].securityContext.capabilities).toEqual({
        drop: ['ALL'],
        add: ['DAC_OVERRIDE'],
      });
    for (const { name, securityContext } of all) {
      expect(securityContext.readOnlyRootFilesystem, name).toBe(name === 'felix' || undefined || true);
      expect(securityContext.privileged === true, name).toBe(name === 'felix');
      if (name !== 'felix') expect(securityContext.allowPrivilegeEscalation, name).toBe(false);
    }
  });

  // Releases of the CNI plugins, and installers, leave /opt/cni/bin to a user.
  test('put the plugin into a folder that is not of root, and take it away again', () => {
    const folder = newTempFolder();
    const places = ['--bin', join(folder, 'bin'), '--conflist', join(folder, 'net.d/10-margay.conflist')];
    for (const name of ['bin', 'net.d']) {
      mkdirSync(join(folder, name), { mode: 0o755 });
      chownSync(join(folder, name), 1001, 1001);
    }
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, 'plugin'), '');
    writeFileSync(join(folder, 'net.d/10-margay.conflist'), '');
    for (const { spec } of [daemonSet, uninstall]) {
      const [{ args, securityContext }] = spec.template.spec.initContainers;
      const added = (securityContext.capabilities.add ?? []).map((each: string) => `,+${each.toLowerCase()}`);
      const more =
        spec === daemonSet.spec ? ['--plugin', join(folder, 'plugin'), ...places.slice(0, 2)] : places;
      const rights = ['--inh-caps=-all', `--bounding-set=-all${added.join('')}`];
      const command = [process.execPath, join(MANIFESTS, '../cli/main.ts'), ...args, ...more];
      execFileSync('setpriv', [...rights, ...command], { stdio: 'pipe' });
      expect(existsSync(join(folder, 'bin/margay'))).toBe(spec === daemonSet.spec);
    }
    expect(readdirSync(join(folder, 'net.d'))).toEqual([]);
  });

  test('have everything that their configurations name mounted from the host, and nothing else', () => {
    const mounts = (name: string) => container(name).volumeMounts.map(({ mountPath }: Manifest) => mountPath);
    expect(mounts('policy')).toEqual(['/etc/margay', '/run/margay-policy']);
    expect(mounts('bgp')).toEqual(['/etc/margay', '/run/margay', '/var/lib/margay']);
    const { pods } = loadFelix(stringify(readManifests('base/config/felix.yaml')[0]), 'felix.yaml', {
      node: 'n1',
    });
    const needed = [pods!.cniSocket, pods!.stateFolder, pods!.cniConfig!, '/run/netns/x'];
    for (const path of needed) {
      expect(
        mounts('felix').some((mount: string) => path.startsWith(`${mount}/`)),
        path,
      ).toBe(true);
    }
    const netns = container('felix').volumeMounts.find(({ name }: Manifest) => name === 'netns');
    expect(netns.mountPropagation).toBe('HostToContainer');
    const volumes = new Set(pod.volumes.map(({ name }: Manifest) => name));
    for (const { volumeMounts } of [...pod.containers, ...pod.initContainers])
      for (const { name } of volumeMounts) expect(volumes).toContain(name);
  });

  // What is mounted from the host has labels of the host, and a privileged container is not confined anyway.
  test('may write to the host where SELinux is enforced, those that have to', () => {
    const confined = [daemonSet, uninstall].flatMap(({ spec }: Manifest) => {
      const { volumes, initContainers, containers } = spec.template.spec;
      const ofHost = volumes.filter(({ hostPath }: Manifest) => hostPath).map(({ name }: Manifest) => name);
      return [...initContainers, ...containers]
        .filter(({ securityContext }) => securityContext.privileged !== true)
        .map(({ name, volumeMounts = [], securityContext }) => [
          name,
          volumeMounts.some((mount: Manifest) => ofHost.includes(mount.name)),
          securityContext.seLinuxOptions?.type === 'spc_t',
        ]);
    });
    expect(confined.map(([name]) => name)).toEqual(['cni', 'bgp', 'policy', 'cni', 'done']);
    for (const [name, writes, may] of confined) expect(may, name).toBe(writes);
  });

  test('come to a node that is not ready, and go last', () => {
    expect(pod).toMatchObject({
      hostNetwork: true,
      priorityClassName: 'system-node-critical',
      tolerations: [{ operator: 'Exists' }],
    });
  });
});

test('the account may list and watch the kinds that are read, and nothing else', () => {
  const rules = clusterRules().flatMap(({ apiGroups, resources, verbs, ...more }: Manifest) => {
    expect(more).toEqual({});
    expect(verbs).toEqual(['list', 'watch']);
    return resources.map((resource: string) => `${apiGroups.join()}/${resource}`);
  });
  const kinds = ['Node', 'Namespace', 'Pod', 'NetworkPolicy'] as const;
  expect(rules.sort()).toEqual(
    kinds.map((kind) => `${COLLECTIONS[kind].group}/${COLLECTIONS[kind].plural}`).sort(),
  );
  const [, , binding] = readManifests('base/account.yaml');
  expect(binding.subjects).toEqual([{ kind: 'ServiceAccount', name: pod.serviceAccountName }]);
});

test('the tag of the image is the version of the project', () => {
  const { version } = JSON.parse(readFileSync(join(MANIFESTS, '../package.json'), 'utf8'));
  for (const folder of ['base', 'uninstall'])
    expect(readManifests(`${folder}/kustomization.yaml`)[0].images).toEqual([
      { name: 'margay', newTag: version },
    ]);
  for (const { image } of all) expect(image).toBe('margay');
});
