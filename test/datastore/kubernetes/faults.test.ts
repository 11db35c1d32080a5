import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type KubernetesOptions, KubernetesSource, ofNode } from '#datastore/kubernetes/source.ts';
import { describeProblem } from '#datastore/problem.ts';
import type { Kind } from '#datastore/resource.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { Follower } from '../follower.ts';
import { type ApiRequest, FakeApiServer, type Fault } from './server.ts';

/** So that a test does not wait for what takes a minute in the field. */
const SHORT = { shortestPause: 2, longestPause: 20 };
/** Long enough for a busy machine, short enough for a test. */
const IDLE = 300;

let server: FakeApiServer;
let source: KubernetesSource;
const followers: Follower[] = [];

beforeEach(async () => {
  server = await FakeApiServer.start();
});

afterEach(async () => {
  for (const follower of followers.splice(0)) await follower[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function follow({ times, ...options }: KubernetesOptions = {}): Follower {
  const kubeconfig = options.kubeconfig ?? server.kubeconfig();
  source = new KubernetesSource({
    kinds: ['Namespace'],
    ...options,
    kubeconfig,
    times: { ...SHORT, ...times },
  });
  const follower = new Follower(source);
  followers.push(follower);
  return follower;
}

function put(name: string, v: string): void {
  server.put('Namespace', name, { labels: { v } });
}

function requestsOf(kind: Kind, verb?: ApiRequest['verb']): ApiRequest[] {
  return server.requests.filter(
    (request) => request.kind === kind && (verb ?? request.verb) === request.verb,
  );
}

function status(kind: Kind = 'Namespace') {
  return source.status.find((one) => one.kind === kind)!;
}

/** The fault for the next requests that it is about, so many times. */
function fail(fault: Fault, times: number, about: (request: ApiRequest) => boolean = () => true): void {
  let left = times;
  server.fault = (request) => (left > 0 && about(request) && left-- > 0 ? fault : undefined);
}

const isResumed = ({ query }: ApiRequest) => query.has('resourceVersion');

async function watching(count = 1): Promise<void> {
  await waitFor(() => server.watches === count, {
    what: `${count} watches`,
    details: () => `${server.watches}`,
  });
}

describe('everything at first', () => {
  test('is the beginning of a watch, asked for as the API wants it', async () => {
    put('a', '1');
    const seen = follow();
    await seen.sees({ a: '1' });
    expect(server.requests).toHaveLength(1);
    const { query } = server.requests[0]!;
    expect(Object.fromEntries(query)).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      timeoutSeconds: expect.stringMatching(/^[3-6]\d\d$/),
    });
  });

  test('is listed in pages where the server can not stream it, over one connection', async () => {
    server.streams = false;
    for (let i = 0; i < 12; i++) put(`n${i}`, '1');
    const seen = follow({ pageSize: 5 });
    await seen.sees(Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`n${i}`, '1'])));
    const lists = requestsOf('Namespace', 'list');
    expect(
      lists.map(({ query }) => [query.get('limit'), query.has('continue'), query.has('resourceVersion')]),
    ).toEqual([
      ['5', false, false],
      ['5', true, false],
      ['5', true, false],
    ]);
    await watching();
    expect(requestsOf('Namespace', 'watch').at(-1)!.query.get('resourceVersion')).toBe('1012');
    expect(server.connections).toBe(1);
    expect(seen.updates.map(({ type }) => type)).toEqual(['snapshot']);
  });

  test('goes on with the page that failed', async () => {
    server.streams = false;
    for (let i = 0; i < 4; i++) put(`n${i}`, '1');
    fail({ cutAfter: 20 }, 2, ({ query }) => query.has('continue'));
    const seen = follow({ pageSize: 2 });
    await seen.sees({ n0: '1', n1: '1', n2: '1', n3: '1' });
    expect(requestsOf('Namespace', 'list').map(({ query }) => query.has('continue'))).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });

  test('begins anew with a first page that failed: what was in it may be gone', async () => {
    server.streams = false;
    put('a', '1');
    put('b', '1');
    let isFirst = true;
    server.fault = ({ verb }) => {
      if (verb !== 'list') return undefined;
      if (!isFirst) server.delete('Namespace', 'a');
      // All objects come, and the end does not.
      const fault = isFirst ? { cutAfter: JSON.stringify(server.objects).length } : undefined;
      isFirst = false;
      return fault;
    };
    const seen = follow();
    await seen.sees({ b: '1' });
    expect(requestsOf('Namespace', 'list')).toHaveLength(2);
  });

  test('is listed in one piece when the pages are forgotten before they are asked for', async () => {
    server.streams = false;
    for (let i = 0; i < 4; i++) put(`n${i}`, '1');
    server.fault = ({ query }) => {
      if (query.has('continue')) server.compact();
      return undefined;
    };
    const seen = follow({ pageSize: 2 });
    await seen.sees({ n0: '1', n1: '1', n2: '1', n3: '1' });
    expect(requestsOf('Namespace', 'list').map(({ query }) => query.get('limit'))).toEqual(['2', '2', null]);
  });

  test('is listed where watches end before everything is told', async () => {
    put('a', '1');
    fail({ endAfter: 40 }, Number.POSITIVE_INFINITY, ({ query }) => query.has('sendInitialEvents'));
    const seen = follow();
    await seen.sees({ a: '1' });
    expect(requestsOf('Namespace', 'list')).toHaveLength(1);
  });

  test('waits for all kinds', async () => {
    put('a', '1');
    server.fault = ({ kind }) => (kind === 'Pod' ? { status: 503, message: 'not now' } : undefined);
    const seen = follow({ kinds: ['Namespace', 'Pod'] });
    await seen.reports('status 503 for list and watch of pods: not now');
    await watching();
    expect(seen.inSync).toBe(false);
    server.fault = () => undefined;
    await seen.sees({ a: '1' });
    await seen.reports();
  });

  test('of one node only: its object and its pods', async () => {
    for (const name of ['n1', 'n2']) {
      server.put('Node', name);
      server.put('Pod', `on-${name}`, { spec: { nodeName: name }, labels: { v: '1' } });
    }
    server.put('Pod', 'nowhere', { spec: {} });
    const seen = follow({ kinds: ['Node', 'Pod'], fieldSelectors: ofNode('n1') });
    await waitFor(() => seen.inSync, { what: 'the snapshot' });
    const names = (update = seen.updates[0]!) =>
      update.type === 'snapshot' && update.resources.map(({ name }) => name);
    expect(names()).toEqual(['n1', 'on-n1']);
    server.put('Pod', 'nowhere', { spec: { nodeName: 'n1' } });
    server.put('Pod', 'on-n2', { spec: { nodeName: 'n2', hostNetwork: true } });
    await waitFor(() => seen.updates.length > 1, { what: 'the pod that is scheduled' });
    expect(seen.updates[1]).toMatchObject({
      changes: [{ type: 'put', resource: { name: 'nowhere', nodeName: 'n1' } }],
    });
  });
});

