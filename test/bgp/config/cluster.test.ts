import { describe, expect, test } from 'vitest';
import { ConfigError } from '#daemon/problem.ts';
import { HEAD, loadFile } from './config.ts';

function problemsOf(source: string, node?: string): string[] {
  try {
    loadFile(source, {}, node);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

test('a file that is the same on all nodes: the name from outside, the rest by default', () => {
  const { cluster, speaker } = loadFile('as: 64512\ndatastore: {kubernetes: {}}\ncluster: {}\n', {}, 'n7');
  expect(cluster).toMatchObject({
    node: 'n7',
    datastore: { kubernetes: { kubeconfig: undefined } },
    mesh: { fields: { remoteAs: 'internal' } },
    fixedRouterId: false,
    stateFolder: '/var/lib/margay/bgp',
  });
  expect(speaker.routerId).toBe(0);
});

test('the name in the file goes before that from outside; `kubernetes:` with nothing behind it is the account of the pod', () => {
  const source = 'as: 64512\ndatastore:\n  kubernetes:\ncluster: {node: n1, mesh: false}\n';
  const { cluster } = loadFile(source, {}, 'n7');
  expect(cluster).toMatchObject({ node: 'n1', mesh: undefined, datastore: { kubernetes: {} } });
});

describe('what is wrong is told with its place', () => {
  test.each([
    [
      'as: 64512\n',
      'test.yaml:1:1: routerId: found nothing, expected an identifier written as an IPv4 address, not 0.0.0.0',
    ],
    [
      'as: 1\ncluster: {}\ndatastore: {directory: /x}\n',
      'test.yaml:2:1: cluster.node: found nothing, expected the name of the Node object, here or in NODE_NAME',
    ],
    [
      'as: 1\ncluster: {node: n1}\n',
      'test.yaml:1:1: datastore: found nothing, expected directory: DIR, or kubernetes: {}, to read Node objects from',
    ],
    [
      'as: 1\ncluster: {node: n1}\ndatastore: {}\n',
      'test.yaml:3:12: datastore: found neither, expected directory: DIR, or kubernetes: {}',
    ],
    [
      'as: 1\ncluster: {node: n1}\ndatastore: {directory: /x, kubernetes: {}}\n',
      'test.yaml:3:12: datastore: found both, expected directory or kubernetes, not both',
    ],
    [
      `${HEAD}datastore: {directory: /x}\n`,
      'test.yaml:3:12: datastore: found a mapping, expected nothing without cluster: the rest of the file needs no objects',
    ],
    [
      `${HEAD}peers: [{address: 10.0.0.2, remoteAs: 1, nodeSelector: {}}]\n`,
      'test.yaml:3:56: peers[0].nodeSelector: found a mapping, expected nothing without cluster',
    ],
    [
      'as: 1\ncluster: {node: n1, group: mush}\ndatastore: {directory: /x}\npeerGroups: {mesh: {}}\n',
      'test.yaml:2:28: cluster.group: found "mush", expected the name of a peer group (did you mean mesh?)',
    ],
    [
      'as: 1\ncluster: {node: n1, group: g}\ndatastore: {directory: /x}\npeerGroups: {g: {remoteAs: external}}\n',
      'test.yaml:4:28: peerGroups.g.remoteAs: found "external", expected internal: it is the group of the mesh',
    ],
    [
      'as: 1\ncluster: {node: n1, group: g}\ndatastore: {directory: /x}\npeerGroups: {g: {timers: {hold: 9, keepalive: 10}}}\n',
      'test.yaml:4:47: peerGroups.g.timers.keepalive: found 10, expected less than the hold time of 9 s',
    ],
    [
      'as: 1\ncluster: {node: n1, mesh: false, group: g}\ndatastore: {directory: /x}\npeerGroups: {g: {}}\n',
      'test.yaml:2:41: cluster.group: found "g", expected nothing without mesh: it is for the neighbours of the mesh',
    ],
    [
      'as: 1\ncluster: {node: n1}\ndatastore: {directory: /x}\npeers: [{address: 10.0.0.2, remoteAs: 2, nodeSelector: {matchLabel: {a: b}}}]\n',
      'test.yaml:4:69: peers[0].nodeSelector.matchLabel: found a mapping, expected one of matchLabels, matchExpressions',
    ],
    [
      'as: 1\ncluster: {node: n1}\ndatastore: {directory: /x}\nfilters: {pod-cidrs: {otherwise: accept}}\n',
      'test.yaml:4:22: filters.pod-cidrs: found a filter, expected another name, pod-cidrs is built in',
    ],
  ])('%s', (source, problem) => {
    expect(problemsOf(source)).toEqual([problem]);
  });

  test('the filter of the pod CIDRs is there with a cluster only', () => {
    const peers = 'peers: [{address: 10.0.0.2, remoteAs: 2, import: pod-cidrs, export: own-prefixes}]\n';
    expect(problemsOf(`as: 1\ncluster: {node: n1}\ndatastore: {directory: /x}\n${peers}`)).toEqual([]);
    expect(problemsOf(`${HEAD}${peers}`)).toHaveLength(1);
  });
});
