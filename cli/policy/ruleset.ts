import { createHash } from 'node:crypto';
import { parseAddress } from '#datastore/address.ts';
import type { Resource } from '#datastore/resource.ts';
import { printRuleset } from '#felix/dataplane/print.ts';
import { MARGAY_TABLE, NodeRuleset } from '#felix/dataplane/ruleset.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { INTERFACE_PREFIX } from '#felix/endpoint.ts';
import type { ProgramSink as AgentSink } from '#felix/policy/program.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { hasOwnNetwork } from '#policy/evaluator/cluster.ts';
import type { ProgramSink } from '#policy/program/program.ts';

/**
 * The ruleset of one node, as its agent would put it into the kernel, for `nft -f`. Interfaces have names of their own, since
 * only the node knows theirs; comments say whose they are.
 */
export function compileRuleset(
  resources: readonly Resource[],
  node: string,
  table: string = MARGAY_TABLE.name,
): string {
  const ruleset = new NodeRuleset(DEFAULT_SETTINGS, { ...MARGAY_TABLE, name: table });
  for (const pod of resources) {
    if (pod.kind !== 'Pod' || pod.nodeName !== node || !hasOwnNetwork(pod)) continue;
    const key = `${pod.namespace}/${pod.name}`;
    ruleset.setWorkload({
      pod: key,
      interface: interfaceOf(key),
      addresses: pod.addresses.flatMap((address) => parseAddress(address) ?? []),
      hostPorts: [],
    });
  }
  const compiler = new Compiler();
  compiler.apply(resources.map((resource) => ({ type: 'put', resource })));
  compiler.flush();
  compiler.open(node, agentSink(ruleset, compiler));
  return printRuleset(ruleset);
}

/** Tells an agent's programs what the compiler finds, as the stream does. */
export function agentSink(agent: AgentSink, compiler: Compiler): ProgramSink {
  return {
    endpoint: (...change) => agent.endpoint(...change),
    entry: (...change) => agent.entry(...change),
    address: (direction, address, id) => {
      if (id !== undefined) agent.meaning?.(id, compiler.describeClass(id));
      agent.address(direction, address, id);
    },
    blocks: (direction, family, ranges) => {
      for (const { class: id } of ranges) agent.meaning?.(id, compiler.describeClass(id));
      agent.blocks(direction, family, ranges);
    },
    // Nothing names it any more, so that the agent has nothing of it.
    classGone: () => {},
    commit: () => agent.commit(),
  };
}

function interfaceOf(pod: string): string {
  return INTERFACE_PREFIX + createHash('sha256').update(pod).digest('hex').slice(0, 12);
}
