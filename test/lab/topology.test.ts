import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '#bgp/config/load.ts';
import { readFileContents } from '#datastore/directory/documents.ts';
import { applicationManifests, clusterObjects, TIERS } from '#lab/application.ts';
import { bgpConfig, nodeFiles, torConfig } from '#lab/node-config.ts';
import { LAB_NAME, MOST_NODES, namespacePrefix, planLab, podNamespace } from '#lab/topology.ts';

const both = planLab({ name: 'x', nodes: MOST_NODES, families: ['ipv4', 'ipv6'], tor: 'margay' });

describe('the plan of a lab', () => {
  test('gives no address, AS, interface or namespace twice', () => {
    const all = [
      both.tor.netns,
      ...both.nodes.flatMap(({ netns, downlink, podCidrs, link, asn }) => [
        netns,
        downlink,
        `AS ${asn}`,
        ...podCidrs,
        ...link.flatMap(({ tor, node }) => [tor, node]),
      ]),
      `AS ${both.tor.asn}`,
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  test('keeps namespaces of labs apart whose names begin alike', () => {
    for (const name of ['lab', 'lab-2', 'lab2']) {
      for (const other of ['lab', 'lab-2', 'lab2'].filter((each) => each !== name)) {
        expect(podNamespace(other, 'shop', 'api-1').startsWith(namespacePrefix(name))).toBe(false);
      }
    }
    for (const bad of ['', '-a', 'a-', 'A', 'a.b', 'a/b', '..', 'x'.repeat(33)])
      expect(bad).not.toMatch(LAB_NAME);
  });

  test('makes configurations that the speaker takes', () => {
    const files = nodeFiles('/run/margay-lab/x', 'n1');
    for (const document of [bgpConfig(both, both.nodes[0]!, files), torConfig(both, files)]) {
      expect(() => loadConfig(stringify(document), { file: 'x.yaml', readSecret: () => '' })).not.toThrow();
    }
  });

  test('makes objects that the datastore takes', () => {
    const text = [
      ...clusterObjects(both).map((object) => stringify(object)),
      applicationManifests(both, 7),
    ].join('---\n');
    const { problems, objects } = readFileContents('x', text);
    expect(problems).toEqual([]);
    expect(objects.filter(({ key }) => key.startsWith('Pod/'))).toHaveLength(7);
  });

  test('has each tier from three pods on, and as many pods as were wished for', () => {
    for (const pods of [3, 4, 5, 6, 10, 31]) {
      const { objects } = readFileContents('x', applicationManifests(both, pods));
      const keys = objects.map(({ key }) => key).filter((key) => key.startsWith('Pod/'));
      expect(new Set(keys).size).toBe(pods);
      for (const { tier } of TIERS) expect(keys.some((key) => key.includes(`/${tier}-`))).toBe(true);
    }
  });
});
