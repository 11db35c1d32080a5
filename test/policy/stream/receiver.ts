/**
 * The other end of the stream, slow and obvious: puts the updates together as proto/policy.proto says, and complains of
 * whatever it does not allow.
 */

import type { AddressKey } from '#datastore/address.ts';
import { NodeProgram } from '#policy/program/node-program.ts';
import type { BlockRange } from '#policy/program/program.ts';
import { margay } from '#proto/generated/policy.js';
import { type PortRange, type PortSet, portSet, portVerdicts } from '#proto/ports.ts';
import { DIRECTIONS, type Direction, type EndpointRules } from '#proto/program.ts';

const v1 = margay.policy.v1;
type Update = margay.policy.v1.Update;

export class Receiver {
  /** What is in force: as of the last commit. */
  program = new NodeProgram();
  readonly meanings = new Map<string, readonly string[]>();
  /** Commits of this call. */
  commits = 0;
  snapshots = 0;
  /** Parts since the last commit. */
  #parts: Update[] = [];

  /** A new call begins: what was told and not committed never happened. */
  connect(): void {
    this.#parts = [];
    this.commits = 0;
  }

  /** @returns whether what is in force is newer now */
  receive(update: Update): boolean {
    if (update.snapshot && this.#parts.length > 0)
      throw new Error('a snapshot begins in the middle of a change');
    if (this.commits === 0 && this.#parts.length === 0 && !update.snapshot) {
      throw new Error('a call that does not begin with a snapshot');
    }
    this.#parts.push(update);
    if (update.commit === null || update.commit === undefined) return false;
    if (update.commit.number !== ++this.commits)
      throw new Error(`commit ${update.commit.number} is not ${this.commits}`);
    this.#commit(this.#parts);
    this.#parts = [];
    return true;
  }

  #commit(parts: readonly Update[]): void {
    if (parts[0]!.snapshot) {
      this.program = new NodeProgram();
      this.snapshots++;
    }
    for (const part of parts) this.#apply(part);
    this.#checkMeanings();
  }

  #apply(part: Update): void {
    const { program } = this;
    for (const { class: id, text } of part.meanings) this.meanings.set(hex(id), text!);
    for (const pod of part.removedEndpoints) program.endpoint(pod, undefined);
    for (const { pod, uid, addresses, ingress, egress } of part.endpoints) {
      program.endpoint(pod!, {
        uid: uid!,
        addresses: addresses!.flatMap((bytes) => addressesOf(bytes, bytes.length)),
        ingress: rulesOf(ingress),
        egress: rulesOf(egress),
      });
    }
    for (const { direction, class: id, pod, accept, drop } of part.entries) {
      const verdicts = portVerdicts(portsOf(accept), portsOf(drop));
      program.entry(directionOf(direction), hex(id), pod!, verdicts.text === 'none' ? undefined : verdicts);
    }
    for (const { direction, class: id, ipv4, ipv6 } of part.members) {
      for (const address of [...addressesOf(ipv4, 4), ...addressesOf(ipv6, 16)]) {
        program.address(directionOf(direction), address, hex(id) || undefined);
      }
    }
    for (const { direction, family, ranges, classes, continued } of part.blocks) {
      if (family !== 4 && family !== 6) throw new Error(`family ${family}`);
      const side = program[directionOf(direction)];
      const list = rangesOf(addressesOf(ranges, family === 4 ? 4 : 16), classes);
      program.blocks(directionOf(direction), family, continued ? [...side.blocks[family], ...list] : list);
    }
  }

  /** Every class that something is said of has a meaning, and what nothing names is forgotten. */
  #checkMeanings(): void {
    const named = new Set<string>();
    for (const direction of DIRECTIONS) {
      const { classes, addresses, blocks } = this.program[direction];
      for (const id of classes.keys()) {
        if (!this.meanings.has(id)) throw new Error(`class ${id} is used and has no meaning`);
        named.add(id);
      }
      for (const id of addresses.values()) named.add(id);
      for (const family of [4, 6] as const) for (const range of blocks[family]) named.add(range.class);
    }
    for (const id of this.meanings.keys()) if (!named.has(id)) this.meanings.delete(id);
  }
}

/** As it is after it went over the wire. */
export function overTheWire(update: margay.policy.v1.IUpdate): Update {
  return v1.Update.decode(v1.Update.encode(update).finish());
}

function directionOf(direction: margay.policy.v1.Direction | null | undefined): Direction {
  if (direction === v1.Direction.INGRESS) return 'ingress';
  if (direction === v1.Direction.EGRESS) return 'egress';
  throw new Error(`direction ${direction}`);
}

function rulesOf(rules: margay.policy.v1.IRules | null | undefined): EndpointRules {
  const { isolated, anyPeer, otherwise } = v1.Rules.fromObject(rules ?? {});
  return { isolated, anyPeer: portsOf(anyPeer), otherwise: portsOf(otherwise) };
}

function portsOf(ports: margay.policy.v1.IPorts | null | undefined): PortSet {
  const { tcp, udp, sctp, other } = v1.Ports.fromObject(ports ?? {});
  return portSet({ TCP: pairs(tcp), UDP: pairs(udp), SCTP: pairs(sctp) }, other);
}

function pairs(numbers: readonly number[]): PortRange[] {
  return Array.from({ length: numbers.length / 2 }, (_, i) => ({
    first: numbers[2 * i]!,
    last: numbers[2 * i + 1]!,
  }));
}

function addressesOf(bytes: Uint8Array | null | undefined, length: number): AddressKey[] {
  const buffer = Buffer.from(bytes ?? []);
  return Array.from({ length: buffer.length / length }, (_, i) => {
    let key = '';
    for (let at = i * length; at < (i + 1) * length; at += 2)
      key += String.fromCharCode(buffer.readUInt16BE(at));
    return key as AddressKey;
  });
}

function rangesOf(ends: readonly AddressKey[], classes: Uint8Array | null | undefined): BlockRange[] {
  return Array.from({ length: ends.length / 2 }, (_, i) => ({
    first: ends[2 * i]!,
    last: ends[2 * i + 1]!,
    class: hex(classes!.subarray(16 * i, 16 * (i + 1))),
  }));
}

function hex(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}
