import { type Server, Socket } from 'node:net';
import { parseAddress } from '../ip.ts';
import { errno, SyscallError } from './errno.ts';
import { bind, close, ifIndextoname, listen, setsockopt, socket } from './libc.ts';
import type { NetworkNamespace } from './namespace.ts';
import { AF_INET, AF_INET6, encodeSockaddr, type SocketAddress } from './sockaddr.ts';
import { type SocketOptions, setSocketOptions } from './sockopt.ts';
import { type Md5Peer, setTcpMd5 } from './tcp-md5.ts';

/** What to listen on. Unless told otherwise `reuseAddress` and, for IPv6, `v6Only` are on. */
export interface ListenOptions extends SocketAddress, SocketOptions {
  /** Connections that may wait to be accepted; 128 unless told. Give the same to `server.listen`. */
  readonly backlog?: number;
  /** Keys that peers must sign with. More can be set later, by {@link setTcpMd5} on the listener's descriptor. */
  readonly md5?: readonly { readonly peer: Md5Peer; readonly key: Uint8Array | string }[];
  /** Where the socket lives; the thread's own namespace unless told. */
  readonly namespace?: NetworkNamespace;
}

/** What to connect to, and how. For a link-local IPv6 address `device` or `scopeId` is needed. */
export interface ConnectOptions extends SocketAddress, SocketOptions {
  /** Own address, and port if it is not 0. */
  readonly source?: SocketAddress;
  /** Key of TCP MD5 signatures with the peer. */
  readonly md5?: Uint8Array | string;
  readonly namespace?: NetworkNamespace;
  /** Destroys the socket when it aborts. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a listening TCP socket and returns its descriptor. Node takes it over by `server.listen({ fd, backlog })` and
 * closes it with the server; until then options and MD5 keys can be set on it. What it accepts inherits its options.
 *
 * @throws SyscallError, AddressError, RangeError
 */
export function openListener(options: ListenOptions): number {
  const family = familyOf(options.address);
  const fd = tcpSocket(family, options.namespace);
  try {
    setSocketOptions(fd, {
      reuseAddress: true,
      ...(family === AF_INET6 ? { v6Only: true } : {}),
      ...options,
    });
    for (const { peer, key } of options.md5 ?? []) setTcpMd5(fd, peer, key);
    bind(fd, encodeSockaddr(options, family), describe(options));
    listen(fd, options.backlog ?? 128);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Connects by TCP. The socket that is returned is connecting and behaves as one of `net.connect`: `connect` comes when
 * it is established, `error` (ECONNREFUSED, ETIMEDOUT, ENETUNREACH...) and `close` when it fails. A peer that never
 * answers, for one because its MD5 key is another, fails after about two minutes, or as `synRetries` says;
 * `socket.destroy()` gives up sooner.
 *
 * The descriptor is taken over by Node before it connects: on one that is connecting already, Node would have no event
 * for the moment when it is established.
 *
 * @throws SyscallError when an option or the source address is refused; what connect itself says comes as an event
 * @throws AddressError, RangeError
 */
export function openConnecting(options: ConnectOptions): Socket {
  const { signal } = options;
  const zone = isLinkLocal(options.address) ? zoneOf(options) : undefined;
  const fd = openTcp(options);
  let connecting: Socket;
  try {
    connecting = new Socket({ fd, readable: true, writable: true, ...(signal ? { signal } : {}) });
  } catch (error) {
    close(fd);
    throw error;
  }
  if (zone !== undefined) connectLinkLocal(connecting, options, zone);
  else connecting.connect({ host: options.address, port: options.port });
  return connecting;
}

/**
 * The descriptor under a server or socket of Node's, to set options or MD5 keys on. It is Node's: not to be closed,
 * and another's once the server or socket is closed.
 *
 * @throws Error when it has none (closed, or not yet listening)
 */
export function descriptorOf(owner: Server | Socket): number {
  // Node has no public way to it; the field has been there since Node 0.12.
  const fd = (owner as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) throw new Error('server or socket without a descriptor: it is not open');
  return fd;
}

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_IP = 0;
const IP_BIND_ADDRESS_NO_PORT = 24;

/** A socket with its options, key and source address set, not yet connecting. */
function openTcp(options: ConnectOptions): number {
  if (isLinkLocal(options.address) && !options.scopeId && !options.device)
    throw new RangeError(
      `link-local address ${options.address} without an interface, expected scopeId or device`,
    );
  const family = familyOf(options.address);
  const fd = tcpSocket(family, options.namespace);
  try {
    setSocketOptions(fd, options);
    if (options.md5 !== undefined) setTcpMd5(fd, { address: options.address }, options.md5);
    const { source } = options;
    if (source) {
      // The port is chosen at connect, when the destination is known: many connections can share one then.
      if (source.port === 0) setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1, 'IP_BIND_ADDRESS_NO_PORT');
      bind(fd, encodeSockaddr(source, family), describe(source));
    }
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Node takes the interface of a link-local address as a zone, by its name, and looks that up where the thread is when
 * the connection starts; of an address without zone libuv makes one of the first interface it finds. A look-up function
 * is called at that very moment, so it can answer from within the socket's namespace.
 */
function connectLinkLocal(connecting: Socket, options: ConnectOptions, zone: string): void {
  const { address, port, namespace } = options;
  connecting.connect({
    host: 'link-local',
    port,
    family: 6,
    lookup: (_host, _options, done) => inside(namespace, () => done(null, `${address}%${zone}`, 6)),
  });
}

/** The name of the interface that a link-local address belongs to. */
function zoneOf(options: ConnectOptions): string {
  const { address, scopeId, device, namespace } = options;
  if (device) return device;
  if (!scopeId) throw new RangeError(`link-local address ${address} without scopeId or device`);
  const name = inside(namespace, () => ifIndextoname(scopeId));
  if (name === undefined) throw new SyscallError('if_indextoname', errno.ENODEV, `${scopeId} of ${address}`);
  return name;
}

function isLinkLocal(address: string): boolean {
  const bytes = parseAddress(address);
  return bytes.length === 16 && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}

function tcpSocket(family: number, namespace: NetworkNamespace | undefined): number {
  return inside(namespace, () => socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

function inside<T>(namespace: NetworkNamespace | undefined, work: () => T): T {
  return namespace ? namespace.run(work) : work();
}

function familyOf(address: string): number {
  return parseAddress(address).length === 4 ? AF_INET : AF_INET6;
}

function describe(address: SocketAddress): string {
  return address.address.includes(':')
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`;
}
