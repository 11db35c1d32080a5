import { pino } from 'pino';
import { agentSink } from '#cli/policy/ruleset.ts';
import { parseAddress } from '#datastore/address.ts';
import type { Resource } from '#datastore/resource.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { Compiler } from '#policy/compiler/compiler.ts';
import { CLIENT, CLIENT_INTERFACE, Lane, SERVER, SERVER_INTERFACE } from './lane.ts';
import { labelledPod, policyFor } from './objects.ts';

export interface Contender {
  readonly name: string;
  readonly policies: number;
  readonly lane: Lane;
  readonly close: () => void;
}

/** No ruleset at all. */
export function nothing(): Contender {
  return { name: 'nothing', policies: 0, lane: new Lane(), close: () => {} };
}

/** Connections are tracked, since a rule asks for it to which no packet comes. */
export function tracked(): Contender {
  const lane = new Lane();
  lane.router.exec('nft', ['-f', '-'], {
    input: 'table inet tracking {\nchain nobody {\nct state new accept\n}\n}\n',
  });
  return { name: 'tracked', policies: 0, lane, close: () => {} };
}

/** The dataplane, with so many policies on the server's pod, of which the last is about the client. */
export async function compiled(
  count: number,
  protocol: 'TCP' | 'UDP',
  ...ports: readonly number[]
): Promise<Contender> {
  const lane = new Lane();
  const dataplane = new NftablesDataplane({
    settings: DEFAULT_SETTINGS,
    log: pino({ level: 'silent' }),
    namespace: lane.namespace,
  });
  const resources: Resource[] = [
    labelledPod('client', 'n1', CLIENT, { peer: `peer-${count - 1}` }),
    labelledPod('server', 'n1', SERVER, { app: 'server' }),
    // Each policy is about a peer of its own; a class without addresses would not exist.
    ...Array.from({ length: Math.max(0, count - 1) }, (_, i) =>
      labelledPod(`peer-${i}`, 'n2', `10.1.${i >> 8}.${i & 255}`, { peer: `peer-${i}` }),
    ),
    ...Array.from({ length: count }, (_, i) => policyFor(i, ports, protocol)),
  ];
  const compiler = new Compiler();
  compiler.apply(resources.map((resource) => ({ type: 'put', resource })));
  compiler.flush();
  dataplane.setEndpoint({
    pod: 'shop/client',
    interface: CLIENT_INTERFACE,
    addresses: [parseAddress(CLIENT)!],
    hostPorts: [],
  });
  dataplane.setEndpoint({
    pod: 'shop/server',
    interface: SERVER_INTERFACE,
    addresses: [parseAddress(SERVER)!],
    hostPorts: [],
  });
  compiler.open('n1', agentSink(dataplane.programs, compiler));
  await dataplane.applied([], AbortSignal.timeout(60_000));
  return { name: 'margay', policies: count, lane, close: () => dataplane.close() };
}

/** The same by a chain for the pod with a set and a rule for each policy, as a translation one to one would have it. */
export function rulePerPolicy(
  count: number,
  protocol: 'TCP' | 'UDP',
  ...ports: readonly number[]
): Contender {
  const lane = new Lane();
  const peer = (i: number) => (i === count - 1 ? CLIENT : `10.1.${i >> 8}.${i & 255}`);
  const policies = Array.from({ length: count }, (_, i) => i);
  const many = ports.length === 1 ? `${ports[0]}` : `{ ${ports.join(', ')} }`;
  const word = `${protocol.toLowerCase()} dport ${many}`;
  lane.router.exec('nft', ['-f', '-'], {
    input: `table inet rules {
${policies.map((i) => `set peer${i} { type ipv4_addr; elements = { ${peer(i)} } }`).join('\n')}
chain pod {
${policies.map((i) => `ip saddr @peer${i} ${word} accept`).join('\n')}
drop
}
chain source { iifname . ip saddr { ${CLIENT_INTERFACE} . ${CLIENT}, ${SERVER_INTERFACE} . ${SERVER} } accept; drop; }
chain raw { type filter hook prerouting priority raw; iifname "mgy*" goto source; }
chain forward {
type filter hook forward priority 10;
ct state vmap { established : accept, related : accept, invalid : drop }
oifname "${SERVER_INTERFACE}" jump pod
}
}`,
  });
  return { name: 'rules', policies: count, lane, close: () => {} };
}
