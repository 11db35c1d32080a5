/**
 * One run of a case with one speaker, from an empty namespace to figures.
 */

import { rmSync } from 'node:fs';
import { parseAddress, parseIpv4 } from '#bgp/wire/address.ts';
import { encodeAttributes } from '#bgp/wire/attributes.ts';
import { putU16 } from '#bgp/wire/bytes.ts';
import { HEADER_LENGTH, UPDATE } from '#bgp/wire/constants.ts';
import { putHeader } from '#bgp/wire/header.ts';
import { putPrefix4 } from '#bgp/wire/nlri.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { connect, createNetns } from '#test/helpers/netns.ts';
import { newTempFolder } from '#test/helpers/owner.ts';
import { announcements, EXTERNAL, withdrawals } from '../updates.ts';
import { BenchPeer } from './peer.ts';
import { type Neighbour, Running, type SpeakerKind } from './speakers.ts';

export type Case = {
  readonly name: string;
  readonly feeders: number;
  readonly prefixes: number;
  readonly receivers: number;
  /** Into the kernel's routes instead of to receivers. */
  readonly kernel?: boolean;
};

const PER_SET = 10;
/** Longest time for the announcement or the withdrawal of a case, in ms. */
const DEADLINE_MS = 300_000;

/** Seconds, and MB. */
export type Result = {
  readonly announce: number;
  readonly withdraw: number;
  readonly cpu: number;
  readonly peak: number;
};

export async function runOnce(bench: Case, kind: SpeakerKind): Promise<Result> {
  using stack = new DisposableStack();
  const inside = stack.use(createNetns());
  const outside = stack.use(createNetns());
  const neighbours: Neighbour[] = Array.from({ length: bench.feeders + bench.receivers }, (_, i) => ({
    address: `10.0.1.${i + 1}`,
    asn: 65001 + i,
  }));
  connect(
    { netns: inside, addresses: ['10.0.0.1/16'] },
    { netns: outside, addresses: neighbours.map(({ address }) => `${address}/16`) },
  );
  const namespace = stack.use(NetworkNamespace.open(outside.path));
  const folder = newTempFolder();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const speaker = new Running(inside, folder, kind, neighbours, bench.kernel ?? false);
  const peers = neighbours.map(
    ({ address, asn }) =>
      new BenchPeer({ namespace, address, asn, identifier: parseIpv4(address), speaker: '10.0.0.1' }),
  );
  try {
    await Promise.all(peers.map((peer) => peer.establish())).catch((error: Error) => {
      throw new Error(`${error.message}: ${speaker.output.slice(-500)}`);
    });
    const feeders = peers.slice(0, bench.feeders);
    const receivers = peers.slice(bench.feeders);
    const cpu = speaker.cpuSeconds;
    const feeds = feeders.map((_, i) => {
      const { address, asn } = neighbours[i]!;
      const nextHop = parseAddress(address);
      const table = announcements({ prefixes: bench.prefixes, perSet: PER_SET, asn, nextHop });
      return Buffer.concat([table, marker(i, asn, nextHop)]);
    });
    // The two routes of the subnet are there before.
    const before = speaker.kernelRoutes;
    const inKernel = (count: number): boolean => !bench.kernel || speaker.kernelRoutes === before + count;
    const announce = await timed(
      () => {
        for (const [i, feeder] of feeders.entries()) feeder.send(feeds[i]!);
      },
      peers,
      () =>
        receivers.every((each) => each.prefixes === bench.prefixes && each.markers === bench.feeders) &&
        inKernel(bench.prefixes + bench.feeders),
    );
    const gone = withdrawals(bench.prefixes);
    const withdraw = await timed(
      () => {
        for (const [i, feeder] of feeders.entries()) feeder.send(Buffer.concat([gone, markerWithdrawal(i)]));
      },
      peers,
      () => receivers.every((each) => each.prefixes === 0 && each.markers === 0) && inKernel(0),
    );
    return { announce, withdraw, cpu: speaker.cpuSeconds - cpu, peak: speaker.peakMegabytes };
  } finally {
    for (const peer of peers) peer.close();
    await speaker.stop();
  }
}

/** Seconds from `begin` until `done`. */
function timed(begin: () => void, peers: readonly BenchPeer[], done: () => boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const end = (error?: Error): void => {
      clearInterval(watch);
      for (const peer of peers) peer.onChange = () => {};
      if (error === undefined) resolve((performance.now() - start) / 1000);
      else reject(error);
    };
    for (const peer of peers) {
      peer.onChange = () => {
        if (done()) end();
      };
    }
    const watch = setInterval(() => {
      try {
        for (const peer of peers) peer.check();
        if (done()) end();
        if (performance.now() - start > DEADLINE_MS)
          throw new Error(`not done after ${DEADLINE_MS / 1000} s`);
      } catch (error) {
        end(error as Error);
      }
    }, 20);
    begin();
  });
}

/** The last announcement of a feeder: a /32 that no other has. */
function marker(i: number, asn: number, nextHop: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(200);
  const attributes = {
    origin: 0,
    asPath: [{ type: 2, asns: [asn] }],
    nextHop: { family: 4, bytes: nextHop, linkLocal: undefined },
    med: undefined,
    localPref: undefined,
    atomicAggregate: false,
    aggregator: undefined,
    communities: new Uint32Array(0),
    extendedCommunities: new Uint8Array(0),
    largeCommunities: new Uint32Array(0),
    originatorId: undefined,
    clusterList: new Uint32Array(0),
    unknown: [],
    partial: undefined,
  } as const;
  const at = encodeAttributes(attributes, EXTERNAL, bytes, HEADER_LENGTH + 4);
  putU16(bytes, HEADER_LENGTH + 2, at - HEADER_LENGTH - 4);
  const end = putPrefix4(bytes, at, markerAddress(i), 32);
  putHeader(bytes, 0, end, UPDATE);
  return bytes.subarray(0, end);
}

function markerWithdrawal(i: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_LENGTH + 4 + 5);
  putU16(bytes, HEADER_LENGTH, 5);
  putPrefix4(bytes, HEADER_LENGTH + 2, markerAddress(i), 32);
  putHeader(bytes, 0, bytes.length, UPDATE);
  return bytes;
}

function markerAddress(i: number): number {
  return parseIpv4(`198.51.100.${i + 1}`);
}
