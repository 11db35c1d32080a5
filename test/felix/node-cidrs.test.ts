/*
 * `margay felix` that is told its pod CIDRs by its Node object, and keeps the configuration list of the plugin.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '#proto/client.ts';
import { felixService } from '#proto/felix.ts';
import { createNetns, type Netns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Agent } from './daemons.ts';

describe('an agent that has its pod CIDRs from the Node object', () => {
  const folder = newTempFolder();
  const objects = join(folder, 'objects');
  const conflist = join(folder, 'net.d', '10-margay.conflist');
  const pods = {} as Record<'a' | 'b' | 'c', Netns>;
  let agent: Agent;

  function put(name: string, object: object): void {
    fs.writeFileSync(join(objects, `.${name}`), JSON.stringify(object));
    fs.renameSync(join(objects, `.${name}`), join(objects, `${name}.yaml`));
  }

  function putNode(podCIDRs?: readonly string[]): void {
    put('n1', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, spec: { podCIDRs } });
  }

  /** On a connection of its own: one to an agent that was killed takes its time to come back. */
  async function status() {
    const api = connect(felixService, `unix:${join(agent.folder, 'felix.sock')}`);
    try {
      return await api.getStatus({});
    } finally {
      api.close();
    }
  }
  const add = (name: keyof typeof pods) => agent.call('ADD', { id: name, netns: pods[name] });

  const inSync = () =>
    waitFor(async () => (await status()).dataplane?.inSync === true, {
      what: 'policies',
      timeout: 60_000,
      interval: 100,
      details: () => agent.log,
    });

  beforeAll(async () => {
    fs.mkdirSync(objects);
    put('shop', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
    for (const name of ['a', 'b', 'c'] as const) {
      pods[name] = createNetns();
      put(name, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'shop' },
        spec: { nodeName: 'n1', containers: [{ name: 'c' }] },
      });
    }
    // Of others there may be as many as there like.
    put('n2', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n2' },
      spec: { podCIDRs: ['10.9.9.0/24'] },
    });
    agent = new Agent('n1', folder, objects, undefined, { cniConfig: conflist }, undefined, {
      datastore: { directory: objects },
    });
    agent.startEngine();
    agent.launchFelix();
    await waitFor(async () => (await status()).node === 'n1', {
      what: 'felix answers',
      timeout: 60_000,
      interval: 200,
      details: () => agent.log,
    });
  }, 90_000);

  afterAll(async () => {
    await agent.kill();
    await agent.killEngine();
    for (const netns of [agent.netns, ...Object.values(pods)]) netns.remove();
  });

  test('waits for the object, and says so to people and to the runtime', async () => {
    await waitFor(async () => (await status()).problems.length === 1, { what: 'the problem', interval: 100 });
    const { waitsFor, problems, podCidrs } = await status();
    expect(problems[0]?.text).toBe("Node n1: found no such object, expected this node's own");
    expect(waitsFor).toBe(`spec.podCIDRs of Node n1 are not known yet (${problems[0]?.text})`);
    expect(podCidrs).toEqual([]);
    expect(
      (await agent.call('STATUS', { id: 'a', netns: pods.a }, { cniVersion: '1.1.0' })).result,
    ).toMatchObject({ code: 50, details: waitsFor });
    for (const operation of ['ADD', 'DEL']) {
      const { result } = await agent.call(operation, { id: 'a', netns: pods.a });
      expect(result).toMatchObject({ code: 11, details: waitsFor });
    }
    await expect(agent.margay('ipam', 'show')).rejects.toThrow('no addresses yet: spec.podCIDRs of Node n1');
    expect(fs.existsSync(conflist)).toBe(false);
  });

  test('waits for the CIDRs in the object too', async () => {
    putNode();
    await waitFor(async () => (await status()).problems[0]?.text?.includes('spec.podCIDRs: found nothing'), {
      what: 'the problem',
      interval: 100,
    });
    expect((await add('a')).result.code).toBe(11);
  });

  test('gives addresses of them once they are there, and tells the runtime of the plugin then', async () => {
    putNode(['10.1.1.0/24', 'fd00:1:1::/64']);
    await inSync();
    const { result } = await add('a');
    expect(result.ips.map(({ address }: { address: string }) => address)).toEqual([
      '10.1.1.1/32',
      'fd00:1:1::1/128',
    ]);
    expect(await status()).toMatchObject({
      waitsFor: '',
      problems: [],
      podCidrs: ['10.1.1.0/24', 'fd00:1:1::/64'],
    });
    await waitFor(() => fs.existsSync(conflist), { what: 'the configuration list' });
    const list = JSON.parse(fs.readFileSync(conflist, 'utf8'));
    expect(list).toMatchObject({ name: 'margay', cniVersion: '1.0.0', plugins: [{ type: 'margay' }] });
    expect(fs.readdirSync(join(folder, 'net.d'))).toEqual(['10-margay.conflist']);
  });

  test('knows them after a kill while the datastore is gone, and has its pods back', async () => {
    fs.renameSync(objects, `${objects}.gone`);
    await agent.kill();
    await agent.startFelix();
    expect((await status()).podCidrs).toEqual(['10.1.1.0/24', 'fd00:1:1::/64']);
    expect(await agent.margay('ipam', 'show')).toContain('10.1.1.1');
    await waitFor(async () => (await status()).problems.length > 0, {
      what: 'the lack is told',
      interval: 100,
    });
    fs.renameSync(`${objects}.gone`, objects);
    await inSync();
  });

  test('with other CIDRs, new pods get addresses of these, and those that are there keep theirs', async () => {
    putNode(['10.1.7.0/24']);
    await waitFor(async () => (await status()).podCidrs.join() === '10.1.7.0/24', {
      what: 'the CIDRs',
      interval: 100,
      details: () => agent.log,
    });
    const { result } = await add('b');
    expect(result.ips.map(({ address }: { address: string }) => address)).toEqual(['10.1.7.1/32']);
    expect((await add('a')).result.ips[0].address).toBe('10.1.1.1/32');
    expect(await agent.margay('ipam', 'check')).not.toContain('10.1.1.1:');
    expect((await agent.call('DEL', { id: 'a', netns: pods.a })).status).toBe(0);
  });

  test('an object that loses its CIDRs, or goes, changes nothing', async () => {
    putNode();
    await waitFor(async () => (await status()).problems.length === 1, { what: 'the problem', interval: 100 });
    expect((await status()).waitsFor).toBe('');
    expect((await add('c')).result.ips.map(({ address }: { address: string }) => address)).toEqual([
      '10.1.7.2/32',
    ]);
  });

  test('puts the configuration list back, and tells of one that comes before it', async () => {
    fs.writeFileSync(conflist, '{}');
    fs.writeFileSync(join(folder, 'net.d', '05-other.conf'), '{}');
    await waitFor(() => fs.readFileSync(conflist, 'utf8').includes('"margay"'), {
      what: 'it is back',
      timeout: 20_000,
    });
    await waitFor(async () => (await status()).problems.length === 2, { what: 'the problem', interval: 100 });
    expect((await status()).problems[1]?.text).toContain('found 05-other.conf beside it');
  });
});
