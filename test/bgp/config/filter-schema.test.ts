import { describe, expect, it } from 'vitest';
import { CompiledFilter } from '#bgp/filter/compile.ts';
import type { Filter, Match } from '#bgp/filter/types.ts';
import { HEAD, load, problems } from './config.ts';

function filter(body: string): Filter {
  return load(`${HEAD}filters:\n  f: ${body}\n`).filters.get('f')!;
}

function match(body: string): Match {
  return filter(`{statements: [{match: {${body}}, action: accept}]}`).statements[0]!.match!;
}

/** The one complaint about a condition, without the place. */
function refused(body: string): string {
  const [line, ...more] = problems(
    `${HEAD}filters:\n  f: {statements: [{match: {${body}}, action: accept}]}\n`,
  );
  expect(more).toEqual([]);
  return line!.slice(line!.indexOf(' ') + 1);
}

describe('a filter in the file', () => {
  it('rejects what it does not decide, unless it says otherwise', () => {
    expect(filter('{}')).toEqual({ name: 'f', statements: [], otherwise: 'reject' });
    expect(filter('{otherwise: next}').otherwise).toBe('next');
  });

  it('matches prefixes with ranges of lengths', () => {
    const prefix = { family: 4, bytes: Uint8Array.of(10, 0, 0, 0), length: 8 };
    const ranges = '10.0.0.0/8, 10.0.0.0/8 ge 16, 10.0.0.0/8 le 24, 10.0.0.0/8 ge 16 le 24';
    expect(match(`prefixes: [${ranges}]`).prefixes).toEqual([
      { prefix },
      { prefix, ge: 16 },
      { prefix, le: 24 },
      { prefix, ge: 16, le: 24 },
    ]);
  });

  it.each([
    '10.0.0.0/8 ge 7',
    '10.0.0.0/8 le 33',
    '10.0.0.0/8 ge 24 le 16',
    '10.0.0.0/8 le 24 ge 16',
    '10.0.0.1/8',
    '10.0.0.0',
  ])('refuses the range %s', (range) => {
    expect(refused(`prefixes: ["${range}"]`)).toContain(
      `filters.f.statements[0].match.prefixes[0]: found "${range}"`,
    );
  });

  it('matches addresses and prefixes of next hops and neighbours', () => {
    const host = { family: 4, bytes: Uint8Array.of(192, 0, 2, 1), length: 32 };
    expect(match('nextHops: [192.0.2.1]').nextHops).toEqual([host]);
    expect(match('peers: [192.0.2.1/32]').peers).toEqual([host]);
  });

  it('matches AS paths', () => {
    expect(match('asPath: {contains: [5, 7-9], length: {max: 3}}').asPath).toEqual({
      contains: [
        { first: 5, last: 5 },
        { first: 7, last: 9 },
      ],
      length: { max: 3 },
    });
    const patterns = match('asPath: {patterns: ["64512+ ? [65000-65100 65200]+ * 3"]}').asPath!.patterns;
    expect(patterns).toEqual([
      [
        { kind: 'some', asns: [{ first: 64512, last: 64512 }] },
        { kind: 'any' },
        {
          kind: 'some',
          asns: [
            { first: 65000, last: 65100 },
            { first: 65200, last: 65200 },
          ],
        },
        { kind: 'rest' },
        { kind: 'one', asns: [{ first: 3, last: 3 }] },
      ],
    ]);
    expect(refused('asPath: {patterns: ["1 x"]}')).toContain('patterns[0]');
    expect(refused('asPath: {patterns: ["[1 2"]}')).toContain('patterns[0]');
  });

  it('matches communities of all kinds, with parts left open', () => {
    const texts =
      '"64512:100", "64512:*", "*:5", no-export, "1:2:3", "1:*:3", "rt:64512:100", "rt:64512:*", "soo:192.0.2.1:*"';
    expect(match(`communities: {any: [${texts}]}`).communities!.any).toEqual([
      { kind: 'standard', as: 64512, value: 100 },
      { kind: 'standard', as: 64512 },
      { kind: 'standard', value: 5 },
      { kind: 'standard', as: 0xffff, value: 0xff01 },
      { kind: 'large', global: 1, local1: 2, local2: 3 },
      { kind: 'large', global: 1, local2: 3 },
      { kind: 'extended', bytes: Uint8Array.of(0, 2, 0xfc, 0, 0, 0, 0, 100) },
      {
        kind: 'extended',
        bytes: Uint8Array.of(0, 2, 0xfc, 0, 0, 0, 0, 0),
        mask: Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0),
      },
      {
        kind: 'extended',
        bytes: Uint8Array.of(1, 3, 192, 0, 2, 1, 0, 0),
        mask: Uint8Array.of(255, 255, 255, 255, 255, 255, 0, 0),
      },
    ]);
    expect(refused('communities: {any: ["rt:*:5"]}')).toContain('any[0]');
  });

  it('sets attributes', () => {
    const set =
      '{localPref: 200, med: 0, origin: egp, prepend: {times: 2}, nextHop: self, communities: {replace: true, add: ["64512:1"]}}';
    expect(filter(`{statements: [{action: accept, set: ${set}}]}`).statements[0]!.set).toEqual({
      localPref: 200,
      med: 0,
      origin: 1,
      prepend: { times: 2 },
      nextHop: 'self',
      communities: { replace: true, add: [{ kind: 'standard', as: 64512, value: 1 }] },
    });
    const address = filter('{statements: [{action: accept, set: {nextHop: 192.0.2.1}}]}');
    expect(address.statements[0]!.set!.nextHop).toEqual(Uint8Array.of(192, 0, 2, 1));
  });

  it('does not take the name of one that is built in', () => {
    expect(problems(`${HEAD}filters: {accept: {}}`)).toEqual([
      'test.yaml:3:19: filters.accept: found a filter, expected another name, accept is built in',
    ]);
  });

  it('can be compiled', () => {
    const { statements } = filter('{statements: [{match: {prefixes: [10.0.0.0/8]}, action: next}]}');
    expect(() => new CompiledFilter([{ name: 'f', statements, otherwise: 'accept' }])).not.toThrow();
  });
});
