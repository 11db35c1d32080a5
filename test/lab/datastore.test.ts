import { readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadPath } from '#datastore/directory/load.ts';
import { Datastore } from '#lab/datastore.ts';
import { newTempFolder } from '#test/helpers/owner.ts';

let folder: string;
let store: Datastore;

beforeEach(() => {
  folder = newTempFolder();
  store = new Datastore(folder);
  store.apply(NAMESPACE('shop'), 'x');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const NAMESPACE = (name: string) => `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name} }\n`;
const POD = (more = '') =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: web.1, namespace: shop, labels: { app: web${more} } }\nspec: { containers: [] }\n`;
const POLICY = `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: p, namespace: shop }\nspec: { podSelector: {} }\n`;
const KEY = 'Pod/shop/web.1';

async function keys(): Promise<string[]> {
  const { resources, problems } = await loadPath(folder);
  expect(problems).toEqual([]);
  return resources.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`).sort();
}

describe('applying', () => {
  test('tells what became of each object, and the directory has them all', async () => {
    const text = [NAMESPACE('data'), POD(), POLICY].join('---\n');
    expect(store.apply(text, 'x').map(({ done }) => done)).toEqual(['created', 'created', 'created']);
    expect(await keys()).toEqual(['Namespace//data', 'Namespace//shop', 'NetworkPolicy/shop/p', KEY]);
    expect(store.apply(text, 'x').map(({ done }) => done)).toEqual(['unchanged', 'unchanged', 'unchanged']);
    expect(store.apply(POD('2'), 'x')).toEqual([{ object: 'Pod shop/web.1', done: 'configured' }]);
    expect(readdirSync(folder).every((name) => !name.startsWith('.'))).toBe(true);
  });

  test('a pod again keeps its identity, node and addresses', () => {
    store.apply(POD(), 'x');
    const { uid } = store.get(KEY)!.metadata;
    expect(uid).toMatch(/^[0-9a-f-]{36}$/);
    store.put({
      ...store.get(KEY)!,
      spec: { nodeName: 'n2', containers: [] },
      status: { podIPs: [{ ip: '10.0.0.1' }] },
    });
    store.apply(POD('2'), 'x');
    expect(store.get(KEY)).toMatchObject({
      metadata: { uid, labels: { app: 'web2' } },
      spec: { nodeName: 'n2' },
      status: { podIPs: [{ ip: '10.0.0.1' }] },
    });
    expect(() => store.apply(POD().replace('containers: []', 'nodeName: n3'), 'x')).toThrow(
      'x: Pod shop/web.1: spec.nodeName: found n3, expected n2, where it runs; delete it first',
    );
  });

  test('is for all objects of a text or none', async () => {
    const before = await keys();
    for (const [bad, why] of [
      [POD().replace('shop', 'nowhere'), 'there is no namespace nowhere'],
      ['apiVersion: v1\nkind: Node\nmetadata: { name: n9 }\n', "the lab's own nodes are all there are"],
      ['apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { name: i }\n', 'Ingress of networking'],
      ['{ not yaml', 'YAML'],
    ] as const) {
      expect(() => store.apply(`${NAMESPACE('new')}---\n${bad}`, 'x')).toThrow(why);
    }
    expect(() => store.apply('# nothing\n', 'x')).toThrow('found no object');
    expect(await keys()).toEqual(before);
  });

  test('takes lists and JSON', async () => {
    const list = {
      apiVersion: 'v1',
      kind: 'List',
      items: [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'j' } }],
    };
    expect(store.apply(JSON.stringify(list), 'x')).toEqual([{ object: 'Namespace j', done: 'created' }]);
  });
});

describe('deleting', () => {
  test('takes the objects of the text, and all that is in a namespace with it', async () => {
    store.apply([NAMESPACE('shop-2'), POD(), POLICY].join('---\n'), 'x');
    store.apply(POD().replace('shop', 'shop-2'), 'x');
    expect(store.delete(POLICY, 'x')).toEqual([{ object: 'NetworkPolicy shop/p', done: 'deleted' }]);
    expect(store.delete(POLICY, 'x')).toEqual([{ object: 'NetworkPolicy shop/p', done: 'not found' }]);
    const all = [NAMESPACE('data'), POD().replace('shop', 'data')].join('---\n');
    store.apply(all, 'x');
    expect(store.delete(all, 'x')).toEqual([
      { object: 'Namespace data', done: 'deleted' },
      { object: 'Pod data/web.1', done: 'deleted' },
    ]);
    expect(store.delete(NAMESPACE('shop'), 'x')).toEqual([
      { object: 'Namespace shop', done: 'deleted' },
      { object: 'Pod shop/web.1', done: 'deleted' },
    ]);
    expect(await keys()).toEqual(['Namespace//shop-2', 'Pod/shop-2/web.1']);
  });
});
