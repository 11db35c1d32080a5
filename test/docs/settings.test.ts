/**
 * The reference of the settings is made of the schemas. What these say of each field is held to what the daemons do.
 */

import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { compareConfigs, type Effect } from '#bgp/config/difference.ts';
import { loadConfig as loadBgp } from '#bgp/config/load.ts';
import type { Field } from '#cli/reference/fields.ts';
import { renderPages } from '#cli/reference/pages.ts';
import { TABLES } from '#cli/reference/settings.ts';
import { loadConfig as loadFelix } from '#felix/config/load.ts';
import { resolveConfig as loadPolicy } from '#policy/daemon/config.ts';

test('the pages are as `npm run docs` makes them', () => {
  const pages = renderPages();
  expect(pages.map(({ file }) => basename(file))).toContain('configuration.md');
  for (const { file, is, shouldBe } of pages) expect(is, file).toBe(shouldBe);
});

type Mapping = Record<string, unknown>;

/** How a table's fields stand in a file of their daemon. */
interface Place {
  /** A file that is complete without the field at that path. */
  readonly base: (path: string) => Mapping;
  /** The mapping in it that the field stands in. */
  readonly at: (file: Mapping) => Mapping;
  readonly load: (source: string) => unknown;
}

const bgp = (source: string) => loadBgp(source, { file: 'test.yaml', readSecret: () => 'secret' });
const speaker = { routerId: '192.0.2.1', as: 64512 };
const filters = { pods: { otherwise: 'accept' } };
/** The neighbour may be internal or external. */
const peer = { remoteAs: [64512, 65001] };

const PLACES: Readonly<Record<string, Place>> = {
  bgp: {
    base: (path) => ({
      ...speaker,
      ...inCluster(path),
      as: 64513,
      listen: [{ address: '127.0.0.1' }],
      originate: [{ prefix: '192.0.2.0/24' }],
    }),
    at: (file) => file,
    load: bgp,
  },
  'bgp peers': {
    base: (path) => {
      const who = ['prefix', 'limit'].includes(path) ? { prefix: '10.9.0.0/16' } : { address: '10.9.0.1' };
      return { ...speaker, ...inCluster(path), peerGroups: { tors: {} }, peers: [{ ...peer, ...who }] };
    },
    at: firstPeer,
    load: bgp,
  },
  'bgp families': {
    base: (path) => ({
      ...speaker,
      filters,
      peers: [
        { ...peer, address: '10.9.0.1', ...(path.startsWith('max') && { maxPrefixes: { limit: 10 } }) },
      ],
    }),
    at: firstPeer,
    load: bgp,
  },
  'bgp filters': { base: oneFilter, at: (file) => theFilter(file), load: bgp },
  'bgp filter conditions': { base: oneFilter, at: (file) => inStatement(file, 'match'), load: bgp },
  'bgp filter actions': { base: oneFilter, at: (file) => inStatement(file, 'set'), load: bgp },
  felix: {
    base: (path) => ({
      node: 'n9',
      policy: {
        ...(path !== 'policy.address' && { address: 'other:1' }),
        tls: { ca: '/ca', certificate: '/certificate', key: '/key' },
      },
      ...(path.startsWith('datastore')
        ? {
            pods: {},
            datastore: path.includes('kubernetes') ? { kubernetes: {} } : { directory: '/objects' },
          }
        : { pods: { cidrs: ['10.9.0.0/24'] } }),
      dataplane: {
        pools: [{ cidr: '10.9.0.0/16', ...(!path.endsWith('natOutgoing') && { natOutgoing: true }) }],
      },
    }),
    at: (file) => file,
    load: (source) => loadFelix(source, 'test.yaml'),
  },
  policy: {
    base: (path) => ({
      datastore: datastoreFor(path),
      listen: { address: 'other:1', tls: { ca: '/ca', certificate: '/certificate', key: '/key' } },
    }),
    at: (file) => file,
    load: (source) => loadPolicy(source, { config: 'test.yaml' }),
  },
};

/** What goes with fields that are about the nodes of a cluster. */
function inCluster(path: string): Mapping {
  if (!/^(cluster|datastore|nodeSelector)\b/.test(path)) return {};
  return { cluster: { node: 'n9' }, datastore: datastoreFor(path), peerGroups: { nodes: {} } };
}