describe('a watch that ends', () => {
  test('as agreed is taken up where it ended, and nothing is made of it', async () => {
    put('a', '1');
    const seen = follow();
    await seen.sees({ a: '1' });
    await watching();
    server.bookmark();
    put('b', '1');
    await seen.sees({ a: '1', b: '1' });
    server.endWatches();
    put('c', '1');
    await seen.sees({ a: '1', b: '1', c: '1' });
    await watching();
    server.endWatches();
    await waitFor(() => requestsOf('Namespace').length === 3, { what: 'the third watch' });
    const versions = requestsOf('Namespace').map(({ query }) => query.get('resourceVersion'));
    expect(versions).toEqual([null, '1002', '1003']);
    await watching();
    expect(status()).toMatchObject({
      state: 'watching',
      lists: 1,
      restarts: 0,
      stalls: 0,
      lastError: '',
      objects: 3,
    });
    expect(seen.updates.every(({ problems }) => problems.length === 0)).toBe(true);
  });

  test('goes on from the last bookmark, though nothing of the kind has changed', async () => {
    let time = 0;
    const seen = follow({ now: () => ++time });
    await seen.sees({});
    await watching();
    for (let i = 0; i < 5; i++) server.put('Node', `n${i}`);
    const { lastEvent } = status();
    server.bookmark();
    await waitFor(() => status().lastEvent > lastEvent, { what: 'the bookmark' });
    server.compact();
    server.cut();
    put('a', '1');
    await seen.sees({ a: '1' });
    expect(requestsOf('Namespace').map(({ query }) => query.get('resourceVersion'))).toEqual([null, '1005']);
    expect(status()).toMatchObject({ lists: 1, restarts: 1 });
  });

  test('at once, again and again, is not asked for without a pause', async () => {
    const seen = follow({ times: { shortestPause: 50, longestPause: 400 } });
    await seen.sees({});
    await watching();
    server.fault = (request) => (isResumed(request) ? { endAfter: 0 } : undefined);
    server.endWatches();
    await waitFor(() => requestsOf('Namespace').length >= 4, { what: 'some attempts' });
    const before = requestsOf('Namespace').length;
    await waitFor(() => requestsOf('Namespace').length > before, { what: 'one more' });
    // Without pauses there would be hundreds by now.
    expect(requestsOf('Namespace').length).toBeLessThan(20);
  });
});

