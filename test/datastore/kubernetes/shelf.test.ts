import { expect, test } from 'vitest';
import { COLLECTIONS } from '#datastore/kubernetes/api.ts';
import { type RawObject, Shelf } from '#datastore/kubernetes/shelf.ts';

function namespace(uid: string, resourceVersion: string, v: string): RawObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'a', uid, resourceVersion, labels: { v } },
  };
}

function shelfWith(...objects: readonly RawObject[]): Shelf {
  const shelf = new Shelf(COLLECTIONS.Namespace, () => 'https://server');
  const all = shelf.replace();
  for (const object of objects) all.put(object);
  all.commit();
  shelf.takeAll();
  return shelf;
}

test('the end of an object does not take away the one that has its name now', () => {
  const shelf = shelfWith(namespace('new', '2', '1'));
  shelf.delete(namespace('old', '3', '1'));
  expect(shelf.takeChanges()).toEqual([]);
  shelf.delete(namespace('new', '4', '1'));
  expect(shelf.takeChanges()).toEqual([{ type: 'delete', key: 'Namespace//a' }]);
});

test('of an object that was made again, and is not valid, a list leaves nothing of the one before', () => {
  const shelf = shelfWith(namespace('old', '1', '1'));
  const list = (object: RawObject) => {
    const all = shelf.replace();
    all.put(object);
    all.commit();
  };
  list(namespace('old', '2', 'not valid'));
  expect([shelf.takeChanges(), shelf.size, shelf.problems().length]).toEqual([[], 1, 1]);
  list(namespace('new', '3', 'not valid'));
  expect(shelf.takeChanges()).toEqual([{ type: 'delete', key: 'Namespace//a' }]);
  expect([shelf.size, shelf.problems().length]).toEqual([0, 1]);
});

test('what comes and goes while nobody asks is not told, and not kept', () => {
  const shelf = shelfWith();
  shelf.put(namespace('one', '1', '1'));
  shelf.delete(namespace('one', '2', '1'));
  expect(shelf.takeChanges()).toEqual([]);
  shelf.put(namespace('two', '3', '1'));
  shelf.put(namespace('two', '4', '2'));
  shelf.put(namespace('two', '5', '1'));
  expect(shelf.takeChanges()).toMatchObject([{ type: 'put', resource: { uid: 'two', labels: { v: '1' } } }]);
});
