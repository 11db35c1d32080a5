import { formatAddress, parseAddress } from '../ip.ts';

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** Bytes of struct sockaddr_in and struct sockaddr_in6. */
export const SOCKADDR_IN = 16;
export const SOCKADDR_IN6 = 28;

/** An IP address and port; for a link-local IPv6 address also the interface it belongs to. */
export interface SocketAddress {
  /** IPv4 or IPv6, without a zone. */
  readonly address: string;
  /** 0 where the kernel shall choose. */
  readonly port: number;
  /** Index of the interface of a link-local IPv6 address; 0 or absent otherwise. */
  readonly scopeId?: number;
}

/**
 * The sockaddr of an address (netinet/in.h): the family in host order, the port in network order.
 *
 * @param family AF_INET6 makes the IPv4-mapped form of an IPv4 address; without it the address decides
 * @throws AddressError, RangeError
 */
export function encodeSockaddr(value: SocketAddress, family: number = AF_UNSPEC): Uint8Array {
  let address: Uint8Array = parseAddress(value.address);
  if (!Number.isInteger(value.port) || value.port < 0 || value.port > 0xffff)
    throw new RangeError(`port ${value.port}, expected 0 to 65535`);
  if (family === AF_INET6 && address.length === 4) address = toMapped(address);
  if (family === AF_INET && address.length !== 4)
    throw new RangeError(`address ${value.address} on an IPv4 socket, expected an IPv4 address`);
  const six = address.length === 16;
  const bytes = new Uint8Array(six ? SOCKADDR_IN6 : SOCKADDR_IN);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, six ? AF_INET6 : AF_INET, true);
  view.setUint16(2, value.port);
  bytes.set(address, six ? 8 : 4);
  if (six) view.setUint32(24, value.scopeId ?? 0, true);
  return bytes;
}

/**
 * Reads a sockaddr_in or sockaddr_in6 at `from`. `scopeId` is present when it is not 0.
 *
 * @throws RangeError for another family
 */
export function decodeSockaddr(bytes: Uint8Array, from = 0): SocketAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const family = view.getUint16(from, true);
  if (family === AF_INET)
    return { address: formatAddress(bytes, from + 4, 4), port: view.getUint16(from + 2) };
  if (family !== AF_INET6) throw new RangeError(`sockaddr of family ${family}, expected 2 or 10`);
  const scopeId = view.getUint32(from + 24, true);
  return {
    address: formatAddress(bytes, from + 8, 16),
    port: view.getUint16(from + 2),
    ...(scopeId === 0 ? {} : { scopeId }),
  };
}

/** The IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) of the IPv4 address `bytes`. */
export function toMapped(bytes: Uint8Array): Uint8Array {
  const mapped = new Uint8Array(16);
  mapped[10] = 0xff;
  mapped[11] = 0xff;
  mapped.set(bytes, 12);
  return mapped;
}
