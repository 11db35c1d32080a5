import type { Log } from '#daemon/log.ts';
import { familyOf } from '#datastore/address.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import type { EndpointSettings } from '../endpoints/settings.ts';
import { checkHost, type Families, type HostFinding, hostSettings } from './settings.ts';

/** Which families the pods of a node have. */
export function podFamilies({ podCidrs }: Pick<EndpointSettings, 'podCidrs'>): Families {
  const families = podCidrs.map((cidr) => familyOf(cidr.address));
  return { ipv4: families.includes(4), ipv6: families.includes(6) };
}

/** Sets what pods need of the node, and says what can not be set, with the command that would do it. */
export function prepareHost(
  settings: Pick<EndpointSettings, 'podCidrs'>,
  log: Log,
  namespace?: NetworkNamespace,
): HostFinding[] {
  const findings = checkHost(hostSettings(podFamilies(settings)), true, namespace);
  for (const { key, state, found, expected, why, problem, command } of findings) {
    if (state === 'set')
      log.info({ key, found, set: expected, why }, 'a kernel parameter of the node was set');
    if (state === 'wrong')
      log.warn({ key, found, expected, why, problem, command }, 'a kernel parameter of the node is wrong');
  }
  return findings;
}