describe('a version that is gone', () => {
  const asked: readonly (readonly [string, Fault])[] = [
    ['as a status', { status: 410, reason: 'Expired', message: 'too old resource version: 7' }],
    ['as an event', { event: { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } } }],
  ];
  test.each(asked)('%s: everything is asked for, and only the difference is told', async (_, fault) => {
    for (const name of ['a', 'b', 'c', 'd']) put(name, '1');
    const seen = follow();
    await seen.sees({ a: '1', b: '1', c: '1', d: '1' });
    await watching();
    let isBack = false;
    server.fault = (request) => {
      if (!isBack) return { refused: true };
      return isResumed(request) ? fault : undefined;
    };
    server.cut();
    put('b', '2');
    server.delete('Namespace', 'c');
    put('e', '1');
    server.compact();
    isBack = true;
    await seen.sees({ a: '1', b: '2', d: '1', e: '1' });
    const changes = seen.updates.flatMap((update) => (update.type === 'changes' ? update.changes : []));
    expect(
      changes.map((change) => (change.type === 'put' ? change.resource.name : change.key)).sort(),
    ).toEqual(['Namespace//c', 'b', 'e']);
    expect(status()).toMatchObject({ lists: 2, state: 'watching' });
    await seen.reports();
  });
});

describe('an object', () => {
  test('deleted and made again is another one', async () => {
    put('a', '1');
    const seen = follow();
    await seen.sees({ a: '1' });
    const uid = () =>
      seen.updates
        .flatMap((update) => (update.type === 'changes' ? update.changes : []))
        .map((change) => (change.type === 'put' ? change.resource.uid : change.type));
    server.delete('Namespace', 'a');
    put('a', '1');
    await waitFor(() => uid().at(-1) === 'uid-2', { what: 'the other one', details: () => `${uid()}` });
    await seen.sees({ a: '1' });
  });

  test('made again while nobody listened is told as one change', async () => {
    put('a', '1');
    const seen = follow();
    await seen.sees({ a: '1' });
    await watching();
    server.fault = () => ({ refused: true });
    server.cut();
    server.delete('Namespace', 'a');
    put('a', '1');
    server.compact();
    server.fault = () => undefined;
    await waitFor(() => seen.updates.some(({ type }) => type === 'changes'), { what: 'a change' });
    expect(seen.updates.filter(({ type }) => type === 'changes')).toMatchObject([
      { changes: [{ type: 'put', resource: { name: 'a', uid: 'uid-2' } }] },
    ]);
  });

  test('made again as one that is not valid leaves nothing of the one before', async () => {
    put('a', '1');
    const seen = follow();
    await seen.sees({ a: '1' });
    server.delete('Namespace', 'a');
    put('a', 'not valid');
    await seen.sees({});
    await seen.reports('"not valid"');
    expect(seen.problems).toMatchObject([
      { file: `${server.url}/api/v1/namespaces/a`, object: 'Namespace a', path: 'metadata.labels.v' },
    ]);
  });

  test('that is not valid is told by its path in the API, and the last valid one stays through a list', async () => {
    const policy = (spec: object) =>
      server.put('NetworkPolicy', 'p', { namespace: 'web', labels: { v: '1' }, spec });
    policy({ podSelector: {} });
    const seen = follow({ kinds: ['NetworkPolicy'] });
    await waitFor(() => seen.inSync, { what: 'the snapshot' });
    await watching();
    policy({ podSelector: {}, newField: 1 });
    await seen.reports('an unknown field');
    server.compact();
    server.put('Node', 'n');
    server.compact();
    server.cut();
    await waitFor(() => status('NetworkPolicy').lists === 2, { what: 'another list' });
    await watching();
    expect(seen.problems.map(describeProblem)).toEqual([
      `${server.url}/apis/networking.k8s.io/v1/namespaces/web/networkpolicies/p (NetworkPolicy web/p): spec.newField: found an unknown field, expected one of podSelector, policyTypes, ingress, egress`,
    ]);
    expect(status('NetworkPolicy').objects).toBe(1);
    expect(seen.updates.some(({ type }) => type === 'changes')).toBe(false);
  });

  test('of which nobody could make sense is told with a limit', async () => {
    for (let i = 0; i < 150; i++) put(`n${i}`, 'not valid');
    const seen = follow();
    await seen.sees({});
    expect(seen.problems).toHaveLength(101);
    expect(seen.problems.at(-1)!.found).toBe('50 more objects of kind Namespace that are not valid');
  });

  test('changes in nothing that is read: nobody is told', async () => {
    put('a', '1');
    const seen = follow();
    await seen.sees({ a: '1' });
    server.put('Namespace', 'a', { labels: { v: '1' }, status: { phase: 'Active' } });
    put('b', '1');
    await seen.sees({ a: '1', b: '1' });
    expect(seen.updates.slice(1)).toMatchObject([{ changes: [{ resource: { name: 'b' } }] }]);
  });
});

