import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StreamError } from '#datastore/kubernetes/errors.ts';
import { ItemSplitter } from '#datastore/kubernetes/items.ts';
import { LineSplitter } from '#datastore/kubernetes/lines.ts';
import { runs } from '#test/helpers/runs.ts';

/** A text as bytes, cut into pieces at these places. */
function cut(text: string, places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text);
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}

const places = fc.array(fc.nat(), { maxLength: 20 });

describe('lines', () => {
  const split = (pieces: readonly Buffer[], limit = 1_000) => {
    const lines = new LineSplitter(limit);
    const found = pieces.flatMap((piece) => [...lines.push(piece)].map(String));
    return { found, isInside: lines.isInside };
  };

  test('are the same wherever the pieces are cut', () => {
    const property = fc.property(fc.array(fc.string()), fc.string(), places, (lines, rest, places) => {
      const clean = lines.map((line) => line.replaceAll('\n', ''));
      const end = rest.replaceAll('\n', '');
      const text = clean.map((line) => `${line}\n`).join('') + end;
      expect(split(cut(text, places))).toEqual({ found: clean, isInside: Buffer.byteLength(end) > 0 });
    });
    fc.assert(property, { numRuns: runs(200) });
  });

  test('have a limit, whether their end has come or not', () => {
    expect(split([Buffer.from('1234\n12'), Buffer.from('34\n')], 4).found).toEqual(['1234', '1234']);
    expect(() => split([Buffer.from('12345\n')], 4)).toThrow(StreamError);
    expect(() => split([Buffer.from('123'), Buffer.from('45')], 4)).toThrow(StreamError);
  });
});

const isSafeKey = (key: string): boolean => !/["\\\n]/.test(key);

describe('items of a list', () => {
  const split = (pieces: readonly Buffer[], limit = 100_000) => {
    const splitter = new ItemSplitter(limit);
    const items = pieces.flatMap((piece) =>
      [...splitter.push(piece)].map((text) => JSON.parse(text.toString())),
    );
    return { items, rest: splitter.end() };
  };
  /** Strings that look like the beginning or end of things. */
  const tricky = fc
    .array(fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', 'items', ' ', 'é', '\n', '\u2028'))
    .map((parts) => parts.join(''));
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      tricky,
      fc.integer(),
      fc.constant(null),
      fc.boolean(),
      tie('list'),
      tie('object'),
    ),
    list: fc.array(tie('any'), { maxLength: 4 }),
    // V8's JSON.parse takes a key with an escape for one that ends where the escape begins, if it has met that in its place before.
    object: fc.dictionary(fc.oneof(fc.constant('items'), tricky.filter(isSafeKey)), tie('any'), {
      maxKeys: 4,
    }),
  }));

  test('are the same wherever the pieces are cut, whatever stands in them and around them', () => {
    const property = fc.property(
      value.object,
      fc.array(value.object, { maxLength: 5 }),
      value.object,
      places,
      fc.constantFrom(0, 2),
      (before, items, after, places, indent) => {
        const document = { before, items, after };
        const { items: found, rest } = split(cut(JSON.stringify(document, null, indent), places));
        expect(found).toEqual(items);
        expect(rest).toEqual({ before, items: [], after });
      },
    );
    fc.assert(property, { numRuns: runs(300) });
  });

  test('none, in all ways of saying so', () => {
    expect(split([Buffer.from('{"items":[]}')])).toEqual({ items: [], rest: { items: [] } });
    expect(split([Buffer.from('{"items": [ \n ] }')])).toEqual({ items: [], rest: { items: [] } });
    expect(split([Buffer.from('{"items":null}')])).toEqual({ items: [], rest: { items: null } });
    expect(split([Buffer.from('{}')])).toEqual({ items: [], rest: {} });
  });

  test('of a list that is cut anywhere are no list', () => {
    const text = JSON.stringify({ kind: 'L', items: [{ a: [1, '"'] }, { b: {} }], metadata: { v: '1' } });
    for (let end = 0; end < text.length; end++) {
      expect(() => split([Buffer.from(text.slice(0, end))]), text.slice(0, end)).toThrow(StreamError);
    }
    expect(split([Buffer.from(text)]).items).toHaveLength(2);
  });

  test('have a limit, and so has what is around them', () => {
    const list = (length: number) => Buffer.from(`{"items":[{"a":"${'x'.repeat(length)}"}]}`);
    expect(split([list(80)], 100).items).toHaveLength(1);
    expect(() => split([list(100)], 100)).toThrow('an object of more than 100 bytes');
    const many = Buffer.from(`{"items":[${Array(50).fill('{"a":"12345"}').join()}]}`);
    expect(split([many], 100).items).toHaveLength(50);
    expect(() => split([Buffer.from(`{"x":"${'x'.repeat(100)}","items":[]}`)], 100)).toThrow(StreamError);
  });
});
