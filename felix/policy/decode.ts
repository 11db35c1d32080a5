import type { AddressKey, Family } from '#datastore/address.ts';
import { margay } from '#proto/generated/policy.js';
import { mergeRanges, NO_PORTS, type PortRange, type PortSet, portSet, portVerdicts } from '#proto/ports.ts';
import type { ClassId, Direction, EndpointRules } from '#proto/program.ts';
import type { BlockRange, ProgramSink } from './program.ts';
import { type Programs, SnapshotKeys } from './programs.ts';

type Update = margay.policy.v1.IUpdate;
const v1 = margay.policy.v1;

/** The policy engine said something that the contract has no place for. Nothing of the change takes effect. */
export class StreamError extends Error {
  override readonly name = 'StreamError';
  readonly code = 'POLICY_STREAM';

  constructor(field: string, found: string, expected: string) {
    super(`policy stream: ${field}: found ${found}, expected ${expected}`);
  }
}

/** One change, whose parts have all come. */
export interface Change {
  readonly updates: readonly Update[];
  /** All of it: what is not told is gone. */
  readonly snapshot: boolean;
}

/**
 * Reads a change, all of it, before anything of it is applied.
 *
 * @returns what applies it, in one go and without fail
 * @throws StreamError
 */
export function readChange({ updates, snapshot }: Change): (programs: Programs) => void {
  const steps: ((sink: ProgramSink) => void)[] = [];
  const told = snapshot ? new SnapshotKeys() : undefined;
  const blocks = new Map<string, { direction: Direction; family: Family; ranges: BlockRange[] }>();
  for (const update of updates) {
    for (const { class: id, text } of update.meanings ?? []) {
      const name = classOf(id);
      steps.push((sink) => sink.meaning?.(name, text ?? []));
    }
    for (const { pod, uid, addresses, ingress, egress } of update.endpoints ?? []) {
      const key = podOf(pod);
      const program = {
        uid: uid ?? '',
        addresses: (addresses ?? []).map((bytes) => addressOf(bytes)),
        ingress: rulesOf(ingress),
        egress: rulesOf(egress),
      };
      told?.endpoints.add(key);
      steps.push((sink) => sink.endpoint(key, program));
    }
    for (const pod of update.removedEndpoints ?? []) {
      const key = podOf(pod);
      told?.endpoints.delete(key);
      steps.push((sink) => sink.endpoint(key, undefined));
    }
    for (const entry of update.entries ?? []) {
      const direction = directionOf(entry.direction);
      const id = classOf(entry.class);
      const pod = podOf(entry.pod);
      const verdicts =
        entry.accept || entry.drop ? portVerdicts(portsOf(entry.accept), portsOf(entry.drop)) : undefined;
      if (told && verdicts) {
        const { entries } = told[direction];
        const pods = entries.get(id);
        if (pods) pods.add(pod);
        else entries.set(id, new Set([pod]));
      }
      steps.push((sink) => sink.entry(direction, id, pod, verdicts));
    }
    for (const members of update.members ?? []) {
      const direction = directionOf(members.direction);
      const id = members.class?.length ? classOf(members.class) : undefined;
      const list = [...addressesOf(members.ipv4, 4), ...addressesOf(members.ipv6, 16)];
      if (told && id !== undefined) for (const address of list) told[direction].addresses.add(address);
      steps.push((sink) => {
        for (const address of list) sink.address(direction, address, id);
      });
    }
    for (const block of update.blocks ?? []) {
      const direction = directionOf(block.direction);
      const { family } = block;
      if (family !== 4 && family !== 6) throw new StreamError('blocks.family', String(family), '4 or 6');
      const ranges = rangesOf(block, family);
      const key = `${direction}${family}`;
      const open = blocks.get(key);
      if (open && block.continued) open.ranges.push(...ranges);
      else blocks.set(key, { direction, family, ranges });
      told?.[direction].families.add(family);
    }
  }
  for (const { direction, family, ranges } of blocks.values()) {
    checkOrder(ranges);
    steps.push((sink) => sink.blocks(direction, family, ranges));
  }
  return (programs) => {
    for (const step of steps) step(programs);
    if (told) programs.sweep(told);
    programs.commit();
  };
}