describe('a kind that may not be read', () => {
  const message =
    'services is forbidden: User "x" cannot watch resource "services" in API group "" at the cluster scope';
  const forbidden = ({ kind }: ApiRequest): Fault | undefined =>
    kind === 'Service' ? { status: 403, reason: 'Forbidden', message } : undefined;

  test('at first: it is said which rule is missing, and there is no half a snapshot', async () => {
    server.fault = forbidden;
    const seen = follow({ kinds: ['Namespace', 'Service'] });
    await seen.reports('.*');
    expect(seen.problems.map(describeProblem)).toEqual([
      `${server.url}/api/v1/services: found status 403 Forbidden for list and watch of services: ${message}, expected a ClusterRole, bound to this account, with the rule {apiGroups: [""], resources: ["services"], verbs: ["list", "watch"]}; nothing is known of it yet`,
    ]);
    expect(seen.problems[0]!.severity).toBe('error');
    expect(seen.inSync).toBe(false);
    server.fault = () => undefined;
    await seen.sees({});
    await seen.reports();
  });

  test('any more: what is known of it stays, and the others go on', async () => {
    server.put('Service', 's', { spec: { ports: [{ port: 80 }] }, labels: { v: '1' } });
    const seen = follow({ kinds: ['Namespace', 'Service'] });
    await waitFor(() => seen.inSync, { what: 'the snapshot' });
    await watching(2);
    server.fault = forbidden;
    server.cut();
    await seen.reports('403 Forbidden');
    expect(seen.problems[0]!.expected).toMatch('what was known before stays in force');
    put('a', '1');
    await waitFor(() => seen.objects.has('a'), { what: 'a' });
    expect(status('Service')).toMatchObject({
      objects: 1,
      syncedSince: 0,
      lastError: expect.stringMatching('403'),
    });
    expect(status().syncedSince).toBeGreaterThan(0);
  });
});

