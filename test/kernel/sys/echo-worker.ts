/** Answers each datagram with its text and TTL, in a loop that knows no event loop: run by datagram.test.ts. */
import { workerData } from 'node:worker_threads';
import { DatagramReader, DatagramWriter } from '#kernel/sys/datagram.ts';
import { pollReadable } from '#kernel/sys/libc.ts';
import { encodeSockaddr } from '#kernel/sys/sockaddr.ts';

const { fd, stop, ready } = workerData as { fd: number; stop: number; ready: Int32Array };
const reader = new DatagramReader();
const writer = new DatagramWriter();
const decoder = new TextDecoder();
const encoder = new TextEncoder();

signal(1);
for (;;) {
  const [data, stopped] = pollReadable([fd, stop], 10_000);
  if (stopped || !data) break;
  const count = reader.receive(fd);
  for (let slot = 0; slot < count; slot++) {
    const answer = `${decoder.decode(reader.data(slot))}:${reader.ttl[slot]}`;
    writer.send(fd, encoder.encode(answer), encodeSockaddr(reader.source(slot)));
  }
}
signal(2);

function signal(value: number): void {
  Atomics.store(ready, 0, value);
  Atomics.notify(ready, 0);
}
