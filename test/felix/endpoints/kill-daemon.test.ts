/*
 * `margay felix` as it is, with policies, host ports and limits, killed amid ADD and DEL: the table is looked at too.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Agent } from '../daemons.ts';
import { knownIn } from '../damages.ts';
import { churn, makeContainers } from './churn.ts';

const PODS = 40;

/** Pods that are isolated, each with a port of its own that some of the others may reach. */
function objects(): object[] {
  const labels = (i: number) => ({ app: `a${i}`, group: `g${i % 5}` });
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
    ...Array.from({ length: PODS }, (_, i) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `c${i}`, namespace: 'shop', uid: `u${i}`, labels: labels(i) },
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
    })),
    ...Array.from({ length: PODS }, (_, i) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `p${i}`, namespace: 'shop' },
      spec: {
        podSelector: { matchLabels: { app: `a${i}` } },
        ingress: [
          {
            from: [{ podSelector: { matchLabels: { group: `g${i % 3}` } } }],
            ports: [{ protocol: 'TCP', port: 8000 + i }],
          },
        ],
      },
    })),
  ];
}

test('a felix that is killed in the middle of 250 ADD and DEL, 30 at once, leaves its table as it was', {
  timeout: 300_000,
}, async () => {
  const folder = newTempFolder();
  fs.mkdirSync(join(folder, 'objects'));
  fs.writeFileSync(
    join(folder, 'objects/all.yaml'),
    objects()
      .map((each) => JSON.stringify(each))
      .join('\n---\n'),
  );
  const agent = new Agent('n1', folder, join(folder, 'objects'), ['10.1.0.0/24', 'fd00:1::/64'], {
    policyWait: 60,
  });
  using _ = agent.netns;
  const containers = makeContainers(PODS);
  try {
    await agent.start();
    const empty = shown(agent);
    expect(empty).not.toMatch(/mgy[0-9a-f]{12}/);

    const { held, kills, refused, remove } = await churn({
      calls: 250,
      containers,
      call: (command, { id, netns }) => {
        const i = Number(id.slice(1));
        const portMappings = [{ hostPort: 9000 + i, containerPort: 8000 + i, protocol: 'tcp' }];
        const bandwidth = { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 8e6, egressBurst: 8e5 };
        return agent.call(
          command,
          { id, netns, uid: `u${i}` },
          { runtimeConfig: { portMappings, ...(i % 4 === 0 && { bandwidth }) } },
        );
      },
      restart: async () => {
        await agent.kill();
        await agent.startFelix();
      },
    });
    expect(kills).toBeGreaterThanOrEqual(2);
    expect(refused).toBeGreaterThan(0);
    await agent.inSync();

    // What is there is what was told, to the letter, for each pod.
    const count = held.size / 2;
    const names = links(agent, 'mgy');
    expect(names).toHaveLength(count);
    const text = agent.netns.exec('nft', ['list', 'table', 'inet', 'margay']);
    for (const direction of ['egress', 'ingress'] as const)
      expect(knownIn(text, direction)).toEqual(names.toSorted());
    const workloads = ['workloads4', 'workloads6'].flatMap((set) =>
      [
        ...agent.netns
          .exec('nft', ['list', 'set', 'inet', 'margay', set])
          .matchAll(/"mgy\w+" \. ([\da-f.:]+)/g),
      ].map(([, address]) => address),
    );
    expect(workloads.sort()).toEqual([...held.keys()].map((address) => address.split('/')[0]).sort());
    const ports = agent.netns.exec('nft', ['list', 'map', 'inet', 'margay', 'hostports4']);
    expect(ports.match(/tcp \. 90\d\d/g)).toHaveLength(count);

    await Promise.all(containers.map(remove));
    await waitFor(() => shown(agent) === empty, {
      what: 'the table to be as before',
      timeout: 30_000,
      details: () => shown(agent),
    });
    expect([...links(agent, 'mgy'), ...links(agent, 'mgb')]).toEqual([]);
    expect(agent.netns.ip('route', 'show', 'proto', '110') ?? []).toEqual([]);
    expect(agent.netns.ip('-6', 'route', 'show', 'proto', '110') ?? []).toEqual([]);
    await waitFor(async () => (await agent.margay('ipam', 'check')) === '0 addresses, all right\n', {
      what: 'addresses to be free',
      timeout: 60_000,
    });
    expect(fs.readdirSync(join(agent.folder, 'state/endpoints'))).toEqual([]);
    // A new one finds nothing to do.
    await agent.kill();
    await agent.start();
    expect(shown(agent)).toBe(empty);
  } finally {
    for (const { netns } of containers) netns.remove();
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

/** The table, as people see it. */
function shown(agent: Agent): string {
  return agent.netns.exec('nft', ['list', 'ruleset']);
}

function links(agent: Agent, prefix: string): string[] {
  return ((agent.netns.ip('link', 'show') ?? []) as { ifname: string }[])
    .map(({ ifname }) => ifname)
    .filter((name) => name.startsWith(prefix));
}