describe('silence', () => {
  const times = { idle: IDLE };

  test('where the server speaks once a minute is a stall: counted, told, and the watch taken up again', async () => {
    put('a', '1');
    const seen = follow({ times });
    await seen.sees({ a: '1' });
    await waitFor(() => status().stalls === 1, { what: 'a stall' });
    put('b', '1');
    await seen.sees({ a: '1', b: '1' });
    await seen.reports();
    expect(seen.updates.flatMap(({ problems }) => problems.map(({ found }) => found))).toContain(
      'nothing for 0.3 s',
    );
    expect(status().lists).toBe(1);
  });

  test('that bookmarks break is none', async () => {
    const seen = follow({ times });
    await seen.sees({});
    await watching();
    const bookmarks = setInterval(() => server.bookmark(), IDLE / 10);
    try {
      const enough = Date.now() + 3 * IDLE;
      await waitFor(() => Date.now() > enough, { what: 'some time' });
    } finally {
      clearInterval(bookmarks);
    }
    expect(status()).toMatchObject({ stalls: 0, restarts: 0 });
  });

  test('from a server that never speaks by itself is a stall only twice', async () => {
    const seen = follow({ times });
    await seen.sees({});
    await waitFor(() => status().stalls === 2, { what: 'two stalls' });
    const enough = Date.now() + 3 * IDLE;
    await waitFor(() => Date.now() > enough, { what: 'some time' });
    expect(status().stalls).toBe(2);
    put('a', '1');
    await seen.sees({ a: '1' });
  });

  test('of a server that was set back in time: everything is asked for', async () => {
    put('a', '1');
    const copy = server.save();
    put('b', '1');
    put('a', '2');
    const seen = follow({ times });
    await seen.sees({ a: '2', b: '1' });
    await watching();
    server.restore(copy);
    await seen.sees({ a: '1' });
    // The first silence is enough: it is asked where it is.
    expect(status().stalls).toBeGreaterThanOrEqual(1);
    put('c', '1');
    await seen.sees({ a: '1', c: '1' });
  });

  test('of one that was away meanwhile: it is asked where it is', async () => {
    put('a', '1');
    const copy = server.save();
    put('b', '1');
    const seen = follow();
    await seen.sees({ a: '1', b: '1' });
    await watching();
    await server.crash();
    await waitFor(() => status().restarts > 1, { what: 'an attempt' });
    server.restore(copy);
    await server.listen();
    await seen.sees({ a: '1' });
    expect(status()).toMatchObject({ stalls: 0, lastError: 'version 1001: the server was set back in time' });
    await seen.reports();
  });

  test('of one that something else answered for meanwhile: it is asked where it is', async () => {
    put('a', '1');
    const copy = server.save();
    put('b', '1');
    const seen = follow();
    await seen.sees({ a: '1', b: '1' });
    await watching();
    server.fault = () => ({ status: 503, message: 'no server is there' });
    server.cut();
    await waitFor(() => status().lastError.includes('no server is there'), { what: 'an attempt' });
    server.restore(copy);
    server.fault = () => undefined;
    await seen.sees({ a: '1' });
    expect(status()).toMatchObject({ stalls: 0, lastError: 'version 1001: the server was set back in time' });
    await seen.reports();
  });

  test.each(['a bookmark', 'an event'])(
    'broken by %s of earlier times: everything is asked for',
    async (what) => {
      put('a', '1');
      const copy = server.save();
      for (let i = 0; i < 5; i++) put('a', `${i}`);
      const seen = follow();
      await seen.sees({ a: '4' });
      await watching();
      server.restore(copy);
      await watching();
      if (what === 'a bookmark') server.bookmark();
      else server.say('Namespace', { type: 'MODIFIED', object: server.objects[0] });
      await seen.sees({ a: '1' });
      expect(status().lastError).toMatch('version 1001: the server was set back in time');
      await seen.reports();
    },
  );

  test.each(['stream', 'pages', 'no answer'])('in the middle of everything: %s', async (where) => {
    server.streams = where === 'stream';
    for (const name of ['a', 'b', 'c']) put(name, '1');
    fail(
      where === 'no answer' ? { silent: true } : { stallAfter: 100 },
      1,
      ({ verb }) => where !== 'pages' || verb === 'list',
    );
    const seen = follow({ times: { answer: IDLE } });
    await seen.sees({ a: '1', b: '1', c: '1' });
    expect(status().stalls).toBe(1);
  });

  test('after the end that was agreed', async () => {
    const seen = follow({ times: { watch: 500, answer: 100 } });
    await seen.sees({});
    await watching();
    // A watch that lasts for ever, whatever was asked for.
    server.fault = () => ({ stallAfter: 0 });
    server.endWatches();
    await waitFor(() => status().stalls > 0, { what: 'a stall', timeout: 20_000 });
  });
});

