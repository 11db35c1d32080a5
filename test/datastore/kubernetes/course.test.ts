import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Attempt,
  BEGINNING,
  backoff,
  type Course,
  isBefore,
  nextCourse,
} from '#datastore/kubernetes/course.ts';
import {
  ApiStatusError,
  BackInTimeError,
  CutError,
  StallError,
  StreamError,
  UnreachableError,
} from '#datastore/kubernetes/errors.ts';
import { runs } from '#test/helpers/runs.ts';

const GONE = new ApiStatusError(410, 'Expired', 'too old');
const STALL = new StallError('nothing', 'something');
const WATCHING: Course = { ...BEGINNING, version: '7' };
const FAILED: Attempt = { error: undefined, version: '7', progress: false, lasted: false };

describe('what comes next', () => {
  test('after a watch that ended as agreed: the next one, at once, from where it ended', () => {
    const { course, pause, report } = nextCourse(WATCHING, { ...FAILED, version: '9', lasted: true });
    expect(course).toEqual({ ...WATCHING, version: '9' });
    expect([pause, report]).toEqual(['none', 'nothing']);
  });

  test('after a version that is gone: everything, at once, whatever failed before', () => {
    const { course, pause, report } = nextCourse(
      { ...WATCHING, failures: 9, away: true },
      { ...FAILED, error: GONE },
    );
    expect(course).toMatchObject({ version: undefined, way: 'stream', away: false });
    expect([pause, report]).toEqual(['none', 'status']);
  });

  test('after a version that is gone as soon as it was listed: a pause, longer each time', () => {
    let course: Course = { ...BEGINNING, way: 'pages' };
    for (let i = 1; i < 5; i++) {
      const step = nextCourse(course, { ...FAILED, error: GONE, progress: true });
      expect([step.pause, step.report, step.course.failures]).toEqual(['backoff', 'problem', i]);
      ({ course } = step);
    }
  });

  test('after twice nothing, or nonsense, from the same version: everything', () => {
    for (const error of [
      STALL,
      new StreamError('x', 'y'),
      new ApiStatusError(500, '', '', { inStream: true }),
    ]) {
      const once = nextCourse(WATCHING, { ...FAILED, error }).course;
      expect(once.version).toBe('7');
      expect(nextCourse(once, { ...FAILED, error }).course.version).toBeUndefined();
      // Something that came in between makes the place a good one.
      expect(nextCourse(once, { ...FAILED, error, version: '8', progress: true }).course.version).toBe('8');
    }
  });

  test('after what says nothing about the version: the same again, for ever', () => {
    for (const error of [new CutError(''), new UnreachableError(''), new ApiStatusError(503, '', '')]) {
      let course = WATCHING;
      for (let i = 0; i < 100; i++) ({ course } = nextCourse(course, { ...FAILED, error }));
      expect(course).toMatchObject({ version: '7', failures: 100 });
    }
  });

  test('after a server that does not stream lists: pages, and a stream again the next time', () => {
    const { course, pause, report } = nextCourse(BEGINNING, {
      ...FAILED,
      version: undefined,
      error: new ApiStatusError(422, 'Invalid', ''),
    });
    expect([course.way, pause, report]).toEqual(['pages', 'none', 'nothing']);
    const watching = nextCourse(course, { ...FAILED, progress: true, lasted: true }).course;
    expect(nextCourse(watching, { ...FAILED, error: GONE }).course.way).toBe('stream');
  });

  test('after a stream that is cut before everything has come, twice: pages, which can go on where they were', () => {
    const cut = { ...FAILED, version: undefined, error: new CutError('') };
    const once = nextCourse(BEGINNING, cut).course;
    expect(once.way).toBe('stream');
    expect(nextCourse(once, cut).course.way).toBe('pages');
  });

  test('after a server that was away: it is asked for its version, until something comes', () => {
    const away = nextCourse(WATCHING, { ...FAILED, error: new UnreachableError('') }).course;
    expect(away.away).toBe(true);
    // A load balancer answers, or nobody does.
    for (const error of [new ApiStatusError(503, '', ''), STALL])
      expect(nextCourse(WATCHING, { ...FAILED, error }).course.away).toBe(true);
    for (const error of [
      new ApiStatusError(429, '', ''),
      new ApiStatusError(500, '', '', { inStream: true }),
    ])
      expect(nextCourse(WATCHING, { ...FAILED, error }).course.away).toBe(false);
    expect(nextCourse(away, { ...FAILED, error: new CutError('') }).course.away).toBe(true);
    expect(nextCourse(away, { ...FAILED, error: new CutError(''), progress: true }).course.away).toBe(false);
    expect(nextCourse(away, { ...FAILED, error: new BackInTimeError('1', '7') }).course).toMatchObject({
      version: undefined,
      away: false,
    });
  });
});

test('versions are compared as numbers of any length, and others not at all', () => {
  const numbers = fc.bigInt({ min: 1n, max: 2n ** 70n });
  fc.assert(
    fc.property(numbers, numbers, (a, b) => {
      expect(isBefore(`${a}`, `${b}`)).toBe(a < b);
    }),
    { numRuns: runs(200) },
  );
  for (const [a, b] of [
    ['', '7'],
    ['1', 'x'],
    ['abc', 'abd'],
    ['0', '7'],
    ['07', '8'],
    ['-1', '7'],
    ['1.5', '7'],
  ] as const) {
    expect(isBefore(a, b), `${a} ${b}`).toBe(false);
  }
});

test('pauses grow to their limit, and are never less than half of what they may be', () => {
  const limits = { shortest: 500, longest: 30_000 };
  expect([0, 1, 2, 5, 6, 60, 6_000].map((failures) => backoff(failures, limits, 1))).toEqual([
    500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000,
  ]);
  expect(backoff(0, limits, 0)).toBe(250);
});
