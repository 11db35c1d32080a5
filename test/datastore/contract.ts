/**
 * What every source has to keep to, whatever it reads.
 */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Source } from '#datastore/source.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Follower } from './follower.ts';

/** Something that a source reads. It begins empty. */
export interface Place {
  /** A source of it. Each is of its own. */
  source(): Source;
  /** Puts a Namespace with the label `v`, which may be one that is not valid. */
  put(name: string, version: string): unknown;
  delete(name: string): unknown;
  /** Can not be read from now on. */
  goAway(): unknown;
  /** Can be read again, as it was. */
  comeBack(): unknown;
  close?(): unknown;
}

const INVALID = 'not valid';

export function describeSource(name: string, open: () => Place | Promise<Place>): void {
  describe(`${name}, as any source`, () => {
    let place: Place;
    const followers: Follower[] = [];

    const follow = (): Follower => {
      const follower = new Follower(place.source());
      followers.push(follower);
      return follower;
    };

    beforeEach(async () => {
      place = await open();
    });

    afterEach(async () => {
      for (const follower of followers.splice(0)) await follower[Symbol.asyncDispose]();
      await place.close?.();
    });

    test('first everything at once, then what changes', async () => {
      for (const name of ['a', 'b', 'c']) await place.put(name, '1');
      const seen = follow();
      await seen.sees({ a: '1', b: '1', c: '1' });
      expect(seen.updates.map(({ type }) => type)).toEqual(['snapshot']);
      await place.put('a', '2');
      await seen.sees({ a: '2', b: '1', c: '1' });
      await place.delete('b');
      await seen.sees({ a: '2', c: '1' });
      expect(seen.updates.slice(1)).toMatchObject([
        { type: 'changes', changes: [{ type: 'put', resource: { name: 'a', labels: { v: '2' } } }] },
        { type: 'changes', changes: [{ type: 'delete', key: 'Namespace//b' }] },
      ]);
    });

    test('nothing there is an empty snapshot', async () => {
      const seen = follow();
      await seen.sees({});
      await place.put('a', '1');
      await seen.sees({ a: '1' });
    });

    test('what becomes invalid stays as it last was, and is told; put right, nothing is left of it', async () => {
      await place.put('a', '1');
      const seen = follow();
      await seen.sees({ a: '1' });
      await place.put('a', INVALID);
      await seen.reports('"not valid"');
      expect(seen.updates.map(({ type }) => type)).toEqual(['snapshot', 'trouble']);
      expect(seen.problems).toMatchObject([
        { severity: 'error', object: 'Namespace a', path: 'metadata.labels.v' },
      ]);
      await place.put('b', '1');
      await seen.sees({ a: '1', b: '1' });
      await place.put('a', '2');
      await seen.sees({ a: '2', b: '1' });
      await seen.reports();
    });

    test('what was never valid is told and not there; deleted, it is told no more', async () => {
      await place.put('a', INVALID);
      await place.put('b', '1');
      const seen = follow();
      await seen.sees({ b: '1' });
      await seen.reports('"not valid"');
      await place.delete('a');
      await seen.reports();
      await seen.sees({ b: '1' });
    });

    test('what can not be read yet: trouble first, the snapshot when it comes', async () => {
      await place.put('a', '1');
      await place.goAway();
      const seen = follow();
      await waitFor(() => seen.problems.length > 0, { what: 'trouble' });
      expect(seen.inSync).toBe(false);
      await place.comeBack();
      await seen.sees({ a: '1' });
      await seen.reports();
    });

    test('what can not be read any more stays in force, and is followed again when it is back', async () => {
      await place.put('a', '1');
      const seen = follow();
      await seen.sees({ a: '1' });
      await place.goAway();
      await waitFor(() => seen.problems.length > 0, { what: 'trouble' });
      await seen.sees({ a: '1' });
      await place.comeBack();
      await seen.reports();
      await place.put('a', '2');
      await seen.sees({ a: '2' });
      expect(
        seen.updates.some(
          (update) => update.type === 'changes' && update.changes.some(({ type }) => type === 'delete'),
        ),
      ).toBe(false);
    });

    test('what changes while the consumer is busy comes as one', async () => {
      await place.put('a', '1');
      const seen = follow();
      await seen.sees({ a: '1' });
      seen.paused = true;
      for (let i = 2; i < 20; i++) await place.put('a', `${i}`);
      await place.put('b', '1');
      seen.paused = false;
      await seen.sees({ a: '19', b: '1' });
      // The one that is on its way may have been on its way already.
      for (const update of seen.updates) {
        const keys =
          update.type === 'changes'
            ? update.changes.map((change) => (change.type === 'put' ? change.resource.name : change.key))
            : [];
        expect(new Set(keys).size).toBe(keys.length);
      }
    });

    test('each follows on its own', async () => {
      await place.put('a', '1');
      const one = follow();
      await one.sees({ a: '1' });
      await place.put('b', '1');
      const other = follow();
      await other.sees({ a: '1', b: '1' });
      await one.sees({ a: '1', b: '1' });
      await one[Symbol.asyncDispose]();
      await place.put('b', '2');
      await other.sees({ a: '1', b: '2' });
    });

    test('ends when the signal says so, also when it was aborted before', async () => {
      const stop = new AbortController();
      const updates = place.source().watch(stop.signal)[Symbol.asyncIterator]();
      expect((await updates.next()).value).toMatchObject({ type: 'snapshot' });
      const next = updates.next();
      stop.abort();
      expect(await next).toEqual({ done: true, value: undefined });
      expect(await place.source().watch(stop.signal)[Symbol.asyncIterator]().next()).toEqual({
        done: true,
        value: undefined,
      });
    });
  });
}