describe('what makes no sense', () => {
  const cases: readonly (readonly [string, Fault, RegExp])[] = [
    ['no JSON', { insert: { after: 0, text: 'garbage\n' } }, /^no JSON/],
    [
      'half an event that another one follows',
      { insert: { after: 0, text: '{"type":"ADDED","object":{"metadata"\n' } },
      /^no JSON/,
    ],
    ['bytes that are no text', { insert: { after: 0, text: '\u0000\ufffd\n' } }, /^no JSON/],
    [
      'an event of a type that nobody knows',
      { event: { type: 'MOVED', object: { metadata: {} } } },
      /^an event of type "MOVED"/,
    ],
    ['an event without an object', { event: { type: 'ADDED' } }, /^an event about nothing/],
    ['an event that is a list', { event: [] }, /^an event of type nothing/],
    [
      'an object without a version',
      { event: { type: 'ADDED', object: { metadata: { name: 'x', labels: {} } } } },
      /^an object without resourceVersion/,
    ],
    [
      'an error in a watch',
      { event: { type: 'ERROR', object: { code: 500, message: 'etcd is away' } } },
      /^status 500 for watch of namespaces: etcd is away/,
    ],
    [
      'an error that is none',
      { event: { type: 'ERROR', object: 7 } },
      /^status 500 for watch of namespaces: no reason given/,
    ],
  ];
  test.each(cases)('%s: told, and the watch taken up again where it was', async (_, fault, error) => {
    put('a', '1');
    const seen = follow();
    await seen.sees({ a: '1' });
    await watching();
    fail(fault, 1, isResumed);
    server.endWatches();
    await waitFor(() => error.test(status().lastError), {
      what: `${error}`,
      details: () => status().lastError,
    });
    put('b', '1');
    await seen.sees({ a: '1', b: '1' });
    await seen.reports();
    expect(status()).toMatchObject({ restarts: 1, lists: 1 });
  });

  test('again and again: everything is asked for', async () => {
    put('a', '1');
    const seen = follow();
    await seen.sees({ a: '1' });
    await watching();
    fail({ insert: { after: 0, text: 'garbage\n' } }, Number.POSITIVE_INFINITY, isResumed);
    server.endWatches();
    await waitFor(() => status().lists >= 2, { what: 'another list' });
    put('b', '1');
    await seen.sees({ a: '1', b: '1' });
  });

  test('a line without end is not read to its end', async () => {
    put('a', '1');
    const seen = follow({ objectLimit: 10_000 });
    await seen.sees({ a: '1' });
    await watching();
    fail({ insert: { after: 0, text: 'x'.repeat(20_000) } }, 1, isResumed);
    server.endWatches();
    await waitFor(() => status().lastError === 'a line of more than 10000 bytes', {
      what: 'the limit',
      details: () => status().lastError,
    });
    put('b', '1');
    await seen.sees({ a: '1', b: '1' });
  });

  test('lists', async () => {
    server.streams = false;
    put('a', '1');
    const bodies = [
      '',
      '{',
      '[]',
      '{}',
      '{"items":[',
      '{"items":[1]}',
      '{"items":[{"metadata":7}],"metadata":{"resourceVersion":"7"}}',
      '{"kind":"NamespaceList","items":null}',
      '{"kind":"NamespaceList","metadata":{"resourceVersion":"7"}}',
      '{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[]}',
      '{"kind":"Status","metadata":{},"status":"Success"}',
      'null',
    ];
    let next = 0;
    server.fault = ({ verb }) =>
      verb === 'list' && next < bodies.length ? { body: bodies[next++]! } : undefined;
    const seen = follow();
    await seen.sees({ a: '1' });
    expect(next).toBe(bodies.length);
    expect(seen.updates.at(-1)!.type).not.toBe('changes');
  });

  test('a page that leads to itself', async () => {
    server.streams = false;
    put('a', '1');
    put('b', '1');
    server.fault = ({ query }) => {
      const metadata = { resourceVersion: '7', continue: 'again' };
      const page = { kind: 'NamespaceList', metadata, items: [] };
      return query.has('continue') ? { body: JSON.stringify(page) } : undefined;
    };
    const seen = follow({ pageSize: 1 });
    await waitFor(() => status().lastError === 'the same page again', {
      what: 'the same page',
      details: () => status().lastError,
    });
    server.fault = ({ query }) => (query.get('continue') === 'again' ? { status: 410 } : undefined);
    await seen.sees({ a: '1', b: '1' });
  });
});

