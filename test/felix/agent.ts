/*
 * Endpoints and CNI socket as a process of their own, to be killed: `node agent.ts '{"folder": ..., "podCidrs": [...]}'`. The
 * dataplane is a stand-in without policies. It prints a line when pods can come.
 */
import { join } from 'node:path';
import { openLog } from '#daemon/log.ts';
import { parsePrefix } from '#datastore/address.ts';
import { listenForCni } from '#felix/cni/listen.ts';
import { PodNetwork } from '#felix/endpoints/pod-network.ts';

const { folder, podCidrs } = JSON.parse(process.argv[2]!) as { folder: string; podCidrs: string[] };
const log = openLog('felix', 'warn');
const network = PodNetwork.open({
  settings: {
    podCidrs: podCidrs.map((cidr) => parsePrefix(cidr)!),
    reserved: [],
    mtu: undefined,
    stateFolder: join(folder, 'state'),
    policyWait: 5000,
    policyUnknown: 'refuse',
  },
  dataplane: {
    inSync: true,
    setEndpoint: () => {},
    removeEndpoint: () => {},
    whyUnknown: () => undefined,
    known: async () => {},
    applied: async () => {},
  },
  log,
});
await listenForCni(join(folder, 'cni.sock'), network, log);
process.stdout.write(`${JSON.stringify({ ready: performance.now(), ...network.taken })}\n`);
process.on('SIGUSR2', () =>
  process.stdout.write(`${JSON.stringify({ repaired: network.repair.repaired })}\n`),
);
