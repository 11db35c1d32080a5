/**
 * A port that only those may use who have a certificate of our authorities, for as long as it holds.
 */

import { createServer, type Server, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type DetailedPeerCertificate,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import { anchorsOf, contextOf, type TlsMaterial } from './tls.ts';

/** What becomes of connections that an operator may want to know of. `peer` is address and port. */
export type ConnectionEvent =
  | { readonly kind: 'refused' | 'displaced'; readonly peer: string; readonly most: number }
  | { readonly kind: 'ended'; readonly peer: string; readonly subject: string; readonly reason: string }
  /** A connection could not be taken, for want of descriptors most likely. */
  | { readonly kind: 'failed'; readonly reason: string };

export interface MutualTlsOptions {
  /** ms from the connection to the client's certificate. */
  readonly handshakeMs?: number;
  /** Connections at a time. What comes beyond that is closed at once. */
  readonly most?: number;
  /** Connections at a time that have shown no certificate yet. The oldest of them makes room for another one. */
  readonly mostHandshakes?: number;
  readonly onEvent?: (event: ConnectionEvent) => void;
}

const HANDSHAKE_MS = 10_000;
const MOST = 8_192;
const MOST_HANDSHAKES = 256;

/** A connection whose client has shown its certificate. */
interface Connection {
  readonly peer: string;
  readonly subject: string;
  /** When the certificate ends; ms since 1970. */
  readonly endsAt: number;
  /** The authority that it was traced back to. */
  readonly anchor: string;
}

/**
 * The listener. New connections meet what was last given to `replace`; those that are there go on as long as their
 * certificate has not ended and its authority is still among ours.
 */
export class MutualTls {
  readonly #options: Required<MutualTlsOptions>;
  readonly #listener: Server;
  readonly #tls: TlsServer;
  /** By peer: anybody may begin a handshake. Oldest first. */
  readonly #handshakes = new Map<string, Socket>();
  readonly #connections = new Map<TLSSocket, Connection>();
  #accept: (socket: TLSSocket) => void = () => {};

  constructor(material: TlsMaterial, options: MutualTlsOptions = {}) {
    this.#options = {
      handshakeMs: options.handshakeMs ?? HANDSHAKE_MS,
      most: options.most ?? MOST,
      mostHandshakes: options.mostHandshakes ?? MOST_HANDSHAKES,
      onEvent: options.onEvent ?? (() => {}),
    };
    this.#tls = createTlsServer({
      ...contextOf(material),
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: this.#options.handshakeMs,
      ALPNProtocols: ['h2'],
    });
    this.#tls.on('secureConnection', (socket) => this.#established(socket));
    // Who fails the handshake, or takes too long, is closed: that is all there is to it.
    this.#tls.on('tlsClientError', (_, socket) => socket.destroy());
    this.#listener = createServer({ pauseOnConnect: false }, (socket) => this.#arrived(socket));
  }

  /** Connections now, those without a certificate included. */
  get size(): number {
    return this.#handshakes.size + this.#connections.size;
  }

  /**
   * Listens on `host:port`; port 0 takes a free one.
   *
   * @param accept is given each connection whose client has shown its certificate
   * @returns the port
   */
  listen(address: string, accept: (socket: TLSSocket) => void): Promise<number> {
    this.#accept = accept;
    const at = address.lastIndexOf(':');
    const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
    return new Promise((resolve, reject) => {
      this.#listener.once('error', (cause) =>
        reject(new Error(`listen on ${address}: ${cause.message}`, { cause })),
      );
      this.#listener.listen({ host, port: Number(address.slice(at + 1)) }, () => {
        // What fails later is an accept: the next one may go well.
        this.#listener.removeAllListeners('error').on('error', ({ message }) => {
          this.#options.onEvent({ kind: 'failed', reason: message });
        });
        resolve((this.#listener.address() as { port: number }).port);
      });
    });
  }

  /** Other certificates from now on. Ends connections whose authority is not among ours any more. */
  replace(material: TlsMaterial): void {
    this.#tls.setSecureContext(contextOf(material));
    const anchors = anchorsOf(material);
    this.#end('its authority is not among ours any more', ({ anchor }) => !anchors.has(anchor));
  }

  /** Ends connections whose certificate has ended. @param now ms since 1970 */
  sweep(now: number): void {
    this.#end('its certificate has ended', ({ endsAt }) => endsAt <= now);
  }

  /** Takes no more connections. Those that are there belong to whoever accepted them. */
  close(): void {
    this.#listener.close();
    for (const socket of this.#handshakes.values()) socket.destroy();
  }

  #arrived(socket: Socket): void {
    const peer = peerOf(socket);
    socket.on('error', () => {});
    const { most, mostHandshakes, onEvent } = this.#options;
    if (this.size >= most) {
      onEvent({ kind: 'refused', peer, most });
      socket.destroy();
      return;
    }
    if (this.#handshakes.size >= mostHandshakes) {
      const [oldest] = this.#handshakes as Iterable<[string, Socket]>;
      this.#handshakes.delete(oldest![0]);
      onEvent({ kind: 'displaced', peer: oldest![0], most: mostHandshakes });
      oldest![1].destroy();
    }
    this.#handshakes.set(peer, socket);
    socket.once('close', () => {
      if (this.#handshakes.get(peer) === socket) this.#handshakes.delete(peer);
    });
    this.#tls.emit('connection', socket);
  }

  #established(socket: TLSSocket): void {
    const peer = peerOf(socket);
    this.#handshakes.delete(peer);
    socket.on('error', () => {});
    if (socket.destroyed) return;
    const certificate = socket.getPeerCertificate(true);
    this.#connections.set(socket, {
      peer,
      subject: [certificate.subject?.CN].flat().join(', '),
      endsAt: Date.parse(certificate.valid_to),
      anchor: anchorOf(certificate),
    });
    socket.once('close', () => this.#connections.delete(socket));
    this.#accept(socket);
  }

  #end(reason: string, which: (connection: Connection) => boolean): void {
    for (const [socket, connection] of [...this.#connections]) {
      if (!which(connection)) continue;
      this.#connections.delete(socket);
      socket.destroy();
      const { peer, subject } = connection;
      this.#options.onEvent({ kind: 'ended', peer, subject, reason });
    }
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

/** The certificate at the end of the chain, in base64. */
function anchorOf(certificate: DetailedPeerCertificate): string {
  let last = certificate;
  // A root has itself as issuer.
  while (last.issuerCertificate !== undefined && last.issuerCertificate !== last)
    last = last.issuerCertificate;
  return last.raw.toString('base64');
}
