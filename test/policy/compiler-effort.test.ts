import { beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { formatAddress } from '#datastore/address.ts';
import { keyOf, type Resource } from '#datastore/resource.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import type { ProgramSink } from '#policy/program/program.ts';
import { resourcesOf } from './clusters.ts';

/** Notes all that it is told, in words; class names are left out. */
class Recorder implements ProgramSink {
  readonly heard: string[] = [];

  endpoint(...[pod, program]: Parameters<ProgramSink['endpoint']>): void {
    const say = (rules: { isolated: boolean; anyPeer: { text: string } }) =>
      rules.isolated ? `isolated but for ${rules.anyPeer.text}` : 'open';
    this.heard.push(
      program ? `${pod}: in ${say(program.ingress)}, out ${say(program.egress)}` : `${pod}: gone`,
    );
  }

  entry(...[direction, , pod, verdicts]: Parameters<ProgramSink['entry']>): void {
    this.heard.push(`${direction} ${pod} ${verdicts?.text ?? 'gone'}`);
  }

  address(...[direction, address, id]: Parameters<ProgramSink['address']>): void {
    this.heard.push(`${direction} ${formatAddress(address)} ${id === undefined ? 'gone' : 'set'}`);
  }

  blocks(...[direction, family, ranges]: Parameters<ProgramSink['blocks']>): void {
    this.heard.push(`${direction} IPv${family} ${ranges.length} ranges`);
  }

  classGone(): void {}

  commit(): void {}

  take(): string[] {
    return this.heard.splice(0).sort();
  }
}

let compiler: Compiler;
let near: Recorder;
let far: Recorder;
let state: Map<string, Resource>;

/** Puts objects, and takes away those that are `null`; both nodes then have what they heard. */
function put(...objects: (object | string)[]): void {
  compiler.apply(
    objects.map((object) => {
      if (typeof object === 'string') return { type: 'delete', key: object };
      const [resource] = resourcesOf([object as Record<string, unknown>]) as [Resource];
      state.set(keyOf(resource), resource);
      return { type: 'put', resource };
    }),
  );
  compiler.flush();
}

function pod(name: string, labels: object, address: string | undefined, rest: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'a', name, uid: 'u', labels, ...rest },
    spec: { nodeName: name.startsWith('far') ? 'far' : 'near' },
    status: { podIPs: address === undefined ? [] : [{ ip: address }] },
  };
}

function policy(name: string, spec: string): object {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace: 'a', name },
    spec: parse(spec),
  };
}

const FROM_CLIENTS =
  '{ podSelector: { matchLabels: { app: server } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: client } } }], ports: [{ port: 80 }] }] }';

