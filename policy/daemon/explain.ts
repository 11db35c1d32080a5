/**
 * What the evaluator says, as messages.
 */

import { formatAddress } from '#datastore/address.ts';
import { RpcError } from '#proto/error.ts';
import { margay } from '#proto/generated/policy.js';
import type { Cluster } from '../evaluator/cluster.ts';
import { type Answer, describeAnswer, explain, QuestionError } from '../evaluator/explain.ts';
import type { DirectionVerdict, Party, PolicyName, Reason } from '../evaluator/traffic.ts';

const v1 = margay.policy.v1;

/** @throws RpcError */
export function answerQuestion(
  cluster: Cluster,
  { source, destination, port }: margay.policy.v1.ExplainRequest,
): margay.policy.v1.IExplainResponse {
  try {
    const answers = explain(cluster, source, destination, port);
    return { answers: answers.map((answer) => toMessage(cluster, answer)) };
  } catch (error) {
    if (!(error instanceof QuestionError)) throw error;
    throw new RpcError(error.code.startsWith('UNKNOWN') ? 'NOT_FOUND' : 'INVALID_ARGUMENT', error.message, {
      cause: error,
    });
  }
}

function toMessage(cluster: Cluster, answer: Answer): margay.policy.v1.IAnswer {
  const { traffic, verdict } = answer;
  return {
    source: end(traffic.source),
    destination: end(traffic.destination),
    protocol: traffic.protocol,
    port: traffic.protocol === 'other' ? 0 : traffic.port,
    allowed: verdict.allowed,
    egress: toVerdict(verdict.egress),
    ingress: toVerdict(verdict.ingress),
    text: describeAnswer(cluster, answer),
  };
}

function end(party: Party): margay.policy.v1.IEnd {
  const address = party.address === undefined ? '' : formatAddress(party.address);
  switch (party.kind) {
    case 'pod':
      return { kind: 'pod', name: `${party.pod.namespace}/${party.pod.name}`, address };
    case 'node':
      return { kind: 'node', name: party.node, address };
    case 'outside':
      return { kind: 'outside', address };
  }
}

const REASONS: Readonly<Record<Reason['kind'], margay.policy.v1.Reason>> = {
  rule: v1.Reason.RULE,
  isolated: v1.Reason.ISOLATED,
  self: v1.Reason.SELF,
  'own-node': v1.Reason.OWN_NODE,
  'no-subject': v1.Reason.NO_SUBJECT,
  'not-isolated': v1.Reason.NOT_ISOLATED,
};

function toVerdict({ allowed, by }: DirectionVerdict): margay.policy.v1.IVerdict {
  const verdict = { allowed, reason: REASONS[by.kind] };
  if (by.kind === 'rule') {
    const { tier, policy, rule, peer, port } = by;
    return {
      ...verdict,
      rule: { tier, policy: nameOf(policy), rule, peer: peer ?? null, port: port ?? null },
    };
  }
  if (by.kind !== 'isolated') return verdict;
  return {
    ...verdict,
    isolatedBy: by.policies.map(nameOf),
    near: by.near.map(({ policy, rule, lacks }) => ({ policy: nameOf(policy), rule, lacks })),
  };
}

function nameOf({ kind, namespace, name }: PolicyName): string {
  return namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}