function podOf(pod: string | null | undefined): string {
  if (!pod || !/^[^/]+\/[^/]+$/.test(pod)) throw new StreamError('pod', `'${pod ?? ''}'`, 'namespace/name');
  return pod;
}

function classOf(bytes: Uint8Array | null | undefined): ClassId {
  if (bytes?.length !== 16) throw new StreamError('class', `${bytes?.length ?? 0} bytes`, '16');
  return Buffer.from(bytes).toString('hex');
}

function directionOf(direction: margay.policy.v1.Direction | null | undefined): Direction {
  if (direction === v1.Direction.INGRESS) return 'ingress';
  if (direction === v1.Direction.EGRESS) return 'egress';
  throw new StreamError('direction', String(direction), 'INGRESS or EGRESS');
}

function rulesOf(rules: margay.policy.v1.IRules | null | undefined): EndpointRules {
  // Without rules nothing is known of the direction: it is closed.
  if (!rules) return { isolated: true, anyPeer: NO_PORTS, otherwise: NO_PORTS };
  return {
    isolated: rules.isolated ?? false,
    anyPeer: portsOf(rules.anyPeer),
    otherwise: portsOf(rules.otherwise),
  };
}

function portsOf(ports: margay.policy.v1.IPorts | null | undefined): PortSet {
  if (!ports) return NO_PORTS;
  const { tcp, udp, sctp, other } = ports;
  const lanes = { TCP: rangesOfPorts(tcp), UDP: rangesOfPorts(udp), SCTP: rangesOfPorts(sctp) };
  return portSet(lanes, other ?? false);
}

function rangesOfPorts(numbers: readonly number[] | null | undefined): readonly PortRange[] {
  const list = numbers ?? [];
  if (list.length % 2 !== 0) throw new StreamError('ports', `${list.length} numbers`, 'pairs');
  const ranges: PortRange[] = [];
  for (let i = 0; i < list.length; i += 2) {
    const first = list[i]!;
    const last = list[i + 1]!;
    if (first > last || last > 65535)
      throw new StreamError('ports', `${first}-${last}`, 'a range within 65535');
    ranges.push({ first, last });
  }
  return mergeRanges(ranges);
}

function addressesOf(bytes: Uint8Array | null | undefined, size: 4 | 16): AddressKey[] {
  const all = bytes ?? new Uint8Array();
  if (all.length % size !== 0) throw new StreamError('addresses', `${all.length} bytes`, `times ${size}`);
  const list: AddressKey[] = [];
  for (let at = 0; at < all.length; at += size) list.push(addressOf(all.subarray(at, at + size)));
  return list;
}

function addressOf(bytes: Uint8Array): AddressKey {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new StreamError('address', `${bytes.length} bytes`, '4 or 16');
  }
  let key = '';
  for (let i = 0; i < bytes.length; i += 2) key += String.fromCharCode((bytes[i]! << 8) | bytes[i + 1]!);
  return key as AddressKey;
}

function rangesOf(block: margay.policy.v1.IBlocks, family: Family): BlockRange[] {
  const bounds = addressesOf(block.ranges, family === 4 ? 4 : 16);
  const classes = block.classes ?? new Uint8Array();
  if (classes.length * 2 !== bounds.length * 16) {
    throw new StreamError('blocks.classes', `${classes.length} bytes`, `${(bounds.length / 2) * 16}`);
  }
  const ranges: BlockRange[] = [];
  for (let i = 0; i < bounds.length / 2; i++) {
    const id = classOf(classes.subarray(i * 16, i * 16 + 16));
    ranges.push({ first: bounds[i * 2]!, last: bounds[i * 2 + 1]!, class: id });
  }
  return ranges;
}

function checkOrder(ranges: readonly BlockRange[]): void {
  ranges.forEach((range, i) => {
    const before = ranges[i - 1];
    if (range.first > range.last || (before && before.last >= range.first)) {
      throw new StreamError('blocks.ranges', `range ${i} out of order`, 'sorted ranges that are apart');
    }
  });
}
