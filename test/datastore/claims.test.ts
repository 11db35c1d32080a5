import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Claims } from '#datastore/directory/claims.ts';
import { readFileContents } from '#datastore/directory/documents.ts';
import { keyOf, type Resource } from '#datastore/resource.ts';
import type { Change } from '#datastore/source.ts';

/** A document of namespace `name` whose label `v` tells its versions apart; version `!` is invalid. */
function document(name: string, version: string): string {
  const metadata =
    version === '!' ? `{ name: ${name}, labels: 7 }` : `{ name: ${name}, labels: { v: "${version}" } }`;
  return `{ apiVersion: v1, kind: Namespace, metadata: ${metadata} }`;
}

function put(claims: Claims, file: string, ...documents: string[]): void {
  claims.set(file, readFileContents(file, documents.join('\n---\n')));
}

function tell(changes: readonly Change[]): string[] {
  return changes.map((change) =>
    change.type === 'delete'
      ? `-${change.key.slice(11)}`
      : `${change.resource.name}=${change.resource.labels.v}`,
  );
}

describe('the files of a directory together', () => {
  test('what is new, changed and gone is told once', () => {
    const claims = new Claims();
    put(claims, 'f', document('a', '1'), document('b', '1'));
    expect(tell(claims.takeChanges())).toEqual(['a=1', 'b=1']);
    expect(claims.takeChanges()).toEqual([]);
    put(claims, 'f', document('a', '1'), document('b', '2'));
    expect(tell(claims.takeChanges())).toEqual(['b=2']);
    put(claims, 'f', document('b', '2'));
    expect(tell(claims.takeChanges())).toEqual(['-a']);
    claims.delete('f');
    expect(tell(claims.takeChanges())).toEqual(['-b']);
  });

  test('changes between two takings become one, or none', () => {
    const claims = new Claims();
    put(claims, 'f', document('a', '1'));
    claims.takeChanges();
    put(claims, 'f', document('a', '2'), document('b', '1'));
    put(claims, 'f', document('a', '3'));
    expect(tell(claims.takeChanges())).toEqual(['a=3']);
    put(claims, 'f', document('a', '4'));
    put(claims, 'f', document('a', '3'));
    expect(claims.takeChanges()).toEqual([]);
  });

  test('an object that moves to another file is not told as gone', () => {
    const claims = new Claims();
    put(claims, 'f', document('a', '1'));
    claims.takeChanges();
    claims.delete('f');
    put(claims, 'g', document('a', '1'));
    expect(claims.takeChanges()).toEqual([]);
  });

  test('an object that becomes invalid stays as it was, and the others go on', () => {
    const claims = new Claims();
    put(claims, 'f', document('a', '1'), document('b', '1'), document('c', '1'));
    claims.takeChanges();
    put(claims, 'f', document('a', '!'), document('b', '2'));
    expect(tell(claims.takeChanges())).toEqual(['b=2', '-c']);
    expect(claims.problems()).toMatchObject([{ file: 'f', document: 1, object: 'Namespace a' }]);
    put(claims, 'f', document('a', '!'), document('b', '3'));
    expect(tell(claims.takeChanges())).toEqual(['b=3']);
    put(claims, 'f', document('a', '2'), document('b', '3'));
    expect(tell(claims.takeChanges())).toEqual(['a=2']);
    expect(claims.problems()).toEqual([]);
  });

  test('an invalid object that is removed is gone, with its last valid version', () => {
    const claims = new Claims();
    put(claims, 'f', document('a', '1'));
    put(claims, 'f', document('a', '!'));
    claims.takeChanges();
    put(claims, 'f');
    expect(tell(claims.takeChanges())).toEqual(['-a']);
  });

  test('while part of a file can not be read, nothing that was in it counts as gone', () => {
    const claims = new Claims();
    put(claims, 'f', document('a', '1'), document('b', '1'));
    claims.takeChanges();
    put(claims, 'f', document('a', '2'), 'kind: [');
    expect(tell(claims.takeChanges())).toEqual(['a=2']);
    put(claims, 'f', document('a', '2'));
    expect(tell(claims.takeChanges())).toEqual(['-b']);
  });

  test('of an object in two files the first by name counts, whichever came first', () => {
    for (const order of [
      ['a.yaml', 'b.yaml'],
      ['b.yaml', 'a.yaml'],
    ]) {
      const claims = new Claims();
      for (const file of order) put(claims, file, document('x', file === 'a.yaml' ? '1' : '2'));
      expect(tell(claims.takeChanges())).toEqual(['x=1']);
      expect(claims.problems()).toMatchObject([
        {
          severity: 'error',
          file: 'b.yaml',
          object: 'Namespace x',
          expected: 'each object once; a.yaml:1:1 counts',
        },
      ]);
    }
  });

  test('when the first goes, the second counts', () => {
    const claims = new Claims();
    put(claims, 'b', document('x', '2'));
    put(claims, 'a', document('x', '1'));
    claims.takeChanges();
    claims.delete('a');
    expect(tell(claims.takeChanges())).toEqual(['x=2']);
    expect(claims.problems()).toEqual([]);
  });

  test('a first file that was never valid does not count; once valid, its last valid version does', () => {
    const claims = new Claims();
    put(claims, 'a', document('x', '!'));
    put(claims, 'b', document('x', '2'));
    expect(tell(claims.takeChanges())).toEqual(['x=2']);
    put(claims, 'a', document('x', '1'));
    put(claims, 'a', document('x', '!'));
    expect(tell(claims.takeChanges())).toEqual(['x=1']);
  });

  test('twice in one file, the first counts', () => {
    const claims = new Claims();
    put(claims, 'f', document('x', '1'), document('x', '2'));
    expect(tell(claims.takeChanges())).toEqual(['x=1']);
    expect(claims.problems()).toMatchObject([{ document: 2, object: 'Namespace x' }]);
  });

  test('what is told adds up to what the files say, for any history of valid files', () => {
    const files = ['f', 'g', 'h'];
    const contents = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2', '3'), {
      maxKeys: 4,
    });
    const step = fc.record({
      file: fc.constantFrom(...files),
      contents: fc.option(contents, { nil: undefined }),
      take: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const claims = new Claims();
        const known = new Map<string, Resource>();
        const state = new Map<string, Record<string, string>>();
        const take = () => {
          for (const change of claims.takeChanges()) {
            if (change.type === 'put') known.set(keyOf(change.resource), change.resource);
            else expect(known.delete(change.key)).toBe(true);
          }
        };
        for (const { file, contents, take: now } of steps) {
          if (contents === undefined) {
            claims.delete(file);
            state.delete(file);
          } else {
            put(claims, file, ...Object.entries(contents).map(([name, version]) => document(name, version)));
            state.set(file, contents);
          }
          if (now) take();
        }
        take();
        const expected = Object.assign({}, ...files.toReversed().map((file) => state.get(file) ?? {}));
        expect(Object.fromEntries([...known.values()].map(({ name, labels }) => [name, labels.v]))).toEqual(
          expected,
        );
        const total = [...state.values()].reduce((sum, contents) => sum + Object.keys(contents).length, 0);
        expect(claims.problems()).toHaveLength(total - Object.keys(expected).length);
      }),
    );
  });
});
