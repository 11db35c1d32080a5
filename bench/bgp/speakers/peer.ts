/**
 * A neighbour that speaks just enough BGP to measure another speaker: it opens a session, sends prebuilt bytes, and keeps account
 * of the prefixes it is sent. The same for every speaker.
 */

import type { Socket } from 'node:net';
import {
  HEADER_LENGTH,
  IPV4_UNICAST,
  KEEPALIVE,
  NOTIFICATION,
  OPEN,
  ROUTE_REFRESH,
  UPDATE,
} from '#bgp/wire/constants.ts';
import { encodeKeepalive } from '#bgp/wire/header.ts';
import { decodeNotification, describeNotification } from '#bgp/wire/notification.ts';
import { encodeOpen } from '#bgp/wire/open.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { openConnecting } from '#kernel/sys/tcp.ts';

export type BenchPeerOptions = {
  readonly namespace: NetworkNamespace;
  readonly address: string;
  /** Router id as a number. */
  readonly identifier: number;
  readonly asn: number;
  readonly speaker: string;
  /** Seconds; 240 unless told. */
  readonly holdTime?: number;
};

/** Longest wait between attempts to connect and for the whole of it, in ms. */
const RETRY_MS = 200;
const CONNECT_MS = 60_000;

export class BenchPeer {
  /** /24s that are announced now, and all other prefixes. */
  prefixes = 0;
  markers = 0;
  /** Called after each read that changed one of them. */
  onChange: () => void = () => {};
  readonly #options: BenchPeerOptions;
  readonly #present = new Uint8Array(1 << 21);
  readonly #markers = new Set<number>();
  #socket!: Socket;
  #rest: Uint8Array = new Uint8Array(0);
  #keepalives: NodeJS.Timeout | undefined;
  #established: (() => void) | undefined;
  #failure: Error | undefined;
  #closed = false;

  constructor(options: BenchPeerOptions) {
    this.#options = options;
  }

  /** Connects, again and again if need be, and resolves once the session is Established. */
  async establish(): Promise<void> {
    const end = performance.now() + CONNECT_MS;
    for (;;) {
      try {
        await this.#attempt();
        return;
      } catch (error) {
        if (performance.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** Throws what ended the session, if it is over. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#keepalives);
    this.#socket?.destroy();
  }

  #attempt(): Promise<void> {
    const { namespace, address, identifier, asn, speaker, holdTime = 240 } = this.#options;
    this.#rest = new Uint8Array(0);
    this.#failure = undefined;
    const socket = openConnecting({
      address: speaker,
      port: 179,
      source: { address, port: 0 },
      namespace,
      noDelay: true,
    });
    this.#socket = socket;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#failure ??= error;
        socket.destroy();
        reject(this.#failure);
      };
      this.#established = resolve;
      socket.on('connect', () => {
        socket.write(
          encodeOpen({
            asn,
            holdTime,
            identifier,
            capabilities: [
              { kind: 'multiprotocol', family: IPV4_UNICAST },
              { kind: 'route-refresh' },
              { kind: 'four-octet-as', asn },
            ],
          }),
        );
      });
      socket.on('data', (chunk: Buffer) => {
        try {
          this.#receive(chunk);
        } catch (error) {
          fail(error as Error);
        }
      });
      socket.on('error', fail);
      socket.on('close', () => {
        if (!this.#closed) fail(new Error(`${address}: the session was closed`));
      });
    });
  }

  #receive(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    let at = 0;
    let changed = false;
    while (bytes.length - at >= HEADER_LENGTH) {
      const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
      if (bytes.length - at < length) break;
      switch (bytes[at + 18]) {
        case UPDATE:
          this.#update(bytes, at + HEADER_LENGTH, at + length);
          changed = true;
          break;
        case OPEN:
          this.#socket.write(encodeKeepalive());
          clearInterval(this.#keepalives);
          this.#keepalives = setInterval(
            () => this.#socket.write(encodeKeepalive()),
            (this.#options.holdTime ?? 240) * 250,
          );
          break;
        case KEEPALIVE:
          this.#established?.();
          this.#established = undefined;
          break;
        case NOTIFICATION: {
          const notification = decodeNotification(bytes.subarray(at + HEADER_LENGTH, at + length));
          throw new Error(`${this.#options.address}: received ${describeNotification(notification)}`);
        }
        case ROUTE_REFRESH:
          break;
      }
      at += length;
    }
    this.#rest = at < bytes.length ? bytes.slice(at) : new Uint8Array(0);
    if (changed) this.onChange();
  }

  #update(bytes: Uint8Array, start: number, end: number): void {
    const withdrawn = (bytes[start]! << 8) | bytes[start + 1]!;
    let at = start + 2;
    this.#prefixes(bytes, at, at + withdrawn, 0);
    at += withdrawn;
    const attributes = (bytes[at]! << 8) | bytes[at + 1]!;
    this.#prefixes(bytes, at + 2 + attributes, end, 1);
  }

  #prefixes(bytes: Uint8Array, from: number, to: number, present: 0 | 1): void {
    const known = this.#present;
    for (let at = from; at < to; ) {
      const length = bytes[at]!;
      if (length === 24) {
        const index = ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) & 0x1fffff;
        if (known[index] !== present) {
          known[index] = present;
          this.prefixes += present === 1 ? 1 : -1;
        }
        at += 4;
      } else {
        const size = (length + 7) >>> 3;
        let address = 0;
        for (let i = 0; i < size; i++) address = (address << 8) | bytes[at + 1 + i]!;
        if (present === 1) this.#markers.add(address);
        else this.#markers.delete(address);
        this.markers = this.#markers.size;
        at += 1 + size;
      }
    }
  }
}