describe('a server that', () => {
  test('is away for long: what is known stays in force', async () => {
    put('a', '1');
    const seen = follow({ kinds: ['Namespace', 'Node'] });
    await seen.sees({ a: '1' });
    await server.crash();
    await seen.reports('^no connection \\(.*ECONNREFUSED', '^no connection \\(.*ECONNREFUSED');
    await waitFor(() => status().restarts > 20, { what: 'many attempts' });
    await seen.sees({ a: '1' });
    expect(seen.problems[0]).toMatchObject({ severity: 'warning', file: `${server.url}/api/v1/namespaces` });
    // However often it is tried: it is told once.
    expect(seen.updates.length).toBeLessThan(12);
    put('b', '1');
    server.delete('Namespace', 'a');
    await server.listen();
    await seen.sees({ b: '1' });
    await seen.reports();
    expect(status()).toMatchObject({ lists: 1, state: 'watching' });
  });

  test('is back and has forgotten: there is no pause before everything is asked for, and nobody is told', async () => {
    put('a', '1');
    const seen = follow({ times: { shortestPause: 2, longestPause: 5_000 } });
    await seen.sees({ a: '1' });
    await watching();
    await server.crash();
    await waitFor(() => status().restarts >= 8, { what: 'many attempts' });
    server.delete('Namespace', 'a');
    put('b', '1');
    server.compact();
    put('c', '1');
    await server.listen();
    await seen.sees({ b: '1', c: '1' });
    expect(status()).toMatchObject({ lists: 2, lastError: expect.stringMatching('410') });
    const said = seen.updates.flatMap(({ problems }) => problems.map(({ found }) => found));
    expect(said.some((found) => found.startsWith('status 410'))).toBe(false);
  });

  test('is overloaded is left alone for as long as it asks', async () => {
    const seen = follow();
    await seen.sees({});
    await watching();
    const times: number[] = [];
    server.fault = (request) => {
      if (!isResumed(request)) return undefined;
      times.push(performance.now());
      return times.length === 1 ? { status: 429, retryAfter: 1, message: 'too many requests' } : undefined;
    };
    server.endWatches();
    await waitFor(() => times.length === 2, { what: 'another attempt' });
    // SHORT allows pauses of up to 20 ms, and no more than that is granted.
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(19);
    expect(status().lastError).toMatch('429');
  });

  test('does not know the account any more gets what the kubeconfig says now', async () => {
    const kubeconfig = server.kubeconfig({ token: 'old' });
    server.fault = ({ headers }) =>
      headers.authorization === 'Bearer new' ? undefined : { status: 401, reason: 'Unauthorized' };
    const seen = follow({ kubeconfig });
    await seen.reports('status 401 Unauthorized');
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        clusters: [{ name: 'c', cluster: { server: server.url } }],
        users: [{ name: 'u', user: { token: 'new' } }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
    await seen.sees({});
    await seen.reports();
  });

  test('is reached with a token from a file that changes', async () => {
    const file = join(newTempFolder(), 'token');
    writeFileSync(file, 'one\n');
    put('a', '1');
    const seen = follow({ kubeconfig: server.kubeconfig({ tokenFile: file }) });
    await seen.sees({ a: '1' });
    await watching();
    writeFileSync(file, 'two\n');
    server.cut();
    put('a', '2');
    await seen.sees({ a: '2' });
    expect(new Set(server.requests.map(({ headers }) => headers.authorization))).toEqual(
      new Set(['Bearer one', 'Bearer two']),
    );
  });

  test('is behind something that answers in its place', async () => {
    put('a', '1');
    fail({ status: 502, text: '<html>\n <h1>Bad Gateway</h1>' }, 3);
    const seen = follow();
    await seen.sees({ a: '1' });
    expect(seen.updates[0]!.problems[0]!.found).toBe(
      'status 502 for list and watch of namespaces: <html> <h1>Bad Gateway</h1>',
    );
  });
});

test('nothing is left when it ends: no connection, whatever was under way', async () => {
  server.fault = ({ kind }, count) =>
    ({ Namespace: undefined, Node: { silent: true }, Pod: { stallAfter: 10 }, Service: { status: 500 } })[
      kind as string
    ] ?? (count > 1e9 ? {} : undefined);
  const seen = follow({ kinds: ['Namespace', 'Node', 'Pod', 'Service'] });
  await waitFor(() => server.requests.length >= 5, { what: 'requests' });
  await seen[Symbol.asyncDispose]();
  await waitFor(() => server.connections === 0, {
    what: 'no connection',
    details: () => `${server.connections}`,
  });
  const count = server.requests.length;
  expect(server.requests.length).toBe(count);
});
