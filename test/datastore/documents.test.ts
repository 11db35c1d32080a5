import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { readFileContents, readFileInSlices } from '#datastore/directory/documents.ts';
import { describeProblem } from '#datastore/problem.ts';
import { runs } from '#test/helpers/runs.ts';

function lines(source: string): string[] {
  return readFileContents('f.yaml', source).problems.map(describeProblem);
}

function keys(source: string): string[] {
  return readFileContents('f.yaml', source).objects.map(
    ({ key, resource, document }) => `${document}: ${key}${resource === undefined ? ' invalid' : ''}`,
  );
}

const NAMESPACE = (name: string) => `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name} }\n`;

describe('what stands in a file', () => {
  test('several documents, empty ones and comments between them', () => {
    const source = `# all of it\n---\n${NAMESPACE('a')}---\n---\n# nothing\n---\n${NAMESPACE('b')}...\n---\nnull\n`;
    expect(keys(source)).toEqual(['1: Namespace//a', '4: Namespace//b']);
    expect(lines(source)).toEqual([]);
  });

  test('nothing', () => {
    for (const source of ['', '\n', '---\n', '# only a comment\n', '\ufeff']) {
      expect(readFileContents('f', source)).toMatchObject({ objects: [], problems: [], complete: true });
    }
  });

  test('JSON', () => {
    const json = JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } }, undefined, '\t');
    expect(keys(json)).toEqual(['1: Node//n']);
  });

  test('a List, and a typed list whose items do not say what they are', () => {
    expect(
      keys(`
apiVersion: v1
kind: List
items:
- { apiVersion: v1, kind: Namespace, metadata: { name: a } }
- { apiVersion: v1, kind: Node, metadata: { name: n } }
---
{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList, items: [{ metadata: { name: p } }, { metadata: { name: q } }] }
---
{ apiVersion: v1, kind: PodList, items: null }
`),
    ).toEqual(['1: Namespace//a', '1: Node//n', '2: NetworkPolicy/default/p', '2: NetworkPolicy/default/q']);
  });

  test('anchors and merge keys', () => {
    const source = `
apiVersion: v1
kind: List
items:
- &pod { apiVersion: v1, kind: Pod, metadata: &meta { name: a, labels: { app: web } } }
- { <<: *pod, metadata: { <<: *meta, name: b } }
`;
    expect(keys(source)).toEqual(['1: Pod/default/a', '1: Pod/default/b']);
    expect(readFileContents('f', source).objects[1]!.resource!.labels).toEqual({ app: 'web' });
  });
});

