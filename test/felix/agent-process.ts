/**
 * An agent as a process of its own, with endpoints that are given to it: `agent-process.ts NAMESPACE NODE SOCKET ENDPOINTS`.
 * Says `applied` when its first ruleset is in force.
 */

import { openLog } from '#daemon/log.ts';
import { parseAddress } from '#datastore/address.ts';
import { NftablesDataplane } from '#felix/dataplane/dataplane.ts';
import { DEFAULT_SETTINGS } from '#felix/dataplane/settings.ts';
import { PolicyReceiver } from '#felix/policy/receiver.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { connect } from '#proto/client.ts';
import { policyService } from '#proto/policy.ts';

const [path, node, socket, endpoints] = process.argv.slice(2) as [string, string, string, string];
const log = openLog('felix', 'warn');
const namespace = NetworkNamespace.open(path);
const dataplane = new NftablesDataplane({ settings: DEFAULT_SETTINGS, log, namespace });
for (const { pod, name, addresses } of JSON.parse(endpoints)) {
  dataplane.setEndpoint({
    pod,
    interface: name,
    addresses: addresses.map((address: string) => parseAddress(address)!),
    hostPorts: [],
  });
}
dataplane.start();
const receiver = new PolicyReceiver({
  source: {
    async *watch(request, options) {
      const engine = connect(policyService, `unix:${socket}`);
      try {
        yield* engine.watch(request, options);
      } finally {
        engine.close();
      }
    },
  },
  node,
  programs: dataplane.programs,
  log,
});
const running = receiver.run(new AbortController().signal);
const look = setInterval(() => {
  if (!dataplane.inSync || dataplane.driver.counters.transactions + dataplane.driver.counters.unchanged === 0)
    return;
  clearInterval(look);
  process.stdout.write('applied\n');
}, 5);
await running;
