import { afterEach, expect, test } from 'vitest';
import type { Log } from '#daemon/log.ts';
import { formatPrefix } from '#datastore/address.ts';
import type { Source, Update } from '#datastore/source.ts';
import { NodeCidrs } from '#felix/ipam/node-cidrs.ts';
import { waitFor } from '#test/helpers/wait.ts';
import { FakeFiles } from '../state/fake-files.ts';

const stop = new AbortController();
afterEach(() => stop.abort());

const silent = { info() {}, warn() {}, error() {} } as unknown as Log;

/** As after a start of the agent on a node of this name. */
function start(node: string, files: FakeFiles, updates: readonly Update[] = []): NodeCidrs {
  const source: Source = {
    async *watch() {
      yield* updates;
    },
  };
  const cidrs = new NodeCidrs({
    node,
    source,
    datastore: 'a test',
    stateFolder: '/state',
    files,
    log: silent,
  });
  cidrs.load();
  return cidrs;
}

const nodeObject = (name: string, podCidrs: readonly string[]): Update =>
  ({
    type: 'snapshot',
    resources: [{ kind: 'Node', namespace: '', name, labels: {}, addresses: [], podCidrs }],
    problems: [],
  }) as unknown as Update;

test('a node that was renamed waits for its own pod CIDRs: those of its old name are given to another by now', async () => {
  const files = new FakeFiles();
  const first = start('n1', files, [nodeObject('n1', ['10.1.1.0/24'])]);
  await first.run(stop.signal, () => {});
  await waitFor(() => start('n1', files).current?.map(formatPrefix).join() === '10.1.1.0/24', {
    what: 'the CIDRs are kept',
  });
  const renamed = start('n2', files);
  expect(renamed.current).toBeUndefined();
  expect(renamed.waitsFor).toBe('spec.podCIDRs of Node n2 are not known yet (a test)');
  // What is there of the old name is no hindrance.
  const updated = start('n2', files, [nodeObject('n2', ['10.1.2.0/24'])]);
  await updated.run(stop.signal, () => {});
  expect(start('n2', files).current?.map(formatPrefix)).toEqual(['10.1.2.0/24']);
});