describe.each([
  ['by a look at all', {}],
  ['by indexes', { few: 0 }],
] as const)('%s', (_, options) => {
  beforeEach(() => {
    compiler = new Compiler(options);
    near = new Recorder();
    far = new Recorder();
    state = new Map();
    compiler.open('near', near);
    compiler.open('far', far);
    put(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } },
      pod('server-0', { app: 'server' }, '10.0.0.1'),
      pod('client-0', { app: 'client' }, '10.0.0.2'),
      pod('far-client-0', { app: 'client' }, '10.0.1.2'),
      policy('from-clients', FROM_CLIENTS),
    );
    near.take();
    far.take();
  });

  describe('an event costs what it changes', () => {
    test('a peer with labels that are known: one address where it matters, nothing elsewhere', () => {
      put(pod('far-client-1', { app: 'client' }, '10.0.1.3'));
      expect(near.take()).toEqual(['ingress 10.0.1.3 set']);
      expect(far.take()).toEqual(['a/far-client-1: in open, out open']);
      put('Pod/a/far-client-1');
      expect(near.take()).toEqual(['ingress 10.0.1.3 gone']);
      expect(far.take()).toEqual(['a/far-client-1: gone']);
    });

    test('a pod of its own, of a kind that is there already: itself and its entries', () => {
      put(pod('server-1', { app: 'server' }, undefined));
      expect(near.take()).toEqual([
        'a/server-1: in isolated but for none, out open',
        'ingress a/server-1 TCP/80',
      ]);
      put(pod('server-1', { app: 'server' }, '10.0.0.5'));
      expect(near.take()).toEqual(['a/server-1: in isolated but for none, out open']);
      expect(far.take()).toEqual([]);
    });

    test('the first of its kind on a node: all that its rules need', () => {
      put(pod('far-server', { app: 'server' }, '10.0.1.9'));
      expect(near.take()).toEqual([]);
      expect(far.take()).toEqual([
        'a/far-server: in isolated but for none, out open',
        'ingress 10.0.0.2 set',
        'ingress 10.0.1.2 set',
        'ingress a/far-server TCP/80',
      ]);
      put('Pod/a/far-server');
      expect(far.take()).toEqual([
        'a/far-server: gone',
        'ingress 10.0.0.2 gone',
        'ingress 10.0.1.2 gone',
        'ingress a/far-server gone',
      ]);
    });

    test('what policies do not ask about: nothing', () => {
      put(pod('client-0', { app: 'client' }, '10.0.0.2'), policy('from-clients', FROM_CLIENTS));
      put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', labels: { new: 'label' } } });
      put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'b' } });
      put({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'near' } });
      put(
        policy('for-nobody', '{ podSelector: { matchLabels: { app: none } } }'),
        'NetworkPolicy/a/never-was',
        'Pod/a/never-was',
      );
      expect([near.take(), far.take()]).toEqual([[], []]);
    });

    test('other ports: the entries of the pods that it is about, and no addresses', () => {
      put(policy('from-clients', FROM_CLIENTS.replace('80', '443')));
      expect(near.take()).toEqual(['ingress a/server-0 TCP/443']);
    });

    test('the same rules under another name: nothing', () => {
      put('NetworkPolicy/a/from-clients', policy('renamed', FROM_CLIENTS));
      expect(near.take()).toEqual([]);
      put(pod('far-client-1', { app: 'client' }, '10.0.1.3'));
      expect(near.take()).toEqual(['ingress 10.0.1.3 set']);
      put(pod('far-client-2', { app: 'client', of: 'another-kind' }, '10.0.1.4'));
      expect(near.take()).toEqual(['ingress 10.0.1.4 set']);
      put('NetworkPolicy/a/renamed');
      expect(near.take()).toContain('ingress 10.0.1.3 gone');
    });

    test('a pod that was made anew: its endpoint', () => {
      put(pod('server-0', { app: 'server' }, '10.0.0.1', { uid: 'other' }));
      expect(near.take()).toEqual(['a/server-0: in isolated but for none, out open']);
    });

    test('an address that goes from one pod to its like: only the endpoints', () => {
      put('Pod/a/far-client-0', pod('far-client-1', { app: 'client' }, '10.0.1.2'));
      expect(near.take()).toEqual([]);
      expect(far.take()).toEqual(['a/far-client-0: gone', 'a/far-client-1: in open, out open']);
    });

    test('a policy that is deleted: what it was needed for', () => {
      put('NetworkPolicy/a/from-clients');
      expect(near.take()).toEqual([
        'a/server-0: in open, out open',
        'ingress 10.0.0.2 gone',
        'ingress 10.0.1.2 gone',
        'ingress a/server-0 gone',
      ]);
    });
  });

  describe('only what makes a difference is compiled', () => {
    test('a pod to which everything is allowed is open', () => {
      put(policy('all', '{ ingress: [{}] }'));
      expect(near.take()).toEqual([
        'a/server-0: in open, out open',
        'ingress 10.0.0.2 gone',
        'ingress 10.0.1.2 gone',
        'ingress a/server-0 gone',
      ]);
    });

    test('a rule about some peers beside one about all tells them apart only where it allows more', () => {
      put(
        policy(
          'any',
          '{ podSelector: { matchLabels: { app: server } }, ingress: [{ ports: [{ port: 1, endPort: 1000 }] }] }',
        ),
      );
      expect(near.take()).toEqual([
        'a/server-0: in isolated but for TCP/1-1000, out open',
        'ingress 10.0.0.2 gone',
        'ingress 10.0.1.2 gone',
        'ingress a/server-0 gone',
      ]);
      put(policy('from-clients', FROM_CLIENTS.replace('port: 80', 'port: 80, endPort: 2000')));
      expect(near.take()).toEqual([
        'ingress 10.0.0.2 set',
        'ingress 10.0.1.2 set',
        'ingress a/server-0 TCP/1001-2000',
      ]);
    });

    test('a pod of which only blocks tell has no element of its own', () => {
      put(
        policy(
          'blocks',
          '{ podSelector: { matchLabels: { app: server } }, ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8 } }] }] }',
        ),
      );
      expect(near.take()).toEqual([
        'ingress 10.0.0.2 set',
        'ingress 10.0.1.2 set',
        'ingress IPv4 1 ranges',
        'ingress a/server-0 all',
        'ingress a/server-0 all',
        'ingress a/server-0 gone',
      ]);
      put(pod('far-other', { app: 'other' }, '10.0.1.8'));
      expect(near.take()).toEqual([]);
    });

    test('pods that a block parts: each address as it is, also those that come later', () => {
      const spec = FROM_CLIENTS.replace(
        'ingress: [',
        'ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/16 } }], ports: [{ port: 443 }] }, ',
      );
      put(policy('from-clients', spec));
      near.take();
      // All that there were are in the block; this one is not.
      put(pod('far-client-1', { app: 'client' }, '10.1.0.1'));
      expect(near.take()).toEqual(['ingress 10.1.0.1 set', 'ingress a/server-0 TCP/80']);
      put(pod('far-client-2', { app: 'client' }, '10.0.0.9'));
      expect(near.take()).toEqual(['ingress 10.0.0.9 set']);
      put(pod('far-client-3', { app: 'client' }, '10.1.0.2'), 'Pod/a/far-client-2');
      expect(near.take()).toEqual(['ingress 10.0.0.9 gone', 'ingress 10.1.0.2 set']);
    });

    test('a pod outside of a block, though it has the named port that is asked for in it, has no element', () => {
      const spec =
        '{ podSelector: { matchLabels: { app: server } }, policyTypes: [Egress], egress: [{ to: [{ ipBlock: { cidr: 10.9.0.0/16 } }], ports: [{ port: web }] }] }';
      put(policy('to-web', spec));
      near.take();
      const web = (name: string, address: string) => ({
        ...pod(name, {}, address),
        spec: { nodeName: 'far', containers: [{ ports: [{ name: 'web', containerPort: 8080 }] }] },
      });
      put(web('far-out', '10.8.0.1'));
      expect(near.take()).toEqual([]);
      put(web('far-in', '10.9.0.1'));
      expect(near.take()).toEqual(['egress 10.9.0.1 set', 'egress a/server-0 TCP/8080']);
    });

    test('a name that no port has allows nothing, and so tells nobody apart', () => {
      put(policy('from-clients', FROM_CLIENTS.replace('port: 80', 'port: http')));
      expect(near.take()).toEqual([
        'ingress 10.0.0.2 gone',
        'ingress 10.0.1.2 gone',
        'ingress a/server-0 gone',
      ]);
    });
  });

  test('when everything is gone, nothing is left behind', () => {
    put(
      policy(
        'more',
        '{ policyTypes: [Egress], egress: [{ to: [{ ipBlock: { cidr: 10.0.0.0/8 } }, { namespaceSelector: {} }], ports: [{ port: web }, { port: 1 }] }] }',
      ),
    );
    expect(compiler.counts).toMatchObject({ pods: 3, groups: 2, policies: 2 });
    put(...[...state.keys(), 'NetworkPolicy/a/more']);
    expect(Object.values(compiler.counts)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('a closed node is told nothing more, and can be opened again', () => {
    const close = new Compiler();
    const closed = new Recorder();
    close.open('near', closed)();
    close.open('near', closed);
    expect(() => close.open('near', closed)).toThrow('open already');
  });

  test('whom a policy does not let in any more loses that with its pods, and keeps it with those of another policy', () => {
    const FROM = (app: string) =>
      `{ podSelector: { matchLabels: { app: other } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: ${app} } } }], ports: [{ port: 80 }] }] }`;
    put(pod('other-0', { app: 'other' }, '10.0.0.7'), policy('other', FROM('client')));
    expect(near.take()).toContain('ingress a/other-0 TCP/80');
    put(policy('other', FROM('nobody')));
    expect(near.take()).toEqual(['ingress a/other-0 gone']);
  });
});