describe('what is wrong is told with file, line, document, object, path, found and expected', () => {
  test('a value', () => {
    const source = `${NAMESPACE('a')}---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: p
  namespace: shop
spec:
  ingress:
  - ports:
    - port: 80
    - port: 70000
`;
    expect(readFileContents('f.yaml', source).problems).toEqual([
      {
        severity: 'error',
        file: 'f.yaml',
        document: 2,
        line: 14,
        column: 13,
        object: 'NetworkPolicy shop/p',
        path: 'spec.ingress[0].ports[1].port',
        found: '70000',
        expected: 'a port number from 1 to 65535',
      },
    ]);
    expect(lines(source)).toEqual([
      'f.yaml:14:13 (document 2, NetworkPolicy shop/p): spec.ingress[0].ports[1].port: found 70000, expected a port number from 1 to 65535',
    ]);
    expect(keys(source)).toEqual(['1: Namespace//a', '2: NetworkPolicy/shop/p invalid']);
  });

  test('an unknown field, by the line of its name', () => {
    const source = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p }
spec:
  podselector:
    matchLabels: {}
`;
    expect(lines(source)).toEqual([
      'f.yaml:6:3 (document 1, NetworkPolicy default/p): spec.podselector: found an unknown field, expected one of podSelector, policyTypes, ingress, egress',
    ]);
  });

  test('something that is missing, by what is around it', () => {
    expect(lines('apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: a\n')[0]).toContain(
      'f.yaml:4:3 (document 1): metadata.name:',
    );
  });

  test('an item of a list', () => {
    const source = `
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Namespace
  metadata: { name: a }
- apiVersion: v1
  kind: Pod
  metadata: { name: b }
  spec: { hostNetwork: 1 }
- 7
`;
    expect(lines(source)).toEqual([
      'f.yaml:11:24 (document 1, Pod default/b): items[1].spec.hostNetwork: found 1, expected true or false',
      'f.yaml:12:3 (document 1): items[2]: found 7, expected an object with apiVersion, kind and metadata',
    ]);
  });

  test('a mistake in the YAML; the documents around it count', () => {
    const source = `${NAMESPACE('a')}---\nkind: [\n---\n${NAMESPACE('b')}`;
    const contents = readFileContents('f.yaml', source);
    expect(contents.objects.map(({ key }) => key)).toEqual(['Namespace//a', 'Namespace//b']);
    expect(contents.complete).toBe(false);
    expect(contents.problems).toMatchObject([{ severity: 'error', document: 2, expected: 'valid YAML' }]);
  });

  test('a key that stands twice', () => {
    expect(lines('apiVersion: v1\nkind: Pod\nkind: Node\nmetadata: { name: a }\n')[0]).toMatch(
      /^f.yaml:3:1 .*unique/,
    );
  });

  test('aliases that stand for too much', () => {
    const level = (n: number) =>
      `${'abcdefgh'[n]}: &${'abcdefgh'[n]} [${`*${'abcdefgh'[n - 1]},`.repeat(9)}]`;
    const source = ['a: &a [x]', ...[1, 2, 3, 4, 5, 6, 7].map(level)].join('\n');
    const contents = readFileContents('f.yaml', source);
    expect(contents).toMatchObject({ complete: false, problems: [{ expected: 'fewer aliases' }] });
  });

  test('merge keys that merge nothing', () => {
    const contents = readFileContents(
      'f.yaml',
      '<<: [1, 2]\n---\n{ apiVersion: v1, kind: Node, metadata: { name: a } }\n',
    );
    expect(contents).toMatchObject({
      complete: false,
      objects: [{ document: 2 }],
      problems: [{ document: 1 }],
    });
    expect(contents.problems[0]!.found).toMatch(/^a mistake in the YAML/);
  });

  test('what is nested too deep', () => {
    for (const deep of ['? ', '[', '{ a: ', '- ']) {
      const contents = readFileContents('f.yaml', deep.repeat(20_000));
      expect(contents).toMatchObject({
        complete: false,
        objects: [],
        problems: [{ file: 'f.yaml', document: 1 }],
      });
    }
  });

  test('whatever stands in a file, reading it comes to an end, and says what is wrong', () => {
    const source = `apiVersion: v1
kind: Pod
metadata: &m { name: "a", labels: { x: 'y' } }
spec: { <<: *m, containers: [ { ports: [ { containerPort: 80, name: web } ] } ] }
---
- {"apiVersion": "v1", "kind": "List", "items": [ null, 1, { kind: Pod } ]}
# comment
key: |
  text
`;
    const scraps = fc.constantFrom(
      ...[
        '',
        ' ',
        '\n',
        '-',
        '- ',
        ':',
        ': ',
        '[',
        ']',
        '{',
        '}',
        ',',
        '&a ',
        '*a',
        '*m',
        '<<: ',
        '? ',
        '!!set ',
        '!!binary ',
        '|',
      ],
      ...[
        '\0',
        '\ud800',
        '\ufeff',
        '%YAML 9.9\n',
        '---\n',
        '...\n',
        '"',
        "'",
        '\t',
        '1e999',
        '0x',
        '~',
        '__proto__: ',
      ],
    );
    const cut = fc.record({
      at: fc.nat(source.length),
      length: fc.nat(20),
      scrap: scraps,
      times: fc.constantFrom(1, 2, 3_000),
    });
    fc.assert(
      fc.property(fc.array(cut, { maxLength: 6 }), (cuts) => {
        let text = source;
        for (const { at, length, scrap, times } of cuts) {
          text = text.slice(0, at) + scrap.repeat(times) + text.slice(at + length);
        }
        const { objects, problems, complete } = readFileContents('f.yaml', text);
        if (!complete) expect(problems).not.toEqual([]);
        for (const { resource } of objects) if (resource === undefined) expect(problems).not.toEqual([]);
      }),
      { numRuns: runs(500) },
    );
  });

  test('a kind that is not read: a warning, but an error if it would tell the network what to do', () => {
    const foreign = (apiVersion: string, kind: string) =>
      readFileContents('f', `{ apiVersion: ${apiVersion}, kind: ${kind}, metadata: { name: x } }`);
    expect(foreign('apps/v1', 'Deployment')).toMatchObject({
      complete: true,
      problems: [{ severity: 'warning', found: 'Deployment of apps/v1' }],
    });
    expect(foreign('projectcalico.org/v3', 'GlobalNetworkPolicy')).toMatchObject({
      problems: [{ severity: 'error' }],
    });
    expect(foreign('extensions/v1beta1', 'NetworkPolicy')).toMatchObject({
      problems: [{ severity: 'error', expected: 'NetworkPolicy of networking.k8s.io/v1' }],
    });
  });

  test('an object that can not be told apart from others makes the file incomplete, one with a name does not', () => {
    const complete = (source: string) => readFileContents('f', source).complete;
    expect(complete('{ apiVersion: v1, kind: Pod, metadata: { namespace: a } }')).toBe(false);
    expect(complete('{ kind: Pod, metadata: { name: a } }')).toBe(false);
    expect(complete('{ apiVersion: v1, kind: Pod, metadata: { name: a }, spec: 7 }')).toBe(true);
  });

  test('a list without a list', () => {
    expect(readFileContents('f', '{ apiVersion: v1, kind: PodList, items: {} }')).toMatchObject({
      complete: false,
      problems: [{ path: 'items', found: 'a mapping', expected: 'a list' }],
    });
  });
});

test('a file is read in slices to the same as at once, and the event loop has its turn meanwhile', async () => {
  const pod = (i: number) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: `p-${i}` } });
  const list = { apiVersion: 'v1', kind: 'List', items: Array.from({ length: 300 }, (_, i) => pod(i)) };
  const documents = Array.from({ length: 600 }, (_, i) => stringify(pod(1000 + i)));
  const source = [...documents, JSON.stringify(list), '{ not yaml', stringify(pod(7))].join('\n---\n');
  let turns = 0;
  let reading = true;
  const count = () => {
    turns++;
    if (reading) setImmediate(count);
  };
  setImmediate(count);
  const contents = await readFileInSlices('f.yaml', source);
  reading = false;
  expect(turns).toBeGreaterThan(3);
  const { objects, problems, complete } = readFileContents('f.yaml', source);
  expect(contents).toMatchObject({ objects, problems, complete });
  expect(objects).toHaveLength(901);
  expect(complete).toBe(false);
});
