/**
 * The service of policy.proto: all of it on the unix socket, and for nodes elsewhere what is about themselves.
 */

import type { KindStatus } from '#datastore/kubernetes/status.ts';
import { manifestOf } from '#datastore/manifest.ts';
import { RpcError } from '#proto/error.ts';
import type { margay } from '#proto/generated/policy.js';
import type { policyService } from '#proto/policy.ts';
import type { CallContext, Handlers } from '#proto/server.ts';
import { ReplacedError } from '../stream/fanout.ts';
import type { Subscriber } from '../stream/subscriber.ts';
import type { Engine } from './engine.ts';
import { answerQuestion } from './explain.ts';
import { checkNode } from './node-identity.ts';

export interface HandlerOptions {
  readonly engine: Engine;
  readonly version: string;
  /** Where objects come from, in words. */
  readonly source: string;
  /** How each kind is followed, if the source follows them one by one. */
  readonly kinds: () => readonly KindStatus[];
  /** ms since 1970. */
  readonly startedAt: number;
  /** Resident memory, bytes. */
  readonly memory: () => number;
  /** Of the listener for nodes elsewhere, if there is one. */
  readonly listener: () => margay.policy.v1.ITlsListener | undefined;
}

/** Objects that are sent at once. */
const BATCH = 200;
/** Problems that a status has; how many there are it says too. */
const MOST_PROBLEMS = 1_000;
/** Longest name of an object (Kubernetes: "DNS subdomain names"). */
const MOST_NAME = 253;

/** For whoever may open the socket. */
export function localHandlers(options: HandlerOptions): Handlers<typeof policyService> {
  const { engine } = options;
  return {
    getStatus: () => statusOf(options),
    watch: ({ node }, context) => watch(engine, node, '', context),
    explain: (question) => {
      const { cluster } = engine;
      if (cluster === undefined) throw notKnownYet();
      return answerQuestion(cluster, question);
    },
    listObjects: ({ kinds }) => listObjects(engine, kinds),
  };
}

/** For nodes that show a certificate: each its own programs, and nothing of others. */
export function remoteHandlers(engine: Engine): Handlers<typeof policyService> {
  const refuse = (): never => {
    throw new RpcError('PERMISSION_DENIED', 'found a call over TCP, expected one on the unix socket');
  };
  return {
    getStatus: refuse,
    explain: refuse,
    listObjects: refuse,
    watch: ({ node }, context) => {
      checkNode(context.certificate, node);
      return watch(engine, node, context.peer, context);
    },
  };
}

async function* listObjects(
  { resources }: Engine,
  kinds: readonly string[],
): AsyncGenerator<margay.policy.v1.IObjects> {
  if (resources === undefined) throw notKnownYet();
  const wanted = [...resources].filter(({ kind }) => kinds.length === 0 || kinds.includes(kind));
  for (let i = 0; i < wanted.length; i += BATCH) {
    const batch = wanted.slice(i, i + BATCH);
    yield { manifests: batch.map((resource) => JSON.stringify(manifestOf(resource))) };
  }
}

function notKnownYet(): RpcError {
  return new RpcError('FAILED_PRECONDITION', 'not all objects are known yet; the status says why');
}

async function* watch(
  engine: Engine,
  node: string,
  peer: string,
  { signal, written }: CallContext,
): AsyncGenerator<margay.policy.v1.IUpdate> {
  if (node === '' || node.length > MOST_NAME) {
    throw new RpcError(
      'INVALID_ARGUMENT',
      `node: found ${node === '' ? 'nothing' : `text of ${node.length} characters`}, expected the name of a Node`,
    );
  }
  try {
    yield* engine.fanout.read({ node, peer, signal, written });
  } catch (error) {
    if (!(error instanceof ReplacedError)) throw error;
    throw new RpcError('RESOURCE_EXHAUSTED', error.message, { cause: error });
  }
}

function statusOf({ engine, ...options }: HandlerOptions): margay.policy.v1.IStatus {
  const { problems } = engine;
  const listener = options.listener();
  return {
    version: options.version,
    startedAt: options.startedAt / 1_000,
    inSyncSince: engine.inSyncSince,
    source: options.source,
    subscribers: [...engine.fanout.subscribers].map(describeSubscriber),
    problems: problems.slice(0, MOST_PROBLEMS),
    objects: [...engine.counts].map(([kind, count]) => ({ kind, count })),
    problemCount: problems.length,
    changedAt: engine.changedAt,
    ...(listener !== undefined && { listener }),
    memory: options.memory(),
    kinds: options.kinds().map(describeKind),
  };
}

function describeKind(status: KindStatus): margay.policy.v1.IFollowedKind {
  const { syncedSince, lastEvent, lastErrorAt } = status;
  return {
    ...status,
    syncedSince: syncedSince / 1_000,
    lastEvent: lastEvent / 1_000,
    lastErrorAt: lastErrorAt / 1_000,
  };
}

function describeSubscriber(subscriber: Subscriber): margay.policy.v1.ISubscriber {
  const { node, peer, since, commits, snapshots, waiting, behindSince } = subscriber;
  return { node, peer, since, commits, snapshots, pending: waiting, behindSince };
}
