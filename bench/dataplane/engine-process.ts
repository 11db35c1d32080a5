/**
 * A policy engine with a large cluster, on a socket: `engine-process.ts SOCKET`. Each line of standard input is a change; it
 * prints the moment at which it took it over (CLOCK_MONOTONIC, ns).
 */

import { createInterface } from 'node:readline';
import { pino } from 'pino';
import type { Resource } from '#datastore/resource.ts';
import { keyOf } from '#datastore/resource.ts';
import type { Change, Source, Update } from '#datastore/source.ts';
import { Engine } from '#policy/daemon/engine.ts';
import { localHandlers } from '#policy/daemon/handlers.ts';
import { policyService } from '#proto/policy.ts';
import { RpcServer } from '#proto/server.ts';
import { NAMESPACES, namespace, pod, policy } from '../policy/cluster.ts';
import { CLIENT, SERVER } from './lane.ts';
import { labelledPod, policyFor } from './objects.ts';

const PODS = 10_000;
const POLICIES = 1_000;
const NODES = 100;
const PORT = 9000;
/** Those of the bench's pods are taken by the lane. */
const FIRST = 1 << 16;

const client = labelledPod('client', 'node-5', CLIENT, { peer: 'peer-0' });
const twin = labelledPod('twin', 'node-6', '10.200.0.1', { peer: 'peer-0' });
const allow = policyFor(0, [PORT]);
const closed = { ...policyFor(1, [PORT]), name: 'closed', ingress: [] };
const resources: Resource[] = [
  ...Array.from({ length: NAMESPACES }, (_, i) => namespace(i)),
  ...Array.from({ length: PODS }, (_, i) => pod(FIRST + i, NODES)),
  ...Array.from({ length: POLICIES }, (_, i) => policy(i)),
  labelledPod('server', 'node-0', SERVER, { app: 'server' }),
  closed,
  twin,
];

/** What a line stands for. */
const CHANGES: Readonly<Record<string, Change>> = {
  'policy on': { type: 'put', resource: allow },
  'policy off': { type: 'delete', key: keyOf(allow) },
  'client on': { type: 'put', resource: client },
  'client off': { type: 'delete', key: keyOf(client) },
};

let wake = (): void => {};
const waiting: Change[] = [];
const source: Source = {
  async *watch(signal): AsyncGenerator<Update> {
    yield { type: 'snapshot', resources, problems: [] };
    while (!signal.aborted) {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      yield { type: 'changes', changes: waiting.splice(0), problems: [] };
    }
  },
};

const log = pino({ level: 'silent' });
const engine = new Engine({ source, log, date: Date.now });
const server = new RpcServer({ onFault: (_method, error) => console.error(error) });
server.add(
  policyService,
  localHandlers({
    engine,
    version: '',
    source: '',
    startedAt: Date.now(),
    memory: () => 0,
    kinds: () => [],
    listener: () => undefined,
  }),
);
await server.listenUnix(process.argv[2]!);
createInterface(process.stdin).on('line', (line) => {
  waiting.push(CHANGES[line]!);
  process.stdout.write(`${process.hrtime.bigint()}\n`);
  wake();
});
process.stdout.write('ready\n');
await engine.run(new AbortController().signal);
