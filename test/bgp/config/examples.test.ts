import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { load } from './config.ts';

const FOLDER = join(import.meta.dirname, '../../../docs/examples/bgp');
const SECRETS = { '/etc/margay/bgp-password': 'rack-secret\n' };

function example(name: string) {
  return load(readFileSync(join(FOLDER, name), 'utf8'), SECRETS);
}

it('every example is a valid configuration', () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));
  expect(names.sort()).toEqual(['node.yaml', 'route-reflector.yaml', 'tor.yaml']);
  for (const name of names) expect(() => example(name)).not.toThrow();
});

it('the node and the router of the examples would come to a session', () => {
  const node = example('node.yaml').peers.find(({ key }) => key === '10.0.0.1')!;
  const tor = example('tor.yaml').peers.find(({ key }) => key === '10.0.0.0/24')!;
  expect(node.password).toBe(tor.password);
  expect(node.reach).toEqual(tor.reach);
  expect(node.families.map(({ family }) => family)).toEqual(tor.families.map(({ family }) => family));
  expect(node.remoteAs).toEqual([{ first: tor.localAs, last: tor.localAs }]);
  expect(tor.remoteAs).toContainEqual({ first: node.localAs, last: node.localAs });
});
