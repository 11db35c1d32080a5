/**
 * Where sessions get their connections from: an interface, and its implementation by the kernel's sockets with all that
 * BGP asks of them (TCP MD5, GTSM, source address, interface).
 */

import { createServer, type Server, type Socket } from 'node:net';
import type { Address } from '#bgp/config/address.ts';
import type { PeerConfig } from '#bgp/config/model.ts';
import { formatAddress, formatPrefix, type Prefix } from '#bgp/wire/address.ts';
import type { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { type SocketOptions, setSocketOptions, ttlOfSyn } from '#kernel/sys/sockopt.ts';
import { descriptorOf, openConnecting, openListener } from '#kernel/sys/tcp.ts';
import { removeTcpMd5, setTcpMd5 } from '#kernel/sys/tcp-md5.ts';

/** How packets of a connection are sent, and which are taken. */
export type Hops = {
  /** TTL of what is sent; the system's if absent. */
  readonly ttl?: number;
  /** Segments that come with a smaller TTL are dropped (RFC 5082). */
  readonly minTtl?: number;
};

export type Target = {
  readonly address: Address;
  readonly port: number;
  readonly source: Address | undefined;
  readonly interface: string | undefined;
  readonly password: string | undefined;
  readonly hops: Hops;
};

/** How a session with this neighbour is sent over hops, and which packets are taken. */
export function hopsOf({ reach, remoteAs, localAs }: PeerConfig): Hops {
  switch (reach.kind) {
    case 'ttlSecurity':
      return { ttl: MAX_TTL, minTtl: MAX_TTL + 1 - reach.hops };
    case 'multihop':
      return { ttl: reach.ttl };
    case 'direct': {
      const external = remoteAs.every(({ first, last }) => localAs < first || localAs > last);
      return external ? { ttl: 1 } : {};
    }
  }
}

export interface Sockets {
  /**
   * Starts a connection.
   *
   * @throws Error with a `code`, such as EADDRNOTAVAIL or EMFILE, for what is known at once
   */
  connect(target: Target): Socket;

  /**
   * Starts to listen. `failed` is told of errors later on, after which listening goes on.
   *
   * @throws Error with a `code`, such as EADDRINUSE
   */
  listen(
    at: ListenAt,
    accept: (socket: Socket) => void,
    failed: (error: NodeJS.ErrnoException) => void,
  ): Listening;

  /**
   * Sets what a connection that was accepted is to have.
   *
   * @throws Error with a `code`, or without one if the socket is closed already
   */
  prepare(socket: Socket, hops: Hops): void;

  /**
   * The TTL that the first packet of an accepted connection came with, if that is known. To be asked once.
   *
   * @throws Error as `prepare`
   */
  firstTtl(socket: Socket): number | undefined;
}

export type ListenAt = { readonly address: Address; readonly port: number };

export interface Listening {
  readonly family: 4 | 6;
  /** The port, also where 0 was asked for; 0 until it is known. */
  readonly port: number;
  /** The TCP MD5 key that connections from the neighbour must have; `undefined` for none. */
  setKey(neighbor: KeyScope, password: string | undefined): void;
  close(): void;
}

/** Whom a key is for: one neighbour, or all of a prefix. */
export type KeyScope =
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'prefix'; readonly prefix: Prefix };

const BACKLOG = 128;
const MAX_TTL = 255;
/** DSCP CS6, network control: RFC 4594 section 3.1. */
const TRAFFIC_CLASS = 0xc0;

/** Sockets of the kernel, in the given namespace or that of the process. */
export function kernelSockets(namespace?: NetworkNamespace): Sockets {
  const place = namespace === undefined ? {} : { namespace };
  return {
    connect({ address, port, source, password, hops, ...rest }) {
      const device = rest.interface ?? address.zone;
      return openConnecting({
        address: formatAddress(address.bytes),
        port,
        ...COMMON,
        ...hops,
        ...(device !== undefined && { device }),
        ...(password !== undefined && { md5: password }),
        ...(source !== undefined && { source: { address: formatAddress(source.bytes), port: 0 } }),
        ...place,
      });
    },
    listen({ address, port }, accept, failed) {
      // The answer to a connection goes out before it is known whose it is: with a TTL that also passes the check of a
      // neighbour that wants 255.
      const fd = openListener({
        address: formatAddress(address.bytes),
        port,
        backlog: BACKLOG,
        ...COMMON,
        ttl: MAX_TTL,
        saveSyn: true,
        ...(address.zone !== undefined && { device: address.zone }),
        ...place,
      });
      const server = createServer(accept);
      server.on('error', failed);
      server.listen({ fd, backlog: BACKLOG });
      return new KernelListening(server, fd, address.family);
    },
    prepare(socket, hops) {
      setSocketOptions(descriptorOf(socket), { ttl: hops.ttl ?? DEFAULT_TTL, ...hops });
    },
    firstTtl: (socket) => ttlOfSyn(descriptorOf(socket)),
  };
}

const COMMON: SocketOptions = { trafficClass: TRAFFIC_CLASS, noDelay: true, keepAlive: true };
/** IPDEFTTL of linux/ip.h. */
const DEFAULT_TTL = 64;

class KernelListening implements Listening {
  readonly family: 4 | 6;
  readonly #server: Server;
  readonly #fd: number;
  readonly #keys = new Set<string>();

  constructor(server: Server, fd: number, family: 4 | 6) {
    this.#server = server;
    this.#fd = fd;
    this.family = family;
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  setKey(neighbor: KeyScope, password: string | undefined): void {
    const name =
      neighbor.kind === 'address' ? formatAddress(neighbor.address.bytes) : formatPrefix(neighbor.prefix);
    const scope =
      neighbor.kind === 'address'
        ? { address: name }
        : { address: formatAddress(neighbor.prefix.bytes), prefixLength: neighbor.prefix.length };
    if (password !== undefined) {
      setTcpMd5(this.#fd, scope, password);
      this.#keys.add(name);
    } else if (this.#keys.delete(name)) {
      removeTcpMd5(this.#fd, scope);
    }
  }

  close(): void {
    this.#server.close();
  }
}