function datastoreFor(path: string): Mapping {
  return path.startsWith('datastore.kubernetes') ? { kubernetes: {} } : { directory: '/objects' };
}

function oneFilter(path: string): Mapping {
  const set = path.startsWith('prepend') ? { prepend: { times: 1 } } : {};
  return { ...speaker, filters: { f: { statements: [{ match: {}, set, action: 'reject' }] } } };
}

function theFilter(file: Mapping): Mapping {
  return (file.filters as { f: Mapping }).f;
}

function inStatement(file: Mapping, part: 'match' | 'set'): Mapping {
  const [statement] = theFilter(file).statements as Mapping[];
  return statement![part] as Mapping;
}

function firstPeer(file: Mapping): Mapping {
  return (file.peers as Mapping[])[0]!;
}

/** What the daemon makes of the file with the field, and of the file as it is when no value is given. */
function loaded({ base, at, load }: Place, path: string, ...value: unknown[]): unknown {
  const file = base(path);
  if (value.length > 0) place(at(file), path.split('.'), value[0]);
  return load(stringify(file));
}

/** Puts a value at a path; `pools[]` is the first of the list. */
function place(into: Mapping, [part, ...more]: readonly string[], value: unknown): void {
  const name = part!.replace('[]', '');
  if (more.length === 0) {
    into[name] = value;
    return;
  }
  into[name] ??= {};
  const inside = part === name ? into[name] : (into[name] as unknown[])[0];
  place(inside as Mapping, more, value);
}

function all(): { table: string; path: string; field: Field }[] {
  return Object.entries(TABLES).flatMap(([table, fields]) =>
    fields.map((field) => ({ table, path: field.path, field })),
  );
}

describe('every field of the settings', () => {
  test('is there', () => {
    const paths = all().map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining(['routerId', 'timers.keepalive', 'asPath.patterns', 'pods.mtu']),
    );
    expect(paths).toEqual(
      expect.arrayContaining(['dataplane.pools[].natOutgoing', 'listen.tls.ca', 'otherwise']),
    );
    expect(paths.length).toBeGreaterThan(110);
  });

  test.each(all())('$table: $path says what it means and which values there are', ({ field }) => {
    expect(field.text.description).toMatch(/^(?=[`A-Z]{2}|[^A-Z]).*[^.]$/);
    expect(field.text.expected).toMatch(/\w/);
  });

  test.each(all())(
    '$table: $path has an example that its daemon takes, and that is not what holds anyway',
    ({ table, path, field }) => {
      const { example } = field.text;
      expect(example).toBeDefined();
      const place = PLACES[table]!;
      expect(loaded(place, path, example)).not.toEqual(loaded(place, path));
    },
  );

  // Filters are taken over as they are written; what is done without these is told by their own tests.
  const inEffect = all().filter(({ table, field }) => {
    return field.text.default !== undefined && table !== 'bgp filter actions';
  });
  test.each(inEffect)('$table: $path has the default that it says', ({ table, path, field }) => {
    const place = PLACES[table]!;
    expect(loaded(place, path, field.text.default)).toEqual(loaded(place, path));
  });

  const ofPeers = all().filter(({ table, path }) => {
    return (
      (table === 'bgp peers' || table === 'bgp families') &&
      !['address', 'prefix', 'group', 'nodeSelector'].includes(path)
    );
  });
  test.each(ofPeers)('$table: $path: a change does what it says', ({ table, path, field }) => {
    const load = (...value: unknown[]) => loaded(PLACES[table]!, path, ...value) as ReturnType<typeof bgp>;
    const [before, after] = [load(), load(field.text.example)];
    const [changed] = compareConfigs(before.speaker, after.speaker).changed;
    const effects = new Set(changed!.fields.flatMap((each) => each.effects));
    expect(field.text.change ?? '').toBe(inWords(effects));
  });
});

function inWords(effects: ReadonlySet<Effect>): string {
  if (effects.has('reset')) return 'resets';
  if (effects.has('enable') || effects.has('disable')) return 'starts, stops';
  const directions = [effects.has('softIn') && 'import', effects.has('softOut') && 'export'].filter(Boolean);
  return directions.length === 0 ? '' : `runs ${directions.join(' and ')} again`;
}
